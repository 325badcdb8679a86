"""The process that runs segpaste, and the floors it is measured against.

    python -m benchmark.ours --threads 1 --device cpu [--executor rectangle]

Started by the conductor; speaks ``benchmark.protocol`` on standard input and output.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from typing import Any

import torch
from torchvision.ops import masks_to_boxes

from benchmark import protocol
from benchmark.cells import Cell
from benchmark.cuda_facts import facts_of_call
from benchmark.scenes import STUFF, THINGS, DenseMaps, Scene, dense_maps, draw_scenes
from segpaste.augmentation import BatchCopyPaste
from segpaste.paste import apply, draw_plan
from segpaste.paste.graph import paste_graph
from segpaste.paste.settings import settings_of, tables_of
from segpaste.types import (
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)

# Plans take turns, so that no figure hangs on one draw.
MOST_PLANS = 15
# Copies of a small batch take turns, too: a training step finds its batch in memory, while one
# that is used again and again would lie in a processor's own cache.
BEYOND_CACHES = 64_000_000


def config_of(cell: Cell) -> BatchCopyPasteConfig:
    """The default configuration; with a class table where there is a panoptic map."""
    if not cell.all_modalities:
        return BatchCopyPasteConfig()
    classes = dict.fromkeys(THINGS, "thing") | dict.fromkeys(STUFF, "stuff")
    taxonomy = PanopticSchemaSpec.model_validate({"classes": classes})
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=taxonomy))


def batch_of(cell: Cell, scenes: list[Scene]) -> PaddedBatchedDenseSample:
    """The scenes as one padded batch on the CPU, rows in the first slots."""
    boxes = torch.zeros(cell.batch, cell.slots, 4)
    labels = torch.zeros(cell.batch, cell.slots, dtype=torch.int64)
    valid = torch.zeros(cell.batch, cell.slots, dtype=torch.bool)
    ids = torch.zeros(cell.batch, cell.slots, dtype=torch.int32)
    masks = torch.zeros(cell.batch, cell.slots, cell.size, cell.size, dtype=torch.bool)
    images = torch.zeros(cell.batch, 3, cell.size, cell.size, dtype=torch.uint8)
    for b, scene in enumerate(scenes):
        n = len(scene.shapes)
        images[b] = torch.from_numpy(scene.image)
        boxes[b, :n] = torch.from_numpy(scene.boxes)
        labels[b, :n] = torch.from_numpy(scene.labels)
        valid[b, :n] = True
        ids[b, :n] = torch.arange(1, n + 1, dtype=torch.int32)
        masks[b, :n] = torch.from_numpy(scene.masks)
    more: dict[str, Any] = {}
    if cell.all_modalities:
        more = _dense_fields(scenes, [dense_maps(scene, b) for b, scene in enumerate(scenes)])
    return PaddedBatchedDenseSample(
        images=images if cell.dtype == "uint8" else images.to(torch.float32) / 255,  # pyright: ignore[reportArgumentType]
        boxes=boxes,
        labels=labels,
        instance_valid=valid,
        instance_ids=ids,
        instance_masks=masks,  # pyright: ignore[reportArgumentType]
        metric_depth=cell.all_modalities,
        **more,
    )


def main() -> None:
    """Serve until the conductor closes standard input."""
    options = _options()
    torch.set_num_threads(options.threads)
    on_cuda = options.device == "cuda"
    protocol.serve(
        functools.partial(_prepare, options),
        settle=torch.cuda.synchronize if on_cuda else lambda: None,
        facts=facts_of_call if on_cuda else lambda call: {},
    )


def _prepare(options: argparse.Namespace, request: dict[str, Any]) -> dict[str, protocol.Call]:
    cell = Cell(**request["prepare"])
    scenes = draw_scenes(cell)
    config = config_of(cell)
    target = batch_of(cell, scenes).to(options.device)
    plans = _plans(target, config, min(request["rounds"], MOST_PLANS))
    if options.device == "cuda":
        return _cuda_calls(target, plans, config)
    calls = _cpu_calls(target, plans, config, options.executor)
    if cell.section == "growth":
        return {name: calls[name] for name in ("memcpy", "apply_out", "apply_fresh", "draw_plan")}
    if cell.section == "grid" and options.threads == 1:
        calls["torchvision"] = _simple_copy_paste(target)
    return calls


def _plans(
    target: PaddedBatchedDenseSample, config: BatchCopyPasteConfig, count: int
) -> list[tuple[torch.Tensor, PastePlan]]:
    device = target.images.device
    seeds = [torch.arange(target.batch_size, device=device) + 1000 * r for r in range(count)]
    return [(s, draw_plan(target, target, s, config)) for s in seeds]


def _cpu_calls(
    target: PaddedBatchedDenseSample,
    plans: list[tuple[torch.Tensor, PastePlan]],
    config: BatchCopyPasteConfig,
    executor: Any,
) -> dict[str, protocol.Call]:
    size = sum(value.nbytes for value in target.tensors().values())
    copies = [_clone_of(target) for _ in range(max(1, -(-BEYOND_CACHES // size)))]
    turns = itertools.cycle(copies)
    out = _empty_like(target)
    floor = _empty_like(target).tensors()
    module = BatchCopyPaste(config)

    def memcpy(_: int) -> None:
        for name, value in next(turns).tensors().items():
            floor[name].copy_(value)

    def paste(r: int, in_place: bool) -> PaddedBatchedDenseSample:
        batch = next(turns)
        return apply(batch, batch, plan(r), config, executor=executor, out=out if in_place else None)

    def seeds(r: int) -> torch.Tensor:
        return plans[r % len(plans)][0]

    def plan(r: int) -> PastePlan:
        return plans[r % len(plans)][1]

    return {
        "memcpy": memcpy,
        "clone": lambda r: [value.clone() for value in next(turns).tensors().values()],
        "apply_out": lambda r: paste(r, in_place=True),
        "apply_fresh": lambda r: paste(r, in_place=False),
        "draw_plan": lambda r: (lambda batch: draw_plan(batch, batch, seeds(r), config))(next(turns)),
        "forward": lambda r: module(next(turns), seeds=seeds(r)),
    }


def _cuda_calls(
    target: PaddedBatchedDenseSample,
    plans: list[tuple[torch.Tensor, PastePlan]],
    config: BatchCopyPasteConfig,
) -> dict[str, protocol.Call]:
    fields = target.tensors()
    out = _empty_like(target)
    floor = list(_empty_like(target).tensors().values())
    eager = BatchCopyPaste(config).to(target.images.device)
    compiled = torch.compile(eager, fullgraph=True, dynamic=False)
    graph = _compiled_graph(config, target.images.device)

    def memcpy(_: int) -> None:
        for to, value in zip(floor, fields.values(), strict=True):
            to.copy_(value)

    def seeds(r: int) -> torch.Tensor:
        return plans[r % len(plans)][0]

    def plan(r: int) -> PastePlan:
        return plans[r % len(plans)][1]

    return {
        "memcpy": memcpy,
        "clone": lambda r: [value.clone() for value in fields.values()],
        "fused_out": lambda r: apply(target, target, plan(r), config, executor="fused", out=out),
        "fused_fresh": lambda r: apply(target, target, plan(r), config, executor="fused"),
        "graph_eager": lambda r: apply(target, target, plan(r), config, executor="graph"),
        "graph_compiled": lambda r: graph(target, plan(r)),
        "draw_plan": lambda r: draw_plan(target, target, seeds(r), config),
        "forward": lambda r: eager(target, seeds=seeds(r)),
        "forward_compiled": lambda r: compiled(target, seeds=seeds(r)),
    }


def _compiled_graph(config: BatchCopyPasteConfig, device: torch.device) -> Any:
    """``apply`` of the graph executor with the plan drawn beforehand, compiled."""
    settings, tables = settings_of(config), tables_of(config, device)

    @torch.compile(fullgraph=True, dynamic=False)
    def paste(target: PaddedBatchedDenseSample, plan: PastePlan) -> Any:
        return paste_graph(target, target, plan, settings, tables)[0]

    return paste


def _simple_copy_paste(target: PaddedBatchedDenseSample) -> protocol.Call:
    """What torchvision's reference SimpleCopyPaste does without resizing and blending.

    Written anew for this comparison, since the script is not part of torchvision's wheel: ragged
    samples; all instances of the previous sample are pasted where they stand; what they hide is
    taken from the masks; empty masks are dropped; all boxes are computed anew.
    """
    fields = target.tensors()
    ragged = [
        tuple(
            value[b][fields["instance_valid"][b]].clone()
            for value in (fields["instance_masks"], fields["labels"])
        )
        for b in range(target.batch_size)
    ]
    images = [image.clone() for image in fields["images"]]

    def call(_: int) -> list[tuple[torch.Tensor, ...]]:
        done: list[tuple[torch.Tensor, ...]] = []
        for b, (masks, labels) in enumerate(ragged):
            pasted, pasted_labels = ragged[b - 1]
            alpha = pasted.any(dim=0)
            image = torch.where(alpha, images[b - 1], images[b])
            left = masks & ~alpha
            kept = left.flatten(1).any(dim=1)
            together = torch.cat((left[kept], pasted))
            done.append((image, together, torch.cat((labels[kept], pasted_labels)), masks_to_boxes(together)))
        return done

    return call


def _dense_fields(scenes: list[Scene], maps: list[DenseMaps]) -> dict[str, Any]:
    def stack(values: list[Any]) -> torch.Tensor:
        return torch.stack([torch.from_numpy(value) for value in values])

    return {
        "semantic_maps": stack([m.semantic for m in maps]),
        "panoptic_maps": stack([scene.id_map for scene in scenes]),
        "depth": stack([m.depth for m in maps]),
        "depth_valid": stack([m.depth_valid for m in maps]),
        "normals": stack([m.normals for m in maps]),
        "camera_intrinsics": torch.tensor([m.camera for m in maps], dtype=torch.float64),
    }


def _clone_of(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = {name: value.clone() for name, value in batch.tensors().items()}
    return PaddedBatchedDenseSample(**fields, metric_depth=batch.metric_depth)


def _empty_like(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = {name: torch.empty_like(value) for name, value in batch.tensors().items()}
    return PaddedBatchedDenseSample(**fields, metric_depth=batch.metric_depth)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure segpaste for the conductor")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--executor", default=None, help="of apply on the CPU (default: its own choice)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

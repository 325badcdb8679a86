"""Random pastes for the tests of the laws, from one integer each; NumPy, no Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from segpaste.invariants.expected import expect_paste
from segpaste.invariants.transforms import joined
from segpaste.invariants.transforms import with_fields as with_fields
from segpaste.invariants.view import SampleView, view_of
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)

THINGS = (1, 2, 3)
STUFF = (7, 8)
IGNORE = 255


@dataclass(frozen=True)
class Case:
    """One paste: target and source with B = 1, plan and configuration."""

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig

    @property
    def schema(self) -> PanopticSchemaSpec | None:
        return self.config.schema_spec


def random_case(seed: int, modalities: frozenset[Modality] | None = None, **wanted: Any) -> Case:
    """The case of one seed; ``wanted`` overrides canvas, dtype, z_test, metric, schema, ..."""
    rng = np.random.default_rng(seed)
    if modalities is None:
        modalities = LEGAL_MODALITY_SETS[int(rng.integers(len(LEGAL_MODALITY_SETS)))]
    canvas = wanted.get("canvas", (int(rng.integers(1, 14)), int(rng.integers(1, 14))))
    dtype = wanted.get("dtype", torch.uint8 if rng.random() < 0.5 else torch.float32)
    metric = wanted.get("metric", bool(rng.random() < 0.4)) and Modality.DEPTH in modalities
    schema = wanted.get("schema", bool(rng.random() < 0.6))
    k_t = int(wanted.get("slots", rng.choice([0, 2, 4, 5, 6, 8])))
    k_s = int(wanted.get("source_slots", rng.choice([0, 2, 4, 5, 6])))
    padding = wanted.get("padding", bool(rng.random() < 0.4))
    ignore_share = float(wanted.get("ignore_share", rng.choice([0.0, 0.0, 0.05])))
    args = (rng, modalities, canvas, dtype, metric, ignore_share)
    target = random_sample(
        *args, k_t, padded=padding, fullness=float(wanted.get("fullness", rng.random() * 0.9))
    )
    source = random_sample(*args, k_s, padded=padding, fullness=1.0)
    step = int(rng.choice([65536, 65536, 32768, 131072, 16384, 65535, 40000, 90001, 512, 262144]))
    plan = PastePlan(
        source_idx=torch.zeros(1, dtype=torch.int64),
        step=torch.tensor([wanted.get("step", step)]),
        translate=torch.tensor(
            [wanted.get("translate", [int(t) for t in rng.integers(-3, 4, 2)])], dtype=torch.int64
        ),
        hflip=torch.tensor([wanted.get("hflip", bool(rng.random() < 0.5))]),
        order=torch.from_numpy(rng.permutation(k_s)).to(torch.int64)[None],
        count=torch.tensor([int(wanted.get("count", rng.choice([1, 2, 5, 5, 5, 5, 5, 0])))]),
        mix_key=torch.from_numpy(rng.integers(-(2**63), 2**63 - 1, 1)),
    )
    things_all = Modality.PANOPTIC in modalities or bool(rng.random() < 0.5)
    return Case(target, source, plan, _random_config(rng, bool(schema), things_all, wanted))


def _random_config(
    rng: np.random.Generator, schema: bool, things_all: bool, wanted: dict[str, Any]
) -> BatchCopyPasteConfig:
    panoptic = None
    if schema:
        panoptic = PanopticPasteConfig(
            taxonomy=PanopticSchemaSpec(
                classes={
                    c: "thing" if c in THINGS and (things_all or c != 2) else "stuff" for c in THINGS + STUFF
                },
                max_instances_per_image=256,
            ),
            class_priority=wanted.get("priority", {1: int(rng.integers(-1, 3)), 3: int(rng.integers(0, 3))}),
            stuff_min_area=wanted.get("stuff_min_area", {7: int(rng.integers(0, 9))}),
            tau_stuff_frac=float(wanted.get("tau", rng.choice([0.0, 0.1, 0.5, 0.9]))),
            stuff_policy=wanted.get("stuff_policy", "revert" if rng.random() < 0.6 else "ignore"),
        )
    return BatchCopyPasteConfig(
        panoptic=panoptic,
        min_area=int(wanted.get("min_area", rng.choice([1, 1, 3]))),
        min_pasted_area=int(wanted.get("min_pasted_area", rng.choice([1, 1, 3]))),
        min_residual_area_frac=float(wanted.get("residual", rng.choice([0.0, 0.1, 0.5, 1.0]))),
        z_test=bool(wanted.get("z_test", rng.random() < 0.5)),
    )


def random_sample(
    rng: np.random.Generator,
    modalities: frozenset[Modality],
    canvas: tuple[int, int],
    dtype: torch.dtype,
    metric: bool,
    ignore_share: float,
    slots: int,
    *,
    padded: bool,
    fullness: float,
) -> PaddedBatchedDenseSample:
    """One well-formed sample with ``slots`` row slots, a share of them used, anywhere."""
    height, width = canvas
    valid_h = int(rng.integers(0, height + 1)) if padded else height
    valid_w = int(rng.integers(0, width + 1)) if padded else width
    if rng.random() < 0.8:
        valid_h, valid_w = max(valid_h, 1), max(valid_w, 1)
    pad = np.ones((height, width), dtype=bool)
    pad[:valid_h, :valid_w] = False
    used = np.flatnonzero(rng.random(slots) < fullness)
    panoptic = Modality.PANOPTIC in modalities
    masks = np.zeros((slots, height, width), dtype=bool)
    labels = np.zeros(slots, dtype=np.int64)
    ids = np.zeros(slots, dtype=np.int32)
    free_ids = rng.permutation(40) + 1
    taken: dict[int, np.ndarray] = {}
    for n, k in enumerate(used):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        shape = np.zeros((height, width), dtype=bool)
        shape[y : y + h, x : x + w] = True
        if rng.random() < 0.3:
            shape &= rng.random((height, width)) < 0.6
        label = int(rng.choice(THINGS))
        before = taken.get(-1 if panoptic else label, np.zeros_like(shape))
        shape &= ~before & ~pad
        if not shape.any():
            continue
        taken[-1 if panoptic else label] = before | shape
        masks[k], labels[k], ids[k] = shape, label, free_ids[n]
    used = np.flatnonzero(masks.any((1, 2)))
    valid = np.zeros(slots, dtype=bool)
    valid[used] = True
    boxes = np.zeros((slots, 4), dtype=np.float32)
    for k in used:
        ys, xs = np.nonzero(masks[k])
        boxes[k] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    fields: dict[str, Any] = {"boxes": boxes[None], "labels": labels[None], "instance_valid": valid[None]}
    if dtype == torch.uint8:
        fields["images"] = rng.integers(0, 256, (1, 3, height, width), dtype=np.uint8)
    else:
        image = rng.standard_normal((1, 3, height, width)).astype(np.float32)
        image[rng.random(image.shape) < 0.1] = np.float32(-0.0)
        fields["images"] = image
    if Modality.INSTANCE in modalities:
        fields["instance_masks"], fields["instance_ids"] = masks[None], ids[None]
    elif Modality.SEMANTIC in modalities:  # rows without masks stand beside nothing but the image
        fields = {name: value * 0 for name, value in fields.items() if name != "images"} | {
            "images": fields["images"],
            "instance_valid": np.zeros((1, slots), dtype=bool),
        }
    if Modality.SEMANTIC in modalities:
        blocks = rng.choice([*STUFF, *STUFF, *(() if panoptic else THINGS)], (height, width))
        if rng.random() < 0.5:
            blocks = np.broadcast_to(blocks[:1], blocks.shape).copy()
        semantic = blocks.astype(np.int64)
        panoptic_map = np.zeros((height, width), dtype=np.int64)
        for k in used:
            semantic[masks[k]] = labels[k]
            panoptic_map[masks[k]] = ids[k]
        void = rng.random((height, width)) < ignore_share
        if panoptic:
            void &= panoptic_map == 0
        semantic[void | pad] = IGNORE
        fields["semantic_maps"] = semantic[None]
        if panoptic:
            fields["panoptic_maps"] = panoptic_map[None]
    if Modality.DEPTH in modalities:
        fields["depth"] = (rng.integers(1, 2000, (1, 1, height, width)) / 256).astype(np.float32)
        fields["depth_valid"] = rng.random((1, 1, height, width)) < rng.choice([0.0, 0.3, 0.9, 1.0])
        garbage = ~fields["depth_valid"] & (rng.random((1, 1, height, width)) < 0.5)
        fields["depth"][garbage] = np.nan
        fields["camera_intrinsics"] = np.array([[*rng.uniform(50, 900, 2), width / 2, height / 2]])
    if Modality.NORMALS in modalities:
        raw = rng.standard_normal((3, height, width))
        raw[2] = -np.abs(raw[2]) - 0.05
        raw /= np.sqrt((raw * raw).sum(0))
        raw[:, rng.random((height, width)) < 0.2] = 0.0
        fields["normals"] = raw[None].astype(np.float32)
    if padded:
        fields["padding_mask"] = pad[None, None]
    tensors: dict[str, Any] = {
        name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fields.items()
    }
    return PaddedBatchedDenseSample(**tensors, metric_depth=metric)


def joined_cases(seed: int, size: int, modalities: frozenset[Modality] | None = None) -> Case:
    """A batch of ``size`` random pastes of one canvas, modality set, dtype and configuration."""
    rng = np.random.default_rng(seed)
    if modalities is None:
        modalities = LEGAL_MODALITY_SETS[int(rng.integers(len(LEGAL_MODALITY_SETS)))]
    wanted: dict[str, Any] = {
        "canvas": (int(rng.integers(4, 10)), int(rng.integers(4, 10))),
        "dtype": torch.uint8 if rng.random() < 0.5 else torch.float32,
        "metric": bool(rng.random() < 0.4),
        "padding": bool(rng.random() < 0.3),
        "slots": 6,
        "source_slots": 3,
        "count": int(rng.integers(1, 4)),
        "ignore_share": 0.0 if rng.random() < 0.8 else 0.05,
        "fullness": 0.5,
        "min_area": 1,
        "residual": 0.1,
        "z_test": bool(rng.random() < 0.4),
        "schema": bool(rng.random() < 0.5),
    }
    cases = [random_case(1000 * seed + n, modalities, **wanted) for n in range(size)]
    index = torch.from_numpy(rng.permutation(size)).to(torch.int64)
    plans = [case.plan for case in cases]
    fields = {name: torch.cat([getattr(p, name) for p in plans]) for name in PastePlan.__dataclass_fields__}
    return Case(
        joined([case.target for case in cases]),
        joined([case.source for case in cases]),
        PastePlan(**fields | {"source_idx": index}),
        cases[0].config,
    )


def dense(batch: PaddedBatchedDenseSample) -> DenseSample:
    """The only sample of a batch, rows closed up."""
    return BatchedDenseSample.from_padded(batch).to_samples()[0]


def padded_of(view: SampleView) -> PaddedBatchedDenseSample:
    """The padded batch (B = 1) that a view shows."""
    fields: dict[str, Any] = {
        "images": view.image[None],
        "boxes": view.boxes[None],
        "labels": view.labels[None],
        "instance_valid": view.valid[None],
        "instance_ids": None if view.ids is None else view.ids.to(torch.int32)[None],
        "instance_masks": _lead(view.masks),
        "semantic_maps": _lead(view.semantic),
        "panoptic_maps": _lead(view.panoptic),
        "depth": _lead(view.depth),
        "depth_valid": None if view.depth_valid is None else view.depth_valid[None, None],
        "normals": _lead(view.normals),
        "padding_mask": None if view.padding is None else view.padding[None, None],
    }
    if view.intrinsics is not None:
        fields["camera_intrinsics"] = torch.tensor([view.intrinsics], dtype=torch.float64)
    return PaddedBatchedDenseSample(**fields, metric_depth=view.metric)


def paste_by_expectation(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """A correct executor for the tests, made of the laws' own recomputation; any B."""
    outs: list[PaddedBatchedDenseSample] = []
    audits: list[BatchAuditPacket] = []
    for index in range(target.batch_size):
        donor = source.select(int(plan.source_idx[index]))
        one = plan.select(index)
        expected = expect_paste(view_of(target.select(index)), view_of(donor), one, config)
        outs.append(padded_of(expected.out))
        warped = expected.warped
        audits.append(
            BatchAuditPacket(
                paste_union=expected.union[None],
                row_source=expected.row_source[None],
                row_dropped=expected.row_dropped[None],
                warped_images=warped.image[None],
                warped_semantic_maps=_lead(warped.semantic),
                warped_depth=_lead(warped.depth),
                warped_depth_valid=None if warped.depth_valid is None else warped.depth_valid[None, None],
                warped_normals=_lead(warped.normals),
                source_intrinsics=donor.camera_intrinsics,
                plan=one,
                config=config,
            )
        )
    fields = [batch.tensors() for batch in outs]
    joined: dict[str, Any] = {name: torch.cat([f[name] for f in fields]) for name in fields[0]}
    return PaddedBatchedDenseSample(**joined, metric_depth=target.metric_depth), _joined(audits, plan)


def _joined(audits: list[BatchAuditPacket], plan: PastePlan) -> BatchAuditPacket:
    changes: dict[str, Any] = {"plan": plan}
    for name in BatchAuditPacket.__dataclass_fields__:
        values = [getattr(audit, name) for audit in audits]
        if isinstance(values[0], torch.Tensor):
            changes[name] = torch.cat(values)
    return replace(audits[0], **changes)


def _lead(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else value[None]

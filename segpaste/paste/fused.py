"""The fused paste: Triton kernels for CUDA, a fixed number of launches and no synchronisation.

The outputs start as copies of the target; after that only pixels of U, of void and of rows
that change are written. Ordered counts are needed in between (winners' areas, stuff, what
is left of a row), so it is a few grid-wide steps, each bounded by the box of the paste group:

1. areas and boxes of all masks, in the same pass that copies them;
2. the paste list of every sample and where its rows come to lie;
3. the winner of every pixel; the stuff rule; the rows that are large enough;
4. U and everything inside it, in one pass; what that takes from rows and stuff;
5. dropped rows, void, boxes.

Under Triton's interpreter (``TRITON_INTERPRET=1`` before Triton is imported) it runs on CPU
tensors, slowly; the tests do.
"""

# What a kernel takes is known to Triton, which is not typed.
# pyright: reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch

from segpaste.paste.inputs import pastes_nothing
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PastePlan,
    to_q16,
)

try:
    from segpaste.paste import fused_kernels as kernels
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "triton":
        raise
    raise ModuleNotFoundError(
        "executor 'fused': got no Triton, expected the one that comes with torch on Linux; "
        "executor 'graph' runs without",
        name="triton",
    ) from None

PIXEL_TILE = (4, 128)
"""Pixels of one program where single pixels are judged and painted; powers of two. Four pixels
a thread: with eight, painting every modality spills registers."""

MASK_TILE = (32, 128)
"""Pixels of one program where whole masks are read; powers of two."""

_EDGE = 1024  # pixels read at a time along the edge of a padding mask
_PROGRAMS = 4096  # enough for the largest device when rows are shared out
_ROWS = ("boxes", "labels", "instance_valid", "instance_ids")


def run_fused(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    out: PaddedBatchedDenseSample | None,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """The executor behind :func:`segpaste.paste.apply`; its arguments have been checked.

    Only ``debug_assert_bijection`` synchronises with the device, and the first use of a
    class table, which is copied there.
    """
    device = target.images.device
    # Triton launches on the current device, which need not be the batch's.
    here = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
    with here, torch.no_grad():  # nothing is to be learned through a paste; ``out`` gathers no history
        fields = target.tensors()
        if out is None:
            results = {name: torch.empty(t.shape, dtype=t.dtype, device=device) for name, t in fields.items()}
        else:
            results = out.tensors()
        audit = _empty_audit(target, source, plan, config) if with_audit else None
        if pastes_nothing(target.active_modalities()) or 0 in (target.batch_size, *target.canvas_size):
            for name, value in fields.items():
                results[name].copy_(value)
        else:
            _paste(target, source, plan, config, results, audit)
        made: dict[str, Any] = results
        batch = PaddedBatchedDenseSample(**made, metric_depth=target.metric_depth) if out is None else out
        if config.panoptic is not None and config.panoptic.debug_assert_bijection:
            _assert_bijection(results)
    return batch, audit


@dataclass(frozen=True)
class _Classes:
    """A class table on a device."""

    table: torch.Tensor  # [N, 3] int64: id, whether a thing, priority
    stuff: torch.Tensor | None  # [S, 2] int64: id, least area; None without stuff


@dataclass(frozen=True)
class _Plane:
    """A tensor as kernels take it: bool as uint8, and the strides that matter."""

    data: torch.Tensor | None
    strides: tuple[int, ...]


def _paste(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    results: dict[str, torch.Tensor],
    audit: BatchAuditPacket | None,
) -> None:
    """All launches; ``results`` are written completely."""
    device = target.images.device
    batch, channels, (height, width) = target.batch_size, target.images.shape[1], target.canvas_size
    slots, source_slots = target.max_instances, source.max_instances
    with_rows = target.instance_masks is not None
    classes = None if config.panoptic is None else _classes_on(config.panoptic, device)
    judges_stuff = classes is not None and target.semantic_maps is not None
    stuff_table = classes.stuff if classes is not None and judges_stuff else None
    stuff_classes = 0 if stuff_table is None else len(stuff_table)
    reverts = config.panoptic is not None and config.panoptic.stuff_policy == "revert"
    tau_q16 = 0 if config.panoptic is None else to_q16(config.panoptic.tau_stuff_frac)
    residual_q16 = to_q16(config.min_residual_area_frac)
    shares_rows = _same_memory(target.instance_masks, source.instance_masks) and _same_memory(
        target.instance_valid, source.instance_valid
    )

    held, source_held, sample, pasted, free, stuff = _zeros(
        device,
        (batch * slots, kernels.HELD_FIELDS),
        (0 if shares_rows else source.batch_size * source_slots, kernels.HELD_FIELDS),
        (batch, kernels.SAMPLE_FIELDS),
        (batch * source_slots, kernels.PASTED_FIELDS),
        (batch, slots),
        (batch * stuff_classes, kernels.STUFF_FIELDS),
    )
    winner = torch.empty(
        (batch, height, width), dtype=torch.int16 if source_slots < 2**15 else torch.int32, device=device
    )
    factor = None
    if target.depth is not None and target.metric_depth:
        factor = torch.empty(batch, dtype=torch.float64, device=device)

    # The small fields of the rows in contiguous memory, whatever the caller's is like.
    small = {name: results[name] for name in _ROWS if name in results}
    rows = {
        name: t if t.is_contiguous() else torch.empty(t.shape, dtype=t.dtype, device=device)
        for name, t in small.items()
    }
    for name, value in target.tensors().items():
        if name != "instance_masks":
            (rows.get(name, results[name])).copy_(value)
    valid, ids = _flags(target.instance_valid), _dense(target.instance_ids)
    source_valid = _flags(source.instance_valid)

    def plane(view: PaddedBatchedDenseSample, name: str, wanted: bool = True) -> _Plane:
        return _plane(name, getattr(view, name) if wanted else None)

    def result(name: str) -> _Plane:
        return _plane(name, results.get(name))

    pixel_tiles = -(-height // PIXEL_TILE[0]) * -(-width // PIXEL_TILE[1])
    mask_tiles = -(-height // MASK_TILE[0]) * -(-width // MASK_TILE[1])
    # Fusion could not change a bit; that it is off is said because Triton warns of its default.
    plain = {"enable_fp_fusion": False}
    blocks = {"SLOTS": _power_of_two(slots), "SOURCE_SLOTS": _power_of_two(source_slots), **plain}
    pixel_tile = {"TILE_H": PIXEL_TILE[0], "TILE_W": PIXEL_TILE[1], **plain}
    mask_tile = {"TILE_H": MASK_TILE[0], "TILE_W": MASK_TILE[1], **plain}

    # 1. Areas and boxes of all masks.
    masks, out_masks = plane(target, "instance_masks"), result("instance_masks")
    source_masks = plane(source, "instance_masks")
    if with_rows and slots:
        kernels.measure_rows[(batch * slots * mask_tiles,)](
            *(masks.data, masks.strides, valid, out_masks.data, out_masks.strides, held),
            *(slots, height, width),
            **mask_tile,
        )
    if shares_rows:
        source_held = held
    elif with_rows and source_slots:
        kernels.measure_rows[(source.batch_size * source_slots * mask_tiles,)](
            *(source_masks.data, source_masks.strides, source_valid, None, (0,), source_held),
            *(source_slots, height, width),
            **mask_tile,
        )

    # 2. The paste list.
    source_padding = plane(source, "padding_mask")
    kernels.list_rows[(batch,)](
        *(_dense(plan.source_idx), _dense(plan.step), _dense(plan.translate), _flags(plan.hflip)),
        *(_dense(plan.order), _dense(plan.count), valid, source_valid, _dense(source.labels), source_held),
        *(source_padding.data, source_padding.strides),
        _dense(target.camera_intrinsics if factor is not None else None),
        _dense(source.camera_intrinsics if factor is not None else None),
        *(None if classes is None else classes.table, sample, pasted, free, factor),
        *(slots, source_slots, height, width, 0 if classes is None else len(classes.table)),
        ROWS=with_rows,
        EDGE=_EDGE,
        **blocks,
    )

    # 3. The winner of every pixel.
    padding = plane(target, "padding_mask")
    semantic, source_semantic = plane(target, "semantic_maps"), plane(source, "semantic_maps")
    tested = config.z_test
    depth_planes = [
        plane(view, name, tested) for view in (target, source) for name in ("depth", "depth_valid")
    ]
    kernels.find_winners[(batch * pixel_tiles,)](
        *(sample, pasted, factor if tested else None, _dense(plan.mix_key)),
        *_arguments(source_masks, padding, semantic, source_semantic, *depth_planes),
        *(stuff_table if reverts else None, stuff, winner),
        *(source_slots, height, width, stuff_classes, config.ignore_index),
        COUNT_VISIBLE=with_rows and not (reverts and stuff_table is not None),
        **pixel_tile,
    )
    if stuff_table is not None and reverts:
        kernels.measure_stuff[(batch * pixel_tiles,)](
            *_arguments(semantic, padding),
            *(stuff_table, stuff, height, width, stuff_classes),
            **pixel_tile,
        )
        kernels.revert_stuff[(batch * pixel_tiles,)](
            *(sample, pasted, *_arguments(semantic), stuff_table, stuff, winner),
            *(source_slots, height, width, stuff_classes, tau_q16),
            **pixel_tile,
        )
    if with_rows:
        panoptic_max = None if target.panoptic_maps is None else _plain(target.panoptic_maps).amax(dim=(1, 2))
        kernels.assign_rows[(batch,)](
            *(sample, pasted, free, valid, ids, panoptic_max),
            *(slots, source_slots, config.min_pasted_area),
            **blocks,
        )

    # 4. U and everything inside it.
    kernels.paint[(batch * pixel_tiles,)](
        *(sample, pasted, factor, winner, held, valid),
        *_arguments(plane(source, "images"), result("images"), masks, out_masks),
        *_arguments(semantic, source_semantic, result("semantic_maps"), result("panoptic_maps")),
        *_arguments(plane(source, "depth"), plane(source, "depth_valid"), plane(target, "depth_valid")),
        *_arguments(result("depth"), result("depth_valid"), plane(source, "normals"), result("normals")),
        *(None if reverts else stuff_table, stuff),
        *_audit_arguments(audit),
        *(slots, source_slots, channels, height, width, stuff_classes),
        **pixel_tile,
    )

    # 5. Void, dropped rows, boxes.
    if stuff_table is not None and not reverts:
        kernels.measure_stuff[(batch * pixel_tiles,)](
            *_arguments(semantic, padding),
            *(stuff_table, stuff, height, width, stuff_classes),
            **pixel_tile,
        )
        kernels.void_stuff[(batch * pixel_tiles,)](
            *(sample, winner),
            *_arguments(semantic, padding, result("semantic_maps"), result("panoptic_maps")),
            *(stuff_table, stuff, height, width, stuff_classes, tau_q16, config.ignore_index),
            **pixel_tile,
        )
    if with_rows and slots:
        parts = min(mask_tiles, max(1, _PROGRAMS // (batch * slots)))
        kernels.settle_rows[(batch * slots * parts,)](
            *(held, *_arguments(out_masks, result("semantic_maps"), result("panoptic_maps"))),
            *(slots, parts, height, width, config.min_area, residual_q16, config.ignore_index),
            **mask_tile,
        )
        kernels.write_rows[(batch,)](
            *(sample, pasted, held),
            *(rows["boxes"], rows["labels"], _flags(rows["instance_valid"]), rows["instance_ids"]),
            *(None, None)
            if audit is None or audit.row_dropped is None
            else (audit.row_source, _flags(audit.row_dropped)),
            *(slots, source_slots, height, width, config.min_area, residual_q16),
            **blocks,
        )
    for name, value in rows.items():
        if value is not results[name]:
            results[name].copy_(value)


def _empty_audit(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> BatchAuditPacket:
    """The audit of a paste that pasted nothing; warped values are written inside U only."""

    def zeros(like: torch.Tensor | None) -> torch.Tensor | None:
        return None if like is None else torch.zeros(like.shape, dtype=like.dtype, device=like.device)

    device = target.images.device
    intrinsics = source.camera_intrinsics
    return BatchAuditPacket(
        paste_union=torch.zeros((target.batch_size, *target.canvas_size), dtype=torch.bool, device=device),
        row_source=torch.full(target.labels.shape, -1, dtype=torch.int64, device=device),
        row_dropped=zeros(target.instance_valid),
        warped_images=zeros(target.images),
        warped_semantic_maps=zeros(target.semantic_maps),
        warped_depth=zeros(target.depth),
        warped_depth_valid=zeros(target.depth_valid),
        warped_normals=zeros(target.normals),
        source_intrinsics=None if intrinsics is None else intrinsics[plan.source_idx],
        plan=plan,
        config=config,
    )


def _audit_arguments(audit: BatchAuditPacket | None) -> tuple[torch.Tensor | None, ...]:
    if audit is None:
        return (None,) * 6
    return (
        _flags(audit.paste_union),
        audit.warped_images,
        audit.warped_semantic_maps,
        audit.warped_depth,
        None if audit.warped_depth_valid is None else _flags(audit.warped_depth_valid),
        audit.warped_normals,
    )


def _assert_bijection(results: dict[str, torch.Tensor]) -> None:
    """Every pixel belongs to one instance at most, where there is a panoptic map. Synchronises."""
    if "panoptic_maps" not in results or "instance_masks" not in results:
        return
    layers = results["instance_masks"].sum(dim=1)
    for twice in (layers > 1).sum(dim=(1, 2)).tolist():
        if twice:
            raise RuntimeError(f"debug_assert_bijection: {twice} pixels belong to more than one instance")


_TABLES: OrderedDict[tuple[int, torch.device], tuple[PanopticPasteConfig, _Classes]] = OrderedDict()
_TABLES_KEPT = 32


def _classes_on(panoptic: PanopticPasteConfig, device: torch.device) -> _Classes:
    """The class table on a device; kept, as making it there waits for the device.

    By identity, as hashing a class table takes longer than a launch; the configuration is
    kept beside it, so that no other object can get its id.
    """
    key = (id(panoptic), device)
    if key not in _TABLES:
        kinds = panoptic.taxonomy.classes
        table = [(c, kind == "thing", panoptic.class_priority.get(c, 0)) for c, kind in kinds.items()]
        stuff = [(c, panoptic.stuff_min_area.get(c, 0)) for c, kind in kinds.items() if kind == "stuff"]
        _TABLES[key] = (
            panoptic,
            _Classes(
                table=torch.tensor(table, dtype=torch.int64, device=device).reshape(-1, 3),
                stuff=torch.tensor(stuff, dtype=torch.int64, device=device) if stuff else None,
            ),
        )
        while len(_TABLES) > _TABLES_KEPT:
            _TABLES.popitem(last=False)
    return _TABLES[key][1]


def _zeros(device: torch.device, *shapes: tuple[int, int]) -> list[torch.Tensor]:
    """int64 zeros of several shapes in one piece of memory, each aligned to 16 bytes."""
    sizes = [rows * columns + rows * columns % 2 for rows, columns in shapes]
    memory = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
    pieces = memory.split(sizes)
    return [piece[: rows * columns] for piece, (rows, columns) in zip(pieces, shapes, strict=True)]


def _plane(name: str, value: torch.Tensor | None) -> _Plane:
    """A field for a kernel; a map ``[B, 1, H, W]`` as ``[B, H, W]``."""
    if value is None:
        return _Plane(None, (0,))
    value = _plain(value)
    strides = value.stride()
    if name in ("depth", "depth_valid", "padding_mask"):
        strides = (strides[0], *strides[2:])
    if value.dtype == torch.bool:
        value = value.view(torch.uint8)
    return _Plane(value, strides)


def _arguments(*planes: _Plane) -> tuple[Any, ...]:
    return tuple(argument for plane in planes for argument in (plane.data, plane.strides))


def _plain(value: torch.Tensor) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)


def _dense(value: torch.Tensor | None) -> torch.Tensor | None:
    return None if value is None else _plain(value).contiguous()


def _flags(value: torch.Tensor) -> torch.Tensor:
    return _plain(value).contiguous().view(torch.uint8)


def _same_memory(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return (
        a is not None
        and b is not None
        and a.data_ptr() == b.data_ptr()
        and a.shape == b.shape
        and a.stride() == b.stride()
    )


def _power_of_two(slots: int) -> int:
    """A block that holds all slots; few different ones, as each is compiled."""
    return max(64, 1 << max(slots - 1, 0).bit_length())

"""The graph executor: one paste of a whole batch in torch operations with static shapes.

How many operations it takes depends on the modalities and on the configuration, not on
B, K or what the masks hold; nothing synchronises with the device, so that
``torch.compile(fullgraph=True)`` makes one graph of it. Numbers in comments (4.1 ...
4.11) are the clauses of the design's section 4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch

from segpaste.paste.graph_warp import SourceGrid, WarpedMaps, source_grid, warp_maps
from segpaste.paste.rng import philox4x32
from segpaste.paste.settings import ClassTables, PasteSettings, settings_of, tables_of
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
)
from segpaste.types.tensors import plain

_MASK32 = 0xFFFFFFFF


def run_graph(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    out: PaddedBatchedDenseSample | None,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """The executor behind :func:`segpaste.paste.apply`; its arguments have been checked.

    Raises:
        RuntimeError: with ``debug_assert_bijection``, on the CPU, if two masks of one
            sample overlap under a panoptic map.
    """
    settings, tables = settings_of(config), tables_of(config, target.labels.device)
    with torch.no_grad():  # as in the other executors; else ``out`` would gather a history
        batch, audit = paste_graph(target, source, plan, settings, tables, with_audit=with_audit)
        if out is not None:
            pasted = batch.tensors()
            for name, value in out.tensors().items():
                value.copy_(pasted[name])
            batch = out
    if settings.debug_assert_bijection and target.labels.device.type == "cpu":
        _assert_bijection(batch)
    return batch, None if audit is None else replace(audit, config=config)


def paste_graph(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    settings: PasteSettings,
    tables: ClassTables,
    *,
    with_audit: bool = False,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """:func:`run_graph` without checks, for ``torch.compile(fullgraph=True)``.

    A module calls it as ``paste_graph(padded, view, plan, self.settings,
    ClassTables(*buffers))[0]``, with settings and tables made at construction
    (``settings_of``, ``tables_of``).

    Args:
        target: B samples ``[B, ...]`` with K slots.
        source: the source view, ``[B_s, ...]`` with K_s slots; may be the target.
        plan: B rows, K_s slots.
        settings: see ``settings_of``.
        tables: see ``tables_of``; on the device of the batch.
        with_audit: whether to return the audit too; its ``config`` is ``None``.

    Returns:
        The pasted batch in fresh contiguous memory; while compiling its fields are plain
        tensors.
    """
    nothing_seen = target.instance_masks is None and target.semantic_maps is None
    if nothing_seen or target.batch_size == 0 or 0 in target.canvas_size:
        return _identity(target, source, plan, with_audit)
    if target.instance_masks is None or source.instance_masks is None:
        return _mix_classes(target, source, plan, settings, tables, with_audit)
    grid = source_grid(source, plan, identity=False)
    warped = warp_maps(grid, target, source)
    gate = _gate(grid, target, warped, settings)
    masks = plain(source.instance_masks)
    slots = _paste_list(target, source, masks, plan, settings, tables)
    stuff = _stuff_of(target, settings, tables)
    winner = torch.where(gate, _winner(grid, masks, slots.rank), 0)
    if stuff is not None and settings.reverts:
        winner = torch.where(_starved_pixels(stuff, winner > 0, settings, tables), 0, winner)
    winner, kept = _drop_small(winner, slots, settings)
    union = winner > 0
    rows = _update_rows(target, source, plan, slots, kept, winner, union, settings)

    void = None
    if stuff is not None and not settings.reverts:
        void = _starved_pixels(stuff, union, settings, tables) & ~union
    semantic, panoptic = warped.semantic, None
    if target.panoptic_maps is not None:
        semantic, panoptic = _at_rank(rows.rank_label, winner), _at_rank(rows.rank_id, winner)
        remains = (plain(target.instance_masks) & rows.dropped[:, :, None, None]).any(dim=1)
        void = remains & ~union if void is None else void | (remains & ~union)
    painted = _paint(target, warped._replace(semantic=semantic), panoptic, union, void, settings)
    batch = PaddedBatchedDenseSample(
        **painted,  # pyright: ignore[reportArgumentType]
        boxes=rows.boxes,
        labels=rows.labels,
        instance_valid=rows.valid,
        instance_ids=rows.ids,
        instance_masks=rows.masks,  # pyright: ignore[reportArgumentType]
        metric_depth=target.metric_depth,
    )
    if not with_audit:
        return batch, None
    return batch, _audit(source, plan, warped, union, rows.source, rows.dropped)


class _Slots(NamedTuple):
    """Which source slots are pasted (4.1), and who is in front of whom (4.5).

    Attributes:
        rank: ``[B, K_s]`` int64, 0 for a slot that is not pasted, else from 1 on in
            ascending (priority, paste order): of two, the larger wins.
        position: ``[B, K_s]`` int64, place in the paste list; K_s when not pasted.
        label: ``[B, K_s]`` int64.
    """

    rank: torch.Tensor
    position: torch.Tensor
    label: torch.Tensor


class _Rows(NamedTuple):
    """The rows of the output (4.8), and what the maps show of them.

    Attributes:
        source: ``[B, K]`` int64, the source slot of a pasted row, else -1.
        dropped: ``[B, K]`` bool.
        rank_label, rank_id: ``[B, K_s + 1]`` int64, label and fresh id of each rank.
    """

    boxes: torch.Tensor
    labels: torch.Tensor
    valid: torch.Tensor
    ids: torch.Tensor
    masks: torch.Tensor
    source: torch.Tensor
    dropped: torch.Tensor
    rank_label: torch.Tensor
    rank_id: torch.Tensor


class _Stuff(NamedTuple):
    """The target's classes: ``entry`` ``[B, H, W]`` in the table, ``area`` ``[B, C + 1]``."""

    entry: torch.Tensor
    area: torch.Tensor


def _mix_classes(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    settings: PasteSettings,
    tables: ClassTables,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """4.11: semantic maps without instance masks."""
    grid = source_grid(source, plan, identity=True)
    warped = warp_maps(grid, target, source)
    if warped.semantic is None:
        raise ValueError("source.semantic_maps: got None, expected the target's modalities")
    key, zero = plan.mix_key[:, None, None], torch.zeros_like(plan.mix_key)[:, None, None]
    words = philox4x32((warped.semantic, zero, zero, zero), (key & _MASK32, (key >> 32) & _MASK32))
    chosen = ((words[0] & 1) > 0) & (plan.count > 0)[:, None, None]
    union = chosen & _gate(grid, target, warped, settings)
    void = None
    stuff = _stuff_of(target, settings, tables)
    if stuff is not None and settings.reverts:
        union = union & ~_starved_pixels(stuff, union, settings, tables)
    elif stuff is not None:
        void = _starved_pixels(stuff, union, settings, tables) & ~union
    batch = PaddedBatchedDenseSample(
        **_paint(target, warped, None, union, void, settings),  # pyright: ignore[reportArgumentType]
        boxes=_copy(target.boxes),
        labels=_copy(target.labels),
        instance_valid=_copy(target.instance_valid),
        metric_depth=target.metric_depth,
    )
    if not with_audit:
        return batch, None
    return batch, _audit(
        source,
        plan,
        warped,
        union,
        torch.full_like(target.labels, -1),
        torch.zeros_like(target.instance_valid),
    )


def _identity(
    target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample, plan: PastePlan, with_audit: bool
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """Image only, boxes only, an empty batch or a canvas without pixels: nothing changes."""
    fields = {name: _copy(value) for name, value in target.tensors().items()}
    batch = PaddedBatchedDenseSample(**fields, metric_depth=target.metric_depth)  # pyright: ignore[reportArgumentType]
    if not with_audit:
        return batch, None
    height, width = target.canvas_size
    shape = (target.batch_size, height, width)
    warped = WarpedMaps(
        images=plain(batch.images),
        semantic=fields.get("semantic_maps"),
        depth=fields.get("depth"),
        depth_valid=fields.get("depth_valid"),
        normals=fields.get("normals"),
    )
    return batch, _audit(
        source,
        plan,
        warped,
        torch.zeros(shape, dtype=torch.bool, device=target.labels.device),
        torch.full_like(target.labels, -1),
        torch.zeros_like(target.instance_valid),
    )


def _gate(
    grid: SourceGrid, target: PaddedBatchedDenseSample, warped: WarpedMaps, settings: PasteSettings
) -> torch.Tensor:
    """4.4: the pixels that a paste may take, whatever the row: ``[B, H, W]`` bool."""
    gate = grid.inside
    if target.padding_mask is not None:
        gate = gate & ~plain(target.padding_mask)[:, 0]
    if target.semantic_maps is not None and warped.semantic is not None:
        labelled = plain(target.semantic_maps) != settings.ignore_index
        gate = gate & labelled & (warped.semantic != settings.ignore_index)
    if settings.z_test and target.depth is not None and target.depth_valid is not None:
        if warped.depth is None or warped.depth_valid is None:
            raise ValueError("source.depth: got None, expected the target's modalities")
        nearer = warped.depth_valid & (warped.depth < target.depth)
        gate = gate & (~target.depth_valid | nearer)[:, 0]
    return gate


def _paste_list(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    masks: torch.Tensor,
    plan: PastePlan,
    settings: PasteSettings,
    tables: ClassTables,
) -> _Slots:
    """4.1 and 4.5: known before any pixel is touched."""
    eligible = source.instance_valid & masks.flatten(2).any(dim=2)
    priority = torch.zeros_like(source.labels)
    if settings.has_schema:
        entry = tables.find(source.labels)
        eligible, priority = eligible & tables.is_thing[entry], tables.priority[entry]
    slots = source.max_instances
    capacity = (~target.instance_valid).sum(dim=1)
    wanted = torch.minimum(plan.count, capacity)[:, None]
    # In the order of the permutation, then back to slots.
    in_order = eligible[plan.source_idx].gather(1, plan.order)
    place = in_order.cumsum(dim=1) - 1
    place = torch.where(in_order & (place < wanted), place, slots)
    position = torch.zeros_like(place).scatter(1, plan.order, place)
    # Distinct keys, those of slots that are not pasted before all others.
    key = torch.where(position < slots, priority[plan.source_idx] * (slots + 1) + position + 1, 0)
    behind = (key[:, :, None] > key[:, None, :]) & (key[:, None, :] > 0)
    rank = torch.where(position < slots, behind.sum(dim=2) + 1, 0)
    return _Slots(rank, position, source.labels[plan.source_idx])


def _winner(grid: SourceGrid, masks: torch.Tensor, rank: torch.Tensor) -> torch.Tensor:
    """4.5: the largest rank among the rows whose warped mask is set, ``[B, H, W]`` int64, or 0.

    In the narrowest integers that hold a rank, as there are K_s times as many of them as
    pixels.
    """
    slots = masks.shape[1]
    if slots == 0:
        return torch.zeros_like(grid.inside, dtype=torch.int64)
    dtype = torch.uint8 if slots < 2**8 else torch.int16 if slots < 2**15 else torch.int32
    seen = grid.at_nearest(masks)
    return torch.where(seen, rank.to(dtype)[:, :, None, None], 0).amax(dim=1).to(torch.int64)


def _stuff_of(
    target: PaddedBatchedDenseSample, settings: PasteSettings, tables: ClassTables
) -> _Stuff | None:
    """4.6 (2): the target's classes and their areas; ``None`` where there is no such rule."""
    if not settings.has_schema or target.semantic_maps is None:
        return None
    entry = tables.find(plain(target.semantic_maps))
    if target.padding_mask is not None:  # padding is of no class
        entry = torch.where(plain(target.padding_mask)[:, 0], tables.ids.shape[0] - 1, entry)
    return _Stuff(entry, _count(entry, tables.ids.shape[0]))


def _starved_pixels(
    stuff: _Stuff, union: torch.Tensor, settings: PasteSettings, tables: ClassTables
) -> torch.Tensor:
    """4.6 (2): all pixels of the stuff classes of which the union leaves too little."""
    lost = _count(stuff.entry, tables.ids.shape[0], union)
    left = stuff.area - lost
    too_few = (left < tables.min_area) | (left * 65536 < settings.tau_stuff_q16 * stuff.area)
    starved = tables.is_stuff & (lost > 0) & too_few
    return _at_rank(starved, stuff.entry)


def _drop_small(
    winner: torch.Tensor, slots: _Slots, settings: PasteSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """4.6 (3): rows left with too few pixels are not pasted.

    Returns:
        The winner, and which slots are pasted, ``[B, K_s]`` bool.
    """
    ranks = slots.rank.shape[1] + 1
    enough = _count(winner, ranks) >= settings.min_pasted_area
    winner = torch.where(_at_rank(enough, winner), winner, 0)
    return winner, (slots.rank > 0) & enough.gather(1, slots.rank)


def _update_rows(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    slots: _Slots,
    kept: torch.Tensor,
    winner: torch.Tensor,
    union: torch.Tensor,
    settings: PasteSettings,
) -> _Rows:
    """4.8: trim and drop target rows, fill the free slots."""
    if target.instance_masks is None or target.instance_ids is None:
        raise ValueError("target.instance_masks: got None, expected masks and ids")
    former_masks = plain(target.instance_masks)
    valid, count = target.instance_valid, slots.rank.shape[1]

    former = former_masks.sum(dim=(2, 3))
    lost = (former_masks & union[:, None]).sum(dim=(2, 3))
    left = former - lost
    too_small = (left < settings.min_area) | (left * 65536 < settings.min_residual_q16 * former)
    touched = valid & (lost > 0)
    dropped = touched & too_small

    # Number of each kept slot in paste order, and the slot of each number.
    number = _number_in_order(kept, plan.order)
    slot = torch.arange(count, device=number.device).expand_as(number)
    slot_of = _scatter(torch.where(kept, number, count), slot)
    free = (~valid).cumsum(dim=1) - 1
    pasted = ~valid & (free < kept.sum(dim=1, keepdim=True))
    row_slot = slot_of.gather(1, torch.where(pasted, free, count))  # any slot where not pasted
    rank = _padded(slots.rank, 0).gather(1, row_slot)
    label = _padded(slots.label, 0).gather(1, row_slot)

    ids = torch.where(valid, target.instance_ids.to(torch.int64), -1)
    highest = _padded(ids, -1).amax(dim=1)
    if target.panoptic_maps is not None:
        in_map = plain(target.panoptic_maps).flatten(1).amax(dim=1)
        highest = torch.maximum(highest, in_map.clamp(min=0))
    first_id = highest[:, None] + 1

    survives = valid & ~dropped
    masks = torch.where(
        pasted[:, :, None, None],
        winner[:, None] == rank[:, :, None, None],
        former_masks & survives[:, :, None, None] & ~union[:, None],
    )
    boxes = torch.where((pasted | touched)[:, :, None], _boxes_of(masks), target.boxes)
    boxes = torch.where((pasted | survives)[:, :, None], boxes, 0.0)
    rank_index = torch.where(kept, slots.rank, 0)
    return _Rows(
        boxes=boxes.contiguous(),
        labels=torch.where(pasted, label, torch.where(survives, target.labels, 0)).contiguous(),
        valid=(pasted | survives).contiguous(),
        ids=torch.where(pasted, first_id + free, torch.where(survives, ids, 0)).to(torch.int32).contiguous(),
        masks=masks.contiguous(),
        source=torch.where(pasted, row_slot, -1).contiguous(),
        dropped=dropped.contiguous(),
        rank_label=_scatter(rank_index, slots.label),
        rank_id=_scatter(rank_index, first_id + number),
    )


def _paint(
    target: PaddedBatchedDenseSample,
    warped: WarpedMaps,
    panoptic: torch.Tensor | None,
    union: torch.Tensor,
    void: torch.Tensor | None,
    settings: PasteSettings,
) -> dict[str, torch.Tensor]:
    """4.7 and 4.9: the dense maps and whatever stays as it is, by field name.

    ``warped.semantic`` and ``panoptic`` hold what the maps show inside U.
    """
    inside = union[:, None]
    painted: dict[str, torch.Tensor] = {"images": torch.where(inside, warped.images, plain(target.images))}
    if target.semantic_maps is not None and warped.semantic is not None:
        value = torch.where(union, warped.semantic, plain(target.semantic_maps))
        painted["semantic_maps"] = value if void is None else torch.where(void, settings.ignore_index, value)
    if target.panoptic_maps is not None and panoptic is not None:
        value = torch.where(union, panoptic, plain(target.panoptic_maps))
        painted["panoptic_maps"] = value if void is None else torch.where(void, 0, value)
    if target.depth is not None and warped.depth is not None:
        painted["depth"] = torch.where(inside, warped.depth, target.depth)
    if target.depth_valid is not None and warped.depth_valid is not None:
        painted["depth_valid"] = target.depth_valid & (warped.depth_valid | ~inside)
    if target.normals is not None and warped.normals is not None:
        painted["normals"] = torch.where(inside, warped.normals, target.normals)
    painted = {name: value.contiguous() for name, value in painted.items()}
    if target.padding_mask is not None:
        painted["padding_mask"] = _copy(plain(target.padding_mask))
    if target.camera_intrinsics is not None:
        painted["camera_intrinsics"] = _copy(target.camera_intrinsics)
    return painted


def _audit(
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    warped: WarpedMaps,
    union: torch.Tensor,
    row_source: torch.Tensor,
    row_dropped: torch.Tensor,
) -> BatchAuditPacket:
    """The audit; warped values are 0 outside U, where nobody needs them."""
    inside = union[:, None]

    def seen(value: torch.Tensor | None, where: torch.Tensor) -> torch.Tensor | None:
        return None if value is None else torch.where(where, value, 0).contiguous()

    intrinsics = source.camera_intrinsics
    return BatchAuditPacket(
        paste_union=union.contiguous(),
        row_source=row_source,
        row_dropped=row_dropped,
        warped_images=seen(warped.images, inside),
        warped_semantic_maps=seen(warped.semantic, union),
        warped_depth=seen(warped.depth, inside),
        warped_depth_valid=None if warped.depth_valid is None else warped.depth_valid & inside,
        warped_normals=seen(warped.normals, inside),
        source_intrinsics=None if intrinsics is None else intrinsics[plan.source_idx],
        plan=plan,
    )


def _count(index: torch.Tensor, bins: int, counted: torch.Tensor | None = None) -> torch.Tensor:
    """How many pixels (that are ``counted``) have each index ``[B, H, W]``: ``[B, bins]`` int64."""
    zeros = torch.zeros((index.shape[0], bins), dtype=torch.int64, device=index.device)
    flat = index.flatten(1)
    if counted is None:
        weight = torch.ones((1, 1), dtype=torch.int64, device=index.device).expand_as(flat)
    else:
        weight = counted.flatten(1).to(torch.int64)
    return zeros.scatter_add(1, flat, weight)


def _at_rank(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``table`` ``[B, n]`` looked up by ``index`` ``[B, H, W]``."""
    return table.gather(1, index.flatten(1)).reshape(index.shape)


def _padded(values: torch.Tensor, last: int) -> torch.Tensor:
    """``[B, K_s]`` with one more column, for slots that are none."""
    return torch.nn.functional.pad(values, (0, 1), value=last)


def _scatter(index: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``[B, K_s + 1]`` with ``values`` ``[B, K_s]`` put at ``index``, 0 elsewhere.

    Where an index comes twice any of its values may stand: callers send what they do not
    need to a column that they do not read.
    """
    return _padded(torch.zeros_like(values), 0).scatter(1, index, values)


def _number_in_order(kept: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """How many kept slots come before each slot in the permutation, ``[B, K_s]`` int64."""
    in_order = kept.gather(1, order)
    before = in_order.cumsum(dim=1) - in_order.to(torch.int64)
    return torch.zeros_like(before).scatter(1, order, before)


def _boxes_of(masks: torch.Tensor) -> torch.Tensor:
    """Half-open XYXY boxes of masks ``[B, K, H, W]``, float32 ``[B, K, 4]``."""
    x0, x1 = _ends(masks.any(dim=2))
    y0, y1 = _ends(masks.any(dim=3))
    return torch.stack((x0, y0, x1, y1), dim=2).to(torch.float32)


def _ends(occupied: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and one past the last set position along the last dimension."""
    size = occupied.shape[-1]
    position = torch.arange(size, device=occupied.device)
    first = torch.where(occupied, position, size).amin(dim=-1)
    return first, torch.where(occupied, position + 1, 0).amax(dim=-1)


def _copy(value: torch.Tensor) -> torch.Tensor:
    return value.clone(memory_format=torch.contiguous_format)


def _assert_bijection(batch: PaddedBatchedDenseSample) -> None:
    """Every pixel belongs to one instance at most, where there is a panoptic map."""
    if batch.panoptic_maps is None or batch.instance_masks is None:
        return
    overlaps = plain(batch.instance_masks).sum(dim=1) > 1
    twice = [n for n in overlaps.flatten(1).sum(dim=1).tolist() if n]
    if twice:
        raise RuntimeError(f"debug_assert_bijection: {twice[0]} pixels belong to more than one instance")

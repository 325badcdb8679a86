"""What a paste must give: section 4 of the specification, recomputed for the laws.

Written from the text alone. It shares nothing with an executor but the generator of the
class mix. It works on one sample and, where something may be pasted, on a flat list of
those pixels: not on frames (reference, graph) and not on rectangles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from segpaste.invariants.masks import areas, covered_by, not_empty, tight_boxes
from segpaste.invariants.view import SampleView, present
from segpaste.invariants.warp import Warped, identity_grid, sampling_grid, warp_at
from segpaste.paste.rng import philox_words
from segpaste.types import BatchCopyPasteConfig, PastePlan, to_q16


@dataclass(frozen=True, slots=True)
class ExpectedPaste:
    """Everything the laws compare with, for one sample and ``n`` rows offered to it.

    Attributes:
        out: the output.
        union: ``[H, W]`` bool, U.
        offered: source slots of the paste list (4.1), in paste order.
        eligible: how many source slots were eligible.
        may: ``[n, H, W]`` bool, which offered row may take which pixel (4.4).
        winner: ``[H, W]`` int64, paste position of the row that won U's pixel, else -1.
        first_union: ``[H, W]`` bool, U before anything was taken back.
        reverted: ``[H, W]`` bool, pixels that stuff classes took back.
        void: ``[H, W]`` bool, pixels that were turned into void.
        stuff_void: ``[H, W]`` bool, those of them that are stuff below its threshold.
        stuff_lost: ``[H, W]`` bool, pixels of stuff classes in ``first_union``.
        stuff: (class, pixels before, pixels left, whether below threshold) for every
            stuff class that lost a pixel, as judged.
        pasted: paste positions (into ``offered``) that were pasted, in paste order.
        row_source: ``[K]`` int64, source slot of a pasted output row, else -1.
        row_dropped: ``[K]`` bool, target rows removed.
        touched: ``[K]`` bool, target rows that lost a pixel.
        former, remaining: ``[K]`` int64, their areas before and after.
        max_prev: largest id before the paste.
        hidden: ``[H, W]`` bool, pixels inside an offered warped mask that its row may
            not take for the depth's sake.
        on_ignore: ``[H, W]`` bool, pixels inside an offered warped mask (or a class of
            the mix) where target or warped source is *ignore*.
        on_padding: ``[H, W]`` bool, such pixels on the target's padding.
        warped: the source as seen in the target, 0 outside U.
        factor: of metric depth, 1.0 where depth is relative.
        flipped: whether the source was mirrored.
    """

    out: SampleView
    union: torch.Tensor
    offered: tuple[int, ...]
    eligible: int
    may: torch.Tensor
    winner: torch.Tensor
    first_union: torch.Tensor
    reverted: torch.Tensor
    void: torch.Tensor
    stuff_void: torch.Tensor
    stuff_lost: torch.Tensor
    stuff: tuple[tuple[int, int, int, bool], ...]
    pasted: tuple[int, ...]
    row_source: torch.Tensor
    row_dropped: torch.Tensor
    touched: torch.Tensor
    former: torch.Tensor
    remaining: torch.Tensor
    max_prev: int
    hidden: torch.Tensor
    on_ignore: torch.Tensor
    on_padding: torch.Tensor
    warped: Warped
    factor: float
    flipped: bool


def expect_paste(
    target: SampleView, source: SampleView, plan: PastePlan, config: BatchCopyPasteConfig
) -> ExpectedPaste:
    """The paste that ``plan`` (B = 1) asks for, of ``source`` into ``target``.

    Raises:
        ValueError: if target and source differ in canvas, modalities, image dtype or in
            whether their depth is metric, or the plan orders another number of slots.
    """
    _check_pair(target, source, plan)
    if target.masks is not None:
        return _expect_rows(target, source, plan, config)
    return _expect_class_mix(target, source, plan, config)


def eligible_slots(source: SampleView, config: BatchCopyPasteConfig) -> torch.Tensor:
    """4.1: ``[K_s]`` bool, slots of a source with masks that may be pasted at all."""
    eligible = source.valid & not_empty(present(source.masks))
    schema = config.schema_spec
    if schema is not None:
        kinds = [schema.classes.get(label) == "thing" for label in source.labels.tolist()]
        eligible = eligible & torch.tensor(kinds, dtype=torch.bool, device=eligible.device)
    return eligible


def _check_pair(target: SampleView, source: SampleView, plan: PastePlan) -> None:
    pairs = {
        "canvas": (target.canvas, source.canvas),
        "channels": (target.image.shape[0], source.image.shape[0]),
        "modalities": (target.modalities, source.modalities),
        "image dtype": (target.image.dtype, source.image.dtype),
        "metric depth": (target.metric, source.metric),
    }
    for what, (got, want) in pairs.items():
        if got != want:
            raise ValueError(f"source: got {what} {want}, expected the target's, {got}")
    if plan.batch_size != 1 or plan.order.shape[1] != source.slots:
        raise ValueError(
            f"plan.order: got shape {list(plan.order.shape)}, expected [1, {source.slots}] for this source"
        )


# --- rows ---------------------------------------------------------------------------


def _expect_rows(
    target: SampleView, source: SampleView, plan: PastePlan, config: BatchCopyPasteConfig
) -> ExpectedPaste:
    device = target.image.device
    height, width = target.canvas
    eligible = eligible_slots(source, config)
    free = (~target.valid).nonzero().flatten()
    order = plan.order[0].to(device)
    offered = order[eligible[order]][: min(int(plan.count[0]), free.numel())]
    grid = sampling_grid(plan, target.canvas, _valid_size(source), device)
    factor = _metric_factor(target, source, int(plan.step[0]))

    seen = present(source.masks)[offered][:, grid.near_y][:, :, grid.near_x] & grid.inside
    pixels = covered_by(seen).flatten().nonzero().flatten()
    warped = warp_at(source, grid, pixels, factor)

    gate, on_ignore, on_padding, hidden = _gate(target, warped, pixels, config)
    at = seen.flatten(1)[:, pixels]
    may = at & gate
    winner = _winners(may, _priorities(source.labels[offered], config))

    first = winner >= 0
    stuff, below = _stuff_losses(target, pixels[first], config)
    taken_back = torch.zeros_like(first)
    if config.panoptic is not None and config.panoptic.stuff_policy == "revert" and below:
        taken_back = first & _is_any(_flat(target.semantic)[pixels], below)
    winner = torch.where(taken_back, -1, winner)

    counts = torch.bincount(winner[winner >= 0], minlength=offered.numel())[: offered.numel()]
    kept = (counts >= config.min_pasted_area) & (counts > 0)
    if offered.numel():
        winner = torch.where((winner >= 0) & kept[winner.clamp(min=0)], winner, -1)
    painted = winner >= 0
    union = _spread(painted, pixels, (height, width))

    stuff_void = torch.zeros((height, width), dtype=torch.bool, device=device)
    if config.panoptic is not None and config.panoptic.stuff_policy == "ignore":
        stuff, below = _stuff_losses(target, pixels[painted], config)
        stuff_void = _stuff_left(target, union, below)

    pasted = kept.nonzero().flatten()
    slots = free[: pasted.numel()]
    max_prev = _largest_id(target)
    rows = _rows_after(target, union, config)
    void = stuff_void | rows.void
    winner_map = torch.full((height * width,), -1, dtype=torch.int64, device=device)
    winner_map[pixels] = winner
    winner_map = winner_map.reshape(height, width)

    position_to_row = torch.full((max(1, offered.numel()),), 0, dtype=torch.int64, device=device)
    position_to_row[pasted] = torch.arange(pasted.numel(), device=device)
    fresh = max_prev + 1 + position_to_row
    shown = pixels[painted]
    won = winner[painted]
    inside = warped.at(painted)

    out = _paint(target, shown, inside)
    if out.semantic is not None and out.panoptic is not None:
        out = replace(
            out,
            semantic=_written(out.semantic, shown, source.labels[offered][won]),
            panoptic=_written(out.panoptic, shown, fresh[won]),
        )
    out = _with_void(out, void, config.ignore_index)
    new_masks = winner_map == pasted[:, None, None]
    labels = torch.where(rows.dropped, 0, target.labels)
    ids = torch.where(rows.dropped, 0, target.ids) if target.ids is not None else None
    boxes = torch.where((rows.touched & ~rows.dropped)[:, None], rows.boxes, target.boxes)
    boxes = torch.where(rows.dropped[:, None], 0.0, boxes)
    masks, valid = rows.masks, target.valid & ~rows.dropped
    labels[slots] = source.labels[offered][pasted]
    boxes[slots] = tight_boxes(new_masks).to(torch.float32)
    masks[slots] = new_masks
    valid[slots] = True
    if ids is not None:
        ids[slots] = fresh[pasted]
    row_source = torch.full((target.slots,), -1, dtype=torch.int64, device=device)
    row_source[slots] = offered[pasted]
    out = replace(out, boxes=boxes, labels=labels, ids=ids, masks=masks, valid=valid)

    return ExpectedPaste(
        out=out,
        union=union,
        offered=tuple(offered.tolist()),
        eligible=int(eligible.sum()),
        may=_spread_rows(may, pixels, (height, width)),
        winner=winner_map,
        first_union=_spread(first, pixels, (height, width)),
        reverted=_spread(taken_back, pixels, (height, width)),
        void=void,
        stuff_void=stuff_void,
        stuff_lost=_stuff_pixels(target, _spread(first, pixels, (height, width)), config),
        stuff=tuple(stuff),
        pasted=tuple(pasted.tolist()),
        row_source=row_source,
        row_dropped=rows.dropped,
        touched=rows.touched,
        former=rows.former,
        remaining=rows.remaining,
        max_prev=max_prev,
        hidden=_spread(hidden, pixels, (height, width)),
        on_ignore=_spread(on_ignore, pixels, (height, width)),
        on_padding=_spread(on_padding, pixels, (height, width)),
        warped=inside.on_canvas(shown, (height, width)),
        factor=factor,
        flipped=bool(plan.hflip[0]),
    )


@dataclass(frozen=True, slots=True)
class _RowsAfter:
    masks: torch.Tensor
    former: torch.Tensor
    remaining: torch.Tensor
    touched: torch.Tensor
    dropped: torch.Tensor
    boxes: torch.Tensor
    void: torch.Tensor


def _rows_after(target: SampleView, union: torch.Tensor, config: BatchCopyPasteConfig) -> _RowsAfter:
    """4.8: what is left of the target's rows, and which are dropped."""
    masks = present(target.masks)
    left = masks & ~union
    former, remaining = areas(masks), areas(left)
    touched = target.valid & (remaining < former)
    small = remaining < config.min_area
    fraction = remaining * 65536 < to_q16(config.min_residual_area_frac) * former
    dropped = touched & (small | fraction)
    void = torch.zeros_like(union)
    if target.panoptic is not None:
        void = covered_by(left[dropped])
    left[dropped] = False
    return _RowsAfter(left, former, remaining, touched, dropped, tight_boxes(left).to(torch.float32), void)


def _priorities(labels: torch.Tensor, config: BatchCopyPasteConfig) -> torch.Tensor:
    table = {} if config.panoptic is None else config.panoptic.class_priority
    return torch.tensor(
        [table.get(label, 0) for label in labels.tolist()], dtype=torch.int64, device=labels.device
    )


def _winners(may: torch.Tensor, priority: torch.Tensor) -> torch.Tensor:
    """4.5: ``[P]`` int64, the paste position that wins each pixel, -1 where none may."""
    rows = may.shape[0]
    if rows == 0:
        return torch.full((may.shape[1],), -1, dtype=torch.int64, device=may.device)
    # A stable sort by priority leaves equal priorities in paste order: the last one wins.
    weakest_first = torch.sort(priority, stable=True).indices
    rank = torch.arange(1, rows + 1, dtype=torch.int64, device=may.device)
    best = torch.where(may[weakest_first], rank[:, None], 0).amax(dim=0)
    return torch.where(best > 0, weakest_first[(best - 1).clamp(min=0)], -1)


def _largest_id(target: SampleView) -> int:
    ids = target.ids[target.valid].tolist() if target.ids is not None else []
    if target.panoptic is not None:
        ids += [0, int(target.panoptic.max())]
    return max(ids, default=-1)


# --- class mix ----------------------------------------------------------------------


def _expect_class_mix(
    target: SampleView, source: SampleView, plan: PastePlan, config: BatchCopyPasteConfig
) -> ExpectedPaste:
    device = target.image.device
    canvas = target.canvas
    grid = identity_grid(canvas, _valid_size(source), device)
    factor = _metric_factor(target, source, 65536)
    if target.semantic is not None and source.semantic is not None and int(plan.count[0]) > 0:
        chosen = _mixed_classes(source.semantic, int(plan.mix_key[0]), config.ignore_index)
        wanted = _is_any(source.semantic, chosen) | (source.semantic == config.ignore_index)
        pixels = (wanted & grid.inside).flatten().nonzero().flatten()
    else:
        pixels = torch.zeros(0, dtype=torch.int64, device=device)
    warped = warp_at(source, grid, pixels, factor)
    gate, on_ignore, on_padding, hidden = _gate(target, warped, pixels, config)

    stuff, below = _stuff_losses(target, pixels[gate], config)
    taken_back = torch.zeros_like(gate)
    if config.panoptic is not None and config.panoptic.stuff_policy == "revert" and below:
        taken_back = gate & _is_any(_flat(target.semantic)[pixels], below)
    painted = gate & ~taken_back
    union = _spread(painted, pixels, canvas)
    stuff_void = torch.zeros(canvas, dtype=torch.bool, device=device)
    if config.panoptic is not None and config.panoptic.stuff_policy == "ignore":
        stuff_void = _stuff_left(target, union, below)

    inside = warped.at(painted)
    out = _with_void(_paint(target, pixels[painted], inside), stuff_void, config.ignore_index)
    nothing = torch.zeros(target.slots, dtype=torch.bool, device=device)
    zero = torch.zeros(target.slots, dtype=torch.int64, device=device)
    first_union = _spread(gate, pixels, canvas)
    return ExpectedPaste(
        out=out,
        union=union,
        offered=(),
        eligible=0,
        may=torch.zeros((0, *canvas), dtype=torch.bool, device=device),
        winner=torch.full(canvas, -1, dtype=torch.int64, device=device),
        first_union=first_union,
        reverted=_spread(taken_back, pixels, canvas),
        void=stuff_void,
        stuff_void=stuff_void,
        stuff_lost=_stuff_pixels(target, first_union, config),
        stuff=tuple(stuff),
        pasted=(),
        row_source=zero - 1,
        row_dropped=nothing,
        touched=nothing,
        former=zero,
        remaining=zero,
        max_prev=_largest_id(target),
        hidden=_spread(hidden, pixels, canvas),
        on_ignore=_spread(on_ignore, pixels, canvas),
        on_padding=_spread(on_padding, pixels, canvas),
        warped=inside.on_canvas(pixels[painted], canvas),
        factor=factor,
        flipped=False,
    )


def _mixed_classes(semantic: torch.Tensor, key: int, ignore: int) -> list[int]:
    classes = semantic.unique().cpu()
    classes = classes[classes != ignore]
    words = philox_words(torch.full_like(classes, key), classes)
    return classes[(words[..., 0] & 1) == 1].tolist()


# --- gate, stuff, void --------------------------------------------------------------


def _gate(
    target: SampleView, warped: Warped, pixels: torch.Tensor, config: BatchCopyPasteConfig
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """4.4 without the masks: ``[P]`` may be taken, on ignore, on padding, hidden by depth."""
    no = torch.zeros(pixels.shape, dtype=torch.bool, device=pixels.device)
    on_padding = no if target.padding is None else _flat(target.padding)[pixels]
    on_ignore = no
    if target.semantic is not None and warped.semantic is not None:
        label = _flat(target.semantic)[pixels]
        on_ignore = (label == config.ignore_index) | (warped.semantic == config.ignore_index)
    hidden = no
    if (
        config.z_test
        and target.depth is not None
        and target.depth_valid is not None
        and warped.depth is not None
        and warped.depth_valid is not None
    ):
        nearer = warped.depth_valid & (warped.depth[0] < _flat(target.depth)[pixels])
        hidden = _flat(target.depth_valid)[pixels] & ~nearer
    return ~(on_padding | on_ignore | hidden), on_ignore, on_padding, hidden


def _stuff_losses(
    target: SampleView, lost: torch.Tensor, config: BatchCopyPasteConfig
) -> tuple[list[tuple[int, int, int, bool]], list[int]]:
    """4.6 (2): the stuff classes that lose pixels ``lost`` (flat indices), and those below."""
    if config.panoptic is None or target.semantic is None:
        return [], []
    labels = _flat(target.semantic)
    counted = labels if target.padding is None else labels[~_flat(target.padding)]
    judged: list[tuple[int, int, int, bool]] = []
    fraction = to_q16(config.panoptic.tau_stuff_frac)
    for label in labels[lost].unique().tolist():
        if config.panoptic.taxonomy.classes.get(label) != "stuff":
            continue
        before = int((counted == label).sum())
        left = before - int((labels[lost] == label).sum())
        minimum = config.panoptic.stuff_min_area.get(label, 0)
        judged.append((label, before, left, left < minimum or left * 65536 < fraction * before))
    return judged, [label for label, _, _, is_below in judged if is_below]


def _stuff_pixels(target: SampleView, union: torch.Tensor, config: BatchCopyPasteConfig) -> torch.Tensor:
    if config.panoptic is None or target.semantic is None:
        return torch.zeros_like(union)
    classes = config.panoptic.taxonomy.classes
    stuff = [label for label, kind in classes.items() if kind == "stuff"]
    return union & _is_any(target.semantic, stuff)


def _stuff_left(target: SampleView, union: torch.Tensor, below: list[int]) -> torch.Tensor:
    """4.6 (4): pixels of the classes ``below`` outside U and off the padding."""
    if target.semantic is None or not below:
        return torch.zeros_like(union)
    left = _is_any(target.semantic, below) & ~union
    return left if target.padding is None else left & ~target.padding


def _with_void(out: SampleView, void: torch.Tensor, ignore: int) -> SampleView:
    """4.9."""
    if not bool(void.any()):
        return out
    return replace(
        out,
        semantic=None if out.semantic is None else torch.where(void, ignore, out.semantic),
        panoptic=None if out.panoptic is None else torch.where(void, 0, out.panoptic),
    )


# --- writing ------------------------------------------------------------------------


def _paint(target: SampleView, pixels: torch.Tensor, source: Warped) -> SampleView:
    """4.7: the target with the warped source written at the flat ``pixels``."""
    out = replace(target, image=_written(target.image, pixels, source.image))
    if target.semantic is not None and source.semantic is not None:
        out = replace(out, semantic=_written(target.semantic, pixels, source.semantic))
    if target.depth is not None and source.depth is not None:
        out = replace(out, depth=_written(target.depth, pixels, source.depth))
    if target.depth_valid is not None and source.depth_valid is not None:
        joined = source.depth_valid & _flat(target.depth_valid)[pixels]
        out = replace(out, depth_valid=_written(target.depth_valid, pixels, joined))
    if target.normals is not None and source.normals is not None:
        out = replace(out, normals=_written(target.normals, pixels, source.normals))
    return out


def _written(field: torch.Tensor, pixels: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    if pixels.numel() == 0:
        return field
    out = field.clone(memory_format=torch.contiguous_format)
    if out.ndim == 2:
        out.view(-1)[pixels] = values
    else:
        out.view(out.shape[0], -1)[:, pixels] = values
    return out


def _metric_factor(target: SampleView, source: SampleView, step: int) -> float:
    """4.7, left to right in float64."""
    if not (target.metric and source.metric):
        return 1.0
    if target.intrinsics is None or source.intrinsics is None:
        raise ValueError("camera_intrinsics: got None beside metric depth, expected both")
    ratio = _focal(target.intrinsics) / _focal(source.intrinsics)
    return ratio * step / 65536.0


def _focal(intrinsics: tuple[float, ...]) -> float:
    return math.sqrt(intrinsics[0] * intrinsics[1])


def _valid_size(sample: SampleView) -> tuple[int, int]:
    if sample.padding is None:
        return sample.canvas
    valid = ~sample.padding
    return int(valid.any(dim=1).sum()), int(valid.any(dim=0).sum())


def _flat(field: torch.Tensor | None) -> torch.Tensor:
    return present(field).reshape(-1)


def _is_any(field: torch.Tensor, values: list[int]) -> torch.Tensor:
    return torch.isin(field, torch.tensor(values, dtype=torch.int64, device=field.device))


def _spread(at: torch.Tensor, pixels: torch.Tensor, canvas: tuple[int, int]) -> torch.Tensor:
    out = torch.zeros(canvas[0] * canvas[1], dtype=torch.bool, device=at.device)
    out[pixels] = at
    return out.reshape(canvas)


def _spread_rows(at: torch.Tensor, pixels: torch.Tensor, canvas: tuple[int, int]) -> torch.Tensor:
    out = torch.zeros((at.shape[0], canvas[0] * canvas[1]), dtype=torch.bool, device=at.device)
    out[:, pixels] = at
    return out.reshape(at.shape[0], *canvas)

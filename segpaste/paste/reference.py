"""The reference paste: NumPy, one sample at a time, the specification clause by clause.

Numbers in comments (4.1 ... 4.11) are the clauses of the design's section 4. Loops run
over rows and classes, never over pixels. It is written to be read and checked, and shares
nothing with the other executors but the plan and the generator.
"""

# A modality is present in target, source and warped values alike, or in none of them, as
# check_views has made sure; the type checker cannot know.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false
# pyright: reportOptionalOperand=false, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from segpaste.paste.inputs import check_exact, check_plan, check_views, pastes_nothing
from segpaste.paste.rng import philox4x32
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
    to_q16,
)

_NOT_PASTED = -1


def apply_reference(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """Paste ``source`` into ``target`` as ``plan`` says.

    Args:
        target: B samples ``[B, ...]`` with K slots.
        source: the source view, ``[B_s, ...]`` with K_s slots; same canvas, modalities,
            channels, image dtype and device.
        plan: B rows, K_s slots.
        config: thresholds, class table, z-test.

    Returns:
        The pasted batch, in fresh memory, and the audit of every sample.

    Raises:
        ValueError: before anything is computed, on views or a plan that do not fit, and on
            a configuration that asks for harmonised images.
        RuntimeError: with ``debug_assert_bijection``, if two masks of one sample overlap
            under a panoptic map.
    """
    check_exact(config)
    check_views(target, source, config)
    check_plan(target, source, plan)
    batch, audit = run_reference(target, source, plan, config, out=None, with_audit=True)
    if audit is None:
        raise TypeError("audit: got None, expected one")
    return batch, audit


def run_reference(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    out: PaddedBatchedDenseSample | None,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """The executor behind :func:`segpaste.paste.apply`; its arguments have been checked."""
    samples, donors = _to_arrays(target), _to_arrays(source)
    results = [
        paste_one(sample, donors[int(plan.source_idx[b])], _plan_row(plan, b), config)
        if not pastes_nothing(target.active_modalities())
        else _identity(sample)
        for b, sample in enumerate(samples)
    ]
    batch = _to_batch([r.sample for r in results], like=target)
    if out is not None:
        pasted = batch.tensors()
        for name, value in out.tensors().items():
            value.copy_(pasted[name])
        batch = out
    return batch, _to_audit(results, target, source, plan, config) if with_audit else None


@dataclass(frozen=True)
class SampleArrays:
    """One padded sample as NumPy arrays; ``None`` where a modality is absent."""

    image: np.ndarray  # [C, H, W] uint8 or float32
    boxes: np.ndarray  # [K, 4] float32
    labels: np.ndarray  # [K] int64
    valid: np.ndarray  # [K] bool
    ids: np.ndarray | None  # [K] int32
    masks: np.ndarray | None  # [K, H, W] bool
    semantic: np.ndarray | None  # [H, W] int64
    panoptic: np.ndarray | None  # [H, W] int64
    depth: np.ndarray | None  # [H, W] float32
    depth_valid: np.ndarray | None  # [H, W] bool
    normals: np.ndarray | None  # [3, H, W] float32
    padding: np.ndarray  # [H, W] bool
    camera: np.ndarray | None  # [4] float64, fx fy cx cy
    metric: bool


@dataclass(frozen=True)
class PlanRow:
    """The plan of one sample as Python integers."""

    step: int
    ty: int
    tx: int
    hflip: bool
    order: list[int]
    count: int
    mix_key: int


@dataclass(frozen=True)
class Warped:
    """The source as seen from the target; 0 where it is not inside."""

    inside: np.ndarray  # [H, W] bool
    image: np.ndarray
    semantic: np.ndarray | None
    depth: np.ndarray | None
    depth_valid: np.ndarray | None
    normals: np.ndarray | None


@dataclass(frozen=True)
class PasteResult:
    """The pasted sample and what the audit says of it."""

    sample: SampleArrays
    union: np.ndarray  # [H, W] bool
    row_source: np.ndarray  # [K] int64
    row_dropped: np.ndarray  # [K] bool
    warped: Warped


def paste_one(
    target: SampleArrays, source: SampleArrays, plan: PlanRow, config: BatchCopyPasteConfig
) -> PasteResult:
    """One paste, from the list of rows to the last box."""
    class_mix = target.masks is None
    if class_mix:
        plan = replace(plan, step=65536, ty=0, tx=0, hflip=False)  # 4.11: the identity grid
    grid = Grid(plan, target, source)
    warped = warp_maps(grid, target, source, plan)
    gate = gate_of(target, warped, config)

    if class_mix:
        slots: list[int] = []
        candidates = [class_mix_pixels(warped, plan, config)] if plan.count > 0 else []
        priorities = [0] * len(candidates)
    else:
        slots = paste_list(target, source, plan, config)
        candidates = [grid.nearest(source.masks[j]) & grid.inside for j in slots]
        priorities = [priority_of(source.labels[j], config) for j in slots]

    # 4.5: paint in ascending (priority, paste order); the last one to paint wins.
    winner = np.full(gate.shape, _NOT_PASTED)
    for n in sorted(range(len(candidates)), key=lambda n: (priorities[n], n)):
        winner[candidates[n] & gate] = n

    # 4.6: (1) and (2) the stuff rule, judged on the union of the winners; (3) too small a row.
    reverts = config.panoptic is not None and config.panoptic.stuff_policy == "revert"
    if reverts:
        winner[starved_stuff(target, winner >= 0, config)] = _NOT_PASTED
    pasted = list(range(len(slots)))
    for n in range(len(slots)):
        if np.count_nonzero(winner == n) < config.min_pasted_area:
            winner[winner == n] = _NOT_PASTED
            pasted.remove(n)
    union = winner >= 0
    # (4) with "ignore", what is left of a starved stuff class becomes void.
    void = np.zeros_like(union) if reverts else starved_stuff(target, union, config) & ~union

    painted = paint(target, source, warped, winner, union, slots)
    if class_mix:
        rows, row_source, row_dropped = painted, np.full(len(target.valid), -1), np.zeros_like(target.valid)
    else:
        rows, row_source, row_dropped, remains = update_rows(
            painted, target, source, winner, union, slots, pasted, config
        )
        void = void | remains
    result = write_void(rows, void, config)
    if config.panoptic is not None and config.panoptic.debug_assert_bijection:
        assert_bijection(result)
    return PasteResult(result, union, row_source, row_dropped, warped)


class Grid:
    """4.2: where every target pixel looks in the source.

    Inside pixels form a rectangle, as x and y are independent; arrays are warped on that
    rectangle alone.
    """

    def __init__(self, plan: PlanRow, target: SampleArrays, source: SampleArrays) -> None:
        height, width = target.padding.shape
        valid_h, valid_w = valid_rectangle(source.padding)
        self.shape = (height, width)
        rows = sample_axis(height, plan.ty, plan.step, valid_h, mirrored=False)
        columns = sample_axis(width, plan.tx, plan.step, valid_w, mirrored=plan.hflip)
        inside_y, self.ny, self.taps_y, self.weights_y = rows
        inside_x, self.nx, self.taps_x, self.weights_x = columns
        self.inside = inside_y[:, None] & inside_x[None, :]
        self.region = np.ix_(np.flatnonzero(inside_y), np.flatnonzero(inside_x))

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """Values ``[..., H, W]`` at the nearest tap, 0 outside."""
        return self.place(values[..., self.ny[:, None], self.nx[None, :]])

    def four_taps(self, values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The taps (0,0) (0,1) (1,0) (1,1) as (values, weights), on the inside region."""
        return [
            (
                values[..., self.taps_y[r][:, None], self.taps_x[c][None, :]],
                self.weights_y[r][:, None] * self.weights_x[c][None, :],
            )
            for r in (0, 1)
            for c in (0, 1)
        ]

    def place(self, region: np.ndarray) -> np.ndarray:
        """Put values of the inside region into a canvas of zeros."""
        canvas = np.zeros((*region.shape[:-2], *self.shape), dtype=region.dtype)
        canvas[(..., *self.region)] = region
        return canvas


def sample_axis(
    extent: int, shift: int, step: int, valid: int, *, mirrored: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """4.2 along one axis: inside ``[extent]``, then nearest ``[n]``, taps and weights
    ``[2, n]`` of the n inside positions.
    """
    x = np.arange(extent, dtype=np.int64)
    u = (2 * (x - shift) + 1) * step
    nearest = u >> 17
    inside = (nearest >= 0) & (nearest < valid)
    v = u[inside] - 65536
    second = (v & 0x1FFFF) >> 9  # v mod 2**17
    weights = np.stack((256 - second, second))
    taps = np.stack((v >> 17, (v >> 17) + 1)).clip(0, max(valid - 1, 0))  # after the weights
    nearest = nearest[inside]
    if mirrored:
        nearest, taps = valid - 1 - nearest, valid - 1 - taps
    return inside, nearest, taps, weights


def valid_rectangle(padding: np.ndarray) -> tuple[int, int]:
    """Extent (Hv, Wv) of what is not padding, a rectangle at the top left."""
    return int((~padding).any(axis=1).sum()), int((~padding).any(axis=0).sum())


def warp_maps(grid: Grid, target: SampleArrays, source: SampleArrays, plan: PlanRow) -> Warped:
    """4.3: the source's maps as seen from the target."""
    depth = depth_valid = None
    if source.depth is not None and source.depth_valid is not None:
        depth, depth_valid = warp_depth(grid, target, source, plan)
    return Warped(
        inside=grid.inside,
        image=warp_image(grid, source.image),
        semantic=None if source.semantic is None else grid.nearest(source.semantic),
        depth=depth,
        depth_valid=depth_valid,
        normals=None if source.normals is None else warp_normals(grid, source.normals, plan.hflip),
    )


def weighted_sum(taps: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """4.3: ``(p00*w00 + p01*w01) + (p10*w10 + p11*w11)`` in float64.

    A tap of weight 0 is not read; its term is +0.0. One tap of weight 65536 stands alone,
    so that it keeps the sign of a zero.
    """
    terms = [np.where(w > 0, p, 0.0).astype(np.float64) * w for p, w in taps]
    total = (terms[0] + terms[1]) + (terms[2] + terms[3])
    for term, (_, w) in zip(terms, taps, strict=True):
        total = np.where(w == 65536, term, total)
    return total


def warp_image(grid: Grid, image: np.ndarray) -> np.ndarray:
    """4.3: uint8 in integers, float32 through float64."""
    taps = grid.four_taps(image)
    if image.dtype == np.uint8:
        total = np.stack([p.astype(np.int64) * w for p, w in taps]).sum(axis=0)
        return grid.place(((total + 32768) >> 16).astype(np.uint8))
    return grid.place((weighted_sum(taps) / 65536.0).astype(np.float32))


def warp_depth(
    grid: Grid, target: SampleArrays, source: SampleArrays, plan: PlanRow
) -> tuple[np.ndarray, np.ndarray]:
    """4.3 and 4.7: depth over valid taps, rescaled, and its validity V_src."""
    usable = grid.four_taps(source.depth_valid)
    taps = [
        (np.where(ok, p, 0.0), np.where(ok, w, 0))
        for (p, w), (ok, _) in zip(grid.four_taps(source.depth), usable, strict=True)
    ]
    total, weight = weighted_sum(taps), np.stack([w for _, w in taps]).sum(axis=0)
    value = np.zeros_like(total)
    np.divide(total, weight.astype(np.float64), out=value, where=weight > 0)
    if target.metric and source.metric:
        value = value * metric_factor(target.camera, source.camera, plan.step)
    with np.errstate(over="ignore"):  # an overflow is judged, not warned of
        rounded = value.astype(np.float32)
    nearest_valid = source.depth_valid[grid.ny[:, None], grid.nx[None, :]]
    valid = nearest_valid & np.isfinite(rounded) & (rounded > 0)
    return grid.place(np.where(valid, rounded, np.float32(0))), grid.place(valid)


def metric_factor(target: np.ndarray, source: np.ndarray, step: int) -> np.float64:
    """4.7: ``(sqrt(fx_t * fy_t) / sqrt(fx_s * fy_s)) * step / 65536``, left to right."""
    ratio = np.sqrt(target[0] * target[1]) / np.sqrt(source[0] * source[1])
    return ratio * np.float64(step) / np.float64(65536)


def warp_normals(grid: Grid, normals: np.ndarray, hflip: bool) -> np.ndarray:
    """4.3: interpolated, quantised, renormalised; the zero vector means no normal."""
    q = np.rint(weighted_sum(grid.four_taps(normals)) * 512.0)
    nearest = normals[:, grid.ny[:, None], grid.nx[None, :]].astype(np.float64)
    alone = np.rint(nearest * 65536.0 * 512.0)
    q = np.where((q == 0).all(axis=0), alone, q) + 0.0  # -0 + 0 is +0
    length = np.sqrt((q[0] * q[0] + q[1] * q[1]) + q[2] * q[2])
    unit = np.zeros_like(q)
    np.divide(q, length, out=unit, where=length > 0)
    unit = unit.astype(np.float32)
    if hflip:
        unit[0] = np.float32(0) - unit[0]
    return grid.place(unit)


def gate_of(target: SampleArrays, warped: Warped, config: BatchCopyPasteConfig) -> np.ndarray:
    """4.4: the pixels that a paste may take, whatever the row."""
    gate = warped.inside & ~target.padding
    if target.semantic is not None and warped.semantic is not None:
        gate &= (target.semantic != config.ignore_index) & (warped.semantic != config.ignore_index)
    if target.depth is not None and warped.depth is not None and config.z_test:
        gate &= ~target.depth_valid | (warped.depth_valid & (warped.depth < target.depth))
    return gate


def paste_list(
    target: SampleArrays, source: SampleArrays, plan: PlanRow, config: BatchCopyPasteConfig
) -> list[int]:
    """4.1: the source slots to paste, in paste order; known before any pixel is touched."""
    classes = None if config.schema_spec is None else config.schema_spec.classes
    eligible = [
        j
        for j in plan.order
        if source.valid[j]
        and source.masks[j].any()
        and (classes is None or classes[int(source.labels[j])] == "thing")
    ]
    capacity = int(np.count_nonzero(~target.valid))
    return eligible[: min(plan.count, capacity)]


def priority_of(label: np.int64, config: BatchCopyPasteConfig) -> int:
    """4.5: the class priority, 0 without an entry."""
    return 0 if config.panoptic is None else config.panoptic.class_priority.get(int(label), 0)


def class_mix_pixels(warped: Warped, plan: PlanRow, config: BatchCopyPasteConfig) -> np.ndarray:
    """4.11: the source pixels of the classes that the mix key selects."""
    key = (plan.mix_key & 0xFFFFFFFF, (plan.mix_key >> 32) & 0xFFFFFFFF)
    classes = np.unique(warped.semantic[warped.inside])
    selected = [c for c in classes if c != config.ignore_index and philox4x32((int(c), 0, 0, 0), key)[0] & 1]
    return warped.inside & np.isin(warped.semantic, selected)


def starved_stuff(target: SampleArrays, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
    """4.6 (2): all pixels of the stuff classes of which the union leaves too little."""
    starved = np.zeros_like(union)
    if config.panoptic is None or target.semantic is None:
        return starved
    tau = to_q16(config.panoptic.tau_stuff_frac)
    for label, kind in config.panoptic.taxonomy.classes.items():
        region = (target.semantic == label) & ~target.padding
        before = int(np.count_nonzero(region))
        left = int(np.count_nonzero(region & ~union))
        too_few = left < config.panoptic.stuff_min_area.get(label, 0) or left * 65536 < tau * before
        if kind == "stuff" and left < before and too_few:
            starved |= region
    return starved


def paint(
    target: SampleArrays,
    source: SampleArrays,
    warped: Warped,
    winner: np.ndarray,
    union: np.ndarray,
    slots: list[int],
) -> SampleArrays:
    """4.7: the dense maps inside U. Nothing outside U is written."""
    painted = replace(target, image=np.where(union, warped.image, target.image))
    if target.semantic is not None:
        label = warped.semantic
        if target.panoptic is not None and slots:
            label = source.labels[slots][winner]  # read where union only
        painted = replace(painted, semantic=np.where(union, label, target.semantic))
    if target.depth is not None:
        painted = replace(
            painted,
            depth=np.where(union, warped.depth, target.depth),
            depth_valid=np.where(union, warped.depth_valid & target.depth_valid, target.depth_valid),
        )
    if target.normals is not None:
        painted = replace(painted, normals=np.where(union, warped.normals, target.normals))
    return painted


def update_rows(
    painted: SampleArrays,
    target: SampleArrays,
    source: SampleArrays,
    winner: np.ndarray,
    union: np.ndarray,
    slots: list[int],
    pasted: list[int],
    config: BatchCopyPasteConfig,
) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
    """4.8: trim and drop target rows, then fill the free slots.

    Returns the sample, the source slot of every row (-1 unless pasted), the rows that
    were dropped, and the pixels that are left of those under a panoptic map.
    """
    boxes, labels, valid = target.boxes.copy(), target.labels.copy(), target.valid.copy()
    ids, masks = target.ids.copy(), target.masks.copy()
    panoptic = None if target.panoptic is None else target.panoptic.copy()
    row_source, dropped = np.full(len(valid), -1), np.zeros_like(valid)
    remains = np.zeros_like(union)
    free = np.flatnonzero(~target.valid)  # before the paste: a slot never changes its meaning
    highest = max([-1, *ids[valid].tolist()])
    if panoptic is not None:
        highest = max(highest, int(panoptic.max()), 0)

    keep_q16 = to_q16(config.min_residual_area_frac)
    for i in np.flatnonzero(target.valid):
        masks[i] &= ~union
        former, left = int(target.masks[i].sum()), int(masks[i].sum())
        if left == former:
            continue
        if left < config.min_area or left * 65536 < keep_q16 * former:
            if panoptic is not None:
                remains |= masks[i]
            dropped[i] = True
            boxes[i], labels[i], valid[i], ids[i], masks[i] = 0, 0, False, 0, False  # 4.10
        else:
            boxes[i] = box_of(masks[i])

    for position, (slot, n) in enumerate(zip(free, pasted, strict=False)):
        j = slots[n]
        masks[slot] = winner == n
        boxes[slot] = box_of(masks[slot])
        labels[slot], valid[slot], ids[slot] = source.labels[j], True, highest + 1 + position
        row_source[slot] = j
        if panoptic is not None:
            panoptic[masks[slot]] = highest + 1 + position
    rows = replace(painted, boxes=boxes, labels=labels, valid=valid, ids=ids, masks=masks, panoptic=panoptic)
    return rows, row_source, dropped, remains


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The half-open XYXY box of a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def write_void(sample: SampleArrays, void: np.ndarray, config: BatchCopyPasteConfig) -> SampleArrays:
    """4.9: void is semantic *ignore* and panoptic 0."""
    if sample.semantic is not None:
        sample = replace(sample, semantic=np.where(void, config.ignore_index, sample.semantic))
    if sample.panoptic is not None:
        sample = replace(sample, panoptic=np.where(void, 0, sample.panoptic))
    return sample


def assert_bijection(sample: SampleArrays) -> None:
    """Every pixel belongs to one instance at most, where there is a panoptic map."""
    if sample.panoptic is None or sample.masks is None:
        return
    twice = int(np.count_nonzero(sample.masks.sum(axis=0) > 1))
    if twice:
        raise RuntimeError(f"debug_assert_bijection: {twice} pixels belong to more than one instance")


def _identity(sample: SampleArrays) -> PasteResult:
    nothing = np.zeros_like(sample.padding)
    warped = Warped(nothing, np.zeros_like(sample.image), None, None, None, None)
    unpasted = np.full(len(sample.valid), -1)
    return PasteResult(sample, nothing, unpasted, np.zeros_like(sample.valid), warped)


def _plan_row(plan: PastePlan, b: int) -> PlanRow:
    return PlanRow(
        step=int(plan.step[b]),
        ty=int(plan.translate[b, 0]),
        tx=int(plan.translate[b, 1]),
        hflip=bool(plan.hflip[b]),
        order=plan.order[b].tolist(),
        count=int(plan.count[b]),
        mix_key=int(plan.mix_key[b]),
    )


def _to_arrays(view: PaddedBatchedDenseSample) -> list[SampleArrays]:
    tensors = {name: value.detach().cpu().numpy() for name, value in view.tensors().items()}
    unpadded = np.zeros((view.batch_size, 1, *view.canvas_size), dtype=bool)

    def at(name: str, b: int) -> np.ndarray | None:
        return tensors[name][b] if name in tensors else None

    def plane(name: str, b: int) -> np.ndarray | None:
        return tensors[name][b, 0] if name in tensors else None

    return [
        SampleArrays(
            image=tensors["images"][b],
            boxes=tensors["boxes"][b],
            labels=tensors["labels"][b],
            valid=tensors["instance_valid"][b],
            ids=at("instance_ids", b),
            masks=at("instance_masks", b),
            semantic=at("semantic_maps", b),
            panoptic=at("panoptic_maps", b),
            depth=plane("depth", b),
            depth_valid=plane("depth_valid", b),
            normals=at("normals", b),
            padding=tensors.get("padding_mask", unpadded)[b, 0],
            camera=at("camera_intrinsics", b),
            metric=view.metric_depth,
        )
        for b in range(view.batch_size)
    ]


def _to_batch(samples: list[SampleArrays], like: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    columns: dict[str, list[np.ndarray | None]] = {
        "images": [s.image for s in samples],
        "boxes": [s.boxes for s in samples],
        "labels": [s.labels for s in samples],
        "instance_valid": [s.valid for s in samples],
        "instance_ids": [s.ids for s in samples],
        "instance_masks": [s.masks for s in samples],
        "semantic_maps": [s.semantic for s in samples],
        "panoptic_maps": [s.panoptic for s in samples],
        "depth": [None if s.depth is None else s.depth[None] for s in samples],
        "depth_valid": [None if s.depth_valid is None else s.depth_valid[None] for s in samples],
        "normals": [s.normals for s in samples],
        "padding_mask": [s.padding[None] for s in samples],
        "camera_intrinsics": [s.camera for s in samples],
    }
    fresh = {
        name: _stack([a for a in columns[name] if a is not None], value)
        for name, value in like.tensors().items()
    }
    return PaddedBatchedDenseSample(**fresh, metric_depth=like.metric_depth)


def _to_audit(
    results: list[PasteResult],
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> BatchAuditPacket:
    """The audit; warped values are 0 outside U, where nobody needs them."""
    batch, device = target.batch_size, target.images.device

    def warped(name: str, like: torch.Tensor | None) -> torch.Tensor | None:
        if like is None:
            return None
        seen: list[np.ndarray] = []
        for result, former in zip(results, like, strict=True):
            value = getattr(result.warped, name)
            value = np.zeros(tuple(former.shape)) if value is None else value.reshape(tuple(former.shape))
            seen.append(np.where(result.union, value, 0))
        return _stack(seen, like.as_subclass(torch.Tensor))

    intrinsics = source.camera_intrinsics
    rows = target.labels
    union_like = torch.zeros((batch, *target.canvas_size), dtype=torch.bool, device=device)
    return BatchAuditPacket(
        paste_union=_stack([r.union for r in results], union_like),
        row_source=_stack([r.row_source for r in results], rows),
        row_dropped=_stack([r.row_dropped for r in results], target.instance_valid),
        warped_images=warped("image", target.images),
        warped_semantic_maps=warped("semantic", target.semantic_maps),
        warped_depth=warped("depth", target.depth),
        warped_depth_valid=warped("depth_valid", target.depth_valid),
        warped_normals=warped("normals", target.normals),
        source_intrinsics=None if intrinsics is None else intrinsics[plan.source_idx],
        plan=plan,
        config=config,
    )


def _stack(arrays: list[np.ndarray], like: torch.Tensor) -> torch.Tensor:
    """Arrays as one tensor with the shape, dtype and device of ``like``, in fresh memory.

    Contiguous, however ``like`` and the arrays lie: NumPy's ``stack`` keeps their order of axes.
    """
    if not arrays:
        return torch.zeros(like.shape, dtype=like.dtype, device=like.device)
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(arrays)))
    return stacked.to(device=like.device, dtype=like.dtype).reshape(like.shape)

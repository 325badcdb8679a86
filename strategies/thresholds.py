"""Thresholds that a drawn paste meets exactly, or misses by one pixel.

Areas compared with thresholds drawn on their own almost never come out equal, so that
``<`` and ``<=`` look the same. Here the paste comes first, and the thresholds are taken
from the areas it leaves. Like :mod:`segpaste.strategies.pastes` this needs no Hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from segpaste.paste.rng import philox4x32
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import PasteCase
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PanopticPasteConfig

THRESHOLD_BYTES = 8
"""Bytes enough for :func:`bind_thresholds`."""

_Q16 = 65536


def bind_thresholds(choices: Choices, case: PasteCase) -> BatchCopyPasteConfig:
    """The configuration of a case, often with thresholds taken from its areas.

    One rule is made to bind on one row or stuff class of one target, and those that
    would come before it are made lenient: what is left of a target row, what is left of
    a stuff class, the area of a pasted row, or that area once a starved stuff class has
    taken its pixels back. Exact but for the depth test, which is switched off in most
    of these cases.

    Args:
        choices: where from; :data:`THRESHOLD_BYTES` are enough.
        case: a paste; its plan must not depend on the thresholds.
    """
    seldom = choices.integer(0, 7)
    rule, which, variant = choices.integer(0, 9), choices.integer(0, 2**12 - 1), choices.integer(0, 8)
    depth_tested = choices.one_in(3)
    # Few of the cases cover stuff at all, so these are taken almost always, others mostly.
    if seldom < (3 if case.schema is None or case.target.semantic_maps is None else 1):
        return case.config
    pastes = [p for b in range(case.target.batch_size) if (p := _paste_of(case, b)).union.any()]
    rules = (*(_bind_row,) * 4, *(_bind_pasted,) * 6)
    if _stuff_areas(case, pastes):
        rules = (_bind_row, *(_bind_stuff,) * 5, *(_bind_pasted_after_stuff,) * 2, *(_bind_pasted,) * 2)
    # Contested pixels are rare: where there are some, what becomes of them often comes first.
    first = _bind_contested if which % (4 if rules[1] is not _bind_stuff else 2) else rules[rule]
    # So are small rows beside large ones on one stuff class.
    rare = _bind_small_row if variant % 3 else first
    for bind in (rare, first, rules[rule], _bind_stuff, _bind_row):
        changes = bind(case, pastes, which, variant)
        if changes is not None:
            changes = {**changes, "z_test": case.config.z_test and depth_tested}
            return BatchCopyPasteConfig(**{**dict(case.config), **changes})
    return case.config


def starve_beside_padding(choices: Choices, case: PasteCase) -> BatchCopyPasteConfig | None:
    """A configuration by which a stuff class is starved that padding would feed, now and then.

    Of the class one pixel too little is left, if what is labelled so on padding does not count.

    Args:
        choices: where from; a few bytes are enough.
        case: a paste; its padding is labelled by a class with an area of its own later.
    """
    wanted, which = choices.one_in(2), choices.integer(0, 63)
    if not wanted or case.target.padding_mask is None:
        return None
    padded = [b for b, padding in enumerate(np.asarray(case.target.padding_mask)) if padding.any()]
    pastes = [p for b in padded if (p := _paste_of(case, b)).union.any()]
    found = [(label, left) for _, left, label, _ in _stuff_areas(case, pastes)]
    if not found:
        return None
    label, left = found[which % len(found)]
    changes = _with_stuff_rule(case, 0.0, {label: left + 1})
    return BatchCopyPasteConfig(**{**dict(case.config), **changes, "z_test": False, "min_pasted_area": 1})


def footprint(mask: np.ndarray, case: PasteCase, b: int) -> tuple[np.ndarray, bool]:
    """Where a source mask lands before any gate, and whether part of it misses the canvas."""
    plan = case.plan
    step = int(plan.step[b])
    extent = valid_extent(case.source, int(plan.source_idx[b]))
    index: list[np.ndarray] = []
    inside: list[np.ndarray] = []
    misses = False
    for axis, size in enumerate(extent):
        shift = int(plan.translate[b, axis])
        occupied = np.asarray(mask.any(axis=1 - axis))[:size]
        if axis == 1 and bool(plan.hflip[b]):
            occupied = occupied[::-1]
        places = -(-(np.flatnonzero(occupied) * 2**17) // step) // 2 + shift
        misses |= bool(((places < 0) | (places >= mask.shape[axis])).any())
        n = ((2 * (np.arange(mask.shape[axis]) - shift) + 1) * step) >> 17
        inside.append((n >= 0) & (n < size))
        n = n.clip(0, max(size - 1, 0))
        index.append(size - 1 - n if axis == 1 and bool(plan.hflip[b]) else n)
    landed = mask[index[0][:, None], index[1]] & inside[0][:, None] & inside[1]
    return landed, misses


def valid_extent(view: PaddedBatchedDenseSample, index: int) -> tuple[int, int]:
    """Extent (Hv, Wv) of what is not padding."""
    if view.padding_mask is None:
        return view.canvas_size
    valid = ~np.asarray(view.padding_mask)[index, 0]
    return int(valid.any(axis=1).sum()), int(valid.any(axis=0).sum())


def rows_to_paste(case: PasteCase, b: int) -> list[int]:
    """The eligible source slots of target ``b`` in paste order, however many there is room for."""
    source = case.source
    if source.instance_masks is None:
        return []
    s = int(case.plan.source_idx[b])
    filled = np.asarray(source.instance_masks)[s].any(axis=(1, 2))
    labels = source.labels[s].tolist()
    kinds = None if case.schema is None else case.schema.classes
    order = case.plan.order[b].tolist()
    return [j for j in order if filled[j] and (kinds is None or kinds[labels[j]] == "thing")]


@dataclass(frozen=True, slots=True)
class _Paste:
    """What one target would receive without a depth test and without thresholds."""

    b: int
    union: np.ndarray  # [H, W] bool
    rows: list[np.ndarray]  # pixels won by every pasted row
    contested: np.ndarray  # [H, W] bool, pixels of the union that several rows may take


def _paste_of(case: PasteCase, b: int) -> _Paste:
    target, source, config = case.target, case.source, case.config
    s, count = int(case.plan.source_idx[b]), int(case.plan.count[b])
    gate = np.ones(target.canvas_size, dtype=bool)
    if target.padding_mask is not None:
        gate &= ~np.asarray(target.padding_mask)[b, 0]
    winner = np.full(gate.shape, -1)
    if source.batch_size == 0 or count == 0:
        return _Paste(b, winner >= 0, [], winner > 0)
    if target.semantic_maps is not None and source.semantic_maps is not None:
        donor = np.asarray(source.semantic_maps)[s]
        gate &= np.asarray(target.semantic_maps)[b] != config.ignore_index
        gate &= footprint(donor != config.ignore_index, case, b)[0]
        if source.instance_masks is None:
            mixed = footprint(_mixed(donor, case, b), case, b)[0] & gate
            return _Paste(b, mixed, [], np.zeros_like(mixed))
    if source.instance_masks is None:
        return _Paste(b, winner >= 0, [], winner > 0)
    masks, labels = np.asarray(source.instance_masks)[s], source.labels[s].tolist()
    slots = rows_to_paste(case, b)[: min(count, int((~target.instance_valid[b]).sum()))]
    priority = {} if config.panoptic is None else config.panoptic.class_priority
    seen = [footprint(masks[j], case, b)[0] & gate for j in slots]
    for n in sorted(range(len(slots)), key=lambda n: (priority.get(labels[slots[n]], 0), n)):
        winner[seen[n]] = n
    contested = np.sum([np.zeros_like(gate), *seen], axis=0) > 1
    return _Paste(b, winner >= 0, [winner == n for n in range(len(slots))], contested)


def _mixed(semantic: np.ndarray, case: PasteCase, b: int) -> np.ndarray:
    """The pixels of the classes that a class mix takes."""
    mix_key = int(case.plan.mix_key[b])
    key = (mix_key & 0xFFFFFFFF, (mix_key >> 32) & 0xFFFFFFFF)
    return np.isin(semantic, [c for c in np.unique(semantic) if philox4x32((int(c), 0, 0, 0), key)[0] & 1])


_Areas = tuple[int, int, Any]  # former area, what is left of it, whose they are


def _bind_row(case: PasteCase, pastes: list[_Paste], which: int, variant: int) -> dict[str, Any] | None:
    """Thresholds that what is left of a target row meets."""
    if case.target.instance_masks is None:
        return None
    masks = np.asarray(case.target.instance_masks)
    found = [
        (int(mask.sum()), int((mask & ~p.union).sum()), None) for p in pastes for mask in masks[p.b]
    ]  # fmt: skip
    chosen = _partly_covered(found, which)
    if chosen is None:
        return None
    # Between two fractions that Q16 holds more often than for stuff, which has kinds of its own.
    fraction, area = _threshold(chosen, 5 if variant == 3 else variant)
    return {
        **_without_reverts(case),
        "min_residual_area_frac": fraction,
        "min_area": max(area, 1),
        "min_pasted_area": 1,
    }


def _bind_stuff(case: PasteCase, pastes: list[_Paste], which: int, variant: int) -> dict[str, Any] | None:
    """Thresholds that what is left of a stuff class meets."""
    found = [(former, left, label) for former, left, label, _ in _stuff_areas(case, pastes)]
    # A class that disappears is exactly at a threshold of nothing.
    gone = [areas for areas in found if areas[1] == 0]
    chosen = _partly_covered(found, which)
    if gone and (chosen is None or (variant < 4 and chosen[1] * _Q16 % chosen[0])):
        chosen = gone[which % len(gone)]
    if chosen is None:
        return None
    # Any, a fraction between two that Q16 holds, exactly its area, or one pixel more.
    kind = (variant, 6, 5, 6, 7, variant)[which // 16 % 6]
    fraction, area = _threshold(chosen, kind if chosen[1] else variant)
    # Of a class that disappears there is nothing left to turn into void.
    policy: dict[str, Any] = {} if chosen[1] else {"stuff_policy": "revert"}
    return {**_with_stuff_rule(case, fraction, {chosen[2]: area}, **policy), "min_pasted_area": 1}


def _bind_pasted(case: PasteCase, pastes: list[_Paste], which: int, variant: int) -> dict[str, Any] | None:
    """The area of a pasted row as the least that may be pasted, or one pixel too little."""
    areas = [area for p in pastes for row in p.rows if (area := int(row.sum())) > 1]
    if not areas:
        return None
    return {**_without_reverts(case), "min_pasted_area": areas[which % len(areas)] + (variant > 5)}


def _bind_contested(case: PasteCase, pastes: list[_Paste], which: int, variant: int) -> dict[str, Any] | None:
    """A row that wins pixels from another has just enough for ``min_pasted_area``, or one too little."""
    areas = [int(row.sum()) for p in pastes for row in p.rows if (row & p.contested).any()]
    if not areas:
        return None
    area = max(areas[which // 4 % len(areas)] + (variant > 1), 1)
    return {**_without_reverts(case), "min_pasted_area": area}


def _bind_pasted_after_stuff(
    case: PasteCase, pastes: list[_Paste], which: int, variant: int
) -> dict[str, Any] | None:
    """A starved stuff class leaves a pasted row just enough, or one pixel too little."""
    found = [
        (label, left, rest)
        for _, left, label, (p, region) in _stuff_areas(case, pastes)
        for row in p.rows
        if 0 < (rest := int((row & ~region).sum())) < int(row.sum())
    ]
    if not found:
        return None
    label, left, rest = found[which % len(found)]
    changes = _with_stuff_rule(case, 0.0, {label: left + 1}, stuff_policy="revert")
    return {**changes, "min_pasted_area": rest + (variant > 1)}


def _bind_small_row(case: PasteCase, pastes: list[_Paste], which: int, variant: int) -> dict[str, Any] | None:
    """A stuff class is starved by a row that is too small to be pasted, beside one that is not."""
    found: list[tuple[int, int, int]] = []
    for _, left, label, (p, region) in _stuff_areas(case, pastes):
        largest = max((int(row.sum()) for row in p.rows), default=0)
        for row in p.rows:
            lost, others = int((row & region).sum()), bool((p.union & ~row & region).any())
            if lost and others and int(row.sum()) < largest:
                found.append((label, left + lost, int(row.sum())))
    if not found:
        return None
    label, least, area = found[which % len(found)]
    return {**_with_stuff_rule(case, 0.0, {label: least}, stuff_policy="revert"), "min_pasted_area": area + 1}


def _stuff_areas(
    case: PasteCase, pastes: list[_Paste]
) -> list[tuple[int, int, int, tuple[_Paste, np.ndarray]]]:
    """Former area, what is left, label, paste and region of every stuff class that loses a pixel."""
    if case.config.panoptic is None or case.target.semantic_maps is None:
        return []
    found: list[tuple[int, int, int, tuple[_Paste, np.ndarray]]] = []
    for p in pastes:
        semantic = np.asarray(case.target.semantic_maps)[p.b]
        for label, kind in case.config.panoptic.taxonomy.classes.items():
            # What is labelled on padding comes later; no region has any here.
            region = semantic == label
            former, left = int(region.sum()), int((region & ~p.union).sum())
            if kind == "stuff" and left < former:
                found.append((former, left, label, (p, region)))
    return found


def _partly_covered(found: list[_Areas], which: int) -> _Areas | None:
    """One that loses some of its pixels, if possible with a fraction left that Q16 can hold."""
    partly = [areas for areas in found if 0 < areas[1] < areas[0]]
    best = [areas for areas in partly if areas[1] * _Q16 % areas[0] == 0] or partly
    return best[which % len(best)] if best else None


def _threshold(areas: _Areas, variant: int) -> tuple[float, int]:
    """A fraction and an area: one binds, the other lets everything pass."""
    former, left, _ = areas
    if variant in (5, 8) or (variant < 2 and left * _Q16 % former):
        # Rounded up in Q16 it is more than is left, and cut off it is not.
        return float(min((left * _Q16 // former + Fraction(3, 4)) / _Q16, Fraction(1))), 0
    if variant >= 6 or (variant >= 2 and left * _Q16 % former):
        return 0.0, left + variant % 2
    return float(Fraction(left * _Q16 // former + (variant == 4), _Q16)), 0


def _without_reverts(case: PasteCase) -> dict[str, Any]:
    """Changes by which the stuff rule takes no pasted pixel back; the other policy never does."""
    panoptic = case.config.panoptic
    return {} if panoptic is None or panoptic.stuff_policy == "ignore" else _with_stuff_rule(case, 0.0, {})


def _with_stuff_rule(
    case: PasteCase, fraction: float, areas: dict[int, int], **changes: Any
) -> dict[str, Any]:
    panoptic = case.config.panoptic
    if panoptic is None:
        return {}
    changes |= {"tau_stuff_frac": fraction, "stuff_min_area": areas}
    return {"panoptic": PanopticPasteConfig(**{**dict(panoptic), **changes})}

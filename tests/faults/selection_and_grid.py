"""Faults in what is pasted (4.0, 4.1) and in where a pixel looks (4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from segpaste.types import BatchCopyPasteConfig, Modality
from tests.faults.fault import Call, Pasted, correct, fault

INSTANCE, NORMALS = Modality.INSTANCE, Modality.NORMALS
Axis = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@fault("4.1", "paste.selection_by_plan", needs={INSTANCE})
def last_free_slot_stays_empty(call: Call) -> Pasted:
    """The paste list is cut at one slot fewer than are free."""
    return call.paste(paste_list=_listed(lambda slots, free: slots[: max(free - 1, 0)]))


@fault("4.1", "paste.selection_by_plan", "metamorphic.larger_source_capacity", needs={INSTANCE})
def unused_slots_use_up_the_count(call: Call) -> Pasted:
    """The first ``count`` slots of the order are looked at, not the first ``count`` eligible ones."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        slots = correct.paste_list(target, source, plan, config)
        return [j for j in slots if j in plan.order[: plan.count]]

    return call.paste(paste_list=paste_list)


@fault("4.1", "paste.selection_by_plan", needs={INSTANCE})
def order_is_that_of_the_slots(call: Call) -> Pasted:
    """Rows are taken in the order of their slots, not in that of the plan."""
    order = torch.arange(call.plan.order.shape[1]).expand_as(call.plan.order)
    return call.paste_as_if(plan=replace(call.plan, order=order))


@fault("4.1", "paste.within_capacity", "paste.selection_by_plan", needs={INSTANCE})
def one_row_too_many(call: Call) -> Pasted:
    """``order[: count + 1]``: one row more than asked for, where there is room."""
    count = call.plan.count + (call.plan.count > 0)
    return call.paste_as_if(plan=replace(call.plan, count=count))


@fault("4.1", "paste.within_capacity", "metamorphic.count_zero_is_identity", needs={INSTANCE})
def count_is_ignored(call: Call) -> Pasted:
    """Every eligible row is pasted, however few were asked for."""
    return call.paste_as_if(plan=replace(call.plan, count=torch.full_like(call.plan.count, 1000)))


@fault("4.1: with a non-empty mask", "paste.selection_by_plan", needs={INSTANCE})
def rows_without_a_pixel_are_eligible(call: Call) -> Pasted:
    """A valid row with an empty mask takes a place in the paste list, and another row goes without."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        filled = source.masks.copy()
        filled[~filled.any(axis=(1, 2))] = True
        slots = correct.paste_list(target, replace(source, masks=filled), plan, config)
        return [j for j in slots if source.masks[j].any()]

    return call.paste(paste_list=paste_list)


@fault(
    "a detector's habit: class 0 is background",
    "metamorphic.class_relabelling",
    "paste.selection_by_plan",
    needs={INSTANCE},
)
def class_zero_is_background(call: Call) -> Pasted:
    """Rows of class 0 are never pasted."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        return [j for j in correct.paste_list(target, source, plan, config) if source.labels[j] != 0]

    return call.paste(paste_list=paste_list)


@fault("4.1", "paste.selection_by_plan", needs={INSTANCE})
def one_row_of_a_class(call: Call) -> Pasted:
    """``np.unique`` on the labels of the list: of every class only the first row is pasted."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        slots = correct.paste_list(target, source, plan, config)
        labels = [int(source.labels[j]) for j in slots]
        return [j for n, j in enumerate(slots) if labels[n] not in labels[:n]]

    return call.paste(paste_list=paste_list)


@fault("4.0", "paste.inside_union_is_source.image")
def scale_has_two_decimals(call: Call) -> Pasted:
    """The inverse scale goes through a scale written with two decimals."""
    step = [round(65536 / max(round(65536 / s, 2), 0.01)) for s in call.plan.step.tolist()]
    return call.paste_as_if(plan=replace(call.plan, step=torch.tensor(step, dtype=torch.int64)))


@fault("4.0", "paste.inside_union_is_source.image", needs={INSTANCE})
def scale_is_inverted(call: Call) -> Pasted:
    """``step`` is taken for the scale instead of its inverse."""
    return call.paste_as_if(plan=replace(call.plan, step=(2**32 // call.plan.step).clamp(1, 2**31)))


@fault("4.0", "paste.inside_union_is_source.image", needs={INSTANCE})
def translation_is_x_then_y(call: Call) -> Pasted:
    """``translate`` is read as (tx, ty)."""
    return call.paste_as_if(plan=replace(call.plan, translate=call.plan.translate.flip(1)))


@fault("4.2", "paste.inside_union_is_source.image", needs={INSTANCE})
def translation_is_scaled(call: Call) -> Pasted:
    """The source is moved before it is scaled, so that the translation is scaled, too."""
    moved = (call.plan.translate << 16) // call.plan.step[:, None]
    return call.paste_as_if(plan=replace(call.plan, translate=moved.clamp(-(2**28), 2**28)))


@fault("4.2", "paste.inside_union_is_source.image", needs={INSTANCE})
def flip_is_forgotten(call: Call) -> Pasted:
    """Nothing is ever mirrored."""
    return call.paste_as_if(plan=replace(call.plan, hflip=torch.zeros_like(call.plan.hflip)))


@fault("4.2", "paste.union_is_pasted_masks", needs={INSTANCE})
def last_column_is_outside(call: Call) -> Pasted:
    """*Inside* is ``n < Wv - 1``: the source's last row and column are never seen."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        return _only(
            correct.sample_axis(extent, shift, step, valid, mirrored=mirrored), lambda n: n < valid - 1
        )

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.union_is_pasted_masks", needs={INSTANCE})
def first_column_is_outside(call: Call) -> Pasted:
    """*Inside* is ``0 < n``: the source's first row and column are never seen."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        return _only(correct.sample_axis(extent, shift, step, valid, mirrored=mirrored), lambda n: n > 0)

    return call.paste(sample_axis=sample_axis)


@fault("4.2: >> is the floor", "paste.inside_union_is_source.instance", needs={INSTANCE})
def division_rounds_toward_zero(call: Call) -> Pasted:
    """``u / 2**17`` is cut off toward zero, so that a stretch left of the source shows its edge."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        inside, nearest, taps, weights = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        u = (2 * (np.arange(extent) - shift) + 1) * step
        edge = (u < 0) & (u > -(1 << 17)) & (valid > 0)
        again = np.flatnonzero(inside | edge)
        at = np.searchsorted(np.flatnonzero(inside), again).clip(0, max(len(nearest) - 1, 0))
        if len(nearest) == 0:
            return inside, nearest, taps, weights
        first = valid - 1 if mirrored else 0
        nearest = np.where(edge[again], first, nearest[at])
        taps = np.where(edge[again], first, taps[:, at])
        return inside | edge, nearest, taps, weights[:, at]

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.inside_union_is_source.image")
def weights_have_four_bits(call: Call) -> Pasted:
    """The bilinear weights have 16 levels instead of 256."""
    return call.paste(sample_axis=_weighted(lambda second: second >> 4 << 4))


@fault("4.2", "paste.inside_union_is_source.image")
def weights_are_rounded(call: Call) -> Pasted:
    """The weight of the second tap is one larger where its lost bits are half or more."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        inside, nearest, taps, _ = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        v = ((2 * (np.arange(extent, dtype=np.int64) - shift) + 1) * step)[inside] - 65536
        second = ((v & 0x1FFFF) + 256) >> 9
        return inside, nearest, taps, np.stack((256 - second, second))

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.inside_union_is_source.image")
def flip_leaves_the_taps(call: Call) -> Pasted:
    """The nearest index is mirrored and the taps are not: masks flip, the picture does not."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        inside, nearest, taps, weights = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        return inside, nearest, valid - 1 - taps if mirrored else taps, weights

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.inside_union_is_source.image")
def taps_run_into_the_padding(call: Call) -> Pasted:
    """Taps are clamped to the canvas, so that padding bleeds into the last row and column."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        inside, nearest, taps, weights = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        v = ((2 * (np.arange(extent, dtype=np.int64) - shift) + 1) * step)[inside] - 65536
        taps = np.stack((v >> 17, (v >> 17) + 1)).clip(0, extent - 1)
        return inside, nearest, np.abs(valid - 1 - taps) if mirrored else taps, weights

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.inside_union_is_source.image")
def padding_of_the_source_is_seen(call: Call) -> Pasted:
    """The source's valid rectangle is taken for the whole canvas."""
    return call.paste(valid_rectangle=lambda padding: padding.shape)


def _listed(cut: Callable[[list[int], int], list[int]]) -> Callable[..., list[int]]:
    """A paste list that is cut once more, knowing the number of free slots."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        free = int(np.count_nonzero(~target.valid))
        return cut(correct.paste_list(target, source, plan, config), free)

    return paste_list


def _weighted(change: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Axis]:
    """An axis with other weights of the second tap."""

    def sample_axis(extent: int, shift: int, step: int, valid: int, *, mirrored: bool) -> Axis:
        inside, nearest, taps, weights = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        second = change(weights[1])
        return inside, nearest, taps, np.stack((256 - second, second))

    return sample_axis


def _only(axis: Axis, seen: Callable[[np.ndarray], np.ndarray]) -> Axis:
    """An axis on which only some of the nearest indices count as inside."""
    inside, nearest, taps, weights = axis
    kept = seen(nearest)
    inside = inside.copy()
    inside[np.flatnonzero(inside)[~kept]] = False
    return inside, nearest[kept], taps[:, kept], weights[:, kept]

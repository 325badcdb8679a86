"""The laws of a paste about rows: who survives, who is new, and what each looks like."""

from __future__ import annotations

import torch

from segpaste.invariants.masks import depth_of_cover, tight_boxes
from segpaste.invariants.paste_case import PasteCase
from segpaste.invariants.registry import register
from segpaste.invariants.report import (
    HELD,
    Finding,
    by_pixels,
    by_rows,
    exercised,
    not_applicable,
    not_decidable,
    not_exercised,
    violated,
)
from segpaste.invariants.view import SampleView, present
from segpaste.types import Modality, to_q16

INSTANCE = Modality.INSTANCE


@register("instance.identity_preserved", "paste")
def identity_preserved(case: PasteCase) -> Finding:
    """A row that survives keeps its slot, its id and its label.

    In the wild: rows shuffled by a compaction that forgot one of the columns; a freed
    slot given to a new object within the same paste.
    """
    before, after = case.before, case.after
    offending: list[int] = []
    messages: list[str] = []
    for k in case.survivors:
        was = (_id(before.ids, k), int(before.labels[k]))
        now = (_id(after.ids, k), int(after.labels[k]))
        if was != now:
            offending.append(k)
            messages.append(f"(id, label) {now}, expected {was}")
    found = by_rows(offending, messages)
    return exercised(found, bool(case.survivors), "no row survived, or there was none")


@register("paste.rows_need_masks", "paste")
def rows_need_masks(case: PasteCase) -> Finding:
    """Without instance masks no row comes, goes or changes.

    In the wild: phantom boxes pasted into detection batches, with nothing painted.
    """
    before, after = case.before, case.after
    if before.masks is not None:
        return not_applicable("there are masks")
    came_or_went = sorted([*case.new, *case.gone])
    moved = [k for k in case.survivors if not torch.equal(after.boxes[k], before.boxes[k])]
    verbs = (
        ["came or went, expected the rows as before"]
        if came_or_went
        else ["box moved, expected it as before"]
    )
    asked = case.plan is not None and int(case.plan.count[0]) > 0
    done = asked or bool(case.survivors) or bool(case.union.any()) or bool(case.changed().any())
    return exercised(by_rows(came_or_went or moved, verbs), done, "no rows, and no paste was asked for")


@register("instance.masks_minus_union", "paste", INSTANCE)
def masks_minus_union(case: PasteCase) -> Finding:
    """M_out = M & ~U for every row that survives.

    In the wild: originals never trimmed at all (Ultralytics CopyPaste, 180 of 200).
    """
    before, after = present(case.before.masks), present(case.after.masks)
    wrong = torch.zeros_like(case.union)
    offending: list[int] = []
    messages: list[str] = []
    premise = False
    for k in case.survivors:
        want = before[k] & ~case.union
        differing = after[k] != want
        premise = premise or not torch.equal(want, before[k])
        if bool(differing.any()):
            offending.append(k)
            messages.append(
                f"{int(after[k].sum())} pixels, expected {int(want.sum())} "
                f"(of {int(before[k].sum())}); {int(differing.sum())} pixels differ"
            )
            wrong |= differing
    return exercised(by_rows(offending, messages, wrong), premise, "no survivor lost a pixel")


@register("instance.bbox_recomputed_from_mask", "paste", INSTANCE)
def bbox_recomputed_from_mask(case: PasteCase) -> Finding:
    """box_k = bbox(M_k) for pasted rows and rows that lost pixels; other boxes keep every bit.

    In the wild: boxes of occluded survivors not recomputed (AlbumentationsX 2.5.1
    CopyAndPaste: 51 of 200 with one donor, 125 with four).
    """
    before, after = case.before, case.after
    changed = sorted([*case.trimmed, *case.new])
    tight = dict(zip(changed, tight_boxes(present(after.masks)[changed]).tolist(), strict=True))
    was, now = before.boxes.tolist(), after.boxes.tolist()
    offending: list[int] = []
    messages: list[str] = []
    for k in sorted([*case.survivors, *case.new]):
        if k in tight and now[k] != tight[k]:
            offending.append(k)
            messages.append(f"box {_numbers(now[k])}, mask spans {_numbers(tight[k])}")
        elif k not in tight and not torch.equal(after.boxes[k], before.boxes[k]):
            offending.append(k)
            messages.append(f"box {_numbers(now[k])}, expected {_numbers(was[k])} as before: no pixel lost")
    return exercised(by_rows(offending, messages), bool(changed), "no row lost a pixel and none was pasted")


@register("instance.small_area_dropped", "paste", INSTANCE)
def small_area_dropped(case: PasteCase) -> Finding:
    """A row that lost pixels and survives has min_area of them left, and its fraction.

    In the wild: fully covered objects kept as empty masks with a box (69 of 200).
    """
    config = case.config
    # Without a configuration only this much is sure: min_area is at least 1.
    min_area, fraction = (
        (1, 0) if config is None else (config.min_area, to_q16(config.min_residual_area_frac))
    )
    offending: list[int] = []
    messages: list[str] = []
    for k in case.trimmed:
        left, former = int(case.after_areas[k]), int(case.before_areas[k])
        if left < min_area or left * 65536 < fraction * former:
            offending.append(k)
            messages.append(
                f"{left} of {former} pixels left, expected {min_area} or more and at least "
                f"{fraction / 65536:g} of them, or the row dropped"
            )
    found = by_rows(offending, messages)
    if config is None and found is HELD and case.trimmed:
        return not_decidable("no configuration: the thresholds are unknown")
    return exercised(found, bool(case.trimmed), "no survivor lost a pixel")


@register("instance.no_same_class_overlap", "paste", INSTANCE)
def no_same_class_overlap(case: PasteCase) -> Finding:
    """The paste makes no two masks of one class overlap.

    In the wild: donors overlapping each other, the earlier keeping its mask over pixels
    that show the later (114 of 200).
    """
    view = case.after
    inherited = present(case.before.masks) & present(view.masks)
    found = torch.zeros_like(case.union)
    for label in view.labels[view.valid].unique():
        rows = view.valid & (view.labels == label)
        found |= _new_overlap(present(view.masks)[rows], inherited[rows])
    labels = view.labels[view.valid]
    return exercised(
        by_pixels(found, "in more than one mask of one class, and not so before"),
        bool(case.union.any()) and labels.unique().numel() < labels.numel(),
        "nothing was pasted, or no two rows are of one class",
    )


@register("instance.pasted_masks_disjoint", "paste", INSTANCE)
def pasted_masks_disjoint(case: PasteCase) -> Finding:
    """A pixel of a pasted mask is in no other mask.

    Of a paste that is not recomputed, pixels that are in two of the donor's own masks at the
    same place decide nothing.

    In the wild: torchvision's reference SimpleCopyPaste with blending (183 of 200).
    """
    masks = present(case.after.masks)[case.after.valid]
    found = case.claimed & (depth_of_cover(masks) > 1)
    if case.expected is None and bool(found.any()):
        found = found & ~_overlap(case.given_source, found)
        if not bool(found.any()):
            return not_decidable("the donor's own masks overlap there")
    return exercised(
        by_pixels(found, "in a pasted mask and in another"),
        bool(case.new) and masks.shape[0] > 1,
        "no row was pasted, or there is no other",
    )


def _overlap(source: SampleView | None, like: torch.Tensor) -> torch.Tensor:
    """``[H, W]`` bool, pixels in more than one of a donor's masks; none on another canvas than ``like``."""
    if source is None or source.masks is None or source.masks.shape[1:] != like.shape:
        return torch.zeros_like(like)
    return depth_of_cover(source.masks[source.valid]) > 1


@register("instance.fresh_ids", "paste", INSTANCE)
def fresh_ids(case: PasteCase) -> Finding:
    """The n-th pasted row has the id max_prev + 1 + n; without a plan: an id nobody had.

    In the wild: raw source ids pasted, colliding with surviving ids; the id of a dropped
    row given to a new object.
    """
    ids = present(case.after.ids).tolist()
    had = _ids_before(case)
    wanted: dict[int, int] = {}
    if case.expected is not None:
        expected_ids = present(case.expected.out.ids).tolist()
        wanted = {k: expected_ids[k] for k in case.new if int(case.expected.row_source[k]) >= 0}
    offending: list[int] = []
    messages: list[str] = []
    for k in case.new:
        if ids[k] in had:
            offending.append(k)
            messages.append(f"id {ids[k]}, which was in use before")
        elif k in wanted and ids[k] != wanted[k]:
            offending.append(k)
            messages.append(f"id {ids[k]}, expected {wanted[k]}")
    return exercised(by_rows(offending, messages), bool(case.new), "no row was pasted")


@register("instance.pasted_labels", "paste", INSTANCE)
def pasted_labels(case: PasteCase) -> Finding:
    """A pasted row has the label of its source row.

    In the wild: labels gathered with the mask of kept rows, masks without it.
    """
    labels = case.after.labels.tolist()
    expected, source = case.expected, case.given_source
    if expected is None:
        if not case.new:
            return not_exercised("no row was pasted")
        if source is None:
            return case.undecided()
        offered = set(source.labels[source.valid].tolist())
        strange = [k for k in case.new if labels[k] not in offered]
        found = by_rows(strange, (f"label {labels[k]}, which no source row has" for k in strange))
        return case.undecided() if found is HELD else found
    wanted = expected.out.labels.tolist()
    sure = [k for k in case.new if int(expected.row_source[k]) >= 0]
    wrong = [k for k in sure if labels[k] != wanted[k]]
    found = by_rows(wrong, (f"label {labels[k]}, expected the source's {wanted[k]}" for k in wrong))
    return exercised(found, bool(sure), "no row was pasted")


@register("paste.things_only", "paste", INSTANCE)
def things_only(case: PasteCase) -> Finding:
    """With a schema, every pasted row is of a thing class.

    In the wild: stuff segments pasted as if they were objects.
    """
    schema = case.schema
    if schema is None:
        return not_applicable("no schema")
    labels = case.after.labels.tolist()
    wrong = [k for k in case.new if schema.classes.get(labels[k]) != "thing"]
    found = by_rows(wrong, (f"label {labels[k]} is no thing class" for k in wrong))
    return exercised(found, bool(case.new), "no row was pasted")


@register("paste.within_capacity", "paste", INSTANCE)
def within_capacity(case: PasteCase) -> Finding:
    """At most min(count, free slots, k_range's upper end) rows are pasted, and K stays K.

    In the wild: surplus pastes painted over the picture when the slots are full.
    """
    pasted = len(case.new)
    if case.plan is None or case.config is None or case.expected is None:
        limit = None if case.schema is None else case.schema.max_instances_per_image
        if limit is not None and pasted and len(case.survivors) + pasted > limit:
            rows = len(case.survivors) + pasted
            return violated(f"{rows} rows, expected at most max_instances_per_image = {limit}")
        return not_decidable("no plan: the number of rows asked for is unknown")
    capacity, most = case.capacity, case.config.placement.k_range[1]
    limit = min(int(case.plan.count[0]), capacity, most)
    if pasted > limit:
        return violated(
            f"{pasted} rows pasted, expected at most {limit} (capacity {capacity}, k_range up to {most})"
        )
    if not case.given_after.ragged and not case.given_before.ragged:
        slots = (case.given_before.slots, case.given_after.slots)
        if slots[0] != slots[1]:
            return violated(f"{slots[1]} row slots, expected {slots[0]} as before")
    return exercised(HELD, pasted > 0, "no row was pasted")


@register("paste.selection_by_plan", "paste", INSTANCE)
def selection_by_plan(case: PasteCase) -> Finding:
    """Pasted are the first min(count, F) eligible slots of the plan's order, less those left too small.

    In the wild: a row emptied by the z-test still takes a slot; sampling with replacement
    pastes one object twice.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    surplus = len(case.new) - len(expected.pasted)
    if surplus:
        rows = [expected.offered[n] for n in expected.pasted]
        return violated(
            f"{len(case.new)} rows pasted, expected {len(rows)}: source slots {rows} of the "
            f"{len(expected.offered)} offered ({expected.eligible} eligible)"
        )
    return exercised(HELD, bool(expected.offered), "no row was offered")


@register("paste.rows_in_free_slots", "paste", INSTANCE)
def rows_in_free_slots(case: PasteCase) -> Finding:
    """Pasted rows fill the slots that were free before, ascending, in paste order.

    In the wild: pasted masks appended in one order, their labels in another.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    after, want = present(case.after.masks), present(expected.out.masks)
    slots = (expected.row_source >= 0).nonzero().flatten().tolist()
    offending: list[int] = []
    messages: list[str] = []
    for k in sorted({*case.new, *slots}):
        if k not in slots and len(case.new) <= len(slots):
            offending.append(k)
            messages.append(f"used, expected the pasted rows in slots {slots}")
        elif k in slots and k in case.new and not torch.equal(after[k], want[k]):
            others = [j for j in slots if j != k and torch.equal(after[k], want[j])]
            if others:
                offending.append(k)
                messages.append(f"has the mask of the row that belongs into slot {others[0]}")
    return exercised(by_rows(offending, messages), bool(slots), "no row was pasted")


@register("paste.drops_exactly_by_threshold", "paste", INSTANCE)
def drops_exactly_by_threshold(case: PasteCase) -> Finding:
    """A target row is dropped if and only if it lost pixels and is below min_area or its fraction.

    In the wild: tiny objects dropped that the paste never touched; rows judged by the
    area of their box.
    """
    expected = case.expected
    if expected is None:
        masks = present(case.before.masks)
        harmless = [k for k in case.gone if not bool((masks[k] & case.claimed).any())]
        found = by_rows(
            harmless, (f"dropped, and no pixel of its {int(masks[k].sum())} lost" for k in harmless)
        )
        return not_decidable("no configuration: the thresholds are unknown") if found is HELD else found
    dropped = expected.row_dropped.tolist()
    former, left = expected.former.tolist(), expected.remaining.tolist()
    offending: list[int] = []
    messages: list[str] = []
    for k in case.before.valid.nonzero().flatten().tolist():
        kept = bool(case.after.valid[k])
        if kept == dropped[k]:
            offending.append(k)
            verb, want = ("kept", "dropped") if kept else ("dropped", "kept")
            messages.append(f"{verb} with {left[k]} of {former[k]} pixels left, expected {want}")
    return exercised(by_rows(offending, messages), bool(expected.touched.any()), "no row lost a pixel")


@register("paste.pasted_rows_large_enough", "paste", INSTANCE)
def pasted_rows_large_enough(case: PasteCase) -> Finding:
    """|M_k| >= min_pasted_area for every pasted row.

    In the wild: hidden objects kept with an empty mask (mmdet CopyPaste).
    """
    config = case.config
    least = 1 if config is None else config.min_pasted_area
    area = case.after_areas.tolist()
    small = [k for k in case.new if area[k] < least]
    found = by_rows(small, (f"{area[k]} pixels, expected {least} or more" for k in small))
    if config is None and found is HELD and case.new:
        return not_decidable("no configuration: min_pasted_area is unknown")
    return exercised(found, bool(case.new), "no row was pasted")


@register("paste.every_row_is_painted", "paste", INSTANCE)
def every_row_is_painted(case: PasteCase) -> Finding:
    """Every pixel of a pasted mask shows the source.

    In the wild: pasted masks not cut by the z-test that cut the picture.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    masks = present(case.after.masks)
    shows_target = ~case.changed() & case.union
    should_change = case.meant_to_change(expected)
    offending: list[int] = []
    messages: list[str] = []
    wrong = torch.zeros_like(case.union)
    for k in case.new:
        bare = masks[k] & (~case.union | (shows_target & should_change))
        if bool(bare.any()) or not bool(masks[k].any()):
            offending.append(k)
            messages.append(f"{int(bare.sum())} of {int(masks[k].sum())} pixels do not show the source")
            wrong |= bare
    return exercised(by_rows(offending, messages, wrong), bool(case.new), "no row was pasted")


@register("paste.winner_by_priority_and_order", "paste", INSTANCE)
def winner_by_priority_and_order(case: PasteCase) -> Finding:
    """A contested pixel belongs to the row with the largest (class priority, paste order).

    In the wild: "order * K + priority", under which priority never decides anything.
    """
    expected = case.expected
    if expected is None:
        return case.undecided()
    contested = (depth_of_cover(expected.may) > 1) & expected.union
    masks = present(case.after.masks)
    slots = (expected.row_source >= 0).nonzero().flatten().tolist()
    found = torch.zeros_like(contested)
    labels, wanted = case.after.labels, expected.out.labels
    for position, slot in zip(expected.pasted, slots, strict=True):
        won = expected.winner == position
        # Of two rows with one mask only the label tells which has won.
        found |= contested & ((masks[slot] != won) | (won & (labels[slot] != wanted[slot])))
    return exercised(
        by_pixels(found, "not in the mask of the row that wins it"),
        bool(contested.any()),
        "no contested pixel",
    )


def _new_overlap(masks: torch.Tensor, inherited: torch.Tensor) -> torch.Tensor:
    """``[H, W]`` bool, pixels in two masks, unless every one of these had them before."""
    cover = depth_of_cover(masks)
    twice = cover > 1
    return twice & (depth_of_cover(inherited) < cover) if bool(twice.any()) else twice


def _ids_before(case: PasteCase) -> set[int]:
    before = case.before
    had = set(present(before.ids)[before.valid].tolist())
    if before.panoptic is not None:
        had |= set(before.panoptic.unique().tolist())
    return had


def _id(ids: torch.Tensor | None, k: int) -> int | None:
    return None if ids is None else int(ids[k])


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"

"""Faults in the rows (4.8), in void (4.9) and in unused slots (4.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from segpaste.types import BatchCopyPasteConfig, Modality
from tests.faults.fault import Call, Pasted, Rows, changed, correct, fault, field, steps_replaced

INSTANCE, PANOPTIC, SEMANTIC = Modality.INSTANCE, Modality.PANOPTIC, Modality.SEMANTIC


@fault("4.8; Ultralytics CopyPaste, 180 of 200", "instance.masks_minus_union", needs={INSTANCE})
def masks_are_not_trimmed(call: Call) -> Pasted:
    """Survivors keep the pixels that a paste covers."""

    def edit(rows: Rows) -> None:
        for row in rows.trimmed:
            rows.out.masks[row] = rows.target.masks[row]

    return call.paste_then(edit)


@fault("4: boxes are half open", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def boxes_are_closed(call: Call) -> Pasted:
    """Recomputed boxes end at their last pixel, not after it."""

    def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
        x1, y1, x2, y2 = correct.box_of(mask)
        return x1, y1, x2 - 1, y2 - 1

    return call.paste(box_of=box_of)


@fault("4: boxes are XYXY", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def boxes_are_y_first(call: Call) -> Pasted:
    """Recomputed boxes are YXYX."""

    def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
        x1, y1, x2, y2 = correct.box_of(mask)
        return y1, x1, y2, x2

    return call.paste(box_of=box_of)


@fault("4.8", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def pasted_boxes_are_the_warped_masks(call: Call) -> Pasted:
    """The box of a pasted row is that of its whole warped mask, also where others cover it."""

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        result = correct.paste_one(target, source, plan, config)
        if target.masks is not None:
            grid = correct.Grid(plan, target, source)
            for row in np.flatnonzero(result.row_source >= 0):
                seen = grid.nearest(source.masks[result.row_source[row]]) & grid.inside
                result.sample.boxes[row] = correct.box_of(seen)
        return result

    return call.paste(paste_one=paste_one)


@fault("kornia's flip of bbox_xyxy, 200 of 200", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def flipped_boxes_are_one_pixel_off(call: Call) -> Pasted:
    """Under a flip the boxes of pasted rows are one pixel too far left."""
    after, audit = call.paste()
    moved = (audit.row_source >= 0) & call.plan.hflip[:, None] if audit.row_source is not None else None
    shift = torch.tensor([1.0, 0, 1, 0])
    boxes = field(after, "boxes")
    return changed(after, boxes=boxes if moved is None else boxes - shift * moved[..., None]), audit


@fault("4.8: boxes are left alone otherwise", "instance.bbox_recomputed_from_mask", needs={INSTANCE})
def all_boxes_are_recomputed(call: Call) -> Pasted:
    """After a paste the boxes of rows that lost no pixel are recomputed, too."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.out.valid & rows.target.valid):
            rows.out.boxes[row] = correct.box_of(rows.out.masks[row])

    return call.paste_then(edit)


@fault("4.8", "paste.drops_exactly_by_threshold", needs={INSTANCE})
def row_at_min_area_is_dropped(call: Call) -> Pasted:
    """A row of which exactly ``min_area`` is left is dropped: ``<=`` for ``<``."""
    return call.paste(update_rows=_under(lambda c: c.model_copy(update={"min_area": c.min_area + 1})))


@fault("4.8", "paste.drops_exactly_by_threshold", needs={INSTANCE})
def row_at_its_fraction_is_dropped(call: Call) -> Pasted:
    """A row of which exactly ``min_residual_area_frac`` is left is dropped: ``<=`` for ``<``."""

    def update_rows(*arguments: Any) -> Any:
        # left * 65536 <= q * former, in integers: left * 65536 < q * former + 1
        with steps_replaced(to_q16=lambda fraction: _PlusOne(correct.to_q16(fraction))):
            return correct.update_rows(*arguments)

    return call.paste(update_rows=update_rows)


@fault("4.8: min_residual_q16", "paste.drops_exactly_by_threshold", needs={INSTANCE})
def residual_fraction_is_truncated(call: Call) -> Pasted:
    """``min_residual_area_frac`` becomes Q16 by cutting off, not by rounding."""

    def update_rows(*arguments: Any) -> Any:
        with steps_replaced(to_q16=lambda fraction: int(fraction * 65536)):
            return correct.update_rows(*arguments)

    return call.paste(update_rows=update_rows)


@fault("4.8", "instance.small_area_dropped", needs={INSTANCE})
def fraction_is_not_looked_at(call: Call) -> Pasted:
    """Rows are dropped by ``min_area`` alone."""
    return call.paste(update_rows=_under(lambda c: c.model_copy(update={"min_residual_area_frac": 0.0})))


@fault("4.8", "instance.small_area_dropped", needs={INSTANCE})
def min_area_is_not_looked_at(call: Call) -> Pasted:
    """Rows are dropped by ``min_residual_area_frac`` alone, and where nothing is left."""
    return call.paste(update_rows=_under(lambda c: c.model_copy(update={"min_area": 1})))


@fault("4.8; rows judged by the area of their box", "paste.drops_exactly_by_threshold", needs={INSTANCE})
def rows_are_judged_by_their_boxes(call: Call) -> Pasted:
    """A row is dropped when the box of what is left is below ``min_area``, not the mask."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.dropped).tolist():
            left = rows.target.masks[row] & ~rows.union
            x1, y1, x2, y2 = correct.box_of(left) if left.any() else (0, 0, 0, 0)
            former, area = int(rows.target.masks[row].sum()), int(left.sum())
            enough = area * 65536 >= correct.to_q16(rows.config.min_residual_area_frac) * former
            if enough and (x2 - x1) * (y2 - y1) >= rows.config.min_area:
                _keep(rows, row, left)

    return call.paste_then(edit)


@fault(
    "AlbumentationsX 2.5.1 CopyAndPaste, 69 of 200; mmdet CopyPaste",
    "instance.masks_not_empty",
    "padded.used_slots_painted",
    "paste.drops_exactly_by_threshold",
    needs={INSTANCE},
)
def hidden_rows_are_kept(call: Call) -> Pasted:
    """A row that is covered completely stays, with an empty mask and its box."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.dropped).tolist():
            left = rows.target.masks[row] & ~rows.union
            if not left.any():
                _keep(rows, row, left)

    return call.paste_then(edit)


@fault("4.8: free before the paste", "paste.rows_in_free_slots", "audit.rows_are_true", needs={INSTANCE})
def freed_slots_are_used_again(call: Call) -> Pasted:
    """Pasted rows go into the slots that are free after the drop, those of dropped rows first."""

    def edit(rows: Rows) -> None:
        free = np.flatnonzero(~rows.out.valid | (rows.row_source >= 0))[: len(rows.new)].tolist()
        _move(rows, rows.new, free)

    return call.paste_then(edit)


@fault("4.8: ascending", "paste.rows_in_free_slots", needs={INSTANCE})
def slots_are_filled_from_the_end(call: Call) -> Pasted:
    """Pasted rows go into the free slots in descending order."""

    def edit(rows: Rows) -> None:
        free = np.flatnonzero(~rows.target.valid)[::-1][: len(rows.new)].tolist()
        _move(rows, rows.new, free)

    return call.paste_then(edit)


@fault("4.8: survivors keep their slot", "instance.identity_preserved", needs={INSTANCE})
def rows_are_closed_up(call: Call) -> Pasted:
    """After the drop the rows that are left are moved together."""

    def edit(rows: Rows) -> None:
        used = np.flatnonzero(rows.out.valid).tolist()
        _move(rows, used, list(range(len(used))))

    return call.paste_then(edit)


@fault("4.8: survivors keep their id", "instance.identity_preserved", needs={INSTANCE})
def survivors_are_renumbered(call: Call) -> Pasted:
    """Survivors that lost pixels get new ids, beyond all others."""

    def edit(rows: Rows) -> None:
        if int(rows.out.ids.max(initial=0)) < 2**30:
            for row in rows.trimmed:
                rows.rename(row, int(rows.out.ids.max()) + 1)

    return call.paste_then(edit)


@fault(
    "4.10; rows marked invalid with their masks left in place, seen in the wild",
    "padded.unused_slots_zero",
    needs={INSTANCE},
)
def dropped_rows_keep_their_masks(call: Call) -> Pasted:
    """A dropped row becomes invalid, and what is left of its mask stays in the slot."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.dropped).tolist():
            rows.out.masks[row] = rows.target.masks[row] & ~rows.union

    return call.paste_then(edit)


@fault("4.10", "padded.unused_slots_zero", needs={INSTANCE})
def dropped_rows_keep_their_ids(call: Call) -> Pasted:
    """A dropped row becomes invalid and keeps its id."""

    def edit(rows: Rows) -> None:
        rows.out.ids[rows.dropped] = rows.target.ids[rows.dropped]

    return call.paste_then(edit)


@fault("4.8", "instance.fresh_ids", "instance.ids_unique", needs={INSTANCE})
def fresh_ids_start_at_the_largest(call: Call) -> Pasted:
    """Fresh ids start at ``max_prev``, which a row has already."""

    def edit(rows: Rows) -> None:
        for row in rows.new:
            rows.rename(row, max(int(rows.out.ids[row]) - 1, 0))

    return call.paste_then(edit)


@fault("4.8", "instance.fresh_ids", needs={INSTANCE})
def fresh_ids_are_row_numbers(call: Call) -> Pasted:
    """A pasted row has its slot's number plus one for an id."""

    def edit(rows: Rows) -> None:
        for row in rows.new:
            rows.rename(row, row + 1)

    return call.paste_then(edit)


@fault("4.8: n in paste order", "instance.fresh_ids", needs={INSTANCE})
def fresh_ids_run_backwards(call: Call) -> Pasted:
    """The first pasted row has the largest of the fresh ids."""

    def edit(rows: Rows) -> None:
        for row, identity in zip(rows.new, [int(rows.out.ids[row]) for row in rows.new[::-1]], strict=True):
            rows.rename(row, identity)

    return call.paste_then(edit)


@fault("4.8: at least 0 with a panoptic map", "instance.ids_unique", "instance.fresh_ids", needs={PANOPTIC})
def first_id_beside_a_map_is_zero(call: Call) -> Pasted:
    """In an empty panoptic sample the first pasted row has the id 0, which is void's."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None and not rows.target.valid.any() and not rows.target.panoptic.any():
            for row in rows.new:
                rows.rename(row, int(rows.out.ids[row]) - 1)

    return call.paste_then(edit)


@fault("4.8: in its whole panoptic map, padding included", "instance.fresh_ids", needs={PANOPTIC})
def ids_on_padding_are_overlooked(call: Call) -> Pasted:
    """``max_prev`` is the largest id of a row, though the panoptic map's padding may hold larger ones."""

    def edit(rows: Rows) -> None:
        largest = max(
            [-1 if rows.target.panoptic is None else 0, *rows.target.ids[rows.target.valid].tolist()]
        )
        for n, row in enumerate(rows.new):
            rows.rename(row, largest + 1 + n)

    return call.paste_then(edit)


@fault(
    "4.8; labels gathered with the mask of kept rows, masks without it",
    "instance.pasted_labels",
    needs={INSTANCE},
)
def labels_belong_to_the_paste_list(call: Call) -> Pasted:
    """The n-th pasted row gets the n-th label of the paste list, also where rows of it were left out."""

    def edit(rows: Rows) -> None:
        for n, row in enumerate(rows.new):
            rows.out.labels[row] = rows.source.labels[rows.slots[n]]

    return call.paste_then(edit)


@fault("4.9", "paste.void_exact", needs={PANOPTIC})
def remains_keep_their_id(call: Call) -> Pasted:
    """What is left of a dropped row keeps label and id, and has no row."""

    def edit(rows: Rows) -> None:
        rows.void[:] = False

    return call.paste_then(edit)


@fault("4.9: where there is a panoptic map", "paste.void_exact", needs={SEMANTIC, INSTANCE})
def remains_are_always_void(call: Call) -> Pasted:
    """What is left of a dropped row becomes *ignore* without a panoptic map, too."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.dropped).tolist():
            rows.void[rows.target.masks[row] & ~rows.union] = True

    return call.paste_then(edit)


@fault("4.9: what is left", "paste.inside_union_is_source.panoptic", needs={PANOPTIC})
def void_takes_the_whole_dropped_row(call: Call) -> Pasted:
    """All pixels of a dropped row become void, also those that are pasted over."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None:
            for row in np.flatnonzero(rows.dropped).tolist():
                rows.void[rows.target.masks[row]] = True

    return call.paste_then(edit)


@fault("4.9: panoptic 0", "panoptic.things_have_ids", "paste.void_exact", needs={PANOPTIC})
def void_keeps_its_id(call: Call) -> Pasted:
    """Void is written into the semantic map alone."""

    def write_void(sample: Any, void: np.ndarray, config: BatchCopyPasteConfig) -> Any:
        whole = correct.write_void(sample, void, config)
        return (
            whole if sample.panoptic is None else type(sample)(**{**vars(whole), "panoptic": sample.panoptic})
        )

    return call.paste(write_void=write_void)


class _PlusOne(int):
    """A number whose products are one larger."""

    def __mul__(self, other: int) -> int:
        return int(self) * other + 1


def _under(changed_config: Callable[[BatchCopyPasteConfig], BatchCopyPasteConfig]) -> Callable[..., Any]:
    """Rows updated under another configuration."""

    def update_rows(*arguments: Any) -> Any:
        return correct.update_rows(*arguments[:-1], changed_config(arguments[-1]))

    return update_rows


def _keep(rows: Rows, row: int, left: np.ndarray) -> None:
    """Undo the drop of a row."""
    rows.dropped[row] = False
    rows.void[left] = False
    rows.out.masks[row], rows.out.valid[row] = left, True
    rows.out.ids[row], rows.out.labels[row] = rows.target.ids[row], rows.target.labels[row]
    rows.out.boxes[row] = correct.box_of(left) if left.any() else rows.target.boxes[row]


def _move(rows: Rows, slots: list[int], places: list[int]) -> None:
    """Move rows to other slots, and what the audit says of them."""
    fields = (rows.out.boxes, rows.out.labels, rows.out.valid, rows.out.ids, rows.out.masks, rows.row_source)
    for values in fields:
        moved = values[slots].copy()
        values[slots] = -1 if values is rows.row_source else 0
        values[places] = moved

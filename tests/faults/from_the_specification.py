"""Twenty faults written from the specification alone, before their author had seen a law.

What the laws caught of them at the first run is the one figure about the suite that
nobody could tune: see ``first_run_of_the_blind_faults.json``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from segpaste.types import BatchCopyPasteConfig, Modality, to_q16
from tests.faults.fault import Call, Pasted, Rows, correct, fault, steps_replaced

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS


@fault("4.1", "paste.every_painted_pixel_has_a_row", needs={INSTANCE})
def surplus_is_painted(call: Call) -> Pasted:
    """The paste list is not cut at the free slots: what is beyond them is painted without a row."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        roomy = replace(target, valid=np.zeros(len(plan.order), dtype=bool))
        return correct.paste_list(roomy, source, plan, config)

    return call.paste(paste_list=paste_list)


@fault("4.1", "paste.things_only", needs={INSTANCE, SEMANTIC})
def stuff_rows_are_pasted(call: Call) -> Pasted:
    """With a schema, rows of stuff classes are eligible, too."""

    def paste_list(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> list[int]:
        return correct.paste_list(target, source, plan, config.model_copy(update={"panoptic": None}))

    return call.paste(paste_list=paste_list)


@fault("4.2", "paste.inside_union_is_source.image")
def half_pixel_is_forgotten(call: Call) -> Pasted:
    """The grid maps pixel corners instead of pixel centres."""

    def sample_axis(
        extent: int, shift: int, step: int, valid: int, *, mirrored: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        position = (np.arange(extent) - shift) * step
        inside = (position >> 16 >= 0) & (position >> 16 < valid)
        position = position[inside]
        second = (position & 0xFFFF) >> 8
        taps = np.stack((position >> 16, (position >> 16) + 1)).clip(0, max(valid - 1, 0))
        if mirrored:
            taps = valid - 1 - taps
        return inside, taps[0], taps, np.stack((256 - second, second))

    return call.paste(sample_axis=sample_axis)


@fault("4.2", "paste.inside_union_is_source.image", "metamorphic.source_mirror")
def flip_mirrors_about_the_canvas(call: Call) -> Pasted:
    """A flip mirrors about the canvas, not about the source's valid rectangle."""

    def sample_axis(
        extent: int, shift: int, step: int, valid: int, *, mirrored: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        inside, nearest, taps, weights = correct.sample_axis(extent, shift, step, valid, mirrored=mirrored)
        off = extent - valid if mirrored else 0
        return inside, nearest + off, taps + off, weights

    return call.paste(sample_axis=sample_axis)


@fault("4.3", "paste.inside_union_is_source.image")
def bytes_are_truncated(call: Call) -> Pasted:
    """An interpolated uint8 value is cut off instead of rounded: ``sum >> 16``."""

    def warp_image(grid: Any, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            return correct.warp_image(grid, image)
        total = np.stack([p.astype(np.int64) * w for p, w in grid.four_taps(image)]).sum(axis=0)
        return grid.place((total >> 16).astype(np.uint8))

    return call.paste(warp_image=warp_image)


@fault("4.3", "paste.inside_union_is_source.depth", needs={DEPTH})
def invalid_depth_is_interpolated(call: Call) -> Pasted:
    """Depth is interpolated over invalid taps, too; only the nearest tap's validity counts."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> tuple[np.ndarray, np.ndarray]:
        _, valid = correct.warp_depth(grid, target, source, plan)
        all_read = replace(source, depth_valid=np.ones_like(source.padding))
        depth, _ = correct.warp_depth(grid, target, all_read, plan)
        return np.where(valid, depth, np.float32(0)), valid

    return call.paste(warp_depth=warp_depth)


@fault("4.3", "normals.frame", "metamorphic.source_mirror", needs={NORMALS})
def flipped_normals_keep_x(call: Call) -> Pasted:
    """A flip mirrors the normals map, but not the normals."""
    return call.paste(warp_normals=lambda grid, normals, hflip: correct.warp_normals(grid, normals, False))


@fault("4.4", "audit.union_is_true", needs={DEPTH})
def equal_depth_passes(call: Call) -> Pasted:
    """The z-test is ``d_src <= d_tgt``."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        if target.depth is not None:
            target = replace(target, depth=np.nextafter(target.depth, np.float32(np.inf)))
        return correct.gate_of(target, warped, config)

    return call.paste(gate_of=gate_of)


@fault("4.4", "paste.not_on_ignore", needs={SEMANTIC})
def ignored_source_is_pasted(call: Call) -> Pasted:
    """Only the target's ignored pixels are kept out of the paste, not the source's."""

    def gate_of(target: Any, warped: Any, config: BatchCopyPasteConfig) -> np.ndarray:
        if warped.semantic is not None:
            warped = replace(warped, semantic=np.full_like(warped.semantic, config.ignore_index + 1))
        return correct.gate_of(target, warped, config)

    return call.paste(gate_of=gate_of)


@fault("4.5", "paste.winner_by_priority_and_order", needs={INSTANCE})
def first_pasted_wins_a_tie(call: Call) -> Pasted:
    """Of two rows of the same priority the first pasted wins a contested pixel, not the last."""

    def first_wins(numbers: range, key: Any) -> list[int]:
        return sorted(numbers, key=lambda n: (key(n)[0], -n))

    return call.paste(sorted=first_wins)


@fault("4.6 (2)", "panoptic.stuff_threshold", needs={SEMANTIC})
def stuff_at_its_fraction_is_starved(call: Call) -> Pasted:
    """A stuff class of which exactly ``tau_stuff_frac`` is left counts as starved: ``<=`` for ``<``."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        starved = correct.starved_stuff(target, union, config)
        if config.panoptic is None or target.semantic is None:
            return starved
        tau = to_q16(config.panoptic.tau_stuff_frac)
        for label, kind in config.panoptic.taxonomy.classes.items():
            region = (target.semantic == label) & ~target.padding
            before, left = int(region.sum()), int((region & ~union).sum())
            if kind == "stuff" and left < before and left * 65536 == tau * before:
                starved |= region
        return starved

    return call.paste(starved_stuff=starved_stuff)


@fault("4.6 (3)", "paste.union_is_pasted_masks", needs={INSTANCE})
def pixels_of_a_small_row_are_inherited(call: Call) -> Pasted:
    """Pixels of a row that stays below ``min_pasted_area`` go to the next row that may take them."""

    def paste_one(target: Any, source: Any, plan: Any, config: BatchCopyPasteConfig) -> Any:
        result = correct.paste_one(target, source, plan, config)
        if target.masks is None:
            return result
        slots = correct.paste_list(target, source, plan, config)
        large = [j for j in slots if j in result.row_source]
        with steps_replaced(paste_list=lambda *_: large):
            return correct.paste_one(target, source, plan, config)

    return call.paste(paste_one=paste_one)


@fault("4.6 (3)", "instance.fresh_ids", needs={INSTANCE})
def a_small_row_uses_up_an_id(call: Call) -> Pasted:
    """A row that stays below ``min_pasted_area`` leaves a gap in the fresh ids."""

    def edit(rows: Rows) -> None:
        for position, row in enumerate(rows.new):
            rows.rename(row, rows.out.ids[row] + rows.pasted[position] - position)

    return call.paste_then(edit)


@fault("4.6 (2)", "paste.void_exact", needs={SEMANTIC})
def padding_counts_as_stuff(call: Call) -> Pasted:
    """Pixels of the padding count among those of a stuff class."""

    def starved_stuff(target: Any, union: np.ndarray, config: BatchCopyPasteConfig) -> np.ndarray:
        unpadded = replace(target, padding=np.zeros_like(target.padding))
        return correct.starved_stuff(unpadded, union, config)

    return call.paste(starved_stuff=starved_stuff)


@fault("4.7", "depth.metric_rescaled", needs={DEPTH})
def focal_length_of_x_alone(call: Call) -> Pasted:
    """The metric factor is ``fx_t / fx_s``, as if pixels were square."""

    def metric_factor(target: np.ndarray, source: np.ndarray, step: int) -> np.float64:
        return target[0] / source[0] * np.float64(step) / np.float64(65536)

    return call.paste(metric_factor=metric_factor)


@fault("4.7", "depth.validity_join", needs={DEPTH})
def validity_is_the_source_s(call: Call) -> Pasted:
    """Inside U the validity of the depth is the source's alone, not joined with the target's."""

    def paint(target: Any, source: Any, warped: Any, winner: Any, union: Any, slots: Any) -> Any:
        painted = correct.paint(target, source, warped, winner, union, slots)
        if target.depth_valid is None:
            return painted
        return replace(painted, depth_valid=np.where(union, warped.depth_valid, target.depth_valid))

    return call.paste(paint=paint)


@fault("4.8", "paste.drops_exactly_by_threshold", "metamorphic.count_zero_is_identity", needs={INSTANCE})
def untouched_small_rows_are_dropped(call: Call) -> Pasted:
    """A row below ``min_area`` is dropped although it lost no pixel."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.target.valid & rows.out.valid).tolist():
            if rows.out.masks[row].sum() < rows.config.min_area:
                if rows.out.panoptic is not None:
                    rows.void[rows.out.masks[row]] = True
                rows.dropped[row] = True
                rows.clear(row)

    return call.paste_then(edit)


@fault("4.8", "instance.fresh_ids", needs={INSTANCE})
def fresh_ids_follow_the_survivors(call: Call) -> Pasted:
    """Fresh ids follow the largest id that survives, so that a dropped row's id is given away again."""

    def edit(rows: Rows) -> None:
        nothing = -1 if rows.target.panoptic is None else 0
        survivors = rows.target.ids[rows.target.valid & ~rows.dropped].tolist()
        for n, row in enumerate(rows.new):
            rows.rename(row, max([nothing, *survivors]) + 1 + n)

    return call.paste_then(edit)


@fault("4.9", "panoptic.things_have_ids", "paste.void_exact", needs={PANOPTIC})
def remains_keep_their_label(call: Call) -> Pasted:
    """What is left of a dropped row loses its id in the panoptic map, but keeps its semantic label."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None:
            rows.out.panoptic[rows.void] = 0
        rows.void[:] = False

    return call.paste_then(edit)


@fault("4.11", "paste.inside_union_is_source.semantic", needs={SEMANTIC})
def class_mix_reads_another_bit(call: Call) -> Pasted:
    """The class mix selects a class by the second-lowest bit of its word."""

    def shifted(counter: Any, key: Any) -> tuple[int, ...]:
        return tuple(word >> 1 for word in correct.philox4x32(counter, key))

    return call.paste(philox4x32=shifted)

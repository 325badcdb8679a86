"""Twenty faults written from the specification alone, before their author had seen a law.

What the laws caught of them at the first run is the one figure about the suite that
nobody could tune: see ``first_run_of_the_blind_faults.json``.
"""

# A modality that a fault needs is there; the type checker cannot know.
# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from segpaste.paste import reference
from segpaste.paste.reference import Grid, PasteResult, PlanRow, SampleArrays, Warped
from segpaste.types import (
    BatchCopyPasteConfig,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
    to_q16,
)
from tests.faults.fault import Fault, Pasted, fault, paste_with, steps_replaced

# The correct steps, by names that no fault replaces.
_paste_list = reference.paste_list
_sample_axis = reference.sample_axis
_warp_depth = reference.warp_depth
_warp_normals = reference.warp_normals
_starved_stuff = reference.starved_stuff
_update_rows = reference.update_rows
_paste_one = reference.paste_one
_paint = reference.paint

Batch = PaddedBatchedDenseSample
Config = BatchCopyPasteConfig


@fault("4.1", needs={Modality.INSTANCE})
def surplus_is_painted(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """The paste list is not cut at the free slots: what is beyond them is painted without a row."""

    def paste_list(target: SampleArrays, source: SampleArrays, plan: PlanRow, config: Config) -> list[int]:
        roomy = replace(target, valid=np.zeros(len(plan.order), dtype=bool))
        return _paste_list(roomy, source, plan, config)

    return paste_with(target, source, plan, config, paste_list=paste_list)


@fault("4.1", needs={Modality.INSTANCE, Modality.SEMANTIC})
def stuff_rows_are_pasted(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """With a schema, rows of stuff classes are eligible, too."""

    def paste_list(target: SampleArrays, source: SampleArrays, plan: PlanRow, config: Config) -> list[int]:
        return _paste_list(target, source, plan, config.model_copy(update={"panoptic": None}))

    return paste_with(target, source, plan, config, paste_list=paste_list)


@fault("4.2")
def half_pixel_is_forgotten(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
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

    return paste_with(target, source, plan, config, sample_axis=sample_axis)


@fault("4.2")
def flip_mirrors_about_the_canvas(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """A flip mirrors about the canvas, not about the source's valid rectangle."""

    def sample_axis(
        extent: int, shift: int, step: int, valid: int, *, mirrored: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        inside, nearest, taps, weights = _sample_axis(extent, shift, step, valid, mirrored=mirrored)
        off = extent - valid if mirrored else 0
        return inside, nearest + off, taps + off, weights

    return paste_with(target, source, plan, config, sample_axis=sample_axis)


@fault("4.3")
def bytes_are_truncated(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """An interpolated uint8 value is cut off instead of rounded: ``sum >> 16``."""

    def warp_image(grid: Grid, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            return correct(grid, image)
        total = np.stack([p.astype(np.int64) * w for p, w in grid.four_taps(image)]).sum(axis=0)
        return grid.place((total >> 16).astype(np.uint8))

    correct = reference.warp_image
    return paste_with(target, source, plan, config, warp_image=warp_image)


@fault("4.3", needs={Modality.DEPTH})
def invalid_depth_is_interpolated(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Depth is interpolated over invalid taps, too; only the nearest tap's validity counts."""

    def warp_depth(
        grid: Grid, target: SampleArrays, source: SampleArrays, plan: PlanRow
    ) -> tuple[np.ndarray, np.ndarray]:
        _, valid = _warp_depth(grid, target, source, plan)
        all_read = replace(source, depth_valid=np.ones_like(source.padding))
        depth, _ = _warp_depth(grid, target, all_read, plan)
        return np.where(valid, depth, np.float32(0)), valid

    return paste_with(target, source, plan, config, warp_depth=warp_depth)


@fault("4.3", needs={Modality.NORMALS})
def flipped_normals_keep_x(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """A flip mirrors the normals map, but not the normals."""

    def warp_normals(grid: Grid, normals: np.ndarray, hflip: bool) -> np.ndarray:
        return _warp_normals(grid, normals, False)

    return paste_with(target, source, plan, config, warp_normals=warp_normals)


@fault("4.4", needs={Modality.DEPTH})
def equal_depth_passes(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """The z-test is ``d_src <= d_tgt``."""

    def gate_of(target: SampleArrays, warped: Warped, config: Config) -> np.ndarray:
        if target.depth is None:
            return correct(target, warped, config)
        farther = replace(target, depth=np.nextafter(target.depth, np.float32(np.inf)))
        return correct(farther, warped, config)

    correct = reference.gate_of
    return paste_with(target, source, plan, config, gate_of=gate_of)


@fault("4.4", needs={Modality.SEMANTIC})
def ignored_source_is_pasted(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Only the target's ignored pixels are kept out of the paste, not the source's."""

    def gate_of(target: SampleArrays, warped: Warped, config: Config) -> np.ndarray:
        if warped.semantic is None:
            return correct(target, warped, config)
        labelled = np.full_like(warped.semantic, config.ignore_index + 1)
        return correct(target, replace(warped, semantic=labelled), config)

    correct = reference.gate_of
    return paste_with(target, source, plan, config, gate_of=gate_of)


@fault("4.5", needs={Modality.INSTANCE})
def first_pasted_wins_a_tie(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Of two rows of the same priority the first pasted wins a contested pixel, not the last."""

    def first_wins(numbers: range, key: object) -> list[int]:
        return sorted(numbers, key=lambda n: (key(n)[0], -n))  # pyright: ignore[reportCallIssue]

    return paste_with(target, source, plan, config, sorted=first_wins)


@fault("4.6 (2)", needs={Modality.SEMANTIC})
def stuff_at_its_fraction_is_starved(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """A stuff class of which exactly ``tau_stuff_frac`` is left counts as starved: ``<=`` for ``<``."""

    def starved_stuff(target: SampleArrays, union: np.ndarray, config: Config) -> np.ndarray:
        starved = _starved_stuff(target, union, config)
        if config.panoptic is None or target.semantic is None:
            return starved
        for label, kind in config.panoptic.taxonomy.classes.items():
            region = (target.semantic == label) & ~target.padding
            before, left = int(region.sum()), int((region & ~union).sum())
            if (
                kind == "stuff"
                and left < before
                and left << 16 == to_q16(config.panoptic.tau_stuff_frac) * before
            ):
                starved |= region
        return starved

    return paste_with(target, source, plan, config, starved_stuff=starved_stuff)


@fault("4.6 (3)", needs={Modality.INSTANCE})
def pixels_of_a_small_row_are_inherited(
    target: Batch, source: Batch, plan: PastePlan, config: Config
) -> Pasted:
    """Pixels of a row that stays below ``min_pasted_area`` go to the next row that may take them."""

    def paste_one(target: SampleArrays, source: SampleArrays, plan: PlanRow, config: Config) -> PasteResult:
        result = _paste_one(target, source, plan, config)
        if target.masks is None:
            return result
        slots = _paste_list(target, source, plan, config)
        large = [j for j in slots if j in result.row_source]
        with steps_replaced(paste_list=lambda *_: large):
            return _paste_one(target, source, plan, config)

    return paste_with(target, source, plan, config, paste_one=paste_one)


@fault("4.6 (3)", needs={Modality.INSTANCE})
def a_small_row_uses_up_an_id(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """A row that stays below ``min_pasted_area`` leaves a gap in the fresh ids."""

    def update_rows(
        painted: SampleArrays,
        target: SampleArrays,
        source: SampleArrays,
        winner: np.ndarray,
        union: np.ndarray,
        slots: list[int],
        pasted: list[int],
        config: Config,
    ) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
        rows, row_source, dropped, remains = _update_rows(
            painted, target, source, winner, union, slots, pasted, config
        )
        for row in np.flatnonzero(row_source >= 0):
            n = slots.index(row_source[row])
            rows.ids[row] += n - pasted.index(n)
            if rows.panoptic is not None:
                rows.panoptic[rows.masks[row]] = rows.ids[row]
        return rows, row_source, dropped, remains

    return paste_with(target, source, plan, config, update_rows=update_rows)


@fault("4.6 (2)", needs={Modality.SEMANTIC})
def padding_counts_as_stuff(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Pixels of the padding count among those of a stuff class."""

    def starved_stuff(target: SampleArrays, union: np.ndarray, config: Config) -> np.ndarray:
        return _starved_stuff(replace(target, padding=np.zeros_like(target.padding)), union, config)

    return paste_with(target, source, plan, config, starved_stuff=starved_stuff)


@fault("4.7", needs={Modality.DEPTH})
def focal_length_of_x_alone(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """The metric factor is ``fx_t / fx_s``, as if pixels were square."""

    def metric_factor(target: np.ndarray, source: np.ndarray, step: int) -> np.float64:
        return target[0] / source[0] * np.float64(step) / np.float64(65536)

    return paste_with(target, source, plan, config, metric_factor=metric_factor)


@fault("4.7", needs={Modality.DEPTH})
def validity_is_the_source_s(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Inside U the validity of the depth is the source's alone, not joined with the target's."""

    def paint(
        target: SampleArrays,
        source: SampleArrays,
        warped: Warped,
        winner: np.ndarray,
        union: np.ndarray,
        slots: list[int],
    ) -> SampleArrays:
        painted = _paint(target, source, warped, winner, union, slots)
        if target.depth_valid is None or warped.depth_valid is None:
            return painted
        return replace(painted, depth_valid=np.where(union, warped.depth_valid, target.depth_valid))

    return paste_with(target, source, plan, config, paint=paint)


@fault("4.8", needs={Modality.INSTANCE})
def untouched_small_rows_are_dropped(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """A row below ``min_area`` is dropped although it lost no pixel."""

    def update_rows(
        painted: SampleArrays,
        target: SampleArrays,
        source: SampleArrays,
        winner: np.ndarray,
        union: np.ndarray,
        slots: list[int],
        pasted: list[int],
        config: Config,
    ) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
        rows, row_source, dropped, remains = _update_rows(
            painted, target, source, winner, union, slots, pasted, config
        )
        for row in np.flatnonzero(target.valid & rows.valid):
            if rows.masks[row].sum() < config.min_area:
                if rows.panoptic is not None:
                    remains |= rows.masks[row]
                dropped[row] = True
                for field in (rows.boxes, rows.labels, rows.valid, rows.ids, rows.masks):
                    field[row] = 0
        return rows, row_source, dropped, remains

    return paste_with(target, source, plan, config, update_rows=update_rows)


@fault("4.8", needs={Modality.INSTANCE})
def fresh_ids_follow_the_survivors(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """Fresh ids follow the largest id that survives, so that a dropped row's id is given away again."""

    def update_rows(
        painted: SampleArrays,
        target: SampleArrays,
        source: SampleArrays,
        winner: np.ndarray,
        union: np.ndarray,
        slots: list[int],
        pasted: list[int],
        config: Config,
    ) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
        rows, row_source, dropped, remains = _update_rows(
            painted, target, source, winner, union, slots, pasted, config
        )
        fresh = np.flatnonzero(row_source >= 0)
        survivors = target.ids[target.valid & ~dropped]
        nothing = -1 if target.panoptic is None else 0
        for n, row in enumerate(fresh):
            rows.ids[row] = max([nothing, *survivors.tolist()]) + 1 + n
            if rows.panoptic is not None:
                rows.panoptic[rows.masks[row]] = rows.ids[row]
        return rows, row_source, dropped, remains

    return paste_with(target, source, plan, config, update_rows=update_rows)


@fault("4.9", needs={Modality.PANOPTIC})
def remains_keep_their_label(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """What is left of a dropped row loses its id in the panoptic map, but keeps its semantic label."""

    def update_rows(
        painted: SampleArrays,
        target: SampleArrays,
        source: SampleArrays,
        winner: np.ndarray,
        union: np.ndarray,
        slots: list[int],
        pasted: list[int],
        config: Config,
    ) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
        rows, row_source, dropped, remains = _update_rows(
            painted, target, source, winner, union, slots, pasted, config
        )
        if rows.panoptic is not None:
            rows.panoptic[remains] = 0
        return rows, row_source, dropped, np.zeros_like(remains)

    return paste_with(target, source, plan, config, update_rows=update_rows)


@fault("4.11", needs={Modality.SEMANTIC})
def class_mix_reads_another_bit(target: Batch, source: Batch, plan: PastePlan, config: Config) -> Pasted:
    """The class mix selects a class by the second-lowest bit of its word."""

    def class_mix_pixels(warped: Warped, plan: PlanRow, config: Config) -> np.ndarray:
        def shifted(counter: Any, key: Any) -> tuple[int, ...]:
            return tuple(word >> 1 for word in philox(counter, key))

        philox = reference.philox4x32
        with steps_replaced(philox4x32=shifted):
            return correct(warped, plan, config)

    correct = reference.class_mix_pixels
    return paste_with(target, source, plan, config, class_mix_pixels=class_mix_pixels)


BLIND: tuple[Fault, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Fault))

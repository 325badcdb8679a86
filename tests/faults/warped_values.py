"""Faults in the values that are warped (4.3) and in the metric factor (4.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from segpaste.types import Modality
from tests.faults.fault import Call, Pasted, correct, fault, steps_replaced

INSTANCE, SEMANTIC = Modality.INSTANCE, Modality.SEMANTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS
Depth = tuple[np.ndarray, np.ndarray]


@fault("4.3", "paste.inside_union_is_source.instance", needs={INSTANCE})
def masks_are_interpolated(call: Call) -> Pasted:
    """Masks are warped bilinearly and cut at one half."""

    class Grid(correct.Grid):
        def nearest(self, values: np.ndarray) -> np.ndarray:
            if values.dtype != bool:
                return super().nearest(values)
            return self.place(sum(p * w for p, w in self.four_taps(values)) >= 32768)

    return call.paste(Grid=Grid)


@fault("4.3", "paste.inside_union_is_source.semantic", needs={SEMANTIC, INSTANCE})
def labels_are_interpolated(call: Call) -> Pasted:
    """The semantic map is warped bilinearly and rounded: classes in between are invented."""

    class Grid(correct.Grid):
        def nearest(self, values: np.ndarray) -> np.ndarray:
            if values.dtype != np.int64:
                return super().nearest(values)
            return self.place((sum(p * w for p, w in self.four_taps(values)) + 32768) >> 16)

    return call.paste(Grid=Grid)


@fault("4.3: on the integers themselves", "paste.inside_union_is_source.semantic", needs={SEMANTIC})
def labels_are_bytes(call: Call) -> Pasted:
    """The semantic map is warped as uint8: labels above 255 wrap round."""

    class Grid(correct.Grid):
        def nearest(self, values: np.ndarray) -> np.ndarray:
            seen = super().nearest(values)
            return seen & 0xFF if values.dtype == np.int64 else seen

    return call.paste(Grid=Grid)


@fault("4.3", "paste.inside_union_is_source.image")
def bytes_round_half_to_even(call: Call) -> Pasted:
    """An interpolated uint8 value goes through ``round()``, so that halves go to even."""

    def warp_image(grid: Any, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            return correct.warp_image(grid, image)
        return grid.place(np.rint(correct.weighted_sum(grid.four_taps(image)) / 65536.0).astype(np.uint8))

    return call.paste(warp_image=warp_image)


@fault("4.3", "paste.inside_union_is_source.image")
def bytes_are_interpolated_in_two_passes(call: Call) -> Pasted:
    """A uint8 image is rounded after the columns and again after the rows."""

    def warp_image(grid: Any, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.uint8:
            return correct.warp_image(grid, image)
        (first, second), rows = grid.weights_x, []
        for taps_y in grid.taps_y:
            left, right = (image[:, taps_y[:, None], x[None, :]].astype(np.int64) for x in grid.taps_x)
            rows.append((left * first + right * second + 128) >> 8)
        top, bottom = (w[:, None] for w in grid.weights_y)
        return grid.place(((rows[0] * top + rows[1] * bottom + 128) >> 8).astype(np.uint8))

    return call.paste(warp_image=warp_image)


@fault("4.3: in float64", "paste.inside_union_is_source.image")
def floats_are_summed_in_float32(call: Call) -> Pasted:
    """A float32 image is interpolated in float32."""

    def warp_image(grid: Any, image: np.ndarray) -> np.ndarray:
        if image.dtype != np.float32:
            return correct.warp_image(grid, image)
        terms = [p * (w / 65536).astype(np.float32) for p, w in grid.four_taps(image)]
        return grid.place((terms[0] + terms[1]) + (terms[2] + terms[3]))

    return call.paste(warp_image=warp_image)


@fault("4.2: one tap of weight 65536 stands alone", "paste.inside_union_is_source.image")
def negative_zero_is_lost(call: Call) -> Pasted:
    """Zero terms are added to a tap that stands alone: -0.0 + 0.0 is +0.0."""

    def weighted_sum(taps: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        terms = [np.where(w > 0, p, 0.0).astype(np.float64) * w for p, w in taps]
        return (terms[0] + terms[1]) + (terms[2] + terms[3])

    return call.paste(weighted_sum=weighted_sum)


@fault("4.3: (p00 w00 + p01 w01) + (p10 w10 + p11 w11)", "paste.inside_union_is_source.image")
def taps_are_paired_by_column(call: Call) -> Pasted:
    """Interpolation adds the taps of a column first, and then the columns."""

    def weighted_sum(taps: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return correct.weighted_sum([taps[0], taps[2], taps[1], taps[3]])

    return call.paste(weighted_sum=weighted_sum)


@fault("4.3: (p00 w00 + p01 w01) + (p10 w10 + p11 w11)", "paste.inside_union_is_source.depth", needs={DEPTH})
def taps_of_depth_are_paired_by_column(call: Call) -> Pasted:
    """The sum over valid depths adds the taps of a column first, and then the columns."""

    def weighted_sum(taps: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return correct.weighted_sum([taps[0], taps[2], taps[1], taps[3]])

    def warp_depth(*given: Any) -> Depth:
        with steps_replaced(weighted_sum=weighted_sum):
            return correct.warp_depth(*given)

    return call.paste(warp_depth=warp_depth)


@fault("4.3", "paste.inside_union_is_source.depth", needs={DEPTH})
def holes_pull_depth_to_zero(call: Call) -> Pasted:
    """The sum over valid taps is divided by 65536, not by their weight."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        depth, valid = correct.warp_depth(grid, target, source, plan)
        seen = grid.four_taps(source.depth_valid)
        share = grid.place(sum(np.where(ok, w, 0) for ok, w in seen) / 65536)
        return (depth * share).astype(np.float32), valid

    return call.paste(warp_depth=warp_depth)


@fault("4.3", "paste.inside_union_is_source.depth", needs={DEPTH})
def depth_is_the_nearest_tap_s(call: Call) -> Pasted:
    """Depth is not interpolated."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        _, valid = correct.warp_depth(grid, target, source, plan)
        depth = grid.nearest(np.where(source.depth_valid, source.depth, 0)).astype(np.float64)
        if target.metric and source.metric:
            depth = depth * correct.metric_factor(target.camera, source.camera, plan.step)
        return np.where(valid, depth, 0).astype(np.float32), valid

    return call.paste(warp_depth=warp_depth)


@fault("4.3", "paste.inside_union_is_source.depth", needs={DEPTH})
def one_valid_tap_is_enough(call: Call) -> Pasted:
    """V_src holds where any tap is valid, not where the nearest one is."""
    return call.paste(warp_depth=_judged_by(np.logical_or))


@fault("4.3", "paste.inside_union_is_source.depth", needs={DEPTH})
def every_tap_must_be_valid(call: Call) -> Pasted:
    """V_src holds where all taps are valid, not where the nearest one is."""
    return call.paste(warp_depth=_judged_by(np.logical_and))


@fault("4.3", "depth.positive_where_valid", needs={DEPTH})
def overflowing_depth_stays_valid(call: Call) -> Pasted:
    """V_src is the nearest tap's validity, also where the rescaled depth is infinite or zero."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        depth, _ = correct.warp_depth(grid, target, source, plan)
        return depth, grid.nearest(source.depth_valid)

    return call.paste(warp_depth=warp_depth)


@fault("4.3: V_src where d is finite and > 0", "depth.positive_where_valid", needs={DEPTH})
def underflowing_depth_stays_valid(call: Call) -> Pasted:
    """V_src asks for a finite depth, not for a positive one: what is rescaled to 0 stays valid."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        depth, valid = correct.warp_depth(grid, target, source, plan)
        if not (target.metric and source.metric):
            return depth, valid
        raw, usable = correct.warp_depth(grid, replace(target, metric=False), source, plan)
        exact = raw.astype(np.float64) * correct.metric_factor(target.camera, source.camera, plan.step)
        return depth, valid | (usable & (exact < 1) & ~valid)

    return call.paste(warp_depth=warp_depth)


@fault("4.3: d = 0 where V_src is false", "paste.inside_union_is_source.depth", needs={DEPTH})
def garbage_under_invalid_depth_is_pasted(call: Call) -> Pasted:
    """Where V_src is false the nearest tap's garbage is written."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        depth, valid = correct.warp_depth(grid, target, source, plan)
        return np.where(valid, depth, grid.nearest(source.depth)), valid

    return call.paste(warp_depth=warp_depth)


@fault("4.7; never rescaled in the wild", "depth.metric_rescaled", needs={DEPTH})
def metric_depth_is_not_rescaled(call: Call) -> Pasted:
    """Metric depth is pasted as it is."""
    return call.paste(metric_factor=lambda target, source, step: np.float64(1))


@fault("4.7: the formula at scale 1", "depth.metric_rescaled", needs={DEPTH})
def metric_factor_forgets_the_scale(call: Call) -> Pasted:
    """The metric factor is that of the two cameras alone."""
    return call.paste(metric_factor=lambda target, source, step: _factor(target, source, 65536))


@fault("4.7", "depth.metric_rescaled", needs={DEPTH})
def larger_is_farther(call: Call) -> Pasted:
    """The metric factor multiplies by the scale instead of dividing by it."""
    return call.paste(metric_factor=lambda target, source, step: _factor(target, source, 2**32 / step))


@fault("4.7", "depth.metric_rescaled", needs={DEPTH})
def cameras_are_exchanged(call: Call) -> Pasted:
    """The metric factor has the source's focal length over the target's."""
    return call.paste(metric_factor=lambda target, source, step: _factor(source, target, step))


@fault("4.7: in float64", "depth.metric_rescaled", needs={DEPTH})
def metric_factor_is_float32(call: Call) -> Pasted:
    """The metric factor is rounded to float32 before it is used."""
    return call.paste(metric_factor=lambda *given: np.float64(np.float32(correct.metric_factor(*given))))


@fault("4.3: where both samples are metric", "paste.inside_union_is_source.depth", needs={DEPTH})
def relative_depth_is_rescaled(call: Call) -> Pasted:
    """Relative depth is divided by the scale, too."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        depth, valid = correct.warp_depth(grid, target, source, plan)
        return depth if target.metric else (depth * (plan.step / 65536)).astype(np.float32), valid

    return call.paste(warp_depth=warp_depth)


@fault("4.3; seen in the wild", "normals.unit_norm", needs={NORMALS})
def normals_are_not_renormalised(call: Call) -> Pasted:
    """Interpolated normals keep the length that interpolation leaves them."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        mean = (correct.weighted_sum(grid.four_taps(normals)) / 65536.0).astype(np.float32)
        if hflip:
            mean[0] = np.float32(0) - mean[0]
        return grid.place(mean)

    return call.paste(warp_normals=warp_normals)


@fault("4.3: in float64", "paste.inside_union_is_source.normals", needs={NORMALS})
def normals_are_renormalised_in_float32(call: Call) -> Pasted:
    """The length of a normal is computed in float32."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        q = correct.weighted_sum(grid.four_taps(normals)).astype(np.float32)
        length = np.sqrt((q[0] * q[0] + q[1] * q[1]) + q[2] * q[2])
        unit = np.divide(q, length, out=np.zeros_like(q), where=length > 0)
        if hflip:
            unit[0] = np.float32(0) - unit[0]
        return grid.place(unit)

    return call.paste(warp_normals=warp_normals)


@fault("4.3: q = rint(S * 512)", "paste.inside_union_is_source.normals", needs={NORMALS})
def normals_are_not_quantised(call: Call) -> Pasted:
    """Normals are renormalised from the sum itself, not from its 26-bit integers."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        s = correct.weighted_sum(grid.four_taps(normals)) + 0.0
        length = np.sqrt((s[0] * s[0] + s[1] * s[1]) + s[2] * s[2])
        unit = np.divide(s, length, out=np.zeros_like(s), where=length > 0).astype(np.float32)
        if hflip:
            unit[0] = np.float32(0) - unit[0]
        return grid.place(unit)

    return call.paste(warp_normals=warp_normals)


@fault("4.3", "paste.inside_union_is_source.normals", needs={NORMALS})
def normals_are_the_nearest_tap_s(call: Call) -> Pasted:
    """Normals are not interpolated."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        seen = grid.nearest(normals)
        if hflip:
            seen[0] = np.float32(0) - seen[0]
        return seen

    return call.paste(warp_normals=warp_normals)


@fault("4.3", "normals.frame", needs={NORMALS})
def flipped_normals_turn_y(call: Call) -> Pasted:
    """A flip negates n_y instead of n_x."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        unit = correct.warp_normals(grid, normals, False)
        if hflip:
            unit[1] = np.float32(0) - unit[1]
        return unit

    return call.paste(warp_normals=warp_normals)


@fault("4.3: 0 - x", "paste.inside_union_is_source.normals", needs={NORMALS})
def flipped_normals_have_negative_zeros(call: Call) -> Pasted:
    """A flip negates n_x as ``-x``, so that 0 becomes -0."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        unit = correct.warp_normals(grid, normals, False)
        if hflip:
            unit[0] = -unit[0]
        return unit

    return call.paste(warp_normals=warp_normals)


@fault("4.3: the zero vector means no normal", "paste.inside_union_is_source.normals", needs={NORMALS})
def missing_normals_face_the_camera(call: Call) -> Pasted:
    """Where the source has no normal, (0, 0, -1) is pasted."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        unit = correct.warp_normals(grid, normals, hflip)
        unit[2, grid.inside & (unit == 0).all(axis=0)] = -1
        return unit

    return call.paste(warp_normals=warp_normals)


@fault("4.3: where q is zero", "paste.inside_union_is_source.normals", needs={NORMALS})
def vanishing_normals_stay_zero(call: Call) -> Pasted:
    """Where interpolation vanishes nothing is put in its place."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        unit = correct.warp_normals(grid, normals, hflip)
        vanished = (np.rint(correct.weighted_sum(grid.four_taps(normals)) * 512) == 0).all(axis=0)
        unit[:, grid.place(vanished)] = 0
        return unit

    return call.paste(warp_normals=warp_normals)


@fault(
    "4.3: the nearest tap's normal, mirrored, too", "paste.inside_union_is_source.normals", needs={NORMALS}
)
def fallback_normals_are_not_mirrored(call: Call) -> Pasted:
    """Under a flip the nearest normal that stands in for a vanished one keeps its n_x."""

    def warp_normals(grid: Any, normals: np.ndarray, hflip: bool) -> np.ndarray:
        unit = correct.warp_normals(grid, normals, hflip)
        if hflip:
            vanished = (np.rint(correct.weighted_sum(grid.four_taps(normals)) * 512) == 0).all(axis=0)
            there = grid.place(vanished)
            unit[0, there] = np.float32(0) - unit[0, there]
        return unit

    return call.paste(warp_normals=warp_normals)


def _factor(target: np.ndarray, source: np.ndarray, step: float) -> np.float64:
    return (
        np.sqrt(target[0] * target[1]) / np.sqrt(source[0] * source[1]) * np.float64(step) / np.float64(65536)
    )


def _judged_by(join: Callable[..., Any]) -> Callable[..., Depth]:
    """Depth whose validity joins that of the taps of non-zero weight."""

    def warp_depth(grid: Any, target: Any, source: Any, plan: Any) -> Depth:
        everywhere = replace(source, depth_valid=np.ones_like(source.depth_valid))
        taps = grid.four_taps(source.depth_valid)
        neutral = join is np.logical_and
        valid = join.reduce([np.where(w > 0, ok, neutral) for ok, w in taps])  # pyright: ignore[reportFunctionMemberAccess]
        depth, _ = correct.warp_depth(grid, target, source, plan)
        alone, _ = correct.warp_depth(grid, target, everywhere, plan)
        depth = np.where(depth > 0, depth, np.where(np.isfinite(alone), np.abs(alone), 1))
        valid = grid.place(valid) & (depth > 0)
        return np.where(valid, depth, 0).astype(np.float32), valid

    return warp_depth

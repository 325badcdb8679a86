"""What a law of a traced augmentation judges: before, after, and where every pixel came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn.functional import max_pool2d

from segpaste.invariants.masks import tight_boxes
from segpaste.invariants.provenance import DONOR, TARGET, Trace
from segpaste.invariants.report import Finding, not_decidable
from segpaste.invariants.sample_case import DEFAULT_IGNORE
from segpaste.invariants.view import SampleView, present, view_of
from segpaste.types import DenseSample, PaddedBatchedDenseSample, PanopticSchema

Sample = DenseSample | PaddedBatchedDenseSample
Object = tuple[int, int]
"""(origin, row): a row of the target (0) or of the donor (1)."""

LARGEST_RESIDUAL = 0.75
"""Nearest sampling is off an affine map by half a pixel; more is a map of another kind."""

LEAST_SPAN = 2
"""Columns and rows, less one, without which an exchange of two columns looks like a flip."""

SAMPLED_BESIDE = 1.0
"""Pixels of the output by which a box that was computed may miss a mask that was sampled."""

_LARGEST_EXACT_REACH = 8
_OBJECTS_AT_ONCE = 8
_FEWEST_PIXELS = 4
_LEAST_SPREAD = 0.25


@dataclass(frozen=True, eq=False)
class Affine:
    """A least-squares fit ``(column, row) = linear @ (x, y) + shift`` of a trace.

    Attributes:
        linear: ``[2, 2]`` float64.
        shift: ``[2]`` float64.
        residual: the largest distance of a fitted coordinate from the traced one, pixels.
        span: the numbers of output columns and rows that the fit saw, less one.
    """

    linear: torch.Tensor
    shift: torch.Tensor
    residual: float
    span: tuple[int, int]


class TransformCase:
    """One traced augmentation under judgement.

    A pixel is *sure* for a map where interpolation cannot be what explains a difference.
    Where the trace of its input is exact, that is every known pixel. Elsewhere libraries
    differ by up to a pixel in where nearest sampling looks, and an interpolated image says
    only to within a pixel which pixel is meant: there a pixel is sure if its 3 x 3
    neighbourhood in the output is all known and of one origin, and the map is constant in
    the ``2r + 1`` square around the nearest source pixel, ``r`` the stretch there (source
    pixels per output pixel), rounded up, at least 1. A difference at such a pixel is no
    matter of how one interpolates.

    Args:
        before: the target.
        after: the output.
        donor: the second input, if there was one.
        trace: where the pixels of the output came from, or why that is not known.
        schema: the class table.
    """

    def __init__(
        self,
        before: Sample,
        after: Sample,
        donor: Sample | None,
        trace: Trace | str,
        schema: PanopticSchema | None = None,
    ) -> None:
        self.before = view_of(before)
        self.after = view_of(after)
        self.given_donor = None if donor is None else view_of(donor)
        self.given_trace = trace
        self.schema = schema

    @property
    def ignore(self) -> int:
        """The semantic label that means *no label*."""
        return DEFAULT_IGNORE if self.schema is None else self.schema.ignore_index

    @property
    def undecidable(self) -> Finding | None:
        """What a law that needs the trace answers where there is none."""
        return not_decidable(self.given_trace) if isinstance(self.given_trace, str) else None

    @cached_property
    def trace(self) -> Trace:
        """The trace.

        Raises:
            ValueError: if there is none, or it is of another canvas than the output.
        """
        trace = self.given_trace
        if isinstance(trace, str):
            raise ValueError(f"trace: {trace}")
        if tuple(trace.known.shape) != self.after.canvas:
            raise ValueError(
                f"trace: got a trace of {tuple(trace.known.shape)}, expected one of {self.after.canvas}"
            )
        return trace

    @property
    def mixes(self) -> bool:
        """Whether there was a second input, seen or not: ids may then have to be given anew."""
        return self.given_donor is not None

    @cached_property
    def donor(self) -> SampleView | None:
        """The second input, if as far as is known it takes part."""
        if isinstance(self.given_trace, Trace) and not self.given_trace.shows_donor:
            return None
        return self.given_donor

    @cached_property
    def inputs(self) -> dict[int, SampleView]:
        """By origin."""
        views = {TARGET: self.before}
        return views if self.donor is None else {**views, DONOR: self.donor}

    @cached_property
    def objects(self) -> list[Object]:
        """Every row of every input that has masks."""
        return [(o, k) for o, view in self.inputs.items() if view.masks is not None for k in used(view)]

    @cached_property
    def object_labels(self) -> list[int]:
        """The label of each of ``objects``."""
        return [int(self.inputs[o].labels[k]) for o, k in self.objects]

    @cached_property
    def rows(self) -> list[int]:
        """The used slots of the output."""
        return used(self.after)

    @cached_property
    def steady(self) -> torch.Tensor:
        """``[H', W']`` bool: known pixels whose 3 x 3 neighbourhood is known and of one origin."""
        origin = self.trace.origin.to(torch.float32)[None]
        least, most = -max_pool2d(-origin, 3, 1, 1), max_pool2d(origin, 3, 1, 1)
        return self.trace.known & (least == most)[0]

    @cached_property
    def reach(self) -> torch.Tensor:
        """``[H', W']`` int64, r: how far from the nearest source pixel another may be meant."""
        trace = self.trace
        step = torch.zeros_like(trace.x)
        for value in (trace.x, trace.y):
            for axis in (0, 1):
                change = value.diff(dim=axis).abs().nan_to_num(nan=0.0)
                length = change.shape[axis]
                for start in (0, 1):
                    part = step.narrow(axis, start, length)
                    part.copy_(torch.maximum(part, change))
        for origin in (TARGET, DONOR):
            least = trace.stretch_of[origin]
            step = torch.where(trace.origin == origin, step.clamp(min=least), step)
        reach = (step - trace.resolution - 1e-3).ceil().clamp(min=1).to(torch.int64)
        if trace.resolution >= 0.5:
            reach += 1
        # Few different numbers, so that few filters do.
        coarse = 2 ** reach.to(torch.float64).log2().ceil().to(torch.int64)
        return torch.where(reach > _LARGEST_EXACT_REACH, coarse, reach)

    @cached_property
    def exactly(self) -> torch.Tensor:
        """``[H', W']`` bool: known pixels of an input whose trace is exact."""
        exact = torch.zeros_like(self.trace.known)
        for origin in (TARGET, DONOR):
            if self.trace.exact_of[origin]:
                exact |= self.trace.origin == origin
        return exact

    def shown(self, maps: dict[int, torch.Tensor]) -> torch.Tensor:
        """The values that the output's pixels show.

        Args:
            maps: by origin, ``[N, H, W]`` of one dtype.

        Returns:
            ``[N, H', W']``; zero where no such input is shown.
        """
        trace = self.trace
        some = next(iter(maps.values()))
        out = torch.zeros((some.shape[0], *trace.known.shape), dtype=some.dtype, device=some.device)
        for origin, value in maps.items():
            here = trace.origin == origin
            out[:, here] = value[:, trace.row[here], trace.column[here]]
        return out

    def extremes(self, maps: dict[int, torch.Tensor], more: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Least and greatest value in the square around the pixel shown, ``[N, H', W']`` float64.

        Args:
            maps: by origin, ``[N, H, W]``, finite.
            more: pixels by which the square's radius exceeds ``reach``.
        """
        trace = self.trace
        some = next(iter(maps.values()))
        least = torch.zeros((some.shape[0], *trace.known.shape), dtype=torch.float64, device=some.device)
        most = torch.zeros_like(least)
        for origin, value in maps.items():
            if value.shape[0] == 0:
                continue
            exact_values = value.to(torch.float64)[None]
            here = trace.origin == origin
            for radius in self.reach[here].unique().tolist():
                window = min(radius + more, max(value.shape[-2:]))
                high = _largest_around(exact_values, window)[0]
                low = -_largest_around(-exact_values, window)[0]
                where = here & (self.reach == radius)
                row, column = trace.row[where], trace.column[where]
                most[:, where] = high[:, row, column]
                least[:, where] = low[:, row, column]
        return least, most

    def sure(self, maps: dict[int, torch.Tensor]) -> torch.Tensor:
        """``[N, H', W']`` bool, where each map is sure (see the class); False where not shown."""
        trace = self.trace
        there = torch.zeros_like(trace.known)
        for origin in maps:
            there |= trace.origin == origin
        some = next(iter(maps.values()))
        count = some.shape[0]
        if not bool((there & ~self.exactly).any()):
            return there.expand(count, *there.shape)
        least, most = self.extremes(maps)
        return there & (self.exactly | (self.steady & (least == most)))

    def field(self, name: str) -> dict[int, torch.Tensor]:
        """A map of every input that has it, by origin, ``[N, H, W]``."""
        found = {o: getattr(view, name) for o, view in self.inputs.items()}
        return {o: v if v.ndim == 3 else v[None] for o, v in found.items() if v is not None}

    @cached_property
    def object_shown(self) -> torch.Tensor:
        """``[objects, H', W']`` bool: the pixel shown lies in the object's mask."""
        return self._per_object(self.shown)

    @cached_property
    def object_sure(self) -> torch.Tensor:
        """``[objects, H', W']`` bool: whether the pixel shows the object is sure.

        A steady or exact pixel of the other input surely does not show it.
        """
        certain = self.exactly | self.steady
        sure = self._per_object(self.sure)
        for n, (origin, _) in enumerate(self.objects):
            sure[n] |= certain & (self.trace.origin != origin)
        return sure

    @cached_property
    def object_near(self) -> torch.Tensor:
        """``[objects, H', W']`` bool: where not exact, the object is within reach of the pixel shown."""
        near = self._per_object(lambda maps: self.extremes(maps)[1] > 0)
        return torch.where(self.exactly, self.object_shown, near)

    def _per_object(self, of: Callable[[dict[int, torch.Tensor]], torch.Tensor]) -> torch.Tensor:
        parts: list[torch.Tensor] = []
        for origin, view in self.inputs.items():
            rows = used(view)
            if view.masks is not None and rows:
                # A few at a time: numbers at every pixel for every object would fill the memory.
                for start in range(0, len(rows), _OBJECTS_AT_ONCE):
                    some = rows[start : start + _OBJECTS_AT_ONCE]
                    parts.append(of({origin: view.masks[some]}).clone())
        if not parts:
            return torch.zeros((0, *self.trace.known.shape), dtype=torch.bool, device=self.trace.known.device)
        return torch.cat(parts)

    def claims(self, row: int, *, keeps_ids: bool) -> list[int]:
        """Which of ``objects`` a row of the output may be.

        Args:
            row: slot of the output.
            keeps_ids: whether a row under an id of the target's is that row (or a row of
                the donor's of that id, whose own id was kept). Any other id may have been
                given anew, and the row may be any object.
        """
        ids = present(self.after.ids)
        wanted = int(ids[row])
        every = list(range(len(self.objects)))
        if not keeps_ids:
            return every
        of = [int(present(self.inputs[o].ids)[k]) for o, k in self.objects]
        is_known = any(of[n] == wanted and self.objects[n][0] == TARGET for n in every)
        return [n for n in every if of[n] == wanted] if is_known else every

    def sampled_box_slack(self) -> torch.Tensor:
        """``[K, 4]`` float64, by how many pixels a box may miss a mask that was sampled.

        A pixel on each side, and outward as far as the object may reach: parts of it may be
        too thin to be sampled.
        """
        tight = tight_boxes(present(self.after.masks)).to(torch.float64)
        slack = torch.full_like(tight, SAMPLED_BESIDE)
        reaches = tight_boxes(self.object_near)
        outward = torch.tensor([-1, -1, 1, 1], device=tight.device)
        for row in self.rows:
            for n in self.claims(row, keeps_ids=not self.mixes):
                if bool((self.object_near[n] & present(self.after.masks)[row]).any()):
                    slack[row] = slack[row].maximum((reaches[n] - tight[row]) * outward + SAMPLED_BESIDE)
        return slack

    def affine(self, origin: int) -> Affine | None:
        """How output pixels map to those of one input; None if not known, or by no affine map."""
        fit = self.nearest_affine(origin)
        return None if fit is None or fit.residual > LARGEST_RESIDUAL else fit

    def follows(self, fit: Affine, origin: int) -> bool:
        """Whether every known pixel of an input lies where a fit says, clamped to the input.

        A fit may have seen few of them; what wraps round follows none.
        """
        here = self.trace.origin == origin
        y, x = here.nonzero().to(torch.float64).unbind(dim=1)
        height, width = self.trace.sizes[origin]
        places = fit.linear @ torch.stack([x, y]) + fit.shift[:, None]
        off_x = places[0].clamp(0, width - 1) - self.trace.x[here]
        off_y = places[1].clamp(0, height - 1) - self.trace.y[here]
        far = LARGEST_RESIDUAL + max(1.0, self.trace.stretch_of[origin])
        return float(off_x.abs().amax()) <= far and float(off_y.abs().amax()) <= far

    def nearest_affine(self, origin: int) -> Affine | None:
        """The affine map that comes nearest to how output pixels map to those of one input.

        None where the known pixels do not span the plane. Where an image is interpolated,
        pixels at the edge of the input are left out: what they show is clamped to it.
        """
        trace = self.trace
        here = trace.origin == origin
        if not trace.exact_of[origin]:
            height, width = trace.sizes[origin]
            margin = max(1.0, trace.stretch_of[origin])
            x, y = trace.x, trace.y
            inner = (x >= margin) & (x <= width - 1 - margin) & (y >= margin) & (y <= height - 1 - margin)
            here = here & inner
        at_y, at_x = here.nonzero().to(torch.float64).unbind(dim=1)
        if at_x.numel() < _FEWEST_PIXELS:
            return None
        centre = torch.stack([at_x.mean(), at_y.mean()])
        design = torch.stack([at_x - centre[0], at_y - centre[1]], dim=1)
        places = torch.stack([trace.x[here], trace.y[here]], dim=1)
        gram = design.T @ design
        if float(torch.linalg.eigvalsh(gram)[0]) < _LEAST_SPREAD:
            return None
        mean = places.mean(dim=0)
        linear = torch.linalg.solve(gram, design.T @ (places - mean)).T
        error = design @ linear.T + mean - places
        return Affine(
            linear=linear,
            shift=mean - linear @ centre,
            residual=float(error.abs().max()),
            span=(at_x.unique().numel() - 1, at_y.unique().numel() - 1),
        )


def _largest_around(values: torch.Tensor, radius: int) -> torch.Tensor:
    """The largest value in the square of that radius; rows, then columns, which costs 2r and not r^2."""
    side = 2 * radius + 1
    return max_pool2d(max_pool2d(values, (1, side), 1, (0, radius)), (side, 1), 1, (radius, 0))


def used(view: SampleView) -> list[int]:
    """The used slots of a view."""
    return view.valid.nonzero().flatten().tolist()

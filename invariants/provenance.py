"""The provenance image: pixels that say which image, column and row they are.

Two copies of a pair (target, donor) carry the labels of the original and, for an image,
numbers that name every pixel. An augmentation that is given both with one seed moves them
alike; what comes out is read back into a :class:`Trace`: for every pixel of the output the
pixel of the input that it shows. The second copy counts columns and rows from the other
end. So a number is believed only where both runs tell the same story, a colour that is
filled in is known by being the same in both, and a blend of two places by being neither.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from segpaste.invariants.bits import same
from segpaste.types import DenseSample

TARGET, DONOR, NOTHING = 0, 1, -1

_BASE = 8
_TOP = 248
_LARGEST_STEP = 64.0
# Of target and donor, in the first and in the second run. Whatever is blended of the two, and of a
# colour that is filled in, is brighter in the second: nothing but that colour is the same in both.
_MARKS = ((64.0, 224.0), (192.0, 240.0))
_FLOAT_UNIT = 256.0
# In units of one uint8 step. Rounding or cutting off each of two numbers that add up to a
# whole one changes their sum by at most one; float arithmetic changes it far less.
_TOLERANCE = {torch.uint8: 1.0, torch.float32: 1.0 / 16}
_LEAST_STEP_TO_SEE_INTERPOLATION = 2.0

Pair = tuple[DenseSample, DenseSample]


@dataclass(frozen=True, eq=False)
class Trace:
    """For every pixel of an output of ``H' x W'``, the pixel of the input that it shows.

    Attributes:
        origin: ``[H', W']`` int8, 0 the target, 1 the donor, -1 where not known.
        column, row: ``[H', W']`` int64, the nearest pixel of that input; 0 where not known.
        x, y: ``[H', W']`` float64, the same without rounding, pixel centres at integers.
        known: ``[H', W']`` bool, pixels that show one place of one input.
        border: ``[H', W']`` bool, pixels that show no input: a colour that was filled in.
        mixed: ``[H', W']`` bool, the rest: blended, or interpolated over two inputs or over
            an input and a filled-in colour.
        exact: nothing was interpolated, as far as can be seen: no pixel is mixed and
            ``exact_of`` holds for both inputs.
        exact_of: the same for the pixels of the target and of the donor alone: every known
            coordinate is whole, and all neighbours are the same one pixel apart: a shift,
            flip, quarter turn or transposition. (Where an image shrinks, an average with
            symmetric weights looks like a single pixel; where it is turned, nearest
            sampling hangs on the last bit of a coordinate. Neither is taken for exact.)
        stretch: source pixels per output pixel, the larger of ``stretch_of``.
        stretch_of: for target and donor, the median of the absolute differences of the
            coordinates between known neighbours, along the axis where it is larger; the
            side of the input where there are no neighbours to tell; 0 where it is not shown.
        resolution: how far, in source pixels, a coordinate may be off: one step of a uint8
            image, 0 for a float one.
        sizes: ``(H, W)`` of target and donor.
    """

    origin: torch.Tensor
    column: torch.Tensor
    row: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    known: torch.Tensor
    border: torch.Tensor
    mixed: torch.Tensor
    exact: bool
    exact_of: tuple[bool, bool]
    stretch: float
    stretch_of: tuple[float, float]
    resolution: float
    sizes: tuple[tuple[int, int], tuple[int, int]]

    @property
    def shows_donor(self) -> bool:
        """Whether any known pixel is the donor's."""
        return bool((self.origin == DONOR).any())


def provenance_pairs(target: DenseSample, donor: DenseSample) -> tuple[Pair, Pair] | str:
    """Two copies of (target, donor) whose images say which pixel each pixel is.

    Channel 0 says which sample it is (64 the target and 192 the donor, in the second pair
    224 and 240), channel 1 the column, channel 2 the row: ``8 + k * x``, in the
    second pair ``8 + k * (W - 1 - x)``, with k the largest power of two for which the
    numbers stay within 248. In a float32 image the same numbers over 256. All labels are
    those of the originals.

    Args:
        target: what is augmented.
        donor: what is pasted or mixed into it; its canvas may be another.

    Returns:
        The two pairs, or the reason why there are none: an image without three channels,
        or a uint8 image with a side above 241 pixels.
    """
    first: list[DenseSample] = []
    second: list[DenseSample] = []
    for name, sample, mark in (("target", target, 0), ("donor", donor, 1)):
        if sample.image.shape[0] != 3:
            return f"the provenance image needs 3 channels, the {name} has {sample.image.shape[0]}"
        height, width = sample.canvas_size
        steps = _step(width, sample.image.dtype), _step(height, sample.image.dtype)
        if sample.image.dtype == torch.uint8 and min(steps) < 1:
            longest = _TOP - _BASE + 1
            return (
                f"a uint8 provenance image holds {longest} columns and rows, the {name} is {width} x {height}"
            )
        first.append(_coded(sample, _MARKS[mark][0], steps, backwards=False))
        second.append(_coded(sample, _MARKS[mark][1], steps, backwards=True))
    return (first[0], first[1]), (second[0], second[1])


def read_trace(
    first: DenseSample, second: DenseSample, target: DenseSample, donor: DenseSample, after: DenseSample
) -> Trace | str:
    """Read back what the augmentation made of the two pairs of :func:`provenance_pairs`.

    Args:
        first: the output for the first pair.
        second: the output for the second pair, with the same seed.
        target: the original target.
        donor: the original donor.
        after: the output for the originals, with the same seed.

    Returns:
        The trace; or the reason why none can be read: the images' values had a say in what
        happened to the labels, or no pixel shows anything that can be recognised.
    """
    for run, name in ((first, "first"), (second, "second")):
        if run.image.shape[-2:] != after.image.shape[-2:]:
            return f"the size depends on the image's values: {run.canvas_size} and {after.canvas_size}"
        if run.image.shape[0] != 3 or run.image.dtype != target.image.dtype:
            return f"the {name} provenance image came back as {_kind(run)}, which cannot be read"
        different = _different_label(run, after)
        if different is not None:
            return f"the labels depend on the image's values: {different} differs between two images"
    values = [_numbers(run) for run in (first, second)]
    shape, device = first.image.shape[-2:], first.image.device
    origin = torch.full(shape, NOTHING, dtype=torch.int8, device=device)
    x = torch.full(shape, torch.nan, dtype=torch.float64, device=device)
    y = torch.full(shape, torch.nan, dtype=torch.float64, device=device)
    for mark, sample in ((TARGET, target), (DONOR, donor)):
        here, column, row = _decoded(values[0], values[1], sample, mark)
        origin[here] = mark
        x = torch.where(here, column, x)
        y = torch.where(here, row, y)
    known = origin != NOTHING
    border = (first.image == second.image).all(dim=0).as_subclass(torch.Tensor) & ~known
    if not bool((known | border).any()):
        return "no pixel of the output shows the target, the donor or a filled-in colour alone"
    return _trace(origin, x, y, known, border, (target, donor))


def _trace(
    origin: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
    known: torch.Tensor,
    border: torch.Tensor,
    samples: Pair,
) -> Trace:
    mixed = ~(known | border)
    sizes = samples[0].canvas_size, samples[1].canvas_size
    steps = [min(_step(side, s.image.dtype) for side in s.canvas_size) for s in samples]
    whole = samples[0].image.dtype == torch.float32
    seams = bool(mixed.any())  # explained by a blend where both inputs are shown
    both = all(bool((origin == mark).any()) for mark in (TARGET, DONOR))
    exact_of: list[bool] = []
    stretch_of: list[float] = []
    for mark in (TARGET, DONOR):
        here = origin == mark
        stretch, even = _stretch(x, y, here, sizes[mark]) if bool(here.any()) else (0.0, True)
        at_pixels = bool(((x == x.round()) & (y == y.round()))[here].all())
        seen = whole or steps[mark] >= _LEAST_STEP_TO_SEE_INTERPOLATION
        exact_of.append(at_pixels and even and seen and stretch <= 1 and (both or not seams))
        stretch_of.append(stretch)
    return Trace(
        origin=origin,
        column=torch.where(known, x, 0.0).round().to(torch.int64),
        row=torch.where(known, y, 0.0).round().to(torch.int64),
        x=x,
        y=y,
        known=known,
        border=border,
        mixed=mixed,
        exact=all(exact_of) and not seams,
        exact_of=(exact_of[0], exact_of[1]),
        stretch=max(stretch_of),
        stretch_of=(stretch_of[0], stretch_of[1]),
        resolution=0.0 if whole else 1 / min(steps),
        sizes=sizes,
    )


def _step(side: int, dtype: torch.dtype) -> float:
    """k: the largest power of two with ``8 + k * (side - 1) <= 248``, at most 64."""
    step = _LARGEST_STEP
    while _BASE + step * (side - 1) > _TOP:
        step /= 2
        if step < 1 and dtype == torch.uint8:
            break
    return step


def _coded(sample: DenseSample, mark: float, steps: tuple[float, float], *, backwards: bool) -> DenseSample:
    image = torch.empty(sample.image.shape, dtype=torch.float64, device=sample.image.device)
    height, width = sample.canvas_size
    columns = torch.arange(width, device=image.device, dtype=torch.float64) * steps[0] + _BASE
    rows = torch.arange(height, device=image.device, dtype=torch.float64) * steps[1] + _BASE
    image[0] = mark
    image[1] = columns.flip(0) if backwards else columns
    image[2] = (rows.flip(0) if backwards else rows)[:, None]
    if sample.image.dtype == torch.float32:
        image /= _FLOAT_UNIT
    values = {f.name: _copied(getattr(sample, f.name)) for f in fields(sample)}
    return type(sample).unchecked(**{**values, "image": image.to(sample.image.dtype)})


def _copied(value: object) -> object:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _numbers(run: DenseSample) -> torch.Tensor:
    image = run.image.as_subclass(torch.Tensor).to(torch.float64)
    return image * _FLOAT_UNIT if run.image.dtype == torch.float32 else image


def _decoded(
    first: torch.Tensor, second: torch.Tensor, sample: DenseSample, mark: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where the runs show this sample, and which column and row."""
    tolerance = _TOLERANCE[sample.image.dtype]
    height, width = sample.canvas_size
    here = (first[0] - _MARKS[mark][0]).abs() <= tolerance
    here &= (second[0] - _MARKS[mark][1]).abs() <= tolerance
    found: list[torch.Tensor] = []
    for channel, side in ((1, width), (2, height)):
        step = _step(side, sample.image.dtype)
        span = step * (side - 1)
        here &= (first[channel] + second[channel] - (2 * _BASE + span)).abs() <= tolerance
        place = (first[channel] - second[channel] + span) / (2 * step)
        here &= (place > -0.5) & (place < side - 0.5)
        found.append(place)
    return here, found[0], found[1]


def _stretch(
    x: torch.Tensor, y: torch.Tensor, here: torch.Tensor, size: tuple[int, int]
) -> tuple[float, bool]:
    """Source pixels per output pixel, along the output axis where it is larger; whether all are alike."""
    even = True
    along: list[tuple[float, float] | None] = []
    for axis in (1, 0):
        length = here.shape[axis] - 1
        pairs = here.narrow(axis, 1, length) & here.narrow(axis, 0, length)
        if not bool(pairs.any()):
            along.append(None)
            continue
        changes = [value.diff(dim=axis)[pairs] for value in (x, y)]
        even = even and all(bool((change == change[0]).all()) for change in changes)
        steps = [change.abs().median().item() for change in changes]
        along.append((steps[0], steps[1]))
    height, width = size
    sides: list[float] = []
    for n, steps in enumerate(along):
        other = along[1 - n]
        if steps is not None:
            sides.append(max(steps))
        elif other is None:
            sides.append(float(max(height, width)))
        else:  # the side that the other axis does not run along
            sides.append(float(height if other[0] > other[1] else width))
    return max(sides), even


def _different_label(run: DenseSample, after: DenseSample) -> str | None:
    """The first field but the image in which two samples differ in a bit."""
    for f in fields(after):
        got, wanted = getattr(run, f.name), getattr(after, f.name)
        if f.name == "image":
            continue
        if isinstance(got, torch.Tensor) and isinstance(wanted, torch.Tensor):
            equal = same(got, wanted)
        else:
            equal = got == wanted if not isinstance(got, torch.Tensor) else False
        if not equal:
            return f.name
    return None


def _kind(run: DenseSample) -> str:
    return f"{list(run.image.shape)} {str(run.image.dtype).removeprefix('torch.')}"

"""Sections 4.2 and 4.3 for a flat list of target pixels: grid, taps, warped values."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from segpaste.invariants.view import SampleView
from segpaste.types import PastePlan

_FULL = 65536


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the grid, for each of ``L`` output columns or rows.

    Attributes:
        near: ``[L]`` int64, nearest source index, clamped.
        inside: ``[L]`` bool, whether the nearest index is in the valid rectangle.
        low, high: ``[L]`` int64, the two bilinear taps, clamped.
        weight: ``[L]`` int64, weight of ``high``, 0..255; ``low`` has 256 less that.
    """

    near: torch.Tensor
    inside: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """Where in the source each target pixel looks."""

    y: Axis
    x: Axis
    flipped: bool

    @property
    def near_y(self) -> torch.Tensor:
        """``[H]`` int64."""
        return self.y.near

    @property
    def near_x(self) -> torch.Tensor:
        """``[W]`` int64."""
        return self.x.near

    @property
    def inside(self) -> torch.Tensor:
        """``[H, W]`` bool."""
        return self.y.inside[:, None] & self.x.inside[None, :]


@dataclass(frozen=True, slots=True)
class Warped:
    """The source at ``P`` pixels, or on a canvas ``[H, W]``: P stands for the last dimensions.

    Attributes:
        image: ``[C, P]``.
        semantic: ``[P]`` int64.
        depth: ``[1, P]`` float32, rescaled, 0 where invalid.
        depth_valid: ``[P]`` bool, V_src.
        normals: ``[3, P]`` float32.
    """

    image: torch.Tensor
    semantic: torch.Tensor | None
    depth: torch.Tensor | None
    depth_valid: torch.Tensor | None
    normals: torch.Tensor | None

    def at(self, chosen: torch.Tensor) -> Warped:
        """The values at those of the ``P`` pixels that are ``chosen`` (``[P]`` bool)."""
        return Warped(
            self.image[:, chosen],
            None if self.semantic is None else self.semantic[chosen],
            None if self.depth is None else self.depth[:, chosen],
            None if self.depth_valid is None else self.depth_valid[chosen],
            None if self.normals is None else self.normals[:, chosen],
        )

    def on_canvas(self, pixels: torch.Tensor, canvas: tuple[int, int]) -> Warped:
        """The values written at the flat indices ``pixels`` of a canvas of zeros."""

        def spread(values: torch.Tensor | None) -> torch.Tensor | None:
            if values is None:
                return None
            lead = values.shape[:-1]
            out = torch.zeros((*lead, canvas[0] * canvas[1]), dtype=values.dtype, device=values.device)
            out[..., pixels] = values
            return out.reshape(*lead, *canvas)

        image = spread(self.image)
        return Warped(
            self.image if image is None else image,
            spread(self.semantic),
            spread(self.depth),
            spread(self.depth_valid),
            spread(self.normals),
        )


def sampling_grid(
    plan: PastePlan, canvas: tuple[int, int], valid_size: tuple[int, int], device: torch.device
) -> Grid:
    """The grid of a plan (B = 1), into a source whose valid rectangle is ``valid_size``."""
    step = int(plan.step[0])
    down, right = (int(t) for t in plan.translate[0])
    flipped = bool(plan.hflip[0])
    return Grid(
        _axis(canvas[0], down, step, valid_size[0], flipped=False, device=device),
        _axis(canvas[1], right, step, valid_size[1], flipped=flipped, device=device),
        flipped,
    )


def identity_grid(canvas: tuple[int, int], valid_size: tuple[int, int], device: torch.device) -> Grid:
    """The grid of the class mix: every pixel looks at itself."""
    return Grid(
        _axis(canvas[0], 0, _FULL, valid_size[0], flipped=False, device=device),
        _axis(canvas[1], 0, _FULL, valid_size[1], flipped=False, device=device),
        False,
    )


def warp_at(source: SampleView, grid: Grid, pixels: torch.Tensor, factor: float) -> Warped:
    """4.3: the source at the flat target indices ``pixels`` (``[P]``), all of them inside.

    ``factor`` is the metric factor of 4.7, applied where depth is metric.
    """
    width = grid.near_x.numel()
    y, x = pixels // width, pixels % width
    taps = _taps(grid, y, x, source.canvas[1])
    nearest = grid.near_y[y] * source.canvas[1] + grid.near_x[x]
    depth = valid = normals = None
    if source.depth is not None and source.depth_valid is not None:
        depth, valid = _depth(source.depth, source.depth_valid, taps, nearest, factor, source.metric)
    if source.normals is not None:
        normals = _normals(source.normals, taps, nearest, grid.flipped)
    return Warped(
        image=_image(source.image, taps),
        semantic=None if source.semantic is None else source.semantic.reshape(-1)[nearest],
        depth=depth,
        depth_valid=valid,
        normals=normals,
    )


@dataclass(frozen=True, slots=True)
class _Taps:
    """Flat source index and integer weight of the four taps, in the order 00, 01, 10, 11."""

    index: tuple[torch.Tensor, ...]
    weight: tuple[torch.Tensor, ...]


def _axis(length: int, shift: int, step: int, valid: int, *, flipped: bool, device: torch.device) -> Axis:
    place = torch.arange(length, dtype=torch.int64, device=device)
    u = (2 * (place - shift) + 1) * step
    near = u >> 17
    v = u - _FULL
    low = v >> 17
    weight = (v & 0x1FFFF) >> 9
    inside = (near >= 0) & (near < valid)
    last = max(valid - 1, 0)

    def clamped(index: torch.Tensor) -> torch.Tensor:
        index = index.clamp(0, last)
        return last - index if flipped else index

    return Axis(clamped(near), inside, clamped(low), clamped(low + 1), weight)


def _taps(grid: Grid, y: torch.Tensor, x: torch.Tensor, width: int) -> _Taps:
    rows = (grid.y.low[y], grid.y.high[y])
    columns = (grid.x.low[x], grid.x.high[x])
    down, right = grid.y.weight[y], grid.x.weight[x]
    vertical, horizontal = (256 - down, down), (256 - right, right)
    pairs = [(i, j) for i in (0, 1) for j in (0, 1)]
    return _Taps(
        tuple(rows[i] * width + columns[j] for i, j in pairs),
        tuple(vertical[i] * horizontal[j] for i, j in pairs),
    )


def _image(image: torch.Tensor, taps: _Taps) -> torch.Tensor:
    flat = image.reshape(image.shape[0], -1)
    values = [flat[:, index] for index in taps.index]
    if image.dtype == torch.uint8:
        total = torch.full_like(values[0], 0, dtype=torch.int64) + 32768
        for value, weight in zip(values, taps.weight, strict=True):
            total = total + value.to(torch.int64) * weight
        return (total >> 16).to(torch.uint8)
    mean = _divided(_weighted(values, taps.weight), _FULL)
    out = mean.to(torch.float32)
    for value, weight in zip(values, taps.weight, strict=True):
        out = torch.where(weight == _FULL, value, out)  # that tap's bits, -0 and NaN too
    return out


def _depth(
    depth: torch.Tensor,
    valid: torch.Tensor,
    taps: _Taps,
    nearest: torch.Tensor,
    factor: float,
    metric: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    flat, flat_valid = depth.reshape(1, -1), valid.reshape(-1)
    values = [flat[:, index] for index in taps.index]
    weights = [
        torch.where(flat_valid[index], weight, 0)
        for index, weight in zip(taps.index, taps.weight, strict=True)
    ]
    total = (weights[0] + weights[1]) + (weights[2] + weights[3])
    mean = _weighted(values, weights) / total.to(torch.float64)
    if metric:
        mean = mean * factor
    out = mean.to(torch.float32)
    seen = flat_valid[nearest] & out[0].isfinite() & (out[0] > 0)
    return torch.where(seen, out, 0.0), seen


def _normals(normals: torch.Tensor, taps: _Taps, nearest: torch.Tensor, flipped: bool) -> torch.Tensor:
    flat = normals.reshape(3, -1)
    q = _quantised(_weighted([flat[:, index] for index in taps.index], taps.weight))
    lost = (q == 0).all(dim=0)
    q = torch.where(lost, _quantised(flat[:, nearest].to(torch.float64) * _FULL), q)
    lost = (q == 0).all(dim=0)
    squares = q * q
    length = ((squares[0] + squares[1]) + squares[2]).sqrt()
    unit = (q / torch.where(lost, 1.0, length)).to(torch.float32)
    if flipped:
        unit[0] = 0 - unit[0]
    return unit


def _weighted(
    values: list[torch.Tensor], weights: tuple[torch.Tensor, ...] | list[torch.Tensor]
) -> torch.Tensor:
    """``(v00 w00 + v01 w01) + (v10 w10 + v11 w11)`` in float64; a term of weight 0 is +0."""
    terms = [
        torch.where(weight > 0, value.to(torch.float64) * weight.to(torch.float64), 0.0)
        for value, weight in zip(values, weights, strict=True)
    ]
    return (terms[0] + terms[1]) + (terms[2] + terms[3])


def _quantised(total: torch.Tensor) -> torch.Tensor:
    return (total * 512.0).round() + 0.0  # + 0: a zero component is +0


def _divided(value: torch.Tensor, divisor: int) -> torch.Tensor:
    return value / torch.full_like(value, divisor)

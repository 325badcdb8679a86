"""The graph executor's view of the source: grid and warped maps (design, 4.2 and 4.3).

Leading batch dimension, static shapes, no decision that depends on data. Every target
pixel is computed, also where the source is not seen; what stands there is never used.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from segpaste.types import PaddedBatchedDenseSample, PastePlan
from segpaste.types.tensors import plain

_Place = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

_ONE = 65536
_LARGEST_FLOAT32 = torch.finfo(torch.float32).max


class SourceGrid(NamedTuple):
    """Where every target pixel looks in its source.

    Indices are int64 and have four dimensions, which broadcast to ``[B, C, H, W]``.

    Attributes:
        row: ``[B]`` int64, row of the source view.
        step: ``[B]`` int64, inverse scale in Q16.
        hflip: ``[B]`` bool.
        inside: ``[B, H, W]`` bool.
        nearest: the nearest tap: source row, y and x.
        taps: the bilinear taps (0, 0) (0, 1) (1, 0) (1, 1), likewise.
        weights: their weights, int32 ``[B, 1, H, W]``, which sum to 65536.
    """

    row: torch.Tensor
    step: torch.Tensor
    hflip: torch.Tensor
    inside: torch.Tensor
    nearest: _Place
    taps: list[_Place]
    weights: list[torch.Tensor]

    def at_nearest(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` ``[B_s, C, H, W]`` at the nearest taps: ``[B, C, H, W]``."""
        return _read(values, [self.nearest])[0]

    def at_taps(self, values: torch.Tensor) -> list[torch.Tensor]:
        """``values`` ``[B_s, C, H, W]`` at the four taps: ``[B, C, H, W]`` each."""
        return _read(values, self.taps)


class WarpedMaps(NamedTuple):
    """The source's maps as seen from the target; ``None`` where a modality is absent.

    Of any value outside of the grid's inside pixels nothing is said.
    """

    images: torch.Tensor
    semantic: torch.Tensor | None
    depth: torch.Tensor | None
    depth_valid: torch.Tensor | None
    normals: torch.Tensor | None


def source_grid(source: PaddedBatchedDenseSample, plan: PastePlan, *, identity: bool) -> SourceGrid:
    """4.2 for a whole batch; with ``identity`` the plan's geometry is left aside (4.11)."""
    height, width = source.canvas_size
    row, step, hflip = plan.source_idx, plan.step, plan.hflip
    shift_y, shift_x = plan.translate[:, 0], plan.translate[:, 1]
    if identity:
        step, hflip = torch.full_like(step, _ONE), torch.zeros_like(hflip)
        shift_y = shift_x = torch.zeros_like(step)
    if source.padding_mask is None:
        valid_h, valid_w = torch.full_like(step, height), torch.full_like(step, width)
    else:
        valid = ~plain(source.padding_mask)[:, 0]
        valid_h, valid_w = valid.any(dim=2).sum(dim=1)[row], valid.any(dim=1).sum(dim=1)[row]
    rows = _sample_axis(height, shift_y, step, valid_h, torch.zeros_like(hflip))
    columns = _sample_axis(width, shift_x, step, valid_w, hflip)
    place = row[:, None, None, None]
    down = [y[:, None, :, None] for y in (rows.nearest, *rows.taps, *rows.weights)]
    across = [x[:, None, None, :] for x in (columns.nearest, *columns.taps, *columns.weights)]
    return SourceGrid(
        row=row,
        step=step,
        hflip=hflip,
        inside=rows.inside[:, :, None] & columns.inside[:, None, :],
        nearest=(place, down[0], across[0]),
        taps=[(place, y, x) for y in down[1:3] for x in across[1:3]],
        weights=[y * x for y in down[3:] for x in across[3:]],
    )


def warp_maps(
    grid: SourceGrid, target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample
) -> WarpedMaps:
    """4.3 for a whole batch."""
    depth = depth_valid = semantic = normals = None
    if source.semantic_maps is not None:
        semantic = grid.at_nearest(plain(source.semantic_maps)[:, None])[:, 0]
    if source.depth is not None and source.depth_valid is not None:
        depth, depth_valid = _warp_depth(grid, target, source, source.depth, source.depth_valid)
    if source.normals is not None:
        normals = _warp_normals(grid, source.normals)
    images = _warp_images(grid, plain(source.images))
    return WarpedMaps(images, semantic, depth, depth_valid, normals)


class _Axis(NamedTuple):
    inside: torch.Tensor
    nearest: torch.Tensor
    taps: tuple[torch.Tensor, torch.Tensor]
    weights: tuple[torch.Tensor, torch.Tensor]


def _sample_axis(
    extent: int, shift: torch.Tensor, step: torch.Tensor, valid: torch.Tensor, mirrored: torch.Tensor
) -> _Axis:
    """4.2 along one axis; ``[B, extent]`` each."""
    x = torch.arange(extent, device=step.device)
    last = (valid[:, None] - 1).clamp(min=0)
    u = (2 * (x - shift[:, None]) + 1) * step[:, None]
    nearest = u >> 17
    v = u - _ONE
    second = ((v & 0x1FFFF) >> 9).to(torch.int32)

    def index(i: torch.Tensor) -> torch.Tensor:
        """Clamped, after the weights, then mirrored."""
        i = torch.minimum(i.clamp(min=0), last)
        return torch.where(mirrored[:, None], last - i, i)

    return _Axis(
        inside=(nearest >= 0) & (nearest < valid[:, None]),
        nearest=index(nearest),
        taps=(index(v >> 17), index((v >> 17) + 1)),
        weights=(256 - second, second),
    )


def _read(values: torch.Tensor, places: list[_Place]) -> list[torch.Tensor]:
    channel = torch.arange(values.shape[1], device=values.device)[:, None, None]
    return [values[row, channel, y, x] for row, y, x in places]


def _weighted_sum(taps: list[torch.Tensor], weights: list[torch.Tensor]) -> torch.Tensor:
    """4.3: ``(p00*w00 + p01*w01) + (p10*w10 + p11*w11)`` in float64, each product exact."""
    terms = [
        torch.where(w > 0, p, 0.0).to(torch.float64) * w.to(torch.float64)
        for p, w in zip(taps, weights, strict=True)
    ]
    total = (terms[0] + terms[1]) + (terms[2] + terms[3])
    # Only the first tap's weight can be all there is; alone it keeps the sign of a zero.
    return torch.where(weights[0] == _ONE, terms[0], total)


def _warp_images(grid: SourceGrid, images: torch.Tensor) -> torch.Tensor:
    taps, weights = grid.at_taps(images), grid.weights
    if images.dtype == torch.uint8:
        terms = [p.to(torch.int32) * w for p, w in zip(taps, weights, strict=True)]
        total = (terms[0] + terms[1]) + (terms[2] + terms[3])
        return ((total + 32768) >> 16).to(torch.uint8)
    return (_weighted_sum(taps, weights) * (1 / _ONE)).to(torch.float32)


def _warp_depth(
    grid: SourceGrid,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    depth: torch.Tensor,
    valid: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth over valid taps, rescaled (4.7), and its validity V_src: ``[B, 1, H, W]`` each."""
    weights = [torch.where(usable, w, 0) for usable, w in zip(grid.at_taps(valid), grid.weights, strict=True)]
    total = _weighted_sum(grid.at_taps(depth), weights)
    weight = (weights[0] + weights[1]) + (weights[2] + weights[3])
    value = total / weight.clamp(min=1).to(torch.float64)  # without a valid tap 0 / 1
    target_camera, source_camera = target.camera_intrinsics, source.camera_intrinsics
    if target.metric_depth and target_camera is not None and source_camera is not None:
        seen_by = source_camera[grid.row]
        ratio = torch.sqrt(target_camera[:, 0] * target_camera[:, 1]) / torch.sqrt(
            seen_by[:, 0] * seen_by[:, 1]
        )
        factor = ratio * grid.step.to(torch.float64) * (1 / _ONE)
        value = value * factor[:, None, None, None]
    rounded = value.to(torch.float32)
    seen = grid.at_nearest(valid) & (rounded > 0) & (rounded <= _LARGEST_FLOAT32)
    return torch.where(seen, rounded, 0.0), seen


def _warp_normals(grid: SourceGrid, normals: torch.Tensor) -> torch.Tensor:
    """Interpolated, quantised, renormalised; the zero vector means no normal."""
    q = torch.round(_weighted_sum(grid.at_taps(normals), grid.weights) * 512.0)
    alone = torch.round(grid.at_nearest(normals).to(torch.float64) * (_ONE * 512.0))
    q = torch.where((q == 0).all(dim=1, keepdim=True), alone, q)
    q = torch.where(q == 0, 0.0, q)  # no -0, which adding 0 would mend too, but a compiler drops that
    length = torch.sqrt((q[:, 0] * q[:, 0] + q[:, 1] * q[:, 1]) + q[:, 2] * q[:, 2])[:, None]
    some = length > 0  # not where a normal is NaN
    unit = torch.where(some, q / torch.where(some, length, 1.0), 0.0).to(torch.float32)
    x = unit[:, :1]
    mirrored = torch.where(grid.hflip[:, None, None, None] & (x != 0), -x, x)  # 0 - x
    return torch.cat((mirrored, unit[:, 1:]), dim=1)

"""Gradient-domain pasting: Perez, Gangnet and Blake (2003), solved by sine transforms.

Of a region of any shape the equation has no transform; of a rectangle it has. So, as in
Morel, Petro and Sbert (2012), "Fourier implementation of Poisson image editing", one field
of gradients is composed, the source's inside the union and the target's elsewhere, and
solved for on a rectangle: the bounding box of the union.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch


def poisson_change(
    difference: torch.Tensor, alpha: torch.Tensor, union: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """What to add to the target so that it has the composed gradients: ``[B, C, H, W]``.

    Two neighbours differ as in the source where both lie in the union, else as in the
    target (with a soft edge: by ``min`` of their alphas as in the source). With
    ``u`` = solution - target, and ``w`` of an edge of the grid that ``min``, this is the
    discrete Poisson equation

        laplacian(u) = divergence(w * gradient(source - target))

    on the bounding box of the union. Beyond a side of the box u is 0: there stands the
    target. A side that lies on the border of the canvas, or of the valid rectangle, is free
    (du = 0 across it), as there is no target beyond it to agree with. Where all four are
    free, u is fixed by its mean, 0 over what of the target is left in the box; where nothing
    is left, the image is the source.

    Args:
        difference: ``[B, C, H, W]`` float32, pasted minus target, 0 outside the union.
        alpha: ``[B, H, W]`` float32, 0 outside the union.
        union: ``[B, H, W]`` bool.
        valid: ``[B, H, W]`` bool, false on padding.

    Returns:
        float32, 0 outside the box.
    """
    height, width = union.shape[1:]
    rows = _sides(union.any(dim=2), valid.any(dim=2).sum(dim=1))
    columns = _sides(union.any(dim=1), valid.any(dim=1).sum(dim=1))
    boxed = _within(rows, height)[:, None, :, None] & _within(columns, width)[:, None, None, :]
    # float64, which neither autocast nor TF32 touches in a matrix product.
    steps, weight = difference.to(torch.float64), alpha[:, None].to(torch.float64)
    found = _solved(_divergence(steps, weight), _basis(rows, height), _basis(columns, width))
    free = rows.low_free & rows.high_free & columns.low_free & columns.high_free
    with_mean = _with_mean(found, steps, union[:, None], boxed)
    found = torch.where(free[:, None, None, None], with_mean, found)
    return torch.where(boxed, found, 0.0).to(torch.float32)


def bounding_boxes(union: torch.Tensor) -> torch.Tensor:
    """Where each sample's bounding box lies: ``[B, H, W]`` bool."""
    nowhere = torch.zeros_like(union[:, 0, 0], dtype=torch.int64)
    rows, columns = _sides(union.any(dim=2), nowhere), _sides(union.any(dim=1), nowhere)
    return _within(rows, union.shape[1])[:, :, None] & _within(columns, union.shape[2])[:, None, :]


class _Sides(NamedTuple):
    """A box along one axis, ``[B]`` each: where it begins, how long it is, which ends are free."""

    low: torch.Tensor
    length: torch.Tensor
    low_free: torch.Tensor
    high_free: torch.Tensor


class _Basis(NamedTuple):
    """Eigenvectors and eigenvalues of minus the second difference, orthonormal.

    Attributes:
        vectors: ``[B, size, size]`` float64, place by frequency; 0 outside the box, and for
            frequencies beyond its length.
        values: ``[B, size]`` float64.
    """

    vectors: torch.Tensor
    values: torch.Tensor


def _sides(occupied: torch.Tensor, extent: torch.Tensor) -> _Sides:
    size = occupied.shape[1]
    place = torch.arange(size, device=occupied.device)
    low = torch.where(occupied, place, size).amin(dim=1)
    high = torch.where(occupied, place + 1, 0).amax(dim=1)
    return _Sides(low, (high - low).clamp(min=0), low == 0, high == extent)


def _within(sides: _Sides, size: int) -> torch.Tensor:
    """``[B, size]`` bool, the places of the box."""
    place = torch.arange(size, device=sides.low.device)
    return (place >= sides.low[:, None]) & (place < (sides.low + sides.length)[:, None])


def _divergence(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Of the weighted gradient; nothing flows through the ends."""
    flow_x = torch.minimum(weight[..., 1:], weight[..., :-1]) * values.diff(dim=3)
    flow_y = torch.minimum(weight[:, :, 1:], weight[:, :, :-1]) * values.diff(dim=2)
    pad = torch.nn.functional.pad
    return (pad(flow_x, (0, 1)) - pad(flow_x, (1, 0))) + (
        pad(flow_y, (0, 0, 0, 1)) - pad(flow_y, (0, 0, 1, 0))
    )


def _basis(sides: _Sides, size: int) -> _Basis:
    """Sines with nodes just beyond the fixed ends; cosines where both ends are free.

    Place i counts from the beginning of the box, n is its length.

    Both fixed, DST-I: ``sin(pi (i + 1) (k + 1) / (n + 1))``; one free, counted from the
    fixed end: ``sin(pi (i + 1) (2 k + 1) / (2 n + 1))``; both free, DCT-II:
    ``cos(pi (2 i + 1) k / (2 n))``.
    """
    n = sides.length.clamp(min=1)[:, None, None]
    low_free, high_free = sides.low_free[:, None, None], sides.high_free[:, None, None]
    both, one = low_free & high_free, low_free ^ high_free
    k = torch.arange(size, device=n.device)[None, None, :]
    i = k.mT - sides.low[:, None, None]
    from_fixed = torch.where(low_free, n - i, i + 1)
    turns = torch.where(both, (2 * i + 1) * k, from_fixed * torch.where(one, 2 * k + 1, k + 1))
    whole = torch.where(both, 2 * n, torch.where(one, 2 * n + 1, n + 1))
    # The angle within one turn, in integers: a large one would lose its digits.
    angle = (turns % (2 * whole)).to(torch.float64) / whole.to(torch.float64) * math.pi
    waves = torch.where(both, angle.cos(), angle.sin())
    squared_norm = torch.where(both, torch.where(k > 0, n / 2, n), whole / torch.where(one, 4, 2))
    there = (i >= 0) & (i < n) & (k < n)
    vectors = torch.where(there, waves / squared_norm.to(torch.float64).sqrt(), 0.0)
    frequency = torch.where(both, 2 * k, torch.where(one, 2 * k + 1, k + 1)).to(torch.float64)
    half = (frequency / whole.to(torch.float64) * (math.pi / 2)).sin()
    return _Basis(vectors, (4 * half * half)[:, 0])


def _solved(wanted: torch.Tensor, vertical: _Basis, horizontal: _Basis) -> torch.Tensor:
    waves = _times(vertical.vectors.mT, wanted, horizontal.vectors)
    stiffness = (vertical.values[:, :, None] + horizontal.values[:, None, :])[:, None]
    solvable = stiffness > 0  # all but the constant of a box with four free sides
    waves = torch.where(solvable, -waves / torch.where(solvable, stiffness, 1.0), 0.0)
    return _times(vertical.vectors, waves, horizontal.vectors.mT)


def _times(left: torch.Tensor, values: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """``left @ values @ right`` for every channel, as two products of whole batches."""
    batch, channels, height, width = values.shape
    half = torch.bmm(values.reshape(batch, channels * height, width), right)
    half = half.reshape(batch, channels, height, width).transpose(1, 2).reshape(batch, height, -1)
    return torch.bmm(left, half).reshape(batch, height, channels, width).transpose(1, 2)


def _with_mean(
    found: torch.Tensor, steps: torch.Tensor, union: torch.Tensor, boxed: torch.Tensor
) -> torch.Tensor:
    rest = boxed & ~union
    left = rest.sum(dim=(2, 3), keepdim=True)
    of_rest = torch.where(rest, found, 0.0).sum(dim=(2, 3), keepdim=True) / left.clamp(min=1)
    count = boxed.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    of_all = torch.where(boxed, found - steps, 0.0).sum(dim=(2, 3), keepdim=True) / count
    return found - torch.where(left > 0, of_rest, of_all)

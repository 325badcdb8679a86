"""Colour transfer between images: Reinhard, Ashikhmin, Gooch and Shirley (2001)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

# From RGB to the responses of the three cones, as printed in the paper. Its printed inverse
# is rounded; ours is computed, so that there and back is the identity.
_TO_CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
# From their logarithms to l, alpha, beta: orthonormal rows, so that the inverse is the transpose.
_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])

_BLACK = 1 / 255  # added before the logarithm, which black has none of
_FLAT = 1e-10  # a variance below this is that of a constant region


def transfer_colours(
    pasted: torch.Tensor, before: torch.Tensor, union: torch.Tensor, valid: torch.Tensor, max_gain: float
) -> torch.Tensor:
    """The pasted images with the union's colours moved towards the target's: ``[B, C, H, W]``.

    With three channels in l-alpha-beta, channel by channel in the image's own values else:
    ``(x - mean_source) * std_target / std_source + mean_target``. The source's statistics
    are those of the union, the target's those of its valid pixels before the paste. Of what
    stands outside the union nothing is said.

    Args:
        pasted: ``[B, C, H, W]`` float32 in 0..1.
        before: likewise, the target.
        union: ``[B, H, W]`` bool.
        valid: ``[B, H, W]`` bool, false on padding.
        max_gain: bound of the quotient of deviations, and its reciprocal the lower one.
    """
    in_colour = pasted.shape[1] == 3
    if in_colour:
        pasted, before = _to_lab(pasted), _to_lab(before)
    source, target = _statistics(pasted, union), _statistics(before, valid)
    varied = (source.variance > _FLAT) & (target.variance > _FLAT)
    quotient = torch.where(varied, target.variance, 1.0) / torch.where(varied, source.variance, 1.0)
    gain = torch.where(varied, quotient.sqrt().clamp(1 / max_gain, max_gain), 1.0)
    moved = (pasted - source.mean) * gain.to(torch.float32) + target.mean
    return _from_lab(moved) if in_colour else moved


class _Statistics(NamedTuple):
    """Per sample and channel, ``[B, C, 1, 1]``; 0 where there is no pixel.

    Attributes:
        mean: float32.
        variance: float64, of the population.
    """

    mean: torch.Tensor
    variance: torch.Tensor


def _statistics(values: torch.Tensor, where: torch.Tensor) -> _Statistics:
    # Sums in float64: a float32 sum over a large canvas loses the digits that variance lives on.
    chosen = where[:, None]
    count = chosen.sum(dim=(2, 3), keepdim=True).clamp(min=1).to(torch.float64)
    total = torch.where(chosen, values, 0.0).sum(dim=(2, 3), keepdim=True, dtype=torch.float64)
    mean = (total / count).to(torch.float32)
    apart = torch.where(chosen, values - mean, 0.0)
    squares = (apart * apart).sum(dim=(2, 3), keepdim=True, dtype=torch.float64)
    return _Statistics(mean, squares / count)


def _to_lab(rgb: torch.Tensor) -> torch.Tensor:
    return _mixed(_TO_LAB, torch.log10(_mixed(_TO_CONES, rgb) + _BLACK))


def _from_lab(lab: torch.Tensor) -> torch.Tensor:
    # 10**2 is far beyond white; the bound keeps what a large gain makes of it finite.
    cones = torch.pow(10.0, _mixed(_TO_LAB.T, lab).clamp(max=2.0)) - _BLACK
    return _mixed(np.linalg.inv(_TO_CONES), cones)


def _mixed(matrix: np.ndarray, channels: torch.Tensor) -> torch.Tensor:
    """A 3 x 3 matrix times every pixel, without a matrix product that autocast or TF32 would round."""
    first, second, third = channels.unbind(dim=1)
    return torch.stack([first * a + second * b + third * c for a, b, c in matrix.tolist()], dim=1)

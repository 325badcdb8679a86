"""Colour transfer between images: Reinhard, Ashikhmin, Gooch and Shirley (2001)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

_Matrix = tuple[tuple[float, float, float], ...]


def _constants(matrix: np.ndarray) -> _Matrix:
    """In Python numbers, which ``torch.compile`` takes as they are."""
    return tuple(tuple(row) for row in matrix.tolist())


# From RGB to the responses of the three cones, as printed in the paper. Its printed inverse
# is rounded; ours is computed, so that there and back is the identity.
_CONES = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
# From their logarithms to l, alpha, beta: orthonormal rows, so that the inverse is the transpose.
_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
_TO_CONES, _FROM_CONES = _constants(_CONES), _constants(np.linalg.inv(_CONES))
_TO_LAB, _FROM_LAB = _constants(_LAB), _constants(_LAB.T)

# Logarithms are natural ones here, decadic in the paper: shifting and scaling does not mind.
_BLACK = 1 / 255  # added before the logarithm, which black has none of
_FLAT = 1e-10  # a variance below this is that of a constant region


class Colours(NamedTuple):
    """What is transferred, per sample and channel, ``[B, C, 1, 1]``; 0 where there is no pixel.

    Of l, alpha and beta with three channels, of the image's own values else.

    Attributes:
        mean: float32.
        variance: float64, of the population.
    """

    mean: torch.Tensor
    variance: torch.Tensor


def colours_of(images: torch.Tensor, where: torch.Tensor) -> Colours:
    """Mean and variance of some pixels.

    Args:
        images: ``[B, C, H, W]`` float32 in 0..1.
        where: ``[B, H, W]`` bool.
    """
    return _statistics(_to_lab(images) if images.shape[1] == 3 else images, where)


def transfer_colours(
    pasted: torch.Tensor, union: torch.Tensor, target: Colours, max_gain: float
) -> torch.Tensor:
    """The pasted images with the union's colours those of the target: ``[B, C, H, W]``.

    ``(x - mean_source) * std_target / std_source + mean_target``, with three channels in
    l-alpha-beta, else channel by channel. The source's statistics are those of the union.
    Of what stands outside the union nothing is said.

    Args:
        pasted: ``[B, C, H, W]`` float32 in 0..1.
        union: ``[B, H, W]`` bool.
        target: of the target's valid pixels before the paste.
        max_gain: bound of the quotient of deviations, and its reciprocal the lower one.
            Where one of the two is of one colour, the quotient is 1.
    """
    in_colour = pasted.shape[1] == 3
    values = _to_lab(pasted) if in_colour else pasted
    source = _statistics(values, union)
    varied = (source.variance > _FLAT) & (target.variance > _FLAT)
    quotient = torch.where(varied, target.variance, 1.0) / torch.where(varied, source.variance, 1.0)
    gain = quotient.sqrt().clamp(1 / max_gain, max_gain)
    moved = (values - source.mean) * gain.to(torch.float32) + target.mean
    return _from_lab(moved) if in_colour else moved


def _statistics(values: torch.Tensor, where: torch.Tensor) -> Colours:
    count = where.sum(dim=(1, 2)).clamp(min=1)[:, None, None, None].to(torch.float64)
    mean = _total(torch.where(where[:, None], values, 0.0)) / count
    mean = mean.to(torch.float32)
    apart = torch.where(where[:, None], values - mean, 0.0)
    return Colours(mean, _total(apart * apart) / count)


def _total(values: torch.Tensor) -> torch.Tensor:
    """Rows in float32, what they make in float64: a large canvas would lose digits otherwise."""
    return values.sum(dim=3, keepdim=True).to(torch.float64).sum(dim=2, keepdim=True)


def _to_lab(rgb: torch.Tensor) -> torch.Tensor:
    return _mixed(_TO_LAB, torch.log(_mixed(_TO_CONES, rgb) + _BLACK))


def _from_lab(lab: torch.Tensor) -> torch.Tensor:
    # exp(4) is far beyond white; the bound keeps what a large gain makes of it finite.
    cones = torch.exp(_mixed(_FROM_LAB, lab).clamp(max=4.0)) - _BLACK
    return _mixed(_FROM_CONES, cones)


def _mixed(matrix: _Matrix, channels: torch.Tensor) -> torch.Tensor:
    """A 3 x 3 matrix times every pixel, without a matrix product that autocast or TF32 would round."""
    first, second, third = channels.unbind(dim=1)
    return torch.stack([first * a + second * b + third * c for a, b, c in matrix], dim=1)

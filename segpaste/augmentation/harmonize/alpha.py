"""The soft edge of a paste."""

from __future__ import annotations

import torch
from torch.nn.functional import pad


def feather_alpha(union: torch.Tensor, valid: torch.Tensor, feather: int) -> torch.Tensor:
    """How much of the source every pixel shows: ``[B, H, W]`` float32 in 0..1.

    The band lies inside the union: ``min(d / (feather + 1), 1)``, d being the Euclidean
    distance in pixels to the nearest pixel of the target that is left to see. So alpha is
    0 outside the union and 1 from ``feather + 1`` pixels inside on. The border of the
    canvas and padding are no edge: nothing is seen beyond.

    Args:
        union: ``[B, H, W]`` bool.
        valid: ``[B, H, W]`` bool, false on padding.
        feather: width of the band in pixels, 0 or more.
    """
    if feather == 0:
        return union.to(torch.float32)
    reach = feather + 1
    target = (valid & ~union).to(torch.uint8)
    across = torch.full_like(target, reach, dtype=torch.int32)
    for shift in range(reach - 1, -1, -1):
        near = _shifted(target, shift, dim=2, fill=0) | _shifted(target, -shift, dim=2, fill=0)
        across = torch.where(near > 0, shift, across)
    squared = across * across
    nearest = squared
    for shift in range(1, reach):
        above_or_below = torch.minimum(
            _shifted(squared, shift, dim=1, fill=reach**2), _shifted(squared, -shift, dim=1, fill=reach**2)
        )
        nearest = torch.minimum(nearest, above_or_below + shift * shift)
    distance = nearest.clamp(max=reach**2).to(torch.float32).sqrt()
    return torch.where(union, distance * (1 / reach), 0.0).clamp(max=1.0)


def _shifted(values: torch.Tensor, by: int, *, dim: int, fill: int) -> torch.Tensor:
    """``out[i] = values[i - by]`` along a dimension, ``fill`` where there is none."""
    size = values.shape[dim]
    by = max(-size, min(size, by))
    ends = [0, 0] * (values.ndim - 1 - dim) + [max(by, 0), max(-by, 0)]
    return pad(values, ends, value=fill).narrow(dim, max(-by, 0), size)

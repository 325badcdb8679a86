"""A multiresolution spline: Burt and Adelson (1983), "A multiresolution spline with
application to image mosaics".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import pad


def multiband_change(
    difference: torch.Tensor, alpha: torch.Tensor, union: torch.Tensor, valid: torch.Tensor, levels: int
) -> torch.Tensor:
    """What to add to the target so that the source is splined into it: ``[B, C, H, W]``.

    Every band of frequencies of the difference between source and target is weighted by
    the mask at that band's resolution: details change over a pixel, broad colours over
    many. As source and target are splined by one mask, the spline of the two is the target
    plus the spline of their difference and nothing.

    The source is not known outside the union. Its pyramid is a normalised convolution there
    (the mean over what lies in the union), so that the edge of the union is no edge of the
    difference. The same holds at padding and at the border of the canvas, for the mask.

    The coarsest level of a sample is at most ``levels`` and such that the pixels of that
    level are at most an eighth of what is pasted wide, or nothing but details would be left
    of a small object.

    Args:
        difference: ``[B, C, H, W]`` float32, pasted minus target, 0 outside the union.
        alpha: ``[B, H, W]`` float32, 0 outside the union.
        union: ``[B, H, W]`` bool.
        valid: ``[B, H, W]`` bool, false on padding.
        levels: how often to halve the resolution, 0 or more.

    Returns:
        float32, exactly 0 farther than :func:`multiband_reach` from the union.
    """
    known, frame = union[:, None].to(torch.float32), valid[:, None].to(torch.float32)
    gaussian = [torch.cat((difference * known, known, alpha[:, None], frame), dim=1)]
    for _ in range(levels):
        gaussian.append(_both_axes(_halved, gaussian[-1]))
    channels = difference.shape[1]
    coarsest = coarsest_level(union, valid, levels)[:, None, None, None]
    change, inside, coarser = difference, known, difference  # replaced in the first round
    for level in range(levels, -1, -1):
        total, weight, mask, cover = gaussian[level].split((channels, 1, 1, 1), dim=1)
        has_source, has_frame = weight > 0, cover > 0
        mean = torch.where(has_source, total / torch.where(has_source, weight, 1.0), 0.0)
        share = torch.where(has_frame, mask / torch.where(has_frame, cover, 1.0), 0.0)
        alone = share * mean
        if level == levels:
            change = alone
        else:
            size = mean.shape[2:]
            band = mean - _expanded(coarser, inside, size)
            frame_above = (gaussian[level + 1][:, -1:] > 0).to(torch.float32)
            splined = _expanded(change, frame_above, size) + torch.where(has_source, share * band, 0.0)
            change = torch.where(coarsest > level, splined, alone)
        coarser, inside = mean, has_source.to(torch.float32)
    return change


def multiband_reach(levels: int) -> int:
    """How far from the union, in pixels along an axis, an image may change."""
    # Each halving and each doubling looks two pixels of its finer level far.
    return 4 * (2**levels - 1)


def coarsest_level(union: torch.Tensor, valid: torch.Tensor, levels: int) -> torch.Tensor:
    """How often the resolution is halved for each sample, at most ``levels``: ``[B]`` int64.

    From areas and lengths of edges, which are counts, and so the same everywhere.

    Four times the area over the length of the edge is the side of a square, the diameter of
    a disc, and twice the width of a line.
    """
    target = valid & ~union
    down = (union[:, 1:] & target[:, :-1]) | (union[:, :-1] & target[:, 1:])
    across = (union[:, :, 1:] & target[:, :, :-1]) | (union[:, :, :-1] & target[:, :, 1:])
    edge = down.sum(dim=(1, 2)) + across.sum(dim=(1, 2))
    area = union.sum(dim=(1, 2))
    return torch.stack(
        [torch.zeros_like(area), *(4 * area >= edge * 2 ** (k + 3) for k in range(1, levels + 1))]
    ).sum(dim=0)


def _expanded(values: torch.Tensor, known: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Twice as fine, out of what is known: a weighted mean, 0 where nothing is."""
    both = torch.cat((values * known, known), dim=1)
    fine = _both_axes(_doubled, both, size)
    weight = fine[:, -1:]
    return torch.where(weight > 0, fine[:, :-1] / torch.where(weight > 0, weight, 1.0), 0.0)


def _both_axes(
    function: Callable[..., torch.Tensor], values: torch.Tensor, *size: torch.Size
) -> torch.Tensor:
    heights, widths = ([s[0] for s in size], [s[1] for s in size])
    return function(function(values, *widths).transpose(2, 3), *heights).transpose(2, 3)


def _halved(values: torch.Tensor) -> torch.Tensor:
    """Every second of what (1, 4, 6, 4, 1) / 16 makes of the last axis, 0 beyond its ends."""
    half = (values.shape[-1] + 1) // 2
    padded = pad(values, (2, 2))
    taps = [padded[..., t : t + 2 * half - 1 : 2] for t in range(5)]
    return ((taps[0] + taps[4]) + 4.0 * (taps[1] + taps[3]) + 6.0 * taps[2]) * (1 / 16)


def _doubled(values: torch.Tensor, size: int) -> torch.Tensor:
    """The same kernel between twice as many places, the first ``size`` of them."""
    padded = pad(values, (1, 1))
    left, here, right = padded[..., :-2], padded[..., 1:-1], padded[..., 2:]
    even, odd = ((left + right) + 6.0 * here) * (1 / 8), (here + right) * (1 / 2)
    return torch.stack((even, odd), dim=-1).flatten(-2)[..., :size]

"""Counts, boxes and overlaps of binary masks, exact, without loops over pixels.

Reductions of bool tensors are slow on the CPU; a maximum over the same bytes as uint8 and
a count mask by mask take a tenth to a fiftieth of the time.
"""

from __future__ import annotations

import torch


def areas(masks: torch.Tensor) -> torch.Tensor:
    """Pixels of each mask: ``[N, H, W]`` bool -> ``[N]`` int64."""
    if masks.shape[0] == 0:
        return torch.zeros(0, dtype=torch.int64, device=masks.device)
    return torch.stack([torch.count_nonzero(mask) for mask in masks])


def not_empty(masks: torch.Tensor) -> torch.Tensor:
    """Whether a mask has a pixel: ``[N, H, W]`` bool -> ``[N]`` bool."""
    return any_over(any_over(masks, 2), 1)


def tight_boxes(masks: torch.Tensor) -> torch.Tensor:
    """Half-open XYXY of each mask: ``[N, H, W]`` bool -> ``[N, 4]`` int64; 0 where empty."""
    if masks.shape[0] == 0:
        return torch.zeros((0, 4), dtype=torch.int64, device=masks.device)
    left, right = _span(any_over(masks, 1))
    top, bottom = _span(any_over(masks, 2))
    return torch.stack([left, top, right, bottom], dim=1)


def covered_by(masks: torch.Tensor) -> torch.Tensor:
    """Pixels of any mask: ``[N, H, W]`` bool -> ``[H, W]`` bool."""
    return any_over(masks, 0)


def depth_of_cover(masks: torch.Tensor) -> torch.Tensor:
    """In how many masks each pixel is: ``[N, H, W]`` bool -> ``[H, W]`` int32."""
    cover = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
    for mask in masks:
        cover += mask
    return cover


def any_over(masks: torch.Tensor, dim: int) -> torch.Tensor:
    """``masks.any(dim)`` of a bool tensor."""
    if masks.shape[dim] == 0:
        return masks.any(dim=dim)
    return masks.view(torch.uint8).amax(dim=dim).view(torch.bool)


def _span(profile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = profile.shape[1]
    position = torch.arange(length, device=profile.device)
    first = torch.where(profile, position, length).amin(dim=1)
    last = torch.where(profile, position + 1, 0).amax(dim=1)
    return torch.where(last > 0, first, 0), last

"""Counts, boxes and overlaps of binary masks, exact, without loops over pixels."""

from __future__ import annotations

import torch


def areas(masks: torch.Tensor) -> torch.Tensor:
    """Pixels of each mask: ``[N, H, W]`` bool -> ``[N]`` int64."""
    return masks.flatten(1).sum(dim=1, dtype=torch.int64)


def tight_boxes(masks: torch.Tensor) -> torch.Tensor:
    """Half-open XYXY of each mask: ``[N, H, W]`` bool -> ``[N, 4]`` int64; 0 where empty."""
    if masks.shape[0] == 0:
        return torch.zeros((0, 4), dtype=torch.int64, device=masks.device)
    left, right = _span(masks.any(dim=1))
    top, bottom = _span(masks.any(dim=2))
    return torch.stack([left, top, right, bottom], dim=1)


def covered_by(masks: torch.Tensor) -> torch.Tensor:
    """Pixels of any mask: ``[N, H, W]`` bool -> ``[H, W]`` bool."""
    return masks.any(dim=0)


def depth_of_cover(masks: torch.Tensor) -> torch.Tensor:
    """In how many masks each pixel is: ``[N, H, W]`` bool -> ``[H, W]`` int32."""
    cover = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
    for mask in masks:  # row by row: a reduction of bool over the first dimension is ten times slower
        cover += mask
    return cover


def _span(profile: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = profile.shape[1]
    position = torch.arange(length, device=profile.device)
    first = torch.where(profile, position, length).amin(dim=1)
    last = torch.where(profile, position + 1, 0).amax(dim=1)
    return torch.where(last > 0, first, 0), last

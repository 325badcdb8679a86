"""Where masks lie: what the drawing of a plan needs to know of them."""

from __future__ import annotations

import numpy as np
import torch


def mask_spans(masks: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The extent of each mask, half open, in pixels.

    Args:
        masks: ``[B, K, H, W]`` bool.
        wanted: ``[B, K]`` bool; the other masks are not looked at.

    Returns:
        ``[B, K, 4]`` int64, (y0, x0, y1, x1); zeros where a mask is empty or not wanted.
    """
    if masks.device.type == "cpu" and not torch.compiler.is_compiling():
        from segpaste.paste.span_kernels import fill_spans

        spans = torch.empty((*masks.shape[:2], 4), dtype=torch.int64, device="cpu")
        looked_at = words_of(masks.detach().contiguous().numpy().view(np.uint8))
        fill_spans(looked_at, wanted.contiguous().numpy().view(np.uint8), spans.numpy(), 0, len(masks))
        return spans
    sides: list[torch.Tensor] = []
    for occupied in (masks.any(dim=3), masks.any(dim=2)):
        occupied = occupied & wanted[:, :, None]
        size = occupied.shape[2]
        index = torch.arange(size, device=masks.device)
        high = torch.where(occupied, index + 1, 0).amax(dim=2)
        low = torch.where(occupied, index, size).amin(dim=2)
        sides += [torch.minimum(low, high), high]
    return torch.stack((sides[0], sides[2], sides[1], sides[3]), dim=2)


def words_of(masks: np.ndarray) -> np.ndarray:
    """Masks ``[B, K, H, W]`` uint8 as words of eight pixels, where the width allows it."""
    if masks.shape[3] % 8 or not masks.size:
        return masks
    words = masks.view(np.uint64)
    return words if words.flags.aligned else masks

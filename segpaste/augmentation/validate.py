"""The checks of ``validate=True``: those that have to look at values."""

from __future__ import annotations

import torch

from segpaste.types import PaddedBatchedDenseSample


def check_values(batch: PaddedBatchedDenseSample) -> None:
    """Refuse a batch whose values no well-formed sample has, or whose boxes are not tight.

    Looks at every value, so that on CUDA it waits for the device.

    Raises:
        ValueError: naming the sample, the field and, for a box, the row.
    """
    batch.validate()
    if batch.instance_masks is None:
        return
    masks = batch.instance_masks.as_subclass(torch.Tensor)
    low_x, high_x = _span(masks.any(dim=2))
    low_y, high_y = _span(masks.any(dim=3))
    tight = torch.stack((low_x, low_y, high_x, high_y), dim=2).to(torch.float32)
    loose = ((batch.boxes != tight).any(dim=2) & batch.instance_valid).nonzero()
    if len(loose):
        sample, row = loose[0].tolist()
        got, expected = (tuple(t[sample, row].tolist()) for t in (batch.boxes, tight))
        raise ValueError(
            f"sample {sample}: boxes: row {row}: got {got}, expected {expected}, the extent of its mask"
        )


def check_unit_range(batch: PaddedBatchedDenseSample) -> None:
    """Refuse float images with values outside of 0..1, which harmonisation would clamp.

    Raises:
        ValueError: naming the sample.
    """
    images = batch.images.as_subclass(torch.Tensor)
    if images.dtype == torch.uint8 or images.numel() == 0:
        return
    low, high = torch.aminmax(images.flatten(1), dim=1)
    outside = ((low < 0) | (high > 1)).nonzero()
    if len(outside):
        sample = int(outside[0])
        raise ValueError(
            f"sample {sample}: images: got values from {float(low[sample]):g} to {float(high[sample]):g}, "
            "expected 0..1 with config.harmonize: normalise afterwards"
        )


def _span(occupied: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and one past the last true entry of ``[B, K, N]``; 0 and 0 where there is none."""
    size = occupied.shape[2]
    index = torch.arange(size, device=occupied.device)
    high = torch.where(occupied, index + 1, 0)
    low = torch.where(occupied, index, size)
    if size == 0:
        empty = torch.zeros(occupied.shape[:2], dtype=torch.int64, device=occupied.device)
        return empty, empty
    end = high.amax(dim=2)
    return torch.minimum(low.amin(dim=2), end), end

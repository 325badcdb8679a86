"""Where the crops of one target stand on a canvas."""

from __future__ import annotations

import torch

GAP = 2
"""Pixels between two crops, so that interpolation at the edge of one never sees the other."""


class CropLayout:
    """Crops of one size, row by row from the origin of a canvas; the first is at the origin.

    Static operations, no synchronisation.

    Args:
        canvas: (H, W).
        size: (h, w) of every crop.
        count: n, how many there are.
        device: of the crops.
        offset: ``[B, 2]`` int64, y and x by which all crops of a sample are moved from there,
            what leaves the canvas being cut off; ``None`` for not at all.
    """

    def __init__(
        self,
        canvas: tuple[int, int],
        size: tuple[int, int],
        count: int,
        device: torch.device,
        offset: torch.Tensor | None = None,
    ) -> None:
        self.canvas = canvas
        self.size = size
        self.offset = offset
        across = min(_as_many(canvas[1], size[1]), count)
        pitch = size[0] + GAP, size[1] + GAP
        self.corners = [(n // across * pitch[0], n % across * pitch[1]) for n in range(count)]
        number = torch.arange(count, device=device)
        y, x = number // across * pitch[0], number % across * pitch[1]
        self.places = torch.stack((y, x), dim=1)[None]
        """The corners as ``[1 or B, n, 2]`` int64, y and x, moved as the crops are."""
        if offset is not None:
            self.places = self.places + offset[:, None]

    @staticmethod
    def holds(canvas: tuple[int, int], size: tuple[int, int], count: int) -> bool:
        """Whether a canvas holds ``count`` crops of that size."""
        return _as_many(canvas[0], size[0]) * _as_many(canvas[1], size[1]) >= count

    def placed(self, crops: torch.Tensor, *, fill: int = 0, edges: bool = False) -> torch.Tensor:
        """Crops ``[B, n, C, h, w]`` on one canvas, ``[B, C, H, W]``.

        Args:
            crops: what to place.
            fill: what stands elsewhere.
            edges: repeat the outermost pixels once around each crop, so that interpolation
                finds there what it finds at the border of a canvas.
        """
        (height, width), (h, w) = self.canvas, self.size
        made = crops.new_full((crops.shape[0], crops.shape[2], height, width), fill)
        around = 1 if edges else 0
        for n, (y, x) in enumerate(self.corners):
            top, bottom = max(y - around, 0), min(y + h + around, height)
            left, right = max(x - around, 0), min(x + w + around, width)
            crop = crops[:, n]
            if edges:
                rows = torch.arange(top - y, bottom - y, device=crops.device).clamp(0, h - 1)
                columns = torch.arange(left - x, right - x, device=crops.device).clamp(0, w - 1)
                crop = crop[:, :, rows][:, :, :, columns]
            made[:, :, top:bottom, left:right] = crop
        return made if self.offset is None else _moved(made, self.offset, fill)

    def each(self, alpha: torch.Tensor) -> torch.Tensor:
        """Masks ``[B, n, h, w]``, each on a canvas of its own, ``[B, n, H, W]``."""
        h, w = self.size
        made = alpha.new_zeros((*alpha.shape[:2], *self.canvas))
        for n, (y, x) in enumerate(self.corners):
            made[:, n, y : y + h, x : x + w] = alpha[:, n]
        return made


def _as_many(side: int, crop: int) -> int:
    """How many crops fit along a side."""
    return (side + GAP) // (crop + GAP)


def _moved(value: torch.Tensor, offset: torch.Tensor, fill: int) -> torch.Tensor:
    """``[B, C, H, W]``, every sample moved by its own offset ``[B, 2]``, y and x."""
    height, width = value.shape[2:]
    rows = torch.arange(height, device=value.device) - offset[:, :1]
    columns = torch.arange(width, device=value.device) - offset[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[
        :, None, None, :
    ]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    index = index.flatten(1)[:, None].expand(-1, value.shape[1], -1)
    return value.flatten(2).gather(2, index).view(value.shape).masked_fill(~inside, fill)

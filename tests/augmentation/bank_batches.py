"""Staged batches of noise, and of crops written down as grids."""

from __future__ import annotations

from typing import Any

import torch

from segpaste.bank.batch import BankBatch
from tests.paste.samples import grid


def crop(
    alpha: str, label: int, colour: tuple[int, int, int] | torch.Tensor = (200, 100, 50)
) -> torch.Tensor:
    """One crop ``[5, h, w]`` int32 of one colour, or of a given image ``[3, h, w]``."""
    mask = grid(alpha) > 0
    made = torch.zeros((5, *mask.shape), dtype=torch.int32)
    made[:3] = colour if isinstance(colour, torch.Tensor) else torch.tensor(colour)[:, None, None]
    made[3], made[4] = mask, label
    return made


def staged(rows: list[list[torch.Tensor]], **beside: Any) -> BankBatch:
    """Crops by target."""
    return BankBatch(torch.stack([torch.stack(row) for row in rows]), **beside)


def noise(
    batch: int,
    crops: int,
    size: tuple[int, int] = (6, 7),
    *,
    labels: tuple[int, ...] = (1, 2, 4),
    seed: int = 0,
    depth: bool = False,
    normals: bool = False,
    metric: bool = False,
) -> BankBatch:
    """Crops with everything that is asked for, every one of them usable."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randint(0, 256, (batch, crops, 5, *size), generator=generator, dtype=torch.int32)
    made[:, :, 3] %= 2
    made[:, :, 3, 0, 0] = 1
    which = torch.randint(0, len(labels), (batch, crops), generator=generator)
    made[:, :, 4] = torch.tensor(labels, dtype=torch.int32)[which][:, :, None, None]
    beside: dict[str, Any] = {}
    if depth or metric:
        near = torch.rand((batch, crops, 1, *size), generator=generator) / 64 + 1 / 256
        beside |= {"depth": near, "depth_valid": near > 1 / 128, "metric_depth": metric}
        beside["carries_depth"] = torch.ones((batch, crops), dtype=torch.bool)
    if normals:
        beside["normals"] = torch.tensor([0.6, 0.0, -0.8])[:, None, None].expand(batch, crops, 3, *size)
        beside["carries_normals"] = torch.ones((batch, crops), dtype=torch.bool)
    if metric:
        beside["camera_intrinsics"] = torch.tensor([5.0, 6.0, 3.5, 3.0], dtype=torch.float64).repeat(
            batch, crops, 1
        )
    return BankBatch(made, **beside)

"""Pairs of images before and after a paste, with unions of many shapes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from segpaste.types import PaddedBatchedDenseSample

UNIT = {torch.uint8: 255.0, torch.float32: 1.0}


class Pair(NamedTuple):
    """``before`` and ``pasted`` hold images alone; ``union`` and ``valid`` are ``[B, H, W]`` bool."""

    before: PaddedBatchedDenseSample
    pasted: PaddedBatchedDenseSample
    union: torch.Tensor
    valid: torch.Tensor


SHAPES = (
    "disc",
    "two",
    "corner",
    "across",
    "everything",
    "nothing",
    "one pixel",
    "line",
    "all sides",
    "noise",
)


def union_of(shape: str, height: int, width: int) -> np.ndarray:
    """``[H, W]`` bool."""
    y, x = np.mgrid[:height, :width]
    disc = (2 * y + 1 - height) ** 2 / height**2 + (2 * x + 1 - width) ** 2 / width**2 < 0.4
    shapes = {
        "disc": disc,
        "two": ((y // 3) == 1) & ((x // 4) % 3 == 1),
        "corner": (y + x < min(height, width) // 2),
        "across": (y > height // 3) & (y < height // 2 + 1),
        "everything": np.ones_like(disc),
        "nothing": np.zeros_like(disc),
        "one pixel": (y == height // 2) & (x == width // 3),
        "line": (y == x),
        "all sides": ~disc,
        "noise": np.random.default_rng(0).random((height, width)) < 0.3,
    }
    return shapes[shape]


def pair(
    *unions: np.ndarray,
    dtype: torch.dtype = torch.float32,
    channels: int = 3,
    seed: int = 0,
    padding: tuple[int, int] = (0, 0),
) -> Pair:
    """Smooth images with noise; the source brighter than the target. Padding is all ones."""
    rng = np.random.default_rng(seed)
    union = np.stack(unions)
    height, width = union.shape[1:]
    y, x = np.mgrid[:height, :width] / max(height, width)
    shape = (len(unions), channels, height, width)
    before = 0.35 + 0.2 * np.sin(5 * x + 3 * y) + 0.15 * rng.random(shape)
    source = 0.55 + 0.15 * np.cos(4 * y - 2 * x) + 0.2 * rng.random(shape)
    source[:, 0] *= 0.8
    valid = np.ones_like(union)
    valid[:, height - padding[0] :] = False
    valid[:, :, width - padding[1] :] = False
    union &= valid
    before = np.where(valid[:, None], before, 1.0)
    pasted = np.where(union[:, None], source, before)
    return Pair(images_only(before, dtype, valid), images_only(pasted, dtype, valid), *_tensors(union, valid))


def images_only(
    unit: np.ndarray, dtype: torch.dtype, valid: np.ndarray | None = None
) -> PaddedBatchedDenseSample:
    """A batch of images ``[B, C, H, W]`` in 0..1 and no labels."""
    count = len(unit)
    images = torch.from_numpy(np.round(unit * 255) if dtype == torch.uint8 else unit).to(dtype)
    return PaddedBatchedDenseSample(
        images=images,  # pyright: ignore[reportArgumentType]
        boxes=torch.zeros((count, 0, 4)),
        labels=torch.zeros((count, 0), dtype=torch.int64),
        instance_valid=torch.zeros((count, 0), dtype=torch.bool),
        padding_mask=None if valid is None else torch.from_numpy(~valid[:, None]),  # pyright: ignore[reportArgumentType]
    )


def plain(value: torch.Tensor) -> torch.Tensor:
    """Of whatever subclass."""
    return value.as_subclass(torch.Tensor)


def unit_of(batch: PaddedBatchedDenseSample) -> np.ndarray:
    """The images in 0..1, float64."""
    images = plain(batch.images)
    return images.to(torch.float64).numpy() / UNIT[images.dtype]


def _tensors(union: np.ndarray, valid: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(union), torch.from_numpy(valid)

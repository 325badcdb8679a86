"""Small samples with known contents, and equality to the last bit."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch

from segpaste.types import LEGAL_MODALITY_SETS, CameraIntrinsics, DenseSample, Modality
from segpaste.types.modality import modality_set_name

CANVAS = (5, 7)
EVERYTHING = frozenset(Modality)
ALL_SETS = (*LEGAL_MODALITY_SETS, frozenset({Modality.IMAGE}))
SET_NAMES = [modality_set_name(modalities) for modalities in ALL_SETS]

_INTEGER_VIEW = {torch.float32: torch.int32, torch.float64: torch.int64}


def sample_fields(
    modalities: frozenset[Modality] = EVERYTHING,
    *,
    rows: int = 2,
    dtype: torch.dtype = torch.uint8,
    padded: bool = True,
    metric: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """Constructor arguments of a well-formed 5 x 7 sample: row n is the pixels (n, 0..2n)."""
    height, width = CANVAS
    noise = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (3, height, width), generator=noise, dtype=torch.uint8)
    masks = torch.zeros((rows, height, width), dtype=torch.bool)
    for row in range(rows):
        masks[row, row, : 2 * row + 1] = True
    labels = torch.arange(1, rows + 1)
    ids = torch.arange(rows, dtype=torch.int32) * 3 + 1
    values: dict[str, Any] = {
        "image": pixels if dtype == torch.uint8 else pixels.to(dtype) / 255,
        "boxes": torch.tensor([[0, n, 2 * n + 1, n + 1] for n in range(rows)], dtype=torch.float32).reshape(
            rows, 4
        ),
        "labels": labels,
    }
    if Modality.INSTANCE in modalities:
        values |= {"instance_masks": masks, "instance_ids": ids}
    if Modality.SEMANTIC in modalities:
        semantic = torch.full((height, width), 9, dtype=torch.int64)
        for mask, label in zip(masks, labels, strict=True):
            semantic[mask] = label
        values["semantic_map"] = semantic
    if Modality.PANOPTIC in modalities:
        values["panoptic_map"] = (masks.to(torch.int64) * ids.to(torch.int64)[:, None, None]).sum(dim=0)
    if Modality.DEPTH in modalities:
        depth = torch.arange(height * width, dtype=torch.float32).reshape(1, height, width) / 4 + 1
        valid = torch.ones((1, height, width), dtype=torch.bool)
        valid[0, -1, -1] = False
        depth[0, -1, -1] = torch.nan
        values |= {"depth": depth, "depth_valid": valid}
        values["camera_intrinsics"] = CameraIntrinsics(fx=5.5, fy=6.25, cx=3.1 + seed, cy=2.0)
        values["metric_depth"] = metric
    if Modality.NORMALS in modalities:
        normals = torch.zeros((3, height, width))
        normals[2] = -1.0
        normals[:, 0, 0] = 0.0
        values["normals"] = normals
    if padded:
        padding = torch.zeros((1, height, width), dtype=torch.bool)
        padding[:, -1, :] = True
        values["padding_mask"] = padding
    return values


def dense_sample(modalities: frozenset[Modality] = EVERYTHING, **options: Any) -> DenseSample:
    """The sample of :func:`sample_fields`."""
    return DenseSample(**sample_fields(modalities, **options))


def assert_same(got: Any, want: Any, where: str = "value") -> None:
    """Two containers, or two values of one field, are of one type and equal bit for bit."""
    assert type(got) is type(want), f"{where}: {type(got).__name__} is no {type(want).__name__}"
    if isinstance(want, torch.Tensor):
        assert got.dtype == want.dtype, where
        assert got.shape == want.shape, where
        view = _INTEGER_VIEW.get(want.dtype)
        got, want = got.as_subclass(torch.Tensor), want.as_subclass(torch.Tensor)
        assert torch.equal(got.view(view), want.view(view)) if view else torch.equal(got, want), where
    elif isinstance(want, list):
        assert len(got) == len(want), where
        for index, (g, w) in enumerate(zip(got, want, strict=True)):
            assert_same(g, w, f"{where}[{index}]")
    elif hasattr(want, "__dataclass_fields__"):
        for field in fields(want):
            assert_same(getattr(got, field.name), getattr(want, field.name), f"{where}.{field.name}")
    else:
        assert got == want, where

"""Samples with everything that a sample can have, for torchvision's transforms."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from segpaste.types import CameraIntrinsics, DenseSample

FIELDS = tuple(field.name for field in dataclasses.fields(DenseSample))


def sample_of(**fields: Any) -> Any:
    """A sample of plain tensors; what it lacks is known to the test."""
    return DenseSample(**fields)


def full_sample(**changes: Any) -> Any:
    """Two things on a stuff floor, metric depth with holes, tilted normals with a gap, a camera."""
    height, width = 40, 60
    masks = torch.zeros((2, height, width), dtype=torch.bool)
    masks[0, height // 8 : height // 2, width // 12 : width // 2] = True
    masks[1, height // 2 + 2 : height - 3, width // 2 :] = True
    ids = torch.tensor([2**30 + 7, 3], dtype=torch.int32)
    panoptic = (masks * ids.to(torch.int64)[:, None, None]).sum(dim=0)
    semantic = torch.where(panoptic == 0, 1, 5)
    semantic[0, :] = 255
    generator = torch.Generator().manual_seed(4)
    depth = torch.rand((1, height, width), generator=generator) + 1
    valid = torch.rand((1, height, width), generator=generator) > 0.2
    depth[~valid] = torch.nan  # nobody may read it
    normals = torch.tensor([0.48, 0.6, -0.64])[:, None, None].repeat(1, height, width)
    normals[:, :, :2] = 0
    fields: dict[str, Any] = {
        "image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator),
        "boxes": torch.tensor([
            [width // 12, height // 8, width // 2, height // 2],
            [width // 2, height // 2 + 2, width, height - 3],
        ]).to(torch.float32),
        "labels": torch.tensor([5, 5]),
        "instance_ids": ids,
        "instance_masks": masks,
        "semantic_map": semantic,
        "panoptic_map": panoptic,
        "depth": depth,
        "depth_valid": valid,
        "normals": normals,
        "camera_intrinsics": CameraIntrinsics(50.0, 50.0, 30.0, 20.0),
        "metric_depth": True,
    }  # fmt: skip
    return DenseSample(**(fields | changes))


def same_bits(a: Any, b: Any) -> bool:
    """Whether two values of a field are the same, NaN under NaN and dtype included."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        first, second = a.as_subclass(torch.Tensor).contiguous(), b.as_subclass(torch.Tensor).contiguous()
        if first.dtype != second.dtype or first.shape != second.shape:
            return False
        if first.dtype == torch.float32:
            first, second = first.view(torch.int32), second.view(torch.int32)
        return torch.equal(first, second)
    return type(a) is type(b) and a == b


def changed_fields(before: DenseSample, after: DenseSample) -> set[str]:
    """The fields whose bits differ."""
    return {name for name in FIELDS if not same_bits(getattr(before, name), getattr(after, name))}

"""Augmentations that break nothing: what the kit says of them is what its alarms are worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from segpaste.paste import draw_plan
from segpaste.paste.reference import apply_reference
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    CameraIntrinsics,
    DenseSample,
    PaddedBatchedDenseSample,
)

_MAPS = ("image", "instance_masks", "semantic_map", "panoptic_map", "depth", "depth_valid", "normals")
_SIDE = 6


def pasted(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """The reference of segpaste without its audit: a black box like any other."""
    config = BatchCopyPasteConfig()
    view, source = (_padded(sample, len(target) + len(donor)) for sample in (target, donor))
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(view, source, torch.tensor([seed % 2**63]), config, source_idx=first)
    after, _ = apply_reference(view, source, plan, config)
    return BatchedDenseSample.from_padded(after).to_samples()[0]


def flipped(sample: DenseSample, seed: int) -> DenseSample:
    """Left and right exchanged; normals and the camera, too."""
    values = _tensors(sample)
    width = sample.canvas_size[1]
    for name in _MAPS:
        if name in values:
            values[name] = values[name].flip(-1)
    if "normals" in values:
        values["normals"] = torch.cat([0.0 - values["normals"][:1], values["normals"][1:]])
    x1, y1, x2, y2 = values["boxes"].unbind(dim=1)
    values["boxes"] = torch.stack([width - x2, y1, width - x1, y2], dim=1)
    camera = sample.camera_intrinsics
    if camera is not None:
        values["camera_intrinsics"] = CameraIntrinsics(camera.fx, camera.fy, width - camera.cx, camera.cy)
    return DenseSample.from_dict(values)


def cropped(sample: DenseSample, seed: int) -> DenseSample:
    """A window of at most 6 x 6 pixels; rows without a pixel in it go, and their ids from the map."""
    values = _tensors(sample)
    generator = np.random.default_rng(seed)
    height, width = (min(_SIDE, side) for side in sample.canvas_size)
    top, left = (
        int(generator.integers(0, side - kept + 1))
        for side, kept in zip(sample.canvas_size, (height, width), strict=True)
    )
    for name in _MAPS:
        if name in values:
            values[name] = values[name][..., top : top + height, left : left + width].contiguous()
    if "instance_masks" in values:
        masks = values["instance_masks"]
        kept = masks.flatten(1).any(dim=1)
        values["instance_masks"] = masks[kept]
        values["labels"] = values["labels"][kept]
        values["instance_ids"] = values["instance_ids"][kept]
        values["boxes"] = torch.tensor([_extent(mask) for mask in masks[kept]]).reshape(-1, 4)
    camera = sample.camera_intrinsics
    if camera is not None:
        values["camera_intrinsics"] = CameraIntrinsics(
            camera.fx, camera.fy, camera.cx - left, camera.cy - top
        )
    return DenseSample.from_dict(values)


def inverted(sample: DenseSample, seed: int) -> DenseSample:
    """Light becomes dark; nothing else changes."""
    values = _tensors(sample)
    brightest = 255 if sample.image.dtype == torch.uint8 else 1.0
    values["image"] = brightest - values["image"]
    return DenseSample.from_dict(values)


def _padded(sample: DenseSample, slots: int) -> PaddedBatchedDenseSample:
    return BatchedDenseSample.from_samples([sample]).to_padded(max(1, slots))


def _tensors(sample: DenseSample) -> dict[str, Any]:
    """The fields, tensors as plain ones."""
    return {
        name: value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value
        for name, value in sample.to_dict().items()
    }


def _extent(mask: torch.Tensor) -> list[float]:
    ys, xs = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    return [float(xs[0]), float(ys[0]), float(xs[-1]) + 1.0, float(ys[-1]) + 1.0]

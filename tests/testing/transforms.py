"""Augmentations that move pixels or change colours, right ones and wrong ones, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.types import DenseSample, Modality

NO_NORMALS = ["instance+semantic+panoptic+depth", "semantic", "instance"]


def mirrored(sample: DenseSample, seed: int) -> DenseSample:
    """Every field mirrored, as it should be."""
    width = sample.canvas_size[1]
    fields = {
        name: value.as_subclass(torch.Tensor).flip(-1)
        for name, value in sample.to_dict().items()
        if isinstance(value, torch.Tensor) and name not in ("boxes", "labels", "instance_ids")
    }
    if sample.normals is not None:
        flipped = fields["normals"]
        fields["normals"] = torch.cat([0 - flipped[:1], flipped[1:]])
    boxes = sample.boxes.as_subclass(torch.Tensor)
    fields["boxes"] = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    camera = sample.camera_intrinsics
    if camera is not None:
        camera = replace(camera, cx=width - camera.cx)
    changes: dict[str, Any] = {**fields, "camera_intrinsics": camera}
    return DenseSample.from_dict(sample.to_dict() | {k: v for k, v in changes.items() if v is not None})


def masks_stay_behind(sample: DenseSample, seed: int) -> DenseSample:
    """The image is mirrored, the masks and boxes are not."""
    return replace(sample, image=sample.image.flip(-1))


def darker(sample: DenseSample, seed: int) -> DenseSample:
    """Half as bright, the labels as they were."""
    image = sample.image
    half = image // 2 if image.dtype == torch.uint8 else image / 2
    return replace(sample, image=half)


def darker_with_labels(sample: DenseSample, seed: int) -> DenseSample:
    """Half as bright; class 2 is renamed on the way."""
    labels = torch.where(sample.labels == 2, 1, sample.labels)
    return replace(darker(sample, seed), labels=labels)


def side_by_side(sample: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """A mosaic of two: the upper half of one above the lower half of the other, and all their rows."""
    height = sample.canvas_size[0]
    top = torch.arange(height) < (height + 1) // 2

    def joined(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        plain = first.as_subclass(torch.Tensor), second.as_subclass(torch.Tensor)
        return torch.where(top[:, None], *plain)

    fields: dict[str, Any] = {
        "image": joined(sample.image, donor.image),
        "camera_intrinsics": sample.camera_intrinsics,
    }
    if sample.semantic_map is not None and donor.semantic_map is not None:
        fields["semantic_map"] = joined(sample.semantic_map, donor.semantic_map)
    if Modality.INSTANCE in sample.active_modalities():
        fields |= _rows(sample, donor, top)
    return DenseSample(**fields)


def _rows(sample: DenseSample, donor: DenseSample, top: torch.Tensor) -> dict[str, Any]:
    if sample.instance_masks is None or sample.instance_ids is None or donor.instance_masks is None:
        raise ValueError("sample: got no masks, expected some")
    masks = torch.cat([
        sample.instance_masks.as_subclass(torch.Tensor) & top[:, None],
        donor.instance_masks.as_subclass(torch.Tensor) & ~top[:, None],
    ])  # fmt: skip
    labels = torch.cat([sample.labels, donor.labels])
    kept = masks.flatten(1).any(dim=1)
    masks, labels = masks[kept], labels[kept]
    boxes = torch.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        ys, xs = mask.nonzero(as_tuple=True)
        extent = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
        boxes[row] = torch.tensor(extent, dtype=torch.float32)
    # Ids of two samples may collide: the donor's rows are numbered anew.
    ids = torch.cat([sample.instance_ids, torch.arange(len(donor), dtype=torch.int32) + 1_000_000])
    return {"instance_masks": masks, "labels": labels, "boxes": boxes, "instance_ids": ids[kept]}

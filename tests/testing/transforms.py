"""Augmentations that move pixels or change colours, right ones and wrong ones, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.types import DenseSample, Modality
from tests.faults.transforms import darker, mirrored

__all__ = ["darker", "darker_with_labels", "masks_stay_behind", "mirrored", "side_by_side"]


def masks_stay_behind(sample: DenseSample, seed: int) -> DenseSample:
    """The image is mirrored, the masks and boxes are not."""
    return replace(sample, image=sample.image.flip(-1))


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

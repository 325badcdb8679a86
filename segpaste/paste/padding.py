"""Padding a canvas to a multiple of a patch size."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from segpaste.types import PaddedBatchedDenseSample

_MAPS = (
    "images",
    "instance_masks",
    "semantic_maps",
    "panoptic_maps",
    "depth",
    "depth_valid",
    "normals",
    "padding_mask",
)


def pad_canvas(batch: PaddedBatchedDenseSample, multiple: int, ignore_index: int) -> PaddedBatchedDenseSample:
    """Grow the canvas at the bottom and on the right until both sides are a multiple.

    The result has a padding mask, also where nothing had to be added, so that which
    fields a batch has does not depend on its size. In the new pixels the padding mask is
    true, the semantic map has ``ignore_index``, and every other map 0 or false. Boxes and
    intrinsics stay, as the origin does.

    Args:
        batch: ``[B, ...]`` with a canvas of H x W.
        multiple: 1 or more pixels.
        ignore_index: the semantic label that means *no label*.

    Returns:
        A batch with a canvas of ``ceil(H / multiple) * multiple`` by the same of W. Where
        that is the canvas already, its tensors are those of ``batch``, and with a padding
        mask it is ``batch`` itself.
    """
    height, width = batch.canvas_size
    if batch.padding_mask is not None and height % multiple == width % multiple == 0:
        return batch
    bottom, right = -height % multiple, -width % multiple
    values: dict[str, Any] = batch.tensors()
    if "padding_mask" not in values:
        values["padding_mask"] = torch.zeros(
            (batch.batch_size, 1, height, width), dtype=torch.bool, device=batch.images.device
        )
    if bottom or right:
        fill = {"semantic_maps": ignore_index, "padding_mask": True}
        for name in _MAPS:
            if name in values:
                values[name] = pad(values[name], (0, right, 0, bottom), value=fill.get(name, 0))
    return PaddedBatchedDenseSample(**values, metric_depth=batch.metric_depth)

"""Drawn samples whose objects do not overlap, so that an overlap in a result is the library's making."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.testing.adapters.base import Adapted, Adapter
from segpaste.types import DenseSample


class Disjoint(Adapter):
    """An adapter that is given samples without overlaps, of images of one kind if ``image_dtype`` says so.

    Where drawn objects overlap, the later ones lose the pixels; those that lose all of them go.
    """

    def __init__(self, adapter: Adapter, image_dtype: torch.dtype | None = None) -> None:
        self._adapter = adapter
        self.name, self.kind, self.mixes = adapter.name, adapter.kind, adapter.mixes
        dtypes = adapter.accepts.image_dtypes if image_dtype is None else (image_dtype,)
        self.accepts = replace(adapter.accepts, image_dtypes=dtypes)

    def prepare(self, sample: DenseSample) -> DenseSample:
        """Without overlaps, then as the library can hold it."""
        return self._adapter.prepare(_disjoint(sample))

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample | Adapted:
        """As the adapter does."""
        return self._adapter(target, donor, seed)


def _disjoint(sample: DenseSample) -> DenseSample:
    if sample.instance_masks is None or sample.instance_ids is None:
        return sample
    masks = sample.instance_masks.as_subclass(torch.Tensor)
    earlier = masks.cumsum(dim=0) - masks.to(torch.int64)
    masks = masks & (earlier == 0)
    kept = masks.flatten(1).any(dim=1)
    values: dict[str, Any] = sample.to_dict()
    values["instance_masks"] = masks[kept]
    values["instance_ids"] = sample.instance_ids[kept]
    values["labels"] = sample.labels[kept]
    boxes = [_extent(mask) for mask in masks[kept]]
    values["boxes"] = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return DenseSample.from_dict(values)


def _extent(mask: torch.Tensor) -> list[int]:
    ys, xs = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    return [int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1]

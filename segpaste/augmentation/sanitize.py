"""Rows that are not worth keeping: out, with everything that belongs to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from segpaste.types import DenseSample, InstanceMask, PaddingMask, PanopticMap, SemanticMap, xyxy
from segpaste.types.batch_leaves import refuse_batches
from segpaste.types.leaves import IGNORE, void_lost_objects
from segpaste.types.numbers import whole_number

_Getter = Callable[[Any], Any] | str | None


class _OfSamples(v2.SanitizeBoundingBoxes):
    """Drops rows of samples; everything else goes through torchvision's way."""

    ignore_index: int

    def forward(self, *inputs: Any) -> Any:
        given: Any = inputs if len(inputs) != 1 else inputs[0]
        refuse_batches(type(self).__name__, given)
        found: list[DenseSample] = []

        def of_one(value: Any) -> Any:
            if not isinstance(value, DenseSample):
                return value
            found.append(value)
            return keep_rows(value, self.kept_rows(value), self.ignore_index)

        result = pytree.tree_map(of_one, given, is_leaf=lambda value: isinstance(value, DenseSample))
        if not found:
            return self.without_sample(given)
        self._refuse_rows_beside_a_sample(given)
        return result

    def _refuse_rows_beside_a_sample(self, given: Any) -> None:
        """Their verdicts would be others than the sample's: which rows go, nobody can say."""
        for leaf in pytree.tree_leaves(given, is_leaf=lambda value: isinstance(value, DenseSample)):
            if isinstance(leaf, (tv_tensors.BoundingBoxes, InstanceMask)):
                raise ValueError(
                    f"{type(self).__name__}: got {type(leaf).__name__} beside a DenseSample, expected a "
                    "sample or a dict of tensors with rows, not both: clean each in a call of its own"
                )

    def kept_rows(self, sample: DenseSample) -> torch.Tensor:
        """``[N]`` bool."""
        raise NotImplementedError

    def without_sample(self, given: Any) -> Any:
        """What is done to inputs in which there is no sample."""
        raise NotImplementedError

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Drop rows of one leaf of a dict or tuple; maps and padding have none."""
        if isinstance(inpt, (PaddingMask, SemanticMap, PanopticMap)):
            return inpt
        return super().transform(inpt, params)


class SanitizeBoundingBoxes(_OfSamples):
    """``torchvision.transforms.v2.SanitizeBoundingBoxes``, of whole samples.

    Drops rows whose box is smaller than ``min_size`` or ``min_area`` or leaves the canvas, from
    ``boxes``, ``labels``, ``instance_ids`` and ``instance_masks``. With a panoptic map the pixels
    of such a row become void: panoptic 0 and ``ignore_index`` in the semantic map; without one the
    semantic map stays. Padding, depth, normals and camera stay what they are.

    On a dict or tuple it does what torchvision's does, but hands on ``PaddingMask``,
    ``SemanticMap`` and ``PanopticMap`` unchanged, which torchvision's may take for masks of rows.

    Args:
        min_size: least width and height of a box in pixels, 1 or more.
        min_area: least area of a box in square pixels, 1 or more.
        labels_getter: torchvision's, for a dict or tuple; a sample's rows are known.
        ignore_index: what the semantic map gets in void.

    Raises:
        TypeError: if ``ignore_index`` is no integer, or another no number.
        ValueError: if one is out of its range, or not finite; when called, as torchvision's, and
            on boxes or an ``InstanceMask`` beside a sample.
    """

    def __init__(
        self,
        min_size: float = 1.0,
        min_area: float = 1.0,
        labels_getter: _Getter = "default",
        *,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(
            min_size=_least("min_size", min_size),
            min_area=_least("min_area", min_area),
            labels_getter=labels_getter,
        )
        self.ignore_index = whole_number("ignore_index", ignore_index, at_least=0)

    def kept_rows(self, sample: DenseSample) -> torch.Tensor:
        """Which boxes torchvision would keep."""
        return F.sanitize_bounding_boxes(sample.boxes, min_size=self.min_size, min_area=self.min_area)[1]

    def without_sample(self, given: Any) -> Any:
        """As torchvision."""
        return v2.SanitizeBoundingBoxes.forward(self, given)


class SanitizeInstances(_OfSamples):
    """Drops rows whose mask has fewer than ``min_mask_area`` pixels.

    Of a :class:`DenseSample`, from all its fields, as :class:`SanitizeBoundingBoxes` does; of a
    dict or tuple from its ``InstanceMask``, its boxes and its labels.

    Args:
        min_mask_area: pixels, 0 or more; 1 drops masks without a pixel.
        labels_getter: how labels (and what else has one entry per row) are found in a dict or
            tuple, as in ``torchvision.transforms.v2.SanitizeBoundingBoxes``.
        ignore_index: what the semantic map gets in void.

    Raises:
        TypeError: if a number is no integer.
        ValueError: if one is negative; when called, if there are rows without masks, or boxes or
            an ``InstanceMask`` beside a sample.
    """

    def __init__(
        self, min_mask_area: int, labels_getter: _Getter = "default", *, ignore_index: int = IGNORE
    ) -> None:
        super().__init__(labels_getter=labels_getter)
        self.min_mask_area = whole_number("min_mask_area", min_mask_area, at_least=0)
        self.ignore_index = whole_number("ignore_index", ignore_index, at_least=0)

    def kept_rows(self, sample: DenseSample) -> torch.Tensor:
        """Which masks are large enough."""
        if sample.instance_masks is None:
            if len(sample):
                raise ValueError(
                    "SanitizeInstances: got a sample with rows and no instance_masks, expected masks; "
                    "SanitizeBoundingBoxes looks at boxes"
                )
            return torch.zeros(0, dtype=torch.bool, device=sample.labels.device)
        return self._large(sample.instance_masks)

    def without_sample(self, given: Any) -> Any:
        """Drop the rows of the masks of a dict or tuple."""
        leaves, spec = pytree.tree_flatten(given)
        masks = next((leaf for leaf in leaves if isinstance(leaf, InstanceMask)), None)
        if masks is None:
            raise ValueError("SanitizeInstances: got no DenseSample and no InstanceMask, expected one")
        labels = self._labels_getter(given)
        labels = (labels,) if isinstance(labels, torch.Tensor) else tuple(labels or ())
        for other in labels:
            if len(other) != len(masks):
                raise ValueError(
                    f"SanitizeInstances: got {len(other)} labels for {len(masks)} masks, expected as many"
                )
        params = {"valid": self._large(masks), "labels": labels}
        return pytree.tree_unflatten([self.transform(leaf, params) for leaf in leaves], spec)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Drop rows of one leaf; a plain ``Mask`` may be anything, and stays."""
        return inpt if type(inpt) is tv_tensors.Mask else super().transform(inpt, params)

    def _large(self, masks: torch.Tensor) -> torch.Tensor:
        plain = masks.as_subclass(torch.Tensor)
        return (plain != 0).flatten(1).sum(dim=1) >= self.min_mask_area


def _least(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: got {value!r}, expected a number")
    number = float(value)
    if not 1 <= number < math.inf:
        raise ValueError(f"{name}: got {value}, expected a finite number of 1 or more")
    return number


def keep_rows(sample: DenseSample, keep: torch.Tensor, ignore_index: int = IGNORE) -> DenseSample:
    """The sample with only the rows ``keep`` ``[N]`` bool; the same object if that is all of them.

    With a panoptic map the pixels of the others become void: panoptic 0, semantic
    ``ignore_index``.
    """
    if bool(keep.all()):
        return sample
    fields = sample.to_dict()
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        if name in fields:
            rows = fields[name].as_subclass(torch.Tensor)[keep]
            fields[name] = xyxy(rows, sample.canvas_size) if name == "boxes" else rows
    if sample.panoptic_map is not None and sample.semantic_map is not None:
        maps = (sample.panoptic_map.as_subclass(torch.Tensor), sample.semantic_map.as_subclass(torch.Tensor))
        lost = void_lost_objects(*maps, fields["instance_ids"], ignore_index)
        fields["panoptic_map"], fields["semantic_map"] = lost
    return type(sample).unchecked(**fields)

"""The lists that torchvision's detection models and reference scripts are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from segpaste.integrations.class_indices import checked_indices, to_classes, to_indices
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from segpaste.types.leaves import tight_boxes
from segpaste.types.tensors import plain
from segpaste.types.validation import IMAGE_DTYPES, check_field, valid_rectangle

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def to_detection_format(
    batch: PaddedBatchedDenseSample | BatchedDenseSample | Sequence[DenseSample],
    *,
    image_ids: Sequence[int] | None = None,
    class_to_index: Mapping[int, int] | None = None,
) -> tuple[list[torch.Tensor], list[dict[str, Any]]]:
    """``model(images, targets)`` of Mask R-CNN and its kin.

    Padding is cut off, as the lists' images have sizes of their own. Maps, depth and
    normals have no place in this format.

    Args:
        batch: samples with rows; a list may hold samples of several sizes.
        image_ids: one per sample; 0, 1, ... if ``None``.
        class_to_index: class id -> the model's label, 1 or more, another for each class; ``None``
            leaves the ids.

    Returns:
        B images ``[C, H, W]`` float32 (uint8 ones divided by 255, float32 ones as they are),
        and B targets with ``boxes`` ``[N, 4]`` float32 XYXY, half open; ``labels`` ``[N]``
        int64; ``image_id`` int; ``area`` ``[N]`` float32 in pixels, of the mask or, without
        masks, the box; ``iscrowd`` ``[N]`` int64, all 0; and, with masks, ``masks``
        ``[N, H, W]`` uint8.

    Raises:
        TypeError: if one of them is no sample.
        ValueError: on another number of ids, a sample that is all padding, a class that
            ``class_to_index`` lacks, or a label of 0, which is the background there.
    """
    if isinstance(batch, PaddedBatchedDenseSample):
        batch = BatchedDenseSample.from_padded(batch)
    if not isinstance(batch, BatchedDenseSample | Sequence):
        raise TypeError(f"batch: got {type(batch).__name__}, expected a batch or a list of DenseSample")
    samples = batch.to_samples() if isinstance(batch, BatchedDenseSample) else list(batch)
    indices = None if class_to_index is None else checked_indices(class_to_index)
    numbers = list(range(len(samples))) if image_ids is None else list(image_ids)
    if len(numbers) != len(samples):
        raise ValueError(f"image_ids: got {len(numbers)}, expected one for each of {len(samples)} samples")
    images: list[torch.Tensor] = []
    targets: list[dict[str, Any]] = []
    for index, (sample, number) in enumerate(zip(samples, numbers, strict=True)):
        if not isinstance(sample, DenseSample):
            raise TypeError(f"sample {index}: got {type(sample).__name__}, expected a DenseSample")
        try:
            image, target = _one(sample, indices)
        except ValueError as error:
            raise ValueError(f"sample {index}: {error}") from None
        images.append(image)
        targets.append(target | {"image_id": int(number)})
    return images, targets


def from_detection_format(
    images: Sequence[torch.Tensor],
    targets: Sequence[Mapping[str, Any]],
    *,
    class_to_index: Mapping[int, int] | None = None,
    image_dtype: torch.dtype = torch.float32,
) -> list[DenseSample]:
    """The inverse of :func:`to_detection_format`: samples with instance masks, of their own sizes.

    Rows get the ids 1, 2, ... in their order, boxes are the extents of the masks. Crowds
    (``iscrowd`` 1) and rows without a pixel are left out; without ``masks`` the boxes are
    taken as they are.

    Args:
        images: B images ``[C, H, W]``, uint8 or float32 in 0 to 1.
        targets: B mappings of tensors: ``labels`` ``[N]`` of integers, ``masks`` ``[N, H, W]`` or
            ``boxes`` ``[N, 4]`` float32 or both, and perhaps ``iscrowd`` ``[N]`` of integers; other
            keys are ignored.
        class_to_index: what the class ids went through, to be inverted.
        image_dtype: ``torch.float32``, or ``torch.uint8`` for ``round(255 * image)``, from
            which :func:`to_detection_format` gives the same floats again.

    Raises:
        TypeError, ValueError: naming the sample, on another number of targets, a target
            without labels or without both masks and boxes, another type, dtype or shape, masks
            that are not 0 and 1, boxes without an area, a label that ``class_to_index`` lacks,
            and what :class:`DenseSample` refuses.
    """
    if image_dtype not in (torch.float32, torch.uint8):
        raise ValueError(f"image_dtype: got {image_dtype}, expected torch.float32 or torch.uint8")
    if not isinstance(images, Sequence) or not isinstance(targets, Sequence):
        got = f"{type(images).__name__} and {type(targets).__name__}"
        raise TypeError(f"images, targets: got {got}, expected two lists")
    if len(images) != len(targets):
        raise ValueError(f"targets: got {len(targets)}, expected one for each of {len(images)} images")
    indices = None if class_to_index is None else checked_indices(class_to_index)
    samples: list[DenseSample] = []
    for index, (image, target) in enumerate(zip(images, targets, strict=True)):
        try:
            samples.append(_sample(image, target, indices, image_dtype))
        except (TypeError, ValueError) as error:
            raise type(error)(f"sample {index}: {error}") from None
    return samples


def _one(
    sample: DenseSample, class_to_index: Mapping[int, int] | None
) -> tuple[torch.Tensor, dict[str, Any]]:
    height, width = sample.canvas_size
    if sample.padding_mask is not None:
        height, width = valid_rectangle(plain(sample.padding_mask)[0])
        if min(height, width) < 1:
            raise ValueError("padding_mask: got padding alone, expected an image beside it")
    image = plain(sample.image)[:, :height, :width]
    labels = sample.labels
    if class_to_index is not None:
        indices = to_indices(labels.tolist(), class_to_index)
        labels = torch.tensor(indices, dtype=torch.int64, device=labels.device)
    if bool((labels < 1).any()):
        raise ValueError(
            f"labels: got {int(labels.min())}, expected 1 or more: 0 is the background in this format "
            "(class_to_index gives the classes other numbers)"
        )
    boxes = plain(sample.boxes)
    target: dict[str, Any] = {
        "boxes": boxes.clone(),
        "labels": labels.clone(),
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        "iscrowd": torch.zeros_like(labels),
    }
    if sample.instance_masks is not None:
        masks = plain(sample.instance_masks)[:, :height, :width]
        target["masks"] = masks.to(torch.uint8)
        target["area"] = masks.sum(dim=(1, 2)).to(torch.float32)
    if image.dtype == torch.uint8:
        return image.to(torch.float32) / 255, target
    return image.clone(), target


def _sample(
    image: torch.Tensor,
    target: Mapping[str, Any],
    class_to_index: Mapping[int, int] | None,
    image_dtype: torch.dtype,
) -> DenseSample:
    check_field("image", image, ("C", "H", "W"), IMAGE_DTYPES)
    if not isinstance(target, Mapping):
        raise TypeError(f"target: got {type(target).__name__}, expected a dict")
    if "labels" not in target or not ("masks" in target or "boxes" in target):
        raise ValueError(f"target: got the keys {sorted(target)}, expected labels, and masks or boxes")
    labels = _integers("labels", target["labels"], "N").to(image.device)
    number = len(labels)
    kept = torch.ones(number, dtype=torch.bool, device=image.device)
    if "iscrowd" in target:
        kept &= _integers("iscrowd", target["iscrowd"], number).to(image.device) == 0
    values: dict[str, Any] = {"image": _pixels(plain(image), image_dtype)}
    if "masks" in target:
        masks = target["masks"]
        dtypes = masks.dtype if isinstance(masks, torch.Tensor) else torch.uint8
        check_field("masks", masks, (number, *image.shape[1:]), dtypes, image.device)
        masks = plain(masks)
        if bool(((masks != 0) & (masks != 1)).any()):
            raise ValueError("masks: got other values than 0 and 1, expected masks of one object each")
        masks = masks != 0
        kept &= masks.flatten(1).any(dim=1)
        masks = masks[kept]
        values["instance_masks"] = masks
        values["instance_ids"] = torch.arange(1, len(masks) + 1, dtype=torch.int32, device=image.device)
        values["boxes"], _ = tight_boxes(masks)
    else:
        boxes = target["boxes"]
        check_field("boxes", boxes, (number, 4), torch.float32, image.device)
        values["boxes"] = _with_area(plain(boxes)[kept])
    classes = to_classes("labels", labels[kept].tolist(), class_to_index)
    return DenseSample(labels=torch.tensor(classes, dtype=torch.int64, device=image.device), **values)


def _integers(field: str, value: Any, number: int | str) -> torch.Tensor:
    # torch.tensor([]) is float32: no row has lost a digit there.
    empty = isinstance(value, torch.Tensor) and not value.numel()
    check_field(field, value, (number,), value.dtype if empty else _INTEGERS)
    return plain(value).to(torch.int64)


def _with_area(boxes: torch.Tensor) -> torch.Tensor:
    good = (boxes[:, :2] < boxes[:, 2:]).all(dim=1) & boxes.isfinite().all(dim=1)
    if not bool(good.all()):
        raise ValueError(f"boxes: got {boxes[~good][0].tolist()}, expected x0 < x1 and y0 < y1")
    return boxes


def _pixels(image: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if image.dtype == dtype:
        return image
    if dtype == torch.float32:
        return image.to(torch.float32) / 255
    if not bool(((image >= 0) & (image <= 1)).all()):  # which is so where one is NaN
        raise ValueError(
            f"image: got values from {float(image.min()):.4g} to {float(image.max()):.4g}, "
            "expected 0 to 1 to make bytes of"
        )
    return (image * 255).round().to(torch.uint8)

"""Checks shared by the sample containers; every message names field, got and expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

IMAGE_DTYPES = (torch.uint8, torch.float32)


def check_field(
    name: str,
    value: Any,
    shape: Sequence[int | str],
    dtypes: torch.dtype | Sequence[torch.dtype],
    device: torch.device | None = None,
) -> None:
    """Refuse a field that is no tensor or has another dtype, rank, size or device.

    Args:
        name: field name for the message.
        value: the field.
        shape: one entry per dimension; an int is required, a letter is free.
        dtypes: the dtypes allowed.
        device: the device required, if any.

    Raises:
        TypeError: wrong type or dtype.
        ValueError: wrong shape or device.
    """
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
    allowed = (dtypes,) if isinstance(dtypes, torch.dtype) else tuple(dtypes)
    if value.dtype not in allowed:
        expected = " or ".join(str(d) for d in allowed)
        raise TypeError(f"{name}: got dtype {value.dtype}, expected {expected}")
    wrong = value.ndim != len(shape) or any(
        isinstance(want, int) and want != got for want, got in zip(shape, value.shape, strict=False)
    )
    if wrong:
        expected = "[" + ", ".join(str(s) for s in shape) + "]"
        raise ValueError(f"{name}: got shape {list(value.shape)}, expected {expected}")
    if device is not None and value.device != device:
        raise ValueError(f"{name}: got device {value.device}, expected the image's, {device}")


def check_both_or_none(first: str, a: object, second: str, b: object) -> None:
    """Refuse one of two fields that only make sense together."""
    if (a is None) != (b is None):
        missing, present = (first, second) if a is None else (second, first)
        raise ValueError(f"{missing}: got None beside {present}, expected both or neither")


def valid_rectangle(padding_mask: torch.Tensor) -> tuple[int, int]:
    """The top-left valid rectangle ``(Hv, Wv)`` of a padding mask ``[H, W]`` bool.

    Raises:
        ValueError: if what is not padding is no rectangle at the top left.
    """
    height, width = padding_mask.shape
    valid = ~padding_mask
    rows = int(valid.any(dim=1).sum())
    columns = int(valid.any(dim=0).sum())
    whole = bool(valid[:rows, :columns].all())
    if not whole or int(valid.sum()) != rows * columns:
        raise ValueError(
            f"padding_mask: got {int(valid.sum())} valid pixels that are no rectangle at the "
            f"top left of {height} x {width}, expected the complement of one"
        )
    return rows, columns


def check_sample_values(
    *,
    image: torch.Tensor,
    boxes: torch.Tensor,
    labels: torch.Tensor,
    instance_ids: torch.Tensor | None,
    instance_masks: torch.Tensor | None,
    panoptic_map: torch.Tensor | None,
    semantic_map: torch.Tensor | None,
    depth: torch.Tensor | None,
    depth_valid: torch.Tensor | None,
    normals: torch.Tensor | None,
    padding_mask: torch.Tensor | None,
) -> None:
    """Refuse values that no well-formed sample has (design, 4.11).

    Raises:
        ValueError: on ids that repeat or are negative, non-finite values where valid,
            negative labels, overlapping masks under a panoptic map, a normal with a
            component above 1, or padding that is no top-left rectangle's complement.
    """
    if image.dtype == torch.float32 and not bool(image.isfinite().all()):
        raise ValueError("image: got non-finite values, expected finite ones")
    if not bool(boxes.isfinite().all()):
        raise ValueError("boxes: got non-finite values, expected finite ones")
    for name, classes in (("labels", labels), ("semantic_map", semantic_map)):
        if classes is not None and classes.numel():
            low, high = int(classes.min()), int(classes.max())
            if low < 0 or high >= 2**31:
                got = low if low < 0 else high
                raise ValueError(f"{name}: got {got}, expected class ids from 0 to 2**31 - 1")
    if instance_ids is not None and instance_ids.numel():
        low = int(instance_ids.min())
        if low < 0 or (panoptic_map is not None and low == 0):
            raise ValueError(
                f"instance_ids: got {low}, expected ids of {1 if panoptic_map is not None else 0} or more"
            )
        if instance_ids.unique().numel() != instance_ids.numel():
            raise ValueError(f"instance_ids: got {instance_ids.tolist()}, expected no repeats")
    if panoptic_map is not None:
        if panoptic_map.numel() and int(panoptic_map.min()) < 0:
            raise ValueError(f"panoptic_map: got {int(panoptic_map.min())}, expected ids of 0 or more")
        if instance_masks is not None and instance_masks.shape[0] > 1:
            # Areas that add up to the union's are disjoint; the count of layers is dear.
            area = int(instance_masks.count_nonzero())
            union = int(instance_masks.any(dim=0).count_nonzero())
            if area != union:
                layers = instance_masks.sum(dim=0)
                raise ValueError(
                    f"instance_masks: got {int((layers > 1).sum())} pixels in more than one mask, "
                    "expected disjoint masks beside a panoptic_map"
                )
    if depth is not None and depth_valid is not None:
        bad = depth_valid & ~(depth.isfinite() & (depth > 0))
        if bool(bad.any()):
            raise ValueError(
                f"depth: got {int(bad.sum())} pixels that are valid and not finite and positive, "
                "expected depth_valid to be false there"
            )
    if normals is not None and not bool((normals.abs() <= 1).all()):
        raise ValueError("normals: got components that are NaN or above 1, expected unit vectors or 0")
    if padding_mask is not None:
        valid_rectangle(padding_mask[0])

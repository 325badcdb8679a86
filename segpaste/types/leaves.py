"""A whole sample in torchvision's transforms v2: its leaves, and a sample made of them again.

``torchvision.transforms.v2.Transform`` takes what it is called on apart with
``torch.utils._pytree``, gives each leaf to the kernel of its type, and puts the results
together. :class:`DenseSample` is a node of such trees, and every field a leaf with kernels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, NamedTuple, cast

import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from segpaste.types.camera import CameraIntrinsics
from segpaste.types.dense_sample import DenseSample, xyxy
from segpaste.types.validation import valid_rectangle

IGNORE = 255
"""What a semantic map says where there is no label."""


class DepthLeaf(tv_tensors.TVTensor):
    """``[2, H, W]`` float32: depth, and whether it is valid as 0 or 1.

    Both in one, for depth cannot be resampled without knowing where it is valid. No ``Mask``:
    torchvision would index it with the verdicts on boxes, or resample it as class ids.
    """


class NormalsLeaf(tv_tensors.TVTensor):
    """``[3, H, W]`` float32 normals, which turn with the image."""


class CameraLeaf(tv_tensors.TVTensor):
    """``[6]`` float64: fx, fy, cx, cy in pixels, and the width and height of the image."""


class _Context(NamedTuple):
    """What a sample is besides its leaves."""

    kind: type[DenseSample]
    names: tuple[str, ...]
    rows: int
    metric_depth: bool


_UNTOUCHED = "_segpaste_untouched"
"""Attribute of a leaf that holds what it was made of. Nothing that a kernel returns has it."""

_LEAVES = (
    "image",
    "boxes",
    "labels",
    "instance_ids",
    "instance_masks",
    "semantic_map",
    "panoptic_map",
    "depth",
    "normals",
    "padding_mask",
    "camera_intrinsics",
)
_FIELDS = frozenset(f.name for f in fields(DenseSample))


def register_node(kind: type[DenseSample]) -> None:
    """Make samples of a class nodes of ``torch.utils._pytree``; of subclasses, too.

    A class that is not registered would be one leaf, which torchvision's transforms return
    as it is.
    """
    if kind not in pytree.SUPPORTED_NODES:
        pytree.register_pytree_node(kind, _flatten, _unflatten, flatten_with_keys_fn=_flatten_with_keys)


def tight_boxes(masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Half-open boxes ``[N, 4]`` float32 of masks ``[N, H, W]`` bool, and which have a pixel."""
    count, height, width = masks.shape
    if count == 0 or height == 0 or width == 0:
        return masks.new_zeros((count, 4), dtype=torch.float32), masks.new_zeros(count, dtype=torch.bool)
    pixels = masks.view(torch.uint8)  # the maximum of bytes is several times faster than ``any``
    rows, columns = pixels.amax(dim=2), pixels.amax(dim=1)
    first_x, first_y = columns.argmax(dim=1), rows.argmax(dim=1)
    last_x, last_y = width - columns.flip(1).argmax(dim=1), height - rows.flip(1).argmax(dim=1)
    present = columns.amax(dim=1) != 0
    boxes = torch.stack([first_x, first_y, last_x, last_y], dim=1).to(torch.float32)
    return torch.where(present[:, None], boxes, 0), present


def void_lost_objects(
    panoptic: torch.Tensor, semantic: torch.Tensor, ids: torch.Tensor, ignore_index: int = IGNORE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps ``[H, W]`` in which pixels of ids without a row are void.

    Args:
        panoptic: ids, int64; not written to.
        semantic: classes, int64; not written to.
        ids: ``[N]`` int32, the ids that have a row.
        ignore_index: what the semantic map gets there; the panoptic map gets 0.
    """
    lost = (panoptic != 0) & ~torch.isin(panoptic, ids.to(torch.int64))
    return torch.where(lost, 0, panoptic), torch.where(lost, ignore_index, semantic)


def _flatten(sample: DenseSample) -> tuple[list[torch.Tensor], _Context]:
    own = {f.name for f in fields(sample)} - _FIELDS
    if own:
        raise TypeError(
            f"{type(sample).__name__}: got field {min(own)!r} besides DenseSample's, expected none: "
            "torchvision's transforms would not know how it moves"
        )
    names: list[str] = []
    leaves: list[torch.Tensor] = []
    for name in _LEAVES:
        value = getattr(sample, name)
        if value is not None:
            names.append(name)
            leaves.append(_leaf(sample, name, value))
    return leaves, _Context(type(sample), tuple(names), len(sample), sample.metric_depth)


def _flatten_with_keys(
    sample: DenseSample,
) -> tuple[list[tuple[pytree.KeyEntry, torch.Tensor]], _Context]:
    leaves, context = _flatten(sample)
    keys = [cast(pytree.KeyEntry, pytree.GetAttrKey(name)) for name in context.names]
    return list(zip(keys, leaves, strict=True)), context


def _leaf(sample: DenseSample, name: str, value: Any) -> torch.Tensor:
    if name in ("instance_masks", "padding_mask"):
        leaf = value.as_subclass(type(value))  # the same memory; the user's tensor gets no mark
    elif name == "depth":
        valid = cast(torch.Tensor, sample.depth_valid)
        leaf = torch.cat([value, valid.to(value.dtype)]).as_subclass(DepthLeaf)
        value = (value, valid)
    elif name == "normals":
        leaf = value.as_subclass(NormalsLeaf)
    elif name == "camera_intrinsics":
        height, width = sample.canvas_size
        numbers = [*value.as_tuple(), width, height]
        leaf = torch.tensor(numbers, dtype=torch.float64, device=sample.image.device).as_subclass(CameraLeaf)
    else:
        return value
    setattr(leaf, _UNTOUCHED, value)
    return leaf


def _unflatten(leaves: Iterable[Any], context: _Context) -> DenseSample:
    values: dict[str, Any] = dict(zip(context.names, leaves, strict=True))
    for name, leaf in values.items():
        if not isinstance(leaf, torch.Tensor):
            raise TypeError(
                f"{name}: got {type(leaf).__name__}, expected a torch.Tensor: what was applied to the leaves "
                "of a sample makes something of them that no sample can hold"
            )
    moved = "instance_masks" in values and not hasattr(values["instance_masks"], _UNTOUCHED)
    if "padding_mask" in values and not hasattr(values["padding_mask"], _UNTOUCHED):
        _check_padding(values["padding_mask"])
    for name in ("instance_masks", "padding_mask"):
        if name in values:
            values[name] = getattr(values[name], _UNTOUCHED, values[name])
    if "normals" in values:
        leaf = values["normals"]
        values["normals"] = getattr(leaf, _UNTOUCHED, None)
        if values["normals"] is None:
            values["normals"] = leaf.as_subclass(torch.Tensor)
    if "depth" in values:
        values["depth"], values["depth_valid"] = _depth(values["depth"])
    if "camera_intrinsics" in values:
        values["camera_intrinsics"] = _camera(values["camera_intrinsics"])
    if moved:
        _rows_of_masks(values, context.rows)
    elif "instance_masks" not in values:
        values["boxes"] = _on_canvas(values["boxes"], values["image"])
    return context.kind.unchecked(**values, metric_depth=context.metric_depth)


def _depth(leaf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if hasattr(leaf, _UNTOUCHED):
        return getattr(leaf, _UNTOUCHED)
    if leaf.ndim != 3 or leaf.shape[0] != 2:
        raise ValueError(f"depth: got shape {list(leaf.shape)}, expected depth and validity [2, H, W]")
    plain = leaf.as_subclass(torch.Tensor)
    return plain[:1], plain[1:] != 0


def _camera(leaf: torch.Tensor) -> CameraIntrinsics:
    if hasattr(leaf, _UNTOUCHED):
        return getattr(leaf, _UNTOUCHED)
    if leaf.shape != (6,):
        raise ValueError(f"camera_intrinsics: got shape {list(leaf.shape)}, expected fx, fy, cx, cy, W, H")
    return CameraIntrinsics(*leaf.tolist()[:4])


def _on_canvas(boxes: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Boxes on the canvas of the image, from which torchvision's ``expand`` may be a pixel off."""
    if not isinstance(boxes, tv_tensors.BoundingBoxes) or boxes.ndim != 2:
        return boxes
    height, width = image.shape[-2:]
    off = [abs(a - b) for a, b in zip(boxes.canvas_size, (height, width), strict=True)]
    if max(off) != 1:
        return boxes
    return F.clamp_bounding_boxes(xyxy(boxes.as_subclass(torch.Tensor), (height, width)))


def _check_padding(padding: torch.Tensor) -> None:
    if padding.dtype != torch.bool or padding.ndim != 3 or padding.shape[0] != 1:
        return  # the sample's own checks refuse it
    try:
        valid_rectangle(padding.as_subclass(torch.Tensor)[0])
    except ValueError:
        raise ValueError(
            "padding_mask: got padding that is not at the right and at the bottom any more, expected flips, "
            "rotations and whatever else moves it to come before FixedSizeCrop, or before padding"
        ) from None


def _rows_of_masks(values: dict[str, Any], rows_before: int) -> None:
    """Boxes found anew, and no row without a pixel, now that something was done to the masks.

    What is no set of masks any more is left for the sample's own checks to refuse.
    """
    masks, labels, ids = values["instance_masks"], values["labels"], values["instance_ids"]
    image = values["image"]
    if masks.dtype != torch.bool or masks.ndim != 3 or not len(masks) == len(labels) == len(ids):
        return
    plain = masks.as_subclass(torch.Tensor)
    boxes, present = tight_boxes(plain)
    if not bool(present.all()):
        boxes = boxes[present]
        values["instance_masks"] = plain[present].as_subclass(type(masks))
        values["labels"], values["instance_ids"] = labels[present], ids[present]
    values["boxes"] = xyxy(boxes, (image.shape[-2], image.shape[-1]))
    if len(labels) != rows_before and "panoptic_map" in values:
        panoptic, semantic = (values[n].as_subclass(torch.Tensor) for n in ("panoptic_map", "semantic_map"))
        maps = void_lost_objects(panoptic, semantic, values["instance_ids"])
        values["panoptic_map"], values["semantic_map"] = maps

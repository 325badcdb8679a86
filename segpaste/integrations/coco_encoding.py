"""A sample as what stands in COCO files: pixels, annotations, segments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from segpaste.types import DenseSample, PanopticSchema
from segpaste.types.validation import valid_rectangle

_EMPTY = "rows without a pixel"


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """What :func:`encoded` makes of a sample.

    Attributes:
        pixels: ``[H, W, 3]`` or ``[H, W]`` uint8.
        annotations: of instances, without ``id`` and ``image_id``.
        ids: ``[H, W]`` int64 panoptic ids, 0 for void; ``None`` without a panoptic map.
        segments: ``segments_info``.
        left_out: rows in no file, by why.
    """

    pixels: np.ndarray
    annotations: list[dict[str, Any]]
    ids: np.ndarray | None
    segments: list[dict[str, Any]]
    left_out: Counter[str]


def encoded(
    sample: DenseSample, schema: PanopticSchema, float_range: tuple[float, float] | None, where: str
) -> EncodedSample:
    """The valid rectangle of a sample.

    Raises:
        ValueError: on what COCO files cannot say; see :func:`segpaste.integrations.to_coco`.
    """
    sample = sample.to("cpu")
    if sample.instance_masks is None:
        raise ValueError(f"{where}: got {sample!r}, expected instance masks")
    height, width = sample.canvas_size
    if sample.padding_mask is not None:
        height, width = valid_rectangle(sample.padding_mask[0])
    if height * width == 0:
        raise ValueError(f"{where}: got padding everywhere, expected pixels that are none")
    masks = _cut(sample.instance_masks, height, width).numpy()
    labels = sample.labels.tolist()
    _check_things(labels, schema, where)
    rows = np.flatnonzero(masks.any(axis=(1, 2)))
    runs: Any = coco_mask.encode(np.asfortranarray(masks[rows].transpose(1, 2, 0).view(np.uint8)))
    annotations = [
        {
            "category_id": labels[row],
            "segmentation": {"size": [height, width], "counts": run["counts"].decode("ascii")},
            **_extent(masks[row]),
            "iscrowd": 0,
        }
        for row, run in zip(rows.tolist(), runs, strict=True)
    ]
    ids, segments = None, []
    if sample.panoptic_map is not None and sample.semantic_map is not None:
        panoptic = _cut(sample.panoptic_map, height, width).numpy()
        semantic = _cut(sample.semantic_map, height, width).numpy()
        _check_panoptic(sample, masks, panoptic, semantic, schema, where)
        ids, segments = _panoptic(masks[rows], [labels[row] for row in rows.tolist()], semantic, schema)
    empty = len(masks) - len(rows)
    left_out = Counter({_EMPTY: empty} if empty else {})
    pixels = _pixels(_cut(sample.image, height, width), float_range, where)
    return EncodedSample(pixels, annotations, ids, segments, left_out)


def _cut(value: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)[..., :height, :width]


def _check_things(labels: list[int], schema: PanopticSchema, where: str) -> None:
    for row, label in enumerate(labels):
        kind = schema.classes.get(label)
        if kind != "thing":
            what = "which the class table lacks" if kind is None else "which is stuff"
            raise ValueError(f"{where}.labels: got {label} in row {row}, {what}, expected a thing")


def _check_panoptic(
    sample: DenseSample,
    masks: np.ndarray,
    panoptic: np.ndarray,
    semantic: np.ndarray,
    schema: PanopticSchema,
    where: str,
) -> None:
    """Refuse maps that one PNG cannot say: those of a broken augmentation."""
    instance_ids = [] if sample.instance_ids is None else sample.instance_ids.tolist()
    explained = np.zeros(panoptic.shape, bool)
    for row, (number, label) in enumerate(zip(instance_ids, sample.labels.tolist(), strict=True)):
        mask = masks[row]
        if not np.array_equal(panoptic == number, mask):
            raise ValueError(
                f"{where}.panoptic_map: got id {number} on other pixels than the mask of row {row}, "
                "expected the same"
            )
        if not (semantic[mask] == label).all():
            raise ValueError(
                f"{where}.semantic_map: got another class than {label} within row {row}, expected its label"
            )
        explained |= mask
    orphans = (panoptic != 0) & ~explained
    if orphans.any():
        raise ValueError(
            f"{where}.panoptic_map: got id {int(panoptic[orphans][0])}, which no row has, expected 0"
        )
    for label in np.unique(semantic[~explained]).tolist():
        kind = schema.classes.get(label)
        if label == schema.ignore_index or kind == "stuff":
            continue
        what = "which the class table lacks" if kind is None else "a thing, where no row is"
        raise ValueError(
            f"{where}.semantic_map: got {label}, {what}, expected stuff or {schema.ignore_index}"
        )


def _panoptic(
    masks: np.ndarray, labels: list[int], semantic: np.ndarray, schema: PanopticSchema
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Ids ``[H, W]`` int64, things 1 to N in the order of the rows, then stuff; and the segments."""
    ids = np.zeros(semantic.shape, np.int64)
    for row, mask in enumerate(masks):
        ids[mask] = row + 1
    left = np.where(ids == 0, semantic, schema.ignore_index)
    stuff = [label for label in np.unique(left).tolist() if label != schema.ignore_index]
    for place, label in enumerate(stuff):
        ids[left == label] = len(masks) + 1 + place
    segments = [
        {"id": number, "category_id": label, **_extent(ids == number), "iscrowd": 0}
        for number, label in enumerate([*labels, *stuff], start=1)
    ]
    return ids, segments


def _extent(mask: np.ndarray) -> dict[str, Any]:
    """Area, and the box ``[x, y, width, height]``, of a mask that has a pixel."""
    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    left, top = int(xs[0]), int(ys[0])
    box = [left, top, int(xs[-1]) + 1 - left, int(ys[-1]) + 1 - top]
    return {"area": int(np.count_nonzero(mask)), "bbox": box}


def _pixels(image: torch.Tensor, float_range: tuple[float, float] | None, where: str) -> np.ndarray:
    channels = image.shape[0]
    if channels not in (1, 3):
        raise ValueError(f"{where}.image: got {channels} channels, expected 3 or 1")
    values = image.permute(1, 2, 0).contiguous().numpy()
    if values.dtype != np.uint8:
        values = _as_bytes(values, float_range, where)
    return values[..., 0] if channels == 1 else values


def _as_bytes(values: np.ndarray, float_range: tuple[float, float] | None, where: str) -> np.ndarray:
    if float_range is None:
        raise ValueError(
            f"{where}.image: got {values.dtype} without float_range, "
            "expected the two values that become 0 and 255, such as (0, 1)"
        )
    low, high = float_range
    least, most = float(values.min()), float(values.max())
    if not (low <= least and most <= high):
        raise ValueError(
            f"{where}.image: got values from {least:g} to {most:g}, expected float_range {low:g} to {high:g}"
        )
    return np.rint((values.astype(np.float64) - low) / (high - low) * 255).astype(np.uint8)

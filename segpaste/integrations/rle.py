"""Masks from COCO ``segmentation`` entries: polygons, run lengths, compressed run lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from segpaste.integrations.errors import DataError
from segpaste.integrations.rle_kernels import fill_runs, read_compressed


def mask_of(segmentation: Any, height: int, width: int, where: str) -> np.ndarray:
    """The mask ``[H, W]`` bool of a ``segmentation`` entry; may be empty.

    Polygons are drawn by pycocotools, whose rasterisation defines COCO's masks. Run
    lengths are decoded here: pycocotools returns uninitialised memory where they are
    shorter than the image, and warns under NumPy 2.

    Raises:
        DataError: on a polygon of fewer than three points or far outside the image, and
            on run lengths of another size or sum than the image's.
    """
    mask = np.zeros((height, width), np.uint8)
    fill_runs(runs_of(segmentation, height, width, where), mask, np.zeros(4, np.int64))
    return mask.view(bool)


def masks_of(
    segmentations: Sequence[Any], height: int, width: int, wheres: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks ``[N, H, W]`` bool of the entries that have a pixel, boxes, and which entries these are.

    Returns:
        The masks; their half-open XYXY boxes ``[N, 4]`` float32; the places of the entries,
        ``[N]`` int64, ascending.

    Raises:
        DataError: as :func:`mask_of`.
    """
    # Zeros that nobody has touched yet cost nothing, so only what is drawn is paid for.
    masks = np.zeros((len(segmentations), height, width), np.uint8)
    boxes = np.zeros((len(segmentations), 4), np.int64)
    kept: list[int] = []
    for place, (segmentation, where) in enumerate(zip(segmentations, wheres, strict=True)):
        row = len(kept)
        if fill_runs(runs_of(segmentation, height, width, where), masks[row], boxes[row]):
            kept.append(place)
    rows = len(kept)
    if rows < len(masks):
        masks = masks[:rows].copy()  # a slice would be handed between processes as the whole
    return masks.view(bool), boxes[:rows].astype(np.float32), np.array(kept, np.int64)


def runs_of(segmentation: Any, height: int, width: int, where: str) -> np.ndarray:
    """Run lengths ``[R]`` int64 of a ``segmentation`` entry, column by column, the first unset.

    Raises:
        DataError: as :func:`mask_of`.
    """
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size != [height, width]:
            raise DataError(f"{where}: got run lengths of size {_short(size)}, expected {[height, width]}")
        return _checked_runs(counts, height, width, where)
    if isinstance(segmentation, list) and segmentation:
        polygons: Any = [_polygon(polygon, height, width, where) for polygon in segmentation]
        drawn: Any = coco_mask.frPyObjects(polygons, height, width)
        merged: Any = drawn[0] if len(drawn) == 1 else coco_mask.merge(drawn)
        return _checked_runs(merged["counts"].decode("ascii"), height, width, where)
    raise DataError(f"{where}: got segmentation {_short(segmentation)}, expected polygons or run lengths")


def _polygon(polygon: Any, height: int, width: int, where: str) -> list[float]:
    if not isinstance(polygon, list) or not _are_numbers(polygon):
        raise DataError(f"{where}: got polygon {_short(polygon)}, expected [x0, y0, x1, y1, ...]")
    if len(polygon) < 6 or len(polygon) % 2:
        raise DataError(
            f"{where}: got a polygon of {len(polygon)} coordinates, expected an even number, "
            "three points or more"
        )
    xs, ys = polygon[0::2], polygon[1::2]
    # pycocotools works with integers and memory in proportion to the outline.
    if not (-width <= min(xs) and max(xs) <= 2 * width and -height <= min(ys) and max(ys) <= 2 * height):
        raise DataError(
            f"{where}: got a polygon over x {min(xs):g} to {max(xs):g}, y {min(ys):g} to {max(ys):g}, "
            f"expected one in or near the image of {height} x {width}"
        )
    return polygon


def _checked_runs(counts: Any, height: int, width: int, where: str) -> np.ndarray:
    total = height * width
    if isinstance(counts, str) and counts.isascii():
        characters = np.frombuffer(counts.encode(), np.uint8)
        runs = np.empty(len(characters), np.int64)
        found = read_compressed(characters, runs)
        runs = runs[: max(found, 0)]
        if found > 0 and runs.min() >= 0 and runs.max() <= total and runs.sum() == total:
            return runs
    # Whatever is wrong is said here.
    listed = _decompress(counts, where) if isinstance(counts, str) else counts
    # Each run is bounded first: numbers of thousands of digits cannot even be printed.
    if not isinstance(listed, list) or not all(type(run) is int and 0 <= run <= total for run in listed):
        raise DataError(
            f"{where}: got counts {_short(counts)}, expected run lengths of 0 or more, {total} at most"
        )
    if sum(listed) != total:
        raise DataError(
            f"{where}: got run lengths over {sum(listed)} pixels, expected {height} x {width} = {total}"
        )
    return np.array(listed, np.int64)


def _decompress(counts: str, where: str) -> list[int]:
    """Run lengths of COCO's compressed string: 5 bits per character, differences from the third on."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise DataError(f"{where}: got {character!r} in counts, expected COCO's compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise DataError(f"{where}: got counts that end within a number, expected whole run lengths")
    return runs


def _are_numbers(values: list[Any]) -> bool:
    try:
        return set(map(type, values)) <= {int, float} and all(map(math.isfinite, values))
    except OverflowError:  # an integer beyond the range of floats
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

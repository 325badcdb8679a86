"""Masks from COCO ``segmentation`` entries: polygons, run lengths, compressed run lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from segpaste.integrations.errors import DataError


def mask_of(segmentation: Any, height: int, width: int, where: str) -> np.ndarray:
    """The mask ``[H, W]`` bool of a ``segmentation`` entry; may be empty.

    Polygons are drawn by pycocotools, whose rasterisation defines COCO's masks. Run
    lengths are decoded here: pycocotools returns uninitialised memory where they are
    shorter than the image, and warns under NumPy 2.

    Raises:
        DataError: on a polygon of fewer than three points or far outside the image, and
            on run lengths of another size or sum than the image's.
    """
    if isinstance(segmentation, dict):
        return _from_run_lengths(segmentation, height, width, where)
    if isinstance(segmentation, list) and segmentation:
        polygons: Any = [_polygon(polygon, height, width, where) for polygon in segmentation]
        drawn: Any = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        runs = {"size": [height, width], "counts": drawn["counts"].decode("ascii")}
        return _from_run_lengths(runs, height, width, where)
    raise DataError(f"{where}: got segmentation {_short(segmentation)}, expected polygons or run lengths")


def _polygon(polygon: Any, height: int, width: int, where: str) -> list[float]:
    if not isinstance(polygon, list) or not all(_is_number(value) for value in polygon):
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
    return [float(value) for value in polygon]


def _from_run_lengths(segmentation: dict[str, Any], height: int, width: int, where: str) -> np.ndarray:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise DataError(f"{where}: got run lengths of size {_short(size)}, expected {[height, width]}")
    runs = _decompress(counts, where) if isinstance(counts, str) else counts
    total = height * width
    # Each run is bounded first: numbers of thousands of digits cannot even be printed.
    if not isinstance(runs, list) or not all(type(run) is int and 0 <= run <= total for run in runs):
        raise DataError(
            f"{where}: got counts {_short(counts)}, expected run lengths of 0 or more, {total} at most"
        )
    if sum(runs) != total:
        raise DataError(
            f"{where}: got run lengths over {sum(runs)} pixels, expected {height} x {width} = {total}"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


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


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

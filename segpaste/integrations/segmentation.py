"""Labels for photographs that have none: a classical segmentation."""

from __future__ import annotations

import warnings

import numpy as np

from segpaste.integrations.errors import DataError
from segpaste.integrations.records import Labels
from segpaste.types import PanopticSchemaSpec

SEGMENTATION_CLASSES = {
    1: "dark object",
    2: "bright object",
    3: "upper surroundings",
    4: "lower surroundings",
}
SEGMENTATION_SCHEMA = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 3: "stuff", 4: "stuff"})

MOST_THINGS = 24
_LEAST_REGION = (0.0005, 30)
_LEAST_THING = (0.001, 60)
_MOST_THING = 0.06
_LEAST_FILL = 0.35


def segment(
    pixels: np.ndarray,
    depth: np.ndarray | None = None,
    depth_valid: np.ndarray | None = None,
    *,
    ignore_index: int = 255,
) -> Labels:
    """Instance masks, a semantic and a panoptic map for an image without labels.

    1. Graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004, in
       scikit-image's form) of the three colour channels and, where there is depth, of
       the inverse depth as a fourth: 1 at the nearest 2 % of the valid pixels, 0 at
       infinity and where depth is invalid. Smoothing 1 pixel; the scale grows with the
       image (200 at 640 x 480); regions below 0.05 % of the image or 30 pixels are merged.
    2. A region is a *thing* if it covers 0.1 % (and 60 pixels) to 6 % of the image,
       touches at most one border of it and fills at least 35 % of its box. The 24
       largest are kept, in the order of their first pixel; they are dark or bright
       objects (classes 1 and 2) by whether their mean brightness is below the image's
       median.
    3. Regions too small for a thing that touch no border are void.
    4. The rest is *stuff*: class 3 in the upper half of the image, 4 in the lower.

    Nothing is random: the same image gives the same labels (with the same releases of
    numpy and scikit-image).

    Args:
        pixels: ``[H, W, 3]`` uint8 or float32.
        depth: ``[H, W]``, any unit.
        depth_valid: ``[H, W]`` bool, beside ``depth``.
        ignore_index: the semantic map's value on void.

    Returns:
        Labels of the classes in ``SEGMENTATION_CLASSES``.

    Raises:
        DataError: if scikit-image is not installed.
    """
    brightness = _unit_range(pixels)
    regions = _regions(brightness, depth, depth_valid)
    height, width = regions.shape
    total = height * width
    count = int(regions.max()) + 1
    area = np.bincount(regions.ravel(), minlength=count)
    boxes = _boxes(regions, count)
    x0, y0, x1, y1 = boxes.T
    borders = (
        (x0 == 0).astype(int) + (y0 == 0).astype(int) + (x1 == width).astype(int) + (y1 == height).astype(int)
    )
    least, most = _pixels(_LEAST_THING, total), _MOST_THING * total
    fills = area >= _LEAST_FILL * (x1 - x0) * (y1 - y0)
    things = np.flatnonzero((area >= least) & (area <= most) & (borders <= 1) & fills)
    things = np.sort(things[np.argsort(-area[things], kind="stable")][:MOST_THINGS])
    void = np.flatnonzero((area < least) & (borders == 0))

    grey = brightness.sum(axis=2)
    middle = np.median(grey)
    mean = np.bincount(regions.ravel(), weights=grey.ravel(), minlength=count) / np.maximum(area, 1)
    classes = np.where(mean[things] < middle, 1, 2).astype(np.int64)

    row_of = np.zeros(count, np.int64)
    row_of[things] = np.arange(1, len(things) + 1)
    panoptic = row_of[regions]
    semantic = np.where(np.arange(height)[:, None] < height // 2, 3, 4) + np.zeros((1, width), np.int64)
    semantic[np.isin(regions, void)] = ignore_index
    semantic = np.where(panoptic > 0, np.concatenate([[0], classes])[panoptic], semantic)
    masks = panoptic[None] == np.arange(1, len(things) + 1)[:, None, None]
    return Labels(masks, classes, semantic, panoptic)


def _regions(brightness: np.ndarray, depth: np.ndarray | None, depth_valid: np.ndarray | None) -> np.ndarray:
    """Region numbers ``[H, W]`` from 0, in the order of their first pixel."""
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        raise DataError(
            "labels from segmentation: scikit-image is missing, expected pip install -e '.[demo]'"
        ) from error
    channels = brightness
    if depth is not None and depth_valid is not None and depth_valid.any():
        nearest = np.quantile(depth[depth_valid], 0.02, method="lower")
        inverse = np.minimum(nearest / np.where(depth_valid, depth, np.inf), 1.0)
        channels = np.concatenate([brightness, inverse[..., None]], axis=2)
    total = brightness.shape[0] * brightness.shape[1]
    scale = 200.0 * np.sqrt(total / (640 * 480))
    with warnings.catch_warnings():
        # It asks whether four channels are meant; they are.
        warnings.simplefilter("ignore", RuntimeWarning)
        regions = felzenszwalb(channels, scale=scale, sigma=1.0, min_size=_pixels(_LEAST_REGION, total))
    _, first, inverse_index = np.unique(regions, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse_index.reshape(regions.shape)]


def _pixels(least: tuple[float, int], total: int) -> int:
    """A fraction of the image, but never fewer than so many pixels."""
    fraction, pixels = least
    return max(pixels, int(fraction * total))


def _unit_range(pixels: np.ndarray) -> np.ndarray:
    """float64 channels in 0 to 1."""
    if pixels.dtype == np.uint8:
        return pixels / 255.0
    values = pixels.astype(np.float64)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _boxes(regions: np.ndarray, count: int) -> np.ndarray:
    """Half-open XYXY box ``[count, 4]`` of every region."""
    height, width = regions.shape
    boxes = np.tile(np.array([width, height, 0, 0]), (count, 1))
    flat = regions.ravel()
    ys, xs = np.divmod(np.arange(height * width), width)
    np.minimum.at(boxes[:, 0], flat, xs)
    np.minimum.at(boxes[:, 1], flat, ys)
    np.maximum.at(boxes[:, 2], flat, xs + 1)
    np.maximum.at(boxes[:, 3], flat, ys + 1)
    return boxes

"""The pixels of a scene: masks, maps, image, depth and normals, vectorised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segpaste.paste.rng import random_words
from segpaste.types import CameraIntrinsics, DenseSample, Modality, xyxy

if TYPE_CHECKING:
    from segpaste.strategies.scenes import Form, Garbage, Holes, Rectangle, Scene, Shape

DEPTH_UNIT = 256
"""Depths are integers over this, or with noise over 2**13 times this, so exact in float32."""

# Streams of a scene's noise seed.
_IMAGE, _DEPTH, _NORMALS = range(3)


def render(scene: Scene) -> DenseSample:
    """The sample that a scene describes; the same bits whenever and wherever."""
    frame = scene.frame
    has = frame.modalities.__contains__
    height, width = frame.canvas
    rows, columns = scene.valid or frame.canvas
    padding = np.ones((height, width), dtype=bool)
    padding[:rows, :columns] = False
    void = np.zeros((height, width), dtype=bool)
    for top, left, tall, wide in scene.unlabelled:
        void[top : top + tall, left : left + wide] = True

    drawn = _paint_shapes(scene.shapes, height, width)
    labels = np.array([s.label for s in scene.shapes], dtype=np.int64)
    owner = _owners(drawn)
    amodal = scene.overlap and not has(Modality.PANOPTIC)
    for index in range(len(drawn) - 1, 0, -1):
        behind = labels[:index] == labels[index] if amodal else slice(None)
        drawn[:index][behind] &= ~drawn[index]
    if has(Modality.PANOPTIC):
        drawn &= ~void
    drawn &= ~padding
    kept = np.flatnonzero(drawn.any(axis=(1, 2)))
    of_shape = np.concatenate(([0], labels))
    masks, labels = drawn[kept], labels[kept]
    n = len(kept)
    ids = scene.first_id + scene.id_step * np.arange(n, dtype=np.int64)
    number = np.zeros(len(scene.shapes) + 1, dtype=np.int64)
    number[kept + 1] = np.arange(1, n + 1)

    values: dict[str, Any] = {
        "image": torch.from_numpy(_image(scene, number[owner], padding)),
        "metric_depth": frame.metric,
    }
    if has(Modality.INSTANCE) or frame.detection:
        values["boxes"] = xyxy(torch.from_numpy(_boxes(masks)), frame.canvas)
        values["labels"] = torch.from_numpy(labels)
    if has(Modality.INSTANCE):
        values["instance_ids"] = torch.from_numpy(ids.astype(np.int32))
        values["instance_masks"] = torch.from_numpy(masks)
    if has(Modality.SEMANTIC):
        semantic = _bands(scene, height, width)
        if scene.semantic_agrees and n:
            semantic = np.where(number[owner] > 0, of_shape[owner], semantic)
        semantic[void | padding] = frame.ignore_index
        values["semantic_map"] = torch.from_numpy(semantic)
    if has(Modality.PANOPTIC):
        panoptic = np.concatenate(([0], ids))[number[owner]]
        panoptic[void | padding] = 0
        values["panoptic_map"] = torch.from_numpy(panoptic)
    if has(Modality.DEPTH):
        depth, valid = _depth(scene, owner, padding)
        values["depth"], values["depth_valid"] = torch.from_numpy(depth), torch.from_numpy(valid)
    if has(Modality.NORMALS):
        values["normals"] = torch.from_numpy(_normals(scene, owner, padding))
    if scene.valid is not None:
        values["padding_mask"] = torch.from_numpy(padding[None])
    if frame.intrinsics:
        values["camera_intrinsics"] = CameraIntrinsics(*scene.camera)
    return DenseSample(**values)


def _paint_shapes(shapes: Sequence[Shape], height: int, width: int) -> np.ndarray:
    masks = np.zeros((len(shapes), height, width), dtype=bool)
    for mask, s in zip(masks, shapes, strict=True):
        mask[s.top : s.top + s.height, s.left : s.left + s.width] = _FILL[s.form](s.height, s.width)
    return masks


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(height)[:, None], np.arange(width)


def _ellipse(height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    return ((2 * y + 1 - height) * width) ** 2 + ((2 * x + 1 - width) * height) ** 2 <= (height * width) ** 2


def _triangle(height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    return x * height < (y + 1) * width


def _split(height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    along, size = (y, height) if height > width else (x, width)
    return np.broadcast_to((3 * along < size) | (3 * (size - 1 - along) < size), (height, width))


def _ring(height: int, width: int) -> np.ndarray:
    ring = np.ones((height, width), dtype=bool)
    ring[1:-1, 1:-1] = False
    return ring


def _checker(height: int, width: int) -> np.ndarray:
    y, x = _grid(height, width)
    return (y + x) % 2 == 0


_FILL: dict[Form, Callable[[int, int], np.ndarray]] = {
    "box": lambda height, width: np.ones((height, width), dtype=bool),
    "ellipse": _ellipse,
    "triangle": _triangle,
    "split": _split,
    "ring": _ring,
    "checker": _checker,
}


def _owners(masks: np.ndarray) -> np.ndarray:
    """Number of the foremost shape of every pixel, from 1; 0 where there is none."""
    owner = np.zeros(masks.shape[1:], dtype=np.int64)
    for index, mask in enumerate(masks):
        owner[mask] = index + 1
    return owner


def _boxes(masks: np.ndarray) -> np.ndarray:
    """Tight half-open boxes of non-empty masks, ``[N, 4]`` float32 XYXY."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    if masks.size:
        for axis, (low, high) in ((2, (1, 3)), (1, (0, 2))):
            occupied = np.asarray(masks.any(axis=axis))
            boxes[:, low] = occupied.argmax(axis=1)
            boxes[:, high] = occupied.shape[1] - occupied[:, ::-1].argmax(axis=1)
    return boxes


def _image(scene: Scene, number: np.ndarray, padding: np.ndarray) -> np.ndarray:
    frame = scene.frame
    shape = (frame.channels, *frame.canvas)
    count = shape[0] * shape[1] * shape[2]
    if scene.palette == "wide":
        words = random_words(scene.seed, _IMAGE, count)
        # Sign and mantissa as they come, exponents -60 to 3: no subnormals, no overflow.
        exponent = 67 + ((words >> np.uint32(23)) & np.uint32(63))
        image = ((words & np.uint32(0x807FFFFF)) | (exponent << np.uint32(23))).view(np.float32)
        image[words % 8 == 0] = -0.0
        image = image.reshape(shape)
    else:
        if scene.palette == "constant":
            levels = np.full(shape, scene.level, dtype=np.uint8)
        elif scene.palette == "ramp":
            levels = ((np.arange(count) + scene.level) & 255).astype(np.uint8).reshape(shape)
        elif scene.palette == "noise":
            levels = random_words(scene.seed, _IMAGE, (count + 3) // 4).view(np.uint8)[:count].reshape(shape)
        else:
            levels = np.full(shape, scene.level, dtype=np.uint8)
            levels[0] = number & 255
        image = levels.astype(np.float32) / 256 if frame.float_image else levels.copy()
    if not scene.padded_image:
        image[:, padding] = 0
    return image


def _bands(scene: Scene, height: int, width: int) -> np.ndarray:
    bands = np.array(scene.bands, dtype=np.int64)
    y, x = _grid(height, width)
    if scene.layout == "rows":
        index = y * len(bands) // height
    elif scene.layout == "columns":
        index = x * len(bands) // width
    elif scene.layout == "blocks":
        index = (y // 3 + x // 3) % len(bands)
    else:
        index = np.zeros((height, width), dtype=np.int64)
        top, left, tall, wide = scene.spot
        index[top : top + tall, left : left + wide] = len(bands) - 1
    return bands[np.broadcast_to(index, (height, width))]


def _depth(scene: Scene, owner: np.ndarray, padding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = padding.shape
    y, x = _grid(height, width)
    behind = scene.depth + scene.slope[0] * y + scene.slope[1] * x
    planes = np.array([0] + [s.depth for s in scene.shapes], dtype=np.int64)
    units = np.where(owner > 0, planes[owner], behind)
    noise = np.zeros(units.size, dtype=np.uint32)
    if scene.rough or scene.holes == "noise" or scene.garbage == "mixed":
        noise = random_words(scene.seed, _DEPTH, units.size)
    if scene.rough:
        # As many bits as float32 holds, so that whatever is rounded twice shows it.
        units = units + ((noise & 63) + (noise >> 19) / 2**13).reshape(units.shape)
    depth = (units * 2.0**scene.depth_exponent / DEPTH_UNIT).astype(np.float32)
    valid = ~(_holes(scene.holes, scene.hole, noise >> 6, padding.shape) | padding)
    if scene.garbage != "kept":
        depth[~valid] = _garbage(scene.garbage, noise >> 16)[~valid.reshape(-1)]
    return depth[None], valid[None]


# The NaN has a payload, which copying must keep.
_GARBAGE_VALUES: dict[str, np.float32] = {
    "zero": np.float32(0),
    "nan": np.uint32(0x7FC12345).view(np.float32),
    "inf": np.float32(np.inf),
    "negative": np.float32(-1),
    "huge": np.float32(3.4e38),
}


def _garbage(kind: Garbage, noise: np.ndarray) -> np.ndarray:
    if kind == "mixed":
        values = np.array([*_GARBAGE_VALUES.values(), -np.inf, -0.0], dtype=np.float32)
        return values[noise % len(values)]
    return np.full(noise.shape, _GARBAGE_VALUES[kind], dtype=np.float32)


def _holes(kind: Holes, hole: Rectangle, noise: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "noise":
        return (noise & 7 == 0).reshape(shape)
    holes = np.full(shape, kind == "all")
    if kind == "rectangle":
        top, left, tall, wide = hole
        holes[top : top + tall, left : left + wide] = True
    return holes


def _normals(scene: Scene, owner: np.ndarray, padding: np.ndarray) -> np.ndarray:
    height, width = padding.shape
    words = np.zeros(owner.size, dtype=np.uint32)
    if "noise" in (scene.normals, scene.normal_holes):
        words = random_words(scene.seed, _NORMALS, owner.size)
    if scene.normals == "noise":
        parts = (words & 511, words >> 9 & 511, words >> 18 & 511)
        x, y, z = (part.astype(np.float64) for part in parts)
        vectors = np.stack((x - 256, y - 256, -1 - z))
    else:
        tilts = [(0, 0)] + [s.tilt if scene.normals == "tilted" else (0, 0) for s in scene.shapes]
        vectors = np.array([(x, y, -4.0) for x, y in tilts]).T
    unit = (vectors / np.sqrt((vectors * vectors).sum(axis=0))).astype(np.float32)
    normals = unit.reshape(3, height, width) if scene.normals == "noise" else unit.take(owner, axis=1)
    normals[:, padding | _holes(scene.normal_holes, scene.hole, words >> 27, padding.shape)] = 0
    return normals

"""The drawn scenes of the benchmark: the same everywhere, from integers, with NumPy alone.

Instances are ellipses and rectangles whose sides are log-uniform between 5 % and 40 % of the
canvas, most of them small as in COCO. Later ones hide earlier ones, so that masks are disjoint;
what is hidden completely is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.cells import Cell

THINGS = tuple(range(1, 21))
STUFF = (101, 102, 103, 104)
SIDES = (0.05, 0.40)

# Unit vectors with rational components that face the camera (n_z < 0).
_NORMALS = ((2, 3, -6, 7), (1, -4, -8, 9), (-4, 4, -7, 9), (-2, -6, -9, 11), (0, 0, -1, 1))


@dataclass(frozen=True)
class Shape:
    """An instance before others hide part of it; pixels."""

    ellipse: bool
    top: int
    left: int
    height: int
    width: int
    label: int

    def crop(self) -> np.ndarray:
        """Its mask within its own rectangle, ``[height, width]`` bool."""
        if not self.ellipse:
            return np.ones((self.height, self.width), bool)
        y = (2 * np.arange(self.height) + 1 - self.height) / self.height
        x = (2 * np.arange(self.width) + 1 - self.width) / self.width
        return y[:, None] ** 2 + x[None, :] ** 2 <= 1.0

    def polygon(self, points: int) -> np.ndarray:
        """Its outline as ``points`` corners, ``[points, 2]`` float32 (x, y)."""
        turn = 2 * np.pi * np.arange(points) / points
        x, y = np.cos(turn), np.sin(turn)
        if not self.ellipse:
            reach = np.maximum(np.abs(x), np.abs(y))
            x, y = x / reach, y / reach
        return np.stack(
            (
                self.left + (x + 1) * (self.width - 1) / 2,
                self.top + (y + 1) * (self.height - 1) / 2,
            ),
            axis=1,
        ).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """One image and its visible instances.

    Attributes:
        image: ``[3, H, W]`` uint8.
        shapes: one per row.
        id_map: ``[H, W]`` int64, row number + 1, 0 on the background.
        masks: ``[N, H, W]`` bool, disjoint, none empty.
        boxes: ``[N, 4]`` float32 XYXY, half open, tight.
    """

    image: np.ndarray
    shapes: tuple[Shape, ...]
    id_map: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """``[N]`` int64."""
        return np.array([shape.label for shape in self.shapes], np.int64)


@dataclass(frozen=True)
class DenseMaps:
    """What the all-modality cells have beside the instances, for one scene.

    Attributes:
        semantic: ``[H, W]`` int64.
        depth: ``[1, H, W]`` float32, metres; 0 where invalid.
        depth_valid: ``[1, H, W]`` bool.
        normals: ``[3, H, W]`` float32.
        camera: (fx, fy, cx, cy).
    """

    semantic: np.ndarray
    depth: np.ndarray
    depth_valid: np.ndarray
    normals: np.ndarray
    camera: tuple[float, float, float, float]


def draw_scenes(cell: Cell) -> list[Scene]:
    """The scenes of a cell, one per sample. A sample does not depend on the batch size."""
    return [_draw_scene(index, cell.size, cell.low, cell.high) for index in range(cell.batch)]


def dense_maps(scene: Scene, index: int) -> DenseMaps:
    """Semantic map, depth, normals and camera of scene number ``index``."""
    size = scene.id_map.shape[0]
    rows = np.arange(size)
    stuff = np.array(STUFF, np.int64)[rows * len(STUFF) // size]
    semantic = np.concatenate(([0], scene.labels))[scene.id_map]
    semantic = np.where(scene.id_map > 0, semantic, stuff[:, None])
    near = 1.0 + words(1000 + index, len(scene.shapes)) % 20 / 4
    depth = np.concatenate(([0.0], near))[scene.id_map]
    depth = np.where(scene.id_map > 0, depth, 8.0 - 4.0 * rows[:, None] / size)
    valid = words(2000 + index, size * size).reshape(size, size) % 16 > 0
    unit = np.array([[x / d, y / d, z / d] for x, y, z, d in _NORMALS]).astype(np.float32)
    focal = size * (0.9 + 0.05 * (index % 5))
    return DenseMaps(
        semantic=semantic,
        depth=np.where(valid, depth, 0.0).astype(np.float32)[None],
        depth_valid=valid[None],
        normals=np.ascontiguousarray(unit[scene.id_map % len(unit)].transpose(2, 0, 1)),
        camera=(focal, focal, size / 2, size / 2),
    )


def words(seed: int, n: int) -> np.ndarray:
    """``n`` random words ``[n]`` int64 in [0, 2**32): splitmix64, the upper half."""
    x = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(32)).astype(np.int64)


def _draw_scene(index: int, size: int, low: int, high: int) -> Scene:
    count = low + int(words(index, 1)[0]) % (high - low + 1)
    shapes = [_draw_shape(row, size) for row in words(100 + index, 6 * count).reshape(count, 6)]
    id_map = np.zeros((size, size), np.int64)
    for number, shape in enumerate(shapes, start=1):
        window = id_map[shape.top : shape.top + shape.height, shape.left : shape.left + shape.width]
        window[shape.crop()] = number
    seen = np.unique(id_map)
    seen = seen[seen > 0]
    id_map = np.searchsorted(seen, id_map, side="right") * (id_map > 0)
    visible = tuple(shapes[number - 1] for number in seen)
    masks = np.zeros((len(visible), size, size), bool)
    boxes = np.zeros((len(visible), 4), np.float32)
    for row, shape in enumerate(visible):
        top, left = shape.top, shape.left
        part = id_map[top : top + shape.height, left : left + shape.width] == row + 1
        masks[row, top : top + shape.height, left : left + shape.width] = part
        ys, xs = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        boxes[row] = (left + xs[0], top + ys[0], left + xs[-1] + 1, top + ys[-1] + 1)
    noise = words(3000 + index, 3 * size * size).reshape(3, size, size) % 64
    shade = np.arange(size) * 96 // size
    image = noise + shade[None, :, None] + (id_map * 37 % 96)[None]
    return Scene(image.astype(np.uint8), visible, id_map, masks, boxes)


def _draw_shape(row: np.ndarray, size: int) -> Shape:
    low, high = SIDES
    height, width = (
        max(2, round(size * low * (high / low) ** (int(word) % 1024 / 1023))) for word in row[:2]
    )
    return Shape(
        ellipse=bool(row[4] % 3),
        top=int(row[2]) % (size - height + 1),
        left=int(row[3]) % (size - width + 1),
        height=height,
        width=width,
        label=THINGS[int(row[5]) % len(THINGS)],
    )

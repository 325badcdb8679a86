"""What value gets what colour: ids, classes, depths, normals."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

Rgb = tuple[int, int, int]

# Distinct on photographs and on grey, in light and dark surroundings; then the wheel.
_FIRST: tuple[Rgb, ...] = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 200, 25),
    (30, 110, 230),
    (245, 130, 48),
    (165, 60, 200),
    (70, 220, 230),
    (240, 50, 230),
    (170, 230, 60),
    (0, 128, 128),
    (250, 165, 180),
    (145, 90, 40),
)
# Anchors of matplotlib's viridis (CC0), dark to bright.
_VIRIDIS = np.array(
    [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=np.float64
)

_APART = 40  # colours to choose from, so that things that touch differ
_FAR, _FAR_PALE = 0.24, 0.17  # beyond this distance two colours are different enough

# Linear sRGB -> the cones' answers -> Oklab, as in Ottosson 2020, "A perceptual color space".
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_FROM_CONES = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def nth_colour(n: int) -> Rgb:
    """A colour for the n-th of a few things; neighbours in n are far apart in hue."""
    if n < len(_FIRST):
        return _FIRST[n]
    red, green, blue = colorsys.hsv_to_rgb((0.05 + n * 0.61803399) % 1.0, 0.55 + 0.4 * (n % 2), 0.95)
    return _rgb(red, green, blue)


class Colours:
    """One colour per value, the same in every panel of a picture.

    Args:
        values: every value that may be asked for; smaller values come first.
        pale: mix with white, so that classes do not look like instances.
    """

    def __init__(self, values: Iterable[int], *, pale: bool = False) -> None:
        self._table: dict[int, Rgb] = {}
        for n, value in enumerate(sorted(set(values))):
            red, green, blue = nth_colour(n + 3 if pale else n)
            self._table[value] = (
                ((red + 255) // 2, (green + 255) // 2, (blue + 255) // 2) if pale else (red, green, blue)
            )

    @classmethod
    def apart(
        cls, maps: Iterable[np.ndarray], *, without: int, also: Iterable[int] = (), pale: bool = False
    ) -> Colours:
        """Colours for the values of maps ``[H, W]``, such that values that touch look different.

        Values are coloured in ascending order; each takes the colour furthest from those of the
        values beside it, and among equally far ones the first that is used least.

        Args:
            maps: where the values lie; touching means within two pixels in one of them.
            without: a value that needs no colour.
            also: values that lie in no map, or are hidden there.
            pale: as for the class.
        """
        beside: dict[int, set[int]] = {value: set() for value in also}
        for values in maps:
            for value in np.unique(values).tolist():
                beside.setdefault(value, set())
            for step in (1, 2):
                for first, second in ((values[step:], values[:-step]), (values[:, step:], values[:, :-step])):
                    different = first != second
                    pairs = np.stack([first[different], second[different]], axis=1)
                    for one, other in np.unique(pairs, axis=0).tolist():
                        beside[one].add(other)
                        beside[other].add(one)
        beside.pop(without, None)
        palette, enough = _palette(pale), _FAR_PALE if pale else _FAR
        used = [0] * len(palette)
        chosen: dict[int, int] = {}
        for value in sorted(beside):
            near = [palette[chosen[other]] for other in beside[value] if other in chosen]

            def rank(n: int, near: list[Rgb] = near) -> tuple[float, int, int]:
                # Far enough is far enough: beyond that, few uses keep the whole picture distinct.
                far = min((_distance(palette[n], colour) for colour in near), default=enough)
                return -min(far, enough), used[n], n

            best = min(range(len(palette)), key=rank)
            chosen[value] = best
            used[best] += 1
        made = cls(())
        made._table = {value: palette[n] for value, n in chosen.items()}
        return made

    def __getitem__(self, value: int) -> Rgb:
        return self._table.get(value, (128, 128, 128))

    def __len__(self) -> int:
        return len(self._table)


@lru_cache(maxsize=2)
def _palette(pale: bool) -> list[Rgb]:
    """Colours of which each is as far as can be from those before it."""
    palette = [((r + 255) // 2, (g + 255) // 2, (b + 255) // 2) if pale else (r, g, b) for r, g, b in _FIRST]
    grid = [(hue / 24, s, v) for hue in range(24) for s in (0.35, 0.65, 0.95) for v in (0.5, 0.75, 0.98)]
    if pale:
        grid = [(hue, s, v) for hue, s, v in grid if s < 0.7 and v > 0.6]
    others = [_rgb(*colorsys.hsv_to_rgb(*each)) for each in grid]
    nearest = [min(_distance(other, one) for one in palette) for other in others]
    while len(palette) < _APART:
        best = max(range(len(others)), key=lambda n: (nearest[n], -n))
        palette.append(others[best])
        nearest = [
            min(far, _distance(other, palette[-1])) for far, other in zip(nearest, others, strict=True)
        ]
    return palette


def _rgb(red: float, green: float, blue: float) -> Rgb:
    return round(red * 255), round(green * 255), round(blue * 255)


@lru_cache(maxsize=4096)
def _distance(one: Rgb, other: Rgb) -> float:
    """How different two colours look: their distance in Oklab (Ottosson 2020); black to white is 1."""
    return float(np.linalg.norm(np.subtract(_oklab(one), _oklab(other))))


@lru_cache(maxsize=512)
def _oklab(colour: Rgb) -> tuple[float, float, float]:
    """Lightness, a and b of an sRGB colour of 0 to 255."""
    plain = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(plain <= 0.04045, plain / 12.92, ((plain + 0.055) / 1.055) ** 2.4)
    lightness, a, b = (_FROM_CONES @ np.cbrt(_TO_CONES @ linear)).tolist()
    return lightness, a, b


def depth_colours(depth: np.ndarray, low: float, high: float) -> np.ndarray:
    """Near is bright. ``depth [H, W]`` between ``low`` and ``high`` -> uint8 ``[H, W, 3]``."""
    span = max(high - low, 1e-12)
    # Clipped before it is divided: where nothing is valid there may be any number.
    place = 1.0 - np.clip(
        (np.clip(np.nan_to_num(depth.astype(np.float64)), low, high) - low) / span, 0.0, 1.0
    )
    at = place * (len(_VIRIDIS) - 1)
    below = np.minimum(at.astype(np.int64), len(_VIRIDIS) - 2)
    part = (at - below)[..., None]
    return np.rint(_VIRIDIS[below] * (1 - part) + _VIRIDIS[below + 1] * part).astype(np.uint8)


def normal_colours(normals: np.ndarray) -> np.ndarray:
    """``normals [3, H, W]`` in [-1, 1] -> uint8 ``[H, W, 3]``, towards the camera is blue."""
    x, y, z = np.nan_to_num(normals.astype(np.float64))
    rgb = np.stack([(x + 1) / 2, (1 - y) / 2, (1 - z) / 2], axis=-1)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def checkerboard(height: int, width: int, cell: int = 4) -> np.ndarray:
    """Grey checks, the colour of *nothing here*; uint8 ``[height, width, 3]``."""
    rows, columns = np.arange(height) // cell, np.arange(width) // cell
    dark = (rows[:, None] + columns[None, :]) % 2
    return np.repeat(np.where(dark == 1, 70, 110).astype(np.uint8)[..., None], 3, axis=-1)

"""Looking maps up at whole pixels, and depth and normals between them.

A *lookup* says which pixel each pixel of the output shows; values are read by index, so that
ids beyond 2^24 come through a warp whose coordinates are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Between = Callable[[torch.Tensor], torch.Tensor]
"""Interpolates ``[C, H, W]`` float32 to the size of the output, linear in its values."""

LEAST_LENGTH = 1e-6
"""Normals whose interpolation is shorter cancel out; the nearest one is taken."""

_BLOCK = 1 << 14
"""Pixels."""


class Lookup(NamedTuple):
    """Which pixel each pixel of the output shows.

    Attributes:
        rows, columns: int64, ``[H']`` and ``[W']`` for a grid along the axes, else both
            ``[H', W']``.
        inside: ``[H', W']`` bool, where a pixel is shown; None for everywhere.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    inside: torch.Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """``(H', W')``."""
        return self.rows.shape[0], self.columns.shape[-1]


def resized_lookup(old: tuple[int, int], new: tuple[int, int], rule: str, device: torch.device) -> Lookup:
    """The lookup of ``interpolate(mode=rule)``, for ``nearest`` and ``nearest-exact``."""
    rows, columns = (_resized_axis(a, b, rule, device) for a, b in zip(old, new, strict=True))
    return Lookup(rows, columns)


def _resized_axis(old: int, new: int, rule: str, device: torch.device) -> torch.Tensor:
    places = torch.arange(old, dtype=torch.float32, device=device)
    return torch.nn.functional.interpolate(places[None, None], size=new, mode=rule)[0, 0].to(torch.int64)


def warped_lookup(leaf: torch.Tensor, move: Callable[[torch.Tensor], torch.Tensor]) -> Lookup:
    """The lookup of what moves float32 images ``[C, H, W]`` by nearest pixels."""
    height, width = leaf.shape[-2:]
    places = torch.ones((3, height, width), dtype=torch.float32, device=leaf.device)
    places[0] = torch.arange(height, device=leaf.device)[:, None]
    places[1] = torch.arange(width, device=leaf.device)
    moved = move(places)
    rows, columns = moved[0].to(torch.int64), moved[1].to(torch.int64)
    return Lookup(rows, columns, moved[2] > 0.5)


def looked_up(maps: torch.Tensor, lookup: Lookup, fill: int | float = 0) -> torch.Tensor:
    """``[..., H, W]`` of any dtype at the pixels of a lookup, ``fill`` where there is none."""
    found = at_lookup(maps, lookup)
    if lookup.inside is None:
        return found
    if maps.dtype == torch.bool:
        return found & lookup.inside if not fill else found | ~lookup.inside
    return torch.where(lookup.inside, found, fill)


def at_lookup(maps: torch.Tensor, lookup: Lookup) -> torch.Tensor:
    """As :func:`looked_up`; where there is no pixel, some pixel's value."""
    rows, columns = lookup.rows, lookup.columns
    if rows.ndim == 1:
        if maps.device.type != "cpu":
            return maps.index_select(-2, rows).index_select(-1, columns)
        # NumPy's copies whole blocks: several times as fast as torch's.
        array = maps.numpy().take(columns.numpy(), axis=-1).take(rows.numpy(), axis=-2)
        return torch.from_numpy(array)
    flat = maps.flatten(-2)
    places = (rows * maps.shape[-1] + columns).flatten()
    if maps.device.type != "cpu":
        return flat.index_select(-1, places).unflatten(-1, rows.shape)
    return torch.from_numpy(flat.numpy().take(places.numpy(), axis=-1)).unflatten(-1, rows.shape)


def depth_between(leaf: torch.Tensor, lookup: Lookup, between: Between | None) -> torch.Tensor:
    """Depth and validity ``[2, H, W]`` at a lookup; where it is invalid depth is 0.

    Valid where the nearest pixel is. With ``between`` depth is interpolated among valid
    pixels, by their weights over the sum of their weights, so that nothing that lies under an
    invalid pixel is read. A depth that comes out not finite or not positive is invalid.
    """
    valid = leaf[1] != 0
    channels = torch.where(valid, leaf, 0)
    if between is None:
        return looked_up(channels, lookup)
    moved = between(channels)
    value = moved[0].div_(moved[1])  # not finite where no valid pixel has a weight
    good = looked_up(valid, lookup) & (value > 0) & (value < torch.inf)
    value.masked_fill_(~good, 0)
    moved[1].copy_(good)
    return moved


def normals_between(normals: torch.Tensor, lookup: Lookup, between: Between | None) -> torch.Tensor:
    """Normals ``[3, H, W]`` at a lookup, unit vectors; none where the nearest pixel has none.

    With ``between`` interpolated, and made unit vectors again in float64; where they cancel out, the nearest
    one.
    """
    if between is None:
        return looked_up(normals, lookup)
    some = looked_up((normals != 0).any(dim=0), lookup)
    mean = between(normals)
    x, y, z = mean
    cancelled = ((x * x).addcmul_(y, y).addcmul_(z, z) <= LEAST_LENGTH**2) & some
    if bool(cancelled.any()):
        mean = torch.where(cancelled, looked_up(normals, lookup), mean)
    return _unit(mean).masked_fill_(~some, 0)


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors ``[3, H, W]`` float32 divided by their lengths in float64, in their own memory.

    In blocks of rows that stay in the cache: whole maps of float64 take several times as long.
    """
    for block in vectors.split(max(1, _BLOCK // vectors.shape[2]), dim=1):
        wide = block.to(torch.float64)
        x, y, z = wide
        block.copy_(wide / (x * x).addcmul_(y, y).addcmul_(z, z).sqrt_())
    return vectors


def turned(normals: torch.Tensor, turn: tuple[float, float]) -> torch.Tensor:
    """Normals ``[3, H, W]`` turned in the plane by an angle of this cosine and sine, x to y."""
    cosine, sine = turn
    if sine == 0 and cosine == 1:
        return normals
    x, y = normals[0].to(torch.float64), normals[1].to(torch.float64)
    new = torch.stack([cosine * x - sine * y, sine * x + cosine * y]).to(normals.dtype)
    # Adding 0 makes a negative zero a positive one: no normal is the zero vector, all bits.
    after = torch.cat([new + 0, normals[2:]])
    if cosine == 0 or sine == 0:
        return after
    none = (after == 0).all(dim=0)
    return _unit(after).masked_fill_(none, 0)  # so that turns in a row add up no rounding

"""The tensors kept of a few frozen cases, in one small file.

A mismatch is shown as *before* and *after*. Before is mostly recomputed, by an executor
whose digest is still the frozen one; where all have changed alike it is read from here.
Kept are rows, masks, label maps, validity, union and plan of every case, and image, depth
and normals, which do not pack well, of the seeds in :data:`KEPT_SEEDS`. A field that the
target has, too, is kept as the exclusive or of the two: zero wherever nothing was pasted.

The file is LZMA over a line of JSON (what is where) and the bytes of all tensors: bools
eight to a byte, numbers byte plane by byte plane without the planes that are zero.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.digests import FrozenFileError, Outcome, little_endian
from segpaste.types import PastePlan

KEPT_SEEDS = range(4)
"""Seeds of which every field is kept: three even ones and a free one."""

_BULKY = ("images", "depth", "normals")


class Packer:
    """Collects what is kept, case by case, and makes the file of it."""

    def __init__(self) -> None:
        self._columns: dict[str, list[tuple[list[Any], bytes]]] = {}

    def add(self, one: FrozenCase, outcome: Outcome) -> None:
        """Take over what is kept of one case."""
        for name, value in (outcome | _plan_fields(one)).items():
            if name in _BULKY and one.seed not in KEPT_SEEDS:
                continue
            like = _like(one, name, value)
            planes, chunk = _packed(value, like)
            dtype = str(value.dtype).removeprefix("torch.")
            place = [dtype, list(value.shape), like is not None, planes, len(chunk)]
            self._columns.setdefault(name, []).append(([one.kind, one.dtype, one.seed, name, *place], chunk))

    def content(self) -> bytes:
        """The file; the same bytes for the same cases in the same order."""
        # Field by field, so that like stands beside like, which packs better.
        places = [place for name in sorted(self._columns) for place in self._columns[name]]
        head = json.dumps([place for place, _ in places], separators=(",", ":")).encode() + b"\n"
        body = b"".join(chunk for _, chunk in places)
        return lzma.compress(head + body, format=lzma.FORMAT_XZ, preset=9 | lzma.PRESET_EXTREME)


class KeptTensors:
    """Reads a file of :class:`Packer`.

    Raises:
        FrozenFileError: if it is none.
    """

    def __init__(self, content: bytes) -> None:
        try:
            head, _, body = lzma.decompress(content).partition(b"\n")
            index: list[list[Any]] = json.loads(head)
        except (lzma.LZMAError, ValueError) as error:
            raise FrozenFileError(
                f"kept tensors: got {len(content)} bytes that do not unpack: {error}"
            ) from None
        self._places: dict[tuple[str, str, int, str], tuple[str, list[int], bool, list[int], bytes]] = {}
        at = 0
        for kind, dtype, seed, name, kept_as, shape, relative, planes, size in index:
            self._places[kind, dtype, seed, name] = kept_as, shape, relative, planes, body[at : at + size]
            at += size

    def __len__(self) -> int:
        return len(self._places)

    def read(self, one: FrozenCase, field: str) -> torch.Tensor | None:
        """A field as it was when it was kept; ``None`` if it was not.

        Right only if the case's inputs still are what they were then, which their digest says.
        """
        place = self._places.get((one.kind, one.dtype, one.seed, field))
        if place is None:
            return None
        dtype, shape, relative, planes, chunk = place
        value = _unpacked(chunk, planes, np.dtype(dtype), shape)
        if relative:
            like = one.case.target.tensors().get(field)
            if like is None or list(like.shape) != shape or like.numpy().dtype != value.dtype:
                return None
            value = (_bytes(value) ^ _bytes(like.numpy())).view(value.dtype).reshape(shape)
        return torch.from_numpy(value)


def _plan_fields(one: FrozenCase) -> Outcome:
    return {f"plan.{f.name}": getattr(one.case.plan, f.name) for f in fields(PastePlan)}


def _like(one: FrozenCase, name: str, value: torch.Tensor) -> torch.Tensor | None:
    like = one.case.target.tensors().get(name)
    same = like is not None and like.shape == value.shape and like.dtype == value.dtype
    return like if same else None


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _packed(value: torch.Tensor, like: torch.Tensor | None) -> tuple[list[int], bytes]:
    """The byte planes that are not all zero, by number, and their content."""
    content = _bytes(little_endian(value))
    if like is not None:
        content = content ^ _bytes(little_endian(like))
    if value.dtype == torch.bool:
        planes = np.packbits(content)[None]
    else:
        planes = content.reshape(-1, value.element_size()).T
    used = [n for n, plane in enumerate(planes) if plane.any()]
    return used, planes[used].tobytes()


def _unpacked(chunk: bytes, planes: list[int], dtype: np.dtype[Any], shape: list[int]) -> np.ndarray:
    count = int(np.prod(shape, dtype=np.int64))
    width = (count + 7) // 8 if dtype == np.bool_ else count
    every = np.zeros((dtype.itemsize, width), dtype=np.uint8)
    every[planes] = np.frombuffer(chunk, dtype=np.uint8).reshape(len(planes), width)
    if dtype == np.bool_:
        return np.unpackbits(every[0], count=count).view(np.bool_).reshape(shape)
    little = np.ascontiguousarray(every.T).view(dtype.newbyteorder("<"))
    return little.reshape(shape).astype(dtype)

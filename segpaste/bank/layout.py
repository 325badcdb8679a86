"""A crop as bytes: one record of fixed size, and one row of the index.

The same in every backend: what is stored differs, what is hashed and checked does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from segpaste.bank.errors import BankError
from segpaste.bank.meta import BankHead
from segpaste.bank.protocol import BankCrop, CropProvenance
from segpaste.types import CameraIntrinsics

DEPTH, NORMALS, INTRINSICS = 1, 2, 4
"""The bits of ``carries``."""

INDEX_DTYPE = np.dtype(
    [
        ("class_id", "<i8"),
        ("image_id", "<i8"),
        ("annotation_id", "<i8"),
        ("score", "<f8"),  # NaN: no score
        ("dataset", "<i4"),  # place in the head's names
        ("model", "<i4"),  # likewise; -1: no model
        ("carries", "<u4"),
        ("crc32", "<u4"),  # of the record's bytes
    ]
)
"""A row of the index, 48 bytes without gaps; what is known of a crop without reading it."""


class Chunk(NamedTuple):
    """Some crops, in order.

    Attributes:
        records: ``[n]`` of :func:`record_dtype`.
        index: ``[n]`` of :data:`INDEX_DTYPE`.
    """

    records: np.ndarray
    index: np.ndarray  # pyright: ignore[reportIncompatibleMethodOverride]


def record_dtype(head: BankHead) -> np.dtype:
    """The record of a crop: little-endian, without gaps; fields that the head has not are left out."""
    h, w = head.crop_size
    fields: list[tuple[str, str, tuple[int, ...]]] = [("image", "u1", (3, h, w)), ("alpha", "?", (1, h, w))]
    if head.has_depth:
        fields += [("depth", "<f4", (1, h, w)), ("depth_valid", "?", (1, h, w))]
    if head.has_normals:
        fields += [("normals", "<f4", (3, h, w))]
    if head.has_intrinsics:
        fields += [("camera_intrinsics", "<f8", (4,))]
    if head.embedding_dim is not None:
        fields += [("embedding", "<f2", (head.embedding_dim,))]
    return np.dtype(fields)


def pack(crops: Sequence[BankCrop], head: BankHead) -> Chunk:
    """Crops as a chunk; what a crop does not carry is zero in its record.

    Raises:
        BankError: naming the place of the crop and its field, if it does not fit the head or
            holds what no well-formed crop does.
    """
    records = np.zeros(len(crops), record_dtype(head))
    index = np.zeros(len(crops), INDEX_DTYPE)
    for place, crop in enumerate(crops):
        said = crop.provenance
        where = f"crop {place} (image {said.image_id}, annotation {said.annotation_id})"
        index[place] = _packed(crop, head, records[place], where)
        index["crc32"][place] = zlib.crc32(records[place : place + 1].view("u1").data)
    return Chunk(records, index)


def unpack(record: np.ndarray, row: np.ndarray, head: BankHead) -> BankCrop:
    """The crop of a record and its index row, in memory of its own.

    Args:
        record: ``[1]`` of :func:`record_dtype`.
        row: one element of :data:`INDEX_DTYPE`.
        head: the bank's.
    """
    carries = int(row["carries"])

    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(record[name][0].copy())

    model, score = int(row["model"]), float(row["score"])
    provenance = CropProvenance(
        dataset=head.datasets[int(row["dataset"])],
        image_id=int(row["image_id"]),
        annotation_id=int(row["annotation_id"]),
        model=None if model < 0 else head.models[model],
        score=None if score != score else score,
    )
    has_depth = bool(carries & DEPTH)
    return BankCrop(
        image=tensor("image"),
        alpha=tensor("alpha"),
        class_id=int(row["class_id"]),
        depth=tensor("depth") if has_depth else None,
        depth_valid=tensor("depth_valid") if has_depth else None,
        normals=tensor("normals") if carries & NORMALS else None,
        camera_intrinsics=(
            CameraIntrinsics(*record["camera_intrinsics"][0].tolist()) if carries & INTRINSICS else None
        ),
        embedding=None if head.embedding_dim is None else tensor("embedding"),
        provenance=provenance,
        metric_depth=head.metric_depth and has_depth,
    )


def check_record(record: np.ndarray, row: np.ndarray, where: str) -> None:
    """Refuse a record whose bytes are not those that its index row knows.

    Raises:
        BankError: naming ``where``.
    """
    found = zlib.crc32(record.view("u1").data)
    if found != int(row["crc32"]):
        raise BankError(
            f"{where}: got bytes of checksum {found:08x}, expected {int(row['crc32']):08x}: "
            "the file was changed after it was built"
        )


def _packed(crop: BankCrop, head: BankHead, record: np.void, where: str) -> tuple[object, ...]:
    """Fill a record; the index row, its checksum still 0."""
    h, w = head.crop_size
    shapes = {
        "image": (torch.uint8, (3, h, w)),
        "alpha": (torch.bool, (1, h, w)),
        "depth": (torch.float32, (1, h, w)),
        "depth_valid": (torch.bool, (1, h, w)),
        "normals": (torch.float32, (3, h, w)),
        "embedding": (torch.float16, (head.embedding_dim,)),
    }
    names = record_dtype(head).names or ()
    for name, (dtype, shape) in shapes.items():
        value = getattr(crop, name)
        if value is None:
            continue
        if name not in names:
            raise BankError(f"{where}: {name}: got one, expected none in a bank without")
        if value.dtype != dtype or tuple(value.shape) != shape:
            raise BankError(
                f"{where}: {name}: got {value.dtype} {list(value.shape)}, expected {dtype} {list(shape)}"
            )
        record[name] = value.detach().cpu().numpy()
    _check_values(crop, head, where)
    carries = 0
    if crop.depth is not None:
        carries |= DEPTH
    if crop.normals is not None:
        carries |= NORMALS
    if crop.camera_intrinsics is not None:
        if not head.has_intrinsics:
            raise BankError(f"{where}: camera_intrinsics: got some, expected none in a bank without")
        record["camera_intrinsics"] = crop.camera_intrinsics.as_tuple()
        carries |= INTRINSICS
    said = crop.provenance
    score = float("nan") if said.score is None else said.score
    model = -1 if said.model is None else _place(said.model, head.models, "model", where)
    dataset = _place(said.dataset, head.datasets, "dataset", where)
    return (crop.class_id, said.image_id, said.annotation_id, score, dataset, model, carries, 0)


def _check_values(crop: BankCrop, head: BankHead, where: str) -> None:
    if not 0 <= crop.class_id < head.num_classes:
        raise BankError(
            f"{where}: class_id: got {crop.class_id}, expected 0 or more and less than {head.num_classes}"
        )
    if not bool(crop.alpha.any()):
        raise BankError(f"{where}: alpha: got no pixel, expected at least one")
    if (crop.depth is None) != (crop.depth_valid is None):
        raise BankError(f"{where}: depth_valid: expected with depth, and only with it")
    if crop.depth is not None and crop.depth_valid is not None:
        if crop.metric_depth != head.metric_depth:
            raise BankError(
                f"{where}: metric_depth: got {crop.metric_depth}, expected the bank's, {head.metric_depth}"
            )
        valid = crop.depth[crop.depth_valid]
        if not bool((torch.isfinite(valid) & (valid > 0)).all()):
            raise BankError(f"{where}: depth: got a value that is not finite and positive where it is valid")
    if crop.metric_depth and crop.camera_intrinsics is None:
        raise BankError(f"{where}: camera_intrinsics: got none, expected them beside metric depth")
    if crop.normals is not None and not bool((crop.normals.abs() <= 1).all()):
        raise BankError(f"{where}: normals: got a component that is not within -1 and 1")
    if head.embedding_dim is not None and crop.embedding is None:
        raise BankError(f"{where}: embedding: got none, expected one for every crop")


def _place(name: str, names: tuple[str, ...], what: str, where: str) -> int:
    if name not in names:
        raise BankError(f"{where}: {what}: got {name!r}, expected one of {list(names)}")
    return names.index(name)

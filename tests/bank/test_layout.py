"""A crop as bytes: nothing is lost, nothing malformed gets in, nothing changed gets out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.bank import BankCrop, BankError, CropProvenance
from segpaste.bank.layout import INDEX_DTYPE, check_record, pack, record_dtype, unpack
from segpaste.types import CameraIntrinsics
from tests.bank.drawn_bank import drawn_crops, drawn_head, same_crop

EVERYTHING: dict[str, Any] = {
    "depth": True,
    "normals": True,
    "intrinsics": True,
    "metric": True,
    "embedding_dim": 4,
}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"depth": True},
        {"normals": True},
        {"intrinsics": True, "embedding_dim": 1},
        EVERYTHING,
        {**EVERYTHING, "crop_size": (1, 1)},
    ],
    ids=["plain", "depth", "normals", "intrinsics", "everything", "one pixel"],
)
@pytest.mark.parametrize("some_without", [False, True])
def test_nothing_is_lost(fields: dict[str, Any], some_without: bool) -> None:
    head = drawn_head(**fields)
    crops = drawn_crops(7, some_without=some_without, **fields)
    records, index = pack(crops, head)
    for place, crop in enumerate(crops):
        check_record(records[place : place + 1], index[place], "here")
        assert same_crop(unpack(records[place : place + 1], index[place], head), crop)


def test_a_crop_is_in_memory_of_its_own() -> None:
    head = drawn_head(**EVERYTHING)
    records, index = pack(drawn_crops(1, **EVERYTHING), head)
    crop = unpack(records, index[0], head)
    records.view("u1")[:] = 0
    assert same_crop(crop, drawn_crops(1, **EVERYTHING)[0])


def test_records_have_no_gaps() -> None:
    dtype = record_dtype(drawn_head(crop_size=(3, 5), **EVERYTHING))
    assert dtype.itemsize == 15 * (3 + 1 + 4 + 1 + 12) + 32 + 8
    assert INDEX_DTYPE.itemsize == 48


def test_every_flipped_byte_is_found() -> None:
    head = drawn_head(crop_size=(3, 5), **EVERYTHING)
    records, index = pack(drawn_crops(1, crop_size=(3, 5), **EVERYTHING), head)
    for place in range(records.itemsize):
        changed = records.copy()
        changed.view("u1")[place] ^= 1 << place % 8
        with pytest.raises(BankError, match="bank: crop 4: got bytes of checksum"):
            check_record(changed, index[0], "bank: crop 4")


def _crop(**changes: Any) -> BankCrop:
    return replace(drawn_crops(1, **EVERYTHING)[0], **changes)


_DEEP = torch.full((1, 16, 20), 2.0)
_ALL_VALID = torch.ones(1, 16, 20, dtype=torch.bool)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": torch.zeros(3, 16, 21, dtype=torch.uint8)}, r"image: got torch.uint8 \[3, 16, 21\]"),
        ({"image": torch.zeros(3, 16, 20)}, r"image: got torch.float32"),
        ({"alpha": torch.zeros(1, 16, 20, dtype=torch.bool)}, "alpha: got no pixel"),
        ({"class_id": 8}, "class_id: got 8, expected 0 or more and less than 8"),
        ({"class_id": -1}, "class_id: got -1"),
        ({"depth_valid": None}, "depth_valid: expected with depth"),
        ({"depth": None}, "depth_valid: expected with depth"),
        ({"depth": _DEEP * 0, "depth_valid": _ALL_VALID}, "depth: got a value"),
        ({"depth": _DEEP * float("nan"), "depth_valid": _ALL_VALID}, "depth: got a value"),
        ({"metric_depth": False}, "metric_depth: got False, expected the bank's, True"),
        ({"camera_intrinsics": None}, "camera_intrinsics: got none"),
        ({"normals": torch.full((3, 16, 20), 1.5)}, "normals: got a component"),
        ({"normals": torch.full((3, 16, 20), float("nan"))}, "normals: got a component"),
        ({"embedding": None}, "embedding: got none"),
        ({"embedding": torch.zeros(5, dtype=torch.float16)}, r"embedding: got torch.float16 \[5\]"),
        ({"provenance": CropProvenance(dataset="?")}, r"dataset: got '\?', expected one of \['drawn'"),
        ({"provenance": CropProvenance(dataset="drawn", model="?")}, r"model: got '\?'"),
    ],
)
def test_what_is_malformed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BankError, match=r"crop 0 \(image .*\): " + message):
        pack([_crop(**changes)], drawn_head(**EVERYTHING))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": _DEEP, "depth_valid": _ALL_VALID}, "depth: got one, expected none"),
        ({"normals": torch.zeros(3, 16, 20)}, "normals: got one, expected none"),
        ({"camera_intrinsics": CameraIntrinsics(1, 1, 0, 0)}, "camera_intrinsics: got some, expected none"),
        ({"embedding": torch.zeros(4, dtype=torch.float16)}, "embedding: got one, expected none"),
    ],
)
def test_what_the_head_has_not_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BankError, match=message):
        pack([replace(drawn_crops(1)[0], **changes)], drawn_head())


def test_what_a_crop_does_not_carry_is_zero() -> None:
    records, index = pack(drawn_crops(2, some_without=True, depth=True), drawn_head(depth=True))
    assert not records["depth"][1].any()
    assert index["carries"].tolist() == [1, 0]
    assert np.isnan(index["score"]).tolist() == [True, True]

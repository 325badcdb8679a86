"""Values that a staged batch may hold, and what is said of others."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.bank.batch import BankBatch
from tests.augmentation.bank_batches import noise

FULL = noise(2, 3, normals=True, metric=True)


def _with(batch: BankBatch, name: str, at: tuple[int, ...], value: Any) -> BankBatch:
    """The batch with one value changed."""
    changed = getattr(batch, name).clone()
    changed[at] = value
    return replace(batch, **{name: changed})


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("crops", (1, 2, 0, 3, 3), -1, r"crops: crop \(1, 2\): got a colour beyond 0\.\.255"),
        ("crops", (0, 1, 3, 0, 0), 2, r"crops: crop \(0, 1\): got an alpha other than 0 and 1"),
        ("crops", (1, 0, 4), -1, r"crops: crop \(1, 0\): got a negative class id"),
        ("crops", (1, 1, 4, 5, 6), 9, r"crops: crop \(1, 1\): got several class ids"),
        ("depth", (0, 2), math.nan, r"depth: crop \(0, 2\): got a value that is not finite and positive"),
        ("depth", (1, 1), math.inf, r"depth: crop \(1, 1\): got a value that is not finite and positive"),
        ("depth", (1, 2), 0.0, r"depth: crop \(1, 2\): got a value that is not finite and positive"),
        ("normals", (0, 1, 2, 3, 3), 1.5, r"normals: crop \(0, 1\): got a component beyond 1"),
        ("normals", (1, 2, 0, 0, 0), math.nan, r"normals: crop \(1, 2\): got a component beyond 1"),
        (
            *("camera_intrinsics", (0, 1, 0), math.nan),
            r"camera_intrinsics: crop \(0, 1\): got \[nan, 6\.0, 3\.5, 3\.0\], expected finite",
        ),
        ("camera_intrinsics", (1, 0, 1), math.inf, r"camera_intrinsics: crop \(1, 0\): got \[5\.0, inf, "),
        ("camera_intrinsics", (1, 2, 1), -6.0, r"camera_intrinsics: crop \(1, 2\): got \[5\.0, -6\.0, "),
        ("camera_intrinsics", (0, 0, 3), math.nan, r"camera_intrinsics: crop \(0, 0\): got \[5\.0, 6\.0, "),
    ],
)
def test_a_value_that_no_crop_has_is_refused(
    name: str, at: tuple[int, ...], value: float, message: str
) -> None:
    FULL.validate()
    batch = _with(FULL, name, at, value)
    if name == "depth":
        batch = _with(batch, "depth_valid", at, True)
    with pytest.raises(ValueError, match=message):
        batch.validate()


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("normals", (0, 0), 0.5),  # of length 0.87, and away: what a sample may hold, too
        ("normals", (0, 0), 0.0),
        ("camera_intrinsics", (1, 1), 0.0),  # none
        ("camera_intrinsics", (1, 1, 2), -40.0),  # a principal point outside the crop
    ],
)
def test_what_a_crop_may_hold_is_not_refused(name: str, at: tuple[int, ...], value: float) -> None:
    _with(FULL, name, at, value).validate()


def test_values_under_an_invalid_depth_and_of_crops_that_carry_none_are_not_looked_at() -> None:
    assert FULL.depth_valid is not None
    assert FULL.depth is not None
    replace(FULL, depth=torch.where(FULL.depth_valid, FULL.depth, math.nan)).validate()
    batch = _with(_with(FULL, "depth", (1, 0), math.nan), "depth_valid", (1, 0), True)
    _with(batch, "carries_depth", (1, 0), False).validate()
    with pytest.raises(ValueError, match=r"depth: crop \(1, 0\)"):
        _with(batch, "carries_depth", (1, 1), False).validate()
    batch = _with(FULL, "normals", (1, 0), math.nan)
    _with(batch, "carries_normals", (1, 0), False).validate()
    with pytest.raises(ValueError, match=r"normals: crop \(1, 0\)"):
        _with(batch, "carries_normals", (0, 0), False).validate()

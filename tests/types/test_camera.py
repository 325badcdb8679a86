"""Pinhole intrinsics in pixels."""

from __future__ import annotations

import dataclasses
import math

import pytest

from segpaste.types import CameraIntrinsics


def test_intrinsics_keep_their_numbers() -> None:
    camera = CameraIntrinsics(fx=994.978, fy=995.0, cx=-3.5, cy=0.0)
    assert camera.as_tuple() == (994.978, 995.0, -3.5, 0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.fx = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["fx", "fy", "cx", "cy"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(name: str, value: float) -> None:
    values = {"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0} | {name: value}
    with pytest.raises(
        ValueError, match=f"^camera_intrinsics.{name}: got {value}, expected a finite number$"
    ):
        CameraIntrinsics(**values)


@pytest.mark.parametrize("name", ["fx", "fy"])
@pytest.mark.parametrize("value", [0.0, -320.0])
def test_focal_lengths_must_be_positive(name: str, value: float) -> None:
    values = {"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0} | {name: value}
    with pytest.raises(ValueError, match=f"^camera_intrinsics.{name}: got {value}, expected more than 0$"):
        CameraIntrinsics(**values)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="camera_intrinsics.fx: got str, expected a number"):
        CameraIntrinsics("a", 1, 1, 1)  # pyright: ignore[reportArgumentType]

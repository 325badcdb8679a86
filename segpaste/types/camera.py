"""Pinhole intrinsics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real


@dataclass(frozen=True, slots=True)
class CameraIntrinsics:
    """Pinhole camera intrinsics in pixels; x right, y down.

    Attributes:
        fx, fy: focal lengths in pixels, finite and positive.
        cx, cy: principal point in pixels, finite.

    Raises:
        TypeError: if one of them is no number.
        ValueError: if a focal length is not finite and positive, or a coordinate of
            the principal point is not finite.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            value = getattr(self, name)
            if not isinstance(value, Real):
                raise TypeError(f"camera_intrinsics.{name}: got {type(value).__name__}, expected a number")
            if not math.isfinite(value):
                raise ValueError(f"camera_intrinsics.{name}: got {value}, expected a finite number")
            if name in ("fx", "fy") and value <= 0:
                raise ValueError(f"camera_intrinsics.{name}: got {value}, expected more than 0")

    def as_tuple(self) -> tuple[float, float, float, float]:
        """``(fx, fy, cx, cy)``."""
        return (self.fx, self.fy, self.cx, self.cy)

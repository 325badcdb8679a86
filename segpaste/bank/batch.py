"""A batch of crops, staged for one step of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import torch

_SHAPES: dict[str, tuple[torch.dtype, str]] = {
    "crops": (torch.int32, "[B, K, 5, h, w]"),
    "depth": (torch.float32, "[B, K, 1, h, w]"),
    "depth_valid": (torch.bool, "[B, K, 1, h, w]"),
    "normals": (torch.float32, "[B, K, 3, h, w]"),
    "camera_intrinsics": (torch.float64, "[B, K, 4]"),
    "carries_depth": (torch.bool, "[B, K]"),
    "carries_normals": (torch.bool, "[B, K]"),
}
_PAIRS = (("depth", "depth_valid"), ("depth", "carries_depth"), ("normals", "carries_normals"))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BankBatch:
    """``K`` crops for each of ``B`` targets, one of which is pasted.

    Attributes:
        crops: ``[B, K, 5, h, w]`` int32: red, green, blue 0..255, alpha 0 or 1, and the class
            id on every pixel.
        depth: ``[B, K, 1, h, w]`` float32.
        depth_valid: ``[B, K, 1, h, w]`` bool; present iff ``depth`` is.
        normals: ``[B, K, 3, h, w]`` float32.
        camera_intrinsics: ``[B, K, 4]`` float64, (fx, fy, cx, cy) of each crop; zero where it
            has none.
        carries_depth: ``[B, K]`` bool, which crops carry depth; present iff ``depth`` is.
        carries_normals: ``[B, K]`` bool; present iff ``normals`` is.
        metric_depth: whether ``depth`` is metric; requires ``camera_intrinsics``.

    Raises:
        TypeError: on a field of another type or dtype.
        ValueError: on a field of another shape or device, and on fields that need each other.
            Values are checked by :meth:`validate` only.
    """

    crops: torch.Tensor
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None
    camera_intrinsics: torch.Tensor | None = None
    carries_depth: torch.Tensor | None = None
    carries_normals: torch.Tensor | None = None
    metric_depth: bool = False

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        if not isinstance(self.crops, torch.Tensor):
            raise TypeError(f"crops: got {type(self.crops).__name__}, expected a torch.Tensor")
        if self.crops.ndim != 5 or self.crops.shape[2] != 5:
            raise ValueError(f"crops: got shape {list(self.crops.shape)}, expected [B, K, 5, h, w]")
        for name, value in self.tensors().items():
            self._check_field(name, value)
        for one, other in _PAIRS:
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{other}: expected with {one}, and only with it")
        if self.metric_depth and (self.depth is None or self.camera_intrinsics is None):
            raise ValueError("metric_depth: got True, expected depth and camera_intrinsics beside it")

    @property
    def batch_size(self) -> int:
        """B."""
        return self.crops.shape[0]

    @property
    def candidates_per_target(self) -> int:
        """K, the number of crops to choose from."""
        return self.crops.shape[1]

    @property
    def crop_size(self) -> tuple[int, int]:
        """``(h, w)``."""
        return self.crops.shape[3], self.crops.shape[4]

    def tensors(self) -> dict[str, torch.Tensor]:
        """The fields that are present, by name."""
        present = {name: getattr(self, name) for name in _SHAPES}
        return {name: value for name, value in present.items() if value is not None}

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same batch on another device."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(lambda t: t.pin_memory())

    def validate(self) -> None:
        """Check the values, as those of a sample are; depth and normals of the crops that carry them.

        Raises:
            ValueError: naming the field, the first crop that is wrong as (target, crop), what
                was got and what is expected.
        """
        crops = self.crops
        rgb, alpha, label = crops[:, :, :3], crops[:, :, 3], crops[:, :, 4]
        wrong = (
            (((rgb < 0) | (rgb > 255)).flatten(2).any(2), "a colour beyond 0..255", "RGB as bytes"),
            (((alpha < 0) | (alpha > 1)).flatten(2).any(2), "an alpha other than 0 and 1", "a mask"),
            ((label < 0).flatten(2).any(2), "a negative class id", "0 or more"),
            (
                (label != label[..., :1, :1]).flatten(2).any(2),
                "several class ids",
                "one class id on every pixel of a crop",
            ),
        )
        for found, got, expected in wrong:
            if bool(found.any()):
                at = tuple(found.nonzero()[0].tolist())
                raise ValueError(f"crops: crop {at}: got {got}, expected {expected}")
        if self.depth is not None and self.depth_valid is not None:
            bad = self.depth_valid & ~(torch.isfinite(self.depth) & (self.depth > 0))
            bad = _where(bad, self.carries_depth)
            if bool(bad.any()):
                at = tuple(bad.nonzero()[0, :2].tolist())
                raise ValueError(f"depth: crop {at}: got a value that is not finite and positive")
        if self.normals is not None:
            bad = _where(~(self.normals.abs() <= 1), self.carries_normals)
            if bool(bad.any()):
                at = tuple(bad.nonzero()[0, :2].tolist())
                raise ValueError(f"normals: crop {at}: got a component beyond 1, expected unit vectors or 0")
        if self.camera_intrinsics is not None:
            cameras = self.camera_intrinsics
            bad = ~cameras.isfinite().all(dim=2) | (cameras[:, :, :2] < 0).any(dim=2)
            if bool(bad.any()):
                at = tuple(bad.nonzero()[0].tolist())
                raise ValueError(
                    f"camera_intrinsics: crop {at}: got {cameras[at].tolist()}, expected finite "
                    "fx, fy, cx, cy with positive focal lengths, or zeros for none"
                )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis and IPython show it: as ``repr`` does, not field by field."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        h, w = self.crop_size
        depth = "metric depth" if self.metric_depth else "depth"
        beside = {"depth": depth, "normals": "normals", "camera_intrinsics": "camera_intrinsics"}
        names = "".join(f", {said}" for name, said in beside.items() if getattr(self, name) is not None)
        return f"BankBatch(B={self.batch_size}, K={self.candidates_per_target}, {h}x{w}{names})"

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                values[name] = function(value)
        return type(self)(**values)

    def _check_field(self, name: str, value: torch.Tensor) -> None:
        dtype, shape = _SHAPES[name]
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name}: got {type(value).__name__}, expected a torch.Tensor")
        if value.dtype != dtype:
            raise TypeError(f"{name}: got dtype {value.dtype}, expected {dtype}")
        batch, crops, _, h, w = self.crops.shape
        sizes = {"B": batch, "K": crops, "h": h, "w": w}
        expected = [sizes.get(s) if s in sizes else int(s) for s in shape.strip("[]").split(", ")]
        if list(value.shape) != expected:
            raise ValueError(f"{name}: got shape {list(value.shape)}, expected {shape} = {expected}")
        if value.device != self.crops.device:
            raise ValueError(
                f"{name}: got device {value.device}, expected that of crops, {self.crops.device}"
            )


def _where(bad: torch.Tensor, carries: torch.Tensor | None) -> torch.Tensor:
    """Pixels ``[B, K, C, h, w]`` of crops that carry them; of the others nobody looks at what lies there."""
    return bad if carries is None else bad & carries[:, :, None, None, None]

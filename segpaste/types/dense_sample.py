"""One image with whatever dense labels it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import torch
from torchvision import tv_tensors

from segpaste.types.camera import CameraIntrinsics
from segpaste.types.modality import Modality, modalities_of, modality_set_name
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap, map_tensor
from segpaste.types.validation import (
    IMAGE_DTYPES,
    check_both_or_none,
    check_field,
    check_sample_values,
)


def _no_boxes() -> tv_tensors.BoundingBoxes:
    return xyxy(torch.zeros((0, 4), dtype=torch.float32, device="cpu"), (0, 0))


def _no_labels() -> torch.Tensor:
    return torch.zeros(0, dtype=torch.int64, device="cpu")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DenseSample:
    """One image ``[C, H, W]`` and its labels; x right, y down.

    A field is ``None`` when its modality is absent. ``boxes`` and ``labels`` are always
    there, empty when the sample has no rows.

    Attributes:
        image: ``[C, H, W]`` uint8 or float32.
        boxes: ``[N, 4]`` float32 XYXY in pixels, half open: the one-pixel mask at
            (x, y) has the box [x, y, x + 1, y + 1].
        labels: ``[N]`` int64 class ids.
        instance_ids: ``[N]`` int32, unique; present iff ``instance_masks`` is. 1 or
            more beside a panoptic map, else 0 or more.
        instance_masks: ``[N, H, W]`` bool.
        semantic_map: ``[H, W]`` int64 class ids; 255, or the schema's, is *ignore*.
        panoptic_map: ``[H, W]`` int64 instance ids; 0 is stuff or void.
        depth: ``[1, H, W]`` float32 along the optical axis, metres if ``metric_depth``.
        depth_valid: ``[1, H, W]`` bool; present iff ``depth`` is.
        normals: ``[3, H, W]`` float32 unit vectors, right-down-forward camera frame
            (n_z < 0 on visible surfaces); the zero vector means *no normal*.
        padding_mask: ``[1, H, W]`` bool, true on padding; what is valid is a rectangle
            at the top left.
        camera_intrinsics: pinhole intrinsics in pixels.
        metric_depth: whether ``depth`` is metric; requires ``camera_intrinsics``.

    Raises:
        TypeError: on a field of another type or dtype.
        ValueError: on a field of another shape or device, on fields that need each
            other, and, on the CPU, on values no well-formed sample has.
    """

    image: tv_tensors.Image
    boxes: tv_tensors.BoundingBoxes = field(default_factory=_no_boxes)
    labels: torch.Tensor = field(default_factory=_no_labels)
    instance_ids: torch.Tensor | None = None
    instance_masks: InstanceMask | None = None
    semantic_map: SemanticMap | None = None
    panoptic_map: PanopticMap | None = None
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None
    padding_mask: PaddingMask | None = None
    camera_intrinsics: CameraIntrinsics | None = None
    metric_depth: bool = False

    def __init_subclass__(cls) -> None:
        """A subclass goes through torchvision's transforms as a whole, too."""
        from segpaste.types.leaves import register_node  # it knows this class

        register_node(cls)

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        self._wrap()
        self._check_structure()
        if self.image.device.type == "cpu":
            self.validate()

    @classmethod
    def unchecked(cls, **fields_: Any) -> Self:
        """A sample whose *values* are not checked; types, dtypes and shapes are.

        For tools that must be able to hold what a broken augmentation produced, so
        that the laws can say what is wrong with it.
        """
        sample = object.__new__(cls)
        for f in fields(cls):
            if f.name in fields_:
                value = fields_[f.name]
            elif callable(f.default_factory):
                value = f.default_factory()
            elif f.name == "image":
                raise TypeError("image: missing, expected a tensor [C, H, W]")
            else:
                value = f.default
            object.__setattr__(sample, f.name, value)
        unknown = sorted(set(fields_) - {f.name for f in fields(cls)})
        if unknown:
            raise TypeError(f"DenseSample: got unknown fields {unknown}")
        sample._wrap()
        sample._check_structure()
        return sample

    def validate(self) -> None:
        """Check the values too; done on construction on the CPU.

        Raises:
            ValueError: on values no well-formed sample has (design, 4.11).
        """
        check_sample_values(
            image=self.image,
            boxes=self.boxes,
            labels=self.labels,
            instance_ids=self.instance_ids,
            instance_masks=self.instance_masks,
            panoptic_map=self.panoptic_map,
            semantic_map=self.semantic_map,
            depth=self.depth,
            depth_valid=self.depth_valid,
            normals=self.normals,
            padding_mask=self.padding_mask,
        )

    @property
    def canvas_size(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.image.shape[-2], self.image.shape[-1]

    def __len__(self) -> int:
        """Number of rows N."""
        return self.labels.shape[0]

    def active_modalities(self) -> frozenset[Modality]:
        """The modalities present; ``IMAGE`` always is."""
        return modalities_of(
            self.instance_masks, self.semantic_map, self.panoptic_map, self.depth, self.normals
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields that are not ``None``; :meth:`from_dict` reads them back, equal."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: on an unknown key, or what the constructor refuses.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"from_dict: got unknown keys {unknown}")
        if "image" not in values:
            raise ValueError(f"from_dict: got keys {sorted(values)}, expected image among them")
        return cls(**values)

    def to(self, device: torch.device | str) -> Self:
        """The same sample on another device."""
        return self._map(lambda t: t.to(device))

    def pin_memory(self) -> Self:
        """The same sample in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        values = self.to_dict()
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                values[name] = map_tensor(function, value)
        return type(self).unchecked(**values)

    def _wrap(self) -> None:
        """Give plain tensors their tv_tensor type, so that users need not.

        On the device they are on: torchvision would move them to the default device.
        """
        image, boxes, labels = self.image, self.boxes, self.labels
        if not isinstance(image, torch.Tensor):
            return
        if not isinstance(image, tv_tensors.Image):
            object.__setattr__(self, "image", tv_tensors.Image(image, device=image.device))
        size = (image.shape[-2], image.shape[-1]) if image.ndim >= 2 else (0, 0)
        if isinstance(boxes, torch.Tensor):
            # No rows: nothing in them can be stale, so they go wherever the image is.
            empty = boxes.numel() == 0
            if not isinstance(boxes, tv_tensors.BoundingBoxes) or (empty and boxes.canvas_size != size):
                plain = boxes.as_subclass(torch.Tensor)
                object.__setattr__(self, "boxes", xyxy(plain.to(image.device) if empty else plain, size))
        if isinstance(labels, torch.Tensor) and labels.numel() == 0 and labels.device != image.device:
            object.__setattr__(self, "labels", labels.to(image.device))
        for name, kind in (
            ("instance_masks", InstanceMask),
            ("semantic_map", SemanticMap),
            ("panoptic_map", PanopticMap),
            ("padding_mask", PaddingMask),
        ):
            value = getattr(self, name)
            if isinstance(value, torch.Tensor) and not isinstance(value, kind):
                object.__setattr__(self, name, kind(value.as_subclass(torch.Tensor), device=value.device))

    def _check_structure(self) -> None:
        check_field("image", self.image, ("C", "H", "W"), IMAGE_DTYPES)
        device = self.image.device
        height, width = self.canvas_size
        if min(self.image.shape) < 1:
            raise ValueError(f"image: got shape {list(self.image.shape)}, expected no empty dimension")
        check_field("labels", self.labels, ("N",), torch.int64, device)
        rows = self.labels.shape[0]
        check_field("boxes", self.boxes, (rows, 4), torch.float32, device)
        if self.boxes.format is not tv_tensors.BoundingBoxFormat.XYXY:
            raise ValueError(f"boxes: got format {self.boxes.format}, expected XYXY")
        if tuple(self.boxes.canvas_size) != (height, width):
            raise ValueError(
                f"boxes: got canvas_size {tuple(self.boxes.canvas_size)}, expected {(height, width)}"
            )
        check_both_or_none("instance_ids", self.instance_ids, "instance_masks", self.instance_masks)
        check_both_or_none("depth", self.depth, "depth_valid", self.depth_valid)
        optional: tuple[tuple[str, tuple[int | str, ...], torch.dtype], ...] = (
            ("instance_ids", (rows,), torch.int32),
            ("instance_masks", (rows, height, width), torch.bool),
            ("semantic_map", (height, width), torch.int64),
            ("panoptic_map", (height, width), torch.int64),
            ("depth", (1, height, width), torch.float32),
            ("depth_valid", (1, height, width), torch.bool),
            ("normals", (3, height, width), torch.float32),
            ("padding_mask", (1, height, width), torch.bool),
        )
        for name, shape, dtype in optional:
            value = getattr(self, name)
            if value is not None:
                check_field(name, value, shape, dtype, device)
        check_modalities(self.instance_masks, self.semantic_map, self.panoptic_map)
        if not isinstance(self.camera_intrinsics, CameraIntrinsics | None):
            raise TypeError(
                f"camera_intrinsics: got {type(self.camera_intrinsics).__name__}, expected CameraIntrinsics"
            )
        check_metric(self.metric_depth, self.depth, self.camera_intrinsics)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis and IPython show it: as ``repr`` does, not field by field."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        height, width = self.canvas_size
        parts = [
            f"{modality_set_name(self.active_modalities())}",
            f"{self.image.shape[0]}x{height}x{width} {str(self.image.dtype).removeprefix('torch.')}",
            f"{len(self)} rows",
        ]
        if 0 < len(self) <= 8:
            parts.append(f"labels {self.labels.tolist()}")
            if self.instance_ids is not None:
                parts.append(f"ids {self.instance_ids.tolist()}")
        if self.padding_mask is not None:
            parts.append(f"{int(self.padding_mask.sum())} padded pixels")
        if self.metric_depth:
            parts.append("metric")
        return f"DenseSample({', '.join(parts)})"


def xyxy(boxes: torch.Tensor, canvas_size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    """Wrap ``[N, 4]`` float32 half-open XYXY boxes for a canvas ``(H, W)``."""
    return tv_tensors.BoundingBoxes(
        boxes,
        format=tv_tensors.BoundingBoxFormat.XYXY,  # pyright: ignore[reportCallIssue]
        canvas_size=canvas_size,
        device=boxes.device,  # not the default device
    )


def check_modalities(instance_masks: object, semantic: object, panoptic: object) -> None:
    """Refuse a panoptic map without what gives its ids a class and a row."""
    if panoptic is not None and (instance_masks is None or semantic is None):
        missing = "instance_masks" if instance_masks is None else "semantic_map"
        raise ValueError(f"{missing}: got None beside panoptic_map, expected it to be present")


def check_metric(metric_depth: object, depth: object, intrinsics: object) -> None:
    """Refuse metric depth without depth or without a camera."""
    if not isinstance(metric_depth, bool):
        raise TypeError(f"metric_depth: got {type(metric_depth).__name__}, expected bool")
    if metric_depth and depth is None:
        raise ValueError("metric_depth: got True without depth, expected depth and depth_valid")
    if metric_depth and intrinsics is None:
        raise ValueError("metric_depth: got True without camera_intrinsics, expected both")

"""A batch without ragged fields: what executors work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torchvision import tv_tensors

from segpaste.types.dense_sample import check_metric, check_modalities
from segpaste.types.modality import Modality, modalities_of, modality_set_name
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap, plain
from segpaste.types.validation import (
    IMAGE_DTYPES,
    check_both_or_none,
    check_field,
    check_sample_values,
)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PaddedBatchedDenseSample:
    """``B`` samples of one canvas, each with ``K`` row slots; every field leads with B.

    A slot is used iff ``instance_valid``; unused slots are zero in every field and may
    stand anywhere. Units, frames and conventions are those of :class:`DenseSample`.

    Attributes:
        images: ``[B, C, H, W]`` uint8 or float32.
        boxes: ``[B, K, 4]`` float32 XYXY, half open.
        labels: ``[B, K]`` int64.
        instance_valid: ``[B, K]`` bool.
        instance_ids: ``[B, K]`` int32; present iff ``instance_masks`` is.
        instance_masks: ``[B, K, H, W]`` bool.
        semantic_maps: ``[B, H, W]`` int64.
        panoptic_maps: ``[B, H, W]`` int64.
        depth: ``[B, 1, H, W]`` float32.
        depth_valid: ``[B, 1, H, W]`` bool; present iff ``depth`` is.
        normals: ``[B, 3, H, W]`` float32.
        padding_mask: ``[B, 1, H, W]`` bool.
        camera_intrinsics: ``[B, 4]`` float64, (fx, fy, cx, cy).
        metric_depth: whether ``depth`` is metric, for the whole batch.

    Raises:
        TypeError, ValueError: as :class:`DenseSample`. Values are checked only by
            :meth:`validate`.
    """

    images: tv_tensors.Image
    boxes: torch.Tensor
    labels: torch.Tensor
    instance_valid: torch.Tensor
    instance_ids: torch.Tensor | None = None
    instance_masks: InstanceMask | None = None
    semantic_maps: SemanticMap | None = None
    panoptic_maps: PanopticMap | None = None
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None
    padding_mask: PaddingMask | None = None
    camera_intrinsics: torch.Tensor | None = None
    metric_depth: bool = False

    def __init_subclass__(cls) -> None:
        """A batch of a subclass is refused by torchvision's transforms, too."""
        from segpaste.types.batch_leaves import register_batch  # it knows this class

        register_batch(cls)

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        self._check_structure()  # before fields are wrapped: what a tv_tensor is asked takes it longer
        for name, kind in _WRAPPERS.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                # Not ``kind(value)``, which would move it to the default device.
                object.__setattr__(self, name, plain(value).as_subclass(kind))

    @property
    def batch_size(self) -> int:
        """B."""
        return self.labels.shape[0]

    @property
    def max_instances(self) -> int:
        """K, the number of row slots of each sample."""
        return self.labels.shape[1]

    @property
    def canvas_size(self) -> tuple[int, int]:
        """``(H, W)``."""
        shape = plain(self.images).shape
        return shape[-2], shape[-1]

    def active_modalities(self) -> frozenset[Modality]:
        """The modalities present; ``IMAGE`` always is."""
        return modalities_of(
            self.instance_masks, self.semantic_maps, self.panoptic_maps, self.depth, self.normals
        )

    def select(self, index: int) -> Self:
        """Sample ``index`` alone, with B = 1 and the same K; a view."""
        return self.gather(slice(index, index + 1))

    def gather(self, index: slice | torch.Tensor) -> Self:
        """The samples ``index``, along the batch dimension."""
        return self._map(lambda t: t[index])

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return self._map(lambda t: t.to(device))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory."""
        return self._map(lambda t: t.pin_memory())

    def tensors(self) -> dict[str, torch.Tensor]:
        """The fields that are present, as plain tensors by name."""
        present = {name: value for name in _TENSORS if (value := getattr(self, name)) is not None}
        for name in _WRAPPERS:
            if name in present:
                present[name] = plain(present[name])
        return present

    def validate(self) -> None:
        """Check the values of every sample and that unused slots are zero.

        Raises:
            ValueError: naming the sample and the field.
        """
        for index in range(self.batch_size):
            valid = self.instance_valid[index]
            for name in ("boxes", "labels", "instance_ids", "instance_masks"):
                value = getattr(self, name)
                if value is not None and bool((value[index][~valid] != 0).any()):
                    raise ValueError(f"sample {index}: {name}: got values in unused slots, expected 0")
            try:
                check_sample_values(
                    image=self.images[index],
                    boxes=self.boxes[index][valid],
                    labels=self.labels[index][valid],
                    instance_ids=None if self.instance_ids is None else self.instance_ids[index][valid],
                    instance_masks=None if self.instance_masks is None else self.instance_masks[index][valid],
                    panoptic_map=_at(self.panoptic_maps, index),
                    semantic_map=_at(self.semantic_maps, index),
                    depth=_at(self.depth, index),
                    depth_valid=_at(self.depth_valid, index),
                    normals=_at(self.normals, index),
                    padding_mask=_at(self.padding_mask, index),
                )
            except ValueError as error:
                raise ValueError(f"sample {index}: {error}") from None

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        changed: dict[str, Any] = {name: function(value) for name, value in self.tensors().items()}
        return type(self)(**changed, metric_depth=self.metric_depth)

    def _check_structure(self) -> None:
        check_field("images", self.images, ("B", "C", "H", "W"), IMAGE_DTYPES)
        batch, _, height, width = self.images.shape
        device = self.images.device
        check_field("labels", self.labels, (batch, "K"), torch.int64, device)
        slots = self.labels.shape[1]
        check_field("boxes", self.boxes, (batch, slots, 4), torch.float32, device)
        check_field("instance_valid", self.instance_valid, (batch, slots), torch.bool, device)
        check_both_or_none("instance_ids", self.instance_ids, "instance_masks", self.instance_masks)
        check_both_or_none("depth", self.depth, "depth_valid", self.depth_valid)
        optional: tuple[tuple[str, tuple[int | str, ...], torch.dtype], ...] = (
            ("instance_ids", (batch, slots), torch.int32),
            ("instance_masks", (batch, slots, height, width), torch.bool),
            ("semantic_maps", (batch, height, width), torch.int64),
            ("panoptic_maps", (batch, height, width), torch.int64),
            ("depth", (batch, 1, height, width), torch.float32),
            ("depth_valid", (batch, 1, height, width), torch.bool),
            ("normals", (batch, 3, height, width), torch.float32),
            ("padding_mask", (batch, 1, height, width), torch.bool),
            ("camera_intrinsics", (batch, 4), torch.float64),
        )
        for name, shape, dtype in optional:
            value = getattr(self, name)
            if value is not None:
                check_field(name, value, shape, dtype, device)
        check_modalities(self.instance_masks, self.semantic_maps, self.panoptic_maps)
        check_metric(self.metric_depth, self.depth, self.camera_intrinsics)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis and IPython show it: as ``repr`` does, not field by field."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        height, width = self.canvas_size
        return (
            f"PaddedBatchedDenseSample({modality_set_name(self.active_modalities())}, "
            f"B={self.batch_size}, K={self.max_instances}, {self.images.shape[1]}x{height}x{width} "
            f"{str(self.images.dtype).removeprefix('torch.')})"
        )


_WRAPPERS = {
    "images": tv_tensors.Image,
    "instance_masks": InstanceMask,
    "semantic_maps": SemanticMap,
    "panoptic_maps": PanopticMap,
    "padding_mask": PaddingMask,
}

_TENSORS = tuple(f.name for f in fields(PaddedBatchedDenseSample) if f.name != "metric_depth")


def _at(value: torch.Tensor | None, index: int) -> torch.Tensor | None:
    return None if value is None else value[index]

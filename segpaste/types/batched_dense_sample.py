"""A batch with ragged rows: what a collator returns (ADR-0004)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torchvision import tv_tensors

from segpaste.types.camera import CameraIntrinsics
from segpaste.types.dense_sample import DenseSample, check_metric, check_modalities, xyxy
from segpaste.types.modality import Modality, modalities_of, modality_set_name
from segpaste.types.padded_batched_dense_sample import PaddedBatchedDenseSample
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap, map_tensor
from segpaste.types.validation import IMAGE_DTYPES, check_both_or_none, check_field

# DenseSample's name of a stacked field -> the batch's name.
_STACKED = {
    "image": "images",
    "semantic_map": "semantic_maps",
    "panoptic_map": "panoptic_maps",
    "depth": "depth",
    "depth_valid": "depth_valid",
    "normals": "normals",
    "padding_mask": "padding_mask",
}
_RAGGED = ("boxes", "labels", "instance_masks", "instance_ids", "camera_intrinsics")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BatchedDenseSample:
    """``B`` samples of one canvas; maps stacked, rows ragged. B = 0 is valid.

    Attributes:
        images: ``[B, C, H, W]`` uint8 or float32.
        boxes: B entries ``[N_i, 4]`` float32 XYXY, half open.
        labels: B entries ``[N_i]`` int64.
        instance_masks: B entries ``[N_i, H, W]`` bool; present iff ``instance_ids`` is.
        instance_ids: B entries ``[N_i]`` int32.
        semantic_maps: ``[B, H, W]`` int64.
        panoptic_maps: ``[B, H, W]`` int64.
        depth: ``[B, 1, H, W]`` float32.
        depth_valid: ``[B, 1, H, W]`` bool.
        normals: ``[B, 3, H, W]`` float32.
        padding_mask: ``[B, 1, H, W]`` bool.
        camera_intrinsics: B entries.
        metric_depth: whether ``depth`` is metric, for the whole batch.

    Raises:
        TypeError, ValueError: on fields of another type, dtype, length or shape.
    """

    images: tv_tensors.Image
    boxes: list[tv_tensors.BoundingBoxes]
    labels: list[torch.Tensor]
    instance_masks: list[InstanceMask] | None = None
    instance_ids: list[torch.Tensor] | None = None
    semantic_maps: SemanticMap | None = None
    panoptic_maps: PanopticMap | None = None
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None
    padding_mask: PaddingMask | None = None
    camera_intrinsics: list[CameraIntrinsics] | None = None
    metric_depth: bool = False

    def __init_subclass__(cls) -> None:
        """A batch of a subclass is refused by torchvision's transforms, too."""
        from segpaste.types.batch_leaves import register_batch  # it knows this class

        register_batch(cls)

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        self._check_structure()

    @classmethod
    def from_samples(cls, samples: Sequence[DenseSample]) -> Self:
        """Stack samples of one canvas, one set of modalities and one image dtype.

        Padding is the one field that may differ: a sample without a padding mask
        beside others with one has none of it.

        Raises:
            TypeError: on no list, and naming the first entry that is no sample.
            ValueError: naming the first sample that differs from sample 0, and how.
        """
        if not isinstance(samples, Sequence) or isinstance(samples, str):
            raise TypeError(f"samples: got {type(samples).__name__}, expected a list of DenseSample")
        for index, sample in enumerate(samples):
            if not isinstance(sample, DenseSample):
                raise TypeError(f"samples[{index}]: got {type(sample).__name__}, expected a DenseSample")
        if not samples:
            return cls(
                images=tv_tensors.Image(
                    torch.zeros((0, 3, 0, 0), dtype=torch.uint8, device="cpu"), device="cpu"
                ),
                boxes=[],
                labels=[],
            )
        first = samples[0]
        for index, sample in enumerate(samples):
            _check_alike(index, sample, first)
        values: dict[str, Any] = {"metric_depth": first.metric_depth}
        padded = any(s.padding_mask is not None for s in samples)
        for name, batch_name in _STACKED.items():
            column = [getattr(s, name) for s in samples]
            if name == "padding_mask" and padded:
                column = [_no_padding(s) if p is None else p for s, p in zip(samples, column, strict=True)]
            if column[0] is not None:
                plain = [c.as_subclass(torch.Tensor) for c in column]
                values[batch_name] = map_tensor(lambda _, plain=plain: torch.stack(plain), column[0])
        for name in _RAGGED:
            column = [getattr(s, name) for s in samples]
            if column[0] is not None:
                values[name] = column
        return cls(**values)

    def to_samples(self) -> list[DenseSample]:
        """The samples, one by one; the inverse of :meth:`from_samples`."""
        samples: list[DenseSample] = []
        for index in range(self.batch_size):
            values: dict[str, Any] = {"metric_depth": self.metric_depth}
            for name, batch_name in _STACKED.items():
                stacked = getattr(self, batch_name)
                if stacked is not None:
                    values[name] = stacked.as_subclass(torch.Tensor)[index]
            for name in _RAGGED:
                column = getattr(self, name)
                if column is not None:
                    values[name] = column[index]
            samples.append(DenseSample.unchecked(**values))
        return samples

    def to_padded(self, max_instances: int) -> PaddedBatchedDenseSample:
        """Give every sample ``max_instances`` row slots; row n goes into slot n.

        Raises:
            ValueError: if a sample has more rows, naming it.
        """
        if max_instances < 0:
            raise ValueError(f"max_instances: got {max_instances}, expected 0 or more")
        counts = [len(label) for label in self.labels]
        for index, count in enumerate(counts):
            if count > max_instances:
                raise ValueError(
                    f"sample {index}: got {count} rows, expected at most max_instances = {max_instances}"
                )
        height, width = self.images.shape[-2:]
        slots = torch.arange(max_instances, device=self.images.device)
        valid = slots[None, :] < torch.tensor(counts, device=slots.device, dtype=torch.int64)[:, None]
        values: dict[str, Any] = {
            "boxes": self._pad(self.boxes, max_instances, (4,), torch.float32),
            "labels": self._pad(self.labels, max_instances, (), torch.int64),
            "instance_valid": valid.reshape(self.batch_size, max_instances),
        }
        if self.instance_masks is not None:
            values["instance_masks"] = self._pad(
                self.instance_masks, max_instances, (height, width), torch.bool
            )
            values["instance_ids"] = self._pad(self.instance_ids or [], max_instances, (), torch.int32)
        if self.camera_intrinsics is not None:
            rows = [c.as_tuple() for c in self.camera_intrinsics]
            values["camera_intrinsics"] = torch.tensor(
                rows, dtype=torch.float64, device=self.images.device
            ).reshape(len(rows), 4)
        for name in _STACKED.values():
            values[name] = getattr(self, name)
        return PaddedBatchedDenseSample(**values, metric_depth=self.metric_depth)

    @classmethod
    def from_padded(cls, padded: PaddedBatchedDenseSample) -> Self:
        """Keep the used slots, in order; unused ones between them close up."""
        height, width = padded.canvas_size
        values: dict[str, Any] = {"metric_depth": padded.metric_depth}
        tensors = padded.tensors()
        for name in _STACKED.values():
            values[name] = getattr(padded, name)
        used = [padded.instance_valid[index] for index in range(padded.batch_size)]
        values["boxes"] = [xyxy(b[u], (height, width)) for b, u in zip(tensors["boxes"], used, strict=True)]
        values["labels"] = [v[u] for v, u in zip(tensors["labels"], used, strict=True)]
        if "instance_masks" in tensors:
            masks, ids = tensors["instance_masks"], tensors["instance_ids"]
            values["instance_masks"] = [
                InstanceMask(m[u], device=m.device) for m, u in zip(masks, used, strict=True)
            ]
            values["instance_ids"] = [i[u] for i, u in zip(ids, used, strict=True)]
        if "camera_intrinsics" in tensors:
            values["camera_intrinsics"] = [
                CameraIntrinsics(*row) for row in tensors["camera_intrinsics"].tolist()
            ]
        return cls(**values)

    @property
    def batch_size(self) -> int:
        """B."""
        return self.images.shape[0]

    @property
    def canvas_size(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.images.shape[-2], self.images.shape[-1]

    def active_modalities(self) -> frozenset[Modality]:
        """The modalities present; ``IMAGE`` always is."""
        return modalities_of(
            self.instance_masks, self.semantic_maps, self.panoptic_maps, self.depth, self.normals
        )

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return self._map(lambda t: t.to(device))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        def one(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return map_tensor(function, value)
            return [one(v) for v in value] if isinstance(value, list) else value

        return type(self)(**{f.name: one(getattr(self, f.name)) for f in fields(self)})

    def _pad(
        self, rows: Sequence[torch.Tensor], slots: int, tail: tuple[int, ...], dtype: torch.dtype
    ) -> torch.Tensor:
        out = torch.zeros((self.batch_size, slots, *tail), dtype=dtype, device=self.images.device)
        for index, row in enumerate(rows):
            out[index, : row.shape[0]] = row.as_subclass(torch.Tensor)
        return out

    def _check_structure(self) -> None:
        check_field("images", self.images, ("B", "C", "H", "W"), IMAGE_DTYPES)
        batch, _, height, width = self.images.shape
        device = self.images.device
        for name in _RAGGED:
            column = getattr(self, name)
            if column is not None and len(column) != batch:
                raise ValueError(f"{name}: got {len(column)} entries, expected B = {batch}")
        check_both_or_none("instance_ids", self.instance_ids, "instance_masks", self.instance_masks)
        check_both_or_none("depth", self.depth, "depth_valid", self.depth_valid)
        for index in range(batch):
            rows = self.labels[index].shape[0]
            check_field(f"labels[{index}]", self.labels[index], ("N",), torch.int64, device)
            check_field(f"boxes[{index}]", self.boxes[index], (rows, 4), torch.float32, device)
            if self.instance_masks is not None and self.instance_ids is not None:
                check_field(
                    f"instance_masks[{index}]",
                    self.instance_masks[index],
                    (rows, height, width),
                    torch.bool,
                    device,
                )
                check_field(f"instance_ids[{index}]", self.instance_ids[index], (rows,), torch.int32, device)
        optional: tuple[tuple[str, tuple[int | str, ...], torch.dtype], ...] = (
            ("semantic_maps", (batch, height, width), torch.int64),
            ("panoptic_maps", (batch, height, width), torch.int64),
            ("depth", (batch, 1, height, width), torch.float32),
            ("depth_valid", (batch, 1, height, width), torch.bool),
            ("normals", (batch, 3, height, width), torch.float32),
            ("padding_mask", (batch, 1, height, width), torch.bool),
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
            f"BatchedDenseSample({modality_set_name(self.active_modalities())}, B={self.batch_size}, "
            f"rows {[len(label) for label in self.labels]}, {self.images.shape[1]}x{height}x{width})"
        )


def _check_alike(index: int, sample: DenseSample, first: DenseSample) -> None:
    traits: tuple[tuple[str, Callable[[DenseSample], object]], ...] = (
        ("(H, W)", lambda s: s.canvas_size),
        ("active modalities", lambda s: modality_set_name(s.active_modalities())),
        ("channels", lambda s: s.image.shape[0]),
        ("image dtype", lambda s: s.image.dtype),
        ("device", lambda s: s.image.device),
        ("metric_depth", lambda s: s.metric_depth),
        ("camera_intrinsics present", lambda s: s.camera_intrinsics is not None),
    )
    for what, trait in traits:
        if trait(sample) != trait(first):
            raise ValueError(
                f"sample {index}: got {what} {trait(sample)}, expected {trait(first)} as in sample 0"
            )


def _no_padding(sample: DenseSample) -> PaddingMask:
    return PaddingMask.from_tensor(
        torch.zeros((1, *sample.canvas_size), dtype=torch.bool, device=sample.image.device)
    )

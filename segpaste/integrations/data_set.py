"""A set of samples that a paste can work on: one canvas, one set of modalities.

Values are checked where a record is read. What is made here from checked samples is not
checked again, since that takes longer than the making.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn.functional import pad

from segpaste.integrations.errors import DataError
from segpaste.integrations.records import Records, room_for_rows
from segpaste.types import CameraIntrinsics, DenseSample, Modality, PanopticSchemaSpec, xyxy
from segpaste.types.validation import valid_rectangle

# What a map holds on padding; the semantic map's value is the schema's ignore index.
_ON_PADDING = {"image": 0, "instance_masks": False, "panoptic_map": 0, "depth": 0.0, "normals": 0.0}
_MAPS = (*_ON_PADDING, "depth_valid", "semantic_map")


@dataclass(frozen=True, slots=True)
class DataSet:
    """Samples of one canvas, one set of modalities and one image dtype.

    Attributes:
        name: what the set is called in reports.
        samples: smaller images stand at the top left, the rest is marked by a padding
            mask. A set of one image has a second sample, the same image mirrored, so
            that there is something to paste from.
        names: one per sample: the image's file name, ``... (mirrored)`` for a mirrored one.
        schema: the class table.
        skipped: one message per bad record that was left out.
        notes: what else the reader decided, such as ``4 crowd regions made void``.
        class_names: class id -> name, as far as the data name their classes.
    """

    name: str
    samples: tuple[DenseSample, ...]
    names: tuple[str, ...]
    schema: PanopticSchemaSpec | None = None
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_names: Mapping[int, str] = field(default_factory=dict)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """``(H, W)``."""
        return self.samples[0].canvas_size

    @property
    def modalities(self) -> frozenset[Modality]:
        """The modalities that every sample has."""
        return self.samples[0].active_modalities()

    def only(self, modalities: frozenset[Modality]) -> DataSet:
        """The same set with fewer modalities; the image always stays.

        Raises:
            ValueError: if the set lacks one of them.
        """
        missing = modalities - self.modalities
        if missing:
            raise ValueError(f"modalities: got {sorted(m.value for m in missing)}, which {self.name!r} lacks")
        return replace(self, samples=tuple(_only(sample, modalities) for sample in self.samples))


def assemble(name: str, records: Records) -> DataSet:
    """Bring records to one canvas; add the mirrored donor where there is one image only.

    The samples are replaced in ``records``, one by one, so that they are not held twice.

    Raises:
        DataError: if no record is left, or image dtypes or modalities differ.
    """
    samples, names = records.samples, records.names
    if not samples:
        first = f"; the first: {records.skipped[0]}" if records.skipped else ""
        raise DataError(
            f"set {name!r}: no readable image left ({len(records.skipped)} bad records skipped{first})"
        )
    for sample, sample_name in zip(samples, names, strict=True):
        _check_alike(name, sample_name, sample, names[0], samples[0])
    if len(samples) == 1:
        samples.append(mirrored(samples[0]))
        names.append(f"{names[0]} (mirrored)")
    height = max(sample.canvas_size[0] for sample in samples)
    width = max(sample.canvas_size[1] for sample in samples)
    if any(sample.canvas_size != (height, width) for sample in samples):
        ignore = records.schema.ignore_index
        for index, sample in enumerate(samples):
            samples[index] = padded(sample, (height, width), ignore)
    return DataSet(
        name=name,
        samples=tuple(samples),
        names=tuple(names),
        schema=room_for_rows(records.schema, samples),
        skipped=tuple(records.skipped),
        notes=tuple(f"{number} {what}" for what, number in sorted(records.counts.items())),
        class_names=dict(records.class_names),
    )


def padded(sample: DenseSample, canvas_size: tuple[int, int], ignore_index: int = 255) -> DenseSample:
    """The sample at the top left of a canvas ``(H, W)``, with a padding mask.

    On padding: image 0, no mask, semantic ``ignore_index``, panoptic 0, depth invalid,
    no normal. Boxes, ids and intrinsics stay, since the origin does.
    """
    height, width = sample.canvas_size
    right, below = canvas_size[1] - width, canvas_size[0] - height

    def grow(tensor: torch.Tensor, value: float) -> torch.Tensor:
        return pad(tensor, (0, right, 0, below), value=value)

    values = _mapped(sample, lambda name, t: grow(t, _ON_PADDING.get(name, 0)))
    if sample.semantic_map is not None:
        values["semantic_map"] = grow(sample.semantic_map.as_subclass(torch.Tensor), ignore_index)
    padding = torch.ones((1, *canvas_size), dtype=torch.bool, device=sample.image.device)
    before = sample.padding_mask
    padding[:, :height, :width] = False if before is None else before.as_subclass(torch.Tensor)
    values["padding_mask"] = padding
    values["boxes"] = xyxy(sample.boxes.as_subclass(torch.Tensor), canvas_size)
    return DenseSample.unchecked(**values)


def unpadded(sample: DenseSample) -> DenseSample:
    """The valid rectangle of a sample, without a padding mask; the inverse of :func:`padded`.

    The origin stays, and with it boxes, ids and intrinsics. A sample that is padding everywhere
    keeps its canvas: there is none without a pixel.
    """
    if sample.padding_mask is None:
        return sample
    height, width = valid_rectangle(sample.padding_mask.as_subclass(torch.Tensor)[0])
    if height * width == 0:
        height, width = sample.canvas_size
    values = _mapped(sample, lambda _, t: t[..., :height, :width].clone())
    del values["padding_mask"]
    values["boxes"] = xyxy(sample.boxes.as_subclass(torch.Tensor), (height, width))
    return DenseSample.unchecked(**values)


def mirrored(sample: DenseSample) -> DenseSample:
    """The sample seen in a vertical mirror: x becomes W - 1 - x.

    Boxes become [W - x1, y0, W - x0, y1], normals change the sign of x, and the
    principal point becomes W - 1 - cx (pixel centres at integers, as in OpenCV).
    """
    width = sample.canvas_size[1]
    values = _mapped(sample, lambda _, t: t.flip(-1))
    boxes = sample.boxes.as_subclass(torch.Tensor).clone()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    values["boxes"] = xyxy(boxes, sample.canvas_size)
    if sample.normals is not None:
        values["normals"][0] = 0 - values["normals"][0]
    if sample.camera_intrinsics is not None:
        camera = sample.camera_intrinsics
        values["camera_intrinsics"] = CameraIntrinsics(camera.fx, camera.fy, width - 1 - camera.cx, camera.cy)
    return DenseSample.unchecked(**values)


def _mapped(sample: DenseSample, function: Callable[[str, torch.Tensor], torch.Tensor]) -> dict[str, Any]:
    values = sample.to_dict()
    for name in _MAPS:
        if name in values:
            values[name] = function(name, values[name].as_subclass(torch.Tensor))
    return values


def _only(sample: DenseSample, modalities: frozenset[Modality]) -> DenseSample:
    values = sample.to_dict()
    fields_of = {
        Modality.INSTANCE: ("instance_masks", "instance_ids", "boxes", "labels"),
        Modality.SEMANTIC: ("semantic_map",),
        Modality.PANOPTIC: ("panoptic_map",),
        Modality.DEPTH: ("depth", "depth_valid", "metric_depth"),
        Modality.NORMALS: ("normals",),
    }
    for modality, names in fields_of.items():
        if modality not in modalities:
            for name in names:
                values.pop(name, None)
    return DenseSample.unchecked(**values)


def _check_alike(
    name: str, sample_name: str, sample: DenseSample, first_name: str, first: DenseSample
) -> None:
    where = f"set {name!r}: {sample_name}"
    if sample.image.dtype != first.image.dtype:
        raise DataError(
            f"{where}: got an image of {sample.image.dtype}, expected {first.image.dtype} as in {first_name}"
        )
    if sample.active_modalities() != first.active_modalities():
        raise DataError(f"{where}: got {sample!r}, expected the modalities of {first_name}: {first!r}")

"""Albumentations 2 and AlbumentationsX transforms as augmentations of a ``DenseSample``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, get_args

import numpy as np
import torch

from segpaste.testing.adapters.arrays import channels_first, channels_last, in_dtype, plain, row_ids
from segpaste.testing.adapters.base import (
    ROWS_ALIGNED,
    Accepts,
    Adapted,
    Adapter,
    AugmentationKind,
    Complaint,
    UnreadableResultError,
)
from segpaste.types import DenseSample, Modality

BoxFormat = Literal["pascal_voc", "coco", "albumentations", "yolo"]

_MIXED = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC})
_FILTERS = (
    "min_area",
    "min_visibility",
    "min_width",
    "min_height",
    "max_accept_ratio",
    "check_each_transform",
    "filter_invalid_bboxes",
    "clip",
    "clip_bboxes_on_input",
    "clip_after_transform",
)
# All of one dtype: warped, a uint8 mask and an int32 map may differ by a pixel at their edges.
_LABELS = np.int32
# The library's `mask` is the semantic map; these ride along as further masks.
_ALIASES = ("panoptic_map", "depth", "depth_valid", "normals")


class AlbumentationsTransform(Adapter):
    """A transform, a list of them or a ``Compose`` of Albumentations 2 or AlbumentationsX.

    A ``Compose`` of our own is made around it, with box parameters and targets for all fields.
    Row numbers ride along as a label field, as the library's documentation advises for ids, and
    become ids again. The library draws from generators of its own, seeded by
    ``Compose.set_random_seed``.

    Args:
        transform: what to run. Of a ``Compose`` the transforms, ``p``, ``mask_interpolation``
            and the filters of its ``BboxParams`` are kept.
        kind: by default "paste" with ``CopyAndPaste``, "photometric" if every transform is an
            ``ImageOnlyTransform``, else "geometric".
        name: what reports call it.
        modalities: what is handed to it. By default everything, but image, instances and
            semantic map for ``CopyAndPaste`` and ``Mosaic``, which treat any further mask as a
            semantic map (2.0.8) or paint class ids into it (2.5.1).
        box_format: what the boxes are handed over as, and come back as.
        bbox_params: further arguments of ``BboxParams``, such as ``{"min_area": 4}``. By
            default the library's: it filters boxes without area only.
        box_tolerance: a coordinate that comes back this close to a whole pixel, in pixels, is
            that pixel: the library divides boxes by the image size in float32. 0 leaves all
            as they are.
        object_values: which values of an instance mask are the object: "nonzero", or "one", so
            that pixels filled with a ``fill_mask`` other than 0 are not.
        camera: whether ``camera_intrinsics`` are "dropped" before a run, since the library
            has no word for them, or handed around it and so "kept" as they are.
        instance_binding: hand masks and boxes over as AlbumentationsX's bound ``instances``, and
            not as the flat ``masks`` and ``bboxes``.
        donors: most rows of the donor sample that ``CopyAndPaste`` is given; all by default.
        donors_with_semantic: which of them come with a ``semantic_mask``.
        min_side: least height and width that it can be given; by default 1, or what the crops
            among the transforms need.

    Raises:
        ImportError: if Albumentations is not there.
        TypeError: if ``transform`` is nothing of Albumentations.
        ValueError: on an argument that makes no sense, naming it.
    """

    def __init__(
        self,
        transform: Any,
        *,
        kind: AugmentationKind | None = None,
        name: str | None = None,
        modalities: Iterable[Modality | str] | None = None,
        box_format: BoxFormat = "pascal_voc",
        bbox_params: Mapping[str, Any] | None = None,
        box_tolerance: float = 1e-3,
        object_values: Literal["nonzero", "one"] = "nonzero",
        camera: Literal["dropped", "kept"] = "dropped",
        instance_binding: bool = False,
        donors: int | None = None,
        donors_with_semantic: Literal["all", "every other", "none"] = "all",
        min_side: int | None = None,
    ) -> None:
        library = _library()
        own, transforms = _transforms(library, transform)
        leaves = list(_leaves(library, transforms))
        _check("kind", kind, (None, *get_args(AugmentationKind)))
        _check("box_format", box_format, get_args(BoxFormat))
        _check("object_values", object_values, ("nonzero", "one"))
        _check("camera", camera, ("dropped", "kept"))
        _check("donors_with_semantic", donors_with_semantic, ("all", "every other", "none"))
        if donors is not None and donors < 0:
            raise ValueError(f"donors: got {donors}, expected None or 0 or more")
        if not 0 <= box_tolerance < 0.5:
            raise ValueError(f"box_tolerance: got {box_tolerance}, expected 0 or more and less than 0.5")
        self._extended = "coord_format" in inspect.signature(library.BboxParams).parameters
        if instance_binding and not self._extended:
            raise ValueError("instance_binding: got True, which needs AlbumentationsX")
        self._metadata = {leaf.metadata_key: _mixer(leaf) for leaf in leaves if hasattr(leaf, "metadata_key")}
        self._box_format: BoxFormat = box_format
        self._box_tolerance = box_tolerance
        self._object_values = object_values
        self._camera = camera
        self._binding = instance_binding
        self._donors = donors
        self._donors_with_semantic = donors_with_semantic
        self._compose = self._composed(library, own, transforms, dict(bbox_params or {}))
        self.name = (
            f"albumentations:{'+'.join(type(t).__name__ for t in transforms)}" if name is None else name
        )
        self.kind = _kind(library, leaves) if kind is None else kind
        self.mixes = bool(self._metadata)
        carried = frozenset(Modality) if modalities is None else frozenset(Modality(m) for m in modalities)
        if modalities is None and self._metadata:
            carried = _MIXED
        side = _least_side(leaves) if min_side is None else min_side
        self.accepts = Accepts(carried | {Modality.IMAGE}, min_side=side, max_side=max(24, side + 8))

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample | Adapted:
        """Run it; the donor goes into the metadata of ``CopyAndPaste`` and ``Mosaic``."""
        rows = list(range(len(target)))
        data = {**self._maps(target), **self._instances(target, rows)}
        for key, mixer in self._metadata.items():
            if mixer == "CopyAndPaste":
                data[key] = self._objects(donor, len(target))
            else:
                data[key] = [self._picture(donor, len(target))]
        self._compose.set_random_seed(seed % 2**32)
        result = self._compose(**data)
        return self._sample(result, data, target)

    def prepare(self, sample: DenseSample) -> DenseSample:
        """Float images within [0, 1], as the library demands; cameras as ``camera`` says.

        Padding becomes part of the picture: the library has no word for it.
        """
        values = sample.to_dict()
        values.pop("padding_mask", None)
        if sample.image.dtype == torch.float32:
            values["image"] = sample.image.as_subclass(torch.Tensor).clamp(0.0, 1.0)
        if self._camera == "dropped":
            values.pop("camera_intrinsics", None)
            values.pop("metric_depth", None)
        return DenseSample.from_dict(values)

    def _composed(self, library: ModuleType, own: Any, transforms: list[Any], given: dict[str, Any]) -> Any:
        known = inspect.signature(library.BboxParams).parameters
        unknown = sorted(set(given) - (set(_FILTERS) & set(known)))
        if unknown:
            names = ", ".join(name for name in _FILTERS if name in known)
            raise ValueError(f"bbox_params: got {', '.join(unknown)}, expected some of {names}")
        boxes = getattr(own, "processors", {}).get("bboxes")
        kept = {} if boxes is None else {k: getattr(boxes.params, k) for k in _FILTERS if k in known}
        params = library.BboxParams(
            **{"coord_format" if self._extended else "format": self._box_format},
            label_fields=["labels", "rows"],
            **{**kept, **given},
        )
        more: dict[str, Any] = {}
        if self._extended:
            more["telemetry"] = False
        if self._binding:
            more["instance_binding"] = ["masks", "bboxes"]
        with warnings.catch_warnings():
            # Colour transforms leave boxes alone, and they ride along all the same.
            warnings.filterwarnings("ignore", message="Got processor for bboxes")
            return library.Compose(
                transforms,
                bbox_params=params,
                additional_targets=dict.fromkeys(_ALIASES, "mask"),
                p=getattr(own, "p", 1.0),
                mask_interpolation=getattr(own, "mask_interpolation", None),
                **more,
            )

    def _maps(self, sample: DenseSample) -> dict[str, Any]:
        """Image and masks as the library takes them: labels int32, for OpenCV knows no int64."""
        maps: dict[str, Any] = {"image": channels_last(sample.image)}
        if sample.semantic_map is not None:
            maps["mask"] = plain(sample.semantic_map, _LABELS)
        if sample.panoptic_map is not None:
            maps["panoptic_map"] = plain(sample.panoptic_map, _LABELS)
        if sample.depth is not None and sample.depth_valid is not None:
            maps["depth"] = plain(sample.depth[0], np.float32)
            maps["depth_valid"] = plain(sample.depth_valid[0], np.float32)
        if sample.normals is not None:
            maps["normals"] = channels_last(sample.normals)
        if any(name in maps for name in _ALIASES):
            # AlbumentationsX takes further masks only beside a `mask`.
            maps.setdefault("mask", np.zeros(maps["image"].shape[:2], _LABELS))
        return maps

    def _instances(self, sample: DenseSample, rows: Sequence[int]) -> dict[str, Any]:
        boxes = _given(plain(sample.boxes, np.float32), self._box_format, sample.canvas_size)
        labels, masks = sample.labels.tolist(), sample.instance_masks
        if not self._binding:
            flat: dict[str, Any] = {"bboxes": boxes, "labels": labels, "rows": list(rows)}
            # Albumentations 2 cannot stack a list of no masks.
            if masks is not None and (len(sample) or self._extended):
                flat["masks"] = plain(masks, _LABELS)
            return flat
        height, width = sample.canvas_size
        stack = np.zeros((len(sample), height, width), _LABELS) if masks is None else plain(masks, _LABELS)
        return {
            "instances": [
                {"mask": stack[i], "bbox": boxes[i], "bbox_labels": {"labels": labels[i], "rows": row}}
                for i, row in enumerate(rows)
            ]
        }

    def _objects(self, donor: DenseSample, first: int) -> list[dict[str, Any]]:
        """The donor's rows as metadata of ``CopyAndPaste``: one entry for each."""
        if donor.instance_masks is None:
            return []
        image = channels_last(donor.image)
        boxes = _given(plain(donor.boxes, np.float32), self._box_format, donor.canvas_size)
        items = []
        for i in range(len(donor) if self._donors is None else min(self._donors, len(donor))):
            labels = {"labels": int(donor.labels[i]), "rows": first + i}
            item: dict[str, Any] = {"image": image, "mask": plain(donor.instance_masks[i], _LABELS)}
            item |= {"bbox": boxes[i], "bbox_labels": labels}
            every = {"all": 1, "every other": 2, "none": 0}[self._donors_with_semantic]
            if donor.semantic_map is not None and every and i % every == 0:
                item["semantic_mask"] = plain(donor.semantic_map, _LABELS)
            items.append(item)
        return items

    def _picture(self, donor: DenseSample, first: int) -> dict[str, Any]:
        """The donor as an entry of the metadata of ``Mosaic``."""
        rows = list(range(first, first + len(donor)))
        item = self._maps(donor)
        item["bboxes"] = _given(plain(donor.boxes, np.float32), self._box_format, donor.canvas_size)
        if donor.instance_masks is not None:
            item["masks"] = plain(donor.instance_masks, _LABELS)
        labels = {"labels": donor.labels.tolist(), "rows": rows}
        return item | ({"bbox_labels": labels} if self._extended else labels)

    def _sample(self, result: Any, data: Any, target: DenseSample) -> DenseSample | Adapted:
        complaints: list[Complaint] = []
        image = in_dtype("image", result["image"], data["image"].dtype, complaints)
        height, width = image.shape[:2]
        fields: dict[str, Any] = {"image": channels_first(image)}
        fields |= self._mapped(result, data, target, complaints)
        boxes, labels, rows, masks = self._rows(result, target, (height, width))
        if target.instance_masks is not None:
            keep, masks = _aligned(rows, masks, target, complaints)
            boxes, labels, rows = boxes[keep], [labels[i] for i in keep], [rows[i] for i in keep]
            on = masks == 1 if self._object_values == "one" else masks != 0
            fields["instance_masks"] = torch.from_numpy(np.array(on, order="C"))
            fields["instance_ids"] = row_ids(rows, target)
        boxes = _returned(boxes, self._box_format, (height, width))
        fields["boxes"] = torch.from_numpy(_snapped(boxes, self._box_tolerance).astype(np.float32))
        fields["labels"] = torch.tensor(labels, dtype=torch.int64)
        if self.kind != "geometric" and (height, width) == target.canvas_size:
            fields["padding_mask"] = target.padding_mask  # no pixel has moved
        device = target.image.device
        fields = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in fields.items()}
        sample = DenseSample.unchecked(**fields)
        return Adapted(sample, tuple(complaints)) if complaints else sample

    def _mapped(
        self, result: Any, data: Any, target: DenseSample, complaints: list[Complaint]
    ) -> dict[str, Any]:
        """The maps that the target has, and its camera, which nobody asked the library about."""
        names = [name for name in ("mask", *_ALIASES) if name in data]
        back = {name: in_dtype(name, result[name], data[name].dtype, complaints) for name in names}
        fields: dict[str, Any] = {}
        if target.semantic_map is not None:
            fields["semantic_map"] = channels_first(back["mask"])[0].to(torch.int64)
        if "panoptic_map" in back:
            fields["panoptic_map"] = channels_first(back["panoptic_map"])[0].to(torch.int64)
        if "depth" in back:
            fields["depth"] = channels_first(back["depth"])
            fields["depth_valid"] = channels_first(back["depth_valid"]) != 0
        if "normals" in back:
            fields["normals"] = channels_first(back["normals"])
        if target.camera_intrinsics is not None:
            fields["camera_intrinsics"] = target.camera_intrinsics
            fields["metric_depth"] = target.metric_depth
        return fields

    def _rows(
        self, result: Any, target: DenseSample, size: tuple[int, int]
    ) -> tuple[np.ndarray, list[int], list[int], np.ndarray]:
        """Boxes, labels, row numbers and masks that came back."""
        if self._binding:
            found = result["instances"]
            boxes = np.array([one["bbox"] for one in found], dtype=np.float64).reshape(-1, 4)
            labels = [round(float(one["bbox_labels"]["labels"])) for one in found]
            rows = [round(float(one["bbox_labels"]["rows"])) for one in found]
            masks = [np.asarray(one["mask"]).reshape(size) for one in found]
            return boxes, labels, rows, np.stack(masks) if masks else np.zeros((0, *size), _LABELS)
        boxes = np.asarray(result["bboxes"], dtype=np.float64).reshape(-1, 4)
        labels = [round(float(label)) for label in result["labels"]]
        rows = [round(float(row)) for row in result["rows"]]
        masks = np.asarray(result.get("masks", ()))
        # Where there are none, their size is not always changed with the image's.
        return boxes, labels, rows, masks if len(masks) else np.zeros((0, *size), _LABELS)


def _aligned(
    rows: Sequence[int], masks: np.ndarray, target: DenseSample, complaints: list[Complaint]
) -> tuple[list[int], np.ndarray]:
    """The boxes that have a mask, and their masks in the same order.

    The library filters boxes and not masks. As many of both belong together in order; as many
    masks as went in belong to the rows of those numbers; else nobody can know.
    """
    if len(masks) == len(rows):
        return list(range(len(rows))), masks
    if len(masks) != len(target):
        message = (
            f"got {len(masks)} masks and {len(rows)} boxes back, gave {len(target)}: "
            "no telling which mask is whose"
        )
        raise UnreadableResultError(Complaint(ROWS_ALIGNED, message))
    keep = [i for i, row in enumerate(rows) if row < len(target)]
    if len(keep) < len(rows):
        message = (
            f"got {len(rows)} boxes and {len(masks)} masks back: {len(rows) - len(keep)} boxes have no mask"
        )
        complaints.append(Complaint(ROWS_ALIGNED, message))
    return keep, masks[[rows[i] for i in keep]]


def _given(boxes: np.ndarray, box_format: BoxFormat, size: tuple[int, int]) -> np.ndarray:
    """XYXY in pixels -> the library's format."""
    height, width = size
    boxes = boxes.reshape(-1, 4)
    if box_format in ("albumentations", "yolo"):
        boxes = boxes / np.array([width, height, width, height], np.float32)
    if box_format == "coco":
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    if box_format == "yolo":
        return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    return boxes


def _returned(boxes: np.ndarray, box_format: BoxFormat, size: tuple[int, int]) -> np.ndarray:
    """The library's format -> XYXY in pixels."""
    height, width = size
    if box_format == "coco":
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    if box_format == "yolo":
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    if box_format in ("albumentations", "yolo"):
        boxes = boxes * np.array([width, height, width, height], np.float64)
    return boxes


def _snapped(boxes: np.ndarray, tolerance: float) -> np.ndarray:
    whole = np.rint(boxes)
    return np.where(np.abs(boxes - whole) <= tolerance, whole, boxes)


def _library() -> ModuleType:
    try:
        return import_module("albumentations")
    except ImportError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImportError(
            f"AlbumentationsTransform: cannot import albumentations ({reason}); "
            "pip install -e '.[adapters]' brings it"
        ) from error


def _transforms(library: ModuleType, transform: Any) -> tuple[Any, list[Any]]:
    """The ``Compose`` that was given, if any, and the transforms."""
    if isinstance(transform, library.Compose):
        return transform, list(transform.transforms)
    transforms = list(transform) if isinstance(transform, list | tuple) else [transform]
    known = (library.BasicTransform, library.BaseCompose)
    wrong = [t for t in transforms if not isinstance(t, known)]
    if wrong or not transforms:
        got = type(wrong[0]).__name__ if wrong else "none"
        raise TypeError(
            f"transform: got {got}, expected a transform of Albumentations, a list of them or a Compose"
        )
    return None, transforms


def _leaves(library: ModuleType, transforms: Iterable[Any]) -> Iterator[Any]:
    for transform in transforms:
        if isinstance(transform, library.BaseCompose):
            yield from _leaves(library, transform.transforms)
        else:
            yield transform


def _mixer(leaf: Any) -> str:
    name = type(leaf).__name__
    if name not in ("CopyAndPaste", "Mosaic"):
        raise ValueError(
            f"transform: got {name}, which needs metadata; only CopyAndPaste and Mosaic are given any"
        )
    return name


def _kind(library: ModuleType, leaves: list[Any]) -> AugmentationKind:
    if any(type(leaf).__name__ == "CopyAndPaste" for leaf in leaves):
        return "paste"
    if all(isinstance(leaf, library.ImageOnlyTransform) for leaf in leaves):
        return "photometric"
    return "geometric"


def _least_side(leaves: Iterable[Any]) -> int:
    """What the crops need: they refuse an image that is smaller than they are."""
    sides = [1]
    for leaf in leaves:
        if "Crop" in type(leaf).__name__ and not getattr(leaf, "pad_if_needed", False):
            found = (getattr(leaf, "height", None), getattr(leaf, "width", None))
            sides += [side for side in found if isinstance(side, int)]
    return max(sides)


def _check(name: str, value: object, expected: Sequence[object]) -> None:
    if value not in expected:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, expected))}")

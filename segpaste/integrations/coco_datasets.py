"""COCO files as map-style data sets of samples: read in training, image by image."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch.utils.data import Dataset

from segpaste.integrations.class_tables import free_ignore_index, schema_from_categories
from segpaste.integrations.coco_entries import (
    CocoImage,
    category_of,
    check_agreement,
    content_of,
    file_name_of,
    images_of,
    is_crowd,
    pixels_of,
    segments_of,
)
from segpaste.integrations.coco_index import PackedEntries
from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_json, read_rgb
from segpaste.integrations.records import LEAST_MAX_INSTANCES
from segpaste.integrations.rle import mask_of, masks_of, runs_of
from segpaste.integrations.rle_kernels import fill_segments
from segpaste.types import DenseSample, PanopticSchemaSpec
from segpaste.types.dense_sample import xyxy
from segpaste.types.numbers import whole_number
from segpaste.types.schema import ThingOrStuff

CrowdPolicy = Literal["drop", "void"]
Transforms = Callable[[DenseSample], Any]

BACKGROUND = 0
"""What ``crowd="void"`` says of pixels that no annotation covers: the id that COCO leaves free for it."""


# What a paste without a class table takes for void, and v2's geometric transforms fill maps with.
_VOID = 255


class _CocoDataset(Dataset[Any]):
    """What both data sets have: an index of the file, images by ascending id.

    Attributes:
        image_folder: where the images are.
        label_path: the JSON file.
        transforms: called with each sample; what it returns is what an index gives.
        schema: the class table; class ids are the file's category ids. Room for as many
            instances as the fullest image has, 256 at least.
        categories: the file's own, ``id``, ``name`` and whatever else it says.
    """

    def __init__(
        self,
        image_folder: str | Path,
        label_path: str | Path,
        transforms: Transforms | None,
        schema: PanopticSchemaSpec,
        categories: list[dict[str, Any]],
        images: list[CocoImage],
        entries: Iterator[Any],
    ) -> None:
        if transforms is not None and not callable(transforms):
            raise TypeError(
                f"transforms: got {type(transforms).__name__}, expected a function of a DenseSample or None"
            )
        self.image_folder = Path(image_folder)
        self.label_path = Path(label_path)
        self.transforms = transforms
        self.schema = schema
        self.categories = tuple(categories)
        self._entries = PackedEntries(entries)
        self._image_ids = torch.tensor([image.id for image in images], dtype=torch.int64, device="cpu")
        if not self.image_folder.is_dir():
            raise DataError(f"{self.image_folder}: no such folder, expected the folder of the images")

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The id of each image in the file, in the order of the samples: ascending."""
        return tuple(self._image_ids.tolist())

    @property
    def class_names(self) -> dict[int, str]:
        """The names of the categories that have one."""
        return {c["id"]: c["name"] for c in self.categories if isinstance(c.get("name"), str)}

    def file_name(self, index: int) -> str:
        """The image's file within ``image_folder``."""
        return self._entries[index].file_name

    def __len__(self) -> int:
        """The number of images, with those that have no annotation."""
        return len(self._entries)

    def __getitem__(self, index: int) -> Any:
        """The sample of an image, through ``transforms``.

        Raises:
            IndexError: if there is none.
            DataError: in one line that names file, image and annotation, if they are not as they
                should be.
        """
        sample = self._read(self._entries[index])
        return sample if self.transforms is None else self.transforms(sample)

    def __iter__(self) -> Iterator[Any]:
        """One image after the other."""
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images, {str(self.label_path)!r})"

    def _read(self, entry: Any) -> DenseSample:
        raise NotImplementedError


class CocoDetectionV2(_CocoDataset):
    """COCO instances as a map-style data set of :class:`DenseSample`.

    A sample has ``image`` ``[3, H, W]`` uint8, RGB as stored (the EXIF orientation is not applied,
    since annotations are made on the stored pixels); a row for each annotation in the order of the
    annotation ids, with ``instance_masks`` ``[N, H, W]`` bool, ``boxes`` ``[N, 4]`` float32 around
    the masks (the file's own boxes are not read), ``labels`` ``[N]`` int64, the category ids of the
    file unchanged, and ``instance_ids`` 1 to N. An image without annotations gives a sample without
    rows. Polygons, run lengths and compressed run lengths are drawn as pycocotools draws them. An
    annotation that covers no pixel gives no row; see :meth:`left_out`.

    The JSON is read once, checked, and packed into one tensor that workers share. Forking and
    spawning workers both work, and the data set can be pickled if ``transforms`` can.

    Args:
        image_folder: folder of the images.
        label_path: the JSON file of instances: COCO's own, LVIS's, any of that form.
        transforms: called with each sample, such as a ``torchvision.transforms.v2.Compose``.
        crowd: what becomes of annotations with ``iscrowd``: a region of many objects of one class.
            ``"drop"`` gives them no row, and nothing else says where they are. ``"void"`` gives each
            sample a ``semantic_map`` ``[H, W]`` int64, too, that is ``ignore_index`` on crowds, the
            row's class on rows (where rows overlap, of the one with fewer pixels) and 0, a stuff
            class named background, elsewhere: nothing is pasted onto a crowd then, and a loss may
            leave it out. A :class:`~segpaste.BatchCopyPasteConfig` without ``panoptic``, which
            these samples need, knows void as 255: so it must be 255 here, and no category's.
        ignore_index: the semantic label of void, which no category has; by default 255, and where
            that is a category, as in LVIS, the next number that is none.

    Raises:
        TypeError: on ``transforms`` that are no function.
        ValueError: on a value of ``crowd`` or ``ignore_index`` that is none of the above.
        DataError: in one line that names the file and the entry, if the JSON is not readable or an
            image, annotation or category is not as it should be. Masks and images are read, and
            judged, with their sample.
    """

    def __init__(
        self,
        image_folder: str | Path,
        label_path: str | Path,
        transforms: Transforms | None = None,
        *,
        crowd: CrowdPolicy = "drop",
        ignore_index: int | None = None,
    ) -> None:
        if crowd not in get_args(CrowdPolicy):
            raise ValueError(f"crowd: got {crowd!r}, expected one of {list(get_args(CrowdPolicy))}")
        path = Path(label_path)
        content = content_of(path)
        _refuse_panoptic(content, path)
        categories = content.get("categories")
        void = free_ignore_index(categories) if ignore_index is None else _checked(ignore_index)
        if crowd == "void":
            _check_void_of_crowds(ignore_index, void, path)
        schema = schema_from_categories(categories, void, path, isthing_required=False)
        images = images_of(content, path, "id", _raise)
        listed = [] if categories is None else categories
        if crowd == "void":
            _check_background(schema, path)
            listed = [{"id": BACKGROUND, "name": "background", "isthing": 0}, *listed]
        most = max((len(image.annotations) for image in images), default=0)
        super().__init__(
            image_folder,
            path,
            transforms,
            _with_room(schema, most, background=crowd == "void"),
            listed,
            images,
            (_instances_of(image, schema, path) for image in images),
        )
        self.crowd: CrowdPolicy = crowd

    def left_out(self) -> dict[str, int]:
        """How many annotations give no row, by why; reads every annotation and no image.

        Raises:
            DataError: on the first annotation whose mask is not as it should be.
        """
        counts = Counter[str]()
        for index in range(len(self)):
            entry: _Instances = self._entries[index]
            counts["crowd regions"] += sum(entry.crowds)
            for crowd, segmentation, where in zip(
                entry.crowds, entry.segmentations, entry.wheres(self.label_path), strict=True
            ):
                runs = runs_of(segmentation, entry.height, entry.width, where)
                if not crowd and not runs[1::2].any():
                    counts["annotations without a pixel"] += 1
        return {what: number for what, number in sorted(counts.items()) if number}

    def _read(self, entry: _Instances) -> DenseSample:
        image = _image_of(self.image_folder / entry.file_name, entry)
        height, width = image.shape[-2:]
        wheres = entry.wheres(self.label_path)
        rows = [place for place, crowd in enumerate(entry.crowds) if not crowd]
        masks, boxes, kept = masks_of(
            [entry.segmentations[row] for row in rows], height, width, [wheres[row] for row in rows]
        )
        labels = np.array([entry.labels[row] for row in rows], np.int64)[kept]
        values = _rows(masks, boxes, labels, (height, width))
        if self.crowd == "void":
            semantic = _semantic_of(masks, labels)
            taken = masks.any(axis=0)
            for place, crowd in enumerate(entry.crowds):
                if crowd:
                    region = mask_of(entry.segmentations[place], height, width, wheres[place])
                    semantic[region & ~taken] = self.schema.ignore_index
            values["semantic_map"] = torch.from_numpy(semantic)
        # Made here of what has been checked: to check every value again takes longer.
        return DenseSample.unchecked(image=image, **values)


class CocoPanopticV2(_CocoDataset):
    """COCO panoptic segmentation as a map-style data set of :class:`DenseSample`.

    A sample has ``image`` ``[3, H, W]`` uint8, RGB as stored; ``semantic_map`` ``[H, W]`` int64, the
    category ids of the file unchanged; ``panoptic_map`` ``[H, W]`` int64; and a row for each thing in
    the order of the segment ids, with ``instance_masks``, ``boxes`` and ``labels`` as in
    :class:`CocoDetectionV2`. Row n has the id n + 1, in ``instance_ids`` and in the panoptic map:
    the mask is where the map has the id. Stuff has the panoptic id 0. Crowd segments and unlabelled
    pixels (0 in the PNG) are void: semantic ``ignore_index``, panoptic 0, no row.

    The JSON is read once, checked, and packed into one tensor that workers share.

    Args:
        image_folder: folder of the images.
        label_path: the JSON file of panoptic segments.
        panoptic_folder: folder of its PNGs, whose pixels are ids, r + 256 g + 65536 b.
        transforms: called with each sample, such as a ``torchvision.transforms.v2.Compose``.
        categories: a JSON file with the categories (``id``, ``isthing``), where ``label_path`` has
            none, as with ``panoptic_coco_categories.json``.
        ignore_index: the semantic label of void, which no category has; by default 255. Where that
            is a category it must be given, and torchvision's geometric transforms, which fill maps
            with 255, would make that category of what they fill: renumber the file first.

    Raises:
        TypeError: on ``transforms`` that are no function.
        ValueError: on a value of ``ignore_index`` that is none of the above.
        DataError: in one line that names the file and the entry, if the JSON is not readable, 255 is
            a category and no ``ignore_index`` is given, or an image, segment or category is not as it
            should be. PNGs and images are read, and judged, with their sample.
    """

    def __init__(
        self,
        image_folder: str | Path,
        label_path: str | Path,
        panoptic_folder: str | Path,
        transforms: Transforms | None = None,
        *,
        categories: str | Path | None = None,
        ignore_index: int | None = None,
    ) -> None:
        path = Path(label_path)
        content = content_of(path)
        _refuse_instances(content, path)
        listed, listed_in = content.get("categories"), path
        if categories is not None:
            listed_in = Path(categories)
            table = read_json(listed_in)
            listed = table.get("categories") if isinstance(table, dict) else table
        void = _VOID if ignore_index is None else _checked(ignore_index)
        if ignore_index is None and free_ignore_index(listed) != _VOID:
            raise DataError(
                f"{listed_in}: category {_VOID}: is void by default, and what torchvision's geometric "
                "transforms fill maps with, expected other ids, or ignore_index given and no such transform"
            )
        schema = schema_from_categories(listed, void, listed_in, isthing_required=True)
        images = images_of(content, path, "image_id", _raise)
        entries = [_segments_of(image, schema, path) for image in images]
        things = max((int((entry.rows > 0).sum()) for entry in entries), default=0)
        super().__init__(
            image_folder, path, transforms, _with_room(schema, things), listed or [], images, iter(entries)
        )
        self.panoptic_folder = Path(panoptic_folder)
        if not self.panoptic_folder.is_dir():
            raise DataError(f"{self.panoptic_folder}: no such folder, expected the folder of the PNGs")

    def left_out(self) -> dict[str, int]:
        """How many segments are void, by why; reads no file."""
        crowds = sum(self._entries[index].crowds for index in range(len(self)))
        return {"crowd regions": crowds} if crowds else {}

    def _read(self, entry: _Segments) -> DenseSample:
        where = f"{self.label_path}: image {entry.id}"
        image = _image_of(self.image_folder / entry.file_name, entry)
        png = self.panoptic_folder / entry.png
        rgb = read_rgb(png)
        if rgb.shape[:2] != image.shape[-2:]:
            raise DataError(
                f"{where}: got {png} of {list(rgb.shape[:2])}, expected the image's {list(image.shape[-2:])}"
            )
        size = rgb.shape[:2]
        classes = entry.classes.copy()
        classes[classes < 0] = self.schema.ignore_index
        labels = classes[entry.rows > 0]
        semantic, panoptic = np.empty(size, np.int64), np.empty(size, np.int64)
        masks = np.zeros((len(labels), *size), np.uint8)
        areas = np.zeros(len(entry.ids), np.int64)
        boxes = np.zeros((len(entry.ids), 4), np.int64)
        unlisted = fill_segments(rgb, entry.ids, classes, entry.rows, semantic, panoptic, masks, areas, boxes)
        listed = set(entry.ids.tolist()) - {0}
        if unlisted >= 0:
            check_agreement(listed, listed | {unlisted}, where, png)
        check_agreement(listed, set(entry.ids[areas > 0].tolist()) - {0}, where, png)
        return DenseSample.unchecked(
            image=image,
            semantic_map=torch.from_numpy(semantic),
            panoptic_map=torch.from_numpy(panoptic),
            **_rows(masks.view(bool), boxes[entry.rows > 0].astype(np.float32), labels, size),
        )


@dataclass(frozen=True, slots=True)
class _Instances:
    """One image and its annotations, in the order of their ids."""

    id: int
    file_name: str
    height: int
    width: int
    annotation_ids: list[int]
    labels: list[int]
    crowds: list[bool]
    segmentations: list[Any]

    def wheres(self, path: Path) -> list[str]:
        """What messages call the annotations."""
        return [f"{path}: image {self.id}: annotation {number}" for number in self.annotation_ids]


@dataclass(frozen=True, slots=True)
class _Segments:
    """One image and its segments: ids ascending with 0, class (-1: void), row number from 1 or 0."""

    id: int
    file_name: str
    height: int
    width: int
    png: str
    ids: np.ndarray
    classes: np.ndarray
    rows: np.ndarray
    crowds: int


def _instances_of(image: CocoImage, schema: PanopticSchemaSpec, path: Path) -> _Instances:
    labels: list[int] = []
    crowds: list[bool] = []
    for annotation in image.annotations:
        where = f"{path}: image {image.id}: annotation {annotation['id']}"
        label = category_of(annotation, schema, where)
        if schema.classes[label] != "thing":
            raise DataError(f"{where}: got category_id {label}, which is stuff, expected a thing")
        labels.append(label)
        crowds.append(is_crowd(annotation, where))
    return _Instances(
        id=_int64(image.id, f"{path}: image {image.id}"),
        file_name=image.file_name,
        height=image.height,
        width=image.width,
        annotation_ids=[annotation["id"] for annotation in image.annotations],
        labels=labels,
        crowds=crowds,
        segmentations=[annotation.get("segmentation") for annotation in image.annotations],
    )


def _segments_of(image: CocoImage, schema: PanopticSchemaSpec, path: Path) -> _Segments:
    where = f"{path}: image {image.id}"
    if len(image.annotations) != 1:
        raise DataError(f"{where}: got {len(image.annotations)} annotations, expected one")
    (annotation,) = image.annotations
    png = file_name_of(annotation, where)
    segments = segments_of(annotation, schema, where)
    ids = np.array([0, *sorted(segments)], np.int64)
    classes = np.full(len(ids), -1, np.int64)
    rows = np.zeros(len(ids), np.int64)
    for place, number in enumerate(ids.tolist()[1:], start=1):
        label, crowd = segments[number]
        if crowd:
            continue
        classes[place] = label
        if schema.classes[label] == "thing":
            rows[place] = rows.max() + 1
    crowds = sum(crowd for _, crowd in segments.values())
    number = _int64(image.id, where)
    return _Segments(number, image.file_name, image.height, image.width, png, ids, classes, rows, crowds)


def _image_of(file: Path, entry: _Instances | _Segments) -> torch.Tensor:
    """``[3, H, W]`` uint8."""
    pixels = pixels_of(file, CocoImage(entry.id, entry.file_name, entry.height, entry.width, []))
    if pixels.dtype != np.uint8:
        raise DataError(f"{file}: image {entry.id}: got {pixels.dtype}, expected uint8")
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _rows(masks: np.ndarray, boxes: np.ndarray, labels: np.ndarray, size: tuple[int, ...]) -> dict[str, Any]:
    return {
        "instance_masks": torch.from_numpy(masks),
        "instance_ids": torch.from_numpy(np.arange(1, len(labels) + 1, dtype=np.int32)),
        "labels": torch.from_numpy(labels),
        "boxes": xyxy(torch.from_numpy(boxes), (size[0], size[1])),
    }


def _semantic_of(masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``[H, W]`` int64: the class of the smallest mask, :data:`BACKGROUND` where there is none."""
    semantic = np.full(masks.shape[1:], BACKGROUND, np.int64)
    areas = np.count_nonzero(masks, axis=(1, 2))
    for row in np.argsort(-areas, kind="stable"):
        semantic[masks[row]] = labels[row]
    return semantic


def _check_background(schema: PanopticSchemaSpec, path: Path) -> None:
    if BACKGROUND in schema.classes or schema.ignore_index == BACKGROUND:
        raise DataError(
            f"{path}: crowd='void' calls the background {BACKGROUND}, which is taken, "
            "expected neither a category nor ignore_index of that number"
        )


def _with_room(schema: PanopticSchemaSpec, instances: int, *, background: bool = False) -> PanopticSchemaSpec:
    classes: dict[int, ThingOrStuff] = {BACKGROUND: "stuff"} if background else {}
    return PanopticSchemaSpec(
        classes={**classes, **schema.classes},
        ignore_index=schema.ignore_index,
        max_instances_per_image=max(instances, LEAST_MAX_INSTANCES),
    )


def _checked(ignore_index: int) -> int:
    return whole_number("ignore_index", ignore_index, at_least=0)


def _check_void_of_crowds(given: int | None, void: int, path: Path) -> None:
    """A paste without a class table, which these samples get, keeps off what is 255 and nothing else."""
    if given is not None and void != _VOID:
        raise ValueError(f"ignore_index: got {void} with crowd='void', expected {_VOID}")
    if void != _VOID:
        raise DataError(
            f"{path}: category {_VOID}: crowd='void' calls crowds {_VOID}, expected crowd='drop', "
            "or categories of other ids"
        )


def _refuse_panoptic(content: dict[str, Any], path: Path) -> None:
    """Say what it is, where each annotation would be refused for something else."""
    if "segments_info" in _first_annotation(content):
        raise DataError(
            f"{path}: got panoptic annotations (segments_info), expected instances; "
            "CocoPanopticV2 reads these, create_coco_dataloader with panoptic_folder"
        )


def _refuse_instances(content: dict[str, Any], path: Path) -> None:
    if "segmentation" in _first_annotation(content):
        raise DataError(
            f"{path}: got instances (segmentation), expected panoptic annotations; "
            "CocoDetectionV2 reads these, as create_coco_dataloader does without a panoptic_folder"
        )


def _first_annotation(content: dict[str, Any]) -> dict[str, Any]:
    entries = content.get("annotations")
    first = entries[0] if isinstance(entries, list) and entries else None
    return first if isinstance(first, dict) else {}


def _int64(number: int, where: str) -> int:
    if not -(1 << 63) <= number < 1 << 63:
        raise DataError(f"{where}: got an id of more than 64 bits, expected one that fits")
    return operator.index(number)


def _raise(error: DataError) -> None:
    raise error

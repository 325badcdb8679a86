"""COCO instances JSON and COCO panoptic JSON with PNG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segpaste.integrations.class_tables import class_table, schema_from_categories
from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_image, read_json, read_rgb_ids
from segpaste.integrations.mapping import CocoInstancesSet, CocoPanopticSet
from segpaste.integrations.records import Labels, Records, dense_sample
from segpaste.integrations.rle import mask_of
from segpaste.integrations.semantic import read_semantic
from segpaste.types import DenseSample, PanopticSchemaSpec


@dataclass(frozen=True, slots=True)
class _Image:
    """One entry of ``images``, with the annotations that belong to it."""

    id: int
    file_name: str
    height: int
    width: int
    annotations: list[dict[str, Any]]


def read_coco_instances(config: CocoInstancesSet, root: Path, *, skip_bad: bool) -> Records:
    """Images and their instances; rows are in the order of the annotation ids.

    Crowd regions are no rows; where there is a semantic map they are void in it. Masks
    that draw no pixel are left out. Boxes are computed from the masks.

    Raises:
        DataError: if the JSON is not readable, and for the first bad image or annotation
            unless ``skip_bad``.
    """
    path = root / config.annotations
    content, schema = _content(path, root, config, isthing_required=False)
    records = Records(schema)
    images = _images(content, path, "id", config.limit, records, skip_bad)

    def build(image: _Image) -> DenseSample:
        pixels = _pixels(root / config.images / image.file_name, image)
        masks: list[np.ndarray] = []
        classes: list[int] = []
        crowd = np.zeros(pixels.shape[:2], bool)
        crowds = empty = 0
        for annotation in image.annotations:
            where = f"{path}: image {image.id}: annotation {annotation['id']}"
            label = _category(annotation, schema, where)
            if schema.classes[label] != "thing":
                raise DataError(f"{where}: got category_id {label}, which is stuff, expected a thing")
            mask = mask_of(annotation.get("segmentation"), image.height, image.width, where)
            if _is_crowd(annotation, where):
                crowds += 1
                crowd |= mask
            elif mask.any():
                masks.append(mask)
                classes.append(label)
            else:
                empty += 1
        semantic = None
        if config.semantic is not None:
            semantic = read_semantic(
                root / config.semantic.folder, image.file_name, config.semantic.unlabelled, schema, pixels
            )
            semantic[crowd] = schema.ignore_index
        labels = Labels(_stack(masks, pixels), np.array(classes, np.int64), semantic)
        sample = dense_sample(f"{path}: image {image.id}", pixels, labels)
        _count(
            records, "crowd regions made void" if semantic is not None else "crowd regions left out", crowds
        )
        _count(records, "annotations without a pixel left out", empty)
        return sample

    records.collect(_jobs(images, build), skip_bad)
    return records


def read_coco_panoptic(config: CocoPanopticSet, root: Path, *, skip_bad: bool) -> Records:
    """Images with instances, semantic and panoptic maps; rows in the order of the segment ids.

    Row n has id n + 1 in the panoptic map. Crowd segments and unlabelled pixels (PNG id
    0) are void: semantic ``ignore_index``, panoptic 0, no row.

    Raises:
        DataError: if the JSON is not readable, and for the first bad image or segment,
            or PNG that disagrees with the JSON, unless ``skip_bad``.
    """
    path = root / config.annotations
    content, schema = _content(path, root, config, isthing_required=True)
    records = Records(schema)
    images = _images(content, path, "image_id", config.limit, records, skip_bad)

    def build(image: _Image) -> DenseSample:
        where = f"{path}: image {image.id}"
        if len(image.annotations) != 1:
            raise DataError(f"{where}: got {len(image.annotations)} annotations, expected one")
        annotation = image.annotations[0]
        png = root / config.panoptic / _field(annotation, "file_name", str, where)
        segments = _segments(annotation, schema, where)
        pixels = _pixels(root / config.images / image.file_name, image)
        found, index = _found_ids(png, pixels, where)
        _check_agreement(set(segments), {int(i) for i in found} - {0}, where, png)

        semantic_of = np.full(len(found), schema.ignore_index, np.int64)
        row_of = np.zeros(len(found), np.int64)
        classes: list[int] = []
        crowds = 0
        for place, segment_id in enumerate(found.tolist()):
            if segment_id == 0:
                continue
            label, crowd = segments[segment_id]
            if crowd:
                crowds += 1
                continue
            semantic_of[place] = label
            if schema.classes[label] == "thing":
                classes.append(label)
                row_of[place] = len(classes)
        panoptic = row_of[index]
        masks = panoptic[None] == np.arange(1, len(classes) + 1)[:, None, None]
        labels = Labels(masks, np.array(classes, np.int64), semantic_of[index], panoptic)
        sample = dense_sample(where, pixels, labels)
        _count(records, "crowd regions made void", crowds)
        return sample

    records.collect(_jobs(images, build), skip_bad)
    return records


def _jobs(
    images: list[_Image], build: Callable[[_Image], DenseSample]
) -> list[tuple[str, Callable[[], DenseSample]]]:
    return [(image.file_name, partial(build, image)) for image in images]


def _count(records: Records, what: str, number: int) -> None:
    if number:
        records.counts[what] += number


def _content(
    path: Path, root: Path, config: CocoInstancesSet | CocoPanopticSet, *, isthing_required: bool
) -> tuple[dict[str, Any], PanopticSchemaSpec]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: got a {type(content).__name__}, expected an object with images, annotations"
        )
    if config.classes is not None:
        return content, class_table(root, config.classes, config.ignore_index)
    schema = schema_from_categories(
        content.get("categories"), config.ignore_index, path, isthing_required=isthing_required
    )
    return content, schema


def _images(
    content: dict[str, Any], path: Path, sort_key: str, limit: int, records: Records, skip_bad: bool
) -> list[_Image]:
    """The images by ascending id, each with its annotations by ascending ``sort_key``."""
    images: dict[int, _Image] = {}
    skipped_ids: set[int] = set()
    for position, entry in enumerate(_list(content, "images", path)):
        where = f"{path}: images[{position}]"
        try:
            image_id = _field(entry, "id", int, where)
            if image_id in images or image_id in skipped_ids:
                raise DataError(f"{where}: got id {image_id} a second time, expected ids that differ")
            skipped_ids.add(image_id)
            images[image_id] = _Image(
                id=image_id,
                file_name=_field(entry, "file_name", str, where),
                height=_field(entry, "height", int, where),
                width=_field(entry, "width", int, where),
                annotations=[],
            )
            skipped_ids.remove(image_id)
        except DataError as error:
            records.skip_or_raise(error, skip_bad)
    annotation_ids: set[int] = set()
    for position, annotation in enumerate(_list(content, "annotations", path)):
        where = f"{path}: annotations[{position}]"
        try:
            image_id = _field(annotation, "image_id", int, where)
            key = _field(annotation, sort_key, int, where)
            if sort_key == "id":
                if key in annotation_ids:
                    raise DataError(
                        f"{path}: annotation {key}: the id occurs twice, expected ids that differ"
                    )
                annotation_ids.add(key)
            if image_id in skipped_ids:
                continue  # counted with its image
            if image_id not in images:
                raise DataError(
                    f"{path}: annotation {key}: got image_id {image_id}, expected one of the images listed"
                )
            images[image_id].annotations.append(annotation)
        except DataError as error:
            records.skip_or_raise(error, skip_bad)
    ordered = [images[image_id] for image_id in sorted(images)]
    for image in ordered:
        image.annotations.sort(key=lambda annotation: annotation[sort_key])
    _count(records, "images left out by the limit", max(0, len(ordered) - limit))
    return ordered[:limit]


def _segments(
    annotation: dict[str, Any], schema: PanopticSchemaSpec, where: str
) -> dict[int, tuple[int, bool]]:
    """Segment id -> (class, whether it is a crowd)."""
    segments: dict[int, tuple[int, bool]] = {}
    for position, segment in enumerate(_field(annotation, "segments_info", list, where)):
        segment_id = _field(segment, "id", int, f"{where}: segments_info[{position}]")
        inner = f"{where}: segment {segment_id}"
        if segment_id in segments:
            raise DataError(f"{inner}: the id occurs twice, expected ids that differ")
        if not 0 < segment_id < 1 << 24:
            raise DataError(f"{inner}: got an id outside of 1 to 2**24 - 1, which no PNG can hold")
        segments[segment_id] = (_category(segment, schema, inner), _is_crowd(segment, inner))
    return segments


def _found_ids(png: Path, pixels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The segment ids of a PNG, ascending, and ``[H, W]`` places in that list."""
    ids = read_rgb_ids(png)
    if ids.shape != pixels.shape[:2]:
        raise DataError(
            f"{where}: got {png} of {list(ids.shape)}, expected the image's {list(pixels.shape[:2])}"
        )
    found, index = np.unique(ids, return_inverse=True)
    return found, index.reshape(ids.shape)


def _check_agreement(in_json: set[int], in_png: set[int], where: str, png: Path) -> None:
    if in_png - in_json:
        raise DataError(
            f"{where}: {png} has segment {min(in_png - in_json)}, which segments_info lacks, "
            "expected the same ids in both"
        )
    if in_json - in_png:
        raise DataError(
            f"{where}: segments_info has segment {min(in_json - in_png)}, which {png} lacks, "
            "expected the same ids in both"
        )


def _pixels(file: Path, image: _Image) -> np.ndarray:
    pixels = read_image(file)
    if pixels.shape[:2] != (image.height, image.width):
        raise DataError(
            f"{file}: image {image.id}: got {pixels.shape[0]} x {pixels.shape[1]} pixels, "
            f"expected {image.height} x {image.width} as its annotations say"
        )
    return pixels


def _stack(masks: list[np.ndarray], pixels: np.ndarray) -> np.ndarray:
    return np.stack(masks) if masks else np.zeros((0, *pixels.shape[:2]), bool)


def _category(entry: Any, schema: PanopticSchemaSpec, where: str) -> int:
    label = _field(entry, "category_id", int, where)
    if label not in schema.classes:
        raise DataError(
            f"{where}: got category_id {label}, "
            f"expected one of the {len(schema.classes)} classes of the table"
        )
    return label


def _is_crowd(entry: Any, where: str) -> bool:
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{where}: got iscrowd {crowd!r}, expected 0 or 1")
    return bool(crowd)


def _list(content: dict[str, Any], key: str, path: Path) -> list[Any]:
    return _field(content, key, list, str(path))


def _field(entry: Any, key: str, kind: type, where: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not kind:
        names = {int: "an integer", str: "a string", list: "a list"}
        raise DataError(f"{where}: got {key} {value!r:.40}, expected {names[kind]}")
    return value

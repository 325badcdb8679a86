"""COCO instances JSON and COCO panoptic JSON with PNG."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segpaste.integrations.class_tables import (
    class_names,
    class_table,
    names_from_categories,
    schema_from_categories,
)
from segpaste.integrations.coco_entries import (
    CocoImage,
    category_of,
    check_agreement,
    content_of,
    file_name_of,
    found_ids,
    images_of,
    is_crowd,
    pixels_of,
    segments_of,
)
from segpaste.integrations.errors import DataError
from segpaste.integrations.mapping import CocoInstancesSet, CocoPanopticSet
from segpaste.integrations.records import Labels, Records, dense_sample
from segpaste.integrations.rle import mask_of
from segpaste.integrations.semantic import read_semantic
from segpaste.types import DenseSample, PanopticSchemaSpec


def read_coco_instances(config: CocoInstancesSet, root: Path, *, skip_bad: bool) -> Records:
    """Images and their instances; rows are in the order of the annotation ids.

    Crowd regions are no rows; where there is a semantic map they are void in it. Masks
    that draw no pixel are left out. Boxes are computed from the masks.

    Raises:
        DataError: if the JSON is not readable, and for the first bad image or annotation
            unless ``skip_bad``.
    """
    path = root / config.annotations
    content, schema, names = _content(path, root, config, isthing_required=False)
    records = Records(schema, class_names=names)
    images = _images(content, path, "id", config.limit, records, skip_bad)

    def build(image: CocoImage) -> DenseSample:
        pixels = pixels_of(root / config.images / image.file_name, image)
        masks: list[np.ndarray] = []
        classes: list[int] = []
        crowd = np.zeros(pixels.shape[:2], bool)
        crowds = empty = 0
        for annotation in image.annotations:
            where = f"{path}: image {image.id}: annotation {annotation['id']}"
            label = category_of(annotation, schema, where)
            if schema.classes[label] != "thing":
                raise DataError(f"{where}: got category_id {label}, which is stuff, expected a thing")
            mask = mask_of(annotation.get("segmentation"), image.height, image.width, where)
            if is_crowd(annotation, where):
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
    content, schema, names = _content(path, root, config, isthing_required=True)
    records = Records(schema, class_names=names)
    images = _images(content, path, "image_id", config.limit, records, skip_bad)

    def build(image: CocoImage) -> DenseSample:
        where = f"{path}: image {image.id}"
        if len(image.annotations) != 1:
            raise DataError(f"{where}: got {len(image.annotations)} annotations, expected one")
        annotation = image.annotations[0]
        png = root / config.panoptic / file_name_of(annotation, where)
        segments = segments_of(annotation, schema, where)
        pixels = pixels_of(root / config.images / image.file_name, image)
        found, index = found_ids(png, pixels, where)
        check_agreement(set(segments), {int(i) for i in found} - {0}, where, png)

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


def _images(
    content: dict[str, Any], path: Path, sort_key: str, limit: int, records: Records, skip_bad: bool
) -> list[CocoImage]:
    images = images_of(content, path, sort_key, partial(records.skip_or_raise, skip_bad=skip_bad))
    _count(records, "images left out by the limit", max(0, len(images) - limit))
    return images[:limit]


def _jobs(
    images: list[CocoImage], build: Callable[[CocoImage], DenseSample]
) -> list[tuple[str, Callable[[], DenseSample]]]:
    return [(image.file_name, partial(build, image)) for image in images]


def _count(records: Records, what: str, number: int) -> None:
    if number:
        records.counts[what] += number


def _content(
    path: Path, root: Path, config: CocoInstancesSet | CocoPanopticSet, *, isthing_required: bool
) -> tuple[dict[str, Any], PanopticSchemaSpec, dict[int, str]]:
    content = content_of(path)
    if config.classes is not None:
        schema = class_table(root, config.classes, config.ignore_index)
        return content, schema, class_names(root, config.classes)
    schema = schema_from_categories(
        content.get("categories"), config.ignore_index, path, isthing_required=isthing_required
    )
    return content, schema, names_from_categories(content["categories"])


def _stack(masks: list[np.ndarray], pixels: np.ndarray) -> np.ndarray:
    return np.stack(masks) if masks else np.zeros((0, *pixels.shape[:2]), bool)

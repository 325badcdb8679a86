"""Entries of COCO's JSON files, checked: images with their annotations, segments, categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_image, read_json, read_rgb_ids
from segpaste.types import PanopticSchemaSpec


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One entry of ``images``, with the annotations that belong to it."""

    id: int
    file_name: str
    height: int
    width: int
    annotations: list[dict[str, Any]]


def content_of(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        DataError: if there is none.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise DataError(
            f"{path}: got a {type(content).__name__}, expected an object with images, annotations"
        )
    return content


def images_of(
    content: dict[str, Any], path: Path, sort_key: str, bad: Callable[[DataError], None]
) -> list[CocoImage]:
    """The images by ascending id, each with its annotations by ascending ``sort_key``.

    Args:
        content: of the file.
        path: of the file, for messages.
        sort_key: ``"id"``, which may not occur twice, or ``"image_id"``.
        bad: is called with what is wrong with an entry; if it returns, the entry is left out.
    """
    images: dict[int, CocoImage] = {}
    skipped_ids: set[int] = set()
    for position, entry in enumerate(list_of(content, "images", path)):
        where = f"{path}: images[{position}]"
        try:
            image_id = field_of(entry, "id", int, where)
            if image_id in images or image_id in skipped_ids:
                raise DataError(f"{where}: got id {image_id} a second time, expected ids that differ")
            skipped_ids.add(image_id)
            images[image_id] = CocoImage(
                id=image_id,
                file_name=file_name_of(entry, where),
                height=field_of(entry, "height", int, where),
                width=field_of(entry, "width", int, where),
                annotations=[],
            )
            skipped_ids.remove(image_id)
        except DataError as error:
            bad(error)
    annotation_ids: set[int] = set()
    for position, annotation in enumerate(list_of(content, "annotations", path)):
        where = f"{path}: annotations[{position}]"
        try:
            image_id = field_of(annotation, "image_id", int, where)
            key = field_of(annotation, sort_key, int, where)
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
            bad(error)
    ordered = [images[image_id] for image_id in sorted(images)]
    for image in ordered:
        image.annotations.sort(key=lambda annotation: annotation[sort_key])
    return ordered


def segments_of(
    annotation: dict[str, Any], schema: PanopticSchemaSpec, where: str
) -> dict[int, tuple[int, bool]]:
    """Segment id -> (class, whether it is a crowd)."""
    segments: dict[int, tuple[int, bool]] = {}
    for position, segment in enumerate(field_of(annotation, "segments_info", list, where)):
        segment_id = field_of(segment, "id", int, f"{where}: segments_info[{position}]")
        inner = f"{where}: segment {segment_id}"
        if segment_id in segments:
            raise DataError(f"{inner}: the id occurs twice, expected ids that differ")
        if not 0 < segment_id < 1 << 24:
            raise DataError(f"{inner}: got an id outside of 1 to 2**24 - 1, which no PNG can hold")
        segments[segment_id] = (category_of(segment, schema, inner), is_crowd(segment, inner))
    return segments


def found_ids(png: Path, pixels: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The segment ids of a PNG, ascending, and ``[H, W]`` places in that list."""
    ids = read_rgb_ids(png)
    if ids.shape != pixels.shape[:2]:
        raise DataError(
            f"{where}: got {png} of {list(ids.shape)}, expected the image's {list(pixels.shape[:2])}"
        )
    found, index = np.unique(ids, return_inverse=True)
    return found, index.reshape(ids.shape)


def check_agreement(in_json: set[int], in_png: set[int], where: str, png: Path) -> None:
    """Refuse a PNG and a JSON that do not have the same segments."""
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


def pixels_of(file: Path, image: CocoImage) -> np.ndarray:
    """The image ``[H, W, 3]``, of the size that its entry says."""
    pixels = read_image(file)
    if pixels.shape[:2] != (image.height, image.width):
        raise DataError(
            f"{file}: image {image.id}: got {pixels.shape[0]} x {pixels.shape[1]} pixels, "
            f"expected {image.height} x {image.width} as its annotations say"
        )
    return pixels


def category_of(entry: Any, schema: PanopticSchemaSpec, where: str) -> int:
    """The class of an annotation or segment, one of the table."""
    label = field_of(entry, "category_id", int, where)
    if label not in schema.classes:
        raise DataError(
            f"{where}: got category_id {label}, "
            f"expected one of the {len(schema.classes)} classes of the table"
        )
    return label


def is_crowd(entry: Any, where: str) -> bool:
    """Whether an annotation or segment is a crowd; without ``iscrowd``, as in LVIS, it is none."""
    crowd = entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise DataError(f"{where}: got iscrowd {crowd!r}, expected 0 or 1")
    return bool(crowd)


def list_of(content: dict[str, Any], key: str, path: Path) -> list[Any]:
    """A list of the file."""
    return field_of(content, key, list, str(path))


def field_of(entry: Any, key: str, kind: type, where: str) -> Any:
    """A field of an entry, of exactly this type."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) is not kind:
        names = {int: "an integer", str: "a string", list: "a list"}
        raise DataError(f"{where}: got {key} {value!r:.40}, expected {names[kind]}")
    return value


def file_name_of(entry: Any, where: str) -> str:
    """``file_name``, or the last part of ``coco_url``, which is all that LVIS gives.

    Raises:
        DataError: if there is none, or it leads out of the folder that it is to be in.
    """
    name = _name_in(entry, where)
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: got file_name {name!r:.80}, expected one within the folder")
    return name


def _name_in(entry: Any, where: str) -> str:
    if isinstance(entry, dict) and "file_name" not in entry and isinstance(entry.get("coco_url"), str):
        name = unquote(urlsplit(entry["coco_url"]).path).rpartition("/")[2]
        if name:
            return name
    return field_of(entry, "file_name", str, where)

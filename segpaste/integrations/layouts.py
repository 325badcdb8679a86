"""Recognising standard layouts where a folder has no mapping file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_json
from segpaste.integrations.mapping import (
    MINIMAL_MAPPING,
    AnySet,
    CocoInstancesSet,
    CocoPanopticSet,
    Mapping,
    mapping_places,
)


def detect_layout(folder: Path) -> Mapping:
    """Find COCO annotations in a folder and what belongs to them.

    JSON files are looked for in the folder and one level below, image and PNG folders
    down to two levels below. A set is named after its JSON file.

    Raises:
        DataError: if there are no annotations, or more than one folder fits them: it
            says where a mapping file was looked for and shows the shortest one.
    """
    passed_over: list[str] = []
    sets = [found for path in _files(folder) for found in _set_of(path, folder, passed_over)]
    if not sets:
        seen = "".join(f"; {reason}" for reason in passed_over)
        raise DataError(f"{folder}: no COCO annotations and no mapping file{seen}; {_help(folder)}")
    return Mapping(sets=tuple(sets))


def _set_of(path: Path, folder: Path, passed_over: list[str]) -> Iterator[AnySet]:
    """The set of a JSON file. One bad record does not hide it: the reader will name that record.

    Files that only resemble annotations, such as COCO's captions, are noted in ``passed_over``.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        return
    for key in ("images", "annotations"):
        if not isinstance(content[key], list) or not content[key]:
            passed_over.append(f"{path}: got {key} {content[key]!r:.40}, expected a list with entries")
            return
    annotation = _first_with(content["annotations"], "segments_info") or _first_with(
        content["annotations"], "segmentation"
    )
    if annotation is None:
        passed_over.append(
            f"{path}: annotations[0]: got neither segmentation nor segments_info, nor in any other, "
            "expected one of them"
        )
        return
    image = _first_with(content["images"], "file_name")
    if image is None:
        raise DataError(f"{path}: images[0]: got no file_name, nor in any other, expected one in each")
    is_panoptic = "segments_info" in annotation
    values = {
        "name": path.relative_to(folder).with_suffix("").as_posix(),
        "annotations": path.relative_to(folder),
    }
    images = _folder_with(image["file_name"], folder, path)
    if not is_panoptic:
        yield CocoInstancesSet(kind="coco_instances", images=images, **values)
        return
    panoptic = _folder_with(annotation.get("file_name"), folder, path)
    yield CocoPanopticSet(kind="coco_panoptic", images=images, panoptic=panoptic, **values)


def _first_with(entries: list[Any], key: str) -> dict[str, Any] | None:
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get(key) is not None), None)


def _folder_with(file_name: object, folder: Path, annotations: Path) -> Path:
    candidates = [place for place in _folders(folder) if (place / str(file_name)).is_file()]
    if len(candidates) != 1:
        fitting = ", ".join(str(place) for place in candidates) or "none"
        raise DataError(
            f"{annotations}: got {len(candidates)} folders with {file_name!r} ({fitting}), expected one; "
            f"{_help(folder)}"
        )
    return candidates[0].relative_to(folder)


def _files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])


def _folders(folder: Path) -> list[Path]:
    return [
        folder,
        *sorted(place for depth in ("*", "*/*") for place in folder.glob(depth) if place.is_dir()),
    ]


def _help(folder: Path) -> str:
    places = ", ".join(str(place) for place in mapping_places(folder))
    return f"a mapping file was looked for at {places}; the shortest one is: {MINIMAL_MAPPING}"

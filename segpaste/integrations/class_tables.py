"""Class tables from a mapping file or from COCO categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_json
from segpaste.integrations.mapping import schema_of
from segpaste.types import PanopticSchemaSpec
from segpaste.types.schema import ThingOrStuff


def class_table(root: Path, classes: dict[int, ThingOrStuff] | Path, ignore_index: int) -> PanopticSchemaSpec:
    """The class table that a mapping file gives: inline, or a JSON file with categories.

    Raises:
        DataError: if the file has no categories or the table is no legal one.
    """
    if isinstance(classes, dict):
        return schema_of(classes, ignore_index, f"{root}: classes")
    path = root / classes
    content = read_json(path)
    categories = content.get("categories") if isinstance(content, dict) else content
    return schema_from_categories(categories, ignore_index, path, isthing_required=True)


def class_names(root: Path, classes: dict[int, ThingOrStuff] | Path) -> dict[int, str]:
    """The names that go with :func:`class_table`, which has read the file; none where it is inline."""
    if isinstance(classes, dict):
        return {}
    content = read_json(root / classes)
    return names_from_categories(content.get("categories") if isinstance(content, dict) else content)


def names_from_categories(categories: Any) -> dict[int, str]:
    """Id -> name of the categories that have one."""
    return {
        category["id"]: category["name"] for category in categories if isinstance(category.get("name"), str)
    }


def schema_from_categories(
    categories: Any, ignore_index: int, path: Path, *, isthing_required: bool
) -> PanopticSchemaSpec:
    """The class table of COCO ``categories``; without ``isthing`` all are things.

    Raises:
        DataError: if there are no categories, one lacks ``id`` or a required
            ``isthing``, an id repeats, or ``ignore_index`` is one of them.
    """
    if not isinstance(categories, list) or not categories:
        raise DataError(f"{path}: no categories, expected a list of {{id, isthing}}")
    classes: dict[int, ThingOrStuff] = {}
    for position, category in enumerate(categories):
        label = category.get("id") if isinstance(category, dict) else None
        if not isinstance(label, int) or isinstance(label, bool):
            raise DataError(f"{path}: categories[{position}]: got id {label!r}, expected an integer")
        isthing = category.get("isthing", None if isthing_required else 1)
        if isthing not in (0, 1):
            raise DataError(f"{path}: category {label}: got isthing {isthing!r}, expected 0 or 1")
        if label in classes:
            raise DataError(f"{path}: category {label}: the id occurs twice, expected ids that differ")
        classes[label] = "thing" if isthing else "stuff"
    return schema_of(classes, ignore_index, str(path))


def free_ignore_index(categories: Any) -> int:
    """255, or where that is the id of a category, as in LVIS, the next number that is none."""
    entries = categories if isinstance(categories, list | tuple) else []
    ids = [entry.get("id") for entry in entries if isinstance(entry, dict)]
    used = {label for label in ids if isinstance(label, int)}
    ignore = 255
    while ignore in used:
        ignore += 1
    return ignore

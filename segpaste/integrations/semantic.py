"""Semantic maps: a folder of images and a folder of PNG files of the same names."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from segpaste.integrations.class_tables import class_names, class_table
from segpaste.integrations.errors import DataError
from segpaste.integrations.files import IMAGE_SUFFIXES, read_image, read_index_map
from segpaste.integrations.mapping import SemanticSet
from segpaste.integrations.records import Labels, Records, dense_sample
from segpaste.types import DenseSample, PanopticSchemaSpec


def read_semantic_set(config: SemanticSet, root: Path, *, skip_bad: bool) -> Records:
    """All images of a folder, by name, with their semantic maps.

    Raises:
        DataError: if the folder is missing or empty, and for the first bad image or map
            unless ``skip_bad``.
    """
    folder = root / config.images
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected one of images")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"{folder}: no images, expected files ending in {', '.join(IMAGE_SUFFIXES)}")
    schema = class_table(root, config.classes, config.ignore_index)
    records = Records(schema, class_names=class_names(root, config.classes))
    if len(files) > config.limit:
        records.counts["images left out by the limit"] += len(files) - config.limit
    labels = root / config.semantic.folder

    def build(file: Path) -> DenseSample:
        pixels = read_image(file)
        semantic = read_semantic(labels, file.name, config.semantic.unlabelled, records.schema, pixels)
        return dense_sample(str(file), pixels, Labels(semantic=semantic))

    records.collect(((file.name, partial(build, file)) for file in files[: config.limit]), skip_bad)
    return records


def read_semantic(
    folder: Path, image_name: str, unlabelled: tuple[int, ...], schema: PanopticSchemaSpec, pixels: np.ndarray
) -> np.ndarray:
    """The semantic map ``[H, W]`` int64 of an image; unlabelled values become *ignore*.

    Args:
        folder: where the PNG files are.
        image_name: file name of the image; the map has its stem.
        unlabelled: values that mean *no label*.
        schema: the class table.
        pixels: the image, for its size.

    Raises:
        DataError: if the file is missing, of another size, or has values that are
            neither classes nor unlabelled.
    """
    file = folder / Path(image_name).with_suffix(".png").name
    stored = read_index_map(file)
    if stored.shape != pixels.shape[:2]:
        raise DataError(f"{file}: got {list(stored.shape)}, expected the image's {list(pixels.shape[:2])}")
    semantic = np.where(np.isin(stored, unlabelled), schema.ignore_index, stored)
    unknown = sorted(set(np.unique(semantic).tolist()) - set(schema.classes) - {schema.ignore_index})
    if unknown:
        raise DataError(
            f"{file}: got values {unknown[:5]}, expected classes of the table, "
            f"{schema.ignore_index} or one of unlabelled {list(unlabelled)}"
        )
    return semantic

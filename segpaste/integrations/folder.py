"""Reading a data folder: what ``segpaste verify --data DIR`` reads."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

from segpaste.integrations.coco import read_coco_instances, read_coco_panoptic
from segpaste.integrations.data_set import DataSet, assemble
from segpaste.integrations.errors import DataError
from segpaste.integrations.frames import read_frames
from segpaste.integrations.layouts import detect_layout
from segpaste.integrations.mapping import (
    AnySet,
    CocoInstancesSet,
    CocoPanopticSet,
    FramesSet,
    ImageLabels,
    Mapping,
    SemanticSet,
    mapping_places,
    read_mapping,
)
from segpaste.integrations.records import Records
from segpaste.integrations.semantic import read_semantic_set
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample, Modality, modality_set_name


def load_data(
    path: str | Path,
    *,
    mapping: str | Path | None = None,
    modalities: Collection[Modality] | None = None,
    skip_bad: bool = False,
) -> list[DataSet]:
    """Read every set of a data folder.

    Args:
        path: the folder.
        mapping: its mapping file; by default the first that exists of
            :func:`~segpaste.integrations.mapping.mapping_places`, and without any the
            folder is searched for COCO annotations.
        modalities: keep only the sets that have all of these, and of their samples only
            these. A legal set of a paste; the image is always kept.
        skip_bad: leave bad records out and count them in ``DataSet.skipped``, instead of
            raising at the first.

    Raises:
        DataError: one line naming file, record and what would be valid.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected a data folder")
    wanted = None if modalities is None else _legal(modalities)
    found = _mapping_of(folder, None if mapping is None else Path(mapping))
    data_sets: list[DataSet] = []
    for config in found.sets:
        if wanted is not None and not wanted <= config.modalities:
            continue
        data_set = assemble(config.name, _read_set(config, folder, skip_bad=skip_bad))
        if wanted is None:
            data_sets.append(data_set)
        elif wanted <= data_set.modalities:
            data_sets.append(data_set.only(wanted))
    if not data_sets:
        have = ", ".join(f"{each.name} ({modality_set_name(each.modalities)})" for each in found.sets)
        raise DataError(
            f"{folder}: no set has {modality_set_name(wanted or frozenset())}, expected some of: {have}"
        )
    return data_sets


def _legal(modalities: Collection[Modality]) -> frozenset[Modality]:
    wanted = frozenset(modalities) | {Modality.IMAGE}
    if wanted not in LEGAL_MODALITY_SETS:
        legal = ", ".join(modality_set_name(each) for each in LEGAL_MODALITY_SETS)
        raise DataError(f"modalities: got {modality_set_name(wanted)}, expected one of: {legal}")
    return wanted


def _mapping_of(folder: Path, given: Path | None) -> Mapping:
    if given is not None:
        return read_mapping(given)
    for place in mapping_places(folder):
        if os.path.lexists(place):  # a folder of that name or a dead link is an error, not passed over
            return read_mapping(place)
    return detect_layout(folder)


def _read_set(config: AnySet, folder: Path, *, skip_bad: bool) -> Records:
    if isinstance(config, CocoInstancesSet):
        return read_coco_instances(config, folder, skip_bad=skip_bad)
    if isinstance(config, CocoPanopticSet):
        return read_coco_panoptic(config, folder, skip_bad=skip_bad)
    if isinstance(config, SemanticSet):
        return read_semantic_set(config, folder, skip_bad=skip_bad)
    labels = config.labels
    labelled = partial(_labelled_image, labels, folder) if isinstance(labels, ImageLabels) else None
    return read_frames(config, folder, skip_bad=skip_bad, labelled=labelled)


def _labelled_image(labels: ImageLabels, folder: Path) -> tuple[DenseSample, Records]:
    """The image of another folder that the mapping file names, and the set it is in."""
    other = folder / labels.folder
    if not other.is_dir():
        raise DataError(f"{other}: no such folder, expected one with the labels of {folder}")
    sets = _mapping_of(other, None if labels.mapping is None else folder / labels.mapping).sets
    for config in sets:
        if config.name == labels.set and not isinstance(config, FramesSet):
            records = _read_set(config, other, skip_bad=True)
            if labels.image not in records.names:
                raise DataError(
                    f"{other}: set {labels.set!r}: no image {labels.image!r} among {records.names[:5]}"
                )
            return records.samples[records.names.index(labels.image)], records
    have = [config.name for config in sets if not isinstance(config, FramesSet)]
    raise DataError(f"{other}: no labelled set {labels.set!r}, expected one of {have}")

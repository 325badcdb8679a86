"""Records: one image with its labels, built one by one, so that a bad one can be skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from segpaste.integrations.errors import DataError
from segpaste.types import DenseSample, PanopticSchemaSpec

# Each set takes at least this many instances per image, more where the data has more.
LEAST_MAX_INSTANCES = 256


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one image; every map ``[H, W]``.

    Attributes:
        masks: ``[N, H, W]`` bool, ``None`` without rows.
        classes: ``[N]`` int64.
        semantic: ``[H, W]`` int64.
        panoptic: ``[H, W]`` int64; row n has id n + 1.
    """

    masks: np.ndarray | None = None
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    semantic: np.ndarray | None = None
    panoptic: np.ndarray | None = None


@dataclass(slots=True)
class Records:
    """What a reader hands on: samples of any size, and what was left out.

    Attributes:
        samples: not yet padded to a common canvas.
        names: one per sample.
        schema: the class table.
        skipped: one message per bad record left out.
        counts: what else the reader decided, such as ``crowd regions made void``, and
            how often.
        class_names: class id -> name, as far as the data name their classes.
    """

    schema: PanopticSchemaSpec
    samples: list[DenseSample] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    class_names: dict[int, str] = field(default_factory=dict)

    def collect(self, jobs: Iterable[tuple[str, Callable[[], DenseSample]]], skip_bad: bool) -> None:
        """Run one job per record.

        Raises:
            DataError: the first job's, unless ``skip_bad``.
        """
        for name, job in jobs:
            try:
                self.samples.append(job())
                self.names.append(name)
            except DataError as error:
                self.skip_or_raise(error, skip_bad)

    def skip_or_raise(self, error: DataError, skip_bad: bool) -> None:
        """Count a bad record, or raise what is wrong with it."""
        if not skip_bad:
            raise error
        self.skipped.append(str(error))


def dense_sample(where: str, image: np.ndarray, labels: Labels, **geometry: Any) -> DenseSample:
    """A sample from arrays; boxes are computed from the masks.

    Args:
        where: file or record, for the message.
        image: ``[H, W, 3]`` uint8 or float32.
        labels: the labels.
        geometry: depth, depth_valid, normals, camera_intrinsics, metric_depth.

    Raises:
        DataError: if the sample would not be well formed.
    """
    values: dict[str, Any] = {"image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))}
    if labels.masks is not None:
        values["instance_masks"] = torch.from_numpy(labels.masks)
        values["instance_ids"] = torch.arange(1, len(labels.masks) + 1, dtype=torch.int32)
        values["labels"] = torch.from_numpy(labels.classes.astype(np.int64))
        values["boxes"] = torch.from_numpy(boxes_of(labels.masks))
    if labels.semantic is not None:
        values["semantic_map"] = torch.from_numpy(labels.semantic)
    if labels.panoptic is not None:
        values["panoptic_map"] = torch.from_numpy(labels.panoptic)
    try:
        return DenseSample(**values, **geometry)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {error}") from error


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """Half-open XYXY boxes ``[N, 4]`` float32 of masks ``[N, H, W]``; none may be empty."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for row, mask in enumerate(masks):
        columns, lines = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        boxes[row] = columns[0], lines[0], columns[-1] + 1, lines[-1] + 1
    return boxes


def room_for_rows(schema: PanopticSchemaSpec, samples: Iterable[DenseSample]) -> PanopticSchemaSpec:
    """The class table with room for the image that has the most rows."""
    most = max((len(sample) for sample in samples), default=0)
    if most <= schema.max_instances_per_image:
        return schema
    return schema.model_copy(update={"max_instances_per_image": most})

"""Crops of all objects of dense samples, for :func:`segpaste.bank.build_bank`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from segpaste.bank.cropping import Oversize, Scene, check_cropping, check_names, crop_object
from segpaste.bank.meta import MAX_CLASSES, BankHead
from segpaste.bank.protocol import BankCrop, CropProvenance
from segpaste.integrations.errors import DataError
from segpaste.types import DenseSample, PanopticSchema

_STUFF = "stuff segments"

_READ = (
    "image",
    "labels",
    "instance_ids",
    "instance_masks",
    "depth",
    "depth_valid",
    "normals",
    "padding_mask",
)


class SampleCrops:
    """Every row of dense samples as a crop, with the depth, normals and intrinsics of its sample.

    In the order of the samples and of their rows. The provenance's ``image_id`` is the place of
    the sample, ``annotation_id`` the row's instance id. Padding stands in no crop.

    The samples are read twice: once for a digest, and to see what they carry, and once to be cut.

    Args:
        samples: any sequence; one that reads a sample when asked for it is asked for one at a
            time, in every process of a build, so it must be one that can be pickled.
        crop_size: ``(h, w)`` of every crop.
        min_area: leave out objects of fewer pixels.
        schema: the class table; with it, rows of stuff give no crop.
        class_names: class id -> name.
        dataset: name of the data set for the provenance.
        model: name of the model whose pseudo-labels these are.
        oversize: ``"shrink"`` an object larger than a crop until it fits, or ``"skip"`` it.
        samples_per_shard: how many samples are one piece of work; an interrupted build goes on
            only with the same number.

    Raises:
        ValueError: on an argument of another value than above.
        DataError: on a sample without masks, of another image than ``[3, H, W]`` uint8, or if
            metric and relative depth are mixed; raised by the methods, which read the samples.
    """

    def __init__(
        self,
        samples: Sequence[DenseSample],
        *,
        crop_size: tuple[int, int] = (128, 128),
        min_area: int = 0,
        schema: PanopticSchema | None = None,
        class_names: Mapping[int, str] | None = None,
        dataset: str = "",
        model: str | None = None,
        oversize: Oversize = "shrink",
        samples_per_shard: int = 16,
    ) -> None:
        check_cropping(crop_size, min_area, oversize)
        if type(samples_per_shard) is not int or samples_per_shard < 1:
            raise ValueError(
                f"samples_per_shard: got {samples_per_shard!r}, expected an integer of 1 or more"
            )
        check_names(dataset, model)
        self._samples = samples
        self._class_names = dict(class_names or {})
        self._samples_per_shard = samples_per_shard
        stuff = () if schema is None else (c for c, kind in schema.classes.items() if kind == "stuff")
        self._classes = () if schema is None else tuple(schema.classes)
        self._work = _Work((crop_size[0], crop_size[1]), min_area, frozenset(stuff), dataset, model, oversize)

    def head(self) -> BankHead:
        """What is common to all crops."""
        seen, work = self._seen, self._work
        largest = max((seen.largest_class, *self._classes, *self._class_names))
        if largest >= MAX_CLASSES:
            raise DataError(
                f"samples: got class id {largest}, expected less than {MAX_CLASSES}: "
                "a bank has a place for each class id up to the largest"
            )
        return BankHead(
            crop_size=work.crop_size,
            num_classes=largest + 1,
            class_names=self._class_names,
            has_depth=seen.depth,
            has_normals=seen.normals,
            has_intrinsics=seen.intrinsics,
            metric_depth=seen.metric is True,
            datasets=(work.dataset,),
            models=() if work.model is None else (work.model,),
        )

    def shards(self) -> Sequence[SampleShard]:
        """The samples, some at a time."""
        shards: list[SampleShard] = []
        for start in range(0, len(self._samples), self._samples_per_shard):
            stop = min(start + self._samples_per_shard, len(self._samples))
            if isinstance(self._samples, list | tuple):  # only what it needs travels to a worker
                shards.append(SampleShard(self._work, self._samples[start:stop], range(stop - start), start))
            else:
                shards.append(SampleShard(self._work, self._samples, range(start, stop), start))
        return shards

    def most_crops(self) -> int:
        """One for each row."""
        return self._seen.rows

    def built_from(self) -> dict[str, Any]:
        """The digest of all samples, and the parameters."""
        work = self._work
        return {
            "source": "dense samples",
            "samples": self._seen.digest,
            "crop_size": list(work.crop_size),
            "min_area": work.min_area,
            "stuff": sorted(work.stuff),
            "oversize": work.oversize,
            "samples_per_shard": self._samples_per_shard,
        }

    @cached_property
    def _seen(self) -> _Seen:
        digest = hashlib.sha256()
        rows, largest, depth, normals, intrinsics = 0, 0, False, False, False
        metric: bool | None = None
        for place in range(len(self._samples)):
            sample = self._samples[place]
            _check(sample, place)
            rows += len(sample)
            largest = max(largest, int(sample.labels.max()) if len(sample) else 0)
            normals |= sample.normals is not None
            intrinsics |= sample.camera_intrinsics is not None
            if sample.depth is not None:
                depth = True
                if metric not in (None, sample.metric_depth):
                    raise DataError(
                        f"samples[{place}]: metric_depth: got {sample.metric_depth}, expected "
                        f"{metric} as in the samples before: a bank's depth is all metric or all relative"
                    )
                metric = sample.metric_depth
            _digest_of(sample, digest)
        return _Seen(digest.hexdigest(), rows, largest, depth, normals, intrinsics, metric)


class _Seen(NamedTuple):
    """What reading all samples tells."""

    digest: str
    rows: int
    largest_class: int
    depth: bool
    normals: bool
    intrinsics: bool
    metric: bool | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all samples."""

    crop_size: tuple[int, int]
    min_area: int
    stuff: frozenset[int]
    dataset: str
    model: str | None
    oversize: Oversize


@dataclass(frozen=True, slots=True, eq=False)
class SampleShard:
    """Some samples.

    Attributes:
        samples: they, or all.
        places: which of ``samples`` they are.
        first: the number of the first.
    """

    work: _Work
    samples: Sequence[DenseSample]
    places: range
    first: int

    def crops(self) -> tuple[list[BankCrop], dict[str, int]]:
        """The crops of the samples' rows, and what was left out: reason -> number."""
        work, left_out = self.work, Counter[str]()
        crops: list[BankCrop] = []
        for number, place in enumerate(self.places, start=self.first):
            sample = self.samples[place]
            _check(sample, number)
            scene, masks, ids = _arrays(sample)
            for row, label in enumerate(sample.labels.tolist()):
                if label in work.stuff:
                    left_out[_STUFF] += 1
                    continue
                crop = crop_object(
                    scene,
                    masks[row],
                    work.crop_size,
                    class_id=label,
                    provenance=CropProvenance(work.dataset, number, ids[row], work.model),
                    min_area=work.min_area,
                    oversize=work.oversize,
                )
                if isinstance(crop, str):
                    left_out[crop] += 1
                else:
                    crops.append(crop)
        return crops, dict(sorted(left_out.items()))

    def inputs(self) -> str:
        """Nothing: the source says it all with the digest of its samples."""
        return ""


def _arrays(sample: DenseSample) -> tuple[Scene, np.ndarray, list[int]]:
    """The sample up to its padding, its masks ``[N, H, W]`` and the rows' ids."""
    height, width = sample.canvas_size
    if sample.padding_mask is not None:  # the complement of a rectangle at the top left
        there = ~_plain(sample.padding_mask)[0]
        height, width = int(there.any(axis=1).sum()), int(there.any(axis=0).sum())

    def part(tensor: torch.Tensor | None) -> np.ndarray | None:
        return None if tensor is None else _plain(tensor)[:, :height, :width]

    def last(array: np.ndarray | None) -> np.ndarray | None:
        return None if array is None else np.moveaxis(array, 0, 2)

    depth, valid = part(sample.depth), part(sample.depth_valid)
    scene = Scene(
        image=np.moveaxis(_plain(sample.image)[:, :height, :width], 0, 2),
        depth=None if depth is None else depth[0],
        depth_valid=None if valid is None else valid[0],
        normals=last(part(sample.normals)),
        camera_intrinsics=sample.camera_intrinsics,
        metric_depth=sample.metric_depth,
    )
    masks, ids = part(sample.instance_masks), sample.instance_ids
    if masks is None or ids is None:
        return scene, np.zeros((0, height, width), bool), []
    return scene, masks, ids.tolist()


def _check(sample: DenseSample, place: int) -> None:
    if len(sample) and sample.instance_masks is None:
        raise DataError(f"samples[{place}]: instance_masks: got none for {len(sample)} rows, expected masks")
    if sample.image.dtype != torch.uint8 or sample.image.shape[0] != 3:
        raise DataError(
            f"samples[{place}]: image: got {sample.image.dtype} {list(sample.image.shape)}, "
            "expected torch.uint8 [3, H, W]"
        )


def _digest_of(sample: DenseSample, digest: Any) -> None:
    for name in _READ:
        tensor = getattr(sample, name)
        if tensor is not None:
            array = _plain(tensor)
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.data)
    intrinsics = sample.camera_intrinsics
    numbers = None if intrinsics is None else [float(n).hex() for n in intrinsics.as_tuple()]
    digest.update(f"camera_intrinsics {numbers} metric {sample.metric_depth}\n".encode())


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.as_subclass(torch.Tensor).detach().cpu().numpy())

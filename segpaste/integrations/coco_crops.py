"""Crops of all objects of a COCO file, for :func:`segpaste.bank.build_bank`."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from segpaste.bank.cropping import Oversize, Scene, check_cropping, check_names, crop_object
from segpaste.bank.meta import MAX_CLASSES, BankHead
from segpaste.bank.protocol import BankCrop, CropProvenance
from segpaste.integrations.class_tables import schema_from_categories
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
from segpaste.integrations.files import file_digest, file_size
from segpaste.integrations.rle import mask_of
from segpaste.types import PanopticSchemaSpec
from segpaste.types.schema import classes_of_kind

_CROWD, _STUFF = "crowd regions", "stuff segments"
_BAD_IMAGE, _BAD_ENTRY = "images that cannot be read", "annotations that cannot be read"


class CocoCrops:
    """Every object of COCO instances, or every thing of COCO panoptic, as a crop.

    In the order of the image ids, and within an image of the annotation or segment ids. Crowd
    regions and stuff give no crop. Class ids are the file's category ids, unchanged. An annotation
    may lack ``iscrowd`` (LVIS) and may have a ``score`` (pseudo-labels), which is kept; an image may
    lack ``file_name`` where it has a ``coco_url``.

    Args:
        annotations: the JSON file, of instances or, with ``panoptic``, of panoptic segments.
        images: folder of the images.
        crop_size: ``(h, w)`` of every crop.
        min_area: leave out objects of fewer pixels in the image.
        panoptic: folder of the panoptic PNGs.
        dataset: name of the data set for the provenance; the JSON's name by default.
        model: name of the model whose pseudo-labels these are.
        oversize: ``"shrink"`` an object larger than a crop until it fits, or ``"skip"`` it.
        skip_bad: leave out images and annotations that cannot be read, and count them.
        images_per_shard: how many images are one piece of work; an interrupted build goes on
            only with the same number.

    Attributes:
        skipped: what is wrong with the entries of the JSON that were left out, with ``skip_bad``.

    Raises:
        ValueError: on an argument of another value than above.
        DataError: if the JSON is not readable or an image is missing; for the first bad entry,
            here or when it is cut, unless ``skip_bad``.
    """

    def __init__(
        self,
        annotations: Path | str,
        images: Path | str,
        *,
        crop_size: tuple[int, int] = (128, 128),
        min_area: int = 0,
        panoptic: Path | str | None = None,
        dataset: str | None = None,
        model: str | None = None,
        oversize: Oversize = "shrink",
        skip_bad: bool = False,
        images_per_shard: int = 16,
    ) -> None:
        check_cropping(crop_size, min_area, oversize)
        if type(images_per_shard) is not int or images_per_shard < 1:
            raise ValueError(f"images_per_shard: got {images_per_shard!r}, expected an integer of 1 or more")
        check_names(dataset, model)
        path = Path(annotations)
        content = content_of(path)
        if panoptic is None:
            _refuse_panoptic(content, path)
        categories = content.get("categories")
        schema = schema_from_categories(
            categories, _unused_id(categories), path, isthing_required=panoptic is not None
        )
        largest = max(schema.classes)
        if largest >= MAX_CLASSES:
            raise DataError(
                f"{path}: categories: got id {largest}, expected less than {MAX_CLASSES}: "
                "a bank has a place for each class id up to the largest"
            )
        self.skipped: list[str] = []
        self._names = {c["id"]: c["name"] for c in categories or () if isinstance(c.get("name"), str)}
        self._images_per_shard = images_per_shard
        self._work = _Work(
            path=path,
            images=Path(images),
            panoptic=None if panoptic is None else Path(panoptic),
            crop_size=(crop_size[0], crop_size[1]),
            min_area=min_area,
            dataset=path.stem if dataset is None else dataset,
            model=model,
            oversize=oversize,
            skip_bad=skip_bad,
            schema=schema,
        )
        found = images_of(content, path, "id" if panoptic is None else "image_id", self._bad)
        # An image without annotations is not even read.
        self._images = [image for image in found if image.annotations or panoptic is not None]
        self._digests = self._digests_of_files()

    def head(self) -> BankHead:
        """What is common to all crops."""
        work = self._work
        return BankHead(
            crop_size=work.crop_size,
            num_classes=max(work.schema.classes) + 1,
            class_names=self._names,
            datasets=(work.dataset,),
            models=() if work.model is None else (work.model,),
        )

    def shards(self) -> Sequence[CocoShard]:
        """The images, some at a time."""
        size = self._images_per_shard
        return [
            CocoShard(self._work, tuple(self._images[start : start + size]))
            for start in range(0, len(self._images), size)
        ]

    def most_crops(self) -> int:
        """One for each annotation, or each segment of a thing."""
        entries = [annotation for image in self._images for annotation in image.annotations]
        if self._work.panoptic is None:
            return len(entries)
        things = classes_of_kind(self._work.schema, "thing")
        lists = (entry.get("segments_info") for entry in entries)
        segments = (segment for each in lists if isinstance(each, list) for segment in each)
        return sum(isinstance(each, dict) and each.get("category_id") in things for each in segments)

    def built_from(self) -> dict[str, Any]:
        """Digests of the JSON and of the names and sizes of all images, and the parameters."""
        work = self._work
        return {
            "source": "coco instances" if work.panoptic is None else "coco panoptic",
            **self._digests,
            "crop_size": list(work.crop_size),
            "min_area": work.min_area,
            "oversize": work.oversize,
            "skip_bad": work.skip_bad,
            "images_per_shard": self._images_per_shard,
        }

    def _bad(self, error: DataError) -> None:
        if not self._work.skip_bad:
            raise error
        self.skipped.append(str(error))

    def _digests_of_files(self) -> dict[str, str]:
        digests = {"annotations": file_digest(self._work.path)}
        digests["images"] = self._digest_of_sizes(
            (self._work.images / image.file_name) for image in self._images
        )
        if self._work.panoptic is not None:
            names = (a.get("file_name") for image in self._images for a in image.annotations)
            digests["panoptic"] = self._digest_of_sizes(
                self._work.panoptic / name for name in names if isinstance(name, str)
            )
        return digests

    def _digest_of_sizes(self, files: Iterator[Path]) -> str:
        """SHA-256 of names and sizes. The contents are read by the shards, on all workers."""
        digest = hashlib.sha256()
        for file in files:
            try:
                size = file_size(file)
            except DataError as error:
                if not self._work.skip_bad:
                    raise error
                size = -1  # counted when its turn comes
            digest.update(f"{file.name}\0{size}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Work:
    """What is the same for all images."""

    path: Path
    images: Path
    panoptic: Path | None
    crop_size: tuple[int, int]
    min_area: int
    dataset: str
    model: str | None
    oversize: Oversize
    skip_bad: bool
    schema: PanopticSchemaSpec


@dataclass(frozen=True, slots=True)
class CocoShard:
    """Some images with their annotations."""

    work: _Work
    images: tuple[CocoImage, ...]

    def crops(self) -> tuple[list[BankCrop], dict[str, int]]:
        """The crops of the images' objects, and what was left out: reason -> number.

        Raises:
            DataError: naming the file and the annotation that are not as they should be,
                unless they are to be left out.
        """
        left_out = Counter[str]()
        crops: list[BankCrop] = []
        for image in self.images:
            try:
                crops += self._crops_of(image, left_out)
            except DataError:
                if not self.work.skip_bad:
                    raise
                left_out[_BAD_IMAGE] += 1
        return crops, dict(sorted(left_out.items()))

    def inputs(self) -> str:
        """The SHA-256 over those of the images and PNGs, in order."""
        digest = hashlib.sha256()
        for image in self.images:
            for file in self._files_of(image):
                try:
                    content = file_digest(file)
                except DataError:  # named or counted when it is cut
                    content = "cannot be read"
                digest.update(f"{content}\n".encode())
        return digest.hexdigest()

    def _files_of(self, image: CocoImage) -> list[Path]:
        files = [self.work.images / image.file_name]
        if self.work.panoptic is not None:
            names = (annotation.get("file_name") for annotation in image.annotations)
            files += [self.work.panoptic / name for name in names if isinstance(name, str)]
        return files

    def _crops_of(self, image: CocoImage, left_out: Counter[str]) -> list[BankCrop]:
        """The crops of one image; counted is only what was left out of an image that can be read."""
        work, counts = self.work, Counter[str]()
        where = f"{work.path}: image {image.id}"
        _check_number(image.id, where)
        # Read when the first object asks for it: not at all where there are only crowds.
        pixels = _Once(partial(_bytes_of, work.images / image.file_name, image))
        objects = self._instances if work.panoptic is None else self._segments
        crops: list[BankCrop] = []
        for number, label, mask, score in objects(image, where, pixels, counts):
            crop = crop_object(
                Scene(pixels()),
                mask,
                work.crop_size,
                class_id=label,
                provenance=CropProvenance(work.dataset, image.id, number, work.model, score),
                min_area=work.min_area,
                oversize=work.oversize,
            )
            if isinstance(crop, str):
                counts[crop] += 1
            else:
                crops.append(crop)
        left_out.update(counts)
        return crops

    def _instances(
        self, image: CocoImage, where: str, pixels: _Once, counts: Counter[str]
    ) -> Iterator[tuple[int, int, np.ndarray, float | None]]:
        """Annotation id, class, mask ``[H, W]`` and score of each object."""
        for annotation in image.annotations:
            at = f"{where}: annotation {annotation['id']}"
            try:
                _check_number(annotation["id"], at)
                label = category_of(annotation, self.work.schema, at)
                if is_crowd(annotation, at):
                    counts[_CROWD] += 1
                    continue
                if self.work.schema.classes[label] != "thing":
                    counts[_STUFF] += 1
                    continue
                mask = mask_of(annotation.get("segmentation"), image.height, image.width, at)
                score = _score(annotation, at)
            except DataError:
                if not self.work.skip_bad:
                    raise
                counts[_BAD_ENTRY] += 1
                continue
            yield annotation["id"], label, mask, score

    def _segments(
        self, image: CocoImage, where: str, pixels: _Once, counts: Counter[str]
    ) -> Iterator[tuple[int, int, np.ndarray, float | None]]:
        """Segment id, class and mask ``[H, W]`` of each thing."""
        work = self.work
        if len(image.annotations) != 1:
            raise DataError(f"{where}: got {len(image.annotations)} annotations, expected one")
        (annotation,) = image.annotations
        png = (work.panoptic or Path()) / file_name_of(annotation, where)
        segments = segments_of(annotation, work.schema, where)
        found, index = found_ids(png, pixels(), where)
        check_agreement(set(segments), set(found.tolist()) - {0}, where, png)
        for place, segment_id in enumerate(found.tolist()):
            if segment_id == 0:
                continue
            label, crowd = segments[segment_id]
            if crowd:
                counts[_CROWD] += 1
            elif work.schema.classes[label] == "stuff":
                counts[_STUFF] += 1
            else:
                yield segment_id, label, index == place, None


class _Once:
    """An image that is read when it is first asked for."""

    def __init__(self, read: partial[np.ndarray]) -> None:
        self._read = read
        self._pixels: np.ndarray | None = None

    def __call__(self) -> np.ndarray:
        if self._pixels is None:
            self._pixels = self._read()
        return self._pixels


def _bytes_of(file: Path, image: CocoImage) -> np.ndarray:
    pixels = pixels_of(file, image)
    if pixels.dtype != np.uint8:
        raise DataError(f"{file}: got an image of {pixels.dtype}, expected uint8")
    return pixels


def _score(annotation: dict[str, Any], where: str) -> float | None:
    score = annotation.get("score")
    if score is None:
        return None
    if type(score) in (int, float):
        with suppress(OverflowError):  # an integer beyond all floats
            if math.isfinite(number := float(score)):
                return number
    raise DataError(f"{where}: got score {score!r:.40}, expected a finite number")


def _check_number(number: int, where: str) -> None:
    if not -(1 << 63) <= number < 1 << 63:
        raise DataError(f"{where}: got an id of more than 64 bits, expected one that fits")


def _refuse_panoptic(content: dict[str, Any], path: Path) -> None:
    """Say what is missing, where each annotation would be refused for something else."""
    entries = content.get("annotations")
    first = entries[0] if isinstance(entries, list) and entries else None
    if isinstance(first, dict) and "segments_info" in first:
        raise DataError(
            f"{path}: got panoptic annotations (segments_info), expected instances, "
            "or panoptic (--panoptic): the folder of their PNGs"
        )


def _unused_id(categories: Any) -> int:
    """An ``ignore_index``, which a class table needs and a bank does not."""
    entries = categories if isinstance(categories, list) else []
    used = {entry.get("id") for entry in entries if isinstance(entry, dict)}
    return next(number for number in count() if number not in used)

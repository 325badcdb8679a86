"""Samples written as COCO files: images, instances and panoptic segmentation."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import yaml
from PIL import Image

from segpaste.bank.folder_beside import flush, folder_beside
from segpaste.integrations.class_tables import free_ignore_index, schema_from_categories
from segpaste.integrations.coco_encoding import EncodedSample, encoded
from segpaste.integrations.errors import DataError
from segpaste.integrations.files import IMAGE_SUFFIXES, read_json
from segpaste.integrations.mapping import FILE_NAME
from segpaste.types import (
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchema,
)
from segpaste.types.numbers import whole_number

ImageFormat = Literal["png", "jpg"]
Samples = Iterable[
    DenseSample | BatchedDenseSample | PaddedBatchedDenseSample | list[DenseSample] | tuple[DenseSample, ...]
]

IMAGES, INSTANCES = "images", "instances.json"
PANOPTIC, PANOPTIC_JSON = "panoptic", "panoptic.json"
# Of Pillow's 6 levels beyond, the next one takes a third longer for three per cent less.
_PNG = {"format": "PNG", "compress_level": 3}
_OURS = {IMAGES, INSTANCES, PANOPTIC, PANOPTIC_JSON, FILE_NAME}
_MARK = "written by segpaste"
_SUFFIXES = {*IMAGE_SUFFIXES, ".gif", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class CocoExport:
    """What :func:`to_coco` wrote.

    Attributes:
        images: folder of the images.
        instances: the JSON file of instances.
        panoptic: the JSON file of panoptic segments; ``None`` where samples have no panoptic map.
        panoptic_folder: folder of the panoptic PNGs; likewise.
        image_ids: one per sample.
        annotations: number of instances.
        segments: number of panoptic segments, things and stuff.
        left_out: rows that are in no file, by why.
    """

    images: Path
    instances: Path
    panoptic: Path | None
    panoptic_folder: Path | None
    image_ids: tuple[int, ...]
    annotations: int
    segments: int
    left_out: dict[str, int]


def to_coco(
    samples: Samples,
    folder: str | Path,
    *,
    schema: PanopticSchema | None = None,
    categories: Sequence[Mapping[str, Any]] | None = None,
    image_format: ImageFormat = "png",
    quality: int = 95,
    float_range: tuple[float, float] | None = None,
    file_names: Iterable[str] | None = None,
    image_ids: Iterable[int] | None = None,
    overwrite: bool = False,
) -> CocoExport:
    """Write samples as a COCO data set, to be stored, looked at and evaluated.

    ``folder`` gets ``images/``, ``instances.json`` (every row: run lengths, area and box of its
    mask, ``iscrowd`` 0) and, where the samples have panoptic maps, ``panoptic.json`` and
    ``panoptic/`` (every thing, and one segment for each stuff class of an image; ids count from 1
    in each image, things first, in the order of the rows; 0 is void). ``CocoDetectionV2`` and
    ``CocoPanopticV2`` read the same masks, labels and maps back, with ids counted from 1; so does
    ``load_data``, by the mapping file that is written, too.

    Samples are written one by one as they come, and none is kept. They go into a hidden folder
    beside ``folder``, which is renamed at the end: there is a whole data set or none. The same
    samples and arguments give the same bytes.

    Of a sample with padding the valid rectangle is written. Void is in no segment. Crowd regions
    of the data that samples were read from are void already, or unknown, and do not come back as
    crowds. Depth, normals and cameras are not written, nor is a semantic map without a panoptic
    one: COCO has no place for them.

    Args:
        samples: an iterable of :class:`DenseSample`, or of batches of them: lists, what
            :class:`~segpaste.BatchCopyPaste` gives. With instance masks; all of them with a
            panoptic map, or none.
        folder: to be made; its parent must exist.
        schema: the class table; by default that of ``categories``.
        categories: COCO's ``categories`` with whatever they say, such as those of the data set that
            was read; by default made from ``schema``, with names such as ``"class 7"``. One of the
            two must be given.
        image_format: ``"png"``, exact, or ``"jpg"``.
        quality: of JPEG, 1 to 100.
        float_range: the values of float32 images that become 0 and 255, such as ``(0, 1)``. Float
            images are refused without it, as are values outside.
        file_names: a name for each sample, of which the suffix of an image (``.jpg``) is replaced; by
            default the image id in 12 digits.
        image_ids: an id for each sample; by default 1, 2, ...
        overwrite: replace ``folder`` if it is empty or holds what this function wrote, and nothing
            else. Who is killed while folders are exchanged leaves the former one beside its place, as
            ``.NAME.replaced-...``; the next write with ``overwrite`` removes it.

    Returns:
        Where everything is, and what was left out.

    Raises:
        TypeError: on samples, or another argument, of another type.
        ValueError: naming the sample, if it has no masks, a label that is no class or, among rows,
            no thing, a panoptic map that disagrees with its rows or its semantic map, or no pixel
            that is not padding; on ids or names that repeat or are too few or too many.
        DataError: naming the path, if it exists, or cannot be written.
    """
    table, listed = _classes(schema, categories)
    if image_format not in get_args(ImageFormat):
        raise ValueError(f"image_format: got {image_format!r}, expected one of {list(get_args(ImageFormat))}")
    whole_number("quality", quality, at_least=1, below=101)
    levels = _checked_range(float_range)
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder: got {type(folder).__name__}, expected a path")
    target = Path(folder)
    with ExitStack() as stack:
        with _writing(target):
            _check_place(target, overwrite)
            hidden = stack.enter_context(folder_beside(target))
            writer = _Writer(hidden, table, listed, image_format, quality)
        for position, (sample, image_id, name) in enumerate(_numbered(samples, image_ids, file_names)):
            where = f"samples[{position}]"
            entry = encoded(sample, table, levels, where)
            with _writing(target):
                writer.add(entry, image_id, name, where)
        with _writing(target):
            written = writer.finish()
            _move(hidden, target, overwrite)
            flush(target.parent)
    return CocoExport(
        images=target / IMAGES,
        instances=target / INSTANCES,
        panoptic=target / PANOPTIC_JSON if writer.panoptic else None,
        panoptic_folder=target / PANOPTIC if writer.panoptic else None,
        **written,
    )


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """What the system says of our files becomes an error that names the folder; not what samples raise."""
    try:
        yield
    except (OSError, UnicodeError) as error:
        raise DataError(f"{target}: cannot be written: {error}") from error


class _Writer:
    """The files of one data set, in a folder that is there and empty."""

    def __init__(
        self,
        folder: Path,
        schema: PanopticSchema,
        categories: list[dict[str, Any]],
        image_format: ImageFormat,
        quality: int,
    ) -> None:
        self.panoptic: bool | None = None
        self._folder = folder
        self._schema = schema
        self._categories = categories
        self._suffix = f".{image_format}"
        self._options = (
            _PNG if image_format == "png" else {"format": "JPEG", "quality": quality, "subsampling": 0}
        )
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._panoptic: list[dict[str, Any]] = []
        self._stems: dict[str, str] = {}
        self._left_out = Counter[str]()
        (folder / IMAGES).mkdir()

    def add(self, sample: EncodedSample, image_id: int, given: str, where: str) -> None:
        """Write the image and the PNG of a sample; remember its entries."""
        if self.panoptic is None:
            self.panoptic = sample.ids is not None
            if self.panoptic:
                (self._folder / PANOPTIC).mkdir()
        if self.panoptic != (sample.ids is not None):
            have = ("none", "one") if self.panoptic else ("one", "none")
            raise ValueError(f"{where}.panoptic_map: got {have[0]}, expected {have[1]} as in samples[0]")
        stem = _stem(given)
        if stem in self._stems:
            raise ValueError(
                f"file_names: got {given!r} beside {self._stems[stem]!r}, expected names that differ "
                "without their suffixes"
            )
        self._stems[stem] = given
        height, width = sample.pixels.shape[:2]
        name = stem + self._suffix
        self._images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        self._save(sample.pixels, self._folder / IMAGES / name, self._options)
        for annotation in sample.annotations:
            number = len(self._annotations) + 1
            self._annotations.append({"id": number, "image_id": image_id, **annotation})
        if sample.ids is not None:
            name = f"{stem}.png"
            rgb = np.stack([sample.ids >> shift & 255 for shift in (0, 8, 16)], axis=2).astype(np.uint8)
            self._save(rgb, self._folder / PANOPTIC / name, _PNG)
            self._panoptic.append({"image_id": image_id, "file_name": name, "segments_info": sample.segments})
        self._left_out.update(sample.left_out)

    def finish(self) -> dict[str, Any]:
        """Write the JSON files, and have everything on the disk; what was written, in numbers."""
        if not self._images:
            raise ValueError("samples: got none, expected one or more")
        things = [c for c in self._categories if self._schema.classes[c["id"]] == "thing"]
        self._write(INSTANCES, things, self._annotations)
        if self.panoptic:
            self._write(PANOPTIC_JSON, self._categories, self._panoptic)
            flush(self._folder / PANOPTIC)
        self._write_mapping()
        flush(self._folder / IMAGES)
        flush(self._folder)
        return {
            "image_ids": tuple(image["id"] for image in self._images),
            "annotations": len(self._annotations),
            "segments": sum(len(annotation["segments_info"]) for annotation in self._panoptic),
            "left_out": dict(self._left_out),
        }

    def _save(self, pixels: np.ndarray, path: Path, options: Mapping[str, Any]) -> None:
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
        flush(path)

    def _write(self, name: str, categories: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> None:
        content = {
            "info": {"description": _MARK},
            "licenses": [],
            "images": self._images,
            "annotations": annotations,
            "categories": categories,
        }
        path = self._folder / name
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
        flush(path)

    def _write_mapping(self) -> None:
        """What :func:`~segpaste.integrations.load_data` goes by, since both folders have the same names."""
        common = {"images": IMAGES, "ignore_index": self._schema.ignore_index}
        sets = [{"name": "instances", "kind": "coco_instances", "annotations": INSTANCES, **common}]
        if self.panoptic:
            files = {"annotations": PANOPTIC_JSON, "panoptic": PANOPTIC}
            sets.insert(0, {"name": "panoptic", "kind": "coco_panoptic", **files, **common})
        path = self._folder / FILE_NAME
        path.write_text(yaml.safe_dump({"sets": sets}, sort_keys=False), encoding="utf-8")
        flush(path)


def _classes(
    schema: PanopticSchema | None, categories: Sequence[Mapping[str, Any]] | None
) -> tuple[PanopticSchema, list[dict[str, Any]]]:
    """The class table, and categories that say ``isthing``, ascending."""
    if schema is not None and not isinstance(schema, PanopticSchema):
        raise TypeError(f"schema: got {type(schema).__name__}, expected a PanopticSchema or None")
    if categories is None:
        if schema is None:
            raise ValueError("schema: got None without categories, expected one of the two")
        listed = [{"id": label, "name": f"class {label}"} for label in sorted(schema.classes)]
        return schema, [_with_kind(category, schema) for category in listed]
    if not isinstance(categories, list | tuple) or not all(isinstance(c, Mapping) for c in categories):
        raise TypeError("categories: got no list of dicts, expected COCO's categories or None")
    listed = [dict(category) for category in categories]
    try:
        json.dumps(listed)
    except (TypeError, ValueError) as error:
        raise TypeError(f"categories: cannot be written as JSON: {error}") from error
    try:
        ignore = free_ignore_index(listed)
        table = schema_from_categories(listed, ignore, Path("categories"), isthing_required=False)
    except DataError as error:
        raise ValueError(str(error)) from error
    if schema is None:
        return table, [_with_kind(category, table) for category in listed]
    # Categories of instances do not say what is stuff, and a class table may have a background.
    missing = sorted(set(table.classes) ^ set(schema.classes))
    if missing:
        raise ValueError(f"categories: got other ids than the schema has: {missing[:5]}, expected the same")
    return schema, [_with_kind(category, schema) for category in listed]


def _with_kind(category: Mapping[str, Any], schema: PanopticSchema) -> dict[str, Any]:
    return {**category, "isthing": int(schema.classes[category["id"]] == "thing")}


def _checked_range(float_range: tuple[float, float] | None) -> tuple[float, float] | None:
    if float_range is None:
        return None
    if not isinstance(float_range, list | tuple) or len(float_range) != 2:
        raise TypeError(f"float_range: got {float_range!r}, expected two numbers or None")
    if not all(isinstance(value, Real) for value in float_range):
        raise TypeError(f"float_range: got {float_range!r}, expected two numbers or None")
    low, high = map(float, float_range)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"float_range: got {float_range}, expected two finite values, the lower first")
    return low, high


def _numbered(
    samples: Samples, image_ids: Iterable[int] | None, file_names: Iterable[str] | None
) -> Iterator[tuple[DenseSample, int, str]]:
    """Each sample with its image id and the name that its files are called after."""
    if isinstance(samples, DenseSample | BatchedDenseSample | PaddedBatchedDenseSample):
        samples = [samples]
    for what, values in (("samples", samples), ("image_ids", image_ids), ("file_names", file_names)):
        given = values is not None or what == "samples"
        if given and not isinstance(values, Iterable) and not hasattr(values, "__getitem__"):
            raise TypeError(f"{what}: got {type(values).__name__}, expected an iterable")
    ids = None if image_ids is None else iter(image_ids)
    names = None if file_names is None else iter(file_names)
    seen: set[int] = set()
    count = 0
    for count, sample in enumerate(_flat(samples), start=1):
        image_id = count if ids is None else whole_number("image_ids", _next(ids, "image_ids", count))
        if image_id in seen or not -(1 << 63) <= image_id < 1 << 63:
            raise ValueError(f"image_ids: got {image_id}, expected ids of 64 bits that differ")
        seen.add(image_id)
        name = f"{image_id:012d}" if names is None else _checked_name(_next(names, "file_names", count))
        yield sample, image_id, name
    for what, more in (("image_ids", ids), ("file_names", names)):
        if more is not None and next(more, _END) is not _END:
            raise ValueError(f"{what}: got more than the {count} samples, expected one for each")


_END = object()


def _next(values: Iterator[Any], what: str, count: int) -> Any:
    value = next(values, _END)
    if value is _END:
        raise ValueError(f"{what}: got {count - 1} and another sample, expected one for each")
    return value


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"file_names: got {type(name).__name__}, expected str")
    if name != Path(name).name or name in ("", "..") or "\0" in name or "\\" in name:
        raise ValueError(f"file_names: got {name!r}, expected the name of a file without a folder")
    return name


def _stem(name: str) -> str:
    """Without the suffix of an image; of ``v1.0001`` everything is the name."""
    path = Path(name)
    return path.stem if path.suffix.lower() in _SUFFIXES else name


def _flat(samples: Samples) -> Iterator[DenseSample]:
    """Samples one by one, those of batches too."""
    for item in samples:
        if isinstance(item, DenseSample):
            yield item
        elif isinstance(item, BatchedDenseSample):
            yield from item.to_samples()
        elif isinstance(item, PaddedBatchedDenseSample):
            yield from BatchedDenseSample.from_padded(item).to_samples()
        elif isinstance(item, list | tuple) and all(isinstance(each, DenseSample) for each in item):
            yield from item
        else:
            raise TypeError(
                f"samples: got a {type(item).__name__}, expected DenseSample or batches of DenseSample"
            )


def _check_place(target: Path, overwrite: bool) -> None:
    """Refuse a place where no new folder can be, or one that holds something else."""
    if not target.parent.is_dir():
        raise DataError(f"{target}: {target.parent} is no folder, expected one that exists")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise DataError(f"{target}: exists, expected a new folder, or overwrite=True")
    if target.is_symlink() or not target.is_dir():
        raise DataError(f"{target}: is no folder, expected one that to_coco wrote")
    there = {entry.name for entry in target.iterdir()}
    if not there:
        return
    _refuse_others(target, target, there - _OURS)
    contents = {name: _written_here(target, name) for name in (INSTANCES, PANOPTIC_JSON) if name in there}
    if INSTANCES not in there or (PANOPTIC in there and PANOPTIC_JSON not in there):
        raise DataError(f"{target}: is no data set that to_coco wrote: not overwritten")
    for folder, name, key in ((IMAGES, INSTANCES, "images"), (PANOPTIC, PANOPTIC_JSON, "annotations")):
        if folder in there:
            _refuse_others(target, target / folder, _not_listed(target / folder, contents[name], key))


def _written_here(target: Path, name: str) -> dict[str, Any]:
    """The content of a JSON file that says it is of this module."""
    content = read_json(target / name)
    info = content.get("info") if isinstance(content, dict) else None
    if not isinstance(info, dict) or info.get("description") != _MARK:
        raise DataError(f"{target}: has {name!r}, which to_coco did not write: not overwritten")
    return content


def _not_listed(folder: Path, content: dict[str, Any], key: str) -> set[str]:
    """What is in a folder beside the files that are listed."""
    entries = content.get(key)
    named = entries if isinstance(entries, list) else []
    listed = {entry.get("file_name") for entry in named if isinstance(entry, dict)}
    if folder.is_symlink() or not folder.is_dir():
        return {""}
    return {
        entry.name
        for entry in os.scandir(folder)
        if entry.name not in listed or not entry.is_file(follow_symlinks=False)
    }


def _refuse_others(target: Path, folder: Path, names: set[str]) -> None:
    if names:
        other = (folder / min(names)).relative_to(target).as_posix()
        raise DataError(f"{target}: has {other!r}, which to_coco does not write: not overwritten")


def _move(hidden: Path, target: Path, overwrite: bool) -> None:
    """Rename to a path that may have come to exist, or have changed, meanwhile.

    Who is killed between the two renames leaves what was there beside its place, and nothing lost.
    """
    _check_place(target, overwrite)
    former = None
    if os.path.lexists(target):
        former = target.with_name(f".{target.name}.replaced-{secrets.token_hex(4)}")
        os.rename(target, former)
    try:
        os.rename(hidden, target)
    except OSError:
        if former is not None:
            os.rename(former, target)
        raise
    if former is not None:
        shutil.rmtree(former)
    if overwrite:  # what others who were killed between their renames, or after them, left of it
        for entry in list(os.scandir(target.parent)):
            if _is_replaced(entry, target.name):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_replaced(entry: os.DirEntry[str], name: str) -> bool:
    ours = re.fullmatch(rf"\.{re.escape(name)}\.replaced-[0-9a-f]{{8}}", entry.name)
    return ours is not None and entry.is_dir(follow_symlinks=False)

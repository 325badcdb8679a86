"""RGB frames with depth, camera intrinsics and surface normals."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_image, read_index_map, read_npy, read_vector_map
from segpaste.integrations.mapping import DepthEncoding, Frame, FramesSet, NormalsEncoding
from segpaste.integrations.records import Labels, Records, dense_sample
from segpaste.integrations.segmentation import SEGMENTATION_SCHEMA, segment
from segpaste.types import CameraIntrinsics, DenseSample

_AWAY = "normals that do not face the camera left out"

# A decoded vector shorter than this is no direction but a blend or a filler.
_SHORTEST_NORMAL = 0.5


def read_frames(
    config: FramesSet,
    root: Path,
    *,
    skip_bad: bool,
    labelled: Callable[[], tuple[DenseSample, Records]] | None = None,
) -> Records:
    """Frames in the order of the mapping file.

    Depth is metric where its unit is known *and* the frames have intrinsics; relative
    depth is divided by its median, so that frames of different sensors can be compared.
    Normals are turned into the right-down-forward frame and brought to unit length.

    Args:
        config: what the mapping file says.
        root: the data folder.
        skip_bad: leave bad frames out and count them.
        labelled: gives the sample whose labels all frames take, and the records it is
            from; without it labels come from the segmentation.

    Raises:
        DataError: for the first bad frame, unless ``skip_bad``; if the labels cannot be
            had; if not one normal of the whole set faces the camera.
    """
    names: dict[int, str] = {}
    donor, schema = None, SEGMENTATION_SCHEMA.model_copy(update={"ignore_index": config.ignore_index})
    if labelled is not None:
        donor, source = labelled()
        schema, names = source.schema, source.class_names
    records = Records(schema, class_names=names)

    def build(frame: Frame) -> DenseSample:
        file = root / frame.rgb
        pixels = read_image(file)
        size = pixels.shape[:2]
        geometry: dict[str, Any] = {}
        depth = valid = None
        if frame.depth is not None and config.depth is not None:
            depth, valid = _depth(root / frame.depth, config.depth, size)
            geometry["depth"] = torch.from_numpy(depth)[None]
            geometry["depth_valid"] = torch.from_numpy(valid)[None]
        if frame.intrinsics is not None:
            geometry["camera_intrinsics"] = _intrinsics(root, frame.intrinsics, file)
            geometry["metric_depth"] = config.depth is not None and config.depth.unit != "relative"
        if frame.normals is not None and config.normals is not None:
            normals = _normals(root / frame.normals, config.normals, size, records)
            geometry["normals"] = torch.from_numpy(normals)
        if donor is None:
            labels = segment(pixels, depth, valid, ignore_index=schema.ignore_index)
        else:
            labels = _labels_of(donor, size, schema.ignore_index)
        return dense_sample(str(file), pixels, labels, **geometry)

    images = config.frames[: config.limit]
    if len(config.frames) > config.limit:
        records.counts["images left out by the limit"] += len(config.frames) - config.limit
    records.collect(((frame.name or frame.rgb.stem, partial(build, frame)) for frame in images), skip_bad)
    if config.normals is not None and records.counts[_AWAY] and not _any_normal(records):
        raise DataError(
            f"{root}: set {config.name!r}: got {records.counts[_AWAY]} normals, none of which faces the "
            f"camera, expected some that do: normals.axes {list(config.normals.axes)} is probably wrong"
        )
    return records


def _depth(file: Path, encoding: DepthEncoding, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Depth ``[H, W]`` float32, 0 where invalid, and validity ``[H, W]`` bool."""
    stored = read_npy(file) if file.suffix.lower() == ".npy" else read_index_map(file)
    if stored.shape != size:
        raise DataError(f"{file}: got depth of {list(stored.shape)}, expected the image's {list(size)}")
    values = stored.astype(np.float64)
    valid = np.ones(size, bool)
    for marker in encoding.invalid:
        valid &= ~np.isnan(values) if math.isnan(marker) else values != marker
    bad = valid & ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise DataError(
            f"{file}: got depth {values[bad][0]:g} at {int(bad.sum())} pixels that are not marked invalid, "
            f"expected finite depth above 0, or its marker among depth.invalid {list(encoding.invalid)}"
        )
    if not valid.any():
        raise DataError(
            f"{file}: got no valid depth, all {valid.size} pixels are marked invalid, expected some"
        )
    with np.errstate(over="ignore", under="ignore"):
        unit = 1 / float(np.median(values[valid])) if encoding.unit == "relative" else encoding.unit
        depth = np.where(valid, values * unit, 0.0).astype(np.float32)
    bad = valid & ~(np.isfinite(depth) & (depth > 0))
    if bad.any():
        raise DataError(
            f"{file}: got depth {values[bad][0]:g} that is no positive float32 in the unit {unit:g}, "
            "expected another unit, or its marker among depth.invalid"
        )
    return depth, valid


def _intrinsics(
    root: Path, given: tuple[float, float, float, float] | Path, image_file: Path
) -> CameraIntrinsics:
    """Intrinsics in pixels from an NPY 3 x 3 matrix or four numbers."""
    if isinstance(given, tuple):
        where, numbers = f"{image_file}: intrinsics", given
    else:
        file = root / given
        where, matrix = str(file), read_npy(file).astype(np.float64)
        if matrix.shape != (3, 3):
            raise DataError(f"{where}: got intrinsics of shape {list(matrix.shape)}, expected [3, 3]")
        expected = np.array([[matrix[0, 0], 0, matrix[0, 2]], [0, matrix[1, 1], matrix[1, 2]], [0, 0, 1]])
        if not np.array_equal(matrix, expected):
            raise DataError(
                f"{where}: got intrinsics {matrix.tolist()}, expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]"
            )
        numbers = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    try:
        return CameraIntrinsics(*(float(number) for number in numbers))
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error


def _normals(file: Path, encoding: NormalsEncoding, size: tuple[int, ...], records: Records) -> np.ndarray:
    """Unit normals ``[3, H, W]`` float32, right-down-forward; the zero vector where there is none.

    A normal that does not face the camera (n_z >= 0) becomes *no normal*. A wide lens
    sees such surfaces near its edges, where the line of sight leans; pasted at another
    place of the image they would face away, so no paste may carry them.
    """
    stored = read_vector_map(file)
    if stored.shape[:2] != size:
        raise DataError(f"{file}: got normals of {list(stored.shape[:2])}, expected the image's {list(size)}")
    there = (stored != np.array(encoding.invalid, np.float64)).any(axis=2)
    values = stored.astype(np.float64)
    if stored.dtype.kind == "u":
        values = values / np.iinfo(stored.dtype).max * 2 - 1
    finite = np.isfinite(values).all(axis=2)
    if (there & ~finite).any():
        raise DataError(
            f"{file}: got {int((there & ~finite).sum())} normals that are NaN or infinite, expected finite "
            "vectors, or normals.invalid as their marker"
        )
    turned = np.zeros_like(values)
    for channel, (axis, sign) in enumerate(encoding.to_right_down_forward()):
        turned[..., axis] = values[..., channel] if sign > 0 else 0 - values[..., channel]
    turned[~there] = 0
    # Divided by a power of two first, which is exact: squares of large numbers overflow.
    _, exponent = np.frexp(np.abs(turned).max(axis=2))
    turned = np.ldexp(turned, -exponent[..., None])
    x, y, z = (turned[..., axis] for axis in range(3))
    length = np.sqrt(x * x + y * y + z * z)
    with np.errstate(over="ignore"):
        short = there & (np.ldexp(length, exponent) < _SHORTEST_NORMAL)
    unit = turned / np.where(length > 0, length, 1)[..., None]
    away = there & ~short & (unit[..., 2] >= 0)
    unit[~there | short | away] = 0
    for what, where in (
        ("normals too short for a direction left out", short),
        (_AWAY, away),
    ):
        if where.any():
            records.counts[what] += int(where.sum())
    return np.ascontiguousarray(unit.transpose(2, 0, 1).astype(np.float32))


def _any_normal(records: Records) -> bool:
    """Whether a normal is left; also where no frame is, which is another error."""
    normals = [sample.normals for sample in records.samples if sample.normals is not None]
    return not normals or any(bool(each.any()) for each in normals)


def _labels_of(donor: DenseSample, size: tuple[int, ...], ignore_index: int) -> Labels:
    """The donor's labels, cut or padded at the bottom right to ``[H, W]``."""

    def fit(labels: torch.Tensor, filler: int) -> np.ndarray:
        array = labels.as_subclass(torch.Tensor).numpy()
        fitted = np.full((*array.shape[:-2], *size), filler, array.dtype)
        height, width = min(size[0], array.shape[-2]), min(size[1], array.shape[-1])
        fitted[..., :height, :width] = array[..., :height, :width]
        return fitted

    semantic = None if donor.semantic_map is None else fit(donor.semantic_map, ignore_index)
    if donor.instance_masks is None:
        return Labels(semantic=semantic)
    masks = fit(donor.instance_masks, 0)
    left = masks.any(axis=(1, 2))
    panoptic = None
    if donor.panoptic_map is not None:
        panoptic = (masks[left] * np.arange(1, left.sum() + 1)[:, None, None]).sum(axis=0)
    return Labels(masks[left], donor.labels.numpy()[left], semantic, panoptic)

"""Reading single files; whatever is wrong with one becomes one :class:`DataError`."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageFile, UnidentifiedImageError

from segpaste.integrations.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".npy")

# Raw modes of 16 bits per channel, of which Pillow would keep the high byte ("BGR;16" is 5, 6 and 5 bits).
_SIXTEEN_BITS = re.compile(r";16[BLN]")

# What Pillow raises on a damaged file: OSError on most, SyntaxError on PNG chunks.
_BROKEN_IMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: if it is missing or no JSON.
    """
    content = _read_bytes(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        DataError: if it is missing or no YAML.
    """
    content = _read_bytes(path)
    try:
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as YAML: {error}") from error


def read_image(path: Path) -> np.ndarray:
    """A colour image ``[H, W, 3]``, uint8, or float32 from NPY.

    One channel is repeated to three, alpha is left out, a palette is looked up. The
    EXIF orientation is not applied, since annotations are made on the stored pixels.

    Raises:
        DataError: if the file is missing, truncated, of another depth than 8 bits, or
            an NPY file with non-finite values, another dtype or shape.
    """
    if path.suffix.lower() == ".npy":
        return _image_from_npy(path)
    with _open_image(path, eight_bits=True) as image:
        if image.mode.startswith(("I", "F")):
            raise DataError(f"{path}: got a {image.mode} image, expected 8 bits per channel")
        return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def read_index_map(path: Path) -> np.ndarray:
    """An integer map ``[H, W]`` int64 from a one-channel PNG of 8 or 16 bits.

    A palette image gives its indices, as in Pascal VOC.

    Raises:
        DataError: if the file is missing, truncated or has several channels.
    """
    with _open_image(path) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            raise DataError(f"{path}: got a {image.mode} image, expected one channel of integers")
        return np.array(image).astype(np.int64)


def read_rgb_ids(path: Path) -> np.ndarray:
    """COCO panoptic ids ``[H, W]`` int64: r + 256 g + 65536 b.

    Raises:
        DataError: as :func:`read_rgb`.
    """
    rgb = read_rgb(path).astype(np.int64)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def read_rgb(path: Path) -> np.ndarray:
    """The bytes ``[H, W, 3]`` of COCO panoptic ids; alpha is left out.

    Raises:
        DataError: if the file is missing, truncated, not RGB or of 16 bits per channel.
    """
    with _open_image(path, eight_bits=True) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise DataError(f"{path}: got a {image.mode} image, expected RGB (ids are r + 256 g + 65536 b)")
        return np.ascontiguousarray(np.array(image)[..., :3])


def read_vector_map(path: Path) -> np.ndarray:
    """Three channels ``[H, W, 3]``: uint8 or uint16 from PNG, a float dtype from NPY.

    Raises:
        DataError: if the file is missing, damaged or of another shape.
    """
    if path.suffix.lower() == ".npy":
        values = read_npy(path)
        if values.dtype.kind != "f":
            raise DataError(f"{path}: got dtype {values.dtype}, expected floats")
        if values.ndim != 3 or values.shape[2] != 3:
            raise DataError(f"{path}: got shape {list(values.shape)}, expected [H, W, 3]")
        return values
    with _open_image(path) as image:
        if image.mode != "RGB":
            raise DataError(f"{path}: got a {image.mode} image, expected RGB")
        values = np.array(image)
    low = _low_bytes(path)
    return values if low is None else values.astype(np.uint16) << 8 | low


def read_npy(path: Path) -> np.ndarray:
    """An array of numbers from an NPY file.

    Raises:
        DataError: if the file is missing, damaged, shorter than its header says or holds
            no numbers.
    """
    content = _read_bytes(path)
    try:
        _check_npy_size(content)
        array = np.load(BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: not readable as NPY: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        raise DataError(f"{path}: got {getattr(array, 'dtype', 'an archive')}, expected an array of numbers")
    return array


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        DataError: if it cannot be read.
    """
    with _named_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_size(path: Path) -> int:
    """Size of a file in bytes.

    Raises:
        DataError: if there is none.
    """
    with _named_errors(path):
        return path.stat().st_size


def _read_bytes(path: Path) -> bytes:
    with _named_errors(path):
        return path.read_bytes()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """What the system says of a file becomes a :class:`DataError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except OSError as error:
        raise DataError(f"{path}: not readable: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{str(path)!r}: not readable: {error}") from error


def _check_npy_size(content: bytes) -> None:
    """Refuse a header that claims more than there is, before numpy allocates what it claims."""
    file = BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"got format version {version}, expected 1.0 or 2.0")
    there, claimed = len(content) - file.tell(), math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (min(shape, default=0) < 0 or claimed > there):
        raise ValueError(f"got {there} bytes of data, expected {claimed} for the shape {list(shape)}")


def _open_image(path: Path, *, load: bool = True, eight_bits: bool = False) -> ImageFile.ImageFile:
    content = BytesIO(_read_bytes(path))  # not the file, which Pillow leaves open when it fails
    try:
        image = Image.open(content)
        too_deep = eight_bits and _SIXTEEN_BITS.search(str(image.tile))
        if load and not too_deep:
            image.load()
    except (UnidentifiedImageError, ImportError) as error:
        # ImportError: a library that replaced Image.open (Ultralytics) asks for a plugin of its own first.
        raise DataError(f"{path}: not readable as an image of a known format") from error
    except _BROKEN_IMAGE as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error
    if too_deep:
        raise DataError(f"{path}: got {image.mode} of 16 bits per channel, expected 8 bits per channel")
    return image


def _low_bytes(path: Path) -> np.ndarray | None:
    """The low bytes ``[H, W, 3]`` uint8 of a 16-bit RGB PNG, ``None`` for other images.

    Pillow keeps only the high byte of each 16-bit channel, big-endian as PNG is. Told
    that the bytes are little-endian it keeps the other one.
    """
    with _open_image(path, load=False) as image:
        tiles: Any = image.tile  # plain tuples in some releases of Pillow, named ones in others
        if image.format != "PNG" or len(tiles) != 1 or tiles[0][3] != "RGB;16B":
            return None
        tiles[0] = (*tiles[0][:3], "RGB;16L")
        image.load()
        return np.array(image)


def _image_from_npy(path: Path) -> np.ndarray:
    image = read_npy(path)
    if image.dtype not in (np.uint8, np.float32):
        raise DataError(f"{path}: got dtype {image.dtype}, expected uint8 or float32")
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DataError(f"{path}: got shape {list(image.shape)}, expected [H, W] or [H, W, 3]")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        bad = int((~np.isfinite(image)).any(axis=2).sum())
        raise DataError(f"{path}: got {bad} pixels that are NaN or infinite, expected finite ones")
    return image

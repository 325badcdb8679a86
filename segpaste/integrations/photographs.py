"""The demo's photographs, from the scikit-image wheel: nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from segpaste.integrations.data_set import DataSet, assemble
from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_image
from segpaste.integrations.records import Records, dense_sample
from segpaste.integrations.segmentation import SEGMENTATION_SCHEMA, segment
from segpaste.types import CameraIntrinsics, DenseSample

# Calibration of the pair as it is in the wheel, from scikit-image's documentation of
# ``skimage.data.stereo_motorcycle`` (Middlebury 2014).
_FOCAL = 994.978
_PRINCIPAL = (311.193, 254.877)
_PRINCIPAL_DIFFERENCE = 31.086
_BASELINE_METRES = 0.193001


def demo_photographs() -> list[DataSet]:
    """Real photographs, half size, labelled by the documented segmentation.

    - ``stereo_motorcycle``: the left image of the Middlebury pair with metric depth
      from its disparity, ``focal * baseline / (disparity + 31.086)`` in metres, invalid
      where the disparity is NaN (7 %), and the pair's intrinsics; and the same mirrored.
    - ``coins_and_coffee``: two photographs without depth; the coins' one channel is
      repeated to three.

    Images are halved by the rounded mean of 2 x 2 pixels, an odd last row or column left
    out; depth takes the top left pixel of each four, since depths must not be mixed
    across an edge. The focal length is halved, the principal point becomes
    ``(c - 0.5) / 2`` (pixel centres at integers). Disparity belongs to the left image.

    Raises:
        DataError: if scikit-image or one of its photographs is missing.
    """
    folder = _wheel_folder()
    motorcycle = Records(SEGMENTATION_SCHEMA)
    motorcycle.collect([("stereo_motorcycle", lambda: _motorcycle(folder))], skip_bad=False)
    plain = Records(SEGMENTATION_SCHEMA)
    plain.collect(
        [(name, lambda name=name: _plain(folder / f"{name}.png")) for name in ("coins", "coffee")],
        skip_bad=False,
    )
    return [assemble("stereo_motorcycle", motorcycle), assemble("coins_and_coffee", plain)]


def _motorcycle(folder: Path) -> DenseSample:
    pixels = _halved(read_image(folder / "motorcycle_left.png"))
    height, width = pixels.shape[:2]
    file = folder / "motorcycle_disp.npz"
    if not file.is_file():
        raise _missing(file)
    with np.load(file) as archive:
        disparity = archive["arr_0"].astype(np.float64)[::2, ::2][:height, :width]
    valid = np.isfinite(disparity)
    metres = _FOCAL * _BASELINE_METRES / (np.where(valid, disparity, 0.0) + _PRINCIPAL_DIFFERENCE)
    depth = np.where(valid, metres, 0.0).astype(np.float32)
    return dense_sample(
        "stereo_motorcycle",
        pixels,
        segment(pixels, depth, valid),
        depth=torch.from_numpy(depth)[None],
        depth_valid=torch.from_numpy(valid)[None],
        camera_intrinsics=CameraIntrinsics(
            _FOCAL / 2, _FOCAL / 2, (_PRINCIPAL[0] - 0.5) / 2, (_PRINCIPAL[1] - 0.5) / 2
        ),
        metric_depth=True,
    )


def _plain(file: Path) -> DenseSample:
    if not file.is_file():
        raise _missing(file)
    pixels = _halved(read_image(file))
    return dense_sample(file.stem, pixels, segment(pixels))


def _halved(pixels: np.ndarray) -> np.ndarray:
    """The rounded mean of each 2 x 2 pixels, ``[H // 2, W // 2, 3]`` uint8."""
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    blocks = pixels[:height, :width].astype(np.int64).reshape(height // 2, 2, width // 2, 2, -1)
    return ((blocks.sum(axis=(1, 3)) + 2) >> 2).astype(np.uint8)


def _wheel_folder() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise DataError("demo photographs: scikit-image is missing, expected pip install -e '.[demo]'")
    return Path(spec.origin).parent / "data"


def _missing(file: Path) -> DataError:
    return DataError(f"{file}: missing from the scikit-image wheel, expected scikit-image 0.23 or later")

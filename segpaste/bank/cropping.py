"""One object cut out of its image, together with what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image

from segpaste.bank.meta import MAX_PIXELS
from segpaste.bank.protocol import BankCrop, CropProvenance
from segpaste.types import CameraIntrinsics

Oversize = Literal["shrink", "skip"]

EMPTY = "masks without a pixel"
SMALL = "objects smaller than the least area"
OVERSIZE = "objects larger than the crop"
VANISHED = "objects of which no pixel was left after shrinking"


def check_cropping(crop_size: tuple[int, int], min_area: int, oversize: Oversize) -> None:
    """Refuse what :func:`crop_object` cannot work with.

    Raises:
        ValueError: naming the argument.
    """
    sides = tuple(crop_size) if isinstance(crop_size, tuple | list) else ()
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= 65536 for side in sides):
        raise ValueError(f"crop_size: got {crop_size!r}, expected (h, w), each 1 to 65536")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"crop_size: got {crop_size!r}, expected (h, w) of at most {MAX_PIXELS} pixels")
    if type(min_area) is not int or min_area < 0:
        raise ValueError(f"min_area: got {min_area!r}, expected an integer of 0 or more")
    if oversize not in get_args(Oversize):
        raise ValueError(f"oversize: got {oversize!r}, expected one of {', '.join(get_args(Oversize))}")


def check_names(dataset: str | None, model: str | None) -> None:
    """Refuse what a provenance cannot say.

    Raises:
        ValueError: naming the argument.
    """
    for argument, value in (("dataset", dataset), ("model", model)):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{argument}: got {value!r}, expected a string or None")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An image and what was measured with it.

    Attributes:
        image: ``[H, W, 3]`` uint8.
        depth: ``[H, W]`` float32.
        depth_valid: ``[H, W]`` bool; present iff ``depth`` is.
        normals: ``[H, W, 3]`` float32.
        camera_intrinsics: pixel centres at whole numbers.
        metric_depth: whether ``depth`` is in metres.
    """

    image: np.ndarray
    depth: np.ndarray | None = None
    depth_valid: np.ndarray | None = None
    normals: np.ndarray | None = None
    camera_intrinsics: CameraIntrinsics | None = None
    metric_depth: bool = False


def crop_object(
    scene: Scene,
    mask: np.ndarray,
    crop_size: tuple[int, int],
    *,
    class_id: int,
    provenance: CropProvenance,
    min_area: int = 0,
    oversize: Oversize = "shrink",
) -> BankCrop | str:
    """The object of a mask, in the middle of its crop; or, in words, why there is none.

    The middle of the mask's bounding box lies in the middle of the crop; where one pixel is
    over, it is on the right or below. Around the object stands what the image shows there,
    so that interpolation at the object's edge never meets black; beyond the image its border once
    more, for the same reason, and then zero.
    An object larger than the crop is shrunk with its surroundings until its bounding box
    fits: the image by Pillow's antialiased bilinear filter, everything else by the nearest
    pixel. The two sides are shrunk alike but for the rounding of the window to whole pixels;
    the intrinsics follow each exactly. Depth and normals keep their values.

    Args:
        scene: the image.
        mask: ``[H, W]`` bool.
        crop_size: ``(h, w)``.
        class_id: class id, 0 or more.
        provenance: where the object comes from.
        min_area: an object of fewer pixels of the image gives no crop.
        oversize: ``"skip"``: an object larger than the crop gives none.
    """
    area = int(np.count_nonzero(mask))
    if area == 0:
        return EMPTY
    if area < min_area:
        return SMALL
    window = _window(mask, crop_size)
    if window.shrinks and oversize == "skip":
        return OVERSIZE
    alpha = window.nearest(mask)
    if not alpha.any():
        return VANISHED

    depth = valid = normals = None
    if scene.depth is not None and scene.depth_valid is not None:
        valid = window.nearest(scene.depth_valid)
        depth = np.where(valid, window.nearest(scene.depth), np.float32(0))
    if scene.normals is not None:
        normals = window.nearest(scene.normals)
    return BankCrop(
        image=_tensor(window.image(scene.image)),
        alpha=_tensor(alpha),
        class_id=class_id,
        depth=None if depth is None else _tensor(depth),
        depth_valid=None if valid is None else _tensor(valid),
        normals=None if normals is None else _tensor(normals),
        camera_intrinsics=(
            None if scene.camera_intrinsics is None else window.intrinsics(scene.camera_intrinsics)
        ),
        provenance=provenance,
        metric_depth=scene.metric_depth,
    )


@dataclass(frozen=True, slots=True)
class _Window:
    """What the crop shows of the image: a rectangle that may reach beyond it.

    Attributes:
        top, left, height, width: in pixels of the image.
        crop_size: ``(h, w)`` of the crop, ``(height, width)`` unless the object is shrunk.
    """

    top: int
    left: int
    height: int
    width: int
    crop_size: tuple[int, int]

    @property
    def shrinks(self) -> bool:
        return (self.height, self.width) != self.crop_size

    def nearest(self, array: np.ndarray) -> np.ndarray:
        """``[h, w, ...]``: the nearest pixel of ``[H, W, ...]``, zero beyond it."""
        crop = np.zeros((*self.crop_size, *array.shape[2:]), array.dtype)
        if self.shrinks:
            (ys, xs), (rows, columns) = self._taps(), self._inside(array)
            crop[np.ix_(rows, columns)] = array[np.ix_(ys[rows], xs[columns])]
        else:  # the same by slices, several times faster
            above, left, part = self._part(array)
            crop[above : above + part.shape[0], left : left + part.shape[1]] = part
        return crop

    def image(self, image: np.ndarray) -> np.ndarray:
        """``[h, w, 3]`` uint8, the image's border repeated once around it, zero beyond."""
        above, left, part = self._part(image)
        below, right = self.height - above - part.shape[0], self.width - left - part.shape[1]
        crop = np.pad(part, ((above, below), (left, right), (0, 0)), mode="edge")
        if self.shrinks:
            h, w = self.crop_size
            crop = np.array(Image.fromarray(crop).resize((w, h), Image.Resampling.BILINEAR))
        rows, columns = map(_and_next, self._inside(image))
        crop[~rows] = 0
        crop[:, ~columns] = 0
        return crop

    def intrinsics(self, given: CameraIntrinsics) -> CameraIntrinsics:
        """Those of the crop; pixel centres at whole numbers."""
        if not self.shrinks:  # no rounding where nothing is scaled
            return CameraIntrinsics(given.fx, given.fy, given.cx - self.left, given.cy - self.top)
        h, w = self.crop_size
        return CameraIntrinsics(
            fx=given.fx * w / self.width,
            fy=given.fy * h / self.height,
            cx=(given.cx - self.left + 0.5) * w / self.width - 0.5,
            cy=(given.cy - self.top + 0.5) * h / self.height - 0.5,
        )

    def _part(self, array: np.ndarray) -> tuple[int, int, np.ndarray]:
        """Rows above and columns left of the image, and what the window shows of it."""
        top, left = max(self.top, 0), max(self.left, 0)
        part = array[top : self.top + self.height, left : self.left + self.width]
        return top - self.top, left - self.left, part

    def _taps(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the image under the centre of each row and column of the crop."""
        h, w = self.crop_size
        ys = self.top + (2 * np.arange(h) + 1) * self.height // (2 * h)
        xs = self.left + (2 * np.arange(w) + 1) * self.width // (2 * w)
        return ys, xs

    def _inside(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``[h]`` and ``[w]`` bool: the rows and columns of the crop that show the image."""
        ys, xs = self._taps()
        return (ys >= 0) & (ys < array.shape[0]), (xs >= 0) & (xs < array.shape[1])


def _and_next(inside: np.ndarray) -> np.ndarray:
    """``[n]`` bool: the same places and their neighbours."""
    wider = inside.copy()
    wider[1:] |= inside[:-1]
    wider[:-1] |= inside[1:]
    return wider


def _window(mask: np.ndarray, crop_size: tuple[int, int]) -> _Window:
    lines, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(lines[0]), int(columns[0])
    tall, wide = int(lines[-1]) + 1 - top, int(columns[-1]) + 1 - left
    h, w = crop_size
    height, width = h, w
    if tall > h or wide > w:  # one side is the object's, the other in proportion, to the nearest pixel
        if tall * w > wide * h:
            height, width = tall, (2 * w * tall + h) // (2 * h)
        else:
            height, width = (2 * h * wide + w) // (2 * w), wide
    return _Window(top - (height - tall) // 2, left - (width - wide) // 2, height, width, crop_size)


def _tensor(array: np.ndarray) -> torch.Tensor:
    """``[C, h, w]`` of ``[h, w]`` or ``[h, w, C]``."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(array), 2, 0)))

"""Cutting one object out of its image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from segpaste.bank import BankCrop, CropProvenance
from segpaste.bank.cropping import EMPTY, OVERSIZE, SMALL, VANISHED, Scene, check_cropping, crop_object
from segpaste.types import CameraIntrinsics

SAID = CropProvenance("drawn", 3, 4)


def cut(scene: Scene, mask: np.ndarray, crop_size: tuple[int, int], **options: Any) -> BankCrop:
    crop = crop_object(scene, mask, crop_size, class_id=5, provenance=SAID, **options)
    assert isinstance(crop, BankCrop), crop
    return crop


def rectangle(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), np.uint8)


def whole_scene(height: int, width: int, seed: int = 0) -> Scene:
    draw = np.random.default_rng(seed)
    valid = draw.integers(0, 4, (height, width)) > 0
    return Scene(
        image=noise(height, width, seed),
        depth=np.where(valid, draw.integers(1, 999, (height, width)) / 256, np.nan).astype(np.float32),
        depth_valid=valid,
        normals=np.broadcast_to(np.array([0, 0.6, -0.8], np.float32), (height, width, 3)).copy(),
        camera_intrinsics=CameraIntrinsics(50.0, 60.5, 7.25, 3.1),
        metric_depth=True,
    )


def test_an_object_stands_in_the_middle_with_what_is_around_it() -> None:
    image = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8, 1).repeat(3, axis=2)
    # 2 x 3 pixels in 4 x 6: one row on either side, one column on the left and two on the right.
    crop = cut(Scene(image), rectangle(6, 8, 1, 2, 3, 5), (4, 6))
    assert crop.image[0].tolist() == [list(range(8 * y + 1, 8 * y + 7)) for y in range(4)]
    assert crop.alpha[0].nonzero().tolist() == [[y, x] for y in (1, 2) for x in (1, 2, 3)]
    assert (crop.class_id, crop.provenance) == (5, SAID)


def test_beyond_the_image_its_border_is_repeated_once_and_then_there_is_zero() -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None].repeat(3, axis=2)
    crop = cut(Scene(image), rectangle(2, 3, 0, 0, 1, 1), (5, 5))
    expected = [[0, 0, 0, 0, 0], [0, 1, 1, 2, 3], [0, 1, 1, 2, 3], [0, 4, 4, 5, 6], [0, 4, 4, 5, 6]]
    assert crop.image.tolist() == [expected] * 3


def test_an_object_at_the_border_of_its_image_is_pasted_without_a_dark_edge() -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    crop = cut(Scene(image), rectangle(8, 8, 0, 0, 3, 8), (14, 14))
    around = functional.max_pool2d(crop.alpha[None].float(), 3, stride=1, padding=1)[0, 0] > 0
    # All that a bilinear tap at the object's edge may read.
    assert bool((crop.image[:, around] == 200).all())


@given(
    st.tuples(*[st.integers(1, 12)] * 4),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 2**32),
)
def test_where_it_fits_the_crop_is_a_slice_of_the_padded_image(
    box: tuple[int, int, int, int], crop_size: tuple[int, int], seed: int
) -> None:
    above, tall, left, wide = box
    tall, wide = min(tall, crop_size[0]), min(wide, crop_size[1])
    height, width = above + tall + seed % 3, left + wide + seed % 5
    mask = np.zeros((height, width), bool)
    mask[above : above + tall, left : left + wide] = np.random.default_rng(seed).integers(0, 2, (tall, wide))
    mask[above, left] = mask[above + tall - 1, left + wide - 1] = True  # its corners span the box
    scene = whole_scene(height, width, seed)
    crop = cut(scene, mask, crop_size)

    pad = 40
    top, start = pad + above - (crop_size[0] - tall) // 2, pad + left - (crop_size[1] - wide) // 2

    def sliced(array: np.ndarray, repeated: int = 0) -> torch.Tensor:
        padded = np.pad(array, [(repeated, repeated), (repeated, repeated), (0, 0)], "edge")
        padded = np.pad(padded, [(pad - repeated, pad - repeated), (pad - repeated, pad - repeated), (0, 0)])
        part = padded[top : top + crop_size[0], start : start + crop_size[1]]
        return torch.from_numpy(part.transpose(2, 0, 1).copy())

    assert scene.depth is not None
    assert scene.depth_valid is not None
    assert scene.normals is not None
    assert torch.equal(crop.image, sliced(scene.image, repeated=1))
    assert torch.equal(crop.alpha, sliced(mask[..., None]))
    assert crop.depth is not None
    assert crop.depth_valid is not None
    assert crop.normals is not None
    assert torch.equal(crop.depth, sliced(np.nan_to_num(scene.depth)[..., None]))
    assert torch.equal(crop.depth_valid, sliced(scene.depth_valid[..., None]))
    assert torch.equal(crop.normals, sliced(scene.normals))
    # The principal point keeps its place relative to the pixels; nothing is rounded.
    assert crop.camera_intrinsics == CameraIntrinsics(50.0, 60.5, 7.25 - (start - pad), 3.1 - (top - pad))
    assert crop.metric_depth


@given(st.integers(1, 60), st.integers(1, 60), st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_a_larger_object_is_shrunk_until_its_box_fits(
    tall: int, wide: int, crop_size: tuple[int, int]
) -> None:
    h, w = crop_size
    tall = max(tall, h + 1)
    mask = rectangle(70, 70, 5, 3, 5 + tall, 3 + wide)
    crop = crop_object(Scene(noise(70, 70)), mask, crop_size, class_id=5, provenance=SAID)
    if crop == VANISHED:  # a line that would be thinner than a pixel
        assert min(tall / max(tall / h, wide / w), wide / max(tall / h, wide / w)) < 1
        return
    assert isinstance(crop, BankCrop)
    rows, columns = crop.alpha[0].any(dim=1), crop.alpha[0].any(dim=0)
    # One side of the box is the crop's. The other is in proportion: to within a pixel, and half a
    # pixel of the window of the image that is shrunk.
    if tall / h > wide / w:
        whole, other, across, of = int(rows.sum()), int(columns.sum()), wide / (w * tall / h), w
    else:
        whole, other, across, of = int(columns.sum()), int(rows.sum()), tall / (h * wide / w), h
    assert whole == (h if tall / h > wide / w else w)
    least, most = across * of / (1 + 0.5 / of), across * of / (1 - 0.5 / of)
    assert least - 1 < other < most + 1
    assert torch.equal(crop.alpha[0], rows[:, None] & columns[None])


def test_shrinking_averages_and_reads_the_nearest_pixel_of_everything_else() -> None:
    checks = np.indices((8, 8)).sum(axis=0) % 2 == 1
    depth = np.arange(1, 65, dtype=np.float32).reshape(8, 8)
    normals = np.stack([np.zeros((8, 8)), np.where(checks, 0.6, -0.6), np.full((8, 8), -0.8)], axis=2)
    scene = Scene(
        image=np.where(checks, np.uint8(255), np.uint8(0))[..., None].repeat(3, axis=2),
        depth=depth,
        depth_valid=depth != 28,
        normals=normals.astype(np.float32),
        camera_intrinsics=CameraIntrinsics(40.0, 40.0, 3.5, 3.5),
    )
    crop = cut(scene, np.ones((8, 8), bool), (2, 2))
    # By the nearest pixel every one of these would be black or white.
    assert bool(((crop.image > 96) & (crop.image < 160)).all())
    # The centre of a crop's pixel lies between two of the image, of which the later is read.
    assert crop.depth is not None
    assert crop.depth_valid is not None
    assert crop.depth[0].tolist() == [[19, 23], [51, 55]]
    assert bool(crop.depth_valid.all())
    assert crop.normals is not None
    assert crop.normals[:, 0, 0].tolist() == normals.astype(np.float32)[2, 2].tolist()
    # The middle of the image stays the middle: between the pixels 0 and 1 instead of 3 and 4.
    assert crop.camera_intrinsics == CameraIntrinsics(10.0, 10.0, 0.5, 0.5)


def test_a_shrunk_crop_shows_a_point_where_its_intrinsics_project_it() -> None:
    given_camera = CameraIntrinsics(80.0, 90.0, 20.5, 9.5)
    scene = Scene(noise(60, 60), camera_intrinsics=given_camera)
    crop = cut(scene, rectangle(60, 60, 10, 20, 50, 35), (13, 17))
    camera = crop.camera_intrinsics
    assert camera is not None
    # 40 rows onto 13; the window is 17 * 40 / 13 = 52 wide, from 20 - (52 - 15) // 2 = 2 on.
    for y, x in ((10, 20), (31, 27), (49, 34)):
        ray = ((x - given_camera.cx) / given_camera.fx, (y - given_camera.cy) / given_camera.fy)
        at_x, at_y = ray[0] * camera.fx + camera.cx, ray[1] * camera.fy + camera.cy
        assert abs(at_x - ((x + 0.5 - 2) * 17 / 52 - 0.5)) < 1e-9
        assert abs(at_y - ((y + 0.5 - 10) * 13 / 40 - 0.5)) < 1e-9


def test_an_object_at_the_border_is_not_darkened_by_shrinking() -> None:
    crop = cut(Scene(np.full((40, 40, 3), 200, np.uint8)), rectangle(40, 40, 0, 0, 40, 30), (8, 12))
    there = crop.alpha.expand(3, 8, 12)
    assert bool((crop.image[there] == 200).all())
    assert sorted(set(crop.image.flatten().tolist())) == [0, 200]


def test_a_thin_window_far_larger_than_the_image() -> None:
    crop = cut(Scene(noise(30, 20)), rectangle(30, 20, 0, 0, 30, 20), (3, 40))
    # 20 of the window's 400 columns are the image: 2 of the crop's 40.
    assert torch.equal(crop.alpha[0].sum(dim=1), torch.tensor([2, 2, 2]))
    once_more = functional.max_pool2d(crop.alpha[None].float(), (1, 3), stride=1, padding=(0, 1))[0, 0] > 0
    assert torch.equal(crop.image.any(dim=0), once_more)


def test_what_gives_no_crop_says_why() -> None:
    scene = Scene(noise(20, 20))

    def why(mask: np.ndarray, **options: Any) -> object:
        return crop_object(scene, mask, (4, 4), class_id=1, provenance=SAID, **options)

    assert why(np.zeros((20, 20), bool)) == EMPTY
    assert why(rectangle(20, 20, 0, 0, 2, 2), min_area=5) == SMALL
    assert isinstance(why(rectangle(20, 20, 0, 0, 2, 2), min_area=4), BankCrop)
    assert why(rectangle(20, 20, 0, 0, 5, 1), oversize="skip") == OVERSIZE
    assert isinstance(why(rectangle(20, 20, 0, 0, 4, 4), oversize="skip"), BankCrop)
    corners = np.zeros((20, 20), bool)
    corners[0, 0] = corners[19, 19] = True
    assert why(corners) == VANISHED


@pytest.mark.parametrize(
    ("crop_size", "min_area", "oversize", "names"),
    [
        ((0, 4), 0, "shrink", "crop_size"),
        ((4,), 0, "shrink", "crop_size"),
        (4, 0, "shrink", "crop_size"),
        ((4, 65537), 0, "shrink", "crop_size"),
        ((4.0, 4), 0, "shrink", "crop_size"),
        ((4, 4), -1, "shrink", "min_area"),
        ((4, 4), 0, "cut", "oversize"),
    ],
)
def test_wrong_arguments_are_named(crop_size: Any, min_area: Any, oversize: Any, names: str) -> None:
    with pytest.raises(ValueError, match=f"^{names}: got "):
        check_cropping(crop_size, min_area, oversize)

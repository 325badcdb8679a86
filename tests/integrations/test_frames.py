"""RGB frames with depth, intrinsics and normals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from segpaste.integrations import DataError, load_data
from segpaste.integrations.files import read_vector_map
from segpaste.types import Modality
from tests.integrations.conftest import write_png16

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder, FramesFolder

pytest.importorskip("skimage", reason="frames take their labels from scikit-image's segmentation")


def unit(x: float, y: float, z: float) -> list[float]:
    """The vector at unit length, computed in float64 and rounded to float32 once."""
    length = math.sqrt(x * x + y * y + z * z)
    return [float(np.float32(value / length)) for value in (x, y, z)]


def stored_unit(x: float, y: float, z: float) -> list[float]:
    """The same for a vector that a file holds as float32."""
    return unit(*(float(np.float32(value)) for value in (x, y, z)))


def test_frames_have_every_modality(frames: FramesFolder) -> None:
    (data,) = load_data(frames.write())
    assert data.modalities == set(Modality)
    assert data.names == ("a", "b")
    sample = data.samples[0]
    sample.validate()
    assert sample.metric_depth
    assert sample.depth is not None
    assert sample.depth_valid is not None
    expected = (frames.depth.astype(np.float64) * 0.001).astype(np.float32)
    assert np.array_equal(sample.depth[0].numpy(), expected)
    assert np.array_equal(sample.depth_valid[0].numpy(), frames.depth > 0)
    assert sample.camera_intrinsics is not None
    assert sample.camera_intrinsics.as_tuple() == (30.0, 31.0, 15.0, 12.0)
    assert sample.semantic_map is not None
    assert 3 in sample.semantic_map.unique().tolist()


def test_normals_are_turned_and_those_facing_away_left_out(frames: FramesFolder) -> None:
    (data,) = load_data(frames.write())
    normals = data.samples[0].normals
    assert normals is not None
    expected = torch.tensor(stored_unit(-0.6, 0.0, -0.8))
    assert torch.equal(normals[:, 3:-1], expected[:, None, None].expand(3, 20, 32))
    squares = (normals.double() ** 2).sum(dim=0)
    assert bool(((squares[3:-1] - 1).abs() <= 2**-22).all())
    assert int(normals[:, :3].count_nonzero()) == 0
    assert int(normals[:, -1].count_nonzero()) == 0
    assert data.notes == ("64 normals that do not face the camera left out",)  # 32 in each frame


@pytest.mark.parametrize(
    ("axes", "stored", "expected"),
    [
        (["right", "down", "forward"], (0.6, 0.0, -0.8), (0.6, 0.0, -0.8)),
        (["left", "up", "toward"], (0.6, 0.0, 0.8), (-0.6, 0.0, -0.8)),
        (["right", "up", "toward"], (0.0, 0.6, 0.8), (0.0, -0.6, -0.8)),
        (["right", "forward", "up"], (0.6, -0.8, 0.0), (0.6, 0.0, -0.8)),
        (["forward", "left", "up"], (-0.8, 0.0, 0.6), (0.0, -0.6, -0.8)),
    ],
)
def test_every_axis_order_comes_out_right_down_forward(
    frames: FramesFolder, axes: list[str], stored: tuple[float, ...], expected: tuple[float, float, float]
) -> None:
    frames.normals[:] = stored
    frames.set["normals"]["axes"] = axes
    (data,) = load_data(frames.write())
    normals = data.samples[0].normals
    assert normals is not None
    assert normals[:, 0, 0].tolist() == stored_unit(*expected)


def test_normals_of_any_finite_length_are_normalised_without_a_warning(frames: FramesFolder) -> None:
    with np.errstate(all="raise"):
        (plain,) = load_data(frames.write())
        frames.normals = frames.normals.astype(np.float64) * 2.0**1000
        (huge,) = load_data(frames.write())
    for before, after in zip(plain.samples, huge.samples, strict=True):
        assert before.normals is not None
        assert after.normals is not None
        assert torch.equal(before.normals, after.normals)
    assert huge.notes == plain.notes


@pytest.mark.parametrize("skip_bad", [False, True])
def test_axes_that_turn_every_normal_away_are_refused(frames: FramesFolder, skip_bad: bool) -> None:
    frames.normals[-1] = 0
    frames.set["normals"]["axes"] = ["left", "up", "forward"]
    message = (
        r"set 'frames': got 1280 normals, none of which faces the camera, expected some that do: "
        r"normals.axes \['left', 'up', 'forward'\] is probably wrong"
    )
    with pytest.raises(DataError, match=message):
        load_data(frames.write(), skip_bad=skip_bad)


@pytest.mark.parametrize("filter_type", [0, 1, 2])
def test_png_of_16_bits_keeps_its_low_bytes(tmp_path: Path, filter_type: int) -> None:
    values = np.random.default_rng(filter_type).integers(0, 65536, (7, 5, 3))
    write_png16(tmp_path / "n.png", values, filter_type)
    read = read_vector_map(tmp_path / "n.png")
    assert read.dtype == np.uint16
    assert np.array_equal(read, values)


@pytest.mark.parametrize("bits", [8, 16])
def test_png_normals_are_decoded_and_renormalised(frames: FramesFolder, bits: int) -> None:
    top = 2**bits - 1
    coded = np.rint((frames.normals.astype(np.float64) + 1) / 2 * top)
    coded[:3] = 0  # no normal
    root = frames.write()
    for name in ("a", "b"):
        if bits == 8:
            Image.fromarray(coded.astype(np.uint8)).save(root / f"{name}_n.png")
        else:
            write_png16(root / f"{name}_n.png", coded.astype(np.int64), 1)
    for frame in frames.set["frames"]:
        frame["normals"] = frame["normals"].replace(".npy", ".png")
    frames.write_mapping()
    (data,) = load_data(root)
    normals = data.samples[0].normals
    assert normals is not None
    left, up, toward = (float(value) / top * 2 - 1 for value in coded[3, 0])
    expected = torch.tensor(unit(0 - left, 0 - up, 0 - toward))
    assert torch.equal(normals[:, 3:-1], expected[:, None, None].expand(3, 20, 32))
    squares = (normals.double() ** 2).sum(dim=0)
    assert bool(((squares[3:-1] - 1).abs() <= 2**-22).all())
    assert int(normals[:, :3].count_nonzero()) == 0


def test_relative_depth_is_divided_by_its_median(frames: FramesFolder) -> None:
    frames.set["depth"]["unit"] = "relative"
    (data,) = load_data(frames.write())
    sample = data.samples[0]
    assert not sample.metric_depth
    assert sample.depth is not None
    assert sample.depth_valid is not None
    stored = frames.depth.astype(np.float64)
    expected = (stored * (1 / np.median(stored[stored > 0]))).astype(np.float32)
    assert np.array_equal(sample.depth[0].numpy(), expected)
    assert np.array_equal(sample.depth_valid[0].numpy(), stored > 0)


def test_depth_without_intrinsics_is_not_metric(frames: FramesFolder) -> None:
    for frame in frames.set["frames"]:
        del frame["intrinsics"]
    (data,) = load_data(frames.write())
    assert not data.samples[0].metric_depth
    assert data.samples[0].camera_intrinsics is None


def test_markers_of_invalid_depth_may_be_anything(frames: FramesFolder) -> None:
    depth = np.full((24, 32), 2.0, np.float32)
    depth[0], depth[1], depth[2] = np.nan, np.inf, 65504
    root = frames.write()
    for frame in frames.set["frames"]:
        frame["depth"] = "d.npy"
    np.save(root / "d.npy", depth)
    frames.set["depth"] = {"unit": 1, "invalid": [float("nan"), float("inf"), 65504]}
    frames.write_mapping()
    (data,) = load_data(root)
    valid = data.samples[0].depth_valid
    assert valid is not None
    assert not bool(valid[0, :3].any())
    assert bool(valid[0, 3:].all())
    assert data.samples[0].depth is not None
    assert float(data.samples[0].depth[0, :3].abs().sum()) == 0


def test_one_frame_is_its_own_mirrored_donor(frames: FramesFolder) -> None:
    frames.set["frames"] = frames.set["frames"][:1]
    (data,) = load_data(frames.write())
    assert data.names == ("a", "a (mirrored)")
    first, second = data.samples
    second.validate()
    assert second.camera_intrinsics is not None
    assert second.camera_intrinsics.as_tuple() == (30.0, 31.0, 31 - 15.0, 12.0)
    assert first.normals is not None
    assert second.normals is not None
    assert torch.equal(second.normals[0], 0 - first.normals[0].flip(-1))
    assert torch.equal(second.normals[1:], first.normals[1:].flip(-1))
    assert first.depth is not None
    assert second.depth is not None
    assert torch.equal(second.depth, first.depth.flip(-1))
    assert second.metric_depth


def test_intrinsics_may_stand_in_the_mapping_file(frames: FramesFolder) -> None:
    for frame in frames.set["frames"]:
        frame["intrinsics"] = [20, 21, 9.5, 8.5]
    (data,) = load_data(frames.write())
    assert data.samples[0].camera_intrinsics is not None
    assert data.samples[0].camera_intrinsics.as_tuple() == (20.0, 21.0, 9.5, 8.5)


def test_labels_can_come_from_an_image_of_another_folder(frames: FramesFolder, coco: CocoFolder) -> None:
    coco.keep("panoptic")
    coco.write()
    frames.set["labels"] = {"from": "image", "folder": "../coco", "set": "panoptic", "image": "a.png"}
    (data,) = load_data(frames.write())
    sample = data.samples[0]
    assert data.modalities == set(Modality)
    assert sample.labels.tolist() == [7, 1]
    assert sample.boxes.tolist() == [[5, 3, 7, 5], [1, 1, 4, 3]]
    assert sample.semantic_map is not None
    assert bool((sample.semantic_map[6:] == 255).all())
    assert bool((sample.semantic_map[:, 8:] == 255).all())
    frames.set["labels"]["image"] = "c.png"
    frames.write_mapping()
    with pytest.raises(DataError, match=r"coco: set 'panoptic': no image 'c.png' among"):
        load_data(frames.root)
    frames.set["labels"]["set"] = "frames"
    frames.write_mapping()
    with pytest.raises(DataError, match=r"no labelled set 'frames', expected one of \['panoptic'\]"):
        load_data(frames.root)
    frames.set["labels"]["folder"] = "../nowhere"
    frames.write_mapping()
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load_data(frames.root)


def test_labels_larger_than_the_frame_are_cut(frames: FramesFolder, coco: CocoFolder) -> None:
    coco.keep("panoptic")
    coco.write()
    frames.rgb, frames.depth, frames.normals = (
        frames.rgb[:3, :6],
        frames.depth[4:7, :6],
        frames.normals[4:7, :6],
    )
    frames.set["labels"] = {"from": "image", "folder": "../coco", "set": "panoptic", "image": "a.png"}
    (data,) = load_data(frames.write())
    sample = data.samples[0]
    assert sample.labels.tolist() == [1]
    assert sample.instance_ids is not None
    assert sample.instance_ids.tolist() == [1]
    assert sample.panoptic_map is not None
    assert sorted(sample.panoptic_map.unique().tolist()) == [0, 1]

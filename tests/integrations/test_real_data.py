"""The small real data sets, where the environment variable ``SEGPASTE_DATA`` says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from segpaste.integrations import DataSet, load_data
from segpaste.invariants import check_sample
from segpaste.types import LEGAL_MODALITY_SETS, Modality, check_against_schema

MAPS = Path(__file__).parents[1] / "data_maps"
FOLDERS = ("coco128_multi", "coco_panoptic_sample", "rgbd_kinect", "tartanair_dsine")


SetsOf = Callable[[str], dict[str, DataSet]]


@pytest.fixture(scope="module")
def sets_of(data_root: Path) -> SetsOf:
    """The sets of one folder by name, each folder read once."""

    @cache
    def read(folder: str) -> dict[str, DataSet]:
        if folder in ("rgbd_kinect", "tartanair_dsine"):
            pytest.importorskip("skimage", reason="unlabelled frames need scikit-image's segmentation")
        return {data.name: data for data in load_data(data_root / folder, mapping=MAPS / f"{folder}.yaml")}

    return read


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sample_is_well_formed(folder: str, sets_of: SetsOf) -> None:
    for data in sets_of(folder).values():
        assert data.modalities in LEGAL_MODALITY_SETS
        assert data.schema is not None
        assert not data.skipped
        for sample in data.samples:
            sample.validate()
            check_against_schema(sample, data.schema)
            assert sample.active_modalities() == data.modalities
            assert sample.canvas_size == data.canvas_size
            if sample.instance_masks is not None:
                assert bool(sample.instance_masks.flatten(1).any(dim=1).all())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_sample_law_holds(folder: str, sets_of: SetsOf) -> None:
    for data in sets_of(folder).values():
        for name, sample in zip(data.names, data.samples, strict=True):
            reports = check_sample(sample, data.schema)
            assert [f"{name}: {report}" for report in reports if not report.ok] == []
            held = {report.name.split(".")[0] for report in reports if report.status == "held"}
            assert held >= {"sample", *(each.value for each in data.modalities - {Modality.IMAGE})}


def test_coco128_counts(sets_of: SetsOf) -> None:
    sets = sets_of("coco128_multi")
    assert list(sets) == ["panoptic", "instances", "semantic"]
    assert [len(data.samples) for data in sets.values()] == [24, 24, 24]
    # 257 things, of which 4 are crowds
    assert sum(map(len, sets["panoptic"].samples)) == 253
    assert sum(map(len, sets["instances"].samples)) == 253
    assert sets["panoptic"].notes == ("4 crowd regions made void",)
    assert sets["panoptic"].canvas_size == (640, 640)
    assert sets["panoptic"].schema is not None
    assert len(sets["panoptic"].schema.classes) == 133


def test_coco128_label_files_agree(sets_of: SetsOf) -> None:
    sets = sets_of("coco128_multi")
    for panoptic, instances, semantic in zip(
        sets["panoptic"].samples, sets["instances"].samples, sets["semantic"].samples, strict=True
    ):
        assert torch.equal(panoptic.image, instances.image)
        assert panoptic.instance_masks is not None
        assert instances.instance_masks is not None
        ours = {
            (int(c), m.numpy().tobytes())
            for c, m in zip(panoptic.labels, panoptic.instance_masks, strict=True)
        }
        theirs = {
            (int(c), m.numpy().tobytes())
            for c, m in zip(instances.labels, instances.instance_masks, strict=True)
        }
        assert ours == theirs
        assert panoptic.semantic_map is not None
        assert semantic.semantic_map is not None
        labelled = panoptic.semantic_map != 255
        assert torch.equal(panoptic.semantic_map[labelled], semantic.semantic_map[labelled])


def test_coco_panoptic_sample_counts(sets_of: SetsOf) -> None:
    sets = sets_of("coco_panoptic_sample")
    assert [sum(map(len, data.samples)) for data in sets.values()] == [40, 40]  # 43 less 3 crowds
    assert sets["panoptic"].names == ("000000142238.jpg", "000000439180.jpg")


def test_kinect_depth_has_holes_and_no_metric(sets_of: SetsOf) -> None:
    (data,) = sets_of("rgbd_kinect").values()
    assert data.canvas_size == (480, 640)
    assert not any(sample.metric_depth for sample in data.samples)
    holes: list[tuple[int, int]] = []
    for sample in data.samples:
        assert sample.depth_valid is not None
        seen = torch.ones_like(sample.depth_valid) if sample.padding_mask is None else ~sample.padding_mask
        holes.append((int((~sample.depth_valid[seen]).sum()), int(seen.sum())))
    assert holes == [(16554, 307200), (24752, 217088)]


def test_tartanair_geometry(sets_of: SetsOf) -> None:
    (data,) = sets_of("tartanair_dsine").values()
    assert data.modalities == set(Modality)
    assert data.names == ("000000", "000000 (mirrored)")
    assert data.notes == ("15019 normals that do not face the camera left out",)
    sample = data.samples[0]
    assert sample.metric_depth
    assert sample.camera_intrinsics is not None
    assert sample.camera_intrinsics.as_tuple() == (320, 320, 319.5, 239.5)
    assert sample.depth_valid is not None
    assert int((~sample.depth_valid).sum()) == 149663  # the sky
    for each in data.samples:
        assert each.normals is not None
        squares = (each.normals.double() ** 2).sum(dim=0)
        there = squares > 0
        assert bool(((squares[there] - 1).abs() <= 2**-22).all())
        assert bool((each.normals[2][there] < 0).all())


def test_tartanair_normals_agree_with_its_depth(sets_of: SetsOf) -> None:
    (data,) = sets_of("tartanair_dsine").values()
    for sample in data.samples:
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.normals is not None
        assert sample.camera_intrinsics is not None
        fx, fy, cx, cy = sample.camera_intrinsics.as_tuple()
        depth = sample.depth[0].numpy().astype(np.float64)
        ys, xs = np.mgrid[: depth.shape[0], : depth.shape[1]]
        points = np.stack([(xs - cx) / fx * depth, (ys - cy) / fy * depth, depth])
        across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
        down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
        derived = np.cross(down, across, axis=0)  # points toward the camera
        derived /= np.linalg.norm(derived, axis=0) + 1e-12
        normals = sample.normals.numpy()[:, 1:-1, 1:-1]
        usable = sample.depth_valid[0].numpy()[1:-1, 1:-1] & normals.any(axis=0)
        cosine = (derived * normals).sum(axis=0)[usable].clip(-1, 1)
        assert np.degrees(np.median(np.arccos(cosine))) < 5

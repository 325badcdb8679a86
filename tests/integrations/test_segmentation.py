"""The classical segmentation and the demo photographs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.integrations import DataError, demo_photographs
from segpaste.integrations import segmentation as segmentation_module
from segpaste.integrations.segmentation import MOST_THINGS, SEGMENTATION_SCHEMA, segment
from segpaste.invariants import check_sample
from segpaste.types import BatchedDenseSample, Modality, check_against_schema

pytest.importorskip("skimage", reason="the segmentation is scikit-image's")


def discs() -> np.ndarray:
    """A grey image of 240 x 320 with a bright and a dark disc, and a bright bar at the border."""
    ys, xs = np.mgrid[:240, :320]
    image = np.full((240, 320, 3), 120, np.uint8)
    image[(ys - 80) ** 2 + (xs - 80) ** 2 < 30**2] = 250
    image[(ys - 160) ** 2 + (xs - 240) ** 2 < 30**2] = 5
    image[:, 310:] = 250
    return image


def test_objects_and_surroundings_are_told_apart() -> None:
    labels = segment(discs())
    assert labels.classes.tolist() == [2, 1]  # the bright disc comes first
    assert labels.masks is not None
    assert labels.panoptic is not None
    assert labels.semantic is not None
    assert labels.masks[:, 80, 80].tolist() == [True, False]
    assert labels.masks[:, 160, 240].tolist() == [False, True]
    assert (labels.panoptic[80, 80], labels.panoptic[160, 240]) == (1, 2)
    assert (labels.semantic[80, 80], labels.semantic[160, 240]) == (2, 1)
    assert (labels.semantic[0, 150], labels.semantic[239, 150]) == (3, 4)
    assert labels.panoptic[120, 318] == 0  # touches three borders


def test_labels_agree_with_each_other_and_with_the_schema() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    labels = segment(noise)
    assert labels.masks is not None
    assert labels.panoptic is not None
    assert labels.semantic is not None
    assert len(labels.masks) <= MOST_THINGS
    for row, mask in enumerate(labels.masks):
        assert mask.any()
        assert np.array_equal(mask, labels.panoptic == row + 1)
        assert set(np.unique(labels.semantic[mask]).tolist()) == {int(labels.classes[row])}
    things = {c for c, kind in SEGMENTATION_SCHEMA.classes.items() if kind == "thing"}
    assert not np.isin(labels.semantic[labels.panoptic == 0], list(things)).any()
    assert set(np.unique(labels.semantic).tolist()) <= {1, 2, 3, 4, 255}


def test_depth_separates_what_colour_does_not() -> None:
    grey = np.full((60, 80, 3), 120, np.uint8)
    depth = np.full((60, 80), 4.0)
    depth[15:30, 20:40] = 1.0
    assert len(segment(grey).classes) == 0
    labels = segment(grey, depth, depth > 0)
    assert len(labels.classes) == 1
    assert labels.masks is not None
    assert labels.masks[0, 22, 30]


def test_float_images_of_any_range_are_segmented_like_bytes() -> None:
    image = discs().astype(np.float32) * 3 - 700
    labels = segment(image)
    assert labels.classes.tolist() == [2, 1]


def test_a_missing_scikit_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(DataError, match=r"scikit-image is missing, expected pip install -e '\.\[demo\]'"):
        segmentation_module.segment(discs())


def test_demo_photographs_are_complete_and_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    start = time.perf_counter()
    motorcycle, plain = demo_photographs()
    assert time.perf_counter() - start < 4
    labels = {Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC}
    assert motorcycle.modalities == labels | {Modality.DEPTH}
    assert plain.modalities == labels
    assert motorcycle.names == ("stereo_motorcycle", "stereo_motorcycle (mirrored)")
    assert plain.names == ("coins", "coffee")
    assert (motorcycle.canvas_size, plain.canvas_size) == ((250, 370), (200, 300))
    for data in (motorcycle, plain):
        assert data.schema is not None
        for sample in data.samples:
            sample.validate()
            check_against_schema(sample, data.schema)
            assert [report for report in check_sample(sample, data.schema) if not report.ok] == []
            assert len(sample) >= 5
            assert sample.semantic_map is not None
            assert {3, 4} <= set(sample.semantic_map.unique().tolist())
        BatchedDenseSample.from_samples(data.samples).to_padded(MOST_THINGS)


def test_motorcycle_depth_is_metric() -> None:
    sample = demo_photographs()[0].samples[0]
    assert sample.metric_depth
    assert sample.depth is not None
    assert sample.depth_valid is not None
    invalid = 1 - float(sample.depth_valid.double().mean())
    assert 0.05 < invalid < 0.09
    depth = sample.depth[sample.depth_valid]
    # a garage: the motorcycle some 2.5 m away, the wall behind it at 5 m
    assert 1.5 < float(depth.min()) < 3
    assert 4 < float(depth.max()) < 7
    assert sample.camera_intrinsics is not None
    assert sample.camera_intrinsics.as_tuple() == (497.489, 497.489, 155.3465, 127.1885)


def test_demo_photographs_are_the_same_every_time() -> None:
    for first, second in zip(demo_photographs(), demo_photographs(), strict=True):
        for a, b in zip(first.samples, second.samples, strict=True):
            assert torch.equal(a.image, b.image)
            assert a.panoptic_map is not None
            assert b.panoptic_map is not None
            assert torch.equal(a.panoptic_map, b.panoptic_map)


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, segpaste.types; before = set(sys.modules); import segpaste.integrations;"
        "new = set(sys.modules) - before; print(sorted(new))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['segpaste.integrations']"

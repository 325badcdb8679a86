"""Ultralytics: polygons hold every connected mask, nothing is repaired, nothing leaks.

Needs ultralytics; without it only the error that says so is tested.
"""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segpaste.strategies import dense_samples
from segpaste.testing.adapters import adapt
from segpaste.testing.adapters.base import DTYPE_KEPT, ROWS_ALIGNED, Adapted, UnreadableResultError
from segpaste.testing.adapters.ultralytics import DonorDataset, UltralyticsTransform
from segpaste.types import DenseSample, Modality

# Read when ultralytics is imported: no settings in the home folder, nothing printed.
os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())
os.environ.setdefault("YOLO_VERBOSE", "False")

augment: Any
try:
    augment = importlib.import_module("ultralytics.data.augment")
except ImportError:
    augment = None

needs_ultralytics = pytest.mark.skipif(augment is None, reason="ultralytics is not installed")

INSTANCE = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC})
SEGMENTS = ("indices", "centres")
BOXES = ("polygon", "half_open")

SMALL = [
    [[1]],  # one pixel
    [[1, 1, 1, 1]],  # one row
    [[1], [1], [1]],  # one column
    [[1, 0], [0, 1]],  # parts that touch at a corner only
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]],  # a hole
    [[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]],  # two holes
    [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]],  # an island in one
]


def samples() -> st.SearchStrategy[DenseSample]:
    return dense_samples(INSTANCE, image_dtypes=(torch.uint8,), channels=(3,), max_side=16)


def sample_of(*masks: list[list[int]], semantic: torch.Tensor | None = None) -> DenseSample:
    stacked = torch.tensor(masks, dtype=torch.bool)
    rows, height, width = stacked.shape
    boxes = [
        [float(c[:, 1].min()), float(c[:, 0].min()), float(c[:, 1].max() + 1), float(c[:, 0].max() + 1)]
        for c in (mask.nonzero() for mask in stacked)
    ]
    return DenseSample(
        image=torch.arange(3 * height * width, dtype=torch.uint8).reshape(3, height, width),  # pyright: ignore[reportArgumentType]
        boxes=torch.tensor(boxes),  # pyright: ignore[reportArgumentType]
        labels=torch.arange(7, 7 + rows),
        instance_ids=torch.arange(3, 3 + rows, dtype=torch.int32),
        instance_masks=stacked,  # pyright: ignore[reportArgumentType]
        semantic_map=semantic,  # pyright: ignore[reportArgumentType]
    )


def mirrored(sample: DenseSample) -> DenseSample:
    values = sample.to_dict()
    boxes = values["boxes"].as_subclass(torch.Tensor)
    width = sample.canvas_size[1]
    values["boxes"] = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    for name in ("image", "instance_masks", "semantic_map"):
        if name in values:
            values[name] = values[name].as_subclass(torch.Tensor).flip(-1)
    return DenseSample.from_dict(values)


def differing(mine: Any, other: DenseSample) -> list[str]:
    if not isinstance(mine, DenseSample):
        return [f"a {type(mine).__name__}"]
    values, others = mine.to_dict(), other.to_dict()
    return sorted(values.keys() ^ others.keys()) + [
        name
        for name in values.keys() & others.keys()
        if isinstance(values[name], torch.Tensor)
        and not (values[name].dtype == others[name].dtype and torch.equal(values[name], others[name]))
    ]


def _numpy_state() -> list[int]:
    state: Any = np.random.get_state()
    return state[1].tolist()


def of(labels: Any) -> Any:
    """What a transform returns who returns these labels."""
    return lambda given: given | labels(given)


def paste(**options: Any) -> UltralyticsTransform:
    return UltralyticsTransform(augment.CopyPaste(p=1.0, mode="mixup"), **options)


@pytest.mark.parametrize("boxes", BOXES)
@pytest.mark.parametrize("segments", SEGMENTS)
@needs_ultralytics
@given(samples(), samples())
def test_a_transform_that_does_nothing_returns_every_prepared_sample_bit_for_bit(
    segments: Any, boxes: Any, target: DenseSample, donor: DenseSample
) -> None:
    adapter = UltralyticsTransform(lambda labels: labels, kind="geometric", segments=segments, boxes=boxes)
    prepared = adapter.prepare(target)
    assert differing(adapter(prepared, adapter.prepare(donor), 0), prepared) == []


@pytest.mark.parametrize("mask", SMALL)
@needs_ultralytics
def test_a_connected_mask_is_one_polygon_whatever_its_holes(mask: list[list[int]]) -> None:
    adapter = UltralyticsTransform(lambda labels: labels, kind="geometric")
    sample = adapter.prepare(sample_of(mask))
    if mask != SMALL[-1]:
        assert differing(sample, sample_of(mask)) == []
    assert differing(adapter(sample, sample, 0), sample) == []


@needs_ultralytics
def test_prepare_keeps_the_largest_part_and_drops_rows_without_a_pixel() -> None:
    adapter = UltralyticsTransform(lambda labels: labels, kind="geometric")
    two_parts = sample_of([[1, 0, 1, 1]], [[0, 1, 0, 0]])
    prepared = adapter.prepare(two_parts)
    assert prepared.instance_masks is not None
    assert prepared.instance_masks.tolist() == [[[False, False, True, True]], [[False, True, False, False]]]
    assert prepared.boxes.tolist() == [[2, 0, 4, 1], [1, 0, 2, 1]]
    values = two_parts.to_dict()
    values["instance_masks"] = values["instance_masks"].clone()
    values["instance_masks"][0] = False
    emptied = adapter.prepare(DenseSample.unchecked(**values))
    assert (emptied.labels.tolist(), emptied.boxes.tolist()) == ([8], [[1, 0, 2, 1]])
    assert emptied.instance_ids is not None
    assert emptied.instance_ids.tolist() == [4]


@needs_ultralytics
@given(samples())
def test_prepare_changes_nothing_the_second_time(sample: DenseSample) -> None:
    adapter = UltralyticsTransform(lambda labels: labels, kind="geometric")
    once = adapter.prepare(sample)
    assert differing(adapter.prepare(once), once) == []


@needs_ultralytics
def test_a_mask_in_two_parts_that_was_not_prepared_is_refused() -> None:
    adapter = UltralyticsTransform(lambda labels: labels, kind="geometric")
    sample = sample_of([[1, 0, 1]])
    with pytest.raises(
        ValueError, match=r"^instance_masks: got 2 separate parts in row 0, expected 1: `prepare`"
    ):
        adapter(sample, sample, 0)


@pytest.mark.parametrize("boxes", BOXES)
@needs_ultralytics
@given(samples())
def test_the_flip_is_exact_for_polygons_at_the_pixels_centres(boxes: Any, target: DenseSample) -> None:
    adapter = UltralyticsTransform(augment.RandomFlip(p=1.0), segments="centres", boxes=boxes)
    prepared = adapter.prepare(target)
    assert differing(adapter(prepared, prepared, 0), mirrored(prepared)) == []


@needs_ultralytics
def test_the_flip_moves_polygons_of_pixel_indices_one_pixel_too_far() -> None:
    sample = sample_of([[1, 1, 0, 0]])
    after = UltralyticsTransform(augment.RandomFlip(p=1.0))(sample, sample, 0)
    assert isinstance(after, DenseSample)
    assert after.instance_masks is not None
    assert torch.equal(after.image, sample.image.flip(-1))
    assert after.instance_masks.tolist() == [[[False, False, False, True]]]  # its picture: columns 2 and 3
    assert after.boxes.tolist() == [[2, 0, 4, 1]]
    polygons = UltralyticsTransform(augment.RandomFlip(p=1.0), boxes="polygon")(sample, sample, 0)
    assert isinstance(polygons, DenseSample)
    assert polygons.boxes.tolist() == [[3, 0, 4, 1]]


@needs_ultralytics
def test_the_donor_is_what_is_pasted_and_the_originals_are_not_trimmed() -> None:
    target = sample_of([[1, 1, 1, 1], [1, 1, 1, 1]])
    donor = sample_of([[0, 0, 0, 0], [0, 0, 0, 1]])
    values = donor.to_dict() | {"image": 255 - donor.image, "labels": torch.tensor([40])}
    after = paste()(target, DenseSample.from_dict(values), 0)
    assert isinstance(after, DenseSample)
    assert after.instance_masks is not None
    assert after.instance_ids is not None
    assert (after.labels.tolist(), after.instance_ids.tolist()) == ([7, 40], [3, 4])
    assert torch.equal(after.image[:, 1, 3], 255 - donor.image[:, 1, 3])
    assert after.instance_masks[:, 1, 3].tolist() == [True, True]  # the finding: two objects, one pixel


@needs_ultralytics
def test_copies_of_one_row_get_fresh_ids_of_their_own() -> None:
    target, donor = sample_of([[1, 1], [1, 1]]), sample_of([[1, 1], [1, 1]])
    mosaic = augment.Mosaic(DonorDataset(), imgsz=2)
    after = UltralyticsTransform(mosaic)(target, donor, 0)
    assert isinstance(after, DenseSample)
    assert after.instance_ids is not None
    assert after.image.shape == (3, 4, 4)
    assert len(after) > 1
    assert after.instance_ids.tolist() == [3, *range(4, 3 + len(after))]


@needs_ultralytics
def test_semantic_labels_above_a_byte_survive_and_ignore_stays_ignore() -> None:
    semantic = torch.tensor([[255, 254, 0, 2**31 - 1]])
    sample = sample_of([[1, 1, 0, 0]], semantic=semantic)
    given: list[np.ndarray] = []

    def keep(labels: Any) -> Any:
        given.append(labels["semantic_mask"].copy())
        return labels

    after = UltralyticsTransform(keep, kind="geometric")(sample, sample, 0)
    assert isinstance(after, DenseSample)
    assert after.semantic_map is not None
    assert torch.equal(after.semantic_map, semantic)
    assert given[0].tolist() == [[255, 254, 0, 253]]


@needs_ultralytics
def test_dtypes_that_change_and_rows_that_do_not_match_are_told() -> None:
    sample = sample_of([[1, 1, 0, 0]], semantic=torch.zeros((1, 4), dtype=torch.int64))
    wide = of(
        lambda g: {"img": g["img"].astype(np.int64), "semantic_mask": g["semantic_mask"].astype(np.int32)}
    )
    result = UltralyticsTransform(wide, kind="geometric")(sample, sample, 0)
    assert isinstance(result, Adapted)
    assert [(c.law, c.message) for c in result.complaints] == [
        (DTYPE_KEPT, "img: got int64, expected uint8 as given"),
        (DTYPE_KEPT, "semantic_mask: got int32, expected uint8 as given"),
    ]
    assert differing(result.sample, sample) == []
    short = of(lambda g: {"cls": g["cls"][:0]})
    with pytest.raises(UnreadableResultError, match=r"^got 0 cls, 1 bboxes, 1 segments, expected") as caught:
        UltralyticsTransform(short, kind="geometric")(sample, sample, 0)
    assert caught.value.complaint.law == ROWS_ALIGNED
    small = of(lambda g: {"semantic_mask": g["semantic_mask"][:, :2]})
    with pytest.raises(
        UnreadableResultError, match=r"^got semantic_mask \[1, 2\], expected the image's \[1, 4\]"
    ):
        UltralyticsTransform(small, kind="geometric")(sample, sample, 0)


@needs_ultralytics
def test_the_seed_decides_and_neither_generators_nor_samples_nor_the_transform_are_touched() -> None:
    sample = sample_of([[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]])
    kept = DenseSample.from_dict(
        {k: v.clone() for k, v in sample.to_dict().items() if isinstance(v, torch.Tensor)}
    )
    dataset = DonorDataset()
    both = augment.Compose([augment.RandomHSV(), augment.CopyPaste(dataset, p=1.0, mode="mixup")])
    adapter = UltralyticsTransform(both)
    before = random.getstate(), _numpy_state()
    first, second, other = (adapter(sample, sample, seed) for seed in (1, 1, 2**63 + 5))
    assert (random.getstate(), _numpy_state()) == before
    assert isinstance(first, DenseSample)
    assert isinstance(other, DenseSample)
    assert differing(second, first) == []
    assert not torch.equal(first.image, other.image)
    assert differing(sample, kept) == []
    assert both.transforms[1].dataset is dataset


@needs_ultralytics
def test_boxes_that_the_library_makes_of_polygons_are_read_as_those() -> None:
    masks = torch.zeros((1, 8, 8), dtype=torch.int64)
    masks[0, 2:7, 1:6] = 1
    sample = sample_of(*masks.tolist())
    still = augment.RandomPerspective(translate=0.0, scale=0.0)
    for segments in ("indices", "centres"):
        after = UltralyticsTransform(still, segments=segments)(sample, sample, 0)
        assert differing(after, sample) == []
        raw = UltralyticsTransform(still, segments=segments, boxes="half_open")(sample, sample, 0)
        assert differing(raw, sample) == ["boxes"]


@needs_ultralytics
def test_kind_and_name_follow_from_the_transform() -> None:
    kinds = {
        augment.CopyPaste(mode="flip"): "paste",
        augment.RandomFlip(): "geometric",
        augment.RandomHSV(): "photometric",
        augment.Compose([augment.RandomHSV(), augment.RandomFlip()]): "geometric",
        augment.Compose([augment.CopyPaste(), augment.RandomPerspective()]): "paste",
    }
    for transform, kind in kinds.items():
        adapter = adapt(transform)
        assert isinstance(adapter, UltralyticsTransform)
        assert adapter.kind == kind
    assert UltralyticsTransform(augment.Compose([augment.CopyPaste(mode="mixup")])).mixes
    assert not UltralyticsTransform(augment.CopyPaste(mode="flip")).mixes
    assert UltralyticsTransform(augment.CopyPaste()).name == "ultralytics:CopyPaste(mode='flip')"
    assert UltralyticsTransform(augment.RandomFlip(), name="mine", kind="photometric").name == "mine"


@needs_ultralytics
def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^kind: got None for MixUp, expected 'paste', 'geometric' or"):
        UltralyticsTransform(augment.MixUp(None))
    with pytest.raises(
        ValueError, match=r"^kind: got 'colour', expected one of paste, geometric, photometric"
    ):
        UltralyticsTransform(augment.RandomFlip(), kind="colour")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^segments: got 'edges', expected one of indices, centres"):
        UltralyticsTransform(augment.RandomFlip(), segments="edges")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^boxes: got 'xywh', expected one of polygon, half_open"):
        UltralyticsTransform(augment.RandomFlip(), boxes="xywh")  # pyright: ignore[reportArgumentType]


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setitem(sys.modules, "ultralytics.utils.instance", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        ImportError, match=r"^ultralytics: cannot be imported .* `pip install -e '\.\[adapters\]'`"
    ):
        UltralyticsTransform(lambda labels: labels, kind="geometric")


def test_pillow_is_left_as_it_was() -> None:
    code = (
        "from PIL import Image; before = Image.open\n"
        "from segpaste.testing import resolve_target\n"
        "resolve_target('ultralytics.data.augment:CopyPaste(p=1.0)')\n"
        "print(Image.open is before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"

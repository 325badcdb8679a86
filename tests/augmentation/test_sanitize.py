"""Rows that are dropped take everything of theirs along, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from segpaste.augmentation import SanitizeBoundingBoxes, SanitizeInstances
from segpaste.types import InstanceMask, PaddingMask, PanopticMap, SemanticMap, xyxy
from tests.types.whole_samples import changed_fields, full_sample, same_bits, sample_of

ROWS = {"boxes", "labels", "instance_ids", "instance_masks"}
MAPS = {"semantic_map", "panoptic_map"}
INSTANCES: Any = SanitizeInstances
BOXES: Any = SanitizeBoundingBoxes
SMALL, LARGE = 0, 1
"""``full_sample`` has a box of 25 x 15 and one of 30 x 15 pixels."""


@pytest.mark.parametrize(
    "clean",
    [
        SanitizeInstances(400),
        SanitizeBoundingBoxes(min_area=400),
        SanitizeBoundingBoxes(min_size=1, min_area=376),
    ],
    ids=["mask area", "box area", "box just too small"],
)
def test_a_row_goes_with_all_it_has_and_its_pixels_become_void(clean: Any) -> None:
    padding = torch.zeros((1, 40, 60), dtype=torch.bool)
    before = full_sample(padding_mask=padding)
    after = clean(before)
    after.validate()
    assert after.instance_ids.tolist() == [before.instance_ids[LARGE]]
    assert changed_fields(before, after) == ROWS | MAPS
    gone = before.instance_masks[SMALL].as_subclass(torch.Tensor)
    assert (after.semantic_map[gone] == 255).all()
    assert (after.panoptic_map[gone] == 0).all()
    for name in MAPS:
        assert torch.equal(getattr(after, name)[~gone], getattr(before, name)[~gone])
    assert after.padding_mask is before.padding_mask


def test_without_a_panoptic_map_the_semantic_map_stays() -> None:
    before = full_sample(panoptic_map=None)
    after = SanitizeInstances(400)(before)
    assert changed_fields(before, after) == ROWS


def test_void_is_the_ignore_index_that_is_asked_for() -> None:
    before = full_sample()
    for clean in (
        SanitizeInstances(400, ignore_index=0),
        SanitizeBoundingBoxes(min_area=400, ignore_index=0),
    ):
        gone = before.instance_masks[SMALL].as_subclass(torch.Tensor)
        assert (clean(before).semantic_map[gone] == 0).all()


@pytest.mark.parametrize("clean", [SanitizeInstances(375), SanitizeBoundingBoxes(min_size=15, min_area=375)])
def test_a_sample_of_which_all_is_kept_is_returned_as_it_is(clean: Any) -> None:
    before = full_sample()
    assert clean(before) is before


def test_boxes_alone_are_judged_as_torchvision_does() -> None:
    boxes = torch.tensor([[0.0, 0.0, 3.0, 3.0], [2.0, 2.0, 2.0, 5.0], [0.0, 0.0, 0.5, 8.0]])
    before = sample_of(image=torch.zeros((3, 8, 8)), boxes=boxes, labels=torch.tensor([1, 2, 3]))
    after = SanitizeBoundingBoxes()(before)
    assert after.labels.tolist() == [1]
    assert after.boxes.tolist() == [[0.0, 0.0, 3.0, 3.0]]
    with pytest.raises(ValueError, match="SanitizeInstances: got a sample with rows and no instance_masks"):
        SanitizeInstances(1)(before)
    empty = sample_of(image=torch.zeros((3, 8, 8)))
    assert SanitizeInstances(1)(empty) is empty
    assert SanitizeBoundingBoxes()(empty) is empty


def test_nothing_may_be_left() -> None:
    after = SanitizeInstances(10**6)(full_sample())
    after.validate()
    assert len(after) == 0
    assert not after.panoptic_map.any()


def _dict() -> dict[str, Any]:
    sample = full_sample()
    return {
        "image": sample.image,
        "boxes": sample.boxes,
        "labels": sample.labels,
        "masks": InstanceMask(sample.instance_masks.as_subclass(torch.Tensor)),
        "padding": PaddingMask(torch.zeros((1, 40, 60), dtype=torch.bool)),
        "semantic": SemanticMap(torch.ones((2, 60), dtype=torch.int64)),  # as many rows as there are boxes
        "panoptic": PanopticMap(torch.ones((2, 60), dtype=torch.int64)),
    }


@pytest.mark.parametrize("clean", [SanitizeInstances(400), SanitizeBoundingBoxes(min_area=400)])
def test_a_dict_keeps_padding_and_maps(clean: Any) -> None:
    given = _dict()
    after = clean(given)
    assert after["labels"].tolist() == [5]
    assert after["boxes"].shape == (1, 4)
    assert isinstance(after["boxes"], tv_tensors.BoundingBoxes)
    assert type(after["masks"]) is InstanceMask
    assert same_bits(after["masks"], given["masks"][1:])
    for name in ("image", "padding", "semantic", "panoptic"):
        assert after[name] is given[name]
    one = {name: value[:1] if name == "labels" else value for name, value in given.items()}
    one["boxes"] = xyxy(given["boxes"][:1], (40, 60))
    one["masks"] = InstanceMask(given["masks"][:1])
    assert clean(one)["padding"] is given["padding"]  # [1, H, W] beside one box: torchvision's drops it
    assert v2.SanitizeBoundingBoxes(min_area=400)(one)["padding"].shape[0] == 0


def test_what_else_has_an_entry_per_row_goes_along() -> None:
    given = _dict() | {"crowd": torch.tensor([0, 1])}
    clean = SanitizeInstances(400, labels_getter=lambda inputs: (inputs["labels"], inputs["crowd"]))
    assert clean(given)["crowd"].tolist() == [1]


def test_a_list_of_samples_is_cleaned_one_by_one() -> None:
    first, second = SanitizeInstances(400)([full_sample(), full_sample(panoptic_map=None)])
    assert len(first) == len(second) == 1


@pytest.mark.parametrize("clean", [SanitizeInstances(400), SanitizeBoundingBoxes(min_area=400)])
@pytest.mark.parametrize("name", ["boxes", "masks"])
def test_rows_beside_a_sample_are_not_left_as_they_are(clean: Any, name: str) -> None:
    kind = type(_dict()[name]).__name__
    with pytest.raises(ValueError, match=f"{type(clean).__name__}: got {kind} beside a DenseSample"):
        clean((full_sample(), {name: _dict()[name], "labels": torch.tensor([5, 5])}))
    after, beside = clean((full_sample(), {"image": _dict()["image"], "name": "a"}))
    assert len(after) == 1
    assert beside["name"] == "a"


def test_a_number_of_numpy_is_a_number() -> None:
    assert len(BOXES(np.float32(20.0))(full_sample())) == 0
    assert len(BOXES(np.int64(15), np.float64(376))(full_sample())) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: INSTANCES(-1), ValueError, "min_mask_area: got -1, expected 0 or more"),
        (lambda: INSTANCES(2.5), TypeError, "min_mask_area: got float, expected an int"),
        (lambda: INSTANCES(1, ignore_index=-1), ValueError, "ignore_index: got -1"),
        (lambda: BOXES(ignore_index="x"), TypeError, "ignore_index: got str"),
        (lambda: BOXES(min_size=0), ValueError, "min_size: got 0, expected a finite number of 1 or more"),
        (lambda: BOXES(float("nan")), ValueError, "min_size: got nan, expected a finite"),
        (lambda: BOXES(min_area=float("inf")), ValueError, "min_area: got inf, expected a finite"),
        (lambda: BOXES("a"), TypeError, "min_size: got 'a', expected a number"),
        (lambda: BOXES(min_area=None), TypeError, "min_area: got None, expected a number"),
        (
            lambda: INSTANCES(1)({"labels": torch.zeros(2)}),
            ValueError,
            "got no DenseSample and no InstanceMask",
        ),
        (
            lambda: INSTANCES(1)(_dict() | {"labels": torch.zeros(3)}),
            ValueError,
            "got 3 labels for 2 masks",
        ),
    ],
)
def test_a_bad_argument_is_one_clear_error(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()

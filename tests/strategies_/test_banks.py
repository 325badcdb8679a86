"""Drawn bank batches can be staged and pasted, hold every oddity often, and shrink to almost nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from segpaste.augmentation import BankSource, BatchedPlacementSampler
from segpaste.bank.batch import BankBatch
from segpaste.strategies import bank_batches, padded_batches, panoptic_schemas
from segpaste.types import BatchCopyPasteConfig, Modality, PanopticPasteConfig
from tests.strategies_.counting import quick, shares, smallest

DEPTH = {Modality.IMAGE, Modality.INSTANCE, Modality.DEPTH, Modality.NORMALS}


@quick(80)
@given(st.data(), st.booleans())
def test_what_is_drawn_for_a_target_can_be_pasted_into_it(data: st.DataObject, incomplete: bool) -> None:
    schema = data.draw(panoptic_schemas())
    target = data.draw(padded_batches(schema=schema, channels=(3,), min_batch=0))
    drawn = data.draw(bank_batches(target, schema=schema, incomplete=incomplete))
    drawn.validate()
    assert drawn.batch_size >= target.batch_size
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema), z_test=not incomplete)
    source = BankSource(missing_geometry="invalid" if incomplete else "error")
    source.set_bank_batch(drawn)
    view, plan = source.sample(target, torch.arange(target.batch_size), BatchedPlacementSampler(config))
    view.validate()
    assert plan.batch_size == target.batch_size


@quick(100)
@given(st.data(), st.integers(1, 3))
def test_the_limits_are_kept(data: st.DataObject, count: int) -> None:
    height, width = data.draw(st.tuples(st.integers(3 * count, 20), st.integers(3 * count, 20)))
    metric = data.draw(st.booleans())
    drawn = data.draw(
        bank_batches(
            modalities=DEPTH,
            canvas=(height, width),
            metric=metric,
            min_batch=2,
            max_batch=2,
            max_crops=5,
            crops_per_target=count,
            max_side=6,
        )
    )
    drawn.validate()
    assert drawn.batch_size == 2
    assert count <= drawn.candidates_per_target <= 5
    assert drawn.depth is not None
    assert drawn.normals is not None
    assert drawn.metric_depth == metric
    h, w = drawn.crop_size
    assert h <= height
    assert w <= width
    assert max(h, w) <= 6
    assert ((height + 2) // (h + 2)) * ((width + 2) // (w + 2)) >= count


def _labels(drawn: BankBatch) -> list[str]:
    """What is odd about a batch."""
    area = drawn.crops[:, :, 3].flatten(2).sum(2)
    h, w = drawn.crop_size
    found = {
        "empty alpha": (area == 0).any(),
        "full alpha": (area == h * w).any(),
        "one pixel": (area == 1).any(),
        "beyond a byte": (drawn.crops[:, :, 4] > 255).any(),
        "one pixel crop": h * w == 1,
        "several crops": drawn.candidates_per_target > 1,
        "depth": drawn.depth is not None,
        "metric": drawn.metric_depth,
        "normals": drawn.normals is not None,
        "cameras": drawn.camera_intrinsics is not None,
    }
    if drawn.carries_depth is not None and drawn.carries_depth.numel():
        found["mixed depth"] = drawn.carries_depth.any() != drawn.carries_depth.all()
    if drawn.depth is not None:
        found["NaN depth"] = drawn.depth.isnan().any()
    if drawn.carries_normals is not None:
        found["some without normals"] = (~drawn.carries_normals).any()
    if drawn.carries_depth is not None and drawn.depth_valid is not None:
        found["depth not carried"] = (drawn.depth_valid & ~drawn.carries_depth[:, :, None, None, None]).any()
    if drawn.carries_normals is not None and drawn.normals is not None:
        left = drawn.normals[~drawn.carries_normals]
        found["normals not carried"] = (left.isfinite() & (left != 0)).any()
        found["NaN normals not carried"] = left.isnan().any()
    if drawn.camera_intrinsics is not None:
        fx, fy = drawn.camera_intrinsics[:, :, 0], drawn.camera_intrinsics[:, :, 1]
        found["no camera"] = (drawn.camera_intrinsics == 0).all(dim=2).any()
        found["cameras differ in fy"] = ((fx == 1) & (fy == 1)).any() & ((fx == 1) & (fy != 1)).any()
        if drawn.metric_depth and drawn.carries_depth is not None:
            found["metric depth, no camera"] = (drawn.carries_depth & (fx == 0)).any()
    return [name for name, there in found.items() if bool(there)]


def test_every_oddity_is_common() -> None:
    found = shares(bank_batches(), 400, labels=_labels)
    rare = {name: share for name, share in found.items() if share < 0.05}
    assert rare == {}
    assert set(found) == {
        *("empty alpha", "full alpha", "one pixel", "beyond a byte", "one pixel crop", "several crops"),
        *("depth", "metric", "normals", "cameras", "mixed depth", "NaN depth", "some without normals"),
        *("depth not carried", "normals not carried", "NaN normals not carried"),
        *("no camera", "cameras differ in fy", "metric depth, no camera"),
    }


def test_it_shrinks_to_one_crop_of_one_pixel() -> None:
    least = smallest(bank_batches(), lambda drawn: bool(drawn.crops[:, :, 3].any()))
    assert least.crops.shape == (1, 1, 5, 1, 1)
    assert set(least.tensors()) == {"crops"}
    with_depth = smallest(bank_batches(modalities=DEPTH), lambda drawn: True)
    assert with_depth.carries_depth is not None
    assert with_depth.carries_depth.all()
    assert repr(with_depth) == "BankBatch(B=1, K=1, 1x1, depth, normals)"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_batch": 3, "max_batch": 2}, "min_batch: got 3, expected at most max_batch = 2"),
        ({"max_side": 0}, "max_side: got 0, expected an integer of 1 or more"),
        ({"min_crops": 0}, "min_crops: got 0, expected an integer of 1 or more"),
        ({"crops_per_target": 5}, "crops_per_target: got 5, expected at most max_crops = 4"),
        ({"crops_per_target": 2, "canvas": (1, 3)}, r"crops_per_target: got 2, more than a canvas \(1, 3\)"),
    ],
)
def test_limits_that_no_batch_meets_are_refused(limits: dict[str, Any], message: str) -> None:
    @quick(5)
    @given(bank_batches(**limits))
    def draw(drawn: BankBatch) -> None:
        raise NotImplementedError(drawn)

    with pytest.raises(InvalidArgument, match=message):
        draw()

"""Padding a canvas: what stands in the new pixels, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.paste.padding import pad_canvas
from segpaste.types import PaddedBatchedDenseSample
from tests.paste.samples import view

ROWS = {1: (3, 5, "111\n111")}


def full(padding: bool) -> PaddedBatchedDenseSample:
    """Every modality, on a canvas of 2 x 3."""
    ones: dict[str, Any] = {
        "depth": torch.ones((1, 1, 2, 3)),
        "depth_valid": torch.ones((1, 1, 2, 3), dtype=torch.bool),
        "normals": torch.tensor([0.0, 0, -1]).view(1, 3, 1, 1).expand(1, 3, 2, 3).clone(),
        "camera_intrinsics": torch.ones((1, 4), dtype=torch.float64),
    }
    if padding:
        ones["padding_mask"] = torch.zeros((1, 1, 2, 3), dtype=torch.bool)
    image = torch.full((1, 2, 3), 9, dtype=torch.uint8)
    batch = view(
        height=2,
        width=3,
        slots=2,
        rows=ROWS,
        image=image,
        semantic_maps="333\n333",
        panoptic_maps="555\n555",
        **ones,
    )
    return replace(batch, metric_depth=True)


@pytest.mark.parametrize("padding", [False, True])
def test_the_canvas_grows_down_and_right(padding: bool) -> None:
    before = full(padding)
    after = pad_canvas(before, 4, 200)
    assert after.canvas_size == (4, 4)
    assert after.metric_depth
    new = torch.ones((4, 4), dtype=torch.bool)
    new[:2, :3] = False
    fill = {"semantic_maps": 200, "padding_mask": 1}
    for name, value in after.tensors().items():
        former = before.tensors().get(name)
        if former is None:
            assert name == "padding_mask"
            former = torch.zeros((1, 1, 2, 3), dtype=torch.bool)
        assert value.dtype == former.dtype, name
        if value.shape == former.shape:
            assert torch.equal(value, former), name
            continue
        assert torch.equal(value[..., :2, :3], former), name
        assert value[..., new].unique().tolist() == [fill.get(name, 0)], name
    unchanged = {"boxes", "labels", "instance_valid", "instance_ids", "camera_intrinsics"}
    assert {n for n, v in after.tensors().items() if v.shape[-2:] != (4, 4)} == unchanged


@pytest.mark.parametrize(
    ("multiple", "canvas"),
    [(1, (2, 3)), (2, (2, 4)), (3, (3, 3)), (6, (6, 6)), (5, (5, 5))],
)
def test_either_side_grows_by_as_little_as_it_must(multiple: int, canvas: tuple[int, int]) -> None:
    for padding in (False, True):
        after = pad_canvas(full(padding), multiple, 255)
        assert after.canvas_size == canvas
        assert after.padding_mask is not None
        assert int((~after.padding_mask).sum()) == 6


def test_what_need_not_grow_is_the_same_batch_or_gets_a_mask_alone() -> None:
    padded, plain = full(True), full(False)
    assert pad_canvas(padded, 1, 255) is padded
    after = pad_canvas(plain, 1, 255).tensors()
    mask = after.pop("padding_mask")
    assert (mask.shape, mask.dtype, bool(mask.any())) == ((1, 1, 2, 3), torch.bool, False)
    assert after.keys() == plain.tensors().keys()
    assert all(value.data_ptr() == plain.tensors()[name].data_ptr() for name, value in after.items())


def test_the_mask_is_made_on_the_device_of_the_batch() -> None:
    assert {v.device.type for v in pad_canvas(full(False).to("meta"), 4, 255).tensors().values()} == {"meta"}


def test_what_was_padding_stays_padding() -> None:
    before = full(True)
    mask = torch.zeros((1, 1, 2, 3), dtype=torch.bool)
    mask[..., 2] = True
    after = pad_canvas(replace(before, padding_mask=mask), 4, 255)
    assert after.padding_mask is not None
    assert after.padding_mask[0, 0].int().tolist() == [[0, 0, 1, 1]] * 2 + [[1] * 4] * 2

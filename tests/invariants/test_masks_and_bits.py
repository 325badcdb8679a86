"""The small parts that the laws count and compare with."""

from __future__ import annotations

import pytest
import torch

from segpaste.invariants.bits import differs, pixels_differ, same
from segpaste.invariants.masks import any_over, areas, covered_by, depth_of_cover, not_empty, tight_boxes

NO_MASKS = torch.zeros(0, 2, 3, dtype=torch.bool)
TWO = torch.tensor([[[0, 1, 0], [0, 1, 1]], [[0, 0, 0], [0, 0, 0]]]).bool()


def test_of_no_masks() -> None:
    for got, shape in ((areas(NO_MASKS), (0,)), (tight_boxes(NO_MASKS), (0, 4))):
        assert (got.shape, got.dtype) == (shape, torch.int64)
    assert (not_empty(NO_MASKS).shape, not_empty(NO_MASKS).dtype) == ((0,), torch.bool)
    assert torch.equal(covered_by(NO_MASKS), torch.zeros(2, 3, dtype=torch.bool))
    assert torch.equal(depth_of_cover(NO_MASKS), torch.zeros(2, 3, dtype=torch.int32))


def test_of_two_masks() -> None:
    assert torch.equal(areas(TWO), torch.tensor([3, 0]))
    assert torch.equal(not_empty(TWO), torch.tensor([True, False]))
    assert torch.equal(tight_boxes(TWO), torch.tensor([[1, 0, 3, 2], [0, 0, 0, 0]]))
    assert torch.equal(covered_by(TWO), TWO[0])
    assert torch.equal(depth_of_cover(torch.cat([TWO, TWO])), TWO[0].to(torch.int32) * 2)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_any_over_is_any(dim: int) -> None:
    for masks in (TWO, NO_MASKS):
        if masks.shape[dim] or dim == 0:
            assert torch.equal(any_over(masks, dim), masks.any(dim=dim))


def test_another_dtype_differs_everywhere() -> None:
    wanted = torch.tensor([[1, 2], [3, 4]])
    everywhere = torch.ones(2, 2, dtype=torch.bool)
    for got in (wanted.to(torch.int32), wanted.to(torch.float32), wanted[:1], wanted.reshape(4), wanted[0]):
        assert torch.equal(differs(got, wanted), everywhere)
        assert differs(got, wanted).dtype == torch.bool
        assert not same(got, wanted)
    assert torch.equal(differs(wanted, wanted), ~everywhere)
    assert same(wanted, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_sign_of_zero_differs_and_a_nan_does_not(dtype: torch.dtype) -> None:
    got = torch.tensor([0.0, float("nan"), 1.0], dtype=dtype)
    wanted = torch.tensor([-0.0, float("nan"), 1.0], dtype=dtype)
    assert differs(got, wanted).tolist() == [True, False, False]
    assert not same(got, wanted)
    assert same(got[1:], wanted[1:])
    spread = torch.stack([got, got]).t()
    assert same(spread, spread.contiguous())


def test_pixels_differ_where_a_channel_does() -> None:
    wanted = torch.zeros(3, 2, 2)
    got = wanted.clone()
    got[1, 0, 1] = 1
    assert pixels_differ(got, wanted).tolist() == [[False, True], [False, False]]
    assert pixels_differ(got[1], wanted[1]).tolist() == [[False, True], [False, False]]

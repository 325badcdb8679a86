"""Large-scale jittering: sizes, windows, padding, what it draws from, and what it refuses."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import tv_tensors

from segpaste.augmentation import FixedSizeCrop, RandomResize, make_large_scale_jittering
from segpaste.types import BatchedDenseSample, PaddingMask, SemanticMap
from tests.types.whole_samples import FIELDS, changed_fields, full_sample, same_bits, sample_of


def _plain(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None
    return value.as_subclass(torch.Tensor)


def _image(height: int, width: int, dtype: torch.dtype = torch.uint8) -> Any:
    return sample_of(image=torch.zeros((3, height, width), dtype=dtype))


@pytest.mark.parametrize(
    ("scale", "target", "expected"),
    [
        (1.0, (64, 64), (43, 64)),  # 40 x 60 fits 64 x 64 by 64 / 60
        (0.5, (64, 64), (21, 32)),
        (2.0, (20, 90), (40, 60)),
        (0.01, (20, 20), (1, 1)),  # never less than a pixel
    ],
)
def test_a_resize_keeps_the_aspect_and_fits_the_target(
    scale: float, target: tuple[int, int], expected: tuple[int, int]
) -> None:
    after = RandomResize(scale, scale, *target)(full_sample())
    assert after.canvas_size == expected
    after.validate()
    assert after.camera_intrinsics.fx == pytest.approx(50 * expected[1] / 60)
    assert after.camera_intrinsics.fy == pytest.approx(50 * expected[0] / 40)


def test_scales_are_uniform_and_come_from_torchs_generator() -> None:
    resize = RandomResize(0.5, 1.5, 200, 200)
    torch.manual_seed(5)
    widths = [resize(_image(10, 10)).canvas_size[1] for _ in range(400)]
    assert min(widths) >= 100
    assert max(widths) <= 300
    quarters = Counter(min((width - 100) // 50, 3) for width in widths)
    assert all(70 <= quarters[n] <= 130 for n in range(4))
    torch.manual_seed(5)
    assert [resize(_image(10, 10)).canvas_size[1] for _ in range(5)] == widths[:5]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(9, 4), (4, 1), (1, 1), (30, 30)])
def test_an_image_of_one_column_keeps_its_rows(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    ramp = torch.linspace(0, 250, shape[0])[None, :, None].expand(3, *shape).to(dtype)
    narrow = RandomResize(1.0, 1.0, 5, 1)(sample_of(image=ramp.contiguous()))
    rows = _plain(narrow.image)[0, :, 0].double()
    assert narrow.canvas_size[1] == 1
    assert torch.equal(rows, rows.sort().values)  # torch would repeat the first one
    assert rows.mean().item() == pytest.approx(125 if shape[0] > 1 else 0, abs=3)


def test_a_larger_image_is_cut_to_a_window_that_may_be_anywhere() -> None:
    ramp = torch.arange(12).reshape(1, 3, 4).to(torch.uint8).expand(3, 3, 4).contiguous()
    seen = Counter()
    torch.manual_seed(0)
    for _ in range(300):
        after = FixedSizeCrop(2, 2)(sample_of(image=ramp))
        assert after.padding_mask is None
        first = int(after.image[0, 0, 0])
        assert after.image[0].tolist() == [[first, first + 1], [first + 4, first + 5]]
        seen[first] += 1
    assert set(seen) == {0, 1, 2, 4, 5, 6}
    assert min(seen.values()) > 25  # 50 of each are expected


def test_a_smaller_sample_is_padded_with_void_at_the_right_and_at_the_bottom() -> None:
    before = full_sample()
    after = FixedSizeCrop(44, 70, img_pad_value=128, seg_pad_value=254)(before)
    after.validate()
    inside = torch.zeros((44, 70), dtype=torch.bool)
    inside[:40, :60] = True
    assert torch.equal(_plain(after.padding_mask)[0], ~inside)
    assert (_plain(after.image)[:, ~inside] == 128).all()
    assert (_plain(after.semantic_map)[~inside] == 254).all()
    assert (_plain(after.panoptic_map)[~inside] == 0).all()
    assert not _plain(after.depth_valid)[:, ~inside].any()
    assert (_plain(after.normals)[:, ~inside] == 0).all()
    for name in FIELDS:
        value, was = getattr(after, name), getattr(before, name)
        if name in ("boxes", "labels", "instance_ids", "camera_intrinsics", "metric_depth"):
            assert same_bits(
                value if name != "boxes" else _plain(value), was if name != "boxes" else _plain(was)
            )
        elif name != "padding_mask":
            assert same_bits(value[..., :40, :60], was), name


def test_padding_is_marked_only_where_there_is_some() -> None:
    assert FixedSizeCrop(40, 60)(full_sample()).padding_mask is None
    assert changed_fields(full_sample(), FixedSizeCrop(40, 60)(full_sample())) == set()
    mask = torch.zeros((1, 40, 60), dtype=torch.bool)
    kept = FixedSizeCrop(30, 30)(full_sample(padding_mask=mask)).padding_mask
    assert kept is not None
    assert not kept.any()


def test_padding_is_added_to_padding() -> None:
    mask = torch.zeros((1, 40, 60), dtype=torch.bool)
    mask[:, :, 50:] = True
    normals = torch.zeros((3, 40, 60))
    after = FixedSizeCrop(44, 60)(
        sample_of(image=torch.zeros((3, 40, 60)), normals=normals, padding_mask=mask)
    )
    assert int((~after.padding_mask).sum()) == 40 * 50
    after.validate()


def test_jittered_samples_make_a_batch() -> None:
    jitter = make_large_scale_jittering((24, 32))
    torch.manual_seed(2)
    samples = [jitter(full_sample()) for _ in range(12)]
    assert {sample.padding_mask is None for sample in samples} == {True, False}
    batch = BatchedDenseSample.from_samples(samples)
    assert batch.images.shape == (12, 3, 24, 32)
    assert batch.padding_mask is not None
    for sample in samples:
        sample.validate()


def test_the_same_seed_gives_the_same_bits() -> None:
    jitter = make_large_scale_jittering(32)
    torch.manual_seed(9)
    first = [jitter(full_sample()) for _ in range(3)]
    torch.manual_seed(9)
    again = [jitter(full_sample()) for _ in range(3)]
    assert all(changed_fields(a, b) == set() for a, b in zip(first, again, strict=True))
    assert changed_fields(first[0], first[1])


def test_a_dict_is_jittered_as_a_sample_is() -> None:
    sample = full_sample(
        depth=None, depth_valid=None, normals=None, camera_intrinsics=None, metric_depth=False
    )
    none = torch.zeros((1, 40, 60), dtype=torch.bool)
    given: dict[str, Any] = {
        "image": sample.image,
        "boxes": sample.boxes,
        "masks": tv_tensors.Mask(_plain(sample.instance_masks)),
        "semantic": sample.semantic_map,
        "plain": tv_tensors.Mask(_plain(sample.semantic_map)),
        "padding": PaddingMask(none),
        "label": torch.tensor([5, 5]),
    }
    jitter = make_large_scale_jittering(64, 1.0, 1.0, img_pad_value=[1, 2, 3], seg_pad_value=7)
    torch.manual_seed(1)
    after = jitter(given)
    torch.manual_seed(1)
    whole = jitter(sample)
    assert same_bits(after["image"], whole.image)
    assert after["image"][:, -1, -1].tolist() == [1, 2, 3]
    assert same_bits(after["semantic"], whole.semantic_map)
    assert same_bits(after["padding"], whole.padding_mask)
    assert type(after["semantic"]) is SemanticMap
    assert after["plain"][-1, -1] == 7
    assert after["masks"][:, -1, -1].tolist() == [False, False]
    assert after["label"] is given["label"]
    pair, other = jitter((sample, {"name": "a"}))
    assert pair.canvas_size == (64, 64)
    assert other == {"name": "a"}


RESIZE: Any = RandomResize
CROP: Any = FixedSizeCrop
JITTERING: Any = make_large_scale_jittering


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RESIZE(0.0, 1.0, 8, 8), ValueError, "min_scale: got 0.0, expected a finite number"),
        (lambda: RESIZE(0.5, float("inf"), 8, 8), ValueError, "max_scale: got inf"),
        (lambda: RESIZE("1", 2, 8, 8), TypeError, "min_scale: got '1', expected a number"),
        (lambda: RESIZE(2.0, 1.0, 8, 8), ValueError, "min_scale: got 2.0, expected at most max_scale"),
        (lambda: RESIZE(1.0, 1.0, 0, 8), ValueError, "target_height: got 0, expected 1 or more"),
        (lambda: RESIZE(1.0, 1.0, 8, 8.5), TypeError, "target_width: got float, expected an int"),
        (lambda: CROP(8, -1), ValueError, "output_width: got -1, expected 1 or more"),
        (lambda: CROP(True, 1), TypeError, "output_height: got bool, expected an int"),
        (lambda: CROP(8, 8, "black"), TypeError, "img_pad_value: got 'black', expected a number"),
        (lambda: CROP(8, 8, float("nan")), ValueError, "img_pad_value: got nan"),
        (lambda: CROP(8, 8, 0, -1), ValueError, "seg_pad_value: got -1, expected 0 or more"),
        (
            lambda: JITTERING((1, 2, 3)),
            ValueError,
            r"output_size: got \(1, 2, 3\), expected",
        ),
        (lambda: JITTERING("64"), TypeError, "output_size: got str, expected an int"),
        (lambda: JITTERING(0), ValueError, "output_size: got 0, expected 1 or more"),
    ],
)
def test_a_bad_argument_is_one_clear_error(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("value", [300, -1, 0.5, [1, 2]])
def test_a_pad_value_that_the_image_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="img_pad_value: got"):
        FixedSizeCrop(8, 8, img_pad_value=value)(_image(4, 4))
    if not isinstance(value, list):
        assert FixedSizeCrop(8, 8, img_pad_value=value)(_image(4, 4, torch.float32)).image[0, 7, 7] == value


def test_a_plain_mask_gets_what_its_dtype_can_say() -> None:
    inside = torch.ones((4, 5), dtype=torch.bool)
    image = torch.zeros((3, 4, 5), dtype=torch.uint8)
    for dtype, expected in ((torch.bool, 0), (torch.uint8, 255), (torch.int64, 255), (torch.float32, 255)):
        given = {"image": tv_tensors.Image(image), "mask": tv_tensors.Mask(inside.to(dtype))}
        after = FixedSizeCrop(6, 6)(given)["mask"]
        assert after.dtype == dtype
        assert (after[:4, :5] == 1).all()
        assert (after[4:] == expected).all()
        assert (after[:, 5] == expected).all()
    for kind in (tv_tensors.Mask, SemanticMap):
        given = {"image": tv_tensors.Image(image), "mask": kind(inside.to(torch.uint8))}
        with pytest.raises(ValueError, match="seg_pad_value: got 300 for a mask of uint8, expected 0 to 255"):
            FixedSizeCrop(6, 6, seg_pad_value=300)(given)


@pytest.mark.parametrize("value", [np.float32(3), np.int64(3), [np.float64(3), 3, np.uint8(3)]])
def test_a_pad_value_of_numpy_is_a_number(value: Any) -> None:
    for dtype in (torch.uint8, torch.float32):
        after = FixedSizeCrop(8, 8, img_pad_value=value)(_image(4, 4, dtype))
        assert (after.image[:, 4:] == 3).all()


def test_it_prints_what_it_was_made_of() -> None:
    text = repr(make_large_scale_jittering((24, 32), 0.5))
    assert "RandomResize(min_scale=0.5, max_scale=2.0, target_height=24, target_width=32)" in text
    assert "FixedSizeCrop(output_height=24, output_width=32, img_pad_value=0, seg_pad_value=255)" in text

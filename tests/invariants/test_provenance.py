"""The provenance image: what is written into it, and what is read back out of it."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from segpaste.invariants import Trace, provenance_pairs, read_trace
from segpaste.invariants.bits import same
from segpaste.types import DenseSample
from tests.invariants.traced import (
    Mix,
    flip,
    identity,
    pair_of_scenes,
    plain,
    quarter_turn,
    resized,
    side_by_side,
    trace_of,
    turned,
    window,
    with_fields,
)

DTYPES = pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])


def picture(height: int, width: int, dtype: torch.dtype = torch.uint8, channels: int = 3) -> DenseSample:
    return DenseSample.unchecked(image=torch.zeros((channels, height, width), dtype=dtype))


def traced(augment: Mix, height: int, width: int, dtype: torch.dtype = torch.uint8) -> Trace:
    target, donor = picture(height, width, dtype), picture(height, width, dtype)
    trace = trace_of(augment, target, donor, augment(target, donor))
    assert isinstance(trace, Trace), trace
    return trace


@DTYPES
def test_the_numbers_are_as_written_down(dtype: torch.dtype) -> None:
    # 3 x 5: the largest power of two with 8 + k * 4 <= 248 is 32; rows would allow more than
    # 64, which is the most.
    pairs = provenance_pairs(picture(3, 5, dtype), picture(3, 5, dtype))
    assert not isinstance(pairs, str)
    (target, donor), (target_again, donor_again) = pairs
    unit = 1 if dtype == torch.uint8 else 256
    columns, rows = torch.tensor([8, 40, 72, 104, 136]), torch.tensor([8, 72, 136])
    for sample, mark, backwards in (
        (target, 64, False),
        (donor, 192, False),
        (target_again, 224, True),
        (donor_again, 240, True),
    ):
        image = plain(sample.image).double() * unit
        assert sample.image.dtype == dtype
        assert image[0].unique().tolist() == [mark]
        assert image[1].tolist() == [(columns.flip(0) if backwards else columns).tolist()] * 3
        assert image[2].T.tolist() == [(rows.flip(0) if backwards else rows).tolist()] * 5


def test_labels_are_those_of_the_originals_and_copies() -> None:
    target, donor = pair_of_scenes(3)
    pairs = provenance_pairs(target, donor)
    assert not isinstance(pairs, str)
    for pair in pairs:
        for copy, original in zip(pair, (target, donor), strict=True):
            values, former = copy.to_dict(), original.to_dict()
            assert values.keys() == former.keys()
            for name in values.keys() - {"image"}:
                if isinstance(values[name], torch.Tensor):
                    assert same(values[name], former[name])
                    assert values[name].numel() == 0 or values[name].data_ptr() != former[name].data_ptr()
                else:
                    assert values[name] == former[name]


def test_what_cannot_be_written_is_said() -> None:
    assert provenance_pairs(picture(2, 2, channels=1), picture(2, 2)) == (
        "the provenance image needs 3 channels, the target has 1"
    )
    assert provenance_pairs(picture(2, 2), picture(2, 242)) == (
        "a uint8 provenance image holds 241 columns and rows, the donor is 242 x 2"
    )
    assert not isinstance(provenance_pairs(picture(241, 241), picture(2, 2)), str)
    assert not isinstance(
        provenance_pairs(picture(2, 1000, torch.float32), picture(2, 2, torch.float32)), str
    )


@DTYPES
def test_a_flip_is_read_back(dtype: torch.dtype) -> None:
    trace = traced(lambda t, d: flip(t), 3, 5, dtype)
    assert trace.column.tolist() == [[4, 3, 2, 1, 0]] * 3
    assert trace.row.tolist() == [[0] * 5, [1] * 5, [2] * 5]
    assert trace.origin.unique().tolist() == [0]
    assert (trace.exact, trace.exact_of, trace.stretch, trace.stretch_of) == (
        True,
        (True, True),
        1.0,
        (1.0, 0.0),
    )
    assert not trace.shows_donor


@DTYPES
def test_a_quarter_turn_and_a_frame_are_read_back(dtype: torch.dtype) -> None:
    trace = traced(lambda t, d: window(-1, -2, 6, 7, 0)(quarter_turn(t)), 3, 5, dtype)
    assert trace.exact
    assert trace.border.sum() == 6 * 7 - 15
    assert not bool(trace.mixed.any())
    assert (trace.column[2, 1], trace.row[2, 1]) == (4, 0)
    assert (trace.column[6, 3], trace.row[6, 3]) == (0, 2)


def test_of_two_inputs_each_pixel_says_whose_it_is() -> None:
    trace = traced(side_by_side, 2, 3)
    assert trace.origin.tolist() == [[0, 0, 0, 1, 1, 1]] * 2
    assert trace.column.tolist() == [[0, 1, 2, 0, 1, 2]] * 2
    assert trace.shows_donor
    assert trace.exact


def test_the_donor_may_have_a_canvas_of_its_own() -> None:
    target, donor = picture(4, 9), picture(6, 3)
    trace = trace_of(lambda t, d: window(0, 0, 4, 4)(d), target, donor, window(0, 0, 4, 4)(donor))
    assert isinstance(trace, Trace)
    assert trace.origin.tolist() == [[1, 1, 1, -1]] * 4
    assert trace.column[:, :3].tolist() == [[0, 1, 2]] * 4
    assert trace.sizes == ((4, 9), (6, 3))
    assert trace.border[:, 3].all()


@DTYPES
def test_a_blend_is_mixed(dtype: torch.dtype) -> None:
    def blend(target: DenseSample, donor: DenseSample) -> DenseSample:
        image = plain(target.image).double() * 0.75 + plain(donor.image).double() * 0.25
        left = plain(target.image)[..., :2]
        return with_fields(target, image=torch.cat([left, image.to(dtype)[..., 2:]], dim=-1))

    trace = traced(blend, 3, 5, dtype)
    assert trace.known[:, :2].all()
    assert trace.mixed[:, 2:].all()
    assert not trace.exact


@DTYPES
def test_bilinear_sampling_shows_in_the_coordinates(dtype: torch.dtype) -> None:
    trace = traced(lambda t, d: resized(8, 8)(t), 4, 4, dtype)
    assert not trace.exact
    assert trace.x[0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert trace.stretch == 0.5


def test_what_shrinks_or_turns_freely_is_never_exact() -> None:
    shrunk = traced(lambda t, d: resized(3, 3, antialias=False)(t), 9, 9)
    assert bool((shrunk.x == shrunk.x.round()).all())
    assert (shrunk.exact, shrunk.stretch) == (False, 3.0)
    turned_by = traced(lambda t, d: turned(30, F.InterpolationMode.NEAREST)(t), 15, 15)
    assert bool((turned_by.x == turned_by.x.round())[turned_by.known].all())
    assert not turned_by.exact


def test_of_one_pixel_the_stretch_is_not_known() -> None:
    assert traced(lambda t, d: window(3, 3, 1, 1)(t), 9, 5).stretch == 9
    assert traced(lambda t, d: identity(t), 1, 1).exact
    assert traced(lambda t, d: identity(t), 1, 7).exact


def test_a_wide_uint8_image_cannot_show_interpolation() -> None:
    assert traced(lambda t, d: identity(t), 3, 121).exact
    wide = traced(lambda t, d: identity(t), 3, 122)
    assert (wide.exact, wide.resolution) == (False, 1.0)
    assert traced(lambda t, d: identity(t), 3, 500, torch.float32).exact


def test_a_shift_of_colours_leaves_nothing_to_read() -> None:
    target = picture(3, 4)
    dark = lambda t, d: with_fields(t, image=plain(t.image) // 3)  # noqa: E731
    assert trace_of(dark, target, target, dark(target, target)) == (
        "no pixel of the output shows the target, the donor or a filled-in colour alone"
    )


def test_labels_that_hang_on_the_picture_are_found_out() -> None:
    target = with_fields(picture(3, 4), labels=torch.tensor([1]), boxes=torch.tensor([[0.0, 0, 2, 2]]))

    def by_brightness(t: DenseSample, d: DenseSample) -> DenseSample:
        return with_fields(t, labels=torch.tensor([int(plain(t.image).float().mean())]))

    trace = trace_of(by_brightness, target, target, by_brightness(target, target))
    assert trace == "the labels depend on the image's values: labels differs between two images"


def test_a_canvas_that_hangs_on_the_picture_is_found_out() -> None:
    target = picture(3, 4)
    trace = read_trace(target, picture(3, 3), target, target, target)
    assert trace == "the size depends on the image's values: (3, 3) and (3, 4)"


def test_an_image_of_another_kind_cannot_be_read() -> None:
    target = picture(3, 4)
    trace = read_trace(target, picture(3, 4, torch.float32), target, target, target)
    assert trace == "the second provenance image came back as [3, 3, 4] float32, which cannot be read"
    trace = read_trace(picture(3, 4, channels=1), target, target, target, target)
    assert trace == "the first provenance image came back as [1, 3, 4] uint8, which cannot be read"


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_no_blend_of_target_and_donor_is_taken_for_a_colour_that_was_filled_in(share: float) -> None:
    target, donor = picture(1, 1, torch.float32), picture(1, 1, torch.float32)
    pairs = provenance_pairs(target, donor)
    assert not isinstance(pairs, str)

    def blended(one: DenseSample, other: DenseSample) -> DenseSample:
        image = plain(one.image) * share + plain(other.image) * (1 - share)
        return with_fields(one, image=image)

    runs = [blended(*pair) for pair in pairs]
    trace = read_trace(runs[0], runs[1], target, donor, blended(target, donor))
    assert trace == "no pixel of the output shows the target, the donor or a filled-in colour alone"

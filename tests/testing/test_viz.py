"""Pictures: sizes, colours that mean the same everywhere, and nothing that raises."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image, ImageDraw

from segpaste.strategies import dense_samples
from segpaste.types import DenseSample, xyxy
from segpaste.viz import (
    Colours,
    Column,
    crop_around,
    data_uri,
    depth_colours,
    draw_strip,
    normal_colours,
    png_bytes,
    window_around,
)
from segpaste.viz.colours import _distance
from segpaste.viz.panels import View, _free_tag, outlined_panel


def _sample(side: int = 4) -> DenseSample:
    masks = torch.zeros((2, side, side), dtype=torch.bool)
    masks[0, 0, 0] = True
    masks[1, -1, 1:] = True
    return DenseSample(
        image=torch.full((3, side, side), 100, dtype=torch.uint8),  # pyright: ignore[reportArgumentType]
        boxes=xyxy(torch.tensor([[0, 0, 1, 1], [1, side - 1, side, side]]).float(), (side, side)),
        labels=torch.tensor([3, 4]),
        instance_ids=torch.tensor([7, 9], dtype=torch.int32),
        instance_masks=masks,  # pyright: ignore[reportArgumentType]
    )


@settings(max_examples=25)
@given(dense_samples())
def test_every_sample_can_be_drawn(sample: DenseSample) -> None:
    picture = draw_strip([Column("before", sample), Column("after", sample)], caption="two times the same")
    assert picture.mode == "RGB"
    assert picture.width > 150
    assert picture.height > 60


def test_a_pixel_is_magnified_without_smoothing() -> None:
    sample = _sample()
    bad = torch.zeros((4, 4), dtype=torch.bool)
    bad[1, 2] = True
    picture = np.asarray(draw_strip([Column("offending", sample, bad, "1 px")]))
    red = (picture == (235, 20, 40)).all(axis=-1)
    rows, columns = np.nonzero(red[:190])
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 40 <= height <= 43
    assert 40 <= width <= 43


def test_few_pixels_of_a_large_canvas_are_ringed() -> None:
    sample = _sample(400)
    bad = torch.zeros((400, 400), dtype=torch.bool)
    bad[200, 200] = True
    picture = np.asarray(draw_strip([Column("offending", sample, bad, "1 px")]))
    red = (picture == (235, 20, 40)).all(axis=-1)
    assert red[30:330].sum() > 40


def test_a_strip_without_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="columns: got none"):
        draw_strip([])


def test_equal_ids_have_equal_colours_and_others_have_others() -> None:
    colours = Colours([5, 1, 2**31 - 1, 5])
    assert len(colours) == 3
    assert len({colours[1], colours[5], colours[2**31 - 1]}) == 3
    assert colours[99] == (128, 128, 128)
    many = Colours(range(60))
    assert len({many[n] for n in range(60)}) == 60


def test_near_is_bright_and_normals_have_their_directions() -> None:
    near, far = depth_colours(np.array([[1.0, 9.0]]), 1.0, 9.0)[0]
    assert near.sum() > far.sum()
    assert depth_colours(np.array([[np.nan]]), 1.0, 1.0).shape == (1, 1, 3)
    # Where depth is not valid there may be any number: the picture is drawn, without a warning.
    beyond = depth_colours(np.array([[-np.inf, np.inf, 3e38]]), 1.0, 1.0)[0]
    assert (beyond == beyond[0]).all()
    towards = normal_colours(np.array([0.0, 0.0, -1.0]).reshape(3, 1, 1))[0, 0]
    assert towards.tolist() == [128, 128, 255]


def test_cutting_out_keeps_rows_that_are_seen_and_moves_boxes() -> None:
    sample = _sample(100)
    window = window_around(sample.instance_masks[0], margin=2, smallest=10)  # pyright: ignore[reportOptionalSubscript]
    assert window[:2] == (0, 0)
    part = crop_around(sample, window)
    assert len(part) == 1
    assert part.boxes.tolist() == [[0, 0, 1, 1]]
    below = crop_around(sample, (50, 0, 100, 100))
    assert below.boxes.tolist() == [[1, 49, 100, 50]]
    assert window_around(torch.zeros((3, 5), dtype=torch.bool), 1, 2) == (0, 0, 3, 5)


def test_a_picture_becomes_a_file_or_a_uri() -> None:
    picture = draw_strip([Column("one", _sample())])
    assert Image.open(io.BytesIO(png_bytes(picture))).size == picture.size
    assert data_uri(picture).startswith("data:image/png;base64,")
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    assert data_uri(Image.fromarray(noise)).startswith("data:image/jpeg;base64,")


def test_values_that_touch_look_different() -> None:
    # A chequered map of 60 values: every one touches others, and there are more than colours.
    blocks = np.arange(60).reshape(6, 10).repeat(5, axis=0).repeat(5, axis=1)
    for pale in (False, True):
        colours = Colours.apart([blocks], without=59, also=[77], pale=pale)
        assert len(colours) == 60
        for first, second in ((blocks[:, 1:], blocks[:, :-1]), (blocks[1:], blocks[:-1])):
            pairs = np.stack([first[first != second], second[first != second]], axis=1)
            for one, other in np.unique(pairs, axis=0).tolist():
                if 59 not in (one, other):
                    apart = np.abs(np.subtract(colours[one], colours[other])).sum()
                    assert apart >= 40


def test_two_neon_greens_do_not_touch() -> None:
    assert _distance((0, 255, 0), (0, 255, 128)) < 0.1 < 0.5 < _distance((0, 0, 0), (0, 255, 0))
    assert _distance((0, 0, 0), (255, 255, 255)) == pytest.approx(1.0, abs=1e-6)  # of Oklab's constants
    blocks = np.arange(16).reshape(4, 4).repeat(5, axis=0).repeat(5, axis=1)
    for pale, least in ((False, 0.15), (True, 0.12)):
        colours = Colours.apart([blocks], without=-1, pale=pale)
        for first, second in ((blocks[:, 5:], blocks[:, :-5]), (blocks[5:], blocks[:-5])):
            for one, other in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True):
                assert _distance(colours[one], colours[other]) > least


def test_tags_do_not_cover_each_other_and_what_is_unnamed_is_counted() -> None:
    masks = torch.zeros((16, 90, 90), dtype=torch.bool)
    for row in range(16):
        masks[row, 20 + row // 4 : 80, 20 + row : 80] = True
    sample = DenseSample.unchecked(
        image=torch.zeros((3, 90, 90), dtype=torch.uint8),
        boxes=torch.zeros((16, 4)),
        labels=torch.arange(16),
        instance_masks=masks,
        instance_ids=torch.arange(16, dtype=torch.int32),
    )
    view = View.of((90, 90), 90)
    taken: list[tuple[float, float, float, float]] = []
    picture = Image.new("RGB", (110, 110))
    pen = ImageDraw.Draw(picture)
    for _ in range(9):
        _free_tag(pen, (40.0, 40.0), "a long name", (255, 0, 0), picture.size, taken)
    assert len(taken) == 6
    for n, (x0, y0, x1, y1) in enumerate(taken):
        assert 0 <= x0 < x1 <= 110
        assert 0 <= y0 < y1 <= 110
        assert all(y1 <= other[1] or other[3] <= y0 for other in taken[:n])
    panel = outlined_panel(sample, view, dict.fromkeys(range(16), (255, 0, 0)), {0: "x" * 60}, most=20)
    assert len(panel.legend) == 17
    last = panel.legend[-1][1]
    assert last.endswith(" of 16 not named in the picture")
    assert 1 <= int(last.split()[0]) < 16


def test_of_samples_without_masks_no_masks_are_shown() -> None:
    sample = _sample(80)
    values = sample.to_dict()
    for name in ("instance_masks", "instance_ids", "boxes", "labels", "panoptic_map"):
        values.pop(name, None)
    bare = DenseSample.unchecked(**values)
    less = draw_strip([Column("", bare)]).height
    rows = draw_strip([Column("", sample)]).height
    assert less < rows - 300


def test_rows_are_outlined_and_named_in_their_colour() -> None:
    sample = _sample(80)
    names = {3: "dog", 4: "cat"}
    column = Column("after", sample, outlined={1: 9}, nothing="nothing")
    plain = np.asarray(draw_strip([Column("after", sample)], class_names=names))
    shown = np.asarray(draw_strip([column], class_names=names))
    colour = Colours.apart([np.array([[7, 9]])], without=-1)[9]
    assert (shown[:330] == colour).all(axis=-1).sum() > (plain[:330] == colour).all(axis=-1).sum()

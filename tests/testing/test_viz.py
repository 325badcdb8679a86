"""Pictures: sizes, colours that mean the same everywhere, and nothing that raises."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

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


def test_rows_are_outlined_and_named_in_their_colour() -> None:
    sample = _sample(80)
    names = {3: "dog", 4: "cat"}
    column = Column("after", sample, outlined={1: 9}, nothing="nothing")
    plain = np.asarray(draw_strip([Column("after", sample)], class_names=names))
    shown = np.asarray(draw_strip([column], class_names=names))
    colour = Colours.apart([np.array([[7, 9]])], without=-1)[9]
    assert (shown[:330] == colour).all(axis=-1).sum() > (plain[:330] == colour).all(axis=-1).sum()

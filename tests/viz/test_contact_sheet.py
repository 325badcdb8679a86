"""Contact sheets: what is drawn where, what is dimmed, and nothing that raises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from segpaste.viz import CropTile, depth_colours, draw_contact_sheet, normal_colours

SIDE = 40
CROP = 10  # magnified four times
MARGIN, BETWEEN = 14, 3
GREEN, BLUE = (10, 200, 30), (20, 40, 220)


def _tile(class_id: int = 1, name: str = "cup", **fields: torch.Tensor) -> CropTile:
    """Green around a blue object of 4 x 4 pixels in the middle."""
    alpha = torch.zeros((1, CROP, CROP), dtype=torch.bool)
    alpha[:, 3:7, 3:7] = True
    image = torch.where(alpha, torch.tensor(BLUE)[:, None, None], torch.tensor(GREEN)[:, None, None])
    return CropTile(image.to(torch.uint8), alpha, class_id, name, ("crop 0",), **fields)


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def _panel(picture: Image.Image, number: int) -> np.ndarray:
    left = MARGIN + number * (SIDE + BETWEEN)
    return _pixels(picture)[MARGIN : MARGIN + SIDE, left : left + SIDE]


def test_the_object_is_shown_unchanged_and_its_surroundings_dimmed() -> None:
    picture = draw_contact_sheet([_tile()], side=SIDE)
    around, alone = _panel(picture, 0), _panel(picture, 1)
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    inside[12:28, 12:28] = True
    for panel in (around, alone):
        assert (panel[inside] == BLUE).all()
    assert (around[:8] == around[0, 0]).all()
    assert 45 < around[0, 0, 1] < GREEN[1] / 1.5
    grey = alone[~inside]
    assert (grey.max(axis=1) == grey.min(axis=1)).all()
    assert len(np.unique(grey)) == 2


def test_the_outline_is_of_the_class_and_lies_outside_of_the_object() -> None:
    sheet = draw_contact_sheet([_tile(5), _tile(1), _tile(5)], side=SIDE, columns=3)
    wide = 2 * SIDE + BETWEEN + 14
    edges = [_pixels(sheet)[MARGIN + 11, MARGIN + n * wide + 20] for n in range(3)]
    assert edges[0].tolist() == edges[2].tolist()
    assert edges[0].tolist() != edges[1].tolist()
    assert (_panel(sheet, 0)[11, 12:28] == edges[0]).all()
    assert (_panel(sheet, 0)[10, 12:28] != edges[0]).any()


def test_depth_and_normals_are_panels_where_they_are_carried() -> None:
    depth = torch.linspace(1, 2, CROP).expand(1, CROP, CROP).contiguous()
    valid = torch.ones((1, CROP, CROP), dtype=torch.bool)
    valid[:, 0] = False
    normals = torch.zeros((3, CROP, CROP))
    normals[2, :, 5:] = -1
    picture = draw_contact_sheet([_tile(depth=depth, depth_valid=valid, normals=normals)], side=SIDE)
    assert picture.width == 2 * MARGIN + 4 * SIDE + 3 * BETWEEN
    near_to_far = depth_colours(depth[0, 5:6].numpy(), 1.0, 2.0)[0]
    assert (_panel(picture, 2)[20, ::4] == near_to_far).all()
    hole = _panel(picture, 2)[:4]
    assert (hole.max(axis=2) == hole.min(axis=2)).all()
    towards = normal_colours(np.array([0.0, 0.0, -1.0]).reshape(3, 1, 1))[0, 0]
    assert (_panel(picture, 3)[:, 20:] == towards).all()
    assert (_panel(picture, 3)[:, :20] == hole[:, :20].reshape(-1, 3)[0]).any()


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -1e38])
def test_depth_that_is_nowhere_valid_is_checks(garbage: float) -> None:
    depth = torch.full((1, CROP, CROP), garbage)
    nothing = torch.zeros((1, CROP, CROP), dtype=torch.bool)
    panel = _panel(draw_contact_sheet([_tile(depth=depth, depth_valid=nothing)], side=SIDE), 2)
    assert (panel.max(axis=2) == panel.min(axis=2)).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (300, 200), (1, 500)])
def test_crops_of_any_shape_are_drawn_and_thin_objects_stay_visible(shape: tuple[int, int]) -> None:
    h, w = shape
    alpha = torch.zeros((1, h, w), dtype=torch.bool)
    alpha[0, h // 2, w // 2] = True
    image = torch.full((3, h, w), 90, dtype=torch.uint8)
    sheet = draw_contact_sheet([CropTile(image, alpha, 0, "dot")], side=SIDE)
    pixels = _pixels(sheet)
    assert (pixels == (90, 90, 90)).all(axis=2).any()
    assert sheet.width < 250


def test_tiles_fill_the_rows_and_a_few_are_not_spread_over_many_columns() -> None:
    few, many = draw_contact_sheet([_tile()], side=SIDE), draw_contact_sheet([_tile()] * 64, side=SIDE)
    assert few.width == 2 * (MARGIN + SIDE) + BETWEEN
    assert 1 < many.width / many.height < 2.2
    assert draw_contact_sheet([_tile()] * 500, side=96).width <= 1680 + 2 * MARGIN
    one_column = draw_contact_sheet([_tile()] * 3, columns=1, side=SIDE)
    assert one_column.width == few.width
    assert one_column.height > 2 * few.height


def test_names_are_cut_to_their_tile_and_titles_to_the_sheet() -> None:
    short = draw_contact_sheet([_tile()] * 2, columns=2, side=SIDE)
    long = draw_contact_sheet([_tile(name="a name " * 40)] * 2, columns=2, side=SIDE)
    assert long.size == short.size
    between = MARGIN + 2 * SIDE + BETWEEN
    assert (_pixels(long)[:, between + 1 : between + 13] == 255).all()
    titled = draw_contact_sheet([_tile()], side=SIDE, title="x" * 2000, caption="left, right\nbelow")
    assert titled.width <= 1680 + 2 * MARGIN
    assert titled.height > short.height + 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tiles": []}, "tiles: got none, expected at least one"),
        ({"columns": 0}, "columns: got 0, expected 1 or more"),
        ({"side": -3}, "side: got -3, expected 1 or more"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_contact_sheet(**{"tiles": [_tile()], **arguments})

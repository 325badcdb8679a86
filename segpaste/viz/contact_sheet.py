"""Many crops in one picture: each in its surroundings, alone, and by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw

from segpaste.viz.colours import Colours, Rgb, checkerboard, depth_colours, normal_colours
from segpaste.viz.panels import View, font
from segpaste.viz.strips import LINE, text_width, wrapped

_GAP = 14
_BETWEEN = 3  # the panels of one crop
_INK = (25, 25, 25)
_FAINT = (100, 100, 100)
_PAPER = (255, 255, 255)
_WIDEST = 1680
_HEADING = 24
_NAME, _NOTE = 12, 10  # sizes of type
_BAR = 4  # the class's colour, beside the name


@dataclass(frozen=True, slots=True, eq=False)
class CropTile:
    """One crop of a contact sheet.

    Attributes:
        image: ``[3, h, w]`` uint8, RGB.
        alpha: ``[1, h, w]`` bool, the object.
        class_id: decides the colour of the outline.
        name: written below; shortened where it is too long.
        notes: smaller lines below the name.
        depth: ``[1, h, w]`` float32, or None.
        depth_valid: ``[1, h, w]`` bool, beside ``depth``.
        normals: ``[3, h, w]`` float32, or None; the zero vector means no normal.
    """

    image: torch.Tensor
    alpha: torch.Tensor
    class_id: int
    name: str
    notes: tuple[str, ...] = ()
    depth: torch.Tensor | None = None
    depth_valid: torch.Tensor | None = None
    normals: torch.Tensor | None = None


def draw_contact_sheet(
    tiles: Sequence[CropTile],
    *,
    title: str = "",
    caption: str = "",
    columns: int | None = None,
    side: int = 96,
) -> Image.Image:
    """Draw crops as a grid, row by row.

    A tile shows the crop, what is around the object dimmed, and beside it the object alone, on
    grey checks; then depth (near is bright, each crop in its own range) and normals, where it
    has them: grey checks stand for *none*. Equal classes have equal colours.

    Args:
        tiles: the crops.
        title: written above.
        caption: written below, wrapped.
        columns: tiles to a row; by default about as many as rows, within the widest picture.
        side: screen pixels of a panel's longer side, about.

    Raises:
        ValueError: without tiles, and on ``columns`` or ``side`` below 1.
    """
    if not tiles:
        raise ValueError("tiles: got none, expected at least one")
    for name, value in (("columns", columns), ("side", side)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: got {value}, expected 1 or more")
    colours = Colours(tile.class_id for tile in tiles)
    panels = [_panels(tile, side, colours[tile.class_id]) for tile in tiles]
    wide = max(sum(p.width for p in row) + _BETWEEN * (len(row) - 1) for row in panels)
    tall = max(p.height for row in panels for p in row) + LINE * (1 + max(len(t.notes) for t in tiles)) + 3
    columns = min(len(tiles), columns or _columns(len(tiles), wide, tall))
    rows = -(-len(tiles) // columns)

    inner = max(columns * (wide + _GAP) - _GAP, min(text_width(title, 13), _WIDEST))
    below = wrapped(caption, inner) if caption else []
    top = _GAP + (_HEADING if title else 0)
    height = top + rows * (tall + _GAP) + (LINE + 1) * len(below)
    sheet = Image.new("RGB", (inner + 2 * _GAP, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP - 2), _fitted(title, inner, 13), fill=_INK, font=font(13))
    for place, (tile, row) in enumerate(zip(tiles, panels, strict=True)):
        x = _GAP + place % columns * (wide + _GAP)
        y = top + place // columns * (tall + _GAP)
        for n, panel in enumerate(row):
            sheet.paste(panel, (x + n * (panel.width + _BETWEEN), y))
        _write(pen, (x, y + row[0].height + 3), wide, tile, colours[tile.class_id])
    for n, text in enumerate(below):
        pen.text((_GAP, top + rows * (tall + _GAP) + n * (LINE + 1) - 4), text, fill=_INK, font=font(12))
    return sheet


def _panels(tile: CropTile, side: int, colour: Rgb) -> list[Image.Image]:
    """The crop's panels, all of one size."""
    _, height, width = tile.image.shape
    longest = max(height, width)
    # Whole numbers, so that all pixels of a small crop are shown equally large.
    view = View(height, width, float(round(side / longest)) if longest <= side else side / longest)
    rgb = np.ascontiguousarray(_array(tile.image).transpose(1, 2, 0))
    pixels = view.photograph(rgb)
    alpha = _mask(_array(tile.alpha)[0], view)
    checks = checkerboard(*view.size, cell=max(3, side // 16))

    # Towards a middle grey, so that the dimmed differs from the dark and from the bright.
    around = (pixels.astype(np.float64) * 0.38 + 45).astype(np.uint8)
    around = np.where(alpha[..., None], pixels, around)
    around[_outside_edge(alpha)] = colour
    shown = [around, np.where(alpha[..., None], pixels, checks)]
    if tile.depth is not None and tile.depth_valid is not None:
        depth, valid = _array(tile.depth)[0], _array(tile.depth_valid)[0]
        known = depth[valid & np.isfinite(depth)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        shown.append(_with_holes(depth_colours(depth, low, high), valid, view, checks))
    if tile.normals is not None:
        normals = _array(tile.normals)
        shown.append(_with_holes(normal_colours(normals), (normals != 0).any(axis=0), view, checks))
    return [Image.fromarray(picture) for picture in shown]


def _with_holes(pixels: np.ndarray, known: np.ndarray, view: View, checks: np.ndarray) -> np.ndarray:
    # Nearest throughout: an average of colours would be the colour of another value.
    return np.where(view.enlarge(known)[..., None], view.enlarge(pixels), checks)


def _mask(alpha: np.ndarray, view: View) -> np.ndarray:
    if view.scale >= 1:
        return view.enlarge(alpha)
    height, width = view.size
    grey = Image.fromarray(alpha.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    smaller = np.asarray(grey) >= 128
    return smaller if smaller.any() else np.asarray(grey) > 0  # a thin object stays visible


def _outside_edge(mask: np.ndarray) -> np.ndarray:
    """The pixels beside the mask, so that the outline covers nothing of the object."""
    wide = np.pad(mask, 1)
    near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return near & ~mask


def _columns(count: int, wide: int, tall: int) -> int:
    """So many that the sheet is about three wide to two tall, and not wider than a screen."""
    balanced = round((count * 1.5 * (tall + _GAP) / (wide + _GAP)) ** 0.5)
    return max(1, min(balanced, count, (_WIDEST + _GAP) // (wide + _GAP)))


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], width: int, tile: CropTile, colour: Rgb) -> None:
    x, y = at
    pen.rectangle([x, y + 1, x + _BAR - 1, y + LINE - 2], fill=colour)
    name = _fitted(tile.name, width - _BAR - 4, _NAME)
    pen.text((x + _BAR + 4, y), name, fill=_INK, font=font(_NAME))
    for n, note in enumerate(tile.notes, start=1):
        pen.text((x, y + n * LINE), _fitted(note, width, _NOTE), fill=_FAINT, font=font(_NOTE))


def _fitted(text: str, width: int, size: int) -> str:
    """One line of at most ``width`` screen pixels; what is left out is shown by dots."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()

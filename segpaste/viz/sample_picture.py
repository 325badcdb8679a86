"""Everything that a sample holds, in one picture: one panel per field."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image, ImageDraw

from segpaste.types import DenseSample, modality_set_name
from segpaste.viz.colours import Colours
from segpaste.viz.panels import (
    Panel,
    View,
    depth_panel,
    font,
    image_panel,
    label_panel,
    normals_panel,
    plain_panel,
    row_names,
)
from segpaste.viz.strips import (
    LINE,
    depth_range,
    panel_width,
    text_width,
    values_shown,
    wrapped,
    write_legend,
)

_GAP = 14
_INK = (25, 25, 25)
_FAINT = (100, 100, 100)
_RULE = (215, 218, 222)
_NARROWEST, _WIDEST = 420, 1280
_SMALL = 64  # canvas pixels; beyond, a panel is larger
_HEADING = 22

Titled = tuple[str, Panel]


def draw_samples(
    samples: Mapping[str, DenseSample], *, caption: str = "", side: int | None = None, ignore_index: int = 255
) -> Image.Image:
    """Draw samples one below the other: image, instances with ids and boxes, maps, depth, normals.

    Equal ids have equal colours in every panel, and so have equal classes; depths share one range.

    Args:
        samples: title -> sample; malformed ones may be drawn too.
        caption: written below, wrapped.
        side: screen pixels of a panel's longer side; 192 for a canvas of up to 64 pixels,
            else 384.
        ignore_index: semantic value shown as grey checks.

    Raises:
        ValueError: without samples.
    """
    if not samples:
        raise ValueError("samples: got none, expected at least one")
    shown = list(samples.values())
    longest = max(max(sample.canvas_size) for sample in shown)
    side = side or (192 if longest <= _SMALL else 384)
    ids = Colours(row_names(shown) + values_shown(shown, "panoptic_map", without=0))
    classes = Colours(values_shown(shown, "semantic_map", without=ignore_index), pale=True)
    depths = depth_range(shown)
    blocks = [
        (f"{title}: {_described(sample)}", _panels(sample, side, ids, classes, depths, ignore_index))
        for title, sample in samples.items()
    ]
    return _lay_out(blocks, caption)


def _described(sample: DenseSample) -> str:
    height, width = sample.canvas_size
    dtype = str(sample.image.dtype).removeprefix("torch.")
    rows = "1 row" if len(sample) == 1 else f"{len(sample)} rows"
    parts = [f"{height} x {width}", dtype, rows, modality_set_name(sample.active_modalities())]
    if sample.padding_mask is not None:
        parts.append(f"{int(sample.padding_mask.sum())} px padding")
    if sample.camera_intrinsics is not None:
        fx, fy, cx, cy = sample.camera_intrinsics.as_tuple()
        parts.append(f"camera fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}")
    return ", ".join(parts)


def _panels(
    sample: DenseSample,
    side: int,
    ids: Colours,
    classes: Colours,
    depths: tuple[float, float],
    ignore_index: int,
) -> list[Titled]:
    view = View.of(sample.canvas_size, side)
    panels = [("image", plain_panel(sample, view))]
    if len(sample):
        what = "instances: masks, boxes, ids" if sample.instance_masks is not None else "boxes"
        panels.append((what, image_panel(sample, view, ids)))
    if sample.semantic_map is not None:
        semantic = label_panel(sample.semantic_map, sample, view, classes, ignore_index)
        panels.append(("semantic map (classes)", semantic))
    if sample.panoptic_map is not None:
        panels.append(("panoptic map (ids)", label_panel(sample.panoptic_map, sample, view, ids, 0)))
    if sample.depth is not None:
        panels.append(("depth, near is bright", depth_panel(sample, view, *depths)))
    if sample.normals is not None:
        panels.append(("normals", normals_panel(sample, view)))
    return panels


def _lay_out(blocks: list[tuple[str, list[Titled]]], caption: str) -> Image.Image:
    lines = [(title, line) for title, panels in blocks for line in _lines(panels)]
    titles = [text_width(title, 13) for title, _ in blocks]
    inner = max([_NARROWEST, *titles, *(_width(line) for _, line in lines)])
    below = wrapped(caption, inner)
    height = _GAP + len(blocks) * _HEADING + sum(_height(line) for _, line in lines)
    picture = Image.new("RGB", (inner + 2 * _GAP, height + (LINE + 1) * len(below) + _GAP), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    y = _GAP
    for number, (title, panels) in enumerate(blocks):
        if number:
            pen.line([(_GAP, y - 4), (_GAP + inner, y - 4)], fill=_RULE)
        pen.text((_GAP, y), title, fill=_INK, font=font(13))
        y += _HEADING
        for line in _lines(panels):
            x = _GAP
            for name, panel in line:
                pen.text((x, y), name, fill=_FAINT, font=font(11))
                picture.paste(panel.picture, (x, y + LINE))
                write_legend(pen, x, y + LINE + panel.picture.height, panel)
                x += _cell(name, panel) + _GAP
            y += _height(line)
    for text in below:
        pen.text((_GAP, y), text, fill=_INK, font=font(12))
        y += LINE + 1
    return picture


def _lines(panels: list[Titled]) -> list[list[Titled]]:
    """The panels, as many to a line as fit into the widest picture."""
    lines: list[list[Titled]] = [[]]
    for panel in panels:
        if lines[-1] and _width([*lines[-1], panel]) > _WIDEST:
            lines.append([])
        lines[-1].append(panel)
    return lines


def _cell(name: str, panel: Panel) -> int:
    return max(panel_width(panel), text_width(name, 11))


def _width(line: list[Titled]) -> int:
    return sum(_cell(*titled) for titled in line) + _GAP * (len(line) - 1)


def _height(line: list[Titled]) -> int:
    return max(LINE + panel.picture.height + LINE * len(panel.legend) for _, panel in line) + _GAP

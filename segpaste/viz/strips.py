"""Samples side by side: one column per sample, one line per modality."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image, ImageDraw

from segpaste.types import DenseSample
from segpaste.viz.colours import Colours
from segpaste.viz.panels import (
    Panel,
    View,
    depth_panel,
    font,
    ids_panel,
    image_panel,
    label_panel,
    names_of_rows,
    normals_panel,
    outlined_panel,
    pixels_panel,
    plain_panel,
    row_names,
)

LINE = 15
_PHOTOGRAPH = 64  # a larger canvas is shown once more with nothing drawn over it
_MANY = 10_000  # depths, from which on colours span all but the outermost hundredths
_MOST_OUTLINED = 20  # what is outlined is what the picture is of
_GAP = 12
_INK = (25, 25, 25)
_FAINT = (100, 100, 100)


@dataclass(frozen=True)
class Column:
    """One sample of a strip.

    Attributes:
        title: written above it.
        sample: the sample.
        pixels: ``[H, W]`` bool; given, the column shows these pixels in red instead of
            the sample's fields.
        note: what the red pixels are.
        rows: rows of the sample whose boxes are drawn in red beside the pixels.
        outlined: row -> the id whose colour it is outlined in, over the image alone.
        nothing: what stands below the image where no row is outlined.
    """

    title: str
    sample: DenseSample
    pixels: torch.Tensor | None = None
    note: str | None = None
    rows: tuple[int, ...] = ()
    outlined: Mapping[int, int] = field(default_factory=dict)
    nothing: str = ""


def draw_strip(
    columns: Sequence[Column],
    *,
    caption: str = "",
    side: int | None = None,
    ignore_index: int = 255,
    class_names: Mapping[int, str] | None = None,
) -> Image.Image:
    """Draw samples side by side, with all their modalities, titles and legends.

    Equal ids have equal colours in every column, and so have equal classes; ids and classes
    that touch differ. Depths share one range.

    Args:
        columns: from left to right; a column with a ``note`` shows pixels in red.
        caption: written below, wrapped.
        side: screen pixels of a panel's longer side; 168 for a canvas of up to 64
            pixels, else 300.
        ignore_index: semantic value shown as grey checks.
        class_names: class id -> name, for the legends, which are longer and in the order of
            areas then.

    Raises:
        ValueError: without columns.
    """
    if not columns:
        raise ValueError("columns: got none, expected at least one")
    shown = [c.sample for c in columns if c.note is None] or [columns[0].sample]
    longest = max(max(c.sample.canvas_size) for c in columns)
    side = side or (168 if longest <= _PHOTOGRAPH else 300)
    ids, classes = _colours(shown, ignore_index, max(1, longest // side))
    most = 6 if class_names is None else 10
    low, high = depth_range(shown)
    grid: list[tuple[str, list[Panel | None]]] = []

    def line(title: str, panels: list[Panel | None]) -> None:
        if any(p is not None for p in panels):
            grid.append((title, panels))

    views = [View.of(c.sample.canvas_size, side) for c in columns]
    plain = [(c.sample if c.note is None else None, v) for c, v in zip(columns, views, strict=True)]
    pixels = [
        None if c.note is None else pixels_panel(c.sample, v, c.pixels, c.note, c.rows)
        for c, v in zip(columns, views, strict=True)
    ]
    # A photograph is shown anyway; masks and boxes only of samples that have such.
    large = longest > _PHOTOGRAPH
    labelled = [
        image_panel(s, v, ids, class_names, most)
        if s is not None and (s.instance_masks is not None or len(s) or not large)
        else None
        for s, v in plain
    ]
    photographs: list[Panel | None] = [
        outlined_panel(
            c.sample,
            v,
            {row: ids[key] for row, key in c.outlined.items()},
            class_names,
            c.nothing,
            max(most, _MOST_OUTLINED),
        )
        if c.outlined or c.nothing
        else plain_panel(c.sample, v)
        for c, v in zip(columns, views, strict=True)
    ]
    if large:
        line("image", [p or q for p, q in zip(pixels, photographs, strict=True)])
        line("masks and boxes", labelled)
    elif any(c.outlined for c in columns):
        line("image", photographs)
        line("masks and boxes", labelled)
    else:
        line("image, masks and boxes", [p or q for p, q in zip(pixels, labelled, strict=True)])
    line(
        "semantic map",
        [
            label_panel(s.semantic_map, s, v, classes, ignore_index, class_names, most)
            if s is not None and s.semantic_map is not None
            else None
            for s, v in plain
        ],
    )
    line(
        "panoptic map (ids)",
        [
            (
                label_panel(s.panoptic_map, s, v, ids, 0)
                if class_names is None
                else ids_panel(s.panoptic_map, s, v, ids)
            )
            if s is not None and s.panoptic_map is not None
            else None
            for s, v in plain
        ],
    )
    line(
        "depth",
        [depth_panel(s, v, low, high) if s is not None and s.depth is not None else None for s, v in plain],
    )
    line(
        "normals",
        [normals_panel(s, v) if s is not None and s.normals is not None else None for s, v in plain],
    )
    return _lay_out([c.title for c in columns], grid, caption)


def _colours(shown: Sequence[DenseSample], ignore_index: int, every: int) -> tuple[Colours, Colours]:
    """The ids' colours and the classes'; of large maps each ``every``-th pixel, as they are shown."""
    named = set(row_names(shown)) | set(values_shown(shown, "panoptic_map", without=0))
    nothing = min(named, default=0) - 1
    maps: list[np.ndarray] = []
    for sample in shown:
        if sample.panoptic_map is not None:
            found = _array(sample.panoptic_map)
            maps.append(np.where(found == 0, nothing, found))
        elif sample.instance_masks is not None:
            masks = _array(sample.instance_masks)
            ids = np.full(masks.shape[1:], nothing, dtype=np.int64)
            for name, mask in zip(names_of_rows(sample), masks, strict=False):
                ids[mask] = name
            maps.append(ids)
    semantic = [_array(s.semantic_map) for s in shown if s.semantic_map is not None]
    labels = values_shown(shown, "semantic_map", without=ignore_index)
    return (
        Colours.apart([each[::every, ::every] for each in maps], without=nothing, also=named),
        Colours.apart(
            [each[::every, ::every] for each in semantic], without=ignore_index, also=labels, pale=True
        ),
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.as_subclass(torch.Tensor).detach().cpu().numpy()


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    out = io.BytesIO()
    picture.save(out, format="PNG", optimize=True)
    return out.getvalue()


def data_uri(picture: Image.Image) -> str:
    """The picture as a ``data:`` URI: PNG when small or flat, else JPEG."""
    png = png_bytes(picture)
    if len(png) <= 120_000:
        return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def crop_around(sample: DenseSample, window: tuple[int, int, int, int]) -> DenseSample:
    """The part of a sample inside ``(y0, x0, y1, x1)``, for looking at, not for judging."""
    y0, x0, y1, x1 = window
    values = sample.to_dict()
    for name, value in values.items():
        if name in ("boxes", "labels", "instance_ids") or not isinstance(value, torch.Tensor):
            continue
        values[name] = value.as_subclass(torch.Tensor)[..., y0:y1, x0:x1]
    offset = torch.tensor([x0, y0, x0, y0], dtype=torch.float32, device=sample.boxes.device)
    values["boxes"] = sample.boxes.as_subclass(torch.Tensor) - offset
    if sample.instance_masks is not None:
        keep = values["instance_masks"].flatten(1).any(dim=1)
        for name in ("boxes", "labels", "instance_ids", "instance_masks"):
            values[name] = values[name][keep]
    return DenseSample.unchecked(**values)


def window_around(mask: torch.Tensor, margin: int, smallest: int) -> tuple[int, int, int, int]:
    """The window ``(y0, x0, y1, x1)`` that holds the true pixels of ``mask [H, W]``, with margin."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask.as_subclass(torch.Tensor).cpu().numpy())
    if rows.size == 0:
        return 0, 0, height, width
    spans = []
    for values, size in ((rows, height), (columns, width)):
        low, high = int(values.min()) - margin, int(values.max()) + 1 + margin
        missing = max(0, smallest - (high - low))
        low, high = low - missing // 2, high + (missing + 1) // 2
        spans.append((max(0, low), min(size, high)))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def values_shown(samples: Sequence[DenseSample], name: str, without: int) -> list[int]:
    found: set[int] = set()
    for sample in samples:
        value = getattr(sample, name)
        if value is not None:
            found |= set(value.as_subclass(torch.Tensor).unique().tolist())
    return sorted(found - {without})


def depth_range(samples: Sequence[DenseSample]) -> tuple[float, float]:
    parts = []
    for sample in samples:
        if sample.depth is not None and sample.depth_valid is not None:
            depth = sample.depth[sample.depth_valid].cpu().numpy()
            parts.append(depth[np.isfinite(depth)])
    values = np.concatenate(parts) if parts else np.zeros(0)
    if values.size > _MANY:  # a few stray measurements would leave all else one colour
        low, high = np.quantile(values, (0.01, 0.99)).tolist()
        return low, high
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _lay_out(titles: list[str], grid: list[tuple[str, list[Panel | None]]], caption: str) -> Image.Image:
    widths = [
        max([text_width(titles[n], 13)] + [panel_width(p[n]) for _, p in grid if p[n] is not None])
        for n in range(len(titles))
    ]
    total = _GAP + sum(w + _GAP for w in widths)
    lines = wrapped(caption, total - 2 * _GAP)
    heights = [
        LINE
        + max(p.picture.height for p in panels if p is not None)
        + LINE * max(len(p.legend) for p in panels if p is not None)
        for _, panels in grid
    ]
    height = _GAP + 18 + sum(h + 8 for h in heights) + (LINE + 1) * len(lines) + _GAP
    picture = Image.new("RGB", (total, height), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    x = _GAP
    for title, width in zip(titles, widths, strict=True):
        pen.text((x, _GAP), title, fill=_INK, font=font(13))
        x += width + _GAP
    y = _GAP + 18
    for (name, panels), tall in zip(grid, heights, strict=True):
        pen.text((_GAP, y), name, fill=_FAINT, font=font(10))
        x = _GAP
        for panel, width in zip(panels, widths, strict=True):
            if panel is not None:
                picture.paste(panel.picture, (x, y + LINE))
                write_legend(pen, x, y + LINE + panel.picture.height, panel)
            x += width + _GAP
        y += tall + 8
    for text in lines:
        pen.text((_GAP, y), text, fill=_INK, font=font(12))
        y += LINE + 1
    return picture


def write_legend(pen: ImageDraw.ImageDraw, x: int, y: int, panel: Panel) -> None:
    for n, (colour, text) in enumerate(panel.legend):
        top = y + n * LINE
        if colour is not None:
            pen.rectangle([x + 2, top + 2, x + 11, top + 11], fill=colour, outline=(60, 60, 60))
        pen.text((x + 16, top), text, fill=_INK, font=font(11))


def panel_width(panel: Panel | None) -> int:
    if panel is None:
        return 0
    return max([panel.picture.width] + [18 + text_width(text, 11) for _, text in panel.legend])


def text_width(text: str, size: int) -> int:
    return int(font(size).getlength(text)) + 1


def wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.splitlines():
        current = ""
        for word in paragraph.split():
            longer = f"{current} {word}".strip()
            if current and text_width(longer, 12) > width:
                lines.append(current)
                current = word
            else:
                current = longer
        lines.append(current)
    return lines

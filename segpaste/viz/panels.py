"""One field of one sample as one magnified picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from segpaste.types import DenseSample
from segpaste.viz.colours import Colours, Rgb, checkerboard, depth_colours, normal_colours

RED: Rgb = (235, 20, 40)
_MARGIN = 10  # a box that leaves the canvas is still seen
_PAPER: Rgb = (255, 255, 255)
_LEGEND_ROWS = 6
_MOST_TAGS, _FEW_TAGS = 12, 4  # more, or more on small objects, would hide what they name
_LONGEST_TAG = 20  # letters
_TAG_HEIGHT = 14

LegendEntry = tuple[Rgb | None, str]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Panel:
    """A picture and what its colours mean.

    Attributes:
        picture: RGB.
        legend: a colour (or None) and a text per line; may be empty.
    """

    picture: Image.Image
    legend: tuple[LegendEntry, ...] = ()


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries with it."""
    return ImageFont.load_default(size)


@dataclass(frozen=True)
class View:
    """How a canvas ``(H, W)`` is shown: magnified without smoothing, or made smaller.

    Attributes:
        height, width: the canvas.
        scale: screen pixels per canvas pixel.
    """

    height: int
    width: int
    scale: float

    @classmethod
    def of(cls, canvas: tuple[int, int], side: int) -> View:
        """The largest view whose longer side is about ``side`` screen pixels."""
        longest = max(canvas)
        scale = float(side // longest) if longest <= side else side / longest
        return cls(canvas[0], canvas[1], scale)

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` on the screen, without the margin."""
        return max(1, round(self.height * self.scale)), max(1, round(self.width * self.scale))

    def photograph(self, rgb: np.ndarray) -> np.ndarray:
        """Pixels ``[H, W, 3]`` uint8; magnified without smoothing, made smaller with it."""
        if self.scale >= 1:
            return self.enlarge(rgb)
        height, width = self.size
        return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))

    def enlarge(self, array: np.ndarray) -> np.ndarray:
        """Nearest neighbour over the first two axes."""
        rows = np.minimum((np.arange(self.size[0]) / self.scale).astype(np.int64), self.height - 1)
        columns = np.minimum((np.arange(self.size[1]) / self.scale).astype(np.int64), self.width - 1)
        return array[rows[:, None], columns[None, :]]


def image_panel(
    sample: DenseSample,
    view: View,
    ids: Colours,
    class_names: Mapping[int, str] | None = None,
    most: int = _LEGEND_ROWS,
) -> Panel:
    """The image, each row's mask outlined and tinted, its box dashed, its id written."""
    pixels = view.photograph(_rgb(sample)).astype(np.float64)
    masks = _plain(sample.instance_masks)
    names = names_of_rows(sample)
    thickness = max(1, min(4, round(view.scale / 8)))
    if masks is not None:
        for row, mask in enumerate(masks):
            large = view.enlarge(mask)
            colour = np.array(ids[names[row]], dtype=np.float64)
            pixels[large] = 0.72 * pixels[large] + 0.28 * colour
            pixels[large & ~_shrunk(large, thickness)] = colour
    picture = _framed(pixels.astype(np.uint8), sample, view)
    pen = ImageDraw.Draw(picture)
    places: list[tuple[float, float, float, float]] = []
    crowded = len(names) > 8 and view.scale < 4
    for row, box in enumerate(_plain_array(sample.boxes)):
        x0, y0, x1, y1 = (float(v) * view.scale + _MARGIN for v in np.nan_to_num(box))
        places.append((x0, y0, x1, y1))
        _dashed(pen, (x0, y0, x1 - 1, y1 - 1), ids[names[row]], 1 if crowded else 3)
    for row, (x0, y0, x1, y1) in enumerate(places):
        if not crowded or (x1 - x0 > 34 and y1 - y0 > 22):
            _tag(pen, (x0, y0), _short(names[row]), ids[names[row]], picture.size)
    legend: list[LegendEntry] = []
    labels = sample.labels.tolist()
    for row, name in enumerate(names):
        area = "" if masks is None else f", {int(masks[row].sum())} px"
        what = "id" if sample.instance_ids is not None else "row"
        label = _class_name(labels[row], class_names, f"class {labels[row]}")
        legend.append((ids[name], f"{what} {name}: {label}{area}"))
    if class_names is not None and masks is not None:
        areas = masks.sum(axis=(1, 2))
        legend = [legend[row] for row in np.argsort(-areas, kind="stable").tolist()]
    return Panel(picture, _shortened(legend, "no rows", most))


def plain_panel(sample: DenseSample, view: View) -> Panel:
    """The image with nothing drawn over it."""
    return Panel(_framed(view.photograph(_rgb(sample)), sample, view))


def outlined_panel(
    sample: DenseSample,
    view: View,
    colours: Mapping[int, Rgb],
    class_names: Mapping[int, str] | None = None,
    nothing: str = "",
    most: int = _LEGEND_ROWS,
) -> Panel:
    """The image with some rows outlined and named, and nothing over the rest.

    Args:
        sample: with masks, where rows are given.
        view: how it is shown.
        colours: row -> colour of its outline.
        class_names: class id -> name.
        nothing: the legend where there are no rows.
        most: lines of the legend.
    """
    pixels = view.photograph(_rgb(sample)).copy()
    masks = _plain(sample.instance_masks)
    labels = sample.labels.tolist()
    legend: list[LegendEntry] = []
    tags: list[tuple[tuple[float, float], str, Rgb, bool]] = []
    every = np.zeros((0, *sample.canvas_size), dtype=bool) if masks is None else masks
    areas = every.sum(axis=(1, 2)).tolist()
    # The largest first, so that none hides another's outline.
    for row in sorted(colours, key=lambda row: -areas[row]) if areas else ():
        colour, large = colours[row], view.enlarge(every[row])
        thick = max(2, min(4, round(view.scale / 8)))
        wide = np.pad(large, thick + 1)
        around = wide & ~_shrunk(wide, thick + 1)
        # Black inside of the colour, so that it is seen on any photograph.
        pixels[around[thick + 1 : -thick - 1, thick + 1 : -thick - 1]] = (10, 10, 10)
        pixels[large & ~_shrunk(large, thick)] = colour
        name = _class_name(labels[row], class_names, f"class {labels[row]}")
        legend.append((colour, f"{name}, {areas[row]} px"))
        down, across = np.nonzero(large)
        if down.size:
            # Above, so that it hides nothing of what it names.
            at = float(across.min()) + _MARGIN, float(down.min()) + _MARGIN - 16
            tags.append((at, name, colour, bool(np.ptp(across) > 40 and np.ptp(down) > 30)))
    picture = _framed(pixels, sample, view)
    pen = ImageDraw.Draw(picture)
    named = 0
    taken: list[Box] = []
    for at, name, colour, has_room in tags:
        if named < _MOST_TAGS and (has_room or len(tags) <= _FEW_TAGS):
            short = name if len(name) <= _LONGEST_TAG else f"{name[: _LONGEST_TAG - 2]}.."
            named += _free_tag(pen, at, short, colour, picture.size, taken)
    shown = _shortened(legend, nothing, most)
    if named < len(tags):
        shown = (*shown, (None, f"{len(tags) - named} of {len(tags)} not named in the picture"))
    return Panel(picture, shown)


def label_panel(
    values: torch.Tensor,
    sample: DenseSample,
    view: View,
    colours: Colours,
    empty: int,
    names: Mapping[int, str] | None = None,
    most: int = _LEGEND_ROWS,
) -> Panel:
    """A map of ids or classes ``[H, W]``; the value ``empty`` is shown as grey checks.

    With ``names`` the legend has those, the largest area first.
    """
    array = _plain_array(values)
    large = view.enlarge(array)
    pixels = checkerboard(*view.size)
    found = np.unique(array).tolist()
    for value in found:
        if value != empty:
            pixels[large == value] = colours[value]
    picture = _framed(pixels, sample, view)
    _write_values(picture, view, [[str(int(v)) for v in line] for line in array])
    areas = {v: int((array == v).sum()) for v in found}
    if names is not None:
        found = sorted(found, key=lambda v: (v == empty, -areas[v], v))
    said = {} if names is None else {**names, empty: "no label"}
    counts: list[LegendEntry] = [
        (None if v == empty else colours[v], f"{said.get(v, str(v))}: {areas[v]} px") for v in found
    ]
    return Panel(picture, _shortened(counts, "nothing", most))


def ids_panel(values: torch.Tensor, sample: DenseSample, view: View, colours: Colours) -> Panel:
    """A panoptic map ``[H, W]``, whose ids a legend beside it explains; 0 is shown as grey checks."""
    panel = label_panel(values, sample, view, colours, 0)
    number = int((values.as_subclass(torch.Tensor).unique() != 0).sum())
    nothing = int((values.as_subclass(torch.Tensor) == 0).sum())
    ids = "1 id" if number == 1 else f"{number} ids"
    return Panel(panel.picture, ((None, f"{ids}; 0 (stuff, no label): {nothing} px"),))


def depth_panel(sample: DenseSample, view: View, low: float, high: float) -> Panel:
    """Depth, near bright; invalid pixels as grey checks."""
    if sample.depth is None or sample.depth_valid is None:
        raise ValueError("depth_panel: got a sample without depth, expected one with depth")
    depth, valid = _plain_array(sample.depth)[0], _plain_array(sample.depth_valid)[0]
    pixels = view.enlarge(depth_colours(depth, low, high))
    hole = ~view.enlarge(valid)
    pixels[hole] = checkerboard(*view.size)[hole]
    picture = _framed(pixels, sample, view)
    _write_values(picture, view, [[f"{v:.3g}" for v in line] for line in depth])
    unit = " m" if sample.metric_depth else ""
    inside = depth[valid & np.isfinite(depth)]
    span = f"{inside.min():.4g} to {inside.max():.4g}{unit}" if inside.size else "no valid depth"
    return Panel(picture, ((None, span), (None, f"{int((~valid).sum())} px invalid")))


def normals_panel(sample: DenseSample, view: View) -> Panel:
    """Normals as colours: right is red, up is green, towards the camera is blue."""
    if sample.normals is None:
        raise ValueError("normals_panel: got a sample without normals, expected one with normals")
    normals = _plain_array(sample.normals)
    pixels = view.enlarge(normal_colours(normals))
    nothing = (normals == 0).all(axis=0)
    hole = view.enlarge(nothing)
    pixels[hole] = checkerboard(*view.size)[hole]
    picture = _framed(pixels, sample, view)
    texts = [
        ["\n".join(f"{v:+.2f}" for v in normals[:, y, x]) for x in range(view.width)]
        for y in range(view.height)
    ]
    _write_values(picture, view, texts)
    legend: list[LegendEntry] = [(None, "right red, up green, near blue")]
    if nothing.any():
        legend.append((None, f"{int(nothing.sum())} px without normal"))
    return Panel(picture, tuple(legend))


def pixels_panel(
    sample: DenseSample, view: View, mask: torch.Tensor | None, text: str, rows: Sequence[int] = ()
) -> Panel:
    """The image in grey, the pixels of ``mask [H, W]`` in red and ringed when few.

    The boxes of ``rows`` are drawn in red.
    """
    grey = _rgb(sample).astype(np.float64).mean(axis=-1, keepdims=True)
    pixels = view.photograph(np.repeat(90 + grey * 0.55, 3, axis=-1).astype(np.uint8)).copy()
    bad = np.zeros(sample.canvas_size, dtype=bool) if mask is None else _plain_array(mask)
    pixels[view.enlarge(bad)] = RED
    picture = _framed(pixels.astype(np.uint8), sample, view)
    pen = ImageDraw.Draw(picture)
    if 0 < bad.sum() * 200 < bad.size and view.scale < 4:
        down, across = np.nonzero(bad)
        x0, x1 = across.min() * view.scale, (across.max() + 1) * view.scale
        y0, y1 = down.min() * view.scale, (down.max() + 1) * view.scale
        ring = [x0 + _MARGIN - 5, y0 + _MARGIN - 5, x1 + _MARGIN + 4, y1 + _MARGIN + 4]
        pen.rectangle(ring, outline=RED, width=2)
    boxes = np.nan_to_num(_plain_array(sample.boxes))
    for row in rows:
        x0, y0, x1, y1 = (float(v) * view.scale + _MARGIN for v in boxes[row])
        _dashed(pen, (x0, y0, x1 - 1, y1 - 1), RED, 3)
    return Panel(picture, ((RED if bad.any() or rows else None, text),))


def row_names(samples: Sequence[DenseSample]) -> list[int]:
    """Every name a row is shown under in these samples: its id, or its index without ids."""
    return sorted({name for sample in samples for name in names_of_rows(sample)})


def names_of_rows(sample: DenseSample) -> list[int]:
    """What each row is shown under: its id, or its index without ids."""
    return list(range(len(sample))) if sample.instance_ids is None else sample.instance_ids.tolist()


def _class_name(label: int, names: Mapping[int, str] | None, default: str) -> str:
    return default if names is None else names.get(label, default)


def _rgb(sample: DenseSample) -> np.ndarray:
    image = _plain_array(sample.image)
    if image.dtype != np.uint8:
        image = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    image = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def _plain_array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.as_subclass(torch.Tensor).detach().cpu().numpy()


def _plain(tensor: torch.Tensor | None) -> np.ndarray | None:
    return None if tensor is None else _plain_array(tensor)


def _shrunk(mask: np.ndarray, by: int) -> np.ndarray:
    """The pixels of ``mask`` further than ``by`` from its edge, in the largest norm."""
    inner = np.pad(mask, by)
    out = inner.copy()
    for axis in (0, 1):
        current = out.copy()
        for shift in range(1, by + 1):
            out &= np.roll(current, shift, axis) & np.roll(current, -shift, axis)
    return out[by:-by, by:-by]


def _framed(pixels: np.ndarray, sample: DenseSample, view: View) -> Image.Image:
    """On paper with a margin; padding hatched, a grid where pixels are large."""
    if sample.padding_mask is not None:
        padding = view.enlarge(_plain_array(sample.padding_mask)[0])
        height, width = view.size
        stripes = (np.arange(height)[:, None] + np.arange(width)[None, :]) % 8 < 3
        pixels = pixels.copy()
        pixels[padding & stripes] = (30, 30, 30)
        pixels[padding & ~stripes] = (200, 200, 200)
    inner = Image.fromarray(np.ascontiguousarray(pixels))
    picture = Image.new("RGB", (inner.width + 2 * _MARGIN, inner.height + 2 * _MARGIN), _PAPER)
    picture.paste(inner, (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(picture)
    if view.scale >= 8:
        for x in range(1, view.width):
            at = _MARGIN + round(x * view.scale)
            pen.line([(at, _MARGIN), (at, _MARGIN + inner.height - 1)], fill=(150, 150, 150))
        for y in range(1, view.height):
            at = _MARGIN + round(y * view.scale)
            pen.line([(_MARGIN, at), (_MARGIN + inner.width - 1, at)], fill=(150, 150, 150))
    pen.rectangle(
        [_MARGIN - 1, _MARGIN - 1, _MARGIN + inner.width, _MARGIN + inner.height], outline=(90, 90, 90)
    )
    return picture


def _dashed(
    pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], colour: Rgb, shadow: int
) -> None:
    x0, y0, x1, y1 = box
    for start, end in (
        ((x0, y0), (x1, y0)),
        ((x0, y1), (x1, y1)),
        ((x0, y0), (x0, y1)),
        ((x1, y0), (x1, y1)),
    ):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        for at in np.arange(0.0, max(length, 1.0), 8.0):
            stop = min(at + 5.0, length)
            along = [
                (
                    start[0] + (end[0] - start[0]) * t / max(length, 1e-9),
                    start[1] + (end[1] - start[1]) * t / max(length, 1e-9),
                )
                for t in (at, stop)
            ]
            pen.line(along, fill=(0, 0, 0), width=shadow)
            pen.line(along, fill=colour, width=1)


def _free_tag(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    colour: Rgb,
    size: tuple[int, int],
    taken: list[Box],
) -> bool:
    """Write a tag where it covers none of those that are ``taken``: here, or a few lines up or down."""
    for lines in (0, -1, 1, -2, 2, 3):
        place = _tag_box(pen, (at[0], at[1] + lines * (_TAG_HEIGHT + 1)), text, size)
        if not any(_overlap(place, other) for other in taken):
            taken.append(place)
            _tag(pen, (at[0], at[1] + lines * (_TAG_HEIGHT + 1)), text, colour, size)
            return True
    return False


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _tag_box(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: tuple[int, int]) -> Box:
    """Where a tag stands, moved into the picture."""
    width = pen.textlength(text, font=font(11)) + 6
    x = float(np.clip(at[0] + 1, 0, max(0, size[0] - width)))
    y = float(np.clip(at[1] + 1, 0, max(0, size[1] - _TAG_HEIGHT)))
    return x, y, x + width, y + _TAG_HEIGHT


def _tag(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: Rgb, size: tuple[int, int]
) -> None:
    x, y, right, below = _tag_box(pen, at, text, size)
    pen.rectangle([x, y, right - 1, below - 1], fill=(20, 20, 20), outline=colour)
    pen.text((x + 3, y + 1), text, fill=(255, 255, 255), font=font(11))


def _short(name: int) -> str:
    """An id as it fits into a small picture; the legend has all of it."""
    text = str(name)
    return text if len(text) <= 5 else f"..{text[-4:]}"


def _write_values(picture: Image.Image, view: View, texts: Sequence[Sequence[str]]) -> None:
    """Every pixel's value into its magnified square, where it fits."""
    if view.scale < 14:  # not even two digits
        return
    pen = ImageDraw.Draw(picture)
    for y, line in enumerate(texts):
        for x, text in enumerate(line):
            parts = text.split("\n")
            if max(map(len, parts)) * 6 <= view.scale and len(parts) * 11 <= view.scale:
                middle = (_MARGIN + (x + 0.5) * view.scale, _MARGIN + (y + 0.5) * view.scale)
                _write(pen, middle, text, 10)


def _write(pen: ImageDraw.ImageDraw, middle: tuple[float, float], text: str, size: int) -> None:
    pen.text(
        middle,
        text,
        fill=(255, 255, 255),
        font=font(size),
        anchor="mm",
        stroke_width=1,
        stroke_fill=(0, 0, 0),
    )


def _shortened(
    entries: Sequence[LegendEntry], nothing: str, most: int = _LEGEND_ROWS
) -> tuple[LegendEntry, ...]:
    if not entries:
        return ((None, nothing),)
    if len(entries) <= most:
        return tuple(entries)
    return (*entries[: most - 1], (None, f"and {len(entries) - most + 1} more"))

"""Scenes: a few integers that say what a dense sample shows, and the sample they make.

A :class:`Frame` is what the samples of a batch share, a :class:`Scene` is one sample:
shapes with label and depth, a layout of stuff, regions without labels, padding, and for
bulk noise one seed of a counter-based generator. Neither depends on Hypothesis, so
goldens, demo and benchmarks draw scenes too (:func:`scene_from_seed`).

What padding holds: no labels. Masks are false there, the semantic map says *ignore*,
the panoptic map 0, depth is invalid (garbage beneath), there is no normal; the image
may show anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal

import torch

from segpaste.strategies.choices import Choices
from segpaste.strategies.rendering import DEPTH_UNIT, render
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    CameraIntrinsics,
    DenseSample,
    Modality,
    PanopticSchema,
    PanopticSchemaSpec,
    classes_of_kind,
    modality_set_name,
)

Palette = Literal["constant", "ramp", "noise", "provenance", "wide"]
Form = Literal["box", "ellipse", "triangle", "split", "ring", "checker"]
Layout = Literal["rows", "columns", "blocks", "spot"]
Holes = Literal["none", "rectangle", "noise", "all"]
Garbage = Literal["zero", "kept", "nan", "inf", "negative", "huge", "mixed"]
NormalsKind = Literal["facing", "tilted", "noise"]

DEFAULT_SCHEMA = PanopticSchemaSpec(
    classes={0: "stuff", 1: "thing", 2: "thing", 3: "stuff", 4: "thing"}, max_instances_per_image=256
)
"""The class table where none is given."""

IMAGE_DTYPES = (torch.uint8, torch.float32)
CHANNELS = (3, 1, 4)

FRAME_BYTES = 8
SHAPE_BYTES = 16

INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, repr=False)
class _Record:
    """Shows only what differs from the defaults."""

    def __repr__(self) -> str:
        shown: list[str] = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.default is MISSING or value != f.default:
                text = modality_set_name(value) if f.name == "modalities" else repr(value)
                shown.append(f"{f.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class Frame(_Record):
    """What the samples of one batch have in common.

    Attributes:
        canvas: (H, W).
        modalities: what the samples carry.
        channels: C of the image.
        float_image: float32, else uint8.
        detection: rows with boxes and labels but no masks.
        intrinsics: whether there is a camera.
        metric: whether depth is metric; needs depth and a camera.
        things, stuff: class ids.
        ignore_index: the semantic label of what has none.
        reserve: ids kept free below 2**31 for what will be pasted.
    """

    canvas: tuple[int, int]
    modalities: frozenset[Modality]
    channels: int = 3
    float_image: bool = False
    detection: bool = False
    intrinsics: bool = False
    metric: bool = False
    things: tuple[int, ...] = (1, 2, 4)
    stuff: tuple[int, ...] = (0, 3)
    ignore_index: int = 255
    reserve: int = 64


@dataclass(frozen=True, slots=True, repr=False)
class Shape(_Record):
    """One object; later shapes stand in front of earlier ones.

    Attributes:
        top, left, height, width: its rectangle, inside the scene's valid rectangle.
        label: class id.
        form: what of the rectangle it fills.
        depth: in 1/256 units.
        tilt: (x, y) of its normal before normalisation, over -4 in z.
    """

    top: int
    left: int
    height: int
    width: int
    label: int
    form: Form = "box"
    depth: int = 64
    tilt: tuple[int, int] = (0, 0)


Rectangle = tuple[int, int, int, int]
"""(top, left, height, width)."""


@dataclass(frozen=True, slots=True, repr=False)
class Scene(_Record):
    """The parameters of one sample.

    Attributes:
        frame: what it shares with its batch.
        shapes: the objects, back to front. One that ends up without a visible pixel
            has no row.
        overlap: masks of *different* classes keep what another hides; never beside a
            panoptic map.
        palette: what the image shows: one value; the pixel's index; noise; the number
            of the row (from 1, 0 for none) in channel 0 and ``level`` in the
            others; or, float images only, numbers of very different size.
        level: the value of the constant palette, 0 to 255 (over 256 in float images).
        layout, bands: how the semantic labels ``bands`` are laid out behind the shapes.
        spot: where layout "spot" puts its last label.
        unlabelled: rectangles of *ignore*, in front of everything.
        semantic_agrees: whether the semantic map shows the shapes; always beside a
            panoptic map.
        valid: the valid rectangle (Hv, Wv); ``None`` without a padding mask.
        padded_image: whether the image shows something in the padding.
        depth: background depth in 1/256 units.
        slope: increase of depth per pixel down and right, in 1/256 units.
        rough: add noise to depth.
        depth_exponent: depth is multiplied by this power of two.
        holes, hole: where depth is invalid.
        garbage: what an invalid depth holds.
        normals: how normals are made.
        normal_holes: where there is none.
        camera: (fx, fy, cx, cy).
        first_id, id_step: ids of the rows, first_id + n * id_step.
        seed: key of the noise.
    """

    frame: Frame
    shapes: tuple[Shape, ...] = ()
    overlap: bool = False
    palette: Palette = "constant"
    level: int = 0
    layout: Layout = "rows"
    bands: tuple[int, ...] = (0,)
    spot: Rectangle = (0, 0, 1, 1)
    unlabelled: tuple[Rectangle, ...] = ()
    semantic_agrees: bool = True
    valid: tuple[int, int] | None = None
    padded_image: bool = False
    depth: int = 64
    slope: tuple[int, int] = (0, 0)
    rough: bool = False
    depth_exponent: int = 0
    holes: Holes = "none"
    hole: Rectangle = (0, 0, 1, 1)
    garbage: Garbage = "zero"
    normals: NormalsKind = "facing"
    normal_holes: Holes = "none"
    camera: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    first_id: int = 1
    id_step: int = 1
    seed: int = 0

    def sample(self) -> DenseSample:
        """The sample this scene describes; the same bits whenever and wherever."""
        return render(self)


def scene_from_seed(seed: int, **limits: Any) -> Scene:
    """Draw a whole scene from one 64-bit integer, by Philox alone.

    Args:
        seed: the key.
        limits: as for :func:`scenes_from_seed`.
    """
    return scenes_from_seed(seed, 1, **limits)[0]


def scenes_from_seed(
    seed: int,
    count: int,
    *,
    min_instances: int = 0,
    max_instances: int = 4,
    schema: PanopticSchema | None = None,
    **limits: Any,
) -> list[Scene]:
    """Draw ``count`` scenes of one frame from one 64-bit integer, by Philox alone.

    Args:
        seed: the key.
        count: how many scenes.
        min_instances: fewest shapes of a scene.
        max_instances: most shapes of a scene.
        schema: the class table; :data:`DEFAULT_SCHEMA` if ``None``.
        limits: as for :func:`draw_frame`.

    Raises:
        ValueError: on limits that cannot be met.
    """
    check_range("min_instances", min_instances, "max_instances", max_instances, 0)
    frame = draw_frame(Choices.from_seed(seed, 0, FRAME_BYTES), schema=schema, **limits)
    scenes: list[Scene] = []
    for index in range(count):
        stream = (index + 1) << 16
        shapes = [
            Choices.from_seed(seed, stream + 1 + n, SHAPE_BYTES)
            for n in range(Choices.from_seed(seed, stream, 4).integer(min_instances, max_instances))
        ]
        scenes.append(draw_scene(Choices.from_seed(seed, stream + 0xFFFF, scene_bytes(frame)), shapes, frame))
    return scenes


def draw_frame(
    choices: Choices,
    *,
    modalities: Collection[Modality] | None = None,
    schema: PanopticSchema | None = None,
    image_dtypes: Sequence[torch.dtype] = IMAGE_DTYPES,
    channels: Sequence[int] = CHANNELS,
    canvas: tuple[int, int] | None = None,
    min_side: int = 1,
    max_side: int = 24,
    metric: bool | None = None,
    detection: bool = False,
    reserve: int = 64,
) -> Frame:
    """Read a frame.

    Args:
        choices: where from; :data:`FRAME_BYTES` are enough.
        modalities: what the samples carry, the image always; one of the 16 sets a paste
            works on if ``None``.
        schema: the class table; :data:`DEFAULT_SCHEMA` if ``None``.
        image_dtypes: ``torch.uint8``, ``torch.float32`` or both.
        channels: the numbers of channels to choose from.
        canvas: (H, W), if fixed.
        min_side: least H and W, if not.
        max_side: greatest H and W, if not.
        metric: whether depth is metric; either if ``None``.
        detection: rows have boxes and labels but no masks; for the image alone.
        reserve: ids kept free below 2**31.

    Raises:
        ValueError: naming the argument, its value and what is possible.
    """
    check_frame_arguments(
        modalities=modalities,
        schema=schema,
        image_dtypes=image_dtypes,
        channels=channels,
        canvas=canvas,
        min_side=min_side,
        max_side=max_side,
        metric=metric,
        detection=detection,
    )
    table = DEFAULT_SCHEMA if schema is None else schema
    present = (
        frozenset({Modality.IMAGE}) if modalities is None and detection
        else choices.of(LEGAL_MODALITY_SETS) if modalities is None
        else frozenset(modalities) | {Modality.IMAGE}
    )  # fmt: skip
    size = canvas or _draw_canvas(choices, min_side, max_side)
    has_depth = Modality.DEPTH in present
    is_metric = (choices.one_in(2) if metric is None else metric) and has_depth
    return Frame(
        canvas=size,
        modalities=present,
        channels=choices.of(channels),
        float_image=choices.of(image_dtypes) is torch.float32,
        detection=detection,
        intrinsics=choices.one_in(3) or is_metric,
        metric=is_metric,
        things=tuple(classes_of_kind(table, "thing")),
        stuff=tuple(classes_of_kind(table, "stuff")),
        ignore_index=table.ignore_index,
        reserve=reserve,
    )


def scene_bytes(frame: Frame) -> int:
    """How many bytes a scene of this frame is read from; large canvases take two per coordinate."""
    return 56 if max(frame.canvas) <= 64 else 80


def draw_scene(choices: Choices, shapes: Sequence[Choices], frame: Frame) -> Scene:
    """Read a scene.

    Args:
        choices: where from; :func:`scene_bytes` are enough.
        shapes: one reader per object; :data:`SHAPE_BYTES` each are enough.
        frame: what it shares with its batch.
    """
    height, width = frame.canvas
    panoptic = Modality.PANOPTIC in frame.modalities
    valid = _draw_valid(choices, height, width)
    rows, columns = valid or (height, width)
    palettes: list[Palette] = ["constant", "ramp", "noise", "noise", "provenance"]
    if frame.float_image:
        palettes += ("wide", "wide", "wide")
    overlap = choices.of((False, True, True, True)) and not panoptic
    palette = choices.of(palettes)
    level = choices.integer(0, 255)
    padded_image = choices.one_in(3)

    half = (max(height, width) + 1) // 2
    # Semantic-only samples show things too; elsewhere they come from the shapes.
    labels = frame.stuff if panoptic else frame.stuff + frame.things
    bands = tuple(choices.of(labels or (frame.ignore_index,)) for _ in range(3))[: choices.integer(1, 3)]
    layout: Layout = choices.of(("rows", "columns", "blocks", "spot"))
    spot = _draw_rectangle(choices, rows, columns, 2)
    regions = tuple(
        _draw_rectangle(choices, height, width, choices.of((half, half, half, max(height, width))))
        for _ in range(2)
    )
    unlabelled = regions[: choices.of((0, 0, 0, 0, 1, 2))]
    semantic_agrees = not choices.one_in(5) or panoptic

    depth = _draw_depth(choices)
    slope = choices.of(((0, 0), (0, 0), (1, 0), (0, 3), (2, 1)))
    rough = choices.one_in(2 if frame.metric else 3)
    exponent = choices.of((0,) * 8 + (118, -100))
    holes: Holes = choices.of(("none", "none", "rectangle", "rectangle", "noise", "noise", "noise", "all"))
    hole = _draw_rectangle(choices, height, width, max(height, width))
    garbage: Garbage = choices.of(("zero", "kept", "nan", "nan", "inf", "negative", "huge", "mixed"))
    normals: NormalsKind = choices.of(("facing", "tilted", "noise"))
    normal_holes: Holes = choices.of(("none", "none", "none", "rectangle", "noise", "all"))
    camera = _draw_camera(choices)

    objects: list[Shape] = []
    if (rows and columns) and (frame.things or (frame.stuff and not panoptic)):
        for one in shapes:
            objects.append(_draw_shape(one, rows, columns, frame, objects[-1] if objects else None))
    id_step = choices.of((1, 1, 5, -1))
    span = max(len(objects) - 1, 0) * abs(id_step)
    highest = INT32_MAX - frame.reserve - span
    lowest = choices.of((1, 1, 1, int(panoptic), 2**24 + 1, 2**24 + 1, highest, highest))
    return Scene(
        frame=frame,
        shapes=tuple(objects),
        overlap=overlap,
        palette=palette,
        level=level,
        layout=layout,
        bands=bands,
        spot=spot,
        unlabelled=unlabelled,
        semantic_agrees=semantic_agrees,
        valid=valid,
        padded_image=padded_image,
        depth=depth,
        slope=slope,
        rough=rough,
        depth_exponent=exponent,
        holes=holes,
        hole=hole,
        garbage=garbage,
        normals=normals,
        normal_holes=normal_holes,
        camera=camera,
        first_id=lowest + (span if id_step < 0 else 0),
        id_step=id_step,
        seed=choices.integer(0, 2**12 - 1),
    )


def draw_camera(choices: Choices) -> CameraIntrinsics:
    """Read pinhole intrinsics: focal lengths in quarters of a pixel, rarely very large or small."""
    return CameraIntrinsics(*_draw_camera(choices))


def check_frame_arguments(
    *,
    modalities: Collection[Modality] | None,
    schema: PanopticSchema | None,
    image_dtypes: Sequence[torch.dtype],
    channels: Sequence[int],
    canvas: tuple[int, int] | None,
    min_side: int,
    max_side: int,
    metric: bool | None,
    detection: bool,
) -> None:
    """Refuse limits that no frame meets.

    Raises:
        ValueError: naming the argument, its value and what is possible.
    """
    if modalities is not None:
        unknown = [m for m in modalities if not isinstance(m, Modality)]
        if unknown:
            raise ValueError(f"modalities: got {unknown[0]!r}, expected members of Modality")
        missing = {Modality.INSTANCE, Modality.SEMANTIC} - set(modalities)
        if Modality.PANOPTIC in modalities and missing:
            name = min(m.name for m in missing)
            raise ValueError(
                f"modalities: got PANOPTIC without {name}, expected INSTANCE and SEMANTIC beside it"
            )
        if detection and set(modalities) - {Modality.IMAGE}:
            names = sorted(m.name for m in modalities)
            raise ValueError(f"detection: got True with modalities {names}, expected IMAGE alone")
        if metric and Modality.DEPTH not in modalities:
            names = sorted(m.name for m in modalities)
            raise ValueError(f"metric: got True with modalities {names}, expected DEPTH among them")
    if schema is not None and not isinstance(schema, PanopticSchema):
        raise ValueError(f"schema: got {schema!r}, expected a PanopticSchema or None")
    if not image_dtypes or any(d not in IMAGE_DTYPES for d in image_dtypes):
        raise ValueError(f"image_dtypes: got {image_dtypes}, expected some of {IMAGE_DTYPES}")
    if not channels or min(channels) < 1:
        raise ValueError(f"channels: got {channels}, expected numbers of 1 or more")
    if canvas is not None and (len(canvas) != 2 or min(canvas) < 1):
        raise ValueError(f"canvas: got {canvas}, expected (H, W) of 1 or more")
    check_range("min_side", min_side, "max_side", max_side, 1)


def check_range(low_name: str, low: int, high_name: str, high: int, least: int) -> None:
    """Refuse bounds that are no integers, too low or the wrong way round.

    Raises:
        ValueError: naming the argument, its value and what is possible.
    """
    for name, value in ((low_name, low), (high_name, high)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}: got {value!r}, expected an integer of {least} or more")
    if low > high:
        raise ValueError(f"{low_name}: got {low}, expected at most {high_name} = {high}")


def _draw_canvas(choices: Choices, low: int, high: int) -> tuple[int, int]:
    # Small canvases are where off-by-one mistakes show, and would be rare otherwise.
    kind = choices.integer(0, 9)
    small = min(high, max(low, 4))
    tall = low if kind == 0 else small if kind == 1 else high
    wide = low if kind == 0 else small if kind == 2 else high
    first = choices.integer(low, tall)
    second = choices.integer(low, wide)
    return first, second


def _draw_valid(choices: Choices, height: int, width: int) -> tuple[int, int] | None:
    kind = choices.integer(0, 15)
    # The larger of two, so that something is left to see.
    rows = max(choices.integer(1, height), choices.integer(1, height))
    columns = max(choices.integer(1, width), choices.integer(1, width))
    if kind <= 8:
        return None
    return (height, width) if kind <= 10 else (0, 0) if kind == 15 else (rows, columns)


def _draw_rectangle(choices: Choices, height: int, width: int, most: int) -> Rectangle:
    tall = choices.integer(1, min(max(height, 1), most))
    wide = choices.integer(1, min(max(width, 1), most))
    return choices.integer(0, max(height - tall, 0)), choices.integer(0, max(width - wide, 0)), tall, wide


def _draw_depth(choices: Choices) -> int:
    # Few planes, so that two samples often tie.
    return DEPTH_UNIT // 4 * choices.integer(1, 12)


def _draw_camera(choices: Choices) -> tuple[float, float, float, float]:
    fx, fy = choices.integer(1, 64) / 4, choices.integer(1, 64) / 4
    cx, cy = choices.integer(0, 32) / 2, choices.integer(0, 32) / 2
    square = choices.integer(0, 2) == 0
    scale = choices.of((1.0,) * 14 + (2.0**40, 2.0**-40))
    return fx * scale, (fx if square else fy) * scale, cx, cy


_FORMS: tuple[Form, ...] = ("box", "box", "box", "ellipse", "ellipse", "triangle", "split", "ring", "checker")


def _draw_shape(choices: Choices, rows: int, columns: int, frame: Frame, last: Shape | None) -> Shape:
    extent = choices.integer(0, 7)
    most = 1 if extent == 0 else max(rows, columns)
    top, left, height, width = _draw_rectangle(choices, rows, columns, most)
    relation = choices.integer(0, 7)
    if extent == 7:
        top, left, height, width = 0, 0, rows, columns
    elif last is not None and relation == 5 and last.left + last.width < columns:
        top, left = min(last.top, rows - height), last.left + last.width
        width = min(width, columns - left)
    elif last is not None and relation == 6 and last.top + last.height < rows:
        top, left = last.top + last.height, min(last.left, columns - width)
        height = min(height, rows - top)
    elif last is not None and relation == 7:
        height, width = min(height, max(last.height - 2, 1)), min(width, max(last.width - 2, 1))
        top, left = last.top + (last.height - height) // 2, last.left + (last.width - width) // 2
    things = frame.things or frame.stuff
    # Stuff with a mask of its own exists in real data, and must not be pasted.
    anything = frame.things + frame.stuff
    countable = not choices.one_in(8) or Modality.PANOPTIC in frame.modalities
    tilt = choices.integer(0, 24)
    return Shape(
        top=top,
        left=left,
        height=height,
        width=width,
        label=choices.of(things if countable else anything),
        form=choices.of(_FORMS),
        depth=_draw_depth(choices),
        tilt=(0, 0) if tilt == 0 else (tilt % 5 - 2, tilt // 5 - 2),
    )

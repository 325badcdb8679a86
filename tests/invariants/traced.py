"""Augmentations that are right, samples to run them on, and the verdicts on what they do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from segpaste.invariants import (
    InvariantReport,
    Trace,
    check_provenance,
    check_transform,
    provenance_pairs,
    read_trace,
)
from segpaste.invariants.masks import tight_boxes
from segpaste.paste import apply_reference, draw_plan
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.testing.examples import padded, ragged
from segpaste.types import BatchCopyPasteConfig, CameraIntrinsics, DenseSample, xyxy

Augment = Callable[[DenseSample], DenseSample]
Mix = Callable[[DenseSample, DenseSample], DenseSample]
Warp = Callable[..., torch.Tensor]
Camera = tuple[float, float, float, float]

IGNORE = 255
NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


def pair_of_scenes(seed: int, **limits: Any) -> tuple[DenseSample, DenseSample]:
    """Two samples of one frame, without padding."""
    wanted = {"channels": (3,), "max_side": 24, **limits}
    first, second = (scene.sample() for scene in scenes_from_seed(seed, 2, **wanted))
    return with_fields(first, padding_mask=None), with_fields(second, padding_mask=None)


def with_fields(sample: DenseSample, **values: Any) -> DenseSample:
    """The sample with some fields replaced, unchecked."""
    return DenseSample.unchecked(**{**{f.name: getattr(sample, f.name) for f in fields(sample)}, **values})


def plain(value: torch.Tensor | None) -> torch.Tensor:
    """A field that is there, as a plain tensor."""
    if value is None:
        raise ValueError("value: got None, expected a tensor")
    return value.as_subclass(torch.Tensor)


def trace_of(augment: Mix, target: DenseSample, donor: DenseSample, after: DenseSample) -> Trace | str:
    """Run an augmentation on the provenance pairs and read the trace."""
    pairs = provenance_pairs(target, donor)
    if isinstance(pairs, str):
        return pairs
    return read_trace(augment(*pairs[0]), augment(*pairs[1]), target, donor, after)


def judged(
    augment: Augment, sample: DenseSample, wrong: Augment | None = None, **options: Any
) -> dict[str, InvariantReport]:
    """The geometric verdicts on ``augment``, or on it followed by the mistake ``wrong``."""

    def run(target: DenseSample, donor: DenseSample) -> DenseSample:
        return augment(target) if wrong is None else wrong(augment(target))

    after = run(sample, sample)
    trace = trace_of(run, sample, sample, after)
    return {r.name: r for r in check_transform("geometric", sample, after, trace=trace, **options)}


def judged_mix(mix: Mix, target: DenseSample, donor: DenseSample, kind: str) -> dict[str, InvariantReport]:
    """The geometric or provenance verdicts on an augmentation of two samples."""
    after = mix(target, donor)
    trace = trace_of(mix, target, donor, after)
    if kind == "geometric":
        reports = check_transform("geometric", target, after, donor=donor, trace=trace)
    else:
        reports = check_provenance(target, after, donor=donor, trace=trace)
    return {r.name: r for r in reports}


def moved(
    sample: DenseSample,
    image: Warp,
    label: Warp,
    *,
    turn: list[list[float]] | None = None,
    camera: Callable[[Camera], Camera] | None = None,
    smooth: Warp | None = None,
) -> DenseSample:
    """The sample moved as it should be.

    Args:
        sample: what is moved.
        image: moves ``[C, H, W]`` of the image's dtype.
        label: moves ``[N, H, W]`` float64 by nearest sampling, given what to fill in.
        turn: the matrix by which normals turn in the plane, if they do.
        camera: what becomes of (fx, fy, cx, cy), if it changes.
        smooth: moves depth, where it is interpolated.
    """
    picture = image(plain(sample.image))
    values: dict[str, Any] = {"image": picture, "metric_depth": sample.metric_depth}
    if sample.instance_masks is not None:
        masks = label(plain(sample.instance_masks).double(), 0).bool()
        alive = masks.flatten(1).any(dim=1)
        values["instance_masks"] = masks[alive]
        values["instance_ids"] = plain(sample.instance_ids)[alive]
        values["labels"] = plain(sample.labels)[alive]
        size = (picture.shape[-2], picture.shape[-1])
        values["boxes"] = xyxy(tight_boxes(masks[alive]).float(), size)
    if sample.semantic_map is not None:
        values["semantic_map"] = label(plain(sample.semantic_map).double()[None], IGNORE)[0].long()
    if sample.panoptic_map is not None:
        panoptic = label(plain(sample.panoptic_map).double()[None], 0)[0].long()
        values["panoptic_map"] = panoptic
    if sample.depth is not None:
        valid = label(plain(sample.depth_valid).double(), 0).bool()
        there = plain(sample.depth_valid).double()
        depth = torch.where(plain(sample.depth_valid), plain(sample.depth), 0.0).double()
        warped = label(depth, 0)
        if smooth is not None:  # of what is valid alone, and nearest where that is little
            weight = smooth(there)
            warped = torch.where(weight > 0.9, smooth(depth) / weight.clamp(min=0.9), warped)
        values["depth_valid"], values["depth"] = valid, torch.where(valid, warped, 0.0).float()
    if sample.normals is not None:
        normals = label(plain(sample.normals).double(), 0)
        if turn is not None:
            matrix = torch.tensor(turn, dtype=torch.float64)
            normals = torch.cat([torch.einsum("oi,ihw->ohw", matrix, normals[:2]), normals[2:]])
        values["normals"] = normals.float()
    if sample.camera_intrinsics is not None:
        former = sample.camera_intrinsics.as_tuple()
        values["camera_intrinsics"] = CameraIntrinsics(*(former if camera is None else camera(former)))
    return DenseSample.unchecked(**values)


def identity(sample: DenseSample) -> DenseSample:
    """A copy."""
    return moved(sample, torch.clone, lambda t, _: t.clone())


def flip(sample: DenseSample) -> DenseSample:
    """Left to right."""
    last = sample.canvas_size[1] - 1
    return moved(
        sample,
        lambda t: t.flip(-1),
        lambda t, _: t.flip(-1),
        turn=[[-1, 0], [0, 1]],
        camera=lambda c: (c[0], c[1], last - c[2], c[3]),
    )


def upside_down(sample: DenseSample) -> DenseSample:
    """Top to bottom."""
    last = sample.canvas_size[0] - 1
    return moved(
        sample,
        lambda t: t.flip(-2),
        lambda t, _: t.flip(-2),
        turn=[[1, 0], [0, -1]],
        camera=lambda c: (c[0], c[1], c[2], last - c[3]),
    )


def quarter_turn(sample: DenseSample) -> DenseSample:
    """By 90 degrees, to the left."""
    last = sample.canvas_size[1] - 1
    return moved(
        sample,
        lambda t: t.rot90(1, (-2, -1)),
        lambda t, _: t.rot90(1, (-2, -1)),
        turn=[[0, 1], [-1, 0]],
        camera=lambda c: (c[1], c[0], c[3], last - c[2]),
    )


def transposed(sample: DenseSample) -> DenseSample:
    """Rows become columns."""
    return moved(
        sample,
        lambda t: t.transpose(-2, -1),
        lambda t, _: t.transpose(-2, -1),
        turn=[[0, 1], [1, 0]],
        camera=lambda c: (c[1], c[0], c[3], c[2]),
    )


def window(left: int, top: int, width: int, height: int, colour: int = 114) -> Augment:
    """A crop, filled with one colour where it leaves the picture."""

    def cut(value: torch.Tensor, fill: float) -> torch.Tensor:
        out = torch.full((*value.shape[:-2], height, width), fill, dtype=value.dtype)
        rows, columns = value.shape[-2:]
        x0, y0 = max(0, left), max(0, top)
        x1, y1 = min(columns, left + width), min(rows, top + height)
        if x1 > x0 and y1 > y0:
            out[..., y0 - top : y1 - top, x0 - left : x1 - left] = value[..., y0:y1, x0:x1]
        return out

    def run(sample: DenseSample) -> DenseSample:
        fill = colour if sample.image.dtype == torch.uint8 else colour / 256
        shifted = lambda c: (c[0], c[1], c[2] - left, c[3] - top)  # noqa: E731
        return moved(sample, lambda t: cut(t, fill), cut, camera=shifted)

    return run


def resized(
    height: int, width: int, mode: InterpolationMode = BILINEAR, *, antialias: bool = True
) -> Augment:
    """To another size; labels by nearest sampling."""

    def picture(value: torch.Tensor) -> torch.Tensor:
        warped = F.resize(value.float(), [height, width], mode, antialias=antialias)
        return warped.round().clamp(0, 255).to(torch.uint8) if value.dtype == torch.uint8 else warped

    def label(value: torch.Tensor, _: float) -> torch.Tensor:
        if value.shape[0] == 0:
            return value.new_zeros(0, height, width)
        return F.resize(value, [height, width], NEAREST)

    def run(sample: DenseSample) -> DenseSample:
        rows, columns = sample.canvas_size
        x, y = width / columns, height / rows
        return moved(
            sample,
            picture,
            label,
            smooth=None
            if mode == NEAREST
            else lambda t: F.resize(t, [height, width], mode, antialias=antialias),
            camera=lambda c: (c[0] * x, c[1] * y, (c[2] + 0.5) * x - 0.5, (c[3] + 0.5) * y - 0.5),
        )

    return run


def turned(
    degrees: float, mode: InterpolationMode = BILINEAR, *, expand: bool = False, colour: int = 0
) -> Augment:
    """Turned to the left about the centre; labels by nearest sampling."""

    def run(sample: DenseSample) -> DenseSample:
        fill = colour if sample.image.dtype == torch.uint8 else colour / 256
        picture: Warp = lambda t: F.rotate(t, degrees, mode, expand=expand, fill=[float(fill)])  # noqa: E731

        def label(value: torch.Tensor, void: float) -> torch.Tensor:
            if value.shape[0] == 0:
                return value.new_zeros(0, *picture(plain(sample.image)).shape[-2:])
            return F.rotate(value, degrees, NEAREST, expand=expand, fill=[float(void)])

        angle = math.radians(degrees)
        turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        return moved(
            with_fields(sample, camera_intrinsics=None, metric_depth=False), picture, label, turn=turn
        )

    return run


def punched(sample: DenseSample) -> DenseSample:
    """A hole of one colour in the image, the labels as they were."""
    out = identity(sample)
    rows, columns = sample.canvas_size
    picture = plain(out.image)
    hole = picture[:, rows // 3 : rows * 2 // 3 + 1, columns // 3 : columns * 2 // 3 + 1]
    hole.fill_(7 if picture.dtype == torch.uint8 else 7 / 256)
    return out


RIGHT: dict[str, Augment] = {
    "identity": identity,
    "flip": flip,
    "upside_down": upside_down,
    "quarter_turn": quarter_turn,
    "transposed": transposed,
    "crop": window(3, 2, 7, 9),
    "frame": window(-4, -3, 30, 26),
    "black_frame": window(-4, -3, 30, 26, 0),
    "crop_and_frame": window(5, -2, 12, 30),
    "beside_the_picture": window(40, 0, 5, 5),
    "larger": resized(31, 40),
    "smaller": resized(7, 9),
    "a_third": resized(8, 8),
    "smaller_without_filter": resized(8, 8, antialias=False),
    "larger_nearest": resized(29, 33, NEAREST),
    "smaller_nearest": resized(8, 11, NEAREST),
    "cubic": resized(31, 17, InterpolationMode.BICUBIC),
    "one_pixel": resized(1, 1),
    "turned_30": turned(30),
    "turned_45_whole": turned(45, expand=True),
    "turned_30_nearest": turned(30, NEAREST),
    "turned_5": turned(5),
    "turned_90": turned(90),
    "turned_180": turned(180),
    "turned_130_grey": turned(130, colour=114),
    "punched": punched,
}
"""Augmentations that break nothing; a camera is dropped beforehand by those that cannot keep one."""


def side_by_side(target: DenseSample, donor: DenseSample) -> DenseSample:
    """A mosaic: the target on the left, the donor on the right; the donor's ids follow on."""
    height, width = target.canvas_size
    values: dict[str, Any] = {}
    for name in ("image", "semantic_map", "panoptic_map", "depth", "depth_valid", "normals"):
        if getattr(target, name) is not None:
            values[name] = torch.cat([plain(getattr(target, name)), plain(getattr(donor, name))], dim=-1)
    values["labels"] = torch.cat([plain(target.labels), plain(donor.labels)])
    if target.instance_masks is not None:
        left = torch.nn.functional.pad(plain(target.instance_masks), (0, width))
        right = torch.nn.functional.pad(plain(donor.instance_masks), (width, 0))
        masks = torch.cat([left, right])
        fresh = 2000 + torch.arange(len(donor), dtype=torch.int32)
        values |= {"instance_masks": masks, "boxes": xyxy(tight_boxes(masks).float(), (height, 2 * width))}
        values["instance_ids"] = torch.cat([plain(target.instance_ids), fresh])
        if target.panoptic_map is not None:
            half = values["panoptic_map"][:, width:]
            for name, former in zip(fresh.tolist(), plain(donor.instance_ids).tolist(), strict=True):
                half[plain(donor.panoptic_map) == former] = name
    return DenseSample.unchecked(**values)


def paste_by_reference(seed: int, target: DenseSample, donor: DenseSample) -> Mix:
    """The paste that ``seed`` plans for a target and a donor, by the reference."""
    slots, source_slots = len(target) + 3, max(1, len(donor))
    config = BatchCopyPasteConfig()
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(
        padded(target, slots), padded(donor, source_slots), torch.tensor([seed]), config, source_idx=first
    )

    def run(target: DenseSample, donor: DenseSample) -> DenseSample:
        return ragged(apply_reference(padded(target, slots), padded(donor, source_slots), plan, config)[0])

    return run

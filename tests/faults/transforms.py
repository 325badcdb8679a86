"""Augmentations that move pixels or change colours, each with one mistake, and the law that must find it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from segpaste.types import DenseSample

Transform = Callable[[DenseSample, int], DenseSample]
IGNORE = 255
_CALLS = itertools.count()


@dataclass(frozen=True)
class TransformFault:
    """One mistake in an otherwise correct transform.

    Attributes:
        name: the name of the function.
        mistake: what is wrong, in one line.
        kind: ``"geometric"`` or ``"photometric"``.
        law: the law that must find it.
        transform: the broken transform.
    """

    name: str
    mistake: str
    kind: Literal["geometric", "photometric"]
    law: str
    transform: Transform


TRANSFORM_FAULTS: dict[str, TransformFault] = {}


def mistake(
    law: str, kind: Literal["geometric", "photometric"] = "geometric"
) -> Callable[[Transform], Transform]:
    """Enter a function into the catalogue; its docstring says what is wrong with it."""

    def enter(function: Transform) -> Transform:
        name = function.__name__
        said = " ".join((function.__doc__ or "").split()).rstrip(".")
        TRANSFORM_FAULTS[name] = TransformFault(name, said, kind, law, function)
        return function

    return enter


# --- right ones, of which the others are made ------------------------------------------


def mirrored(sample: DenseSample, seed: int) -> DenseSample:
    """A flip as it should be."""
    width = sample.canvas_size[1]
    fields = _maps(sample, lambda value: value.flip(-1))
    if sample.normals is not None:
        fields["normals"] = torch.cat([0 - fields["normals"][:1], fields["normals"][1:]])
    boxes = plain(sample.boxes)
    fields["boxes"] = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    camera = sample.camera_intrinsics
    if camera is not None:
        fields["camera_intrinsics"] = replace(camera, cx=width - camera.cx)
    return made(sample, **fields)


def cropped(sample: DenseSample, seed: int) -> DenseSample:
    """The left two thirds, rows without a pixel dropped and boxes computed anew."""
    width = max(1, sample.canvas_size[1] * 2 // 3)
    return with_rows(made(sample, **_maps(sample, lambda value: value[..., :width])))


def shifted(sample: DenseSample, seed: int) -> DenseSample:
    """Two pixels further right; what comes in from the left is void."""
    fills = {"semantic_map": IGNORE}
    fields: dict[str, Any] = {
        name: torch.nn.functional.pad(value, (2, 0), value=fills.get(name, 0))[..., : value.shape[-1]]
        for name, value in _maps(sample, lambda value: value).items()
    }
    camera = sample.camera_intrinsics
    if camera is not None:
        fields["camera_intrinsics"] = replace(camera, cx=camera.cx + 2)
    return with_rows(made(sample, **fields))


def darker(sample: DenseSample, seed: int) -> DenseSample:
    """Half as bright."""
    image = sample.image
    return made(sample, image=image // 2 if image.dtype == torch.uint8 else image / 2)


# --- flips -------------------------------------------------------------------------------


@mistake("instance.boxes_are_tight")
def boxes_one_pixel_off(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors boxes about the last column, W - 1 - x."""
    after = mirrored(sample, seed)
    shift = torch.tensor([1.0, 0.0, 1.0, 0.0])
    return made(after, boxes=plain(after.boxes) - shift)


@mistake("geometric.masks_move_with_image")
def masks_stay(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that leaves masks and boxes where they were."""
    return made(mirrored(sample, seed), instance_masks=sample.instance_masks, boxes=plain(sample.boxes))


@mistake("geometric.masks_move_with_image")
def masks_one_pixel_off(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors masks about another axis: they come out one pixel further right."""
    after = mirrored(sample, seed)
    if after.instance_masks is None:
        return after
    return with_rows(made(after, instance_masks=plain(after.instance_masks).roll(1, dims=-1)))


@mistake("geometric.rows_show_their_object")
def labels_of_the_neighbours(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that sorts boxes and masks by area and leaves the labels in their order."""
    after = mirrored(sample, seed)
    return made(after, labels=after.labels.roll(1))


@mistake("geometric.rows_show_their_object")
def ids_of_the_neighbours(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that leaves ids in the order that the rows had before they were sorted."""
    after = mirrored(sample, seed)
    return after if after.instance_ids is None else made(after, instance_ids=after.instance_ids.roll(1))


@mistake("geometric.semantic_moves_with_image")
def semantic_map_stays(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that knows no semantic map."""
    return made(mirrored(sample, seed), semantic_map=sample.semantic_map)


@mistake("geometric.panoptic_moves_with_image")
def panoptic_map_stays(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that knows no panoptic map."""
    return made(mirrored(sample, seed), panoptic_map=sample.panoptic_map)


@mistake("geometric.depth_moves_with_image")
def depth_stays(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors the validity of depth, and not depth."""
    return made(mirrored(sample, seed), depth=sample.depth)


@mistake("geometric.validity_moves_with_image")
def validity_stays(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors depth, and not its validity."""
    return made(mirrored(sample, seed), depth_valid=sample.depth_valid)


@mistake("geometric.normals_rotate_with_image")
def normals_keep_their_sign(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors the map of normals, and not the normals."""
    after = mirrored(sample, seed)
    return after if sample.normals is None else made(after, normals=sample.normals.flip(-1))


@mistake("geometric.intrinsics_follow")
def principal_point_stays(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that leaves the camera as it was."""
    return made(mirrored(sample, seed), camera_intrinsics=sample.camera_intrinsics)


# --- crops and shifts --------------------------------------------------------------------


@mistake("instance.masks_not_empty")
def rows_outside_stay(sample: DenseSample, seed: int) -> DenseSample:
    """A crop that keeps the rows of objects which are gone."""
    after = cropped(sample, seed)
    width = after.canvas_size[1]
    if sample.instance_masks is None:
        return after
    boxes = plain(sample.boxes).clone()
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clamp(max=width)
    return made(
        after,
        instance_masks=plain(sample.instance_masks)[..., :width],
        boxes=boxes,
        labels=sample.labels,
        instance_ids=sample.instance_ids,
    )


@mistake("instance.boxes_are_tight")
def boxes_are_cut_only(sample: DenseSample, seed: int) -> DenseSample:
    """A crop that cuts boxes to the window, where the mask lost more."""
    after = cropped(sample, seed)
    if after.instance_masks is None or sample.instance_ids is None or after.instance_ids is None:
        return after
    kept = torch.isin(sample.instance_ids, after.instance_ids)
    boxes = plain(sample.boxes)[kept].clone()
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clamp(max=after.canvas_size[1])
    return made(after, boxes=boxes)


@mistake("geometric.border_is_void")
def border_is_class_zero(sample: DenseSample, seed: int) -> DenseSample:
    """A shift that fills the semantic map with 0, which is a class."""
    after = shifted(sample, seed)
    if after.semantic_map is None:
        return after
    filled = plain(after.semantic_map).clone()
    filled[:, :2] = 0
    return made(after, semantic_map=filled)


@mistake("geometric.ignore_stays_ignore")
def ignore_becomes_class_zero(sample: DenseSample, seed: int) -> DenseSample:
    """A flip after which what was to be left out is class 0."""
    after = mirrored(sample, seed)
    if after.semantic_map is None:
        return after
    semantic = plain(after.semantic_map)
    return made(after, semantic_map=torch.where(semantic == IGNORE, 0, semantic))


@mistake("geometric.labels_never_grow")
def label_maps_are_interpolated(sample: DenseSample, seed: int) -> DenseSample:
    """A shift by half a pixel that averages class numbers as it averages colours."""

    def halfway(value: torch.Tensor) -> torch.Tensor:
        return ((value.double() + value.roll(1, dims=-1).double()) / 2).to(value.dtype)

    fields: dict[str, Any] = {"image": halfway(plain(sample.image))}
    if sample.semantic_map is not None:
        fields["semantic_map"] = halfway(plain(sample.semantic_map))
    return made(sample, **fields)


@mistake("geometric.depth_moves_with_image")
def holes_pull_depth_down(sample: DenseSample, seed: int) -> DenseSample:
    """A shift by half a pixel that averages depth with what stands where there is none."""

    def halfway(value: torch.Tensor) -> torch.Tensor:
        right = torch.cat([value[..., 1:], value[..., -1:]], dim=-1)
        return ((value.double() + right.double()) / 2).to(value.dtype)

    fields: dict[str, Any] = {"image": halfway(plain(sample.image))}
    if sample.depth is not None and sample.depth_valid is not None:
        fields["depth"] = halfway(torch.where(sample.depth_valid, sample.depth, 0.0))
    return made(sample, **fields)


# --- the call itself ---------------------------------------------------------------------


@mistake("target.modalities_kept")
def depth_is_forgotten(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that rebuilds the sample without its depth."""
    return made(mirrored(sample, seed), depth=None, depth_valid=None, metric_depth=False)


@mistake("target.dtype_kept")
def image_becomes_float(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that returns every image as float32."""
    after = mirrored(sample, seed)
    return made(after, image=after.image.float())


@mistake("target.completes")
def stumbles_over_no_rows(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that asks for the largest box of a sample without rows."""
    sample.boxes.amax(dim=0)
    return mirrored(sample, seed)


@mistake("metamorphic.inputs_not_mutated")
def works_in_place(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that mirrors the picture it was given."""
    after = mirrored(sample, seed)
    sample.image.copy_(after.image)
    return after


@mistake("metamorphic.generators_untouched")
def draws_from_the_global_generator(sample: DenseSample, seed: int) -> DenseSample:
    """A flip that throws a number of Python's generator away."""
    random.random()
    return mirrored(sample, seed)


@mistake("metamorphic.same_seed_same_bits")
def seed_is_ignored(sample: DenseSample, seed: int) -> DenseSample:
    """A flip at every other call, whatever the seed."""
    return sample if next(_CALLS) % 2 else mirrored(sample, seed)


# --- colours -----------------------------------------------------------------------------


@mistake("photometric.labels_untouched", "photometric")
def semantic_map_is_darkened(sample: DenseSample, seed: int) -> DenseSample:
    """Everything that looks like a picture is made darker, the semantic map, too."""
    after = darker(sample, seed)
    if after.semantic_map is None:
        return after
    return made(after, semantic_map=plain(after.semantic_map) // 2)


@mistake("photometric.labels_untouched", "photometric")
def boxes_are_rounded(sample: DenseSample, seed: int) -> DenseSample:
    """Boxes come back moved by the rounding of a scale to 1000 and back."""
    after = darker(sample, seed)
    scale = torch.tensor([after.canvas_size[1], after.canvas_size[0]] * 2, dtype=torch.float32)
    return made(after, boxes=(plain(after.boxes) / scale * 1000).round() / 1000 * scale)


@mistake("photometric.frame_kept", "photometric")
def blur_cuts_the_edge(sample: DenseSample, seed: int) -> DenseSample:
    """A filter without padding: the picture comes back smaller."""
    height, width = (max(1, side - 2) for side in sample.canvas_size)
    return DenseSample.unchecked(image=plain(sample.image)[:, :height, :width])


@mistake("image.finite", "photometric")
def contrast_of_one_colour(sample: DenseSample, seed: int) -> DenseSample:
    """Stretches contrast to the whole range: pictures of one colour become NaN."""
    image = plain(sample.image).float()
    span = image.amax() - image.amin()
    return made(sample, image=(image - image.amin()) / span)


# --- what they are made with -------------------------------------------------------------


def made(sample: DenseSample, **changes: Any) -> DenseSample:
    """The sample with some fields replaced, whatever their values are."""
    values = sample.to_dict() | changes
    image = values["image"]
    size = (image.shape[-2], image.shape[-1])
    boxes = values["boxes"]
    if getattr(boxes, "canvas_size", size) != size:
        values["boxes"] = plain(boxes)
    return DenseSample.unchecked(**{name: value for name, value in values.items() if value is not None})


def with_rows(sample: DenseSample) -> DenseSample:
    """Rows without a pixel dropped, boxes computed from the masks."""
    if sample.instance_masks is None or sample.instance_ids is None:
        return sample
    masks = plain(sample.instance_masks)
    kept = masks.flatten(1).any(dim=1)
    boxes = torch.zeros((int(kept.sum()), 4))
    for row, mask in enumerate(masks[kept]):
        ys, xs = mask.nonzero(as_tuple=True)
        boxes[row] = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    ids, gone = sample.instance_ids[kept], sample.instance_ids[~kept]
    changes: dict[str, Any] = {
        "instance_masks": masks[kept],
        "labels": sample.labels[kept],
        "instance_ids": ids,
        "boxes": boxes,
    }
    if sample.panoptic_map is not None:
        panoptic = plain(sample.panoptic_map)
        changes["panoptic_map"] = torch.where(torch.isin(panoptic, gone), 0, panoptic)
    return made(sample, **changes)


def plain(value: torch.Tensor) -> torch.Tensor:
    """Without the tv_tensor type, which knows a canvas."""
    return value.as_subclass(torch.Tensor)


def _maps(sample: DenseSample, move: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Any]:
    rows = ("boxes", "labels", "instance_ids")
    return {
        name: move(plain(value))
        for name, value in sample.to_dict().items()
        if isinstance(value, torch.Tensor) and name not in rows
    }

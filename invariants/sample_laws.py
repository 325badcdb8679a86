"""The laws of one sample: what must hold of any output alone."""

from __future__ import annotations

from typing import Any

import torch

from segpaste.invariants.averted import carried_over, looks_away
from segpaste.invariants.masks import areas, covered_by, depth_of_cover
from segpaste.invariants.registry import register
from segpaste.invariants.report import (
    HELD,
    Finding,
    by_pixels,
    by_rows,
    exercised,
    first_pixel,
    not_applicable,
    not_exercised,
    violated,
)
from segpaste.invariants.sample_case import SampleCase
from segpaste.invariants.view import SampleView, present
from segpaste.types import DenseSample, Modality

NORM_TOLERANCE = 2.0**-22
"""How far a squared norm may be from 1: each of three float32 components is rounded once."""

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC


@register("sample.shapes_agree", "sample")
def shapes_agree(case: SampleCase) -> Finding:
    """Every field has its dtype, and one N, H, W for all of them.

    In the wild: a paste that returns int64 images for uint8 ones; masks of another size
    than the image after a crop that forgot them.
    """
    sample = case.sample
    try:
        if isinstance(sample, DenseSample):
            DenseSample.unchecked(**sample.to_dict())
        else:
            fields: dict[str, Any] = {**sample.tensors()}
            type(sample)(**fields, metric_depth=sample.metric_depth)
    except (TypeError, ValueError) as error:
        return violated(str(error))
    return HELD


@register("image.finite", "sample")
def image_finite(case: SampleCase) -> Finding:
    """Every value of the image is finite.

    In the wild: blending weights divided by an empty mask's sum.
    """
    if not case.view.image.is_floating_point():
        return not_exercised("the image has whole numbers")
    offending = case.blamed(_image_not_finite, ("image",))
    return by_pixels(offending, "the image is not finite")


@register("instance.boxes_are_tight", "sample", INSTANCE)
def boxes_are_tight(case: SampleCase) -> Finding:
    """box_i = bbox(M_i), half open, for every row with a pixel.

    Where masks were sampled and boxes computed (a resize, a rotation), to within a pixel.

    In the wild: boxes of occluded survivors left as they were; boxes one pixel off
    under a flip.
    """
    boxes = case.view.boxes
    off = ~((boxes.to(torch.float64) - case.tight).abs() <= case.box_slack)
    wrong = off & (case.tight[:, 2:3] > 0)
    loose = [k for k in case.rows if bool(wrong[k].any()) and not case.untouched(k)]
    found = _judged_rows(
        case,
        loose,
        [f"box {_numbers(boxes[k])}, mask spans {_numbers(case.tight[k])}" for k in loose[:1]],
    )
    return exercised(found, bool((case.tight[case.rows, 2] > 0).any()), "no row with a pixel")


@register("instance.boxes_in_canvas", "sample")
def boxes_in_canvas(case: SampleCase) -> Finding:
    """0 <= x1 <= x2 <= W and 0 <= y1 <= y2 <= H for every box.

    In the wild: kornia's flip of [0, 0, 10, 6] gives [-1, 0, 9, 6].
    """
    boxes = case.view.boxes
    height, width = case.view.canvas
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    far = float(torch.as_tensor(case.box_slack).amin()) if len(boxes) else 0.0
    lies = (x1 >= -far) & (x1 <= x2) & (x2 <= width + far) & (y1 >= -far) & (y1 <= y2) & (y2 <= height + far)
    outside = [k for k in case.rows if not bool(lies[k]) and not case.untouched(k)]
    return _judged_rows(
        case,
        outside,
        [f"box {_numbers(boxes[k])} does not lie in the canvas of {width} x {height}" for k in outside[:1]],
    )


@register("instance.masks_not_empty", "sample", INSTANCE)
def masks_not_empty(case: SampleCase) -> Finding:
    """|M_i| > 0 for every row.

    In the wild: fully covered objects kept as empty masks with a box.
    """
    area = areas(present(case.view.masks))
    empty = [k for k in case.rows if int(area[k]) == 0 and not case.untouched(k)]
    return _judged_rows(case, empty, ["mask of 0 pixels, expected 1 or more"])


@register("instance.ids_unique", "sample", INSTANCE)
def ids_unique(case: SampleCase) -> Finding:
    """id_i != id_j for i != j, and every id is in its range (1 or more beside a panoptic map).

    In the wild: raw source ids pasted, colliding with surviving ids.
    """
    ids = present(case.view.ids).tolist()
    first: dict[int, int] = {}
    offending: list[int] = []
    messages: list[str] = []
    lowest = 0 if case.view.panoptic is None else 1
    for k in case.rows:
        if ids[k] in first:
            offending.append(k)
            messages.append(f"id {ids[k]} is row {first[ids[k]]}'s already")
        elif not lowest <= ids[k] < 2**31:
            offending.append(k)
            messages.append(f"id {ids[k]}, expected {lowest} <= id < 2**31")
        first.setdefault(ids[k], k)
    return _judged_rows(case, offending, messages)


@register("instance.same_class_disjoint", "sample", INSTANCE)
def same_class_disjoint(case: SampleCase) -> Finding:
    """M_i & M_j is empty for i != j of one class.

    In the wild: donors overlapping each other, the earlier keeping its mask over pixels
    that show the later (114 of 200 random pairs).
    """
    view = case.view
    labels = view.labels[view.valid]
    if labels.unique().numel() == labels.numel():
        return not_exercised("no two rows of one class")
    return by_pixels(
        overlap(case, [(view.labels == label) & view.valid for label in labels.unique()]),
        "in more than one mask of one class",
    )


@register("instance.labels_in_schema", "sample")
def labels_in_schema(case: SampleCase) -> Finding:
    """Every row's label is a class of the schema.

    In the wild: category ids of one data set pasted into another's contiguous labels.
    """
    if case.schema is None:
        return not_applicable("no schema")
    labels = case.view.labels.tolist()
    unknown = [k for k in case.rows if labels[k] not in case.schema.classes and not case.untouched(k)]
    return _judged_rows(case, unknown, [f"label {labels[k]}, which the schema lacks" for k in unknown[:1]])


@register("instance.count_in_schema", "sample")
def count_in_schema(case: SampleCase) -> Finding:
    """A sample holds at most max_instances_per_image things.

    In the wild: pastes until the row buffer overflows and is cut.
    """
    schema = case.schema
    if schema is None:
        return not_applicable("no schema")

    def things(view: SampleView) -> int:
        return sum(schema.classes.get(label) == "thing" for label in view.labels[view.valid].tolist())

    limit = schema.max_instances_per_image
    if case.before is not None:
        limit = max(limit, things(case.before))
    count = things(case.view)
    if count > limit:
        return violated(f"{count} things, expected at most max_instances_per_image = {limit}")
    return HELD if count else not_exercised("no things")


@register("semantic.values_in_schema", "sample", SEMANTIC)
def values_in_schema(case: SampleCase) -> Finding:
    """y(p) is a class of the schema or ignore, for every pixel p.

    In the wild: a bilinear warp of a label map invents classes in between.
    """
    schema = case.schema
    if schema is None:
        return not_applicable("no schema")
    known = [*schema.classes, schema.ignore_index]
    if case.source is not None and case.source.semantic is not None:
        known += case.source.semantic.unique().tolist()

    def offending(view: SampleView) -> torch.Tensor:
        labels = present(view.semantic)
        return ~torch.isin(labels, torch.tensor(known, dtype=labels.dtype, device=labels.device))

    found = case.blamed(offending, ("semantic",))
    return exercised(
        by_pixels(found, f"{_value_at(found, case.view.semantic)} is no class of the schema"),
        bool((present(case.view.semantic) != case.ignore).any()),
        "every pixel is ignore",
    )


@register("panoptic.ids_are_rows", "sample", PANOPTIC)
def ids_are_rows(case: SampleCase) -> Finding:
    """{z(p) > 0} = {id_i}: every id of the panoptic map is a row's, and every row's is in the map.

    In the wild: surplus pastes painted but not labelled when the slots are full.
    """

    def nobody(view: SampleView) -> torch.Tensor:
        ids = present(view.ids)[view.valid]
        panoptic = present(view.panoptic)
        return (panoptic != 0) & ~torch.isin(panoptic, ids)

    stray = case.blamed(nobody, ("panoptic",))
    if bool(stray.any()):
        return by_pixels(stray, f"the panoptic id {_value_at(stray, case.view.panoptic)} is no row's")
    seen = set(present(case.view.panoptic).unique().tolist())
    ids = present(case.view.ids).tolist()
    lost = [k for k in case.rows if ids[k] not in seen]
    if lost and case.before is not None and case.before.panoptic is not None:
        then = set(case.before.panoptic.unique().tolist())
        lost = [k for k in lost if ids[k] in then or not case.untouched(k)]
    return _judged_rows(case, lost, [f"id {ids[k]} is nowhere in the panoptic map" for k in lost[:1]])


@register("panoptic.masks_match_map", "sample", PANOPTIC)
def masks_match_map(case: SampleCase) -> Finding:
    """M_i = (z = id_i) for every row.

    In the wild: masks not cut by the z-test that cut the map; ids above 2^24 rounded by
    a float warp.
    """

    def differing(view: SampleView) -> torch.Tensor:
        masks, ids = present(view.masks)[view.valid], present(view.ids)[view.valid]
        panoptic = present(view.panoptic)
        found = torch.zeros(view.canvas, dtype=torch.bool, device=panoptic.device)
        for mask, identity in zip(masks, ids, strict=True):
            found |= mask != (panoptic == identity)
        return found

    if not case.rows:
        return not_exercised("no rows")
    return by_pixels(
        case.blamed(differing, ("masks", "panoptic")), "a row's mask and the panoptic map disagree"
    )


@register("panoptic.semantic_matches_row", "sample", PANOPTIC)
def semantic_matches_row(case: SampleCase) -> Finding:
    """y(p) = label_i for every p in M_i.

    In the wild: the instance pasted, the class of what lay beneath left in the map.
    """

    def differing(view: SampleView) -> torch.Tensor:
        masks, labels = present(view.masks)[view.valid], view.labels[view.valid]
        semantic = present(view.semantic)
        found = torch.zeros(view.canvas, dtype=torch.bool, device=semantic.device)
        for mask, label in zip(masks, labels, strict=True):
            found |= mask & (semantic != label)
        return found

    if not case.rows:
        return not_exercised("no rows")
    found = case.blamed(differing, ("masks", "semantic"))
    return exercised(
        by_pixels(found, f"semantic {_value_at(found, case.view.semantic)} under a row of another label"),
        bool(present(case.view.masks)[case.rows].any()),
        "no row with a pixel",
    )


@register("panoptic.things_have_ids", "sample", PANOPTIC)
def things_have_ids(case: SampleCase) -> Finding:
    """z(p) > 0 if and only if y(p) is a thing class.

    In the wild: stuff given an instance id; a dropped thing's class left in the semantic
    map without an id.
    """
    schema = case.schema
    if schema is None:
        return not_applicable("no schema")
    things = [label for label, kind in schema.classes.items() if kind == "thing"]
    found = case.blamed(lambda view: thing_stuff_conflict(view, things), ("semantic", "panoptic"))
    labelled = (present(case.view.semantic) != case.ignore) | (present(case.view.panoptic) != 0)
    return exercised(
        by_pixels(
            found,
            f"panoptic id {_value_at(found, case.view.panoptic)} beside "
            f"semantic {_value_at(found, case.view.semantic)}",
        ),
        bool(labelled.any()),
        "every pixel is void",
    )


@register("panoptic.one_instance_per_pixel", "sample", PANOPTIC)
def one_instance_per_pixel(case: SampleCase) -> Finding:
    """sum_i M_i(p) <= 1 for every pixel p.

    In the wild: blended pastes whose masks overlap (183 of 200 random pairs).
    """
    if len(case.rows) < 2:
        return not_exercised("fewer than two rows")
    return by_pixels(overlap(case, [case.view.valid]), "in more than one mask")


@register("normals.unit_length", "sample", Modality.NORMALS)
def unit_length(case: SampleCase) -> Finding:
    """n(p) = 0 or | |n(p)|^2 - 1 | <= 2^-22, in float64.

    In the wild: normals interpolated and not renormalised.
    """
    found = case.blamed(not_unit, ("normals",))
    return exercised(
        by_pixels(found, f"normal {_vector_at(found, case.view.normals)} has no unit length"),
        bool((present(case.view.normals) != 0).any()),
        "no normal",
    )


@register("normals.face_camera", "sample", Modality.NORMALS)
def face_camera(case: SampleCase) -> Finding:
    """n_z(p) < 0 wherever there is a normal (frame right-down-forward).

    In the wild: a data set in another frame read as if it were ours.
    """
    normals = present(case.view.normals)
    found = case.blamed(_faces_away, ("normals",))
    if case.before is not None and bool(found.any()):
        # Interpolation keeps what faces the camera facing it, but a grazing normal may
        # round to n_z = 0, and what the donor itself has averted it may well show. Where
        # exactly it may, paste.inside_union_is_source.normals knows, with a plan.
        touched = case.touched(("normals",))
        found &= ~(touched & (normals[2] == 0))
        if case.source is not None and case.source.normals is not None:
            found &= ~carried_over(normals, case.source.normals, found & touched)
    return exercised(
        by_pixels(found, f"normal {_vector_at(found, normals)} faces away from the camera"),
        bool((normals != 0).any()),
        "no normal",
    )


@register("depth.positive_where_valid", "sample", Modality.DEPTH)
def positive_where_valid(case: SampleCase) -> Finding:
    """V(p) implies that d(p) is finite and d(p) > 0.

    In the wild: holes of depth 0 marked valid by a nearest warp of the wrong mask.
    """

    def offending(view: SampleView) -> torch.Tensor:
        depth = present(view.depth)[0]
        return present(view.depth_valid) & ~(depth.isfinite() & (depth > 0))

    found = case.blamed(offending, ("depth", "depth_valid"))
    return exercised(
        by_pixels(found, f"valid depth {_value_at(found, case.view.depth)}, expected finite and positive"),
        bool(present(case.view.depth_valid).any()),
        "no valid depth",
    )


@register("padding.is_border", "sample")
def padding_is_border(case: SampleCase) -> Finding:
    """The pixels that are no padding are a rectangle at the top left.

    In the wild: a padding mask that is warped along with the picture.
    """
    padding = case.view.padding
    if padding is None:
        return not_applicable("no padding mask")
    if not bool(padding.any()):
        return not_exercised("no padded pixel")
    if case.before is not None and case.before.padding is not None:
        return by_pixels(
            case.blamed(lambda view: no_border(present(view.padding)), ("padding",)), "no top-left border"
        )
    return by_pixels(no_border(padding), "padding is not the complement of a top-left rectangle")


@register("padding.carries_no_labels", "sample")
def padding_carries_no_labels(case: SampleCase) -> Finding:
    """On padding no mask is set, the semantic label is ignore and the panoptic id 0.

    In the wild: pastes that land in padding.
    """
    if case.view.padding is None:
        return not_applicable("no padding mask")
    if case.view.masks is None and case.view.semantic is None:
        return not_applicable("no masks and no maps")
    if not bool(case.view.padding.any()):
        return not_exercised("no padded pixel")
    if case.view.semantic is None and not case.rows:
        return not_exercised("no rows")

    def offending(view: SampleView) -> torch.Tensor:
        if view.padding is None:
            return torch.zeros(view.canvas, dtype=torch.bool, device=view.image.device)
        labelled = torch.zeros_like(view.padding)
        if view.masks is not None:
            labelled |= covered_by(view.masks[view.valid])
        if view.semantic is not None:
            labelled |= view.semantic != case.ignore
        if view.panoptic is not None:
            labelled |= view.panoptic != 0
        return view.padding & labelled

    return by_pixels(
        case.blamed(offending, ("masks", "semantic", "panoptic", "padding")), "padding carries a label"
    )


def overlap(case: SampleCase, groups: list[torch.Tensor]) -> torch.Tensor:
    """``[H, W]`` bool, pixels in two masks of a group, unless all of these had them before."""
    masks = present(case.view.masks)
    found = torch.zeros(case.view.canvas, dtype=torch.bool, device=masks.device)
    for group in groups:
        rows = masks[group]
        if rows.shape[0] < 2:
            continue
        cover = depth_of_cover(rows)
        twice = cover > 1
        if case.before is not None and bool(twice.any()):
            twice &= depth_of_cover(case.inherited[group]) < cover
        found |= twice
    return found


def not_unit(view: SampleView) -> torch.Tensor:
    """``[H, W]`` bool, normals that are neither zero nor of unit length."""
    normals = present(view.normals).to(torch.float64)
    squares = normals * normals
    length = squares[0] + squares[1] + squares[2]
    return ~((length - 1).abs() <= NORM_TOLERANCE) & ~(normals == 0).all(dim=0)


def no_border(padding: torch.Tensor) -> torch.Tensor:
    """``[H, W]`` bool, pixels by which the valid ones fail to be a top-left rectangle."""
    valid = ~padding
    rows, columns = valid.any(dim=1), valid.any(dim=0)
    height, width = int(rows.sum()), int(columns.sum())
    rectangle = torch.zeros_like(valid)
    rectangle[:height, :width] = True
    return valid != rectangle


def thing_stuff_conflict(view: SampleView, things: list[int]) -> torch.Tensor:
    """``[H, W]`` bool, pixels where having an id and being of a thing class disagree."""
    semantic = present(view.semantic)
    table = torch.tensor(things, dtype=semantic.dtype, device=semantic.device)
    return (present(view.panoptic) != 0) != torch.isin(semantic, table)


def _image_not_finite(view: SampleView) -> torch.Tensor:
    return ~view.image.isfinite().all(dim=0)


def _faces_away(view: SampleView) -> torch.Tensor:
    return looks_away(present(view.normals))


def _judged_rows(case: SampleCase, rows: list[int], messages: list[str]) -> Finding:
    if not case.rows:
        return not_exercised("no rows")
    return by_rows(rows, messages)


def _numbers(values: torch.Tensor) -> str:
    return "(" + ", ".join(f"{v:g}" for v in values.tolist()) + ")"


def _value_at(offending: torch.Tensor, field: torch.Tensor | None) -> Any:
    if field is None or not bool(offending.any()):
        return None
    x, y = first_pixel(offending)
    return field[..., y, x].flatten()[0].item()


def _vector_at(offending: torch.Tensor, field: torch.Tensor | None) -> str:
    if field is None or not bool(offending.any()):
        return ""
    x, y = first_pixel(offending)
    return _numbers(field[:, y, x])

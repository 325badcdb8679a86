"""Faults of augmentations that tell nobody what they do: two samples in, one out, no audit.

Most libraries are of this kind. Only the laws that judge one output alone, or that infer
what was pasted from ids, labels and changed pixels, can catch them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from segpaste.testing.targets import Augmentation
from segpaste.types import BatchCopyPasteConfig, DenseSample, Modality
from tests.faults.fault import (
    Call,
    Fault,
    Pasted,
    Rows,
    call_of,
    changed,
    correct,
    described,
    fault,
    field,
    unchecked_sample,
)

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS


@fault("Ultralytics CopyPaste, 180 of 200", "instance.masks_minus_union", needs={INSTANCE}, audited=False)
def untold_masks_not_trimmed(call: Call) -> Pasted:
    """Survivors keep masks and boxes as they were."""

    def edit(rows: Rows) -> None:
        for row in rows.trimmed:
            rows.out.masks[row], rows.out.boxes[row] = rows.target.masks[row], rows.target.boxes[row]

    return call.paste_then(edit)


@fault(
    "AlbumentationsX 2.5.1 CopyAndPaste, 51 of 200 with one donor, 125 with four",
    "instance.bbox_recomputed_from_mask",
    "instance.boxes_are_tight",
    needs={INSTANCE},
    audited=False,
)
def untold_boxes_not_recomputed(call: Call) -> Pasted:
    """Survivors keep the boxes of their whole masks."""

    def edit(rows: Rows) -> None:
        for row in rows.trimmed:
            rows.out.boxes[row] = rows.target.boxes[row]

    return call.paste_then(edit)


@fault(
    "AlbumentationsX 2.5.1 CopyAndPaste, 114 of 200: donors over each other",
    "instance.pasted_masks_disjoint",
    needs={INSTANCE},
    audited=False,
)
def untold_donors_overlap(call: Call) -> Pasted:
    """An earlier donor keeps its mask over pixels that show a later one."""
    return _overlapping(call)


@fault(
    "torchvision's reference SimpleCopyPaste with blending, 183 of 200",
    "instance.masks_minus_union",
    needs={INSTANCE},
    audited=False,
)
def untold_blend(call: Call) -> Pasted:
    """The rim of a donor is blended in, and belongs to both masks."""

    def edit(rows: Rows) -> None:
        for row in rows.trimmed:
            rim = rows.union & _grown(~rows.union)
            rows.out.masks[row] |= rows.target.masks[row] & rim
            rows.out.boxes[row] = correct.box_of(rows.out.masks[row])

    return call.paste_then(edit)


@fault(
    "mmdet CopyPaste: a hidden object near the origin kept with an empty mask",
    "instance.masks_not_empty",
    "instance.small_area_dropped",
    needs={INSTANCE},
    audited=False,
)
def untold_hidden_rows_kept(call: Call) -> Pasted:
    """A row that is covered completely stays, with an empty mask and its box."""

    def edit(rows: Rows) -> None:
        for row in np.flatnonzero(rows.dropped).tolist():
            left = rows.target.masks[row] & ~rows.union
            if not left.any():
                rows.out.valid[row] = True
                rows.out.ids[row], rows.out.labels[row] = rows.target.ids[row], rows.target.labels[row]
                rows.out.boxes[row] = rows.target.boxes[row]

    return call.paste_then(edit)


@fault(
    "raw source ids pasted, seen in the wild",
    "instance.ids_unique",
    needs={INSTANCE},
    audited=False,
)
def untold_raw_ids(call: Call) -> Pasted:
    """Pasted rows keep the ids they had in the donor, in the panoptic map, too."""

    def edit(rows: Rows) -> None:
        for row in rows.new:
            rows.rename(row, int(rows.source.ids[rows.row_source[row]]))

    return call.paste_then(edit)


@fault("labels shuffled by the drop", "instance.identity_preserved", needs={INSTANCE}, audited=False)
def untold_labels_shift(call: Call) -> Pasted:
    """When a row is dropped, the labels of those after it move up by one, and nothing else does."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is None:
            for row in np.flatnonzero(rows.dropped).tolist():
                rows.out.labels[row:-1] = rows.out.labels[row + 1 :].copy()
            rows.out.labels[~rows.out.valid] = 0

    return call.paste_then(edit)


@fault("4.9", "panoptic.ids_are_rows", needs={PANOPTIC}, audited=False)
def untold_remains_keep_their_id(call: Call) -> Pasted:
    """What is left of a dropped row keeps label and id, and has no row."""

    def edit(rows: Rows) -> None:
        rows.void[:] = False

    return call.paste_then(edit)


@fault(
    "4.4; ignore painted over, seen in the wild", "semantic.ignore_preserved", needs={SEMANTIC}, audited=False
)
def untold_ignore_is_pasted_on(call: Call) -> Pasted:
    """Pixels that the annotators left out may be taken."""

    def gate_of(target: Any, warped: Any, config: Any) -> np.ndarray:
        seen = target if target.semantic is None else _labelled(target, config)
        return correct.gate_of(seen, warped, config)

    return call.paste(gate_of=gate_of)


@fault("blending weights divided by an empty mask's sum", "image.finite", audited=False)
def untold_nan(call: Call) -> Pasted:
    """The first pixel of what is pasted into a float32 picture is NaN."""
    after, audit = call.paste()
    images = field(after, "images")
    if images.is_floating_point() and bool(audit.paste_union.any()):
        y, x = audit.paste_union[0].nonzero()[0].tolist()
        images[0, :, y, x] = float("nan")
    return changed(after, images=images), audit


@fault(
    "normals read in a frame that looks out of the picture",
    "normals.face_camera",
    needs={NORMALS},
    audited=False,
)
def untold_frame_of_normals(call: Call) -> Pasted:
    """Pasted normals have their y and z negated, as in a right-up-backward frame."""
    after, audit = call.paste()
    if after.normals is None:
        return after, audit
    turned = field(after, "normals") * torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1)
    return changed(
        after, normals=torch.where(audit.paste_union[:, None], turned, field(after, "normals"))
    ), audit


@fault(
    "normals interpolated and not renormalised, seen in the wild",
    "normals.unit_length",
    needs={NORMALS},
    audited=False,
)
def untold_short_normals(call: Call) -> Pasted:
    """Pasted normals are a little too short."""
    after, audit = call.paste()
    if after.normals is None:
        return after, audit
    short = field(after, "normals") * 0.999
    return changed(
        after, normals=torch.where(audit.paste_union[:, None], short, field(after, "normals"))
    ), audit


@fault("4.7: V_src & V_tgt", "depth.validity_join", needs={DEPTH}, audited=False)
def untold_validity(call: Call) -> Pasted:
    """Inside U the validity of the depth is the source's alone."""

    def paint(target: Any, source: Any, warped: Any, winner: Any, union: Any, slots: Any) -> Any:
        painted = correct.paint(target, source, warped, winner, union, slots)
        if target.depth_valid is not None:
            painted.depth_valid[union] = warped.depth_valid[union]
        return painted

    return call.paste(paint=paint)


@fault("holes of depth 0 marked valid", "depth.positive_where_valid", needs={DEPTH}, audited=False)
def untold_depth_of_zero(call: Call) -> Pasted:
    """Where the source has no depth, 0 is pasted as if it were measured."""

    def paint(target: Any, source: Any, warped: Any, winner: Any, union: Any, slots: Any) -> Any:
        painted = correct.paint(target, source, warped, winner, union, slots)
        if target.depth_valid is not None:
            painted.depth_valid[union] = target.depth_valid[union]
        return painted

    def gate_of(target: Any, warped: Any, config: Any) -> np.ndarray:
        return correct.gate_of(target, warped, config.model_copy(update={"z_test": False}))

    return call.paste(paint=paint, gate_of=gate_of)


@fault("category ids of another data set", "instance.labels_in_schema", needs={INSTANCE}, audited=False)
def untold_classes_of_another_table(call: Call) -> Pasted:
    """Pasted rows have the class numbers of another data set's table."""

    def edit(rows: Rows) -> None:
        rows.out.labels[rows.new] += 100_000

    return call.paste_then(edit)


def _boxes_of_float64(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig
) -> DenseSample:
    """The boxes of the sample are written over in place, by float64 ones."""
    after, _ = call_of(target, donor, seed, config).paste()
    sample = unchecked_sample(after, target)
    if sample.boxes is not None:
        sample.boxes.data = sample.boxes.data.double()
    return sample


untold_boxes_of_float64 = Fault(
    name="untold_boxes_of_float64",
    mistake=described(_boxes_of_float64),
    seen="boxes computed by NumPy",
    laws=("sample.shapes_agree",),
    needs=frozenset({INSTANCE}),
    target=Augmentation("untold_boxes_of_float64", _boxes_of_float64, True, None),
)


@fault("rows appended without asking for room", "instance.count_in_schema", needs={INSTANCE}, audited=False)
def untold_surplus_rows(call: Call) -> Pasted:
    """Rows are added to the end, three of each, however many the class table allows."""
    after, audit = call.paste()
    rows = {name: value for name, value in after.tensors().items() if name in _ROWS}
    return changed(after, **{name: torch.cat([value] * 3, dim=1) for name, value in rows.items()}), audit


_ROWS = ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")


@fault(
    "a bilinear warp invents classes in between", "semantic.values_in_schema", needs={SEMANTIC}, audited=False
)
def untold_classes_in_between(call: Call) -> Pasted:
    """Inside U the semantic map holds the mean of source and target label."""
    after, audit = call.paste()
    if after.semantic_maps is None:
        return after, audit
    semantic = field(after, "semantic_maps")
    mean = (semantic + field(call.target, "semantic_maps")) // 2
    return changed(after, semantic_maps=torch.where(audit.paste_union, mean, semantic)), audit


@fault("box flip of kornia, 200 of 200", "instance.boxes_in_canvas", needs={INSTANCE}, audited=False)
def untold_boxes_leave_the_canvas(call: Call) -> Pasted:
    """Boxes of pasted rows are one pixel too far left: [0, 0, 10, 6] becomes [-1, 0, 9, 6]."""

    def edit(rows: Rows) -> None:
        for row in rows.new:
            rows.out.boxes[row, [0, 2]] -= 1

    return call.paste_then(edit)


@fault(
    "Albumentations 2.0.8 Mosaic: instance masks replaced by the semantic mosaic",
    "instance.masks_minus_union",
    needs={INSTANCE, SEMANTIC},
    audited=False,
)
def untold_masks_are_the_semantic_map(call: Call) -> Pasted:
    """After a paste every row's mask is all of its class in the semantic map."""
    after, audit = call.paste()
    if after.semantic_maps is None or after.instance_masks is None or not bool(audit.paste_union.any()):
        return after, audit
    semantic, labels = field(after, "semantic_maps"), after.labels
    masks = (semantic[:, None] == labels[:, :, None, None]) & after.instance_valid[:, :, None, None]
    return changed(after, instance_masks=masks), audit


def _overlapping(call: Call) -> Pasted:
    """A paste whose masks are those of the warped rows, wherever they are shown."""

    def paste_one(target: Any, source: Any, plan: Any, config: Any) -> Any:
        result = correct.paste_one(target, source, plan, config)
        if target.masks is not None and target.panoptic is None:
            grid = correct.Grid(plan, target, source)
            for row in np.flatnonzero(result.row_source >= 0).tolist():
                seen = grid.nearest(source.masks[result.row_source[row]]) & grid.inside & result.union
                result.sample.masks[row], result.sample.boxes[row] = seen, correct.box_of(seen)
        return result

    return call.paste(paste_one=paste_one)


def _grown(pixels: np.ndarray) -> np.ndarray:
    """The pixels and their neighbours across an edge."""
    grown = pixels.copy()
    grown[1:] |= pixels[:-1]
    grown[:-1] |= pixels[1:]
    grown[:, 1:] |= pixels[:, :-1]
    grown[:, :-1] |= pixels[:, 1:]
    return grown


def _labelled(target: Any, config: Any) -> Any:
    return type(target)(
        **{**vars(target), "semantic": np.full_like(target.semantic, config.ignore_index + 1)}
    )

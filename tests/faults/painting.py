"""Faults in what is written inside U (4.7), and in what must not change outside of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from segpaste.types import Modality
from tests.faults.fault import Call, Pasted, Rows, changed, correct, fault, field

INSTANCE, SEMANTIC, PANOPTIC = Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC
DEPTH, NORMALS = Modality.DEPTH, Modality.NORMALS


@fault("4.7: outside U nothing changes", "paste.unchanged_outside_union.image")
def whole_picture_is_jittered(call: Call) -> Pasted:
    """A colour jitter runs over the whole picture."""
    after, audit = call.paste()
    images = field(after, "images")
    one = 1 if images.dtype == torch.uint8 else 2.0**-8
    return changed(after, images=torch.where(audit.paste_union.any(), images + one, images)), audit


@fault("4.7", "paste.inside_union_is_source.image", needs={INSTANCE})
def edges_are_feathered(call: Call) -> Pasted:
    """Pixels at the rim of U show half source, half target."""
    after, audit = call.paste()
    union = audit.paste_union
    inner = torch.nn.functional.max_pool2d((~union).float()[:, None], 3, stride=1, padding=1)[:, 0] == 0
    rim = (union & ~inner)[:, None]
    images, before = field(after, "images"), field(call.target, "images")
    blended = (images.double() / 2 + before.double() / 2).to(images.dtype)
    return changed(after, images=torch.where(rim, blended, images)), audit


@fault("4.7", "paste.unchanged_outside_union.image", needs={INSTANCE})
def boxes_are_pasted(call: Call) -> Pasted:
    """The picture is pasted with the boxes of the rows, not with their masks."""

    def paint(target: Any, source: Any, warped: Any, winner: Any, union: Any, slots: Any) -> Any:
        painted = correct.paint(target, source, warped, winner, union, slots)
        for n in np.unique(winner[winner >= 0]):
            if target.masks is not None:
                x1, y1, x2, y2 = correct.box_of(winner == n)
                inside = warped.inside[y1:y2, x1:x2]
                shown = np.where(inside, warped.image[:, y1:y2, x1:x2], painted.image[:, y1:y2, x1:x2])
                painted.image[:, y1:y2, x1:x2] = shown
        return painted

    return call.paste(paint=paint)


@fault(
    "4.7: depth is written even where the joined validity is false",
    "paste.inside_union_is_source.depth",
    needs={DEPTH},
)
def invalid_depth_is_not_written(call: Call) -> Pasted:
    """Inside U the target's depth stays where the joined validity is false."""
    after, audit = call.paste()
    keep = audit.paste_union[:, None] & ~field(after, "depth_valid") if after.depth is not None else None
    if keep is None:
        return after, audit
    return changed(after, depth=torch.where(keep, field(call.target, "depth"), field(after, "depth"))), audit


@fault("4.7", "paste.unchanged_outside_union.depth", needs={DEPTH})
def validity_is_recomputed_everywhere(call: Call) -> Pasted:
    """After a paste the validity of the whole sample is ``depth > 0``."""
    after, audit = call.paste()
    if after.depth is None:
        return after, audit
    there = field(after, "depth") > 0
    pasted = audit.paste_union.flatten(1).any(dim=1)[:, None, None, None]
    return changed(after, depth_valid=torch.where(pasted, there, field(after, "depth_valid"))), audit


@fault("4.7", "paste.unchanged_outside_union.normals", needs={NORMALS})
def all_normals_are_renormalised(call: Call) -> Pasted:
    """After a paste all normals are renormalised, pasted or not."""
    after, audit = call.paste()
    if after.normals is None:
        return after, audit
    normals = field(after, "normals")
    unit = normals / normals.norm(dim=1, keepdim=True).clamp(min=1e-12)
    pasted = audit.paste_union.flatten(1).any(dim=1)[:, None, None, None]
    return changed(after, normals=torch.where(pasted, unit, normals)), audit


@fault("4.7", "paste.inside_union_is_source.normals", needs={NORMALS})
def normals_are_not_pasted(call: Call) -> Pasted:
    """The normals map stays the target's."""
    after, audit = call.paste()
    return changed(after, normals=call.target.normals), audit


@fault("4.7", "paste.inside_union_is_source.depth", needs={DEPTH})
def depth_is_not_pasted(call: Call) -> Pasted:
    """The depth map stays the target's, and the z-test has been for nothing."""
    after, audit = call.paste()
    return changed(after, depth=call.target.depth), audit


@fault("4.7", "paste.inside_union_is_source.semantic", "semantic.single_class", needs={SEMANTIC})
def semantic_map_is_not_pasted(call: Call) -> Pasted:
    """Under a pasted object the semantic map keeps the class of what lay beneath."""
    after, audit = call.paste()
    if after.semantic_maps is None:
        return after, audit
    before = field(call.target, "semantic_maps")
    return changed(
        after, semantic_maps=torch.where(audit.paste_union, before, field(after, "semantic_maps"))
    ), audit


@fault(
    "AlbumentationsX 2.5.1 CopyAndPaste, 192 of 200: class 0 over what a donor without a map covers",
    "paste.unchanged_outside_union.semantic",
    needs={SEMANTIC},
)
def unlabelled_becomes_class_zero(call: Call) -> Pasted:
    """What has no label in the source becomes class 0 in the target, where the source is seen."""
    after, audit = call.paste()
    if after.semantic_maps is None:
        return after, audit
    ignored = field(call.source, "semantic_maps")[call.plan.source_idx] == call.config.ignore_index
    over = ignored & audit.paste_union.flatten(1).any(dim=1)[:, None, None] & ~audit.paste_union
    return changed(after, semantic_maps=field(after, "semantic_maps").masked_fill(over, 0)), audit


@fault("4.7", "panoptic.bijection", needs={PANOPTIC})
def panoptic_map_is_not_pasted(call: Call) -> Pasted:
    """Under a pasted object the panoptic map keeps the id of what lay beneath."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None:
            rows.out.panoptic[rows.union] = rows.target.panoptic[rows.union]

    return call.paste_then(edit)


@fault("4.7; a renumbering of all ids", "paste.unchanged_outside_union.panoptic", needs={PANOPTIC})
def panoptic_ids_are_renumbered(call: Call) -> Pasted:
    """After a paste all ids, of rows and map, are 1, 2, 3 ..."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None and rows.new:
            for n, row in enumerate(np.flatnonzero(rows.out.valid).tolist()):
                rows.rename(row, n + 1)

    return call.paste_then(edit)


@fault("4.7: and in the panoptic map", "panoptic.fresh_ids", "panoptic.masks_match_map", needs={PANOPTIC})
def panoptic_map_keeps_source_ids(call: Call) -> Pasted:
    """The panoptic map shows the source's ids inside U, the rows have fresh ones."""

    def edit(rows: Rows) -> None:
        if rows.out.panoptic is not None:
            for row in rows.new:
                rows.out.panoptic[rows.out.masks[row]] = rows.source.ids[rows.row_source[row]]

    return call.paste_then(edit)

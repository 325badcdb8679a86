"""Edits of drawn batches and cases, for what scenes seldom or never show.

Like :mod:`segpaste.strategies.pastes` this needs no Hypothesis.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import PasteCase
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PanopticSchemaSpec

_INT32_MAX = 2**31 - 1
_LEAST = 2.0**-149  # of all positive float32
_ROOM = 64  # ids that laws may yet ask for, beyond a few for every slot


def overlap_rows(
    choices: Choices, batch: PaddedBatchedDenseSample, *, same_class: bool
) -> PaddedBatchedDenseSample:
    """The batch, in every sample one row grown over another, of another class if there is one.

    Scenes hide what lies behind, and few of their masks overlap; pasted together, only
    masks that do contest a pixel. A panoptic map allows none: the batch is returned as it is.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch.
        same_class: whether it may be of the same class where there is no other.
    """
    fields = batch.tensors()
    which = choices.integer(0, 63)
    if "instance_masks" not in fields or "panoptic_maps" in fields:
        return batch
    masks, boxes = fields["instance_masks"].clone(), fields["boxes"].clone()
    for b in range(batch.batch_size):
        rows, labels = fields["instance_valid"][b].nonzero().flatten().tolist(), batch.labels[b].tolist()
        pairs = [(i, j) for i in rows for j in rows if i != j]
        others = [(i, j) for i, j in pairs if labels[i] != labels[j]]
        if not same_class:
            others = [(i, j) for i, j in others if not _meets_class(masks[b], j, labels, labels[i])]
        pairs = others or (pairs if same_class else [])
        if pairs:
            i, j = pairs[which % len(pairs)]
            masks[b, i] |= masks[b, j]
            corners = torch.stack((boxes[b, i], boxes[b, j]))
            boxes[b, i] = torch.cat((corners[:, :2].amin(dim=0), corners[:, 2:].amax(dim=0)))
    return _changed(batch, instance_masks=masks, boxes=boxes)


def give_stuff_rows(
    choices: Choices, batch: PaddedBatchedDenseSample, schema: PanopticSchemaSpec, *, untidy: bool
) -> PaddedBatchedDenseSample:
    """The batch, now and then the first row of every sample relabelled to a stuff class.

    Stuff with a mask of its own exists in real data, and must not be pasted. A panoptic map
    gives it no id: such a batch is returned as it is.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch.
        schema: the class table.
        untidy: whether that is done at all: the row may overlap another of the class.
    """
    stuff = [c for c, kind in schema.classes.items() if kind == "stuff"]
    wanted, which = choices.one_in(2), choices.integer(0, 63)
    if not (wanted and stuff and untidy) or batch.panoptic_maps is not None:
        return batch
    labels, valid = batch.labels.clone(), batch.instance_valid
    # Where it is the only one, nothing can be pasted any more: often only the first of several.
    fewest = 1 if which % 2 else 2
    first = valid & (valid.cumsum(dim=1) == 1) & (valid.sum(dim=1, keepdim=True) >= fewest)
    labels[first] = stuff[which % len(stuff)]
    return _changed(batch, labels=labels)


def lay_stuff(
    choices: Choices, batch: PaddedBatchedDenseSample, schema: PanopticSchemaSpec
) -> PaddedBatchedDenseSample:
    """The batch, mostly with things that no row claims relabelled to a stuff class.

    What may become of stuff only shows where a paste meets some. A panoptic map has an id
    for every thing: such a batch is returned as it is.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch.
        schema: the class table.
    """
    fields = batch.tensors()
    wanted, which = not choices.one_in(4), choices.integer(0, 63)
    stuff = [c for c, kind in schema.classes.items() if kind == "stuff"]
    if not (wanted and stuff) or "semantic_maps" not in fields or "panoptic_maps" in fields:
        return batch
    semantic = fields["semantic_maps"]
    things = torch.tensor([c for c, kind in schema.classes.items() if kind == "thing"])
    ground = torch.isin(semantic, things)
    if "instance_masks" in fields:
        ground &= ~fields["instance_masks"].any(dim=1)
    return _changed(batch, semantic_maps=semantic.masked_fill(ground, stuff[which % len(stuff)]))


def empty_a_row(case: PasteCase) -> PasteCase:
    """The case, in every source the first row to be pasted without a pixel, and the plan one row short.

    Crops leave such rows; they must not take the place of one that can be pasted. A panoptic
    map would still show it, and a target must have none: such cases are returned as they are.

    Args:
        case: a paste.
    """
    fields, most = case.source.tensors(), case.config.placement.k_range[1]
    if case.intra_batch or "instance_masks" not in fields or "panoptic_maps" in fields:
        return case
    masks, count = fields["instance_masks"].clone(), case.plan.count.clone()
    classes = None if case.schema is None else case.schema.classes
    emptied: set[int] = set()
    for b, s in enumerate(case.plan.source_idx.tolist()):
        labels = case.source.labels[s].tolist()
        rows = [
            j
            for j in case.plan.order[b].tolist()
            if bool(masks[s, j].any()) and (classes is None or classes[labels[j]] == "thing")
        ]
        if s not in emptied and len(rows) > 1 and count[b] > 0:
            emptied.add(s)
            masks[s, rows[0]] = False
            count[b] = min(len(rows) - 1, most)
    source = _changed(case.source, instance_masks=masks)
    return replace(case, source=source, plan=replace(case.plan, count=count))


def leave_out_an_edge(
    choices: Choices, batch: PaddedBatchedDenseSample, ignore_index: int
) -> PaddedBatchedDenseSample:
    """The batch, now and then the last column or the last row of its semantic maps *ignore*.

    A panoptic map would contradict that: such a batch is returned as it is.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch.
        ignore_index: the label of *ignore*.
    """
    fields = batch.tensors()
    where = choices.of(("nowhere",) * 4 + ("column", "column", "column", "row"))
    if where == "nowhere" or "semantic_maps" not in fields or "panoptic_maps" in fields:
        return batch
    semantic = fields["semantic_maps"].clone()
    (semantic[..., -1] if where == "column" else semantic[..., -1, :]).fill_(ignore_index)
    return _changed(batch, semantic_maps=semantic)


def add_padding(
    choices: Choices, batch: PaddedBatchedDenseSample, ignore_index: int
) -> PaddedBatchedDenseSample:
    """The batch, of every sample what lies right of its masks or below them turned into padding.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch; returned as it is if it has a padding mask.
        ignore_index: the label of padding.
    """
    height, width = batch.canvas_size
    below, beside = choices.integer(0, 63), choices.integer(0, 63)
    fields = batch.tensors()
    if "padding_mask" in fields:
        return batch
    padding = torch.zeros((batch.batch_size, 1, height, width), dtype=torch.bool)
    for b in range(batch.batch_size):
        filled = torch.zeros((height, width), dtype=torch.bool)
        if "instance_masks" in fields:
            filled = fields["instance_masks"][b].any(dim=0)
        least = [
            int(side.nonzero().max()) + 1 if side.any() else 1 for side in (filled.any(1), filled.any(0))
        ]
        padding[b, 0, least[0] + below % (height - least[0] + 1) :] = True
        padding[b, 0, :, least[1] + beside % (width - least[1] + 1) :] = True
    changed: dict[str, torch.Tensor] = {"padding_mask": padding}
    beneath = {"semantic_maps": ignore_index, "panoptic_maps": 0, "depth_valid": False, "normals": 0}
    for name, value in beneath.items():
        if name in fields:
            mask = padding if fields[name].ndim == 4 else padding[:, 0]
            changed[name] = fields[name].masked_fill(mask, value)
    return _changed(batch, **changed)


def poised(choices: Choices, batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The batch with values on an edge of interpolation, where every weight is 1/4.

    Normals are turned round in every other column, so that nothing is left of their mean.
    Floats of an image are large and opposite in every other row, and small in between, so
    that what the sum keeps of the small ones depends on its order. Depth is such that the
    mean of four rounds up or down, again by the order of the sum.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch.
    """
    fields = batch.tensors()
    changed: dict[str, torch.Tensor] = {}
    height, width = batch.canvas_size
    tilt = choices.of(((0.6, 0.0, -0.8), (-0.6, 0.0, -0.8), (-0.6, 0.0, -0.8), (0.0, 0.6, -0.8)))
    exponent = choices.of((-12, -12, -20, 0))
    odd_row, odd_column = torch.arange(height)[:, None] % 2 == 1, torch.arange(width) % 2 == 1
    if "normals" in fields:
        there = fields["normals"].any(dim=1, keepdim=True)
        turned = torch.tensor(tilt)[:, None, None] * torch.where(odd_column, -1.0, 1.0)
        changed["normals"] = torch.where(there, turned.expand(3, height, width) + 0.0, 0.0)
    if batch.images.is_floating_point():
        small = 2.0**-40 * (1 + fields["images"].abs().clamp(max=1))
        changed["images"] = torch.where(odd_column, small, torch.where(odd_row, -1.0, 1.0))
    if "depth" in fields:
        # float32 is halfway between two numbers at 1 + 2**-24, and float64 at 1 + 2**-53.
        values = torch.where(odd_column, 2.0**-53, torch.where(odd_row, 2.0**-24, 1.0)) * 2.0**exponent
        changed["depth"] = torch.where(fields["depth_valid"], values, fields["depth"])
    return _changed(batch, **changed)


def at_the_edge_of_float32(case: PasteCase) -> PasteCase:
    """The case with metric depth as large or as small as float32 holds, and targets without holes.

    All of it is multiplied by one power of two, upwards where the first paste makes depth
    larger still, so that it becomes infinite, and else downwards, so that it becomes zero;
    what is still far from that edge is brought there.

    Args:
        case: a paste; returned as it is without metric depth, or where nothing is pasted.
    """
    pastes = [b for b, count in enumerate(case.plan.count.tolist()) if count]
    if not (pastes and case.target.metric_depth):
        return case
    upwards = _factor(case, pastes[0], int(case.plan.source_idx[pastes[0]])) > 1
    batches = [case.target] if case.intra_batch else [case.target, case.source]
    found = torch.cat([b.tensors()["depth"][b.tensors()["depth_valid"]] for b in batches])
    if not found.numel():
        return case
    factor = 2.0 ** ((128 if upwards else -148) - math.frexp(float(found.max()))[1])
    moved: list[PaddedBatchedDenseSample] = []
    least = 2.0**127 if upwards else _LEAST
    for batch in batches:
        fields = batch.tensors()
        valid, padding = fields["depth_valid"], fields.get("padding_mask")
        scaled = (fields["depth"].double() * factor).float().clamp(min=least)
        filled = valid
        if batch is case.target and not case.intra_batch:
            filled = torch.ones_like(valid) if padding is None else ~padding
        depth = torch.where(valid, scaled, torch.where(filled, least, fields["depth"]))
        moved.append(_changed(batch, depth=depth, depth_valid=filled))
    return replace(case, target=moved[0], source=moved[-1])


def tie_depths(case: PasteCase) -> PasteCase:
    """The case, its depths so close that the depth test hangs on the last bit of what is written.

    A source has one depth all over, and a target by turns what becomes of it there, the next
    larger and the next smaller float32. The depth test is on.

    Args:
        case: a paste; returned as it is where the source is the target, or without depth.
    """
    target, source, plan = case.target, case.source, case.plan
    if case.intra_batch or target.depth is None or source.depth is None:
        return case
    near = source.tensors()["depth"].clone()
    depth, valid = target.tensors()["depth"].clone(), target.tensors()["depth_valid"]
    for values, usable in zip(near, source.tensors()["depth_valid"], strict=True):
        values[usable] = values[usable][:1]
    for b, s in enumerate(plan.source_idx.tolist()):
        usable = source.tensors()["depth_valid"][s]
        if not bool(usable.any()):
            continue
        with np.errstate(over="ignore"):
            written = np.float32(near[s][usable][0].double().item() * _factor(case, b, s))
        if 0 < written < np.finfo(np.float32).max:
            beside = [
                written,
                np.nextafter(written, np.float32(np.inf)),
                np.nextafter(written, np.float32(0)),
            ]
            turns = torch.tensor([value for value in (beside[1], *beside) if value > 0])
            count = int(valid[b].sum())
            depth[b][valid[b]] = turns.repeat(count // len(turns) + 1)[:count]
    return replace(
        case,
        target=_changed(target, depth=depth),
        source=_changed(source, depth=near),
        config=case.config.model_copy(update={"z_test": True}),
    )


def loosen_boxes(choices: Choices, batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The batch, now and then with boxes that leave their masks room, as annotators draw them.

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch; returned as it is without masks.
    """
    loose = choices.one_in(3)
    if not loose or batch.instance_masks is None:
        return batch
    height, width = batch.canvas_size
    boxes = batch.boxes + torch.tensor([-0.5, -0.5, 0.5, 0.5])
    boxes = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height] * 2, dtype=torch.float32))
    return _changed(batch, boxes=torch.where(batch.instance_valid[..., None], boxes, batch.boxes))


def label_padding(
    choices: Choices,
    batch: PaddedBatchedDenseSample,
    schema: PanopticSchemaSpec,
    config: BatchCopyPasteConfig,
) -> PaddedBatchedDenseSample:
    """The batch, its padding labelled by a class, and with an id that no row has.

    Samples are drawn without labels on padding; a pipeline that pads label maps with 0
    makes such ones. Nothing counts there, but for the largest id (design, 4.6 and 4.8).

    Args:
        choices: where from; a few bytes are enough.
        batch: the batch; returned as it is without padding or semantic map.
        schema: the class table.
        config: stuff classes with an area of their own are chosen first, then those that
            the batch shows.
    """
    fields = batch.tensors()
    which, step = choices.integer(0, 63), choices.integer(1, 3)
    if "padding_mask" not in fields or "semantic_maps" not in fields:
        return batch
    shown = set(fields["semantic_maps"].unique().tolist())
    stuff = [c for c, kind in schema.classes.items() if kind == "stuff"]
    least = {} if config.panoptic is None else config.panoptic.stuff_min_area
    classes = [c for c in stuff if c in shown] or stuff or list(schema.classes)
    classes = [c for c in classes if least.get(c)] or classes
    padding = fields["padding_mask"][:, 0]
    label = classes[which % len(classes)]
    changed = {"semantic_maps": fields["semantic_maps"].masked_fill(padding, label)}
    if "panoptic_maps" in fields and batch.batch_size:
        ids = fields["panoptic_maps"].max().item(), fields["instance_ids"].numpy().max(initial=0).item()
        if max(ids) + step + 2 * batch.max_instances + _ROOM < _INT32_MAX:
            changed["panoptic_maps"] = fields["panoptic_maps"].masked_fill(padding, int(max(ids)) + step)
    return _changed(batch, **changed)


def _changed(batch: PaddedBatchedDenseSample, **fields: Any) -> PaddedBatchedDenseSample:
    """The same batch with other fields, which are wrapped on construction."""
    return replace(batch, **fields)


def _meets_class(masks: torch.Tensor, row: int, labels: list[int], label: int) -> bool:
    """Whether a row's mask shares a pixel with any of a class, of ``[K, H, W]``."""
    same = torch.tensor([other == label for other in labels])
    return bool((masks[same] & masks[row]).any())


def _factor(case: PasteCase, b: int, s: int) -> float:
    """What metric depth is multiplied by (design, 4.7), left to right."""
    cameras = case.target.camera_intrinsics, case.source.camera_intrinsics
    if not case.target.metric_depth or cameras[0] is None or cameras[1] is None:
        return 1.0
    (fx, fy, _, _), (gx, gy, _, _) = cameras[0][b].tolist(), cameras[1][s].tolist()
    return math.sqrt(fx * fy) / math.sqrt(gx * gy) * int(case.plan.step[b]) / 65536

"""Five wrong copy-pastes: the reference, each with one mistake that libraries make.

Each is a callable ``(target, donor, seed, config) -> (sample, audit)``, as
``segpaste verify tests.faults_five:stale_boxes`` takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from segpaste.paste import apply_reference, draw_plan
from segpaste.paste.rng import to_int64
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
)

Pasted = tuple[DenseSample, BatchAuditPacket]


@dataclass(frozen=True)
class Fault:
    """A wrong copy-paste, and the law that says what is wrong with it."""

    augment: Callable[..., Pasted]
    law: str


def correct(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """The reference itself, for comparison."""
    _, _, after, audit = _paste(target, donor, seed, config)
    return _sample(after), audit


def stale_boxes(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """Survivors that were partly covered keep the boxes of their whole masks."""
    view, _, after, audit = _paste(target, donor, seed, config)
    survivors = view.instance_valid & after.instance_valid & (_row_source(audit) < 0)
    boxes = torch.where(survivors[..., None], view.boxes, after.boxes)
    return _sample(replace(after, boxes=boxes)), audit


def raw_source_ids(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """Pasted rows keep the ids they had in the donor."""
    _, source, after, audit = _paste(target, donor, seed, config)
    if after.instance_ids is None or source.instance_ids is None:
        return _sample(after), audit
    ids = after.instance_ids.clone()
    panoptic = None if after.panoptic_maps is None else after.tensors()["panoptic_maps"].clone()
    for slot, origin in enumerate(_row_source(audit)[0].tolist()):
        if origin >= 0:
            ids[0, slot] = source.instance_ids[0, origin]
            if panoptic is not None:
                panoptic[0][after.tensors()["instance_masks"][0, slot]] = int(ids[0, slot])
    return _sample(replace(after, instance_ids=ids, panoptic_maps=panoptic)), audit  # pyright: ignore[reportArgumentType]


def unlabelled_surplus(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """There is room for one pasted row; the others are painted all the same."""
    _, _, after, audit = _paste(target, donor, seed, config)
    pasted = _row_source(audit) >= 0
    surplus = pasted & (pasted.cumsum(dim=1) > 1)
    return _sample(_without_rows(after, surplus)), audit


def ignore_painted_over(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """The paste lands on pixels that the annotators left out, too."""
    config = config or BatchCopyPasteConfig()
    if target.semantic_map is None:
        return correct(target, donor, seed, config)
    schema = config.schema_spec
    label = 0 if schema is None else next(c for c, kind in schema.classes.items() if kind == "thing")
    left_out = target.semantic_map == config.ignore_index
    open_map = torch.where(left_out, label, target.semantic_map.as_subclass(torch.Tensor))
    _, _, after, audit = _paste(_with(target, semantic_map=open_map), donor, seed, config)
    restored = left_out & ~audit.paste_union[0]
    semantic = torch.where(restored, config.ignore_index, after.tensors()["semantic_maps"][0])
    return _sample(replace(after, semantic_maps=semantic[None])), audit  # pyright: ignore[reportArgumentType]


def normals_not_negated(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None = None
) -> Pasted:
    """A mirrored donor's normals keep the sign of their x."""
    _, _, after, audit = _paste(target, donor, seed, config)
    if after.normals is None or audit.plan is None or not bool(audit.plan.hflip[0]):
        return _sample(after), audit
    normals = after.normals.clone()
    normals[0, 0] = torch.where(audit.paste_union[0], 0 - normals[0, 0], normals[0, 0])
    return _sample(replace(after, normals=normals)), audit


def _paste(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig | None
) -> tuple[PaddedBatchedDenseSample, PaddedBatchedDenseSample, PaddedBatchedDenseSample, BatchAuditPacket]:
    """Target, source, result and audit of the reference, with room for every donor row."""
    config = config or BatchCopyPasteConfig()
    slots = max(1, len(target) + len(donor))
    if config.schema_spec is not None:
        slots = min(slots, config.schema_spec.max_instances_per_image)
    view = BatchedDenseSample.from_samples([target]).to_padded(slots)
    source = BatchedDenseSample.from_samples([donor]).to_padded(len(donor))
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(view, source, torch.tensor([to_int64(seed)]), config, source_idx=first)
    after, audit = apply_reference(view, source, plan, config)
    return view, source, after, audit


def _row_source(audit: BatchAuditPacket) -> torch.Tensor:
    if audit.row_source is None:
        raise ValueError("audit.row_source: got None, expected the reference's")
    return audit.row_source


def _sample(after: PaddedBatchedDenseSample) -> DenseSample:
    return BatchedDenseSample.from_padded(after).to_samples()[0]


def _with(sample: DenseSample, **changes: Any) -> DenseSample:
    return DenseSample.unchecked(**(sample.to_dict() | changes))


def _without_rows(after: PaddedBatchedDenseSample, gone: torch.Tensor) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = after.tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        if name in fields:
            kept = ~gone.reshape(gone.shape + (1,) * (fields[name].ndim - 2))
            fields[name] = fields[name] * kept
    return PaddedBatchedDenseSample(**fields, metric_depth=after.metric_depth)


FAULTS: dict[str, Fault] = {
    "stale_boxes": Fault(stale_boxes, "instance.bbox_recomputed_from_mask"),
    "raw_source_ids": Fault(raw_source_ids, "instance.fresh_ids"),
    "unlabelled_surplus": Fault(unlabelled_surplus, "paste.every_painted_pixel_has_a_row"),
    "ignore_painted_over": Fault(ignore_painted_over, "paste.not_on_ignore"),
    "normals_not_negated": Fault(normals_not_negated, "normals.frame"),
}

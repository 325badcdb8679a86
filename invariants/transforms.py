"""Changes of a batch after which a paste must come out the same, or the same but changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import torch

from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)

_MAPS = ("images", "instance_masks", "semantic_maps", "panoptic_maps", "depth", "depth_valid", "normals")
_ROWS = ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")


def with_fields(batch: PaddedBatchedDenseSample, **changes: Any) -> PaddedBatchedDenseSample:
    """The batch with other tensors in some fields; None takes a field away."""
    fields: dict[str, Any] = batch.tensors() | changes
    fields.setdefault("metric_depth", batch.metric_depth)
    return PaddedBatchedDenseSample(**fields)


def copied(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """A deep copy."""
    return with_fields(batch, **{name: value.clone() for name, value in batch.tensors().items()})


def copied_plan(plan: PastePlan) -> PastePlan:
    """A deep copy."""
    return PastePlan(**{field.name: getattr(plan, field.name).clone() for field in fields(PastePlan)})


def transposed(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """A copy whose tensors have the same values, and their last two dimensions exchanged in memory."""
    return with_fields(batch, **{name: _transposed(value) for name, value in batch.tensors().items()})


def transposed_sample(sample: DenseSample) -> DenseSample:
    """The same of a sample, but for its boxes."""
    fields = sample.to_dict()
    plain = {n: v.as_subclass(torch.Tensor) for n, v in fields.items() if isinstance(v, torch.Tensor)}
    changes = {name: _transposed(value) for name, value in plain.items() if name != "boxes"}
    return DenseSample.unchecked(**(fields | changes))


def mirrored(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """Each sample mirrored within its valid rectangle; n_x negated; padding stays where it is."""
    fields = batch.tensors()
    width = batch.canvas_size[1]
    place = torch.arange(width, device=batch.images.device)
    padding = fields.get("padding_mask")
    if padding is None:
        valid = torch.full((batch.batch_size, 1), width, dtype=torch.int64, device=place.device)
    else:
        valid = (~padding).any(dim=2).sum(dim=-1).reshape(batch.batch_size, 1)
    # Column x of the result shows column index[b, x]; columns of padding show themselves.
    index = torch.where(place < valid, valid - 1 - place, place)
    changes: dict[str, Any] = {}
    for name in _MAPS:
        if name in fields:
            columns = index.reshape(batch.batch_size, *[1] * (fields[name].ndim - 2), width)
            changes[name] = fields[name].gather(-1, columns.expand_as(fields[name]))
    if "normals" in changes:
        inside = (place < valid).reshape(batch.batch_size, 1, width)
        x = changes["normals"][:, 0]
        changes["normals"] = changes["normals"].clone()
        changes["normals"][:, 0] = torch.where(inside, 0 - x, x)
    x1, y1, x2, y2 = fields["boxes"].unbind(dim=-1)
    span = valid.to(torch.float32)
    boxes = torch.stack([span - x2, y1, span - x1, y2], dim=-1)
    changes["boxes"] = torch.where(fields["instance_valid"][..., None], boxes, fields["boxes"])
    return with_fields(batch, **changes)


def relabelled(batch: PaddedBatchedDenseSample, table: Mapping[int, int]) -> PaddedBatchedDenseSample:
    """Classes renamed by ``table`` in rows and semantic map; what it lacks stays."""
    fields = batch.tensors()
    labels = torch.where(fields["instance_valid"], _renamed(fields["labels"], table), fields["labels"])
    changes: dict[str, Any] = {"labels": labels}
    if "semantic_maps" in fields:
        changes["semantic_maps"] = _renamed(fields["semantic_maps"], table)
    return with_fields(batch, **changes)


def relabelled_config(config: BatchCopyPasteConfig, table: Mapping[int, int]) -> BatchCopyPasteConfig:
    """The configuration with its classes renamed by ``table``."""
    panoptic = config.panoptic
    if panoptic is None:
        return config
    taxonomy = panoptic.taxonomy
    renamed = PanopticPasteConfig(
        taxonomy=PanopticSchemaSpec(
            classes={table.get(c, c): kind for c, kind in taxonomy.classes.items()},
            ignore_index=taxonomy.ignore_index,
            max_instances_per_image=taxonomy.max_instances_per_image,
        ),
        class_priority={table.get(c, c): v for c, v in panoptic.class_priority.items()},
        stuff_min_area={table.get(c, c): v for c, v in panoptic.stuff_min_area.items()},
        tau_stuff_frac=panoptic.tau_stuff_frac,
        stuff_policy=panoptic.stuff_policy,
        debug_assert_bijection=panoptic.debug_assert_bijection,
    )
    return config.model_copy(update={"panoptic": renamed})


def with_more_slots(batch: PaddedBatchedDenseSample, extra: int) -> PaddedBatchedDenseSample:
    """``extra`` unused row slots added at the end."""
    fields = batch.tensors()
    changes: dict[str, Any] = {}
    for name in _ROWS:
        if name in fields:
            value = fields[name]
            shape = (value.shape[0], extra, *value.shape[2:])
            added = torch.zeros(shape, dtype=value.dtype, device=value.device)
            changes[name] = torch.cat([value, added], dim=1)
    return with_fields(batch, **changes)


def with_longer_order(plan: PastePlan, extra: int) -> PastePlan:
    """The plan for a source with ``extra`` more slots, drawn before all the others."""
    slots = plan.order.shape[1]
    added = torch.arange(slots, slots + extra, dtype=torch.int64, device=plan.order.device)
    return replace(plan, order=torch.cat([added.expand(plan.batch_size, extra), plan.order], dim=1))


def without_rows(batch: PaddedBatchedDenseSample, ignore: int) -> PaddedBatchedDenseSample:
    """The batch with every slot unused and nothing labelled."""
    fields = batch.tensors()
    changes: dict[str, Any] = {name: torch.zeros_like(fields[name]) for name in _ROWS if name in fields}
    if "semantic_maps" in fields:
        changes["semantic_maps"] = torch.full_like(fields["semantic_maps"], ignore)
    if "panoptic_maps" in fields:
        changes["panoptic_maps"] = torch.zeros_like(fields["panoptic_maps"])
    return with_fields(batch, **changes)


def joined(batches: list[PaddedBatchedDenseSample]) -> PaddedBatchedDenseSample:
    """One batch of several, of one K, canvas and set of fields."""
    fields = [batch.tensors() for batch in batches]
    stacked: dict[str, Any] = {name: torch.cat([f[name] for f in fields]) for name in fields[0]}
    return PaddedBatchedDenseSample(**stacked, metric_depth=batches[0].metric_depth)


def chosen_plans(plan: PastePlan, index: torch.Tensor) -> PastePlan:
    """The plans of the samples ``index``, in that order."""
    fields: dict[str, Callable[[], torch.Tensor] | torch.Tensor] = {
        name: getattr(plan, name)[index] for name in PastePlan.__dataclass_fields__
    }
    return PastePlan(**fields)  # pyright: ignore[reportArgumentType]


def compact(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The batch with its used slots moved to the front, in order, and as many slots."""
    return BatchedDenseSample.from_padded(batch).to_padded(batch.max_instances)


def _renamed(values: torch.Tensor, table: Mapping[int, int]) -> torch.Tensor:
    out = values.clone()
    for old, new in table.items():
        out[values == old] = new
    return out


def _transposed(value: torch.Tensor) -> torch.Tensor:
    if value.ndim < 2:
        return value.clone()
    return value.transpose(-1, -2).clone(memory_format=torch.contiguous_format).transpose(-1, -2)

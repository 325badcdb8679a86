"""What a paste refuses, before anything is computed; the same for every executor."""

from __future__ import annotations

import torch

from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
    modality_set_name,
)


def check_views(
    target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample, config: BatchCopyPasteConfig
) -> None:
    """Refuse a target and a source view that cannot be pasted into each other.

    Raises:
        ValueError: naming the field, what was got and what is expected. Values (labels
            against the schema, ids against 2**31) are checked on the CPU only.
    """
    if torch.compiler.is_compiling():
        return
    _check_modalities(target, source)
    traits: tuple[tuple[str, object, object], ...] = (
        ("canvas (H, W)", source.canvas_size, target.canvas_size),
        ("channels", source.images.shape[1], target.images.shape[1]),
        ("image dtype", source.images.dtype, target.images.dtype),
        ("device", source.images.device, target.images.device),
    )
    for what, got, expected in traits:
        if got != expected:
            raise ValueError(f"source: got {what} {got}, expected the target's, {expected}")
    if target.depth is not None and target.metric_depth != source.metric_depth:
        raise ValueError(
            f"source.metric_depth: got {source.metric_depth}, expected the target's, "
            f"{target.metric_depth}: metric and relative depth cannot be mixed"
        )
    schema = config.schema_spec
    if schema is not None and target.max_instances > schema.max_instances_per_image:
        raise ValueError(
            f"target: got K = {target.max_instances} row slots, expected at most "
            f"max_instances_per_image = {schema.max_instances_per_image}"
        )
    if target.images.device.type == "cpu":
        _check_ids(target)
        if schema is not None:
            _check_labels("target", target, schema)
            _check_labels("source", source, schema)


def check_plan(target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample, plan: PastePlan) -> None:
    """Refuse a plan that was not made for these views.

    Raises:
        ValueError: on another batch size, number of source slots, or a source row that
            the view does not have.
    """
    if torch.compiler.is_compiling():
        return
    if plan.batch_size != target.batch_size:
        raise ValueError(f"plan: got B = {plan.batch_size}, expected the target's, {target.batch_size}")
    if plan.order.shape[1] != source.max_instances:
        raise ValueError(
            f"plan.order: got {plan.order.shape[1]} slots, expected the source's K = {source.max_instances}"
        )
    if plan.source_idx.device != target.images.device:
        raise ValueError(f"plan: got device {plan.source_idx.device}, expected {target.images.device}")
    if plan.batch_size and plan.source_idx.device.type == "cpu":
        largest = int(plan.source_idx.max())
        if largest >= source.batch_size:
            raise ValueError(f"plan.source_idx: got {largest}, expected less than {source.batch_size}")


def pastes_nothing(modalities: frozenset[Modality]) -> bool:
    """Whether a batch is left as it is: image only, or boxes without masks."""
    return modalities == {Modality.IMAGE}


def _check_modalities(target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample) -> None:
    modalities = target.active_modalities()
    if source.active_modalities() != modalities:
        raise ValueError(
            f"source: got modalities {modality_set_name(source.active_modalities())}, "
            f"expected the target's, {modality_set_name(modalities)}"
        )
    if modalities not in LEGAL_MODALITY_SETS and not pastes_nothing(modalities):
        legal = ", ".join(modality_set_name(s) for s in LEGAL_MODALITY_SETS)
        raise ValueError(
            f"target: got modalities {modality_set_name(modalities)}, expected image alone or one of {legal}"
        )
    if Modality.SEMANTIC in modalities and Modality.INSTANCE not in modalities:
        for name, view in (("target", target), ("source", source)):
            on_cpu = view.labels.device.type == "cpu"
            if on_cpu and bool(view.instance_valid.any()):
                raise ValueError(
                    f"{name}.boxes: got rows without instance_masks beside semantic_maps, "
                    "expected masks for them or no rows"
                )


def _check_ids(target: PaddedBatchedDenseSample) -> None:
    largest = -1
    for value in (target.instance_ids, target.panoptic_maps):
        if value is not None and value.numel():
            largest = max(largest, int(value.max()))
    if target.instance_ids is not None and largest + target.max_instances >= 2**31:
        raise ValueError(
            f"target.instance_ids: got {largest} with K = {target.max_instances}, "
            "expected the largest id plus K below 2**31"
        )


def _check_labels(name: str, view: PaddedBatchedDenseSample, schema: PanopticSchema) -> None:
    known = torch.tensor(sorted(schema.classes), dtype=torch.int64)
    values = view.labels[view.instance_valid]
    missing = values[~torch.isin(values, known)]
    if missing.numel():
        raise ValueError(f"{name}.labels: got {int(missing[0])}, which the schema lacks")
    if view.semantic_maps is not None:
        values = view.semantic_maps.as_subclass(torch.Tensor)
        missing = values[~torch.isin(values, known) & (values != schema.ignore_index)]
        if missing.numel():
            raise ValueError(f"{name}.semantic_maps: got {int(missing[0])}, which the schema lacks")

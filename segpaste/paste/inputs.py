"""What a paste refuses, before anything is computed; the same for every executor."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from operator import attrgetter

import numpy as np
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

_PLAN_FIELDS = tuple(f.name for f in dataclasses.fields(PastePlan))
_fields_of = attrgetter(*_PLAN_FIELDS)

_LARGEST_TABLE = 1 << 16  # labels below this are looked up in a table, others searched for
_FEW = 1 << 10


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
    if source is not target:
        _check_agreement(target, source)
    _check_modalities(target, source)
    schema = config.schema_spec
    if schema is not None and target.max_instances > schema.max_instances_per_image:
        raise ValueError(
            f"target: got K = {target.max_instances} row slots, expected at most "
            f"max_instances_per_image = {schema.max_instances_per_image}"
        )
    if target.labels.device.type == "cpu":
        _check_ids(target)
        if schema is not None:
            _check_labels("target", target, schema)
            if source is not target:
                _check_labels("source", source, schema)


def check_exact(config: BatchCopyPasteConfig) -> None:
    """Refuse a configuration that asks for harmonised images, which no executor makes.

    Raises:
        ValueError: naming what does.
    """
    if config.harmonize is not None:
        raise ValueError(
            f"config.harmonize: got {config.harmonize!r}, expected None: executors paste exactly, "
            "and segpaste.BatchCopyPaste or segpaste.augmentation.Harmonize harmonises afterwards"
        )


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
        largest = max(plan.source_idx.tolist())  # a reduction of a few numbers takes torch longer
        if largest >= source.batch_size:
            raise ValueError(f"plan.source_idx: got {largest}, expected less than {source.batch_size}")


def check_out(
    out: PaddedBatchedDenseSample,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan | None = None,
) -> None:
    """Refuse an output batch that the result does not fit into, or that an input lives in.

    Raises:
        ValueError: naming the field, what was got and what is expected.
    """
    if torch.compiler.is_compiling():
        return
    wanted, given = target.tensors(), out.tensors()
    if given.keys() != wanted.keys():
        raise ValueError(f"out: got the fields {sorted(given)}, expected the target's, {sorted(wanted)}")
    if out.metric_depth != target.metric_depth:
        raise ValueError(f"out.metric_depth: got {out.metric_depth}, expected {target.metric_depth}")
    # The fields of one batch agree with each other: shapes and device hang on these two.
    for name in ("images", "labels"):
        value, like = given[name], wanted[name]
        if value.shape != like.shape:
            raise ValueError(f"out.{name}: got shape {list(value.shape)}, expected {list(like.shape)}")
        if value.dtype != like.dtype or value.device != like.device:
            raise ValueError(
                f"out.{name}: got {value.dtype} on {value.device}, expected {like.dtype} on {like.device}"
            )
    for name, value in given.items():
        if value.requires_grad or (value.is_inference() and not torch.is_inference_mode_enabled()):
            kind = "that requires grad" if value.requires_grad else "made in inference mode"
            raise ValueError(f"out.{name}: got a tensor {kind}, expected one that may be written to")
    fields = [*given.values(), *wanted.values()]
    if source is not target:
        fields += source.tensors().values()
    if plan is not None:
        fields += _fields_of(plan)
    outputs = len(given)
    stretches: list[tuple[int, int, int]] = []  # of addresses, with the number of the field
    for n, value in enumerate(fields):
        begin = value.data_ptr()
        if value.is_contiguous():
            end = begin + value.nbytes
        elif n < outputs and _overlaps_itself(value):
            name = list(given)[n]
            raise ValueError(f"out.{name}: got strides {value.stride()}, expected memory for every element")
        else:
            end = begin + _reach(value)
        if 0 < begin < end:  # tensors of the meta device all have the address 0
            stretches.append((begin, end, n))
    stretches.sort()
    # Inputs may share memory with each other, an output with nothing.
    written_to, written, read_to, last_read = 0, -1, 0, -1
    for begin, end, n in stretches:
        is_output = n < outputs
        if begin < written_to:
            raise ValueError(_shared(written, n, out, target, source, plan))
        if is_output and begin < read_to:
            raise ValueError(_shared(n, last_read, out, target, source, plan))
        if not is_output and end > read_to:
            read_to, last_read = end, n
        if is_output and end > written_to:
            written_to, written = end, n


def _shared(
    n: int,
    other: int,
    out: PaddedBatchedDenseSample,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan | None,
) -> str:
    """The error for an output, the n-th of all fields, in the memory of another field."""
    batches = {"out": out, "target": target} | ({} if source is target else {"source": source})
    names = [f"{batch}.{name}" for batch, value in batches.items() for name in value.tensors()]
    names += [] if plan is None else [f"plan.{name}" for name in _PLAN_FIELDS]
    return f"{names[n]}: got the memory of {names[other]}, expected memory of its own"


def _reach(value: torch.Tensor) -> int:
    """The number of bytes from a tensor's first element to past its last."""
    if not value.numel():
        return 0
    last = sum((n - 1) * stride for n, stride in zip(value.shape, value.stride(), strict=True))
    return (last + 1) * value.element_size()


def _overlaps_itself(value: torch.Tensor) -> bool:
    """Whether two elements may share memory: a dimension steps over less than those within it."""
    reach = 0
    for stride, n in sorted(zip(value.stride(), value.shape, strict=True)):
        if n > 1:
            if stride <= reach:
                return True
            reach += (n - 1) * stride
    return False


def pastes_nothing(modalities: frozenset[Modality]) -> bool:
    """Whether a batch is left as it is: image only, or boxes without masks."""
    return modalities == {Modality.IMAGE}


def _check_agreement(target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample) -> None:
    modalities = target.active_modalities()
    if source.active_modalities() != modalities:
        raise ValueError(
            f"source: got modalities {modality_set_name(source.active_modalities())}, "
            f"expected the target's, {modality_set_name(modalities)}"
        )
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


def _check_modalities(target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample) -> None:
    modalities = target.active_modalities()
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
    largest, where = -1, "instance_ids"
    for name, value in (("instance_ids", target.instance_ids), ("panoptic_maps", target.panoptic_maps)):
        before = largest
        if value is not None and value.numel():
            # A few ids soonest in Python; of NumPy's ways this one is the quickest.
            if value.numel() <= _FEW:
                largest = max(largest, *(max(row) for row in value.flatten(1).tolist()))
            else:
                values = value.as_subclass(torch.Tensor).numpy()
                largest = max(largest, values.item(values.argmax()))
        where = name if largest > before else where
    if target.instance_ids is not None and largest + target.max_instances >= 2**31:
        raise ValueError(
            f"target.{where}: got {largest} with K = {target.max_instances}, "
            "expected the largest id plus K below 2**31"
        )


def _check_labels(name: str, view: PaddedBatchedDenseSample, schema: PanopticSchema) -> None:
    classes = tuple(sorted(schema.classes))
    unknown = _unknown(view.labels[view.instance_valid], classes)
    if unknown is not None:
        raise ValueError(f"{name}.labels: got {unknown}, which the schema lacks")
    if view.semantic_maps is not None:
        values = view.semantic_maps.as_subclass(torch.Tensor).flatten()
        unknown = _unknown(values, (*classes, schema.ignore_index))
        if unknown is not None:
            raise ValueError(f"{name}.semantic_maps: got {unknown}, which the schema lacks")


def _unknown(labels: torch.Tensor, known: tuple[int, ...]) -> int | None:
    """The first of the labels ``[n]`` int64 that is not known."""
    if max(known, default=0) >= _LARGEST_TABLE:
        missing = labels[~torch.isin(labels, torch.tensor(known, dtype=torch.int64, device="cpu"))]
        return int(missing[0]) if missing.numel() else None
    # One pass; a map is mostly runs of one label. torch.isin takes some thirty times as long.
    from segpaste.paste.label_kernels import first_unknown

    at = first_unknown(labels.detach().contiguous().numpy(), _table_of(known))
    return None if at < 0 else int(labels[at])


@lru_cache(maxsize=64)
def _table_of(known: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(max(known, default=0) + 1, dtype=np.uint8)
    table[list(known)] = 1
    return table

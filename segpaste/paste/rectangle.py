"""The CPU's executor: compiled loops over the rectangles that are pasted, and nothing else.

What a paste does not touch is copied once or, where it is zero, not even read. The loops
stand in ``rectangle_kernels`` and are compiled by Numba on the first call, once per machine:
the result is kept beside the module, or in the user's cache folder.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch

from segpaste.paste import rectangle_kernels as kernels
from segpaste.paste.rng import philox4x32
from segpaste.paste.span_kernels import fill_spans
from segpaste.paste.spans import words_of
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
    to_q16,
)

_LARGEST_TABLE = 1 << 16  # labels below this are looked up in a table, others searched for
_MOST_IN_TWO_BYTES = 1 << 15
_BYTES_PER_THREAD = 1 << 22  # less work than this is done before another thread has begun


def run_rectangle(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    out: PaddedBatchedDenseSample | None,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    """The executor behind :func:`segpaste.paste.apply`; its arguments have been checked.

    Uses as many threads as ``torch.get_num_threads()`` says, one sample at a time each.
    """
    given = target.tensors()
    donated = given if source is target else source.tensors()
    buffers = {} if out is None else out.tensors()
    pastes = target.batch_size > 0 and not (target.instance_masks is None and target.semantic_maps is None)
    written = _copies(given, buffers, _COPIED_BY_THE_LOOPS if pastes else frozenset())
    told = _to_tell(target) if with_audit else _nothing_to_tell()
    if pastes:
        clear = written.get("instance_masks") is buffers.get("instance_masks")
        _paste(target, source, plan, config, given, donated, written, clear, told)
    audit = _audit(target, source, plan, config, written, told) if with_audit else None
    if out is None:
        out = PaddedBatchedDenseSample(**written, metric_depth=target.metric_depth)  # pyright: ignore[reportArgumentType]
    else:
        for name, value in buffers.items():
            if value is not written[name]:
                value.copy_(written[name])
    _check_bijection(out, config)
    return out, audit


_COPIED_BY_THE_LOOPS = frozenset(("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"))


def _copies(
    given: Mapping[str, torch.Tensor], buffers: Mapping[str, torch.Tensor], later: frozenset[str]
) -> dict[str, torch.Tensor]:
    """Copies of the target's fields in contiguous memory; of those in ``later`` the memory only.

    Masks that are not in the buffers are zeros.
    """
    copies: dict[str, torch.Tensor] = {}
    for name, value in given.items():
        copy = buffers.get(name)
        if copy is not None and not copy.is_contiguous():
            copy = None
        if copy is None and name == "instance_masks":
            # NumPy's zeros are the system's: memory that is never written costs nothing.
            copy = torch.from_numpy(np.zeros(tuple(value.shape), dtype=bool))
        elif copy is None:
            copy = torch.empty(value.shape, dtype=value.dtype, device="cpu")
        if name not in later:
            copy.copy_(value.detach() if value.requires_grad else value)
        copies[name] = copy
    return copies


def _paste(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    given: Mapping[str, torch.Tensor],
    donated: Mapping[str, torch.Tensor],
    written: Mapping[str, torch.Tensor],
    clear: bool,
    audit: kernels.Audit,
) -> None:
    before = _view(given)
    donors = before if source is target else _view(donated)
    after = _view(written)
    key: Any = config  # type checkers do not see that a frozen model can be hashed
    rules = _rules(key)._replace(metric=target.metric_depth and source.metric_depth)
    drawn = _plan(plan, target, donors, config)
    each = _threads(before)

    canvas, class_mix = target.canvas_size, target.instance_masks is None
    spans = np.empty((*before.valid.shape, 4), dtype=np.int64)
    source_spans = spans
    if not class_mix:
        masks, donor_masks = words_of(before.masks), words_of(donors.masks)
        each(target.batch_size, lambda b, e: fill_spans(masks, before.valid, spans, b, e))
        if source is not target:
            source_spans = np.empty((*donors.valid.shape, 4), dtype=np.int64)
            wanted = np.zeros_like(donors.valid)
            wanted[drawn.source_idx] = donors.valid[drawn.source_idx]
            each(source.batch_size, lambda b, e: fill_spans(donor_masks, wanted, source_spans, b, e))
    # Two bytes for a pixel's winner are quicker than four, and mostly enough.
    winner_type = _nothing(np.int16 if donors.valid.shape[1] <= _MOST_IN_TWO_BYTES else np.int32, 2)
    arrays = (*before, *donors, *after, *drawn, *rules, *audit)
    each(
        target.batch_size,
        lambda b, e: kernels.paste_samples(
            *canvas, class_mix, winner_type, clear, spans, source_spans, b, e, *arrays
        ),
    )


_FIELDS = {
    "boxes": "boxes",
    "labels": "labels",
    "instance_valid": "valid",
    "instance_ids": "ids",
    "instance_masks": "masks",
    "semantic_maps": "semantic",
    "panoptic_maps": "panoptic",
    "depth": "depth",
    "depth_valid": "depth_valid",
    "normals": "normals",
    "padding_mask": "padding",
    "camera_intrinsics": "camera",
}
_PLANES = ("depth", "depth_valid", "padding_mask")  # [B, 1, H, W], seen as [B, H, W]


def _view(tensors: Mapping[str, torch.Tensor]) -> kernels.View:
    arrays: dict[str, np.ndarray] = {}
    for name, value in tensors.items():
        array = (value.detach() if value.requires_grad else value).contiguous().numpy()
        if value.dtype == torch.bool:
            array = array.view(np.uint8)
        if name in _PLANES:
            array = array[:, 0]
        if name == "images":
            arrays["image8" if value.dtype == torch.uint8 else "image32"] = array
        else:
            arrays[_FIELDS[name]] = array
    return _absent()._replace(**arrays)


@cache
def _absent() -> kernels.View:
    """A view without any modality."""
    return kernels.View(
        image8=_nothing(np.uint8, 4),
        image32=_nothing(np.float32, 4),
        boxes=_nothing(np.float32, 3),
        labels=_nothing(np.int64, 2),
        valid=_nothing(np.uint8, 2),
        ids=_nothing(np.int32, 2),
        masks=_nothing(np.uint8, 4),
        semantic=_nothing(np.int64, 3),
        panoptic=_nothing(np.int64, 3),
        depth=_nothing(np.float32, 3),
        depth_valid=_nothing(np.uint8, 3),
        normals=_nothing(np.float32, 4),
        padding=_nothing(np.uint8, 3),
        camera=_nothing(np.float64, 2),
    )


@lru_cache
def _nothing(dtype: type, ndim: int) -> np.ndarray:
    return np.zeros((0,) * ndim, dtype=dtype)


def _plan(
    plan: PastePlan, target: PaddedBatchedDenseSample, donors: kernels.View, config: BatchCopyPasteConfig
) -> kernels.Plan:
    labels = start = _nothing(np.int64, 1)
    source_idx = plan.source_idx.numpy()
    if target.instance_masks is None:
        taken = [
            _labels_taken(donors, int(s), int(key), config.ignore_index)
            for s, key in zip(source_idx, plan.mix_key, strict=True)
        ]
        labels = np.concatenate(taken)
        start = np.cumsum([0, *map(len, taken)])
    return kernels.Plan(
        source_idx=np.ascontiguousarray(source_idx),
        step=plan.step.contiguous().numpy(),
        translate=plan.translate.contiguous().numpy(),
        hflip=plan.hflip.contiguous().numpy().view(np.uint8),
        order=plan.order.contiguous().numpy(),
        count=plan.count.contiguous().numpy(),
        mix_labels=labels,
        mix_start=start,
    )


def _labels_taken(donors: kernels.View, s: int, mix_key: int, ignore: int) -> np.ndarray:
    """4.11: the labels of a source map that the mix key selects, ascending."""
    semantic = donors.semantic[s]
    padding = donors.padding[s] if donors.padding.size else _nothing(np.uint8, 2)
    found = np.empty(_LARGEST_TABLE, dtype=np.int64)
    n = kernels.labels_present(semantic, padding, np.empty(_LARGEST_TABLE, dtype=np.uint8), found)
    labels = found[:n] if n >= 0 else np.unique(semantic)
    low, high = np.int64(mix_key & 0xFFFFFFFF), np.int64((mix_key >> 32) & 0xFFFFFFFF)
    zero = np.zeros_like(labels)
    words = philox4x32((labels, zero, zero, zero), (zero + low, zero + high))
    return labels[(words[0] & 1 == 1) & (labels != ignore)]


@lru_cache(maxsize=64)
def _rules(config: BatchCopyPasteConfig) -> kernels.Rules:
    panoptic = config.panoptic
    table = {} if panoptic is None else dict(sorted(panoptic.taxonomy.classes.items()))
    priority = {} if panoptic is None else panoptic.class_priority
    stuff_min_area = {} if panoptic is None else panoptic.stuff_min_area
    classes = np.array(list(table), dtype=np.int64)
    indices = np.zeros(0, dtype=np.int32)
    if len(classes) and classes[-1] < _LARGEST_TABLE:
        indices = np.full(int(classes[-1]) + 1, -1, dtype=np.int32)
        indices[classes] = np.arange(len(classes))
    return kernels.Rules(
        classes=classes,
        is_thing=np.array([kind == "thing" for kind in table.values()], dtype=np.uint8),
        priority=np.array([priority.get(c, 0) for c in table], dtype=np.int64),
        stuff_min_area=np.array([stuff_min_area.get(c, 0) for c in table], dtype=np.int64),
        class_table=indices,
        has_schema=panoptic is not None,
        reverts=panoptic is not None and panoptic.stuff_policy == "revert",
        z_test=config.z_test,
        metric=False,
        ignore=config.ignore_index,
        tau_q16=0 if panoptic is None else to_q16(panoptic.tau_stuff_frac),
        min_area=config.min_area,
        min_pasted_area=config.min_pasted_area,
        residual_q16=to_q16(config.min_residual_area_frac),
    )


def _to_tell(target: PaddedBatchedDenseSample) -> kernels.Audit:
    """The audit of a batch that nothing has been pasted into."""
    batch, canvas, rows = target.batch_size, target.canvas_size, target.labels.shape
    nothing = _nothing_to_tell()
    return kernels.Audit(
        union=np.zeros((batch, *canvas), dtype=np.uint8),
        row_source=np.full(rows, -1, dtype=np.int64),
        row_dropped=np.zeros(rows, dtype=np.uint8),
        semantic=nothing.semantic
        if target.semantic_maps is None
        else np.zeros((batch, *canvas), dtype=np.int64),
        depth_valid=nothing.depth_valid
        if target.depth is None
        else np.zeros((batch, *canvas), dtype=np.uint8),
    )


@cache
def _nothing_to_tell() -> kernels.Audit:
    return kernels.Audit(
        union=_nothing(np.uint8, 3),
        row_source=_nothing(np.int64, 2),
        row_dropped=_nothing(np.uint8, 2),
        semantic=_nothing(np.int64, 3),
        depth_valid=_nothing(np.uint8, 3),
    )


def _audit(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    written: Mapping[str, torch.Tensor],
    told: kernels.Audit,
) -> BatchAuditPacket:
    """Inside the union image, depth and normals are the warped source's; elsewhere 0."""
    union = torch.from_numpy(told.union.view(bool))

    def painted(name: str) -> torch.Tensor | None:
        value = written.get(name)
        return None if value is None else torch.where(union[:, None], value, torch.zeros_like(value))

    with_depth, with_semantic = target.depth is not None, target.semantic_maps is not None
    intrinsics = source.camera_intrinsics
    return BatchAuditPacket(
        paste_union=union,
        row_source=torch.from_numpy(told.row_source),
        row_dropped=torch.from_numpy(told.row_dropped.view(bool)),
        warped_images=painted("images"),
        warped_semantic_maps=torch.from_numpy(told.semantic) if with_semantic else None,
        warped_depth=painted("depth"),
        warped_depth_valid=torch.from_numpy(told.depth_valid.view(bool))[:, None] if with_depth else None,
        warped_normals=painted("normals"),
        source_intrinsics=None if intrinsics is None else intrinsics[plan.source_idx],
        plan=plan,
        config=config,
    )


def _check_bijection(out: PaddedBatchedDenseSample, config: BatchCopyPasteConfig) -> None:
    if config.panoptic is None or not config.panoptic.debug_assert_bijection:
        return
    if out.panoptic_maps is None or out.instance_masks is None:
        return
    twice = int((out.instance_masks.as_subclass(torch.Tensor).sum(dim=1) > 1).sum())
    if twice:
        raise RuntimeError(f"debug_assert_bijection: {twice} pixels belong to more than one instance")


def _threads(view: kernels.View) -> Callable[[int, Callable[[int, int], None]], None]:
    """A loop over samples, in as many threads as torch may use and the work is worth."""
    wanted = torch.get_num_threads()
    if wanted > 1:
        wanted = min(wanted, sum(array.nbytes for array in view) // _BYTES_PER_THREAD)

    def each(samples: int, run: Callable[[int, int], None]) -> None:
        threads = min(wanted, samples)
        if threads < 2:
            run(0, samples)
            return
        cuts = [samples * t // threads for t in range(threads + 1)]
        pool = _pool(os.getpid(), threads)
        for done in [pool.submit(run, b, e) for b, e in itertools.pairwise(cuts)]:
            done.result()

    return each


@lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Kept between calls; a forked process has none of its parent's threads and makes its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="segpaste")

"""Making an example smaller while something stays true of it.

Works on the samples themselves, whether they were drawn or photographed: lines of pixels,
rows, slots, samples and modalities are taken away, then what is left is made plain. What
comes out is a legal input of a paste, like what went in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from segpaste.invariants import check_sample
from segpaste.paste import check_views, draw_plan
from segpaste.testing.examples import Example
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PastePlan,
)

_SEEDS = tuple(range(5))
_IDENTITY_STEP = 65536
_SMALL = 32  # a larger canvas gets fewer tries, since each of them costs more
_FINEST = 32  # and no more than this many cuts along a side
_ROW_FIELDS = ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
_FIELDS_OF = {
    Modality.INSTANCE: _ROW_FIELDS[3:],
    Modality.SEMANTIC: ("semantic_maps",),
    Modality.PANOPTIC: ("panoptic_maps",),
    Modality.DEPTH: ("depth", "depth_valid", "camera_intrinsics"),
    Modality.NORMALS: ("normals",),
}


def reduced(
    example: Example,
    wanted: Callable[[Example], bool],
    *,
    planned: bool,
    max_seconds: float,
    max_tries: int = 4000,
) -> Example:
    """The simplest example found for which ``wanted`` is still true.

    Args:
        example: where to begin; ``wanted`` is true of it.
        wanted: what must stay true. Only called on inputs that a paste accepts; one that
            breaks a law which ``example`` holds is not taken.
        planned: whether the example's plan is used (by an executor) or only its seed (by
            a callable). Since a smaller canvas changes what a seed draws, a few other
            seeds, and plans drawn from them, are tried with every cut.
        max_seconds: time after which the best so far is returned.
        max_tries: number of calls after which it is.
    """
    if example.target.batch_size == 0:
        return example
    search = _Search(example, wanted, planned, max_seconds, max_tries)
    passes = (
        _alone,
        _fewer_modalities,
        _cut_lines,
        _without_rows,
        _plainer_plan,
        _plainer_config,
        _plainer_values,
    )
    improved = True
    while improved and not search.over:
        improved = False
        for one in passes:
            improved |= search.run(one)
    return search.best


class _Search:
    """The best example so far, and how much may still be tried."""

    def __init__(
        self,
        example: Example,
        wanted: Callable[[Example], bool],
        planned: bool,
        max_seconds: float,
        max_tries: int,
    ) -> None:
        self.best = example
        self.planned = planned
        self._wanted = wanted
        self._deadline = time.monotonic() + max_seconds
        self._tries_left = max_tries
        self._known_faults = _faults(example)

    @property
    def over(self) -> bool:
        return self._tries_left <= 0 or time.monotonic() > self._deadline

    def run(self, proposals: Callable[[Example, bool], Iterator[Example]]) -> bool:
        """Accept proposals until none is accepted; whether any was."""
        any_accepted = False
        accepted = True
        while accepted and not self.over:
            accepted = False
            for proposal in proposals(self.best, self.planned):
                if self.over:
                    break
                if self._accepts(proposal):
                    self.best, accepted, any_accepted = proposal, True, True
                    break
        return any_accepted

    def _accepts(self, proposal: Example) -> bool:
        self._tries_left -= 1
        if not (_is_well_formed(proposal) and self._wanted(proposal)):
            return False
        return _faults(proposal) <= self._known_faults


def _alone(example: Example, planned: bool) -> Iterator[Example]:
    if example.target.batch_size > 1 or (example.target.batch_size == 1 and example.source.batch_size > 1):
        for index in range(example.target.batch_size):
            yield replace(example.alone(index), pair=None)


def _fewer_modalities(example: Example, planned: bool) -> Iterator[Example]:
    now = example.target.active_modalities()
    for modalities in sorted((s for s in LEGAL_MODALITY_SETS if s < now), key=len):
        gone = {name for m in now - modalities for name in _FIELDS_OF[m]}
        views = [
            _changed(batch, without=gone, metric=batch.metric_depth and Modality.DEPTH in modalities)
            for batch in (example.target, example.source)
        ]
        if Modality.INSTANCE in modalities:
            yield from _planned_anew(example, views[0], views[1], planned)


def _cut_lines(example: Example, planned: bool) -> Iterator[Example]:
    """Take a stretch of lines away, of target and source alike or of each another one."""
    for axis in (-2, -1):
        size = example.target.images.shape[axis]
        length = size // 2
        while length >= max(1, size // _FINEST):
            starts = list(range(0, size - length + 1, length))
            pairs = [(start, start) for start in starts]
            pairs += [(0, size - length), (size - length, 0)]
            if size <= 8:
                pairs += [(a, b) for a in starts for b in starts if a != b]
            for first, second in dict.fromkeys(pairs):
                target = _without_lines(example.target, axis, first, length)
                source = _without_lines(example.source, axis, second, length)
                shift = first if axis == -2 else 0, first if axis == -1 else 0
                yield from _planned_anew(example, target, source, planned, shift)
            length //= 2


def _without_rows(example: Example, planned: bool) -> Iterator[Example]:
    """Take a row slot away; what it covered becomes void where there is a panoptic map."""
    ignore = example.config.ignore_index
    for slot in reversed(range(example.target.max_instances)):
        yield from _planned_anew(
            example, _without_slot(example.target, slot, ignore), example.source, planned
        )
    for slot in reversed(range(example.source.max_instances)):
        source = _without_slot(example.source, slot, ignore)
        order = example.plan.order
        kept = order[order != slot].reshape(order.shape[0], -1)
        plan = replace(example.plan, order=torch.where(kept > slot, kept - 1, kept))
        yield from _planned_anew(replace(example, plan=plan), example.target, source, planned)


def _plainer_plan(example: Example, planned: bool) -> Iterator[Example]:
    if not planned:
        if example.seed not in _SEEDS:
            for seed in _SEEDS:
                yield replace(example, seed=seed)
        return
    plan = example.plan
    slots = torch.arange(plan.order.shape[1]).expand_as(plan.order)
    few = plan.count.clamp(max=plan.order.shape[1])
    changes: list[dict[str, torch.Tensor]] = [
        {"step": torch.full_like(plan.step, _IDENTITY_STEP), "translate": torch.zeros_like(plan.translate)},
        {"step": torch.full_like(plan.step, _IDENTITY_STEP)},
        {"translate": torch.zeros_like(plan.translate)},
        {"hflip": torch.zeros_like(plan.hflip)},
        {"order": slots.to(plan.order.device)},
        {"count": few},
        {"mix_key": torch.zeros_like(plan.mix_key)},
    ]
    for change in changes:
        if any(not torch.equal(getattr(plan, name), value) for name, value in change.items()):
            yield replace(example, plan=replace(plan, **change), seed=0)


def _plainer_config(example: Example, planned: bool) -> Iterator[Example]:
    config, plain = example.config, BatchCopyPasteConfig()
    proposals = [plain, plain.model_copy(update={"panoptic": config.panoptic})]
    if config.panoptic is not None:
        panoptic = PanopticPasteConfig(taxonomy=config.panoptic.taxonomy)
        proposals.append(config.model_copy(update={"panoptic": panoptic}))
    proposals += [
        config.model_copy(update={name: getattr(plain, name)})
        for name in type(config).model_fields
        if name != "panoptic"
    ]
    still = BatchedPlacementConfig(scale_range=(1.0, 1.0), hflip_probability=0.0)
    for placement in (still, still.model_copy(update={"hflip_probability": 1.0})):
        if config.placement in (still, plain.placement) or planned:
            break
        proposals.append(config.model_copy(update={"placement": placement}))
    for proposal in proposals:
        without_schema = proposal.panoptic is None and config.panoptic is not None
        if proposal != config and not (without_schema and config.ignore_index != plain.ignore_index):
            yield replace(example, config=proposal)


def _plainer_values(example: Example, planned: bool) -> Iterator[Example]:
    """One colour each, one depth each, every normal towards the camera, small ids."""
    plain = {
        "images": (0, 1 if example.target.images.is_floating_point() else 200),
        "depth": (2.0, 1.0),
        "depth_valid": (True, True),
    }
    for name, values in plain.items():
        views = [
            _filled(batch, name, value)
            for batch, value in zip((example.target, example.source), values, strict=True)
        ]
        yield from _if_changed(example, views[0], views[1])
    views = [_towards_camera(batch) for batch in (example.target, example.source)]
    yield from _if_changed(example, views[0], views[1])
    for name in ("padding_mask", "camera_intrinsics"):
        present = any(getattr(batch, name) is not None for batch in (example.target, example.source))
        if present and not (name == "camera_intrinsics" and example.target.metric_depth):
            views = [_changed(batch, without={name}) for batch in (example.target, example.source)]
            yield replace(example, target=views[0], source=views[1], pair=None)
    views = [_small_ids(batch) for batch in (example.target, example.source)]
    yield from _if_changed(example, views[0], views[1])


def _planned_anew(
    example: Example,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    planned: bool,
    shift: tuple[int, int] = (0, 0),
) -> Iterator[Example]:
    """The example with these views; under its own plan or seed, then under a few others."""
    smaller = replace(example, target=target, source=source, pair=None)
    plan = example.plan
    moved = replace(plan, translate=plan.translate - torch.tensor(shift, device=plan.translate.device))
    seeds = _SEEDS if max(target.canvas_size) <= _SMALL else _SEEDS[:1]
    if not planned:
        yield smaller
        for seed in seeds:
            yield replace(smaller, seed=seed)
        return
    yield replace(smaller, plan=moved)
    if any(shift):
        yield smaller
    if target.batch_size == 1 and source.batch_size == 1:
        for seed in seeds:
            yield replace(smaller, plan=_drawn(target, source, seed, example.config), seed=seed)


def _drawn(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    seed: int,
    config: BatchCopyPasteConfig,
) -> PastePlan:
    device = target.images.device
    first = torch.zeros(1, dtype=torch.int64, device=device)
    return draw_plan(target, source, torch.tensor([seed], device=device), config, source_idx=first)


def _is_well_formed(example: Example) -> bool:
    """Whether a paste accepts target and source: what a constructor or ``validate`` refuses is no input."""
    try:
        check_views(example.target, example.source, example.config)
        example.target.validate()
        example.source.validate()
    except ValueError:
        return False
    return True


def _faults(example: Example) -> frozenset[str]:
    """The laws that the inputs themselves break."""
    found: set[str] = set()
    for batch in (example.target, example.source):
        for index in range(batch.batch_size):
            reports = check_sample(batch.select(index), example.schema)
            found |= {report.name for report in reports if not report.ok}
    return frozenset(found)


def _changed(
    batch: PaddedBatchedDenseSample,
    changes: dict[str, torch.Tensor] | None = None,
    *,
    without: set[str] | None = None,
    metric: bool | None = None,
) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = batch.tensors() | (changes or {})
    for name in without or ():
        fields.pop(name, None)
    return PaddedBatchedDenseSample(**fields, metric_depth=batch.metric_depth if metric is None else metric)


def _without_lines(
    batch: PaddedBatchedDenseSample, axis: int, start: int, length: int
) -> PaddedBatchedDenseSample:
    """Without the lines ``start`` to ``start + length``; boxes follow, emptied rows go."""
    fields = batch.tensors()
    kept = [n for n in range(batch.images.shape[axis]) if not start <= n < start + length]
    index = torch.tensor(kept, device=batch.images.device)
    maps = {
        name: value.index_select(axis, index)
        for name, value in fields.items()
        if name not in (*_ROW_FIELDS[:4], "camera_intrinsics")
    }
    if "instance_masks" not in fields:
        return _changed(batch, maps)
    masks = maps["instance_masks"]
    emptied = fields["instance_masks"].flatten(2).any(dim=2) & ~masks.flatten(2).any(dim=2)
    maps["boxes"] = torch.where(masks.flatten(2).any(dim=2)[..., None], _tight(masks), fields["boxes"])
    for name in _ROW_FIELDS:
        value = maps.get(name, fields[name])
        maps[name] = value * ~emptied.reshape(emptied.shape + (1,) * (value.ndim - 2))
    return _changed(batch, maps)


def _tight(masks: torch.Tensor) -> torch.Tensor:
    """Half-open boxes ``[B, K, 4]`` of masks ``[B, K, H, W]``; empty ones get zeros."""
    sides = []
    for axis in (2, 3):  # the columns that are occupied, then the rows
        occupied = masks.any(dim=axis)
        size = occupied.shape[2]
        index = torch.arange(size, device=masks.device)
        low = torch.where(occupied, index, size).amin(dim=2)
        high = torch.where(occupied, index + 1, 0).amax(dim=2)
        sides.append((torch.minimum(low, high), high))
    (x0, x1), (y0, y1) = sides
    return torch.stack((x0, y0, x1, y1), dim=2).to(torch.float32)


def _without_slot(batch: PaddedBatchedDenseSample, slot: int, ignore: int) -> PaddedBatchedDenseSample:
    fields = batch.tensors()
    kept = torch.tensor([k for k in range(batch.max_instances) if k != slot], dtype=torch.int64)
    kept = kept.to(batch.images.device)
    changes = {name: fields[name].index_select(1, kept) for name in _ROW_FIELDS if name in fields}
    if "panoptic_maps" in fields:
        covered = fields["instance_masks"][:, slot]
        changes["panoptic_maps"] = torch.where(covered, 0, fields["panoptic_maps"])
        changes["semantic_maps"] = torch.where(covered, ignore, fields["semantic_maps"])
    return _changed(batch, changes)


def _filled(batch: PaddedBatchedDenseSample, name: str, value: float) -> PaddedBatchedDenseSample:
    fields = batch.tensors()
    return batch if name not in fields else _changed(batch, {name: torch.full_like(fields[name], value)})


def _towards_camera(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    fields = batch.tensors()
    if "normals" not in fields:
        return batch
    normals = torch.zeros_like(fields["normals"])
    normals[:, 2] = -1
    return _changed(batch, {"normals": normals})


def _small_ids(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """Ids 1, 2, ... in the order they have."""
    fields = batch.tensors()
    if "instance_ids" not in fields:
        return batch
    ids = fields["instance_ids"].clone()
    panoptic = fields["panoptic_maps"].clone() if "panoptic_maps" in fields else None
    for index in range(batch.batch_size):
        used = fields["instance_ids"][index][fields["instance_valid"][index]].tolist()
        for small, large in enumerate(sorted(used), start=1):
            ids[index][fields["instance_valid"][index] & (fields["instance_ids"][index] == large)] = small
            if panoptic is not None:
                panoptic[index][fields["panoptic_maps"][index] == large] = small
    return _changed(batch, {"instance_ids": ids} | ({} if panoptic is None else {"panoptic_maps": panoptic}))


def _if_changed(
    example: Example, target: PaddedBatchedDenseSample, source: PaddedBatchedDenseSample
) -> Iterator[Example]:
    pairs = ((example.target, target), (example.source, source))
    if any(not torch.equal(a.tensors()[n], b.tensors()[n]) for a, b in pairs for n in a.tensors()):
        yield replace(example, target=target, source=source, pair=None)

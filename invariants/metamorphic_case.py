"""What a metamorphic law judges: an augmentation, and inputs to run it on more than once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch

from segpaste.invariants.bits import differs, same
from segpaste.invariants.report import HELD, Finding, by_pixels, not_applicable, violated
from segpaste.invariants.transforms import copied, copied_plan
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
    PastePlan,
)

Apply = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig],
    tuple[PaddedBatchedDenseSample, BatchAuditPacket],
]
Augment = Callable[[DenseSample, DenseSample, int], DenseSample]


@dataclass(frozen=True, slots=True)
class MetamorphicCase:
    """Inputs for several runs of one augmentation.

    Attributes:
        target: the batch pasted into.
        source: the view pasted from; the target itself, or one of its own.
        plan: what to paste, for executors.
        config: how, for executors.
        apply: an executor; deterministic in its arguments, of which it changes none.
        augment: a black box, deterministic in its arguments.
        seed: the seed given to the black box.
    """

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan | None = None
    config: BatchCopyPasteConfig | None = None
    apply: Apply | None = None
    augment: Augment | None = None
    seed: int = 0

    def target_sample(self) -> DenseSample:
        """The first sample, for the black box; a copy of its own."""
        return dense(self.target, 0)

    def donor_sample(self) -> DenseSample:
        """The sample it is given to paste from: another one where there is one."""
        return dense(self.source, min(1, self.source.batch_size - 1))


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor and its arguments, all present."""

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig
    apply: Apply

    def run(
        self,
        target: PaddedBatchedDenseSample | None = None,
        source: PaddedBatchedDenseSample | None = None,
        plan: PastePlan | None = None,
        config: BatchCopyPasteConfig | None = None,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        """One run on copies of the arguments, some of them replaced."""
        return self.apply(
            copied(self.target if target is None else target),
            copied(self.source if source is None else source),
            copied_plan(self.plan if plan is None else plan),
            self.config if config is None else config,
        )


def executor_of(case: MetamorphicCase) -> Executor | None:
    """The executor of a case, or None if it has none (or no samples)."""
    if case.apply is None or case.plan is None or case.config is None or case.target.batch_size == 0:
        return None
    return Executor(case.target, case.source, case.plan, case.config, case.apply)


NO_EXECUTOR = not_applicable("not an executor of plans, or no samples")


def dense(batch: PaddedBatchedDenseSample, index: int) -> DenseSample:
    """Sample ``index`` as a copy, its used slots closed up."""
    return BatchedDenseSample.from_padded(copied(batch.select(index))).to_samples()[0]


def same_output(got: PaddedBatchedDenseSample, want: PaddedBatchedDenseSample, what: str) -> Finding:
    """Held if two outputs agree bit for bit; ``what`` says what was done to them."""
    mine, theirs = got.tensors(), want.tensors()
    if mine.keys() != theirs.keys():
        return violated(f"{what}: fields {sorted(mine)}, expected {sorted(theirs)}")
    if got.metric_depth != want.metric_depth:
        return violated(f"{what}: metric_depth {got.metric_depth}, expected {want.metric_depth}")
    return _same_tensors(mine, theirs, what)


def same_audit(got: BatchAuditPacket, want: BatchAuditPacket, what: str) -> Finding:
    """Held if what two audits tell of the pixels and rows agrees bit for bit."""
    names = [f.name for f in fields(BatchAuditPacket) if f.name not in ("plan", "config")]
    mine = {n: getattr(got, n) for n in names if getattr(got, n) is not None}
    theirs = {n: getattr(want, n) for n in names if getattr(want, n) is not None}
    if mine.keys() != theirs.keys():
        return violated(f"{what}: audit has {sorted(mine)}, expected {sorted(theirs)}")
    return _same_tensors(mine, theirs, what)


def same_sample(got: DenseSample, want: DenseSample, what: str) -> Finding:
    """Held if two samples agree bit for bit in every field."""
    mine, theirs = got.to_dict(), want.to_dict()
    if mine.keys() != theirs.keys():
        return violated(f"{what}: fields {sorted(mine)}, expected {sorted(theirs)}")
    for name, value in theirs.items():
        if not isinstance(value, torch.Tensor) and mine[name] != value:
            return violated(f"{what}: {name} {mine[name]}, expected {value}")
    tensors = {n: v for n, v in theirs.items() if isinstance(v, torch.Tensor)}
    return _same_tensors({n: mine[n] for n in tensors}, tensors, what, batched=False)


def first_violation(*findings: Finding) -> Finding:
    """The first finding that is violated, else held."""
    return next((f for f in findings if f.status == "violated"), HELD)


def _same_tensors(
    mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], what: str, *, batched: bool = True
) -> Finding:
    for name, want in theirs.items():
        got = mine[name]
        if same(got, want):
            continue
        if got.dtype != want.dtype or got.shape != want.shape:
            shapes = f"{got.dtype} {list(got.shape)}, expected {want.dtype} {list(want.shape)}"
            return violated(f"{what}: {name} is {shapes}")
        return _where_they_differ(name, got, want, what, batched)
    return HELD


def _where_they_differ(name: str, got: torch.Tensor, want: torch.Tensor, what: str, batched: bool) -> Finding:
    wrong = differs(got, want)
    where = wrong.nonzero()[0].tolist()
    index = tuple(where)
    values = f"{got[index].item()}, expected {want[index].item()}"
    message = f"{what}: {name}{where} is {values}; {int(wrong.sum())} of {wrong.numel()} elements differ"
    sample = wrong[where[0]] if batched else wrong
    pixels = sample.ndim >= 2 and name not in ("boxes",)
    if not pixels:
        return Finding("violated", message, count=int(wrong.sum()))
    offending = sample.reshape(-1, *sample.shape[-2:]).any(dim=0)
    return Finding("violated", message, count=by_pixels(offending, "").count, mask=offending)

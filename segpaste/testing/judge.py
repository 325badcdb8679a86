"""One example through one target, and every law's verdict on it."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from segpaste.invariants import (
    LAWS,
    InvariantReport,
    MetamorphicCase,
    check_metamorphic,
    check_moved_sample,
    check_padded,
    check_paste,
    check_provenance,
    check_sample,
    check_transform,
    laws,
)
from segpaste.invariants.transforms import copied_plan
from segpaste.testing.adapters.base import DTYPE_KEPT, ROWS_ALIGNED
from segpaste.testing.examples import Example, padded, ragged
from segpaste.testing.targets import (
    Augmentation,
    Executor,
    Returned,
    Target,
    TargetFailedError,
    copied_views,
    pair_of,
)
from segpaste.testing.tracing import traced
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
)

COMPLETES = "target.completes"
MODALITIES_KEPT = "target.modalities_kept"
KINDS = ("target", "sample", "padded", "paste", "metamorphic", "geometric", "photometric", "provenance")
TargetKind = Literal["executor", "paste", "geometric", "photometric"]

_SEVERAL_RUNS = (
    "metamorphic.same_seed_same_bits",
    "metamorphic.inputs_not_mutated",
    "metamorphic.generators_untouched",
)
"""The metamorphic laws of any callable; most of the others vary a plan."""

_OF_COLOURS = ("image.finite", "sample.shapes_agree")
"""The sample laws that a change of colours can break while every label stays as it was."""

_SEVERAL_PASTES = (
    *_SEVERAL_RUNS,
    "metamorphic.memory_layout_takes_no_part",
    "metamorphic.empty_source_is_identity",
)
"""Those of a paste; what resamples or averages may round otherwise in another layout."""

_RANK = ("not_applicable", "not_exercised", "not_decidable", "held", "violated")


@dataclass(frozen=True)
class RunnerLaw:
    """A law of the runner's own, not of :mod:`segpaste.invariants`."""

    name: str
    statement: str
    in_the_wild: str


RUNNER_LAWS: dict[str, RunnerLaw] = {
    COMPLETES: RunnerLaw(
        COMPLETES,
        "for every legal target, donor and seed the augmentation returns a sample (and, if it "
        "likes, an audit); it raises nothing",
        "samples without instances, with one row, of one pixel, with full slots or with nothing "
        "but padding raise IndexError, or come back as None",
    ),
    ROWS_ALIGNED: RunnerLaw(
        ROWS_ALIGNED,
        "what comes out has as many boxes as labels, ids and masks",
        "boxes are filtered where they leave the canvas and masks are not; instance masks are "
        "replaced by one semantic map",
    ),
    MODALITIES_KEPT: RunnerLaw(
        MODALITIES_KEPT,
        "what comes out carries every kind of label that went in",
        "a wrapper rebuilds the sample from the fields it knows, and depth or the panoptic map is gone",
    ),
    DTYPE_KEPT: RunnerLaw(
        DTYPE_KEPT,
        "the image has the dtype it had",
        "a uint8 image multiplied by an int64 mask comes out as int64; interpolation makes it float",
    ),
}
"""Laws that only a runner can judge."""


@dataclass
class Judgement:
    """What became of one example.

    Attributes:
        reports: the worst verdict of every law that was asked.
        after: what the target made of each sample judged; index as in ``reports``.
        slots: the slot of every row of each sample in ``after``.
        unions: ``[H, W]`` bool, the pixels of each sample judged that show a donor, as
            the audit says; without one, the pixels whose image changed, all of them where a
            transform returned another size, number of channels or dtype.
        seconds: time spent per kind of law, the target's own under ``"target"``.
        culprit: the input on which the target failed, where a law's variation of the
            example was that input.
    """

    reports: dict[str, InvariantReport] = field(default_factory=dict)
    after: list[DenseSample] = field(default_factory=list)
    slots: list[list[int]] = field(default_factory=list)
    unions: list[torch.Tensor | None] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    culprit: Example | None = None

    @property
    def pasted(self) -> bool:
        """Whether any pixel of any sample shows a donor."""
        return any(union is not None and bool(union.any()) for union in self.unions)

    def add(self, reports: Sequence[InvariantReport]) -> None:
        """Keep of every law the verdict that says most: violated before held before the rest."""
        for report in reports:
            known = self.reports.get(report.name)
            if known is None or _RANK.index(report.status) > _RANK.index(known.status):
                self.reports[report.name] = report

    @property
    def violated(self) -> list[InvariantReport]:
        """The violated laws' reports."""
        return [r for r in self.reports.values() if r.status == "violated"]


def law_kind(name: str) -> str:
    """The kind of a law, ``"target"`` for the runner's own."""
    law = LAWS.get(name)
    return "target" if law is None else law.kind


def law_names(only: str = "*") -> list[str]:
    """Every law of an executor whose name matches the glob, the runner's own first."""
    return applicable_laws("executor", only)


def applicable_laws(kind: TargetKind, only: str = "*") -> list[str]:
    """The laws by which a target of that kind is judged and whose names match the glob, in order.

    Args:
        kind: ``"executor"``, or what a callable does.
        only: the glob.
    """
    if kind == "executor":
        own, kinds, several = (COMPLETES,), ("sample", "padded", "paste", "metamorphic"), None
    elif kind == "paste":
        own, kinds = tuple(RUNNER_LAWS), ("sample", "paste", "metamorphic", "provenance")
        several = _SEVERAL_PASTES
    else:
        own, kinds = tuple(RUNNER_LAWS), ("sample", "metamorphic", kind)
        several = _SEVERAL_RUNS
    chosen: dict[str, tuple[str, ...] | None] = dict.fromkeys(kinds)
    chosen["metamorphic"] = several
    if kind == "photometric":
        chosen["sample"] = _OF_COLOURS
    names = [name for name in own if fnmatch.fnmatchcase(name, only)]
    for law in laws(only=only):
        if law.kind in chosen:
            among = chosen[law.kind]
            if among is None or law.name in among:
                names.append(law.name)
    return names


def every_law() -> list[str]:
    """Every law there is, the runner's own first."""
    return [*RUNNER_LAWS, *(law.name for law in laws())]


def kind_of(target: Target) -> TargetKind:
    """``"executor"``, or what a callable does."""
    return "executor" if isinstance(target, Executor) else target.kind


def judge(
    target: Target,
    example: Example,
    *,
    only: str = "*",
    metamorphic: bool = True,
    schema: PanopticSchema | None = None,
) -> Judgement:
    """Run the target on one example and judge the result by every law that matches ``only``.

    Args:
        target: what is verified.
        example: a legal input. A callable gets its first sample and that sample's donor.
        only: glob of law names; laws that do not match are not evaluated.
        metamorphic: whether to judge the laws that need several runs.
        schema: class table to judge by; the example's own by default.
    """
    judgement = Judgement()
    clock = _Clock(judgement.seconds)
    schema = schema or example.schema
    try:
        if isinstance(target, Executor):
            _judge_executor(target, example, schema, only, judgement, clock)
        else:
            _judge_augmentation(target, example, schema, only, judgement, clock)
    except TargetFailedError as failure:
        clock.lap("target")
        judgement.add(_of_runner(only, failure.law, str(failure)))
        return judgement
    if isinstance(target, Augmentation) and example.target.batch_size == 0:
        return judgement  # there was nothing to call it with
    judgement.add(_of_runner(only, COMPLETES, None))
    if metamorphic and example.target.batch_size:
        _judge_metamorphic(target, example, only, judgement)
        clock.lap("metamorphic")
    return judgement


def _judge_executor(
    target: Executor,
    example: Example,
    schema: PanopticSchema | None,
    only: str,
    judgement: Judgement,
    clock: _Clock,
) -> None:
    view, source = copied_views(example)
    after, audit = target.run(view, source, copied_plan(example.plan), example.config)
    clock.lap("target")
    batch = example.target.batch_size
    if after.batch_size != batch or audit.batch_size != batch:
        raise TargetFailedError(
            f"returned {after.batch_size} samples and an audit of {audit.batch_size}, expected B = {batch}"
        )
    judgement.unions = list(audit.paste_union.cpu())
    if _any("padded", only):
        judgement.add(check_padded(after, only=only))
        clock.lap("padded")
    for index in range(batch):
        before, result = example.target.select(index), after.select(index)
        source = example.source.select(int(example.plan.source_idx[index]))
        if _any("paste", only):
            reports = check_paste(
                before,
                result,
                audit.select(index),
                source=source,
                schema=schema,
                plan=example.plan.select(index),
                config=example.config,
                only=only,
            )
            judgement.add([_of(report, index) for report in reports])
            clock.lap("paste")
        sample = ragged(result)
        judgement.after.append(sample)
        judgement.slots.append(result.instance_valid[0].nonzero().flatten().tolist())
        if _any("sample", only):
            reports = check_sample(sample, schema, before=ragged(before), source=ragged(source), only=only)
            judgement.add([_of(report, index) for report in reports])
            clock.lap("sample")


def _judge_augmentation(
    target: Augmentation,
    example: Example,
    schema: PanopticSchema | None,
    only: str,
    judgement: Judgement,
    clock: _Clock,
) -> None:
    if example.target.batch_size == 0:
        return
    one = example.alone(0)
    returned = target.run(*pair_of(one), example.seed, example.config)
    after = returned.sample
    clock.lap("target")
    before, donor = pair_of(one)
    judgement.after.append(after)
    pastes = target.kind == "paste"
    judgement.slots.append(_slots(before, after) if pastes else list(range(len(after))))
    judgement.unions.append(_union(before, after, returned.audit, pastes))
    judgement.add(_of_result(only, before, returned))
    others = donor if target.mixes else None
    if pastes and _any("paste", only):
        judgement.add(check_paste(before, after, returned.audit, source=donor, schema=schema, only=only))
        clock.lap("paste")
    if target.kind == "photometric":
        for name in applicable_laws("photometric", only):
            if name in _OF_COLOURS:
                judgement.add(check_sample(after, schema, only=name))
        clock.lap("sample")
        reason = "not looked for: colours change"
        judgement.add(
            check_transform(
                "photometric", before, after, donor=others, trace=reason, schema=schema, only=only
            )
        )
        clock.lap("photometric")
        return
    if pastes and _any("sample", only):
        judgement.add(check_sample(after, schema, before=before, source=donor, only=only))
        clock.lap("sample")
    kind = "provenance" if pastes else "geometric"
    if not _any(kind, only) and (pastes or not _any("sample", only)):
        return

    def rerun(sample: DenseSample, other: DenseSample) -> DenseSample:
        return target.run(sample, other, example.seed, example.config).sample

    trace = traced(rerun, before, donor, after)
    if pastes:
        judgement.add(check_provenance(before, after, donor=donor, trace=trace, schema=schema, only=only))
    else:
        judgement.add(
            check_transform("geometric", before, after, donor=others, trace=trace, schema=schema, only=only)
        )
    clock.lap(kind)
    if not pastes and _any("sample", only):
        judgement.add(check_moved_sample(before, after, donor=others, trace=trace, schema=schema, only=only))
        clock.lap("sample")


def _judge_metamorphic(target: Target, example: Example, only: str, judgement: Judgement) -> None:
    asked = set(applicable_laws(kind_of(target), only))
    matching = [law for law in laws("metamorphic", only) if law.name in asked]
    if not matching:
        return
    case = metamorphic_case(target, example)
    try:
        if isinstance(target, Executor):
            judgement.add(check_metamorphic(case, only=only))
        else:
            for law in matching:
                judgement.add(check_metamorphic(case, only=law.name))
    except _Stopped as stopped:
        # One of the laws' own variations broke the target: judge them one by one.
        judgement.add(_of_runner(only, COMPLETES, stopped.reason))
        judgement.culprit = stopped.example
        for law in matching:
            with suppress(_Stopped):
                judgement.add(check_metamorphic(case, only=law.name))


def metamorphic_case(target: Target, example: Example) -> MetamorphicCase:
    """The case by which metamorphic laws run the target again; a failure leaves them at once."""
    if isinstance(target, Executor):

        def apply(
            view: PaddedBatchedDenseSample,
            source: PaddedBatchedDenseSample,
            plan: PastePlan,
            config: BatchCopyPasteConfig,
        ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
            try:
                return target.run(view, source, plan, config)
            except TargetFailedError as failure:
                culprit = replace(example, target=view, source=source, plan=plan, config=config, pair=None)
                raise _Stopped(str(failure), culprit) from failure

        view, source = copied_views(example)
        return MetamorphicCase(
            target=view,
            source=source,
            plan=copied_plan(example.plan),
            config=example.config,
            apply=apply,
            augment=None,
            seed=example.seed,
        )

    one = example.alone(0)

    def augment(sample: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        try:
            return target.run(sample, donor, seed, example.config).sample
        except TargetFailedError as failure:
            views = _one_slot_each(sample), _one_slot_each(donor)
            culprit = replace(one, target=views[0], source=views[1], seed=seed, pair=None)
            raise _Stopped(str(failure), culprit) from failure

    before, donor = pair_of(one)
    return MetamorphicCase(
        target=_one_slot_each(before),
        source=_one_slot_each(donor),
        plan=None,
        config=example.config,
        apply=None,
        augment=augment,
        seed=example.seed,
    )


class _Stopped(BaseException):
    """Leaves a law that runs the target; no Exception, for a law takes those for its own."""

    def __init__(self, reason: str, example: Example) -> None:
        self.reason = reason
        self.example = example
        super().__init__(reason)


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, kind: str) -> None:
        now = time.perf_counter()
        self._seconds[kind] = self._seconds.get(kind, 0.0) + now - self._last
        self._last = now


def _of_runner(only: str, law: str, failure: str | None) -> list[InvariantReport]:
    if not fnmatch.fnmatchcase(law, only):
        return []
    if failure is None:
        return [InvariantReport(law, "held")]
    return [InvariantReport(law, "violated", failure, count=1)]


def _of_result(only: str, before: DenseSample, returned: Returned) -> list[InvariantReport]:
    """The verdicts of the runner's own laws on a result."""
    said = {complaint.law: complaint.message for complaint in returned.complaints}
    was, now = (str(s.image.dtype).removeprefix("torch.") for s in (before, returned.sample))
    if now != was:
        said.setdefault(DTYPE_KEPT, f"image: {now}, expected {was} as before")
    gone = before.active_modalities() - returned.sample.active_modalities()
    if gone:
        names = ", ".join(sorted(modality.value for modality in gone))
        said[MODALITIES_KEPT] = f"{names}: gone, expected what went in"
    own = [law for law in RUNNER_LAWS if law != COMPLETES]
    return [report for law in own for report in _of_runner(only, law, said.get(law))]


def _one_slot_each(sample: DenseSample) -> PaddedBatchedDenseSample:
    return padded(sample, max(1, len(sample)))


def _of(report: InvariantReport, index: int) -> InvariantReport:
    return InvariantReport(
        report.name, report.status, report.message, report.count, report.mask, report.rows, index
    )


def _any(kind: str, only: str) -> bool:
    return any(fnmatch.fnmatchcase(law.name, only) for law in LAWS.values() if law.kind == kind)


def _slots(before: DenseSample, after: DenseSample) -> list[int]:
    """The slots by which the laws call the rows of a sample without slots: a row whose id
    was there before stands where it stood, the others follow.
    """
    if before.instance_ids is None or after.instance_ids is None:
        return list(range(len(after)))
    known = {identity: row for row, identity in enumerate(before.instance_ids.tolist())}
    fresh = iter(range(len(before), len(before) + len(after)))
    return [known[i] if i in known else next(fresh) for i in after.instance_ids.tolist()]


def _union(
    before: DenseSample, after: DenseSample, audit: BatchAuditPacket | None, pastes: bool
) -> torch.Tensor | None:
    if audit is not None:
        return audit.paste_union[0].cpu()
    if before.image.shape != after.image.shape or before.image.dtype != after.image.dtype:
        return None if pastes else torch.ones(after.canvas_size, dtype=torch.bool, device="cpu")
    return (before.image != after.image).as_subclass(torch.Tensor).any(dim=0).cpu()

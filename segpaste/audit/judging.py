"""The laws, on every sample: of jittering, paste and sanitizing; and on some, those of several runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torchvision import tv_tensors

from segpaste.audit.pipeline import Change, Step
from segpaste.invariants import (
    InvariantReport,
    MetamorphicCase,
    Trace,
    check_metamorphic,
    check_moved_sample,
    check_padded,
    check_paste,
    check_sample,
    check_transform,
    laws,
)
from segpaste.paste import apply_with_audit
from segpaste.testing.examples import padded, ragged
from segpaste.testing.targets import TargetFailedError
from segpaste.testing.tracing import traced
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchema,
    PastePlan,
)

STAGES = ("jittered", "pasted", "sanitized")
KINDS = ("sample", "padded", "paste", "geometric", "metamorphic", "provenance", "photometric")
MOST_DRAWN = 6
ONE_OF = 10
"""Of so many samples one is judged by the laws of several runs, which take as long as many others."""

WHY_NOT_ASKED = {
    "provenance": "the plan of every paste is known, and the paste laws judge by it",
    "photometric": "no step changes colours alone",
    "geometric": "nothing is jittered or sanitized",
    "metamorphic": f"they are asked on one sample of {ONE_OF}",
}
"""Kind of law -> why it was not asked."""

_STATUSES = ("violated", "held", "not_decidable", "not_exercised", "not_applicable")
_OF_ANY_CHANGE = ("metamorphic.same_seed_same_bits", "metamorphic.inputs_not_mutated")
_OF_THE_SEEDS = (*_OF_ANY_CHANGE, "metamorphic.generators_untouched")
_OF_THE_BATCH = "metamorphic.batch_permutation"


@dataclass(frozen=True)
class Violation:
    """One law that one sample violates.

    Attributes:
        stage: after which stage, one of :data:`STAGES`.
        step: the sample on its way.
        report: what the law says.
    """

    stage: str
    step: Step
    report: InvariantReport


@dataclass
class Verdicts:
    """What became of every law over a set.

    Attributes:
        counts: law -> status -> how often, over samples and stages; ``"not_asked"`` counts the
            samples on which a law was not asked at all.
        violations: the first violation of a law each, of the first 6 laws: those are drawn.
        first: law -> where and how it was violated first, of all that were.
        data_faults: law -> how many samples as read break it themselves; it decides nothing there.
    """

    counts: dict[str, dict[str, int]] = field(
        default_factory=lambda: {law.name: {} for kind in KINDS for law in laws(kind)}
    )
    violations: list[Violation] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)
    data_faults: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no law was violated."""
        return not any(found.get("violated") for found in self.counts.values())

    def named(self, status: str) -> list[str]:
        """The laws of one status overall: violated, held at least once, or the best that is left."""
        return [name for name, found in self.counts.items() if overall(found) == status]

    def judge(self, step: Step, schema: PanopticSchema | None) -> list[Violation]:
        """Judge one sample, and remember.

        Returns:
            What is violated.
        """
        for report in check_sample(step.raw, schema):
            if not report.ok:
                self.data_faults[report.name] = self.data_faults.get(report.name, 0) + 1
        reports = [
            *(("jittered", report) for report in _of_jittering(step, schema)),
            *(("pasted", report) for report in _of_paste(step, schema)),
            *(("sanitized", report) for report in _of_sanitizing(step, schema)),
        ]
        if step.number % ONE_OF == 0:
            reports += _of_several_runs(step)
        asked = {report.name for _, report in reports}
        for name in self.counts.keys() - asked:
            self.counts[name]["not_asked"] = self.counts[name].get("not_asked", 0) + 1
        return self._add(step, reports)

    def _add(self, step: Step, reports: Iterable[tuple[str, InvariantReport]]) -> list[Violation]:
        found: list[Violation] = []
        for stage, report in reports:
            counts = self.counts[report.name]
            if report.status == "violated":
                one = Violation(stage, step, report)
                found.append(one)
                if report.name not in self.first:
                    self.first[report.name] = f"{stage}, {step.name}: {report.message}"
                    if len(self.violations) < MOST_DRAWN:
                        self.violations.append(one)
            counts[report.status] = counts.get(report.status, 0) + 1
        return found


def overall(counts: dict[str, int]) -> str:
    """One status for a law over many samples; ``"not_asked"`` if it was asked on none."""
    return next((status for status in _STATUSES if counts.get(status)), "not_asked")


def _of_jittering(step: Step, schema: PanopticSchema | None) -> list[InvariantReport]:
    """The sample laws on what goes into the paste; with jittering the geometric laws, too."""
    if step.rejitter is None or step.jittered is None:
        reason = "nothing is jittered"
        return check_moved_sample(step.raw, ragged(step.before), trace=reason, schema=schema)
    trace = _trace(step.rejitter, step.raw, step.jittered)
    return [
        *check_transform("geometric", step.raw, step.jittered, trace=trace, schema=schema),
        *check_moved_sample(step.raw, ragged(step.before), trace=trace, schema=schema),
    ]


def _of_paste(step: Step, schema: PanopticSchema | None) -> list[InvariantReport]:
    before, donor, pasted = ragged(step.before), ragged(step.donor), ragged(step.pasted)
    return [
        *check_padded(step.pasted),
        *check_paste(step.before, step.pasted, step.audit, source=step.donor, schema=schema),
        *check_sample(pasted, schema, before=before, source=donor),
    ]


def _of_sanitizing(step: Step, schema: PanopticSchema | None) -> list[InvariantReport]:
    """The sample laws on what comes out; the geometric laws of a change that moves no pixel."""
    pasted = ragged(step.pasted)
    found = check_sample(step.final, schema, before=pasted, source=ragged(step.donor))
    if step.resanitize is not None:
        trace = _trace(step.resanitize, pasted, step.final)
        found += check_transform("geometric", pasted, step.final, trace=trace, schema=schema)
    return found


def _of_several_runs(step: Step) -> list[tuple[str, InvariantReport]]:
    """The metamorphic laws: of a sample's paste by its plan, and of its batch's by its seeds."""
    found: list[tuple[str, InvariantReport]] = []
    for stage, change, given in (
        ("jittered", step.rejitter, step.raw),
        ("sanitized", step.resanitize, ragged(step.pasted)),
    ):
        if change is not None:
            case = _case_of_change(change, given)
            found += [
                (stage, report) for law in _OF_ANY_CHANGE for report in check_metamorphic(case, only=law)
            ]
    plan, config = step.audit.plan, step.audit.config
    if plan is None or config is None:
        return found
    alone = MetamorphicCase(
        target=step.before,
        source=step.donor,
        plan=replace(plan, source_idx=torch.zeros_like(plan.source_idx)),
        config=config,
        apply=apply_with_audit,
    )
    of_one = [law.name for law in laws("metamorphic") if law.name != _OF_THE_BATCH]
    found += [("pasted", report) for law in of_one for report in check_metamorphic(alone, only=law)]
    batch = step.batch
    several = MetamorphicCase(batch.target, batch.source, batch.plan, config, apply_with_audit)
    found += [("pasted", report) for report in check_metamorphic(several, only=_OF_THE_BATCH)]

    def repaste(
        target: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample,
        plan: PastePlan,
        config: BatchCopyPasteConfig,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        return batch.repaste(target)

    again = replace(several, source=batch.target.select(0), apply=repaste)
    found += [("pasted", report) for law in _OF_THE_SEEDS for report in check_metamorphic(again, only=law)]
    return found


def _case_of_change(change: Change, sample: DenseSample) -> MetamorphicCase:
    one = padded(sample, max(1, len(sample)))

    def augment(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        return change(target)

    return MetamorphicCase(target=one, source=one, augment=augment)


def _trace(change: Change, before: DenseSample, after: DenseSample) -> Trace | str:
    """Where every pixel came from: the same change, with the same draw, of the provenance image.

    It is a float32 image of three channels whatever the sample's is: one of uint8 would not
    hold the columns of a photograph.
    """

    def rerun(sample: DenseSample, other: DenseSample) -> DenseSample:
        try:
            return change(sample)
        except Exception as error:
            raise TargetFailedError(f"raised {type(error).__name__}: {error}") from error

    values = before.to_dict()
    values["image"] = tv_tensors.Image(torch.zeros((3, *before.canvas_size), dtype=torch.float32))
    blank = DenseSample.unchecked(**values)
    return traced(rerun, blank, blank, after)

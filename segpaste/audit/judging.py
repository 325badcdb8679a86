"""Every law that applies, on every sample: after jittering, after the paste, after sanitizing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from segpaste.audit.pipeline import Step
from segpaste.invariants import (
    InvariantReport,
    check_moved_sample,
    check_padded,
    check_paste,
    check_sample,
    laws,
)
from segpaste.testing.examples import ragged
from segpaste.types import PanopticSchema

STAGES = ("jittered", "pasted", "sanitized")
KINDS = ("sample", "padded", "paste")
_MOST_KEPT = 6


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
        counts: law -> status -> how often, over samples and stages.
        violations: the first of every law, up to 6.
        data_faults: law -> how many samples as read break it themselves; it decides nothing there.
    """

    counts: dict[str, dict[str, int]] = field(
        default_factory=lambda: {law.name: {} for kind in KINDS for law in laws(kind)}
    )
    violations: list[Violation] = field(default_factory=list)
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
        before, donor, pasted = ragged(step.before), ragged(step.donor), ragged(step.pasted)
        found = self._add(
            "jittered", step, check_moved_sample(step.raw, before, trace="not looked for", schema=schema)
        )
        found += self._add(
            "pasted",
            step,
            [
                *check_padded(step.pasted),
                *check_paste(step.before, step.pasted, step.audit, source=step.donor, schema=schema),
                *check_sample(pasted, schema, before=before, source=donor),
            ],
        )
        found += self._add("sanitized", step, check_sample(step.final, schema, before=pasted, source=donor))
        return found

    def _add(self, stage: str, step: Step, reports: Iterable[InvariantReport]) -> list[Violation]:
        found: list[Violation] = []
        for report in reports:
            counts = self.counts[report.name]
            if report.status == "violated":
                one = Violation(stage, step, report)
                found.append(one)
                if not counts.get("violated") and len(self.violations) < _MOST_KEPT:
                    self.violations.append(one)
            counts[report.status] = counts.get(report.status, 0) + 1
        return found


def overall(counts: dict[str, int]) -> str:
    """One status for a law over many samples."""
    for status in ("violated", "held", "not_decidable", "not_exercised"):
        if counts.get(status):
            return status
    return "not_applicable"

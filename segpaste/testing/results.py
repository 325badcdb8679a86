"""What a run says: a verdict per law and target, and the evidence for each violation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from segpaste.invariants import InvariantReport, InvariantViolation
from segpaste.testing.examples import Example
from segpaste.types import DenseSample

Status = Literal[
    "passed",
    "failed",
    "expected",
    "unexpectedly passed",
    "not exercised",
    "not decidable",
    "not applicable",
]


@dataclass(frozen=True)
class MinimalCase:
    """The smallest example known to violate a law.

    Attributes:
        example: the input.
        report: the law's report on it; ``sample`` is the offending sample of the batch.
        before: the offending sample.
        donor: what was pasted into it or mixed with it; None where nothing is.
        after: what the target made of it; None if it made nothing.
        rows: the offending rows, as rows of ``after``.
        how: the plan or the seed, in a line.
        code: Python source that builds the input again, runs the target and prints the
            law's verdict.
        replay_id: eight hexadecimal digits, a digest of the target's name and ``code``.
        stored: the file that holds the input, for ``segpaste replay`` and ``segpaste show``.
    """

    example: Example
    report: InvariantReport
    before: DenseSample
    donor: DenseSample | None
    after: DenseSample | None
    rows: tuple[int, ...]
    how: str
    code: str
    replay_id: str
    stored: Path | None = None


@dataclass(frozen=True)
class Result:
    """One law on one target.

    Attributes:
        law: dotted name.
        kind: what it judges: ``target``, ``sample``, ``padded``, ``paste``, ``metamorphic``,
            ``geometric``, ``photometric``, ``provenance``.
        target: name of what was verified.
        status: ``"failed"`` if any example violates it; ``"passed"`` if some example
            exercised it and none violated it; ``"not decidable"`` and ``"not exercised"``
            if no example did; ``"not applicable"`` if it never came into question.
            ``"expected"`` if it failed and was expected to, ``"unexpectedly passed"`` if it
            passed and was expected to fail.
        tried: examples on which the law was evaluated.
        exercised: examples on which it held or was violated.
        violations: examples that violate it, before shrinking.
        seconds: time spent on the examples tried: drawing, running the target, judging
            by all laws of this kind.
        violation: the message of the minimal case; None unless violated.
        reason: why, where there is no verdict; for an expected failure the reason given.
        first: the first violation met, before shrinking: its example and message.
        minimal: the smallest violating example; None unless violated.
    """

    law: str
    kind: str
    target: str
    status: Status
    tried: int = 0
    exercised: int = 0
    violations: int = 0
    seconds: float = 0.0
    violation: str | None = None
    reason: str | None = None
    first: str | None = None
    minimal: MinimalCase | None = field(default=None, repr=False)

    @property
    def examples(self) -> int:
        """Examples on which the law was evaluated; ``tried`` by another name."""
        return self.tried

    @property
    def examples_per_second(self) -> float:
        """How fast this law was tried, drawing and running the target included."""
        return self.tried / self.seconds if self.seconds > 0 else 0.0

    @property
    def replay_id(self) -> str | None:
        """Short name of the minimal case."""
        return None if self.minimal is None else self.minimal.replay_id


@dataclass(frozen=True)
class GroupCount:
    """How many examples came from one place.

    Attributes:
        group: ``"drawn"`` or the name of a data set.
        examples: how many were tried.
        pasted: how many of them showed the donor in at least one pixel.
    """

    group: str
    examples: int
    pasted: int


@dataclass(frozen=True)
class Exhibit:
    """An example that went well, kept to be looked at.

    Attributes:
        title: what it is an example of.
        before, after: what went in and what came out.
        donor: what was pasted or mixed in; None where nothing is.
        union: ``[H, W]`` bool, the pixels that show the donor; None where none does.
        example: the whole example.
    """

    title: str
    before: DenseSample
    donor: DenseSample | None
    after: DenseSample
    union: torch.Tensor | None
    example: Example


@dataclass(frozen=True)
class TargetReport:
    """All verdicts on one target.

    Attributes:
        target: its name.
        results: one per law, in the order of the catalogue.
        groups: how many examples came from where.
        exhibits: examples to look at.
        seconds: time the target took, shrinking included.
        notes: what else there is to say of the examples.
        kind: ``"executor"``, or what the callable does.
    """

    target: str
    results: tuple[Result, ...]
    groups: tuple[GroupCount, ...]
    exhibits: tuple[Exhibit, ...]
    seconds: float
    notes: tuple[str, ...] = ()
    kind: str = "executor"

    @property
    def failed(self) -> tuple[Result, ...]:
        """The violated laws that were not expected to be."""
        return tuple(r for r in self.results if r.status == "failed")

    @property
    def stale(self) -> tuple[Result, ...]:
        """The laws that were expected to fail and hold."""
        return tuple(r for r in self.results if r.status == "unexpectedly passed")

    @property
    def ok(self) -> bool:
        """Whether every law held that was expected to, and no other."""
        return not self.failed and not self.stale

    def count(self, status: Status) -> int:
        """How many laws have this status."""
        return sum(r.status == status for r in self.results)


@dataclass(frozen=True)
class RunHeader:
    """What was run, and with what.

    Attributes:
        targets: names, in order.
        modalities: names of the modality sets drawn from.
        only: glob of law names.
        seed: seed of every stream of examples.
        examples: drawn examples per target.
        real_examples: examples per target made of real data.
        device: ``cpu`` or ``cuda``, with the GPU's name.
        versions: of segpaste, python, torch, torchvision, hypothesis, numpy.
        data: one line per data set.
        folders: the folders the data sets were read from, as given on the command line.
        skipped: one line per record that could not be read and was left out.
        notes: what else a reader of the report should know.
    """

    targets: tuple[str, ...]
    modalities: tuple[str, ...]
    only: str
    seed: int
    examples: int
    real_examples: int
    device: str
    versions: dict[str, str]
    data: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunReport:
    """A whole run."""

    header: RunHeader
    targets: tuple[TargetReport, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether no law was violated but those expected to be, and all of those."""
        return all(t.ok for t in self.targets)


class AugmentationViolation(InvariantViolation):
    """An augmentation violates laws; one line each, and how to see the whole of it.

    Attributes:
        results: the failed results, with their minimal cases, and those that passed though
            they were expected to fail.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self.results = tuple(results)
        super().__init__([r.minimal.report for r in results if r.minimal is not None])

    def __str__(self) -> str:
        failed = [result for result in self.results if result.status != "unexpectedly passed"]
        lines = []
        if failed:
            count = "1 law" if len(failed) == 1 else f"{len(failed)} laws"
            lines.append(f"{count} violated by {failed[0].target}:")
        for result in failed:
            lines.append(f"  {result.violation} (on {result.violations} of {result.tried} examples)")
            minimal = result.minimal
            if minimal is not None:
                lines.append(f"    minimal example {minimal.replay_id}: {minimal.example.where}")
                if minimal.stored is not None:
                    lines.append(f"    see it: segpaste show {minimal.stored}")
                    lines.append(f"    run it again: segpaste replay {minimal.replay_id}")
        if any(result.minimal is not None for result in failed):
            lines.append("  `print(error.results[0].minimal.code)` reproduces the first")
        for result in self.results:
            if result.status == "unexpectedly passed":
                lines.append(f"[{result.law}] {result.target}: {result.reason}")
        return "\n".join(lines)

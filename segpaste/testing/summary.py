"""The sentences that every report of a run shares."""

from __future__ import annotations

import shlex

from segpaste.testing.examples import DRAWN
from segpaste.testing.results import Result, RunReport, Status, TargetReport

KIND_TITLES = {
    "target": "the target itself",
    "sample": "sample laws: one output alone",
    "padded": "padded laws: one padded batch alone",
    "paste": "paste laws: before, after and audit",
    "metamorphic": "metamorphic laws: several runs",
    "geometric": "geometric laws: labels move with the image",
    "photometric": "photometric laws: labels stay as they are",
    "provenance": "provenance laws: what every pixel shows",
}

_STATUSES: tuple[Status, ...] = (
    "passed",
    "failed",
    "expected",
    "unexpectedly passed",
    "not exercised",
    "not decidable",
    "not applicable",
)


def grouped(report: TargetReport) -> list[tuple[str, list[Result]]]:
    """The results under the title of their kind, in the order of the catalogue."""
    groups = [(title, [r for r in report.results if r.kind == kind]) for kind, title in KIND_TITLES.items()]
    return [(title, results) for title, results in groups if results]


def verdict(report: TargetReport) -> str:
    """How many laws passed, failed and so on."""
    counts = [(report.count(status), status) for status in _STATUSES]
    said = {"expected": "failed as expected"}
    named = [f"{n} {said.get(status, status)}" for n, status in counts if n or status in ("passed", "failed")]
    return f"{report.target}: {', '.join(named)} of {len(report.results)} laws in {report.seconds:.0f} s"


def examples_line(report: TargetReport) -> str:
    """How many examples were tried, and in how many anything was pasted or changed."""
    pastes = report.kind in ("executor", "paste")
    what = "with a non-empty paste union" if pastes else "in which the image changed"
    return "; ".join(f"{g.group}: {g.examples} examples, {g.pasted} {what}" for g in report.groups)


def warnings(report: TargetReport) -> list[str]:
    """What makes the verdicts on a target say less than they seem to."""
    judged = any(r.kind == "paste" and r.tried for r in report.results)
    if not judged or sum(pasted_total(report)):
        return list(report.notes)
    return [
        *report.notes,
        "warning: no example had a non-empty paste union: the laws of pasting were not put to the test",
    ]


def pasted_total(report: TargetReport) -> tuple[int, int]:
    """Non-empty paste unions among drawn examples, and among real ones."""
    drawn = sum(g.pasted for g in report.groups if g.group == DRAWN)
    return drawn, sum(g.pasted for g in report.groups) - drawn


def replay_line(result: Result, report: RunReport) -> str:
    """The command that runs this violation again, under its replay id.

    Where its input is stored, that input; where it could not be, the run that found it.
    """
    if result.minimal is not None and result.minimal.stored is not None:
        return f"replay {result.replay_id}: segpaste replay {result.replay_id}"
    header = report.header
    command = ["segpaste", "verify", result.target, "--only", result.law, "--seed", str(header.seed)]
    command += ["--examples", str(header.examples)]
    kinds = {target.target: target.kind for target in report.targets}
    if kinds.get(result.target) in ("geometric", "photometric"):
        command += ["--kind", kinds[result.target]]
    if len(header.modalities) < 16:
        command += ["--modalities", ",".join(header.modalities)]
    for folder in header.folders:
        command += ["--data", folder]
    if not header.device.startswith("cpu"):
        command += ["--device", "cuda"]
    return f"replay {result.replay_id}: {shlex.join(command)}"


def rate(result: Result) -> str:
    """Examples per second, or a dash."""
    return f"{result.examples_per_second:.0f}" if result.tried else "-"

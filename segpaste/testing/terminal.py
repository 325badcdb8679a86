"""The run as it happens, and its table: with rich on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import sys
import textwrap
import time
from typing import TextIO

from segpaste.testing.events import (
    Event,
    ExampleJudged,
    RunFinished,
    RunStarted,
    ShrinkStarted,
    TargetFinished,
    TargetStarted,
)
from segpaste.testing.results import Result, RunHeader, RunReport, TargetReport
from segpaste.testing.summary import examples_line, grouped, rate, replay_line, verdict, warnings

_WIDTH = 100
_LINE_EVERY_SECONDS = 5.0
_COLOURS = {
    "passed": "green",
    "failed": "bold red",
    "expected": "green",
    "unexpectedly passed": "bold red",
    "not exercised": "yellow",
    "not decidable": "yellow",
    "not applicable": "dim",
}


def terminal_reporter(stream: TextIO | None = None) -> PlainReporter | RichReporter:
    """The reporter for ``stream`` (standard output): rich if it is a terminal."""
    out: TextIO = stream or sys.stdout
    return RichReporter(out) if out.isatty() else PlainReporter(out)


class PlainReporter:
    """Lines of plain text, no control characters; a line of progress every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            for line in header_lines(event.header):
                self._write(line)
        elif isinstance(event, TargetStarted):
            self._write(f"{event.target}: {event.examples} examples")
            self._last = time.monotonic()
        elif isinstance(event, ExampleJudged):
            for law in event.violated:
                self._write(f"{event.target}: {law} violated at example {event.done}")
            now = time.monotonic()
            if event.done == event.total or now - self._last >= _LINE_EVERY_SECONDS:
                self._last = now
                self._write(f"{event.target}: {event.done} of {event.total} examples ({event.group})")
        elif isinstance(event, ShrinkStarted):
            self._write(f"{event.target}: looking for the smallest example that violates {event.law}")
        elif isinstance(event, RunFinished):
            self._finish(event.report)

    def _finish(self, report: RunReport) -> None:
        for target in report.targets:
            self._write("")
            for line in table_lines(target):
                self._write(line)
            self._write("")
            for line in closing_lines(target, report):
                self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class RichReporter:
    """A progress bar while it runs, then the table in colour."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False)
        self._progress = None
        self._task = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            for line in header_lines(event.header):
                self._console.print(line, style="dim", markup=False)
        elif isinstance(event, TargetStarted):
            self._start(event)
        elif isinstance(event, ExampleJudged) and self._progress is not None and self._task is not None:
            from rich.text import Text

            for law in event.violated:  # a Text, for a style would colour the bar as well
                self._progress.console.print(Text(f"{law} violated at example {event.done}", "red"))
            self._progress.update(self._task, completed=event.done, what=event.group)
        elif isinstance(event, ShrinkStarted) and self._progress is not None and self._task is not None:
            self._progress.update(self._task, what=f"shrinking {event.law}")
        elif isinstance(event, TargetFinished):
            self.stop()
        elif isinstance(event, RunFinished):
            for target in event.report.targets:
                self._finish(target, event.report)

    def stop(self) -> None:
        """Take the progress bar away; also when the run was interrupted."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _start(self, event: TargetStarted) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            console=self._console,
        )
        self._task = self._progress.add_task(event.target, total=event.examples, what="")
        self._progress.start()

    def _finish(self, target: TargetReport, report: RunReport) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        for title, results in grouped(target):
            table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
            table.add_column("law", overflow="fold", min_width=48)
            table.add_column("status", no_wrap=True, min_width=14)
            table.add_column("exercised / tried", justify="right", no_wrap=True)
            table.add_column("examples/s", justify="right", no_wrap=True)
            for result in results:
                status = f"[{_COLOURS[result.status]}]{result.status}[/]"
                table.add_row(result.law, status, f"{result.exercised} / {result.tried}", rate(result))
            self._console.print(table)
        for line in closing_lines(target, report):
            style = "red" if line.startswith("[") else "yellow" if line.startswith("warning: ") else None
            self._console.print(line, style=style, markup=False)


def header_lines(header: RunHeader) -> list[str]:
    """What is run, with what."""
    versions = ", ".join(f"{name} {number}" for name, number in header.versions.items())
    lines = [versions, f"seed {header.seed}, device {header.device}"]
    sets = header.modalities
    lines.append(
        f"drawn: {header.examples} examples per target over {len(sets)} modality sets"
        if len(sets) != 1
        else f"drawn: {header.examples} examples per target, {sets[0]}"
    )
    if header.data:
        lines.append(f"real: {header.real_examples} examples per target")
    lines += [f"  {line}" for line in header.data]
    if header.skipped:
        lines.append(f"skipped: {len(header.skipped)} bad records")
        lines += [f"  {line}" for line in header.skipped[:10]]
        if len(header.skipped) > 10:
            lines.append(f"  and {len(header.skipped) - 10} more")
    return lines + list(header.notes)


def table_lines(target: TargetReport) -> list[str]:
    """The table of one target as plain text of at most 100 columns."""
    lines = []
    status = max(15, *(len(result.status) for result in target.results)) if target.results else 15
    for title, results in grouped(target):
        lines += [title, f"  {'law':<52} {'status':<{status}} {'exercised / tried':>17} {'ex/s':>7}"]
        for result in results:
            counts = f"{result.exercised} / {result.tried}"
            lines.append(f"  {result.law:<52} {result.status:<{status}} {counts:>17} {rate(result):>7}")
    return lines


def closing_lines(target: TargetReport, report: RunReport) -> list[str]:
    """What failed and how to see it again, what had no verdict, and the summary."""
    lines: list[str] = []
    for result in target.failed:
        lines += _failure_lines(result, report)
    for result in target.stale:
        lines += textwrap.wrap(f"[{result.law}] {result.reason}", _WIDTH, subsequent_indent="  ")
    for status in ("expected", "not exercised", "not decidable"):
        reasons = [r for r in target.results if r.status == status and r.reason]
        said = "failed as expected" if status == "expected" else status
        lines += [f"{said}: {r.law}: {r.reason}" for r in reasons]
    return [*lines, examples_line(target), *warnings(target), verdict(target)]


def _failure_lines(result: Result, report: RunReport) -> list[str]:
    lines = textwrap.wrap(result.violation or "", _WIDTH, subsequent_indent="  ") or [""]
    lines.append(f"  on {result.violations} of {result.tried} examples")
    if result.minimal is not None:
        lines.append(f"  smallest: {result.minimal.example.where}")
    return [*lines, f"  {replay_line(result, report)}"]

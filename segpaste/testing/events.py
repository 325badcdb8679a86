"""What the engine tells while it runs; reporters and callbacks listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segpaste.testing.results import RunHeader, RunReport, TargetReport


@dataclass(frozen=True)
class RunStarted:
    """Before the first example."""

    header: RunHeader


@dataclass(frozen=True)
class TargetStarted:
    """Before the first example of a target, of ``examples``."""

    target: str
    examples: int


@dataclass(frozen=True)
class ExampleJudged:
    """After an example: ``done`` of ``total``, and which laws it was the first to violate."""

    target: str
    group: str
    done: int
    total: int
    violated: tuple[str, ...]


@dataclass(frozen=True)
class ShrinkStarted:
    """Before the smallest example that violates ``law`` is looked for."""

    target: str
    law: str


@dataclass(frozen=True)
class TargetFinished:
    """After the last example of a target."""

    report: TargetReport


@dataclass(frozen=True)
class RunFinished:
    """After everything."""

    report: RunReport


Event = RunStarted | TargetStarted | ExampleJudged | ShrinkStarted | TargetFinished | RunFinished
Listener = Callable[[Event], None]

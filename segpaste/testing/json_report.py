"""The run as JSON, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segpaste.testing.events import Event, RunFinished
from segpaste.testing.files import write_whole
from segpaste.testing.results import Result, RunReport
from segpaste.testing.summary import pasted_total, replay_line, warnings

FORMAT = 1
"""Raised when a key changes its meaning or goes away; new keys may come at any time."""


class JsonReporter:
    """Writes the finished run to a file, all of it or nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            write_whole(self._path, json.dumps(run_as_dict(event.report), indent=2) + "\n")


def run_as_dict(report: RunReport) -> dict[str, Any]:
    """The run in plain types; ``docs/verify.md`` describes the keys."""
    header = asdict(report.header)
    return {
        "format": FORMAT,
        "ok": report.ok,
        "seconds": round(report.seconds, 3),
        **{name: list(value) if isinstance(value, tuple) else value for name, value in header.items()},
        "targets": [
            {
                "target": target.target,
                "kind": target.kind,
                "ok": target.ok,
                "seconds": round(target.seconds, 3),
                "examples": [asdict(group) for group in target.groups],
                "non_empty_unions": dict(zip(("drawn", "real"), pasted_total(target), strict=True)),
                "notes": warnings(target),
                "laws": [_result_as_dict(result, report) for result in target.results],
            }
            for target in report.targets
        ],
    }


def _result_as_dict(result: Result, report: RunReport) -> dict[str, Any]:
    values: dict[str, Any] = {
        "law": result.law,
        "kind": result.kind,
        "status": result.status,
        "tried": result.tried,
        "exercised": result.exercised,
        "violations": result.violations,
        "examples_per_second": round(result.examples_per_second, 3),
        "reason": result.reason,
        "first_violation": result.first,
        "violation": result.violation,
        "replay_id": result.replay_id,
        "replay": None,
        "stored": None,
        "minimal": None,
    }
    if result.minimal is not None:
        minimal = result.minimal
        values["replay"] = replay_line(result, report).partition(": ")[2]
        values["stored"] = None if minimal.stored is None else str(minimal.stored)
        values["minimal"] = {
            "where": minimal.example.where,
            "seed": minimal.example.seed,
            "message": minimal.report.message,
            "code": minimal.code,
        }
    return values

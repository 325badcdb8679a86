"""One part of the field report: the cases of the libraries that can be imported here, through the kit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from scripts.field.cases import CASES, OURS, Case, installed
from scripts.field.findings import FINDINGS, Finding
from segpaste.testing import Result, check_augmentation
from segpaste.testing.pictures import violation_strip
from segpaste.testing.replays import VARIABLE
from segpaste.testing.stored import SUFFIX
from segpaste.version import VERSION
from segpaste.viz import png_bytes

ROOT = Path(__file__).resolve().parent.parent.parent
SNIPPETS = Path(__file__).resolve().parent / "snippets"


def here(only: str | None = None) -> list[Case]:
    """The cases whose distribution is installed, or of these the ones of distribution ``only``."""
    return [
        case
        for case in CASES.values()
        if (only is None or case.package == only) and (case.package == OURS or installed(case.package))
    ]


def run_part(package: str, folder: Path, *, examples: int, seed: int, say: Any) -> dict[str, Any]:
    """All cases of one distribution.

    Args:
        package: the distribution.
        folder: where pictures go, and stored violations below it in ``replays``.
        examples: drawn examples a case.
        seed: decides them.
        say: called with a line about each case.

    Returns:
        What is written to the JSON of the report under the part's name.
    """
    cases = {case.name: _run(case, folder, examples=examples, seed=seed, say=say) for case in here(package)}
    return {
        "library": package,
        "version": VERSION if package == OURS else installed(package),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "segpaste": VERSION,
        },
        "examples": examples,
        "seed": seed,
        "cases": cases,
        "snippets": {f.name: _said(f) for f in FINDINGS.values() if f.package == package and f.snippet},
    }


def _run(case: Case, folder: Path, *, examples: int, seed: int, say: Any) -> dict[str, Any]:
    replays = folder / "replays"
    replays.mkdir(parents=True, exist_ok=True)
    before, os.environ[VARIABLE] = os.environ.get(VARIABLE), str(replays)
    try:
        results = check_augmentation(
            case.target, kind=case.kind, examples=examples, seed=seed, on_fail="record"
        )
    finally:
        os.environ.pop(VARIABLE) if before is None else os.environ.update({VARIABLE: before})
    broken = [_broken(case, result, folder) for result in results if result.status == "failed"]
    held = {r.law: r.exercised for r in results if r.status == "passed"}
    say(f"{case.package}: {case.name}: {len(held)} held, {len(broken)} broken")
    return {
        "transform": case.transform,
        "kind": case.kind,
        "given": case.given,
        "target": case.target,
        "broken": broken,
        "held": held,
        "not decidable": _reasons(results, "not decidable"),
        "not exercised": _reasons(results, "not exercised"),
    }


def _reasons(results: list[Result], status: str) -> dict[str, str]:
    return {r.law: r.reason or "" for r in results if r.status == status}


def _broken(case: Case, result: Result, folder: Path) -> dict[str, Any]:
    entry = {
        "law": result.law,
        "violations": result.violations,
        "exercised": result.exercised,
        "message": result.violation,
        "replay": result.replay_id,
        "example": None if result.minimal is None else result.minimal.example.where,
        "how": None if result.minimal is None else result.minimal.how,
        "picture": None,
    }
    shown = [f for f in FINDINGS.values() if (case.name, result.law) == f.evidence]
    if shown and result.minimal is not None:
        entry["picture"] = f"{shown[0].name}.png"
        (folder / entry["picture"]).write_bytes(png_bytes(violation_strip(result.minimal)))
    return entry


def keep_only(folder: Path, parts: dict[str, Any]) -> None:
    """Throw away pictures and stored violations that no part names any more."""
    entries = [e for part in parts.values() for case in part["cases"].values() for e in case["broken"]]
    named = {e["picture"] for e in entries} | {f"{e['replay']}{SUFFIX}" for e in entries}
    for file in [*folder.glob("*.png"), *folder.glob(f"replays/*{SUFFIX}")]:
        if file.name not in named:
            file.unlink()
    (folder / "replays" / ".gitignore").unlink(missing_ok=True)


def _said(finding: Finding) -> str:
    """What a snippet of the library alone prints."""
    code = (SNIPPETS / f"{finding.name}.py").read_text("utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f"snippet {finding.name}: {run.stderr.strip().splitlines()[-1]}")
    return run.stdout.rstrip()

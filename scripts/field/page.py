"""docs/field-report.md from the parts' results and the words for the findings."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.field.cases import CASES, OURS
from scripts.field.findings import BILLS, FINDINGS, Bill, Finding

HERE = Path(__file__).resolve().parent

Parts = dict[str, Any]

NAMES = {
    "albumentations": "Albumentations",
    "albumentationsx": "AlbumentationsX",
    "kornia": "Kornia",
    "mmdet": "MMDetection",
    "torchvision": "torchvision",
    "ultralytics": "Ultralytics",
    OURS: "segpaste",
}
"""Distribution -> what its people call it, in the order of the page."""


@dataclass(frozen=True)
class Shown:
    """A finding with what the runs say of it.

    Attributes:
        finding: the finding.
        part: the part it was found in.
        entry: the broken law whose smallest example is shown.
        target: what was run.
        broken: (case, broken law) that it accounts for.
        code, said: the snippet and what it printed, if there is one.
    """

    finding: Finding
    part: dict[str, Any]
    entry: dict[str, Any]
    target: str
    broken: list[tuple[str, dict[str, Any]]]
    code: str | None
    said: str | None


def rendered(parts: Parts) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    ordered = sorted(parts.values(), key=lambda p: (list(NAMES).index(p["library"]), p["version"]))
    return environment.get_template("page.md.j2").render(
        parts=[part for part in ordered if part["library"] != OURS],
        controls=[part for part in ordered if part["library"] == OURS],
        names=NAMES,
        findings=[shown for finding in FINDINGS.values() for shown in found(finding, parts)],
        bills=[(bill, part) for bill in BILLS for part in parts.values() if kept(bill, part)],
        ungraded=ungraded(parts),
        words=lambda case, law: [f for f in FINDINGS.values() if accounts(f, case, law)],
    )


def problems(parts: Parts) -> list[str]:
    """What keeps the report from being complete; nothing, as it should be."""
    said = [f"ungraded: {case}: {law}: no finding accounts for it" for case, law in ungraded(parts)]
    for finding in FINDINGS.values():
        if any(part["library"] == finding.package for part in parts.values()) and not found(finding, parts):
            case, law = finding.evidence
            said.append(f"not found: {finding.name}: {case} holds {law}")
    for finding in FINDINGS.values():
        if finding.required and not any(part["library"] == finding.package for part in parts.values()):
            said.append(f"not run: {finding.package}, in which {finding.name} is to be found")
    for bill in BILLS:
        part = next((p for p in parts.values() if bill.case in p["cases"]), None)
        if part is None:
            said.append(f"not run: {bill.case}, which is to have a clean bill")
        elif not kept(bill, part):
            held = part["cases"][bill.case]["held"]
            lacking = ", ".join(law for law in bill.laws if law not in held)
            said.append(f"no clean bill: {bill.case}: {lacking}")
    unknown = {c for p in parts.values() for c in p["cases"]} - set(CASES)
    return said + [f"unknown case: {name}" for name in sorted(unknown)]


def ungraded(parts: Parts) -> list[tuple[str, str]]:
    """(case, broken law) that no finding accounts for."""
    return [
        (case, entry["law"])
        for part in parts.values()
        for case, results in part["cases"].items()
        for entry in results["broken"]
        if not any(accounts(finding, case, entry["law"]) for finding in FINDINGS.values())
    ]


def accounts(finding: Finding, case: str, law: str) -> bool:
    """Whether a finding is why a case breaks a law."""
    return any(fnmatch.fnmatchcase(law, glob) for glob in finding.covers.get(case, ()))


def found(finding: Finding, parts: Parts) -> list[Shown]:
    """The finding in every part that shows it."""
    shown = []
    for part in parts.values():
        case, law = finding.evidence
        entries = part["cases"].get(case, {"broken": []})["broken"]
        entry = next((e for e in entries if e["law"] == law), None)
        if entry is None:
            continue
        broken = [
            (name, e)
            for name, results in part["cases"].items()
            for e in results["broken"]
            if accounts(finding, name, e["law"])
        ]
        code = (HERE / "snippets" / f"{finding.name}.py").read_text("utf-8") if finding.snippet else None
        said = part["snippets"].get(finding.name)
        shown.append(Shown(finding, part, entry, part["cases"][case]["target"], broken, code, said))
    return shown


def kept(bill: Bill, part: dict[str, Any]) -> bool:
    """Whether a part gives a clean bill."""
    results = part["cases"].get(bill.case)
    return results is not None and all(results["held"].get(law, 0) > 0 for law in bill.laws)

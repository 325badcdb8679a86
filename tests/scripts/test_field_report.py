"""The field report: the page is what its figures say, nothing is hidden, and a part can be run."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from scripts import field_report
from scripts.field import cases, run
from scripts.field.cases import CASES, installed
from scripts.field.findings import BILLS, FINDINGS
from scripts.field.page import accounts, found, kept, problems, rendered
from segpaste.testing.replays import replay
from segpaste.testing.stored import read_violation

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "scripts" / "field_report.py"
FOLDER = ROOT / "docs" / "field-report"
PAGE = (ROOT / "docs" / "field-report.md").read_text("utf-8")
PARTS: dict[str, Any] = json.loads((ROOT / "docs" / "field-report.json").read_text("utf-8"))
LIBRARIES = {
    "albumentations 2.0.8",
    "albumentationsx 2.5.1",
    "kornia 0.9",
    "mmdet 3.3",
    "torchvision 0.29",
    "ultralytics 8.4",
}


def _broken() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, entry)
        for part in PARTS.values()
        for name, case in part["cases"].items()
        for entry in case["broken"]
    ]


def test_the_committed_report_is_complete_and_up_to_date() -> None:
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_library_was_run_in_the_version_asked_for() -> None:
    missing = [name for name in LIBRARIES if not any(part.startswith(name) for part in PARTS)]
    assert missing == []


@pytest.mark.parametrize("name", [f.name for f in FINDINGS.values() if f.required])
def test_what_was_known_before_is_found_again(name: str) -> None:
    (shown,) = found(FINDINGS[name], PARTS)
    assert shown.entry["violations"] > 0
    assert shown.entry["message"] in PAGE
    assert shown.said
    assert shown.said in PAGE
    assert f'<a id="{name}"></a>' in PAGE
    assert f"(field-report/{name}.png)" in PAGE


@pytest.mark.parametrize("bill", BILLS, ids=[bill.case for bill in BILLS])
def test_clean_bills_are_given(bill: Any) -> None:
    assert [part["library"] for part in PARTS.values() if kept(bill, part)] == [CASES[bill.case].package]
    assert bill.words in PAGE


def test_no_control_breaks_a_law() -> None:
    (controls,) = [part for part in PARTS.values() if part["library"] == "segpaste"]
    assert {case["kind"] for case in controls["cases"].values()} == {"paste", "geometric", "photometric"}
    assert [case["broken"] for case in controls["cases"].values()] == [[]] * len(controls["cases"])
    assert all(len(case["held"]) >= 10 for case in controls["cases"].values())


def test_every_picture_and_every_stored_violation_is_there_and_named() -> None:
    pictures = {entry["picture"] for _, entry in _broken()} - {None}
    assert {path.name for path in FOLDER.glob("*.png")} == pictures
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 4_000_000
    stored = {path.stem: path for path in (FOLDER / "replays").iterdir()}
    assert set(stored) == {entry["replay"] for _, entry in _broken()}
    for case, entry in _broken():
        violation = read_violation(stored[entry["replay"]])
        assert (violation.law, violation.spec) == (entry["law"], CASES[case].target)


def test_stored_violations_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (part,) = [part for part in PARTS.values() if part["library"] == "torchvision"]
    for case in part["cases"].values():
        for entry in case["broken"]:
            again = replay(FOLDER / "replays" / f"{entry['replay']}.safetensors")
            assert (again.status, again.message) == ("still failing", entry["message"])


def test_every_finding_is_of_cases_and_laws_that_exist() -> None:
    for finding in FINDINGS.values():
        case, law = finding.evidence
        assert accounts(finding, case, law)
        assert {CASES[name].package for name in finding.covers} == {finding.package}
    snippets = {path.stem for path in run.SNIPPETS.glob("*.py")}
    assert snippets == {finding.name for finding in FINDINGS.values() if finding.snippet}


def test_a_broken_law_without_a_grade_and_a_finding_that_is_gone_are_told() -> None:
    parts = copy.deepcopy(PARTS)
    (name,) = [name for name, part in parts.items() if part["library"] == "kornia"]
    kornia = parts[name]["cases"]
    entry = kornia["kornia_horizontal_flip"]["broken"].pop()
    kornia["kornia_horizontal_flip"]["broken"] = []
    kornia["kornia_color_jitter"]["broken"].append(entry | {"law": "image.finite"})
    kornia["kornia_transplantation"]["held"].pop("target.completes")
    assert problems(parts) == [
        "ungraded: kornia_color_jitter: image.finite: no finding accounts for it",
        "not found: kornia_bbox_xyxy: kornia_horizontal_flip holds instance.boxes_are_tight",
        "no clean bill: kornia_transplantation: target.completes",
    ]
    assert "`kornia_color_jitter`: `image.finite`" in rendered(parts)
    del parts[name]
    assert "not run: kornia, in which kornia_bbox_xyxy is to be found" in problems(parts)


def test_a_part_is_run_and_joins_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {name: CASES[name] for name in ("torchvision_horizontal_flip", "torchvision_flip_normals")}
    monkeypatch.setattr(run, "CASES", few)
    other = {"kornia 0.9.0": PARTS[next(name for name in PARTS if name.startswith("kornia"))]}
    (tmp_path / "field-report.json").write_text(json.dumps(other), "utf-8")
    arguments = ["--only", "torchvision", "--examples", "32", "--out", str(tmp_path)]
    assert field_report.main(arguments) == 0
    said = capsys.readouterr().out
    assert "torchvision: torchvision_horizontal_flip: " in said
    parts = json.loads((tmp_path / "field-report.json").read_text("utf-8"))
    assert [part["library"] for part in parts.values()] == ["kornia", "torchvision"]
    torchvision = list(parts.values())[1]["cases"]
    assert torchvision["torchvision_horizontal_flip"]["broken"] == []
    laws = [entry["law"] for entry in torchvision["torchvision_flip_normals"]["broken"]]
    assert laws == ["geometric.intrinsics_follow", "geometric.normals_rotate_with_image"]
    page = (tmp_path / "field-report.md").read_text("utf-8")
    assert page == rendered(parts)
    assert "## torchvision" in page
    assert (tmp_path / "field-report" / "torchvision_flip_normals_turned.png").read_bytes()[:4] == b"\x89PNG"
    assert field_report.main(["--check", "--out", str(tmp_path)]) == 1
    assert "not run: albumentationsx" in capsys.readouterr().err


def test_a_library_that_is_not_here_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert field_report.main(["--only", "nothing", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "--only: got 'nothing', which is not installed or has no case\n"


def test_a_distribution_whose_module_another_one_provides_is_not_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert installed("torchvision") == version("torchvision")
    assert installed("no-such-distribution") is None
    elsewhere = ModuleSpec("torchvision", None, origin=__file__)
    monkeypatch.setattr(cases, "find_spec", lambda _: elsewhere)
    assert installed("torchvision") is None


def test_a_stale_page_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "field-report.json").write_text(json.dumps(PARTS), "utf-8")
    assert field_report.main(["--page", "--out", str(tmp_path)]) == 0
    assert field_report.main(["--check", "--out", str(tmp_path)]) == 0
    page = tmp_path / "field-report.md"
    page.write_text(page.read_text("utf-8") + "by hand\n", "utf-8")
    capsys.readouterr()
    assert field_report.main(["--check", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "field-report.md is out of date: run with --page\n"

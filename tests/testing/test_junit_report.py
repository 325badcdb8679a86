"""JUnit XML: the shape that test pages read, whatever a target says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from segpaste.testing import RunOptions, RunReport, resolve_target, run
from segpaste.testing.events import RunFinished
from segpaste.testing.junit_report import JunitReporter, junit_xml
from segpaste.testing.results import Result
from segpaste.testing.summary import replay_line
from segpaste.types import DenseSample, Modality
from tests.faults_five import stale_boxes
from tests.testing.augmentations import identity

SET = frozenset({Modality.IMAGE, Modality.INSTANCE})


@pytest.fixture(scope="module")
def report() -> RunReport:
    """A wrong copy-paste and one that pastes nothing."""
    targets = [resolve_target(stale_boxes), resolve_target(identity)]
    return run(targets, RunOptions(modalities=(SET,), examples=20, only="instance.*"))


def _with(report: RunReport, *results: Any) -> RunReport:
    return replace(report, targets=(replace(report.targets[0], results=results),))


def test_one_suite_per_target_and_one_case_per_law(report: RunReport) -> None:
    root = ElementTree.fromstring(junit_xml(report))
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == [t.target for t in report.targets]
    for suite, target in zip(root, report.targets, strict=True):
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == [r.law for r in target.results]
        assert {case.get("classname") for case in cases} == {target.target}
        assert suite.get("tests") == str(len(target.results))
        assert suite.get("failures") == str(len(target.failed))
        assert float(suite.get("time", "")) > 0
    for count in ("tests", "failures", "errors", "skipped"):
        assert root.get(count) == str(sum(int(suite.get(count, "")) for suite in root))


def test_a_failure_has_its_message_and_the_command_that_replays_it(report: RunReport) -> None:
    root = ElementTree.fromstring(junit_xml(report))
    case = root.find("testsuite/testcase[@name='instance.bbox_recomputed_from_mask']")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None
    (result,) = [r for r in report.targets[0].failed if r.law == case.get("name")]
    assert failure.get("message") == result.violation
    assert replay_line(result, report) in (failure.text or "")
    assert f"replay {result.replay_id}: segpaste " in (failure.text or "")
    assert f"violated on {result.violations} of {result.tried} examples" in (failure.text or "")


def test_the_header_becomes_properties(report: RunReport) -> None:
    root = ElementTree.fromstring(junit_xml(report))
    properties = {p.get("name"): p.get("value") for p in root[0].findall("properties/property")}
    assert properties["seed"] == "0"
    assert properties["examples"] == "20"
    assert properties["version of torch"] == report.header.versions["torch"]


def test_every_status_has_its_own_outcome(report: RunReport) -> None:
    def result(law: str, status: Any, **more: Any) -> Result:
        return Result(law, "paste", "t", status, **more)

    results = (
        result("a.passed", "passed"),
        result("b.expected", "expected", violation="row 1", reason="documented"),
        result("c.unexpected", "unexpectedly passed", reason="remove the entry"),
        result("d.idle", "not exercised", reason="nothing was pasted"),
        result("e.open", "not decidable", reason="no audit"),
        result("f.none", "not applicable"),
    )
    (suite,) = ElementTree.fromstring(junit_xml(_with(report, *results)))
    outcome = {
        case.get("name"): [(child.tag, child.get("type"), child.get("message")) for child in case]
        for case in suite.findall("testcase")
    }
    assert outcome == {
        "a.passed": [],
        "b.expected": [("skipped", "xfail", "documented")],
        "c.unexpected": [("failure", "unexpected pass", "remove the entry")],
        "d.idle": [("skipped", "not exercised", "not exercised: nothing was pasted")],
        "e.open": [("skipped", "not decidable", "not decidable: no audit")],
        "f.none": [("skipped", "not applicable", "not applicable: not applicable")],
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("6", "1", "4")


def test_what_a_target_says_cannot_break_the_file(tmp_path: Path) -> None:
    def shouts(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        raise ValueError("\x1b[31m]]> </failure> & \x00 \ud800 \ufffe \U0001f600")

    file = tmp_path / "junit.xml"
    options = RunOptions(modalities=(SET,), examples=2, only="target.completes")
    report = run([resolve_target(shouts)], options, [JunitReporter(file)])
    failure = ElementTree.parse(file).find("testsuite/testcase/failure")
    assert failure is not None
    message = failure.get("message") or ""
    assert r"\x1b[31m]]> </failure> & \x00 \ud800 \ufffe " in message
    assert "\U0001f600" in message
    assert [p.name for p in tmp_path.iterdir()] == ["junit.xml"]
    JunitReporter(file)(RunFinished(report))
    assert file.read_text("utf-8") == junit_xml(report)

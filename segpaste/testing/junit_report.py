"""The run as JUnit XML, for the test pages of GitHub, GitLab and Jenkins."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from segpaste.testing.events import Event, RunFinished
from segpaste.testing.files import write_whole
from segpaste.testing.results import Result, RunHeader, RunReport, TargetReport
from segpaste.testing.summary import replay_line

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitReporter:
    """Writes the finished run to a file, all of it or nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            write_whole(self._path, junit_xml(event.report))


def junit_xml(report: RunReport) -> str:
    r"""One ``testsuite`` per target, one ``testcase`` per law.

    A violated law is a ``failure`` with its message and the command that replays it, and
    so is one that holds though it was expected to fail. An expected failure is ``skipped``
    with the type ``xfail``; a law without a verdict is ``skipped`` with the reason. The
    ``time`` of a law holds drawing and running its examples, which laws share: the times
    add up to more than the suite's. Characters that XML cannot hold are written as
    ``\x1b``.
    """
    root = ElementTree.Element("testsuites", name="segpaste verify", time=f"{report.seconds:.3f}")
    for target in report.targets:
        _add_suite(root, target, report)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ElementTree.Element, target: TargetReport, report: RunReport) -> None:
    suite = ElementTree.SubElement(
        root, "testsuite", name=_text(target.target), time=f"{target.seconds:.3f}", errors="0"
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report.header).items():
        ElementTree.SubElement(properties, "property", name=name, value=_text(value))
    for result in target.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_text(target.target),
            name=_text(result.law),
            time=f"{result.seconds:.3f}",
        )
        _add_verdict(case, result, report)
    suite.set("tests", str(len(target.results)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))


def _add_verdict(case: ElementTree.Element, result: Result, report: RunReport) -> None:
    reason = _text(result.reason or result.status)
    if result.status == "failed":
        message = _text(result.violation or "")
        failure = ElementTree.SubElement(case, "failure", message=message, type="violation")
        replay = replay_line(result, report)
        counts = f"violated on {result.violations} of {result.tried} examples"
        code = "" if result.minimal is None else f"\n\n{result.minimal.code}"
        failure.text = _text(f"{result.violation}\n{counts}\n{replay}{code}")
    elif result.status == "unexpectedly passed":
        failure = ElementTree.SubElement(case, "failure", message=reason, type="unexpected pass")
        failure.text = reason
    elif result.status == "expected":
        skipped = ElementTree.SubElement(case, "skipped", message=reason, type="xfail")
        skipped.text = _text(result.violation or "") or None
    elif result.status != "passed":
        ElementTree.SubElement(case, "skipped", message=f"{result.status}: {reason}", type=result.status)


def _properties(header: RunHeader) -> dict[str, str]:
    properties = {
        "seed": str(header.seed),
        "examples": str(header.examples),
        "real examples": str(header.real_examples),
        "only": header.only,
        "device": header.device,
        "modalities": ", ".join(header.modalities),
    }
    properties |= {f"version of {package}": version for package, version in header.versions.items()}
    for name, lines in (("data", header.data), ("skipped", header.skipped), ("notes", header.notes)):
        if lines:
            properties[name] = "; ".join(lines)
    return properties


def _text(value: str) -> str:
    """The value without the characters that make a file no XML."""
    return _NOT_XML.sub(lambda found: repr(found.group())[1:-1], value)

"""The run as one self-contained HTML file, with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segpaste.testing.events import Event, RunFinished
from segpaste.testing.files import write_whole
from segpaste.testing.pictures import exhibit_strip, violation_strip
from segpaste.testing.results import RunReport, TargetReport
from segpaste.testing.summary import examples_line, grouped, rate, replay_line, verdict, warnings
from segpaste.testing.terminal import header_lines
from segpaste.viz import data_uri


@dataclass(frozen=True)
class _Picture:
    title: str
    uri: str
    width: int


@dataclass(frozen=True)
class _Violation:
    law: str
    message: str
    statement: str
    counts: str
    replay: str
    replay_id: str
    code: str
    picture: _Picture | None


class HtmlReporter:
    """Writes ``index.html`` into a folder once the run is finished, all of it or nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / "index.html", html_page(event.report))


def html_page(report: RunReport) -> str:
    """The page; it refers to nothing outside itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("segpaste.testing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        header_lines=header_lines(report.header),
        targets=[
            {
                "name": target.target,
                "ok": target.ok,
                "pastes": target.kind in ("executor", "paste"),
                "verdict": verdict(target),
                "examples": examples_line(target),
                "warnings": warnings(target),
                "groups": grouped(target),
                "violations": _violations(target, report),
                "gallery": _gallery(target),
            }
            for target in report.targets
        ],
        rate=rate,
        statements=_statements(),
    )


def _violations(target: TargetReport, report: RunReport) -> list[_Violation]:
    statements = _statements()
    found = []
    for result in target.failed:
        minimal = result.minimal
        picture = None
        if minimal is not None:
            strip = violation_strip(minimal)
            picture = _Picture(minimal.example.where, data_uri(strip), strip.width)
        found.append(
            _Violation(
                law=result.law,
                message=result.violation or "",
                statement=statements.get(result.law, ""),
                counts=f"violated on {result.violations} of {result.tried} examples",
                replay=replay_line(result, report).partition(": ")[2],
                replay_id=result.replay_id or "",
                code="" if minimal is None else minimal.code,
                picture=picture,
            )
        )
    return found


def _gallery(target: TargetReport) -> list[_Picture]:
    pictures = []
    for exhibit in target.exhibits:
        strip = exhibit_strip(exhibit)
        pictures.append(_Picture(exhibit.title, data_uri(strip), strip.width))
    return pictures


def _statements() -> dict[str, str]:
    from segpaste.invariants import laws
    from segpaste.testing.judge import RUNNER_LAWS

    named = {law.name: law.statement for law in laws()}
    return named | {law.name: law.statement for law in RUNNER_LAWS.values()}

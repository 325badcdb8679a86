"""The reports: HTML that needs nothing else, rich on a terminal, whole files."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from segpaste.testing import RunOptions, RunReport, resolve_target, run
from segpaste.testing.files import write_whole
from segpaste.testing.html_report import HtmlReporter, html_page
from segpaste.testing.judge import applicable_laws, every_law, law_names
from segpaste.testing.summary import examples_line, replay_line, verdict
from segpaste.testing.terminal import PlainReporter, RichReporter, terminal_reporter
from segpaste.types import DenseSample, Modality
from tests.faults_five import stale_boxes

SET = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC})
VOID = {"meta", "img", "br", "link", "input", "hr"}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Page(HTMLParser):
    """Collects what a page refers to, and that its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [v for k, v in attrs if k in ("src", "href", "srcset", "data") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report() -> RunReport:
    """A correct executor and a wrong callable."""
    targets = [resolve_target("reference"), resolve_target(stale_boxes)]
    return run(targets, RunOptions(modalities=(SET,), examples=30))


def test_the_page_refers_to_nothing_outside_itself(report: RunReport) -> None:
    page = _Page()
    text = html_page(report)
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.references
    assert {re.split(r"[:;,]", r)[0] for r in page.references if not r.startswith("#")} == {"data"}
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_page_has_table_violation_picture_code_and_gallery(report: RunReport) -> None:
    text = html_page(report)
    for law in every_law():
        shown = (law in law_names()) + (law in applicable_laws("paste"))
        assert text.count(f"<code>{law}</code>") == shown, law
    (failed,) = [r for r in report.targets[1].failed if r.law == "instance.bbox_recomputed_from_mask"]
    assert f'id="{failed.replay_id}"' in text
    assert f'href="#{failed.replay_id}"' in text
    assert "from tests.faults_five import stale_boxes as aug" in text
    assert "prefers-color-scheme: dark" in text
    assert text.count("data:image/") >= 1 + len(report.targets[1].failed)
    assert "What was checked" in text


def test_what_a_target_is_called_or_says_cannot_break_the_page() -> None:
    def shouts(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        raise ValueError("<script>alert(1)</script> & more")

    page = html_page(run([resolve_target(shouts)], RunOptions(modalities=(SET,), examples=3)))
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_html_is_written_whole_into_a_folder_that_need_not_exist(report: RunReport, tmp_path: Path) -> None:
    from segpaste.testing.events import RunFinished

    HtmlReporter(tmp_path / "a" / "b")(RunFinished(report))
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["index.html"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report"
    write_whole(file, "old")

    def fails(*arguments: Any) -> None:
        raise OSError("disk is full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="disk is full"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_a_terminal_gets_a_bar_and_colours_and_anything_else_plain_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal, pipe = _Terminal(), io.StringIO()
    assert isinstance(terminal_reporter(pipe), PlainReporter)
    reporter = terminal_reporter(terminal)
    assert isinstance(reporter, RichReporter)
    options = RunOptions(modalities=(SET,), examples=20, only="instance.*")
    run([resolve_target(stale_boxes)], options, [reporter, PlainReporter(pipe)])
    assert "\x1b[" in terminal.getvalue()
    assert "20/20" in terminal.getvalue()
    assert "\x1b" not in pipe.getvalue()
    assert "20 of 20 examples (drawn)" in pipe.getvalue()


def test_sentences_of_the_summary(report: RunReport) -> None:
    wrong = report.targets[1]
    assert re.fullmatch(r"drawn: 30 examples, \d+ with a non-empty paste union", examples_line(wrong))
    assert verdict(report.targets[0]).startswith("reference: ")
    assert " 0 failed" in verdict(report.targets[0])
    failed = wrong.failed[0]
    assert replay_line(failed, report) == f"replay {failed.replay_id}: segpaste replay {failed.replay_id}"
    assert failed.minimal is not None
    not_stored = replace(failed, minimal=replace(failed.minimal, stored=None))
    line = replay_line(not_stored, report)
    assert line.startswith(f"replay {failed.replay_id}: segpaste verify tests.faults_five:stale_boxes")
    assert "--seed 0 --examples 30 --modalities instance+semantic" in line

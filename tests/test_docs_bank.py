"""The page about banks: every line of it runs, in order, and prints what the page says."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from segpaste.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bank.md"
BLOCK = re.compile(r"^```(python|text|console|console nightly)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# What may differ from run to run and from machine to machine.
VARIABLE = (
    (re.compile(r"^cutting: ([\d,]+) of (?!\1 ).*\n", re.MULTILINE), ""),
    (re.compile(r"@[0-9a-f]{12}"), "@<checksum>"),
    (re.compile(r"[\d,.]+ crops/s(, [\d.:]+ \w+ left)?"), "<rate>"),
    (re.compile(r"^time .*", re.MULTILINE), "<time>"),
    (re.compile(r"SHA-256 [0-9a-f]{12}\.\.\., expected [0-9a-f]{12}"), "<checksums>"),
    (re.compile(r"checksum [0-9a-f]{8}, expected [0-9a-f]{8}"), "<checksums>"),
    (re.compile(r"\d+ x \d+ pixels\)$", re.MULTILINE), "<size>)"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


class Ran(NamedTuple):
    """A block with something to compare."""

    line: int
    said: str
    printed: str


@pytest.mark.parametrize("nightly", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_every_line_runs_and_prints_what_the_page_says(
    nightly: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    ran = run_page(page, tmp_path, nightly=nightly)
    assert len(ran) >= 11
    for block in ran:
        assert stable(block.printed, tmp_path) == stable(block.said, tmp_path), f"{PAGE}, line {block.line}"


def test_the_picture_is_there_and_of_the_size_that_the_command_says() -> None:
    said = re.search(r"wrote sheet.png \(24 crops, (\d+) x (\d+) pixels\)", PAGE.read_text(encoding="utf-8"))
    assert said is not None
    with Image.open(PAGE.with_name("bank.png")) as picture:
        assert picture.size == (int(said[1]), int(said[2]))


def run_page(page: str, folder: Path, *, nightly: bool) -> list[Ran]:
    """Run the blocks of the page in ``folder``, the working directory.

    A ``text`` block is what the Python block before it prints, a ``console`` block is commands
    after ``$`` and what they print.
    """
    namespace: dict[str, Any] = {"__name__": "bank.md"}
    ran: list[Ran] = []
    printed = ""
    for match in BLOCK.finditer(page):
        kind, content = match[1], match[2]
        line = page[: match.start(2)].count("\n") + 1
        if kind == "python":
            code = compile("\n" * (line - 1) + content, str(PAGE), "exec")
            with redirect_stdout(io.StringIO()) as out:
                exec(code, namespace)
            printed = out.getvalue()
        elif kind == "text":
            ran.append(Ran(line, content, printed))
        elif kind == "console" or nightly:
            ran.append(Ran(line, content, _run_commands(content)))
    return ran


def stable(text: str, folder: Path) -> str:
    """Without what differs from run to run."""
    text = text.replace(f"{folder}/", "").replace(f"{folder.resolve()}/", "")
    for pattern, shown in VARIABLE:
        text = pattern.sub(shown, text)
    return text.strip("\n")


def _run_commands(block: str) -> str:
    """The block as it would be printed: every command, and what it says on either stream."""
    lines: list[str] = []
    code = 0
    for command in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE):
        lines.append(f"$ {command}\n")
        if command == "echo $?":
            lines.append(f"{code}\n")
            continue
        program, *arguments = shlex.split(command)
        assert program == "segpaste"
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(out), redirect_stderr(out):
            code = main(arguments)
        out.seek(0)
        lines.append(out.read())
    return "".join(lines)

"""The commands of docs/audit.md and docs/presets.md print what the pages say."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from segpaste.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONSOLE = re.compile(r"^```console\n\$ segpaste (.*?)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
PRINTS = re.compile(
    r"^```python\n([^`]*?)^```\n+(?:It prints\n\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL
)
PAGES = ("audit.md", "presets.md")


def test_commands_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "audit.md").read_text("utf-8")
    found = list(CONSOLE.finditer(page))
    assert found
    for match in found:
        out = io.StringIO()
        with redirect_stdout(out):
            assert main(shlex.split(match.group(1))) == 0
        assert out.getvalue() == match.group(2)


@pytest.mark.parametrize("name", PAGES)
def test_blocks_print_what_the_page_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segpaste.presets import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})
    page = (DOCS / name).read_text("utf-8")
    namespace: dict[str, object] = {"__name__": name}
    said = 0
    for match in PRINTS.finditer(page):
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(match.group(1), name, "exec"), namespace)
        if match.group(2) is not None:
            said += 1
            assert out.getvalue() == match.group(2)
    assert said

"""README and docs: their code runs, their commands exist, the laws page is the registry's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
ELSEWHERE = {
    "docs/bank.md",  # between its blocks stand commands that they need: see test_docs_bank.py
    "docs/thirty-minutes.md",  # with what it prints: see test_thirty_minutes.py
}
WITH_CODE = [
    name
    for name, page in zip(NAMES, PAGES, strict=True)
    if BLOCK.search(page.read_text("utf-8")) and name not in ELSEWHERE
]


def test_readme_and_docs_hold_code_to_run() -> None:
    assert {"README.md", "docs/types.md", "docs/strategies.md"} <= set(WITH_CODE)


@pytest.mark.parametrize("name", WITH_CODE)
def test_python_blocks_run_from_top_to_bottom(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segpaste.presets.registry._registered", {})  # what a page registers stays there
    page = (ROOT / name).read_text("utf-8")
    namespace = {"__name__": name}
    for match in BLOCK.finditer(page):
        lines_before = page[: match.start(1)].count("\n")
        code = "\n" * lines_before + match.group(1)  # so that a traceback shows the page's line
        exec(compile(code, str(ROOT / name), "exec"), namespace)


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    text = (ROOT / name).read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert named <= targets
    if name == "README.md":
        assert {"verify", "test"} <= named


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_nobody_is_told_to_install_another_project_of_that_name() -> None:
    wrong = "pip install " + "segpaste"
    assert [name for name, page in zip(NAMES, PAGES, strict=True) if wrong in page.read_text("utf-8")] == []


def test_every_page_of_the_docs_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.parent != ROOT]
    assert [page for page in pages if page not in navigation] == []


def test_the_laws_page_is_what_the_registry_says() -> None:
    script = ROOT / "scripts" / "generate_laws_page.py"
    run = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")

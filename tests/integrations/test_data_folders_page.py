"""The page on data folders: its example runs and prints what it says, its mappings are legal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segpaste.integrations.mapping import read_mapping

PAGE = Path(__file__).parents[2] / "docs" / "data-folders.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_the_example_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], str(PAGE), "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]


@pytest.mark.parametrize("text", blocks("yaml"), ids=lambda text: text.split("kind: ")[1].split()[0])
def test_every_mapping_on_the_page_is_legal(text: str, tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(text, encoding="utf-8")
    assert len(read_mapping(file).sets) == 1


def test_all_four_kinds_are_shown() -> None:
    assert len(blocks("yaml")) == 4

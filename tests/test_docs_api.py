"""docs/api.md: every public name stands there with what it is, and is used by its code.

That the code runs is for ``test_docs.py`` to see.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import segpaste

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "api.md").read_text("utf-8")
CODE = ast.parse("\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)))
PROSE = re.sub(r"^```python\n.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
NAMES = sorted(set(segpaste.__all__) - {"__version__"})


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_described(name: str) -> None:
    headings = re.findall(r"^#+ (.*)$", PROSE, flags=re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)", PROSE, flags=re.MULTILINE)
    assert name in {each.strip() for heading in headings for each in heading.split(",")} | set(rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_imported_from_segpaste_and_used(name: str) -> None:
    imported = {
        alias.name
        for node in ast.walk(CODE)
        if isinstance(node, ast.ImportFrom) and node.module == "segpaste"
        for alias in node.names
    }
    used = {node.id for node in ast.walk(CODE) if isinstance(node, ast.Name)}
    assert name in imported
    assert name in used


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_is(name: str) -> None:
    found = getattr(segpaste, name)
    assert (found.__doc__ or "").strip()

"""Spell-check every public name: packages, functions, classes, fields, parameters, laws.

codespell reads whole words, and `instnace_masks` is none it knows; here names are split
into their words first. Prints one line per misspelt name and exits with 1.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("segpaste", "invariants", "strategies", "goldens")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def main() -> int:
    """Check all names; the exit status."""
    seen: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for line, name in names_of(path):
                seen.setdefault(name, f"{path.relative_to(ROOT)}:{line}")
    words: dict[str, list[str]] = {}
    for name in seen:
        for word in WORD.findall(name):
            words.setdefault(word.lower(), []).append(name)
    wrong = misspelt(sorted(words))
    for word, advice in wrong.items():
        for name in words[word]:
            print(f"{seen[name]}: name {name}: got {word}, expected {advice}")
    return 1 if wrong else 0


def names_of(path: Path) -> Iterator[tuple[int, str]]:
    """The public names that a module defines, and the dotted names it registers."""
    yield 1, path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.startswith("_"):
                yield node.lineno, node.name
        elif isinstance(node, ast.arg | ast.keyword):
            if node.arg is not None and not node.arg.startswith("_"):
                yield node.lineno, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.lineno, node.target.id
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[a-z_]+\.[a-z_]+", node.value)
        ):
            yield node.lineno, node.value


def misspelt(words: list[str]) -> dict[str, str]:
    """The words that codespell would correct, and to what."""
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), "-"]
    run = subprocess.run(command, input="\n".join(words), capture_output=True, text=True, check=False)
    found = re.findall(r"^\s*(\S+) ==> (.+)$", run.stdout, flags=re.MULTILINE)
    if run.returncode and not found:
        raise RuntimeError(f"codespell failed: {run.stderr or run.stdout}")
    return dict(found)


if __name__ == "__main__":
    sys.exit(main())

"""The harness around mutmut, without mutmut: how a module is prepared, and what is committed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts"


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The folder of the scripts on the path, as it is for a script in it."""
    sys.path.insert(0, str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


DECORATED = """
import functools


@functools.cache
@twice  # a comment
def f(a, b=1):
    @kept
    def g():
        return a
    return g


class C:
    @staticmethod
    def s(): return 1

    @property
    def p(self):
        return 2
"""

UNDECORATED = """
import functools


def f(a, b=1):
    @kept
    def g():
        return a
    return g
f = functools.cache(twice(f))


class C:
    @staticmethod
    def s(): return 1

    def p(self):
        return 2
    p = property(p)
"""


def test_decorators_become_calls(scripts: None) -> None:
    from mutants.workspace import undecorated  # pyright: ignore[reportMissingImports]

    assert undecorated(DECORATED) == UNDECORATED
    assert undecorated(UNDECORATED) == UNDECORATED


def test_a_rule_covers_what_differs_in_its_place_alone(scripts: None) -> None:
    from mutants.identity import Mutant, Rule  # pyright: ignore[reportMissingImports]

    rule = Rule("zip", "equivalent", "why", r"strict=True", r"strict=(None|False)", function="f|g")

    def covers(before: str, after: str, function: str = "f") -> bool:
        return rule.covers(Mutant("m.py", function, before, after, 1))

    assert covers("zip(a, strict=True)", "zip(a, strict=None)")
    assert covers("x(strict=True, strict=True)", "x(strict=True, strict=False)")
    assert not covers("zip(a, strict=True)", "zip(b, strict=None)")
    assert not covers("zip(a, strict=True)", "zip(a, strict=1)")
    assert not covers("zip(a, strict=True)", "zip(a, strict=None)", "h")


def test_every_module_of_the_paste_and_of_the_laws_is_mutated_once(scripts: None) -> None:
    from mutants.targets import MODULES  # pyright: ignore[reportMissingImports]

    assert len(set(MODULES)) == len(MODULES)
    expected = {
        f"segpaste/{part}/{path.name}"
        for part in ("paste", "invariants")
        for path in (ROOT / "segpaste" / part).glob("*.py")
    }
    left_out = {  # Triton; names and imports only; the decorator that the mutated loops do without
        "segpaste/paste/fused.py",
        "segpaste/paste/fused_kernels.py",
        "segpaste/paste/__init__.py",
        "segpaste/paste/jit.py",
        "segpaste/invariants/__init__.py",
        "segpaste/invariants/catalogue.py",
    }
    assert set(MODULES) == expected - left_out


def test_every_survivor_has_a_verdict_and_every_equivalent_one_a_reason() -> None:
    listed = yaml.safe_load((ROOT / "mutation" / "survivors.yaml").read_text(encoding="utf-8"))
    rules = {rule["name"]: rule for rule in listed["rules"]}
    assert all(rule["reason"] and rule["verdict"] in ("equivalent", "open") for rule in listed["rules"])
    score = json.loads((ROOT / "mutation" / "score.json").read_text(encoding="utf-8"))
    equivalent: Counter[str] = Counter()
    for entry in listed["mutants"]:
        assert entry["verdict"] in ("equivalent", "open", "killed"), entry
        if "rule" in entry:
            assert entry["verdict"] == rules[entry["rule"]]["verdict"], entry
        elif entry["verdict"] == "equivalent":
            assert len(entry["reason"]) > 10, entry
        equivalent[entry["module"]] += entry["verdict"] == "equivalent"
    for module, row in score["modules"].items():
        assert row["equivalent"] == equivalent[module], module
        others = sum(value for name, value in row.items() if name in ("killed", "survived", "timeout"))
        others += row["no tests"] + row["suspicious"] + row["segfault"] + row["not checked"]
        assert others == row["mutants"], module

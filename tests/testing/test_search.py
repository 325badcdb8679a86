"""Walking through examples: determinism and shares."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import strategies as st

from segpaste.testing.examples import shares, stream_seed
from segpaste.testing.search import sweep

PAIRS = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))


def _walk(seed: int, examples: int = 60) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    sweep(PAIRS, seen.append, examples=examples, seed=seed)
    return seen


def test_the_same_seed_walks_the_same_way_and_another_does_not() -> None:
    assert _walk(1) == _walk(1)
    assert _walk(1) != _walk(2)
    assert len(_walk(1)) == 60
    assert _walk(1, examples=0) == []


def test_a_module_full_of_numbers_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers_of_somebody.py"
    path.write_text(f"NUMBERS = {list(range(5_000, 5_100))}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    before = _walk(1)
    monkeypatch.setitem(sys.modules, path.stem, importlib.util.module_from_spec(spec))
    assert _walk(1) == before


def test_what_a_visit_raises_ends_the_walk() -> None:
    def visit(pair: tuple[int, int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(PAIRS, visit, examples=5, seed=0)


def test_examples_differ_from_each_other_in_most_of_their_parts() -> None:
    seen: list[tuple[int, ...]] = []
    sweep(st.tuples(*[st.integers(0, 10_000)] * 8), seen.append, examples=60, seed=0)
    alike = [sum(a == b for a, b in zip(one, other, strict=True)) for one, other in pairwise(seen)]
    assert sum(n > 4 for n in alike) <= 6
    assert seen.count((0,) * 8) == 1


def test_a_strategy_that_has_no_more_ends_the_walk() -> None:
    seen: list[int] = []
    sweep(st.integers(0, 2), seen.append, examples=60, seed=0)
    assert sorted(seen) == [0, 1, 2]


def test_shares_add_up_and_favour_the_first() -> None:
    assert shares(10, "abc") == [4, 3, 3]
    assert shares(2, "abc") == [1, 1, 0]
    assert shares(7, "") == []


def test_streams_have_seeds_of_their_own() -> None:
    assert stream_seed(0, "drawn/instance") == stream_seed(0, "drawn/instance")
    assert len({stream_seed(s, n) for s in (0, 1) for n in ("a", "b")}) == 4

"""Walking through examples and shrinking: determinism, budgets, and that nothing leaks out."""

from __future__ import annotations

import time

import pytest
from hypothesis import strategies as st

from segpaste.testing.examples import shares, stream_seed
from segpaste.testing.search import smallest, sweep

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


def test_what_a_visit_raises_ends_the_walk() -> None:
    def visit(pair: tuple[int, int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(PAIRS, visit, examples=5, seed=0)


def test_the_smallest_is_found_and_printed_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    found = smallest(PAIRS, lambda p: p[0] + p[1] >= 1000, examples=200, seed=3, max_seconds=10)
    assert found is not None
    assert sum(found) == 1000
    assert capsys.readouterr() == ("", "")


def test_nothing_is_found_where_nothing_is_wanted() -> None:
    assert smallest(PAIRS, lambda p: False, examples=50, seed=0, max_seconds=10) is None


def test_time_is_kept_and_what_was_found_until_then_is_returned() -> None:
    def slow(pair: tuple[int, int]) -> bool:
        time.sleep(0.02)
        return pair[0] > 100

    started = time.monotonic()
    found = smallest(PAIRS, slow, examples=1000, seed=0, max_seconds=0.3)
    assert time.monotonic() - started < 2
    assert found is not None
    assert found[0] > 100


def test_shares_add_up_and_favour_the_first() -> None:
    assert shares(10, "abc") == [4, 3, 3]
    assert shares(2, "abc") == [1, 1, 0]
    assert shares(7, "") == []


def test_streams_have_seeds_of_their_own() -> None:
    assert stream_seed(0, "drawn/instance") == stream_seed(0, "drawn/instance")
    assert len({stream_seed(s, n) for s in (0, 1) for n in ("a", "b")}) == 4

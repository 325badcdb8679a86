"""Walking through examples, and looking for a small one; Hypothesis does the drawing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException

T = TypeVar("T")


class _Found(Exception):  # noqa: N818  a find, not an error
    """The example in hand is one of those looked for."""


class _TimeUp(BaseException):
    """Leaves Hypothesis at once; it treats an Exception as another find."""


def sweep(strategy: st.SearchStrategy[T], visit: Callable[[T], None], *, examples: int, seed: int) -> None:
    """Call ``visit`` on ``examples`` drawn examples; fewer if the strategy has no more.

    The same seed draws the same examples. ``visit`` should not raise: what it raises ends
    the walk.
    """
    if examples < 1:
        return

    @seeded(seed)
    @_settings(examples, Phase.generate)
    @given(strategy)
    def walk(example: T) -> None:
        visit(example)

    walk()


def smallest(
    strategy: st.SearchStrategy[T],
    wanted: Callable[[T], bool],
    *,
    examples: int,
    seed: int,
    max_seconds: float,
) -> T | None:
    """The simplest example for which ``wanted`` is true that ``max_seconds`` suffice to find.

    Draws the very examples that :func:`sweep` draws from this seed, up to the first that
    is wanted, and shrinks that one.
    """
    best: list[T] = []
    deadline = time.monotonic() + max_seconds

    @seeded(seed)
    @_settings(examples, Phase.generate, Phase.shrink)
    @given(strategy)
    def look(example: T) -> None:
        if time.monotonic() > deadline:
            raise _TimeUp
        if wanted(example):
            best[:] = [example]  # Hypothesis only ever moves on to simpler ones
            raise _Found

    with suppress(_Found, _TimeUp, HypothesisException):
        look()
    return best[0] if best else None


def _settings(examples: int, *phases: Phase) -> settings:
    return settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )

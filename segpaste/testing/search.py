"""Walking through examples; Hypothesis does the drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from unittest import mock

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

T = TypeVar("T")


_ROUND = 10
"""The examples of one run of Hypothesis. Beyond ten it makes five of six by copying parts of
an example over others of its parts, which are nearly the same to a paste."""


def sweep(strategy: st.SearchStrategy[T], visit: Callable[[T], None], *, examples: int, seed: int) -> None:
    """Call ``visit`` on ``examples`` drawn examples, the simplest first.

    They are drawn ten at a time. A strategy that has fewer ends the walk; one that has a few
    dozen gives some of them again. The same seed draws the same examples, whatever else is
    loaded. ``visit`` should not raise: what it raises ends the walk.
    """
    with _blind_to_loaded_modules():
        for start in range(0, examples, _ROUND):
            count = min(_ROUND, examples - start)
            # Every run begins with the simplest example, which is visited once.
            if _run(strategy, visit, examples=count, skipped=start > 0, seed=seed + start) < count:
                break


@contextmanager
def _blind_to_loaded_modules() -> Iterator[None]:
    """Hypothesis draws from its seed alone.

    Some of its numbers are else taken from the source of the modules that are loaded and not
    installed, so that an edit, an import or an editable installation would give other examples.
    There is no setting for it; of a Hypothesis that has other names for it, nothing is changed.
    """
    blind = {"_get_local_constants": Constants, "CONSTANTS_CACHE": {}}
    with ExitStack() as stack:
        for name, value in blind.items():
            if hasattr(providers, name):
                stack.enter_context(mock.patch.object(providers, name, value))
        yield


def _run(
    strategy: st.SearchStrategy[T], visit: Callable[[T], None], *, examples: int, skipped: bool, seed: int
) -> int:
    """One run of Hypothesis; how many examples were visited."""
    seen = 0

    @seeded(seed)
    @settings(
        max_examples=examples + skipped,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]
        verbosity=Verbosity.quiet,
    )
    @given(strategy)
    def walk(example: T) -> None:
        nonlocal seen
        seen += 1
        if seen > skipped:
            visit(example)

    walk()
    return seen - skipped

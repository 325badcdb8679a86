"""Walking through examples; Hypothesis does the drawing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

T = TypeVar("T")


def sweep(strategy: st.SearchStrategy[T], visit: Callable[[T], None], *, examples: int, seed: int) -> None:
    """Call ``visit`` on ``examples`` drawn examples; fewer if the strategy has no more.

    The same seed draws the same examples. ``visit`` should not raise: what it raises ends
    the walk.
    """
    if examples < 1:
        return

    @seeded(seed)
    @settings(
        max_examples=examples,
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
        visit(example)

    walk()

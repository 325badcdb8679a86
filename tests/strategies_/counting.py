"""What the strategy tests share: counting labels over drawn examples, and shrinking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar
from unittest import mock

from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

T = TypeVar("T")


def quick(examples: int) -> settings:
    """Derandomised, generation only: the same examples in every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )


def shares(
    strategy: st.SearchStrategy[T],
    examples: int,
    *,
    events_of: str | None = None,
    labels: Callable[[T], list[str]] | None = None,
) -> dict[str, float]:
    """In which share of the examples each label is seen.

    Args:
        strategy: what to draw.
        examples: how many.
        events_of: module whose ``event`` is listened to.
        labels: gives further labels of an example.
    """
    counts: Counter[str] = Counter()
    drawn = 0
    seen: set[str] = set()

    @quick(examples)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        nonlocal drawn
        seen.clear()
        example = data.draw(strategy)
        seen.update(labels(example) if labels else [])
        drawn += 1
        counts.update(seen)

    if events_of is None:
        run()
    else:
        with mock.patch(f"{events_of}.event", seen.add):
            run()
    return {label: count / drawn for label, count in counts.items()}


def smallest(strategy: st.SearchStrategy[T], condition: Callable[[T], bool]) -> T:
    """The simplest example that meets a condition, as shrinking finds it."""
    return find(
        strategy,
        condition,
        settings=settings(
            max_examples=1000,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )

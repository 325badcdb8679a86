"""Measure the strategies: examples per second, per set of modalities.

    python scripts/bench_strategies.py [--examples N] [--side S] [--at-least R]

Columns: ``scene_from_seed(...).sample()``, and what Hypothesis draws of the two strategies.
One thread, wall-clock time: figures of one machine compare with each other only. Also a section of
``scripts/bench.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from segpaste.strategies import dense_samples, paste_cases
from segpaste.strategies.scenes import scene_from_seed
from segpaste.types import LEGAL_MODALITY_SETS, Modality, modality_set_name

ALL_MODALITIES = modality_set_name(frozenset(Modality))


def main() -> int:
    """Print the table; 1 if the all-modality sample is slower than asked for."""
    options = _options()
    found = rates(examples=options.examples, side=options.side)["rates"]
    table = Table(title=f"examples per second at {options.side} x {options.side}, one thread")
    table.add_column("modalities", no_wrap=True)
    for column in ("scenes", "dense_samples", "paste_cases"):
        table.add_column(column, justify="right")
    for name, values in found.items():
        table.add_row(name, *(f"{rate:.0f}" for rate in values))
    Console().print(table)
    rate_of_all = found[ALL_MODALITIES][1]
    if rate_of_all < options.at_least:
        print(f"dense_samples with all modalities: {rate_of_all:.0f}/s, expected {options.at_least:.0f}")
        return 1
    return 0


def rates(*, examples: int, side: int) -> dict[str, Any]:
    """Examples per second of scenes, ``dense_samples`` and ``paste_cases`` per modality set."""
    torch.set_num_threads(1)
    canvas = (side, side)
    found: dict[str, list[float]] = {}
    for modalities in LEGAL_MODALITY_SETS:
        measured = (
            _rate(lambda n, m=modalities: _build(n, m, canvas), examples),
            _rate(lambda n, m=modalities: _draw(n, dense_samples(m, canvas=canvas)), examples),
            _rate(lambda n, m=modalities: _draw(n, paste_cases(m, canvas=canvas)), examples),
        )
        found[modality_set_name(modalities)] = [round(rate, 1) for rate in measured]
    return {"side": side, "examples": examples, "rates": found}


def _rate(make: Callable[[int], int], examples: int) -> float:
    make(10)
    start = time.perf_counter()
    made = make(examples)
    return made / (time.perf_counter() - start)


def _build(examples: int, modalities: frozenset[Modality], canvas: tuple[int, int]) -> int:
    for seed in range(examples):
        scene_from_seed(seed, modalities=modalities, canvas=canvas).sample()
    return examples


def _draw(examples: int, strategy: st.SearchStrategy[object]) -> int:
    made = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(strategy)
    def count(_: object) -> None:
        nonlocal made
        made += 1

    count()
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="examples per second of the strategies")
    parser.add_argument("--examples", type=int, default=300, help="per figure (default 300)")
    parser.add_argument("--side", type=int, default=64, help="height and width (default 64)")
    parser.add_argument(
        "--at-least", type=float, default=0.0, help="fail below this rate of all-modality samples"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

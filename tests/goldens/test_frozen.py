"""Every executor makes the frozen bits: 200 seeds of every modality set and image dtype."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from syrupy.assertion import SnapshotAssertion
from torch._dynamo.testing import CompileCounterWithBackend

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, DtypeName, frozen_cases, is_even
from segpaste.goldens.check import Mismatch, check_executor, compare
from segpaste.goldens.digests import given_digests, line_of, outcome_digests
from segpaste.goldens.runners import built_in, compiled
from segpaste.goldens.store import FrozenStore
from tests.goldens.frozen_digests import FrozenDigests
from tests.goldens.frozen_gate import THROUGH_INDUCTOR, expect_nothing

ROOT = Path(__file__).parents[2]

EVERY = [(kind, dtype) for kind in KINDS for dtype in DTYPES]


@pytest.mark.parametrize(("kind", "dtype"), EVERY)
def test_the_executors_of_the_cpu(kind: str, dtype: DtypeName, snapshot: SnapshotAssertion) -> None:
    cases = list(frozen_cases([kind], [dtype]))
    store = FrozenStore()
    found: list[Mismatch] = []
    lines: list[str] = []
    for name in ("reference", "rectangle", "graph"):
        results = built_in(name)(cases)
        found += compare(cases, results, store=store, name=name)
        if name == "reference":
            lines = [
                line_of(one, given_digests(one) | outcome_digests(outcome))
                for one, outcome in zip(cases, results, strict=True)
            ]
    expect_nothing(found)
    assert snapshot.use_extension(FrozenDigests)(name=f"{kind}.{dtype}") == "\n".join(lines) + "\n"


def _through(backend: str, kind: str, dtype: DtypeName, seeds: list[int]) -> CompileCounterWithBackend:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    cases = list(frozen_cases([kind], [dtype], seeds))
    results = compiled(backend=counter)(cases)
    expect_nothing(compare(cases, results, store=FrozenStore(), name=f"graph compiled by {backend}"))
    torch._dynamo.reset()
    return counter


@pytest.mark.parametrize(("kind", "dtype"), THROUGH_INDUCTOR)
def test_the_compiled_graph(kind: str, dtype: DtypeName) -> None:
    """The seeds of one policy for stuff, 100 of 200: they share one graph."""
    seeds = [seed for seed in SEEDS if seed % 4 in (0, 1)]
    assert _through("inductor", kind, dtype, seeds).frame_count == 1


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "dtype"), EVERY)
def test_every_compiled_graph(kind: str, dtype: DtypeName) -> None:
    """All seeds of one shape, 150 of 200."""
    seeds = [seed for seed in SEEDS if is_even(seed)]
    assert _through("inductor", kind, dtype, seeds).frame_count in (1, 2)


@pytest.mark.parametrize("seeds", [2, pytest.param(20, marks=pytest.mark.nightly)])
def test_the_fused_executor_under_the_interpreter(seeds: int, tmp_path: Path) -> None:
    """The first seeds of four sets, in a process of its own: Triton decides on import what it is.

    And one bit of each field of a result is flipped, and must show.
    """
    program = Path(__file__).with_name("fused_frozen.py")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_", "TRITON_"))}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(seeds)],
        cwd=ROOT,
        env=inherited | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.strip() == f"{4 * seeds} frozen cases, one bit flipped in each of 15 fields"


def test_a_callable_is_an_executor() -> None:
    from segpaste.paste import apply

    def paste(target: Any, source: Any, plan: Any, config: Any) -> Any:
        return apply(target, source, plan, config), None

    kinds, seeds = ["instance+semantic+depth", "boxes"], range(4)
    assert check_executor(paste, kinds=kinds, seeds=seeds) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kinds": ["instances"]}, "kinds: got 'instances', expected one of instance, "),
        ({"dtypes": ["float64"]}, "dtypes: got 'float64', expected one of uint8, float32"),
        ({"seeds": [200]}, "seeds: got 200, expected one of 0 to 199"),
    ],
)
def test_what_is_not_frozen_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(frozen_cases(**arguments))


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(ValueError, match="executor: got 'fast', expected reference, rectangle, graph, "):
        check_executor("fast")
    with pytest.raises(ValueError, match="seeds: got 3, expected even cases"):
        check_executor("compiled", kinds=["instance"], seeds=[3])

"""What the laws of several runs say in full, as ``test_what_is_said.py`` has it for one paste.

Of a right executor, of one that is wrong in its second run, of broken ones, and of black boxes.
After a change that is meant, ``python -m tests.invariants.test_what_is_said_of_runs`` writes
``said_of_runs.json`` anew: read the difference before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.invariants import LAWS, InvariantReport, MetamorphicCase, check_metamorphic, laws
from segpaste.types import DenseSample
from tests.invariants.invariant_cases import Case, joined_cases, paste_by_expectation
from tests.invariants.test_breakers import METAMORPHIC, SEEDS, _smallest_set
from tests.invariants.test_metamorphic import copies_corner
from tests.parity.drawn import KINDS

FILE = Path(__file__).with_name("said_of_runs.json")
NAMES = [law.name for law in laws("metamorphic")]
RIGHT = {
    "instance": (5, 3),
    "instance+normals": (9, 1),
    "instance+semantic": (7, 2),
    "instance+semantic+panoptic+depth+normals": (3, 2),
    "semantic": (2, 2),
    "semantic+depth": (4, 3),
}
"""Modality sets, with the seed and the size of the batch."""


class Lapse:
    """Right in its first run; in all others one value is another."""

    def __init__(self, field: str) -> None:
        self.runs = 0
        self.field = field

    def __call__(self, t: Any, s: Any, p: Any, c: Any) -> Any:
        self.runs += 1
        out, told = paste_by_expectation(t, s, p, c)
        if self.runs == 1:
            return out, told
        value = getattr(told, self.field).clone()
        value.view(torch.uint8).reshape(-1)[-1] ^= 1
        return out, replace(told, **{self.field: value})


def changes_its_input(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    donor.image.as_subclass(torch.Tensor).view(-1)[seed] += 1
    return target


def draws_by_turns() -> Callable[[DenseSample, DenseSample, int], DenseSample]:
    runs: list[int] = []

    def paints(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        runs.append(seed)
        torch.rand(())
        image = target.image.as_subclass(torch.Tensor).clone()
        image[0, 0, 0] += len(runs)
        return DenseSample(**(target.to_dict() | {"image": image}))  # pyright: ignore[reportArgumentType]

    return paints


BLACK_BOXES: dict[str, Callable[[], Any]] = {
    "copies the corner": lambda: copies_corner,
    "changes its input": lambda: changes_its_input,
    "draws by turns": draws_by_turns,
    "none": lambda: None,
}
BROKEN = [f"{n} {law}" for n, (law, _) in enumerate(METAMORPHIC)]
LAPSES = ("paste_union", "row_source", "warped_images")


@pytest.mark.parametrize("kind", RIGHT)
def test_of_a_right_executor(kind: str) -> None:
    assert said_of_a_right_executor(kind) == recorded()[f"right {kind}"]


@pytest.mark.parametrize("field", LAPSES)
def test_of_an_audit_that_is_wrong_from_the_second_run_on(field: str) -> None:
    assert said_of_a_lapse(field) == recorded()[f"lapse {field}"]


@pytest.mark.parametrize("number", range(len(METAMORPHIC)), ids=BROKEN)
def test_of_a_broken_executor(number: int) -> None:
    assert said_of_a_broken_executor(number) == recorded()[f"broken {BROKEN[number]}"]


@pytest.mark.parametrize("box", BLACK_BOXES)
def test_of_a_black_box(box: str) -> None:
    assert said_of_a_black_box(box) == recorded()[f"box {box}"]


def said_of_a_right_executor(kind: str) -> list[str]:
    seed, size = RIGHT[kind]
    case = joined_cases(seed, size, KINDS[kind][0])
    return [line(report) for report in check_metamorphic(_several(case, paste_by_expectation))]


def said_of_a_lapse(field: str) -> list[str]:
    case = joined_cases(3, 2, KINDS["instance+semantic+panoptic+depth+normals"][0])
    return [line(r) for name in NAMES for r in check_metamorphic(_several(case, Lapse(field)), only=name)]


def said_of_a_broken_executor(number: int) -> list[str]:
    law, make = METAMORPHIC[number]
    for seed in range(SEEDS):
        case = joined_cases(seed, 2, _smallest_set(LAWS[law].needs, law))
        (report,) = check_metamorphic(_several(case, make()), only=law)
        if report.status == "violated":
            return [f"seed {seed}", line(report)]
    raise AssertionError(f"{law}: never rejected")


def said_of_a_black_box(box: str) -> list[str]:
    case = joined_cases(3, 2, KINDS["instance+semantic+panoptic+depth+normals"][0])
    found = [
        report
        for name in NAMES
        for report in check_metamorphic(
            MetamorphicCase(case.target, case.source, augment=BLACK_BOXES[box](), seed=5), only=name
        )
    ]
    return [line(report) for report in found]


def line(report: InvariantReport) -> str:
    """All of a report."""
    where = "" if report.mask is None else f" at {report.mask.nonzero().tolist()}"
    return f"{report.name} {report.status} {report.count}: {report.message}{where}"


@cache
def recorded() -> dict[str, list[str]]:
    """What is recorded."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def write() -> None:
    """Record what is said now."""
    said = {f"right {kind}": said_of_a_right_executor(kind) for kind in RIGHT}
    said |= {f"lapse {field}": said_of_a_lapse(field) for field in LAPSES}
    said |= {f"broken {name}": said_of_a_broken_executor(n) for n, name in enumerate(BROKEN)}
    said |= {f"box {box}": said_of_a_black_box(box) for box in BLACK_BOXES}
    FILE.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _several(case: Case, apply: Any) -> MetamorphicCase:
    return MetamorphicCase(case.target, case.source, case.plan, case.config, apply)


if __name__ == "__main__":
    write()

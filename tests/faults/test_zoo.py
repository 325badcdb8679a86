"""Every fault is killed by the laws it names, the correct path by none, and the page says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from scripts import generate_proof_page as page
from segpaste.paste import apply_reference
from segpaste.testing import RunOptions, run
from segpaste.testing.judge import COMPLETES, law_names
from segpaste.testing.targets import Augmentation, Executor
from segpaste.types import PaddedBatchedDenseSample
from tests import faults_five
from tests.faults.campaign import SEEDS, default_examples, kills
from tests.faults.drawing import DRAWING, first_caught
from tests.faults.fault import Fault
from tests.faults.reasons import REASONS
from tests.faults.zoo import BLIND, ZOO

RUNS = [
    pytest.param(name, seed, id=f"{name}-{seed}", marks=[] if seed == SEEDS[0] else pytest.mark.nightly)
    for seed in SEEDS
    for name in ZOO
]
CORRECT = {
    "executor": Executor("correct", apply_reference, ""),
    "callable": Augmentation("correct", faults_five.correct, True, None),
}


@pytest.mark.parametrize(("name", "seed"), RUNS)
def test_fault_is_killed_by_every_law_it_names(name: str, seed: int) -> None:
    fault = ZOO[name]
    found = kills(fault, seed, fault.laws)
    assert [law for law in fault.laws if law not in found] == []
    # A fault that merely crashes would be caught by anything.
    assert COMPLETES in fault.laws or COMPLETES not in found


@pytest.mark.parametrize("kind", CORRECT)
def test_no_law_kills_the_correct_path(kind: str) -> None:
    laws = {law for fault in ZOO.values() for law in fault.laws if not law.startswith("metamorphic.")}
    some = Fault("correct", "none", "", (), frozenset(), CORRECT[kind])
    assert kills(some, SEEDS[0], sorted(laws)) == {}


@pytest.mark.parametrize("name", DRAWING)
def test_fault_of_the_drawing_is_caught_by_the_frozen_seeds(name: str) -> None:
    assert first_caught(DRAWING[name]) == page.read().drawing[name] is not None


def test_there_are_enough_faults_and_every_one_names_laws_that_exist() -> None:
    assert len(ZOO) >= 80
    assert len(BLIND) == 20
    known = set(law_names())
    assert {
        name: fault.laws for name, fault in ZOO.items() if not fault.laws or set(fault.laws) - known
    } == {}


def test_the_examples_are_those_of_a_run() -> None:
    seen: list[PaddedBatchedDenseSample] = []

    def record(target: PaddedBatchedDenseSample, *others: Any) -> Any:
        seen.append(target)
        return apply_reference(target, *others)

    run([Executor("recorder", record, "")], RunOptions(examples=200, seed=SEEDS[0], only=COMPLETES))
    drawn = default_examples(SEEDS[0])
    assert len(seen) == len(drawn)
    for mine, example in zip(seen, drawn, strict=True):
        theirs = example.target.tensors()
        assert mine.tensors().keys() == theirs.keys()
        for name, value in mine.tensors().items():
            got, want = value.contiguous().view(torch.uint8), theirs[name].contiguous().view(torch.uint8)
            assert torch.equal(got, want), name


def test_page_and_picture_show_the_committed_figures() -> None:
    assert page.main(["--check"]) == 0


def test_the_committed_campaign_is_of_this_zoo() -> None:
    figures = page.read()
    assert list(figures.faults) == list(ZOO)
    assert {fault.name: missed for fault in ZOO.values() if (missed := figures.missed(fault))} == {}


def test_every_law_has_a_unique_kill_or_a_reason_to_stay() -> None:
    figures = page.read()
    without = {law for law in law_names() if not figures.unique(law)}
    assert set(REASONS) == without
    assert all(REASONS.values())


def test_the_first_run_of_the_blind_faults_is_of_these() -> None:
    first = json.loads(page.FIRST_RUN.read_text(encoding="utf-8"))
    assert list(first["violations"]) == list(BLIND)
    assert first["killed"] == sum(bool(laws) for laws in first["violations"].values())

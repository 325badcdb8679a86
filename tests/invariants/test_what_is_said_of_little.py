"""What every law says where there is little to judge: no schema, no rows, nothing pasted, no audit.

``test_what_is_said.py`` has what is said of what is wrong; here it is which laws hold, which have
nothing to judge, and why. ``python -m tests.invariants.test_what_is_said_of_little`` writes
``said_of_little.json`` anew: read the difference before it is committed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.invariants import InvariantReport, check_padded, check_paste, check_sample
from segpaste.types import DenseSample, Modality, PaddedBatchedDenseSample
from tests.invariants.invariant_cases import Case, dense, paste_by_expectation, random_case, with_fields
from tests.parity.drawn import KINDS

FILE = Path(__file__).with_name("said_of_little.json")
PLAIN: dict[str, Any] = {"canvas": (4, 5), "slots": 4, "source_slots": 3, "min_area": 1, "min_pasted_area": 1}
WAYS: dict[str, dict[str, Any]] = {
    "nothing asked for": {"count": 0, "schema": True},
    "no schema": {"count": 3, "schema": False},
    "no rows": {"count": 3, "schema": True, "fullness": 0.0, "padding": False},
    "no slots": {"count": 3, "schema": True, "slots": 0, "padding": False},
    "no donors": {"count": 3, "schema": True, "source_slots": 0},
    "many rows": {"count": 3, "schema": True, "fullness": 1.0, "padding": True, "z_test": True},
    "all ignore": {"count": 3, "schema": True, "ignore_share": 1.0, "fullness": 0.0},
}
SETS = (
    "image",
    "boxes",
    "instance",
    "semantic",
    "semantic+depth+normals",
    "instance+semantic",
    "instance+semantic+panoptic+depth+normals",
)
NAMES = [f"{kind}, {way}" for kind in SETS for way in WAYS]


@pytest.mark.parametrize("name", NAMES)
def test_of_a_right_paste(name: str) -> None:
    assert said(name) == recorded()[name]


def said(name: str) -> dict[str, list[str]]:
    """Of the output alone, in its batch, and as a paste, with more and more of what is known."""
    case = _case(name)
    out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
    target, source, plan, config = case.target, case.source, case.plan, case.config
    found = {
        "sample": check_sample(out),
        "sample, schema": check_sample(dense(out), case.schema),
        "sample, before": check_sample(out, case.schema, before=target, source=source),
        "padded": check_padded(out),
        "paste": check_paste(target, out),
        "paste, schema": check_paste(dense(target), dense(out), schema=case.schema),
        "paste, source": check_paste(target, out, source=source),
        "paste, plan": check_paste(target, out, plan=plan, config=config, source=source),
        "paste, bare audit": check_paste(target, out, told, plan=plan, config=config),
        "paste, audit": check_paste(target, out, told, source=source),
        "nothing done": check_paste(target, target, schema=case.schema),
        "painted": check_paste(target, _painted(target), schema=case.schema),
    }
    return {what: _lines(reports) for what, reports in found.items()}


def _case(name: str) -> Case:
    kind, _, way = name.rpartition(", ")
    return random_case(sum(map(ord, name)), KINDS[kind][0], **(PLAIN | WAYS[way]))


def _painted(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    images = batch.images.as_subclass(torch.Tensor).clone()
    images[:, :, :1] += 1
    return with_fields(batch, images=images)


def _lines(reports: list[InvariantReport]) -> list[str]:
    """Laws by what is said of them; those that lack a modality are left out."""
    words: dict[str, list[str]] = {}
    for r in reports:
        if any(r.message == f"no {modality.value}" for modality in Modality):
            continue
        words.setdefault(f"{r.status} {r.count}: {r.message}", []).append(r.name)
    return [f"{said} -- {' '.join(names)}" for said, names in words.items()]


def test_a_dense_sample_is_judged_as_it_lies() -> None:
    sample = dense(_case("instance, many rows").target)
    assert isinstance(sample, DenseSample)
    assert [str(r) for r in check_sample(sample) if not r.ok] == []


@cache
def recorded() -> dict[str, dict[str, list[str]]]:
    """What is recorded; each line stands in the file once, and is named by its number."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        name: {what: [content["lines"][n] for n in numbers] for what, numbers in sayings.items()}
        for name, sayings in content["said"].items()
    }


def write() -> None:
    """Record what is said now."""
    everything = {name: said(name) for name in NAMES}
    lines = sorted({line for sayings in everything.values() for found in sayings.values() for line in found})
    numbers = {
        name: {what: [lines.index(line) for line in found] for what, found in sayings.items()}
        for name, sayings in everything.items()
    }
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(sayings)}" for name, sayings in numbers.items())
    text = json.dumps(lines, indent=1, ensure_ascii=False)
    FILE.write_text(f'{{"lines": {text},\n"said": {{\n{rows}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    write()

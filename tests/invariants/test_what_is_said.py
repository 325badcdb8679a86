"""What every law says of every broken output, in full: status, words, count, rows and pixels.

The breakers of ``test_breakers.py`` ask of one law whether it objects. Here all laws are asked, of
the same broken outputs, with the audit and without; what they say is in ``said.json``. After a
change that is meant, ``python -m tests.invariants.test_what_is_said`` writes that file anew: read
the difference before it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch

from segpaste.invariants import InvariantReport, check_padded, check_paste, check_sample
from segpaste.invariants.expected import expect_paste
from segpaste.invariants.view import view_of
from segpaste.types import DenseSample
from tests.invariants.invariant_cases import dense, paste_by_expectation, random_case
from tests.invariants.test_breakers import ALL, PADDED, PASTE, SAMPLE, SEEDS, Paste

FILE = Path(__file__).with_name("said.json")

Said = dict[str, list[str]]


def _numbered(names: list[str]) -> list[str]:
    """The same names, those that come again with their number."""
    counts = [names[: n + 1].count(name) for n, name in enumerate(names)]
    return [name if count == 1 else f"{name} {count}" for name, count in zip(names, counts, strict=True)]


PASTES = _numbered([f"{law} {breaker.__name__}" for law, breaker, _ in PASTE])
SAMPLES = _numbered([f"{law} {breaker.__name__}" for law, breaker in SAMPLE])
BATCHES = _numbered([law for law, _ in PADDED])


@pytest.mark.parametrize("number", range(len(PASTE)), ids=PASTES)
def test_of_a_broken_paste(number: int) -> None:
    assert said_of_a_paste(number) == recorded()[PASTES[number]]


@pytest.mark.parametrize("number", range(len(SAMPLE)), ids=SAMPLES)
def test_of_a_broken_sample(number: int) -> None:
    assert said_of_a_sample(number) == recorded()[SAMPLES[number]]


@pytest.mark.parametrize("number", range(len(PADDED)), ids=BATCHES)
def test_of_a_broken_batch(number: int) -> None:
    assert said_of_a_batch(number) == recorded()[BATCHES[number]]


def test_nothing_is_recorded_that_is_not_asked() -> None:
    assert list(recorded()) == [*PASTES, *SAMPLES, *BATCHES]


def said_of_a_paste(number: int) -> Said:
    """With the audit, without it, and of the output alone."""
    _, breaker, wanted = PASTE[number]
    options = {"modalities": ALL, "canvas": (5, 6), "source_slots": 5, "slots": 6} | wanted
    for seed in range(SEEDS):
        case = random_case(seed, **options)
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        expected = expect_paste(view_of(case.target), view_of(case.source), case.plan, case.config)
        broken = breaker(Paste(case, out, told, expected))
        if broken is None:
            continue
        after, audit = broken if isinstance(broken, tuple) else (broken, told)
        return {
            "audit": lines(check_paste(case.target, after, audit, source=case.source)),
            "no audit": lines(check_paste(case.target, after, schema=case.schema)),
            "sample": lines(check_sample(after, case.schema, before=case.target, source=case.source)),
        }
    raise AssertionError(f"{breaker.__name__}: none of {SEEDS} pastes could be broken")


def said_of_a_sample(number: int) -> Said:
    """Of the sample alone, and of what it was before."""
    _, breaker = SAMPLE[number]
    for seed in range(SEEDS):
        case = random_case(seed, ALL, canvas=(5, 6), schema=True, padding=True)
        good = dense(case.target).to_dict()
        fields = breaker({n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in good.items()})
        if fields is not None:
            sample = DenseSample.unchecked(**fields)
            return {
                "alone": lines(check_sample(sample, case.schema)),
                "after": lines(check_sample(sample, case.schema, before=DenseSample(**good))),
            }
    raise AssertionError(f"{breaker.__name__}: none of {SEEDS} samples could be broken")


def said_of_a_batch(number: int) -> Said:
    """Of all its samples."""
    _, breaker = PADDED[number]
    for seed in range(SEEDS):
        case = random_case(seed, ALL, canvas=(5, 6), slots=5, padding=True)
        broken = breaker(case.target)
        if broken is not None:
            return {"padded": lines(check_padded(broken))}
    raise AssertionError(f"{number}: none of {SEEDS} batches could be broken")


def lines(reports: list[InvariantReport]) -> list[str]:
    """One line per violation, one per reason for which laws were not judged, and how many hold."""
    found = [_line(r) for r in reports if r.status == "violated"]
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in reports:
        if r.status not in ("violated", "held", "not_applicable"):
            reasons.setdefault((r.status, r.message), []).append(r.name)
    found += [f"{status}, {why}: {' '.join(names)}" for (status, why), names in reasons.items()]
    held = sum(r.status == "held" for r in reports)
    return [*found, f"held: {held} of {len(reports)}"]


def _line(report: InvariantReport) -> str:
    where = "" if report.mask is None else " at " + ", ".join(_places(report.mask))
    rows = f" rows {list(report.rows)}" if report.rows else ""
    return f"{report.name} {report.status} {report.count}: {report.message}{rows}{where}"


def _places(mask: torch.Tensor) -> Iterator[str]:
    return (".".join(str(i) for i in place) for place in mask.nonzero().tolist())


@cache
def recorded() -> dict[str, Said]:
    """What is recorded, by breaker."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def write() -> None:
    """Record what is said now."""
    said = {name: said_of_a_paste(n) for n, name in enumerate(PASTES)}
    said |= {name: said_of_a_sample(n) for n, name in enumerate(SAMPLES)}
    said |= {name: said_of_a_batch(n) for n, name in enumerate(BATCHES)}
    FILE.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()

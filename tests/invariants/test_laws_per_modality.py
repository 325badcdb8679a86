"""The laws that are made for each modality, made anew: they say what the registered ones say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segpaste.invariants import LAWS, check_paste
from segpaste.invariants.paste_pixel_laws import (
    _PER_MODALITY,  # pyright: ignore[reportPrivateUsage]
    _inside_is_source,  # pyright: ignore[reportPrivateUsage]
    _unchanged_outside,  # pyright: ignore[reportPrivateUsage]
)
from segpaste.types import DenseSample
from tests.invariants import test_what_is_said_of_little
from tests.invariants.test_breakers import PASTE
from tests.invariants.test_no_audit import BEFORE, IGNORE, H, fields_of, judged, pasted
from tests.invariants.test_what_is_said import PASTES, recorded, said_of_a_paste

MADE = {
    "paste.unchanged_outside_union": _unchanged_outside,
    "paste.inside_union_is_source": _inside_is_source,
}
NUMBERS = range(len(PASTE))


@pytest.fixture(autouse=True)
def made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for family, make in MADE.items():
        for modality in _PER_MODALITY:
            name = f"{family}.{modality}"
            monkeypatch.setitem(LAWS, name, replace(LAWS[name], predicate=make(modality)))


@pytest.mark.parametrize("number", NUMBERS, ids=[PASTES[n] for n in NUMBERS])
def test_of_a_broken_paste(number: int) -> None:
    assert said_of_a_paste(number) == recorded()[PASTES[number]]


def test_every_family_is_broken_for_every_modality() -> None:
    broken = {law for law, *_ in PASTE}
    assert {f"{family}.{modality}" for family in MADE for modality in _PER_MODALITY} <= broken


@pytest.mark.parametrize("name", test_what_is_said_of_little.NAMES)
def test_where_there_is_little_to_judge(name: str) -> None:
    assert test_what_is_said_of_little.said(name) == test_what_is_said_of_little.recorded()[name]


def test_without_an_audit() -> None:
    for after, message in (
        (pasted(), "no plan, configuration"),
        (BEFORE, "nothing was pasted, or everything"),
    ):
        reports = judged(after, source=BEFORE)
        outside = reports["paste.unchanged_outside_union.image"]
        inside = reports["paste.inside_union_is_source.image"]
        assert inside.status == "not_decidable"
        assert inside.message.startswith("no plan, configuration")
        if after is BEFORE:
            assert outside.status == "not_exercised"
            assert outside.message.startswith(message)
        else:
            assert outside.status == "held"


def test_a_class_that_changed_is_not_excused_by_void_elsewhere() -> None:
    fields = fields_of(BEFORE)
    fields["semantic_map"][:, 2] = IGNORE
    law = "paste.unchanged_outside_union.semantic"
    (report,) = check_paste(BEFORE, DenseSample.unchecked(**fields), only=law)
    assert report.status == "not_decidable"
    fields["semantic_map"][:, 3] = 1
    (report,) = check_paste(BEFORE, DenseSample.unchecked(**fields), only=law)
    assert (report.status, report.count) == ("violated", H)

"""The registry: stable names, every law once, and predicates that cannot take the run down."""

from __future__ import annotations

import re

import pytest

from segpaste.invariants import LAW_MODULES, LAWS, Law, get_law, laws
from segpaste.invariants.registry import add, register
from segpaste.invariants.report import HELD
from segpaste.types import Modality

IMAGE = frozenset({Modality.IMAGE})

# The 16 of ADR-0001 part (ii): these names are cited elsewhere and must not move.
ADR_0001 = (
    "instance.identity_preserved",
    "instance.masks_minus_union",
    "instance.bbox_recomputed_from_mask",
    "instance.small_area_dropped",
    "instance.no_same_class_overlap",
    "panoptic.thing_stuff_consistent",
    "panoptic.bijection",
    "panoptic.fresh_ids",
    "panoptic.stuff_threshold",
    "semantic.single_class",
    "semantic.ignore_preserved",
    "depth.monotonic",
    "depth.validity_join",
    "depth.metric_rescaled",
    "normals.unit_norm",
    "normals.frame",
)


def test_the_sixteen_are_there() -> None:
    assert [LAWS[name].kind for name in ADR_0001] == ["paste"] * 16


@pytest.mark.parametrize("law", laws(), ids=lambda law: law.name)
def test_every_law_says_what_it_is_and_how_it_is_broken(law: Law) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", law.name)
    assert law.statement.endswith(".")
    assert law.in_the_wild.endswith(".")
    assert "\n" not in law.statement + law.in_the_wild


def test_laws_are_chosen_by_kind_and_glob() -> None:
    assert {law.kind for law in laws("padded")} == {"padded"}
    assert {law.name.split(".")[0] for law in laws(only="depth.*")} == {"depth"}
    assert laws("padded", "depth.*") == []
    assert len(laws()) == len(LAWS)
    assert len(LAW_MODULES) == len({module.__name__ for module in LAW_MODULES})


def test_get_law_names_what_comes_close() -> None:
    assert get_law("depth.monotonic").name == "depth.monotonic"
    with pytest.raises(KeyError, match=r"instance\.fresh_ids"):
        get_law("rows.fresh_ids")
    with pytest.raises(KeyError, match="expected a law such as"):
        get_law("nonsense")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        add(get_law("depth.monotonic"))
    with pytest.raises(ValueError, match="twice"):
        register("depth.monotonic", "paste")(lambda case: HELD)


def test_a_predicate_that_stumbles_is_a_violation() -> None:
    def stumbles(case: object) -> object:
        raise IndexError("row 7\nof 3")

    law = Law("x.y", "sample", frozenset(), "s.", "w.", stumbles)  # pyright: ignore[reportArgumentType]
    report = law.judge(None, IMAGE, 4)
    assert not report.ok
    assert str(report) == "[x.y] sample 4, cannot be judged, the sample is malformed: IndexError: row 7"


def test_a_law_without_its_modality_is_not_applicable() -> None:
    report = get_law("depth.monotonic").judge(None, IMAGE)
    assert (report.status, report.message, report.ok) == ("not_applicable", "no depth", True)

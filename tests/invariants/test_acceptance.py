"""Correct outputs are accepted, in every container, with and without an audit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from segpaste.invariants import (
    InvariantReport,
    MetamorphicCase,
    assert_metamorphic,
    assert_paste,
    assert_sample,
    check_metamorphic,
    check_padded,
    check_paste,
    check_sample,
    laws,
)
from segpaste.invariants.transforms import compact
from segpaste.paste import apply_reference
from segpaste.strategies import PasteCase, paste_cases
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PaddedBatchedDenseSample, modality_set_name
from tests.invariants.invariant_cases import Case, dense, joined_cases, paste_by_expectation, random_case

SEEDS_PER_SET = 25
# Drawn on purpose, in targets and sources (see ``paste_cases``).
UNTIDY = {
    "instance.boxes_are_tight",
    "instance.same_class_disjoint",
    "normals.face_camera",
    "padding.carries_no_labels",
    "panoptic.ids_are_rows",
    "panoptic.things_have_ids",
}
BOXES_ONLY = frozenset({Modality.IMAGE})


def wrong(reports: list[InvariantReport]) -> list[str]:
    return [str(report) for report in reports if not report.ok]


def judged_in_every_form(case: Case) -> list[InvariantReport]:
    # A sample without slots has its rows closed up: so must those be that the plan speaks of.
    case = replace(case, target=compact(case.target), source=compact(case.source))
    out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
    before, after, donor = dense(case.target), dense(out), dense(case.source)
    return [
        *check_padded(out),
        *check_sample(after, case.schema),
        *check_sample(after, case.schema, before=before, source=donor),
        *check_paste(case.target, out, told, source=case.source),
        *check_paste(case.target, after, told, source=case.source),
        *check_paste(before, after, told, source=donor),
        *check_paste(before, after, schema=case.schema, source=donor),
        *check_paste(case.target, out, schema=case.schema),
    ]


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_random_pastes_hold(modalities: frozenset[Modality]) -> None:
    for seed in range(SEEDS_PER_SET):
        case = random_case(seed, modalities)
        assert wrong(judged_in_every_form(case)) == [], f"seed {seed}"


@given(paste_cases(max_side=16))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_drawn_pastes_of_the_reference_hold(case: PasteCase) -> None:
    out, told = apply_reference(case.target, case.source, case.plan, case.config)
    assert wrong(check_padded(out)) == []
    for index in range(case.target.batch_size):
        before, after = case.target.select(index), out.select(index)
        donor = case.source.select(int(case.plan.source_idx[index]))
        found = [
            *(r for r in check_sample(dense(before), case.schema) if r.name not in UNTIDY),
            *check_sample(dense(after), case.schema, before=dense(before), source=dense(donor)),
            *check_paste(before, after, told.select(index), source=donor, index=index),
            *check_paste(dense(before), dense(after), schema=case.schema),
        ]
        assert wrong(found) == []


@given(paste_cases(max_side=16, untidy=False))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_tidy_cases_hold_every_sample_law(case: PasteCase) -> None:
    for view in (case.target, case.source):
        for index in range(view.batch_size):
            assert wrong(check_sample(dense(view.select(index)), case.schema)) == []


@given(paste_cases(max_side=12))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=20)
def test_drawn_cases_hold_the_metamorphic_laws(case: PasteCase) -> None:
    several = MetamorphicCase(case.target, case.source, case.plan, case.config, apply_reference)
    assert wrong(check_metamorphic(several)) == []


def test_batches_hold_the_metamorphic_laws_and_exercise_all_of_them() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        case = joined_cases(seed, 3)
        several = MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
        reports = check_metamorphic(several)
        assert wrong(reports) == [], f"seed {seed}"
        seen.update(report.name for report in reports if report.status == "held")
        if seed > 15 and len(seen) == len(laws("metamorphic")):
            break
    assert set(seen) == {law.name for law in laws("metamorphic")}


def test_every_paste_law_is_exercised_by_random_pastes() -> None:
    waiting = {law.name for law in laws("paste")}
    for seed in range(3000):
        sets = (None, LEGAL_MODALITY_SETS[-1], BOXES_ONLY)
        case = random_case(seed, sets[seed % 3])
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        for report in check_paste(case.target, out, told, source=case.source):
            if report.status == "held":
                waiting.discard(report.name)
        if not waiting:
            break
    assert waiting == set()


def test_the_assert_forms_let_correct_output_pass() -> None:
    case = joined_cases(4, 1)
    out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
    assert_sample(dense(out), case.schema)
    assert_paste(case.target, out, told, source=case.source)
    assert_metamorphic(
        MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
    )


def test_no_samples_exercise_nothing() -> None:
    case = random_case(1)
    empty = case.target.gather(slice(0, 0))
    assert {report.status for report in check_padded(empty)} == {"not_exercised"}
    several = MetamorphicCase(empty, empty, None, case.config, paste_by_expectation)
    assert wrong(check_metamorphic(several)) == []


def test_a_batch_of_several_is_refused_where_one_is_judged() -> None:
    case = joined_cases(2, 2)
    with pytest.raises(ValueError, match="B = 1"):
        check_paste(case.target, case.target)
    assert all(
        "B = 1" in report.message for report in check_sample(case.target) if report.status == "violated"
    )
    with pytest.raises(TypeError, match="DenseSample"):
        check_paste(torch.zeros(1), case.target)  # pyright: ignore[reportArgumentType]


def test_identity_is_a_paste_of_nothing() -> None:
    case = random_case(5, LEGAL_MODALITY_SETS[-1], padding=False)
    sample: PaddedBatchedDenseSample = case.target
    statuses = {r.name: r.status for r in check_paste(sample, sample, schema=case.schema)}
    assert "violated" not in statuses.values()
    assert statuses["instance.fresh_ids"] == "not_exercised"

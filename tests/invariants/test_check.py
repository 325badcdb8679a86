"""The functions that judge: what they hand on to the laws, and what they make of the reports."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.invariants import (
    LAWS,
    InvariantReport,
    InvariantViolation,
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
from segpaste.invariants.check import raise_violations
from segpaste.invariants.registry import get_law, register
from segpaste.invariants.report import (
    HELD,
    by_pixels,
    by_rows,
    exercised,
    first_pixel,
    not_applicable,
    not_decidable,
    not_exercised,
    violated,
)
from segpaste.invariants.transforms import joined
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PanopticSchemaSpec
from tests.invariants.invariant_cases import (
    dense,
    joined_cases,
    paste_by_expectation,
    random_case,
    with_fields,
)

ALL = LEGAL_MODALITY_SETS[-1]
ROWS = LEGAL_MODALITY_SETS[0]


def names(reports: list[InvariantReport]) -> list[str]:
    return [report.name for report in reports]


def a_paste(**wanted: Any) -> Any:
    """Case, output and audit of a paste in which a row survives and one is pasted."""
    options = {"canvas": (5, 6), "slots": 5, "source_slots": 3, "schema": True, "count": 3} | wanted
    for seed in range(100):
        case = random_case(seed, ALL, **options)
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        if bool(told.paste_union.any()) and bool((case.target.instance_valid & out.instance_valid).any()):
            return case, out, told
    raise AssertionError("none of 100 pastes")


@pytest.mark.parametrize("index", [None, 3])
def test_every_report_names_its_sample(index: int | None) -> None:
    case, out, told = a_paste()
    assert {r.sample for r in check_sample(out, index=index)} == {index}
    assert {r.sample for r in check_paste(case.target, out, told, source=case.source, index=index)} == {index}
    smaller = random_case(4, ALL, canvas=(4, 6), slots=5).target
    assert {r.sample for r in check_paste(case.target, smaller, index=index)} == {index}


def test_one_report_a_law_by_name() -> None:
    case, out, told = a_paste()
    for only in ("*", "depth.*"):
        assert names(check_sample(out, only=only)) == [law.name for law in laws("sample", only)]
        assert names(check_padded(out, only=only)) == [law.name for law in laws("padded", only)]
        wanted = [law.name for law in laws("paste", only)]
        assert names(check_paste(case.target, out, told, only=only)) == wanted
    several = MetamorphicCase(case.target, case.source)
    found = check_metamorphic(several, only="*round_trip*")
    assert names(found) == [law.name for law in laws("metamorphic", "*round_trip*")]
    assert names(laws("metamorphic")) == sorted(names(laws("metamorphic")))  # pyright: ignore[reportArgumentType]
    kinds = [law.kind for law in laws()]
    order = ["sample", "padded", "paste", "metamorphic", "geometric", "photometric", "provenance"]
    assert kinds == sorted(kinds, key=order.index)
    assert set(kinds) == set(order)


def test_another_canvas_leaves_nothing_to_judge() -> None:
    case, *_ = a_paste()
    smaller = random_case(4, ALL, canvas=(4, 6), slots=5).target
    found = check_paste(case.target, smaller)
    assert names(found) == [law.name for law in laws("paste")]
    for report in found:
        if report.name == "paste.frame_kept":
            assert (report.status, report.count) == ("violated", 1)
            assert report.message == "canvas (4, 6), expected (5, 6)"
        else:
            assert (report.status, report.count) == ("not_decidable", 0)
            assert report.message == "canvas (4, 6), was (5, 6)"


def test_laws_apply_to_what_both_have() -> None:
    case, out, _ = a_paste()
    bare = with_fields(out, normals=None)
    (report,) = check_paste(case.target, bare, only="normals.unit_norm")
    assert (report.status, report.message) == ("not_applicable", "no normals")
    (report,) = check_paste(with_fields(case.target, normals=None), out, only="normals.unit_norm")
    assert (report.status, report.message) == ("not_applicable", "no normals")


def test_of_a_batch_the_worst_verdict_is_told() -> None:
    good = random_case(4, ROWS, canvas=(5, 6), slots=5, fullness=0.6).target
    dirty = good.tensors()["labels"].clone()
    free = int((~good.instance_valid[0]).to(torch.uint8).argmax())
    assert not bool(good.instance_valid[0, free])
    dirty[0, free] = 9
    bad = with_fields(good, labels=dirty)
    law = "padded.unused_slots_zero"
    for batches, status, sample in (
        ([good, bad, bad], "violated", 1),
        ([bad, good], "violated", 0),
        ([good, good], "held", 0),
    ):
        (report,) = check_padded(joined(batches), only=law)
        assert (report.status, report.sample) == (status, sample)
    full = with_fields(good, instance_valid=good.instance_valid | True)
    (report,) = check_padded(joined([full, good]), only=law)
    assert (report.status, report.sample) == ("held", 1)
    (report,) = check_padded(joined([full, full]), only=law)
    assert (report.status, report.sample, report.message) == ("not_exercised", 0, "no unused slot")
    (report,) = check_padded(good.gather(slice(0, 0)), only=law)
    assert (report.status, report.sample, report.message) == ("not_exercised", None, "no samples")
    assert report.name == law


def test_verdicts_of_a_batch_are_told_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = joined_cases(3, 2, ROWS).target
    order = [not_applicable("x"), not_exercised("x"), not_decidable("x"), HELD, violated("x")]
    law = "padded.unused_slots_zero"
    for lighter, heavier in itertools.combinations(order, 2):
        for two, at in (([lighter, heavier], 1), ([heavier, lighter], 0)):
            findings = iter(two)
            told = replace(get_law(law), predicate=lambda case, findings=findings: next(findings))
            monkeypatch.setitem(LAWS, law, told)
            (report,) = check_padded(batch, only=law)
            assert (report.status, report.sample) == (heavier.status, at)


def test_unused_slots_are_named_by_what_is_in_them() -> None:
    batch = random_case(4, ROWS, canvas=(5, 6), slots=2, fullness=0.0).target
    dirty = with_fields(batch, labels=batch.labels + 1, boxes=batch.boxes - 0.0 * 1)
    (report,) = check_padded(dirty, only="padded.unused_slots_zero")
    assert report.message.startswith("row 0: unused, and not 0 in labels; expected 0 everywhere")
    ids = torch.ones_like(batch.tensors()["instance_ids"])
    dirty = with_fields(batch, labels=batch.labels + 1, instance_ids=ids)
    (report,) = check_padded(dirty, only="padded.unused_slots_zero")
    assert report.message.startswith(
        "row 0: unused, and not 0 in labels, instance_ids; expected 0 everywhere"
    )


def test_a_batch_without_padded_pixels() -> None:
    batch = random_case(4, ROWS, canvas=(5, 6), slots=4, fullness=1.0, padding=False).target
    padding = torch.zeros(1, 1, 5, 6, dtype=torch.bool)
    for law in ("padded.padding_is_border", "padded.masks_off_padding"):
        (report,) = check_padded(with_fields(batch, padding_mask=padding), only=law)
        assert (report.status, report.message) == ("not_exercised", "no padded pixel")


def test_a_sample_is_judged_by_schema_before_and_source() -> None:
    case, out, _ = a_paste()
    unknown = PanopticSchemaSpec(classes={40: "thing"})
    (report,) = check_sample(out, unknown, only="instance.labels_in_schema")
    assert report.status == "violated"
    with pytest.raises(InvariantViolation) as raised:
        assert_sample(out, unknown, only="instance.labels_in_schema")
    assert names(list(raised.value.reports)) == ["instance.labels_in_schema"]
    with pytest.raises(InvariantViolation):
        assert_sample(out, unknown)
    assert_sample(out, unknown, before=out, only="instance.labels_in_schema")
    assert_sample(out, unknown, before=out, source=case.source, only="semantic.values_in_schema")
    with pytest.raises(InvariantViolation):
        assert_sample(out, unknown, before=case.target, only="semantic.values_in_schema")
    donor = with_fields(case.source, semantic_maps=out.tensors()["semantic_maps"])
    assert_sample(out, unknown, before=case.target, source=donor, only="semantic.values_in_schema")


def test_a_paste_is_judged_by_all_that_is_known() -> None:
    case, out, told = a_paste()
    law = "paste.selection_by_plan"
    (report,) = check_paste(case.target, out, told, source=case.source, only=law)
    assert report.status in ("held", "not_exercised")
    (report,) = check_paste(case.target, out, told, only=law)
    assert report.message == "no source to recompute the paste from"
    (report,) = check_paste(case.target, out, source=case.source, only=law)
    assert report.message == "no plan, configuration to recompute the paste from"
    (report,) = check_paste(case.target, out, source=case.source, plan=case.plan, only=law)
    assert report.message == "no configuration to recompute the paste from"
    (report,) = check_paste(case.target, out, source=case.source, config=case.config, only=law)
    assert report.message == "no plan to recompute the paste from"
    given = {"source": case.source, "plan": case.plan, "config": case.config}
    (report,) = check_paste(case.target, out, only=law, **given)
    assert report.status in ("held", "not_exercised")
    (report,) = check_paste(case.target, out, only="paste.things_only")
    assert (report.status, report.message) == ("not_applicable", "no schema")
    (report,) = check_paste(case.target, out, schema=case.schema, only="paste.things_only")
    assert report.status in ("held", "not_exercised")
    (report,) = check_paste(case.target, out, told, only="paste.things_only")
    assert report.status in ("held", "not_exercised")


def test_a_plan_that_was_given_is_believed_more_than_the_audits() -> None:
    case, out, told = a_paste()
    liar = replace(told, plan=replace(case.plan, step=case.plan.step + 7))
    (report,) = check_paste(
        case.target, out, liar, source=case.source, plan=case.plan, only="audit.plan_fits"
    )
    assert report.status == "violated"
    step = int(case.plan.step[0])
    want = f"the audit's plan is not the one that was given: step {[step + 7]}, expected {[step]}"
    assert report.message == want
    boastful = replace(told, config=case.config.model_copy(update={"min_area": 50}))
    (report,) = check_paste(
        case.target, out, boastful, source=case.source, config=case.config, only="audit.plan_fits"
    )
    assert report.message == "the audit's configuration is not the one that was given"
    given = {"source": case.source, "plan": case.plan, "config": case.config}
    (report,) = check_paste(case.target, out, told, only="audit.plan_fits", **given)
    assert report.status == "held"


def test_asserts_hand_on_what_they_are_given() -> None:
    case, out, told = a_paste()
    assert_paste(case.target, out, told, source=case.source)
    assert_paste(case.target, out, schema=case.schema)
    with pytest.raises(InvariantViolation):
        assert_paste(
            case.target, out, schema=PanopticSchemaSpec(classes={40: "thing"}), only="paste.things_only"
        )
    thief = with_fields(out, labels=out.labels + 40)
    with pytest.raises(InvariantViolation):
        assert_paste(case.target, thief, told, source=case.source, only="instance.identity_preserved")
    assert_paste(case.target, thief, told, source=case.source, only="depth.*")
    lying = replace(told, paste_union=~told.paste_union)
    with pytest.raises(InvariantViolation):
        assert_paste(case.target, out, lying, source=case.source, only="audit.union_is_true")
    swapped = with_fields(case.source, images=255 - case.source.tensors()["images"])
    with pytest.raises(InvariantViolation):
        assert_paste(case.target, out, told, source=swapped, only="paste.inside_union_is_source.image")

    def refuses(*args: Any) -> Any:
        raise RuntimeError

    several = joined_cases(3, 2, ROWS)
    broken = MetamorphicCase(several.target, several.source, several.plan, several.config, refuses)
    with pytest.raises(InvariantViolation, match="a run raised RuntimeError: $"):
        assert_metamorphic(broken, only="metamorphic.count_zero_is_identity")
    assert_metamorphic(broken, only="metamorphic.round_trip_*")


def test_only_violations_are_raised() -> None:
    reports = [InvariantReport(f"a.{s}", s) for s in ("held", "not_exercised", "not_decidable")]  # pyright: ignore[reportArgumentType]
    raise_violations(reports)
    wrong = InvariantReport("a.b", "violated", "no")
    with pytest.raises(InvariantViolation) as raised:
        raise_violations([*reports, wrong])
    assert raised.value.reports == (wrong,)
    assert str(raised.value) == "[a.b] no"


def test_a_report_has_all_of_its_finding() -> None:
    mask = torch.tensor([[True]])
    law = replace(get_law("depth.monotonic"), predicate=lambda case: by_rows([2], ["x"], mask))
    report = law.judge(None, frozenset({Modality.DEPTH}), 6)
    assert (report.name, report.status, report.message) == ("depth.monotonic", "violated", "row 2: x")
    assert (report.count, report.rows, report.sample, report.mask is mask) == (1, (2,), 6, True)
    missing = law.judge(None, frozenset(), 6)
    assert (missing.status, missing.message, missing.sample) == ("not_applicable", "no depth", 6)
    both = replace(law, needs=frozenset({Modality.SEMANTIC, Modality.DEPTH}))
    assert both.judge(None, frozenset()).message == "no depth, semantic"


def test_a_predicate_that_stumbles_says_where() -> None:
    def stumbles(case: object) -> Any:
        raise IndexError

    law = replace(get_law("depth.monotonic"), predicate=stumbles)
    report = law.judge(None, frozenset({Modality.DEPTH}), 6)
    assert (report.status, report.count, report.sample) == ("violated", 1, 6)
    assert report.message == "cannot be judged, the sample is malformed: IndexError: "
    several = replace(law, kind="metamorphic")
    assert several.judge(None, frozenset({Modality.DEPTH})).message == "a run raised IndexError: "


def test_a_law_is_what_its_docstring_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from segpaste.invariants import registry

    monkeypatch.setattr(registry, "LAWS", {})

    @register("x.y", "sample", Modality.DEPTH)
    def predicate(case: object) -> Any:
        """The statement,
        on two lines.

        Something else.

        In the wild: broken
        here.

        In the wild: and there.
        """
        return HELD

    law = registry.get_law("x.y")
    assert (law.name, law.kind, law.needs) == ("x.y", "sample", frozenset({Modality.DEPTH}))
    assert law.statement == "The statement, on two lines."
    assert law.in_the_wild == "broken here. and there."
    assert law.predicate is predicate
    register("x.z", "paste")(lambda case: HELD)
    assert (registry.get_law("x.z").statement, registry.get_law("x.z").in_the_wild) == ("", "")
    with pytest.raises(KeyError, match=r"name: got 'nothing', expected a law such as x\.y, x\.z\"$"):
        registry.get_law("nothing")
    with pytest.raises(KeyError, match=r"name: got 'a\.b\.z', expected a law such as x\.z\"$"):
        registry.get_law("a.b.z")
    for name in ("p.q.z", "p.r", "p.s"):
        register(name, "paste")(lambda case: HELD)
    with pytest.raises(KeyError, match=r"expected a law such as x\.y, x\.z, p\.q\.z\"$"):
        registry.get_law("nothing")
    with pytest.raises(KeyError, match=r"expected a law such as x\.z, p\.q\.z\"$"):
        registry.get_law("a.z")
    with pytest.raises(ValueError, match=r"^name: got 'x\.y' twice, expected every law once$"):
        registry.add(law)


def test_findings() -> None:
    for make, status in (
        (not_exercised, "not_exercised"),
        (not_decidable, "not_decidable"),
        (not_applicable, "not_applicable"),
    ):
        found = make("why")
        assert (found.status, found.message, found.count) == (status, "why", 0)
    assert (violated("why").status, violated("why").message, violated("why").count) == ("violated", "why", 1)
    wrong = violated("x")
    assert exercised(wrong, False, "why") is wrong
    assert exercised(HELD, True, "why") is HELD
    assert exercised(HELD, False, "why") == not_exercised("why")
    mask = torch.tensor([[True]])
    assert by_rows([4, 7], ["a", "b"], mask).mask is mask
    assert by_rows([4, 7], ["a", "b"], mask).status == "violated"
    assert by_rows([4], ["a"]).mask is None
    assert by_rows([4, 7], ["a"]).message == "row 4: a (and 1 more rows)"
    assert by_pixels(mask, "a").message == "1 of 1 pixels: a; first at (x, y) = (0, 0)"
    assert first_pixel(torch.tensor([[False, False, False], [False, True, True]])) == (1, 1)


def test_samples_in_either_container_are_judged_alike() -> None:
    case, out, _ = a_paste(padding=True, fullness=0.9)
    padded = {r.name: r.status for r in check_sample(out, case.schema)}
    ragged = {r.name: r.status for r in check_sample(dense(out), case.schema)}
    assert padded == ragged

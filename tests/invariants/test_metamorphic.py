"""Metamorphic laws: black boxes, what counts as exercised, and how a difference is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.invariants import InvariantReport, MetamorphicCase, assert_metamorphic, check_metamorphic
from segpaste.invariants.metamorphic_case import same_audit, same_output, same_sample
from segpaste.invariants.report import InvariantViolation
from segpaste.invariants.transforms import mirrored, with_fields, with_longer_order
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    Modality,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from tests.invariants.invariant_cases import (
    Case,
    dense,
    joined_cases,
    paste_by_expectation,
    random_case,
)

ALL = LEGAL_MODALITY_SETS[-1]
INSTANCE = LEGAL_MODALITY_SETS[0]


def statuses(case: MetamorphicCase) -> dict[str, str]:
    return {report.name.removeprefix("metamorphic."): report.status for report in check_metamorphic(case)}


def judged(case: Case, law: str, **changes: Any) -> InvariantReport:
    several = MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
    (report,) = check_metamorphic(replace(several, **changes), only=f"metamorphic.{law}")
    return report


def copies_corner(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """A black box: the donor's top left pixel, if the donor has rows."""
    image = target.image.as_subclass(torch.Tensor).clone()
    if len(donor):
        image[:, 0, 0] = donor.image[:, 0, 0]
    fields: dict[str, Any] = target.to_dict() | {"image": image}
    return DenseSample(**fields)


def test_a_black_box_is_judged_by_what_it_can_be_asked() -> None:
    case = joined_cases(3, 2, ALL)
    several = MetamorphicCase(case.target, case.source, augment=copies_corner)
    found = statuses(several)
    assert "violated" not in found.values()
    held = {"same_seed_same_bits", "inputs_not_mutated", "empty_source_is_identity", "round_trip_dict"}
    assert {found[name] for name in held} == {"held"}
    assert found["batch_independence"] == found["source_mirror"] == "not_applicable"


def test_wrong_black_boxes_are_found() -> None:
    case = joined_cases(3, 2, ALL)

    class Restless:
        runs = 0

        def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
            self.runs += 1
            target.image.add_(self.runs)  # pyright: ignore[reportAttributeAccessIssue]
            donor.labels.add_(1)
            return target

    found = statuses(MetamorphicCase(case.target, case.source, augment=Restless()))
    names = ("same_seed_same_bits", "inputs_not_mutated", "empty_source_is_identity")
    assert [found[name] for name in names] == ["violated"] * 3
    with pytest.raises(InvariantViolation, match="second run: image"):
        assert_metamorphic(MetamorphicCase(case.target, case.source, augment=Restless()))


def test_nothing_to_run() -> None:
    case = joined_cases(3, 2, ALL)
    found = statuses(MetamorphicCase(case.target, case.source))
    assert set(found.values()) == {"held", "not_applicable"}
    empty = case.target.gather(slice(0, 0))
    found = statuses(MetamorphicCase(empty, empty, augment=copies_corner))
    assert set(found.values()) == {"held", "not_applicable", "not_exercised"}


def test_an_executor_that_raises_has_violated_the_law() -> None:
    def refuses(*args: object) -> Any:
        raise RuntimeError("no")

    report = judged(joined_cases(3, 2, ALL), "count_zero_is_identity", apply=refuses)
    assert report.message == "a run raised RuntimeError: no"


def schema_of(limit: int, ignore: int = 255) -> BatchCopyPasteConfig:
    taxonomy = PanopticSchemaSpec(
        classes={1: "thing", 2: "thing", 3: "thing"}, ignore_index=ignore, max_instances_per_image=limit
    )
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=taxonomy))


def test_capacity_laws_need_room() -> None:
    case = joined_cases(3, 2, INSTANCE)
    tight = replace(case, config=schema_of(case.target.max_instances))
    assert judged(tight, "larger_target_capacity").message == "the schema allows no more slots"
    small = replace(case, config=schema_of(case.source.max_instances))
    assert judged(small, "larger_source_capacity").message == "the schema allows no more slots"
    full = replace(case, target=with_fields(case.target, instance_valid=case.target.instance_valid | True))
    busy = replace(full, plan=replace(case.plan, count=case.plan.count * 0 + 3))
    usable = busy.source.instance_valid.any(1) & busy.source.tensors()["instance_masks"].any((1, 2, 3))
    assert bool(usable.all())
    assert judged(busy, "larger_target_capacity").message == "capacity binds in every sample"
    ids = case.target.tensors()["instance_ids"].clone()
    ids[0, 0] = 2**31 - 8
    late = replace(case, target=with_fields(case.target, instance_ids=ids))
    assert judged(late, "larger_target_capacity").message == "the ids leave no room for more slots"


def test_mirror_everything_only_where_it_is_exact() -> None:
    case = random_case(7, INSTANCE, canvas=(4, 6), padding=False, step=65536)
    for step, exact in (
        (65536, True),
        (32768, True),
        (512, True),
        (131072, False),
        (65535, False),
        (256, False),
    ):
        report = judged(
            replace(case, plan=replace(case.plan, step=torch.tensor([step]))), "mirror_everything"
        )
        assert (report.message != "no sample whose mirrored paste is exact") is exact, step


@pytest.mark.parametrize("ignore", [255, 2])
def test_classes_are_renamed_even_if_there_is_one(ignore: int) -> None:
    taxonomy = PanopticSchemaSpec(classes={1: "thing"}, ignore_index=ignore)
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=taxonomy))
    for seed in range(50):
        case = random_case(seed, INSTANCE, canvas=(5, 6), slots=6, source_slots=4, count=3)
        one = {
            name: with_fields(batch, labels=torch.where(batch.instance_valid, 1, 0))
            for name, batch in (("target", case.target), ("source", case.source))
        }
        if judged(replace(case, **one, config=config), "class_relabelling").status == "held":
            return
    pytest.fail("never exercised")


def test_no_classes_no_names_to_change() -> None:
    case = random_case(11, INSTANCE, slots=0, source_slots=0, schema=False)
    assert judged(case, "class_relabelling").message == "no classes"


def test_what_an_audit_tells_of_nothing() -> None:
    def boasts(*args: Any) -> Any:
        out, told = paste_by_expectation(*args)
        return out, replace(told, paste_union=torch.ones_like(told.paste_union))

    for law in ("count_zero_is_identity", "empty_source_is_identity"):
        assert "expected 0" in judged(joined_cases(3, 2, ALL), law, apply=boasts).message


def test_mirrored_unions_are_compared() -> None:
    runs: list[int] = []

    def tells_late(*args: Any) -> Any:
        runs.append(1)
        out, told = paste_by_expectation(*args)
        return out, (replace(told, paste_union=~told.paste_union) if len(runs) > 1 else told)

    case = random_case(7, INSTANCE, canvas=(4, 6), padding=False, step=65536)
    assert "not mirrored" in judged(case, "mirror_everything", apply=tells_late).message
    runs.clear()
    normals = random_case(7, frozenset({*INSTANCE, Modality.NORMALS}), canvas=(4, 6))
    assert "another union" in judged(normals, "normals_take_no_part", apply=tells_late).message


def test_round_trip_of_rle_without_rows() -> None:
    case = random_case(11, INSTANCE, slots=0)
    assert judged(case, "round_trip_coco_rle").status == "not_exercised"


def test_rle_areas_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    import pycocotools.mask

    monkeypatch.setattr(pycocotools.mask, "area", lambda codes: [0 for _ in codes])
    case = joined_cases(3, 2, INSTANCE)
    assert "RLE areas" in judged(case, "round_trip_coco_rle").message


def test_differences_are_told_with_place_and_values() -> None:
    case = joined_cases(3, 2, ALL)
    batch = case.target
    assert "fields" in same_output(with_fields(batch, normals=None), batch, "x").message
    relative = with_fields(with_fields(batch, metric_depth=False), images=batch.images)
    metric = with_fields(batch, metric_depth=True)
    assert same_output(relative, metric, "x").message == "x: metric_depth False, expected True"
    changed = batch.tensors()["semantic_maps"].clone()
    changed[1, 2, 1] += 1
    found = same_output(with_fields(batch, semantic_maps=changed), batch, "x")
    value = int(changed[1, 2, 1])
    assert found.message.startswith(f"x: semantic_maps[1, 2, 1] is {value}, expected {value - 1}; 1 of ")
    assert found.mask is not None
    assert found.mask.nonzero().tolist() == [[2, 1]]
    boxes = batch.boxes.clone()
    boxes[0, 0, 0] += 1
    assert same_output(with_fields(batch, boxes=boxes), batch, "x").mask is None
    cut = batch.gather(slice(0, 1))
    assert "is torch." in same_output(cut, batch, "x").message


def test_audits_and_samples_are_compared_by_fields_too() -> None:
    told = BatchAuditPacket(paste_union=torch.zeros((1, 2, 2), dtype=torch.bool))
    more = replace(told, row_source=torch.zeros((1, 1), dtype=torch.int64))
    assert "audit has" in same_audit(more, told, "x").message
    sample = dense(random_case(3, ALL, metric=True, slots=2).target)
    bare = DenseSample(image=sample.image)
    assert "fields" in same_sample(bare, sample, "x").message
    fields: dict[str, Any] = sample.to_dict() | {"metric_depth": not sample.metric_depth}
    other = DenseSample(**fields)
    assert "metric_depth" in same_sample(other, sample, "x").message


def test_mirroring_twice_is_the_identity_but_for_minus_zero() -> None:
    batch = random_case(5, ALL, canvas=(4, 6), padding=True, slots=3).target
    clean = with_fields(batch, normals=0 - (0 - batch.tensors()["normals"]))
    assert same_output(mirrored(mirrored(clean)), clean, "twice").status == "held"


def test_added_slots_come_first_in_the_order() -> None:
    plan = random_case(5, source_slots=2).plan
    assert with_longer_order(plan, 2).order[0, :2].tolist() == [2, 3]

"""The parts that the laws of several runs are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.invariants import MetamorphicCase
from segpaste.invariants.metamorphic_case import (
    dense,
    executor_of,
    first_violation,
    same_audit,
    same_output,
    same_sample,
)
from segpaste.invariants.report import HELD, not_exercised, violated
from segpaste.types import LEGAL_MODALITY_SETS, BatchAuditPacket, DenseSample
from tests.invariants.invariant_cases import (
    Case,
    joined_cases,
    paste_by_expectation,
    random_case,
    with_fields,
)

ALL = LEGAL_MODALITY_SETS[-1]


def several(case: Case, **changes: Any) -> MetamorphicCase:
    made = MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
    return replace(made, **changes)


def test_what_the_black_box_is_given() -> None:
    case = joined_cases(3, 3, ALL)
    found = several(case)
    assert same_sample(found.target_sample(), dense(case.target, 0), "x") is HELD
    assert same_sample(found.donor_sample(), dense(case.source, 1), "x") is HELD
    assert found.seed == 0
    alone = several(case, source=case.source.select(2))
    assert same_sample(alone.donor_sample(), dense(case.source, 2), "x") is HELD
    sample = found.target_sample()
    sample.image.as_subclass(torch.Tensor).fill_(0)
    assert same_sample(found.target_sample(), dense(case.target, 0), "x") is HELD


def test_an_executor_needs_everything() -> None:
    case = joined_cases(3, 2, ALL)
    assert executor_of(several(case)) is not None
    for missing in ("plan", "config", "apply"):
        assert executor_of(several(case, **{missing: None})) is None
    assert executor_of(several(case, target=case.target.gather(slice(0, 0)))) is None


def test_a_run_is_given_copies_and_what_is_replaced() -> None:
    case = joined_cases(3, 2, ALL)
    given: list[Any] = []

    def notes(*arguments: Any) -> Any:
        given[:] = arguments
        return None

    executor = executor_of(several(case, apply=notes))
    assert executor is not None
    executor.run()
    assert same_output(given[0], case.target, "x") is HELD
    assert same_output(given[1], case.source, "x") is HELD
    assert given[0].images.data_ptr() != case.target.images.data_ptr()
    assert given[1].images.data_ptr() != case.source.images.data_ptr()
    assert given[2].order.data_ptr() != case.plan.order.data_ptr()
    assert torch.equal(given[2].order, case.plan.order)
    assert given[3] is case.config
    other = joined_cases(4, 2, ALL)
    executor.run(other.target, other.source, other.plan, other.config)
    assert same_output(given[0], other.target, "x") is HELD
    assert same_output(given[1], other.source, "x") is HELD
    assert torch.equal(given[2].translate, other.plan.translate)
    assert given[3] is other.config


def test_where_samples_differ() -> None:
    sample = dense(random_case(3, ALL, canvas=(3, 4), slots=2).target, 0)
    image = sample.image.as_subclass(torch.Tensor).clone()
    image[0, 0, 1] += 1
    image[2, 2, 3] += 1
    fields: Any = sample.to_dict() | {"image": image}
    found = same_sample(DenseSample(**fields), sample, "x")
    assert (found.status, found.count) == ("violated", 2)
    assert found.mask is not None
    assert found.mask.nonzero().tolist() == [[0, 1], [2, 3]]
    value, was = image[0, 0, 1].item(), sample.image[0, 0, 1].item()
    assert found.message == f"x: image[0, 0, 1] is {value}, expected {was}; 2 of 36 elements differ"


def test_where_batches_differ() -> None:
    batch = random_case(3, ALL, canvas=(3, 4), slots=2, dtype=torch.uint8).target
    labels = batch.labels.clone()
    labels[0, 1] += 3
    found = same_output(with_fields(batch, labels=labels), batch, "x")
    assert found.message == (
        f"x: labels[0, 1] is {int(labels[0, 1])}, expected {int(labels[0, 1]) - 3}; 1 of 2 elements differ"
    )
    assert (found.mask, found.count, found.status) == (None, 1, "violated")
    boxes = batch.boxes + 1
    found = same_output(with_fields(batch, boxes=boxes), batch, "x")
    assert (found.mask, found.count) == (None, 8)
    images = batch.images.clone()
    images[0, :, 1, 2] += 1
    found = same_output(with_fields(batch, images=images), batch, "x")
    assert (found.count, found.status) == (1, "violated")
    assert found.mask is not None
    assert found.mask.nonzero().tolist() == [[1, 2]]
    wrong = torch.float32
    found = same_output(with_fields(batch, images=batch.images.to(wrong)), batch, "x")
    assert found.message == "x: images is torch.float32 [1, 3, 3, 4], expected torch.uint8 [1, 3, 3, 4]"
    bare = with_fields(batch, normals=None)
    names = sorted(batch.tensors())
    want = f"x: fields {sorted(bare.tensors())}, expected {names}"
    assert same_output(bare, batch, "x").message == want


def test_where_audits_differ() -> None:
    told = BatchAuditPacket(paste_union=torch.zeros((1, 2, 2), dtype=torch.bool))
    more = replace(told, row_source=torch.zeros((1, 1), dtype=torch.int64))
    assert same_audit(told, told, "x") is HELD
    found = same_audit(more, told, "x")
    assert found.message == "x: audit has ['paste_union', 'row_source'], expected ['paste_union']"
    other = replace(told, paste_union=~told.paste_union)
    assert same_audit(other, told, "x").count == 4
    case = joined_cases(3, 2, ALL)
    assert same_audit(replace(told, plan=case.plan, config=case.config), told, "x") is HELD


def test_where_samples_have_other_values_or_fields() -> None:
    sample = dense(random_case(3, ALL, canvas=(3, 4), slots=2, metric=True).target, 0)
    fields: Any = sample.to_dict() | {"metric_depth": False}
    found = same_sample(DenseSample(**fields), sample, "x")
    assert found.message == "x: metric_depth False, expected True"
    bare = DenseSample(image=sample.image)
    want = f"x: fields {sorted(bare.to_dict())}, expected {sorted(sample.to_dict())}"
    assert same_sample(bare, sample, "x").message == want


def test_the_first_violation_counts() -> None:
    first, second = violated("a"), violated("b")
    assert first_violation(HELD, first, second) is first
    assert first_violation(HELD, not_exercised("x")) is HELD
    assert first_violation() is HELD

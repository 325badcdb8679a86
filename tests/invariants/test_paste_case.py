"""What a paste law is given: slots of samples that come without, and outputs with more of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.invariants.paste_case import PasteCase
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample
from tests.invariants.invariant_cases import Case, dense, paste_by_expectation, random_case, with_fields
from tests.invariants.test_no_audit import H, W, fields_of, scene

ROWS = LEGAL_MODALITY_SETS[0]
SLOTS = 4


def a_case() -> tuple[Case, Any, Any]:
    """Two rows in the first two of four slots, room for two; three source slots, all used."""
    for seed in range(100):
        case = random_case(
            seed, ROWS, canvas=(4, 5), slots=SLOTS, source_slots=3, count=3, schema=False, padding=False
        )
        used = torch.tensor([[True, True, False, False]])
        masks = torch.zeros(1, SLOTS, 4, 5, dtype=torch.bool)
        masks[0, 0, 0], masks[0, 1, 1] = True, True
        target = with_fields(
            case.target,
            instance_valid=used,
            instance_masks=masks,
            instance_ids=torch.tensor([[3, 5, 0, 0]], dtype=torch.int32),
            labels=torch.tensor([[1, 2, 0, 0]]),
            boxes=torch.tensor([[[0.0, 0, 5, 1], [0, 1, 5, 2], [0] * 4, [0] * 4]]),
        )
        out, told = paste_by_expectation(target, case.source, case.plan, case.config)
        if told.row_source is not None and int((told.row_source >= 0).sum()) == 1:
            return replace(case, target=target), out, told
    raise AssertionError("none of 100")


def test_rows_without_slots_get_those_they_had() -> None:
    case, out, told = a_case()
    known = {"source": case.source, "plan": case.plan, "config": case.config}
    ragged, after = dense(case.target), dense(out)
    assert PasteCase(case.target, after, **known).capacity == 2
    assert PasteCase(ragged, out, **known).capacity == 2  # the output's slots
    assert PasteCase(ragged, after, told, **known).capacity == 2  # those that the audit speaks of
    rows = replace(told, row_source=None)
    assert PasteCase(ragged, after, rows, **known).capacity == 2
    rows = replace(told, row_dropped=None)
    assert PasteCase(ragged, after, rows, **known).capacity == 2
    neither = replace(told, row_source=None, row_dropped=None)
    assert PasteCase(ragged, after, neither, **known).capacity == 3  # as many as the source has
    assert PasteCase(ragged, after, **known).capacity == 3
    assert PasteCase(ragged, after, plan=case.plan, config=case.config).capacity == 0


def test_ids_may_not_change_where_the_paste_is_known() -> None:
    case, out, told = a_case()
    after = dense(out)
    fields = after.to_dict()
    fields["instance_ids"] = fields["instance_ids"].as_subclass(torch.Tensor) + 40
    renamed = DenseSample.unchecked(**fields)
    found = PasteCase(dense(case.target), renamed, told, source=case.source)
    assert found.expected is not None
    assert found.survivors == []
    assert len(found.gone) == 2


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_what_is_expected_has_as_many_slots_as_the_output(extra: int) -> None:
    case, out, told = a_case()
    fields = out.tensors()
    more = {
        name: torch.cat(
            [fields[name], torch.zeros_like(fields[name][:, :1]).repeat_interleave(extra, 1)], dim=1
        )
        for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
    }
    plain = PasteCase(case.target, out, told, source=case.source).expected
    found = PasteCase(case.target, with_fields(out, **more), told, source=case.source)
    expected = found.expected
    assert plain is not None
    assert expected is not None
    assert found.before.slots == found.after.slots == SLOTS + extra
    assert expected.out.slots == SLOTS + extra
    for name, added in (
        ("row_source", -1),
        ("row_dropped", 0),
        ("touched", 0),
        ("former", 0),
        ("remaining", 0),
    ):
        value = getattr(expected, name)
        assert value[:SLOTS].tolist() == getattr(plain, name).tolist(), name
        assert value[SLOTS:].tolist() == [added] * extra, name


def test_void_is_of_either_map() -> None:
    before = scene({5: (1, 0, 1)})
    fields = fields_of(before)
    fields["semantic_map"][:, 4] = 255
    fields["panoptic_map"][:, 0] = 0
    fields["semantic_map"][:, 0] = 255
    for masks in (True, False):
        if masks:
            fields["instance_masks"][0, :, 0] = False
        found = PasteCase(before, DenseSample.unchecked(**fields)).turned_void
        assert found.any(dim=0).nonzero().flatten().tolist() == [0, 4]
    # The label was ignore before: only the id tells that something became void.
    ignored = fields_of(before)
    ignored["semantic_map"][:, 1] = 255
    gone = {name: value.clone() for name, value in ignored.items() if isinstance(value, torch.Tensor)}
    gone["panoptic_map"][:, 1] = 0
    case = PasteCase(DenseSample.unchecked(**ignored), DenseSample.unchecked(**gone))
    assert case.turned_void.any(dim=0).tolist() == [n == 1 for n in range(W)]
    assert int(case.turned_void.sum()) == H


def test_a_paste_that_is_recomputed_has_no_misfit() -> None:
    case, out, told = a_case()
    assert PasteCase(case.target, out, told, source=case.source).misfit == ""
    assert PasteCase(case.target, out).misfit == ""
    short = replace(case.plan, order=torch.tensor([[1, 0]]))
    found = PasteCase(case.target, out, told, source=case.source, plan=short)
    assert found.misfit == "plan.order: got shape [1, 2], expected [1, 3] for this source"
    assert found.why_unknown == f"the paste cannot be recomputed: {found.misfit}"
    assert found.expected is None

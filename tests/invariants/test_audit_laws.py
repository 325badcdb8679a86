"""What the laws of the audit make of half of one, and of one that is wrong in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.invariants import InvariantReport, check_paste
from segpaste.types import LEGAL_MODALITY_SETS, BatchAuditPacket, Modality
from tests.invariants.invariant_cases import Case, paste_by_expectation, random_case

DEPTH = next(m for m in LEGAL_MODALITY_SETS if Modality.DEPTH in m and Modality.INSTANCE in m)


def a_case() -> tuple[Case, Any, BatchAuditPacket]:
    """An empty target of two slots, both of which are pasted into."""
    for seed in range(100):
        case = random_case(
            seed, DEPTH, canvas=(5, 6), slots=2, source_slots=4, count=3, schema=False, padding=False,
            fullness=0.0, z_test=False, min_pasted_area=1,
        )  # fmt: skip
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        if bool(out.instance_valid.all()):
            return case, out, told
    raise AssertionError("none of 100")


def judged(law: str, told: BatchAuditPacket | None, **known: Any) -> InvariantReport:
    case, out, _ = a_case()
    (report,) = check_paste(case.target, out, told, only=f"audit.{law}", **known)
    return report


def test_a_plan_without_a_configuration_fits_nothing() -> None:
    case, *_ = a_case()
    nothing = "the audit has no plan and configuration"
    for half in ({"plan": case.plan}, {"config": case.config}):
        report = judged("plan_fits", None, **half)
        assert (report.status, report.message) == ("not_applicable", nothing)


def test_a_union_that_no_plan_explains_is_compared_with_the_masks() -> None:
    _, _, told = a_case()
    union = told.paste_union.clone()
    union[0, 4, 5] ^= True
    report = judged("union_is_true", BatchAuditPacket(paste_union=union))
    assert report.message == (
        "1 of 30 pixels: in the audit's union or in a pasted mask, not in both; first at (x, y) = (5, 4)"
    )


def test_half_of_the_rows_is_judged_and_none_is_not() -> None:
    case, _, told = a_case()
    source = case.source
    dropped = torch.tensor([[False, True]])
    report = judged("rows_are_true", replace(told, row_source=None, row_dropped=dropped), source=source)
    assert report.message == "row 1: row_dropped True, expected False"
    assert judged("rows_are_true", replace(told, row_source=None), source=source).status == "held"
    assert judged("rows_are_true", replace(told, row_dropped=None), source=source).status == "held"
    report = judged("rows_are_true", replace(told, row_source=None, row_dropped=None), source=source)
    assert (report.status, report.message) == ("not_applicable", "the audit names no rows")


def test_rows_that_the_audit_leaves_out_must_not_be_pasted() -> None:
    case, _, told = a_case()
    assert told.row_source is not None
    report = judged("rows_are_true", replace(told, row_source=told.row_source[:, :1]), source=case.source)
    assert report.message == "row_source has 1 entries, expected 2"


def test_an_audit_without_warped_fields_is_not_judged_by_them() -> None:
    _, _, told = a_case()
    report = judged("warped_is_true", BatchAuditPacket(paste_union=told.paste_union))
    assert (report.status, report.message) == ("not_applicable", "the audit has no warped fields")


def test_intrinsics_may_be_missing_from_the_audit() -> None:
    case, _, told = a_case()
    assert told.source_intrinsics is not None
    for intrinsics in (told.source_intrinsics, None):
        report = judged("warped_is_true", replace(told, source_intrinsics=intrinsics), source=case.source)
        assert report.status == "held"

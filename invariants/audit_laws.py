"""The laws of the audit: what an executor says of its own work is what happened."""

from __future__ import annotations

from dataclasses import fields

import torch

from segpaste.invariants.bits import pixels_differ, same
from segpaste.invariants.paste_case import PasteCase
from segpaste.invariants.registry import register
from segpaste.invariants.report import (
    HELD,
    Finding,
    by_pixels,
    by_rows,
    not_applicable,
    not_decidable,
    violated,
)
from segpaste.types import PastePlan


@register("audit.plan_fits", "paste")
def plan_fits(case: PasteCase) -> Finding:
    """The audit's plan and configuration are those given, and apply to this target and this source.

    In the wild: an audit of the previous batch; metric and relative depth mixed.
    """
    if case.plan is None or case.config is None:
        return not_applicable("the audit has no plan and configuration")
    audit = case.audit
    if audit is not None:
        if None not in (audit.config, case.given_config) and audit.config != case.given_config:
            return violated("the audit's configuration is not the one that was given")
        if audit.plan is not None and case.given_plan is not None:
            wrong = _unlike(audit.plan, case.given_plan)
            if wrong:
                return violated(f"the audit's plan is not the one that was given: {wrong}")
    if case.given_source is None:
        return case.undecided()
    return violated(case.misfit) if case.misfit else HELD


@register("audit.union_is_true", "paste")
def union_is_true(case: PasteCase) -> Finding:
    """The audit's paste union is U.

    In the wild: a union taken before the z-test or before stuff took pixels back.
    """
    if case.audit is None:
        return not_applicable("no audit")
    told = case.audit.paste_union[0]
    if case.expected is not None:
        return case.if_pasted(
            by_pixels(told != case.expected.union, "in the audit's union or in U, not in both")
        )
    if case.after.masks is None:
        return case.undecided()
    found = by_pixels(told != case.claimed, "in the audit's union or in a pasted mask, not in both")
    return case.undecided() if found is HELD else found


@register("audit.rows_are_true", "paste")
def rows_are_true(case: PasteCase) -> Finding:
    """row_source and row_dropped name the rows that were pasted and dropped.

    In the wild: an audit written from what was planned, not from what was done.
    """
    audit = case.audit
    if audit is None or (audit.row_source is None and audit.row_dropped is None):
        return not_applicable("the audit names no rows")
    expected = case.expected
    if expected is None:
        return case.undecided()
    pairs = {
        "row_source": (audit.row_source, expected.row_source),
        "row_dropped": (audit.row_dropped, expected.row_dropped),
    }
    for name, (told, want) in pairs.items():
        if told is None:
            continue
        slots = told.shape[1]
        if slots > want.shape[0] or bool(
            (want[slots:] != want.new_full((), -1 if name == "row_source" else 0)).any()
        ):
            return violated(f"{name} has {slots} entries, expected {want.shape[0]}")
        wrong = (told[0] != want[:slots]).nonzero().flatten().tolist()
        if wrong:
            return by_rows(wrong, (f"{name} {told[0][k].item()}, expected {want[k].item()}" for k in wrong))
    return case.if_pasted(HELD)


@register("audit.warped_is_true", "paste")
def warped_is_true(case: PasteCase) -> Finding:
    """The audit's warped fields are the warped source inside U and 0 outside.

    In the wild: validity of the source before its rescaling, where a depth has overflowed.
    """
    audit = case.audit
    told = (
        {}
        if audit is None
        else {
            "image": audit.warped_images,
            "semantic": audit.warped_semantic_maps,
            "depth": audit.warped_depth,
            "depth_valid": audit.warped_depth_valid,
            "normals": audit.warped_normals,
        }
    )
    told = {name: value[0] for name, value in told.items() if value is not None}
    if audit is None or not told:
        return not_applicable("the audit has no warped fields")
    expected = case.expected
    if expected is None:
        return not_decidable(case.why_unknown)
    for name, value in told.items():
        want: torch.Tensor | None = getattr(expected.warped, name)
        if want is None:
            return violated(f"warped {name} of a source without it")
        plain = value[0] if name == "depth_valid" else value
        wrong = by_pixels(pixels_differ(plain, want), f"warped {name} differs from the source")
        if wrong is not HELD:
            return wrong
    intrinsics = audit.source_intrinsics
    source = case.given_source
    if intrinsics is not None and source is not None and source.intrinsics is not None:
        want_camera = torch.tensor(source.intrinsics, dtype=torch.float64, device=intrinsics.device)
        if not same(intrinsics[0], want_camera):
            return violated(f"source_intrinsics {intrinsics[0].tolist()}, expected {list(source.intrinsics)}")
    return case.if_pasted(HELD)


def _unlike(told: PastePlan, given: PastePlan) -> str:
    """The first field in which two plans differ, and how; empty if they do not."""
    for field in fields(PastePlan):
        mine, theirs = getattr(told, field.name), getattr(given, field.name)
        if not same(mine, theirs):
            return f"{field.name} {mine.tolist()}, expected {theirs.tolist()}"
    return ""

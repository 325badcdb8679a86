"""The laws on a few hundred tiny pastes, the same ones on every run; quick enough for every mutant."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from segpaste.invariants import check_padded, check_paste, check_sample
from segpaste.paste import apply_reference
from segpaste.strategies import PasteCase
from segpaste.types import BatchAuditPacket, PaddedBatchedDenseSample
from tests.invariants.invariant_cases import with_fields
from tests.invariants.test_expected import disagreements
from tests.parity.drawn import KINDS
from tests.parity.test_tiny_pastes import tiny_pastes

PASTES_PER_KIND = 6


@cache
def pastes(kind: str) -> list[tuple[PasteCase, PaddedBatchedDenseSample, BatchAuditPacket]]:
    """Sample by sample: the paste, its output and its audit."""
    found: list[tuple[PasteCase, PaddedBatchedDenseSample, BatchAuditPacket]] = []
    for case in tiny_pastes(kind)[:PASTES_PER_KIND]:
        out, told = apply_reference(case.target, case.source, case.plan, case.config)
        for b in range(case.target.batch_size):
            donor = case.source.select(int(case.plan.source_idx[b]))
            one = PasteCase(case.target.select(b), donor, case.plan.select(b), case.config, case.seed)
            found.append((one, out.select(b), told.select(b)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_recomputation_agrees_with_the_reference(kind: str) -> None:
    for case in tiny_pastes(kind)[:PASTES_PER_KIND]:
        assert disagreements(case) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_reference_gives_holds(kind: str) -> None:
    for case, out, told in pastes(kind):
        found = [
            *check_padded(out),
            *check_sample(out, case.schema, before=case.target, source=case.source),
            *check_paste(case.target, out, told, source=case.source),
        ]
        assert [str(report) for report in found if not report.ok] == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_an_audit_nothing_is_held_against_it(kind: str) -> None:
    for case, out, _ in pastes(kind):
        found = check_paste(case.target, out, schema=case.schema)
        assert [str(report) for report in found if not report.ok] == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_element_that_is_not_what_it_should_be_is_found(kind: str) -> None:
    for seed, (case, out, told) in enumerate(pastes(kind)[:4]):
        if kind == "boxes" and not out.instance_valid.any():
            continue
        for name, value in out.tensors().items():
            if not value.numel():
                continue
            changed = value.reshape(-1).clone()
            at = (7 * seed + 3) % changed.numel()
            changed.view(torch.uint8)[at * changed.element_size()] ^= 1  # the last bit
            broken = with_fields(out, **{name: changed.reshape(value.shape)})
            found = [*check_padded(broken), *check_paste(case.target, broken, told, source=case.source)]
            assert any(not report.ok for report in found), name

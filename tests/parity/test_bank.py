"""Pastes from a bank: every law holds, on every executor the same bits, whatever the target carries.

100 drawn pastes per modality set, 2,000 in ``make nightly``, on every second one the one or the
other executor. What is compiled is in ``tests/augmentation/test_bank_compiled.py``, the fused
kernels under Triton's interpreter are in ``tests/paste/test_fused.py``.
"""

from __future__ import annotations

from zlib import crc32

import pytest
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from segpaste.augmentation import BatchedPlacementSampler
from segpaste.invariants import InvariantReport, check_padded, check_paste, check_sample, laws
from segpaste.invariants.registry import Kind
from segpaste.paste import apply_reference
from segpaste.paste.apply import ExecutorName
from segpaste.strategies import PasteCase
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchAuditPacket, Modality
from tests.parity.agreement import Manner, expect_the_references_bits
from tests.parity.banked import Banked, banked
from tests.parity.drawn import IMAGE_ONLY, KINDS

SHARE_WITH_A_PASTE = 0.25
"""Fewest of the drawn targets that must show at least one pixel of a crop; half as many of a class
mix, which leaves out half of the classes."""

SHARE_WITH_SEVERAL_ROWS = 0.1
"""Fewest of the views that must have two rows or more, where there are rows."""

RARE = {"paste.void_exact"}
"""Laws whose premise a hundred pastes of one set may miss."""

JUDGED: tuple[Kind, ...] = ("sample", "padded", "paste")


def _cannot_arise(modalities: frozenset[Modality]) -> set[str]:
    """Laws whose premise no paste from a bank can meet, and which are therefore never held."""
    never = {"paste.winner_by_priority_and_order"}  # crops stand side by side: nothing is contested
    if Modality.INSTANCE not in modalities:
        never |= {"instance.boxes_in_canvas", "instance.identity_preserved"}  # a class mix has no rows ...
        never |= {"normals.frame"}  # ... and no flip
    return never


@pytest.mark.parametrize("kind", KINDS)
def test_the_laws_hold_and_every_executor_agrees(kind: str) -> None:
    modalities, detection = KINDS[kind]
    pasted: list[bool] = []
    rows: list[int] = []
    verdicts: dict[str, set[str]] = {law.name: set() for which in JUDGED for law in laws(which)}
    executors: st.SearchStrategy[ExecutorName | None] = st.sampled_from((None, "rectangle", None, "graph"))

    # What is left as it is needs no hundred examples.
    @settings(max_examples=settings().max_examples // (5 if modalities == IMAGE_ONLY else 1))
    @given(banked(modalities, detection), executors)
    def obeys(drawn: Banked, executor: ExecutorName | None) -> None:
        case = drawn.case()
        reports, audit = _judged(case)
        assert [f"[{r.name}] sample {r.sample}: {r.message}" for r in reports if not r.ok] == []
        for report in reports:
            verdicts[report.name].add(report.status)
        pasted.extend(audit.paste_union.flatten(1).any(dim=1).tolist())
        rows.extend(case.source.instance_valid.sum(dim=1).tolist())
        if executor is not None:
            expect_the_references_bits(case, executor, Manner())

    if settings().derandomize:
        # The seed would be that of the function: kinds with as much to draw would draw the same.
        obeys = seed(crc32(kind.encode()))(obeys)
    obeys()
    if modalities == IMAGE_ONLY:
        assert not any(pasted)
        return
    share = SHARE_WITH_A_PASTE if Modality.INSTANCE in modalities else SHARE_WITH_A_PASTE / 2
    assert sum(pasted) >= share * len(pasted)
    if Modality.INSTANCE in modalities:
        assert sum(count > 1 for count in rows) >= SHARE_WITH_SEVERAL_ROWS * len(rows)
    unheld = {
        law.name
        for which in JUDGED
        for law in laws(which)
        if law.needs <= modalities and not verdicts[law.name] & {"held", "not_applicable"}
    }
    assert unheld - _cannot_arise(modalities) <= (RARE if settings().max_examples < 1000 else set())


@given(st.sampled_from(list(KINDS)).flatmap(lambda kind: banked(*KINDS[kind])))
def test_a_sample_draws_its_crops_alone_as_in_its_batch(drawn: Banked) -> None:
    source, sampler = drawn.source(), BatchedPlacementSampler(drawn.config)
    view, plan = source.sample(drawn.target, drawn.seeds, sampler)
    again, same_plan = drawn.source().sample(drawn.target, drawn.seeds, sampler)
    assert_same_bits(view, again)
    assert all(torch.equal(getattr(plan, n), getattr(same_plan, n)) for n in PLAN)
    if drawn.target.instance_masks is None and drawn.target.semantic_maps is None:
        return
    for b in range(drawn.target.batch_size):
        row = {name: value[b : b + 1] for name, value in drawn.bank_batch.tensors().items()}
        source.set_bank_batch(type(drawn.bank_batch)(**row, metric_depth=drawn.bank_batch.metric_depth))
        alone, own = source.sample(drawn.target.select(b), drawn.seeds[b : b + 1], sampler)
        assert_same_bits(view.select(b), alone)
        assert plan.source_idx[b] == b
        assert own.source_idx.tolist() == [0]
        assert all(torch.equal(getattr(plan, n)[b : b + 1], getattr(own, n)) for n in PLAN[1:])


PLAN = ("source_idx", "step", "translate", "hflip", "order", "count", "mix_key")


def _judged(case: PasteCase) -> tuple[list[InvariantReport], BatchAuditPacket]:
    """Every sample law on the view, and every law on the reference's work."""
    after, audit = apply_reference(case.target, case.source, case.plan, case.config)
    reports = check_padded(after)
    if not case.intra_batch:
        case.source.validate()
        reports += check_padded(case.source)
    for index in range(case.target.batch_size):
        source = case.source.select(int(case.plan.source_idx[index]))
        before, result = case.target.select(index), after.select(index)
        if not case.intra_batch:
            reports += check_sample(source, case.schema, index=index)
        reports += check_paste(before, result, audit.select(index), source=source, index=index)
        reports += check_sample(result, case.schema, before=before, source=source, index=index)
    return reports, audit

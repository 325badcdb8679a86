"""On CUDA: a bank's crops are drawn and placed as on the CPU, and pasted to the same bits."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given

from segpaste.augmentation import BatchedPlacementSampler
from segpaste.bank.batch import BankBatch
from segpaste.paste import apply, apply_reference
from segpaste.testing.parity import assert_same_bits
from segpaste.types import PastePlan
from tests.parity.banked import Banked, banked
from tests.parity.drawn import KINDS

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_cpu(kind: str, device: str) -> None:
    pasted = []

    @given(banked(*KINDS[kind]))
    def agrees(drawn: Banked) -> None:
        case = drawn.case()
        source = drawn.source().to(device)  # what is staged moves with the module
        sampler = BatchedPlacementSampler(drawn.config).to(device)
        target = drawn.target.to(device)
        view, plan = source.sample(target, drawn.seeds.to(device), sampler)
        assert_same_bits(case.source, view.to("cpu"))
        for field in dataclasses.fields(PastePlan):
            assert torch.equal(getattr(case.plan, field.name), getattr(plan, field.name).cpu()), field.name
        expected, audit = apply_reference(case.target, case.source, case.plan, case.config)
        pasted.append(bool(audit.paste_union.any()))
        assert_same_bits(expected, apply(target, view, plan, drawn.config).to("cpu"))

    agrees()
    assert any(pasted) == (kind not in ("image", "boxes"))


def test_pinned_batches_arrive_as_they_were(device: str) -> None:
    crops = torch.zeros((2, 3, 5, 8, 8), dtype=torch.int32)
    crops[:, :, 3] = 1
    pinned = BankBatch(crops).pin_memory()
    assert pinned.crops.is_pinned()
    there = pinned.to(device, non_blocking=True)
    torch.cuda.synchronize()
    assert torch.equal(there.crops.cpu(), crops)

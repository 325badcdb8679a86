"""On CUDA: every executor gives the bits that the reference gives on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend

from segpaste.augmentation import BatchCopyPaste
from segpaste.paste import apply, apply_with_audit, draw_plan
from segpaste.paste.apply import ExecutorName
from segpaste.strategies import PasteCase
from segpaste.testing.parity import assert_same_bits, differences
from segpaste.types import Modality, modality_set_name
from tests.parity.agreement import Manner, expect_the_references_bits, moved
from tests.parity.drawn import KINDS, cases, manners
from tests.parity.test_compiled import BATCH, CONFIGS, SLOTS, batch_of_one_shape

pytestmark = pytest.mark.gpu

EXECUTORS: tuple[ExecutorName, ...] = ("fused", "graph")
EVERYTHING = modality_set_name(frozenset(Modality))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_bits_are_the_references(executor: ExecutorName, kind: str, device: str) -> None:
    pasted = []

    @given(cases(*KINDS[kind]), manners(executor))
    def agrees(case: PasteCase, manner: Manner) -> None:
        audit = expect_the_references_bits(case, executor, manner, device)
        pasted.append(audit is not None and bool(audit.paste_union.any()))

    agrees()
    assert any(pasted) == (kind not in ("image", "boxes"))


def _case(seed: int, dtype: torch.dtype = torch.uint8) -> PasteCase:
    config = CONFIGS["schema"]
    batch = batch_of_one_shape(EVERYTHING, seed, BATCH, SLOTS, dtype, metric=True)
    seeds = torch.arange(BATCH) + 100 * seed
    return PasteCase(batch, batch, draw_plan(batch, batch, seeds, config), config, seed)


@given(st.integers(0, 2**32 - 1), st.integers(-(2**62), 2**62))
def test_plans_are_drawn_alike(number: int, first: int) -> None:
    batch = batch_of_one_shape("instance", number, BATCH, SLOTS, torch.uint8, metric=False)
    seeds = torch.arange(BATCH) + first
    config = CONFIGS["no schema"]
    there = batch.to("cuda")
    drawn = draw_plan(there, there, seeds.to("cuda"), config).to("cpu")
    expected = draw_plan(batch, batch, seeds, config)
    for name in ("source_idx", "step", "translate", "hflip", "order", "count", "mix_key"):
        assert torch.equal(getattr(expected, name), getattr(drawn, name)), name


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_the_module(compiled: bool, dtype: torch.dtype, device: str) -> None:
    augment = BatchCopyPaste(CONFIGS["schema"]).to(device)
    counter = CompileCounterWithBackend("inductor")
    torch._dynamo.reset()
    step = torch.compile(augment, fullgraph=True, backend=counter) if compiled else augment
    for number in range(6):
        case = _case(number, dtype)
        expected = apply(case.target, case.source, case.plan, case.config, executor="reference")
        seeds = (torch.arange(BATCH) + 100 * number).to(device)
        actual = step(case.target.to(device), seeds=seeds)
        assert_same_bits(expected, actual, case=case, names=("reference", f"module on {device}"))
    assert counter.frame_count == compiled


@pytest.fixture
def _no_synchronisation() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("_no_synchronisation")
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_host_never_waits_for_the_device(executor: ExecutorName, device: str) -> None:
    first, second = (moved(_case(seed), device) for seed in (1, 2))
    augment = BatchCopyPaste(CONFIGS["schema"], executor=executor, seed=3).to(device)
    # Kernels and tables are made on the first call, and may wait.
    apply_with_audit(first.target, first.target, first.plan, first.config, executor=executor)
    augment(first.target)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    batch, _ = apply_with_audit(second.target, second.target, second.plan, second.config, executor=executor)
    pasted = augment(second.target)
    torch.cuda.set_sync_debug_mode("default")
    assert pasted.batch_size == BATCH
    expected = apply(second.target, second.target, second.plan, second.config, executor="reference")
    assert differences(expected, batch) == []

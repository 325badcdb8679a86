"""Every executor gives the reference's bits, whatever is pasted and however it lies in memory.

Drawn over all batches, plans and configurations: 100 pastes per executor and modality set,
2,000 in ``make nightly``. The compiled graph is in ``test_compiled.py``, the fused kernels
under Triton's interpreter in ``tests/paste/test_fused.py``.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import event, given

from segpaste.paste import apply_with_audit, draw_plan
from segpaste.paste.apply import ExecutorName
from segpaste.strategies import PasteCase
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchCopyPasteConfig, BatchedDenseSample, Modality
from tests.parity.agreement import Manner, expect_the_references_bits
from tests.parity.drawn import IMAGE_ONLY, KINDS, cases, manners

EXECUTORS: tuple[ExecutorName, ...] = ("rectangle", "graph")

SHARE_WITH_A_PASTE = 0.25


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_bits_are_the_references(executor: ExecutorName, kind: str) -> None:
    modalities, detection = KINDS[kind]
    seen: Counter[str] = Counter()

    @given(cases(modalities, detection), manners(executor))
    def agrees(case: PasteCase, manner: Manner) -> None:
        event(f"target {manner.target}")
        event(f"out {manner.out}")
        audit = expect_the_references_bits(case, executor, manner)
        seen["all"] += 1
        seen["audits"] += audit is not None
        seen["pasted"] += audit is not None and bool(audit.paste_union.any())

    agrees()
    assert seen["audits"] > seen["all"] / 3
    # Otherwise the two would agree on nothing but copies.
    wanted = 0.0 if modalities == IMAGE_ONLY else SHARE_WITH_A_PASTE
    assert seen["pasted"] >= wanted * seen["audits"]


@given(cases(frozenset(Modality), detection=False), manners("reference"))
def test_the_reference_itself_does_not_depend_on_the_layout(case: PasteCase, manner: Manner) -> None:
    expect_the_references_bits(case, "reference", manner)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_many_threads_and_many_samples_give_the_same_bits(
    executor: ExecutorName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is shared out however little it is."""
    monkeypatch.setattr("segpaste.paste.rectangle._BYTES_PER_THREAD", 1)
    scenes = scenes_from_seed(
        11, 12, modalities=frozenset(Modality), canvas=(120, 90), min_instances=6, max_instances=12
    )
    batch = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(24)
    config = BatchCopyPasteConfig(z_test=False)
    plan = draw_plan(batch, batch, torch.arange(12), config)
    expected, told = apply_with_audit(batch, batch, plan, config, executor="reference")
    assert told.paste_union.flatten(1).any(dim=1).sum() > 6
    case = PasteCase(batch, batch, plan, config)
    threads = torch.get_num_threads()
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        try:
            actual, audit = apply_with_audit(batch, batch, plan, config, executor=executor)
        finally:
            torch.set_num_threads(threads)
        names = ("reference", f"{executor} on {number} threads")
        assert_same_bits(expected, actual, audits=(told, audit), case=case, names=names)

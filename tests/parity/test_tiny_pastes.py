"""Executors against the reference on a few hundred tiny pastes, the same ones on every run.

Quick and without Hypothesis, so that it can be run on every mutant (``make mutation``);
``test_executors.py`` draws far more.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch

from segpaste.paste import apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import (
    CONFIG_BYTES,
    PADDING_BYTES,
    PLAN_BYTES,
    SCHEMA_BYTES,
    PasteCase,
    draw_any_plan,
    draw_config,
    draw_padded,
    draw_schema,
    draw_source_rows,
)
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchAuditPacket, Modality
from tests.parity.drawn import KINDS
from tests.parity.layouts import dirty_buffers, laid_out

EXECUTORS: tuple[ExecutorName, ...] = ("rectangle", "graph")
PASTES_PER_KIND = 10
CANVASES = ((4, 4), (5, 7), (8, 3), (1, 9), (6, 8))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_bits_are_the_references(executor: ExecutorName, kind: str) -> None:
    for case in tiny_pastes(kind):
        target, source, plan, config = case.target, case.source, case.plan, case.config
        expected, told = apply_with_audit(target, source, plan, config, executor="reference")
        actual, audit = apply_with_audit(target, source, plan, config, executor=executor)
        names = ("reference", executor)
        assert_same_bits(expected, actual, audits=(told, audit), case=case, names=names)


@pytest.mark.parametrize("executor", ["reference", *EXECUTORS])
def test_out_holds_nothing_of_what_was_there(executor: ExecutorName) -> None:
    for kind in ("instance", "semantic", "instance+semantic+panoptic+depth+normals"):
        for case in tiny_pastes(kind)[:4]:
            arguments = (case.target, case.source, case.plan, case.config)
            expected, told = apply_with_audit(*arguments, executor=executor)
            out = dirty_buffers(case.target, "contiguous")
            actual, audit = apply_with_audit(*arguments, executor=executor, out=out)
            assert actual is out
            assert_same_bits(expected, actual, audits=(told, audit), case=case)


@pytest.mark.parametrize("executor", ["reference", *EXECUTORS])
@pytest.mark.parametrize("kind", ["boxes", "semantic", "instance+semantic+panoptic+depth+normals"])
def test_what_comes_out_lies_in_order_however_the_input_lies(kind: str, executor: ExecutorName) -> None:
    for case in tiny_pastes(kind)[:2]:
        target, source = laid_out(case.target, "transposed"), laid_out(case.source, "transposed")
        out, audit = apply_with_audit(target, source, case.plan, case.config, executor=executor)
        assert [n for n, v in out.tensors().items() if not v.is_contiguous()] == []
        written = {n: getattr(audit, n) for n in BatchAuditPacket.__dataclass_fields__}
        tensors = {n: v for n, v in written.items() if isinstance(v, torch.Tensor)}
        assert [n for n, v in tensors.items() if not v.is_contiguous()] == []


def test_most_pastes_paste_something() -> None:
    """Otherwise the two would agree on nothing but copies."""
    pastes = [case for kind in KINDS if kind not in ("image", "boxes") for case in tiny_pastes(kind)]
    audits = [apply_with_audit(c.target, c.source, c.plan, c.config, executor="reference")[1] for c in pastes]
    assert sum(bool(audit.paste_union.any()) for audit in audits) > len(pastes) / 3


@cache
def tiny_pastes(kind: str) -> tuple[PasteCase, ...]:
    """The pastes of a modality set; drawn by Philox from the numbers 0 to 9 and the set's name."""
    return tuple(_paste(seed, *KINDS[kind]) for seed in range(PASTES_PER_KIND))


def _paste(seed: int, modalities: frozenset[Modality], detection: bool) -> PasteCase:
    key = seed + (sum(1 << i for i, m in enumerate(Modality) if m in modalities) << 8) + (detection << 20)
    choices = Choices.from_seed(key, 1, 8)
    batch, others = choices.of((1, 2, 1)), choices.of((1, 2))
    intra = batch > 1 and choices.one_in(2)
    schema = None
    if seed % 4:
        schema = draw_schema(Choices.from_seed(key, 2, SCHEMA_BYTES + 3 * 6), min_stuff=1, capacity=10)
    config = draw_config(Choices.from_seed(key, 3, CONFIG_BYTES + 2 * 6), schema)
    scenes = scenes_from_seed(
        key,
        batch if intra else batch + others,
        min_instances=1,
        max_instances=4,
        schema=schema,
        canvas=choices.of(CANVASES),
        modalities=modalities,
        detection=detection,
        channels=(1, 3),
    )
    samples = [scene.sample() for scene in scenes]
    padding = Choices.from_seed(key, 4, 4 * PADDING_BYTES)
    target = draw_padded(padding, samples[:batch], max_instances=10)
    source = target if intra else draw_padded(padding, samples[batch:], max_instances=10)
    rows = draw_source_rows(Choices.from_seed(key, 5, batch), batch, len(samples) - batch, intra)
    readers = [Choices.from_seed(key, 16 + b, PLAN_BYTES + source.max_instances) for b in range(batch)]
    return PasteCase(target, source, draw_any_plan(readers, target, source, config, rows), config)

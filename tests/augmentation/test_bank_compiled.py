"""Pasting from a bank under ``torch.compile``: one graph, whatever is staged, and the reference's bits.

Two sets of modalities go through aot_eager in ``make test``; in ``make nightly`` all go through
inductor.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from segpaste.augmentation import BankSource, BatchCopyPaste
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PaddedBatchedDenseSample, modality_set_name
from tests.augmentation.bank_batches import noise
from tests.augmentation.batches import EVERYTHING, INSTANCE, LIVELY, PANOPTIC, batch, same

SEMANTIC = frozenset({Modality.IMAGE, Modality.SEMANTIC})
CANVAS = (11, 17)
STEPS = 4


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


def _target(modalities: frozenset[Modality], seed: int, dtype: torch.dtype) -> PaddedBatchedDenseSample:
    """Of one shape and with the same fields, metric where there is depth."""
    padded = batch(3, modalities=modalities, canvas=CANVAS, dtype=dtype, seed=seed)
    padding = torch.zeros((3, 1, *CANVAS), dtype=torch.bool)
    cameras = torch.full((3, 4), 2.0 + seed, dtype=torch.float64)
    metric = Modality.DEPTH in modalities
    return replace(padded, padding_mask=padding, camera_intrinsics=cameras, metric_depth=metric)  # pyright: ignore[reportArgumentType]


def _through(
    backend: str, modalities: frozenset[Modality], crops_per_target: int, dtype: torch.dtype
) -> None:
    config = PANOPTIC if Modality.PANOPTIC in modalities else LIVELY
    source = BankSource(crops_per_target=crops_per_target)
    traced = BatchCopyPaste(config, source_strategy=source, seed=6)
    reference = BatchCopyPaste(config, source_strategy=source, seed=6, executor="reference")
    compiled = CompileCounterWithBackend(backend)
    step = torch.compile(traced, fullgraph=True, backend=compiled)
    pasted = 0
    for number in range(STEPS):
        target = _target(modalities, number, dtype)
        # A row more than there are targets, on one step crops without a use.
        staged = noise(4, 3, (4, 5), seed=number, metric=Modality.DEPTH in modalities, normals=True)
        source.set_bank_batch(staged if number != 2 else replace(staged, crops=staged.crops * 0))
        expected, audit = reference.forward_with_audit(target)
        with torch._dynamo.config.patch(error_on_recompile=True):
            assert same(step(target), expected)
        pasted += int(audit.paste_union.flatten(1).any(dim=1).sum())
        assert number != 2 or not audit.paste_union.any()
    assert compiled.frame_count == 1
    assert pasted >= STEPS // 2


@pytest.mark.parametrize(
    ("modalities", "crops_per_target", "dtype"),
    [
        (EVERYTHING, 2, torch.float32),
        (SEMANTIC, 1, torch.uint8),
        pytest.param(INSTANCE, 1, torch.uint8, marks=pytest.mark.nightly),
    ],
    ids=["everything, two crops", "semantic", "instance"],
)
def test_one_graph_whatever_is_staged(
    modalities: frozenset[Modality], crops_per_target: int, dtype: torch.dtype
) -> None:
    _through("aot_eager", modalities, crops_per_target, dtype)


@pytest.mark.nightly
@pytest.mark.parametrize("crops_per_target", [1, 2])
@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_every_set_through_inductor(modalities: frozenset[Modality], crops_per_target: int) -> None:
    dtype = (torch.uint8, torch.float32)[(LEGAL_MODALITY_SETS.index(modalities) + crops_per_target) % 2]
    _through("inductor", modalities, crops_per_target, dtype)


def test_what_is_not_staged_is_said_while_compiling() -> None:
    source = BankSource()
    step = torch.compile(
        BatchCopyPaste(LIVELY, source_strategy=source),
        fullgraph=True,
        backend=CompileCounterWithBackend("eager"),
    )
    with pytest.raises(Exception, match=r"bank_batch: got none, expected set_bank_batch\(bank_batch\)"):
        step(batch(2))
    torch._dynamo.reset()
    source.set_bank_batch(noise(1, 2))
    with pytest.raises(Exception, match="bank_batch: got crops for 1 targets, expected for at least B = 2"):
        step(batch(2))

"""The module under ``torch.compile``: one graph, no recompilation, the bits of the eager one.

Every modality set and configuration is compiled in the parity suite; here is what only the
module adds: its stream, its padding, its strategies, the types of what it returns.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torchvision import tv_tensors

from segpaste.augmentation import BatchCopyPaste
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    InstanceMask,
    PaddedBatchedDenseSample,
)
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, batch, copied, same
from tests.augmentation.test_replay import BySeed
from tests.augmentation.test_sources import Fixed

PATCHES = PANOPTIC.model_copy(
    update={"placement": BatchedPlacementConfig(pad_to_multiple=8, patch_aligned=True)}
)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


def compiled(augment: BatchCopyPaste) -> tuple[Any, CompileCounterWithBackend]:
    counter = CompileCounterWithBackend("eager")
    return torch.compile(augment, fullgraph=True, backend=counter), counter


def rolled(padded: PaddedBatchedDenseSample, number: int) -> PaddedBatchedDenseSample:
    """Another batch of the same shapes and fields."""
    return padded.gather((torch.arange(padded.batch_size) + number) % padded.batch_size)


@pytest.mark.parametrize("config", [PANOPTIC, PATCHES], ids=["plain", "patches"])
def test_one_graph_for_a_whole_run_with_the_modules_own_stream(config: BatchCopyPasteConfig) -> None:
    eager, traced = BatchCopyPaste(config, seed=6), BatchCopyPaste(config, seed=6)
    step, counter = compiled(traced)
    padded = result = batch(4, modalities=EVERYTHING)
    for number in range(4):
        padded = rolled(padded, 1)
        before = copied(padded)
        result = step(padded)
        assert same(result, eager(padded))
        assert same(padded, before)
        assert int(traced.counter) == number + 1
        if number == 1:
            # Resuming is no reason to compile again.
            traced.load_state_dict(eager.state_dict())
    assert counter.frame_count == 1
    assert type(result) is type(padded)
    assert isinstance(result.images, tv_tensors.Image)
    assert isinstance(result.instance_masks, InstanceMask)


def test_seeds_of_the_caller() -> None:
    augment = BatchCopyPaste(LIVELY, seed=6)
    step, counter = compiled(augment)
    for number in range(3):
        padded, seeds = rolled(batch(4), number), torch.arange(4) - 2**62 * number
        assert same(step(padded, seeds=seeds), augment(padded, seeds=seeds))
    assert counter.frame_count == 1
    assert int(augment.counter) == 0


def test_a_strategy_of_ones_own() -> None:
    strategy = Fixed(batch(3, seed=2), torch.tensor([2, 2, 0, 1]))
    eager, traced = (BatchCopyPaste(LIVELY, source_strategy=strategy, seed=6) for _ in range(2))
    step, counter = compiled(traced)
    for number in range(2):
        padded = rolled(batch(4), number)
        assert same(step(padded), eager(padded))
    assert counter.frame_count == 1


@pytest.mark.parametrize("aligned", [False, True])
def test_a_strategy_of_ones_own_on_a_padded_canvas(aligned: bool) -> None:
    placement = BatchedPlacementConfig(pad_to_multiple=16, patch_aligned=aligned)
    config = PANOPTIC.model_copy(update={"placement": placement})
    # Without a padding mask, so that the padding makes one beside the strategy's tv_tensors.
    donors = replace(batch(3, modalities=EVERYTHING, seed=2), padding_mask=None)
    eager, traced = (BatchCopyPaste(config, source_strategy=BySeed(donors), seed=6) for _ in range(2))
    step, counter = compiled(traced)
    for number in range(2):
        padded = rolled(batch(4, modalities=EVERYTHING), number)
        assert same(step(padded), eager(padded))
    assert counter.frame_count == 1


def test_a_worker_compiled_or_not_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    padded = batch(4)
    step, _ = compiled(BatchCopyPaste(LIVELY, seed=6))
    here = step(padded)
    # A worker that is forked finds the graph of its parent.
    monkeypatch.setattr("torch.utils.data._utils.worker._worker_info", SimpleNamespace(seed=2**63 + 5))
    there = BatchCopyPaste(LIVELY, seed=6)
    there.counter += 1
    assert same(step(padded), there(padded))
    monkeypatch.undo()
    again = BatchCopyPaste(LIVELY, seed=6)
    assert same(here, again(padded))


def test_with_audit() -> None:
    augment = BatchCopyPaste(PANOPTIC)
    padded, seeds = batch(4, modalities=EVERYTHING), torch.arange(4)
    counter = CompileCounterWithBackend("eager")
    step = torch.compile(augment.forward_with_audit, fullgraph=True, backend=counter)
    pasted, audit = step(padded, seeds=seeds)
    expected, said = augment.forward_with_audit(padded, seeds=seeds)
    assert same(pasted, expected)
    assert torch.equal(audit.paste_union, said.paste_union)
    assert audit.config == said.config
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": torch.Generator()}, "generator: got one while compiling"),
        ({"generator": torch.arange(4)}, "generator: got Tensor, .*; seeds go in as seeds="),
        ({"validate": True}, "validate: got True while compiling"),
        ({"out": batch(4)}, "out: got a batch while compiling"),
    ],
    ids=["generator", "seeds", "validate", "out"],
)
def test_what_cannot_be_traced_is_said(options: dict[str, Any], message: str) -> None:
    step, _ = compiled(BatchCopyPaste(LIVELY))
    with pytest.raises(Exception, match=message):
        step(batch(4), **options)


def test_input_that_does_not_fit_is_refused_as_by_the_eager_module() -> None:
    step, _ = compiled(BatchCopyPaste(PANOPTIC))
    with pytest.raises(Exception, match=r"padded\.semantic_maps: got None, expected semantic and panoptic"):
        step(batch(4))
    step, _ = compiled(BatchCopyPaste(LIVELY))
    with pytest.raises(Exception, match=r"seeds: got int64 \[3\] on cpu, expected int64 \[4\] on cpu"):
        step(batch(4), seeds=torch.arange(3))


def test_a_forced_executor_that_cannot_be_traced_is_said() -> None:
    step, _ = compiled(BatchCopyPaste(LIVELY, executor="rectangle"))
    with pytest.raises(Exception, match="executor: got 'rectangle' while compiling"):
        step(batch(4))

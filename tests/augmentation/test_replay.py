"""A step's samples come back from their records, one by one."""

from __future__ import annotations

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, BatchedPlacementSampler
from segpaste.paste import ReplayRecord, replay
from segpaste.paste.rng import to_int64
from segpaste.types import BatchedPlacementConfig, PaddedBatchedDenseSample
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, batch, same
from tests.augmentation.test_sources import Fixed

PATCHES = PANOPTIC.model_copy(
    update={"placement": BatchedPlacementConfig(pad_to_multiple=8, patch_aligned=True)}
)


@pytest.mark.parametrize("config", [PANOPTIC, PATCHES], ids=["plain", "patches"])
def test_a_record_brings_its_sample_back(config: object) -> None:
    padded = batch(5, modalities=EVERYTHING)
    augment = BatchCopyPaste(config, seed=4)  # pyright: ignore[reportArgumentType]
    seeds = augment.next_seeds(5)
    pasted, audit = augment.forward_with_audit(padded, seeds=seeds)
    assert int(audit.paste_union.flatten(1).any(dim=1).sum()) >= 3
    for index in range(5):
        text = augment.record(seeds, index).model_dump_json()
        record = ReplayRecord.model_validate_json(text)
        assert to_int64(record.seed) == int(seeds[index])
        # In another process there is no module yet: the record makes one.
        for other in (augment, BatchCopyPaste(record.config)):
            alone, said = other.replay(record, padded)
            assert same(alone, pasted.select(index))
            assert torch.equal(said.paste_union[0], audit.paste_union[index])
        assert same(replay(record, padded)[0], pasted.select(index))
    assert int(augment.counter) == 1


def test_a_record_of_another_source_view() -> None:
    view, padded = batch(3, seed=2), batch(4)
    rows = torch.tensor([2, 2, 0, 1])
    augment = BatchCopyPaste(LIVELY, source_strategy=Fixed(view, rows), seed=4)
    seeds = augment.next_seeds(4)
    pasted = augment(padded, seeds=seeds)
    for index in range(4):
        by_strategy, _ = augment.replay(augment.record(seeds, index), padded)
        given = augment.record(seeds, index, source_idx=int(rows[index]))
        by_view, _ = BatchCopyPaste(LIVELY).replay(given, padded, view)
        assert same(by_strategy, pasted.select(index))
        assert same(by_view, pasted.select(index))


def test_a_record_of_five_numbers() -> None:
    padded = batch(4)
    records = [ReplayRecord(base_seed=1, epoch=2, sample_idx=i, index=i, config=LIVELY) for i in range(4)]
    augment = BatchCopyPaste(LIVELY)
    pasted = augment(padded, seeds=torch.tensor([to_int64(r.seed) for r in records]))
    for index, record in enumerate(records):
        assert same(augment.replay(record, padded)[0], pasted.select(index))


def test_what_cannot_be_replayed_is_refused() -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY)
    record = augment.record(torch.arange(4), 3)
    with pytest.raises(ValueError, match=r"record\.config: got another configuration than this module's"):
        BatchCopyPaste().replay(record, padded)
    with pytest.raises(ValueError, match=r"record\.index: got 3, expected less than B = 2"):
        augment.replay(record, padded.gather(slice(0, 2)))
    old = record.model_copy(update={"version": "0.0.1"})
    with pytest.raises(ValueError, match=r"record\.version: got 0\.0\.1, expected "):
        augment.replay(old, padded)
    assert augment.replay(old, padded, any_version=True)[0].batch_size == 1
    for numbers in ({}, {"base_seed": 1, "sample_seed": 2}):
        with pytest.raises(ValueError, match="base_seed, sample_seed: got .* expected one of the two"):
            ReplayRecord.model_validate(numbers)


class BySeed:
    """A strategy whose choice depends on the seed of the sample alone."""

    def __init__(self, view: PaddedBatchedDenseSample) -> None:
        self.view = view

    def sample(self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler):
        rows = seeds % self.view.batch_size
        return self.view, sampler(target, self.view, seeds, source_idx=rows)


def test_a_strategy_that_draws_by_seed_is_replayed_too() -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY, source_strategy=BySeed(batch(6, seed=2)))
    seeds = augment.next_seeds(4)
    pasted = augment(padded, seeds=seeds)
    for index in range(4):
        assert same(augment.replay(augment.record(seeds, index), padded)[0], pasted.select(index))

"""DataLoader workers, forked and spawned, and ranks of DDP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader

from segpaste.augmentation import BatchCopyPaste
from segpaste.augmentation.seeds import stream_seeds
from segpaste.types import PaddedBatchedDenseSample
from tests.augmentation.batches import LIVELY, batch, same
from tests.augmentation.workers import Collate, Samples, run_rank

SEEDS = torch.tensor([1, -5, 2**62, 9])


def epochs(context: str, seed: int, count: int, *, persistent: bool = False) -> Iterator[list[Any]]:
    """What two workers give in each epoch: (worker, pasted with SEEDS, seeds of the stream)."""
    torch.manual_seed(seed)
    augment = BatchCopyPaste(LIVELY, seed=1)
    made: DataLoader[Any] = DataLoader(
        Samples(16),
        batch_size=4,
        num_workers=2,
        collate_fn=Collate(augment, SEEDS),
        multiprocessing_context=context,
        persistent_workers=persistent,
    )
    for _ in range(count):
        yield list(made)
    assert int(augment.counter) == 0


def test_workers_paste_the_same_bits_and_draw_apart_and_runs_alike() -> None:
    expected = BatchCopyPaste(LIVELY)(batch(4), seeds=SEEDS)
    forked = list(epochs("fork", 3, 2))
    spawned = list(epochs("spawn", 3, 1))
    for epoch in (*forked, *spawned):
        assert [worker for worker, _, _ in epoch] == [0, 1, 0, 1]
        assert all(same(pasted, expected) for _, pasted, _ in epoch)
    assert _seeds(spawned) == _seeds(forked)[:16]
    assert len(set(_seeds(forked))) == 32
    persistent = _seeds(epochs("fork", 3, 2, persistent=True))
    assert persistent[:16] == _seeds(forked)[:16]
    assert len(set(persistent)) == 32
    assert not set(_seeds(epochs("fork", 4, 1))) & set(_seeds(forked))


def _seeds(epoch_list: Any) -> list[int]:
    return [seed for epoch in epoch_list for _, _, drawn in epoch for seed in drawn]


def test_ranks_draw_apart_though_ddp_gives_them_one_key(tmp_path: Path) -> None:
    spawn(run_rank, args=(2, str(tmp_path)), nprocs=2)
    one, other = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert torch.equal(one["key"], other["key"])
    assert int(one["counter"]) == int(other["counter"]) == 3
    for step in range(3):
        results = [PaddedBatchedDenseSample(**state["steps"][step]) for state in (one, other)]
        assert not same(*results)
        for rank, pasted in enumerate(results):
            # One rank's checkpoint is enough to say what any rank drew.
            seeds = stream_seeds(one["key"], torch.tensor(step), 4, rank)
            assert same(pasted, BatchCopyPaste(LIVELY)(batch(4), seeds=seeds))

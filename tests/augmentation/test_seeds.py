"""The stream of seeds: who decides it, that it is never repeated, that it can be resumed."""

from __future__ import annotations

import torch

from segpaste.augmentation import BatchCopyPaste
from segpaste.augmentation.seeds import stream_seeds
from segpaste.paste.rng import philox4x32
from segpaste.types import PaddedBatchedDenseSample
from tests.augmentation.batches import LIVELY, batch, same

MASK32 = 0xFFFFFFFF


def test_manual_seed_decides_the_default_key_by_one_draw() -> None:
    torch.manual_seed(4)
    one, other = BatchCopyPaste(), BatchCopyPaste()
    torch.manual_seed(4)
    again = BatchCopyPaste()
    assert int(one.key) == int(again.key) != int(other.key)
    torch.manual_seed(4)
    torch.empty((), dtype=torch.int64).random_(-(2**63), None)
    assert int(BatchCopyPaste().key) == int(other.key)


def test_a_given_seed_draws_nothing_and_neither_does_a_step() -> None:
    padded = batch(4)
    before = torch.get_rng_state()
    augment = BatchCopyPaste(LIVELY, seed=3)
    augment(padded)
    augment(padded, seeds=torch.arange(4))
    augment(padded, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_is_a_philox_word_of_key_step_and_row() -> None:
    key, step, rank = 2**64 - 3, 2**40 + 7, 5
    seeds = stream_seeds(torch.tensor(-3), torch.tensor(step), 3, rank)
    for row, seed in enumerate(seeds.tolist()):
        words = philox4x32((row, step & MASK32, step >> 32, rank), (key & MASK32, key >> 32))
        assert seed % 2**64 == words[0] | words[1] << 32


def test_the_stream_moves_on_by_a_step_and_does_not_repeat() -> None:
    augment = BatchCopyPaste(seed=1)
    drawn = [augment.next_seeds(256) for _ in range(200)]
    assert int(augment.counter) == 200
    seeds = torch.cat(drawn)
    assert seeds.unique().numel() == seeds.numel()
    assert torch.equal(BatchCopyPaste(seed=1).next_seeds(3), drawn[0][:3])
    assert not torch.equal(BatchCopyPaste(seed=2).next_seeds(256), drawn[0])
    # Every bit is set about half of the time: 51,200 draws, five standard deviations.
    for bit in range(64):
        share = ((seeds >> bit) & 1).double().mean()
        assert abs(float(share) - 0.5) < 0.0111, bit


def test_forward_draws_what_next_seeds_gives() -> None:
    padded = batch(4)
    one, other = BatchCopyPaste(LIVELY, seed=9), BatchCopyPaste(LIVELY, seed=9)
    for _ in range(3):
        assert same(one(padded), other(padded, seeds=other.next_seeds(4)))
    assert int(one.counter) == int(other.counter) == 3


def test_a_resumed_run_goes_on_as_it_would_have() -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY)
    whole = [augment(padded) for _ in range(2)]
    state = {name: value.clone() for name, value in augment.state_dict().items()}
    whole += [augment(padded) for _ in range(3)]
    resumed = BatchCopyPaste(LIVELY)
    resumed.load_state_dict(state)
    assert all(same(resumed(padded), expected) for expected in whole[2:])
    assert len({_digest(pasted) for pasted in whole}) == 5


def test_a_generator_decides_all_and_moves_on() -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY)
    generator = torch.Generator().manual_seed(8)
    first, second = augment(padded, generator), augment(padded, generator)
    assert int(augment.counter) == 0
    assert not same(first, second)
    again = torch.Generator().manual_seed(8)
    seeds = torch.empty(4, dtype=torch.int64).random_(-(2**63), None, generator=again)
    assert bool((seeds < 0).any())
    assert same(augment(padded, seeds=seeds), first)
    assert same(augment(padded, again), second)


def _digest(pasted: PaddedBatchedDenseSample) -> bytes:
    return pasted.images.as_subclass(torch.Tensor).numpy().tobytes()

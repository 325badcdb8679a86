"""Many steps in one process: memory stays, nothing warns, nobody else's randomness moves."""

from __future__ import annotations

import gc
import os
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from segpaste.augmentation import BatchCopyPaste
from tests.augmentation.batches import EVERYTHING, PANOPTIC, batch

WARM_UP = 500
MOST_RSS = 4 * 2**20
"""Bytes; what is left over of a batch of this test is 40 kB, 100 times of it at 10,000 steps."""

STATM = Path("/proc/self/statm")


class Run:
    """Steps of a module as a training loop makes them."""

    def __init__(self) -> None:
        self.augment = BatchCopyPaste(PANOPTIC, seed=0)
        self.padded = batch(4, modalities=EVERYTHING, canvas=(9, 11), slots=6)
        self.out = self.augment(self.padded)

    def go(self, steps: int) -> None:
        for number in range(steps):
            if number % 3 == 0:
                self.augment(self.padded, out=self.out)
            elif number % 10 == 1:
                self.augment.forward_with_audit(self.padded)
            else:
                self.augment(self.padded)


def resident() -> int:
    """Bytes of this process that lie in memory."""
    return int(STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check(steps: int) -> None:
    run = Run()
    states = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            # The first collection, of what other tests left, also frees what steps make again.
            run.go(WARM_UP // 2)
            gc.collect()
        # Blocks of Python's allocator: anything kept of a step, however small, is one or more.
        blocks, memory = sys.getallocatedblocks(), resident()
        run.go(steps)
        gc.collect()
        assert sys.getallocatedblocks() - blocks < steps // 2
        assert resident() - memory < MOST_RSS
    assert torch.equal(torch.get_rng_state(), states[0])
    assert repr(np.random.get_state(legacy=False)) == repr(states[1])
    assert random.getstate() == states[2]
    assert int(run.augment.counter) == 1 + WARM_UP + steps


linux = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")


@linux
def test_a_thousand_steps() -> None:
    check(1000)


@linux
@pytest.mark.nightly
def test_ten_thousand_steps() -> None:
    check(10_000)


@linux
@pytest.mark.parametrize("leak", ["memory", "an object"])
def test_a_leak_would_be_seen(leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    go = Run.go

    def leaking(self: Run, steps: int) -> None:
        go(self, steps)
        kept.extend(torch.zeros(2**14) if leak == "memory" else [n] for n in range(steps))

    monkeypatch.setattr(Run, "go", leaking)
    with pytest.raises(AssertionError):
        check(600)

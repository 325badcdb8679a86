"""A loader that is wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from segpaste.augmentation import BatchCopyPaste, CopyPasteLoader
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from tests.augmentation.batches import LIVELY, same, samples


def padded_batch(drawn: list[DenseSample]) -> PaddedBatchedDenseSample:
    return BatchedDenseSample.from_samples(drawn).to_padded(9)


COLLATES: list[Callable[[Any], Any]] = [list, tuple, BatchedDenseSample.from_samples, padded_batch]


@pytest.mark.parametrize("collate", COLLATES, ids=["list", "tuple", "batched", "padded"])
def test_a_loader_of_anything_padded_or_not(collate: Callable[[Any], Any]) -> None:
    data = samples(7)
    loader = DataLoader(data, batch_size=3, collate_fn=collate)  # pyright: ignore[reportArgumentType]
    wrapped = BatchCopyPaste.from_dataloader(loader, 9, LIVELY, seed=5)
    assert isinstance(wrapped, CopyPasteLoader)
    assert len(wrapped) == 3
    augment = BatchCopyPaste(LIVELY, seed=5)
    for _ in range(2):  # a second pass goes on with the stream
        passed = list(wrapped)
        assert [b.batch_size for b in passed] == [3, 3, 1]
        for first, pasted in zip((0, 3, 6), passed, strict=True):
            assert same(pasted, augment(padded_batch(data[first : first + 3])))
    assert int(wrapped.augment.counter) == 6


def test_device_and_validate_are_passed_on() -> None:
    loader = DataLoader(samples(4), batch_size=2, collate_fn=list)  # pyright: ignore[reportArgumentType]
    wrapped = BatchCopyPaste.from_dataloader(loader, 9, LIVELY, device="cpu", validate=True)
    assert wrapped.device == torch.device("cpu")
    assert len(list(wrapped)) == 2
    meta = BatchCopyPaste.from_dataloader(loader, 9, LIVELY, device="meta")
    assert meta.augment.key.device.type == "meta"


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ([{}, {}], "list of dict"),
        ([torch.zeros(1), samples(1)[0]], "list of Tensor"),
        (torch.zeros(2), "Tensor"),
        ({"image": 1}, "dict"),
        (samples(1)[0], "DenseSample"),
    ],
    ids=["dicts", "mixed", "tensor", "dict", "one sample"],
)
def test_a_batch_of_something_else_is_named(given: Any, got: str) -> None:
    wrapped = BatchCopyPaste.from_dataloader([given], 9)
    message = f"loader: got a batch that is a {got}, expected a list of DenseSample, a BatchedDenseSample or"
    with pytest.raises(TypeError, match=message):
        next(iter(wrapped))


def test_more_rows_than_slots_or_another_number_of_slots_is_named() -> None:
    drawn = samples(2)
    with pytest.raises(ValueError, match=r"sample \d: got \d rows, expected at most max_instances = 0"):
        next(iter(BatchCopyPaste.from_dataloader([drawn], 0)))
    with pytest.raises(ValueError, match="got a batch with K = 9 row slots, expected max_instances = 8"):
        next(iter(BatchCopyPaste.from_dataloader([padded_batch(drawn)], 8)))
    with pytest.raises(ValueError, match="max_instances: got -1, expected 0 or more"):
        BatchCopyPaste.from_dataloader([], -1)


class Stream(IterableDataset[DenseSample]):
    """Samples without a length."""

    def __iter__(self) -> Iterator[DenseSample]:
        return iter(samples(3))


def test_a_loader_without_a_length_still_iterates() -> None:
    loader = DataLoader(Stream(), batch_size=2, collate_fn=list)
    wrapped = BatchCopyPaste.from_dataloader(loader, 9)
    assert [b.batch_size for b in wrapped] == [2, 1]
    with pytest.raises(TypeError, match="has no len"):
        len(wrapped)
    with pytest.raises(TypeError, match="loader: got generator, which has no length"):
        len(BatchCopyPaste.from_dataloader((b for b in [samples(2)]), 9))

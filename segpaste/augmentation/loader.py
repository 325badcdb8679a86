"""A loader whose batches come out padded and pasted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any

import torch

from segpaste.augmentation.bank_source import BankSource
from segpaste.bank.batch import BankBatch
from segpaste.bank.sampler import BankSampler
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from segpaste.types.numbers import whole_number

if TYPE_CHECKING:
    from segpaste.augmentation.batch_copy_paste import BatchCopyPaste


class CopyPasteLoader:
    """Iterates over another loader and pastes every batch, in the process that iterates.

    Made by :meth:`BatchCopyPaste.from_dataloader`. It can be iterated as often as the
    loader can; each pass goes on with the module's stream of seeds.

    Attributes:
        loader: the loader that is wrapped.
        augment: the module; save its ``state_dict()`` to resume.
        max_instances: K.
        device: where batches are brought before they are pasted; ``None`` leaves them.
        validate: whether values are checked, too.
        bank_loader: gives what the module's :class:`BankSource` has staged at each step. It
            is begun anew whenever it ends, in another order of the same epoch
            (:meth:`BankSampler.next_round`), and goes on from one pass over ``loader`` to the
            next, until its ``set_epoch`` goes to another epoch or its ``load_state_dict``
            elsewhere: these the next step follows.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        augment: BatchCopyPaste,
        max_instances: int,
        device: torch.device | None = None,
        validate: bool = False,
        bank_loader: Iterable[BankBatch | torch.Tensor] | None = None,
    ) -> None:
        # What has only __getitem__ is iterated, too.
        if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
            raise TypeError(f"loader: got {type(loader).__name__}, expected an iterable of batches")
        max_instances = whole_number("max_instances", max_instances, at_least=0)
        if bank_loader is not None and not isinstance(bank_loader, Iterable):
            raise TypeError(
                f"bank_loader: got {type(bank_loader).__name__}, expected an iterable of BankBatch or None"
            )
        if bank_loader is not None and not isinstance(augment.source_strategy, BankSource):
            raise TypeError(
                f"source_strategy: got {type(augment.source_strategy).__name__}, "
                "expected a BankSource beside a bank_loader"
            )
        self.loader = loader
        self.augment = augment
        self.max_instances = max_instances
        self.device = device
        self.validate = validate
        self.bank_loader = bank_loader
        self._bank_batches: Iterator[BankBatch | torch.Tensor] | None = None

    def __len__(self) -> int:
        """The number of batches of a loader that knows it.

        Raises:
            TypeError: if it does not.
        """
        if not isinstance(self.loader, Sized):
            raise TypeError(f"loader: got {type(self.loader).__name__}, which has no length")
        return len(self.loader)

    def __iter__(self) -> Iterator[PaddedBatchedDenseSample]:
        for batch in self.loader:
            padded = as_padded(batch, self.max_instances)
            if self.device is not None:
                padded = padded.to(self.device)
            self._stage(padded.labels.device)
            yield self.augment(padded, validate=self.validate)

    def __repr__(self) -> str:
        return f"CopyPasteLoader({self.loader!r}, max_instances={self.max_instances})"

    def _stage(self, device: torch.device) -> None:
        source = self.augment.source_strategy
        if self.bank_loader is None or not isinstance(source, BankSource):
            return
        if self._bank_batches is None:
            self._bank_batches = _without_end(self.bank_loader)
        bank_batch = next(self._bank_batches)
        if isinstance(bank_batch, BankBatch | torch.Tensor):
            bank_batch = bank_batch.to(device, non_blocking=True)
        source.set_bank_batch(bank_batch, validate=True if self.validate else None)


def _without_end(bank_loader: Iterable[BankBatch | torch.Tensor]) -> Iterator[BankBatch | torch.Tensor]:
    """One pass after the other, and a new one when the loader's epoch or state is set meanwhile."""
    sampler = getattr(bank_loader, "sampler", None)
    empty_passes = 0
    while True:
        empty_passes += 1
        place = _place(sampler)
        for bank_batch in bank_loader:
            empty_passes = 0
            yield bank_batch
            if _place(sampler) != place:
                break
        else:
            # What is resumed at the end of an epoch has nothing left of it.
            if empty_passes == 2:
                raise ValueError("bank_loader: got no batch in a whole pass, expected one or more")
            _go_on(sampler)


def _place(sampler: Any) -> tuple[Any, Any]:
    return getattr(sampler, "epoch", None), getattr(sampler, "moves", None)


def _go_on(sampler: Any) -> None:
    """To crops in another order, as far as the sampler knows of any."""
    if isinstance(sampler, BankSampler):
        sampler.next_round()
    elif hasattr(sampler, "epoch") and hasattr(sampler, "set_epoch"):
        sampler.set_epoch(sampler.epoch + 1)


def as_padded(batch: Any, max_instances: int) -> PaddedBatchedDenseSample:
    """A loader's batch with ``max_instances`` row slots.

    Raises:
        TypeError: naming what the loader gave instead of a batch.
        ValueError: if there is no sample, or samples do not fit together or into the slots.
    """
    if isinstance(batch, PaddedBatchedDenseSample):
        if batch.max_instances != max_instances:
            raise ValueError(
                f"loader: got a batch with K = {batch.max_instances} row slots, "
                f"expected max_instances = {max_instances}"
            )
        return batch
    if isinstance(batch, BatchedDenseSample):
        return batch.to_padded(max_instances)
    if isinstance(batch, list | tuple) and not batch:
        raise ValueError(f"loader: got a batch that is an empty {type(batch).__name__}, expected samples")
    if isinstance(batch, list | tuple) and all(isinstance(s, DenseSample) for s in batch):
        return BatchedDenseSample.from_samples(batch).to_padded(max_instances)
    got = type(batch).__name__
    if isinstance(batch, list | tuple):
        others = sorted({type(s).__name__ for s in batch if not isinstance(s, DenseSample)})
        got = f"{got} of {', '.join(others)}"
    raise TypeError(
        f"loader: got a batch that is a {got}, expected a list of DenseSample, a BatchedDenseSample "
        "or a PaddedBatchedDenseSample (collate_fn=list gives the first)"
    )

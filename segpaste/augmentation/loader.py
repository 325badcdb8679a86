"""A loader whose batches come out padded and pasted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Any

import torch

from segpaste.augmentation.arguments import whole_number
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample

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
    """

    def __init__(
        self,
        loader: Iterable[Any],
        augment: BatchCopyPaste,
        max_instances: int,
        device: torch.device | None = None,
        validate: bool = False,
    ) -> None:
        # What has only __getitem__ is iterated, too.
        if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
            raise TypeError(f"loader: got {type(loader).__name__}, expected an iterable of batches")
        max_instances = whole_number("max_instances", max_instances, at_least=0)
        self.loader = loader
        self.augment = augment
        self.max_instances = max_instances
        self.device = device
        self.validate = validate

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
            yield self.augment(padded, validate=self.validate)

    def __repr__(self) -> str:
        return f"CopyPasteLoader({self.loader!r}, max_instances={self.max_instances})"


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

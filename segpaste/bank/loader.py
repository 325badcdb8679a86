"""From a bank to batches of crops for a training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from segpaste.bank.batch import BankBatch
from segpaste.bank.layout import DEPTH, NORMALS, Chunk
from segpaste.bank.meta import BankHead
from segpaste.bank.protocol import BankCrop, InstanceBank
from segpaste.bank.sampler import BankSampler

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

_THRESHOLD = 1e-3


class BankDataLoader(DataLoader[BankBatch]):
    """A ``DataLoader`` over a bank that can be resumed within an epoch.

    Made by :func:`create_bank_dataloader`. Its own ``batch_size`` counts crops, not targets. With
    ``drop_last`` and a :class:`BankSampler` every rank has as many batches as the shortest.
    """

    _taken = 0
    _pass = 0

    def __len__(self) -> int:
        """The number of batches in the whole of the current epoch."""
        if self.drop_last and isinstance(self.sampler, BankSampler):
            return self.sampler.common_length // (self.batch_size or 1)
        return super().__len__()

    def __iter__(self) -> Iterator[BankBatch]:  # pyright: ignore[reportIncompatibleMethodOverride]
        count = None
        if isinstance(self.sampler, BankSampler):
            # Without workers DataLoader asks the sampler at the first batch only.
            start = self.sampler.begin()
            if self.drop_last:
                count = max(0, self.sampler.common_length - start) // (self.batch_size or 1)
        batches = super().__iter__()
        self._taken = 0
        self._pass += 1
        return self._counted(batches, count, self._pass)

    def set_epoch(self, epoch: int) -> None:
        """:meth:`BankSampler.set_epoch`: call it before every epoch."""
        self._bank_sampler().set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The sampler's state after the batches that the loop took, whatever workers read ahead.

        Raises:
            TypeError: if the sampler is no :class:`BankSampler`.
        """
        return self._bank_sampler().state_dict(consumed=self._taken * (self.batch_size or 0))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next iteration go on after those batches.

        Raises:
            ValueError: as :meth:`BankSampler.load_state_dict`.
        """
        self._bank_sampler().load_state_dict(state)

    def _counted(self, batches: Any, count: int | None, number: int) -> Iterator[BankBatch]:
        for batch in islice(batches, count):
            # Not those of an iterator that was left behind.
            if number == self._pass:
                self._taken += 1
            yield batch

    def _bank_sampler(self) -> BankSampler:
        if not isinstance(self.sampler, BankSampler):
            raise TypeError(f"sampler: got {type(self.sampler).__name__}, expected a BankSampler")
        return self.sampler


def create_bank_dataloader(
    bank: InstanceBank,
    *,
    batch_size: int,
    candidates_per_target: int = 1,
    sampler: Sampler[int] | None = None,
    threshold: float = _THRESHOLD,
    num_samples: int | None = None,
    seed: int = 0,
    num_workers: int = 0,
    pin_memory: bool = False,
    drop_last: bool = True,
    prefetch_factor: int | None = None,
    persistent_workers: bool = False,
    multiprocessing_context: str | BaseContext | None = None,
    collate_fn: Callable[[list[BankCrop]], BankBatch] | None = None,
) -> BankDataLoader:
    """A loader of :class:`BankBatch`, ``candidates_per_target`` crops for each of ``batch_size`` targets.

    Batches have depth, normals and intrinsics exactly when the bank's head says so, whichever
    crops they hold. Reading draws nothing: torch's default generator is left alone, and the
    batches depend on the sampler only, whatever the number of workers.

    Args:
        bank: what to load from.
        batch_size: B, targets.
        candidates_per_target: K.
        sampler: of crop numbers; by default a :class:`BankSampler` of the bank, with the next
            three arguments and ``drop_last``.
        threshold: see :class:`BankSampler`.
        num_samples: likewise; counts crops, of which B x K make a batch.
        seed: likewise.
        num_workers: as for ``torch.utils.data.DataLoader``; forked or spawned.
        pin_memory: likewise.
        prefetch_factor: likewise.
        persistent_workers: likewise.
        multiprocessing_context: likewise.
        drop_last: leave out a last batch of fewer targets, and make all ranks equally long;
            ``False`` needs one crop per target, and one rank may have a batch more than another,
            for which DDP waits forever (``torch.distributed.algorithms.Join`` is for that).
        collate_fn: for a bank of your own, without a head, whose crops carry more than image and
            alpha: :func:`collate_bank` with what it is to stage, by ``functools.partial``.

    Raises:
        TypeError: on an argument of another type.
        ValueError: on a value out of range.
    """
    for name, number in (("batch_size", batch_size), ("candidates_per_target", candidates_per_target)):
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{name}: got {type(number).__name__}, expected an int")
        if number < 1:
            raise ValueError(f"{name}: got {number}, expected 1 or more")
    if candidates_per_target > 1 and not drop_last:
        raise ValueError(
            f"drop_last: got False with candidates_per_target {candidates_per_target}, expected True: "
            "the crops that are left over need not be enough for a target"
        )
    if sampler is None:
        sampler = BankSampler(
            bank, threshold=threshold, num_samples=num_samples, seed=seed, drop_last=drop_last
        )
    elif (threshold, num_samples, seed) != (_THRESHOLD, None, 0):
        raise ValueError("sampler: got one beside threshold, num_samples or seed, expected none of these")
    dataset: Dataset[Any] = bank  # pyright: ignore[reportAssignmentType]
    collate: Callable[[Any], BankBatch]
    if collate_fn is not None:
        collate = collate_fn
    elif isinstance(bank, _RecordBank):
        dataset = _Records(bank)
        collate = partial(collate_records, head=bank.head, candidates_per_target=candidates_per_target)
    else:
        collate = partial(
            collate_bank,
            candidates_per_target=candidates_per_target,
            has_depth=False,
            has_normals=False,
            has_intrinsics=False,
        )
    return BankDataLoader(
        dataset,
        batch_size=batch_size * candidates_per_target,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        drop_last=drop_last,
        prefetch_factor=prefetch_factor,
        persistent_workers=persistent_workers,
        multiprocessing_context=multiprocessing_context,
        generator=torch.Generator(torch.get_default_device()),
    )


def collate_bank(
    crops: Sequence[BankCrop],
    *,
    candidates_per_target: int = 1,
    has_depth: bool | None = None,
    has_normals: bool | None = None,
    has_intrinsics: bool | None = None,
    metric_depth: bool | None = None,
) -> BankBatch:
    """Crops as one batch, the first ``candidates_per_target`` of them for the first target, and so on.

    What a crop does not carry is zero, and ``carries_*`` false.

    Args:
        crops: B x K crops of one size.
        candidates_per_target: K.
        has_depth: whether the batch has depth; ``None``: if any of these crops does.
        has_normals: likewise for normals.
        has_intrinsics: likewise for intrinsics.
        metric_depth: whether its depth is metric; ``None``: as that of these crops.

    Raises:
        ValueError: if there is no crop, their number is no multiple of K, their sizes or kinds of
            depth differ, or one carries what the batch is not to have.
    """
    _check_count(len(crops), candidates_per_target)
    size = _size(crops[0])
    metric = next((c.metric_depth for c in crops if c.depth is not None), False)
    metric = metric if metric_depth is None else metric_depth
    fields = _empty_fields(
        len(crops),
        size,
        depth=any(c.depth is not None for c in crops) if has_depth is None else has_depth,
        normals=any(c.normals is not None for c in crops) if has_normals is None else has_normals,
        intrinsics=(
            any(c.camera_intrinsics is not None for c in crops) if has_intrinsics is None else has_intrinsics
        ),
    )
    for place, crop in enumerate(crops):
        if _size(crop) != size:
            raise ValueError(f"crop {place}: got size {_size(crop)}, expected that of crop 0, {size}")
        if not 0 <= crop.class_id < 2**31:
            raise ValueError(
                f"crop {place}: class_id: got {crop.class_id}, expected 0 or more and less than 2**31"
            )
        if crop.depth is not None and crop.metric_depth != metric:
            raise ValueError(f"crop {place}: metric_depth: got {crop.metric_depth}, expected {metric}")
        _fill(fields, place, crop)
    return _batch(fields, candidates_per_target, metric)


def collate_records(chunk: Chunk, *, head: BankHead, candidates_per_target: int = 1) -> BankBatch:
    """:func:`collate_bank` for crops as they are stored: the same bits, without the crops' objects.

    Args:
        chunk: B x K records and index rows.
        head: the bank's; decides what the batch has.
        candidates_per_target: K.

    Raises:
        ValueError: if there is no crop, or their number is no multiple of K.
    """
    records, index = chunk
    _check_count(len(records), candidates_per_target)
    fields = _empty_fields(
        len(records),
        head.crop_size,
        depth=head.has_depth,
        normals=head.has_normals,
        intrinsics=head.has_intrinsics,
    )
    fields["crops"][:, :3] = records["image"]
    fields["crops"][:, 3] = records["alpha"][:, 0]
    fields["crops"][:, 4] = index["class_id"][:, None, None]
    for name, field in fields.items():
        if name in _CARRIES:
            field[:] = index["carries"] & _CARRIES[name] > 0
        elif name != "crops":
            field[:] = records[name]
    return _batch(fields, candidates_per_target, head.metric_depth)


@runtime_checkable
class _RecordBank(Protocol):
    """A bank that gives crops as they are stored."""

    @property
    def head(self) -> BankHead: ...

    def records(self, indices: Sequence[int], /) -> Chunk: ...


class _Records(Dataset[Chunk]):
    """A bank whose batches are chunks."""

    def __init__(self, bank: _RecordBank) -> None:
        self.bank = bank

    def __getitem__(self, index: int) -> Chunk:
        return self.bank.records([index])

    def __getitems__(self, indices: list[int]) -> Chunk:
        return self.bank.records(indices)


_CARRIES = {"carries_depth": DEPTH, "carries_normals": NORMALS}


def _empty_fields(
    count: int, size: tuple[int, int], *, depth: bool, normals: bool, intrinsics: bool
) -> dict[str, np.ndarray]:
    """The memory of a batch of ``count`` crops, not written yet: the fields of a batch by name."""
    fields: dict[str, np.ndarray] = {"crops": np.empty((count, 5, *size), np.int32)}
    if depth:
        fields["depth"] = np.empty((count, 1, *size), np.float32)
        fields["depth_valid"] = np.empty((count, 1, *size), np.bool_)
        fields["carries_depth"] = np.empty(count, np.bool_)
    if normals:
        fields["normals"] = np.empty((count, 3, *size), np.float32)
        fields["carries_normals"] = np.empty(count, np.bool_)
    if intrinsics:
        fields["camera_intrinsics"] = np.empty((count, 4), np.float64)
    return fields


def _fill(fields: dict[str, np.ndarray], place: int, crop: BankCrop) -> None:
    fields["crops"][place, :3] = crop.image.numpy()
    fields["crops"][place, 3] = crop.alpha[0].numpy()
    fields["crops"][place, 4] = crop.class_id
    camera = crop.camera_intrinsics
    carried = {
        "depth": None if crop.depth is None else crop.depth.numpy(),
        "depth_valid": None if crop.depth_valid is None else crop.depth_valid.numpy(),
        "normals": None if crop.normals is None else crop.normals.numpy(),
        "camera_intrinsics": None if camera is None else camera.as_tuple(),
    }
    for name, value in carried.items():
        if name in fields:
            fields[name][place] = 0 if value is None else value
        elif value is not None:
            raise ValueError(f"crop {place}: {name}: got some, expected none in a batch without")
    if "carries_depth" in fields:
        fields["carries_depth"][place] = crop.depth is not None
    if "carries_normals" in fields:
        fields["carries_normals"][place] = crop.normals is not None


def _batch(fields: dict[str, np.ndarray], candidates_per_target: int, metric_depth: bool) -> BankBatch:
    tensors = {
        name: torch.from_numpy(field).reshape(-1, candidates_per_target, *field.shape[1:])
        for name, field in fields.items()
    }
    return BankBatch(**tensors, metric_depth=metric_depth)


def _size(crop: BankCrop) -> tuple[int, int]:
    return crop.image.shape[1], crop.image.shape[2]


def _check_count(count: int, candidates_per_target: int) -> None:
    if candidates_per_target < 1:
        raise ValueError(f"candidates_per_target: got {candidates_per_target}, expected 1 or more")
    if not count or count % candidates_per_target:
        raise ValueError(
            f"crops: got {count}, "
            f"expected a multiple above 0 of candidates_per_target, {candidates_per_target}"
        )

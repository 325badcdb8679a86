"""Copy-paste where samples are made: on the CPU, one by one or as they are collated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, Protocol, get_args, runtime_checkable

import torch
from torch.utils._pytree import tree_map
from torchvision.transforms import v2

from segpaste.augmentation.batch_copy_paste import BatchCopyPaste
from segpaste.augmentation.seeds import seeds_from
from segpaste.augmentation.sources import BatchedPlacementSampler, SourceStrategy
from segpaste.paste.apply import ExecutorName
from segpaste.paste.rng import philox_words, to_int64, uniform_below
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PastePlan,
)
from segpaste.types.batch_leaves import refuse_batches
from segpaste.types.numbers import whole_number

# The second counter word separates uses of one seed: a plan has 0 and 1, the crops of a bank 2.
_DONOR = 3


@runtime_checkable
class Donors(Protocol):
    """Samples by number: a list, a data set, or anything with a length and an index."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: int, /) -> DenseSample:
        """The sample of that number."""
        ...


class CopyPaste(v2.Transform):
    """Pastes things of a donor into a sample: a transform for a ``Dataset`` or ``v2.Compose``.

    The same paste as :class:`BatchCopyPaste`'s, bit for bit: for one seed a sample gets what
    it would get in a batch with that donor as its source. The seed of each call is drawn from
    torch's default generator, which a ``DataLoader`` seeds in each of its workers, and decides
    the donor, too; so ``torch.manual_seed`` makes a run reproducible.

    Donors are asked for when they are needed, one for each call. A donor needs the sample's
    size, modalities, channels and image dtype: put both through one pipeline that ends in one
    size, such as ``make_large_scale_jittering``. Nothing keeps a sample from being its own
    donor where it is among them.

    Args:
        donors: a list or data set of samples, with ``len()`` and ``[index]``.
        config: the configuration; the default one if ``None``. ``paste_prob`` says how often
            anything is pasted.
        max_instances: the most rows a sample may have afterwards; by default its own and
            all of the donor's have room, within the class table's
            ``max_instances_per_image``.
        executor: as for :class:`BatchCopyPaste`.

    Raises:
        TypeError: on donors without a length or an index, or a configuration of another type.
        ValueError: on no donors, a negative ``max_instances`` or an unknown executor.
    """

    def __init__(
        self,
        donors: Donors,
        config: BatchCopyPasteConfig | None = None,
        *,
        max_instances: int | None = None,
        executor: ExecutorName | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(donors, Sized) or not hasattr(donors, "__getitem__"):
            raise TypeError(f"donors: got {type(donors).__name__}, expected samples with len() and [index]")
        if not len(donors):
            raise ValueError("donors: got none, expected one sample or more")
        if max_instances is not None:
            max_instances = whole_number("max_instances", max_instances, at_least=0, or_none=True)
        self.donors = donors
        self.config = _checked(config)
        self.max_instances = max_instances
        self.executor: ExecutorName | None = _executor(executor)

    def forward(self, *inputs: Any) -> Any:
        """Paste into every sample among the inputs, however they are nested; the rest passes.

        Returns:
            What was given, with new samples in place of the old, which are not written to.

        Raises:
            TypeError: on no sample among the inputs, or a donor that is none.
            ValueError: on a donor of another size, naming its number, and what
                :class:`BatchCopyPaste` refuses.
        """
        found = 0

        def pasted(value: Any) -> Any:
            nonlocal found
            if not isinstance(value, DenseSample):
                return value
            found += 1
            return self.paste(value, int(_drawn_seeds(1)))

        given: Any = inputs[0] if len(inputs) == 1 else inputs
        refuse_batches("CopyPaste", given)
        result = tree_map(pasted, given, is_leaf=lambda value: isinstance(value, DenseSample))
        if not found:
            raise TypeError(f"inputs: got {type(given).__name__}, expected a DenseSample among them")
        return result

    def donor_index(self, seed: int) -> int:
        """The number of the donor for a seed, uniform over the donors."""
        return int(uniform_below(_donor_words(seed)[0], len(self.donors)))

    def paste(self, sample: DenseSample, seed: int) -> DenseSample:
        """What :meth:`forward` does, with a given seed of 64 bits, which decides everything.

        A donor that draws from another generator than torch's default one, such as NumPy's, is as
        that has it.

        Raises:
            TypeError, ValueError: as :meth:`forward`.
        """
        index = self.donor_index(seed)
        with _default_generator_at(int(_donor_words(seed)[1])):
            donor = self.donors[index]
        if not isinstance(donor, DenseSample):
            raise TypeError(f"donors[{index}]: got {type(donor).__name__}, expected a DenseSample")
        _check_donor(index, donor, sample)
        view = BatchedDenseSample.from_samples([donor]).to_padded(len(donor))
        target = BatchedDenseSample.from_samples([sample]).to_padded(self._slots(sample, donor))
        seeds = torch.tensor([to_int64(seed)], dtype=torch.int64, device=sample.image.device)
        # Made anew for each call: a donor kept in a module would be shared by threads.
        with sample.image.device:  # not the default device, which a worker may not be able to use
            augment = BatchCopyPaste(
                self.config, source_strategy=_OneDonor(view), seed=0, executor=self.executor
            )
        pasted = augment(target, seeds=seeds)
        return BatchedDenseSample.from_padded(pasted).to_samples()[0]

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"donors={len(self.donors)}, config={self.config.model_dump(exclude_defaults=True)}"

    def _slots(self, sample: DenseSample, donor: DenseSample) -> int:
        if self.max_instances is not None:
            return self.max_instances
        slots = len(sample) + len(donor)
        asked = self.config.placement.k_range
        if asked != BatchedPlacementConfig().k_range:
            slots = max(slots, asked[1])  # never refused for want of slots nobody chose
        schema = self.config.schema_spec
        return slots if schema is None else min(slots, max(schema.max_instances_per_image, len(sample)))


class CopyPasteCollator:
    """A ``collate_fn`` that pastes: a list of samples comes out as one batch with ragged rows.

    The donors of a sample are the other samples of the list, as in :class:`BatchCopyPaste`,
    whose bits these are. The seeds are drawn from torch's default generator, which a
    ``DataLoader`` seeds in each of its workers. It can be pickled.

    Args:
        max_instances: K, the most rows a sample may have afterwards.
        config: the configuration; the default one if ``None``.
        source_strategy: other donors, as for :class:`BatchCopyPaste`.
        executor: as for :class:`BatchCopyPaste`.

    Raises:
        TypeError, ValueError: as :class:`BatchCopyPaste`; on a ``max_instances`` that is no
            integer of 0 or more.
    """

    def __init__(
        self,
        max_instances: int,
        config: BatchCopyPasteConfig | None = None,
        *,
        source_strategy: SourceStrategy | None = None,
        executor: ExecutorName | None = None,
    ) -> None:
        self.max_instances = whole_number("max_instances", max_instances, at_least=0)
        with torch.device("cpu"):  # where samples are collated, whatever the default device
            self.augment = BatchCopyPaste(config, source_strategy=source_strategy, seed=0, executor=executor)

    def __call__(
        self, samples: Sequence[DenseSample], *, seeds: torch.Tensor | None = None
    ) -> BatchedDenseSample:
        """Stack and paste.

        Args:
            samples: B samples of one size, set of modalities and image dtype.
            seeds: ``[B]`` int64; drawn from torch's default generator if ``None``.

        Returns:
            B samples, rows ragged.

        Raises:
            TypeError, ValueError: on no samples, naming the first sample that differs from sample 0 or has
                more than ``max_instances`` rows, and what :class:`BatchCopyPaste` refuses.
        """
        ragged = BatchedDenseSample.from_samples(samples)
        if not ragged.batch_size:
            raise ValueError("samples: got none, expected one or more")
        batch = ragged.to_padded(self.max_instances)
        if seeds is None:
            seeds = _drawn_seeds(batch.batch_size).to(batch.labels.device)
        return BatchedDenseSample.from_padded(self.augment(batch, seeds=seeds))

    def __repr__(self) -> str:
        return f"CopyPasteCollator(max_instances={self.max_instances}, {self.augment.extra_repr()})"


class _OneDonor:
    """Every target's source is the one sample of the view."""

    def __init__(self, view: PaddedBatchedDenseSample) -> None:
        self.view = view

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        return self.view, sampler(target, self.view, seeds, source_idx=torch.zeros_like(seeds))


def _donor_words(seed: int) -> torch.Tensor:
    """Four words: of the donor's number, of its own randomness, and two to spare."""
    return philox_words(torch.tensor(to_int64(seed), device="cpu"), 0, _DONOR)


@contextmanager
def _default_generator_at(seed: int) -> Iterator[None]:
    """The default generator of torch under a seed, and then where it was; those of devices stay."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)


def _drawn_seeds(count: int) -> torch.Tensor:
    return seeds_from(torch.default_generator, count, torch.device("cpu"))


def _checked(config: BatchCopyPasteConfig | None) -> BatchCopyPasteConfig:
    if config is None:
        return BatchCopyPasteConfig()
    if not isinstance(config, BatchCopyPasteConfig):
        raise TypeError(f"config: got {type(config).__name__}, expected a BatchCopyPasteConfig")
    return config


def _executor(name: ExecutorName | None) -> ExecutorName | None:
    names = get_args(ExecutorName)
    if name is not None and name not in names:
        raise ValueError(f"executor: got {name!r}, expected None or one of {list(names)}")
    return name


def _check_donor(index: int, donor: DenseSample, sample: DenseSample) -> None:
    """What a user of lists meets first; the rest is the paste's to refuse."""
    if donor.canvas_size != sample.canvas_size:
        raise ValueError(
            f"donors[{index}]: got (H, W) {donor.canvas_size}, expected the sample's, {sample.canvas_size}: "
            "bring both to one size, with FixedSizeCrop or make_large_scale_jittering"
        )

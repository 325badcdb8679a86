"""Samples of a data set to one batch, in whatever process a ``DataLoader`` collates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from segpaste.integrations.data_set import padded
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from segpaste.types.numbers import whole_number


def make_segpaste_collate_fn(
    max_instances: int, *, pad: bool = False, ignore_index: int = 255
) -> Callable[[Sequence[DenseSample]], PaddedBatchedDenseSample]:
    """A ``collate_fn`` for a ``DataLoader`` over samples; it can be pickled, so workers take it.

    Args:
        max_instances: K, the row slots of every sample: its own rows and those that are
            to be pasted.
        pad: bring samples of several sizes to the largest H and the largest W of their
            batch: they stand at the top left, the rest is padding. Without it all must
            have one size, as :class:`segpaste.FixedSizeCrop` makes it.
        ignore_index: the semantic map's value on padding; the schema's.

    Returns:
        A function from a list of samples to a batch ``[B, ...]`` with K row slots.

    Raises:
        TypeError: if ``max_instances`` is no integer; the function, if it gets anything but
            samples.
        ValueError: if ``max_instances`` is negative; the function, naming the first sample
            that has more rows, or another size, modalities or dtype than sample 0.
    """
    number = whole_number("max_instances", max_instances, at_least=0)
    return _Collate(number, pad, whole_number("ignore_index", ignore_index, at_least=0))


def batch_of(
    samples: Sequence[DenseSample], *, pad: bool = False, ignore_index: int = 255
) -> BatchedDenseSample:
    """Samples as a ragged batch, brought to one size if that is asked for.

    Raises:
        TypeError: on no list, or if one of them is no sample.
        ValueError: on no samples, and on samples that cannot stand in one batch.
    """
    if not isinstance(samples, Sequence) or isinstance(samples, str):
        raise TypeError(f"samples: got {type(samples).__name__}, expected a list of DenseSample")
    if not samples:
        raise ValueError("samples: got none, expected one or more")
    for index, sample in enumerate(samples):
        if not isinstance(sample, DenseSample):
            raise TypeError(f"samples[{index}]: got {type(sample).__name__}, expected a DenseSample")
    sizes = [sample.canvas_size for sample in samples]
    if len(set(sizes)) > 1:
        if not pad:
            index = next(n for n, size in enumerate(sizes) if size != sizes[0])
            raise ValueError(
                f"samples[{index}]: got (H, W) {sizes[index]}, expected {sizes[0]} as samples[0]: bring all "
                "to one size with FixedSizeCrop (make_large_scale_jittering ends with one), or pad=True"
            )
        canvas = max(height for height, _ in sizes), max(width for _, width in sizes)
        samples = [s if s.canvas_size == canvas else padded(s, canvas, ignore_index) for s in samples]
    return BatchedDenseSample.from_samples(samples)


@dataclass(frozen=True)
class _Collate:
    max_instances: int
    pad: bool
    ignore_index: int

    def __call__(self, samples: Sequence[DenseSample]) -> PaddedBatchedDenseSample:
        batch = batch_of(samples, pad=self.pad, ignore_index=self.ignore_index)
        return batch.to_padded(self.max_instances)

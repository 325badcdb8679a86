"""A preset's whole pipeline on one batch: jittering, paste, sanitizing; and what came out of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from segpaste.audit.errors import AuditError
from segpaste.augmentation import BankSource, BatchCopyPaste
from segpaste.bank import BankBatch, build_bank, create_bank_dataloader, open_bank
from segpaste.bank.stored_bank import StoredBank
from segpaste.integrations import DataSet, SampleCrops
from segpaste.integrations.data_set import unpadded
from segpaste.paste.rng import to_int64
from segpaste.presets import PresetConfig
from segpaste.testing.examples import ragged, stream_seed
from segpaste.types import (
    BatchAuditPacket,
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
    PastePlan,
)

BATCH = 4


Change = Callable[[DenseSample], DenseSample]


@dataclass(frozen=True)
class PastedBatch:
    """A batch before the paste.

    Attributes:
        target: the batch, on the canvas of the paste.
        source: the view that was pasted from.
        plan: what was pasted.
        repaste: ``BatchCopyPaste`` with the same seeds and, with a bank, the same crops.
    """

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    repaste: Callable[[PaddedBatchedDenseSample], tuple[PaddedBatchedDenseSample, BatchAuditPacket]]


@dataclass(frozen=True)
class Step:
    """One sample on its way through the pipeline.

    What was done to it can be done again, with the same randomness, to any sample: the laws of
    what moves pixels and those of several runs need that.

    Attributes:
        number: its number in the audit of its set.
        name, donor_name: the records' names; a bank's donor has none of its own.
        raw: as it was read, without padding.
        before: after jittering; B = 1, as it was pasted into.
        donor: what it was pasted from; B = 1.
        pasted: after the paste; B = 1.
        final: after sanitizing.
        audit: of the paste; B = 1.
        jittered: what the jittering made of ``raw``; ``None`` where nothing is jittered.
        rejitter, resanitize: the jittering of this very sample, and the sanitizing; ``None`` where
            there is none.
        batch: the batch that it was pasted in.
        of_batch: whether the donor is another sample, and not crops of a bank.
    """

    number: int
    name: str
    donor_name: str
    raw: DenseSample
    before: PaddedBatchedDenseSample
    donor: PaddedBatchedDenseSample
    pasted: PaddedBatchedDenseSample
    final: DenseSample
    audit: BatchAuditPacket
    jittered: DenseSample | None
    rejitter: Change | None
    resanitize: Change | None
    batch: PastedBatch
    of_batch: bool = True


def output_size(preset: PresetConfig, data: DataSet, given: tuple[int, int] | None) -> tuple[int, int] | None:
    """The canvas after jittering; ``None`` where nothing is jittered.

    Drawn scenes, and all sets much smaller than the preset's canvas, are not blown up to it.
    """
    if preset.large_scale_jitter is None:
        return None
    if given is not None:
        return given
    height, width = preset.large_scale_jitter.output_size
    largest = max(max(unpadded(sample).canvas_size) for sample in data.samples)
    by = max(1, max(height, width) // largest)
    return max(1, height // by), max(1, width // by)


def steps(
    preset: PresetConfig,
    data: DataSet,
    count: int,
    seed: int,
    *,
    size: tuple[int, int] | None,
    jitter: bool,
    bank: StoredBank | None,
) -> Iterator[list[Step]]:
    """Run ``count`` samples of a set through the pipeline, batch by batch.

    Every image comes up equally often, in an order that the seed decides. torch's generators
    are left as they were.

    Args:
        preset: the pipeline.
        data: fitted to it.
        count: how many samples; more than there are go round again, jittered otherwise.
        seed: decides everything random.
        size: canvas in place of :func:`output_size`'s.
        jitter: whether to jitter at all.
        bank: where donors come from, for a preset with a bank.
    """
    transform = preset.jitter(output_size(preset, data, size)) if jitter else None
    sanitize = preset.sanitize()
    strategy = None if preset.bank is None else BankSource(crops_per_target=preset.bank.crops_per_target)
    augment = BatchCopyPaste(preset.batch_copy_paste, source_strategy=strategy, seed=seed)
    # Not the folder that the set was read from: the same data draw alike wherever they lie.
    stream = data.name.rpartition("/")[2]
    order = _order(len(data.samples), count, stream_seed(seed, f"{stream}/order"))
    staged = _staged(preset, bank, count, seed)
    for start, stop in _batches(count):
        chosen = order[start:stop]
        raw = [unpadded(data.samples[n]) for n in chosen]
        samples = [data.samples[n] for n in chosen]
        jitters: list[Change | None] = [None] * len(raw)
        if transform is not None:
            ways = [_seeded(transform, stream_seed(seed, f"{stream}/jitter/{n}")) for n in range(start, stop)]
            samples = [way(sample) for way, sample in zip(ways, raw, strict=True)]
            jitters = list(ways)
        batch = BatchedDenseSample.from_samples(samples).to_padded(_slots(preset, samples))
        seeds = torch.tensor([to_int64(stream_seed(seed, f"{stream}/paste/{n}")) for n in range(start, stop)])
        crops = None if strategy is None else next(staged)
        repaste = _repaste(augment, seeds, strategy, crops)
        if strategy is not None and crops is not None:
            strategy.set_bank_batch(crops)
        target = augment.sampler.padded(batch)
        view, _ = augment.source_strategy.sample(target, seeds, augment.sampler)
        pasted, audit = repaste(batch)
        plan = audit.plan
        if plan is None:
            raise TypeError("audit.plan: got None, expected the plan of the paste")
        whole = PastedBatch(target, view, plan, repaste)
        made: list[Step] = []
        for n in range(len(chosen)):
            donor = int(plan.source_idx[n])
            final = ragged(pasted.select(n))
            made.append(
                Step(
                    number=start + n,
                    name=data.names[chosen[n]],
                    donor_name="crops of the bank" if strategy else data.names[chosen[donor]],
                    raw=raw[n],
                    before=target.select(n),
                    donor=view.select(donor),
                    pasted=pasted.select(n),
                    final=final if sanitize is None else sanitize(final),
                    audit=audit.select(n),
                    jittered=None if transform is None else samples[n],
                    rejitter=jitters[n],
                    resanitize=sanitize,
                    batch=whole,
                    of_batch=strategy is None,
                )
            )
        yield made


@contextmanager
def bank_of(data: DataSet, preset: PresetConfig, canvas: tuple[int, int]) -> Iterator[StoredBank]:
    """A bank of the set's own objects, for a bank's preset without one; it is gone afterwards.

    Raises:
        AuditError: if there is no object in the set.
    """
    side = max(16, min(canvas) // 8)
    crops = SampleCrops(
        [unpadded(sample) for sample in data.samples],
        crop_size=(side, side),
        min_area=4,
        schema=preset.class_table,
        class_names=preset.class_names,
        dataset=data.name,
    )
    with TemporaryDirectory(prefix="segpaste-audit-") as folder:
        path = Path(folder, "bank")
        build_bank(crops, path)
        bank = open_bank(path)
        if len(bank) == 0:
            raise AuditError(f"{data.name}: got no object to cut out, expected a bank (--bank)")
        yield bank


def _seeded(transform: Change, seed: int) -> Change:
    """The transform with one draw of its own, whatever it is given."""

    def run(sample: DenseSample) -> DenseSample:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**63)
            return transform(sample)

    return run


def _repaste(
    augment: BatchCopyPaste, seeds: torch.Tensor, strategy: BankSource | None, crops: BankBatch | None
) -> Callable[[PaddedBatchedDenseSample], tuple[PaddedBatchedDenseSample, BatchAuditPacket]]:
    def run(batch: PaddedBatchedDenseSample) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        if strategy is not None and crops is not None:
            strategy.set_bank_batch(crops)
        return augment.forward_with_audit(batch, seeds=seeds)

    return run


def _staged(preset: PresetConfig, bank: StoredBank | None, count: int, seed: int) -> Iterator[BankBatch]:
    if preset.bank is None:
        return iter(())
    if bank is None:
        raise TypeError("bank: got None for a preset with a bank, expected a StoredBank")
    donors = preset.bank
    batches = len(_batches(count))
    return iter(
        create_bank_dataloader(
            bank,
            batch_size=BATCH,
            candidates_per_target=donors.candidates_per_target,
            threshold=donors.repeat_threshold,
            num_samples=batches * BATCH * donors.candidates_per_target,
            seed=seed,
        )
    )


def _batches(count: int) -> list[tuple[int, int]]:
    """Where batches of at most ``BATCH`` begin and end, as equal as can be: none is of one sample."""
    number = -(-count // BATCH)
    ends = [count * n // number for n in range(number + 1)]
    return list(pairwise(ends))


def _order(length: int, count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed % 2**63)
    order: list[int] = []
    while len(order) < count:
        order += torch.randperm(length, generator=generator).tolist()
    return order[:count]


def _slots(preset: PresetConfig, samples: Sequence[DenseSample]) -> int:
    """K: no more than these samples can use, since every slot is a whole mask."""
    rows = max(len(sample) for sample in samples)
    asked = preset.batch_copy_paste.placement.k_range[1]
    most = rows + (max(rows, asked) if preset.bank is None else max(preset.bank.crops_per_target, asked))
    return min(preset.max_instances, most)

"""A loader of targets beside a loader of crops, and the whole way from a bank on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from segpaste.augmentation import BankSource, BatchCopyPaste, CopyPasteLoader
from segpaste.bank import (
    BankBatch,
    BankSampler,
    build_bank,
    create_bank_dataloader,
    open_bank,
    write_bank,
)
from segpaste.bank.layout import pack
from segpaste.integrations import load_data
from segpaste.integrations.coco_crops import CocoCrops
from segpaste.invariants import check_paste, check_sample
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
)
from tests.augmentation.bank_batches import noise
from tests.augmentation.batches import LIVELY, PANOPTIC, same, samples
from tests.bank.drawn_bank import drawn_crops, drawn_head


def targets(count: int = 7, **kind: Any) -> DataLoader[Any]:
    return DataLoader(samples(count, **kind), batch_size=3, collate_fn=list)  # pyright: ignore[reportArgumentType]


def by_hand(
    loader: DataLoader[Any], bank_batches: Iterator[Any], passes: int
) -> list[PaddedBatchedDenseSample]:
    """What a loop of one's own does."""
    source = BankSource()
    augment = BatchCopyPaste(LIVELY, source_strategy=source, seed=5)
    pasted: list[PaddedBatchedDenseSample] = []
    for _ in range(passes):
        for batch in loader:
            source.set_bank_batch(next(bank_batches))
            pasted.append(augment(BatchedDenseSample.from_samples(batch).to_padded(9)))
    return pasted


def test_every_step_has_the_next_crops_and_the_bank_begins_anew_when_it_ends() -> None:
    staged = [noise(3, 2, seed=s) for s in range(4)]
    wrapped = BatchCopyPaste.from_dataloader(targets(), 9, LIVELY, seed=5, bank_loader=staged)
    assert isinstance(wrapped, CopyPasteLoader)
    assert isinstance(wrapped.augment.source_strategy, BankSource)
    found = [batch for _ in range(2) for batch in wrapped]
    order = iter([staged[n] for n in (0, 1, 2, 3, 0, 1)])
    expected = by_hand(targets(), order, 2)
    assert [b.batch_size for b in found] == [3, 3, 1, 3, 3, 1]
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    # The last batch of targets had fewer than were staged for it.
    plain = list(BatchCopyPaste.from_dataloader(targets(), 9, LIVELY, seed=5))
    assert not same(plain[0], found[0])


def test_bare_tensors_a_strategy_of_ones_own_and_validation() -> None:
    source = BankSource(crops_per_target=2)
    bad = noise(3, 2).crops + 300
    wrapped = BatchCopyPaste.from_dataloader(
        targets(), 9, LIVELY, source_strategy=source, bank_loader=[noise(3, 2).crops, bad], validate=True
    )
    assert wrapped.augment.source_strategy is source
    steps = iter(wrapped)
    next(steps)
    with pytest.raises(ValueError, match="a colour beyond"):
        next(steps)


def test_what_is_no_bank_loader_is_refused() -> None:
    with pytest.raises(TypeError, match="bank_loader: got int, expected an iterable of BankBatch or None"):
        BatchCopyPaste.from_dataloader(targets(), 9, bank_loader=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        TypeError, match="source_strategy: got IntraBatchSource, expected a BankSource beside"
    ):
        CopyPasteLoader(targets(), BatchCopyPaste(), 9, bank_loader=[noise(3, 2)])
    with pytest.raises(ValueError, match="bank_loader: got no batch in a whole pass, expected one or more"):
        next(iter(BatchCopyPaste.from_dataloader(targets(), 9, bank_loader=[])))
    strange: Any = ["crops"]
    with pytest.raises(TypeError, match="bank_batch: got str, expected a BankBatch or its crops as a tensor"):
        next(iter(BatchCopyPaste.from_dataloader(targets(), 9, bank_loader=strange)))


def test_twenty_steps_from_a_bank_on_disk(tmp_path: Path) -> None:
    """A bank whose crops carry everything, some of them less, into targets with everything."""
    kind = {"classes": (1, 2, 4), "depth": True, "normals": True, "intrinsics": True, "metric": True}
    crops = drawn_crops(40, crop_size=(7, 9), some_without=True, **kind)
    head = drawn_head(crop_size=(7, 9), **kind)
    write_bank(tmp_path / "bank", head, iter([pack(crops, head)]), backend="memmap", count=len(crops))
    bank = open_bank(tmp_path / "bank")
    bank_loader = create_bank_dataloader(bank, batch_size=3, candidates_per_target=2, seed=1)
    config = PANOPTIC
    wrapped = BatchCopyPaste.from_dataloader(
        targets(9, modalities=frozenset(Modality)), 9, config, seed=5, bank_loader=bank_loader
    )
    epochs, steps, pasted = [], 0, 0
    while steps < 20:
        for before, after in zip(targets(9, modalities=frozenset(Modality)), wrapped, strict=True):
            was = BatchedDenseSample.from_samples(before).to_padded(9)
            changed = (was.images != after.images).flatten(1).any(dim=1)
            pasted += int(changed.sum())
            after.validate()
            sampler = bank_loader.sampler
            assert isinstance(sampler, BankSampler)
            epochs.append(sampler.epoch)
            steps += 1
    assert pasted > steps
    # The bank's epochs follow each other, whatever those of the targets.
    assert epochs == sorted(epochs)
    assert epochs[-1] >= 2
    staged = wrapped.augment.source_strategy
    assert isinstance(staged, BankSource)
    assert isinstance(staged.bank_batch, BankBatch)


@pytest.mark.nightly
def test_a_bank_of_real_objects_into_real_images(tmp_path: Path, data_root: Path) -> None:
    folder = data_root / "coco128_multi"
    build_bank(CocoCrops(folder / "instances_rle.json", folder / "images", min_area=64), tmp_path / "bank")
    maps = Path(__file__).parents[1] / "data_maps" / "coco128_multi.yaml"
    (data,) = (data for data in load_data(folder, mapping=maps) if Modality.PANOPTIC in data.modalities)
    assert data.schema is not None
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=data.schema))
    source = BankSource(crops_per_target=2)
    augment = BatchCopyPaste(config, source_strategy=source, seed=1)
    bank_loader = create_bank_dataloader(open_bank(tmp_path / "bank"), batch_size=4, candidates_per_target=3)
    slots = max(len(sample) for sample in data.samples) + 2
    for first, bank_batch in zip(range(0, 12, 4), bank_loader, strict=False):
        source.set_bank_batch(bank_batch)
        target = BatchedDenseSample.from_samples(data.samples[first : first + 4]).to_padded(slots)
        seeds = augment.next_seeds(4)
        pasted, audit = augment.forward_with_audit(target, seeds=seeds)
        assert audit.paste_union.flatten(1).any(dim=1).sum() >= 2
        view, _ = source.sample(target, seeds, augment.sampler)
        for b in range(4):
            before, after, donor = target.select(b), pasted.select(b), view.select(b)
            reports = check_paste(before, after, audit.select(b), source=donor)
            reports += check_sample(after, data.schema, before=before, source=donor)
            reports += check_sample(donor, data.schema)
            assert [f"[{r.name}] {r.message}" for r in reports if not r.ok] == []

"""A loader of targets beside a loader of crops, and the whole way from a bank on disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from segpaste.augmentation import BankSource, BatchCopyPaste, CopyPasteLoader
from segpaste.bank import (
    BankBatch,
    BankSampler,
    build_bank,
    collate_bank,
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
from tests.bank.own_bank import OwnBank


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
    rounds, steps, pasted = [], 0, 0
    while steps < 20:
        for before, after in zip(targets(9, modalities=frozenset(Modality)), wrapped, strict=True):
            was = BatchedDenseSample.from_samples(before).to_padded(9)
            changed = (was.images != after.images).flatten(1).any(dim=1)
            pasted += int(changed.sum())
            after.validate()
            sampler = bank_loader.sampler
            assert isinstance(sampler, BankSampler)
            assert sampler.epoch == 0
            rounds.append(sampler.round)
            steps += 1
    assert pasted > steps
    # The bank's rounds follow each other, whatever the passes over the targets.
    assert rounds == sorted(rounds)
    assert rounds[-1] >= 2
    staged = wrapped.augment.source_strategy
    assert isinstance(staged, BankSource)
    assert isinstance(staged.bank_batch, BankBatch)


class Run:
    """Targets of five steps beside a bank of 13 batches, or of fewer than an epoch needs."""

    def __init__(self, crops: int, state: dict[str, Any] | None = None) -> None:
        bank = OwnBank(drawn_crops(crops, crop_size=(5, 7)))
        self.bank_loader = create_bank_dataloader(bank, batch_size=3, seed=3)
        self.loader = BatchCopyPaste.from_dataloader(targets(15), 9, seed=5, bank_loader=self.bank_loader)
        if state is not None:
            self.bank_loader.load_state_dict(state)

    def staged(self) -> Iterator[torch.Tensor]:
        """The crops of each step of a pass over the targets."""
        source = self.loader.augment.source_strategy
        assert isinstance(source, BankSource)
        for _ in self.loader:
            assert source.bank_batch is not None
            yield source.bank_batch.crops


@pytest.mark.parametrize("set_epochs", [True, False])
@pytest.mark.parametrize("crops", [40, 7])
def test_a_run_that_is_resumed_stages_what_the_uninterrupted_one_does(crops: int, set_epochs: bool) -> None:
    run = Run(crops)
    staged: list[torch.Tensor] = []
    states: list[dict[str, Any]] = []
    for epoch in range(3):
        if set_epochs:
            run.bank_loader.set_epoch(epoch)
        for batch in run.staged():
            staged.append(batch)
            states.append(json.loads(json.dumps(run.bank_loader.state_dict())))
    if set_epochs:
        alone = create_bank_dataloader(OwnBank(drawn_crops(crops, crop_size=(5, 7))), batch_size=3, seed=3)
        for epoch in range(3):
            alone.set_epoch(epoch)
            first = [batch.crops for batch in alone][:5]
            assert all(map(torch.equal, first, staged[5 * epoch :]))
    for stop in range(1, 15):
        resumed = Run(crops, states[stop - 1])
        if set_epochs:
            resumed.bank_loader.set_epoch(stop // 5)
        rest = list(itertools.islice(resumed.staged(), 15 - stop if stop > 10 else 5 - stop % 5))
        assert rest
        assert all(map(torch.equal, rest, staged[stop:])), stop


def test_a_state_that_is_loaded_between_two_passes_and_within_one_is_gone_on_from() -> None:
    run = Run(40)
    list(run.staged())
    state = run.bank_loader.state_dict()
    second = list(run.staged())
    run.bank_loader.load_state_dict(state)
    assert run.bank_loader.state_dict() == state
    again = run.staged()
    assert all(torch.equal(next(again), second[step]) for step in range(3))
    run.bank_loader.load_state_dict(state)
    assert all(torch.equal(next(again), second[step]) for step in range(2))
    assert run.bank_loader.state_dict()["position"] == state["position"] + 6


def test_a_loader_of_ones_own_is_begun_anew_in_its_sampler_s_next_epoch() -> None:
    bank: Any = OwnBank(drawn_crops(6, crop_size=(5, 7)))
    sampler = DistributedSampler(bank, num_replicas=1, rank=0, seed=2)
    own = DataLoader(bank, batch_size=3, sampler=sampler, collate_fn=collate_bank)
    wrapped = BatchCopyPaste.from_dataloader(targets(15), 9, bank_loader=own)
    epochs = []
    for step, _ in enumerate(wrapped):
        epochs.append(sampler.epoch)
        if step == 2:
            sampler.set_epoch(7)
    assert epochs == [0, 0, 1, 7, 7]
    # A sampler without epochs is iterated again as it is.
    plain = DataLoader(bank, batch_size=3, collate_fn=collate_bank)
    assert len(list(BatchCopyPaste.from_dataloader(targets(15), 9, bank_loader=plain))) == 5
    fixed = create_bank_dataloader(bank, batch_size=3, sampler=DistributedSampler(bank, 1, 0))
    assert len(list(BatchCopyPaste.from_dataloader(targets(15), 9, bank_loader=fixed))) == 5


def test_ranks_stay_in_the_same_round() -> None:
    bank = OwnBank(drawn_crops(47, crop_size=(5, 7)))
    rounds: list[list[int]] = []
    for rank in range(2):
        sampler = BankSampler(bank, num_replicas=2, rank=rank)
        crops = create_bank_dataloader(bank, batch_size=3, sampler=sampler)
        steps = BatchCopyPaste.from_dataloader([samples(3)] * 20, 9, bank_loader=crops)
        rounds.append([sampler.round for _ in steps])
    assert rounds[0] == rounds[1] == [0] * 7 + [1] * 7 + [2] * 6


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

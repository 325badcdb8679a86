"""The transform for single samples and the collator: the batch's paste, wherever samples are made."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from segpaste.augmentation import BatchCopyPaste, CopyPaste, CopyPasteCollator
from segpaste.invariants import assert_sample
from segpaste.strategies import batches
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    Modality,
)
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, SCHEMA, as_integers, samples

# Python 3.12 warns of forking a process that has threads; loaders do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SEEDS = st.integers(-(2**63), 2**63 - 1)


@given(batches(min_batch=2, max_batch=2), SEEDS, SEEDS, st.booleans())
def test_a_sample_gets_what_it_would_get_in_a_batch(
    drawn: BatchedDenseSample, seed: int, other: int, with_table: bool
) -> None:
    config = PANOPTIC if with_table and drawn.panoptic_maps is not None else LIVELY
    target, donor = drawn.to_samples()
    slots = len(target) + len(donor)
    batch = BatchedDenseSample.from_samples([target, donor]).to_padded(slots)
    pasted = BatchCopyPaste(config, seed=0)(batch, seeds=torch.tensor([seed, other]))
    expected = BatchedDenseSample.from_padded(pasted).to_samples()[0]
    before = {name: copy_of(value) for name, value in target.to_dict().items()}
    got = CopyPaste([donor], config).paste(target, seed)
    # A batch has a padding mask as soon as one of its samples has.
    assert_equal(got, expected, but="padding_mask" if got.padding_mask is None else "")
    assert_equal(target, before)
    if with_table:
        assert_sample(got, SCHEMA)


@given(batches(min_batch=1, max_batch=3), st.integers(0, 2**32))
def test_the_collator_is_the_batch_of_its_samples(drawn: BatchedDenseSample, base: int) -> None:
    listed = drawn.to_samples()
    seeds = torch.arange(base, base + len(listed))
    slots = sum(len(sample) for sample in listed)
    batch = BatchedDenseSample.from_samples(listed).to_padded(slots)
    expected = BatchedDenseSample.from_padded(BatchCopyPaste(LIVELY, seed=9)(batch, seeds=seeds))
    got = CopyPasteCollator(slots, LIVELY)(listed, seeds=seeds)
    assert isinstance(got, BatchedDenseSample)
    for one, other in zip(got.to_samples(), expected.to_samples(), strict=True):
        assert_equal(one, other)


def test_the_default_generator_decides_seed_and_donor() -> None:
    data = samples(6, modalities=EVERYTHING)
    transform = CopyPaste(data, PANOPTIC)
    torch.manual_seed(4)
    first = [transform(data[0]) for _ in range(8)]
    torch.manual_seed(4)
    for one, other in zip(first, [transform(data[0]) for _ in range(8)], strict=True):
        assert_equal(one, other)
    assert len({tuple(one.image.flatten().tolist()) for one in first}) > 4
    drawn = [transform.donor_index(seed) for seed in range(600)]
    counts = [drawn.count(n) for n in range(6)]
    assert min(counts) > 70  # 100 expected each, standard deviation 9
    torch.manual_seed(4)
    collator = CopyPasteCollator(30, PANOPTIC)
    batch = collator(data)
    assert_equal(batch.to_samples()[0], collator_again(data))


class Jittering:
    """Donors that are flipped at random when they are asked for."""

    def __init__(self, data: list[DenseSample]) -> None:
        self.data = data
        self.flip = v2.RandomHorizontalFlip()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> DenseSample:
        return self.flip(self.data[index])


def test_a_seed_decides_the_randomness_of_the_donors_too() -> None:
    data = samples(3)
    transform = CopyPaste(Jittering(data), LIVELY)
    unflipped: set[bool] = set()
    for seed in range(8):
        first = transform.paste(data[0], seed)
        for _ in range(4):
            assert_equal(transform.paste(data[0], seed), first)
        one_way = CopyPaste(data, LIVELY).paste(data[0], seed)
        unflipped.add(torch.equal(first.image, one_way.image))
    assert unflipped == {False, True}  # flipped at times, and at times not
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    transform.paste(data[0], 1)
    assert torch.equal(torch.rand(3), expected)


def test_the_generator_is_put_back_when_a_donor_fails() -> None:
    class Failing(Jittering):
        def __getitem__(self, index: int) -> DenseSample:
            raise KeyError(index)

    data = samples(1)
    before = torch.default_generator.get_state()
    with pytest.raises(KeyError):
        CopyPaste(Failing(data)).paste(data[0], 1)
    assert torch.equal(torch.default_generator.get_state(), before)


def test_the_donor_of_a_seed_stays() -> None:
    """Counter word 3, which no plan and no crop of a bank draws with under the same seed."""
    transform = CopyPaste(samples(1) * 1000, LIVELY)
    assert [transform.donor_index(seed) for seed in (0, 1, 2, -1, 2**62)] == [817, 913, 389, 625, 200]


def test_it_stands_in_a_compose_and_leaves_the_rest_alone() -> None:
    data = samples(3, modalities=EVERYTHING)
    compose = v2.Compose(
        [CopyPaste(data[1:], PANOPTIC), lambda *inputs: inputs[0] if len(inputs) == 1 else inputs]
    )
    torch.manual_seed(0)
    alone = compose(data[0])
    torch.manual_seed(0)
    other: dict[str, Any] = {"name": "a", "number": torch.ones(2)}
    with_others, kept = compose(data[0], other)
    assert_equal(with_others, alone)
    assert kept == {"name": "a", "number": other["number"]}
    torch.manual_seed(0)
    nested = CopyPaste(data[1:], PANOPTIC)({"sample": data[0], "file": "b.png"})
    assert_equal(nested["sample"], alone)
    assert nested["file"] == "b.png"


class Pasted(Dataset[DenseSample]):
    """A data set whose samples are pasted where they are made."""

    def __init__(self, transform: CopyPaste) -> None:
        self.transform = transform
        self.data = samples(4)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> DenseSample:
        torch.set_num_threads(1)
        return self.transform(self.data[index % 4])


def test_workers_draw_apart_and_the_same_again() -> None:
    transform = CopyPaste(samples(4), LIVELY)
    collate = CopyPasteCollator(40, LIVELY)

    def run() -> list[BatchedDenseSample]:
        torch.manual_seed(11)
        return list(DataLoader(Pasted(transform), batch_size=4, num_workers=2, collate_fn=collate))

    first, again = run(), run()
    for one, other in zip(unbatched(first), unbatched(again), strict=True):
        assert_equal(one, other)
    # The second worker had the same four samples and the same donors.
    assert not torch.equal(first[0].images, first[1].images)


def test_both_can_be_pickled() -> None:
    data = samples(3)
    transform = pickle.loads(pickle.dumps(CopyPaste(data, LIVELY)))
    assert_equal(transform.paste(data[0], 5), CopyPaste(data, LIVELY).paste(data[0], 5))
    seeds = torch.arange(3)
    collator = pickle.loads(pickle.dumps(CopyPasteCollator(30, LIVELY)))
    again = CopyPasteCollator(30, LIVELY)(data, seeds=seeds)
    assert_equal(collator(data, seeds=seeds).to_samples()[1], again.to_samples()[1])


def test_room_for_rows() -> None:
    target, donor = samples(2)
    many = BatchCopyPasteConfig(
        placement=BatchedPlacementConfig(k_range=(60, 60), scale_range=(1, 1)), min_residual_area_frac=0.0
    )
    free = CopyPaste([donor], many).paste(target, 1)
    assert len(free) > len(target)
    full = CopyPaste([donor], LIVELY, max_instances=len(target)).paste(target, 1)
    assert_equal(full, target)
    with pytest.raises(ValueError, match="got [1-4] rows, expected at most max_instances = 0"):
        CopyPaste([donor], LIVELY, max_instances=0).paste(target, 1)


def test_padded_to_a_patch() -> None:
    data = samples(2)
    config = BatchCopyPasteConfig(placement=BatchedPlacementConfig(pad_to_multiple=16))
    assert CopyPaste(data, config)(data[0]).canvas_size == (32, 32)


class Gone:
    """Has a length and an index and no samples."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return {"image": index}


def test_what_is_refused() -> None:
    data = samples(2)
    with pytest.raises(
        TypeError, match=r"donors: got generator, expected samples with len\(\) and \[index\]"
    ):
        CopyPaste((s for s in data), LIVELY)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="donors: got none, expected one sample or more"):
        CopyPaste([], LIVELY)
    with pytest.raises(TypeError, match="config: got dict, expected a BatchCopyPasteConfig"):
        CopyPaste(data, {})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="executor: got 'gpu', expected None or one of"):
        CopyPaste(data, executor="gpu")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="max_instances: got -1, expected 0 or more"):
        CopyPaste(data, max_instances=-1)
    with pytest.raises(TypeError, match="inputs: got Tensor, expected a DenseSample among them"):
        CopyPaste(data)(data[0].labels)
    with pytest.raises(TypeError, match=r"donors\[0\]: got dict, expected a DenseSample"):
        CopyPaste(Gone())(data[0])
    larger = samples(1, canvas=(20, 20))
    with pytest.raises(ValueError, match=r"donors\[0\]: got \(H, W\) \(20, 20\), .* FixedSizeCrop"):
        CopyPaste(larger)(data[0])
    semantic = samples(1, modalities={Modality.IMAGE, Modality.SEMANTIC})
    with pytest.raises(ValueError, match="source: got modalities semantic, expected the target's, instance"):
        CopyPaste(semantic)(data[0])
    with pytest.raises(ValueError, match="max_instances: got -1, expected 0 or more"):
        CopyPasteCollator(-1)
    with pytest.raises(ValueError, match="samples: got none, expected one or more"):
        CopyPasteCollator(9)([])
    with pytest.raises(TypeError, match=r"samples\[1\]: got int, expected a DenseSample"):
        CopyPasteCollator(9)([data[0], 1])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="samples: got DenseSample, expected a list of DenseSample"):
        CopyPasteCollator(9)(data[0])  # pyright: ignore[reportArgumentType]


def unbatched(listed: list[BatchedDenseSample]) -> Iterator[DenseSample]:
    for batch in listed:
        yield from batch.to_samples()


def collator_again(data: list[DenseSample]) -> DenseSample:
    torch.manual_seed(4)
    seeds = torch.empty(len(data), dtype=torch.int64).random_(-(2**63), None)
    return CopyPasteCollator(30, PANOPTIC)(data, seeds=seeds).to_samples()[0]


def copy_of(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def assert_equal(one: DenseSample, other: DenseSample | dict[str, Any], *, but: str = "") -> None:
    """The same fields with the same bits and types."""
    first, second = one.to_dict(), dict(other if isinstance(other, dict) else other.to_dict())
    second.pop(but, None)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if isinstance(value, torch.Tensor):
            assert type(value) is type(second[name])
            assert value.dtype == second[name].dtype
            assert torch.equal(as_integers(value), as_integers(second[name])), name
        else:
            assert value == second[name], name

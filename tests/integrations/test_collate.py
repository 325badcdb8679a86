"""Samples to padded batches, in worker processes too."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from segpaste.integrations.collate import make_segpaste_collate_fn
from segpaste.invariants import assert_sample
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import BatchedDenseSample, DenseSample, Modality

# Python 3.12 warns of forking a process that has threads; loaders do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CANVASES = ((12, 20), (17, 9), (12, 20))


def samples(*canvases: tuple[int, int]) -> list[DenseSample]:
    return [
        scenes_from_seed(n, 1, canvas=canvas, modalities=Modality, channels=(3,), metric=True,
                         image_dtypes=(torch.uint8,))[0].sample()
        for n, canvas in enumerate(canvases)
    ]  # fmt: skip


def test_one_size_is_stacked_in_workers() -> None:
    drawn = samples(*[(12, 20)] * 4)
    loader = DataLoader(drawn, batch_size=2, num_workers=1, collate_fn=make_segpaste_collate_fn(7))  # pyright: ignore[reportArgumentType]
    first, second = loader
    expected = BatchedDenseSample.from_samples(drawn[2:]).to_padded(7)
    assert first.max_instances == 7
    for name, value in expected.tensors().items():
        assert torch.equal(second.tensors()[name].nan_to_num(), value.nan_to_num()), name


def test_several_sizes_are_padded_when_asked_for() -> None:
    drawn = samples(*CANVASES)
    drawn[0] = DenseSample(**{**drawn[0].to_dict(), "padding_mask": columns_padded(drawn[0], 5)})
    collate = pickle.loads(pickle.dumps(make_segpaste_collate_fn(7, pad=True)))
    batch = collate(drawn)
    assert batch.canvas_size == (17, 20)
    batch.validate()
    for one, sample in zip(BatchedDenseSample.from_padded(batch).to_samples(), drawn, strict=True):
        assert one.padding_mask is not None
        valid = ~one.padding_mask[0]
        own = sample.padding_mask
        height, width = sample.canvas_size
        expected = torch.zeros((17, 20), dtype=torch.bool)
        expected[:height, :width] = True if own is None else ~own[0]
        assert torch.equal(valid.as_subclass(torch.Tensor), expected)
        assert one.semantic_map is not None
        assert sample.semantic_map is not None
        assert torch.equal(one.semantic_map[:height, :width], sample.semantic_map)
        assert bool((one.semantic_map[height:] == 255).all())
        assert bool((one.semantic_map[:, width:] == 255).all())
        assert torch.equal(one.labels, sample.labels)
    assert_sample(BatchedDenseSample.from_padded(batch).to_samples()[1], DEFAULT_SCHEMA)


def test_a_map_is_void_on_padding_as_told() -> None:
    drawn = samples(*CANVASES)
    batch = make_segpaste_collate_fn(7, pad=True, ignore_index=0)(drawn)
    assert batch.semantic_maps is not None
    assert bool((batch.semantic_maps[0, 12:] == 0).all())
    assert bool((batch.semantic_maps[1, :, 9:] == 0).all())


def columns_padded(sample: DenseSample, count: int) -> torch.Tensor:
    """A padding mask whose last columns are padding, also where the sample has labels."""
    mask = torch.zeros((1, *sample.canvas_size), dtype=torch.bool)
    mask[..., -count:] = True
    return mask


def test_what_is_refused() -> None:
    drawn = samples(*CANVASES)
    collate = make_segpaste_collate_fn(7)
    message = r"samples\[1\]: got \(H, W\) \(17, 9\), expected \(12, 20\) as samples\[0\]: .* FixedSizeCrop"
    with pytest.raises(ValueError, match=message):
        collate(drawn)
    with pytest.raises(ValueError, match="samples: got none, expected one or more"):
        collate([])
    with pytest.raises(TypeError, match=r"samples\[0\]: got Image, expected a DenseSample"):
        collate([drawn[0].image])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="max_instances: got -1, expected 0 or more"):
        make_segpaste_collate_fn(-1)
    with pytest.raises(TypeError, match="max_instances: got str, expected an int"):
        make_segpaste_collate_fn("7")  # pyright: ignore[reportArgumentType]
    crowded = max(drawn, key=len)
    with pytest.raises(
        ValueError, match=f"sample 0: got {len(crowded)} rows, expected at most max_instances = 0"
    ):
        make_segpaste_collate_fn(0)([crowded])

"""Crops of dense samples: with depth, normals and intrinsics, in the order of samples and rows."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import pytest
import torch

from segpaste.bank import BankCrop, build_bank, open_bank
from segpaste.integrations import DataError
from segpaste.integrations.sample_crops import SampleCrops
from segpaste.types import DenseSample, Modality, PanopticSchemaSpec
from tests.bank.drawn_bank import same_crop
from tests.types.builders import EVERYTHING, sample_fields


def sample(
    seed: int = 0, modalities: frozenset[Modality] = EVERYTHING, *, padded: bool = False, **options: Any
) -> DenseSample:
    return DenseSample(**sample_fields(modalities, seed=seed, padded=padded, **options))


def crops_of(source: SampleCrops) -> list[BankCrop]:
    return [crop for shard in source.shards() for crop in pickle.loads(pickle.dumps(shard)).crops()[0]]


def test_every_row_is_a_crop_with_all_that_its_sample_carries() -> None:
    samples = [sample(0), sample(1, rows=3)]
    source = SampleCrops(samples, crop_size=(5, 7), dataset="mine", model="labeller")
    crops = crops_of(source)
    assert [c.provenance.image_id for c in crops] == [0, 0, 1, 1, 1]
    assert [c.provenance.annotation_id for c in crops] == [1, 4, 1, 4, 7]
    assert [c.class_id for c in crops] == [1, 2, 1, 2, 3]
    assert {(c.provenance.dataset, c.provenance.model, c.metric_depth) for c in crops} == {
        ("mine", "labeller", True)
    }
    head = source.head()
    assert head.has_depth
    assert head.has_normals
    assert head.has_intrinsics
    assert head.metric_depth
    assert head.num_classes == 4
    # Row 2 of sample 1 is the pixels (2, 0..4): the middle of a 5 x 7 crop is its own, one to the right.
    last, of = crops[-1], samples[1]
    assert last.alpha[0].nonzero().tolist() == [[2, x] for x in range(1, 6)]

    def moved(tensor: torch.Tensor, first: torch.Tensor | None = None) -> torch.Tensor:
        plain = tensor.as_subclass(torch.Tensor)
        return torch.cat(
            [torch.zeros_like(plain[..., :1]) if first is None else first, plain[..., :-1]], dim=-1
        )

    assert of.depth is not None
    assert of.depth_valid is not None
    assert of.normals is not None
    assert of.camera_intrinsics is not None
    assert last.depth is not None
    assert last.depth_valid is not None
    assert last.normals is not None
    border = of.image.as_subclass(torch.Tensor)[..., :1]
    assert torch.equal(last.image, moved(of.image, border))
    assert torch.equal(last.depth_valid, moved(of.depth_valid))
    assert torch.equal(last.depth, torch.where(last.depth_valid, moved(of.depth), 0.0))
    assert torch.equal(last.normals, moved(of.normals))
    fx, fy, cx, cy = of.camera_intrinsics.as_tuple()
    assert last.camera_intrinsics is not None
    assert last.camera_intrinsics.as_tuple() == (fx, fy, cx + 1, cy)


def test_padding_stands_in_no_crop() -> None:
    padded = sample(padded=True)
    assert padded.padding_mask is not None
    there = ~padded.padding_mask.as_subclass(torch.Tensor)[0]
    assert not bool(there.all())
    filled = padded.to_dict()
    filled["image"] = torch.where(there, padded.image.as_subclass(torch.Tensor), 77)
    for crop in crops_of(SampleCrops([DenseSample(**filled)], crop_size=(15, 21))):
        shown = crop.image.any(dim=0)
        tall, wide = int(there.any(dim=1).sum()), int(there.any(dim=0).sum())
        assert int(shown.sum()) <= (tall + 2) * (wide + 2)  # the border once more
        assert 77 not in crop.image[:, tall + 7 :]


def test_samples_may_carry_different_things() -> None:
    bare = frozenset({Modality.IMAGE, Modality.INSTANCE})
    source = SampleCrops([sample(0, bare, metric=False), sample(1)], crop_size=(4, 4))
    crops = crops_of(source)
    assert [c.depth is None for c in crops] == [True, True, False, False]
    assert source.head().has_depth
    assert source.head().metric_depth
    none = SampleCrops([sample(0, bare, metric=False)], crop_size=(4, 4)).head()
    assert [none.has_depth, none.has_normals, none.metric_depth] == [False] * 3


def test_metric_and_relative_depth_do_not_mix() -> None:
    source = SampleCrops([sample(0), sample(1, metric=False)], crop_size=(4, 4))
    with pytest.raises(DataError, match=r"^samples\[1\]: metric_depth: got False, expected True"):
        source.head()


def test_stuff_gives_no_crop_with_a_class_table() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "stuff", 9: "thing"})
    source = SampleCrops([sample()], crop_size=(4, 4), schema=schema, class_names={1: "cup"})
    (shard,) = source.shards()
    crops, left_out = shard.crops()
    assert [c.class_id for c in crops] == [1]
    assert left_out == {"stuff segments": 1}
    assert (source.head().num_classes, dict(source.head().class_names)) == (10, {1: "cup"})


def test_what_cannot_be_cut_is_named() -> None:
    with pytest.raises(DataError, match=r"^samples\[0\]: image: got torch.float32 \[3, 5, 7\], expected"):
        SampleCrops([sample(dtype=torch.float32)]).most_crops()
    boxes = sample(0, frozenset({Modality.IMAGE}))
    assert len(boxes) > 0
    with pytest.raises(DataError, match=r"^samples\[1\]: instance_masks: got none for 2 rows"):
        SampleCrops([sample(), boxes]).head()


class Lazy(Sequence[DenseSample]):
    """Samples that are made when they are asked for; slices are not."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> DenseSample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DenseSample]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            raise TypeError("no slices")
        return sample(index)

    def __iter__(self) -> Iterator[DenseSample]:
        raise TypeError("not from the beginning")


def test_lazy_samples_give_the_same_bank(tmp_path: Path) -> None:
    options: dict[str, Any] = {"crop_size": (6, 6), "samples_per_shard": 2}
    lazy = SampleCrops(Lazy(5), **options)
    listed = SampleCrops([sample(n) for n in range(5)], **options)
    assert len(lazy.shards()) == len(listed.shards()) == 3
    assert lazy.built_from() == listed.built_from()
    assert json.loads(json.dumps(lazy.built_from())) == lazy.built_from()
    one, two = build_bank(lazy, tmp_path / "lazy"), build_bank(listed, tmp_path / "listed")
    assert one == two
    assert one.count == lazy.most_crops() == 10
    bank = open_bank(tmp_path / "lazy")
    assert all(same_crop(bank[n], crop) for n, crop in enumerate(crops_of(lazy)))


def test_what_is_built_from_says_what_decides_the_crops() -> None:
    def said(*samples: DenseSample, **options: Any) -> dict[str, Any]:
        return SampleCrops(samples, **options).built_from()

    first = said(sample())
    assert said(sample()) == first
    assert said(sample(), dataset="elsewhere") == first  # which is in the head
    for other in (
        said(sample(1)),
        said(sample(), sample()),
        said(sample(metric=False)),
        said(sample(), min_area=2),
        said(sample(), oversize="skip"),
        said(sample(), crop_size=(3, 3)),
    ):
        assert other != first


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop_size": (0, 4)}, "crop_size: got"),
        ({"min_area": -1}, "min_area: got -1"),
        ({"oversize": "cut"}, "oversize: got 'cut'"),
        ({"samples_per_shard": 0}, "samples_per_shard: got 0"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        SampleCrops([], **options)


def test_a_class_id_that_needs_gigabytes_is_refused() -> None:
    with pytest.raises(DataError, match=r"samples: got class id 16777216, expected less than 16777216"):
        SampleCrops([sample()], class_names={2**24: "far"}).head()
    assert SampleCrops([sample()], class_names={2**24 - 1: "far"}).head().num_classes == 2**24


@pytest.mark.parametrize("argument", ["dataset", "model"])
def test_names_are_strings(argument: str) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: got 5, expected a string"):
        SampleCrops([sample()], **{argument: 5})  # pyright: ignore[reportArgumentType]

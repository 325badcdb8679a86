"""Pasting from a bank: what is drawn, the view that is made of it, what is refused."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from torchvision.transforms.functional import to_tensor

from segpaste.augmentation import BankSource, BatchCopyPaste, BatchedPlacementSampler, SourceStrategy
from segpaste.bank.batch import BankBatch
from segpaste.paste import ReplayRecord, philox_words
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.augmentation.bank_batches import crop, noise, staged
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, batch, same, same_plan
from tests.paste.samples import grid, view

STILL = BatchedPlacementConfig(scale_range=(1.0, 1.0), hflip_probability=0.0)
PLAIN = BatchCopyPasteConfig(placement=STILL, z_test=False)
SEMANTIC = frozenset({Modality.IMAGE, Modality.SEMANTIC})
DEPTH = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.DEPTH})
NORMALS = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.NORMALS})

CORNER = crop("11 1.", 1202)
"""Three pixels of a class beyond a byte."""


def black(height: int, width: int, **maps: Any) -> PaddedBatchedDenseSample:
    """A target of three channels, by default with room for four rows."""
    rows = maps.pop("rows", {})
    image = torch.zeros((3, height, width), dtype=torch.uint8)
    return view(height=height, width=width, rows=rows, image=image, **maps)


def sampled(
    target: PaddedBatchedDenseSample,
    bank_batch: BankBatch | torch.Tensor,
    config: BatchCopyPasteConfig = PLAIN,
    seeds: torch.Tensor | None = None,
    **options: Any,
) -> tuple[PaddedBatchedDenseSample, PastePlan]:
    source = BankSource(**options)
    source.set_bank_batch(bank_batch)
    seeds = torch.arange(target.batch_size) if seeds is None else seeds
    return source.sample(target, seeds, BatchedPlacementSampler(config))


def test_one_crop_at_the_origin_by_hand() -> None:
    made, plan = sampled(black(4, 5), staged([[CORNER]]))
    assert made.images.tolist() == [[[[c, c, c, 0, 0]] * 3 + [[0] * 5] for c in (200, 100, 50)]]
    assert torch.equal(made.tensors()["instance_masks"][0, 0], grid("11... 1.... ..... .....") > 0)
    assert made.boxes.tolist() == [[[0, 0, 2, 2]]]
    assert (made.labels.tolist(), made.instance_valid.tolist()) == ([[1202]], [[True]])
    assert made.instance_ids is not None
    assert made.instance_ids.tolist() == [[0]]
    assert plan.source_idx.tolist() == [0]
    assert (plan.step.tolist(), plan.order.tolist()) == ([65536], [[0]])


def test_a_whole_paste_by_hand() -> None:
    source = BankSource()
    source.set_bank_batch(staged([[CORNER]]))
    augment = BatchCopyPaste(PLAIN, source_strategy=source)
    pasted, audit = augment.forward_with_audit(black(4, 5), seeds=torch.tensor([3]))
    assert audit.plan is not None
    assert audit.plan.translate.tolist() == [[1, 0]]
    shown = grid("..... 11... 1.... .....") > 0
    assert torch.equal(pasted.tensors()["images"][0, 0], shown * torch.tensor(200, dtype=torch.uint8))
    assert torch.equal(pasted.tensors()["instance_masks"][0, 0], shown)
    assert pasted.labels.tolist() == [[1202, 0, 0, 0]]
    assert pasted.boxes[0, 0].tolist() == [0, 1, 2, 3]
    assert torch.equal(audit.paste_union[0], shown)


def test_two_crops_by_hand_with_everything_a_target_can_have() -> None:
    schema = PanopticSchemaSpec(classes={0: "stuff", 3: "thing", 1202: "thing"}, ignore_index=255)
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema), placement=STILL)
    depth = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 6.0], [7.0, float("nan")]]]])
    cameras = torch.tensor([[2.0, 3.0, 0.5, 1.0], [2.0, 3.0, 1.5, 0.25]], dtype=torch.float64)
    bank_batch = staged(
        [[CORNER, crop("1. 11", 3, (9, 8, 7))]],
        depth=depth[None],
        depth_valid=depth[None].isfinite(),
        carries_depth=torch.ones((1, 2), dtype=torch.bool),
        normals=torch.tensor([0.0, 0.6, -0.8])[:, None, None].expand(1, 2, 3, 2, 2),
        carries_normals=torch.ones((1, 2), dtype=torch.bool),
        camera_intrinsics=cameras[None],
        metric_depth=True,
    )
    far = torch.full((1, 1, 3, 7), 50.0)
    target = black(
        *(3, 7),
        semantic_maps="....... ....... .......",
        panoptic_maps="....... ....... .......",
        depth=far,
        depth_valid=far > 0,
        normals=torch.zeros((1, 3, 3, 7)),
        camera_intrinsics=torch.tensor([[9.0, 9.0, 1.0, 1.0]], dtype=torch.float64),
        metric_depth=True,
    )
    labels, colours = (1202, 3), (200, 9)
    seen_first = set()
    for seed in range(8):
        made, _ = sampled(target, bank_batch, config, torch.tensor([seed]), crops_per_target=2)
        fields = made.tensors()
        first, second = (0, 1) if made.labels[0, 0] == labels[0] else (1, 0)
        seen_first.add(first)
        a, b = colours[first], colours[second]
        assert fields["images"][0, 0].tolist() == [[a, a, a, b, b, b, b]] * 3
        assert made.labels.tolist() == [[labels[first], labels[second]]]
        assert fields["instance_ids"].tolist() == [[1, 2]]
        masks = (("11", "1."), ("1.", "11"))
        rows = [f"{masks[first][y]}..{masks[second][y]}." for y in (0, 1)]
        seen = grid(f"{rows[0]} {rows[1]} .......") > 0
        assert torch.equal(fields["instance_masks"].any(dim=1)[0], seen)
        ids = torch.where(torch.arange(7) < 3, 1, 2) * seen
        assert torch.equal(fields["panoptic_maps"][0], ids)
        classes = torch.tensor([255, labels[first], labels[second]])
        assert torch.equal(fields["semantic_maps"][0], classes[ids])
        assert made.boxes.tolist() == [[[0, 0, 2, 2], [4, 0, 6, 2]]]
        assert torch.equal(fields["depth_valid"][0, 0, :2, :2], depth[first, 0].isfinite())
        assert torch.equal(fields["depth"][0, 0, :2, 4:6].nan_to_num(), depth[second, 0].nan_to_num())
        assert fields["depth_valid"].sum() == 7
        assert (fields["normals"] != 0).any(dim=1).sum() == 8
        assert fields["camera_intrinsics"].tolist() == [cameras[first].tolist()]
        made.validate()
    assert seen_first == {0, 1}


def test_a_class_mix_by_hand() -> None:
    """No rows, no plan to move them: the crop stands at a place of its own, whole or in part."""
    target = view(height=3, width=4, slots=2, image=torch.zeros((3, 3, 4), dtype=torch.uint8),
                  semantic_maps="1111 1111 1111")  # fmt: skip
    places = set()
    for seed in range(200):
        made, plan = sampled(target, staged([[crop("... .1. ...", 9)]]), seeds=torch.tensor([seed]))
        assert not made.instance_valid.any()
        assert (plan.step.tolist(), plan.translate.tolist()) == ([65536], [[0, 0]])
        where = (made.tensors()["semantic_maps"][0] == 9).nonzero()
        assert len(where) == 1
        y, x = where[0].tolist()
        places.add((y, x))
        # The surroundings, and their edge once more, come along as far as there is room.
        shown = torch.zeros((3 + 4, 4 + 4), dtype=torch.uint8)
        shown[y : y + 5, x : x + 5] = 200
        visible = shown[2:5, 2:6]
        # What was beyond the canvas before the crop was moved is not there.
        image = made.tensors()["images"][0, 0]
        assert torch.equal(image & visible, image)
        assert image[y, x] == 200
    assert places == {(y, x) for y in range(3) for x in range(4)}


def test_a_class_mix_keeps_to_the_valid_rectangle_and_to_patches() -> None:
    padding = torch.ones((1, 1, 12, 16), dtype=torch.bool)
    padding[:, :, :9, :10] = False
    target = view(
        height=12,
        width=16,
        slots=2,
        image=torch.zeros((3, 12, 16), dtype=torch.uint8),
        semantic_maps=" ".join(["1" * 16] * 12),
        padding_mask=padding,
    )
    placement = BatchedPlacementConfig(pad_to_multiple=4, patch_aligned=True)
    corners = set()
    for seed in range(60):
        made, _ = sampled(
            target,
            staged([[crop("... .11 .11", 9)]]),
            BatchCopyPasteConfig(placement=placement),
            torch.tensor([seed]),
        )
        where = (made.tensors()["semantic_maps"][0] == 9).nonzero()
        assert len(where) == 4
        corners.add(tuple(where[0].tolist()))
    assert corners == {(y, x) for y in (0, 4) for x in (0, 4, 8)}


def test_drawing_is_uniform_over_what_is_usable() -> None:
    """Three of five crops are usable; two are drawn, in either order. Chi-square, fixed seeds."""
    count = 6000
    labels = torch.tensor([10, 11, 12, 13, 14], dtype=torch.int32)
    crops = torch.ones((count, 5, 5, 1, 1), dtype=torch.int32)
    crops[:, :, 4, 0, 0] = labels
    crops[:, 1, 3] = crops[:, 4, 3] = 0
    target = view(height=1, width=4, rows={}, image=torch.zeros((3, 1, 4), dtype=torch.uint8))
    target = target.gather(torch.zeros(count, dtype=torch.int64))
    made, plan = sampled(target, crops, LIVELY, torch.arange(count) * 7919, crops_per_target=2)
    assert made.instance_valid.all()
    pairs = {(a, b): 0 for a in (10, 12, 13) for b in (10, 12, 13) if a != b}
    for a, b in made.labels.tolist():
        pairs[a, b] += 1
    expected = count / 6
    assert sum((n - expected) ** 2 / expected for n in pairs.values()) < 20.5  # 5 degrees, p = 0.001
    # What is drawn says nothing of the flip.
    flipped = [sum((made.labels[:, 0] == c).logical_and(plan.hflip).tolist()) for c in (10, 12, 13)]
    expected = sum(flipped) / 3
    assert sum((n - expected) ** 2 / expected for n in flipped) < 13.8  # 2 degrees


def test_a_crop_is_drawn_by_the_words_of_its_own_use() -> None:
    seeds = torch.tensor([0, 5, -(2**63), 2**62])
    bank_batch = noise(4, 6, labels=(1, 2, 4, 7, 9, 1202))
    made, _ = sampled(batch(4), bank_batch, seeds=seeds)
    words = philox_words(seeds[:, None].expand(-1, 6), torch.arange(6), 2)[..., 0]
    chosen = words.argmin(dim=1)
    assert torch.equal(
        made.tensors()["images"][:, :, :6, :7],
        bank_batch.crops[torch.arange(4), chosen, :3].to(torch.uint8),
    )


def test_what_is_not_usable_is_never_drawn() -> None:
    """Of each row one crop can be used: by its mask, its class, its depth, its normals, its camera."""
    many = 40
    target = batch(1, modalities=EVERYTHING).gather(torch.zeros(many, dtype=torch.int64))
    metric = replace(
        target,
        metric_depth=True,
        camera_intrinsics=torch.ones((many, 4), dtype=torch.float64),
    )
    full = noise(many, 7, normals=True, metric=True)
    crops = full.crops.clone()
    crops[:, 0, 3] = 0
    crops[:, 1, 4] = 0  # stuff
    crops[:, 2, 4] = 1202  # unknown
    without = {name: getattr(full, name).clone() for name in ("carries_depth", "carries_normals")}
    without["carries_depth"][:, 3] = False
    without["carries_normals"][:, 4] = False
    cameras = torch.ones((many, 7, 4), dtype=torch.float64)
    cameras[:, 5, 0] = 0
    bank_batch = replace(full, crops=crops, camera_intrinsics=cameras, **without)
    seeds = torch.arange(many)
    made, _ = sampled(metric, bank_batch, PANOPTIC, seeds)
    assert torch.equal(made.tensors()["images"][:, :, :6, :7], crops[:, 6, :3].to(torch.uint8))
    two, _ = sampled(metric, bank_batch, PANOPTIC, seeds, crops_per_target=2)
    assert two.instance_valid.tolist() == [[True, False]] * many
    assert two.labels[:, 1].tolist() == [0] * many
    nothing = replace(bank_batch, crops=torch.cat((crops[:, :6], crops[:, 1:2]), dim=1))
    source = BankSource()
    source.set_bank_batch(nothing)
    augment = BatchCopyPaste(PANOPTIC, source_strategy=source)
    assert same(augment(metric, seeds=seeds), metric)


def test_a_class_that_is_ignored_beside_a_semantic_map_is_not_drawn() -> None:
    instance = frozenset({Modality.IMAGE, Modality.INSTANCE})
    for modalities, expected in ((instance | SEMANTIC, {7}), (instance, {7, 255})):
        labels: set[int] = set()
        for seed in range(20):
            bank_batch = staged([[crop("1", 255), crop("1", 7)]])
            made, _ = sampled(batch(1, modalities=modalities), bank_batch, seeds=torch.tensor([seed]))
            labels |= set(made.labels.flatten().tolist())
        assert labels == expected


@pytest.mark.parametrize("which", [0, 1])
def test_crops_beside_each_other_come_from_one_camera(which: int) -> None:
    """Crops 10 and 11 have other focal lengths than 20 and 21, along one axis only."""
    target = batch(1, modalities=DEPTH)
    target = replace(
        target, metric_depth=True, camera_intrinsics=torch.tensor([[4.0, 4.0, 1.0, 1.0]], dtype=torch.float64)
    ).gather(torch.zeros(60, dtype=torch.int64))
    bank_batch = noise(60, 4, (4, 5), labels=(1,), metric=True)
    crops = bank_batch.crops.clone()
    crops[:, :, 4] = torch.tensor([10, 11, 20, 21], dtype=torch.int32)[:, None, None]
    cameras = torch.tensor([[5.0, 5.0, 2.0, 2.0]] * 4, dtype=torch.float64)
    cameras[2:, which] = 6
    bank_batch = replace(bank_batch, crops=crops, camera_intrinsics=cameras.repeat(60, 1, 1))
    made, _ = sampled(target, bank_batch, crops_per_target=3)
    assert made.instance_valid.sum(dim=1).tolist() == [2] * 60
    drawn = {tuple(row) for row in made.labels.tolist()}
    assert drawn == {(10, 11, 0), (11, 10, 0), (20, 21, 0), (21, 20, 0)}
    assert made.camera_intrinsics is not None
    assert torch.equal(made.camera_intrinsics[:, which], (made.labels[:, 0] < 20) * -1.0 + 6.0)
    assert made.camera_intrinsics[:, 1 - which].tolist() == [5.0] * 60


@pytest.mark.parametrize(("size", "place"), [((4, 5), (0.0, 7.0)), ((4, 20), (6.0, 0.0))])
def test_the_camera_moves_with_its_crop(size: tuple[int, int], place: tuple[float, float]) -> None:
    """One of two crops has depth; where it stands second, its principal point is there, too."""
    own = torch.tensor([[4.0, 4.0, 1.0, 1.0]], dtype=torch.float64)
    target = replace(batch(1, modalities=DEPTH), metric_depth=True, camera_intrinsics=own)
    full = noise(1, 2, size, metric=True)
    crops = full.crops.clone()
    crops[:, :, 4] = torch.tensor([10, 11], dtype=torch.int32)[:, None, None]
    bank_batch = replace(full, crops=crops, carries_depth=torch.tensor([[True, False]]))
    seen: set[bool] = set()
    for seed in range(8):
        made, _ = sampled(
            target, bank_batch, seeds=torch.tensor([seed]), missing_geometry="invalid", crops_per_target=2
        )
        second = made.labels.tolist() == [[11, 10]]
        seen.add(second)
        y, x = place if second else (0.0, 0.0)
        assert made.camera_intrinsics is not None
        assert made.camera_intrinsics.tolist() == [[5.0, 6.0, 3.5 + x, 3.0 + y]]
    assert seen == {False, True}


def test_a_crop_with_an_infinite_focal_length_is_not_drawn() -> None:
    """On a GPU nobody looks at the values before."""
    own = torch.tensor([[4.0, 4.0, 1.0, 1.0]], dtype=torch.float64)
    target = replace(batch(1, modalities=DEPTH), metric_depth=True, camera_intrinsics=own)
    full = noise(1, 4, metric=True)
    assert full.camera_intrinsics is not None
    cameras = full.camera_intrinsics.clone()
    cameras[0, 0, 0] = cameras[0, 1, 1] = float("inf")
    cameras[0, 2, 1] = float("nan")
    source = BankSource()
    source.set_bank_batch(replace(full, camera_intrinsics=cameras), validate=False)
    for seed in range(12):
        made, _ = source.sample(target, torch.tensor([seed]), BatchedPlacementSampler(PLAIN))
        assert torch.equal(made.tensors()["images"][0, :, :6, :7], full.crops[0, 3, :3].to(torch.uint8))


@pytest.mark.parametrize("metric", [False, True])
def test_geometry_that_is_missing_is_invalid_where_asked_for(metric: bool) -> None:
    cameras = torch.tensor([[4.0, 4.0, 1.0, 1.0]], dtype=torch.float64).repeat(3, 1)
    target = replace(batch(3, modalities=EVERYTHING), metric_depth=metric, camera_intrinsics=cameras)
    source = BankSource(missing_geometry="invalid")
    source.set_bank_batch(noise(3, 2))
    augment = BatchCopyPaste(PANOPTIC, source_strategy=source)
    made, _ = source.sample(target, torch.arange(3), augment.sampler)
    for name in ("depth", "depth_valid", "normals"):
        assert not made.tensors()[name].any()
    pasted, audit = augment.forward_with_audit(target, seeds=torch.arange(3))
    fields = pasted.tensors()
    assert audit.paste_union.any()
    assert not fields["depth_valid"][:, 0][audit.paste_union].any()
    assert not fields["normals"].movedim(1, -1)[audit.paste_union].any()
    assert (made.camera_intrinsics is not None) == metric
    assert made.camera_intrinsics is None or torch.equal(made.camera_intrinsics, cameras)


def test_a_mixed_bank_beside_missing_geometry_uses_what_there_is() -> None:
    target = replace(
        batch(1, modalities=DEPTH),
        metric_depth=True,
        camera_intrinsics=torch.tensor([[4.0, 4.0, 1.0, 1.0]], dtype=torch.float64),
    )
    full = noise(1, 2, metric=True)
    bank_batch = replace(full, carries_depth=torch.tensor([[True, False]]))
    for seed in range(6):
        made, _ = sampled(
            target, bank_batch, seeds=torch.tensor([seed]), missing_geometry="invalid", crops_per_target=1
        )
        first = torch.equal(made.tensors()["images"][0, :, :6, :7], full.crops[0, 0, :3].to(torch.uint8))
        assert bool(made.tensors()["depth_valid"].any()) == first
        assert made.camera_intrinsics is not None
        assert made.camera_intrinsics.tolist() == [[5.0, 6.0, 3.5, 3.0] if first else [4.0, 4.0, 1.0, 1.0]]


def test_no_pixel_beside_a_crop_is_seen_at_its_edge() -> None:
    """A mask up to the edge of its crop is interpolated with what the crop shows there."""
    crops = staged([[crop("1111 1111 1111", 1, (200, 200, 200)), crop("1111 1111 1111", 2, (90, 90, 90))]])
    for seed in range(30):
        source = BankSource(crops_per_target=2)
        source.set_bank_batch(crops)
        augment = BatchCopyPaste(LIVELY, source_strategy=source)
        pasted, audit = augment.forward_with_audit(black(11, 13), seeds=torch.tensor([seed]))
        colours = set(pasted.tensors()["images"][0, 0][audit.paste_union[0]].tolist())
        assert colours
        assert colours <= {200, 90}


def test_bytes_become_floats_by_a_table() -> None:
    every = torch.arange(256, dtype=torch.int32).reshape(1, 1, 1, 16, 16).expand(1, 1, 5, 16, 16).clone()
    every[:, :, 3] = 1
    every[:, :, 4] = 1
    target = batch(1, canvas=(16, 17), dtype=torch.float32)
    made, _ = sampled(target, every)
    expected = to_tensor(every[0, 0, :3].to(torch.uint8).movedim(0, 2).numpy())
    assert torch.equal(made.tensors()["images"][0, :, :, :16], expected)
    mean, std = torch.tensor([[0.5], [0.25], [0.0]]), torch.tensor([[0.5], [0.25], [2.0]])
    table = (torch.arange(256) / 255 - mean) / std
    made, _ = sampled(target, every, float_values=table)
    assert torch.equal(made.tensors()["images"][0, :, :, :16].flatten(1), table)
    grey, _ = sampled(target, every, float_values=table[0])
    assert torch.equal(grey.tensors()["images"][0, :, :, :16].flatten(1), table[:1].expand(3, -1))


@pytest.mark.parametrize("crops_per_target", [1, 2])
@pytest.mark.parametrize("modalities", [EVERYTHING, SEMANTIC])
def test_on_a_padded_canvas_every_executor_gives_the_same_bits(
    modalities: frozenset[Modality], crops_per_target: int
) -> None:
    placement = BatchedPlacementConfig(pad_to_multiple=8, patch_aligned=True)
    config = (PANOPTIC if Modality.PANOPTIC in modalities else LIVELY).model_copy(
        update={"placement": placement}
    )
    padded = replace(batch(4, modalities=modalities), padding_mask=None)
    source = BankSource(crops_per_target=crops_per_target, missing_geometry="invalid")
    source.set_bank_batch(noise(4, 3, (11, 24) if crops_per_target == 2 else (24, 24)))
    results = [
        BatchCopyPaste(config, source_strategy=source, executor=executor).forward_with_audit(
            padded, seeds=torch.arange(4)
        )
        for executor in ("reference", "rectangle", "graph")
    ]
    expected, told = results[0]
    assert expected.canvas_size == (24, 24)
    assert told.paste_union.flatten(1).any(dim=1).sum() >= 2
    for pasted, audit in results[1:]:
        assert same(pasted, expected)
        assert torch.equal(audit.paste_union, told.paste_union)


def test_a_batch_of_one_is_pasted_and_one_of_none_stays() -> None:
    source = BankSource()
    source.set_bank_batch(noise(3, 2))
    augment = BatchCopyPaste(LIVELY, source_strategy=source)
    seeds = torch.arange(3)
    whole, audit = augment.forward_with_audit(batch(3), seeds=seeds)
    assert audit.paste_union.flatten(1).any(dim=1).all()
    # More rows may be staged than there are targets.
    assert same(augment(batch(3).select(0), seeds=seeds[:1]), whole.select(0))
    assert augment(batch(3).gather(slice(0, 0)), seeds=seeds[:0]).batch_size == 0


@pytest.mark.parametrize("detection", [False, True])
def test_without_masks_and_maps_nothing_is_pasted(detection: bool) -> None:
    padded = batch(3, modalities=frozenset({Modality.IMAGE}))
    if detection:
        rows = batch(3)
        padded = replace(padded, boxes=rows.boxes, labels=rows.labels, instance_valid=rows.instance_valid)
    source = BankSource()
    source.set_bank_batch(noise(3, 2))
    assert same(BatchCopyPaste(LIVELY, source_strategy=source)(padded), padded)


def test_a_record_brings_its_sample_back() -> None:
    source = BankSource(crops_per_target=2)
    source.set_bank_batch(noise(5, 4, depth=True, normals=True))
    padded = replace(batch(5, modalities=EVERYTHING), metric_depth=False)
    augment = BatchCopyPaste(PANOPTIC, source_strategy=source, seed=4)
    seeds = augment.next_seeds(5)
    pasted, audit = augment.forward_with_audit(padded, seeds=seeds)
    assert audit.paste_union.flatten(1).any(dim=1).sum() >= 3
    for index in range(5):
        record = ReplayRecord.model_validate_json(augment.record(seeds, index).model_dump_json())
        alone, said = augment.replay(record, padded)
        assert same(alone, pasted.select(index))
        assert torch.equal(said.paste_union[0], audit.paste_union[index])


def test_it_is_a_strategy_that_saves_nothing_and_moves_with_its_module() -> None:
    source = BankSource()
    assert isinstance(source, SourceStrategy)
    assert source.bank_batch is None
    assert "staged=nothing" in repr(source)
    bank_batch = noise(2, 3, depth=True)
    source.set_bank_batch(bank_batch)
    augment = BatchCopyPaste(LIVELY, source_strategy=source, seed=1)
    assert set(augment.state_dict()) == {"key", "counter"}
    assert "staged=[2, 3, 5, 6, 7]" in repr(source)
    expected = augment(batch(2), seeds=torch.arange(2))
    for other in (copy.deepcopy(augment), pickle.loads(pickle.dumps(augment)), augment.half()):
        assert same(other(batch(2), seeds=torch.arange(2)), expected)
    assert augment.to("meta").source_strategy is source
    assert source.bank_batch is not None
    assert source.bank_batch.crops.device.type == "meta"
    assert source.bank_batch.depth is not None
    assert source.bank_batch.depth.dtype == torch.float32


def test_defaults_of_torch_take_no_part() -> None:
    target = batch(3, modalities=EVERYTHING, dtype=torch.float32)
    expected, plan = sampled(target, noise(3, 3), PANOPTIC, missing_geometry="invalid", crops_per_target=2)
    bank_batch, seeds = noise(3, 3), torch.arange(3)
    sampler = BatchedPlacementSampler(PANOPTIC)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode():
            source = BankSource(missing_geometry="invalid", crops_per_target=2)
            source.set_bank_batch(bank_batch)
            made, drawn = source.sample(target, seeds, sampler)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(made, expected)
    assert same_plan(drawn, plan)


@pytest.mark.parametrize("modalities", [EVERYTHING, SEMANTIC])
def test_no_step_waits_for_a_value(modalities: frozenset[Modality]) -> None:
    """On the meta device there are none, and what asks for one raises."""
    cameras = torch.ones((3, 4), dtype=torch.float64)
    metric = Modality.DEPTH in modalities
    target = replace(
        batch(3, modalities=modalities, dtype=torch.float32), metric_depth=metric, camera_intrinsics=cameras
    )
    config = PANOPTIC if Modality.PANOPTIC in modalities else LIVELY
    bank_batch = noise(3, 3, normals=True, metric=metric)
    source, sampler = BankSource(crops_per_target=2), BatchedPlacementSampler(config)
    source.set_bank_batch(bank_batch)
    expected, _ = source.sample(target, torch.arange(3), sampler)
    made, plan = source.to("meta").sample(
        target.to("meta"), torch.arange(3, device="meta"), sampler.to("meta")
    )
    fields, wanted = made.tensors(), expected.tensors()
    assert fields.keys() == wanted.keys()
    assert all(fields[n].shape == wanted[n].shape and fields[n].dtype == wanted[n].dtype for n in wanted)
    assert {f.device.type for f in (*fields.values(), plan.order, plan.source_idx)} == {"meta"}


GOOD = noise(3, 2)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, "bank_batch: got NoneType, expected a BankBatch"),
        (GOOD.crops[0], ValueError, r"crops: got shape \[2, 5, 6, 7\], expected \[B, K, 5, h, w\]"),
        (GOOD.crops[:, :, :4], ValueError, r"crops: got shape .* expected \[B, K, 5, h, w\]"),
        (GOOD.crops.long(), TypeError, "crops: got dtype torch.int64, expected torch.int32"),
        (GOOD.crops[:, :1], ValueError, r"bank_batch\.crops: got K = 1 crops for each target, expected at"),
        (GOOD.crops[..., :0], ValueError, r"bank_batch\.crops: got crops of 6 x 0, expected 1 x 1 or more"),
        (GOOD.crops + 255, ValueError, r"crops: crop \(0, 0\): got a colour beyond 0\.\.255"),
    ],
)
def test_what_cannot_be_staged_is_refused(given: Any, error: type[Exception], message: str) -> None:
    source = BankSource(crops_per_target=2)
    source.set_bank_batch(GOOD)
    with pytest.raises(error, match=message):
        source.set_bank_batch(given)
    assert source.bank_batch is GOOD


def test_values_are_looked_at_on_the_cpu_unless_told_otherwise() -> None:
    bad = GOOD.crops.clone()
    bad[1, 1, 3, 2, 2] = 2
    source = BankSource()
    with pytest.raises(ValueError, match=r"crops: crop \(1, 1\): got an alpha other than 0 and 1"):
        source.set_bank_batch(bad)
    source.set_bank_batch(bad, validate=False)
    source.set_bank_batch(bad.to("meta"))
    depth = torch.rand((3, 2, 1, 6, 7), requires_grad=True)
    carries = torch.ones((3, 2), dtype=torch.bool)
    graded = BankBatch(GOOD.crops, depth=depth, depth_valid=depth > 0, carries_depth=carries)
    with pytest.raises(ValueError, match=r"bank_batch\.depth: got a tensor that requires grad"):
        source.set_bank_batch(graded)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"crops_per_target": 0}, ValueError, "crops_per_target: got 0, expected 1 or more"),
        ({"crops_per_target": 1.0}, TypeError, "crops_per_target: got float, expected an int"),
        ({"missing_geometry": "zero"}, ValueError, "missing_geometry: got 'zero', expected 'error' or"),
        ({"float_values": [0.0]}, TypeError, "float_values: got list, expected a torch.Tensor or None"),
        ({"float_values": torch.zeros(256).double()}, TypeError, "float_values: got dtype torch.float64"),
        ({"float_values": torch.zeros(3)}, ValueError, r"float_values: got shape \[3\], expected \[256\]"),
        ({"float_values": torch.full((256,), float("nan"))}, ValueError, "float_values: got non-finite"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        BankSource(**options)


def _metric(padded: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    cameras = torch.ones((padded.batch_size, 4), dtype=torch.float64)
    return replace(padded, metric_depth=True, camera_intrinsics=cameras)


@pytest.mark.parametrize(
    ("target", "bank_batch", "options", "message"),
    [
        (batch(4), noise(3, 2), {}, "bank_batch: got crops for 3 targets, expected for at least B = 4"),
        (
            batch(2),
            BankBatch(GOOD.crops.to("meta")),
            {},
            r"bank_batch: got device meta, expected the target's, cpu: set_bank_batch\(bank_batch.to",
        ),
        (
            batch(2),
            noise(2, 2, (18, 7)),
            {},
            r"bank_batch\.crops: got crops of 18 x 7, 1 for each target of 17 x 23, expected as many as",
        ),
        (
            batch(2),
            noise(2, 2, (8, 24 // 2)),
            {"crops_per_target": 2},
            r"bank_batch\.crops: got crops of 8 x 12, 2 for each target of 17 x 23, expected as many as",
        ),
        (
            replace(batch(2), images=torch.zeros((2, 1, 17, 23), dtype=torch.uint8)),  # pyright: ignore[reportArgumentType]
            noise(2, 2),
            {},
            r"target\.images: got 1 channels, expected 3",
        ),
        (
            replace(batch(2, modalities=DEPTH), metric_depth=False),
            noise(2, 2),
            {},
            r"bank_batch\.depth: got none .* expected a bank with depth, or BankSource\(missing_",
        ),
        (
            batch(2, modalities=NORMALS),
            noise(2, 2, depth=True),
            {},
            r"bank_batch\.normals: got none .* expected a bank with normals, or BankSource\(missing_geo",
        ),
        (
            replace(batch(2, modalities=DEPTH), metric_depth=False),
            noise(2, 2, metric=True),
            {},
            r"bank_batch\.metric_depth: got True, expected the target's, False: metric and relative",
        ),
        (
            _metric(batch(2, modalities=DEPTH)),
            noise(2, 2, depth=True),
            {},
            r"bank_batch\.metric_depth: got False, expected the target's, True: metric and relative",
        ),
    ],
)
def test_what_is_staged_must_fit_the_target(
    target: PaddedBatchedDenseSample, bank_batch: BankBatch, options: dict[str, Any], message: str
) -> None:
    source = BankSource(**options)
    source.set_bank_batch(bank_batch)
    augment = BatchCopyPaste(LIVELY, source_strategy=source, seed=1)
    with pytest.raises(ValueError, match=message):
        augment(target)
    assert int(augment.counter) == 0


def test_nothing_staged_and_a_depth_test_without_depth_are_refused() -> None:
    source = BankSource(missing_geometry="invalid")
    augment = BatchCopyPaste(source_strategy=source)
    with pytest.raises(RuntimeError, match=r"bank_batch: got none, expected set_bank_batch\(bank_batch\)"):
        augment(batch(2))
    source.set_bank_batch(noise(2, 2))
    augment(batch(2))
    with pytest.raises(
        ValueError, match=r"z_test: got True .* expected BatchCopyPasteConfig\(z_test=False\)"
    ):
        augment(batch(2, modalities=DEPTH))

"""Kornia's augmentations as adapters hand them over: every field follows, nothing is hidden."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from segpaste.testing.adapters import Adapted, KorniaAugmentation, UnreadableResultError
from segpaste.types import CameraIntrinsics, DenseSample, Modality
from segpaste.types.dense_sample import xyxy

K: Any = pytest.importorskip("kornia.augmentation", reason="needs the extra `adapters`")
EVERYTHING = frozenset(Modality)


def made(**fields: Any) -> DenseSample:
    return DenseSample.from_dict(fields)


def sample() -> DenseSample:
    """Two objects on 3 x 4 pixels: 7 at (0, 0) to (1, 1), 9 at (3, 2); column 2 is ignore."""
    masks = torch.zeros((2, 3, 4), dtype=torch.bool)
    masks[0, :2, :2] = True
    masks[1, 2, 3] = True
    semantic = torch.zeros((3, 4), dtype=torch.int64)
    semantic[:2, :2], semantic[2, 3], semantic[:, 2] = 5, 6, 255
    normals = torch.zeros((3, 3, 4))
    normals[0], normals[2] = 0.6, -0.8
    return made(
        image=tv_tensors.Image(torch.arange(36.0).reshape(3, 3, 4) / 64),
        boxes=xyxy(torch.tensor([[0.0, 0, 2, 2], [3, 2, 4, 3]]), (3, 4)),
        labels=torch.tensor([5, 6]),
        instance_ids=torch.tensor([7, 9], dtype=torch.int32),
        instance_masks=masks,
        semantic_map=semantic,
        panoptic_map=7 * masks[0].long() + 9 * masks[1].long(),
        depth=torch.arange(12.0).reshape(1, 3, 4) + 1,
        depth_valid=torch.arange(12).reshape(1, 3, 4) % 5 > 0,
        normals=normals,
        camera_intrinsics=CameraIntrinsics(2.0, 2.0, 1.0, 1.0),
        metric_depth=True,
    )


def semantic_sample(labels: list[list[int]], level: float) -> DenseSample:
    semantic = torch.tensor(labels)
    image = level + torch.arange(3.0 * semantic.numel()).reshape(3, *semantic.shape) / 256
    return made(image=tv_tensors.Image(image), semantic_map=semantic)


def run(augmentation: Any, given: DenseSample | None = None, seed: int = 0, **options: Any) -> Adapted:
    given = sample() if given is None else given
    return KorniaAugmentation(augmentation, **options)(given, given, seed)


def same(got: torch.Tensor | None, want: torch.Tensor | None) -> bool:
    assert got is not None
    assert want is not None
    return torch.equal(got.as_subclass(torch.Tensor), want.as_subclass(torch.Tensor))


@pytest.mark.parametrize(
    "options", [{"boxes": "inclusive"}, {"box_key": "bbox", "boxes": "inclusive"}, {"box_key": "bbox_xywh"}]
)
def test_a_flip_flips_every_field(options: dict[str, Any]) -> None:
    given = sample()
    result = run(K.RandomHorizontalFlip(p=1.0), given, modalities=EVERYTHING, **options)
    assert result.complaints == ()
    for field in (
        "image",
        "instance_masks",
        "semantic_map",
        "panoptic_map",
        "depth",
        "depth_valid",
        "normals",
    ):
        assert same(getattr(result.sample, field), getattr(given, field).flip(-1)), field
    assert result.sample.boxes.tolist() == [[2.0, 0.0, 4.0, 2.0], [0.0, 2.0, 1.0, 3.0]]
    assert same(result.sample.labels, given.labels)
    assert same(result.sample.instance_ids, given.instance_ids)
    result.sample.validate()


@pytest.mark.parametrize("key", ["bbox_xyxy", "bbox"])
def test_half_open_boxes_are_shifted_by_kornia_and_nothing_hides_it(key: Any) -> None:
    result = run(K.RandomHorizontalFlip(p=1.0), box_key=key)
    assert result.sample.boxes.tolist() == [[1.0, 0.0, 3.0, 2.0], [-1.0, 2.0, 0.0, 3.0]]


@pytest.mark.parametrize("key", ["bbox_xyxy", "bbox_xywh", "bbox"])
@pytest.mark.parametrize("boxes", ["half open", "inclusive"])
def test_boxes_that_nothing_moves_come_back_as_they_were(key: Any, boxes: Any) -> None:
    result = run(K.RandomGaussianNoise(p=1.0), box_key=key, boxes=boxes)
    assert same(result.sample.boxes, sample().boxes)


@pytest.mark.parametrize(
    "augmentation",
    [
        lambda: K.AugmentationSequential(K.RandomHorizontalFlip(p=1.0), data_keys=["input", "mask"]),
        lambda: K.AugmentationSequential(K.RandomHorizontalFlip(p=1.0), data_keys=None),
        lambda: K.ImageSequential(K.RandomHorizontalFlip(p=1.0)),
    ],
)
def test_containers_are_taken(augmentation: Callable[[], Any]) -> None:
    given, container = sample(), augmentation()
    keys = getattr(container, "data_keys", None)
    result = run(container, given)
    assert same(
        result.sample.semantic_map, given.semantic_map.flip(-1) if given.semantic_map is not None else None
    )
    assert getattr(container, "data_keys", None) == keys


def test_a_sample_without_rows_comes_back_without_rows() -> None:
    given = sample()
    empty = made(
        image=given.image,
        boxes=xyxy(torch.zeros((0, 4)), (3, 4)),
        labels=torch.zeros(0, dtype=torch.int64),
        instance_ids=torch.zeros(0, dtype=torch.int32),
        instance_masks=torch.zeros((0, 3, 4), dtype=torch.bool),
    )
    resized = run(K.Resize((6, 5)), empty).sample
    assert resized.instance_masks is not None
    assert resized.instance_masks.shape == (0, 6, 5)
    assert resized.boxes.canvas_size == (6, 5)


def test_a_map_that_stays_behind_is_a_complaint() -> None:
    class OnlyTheImage(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image[..., :2]

    with pytest.raises(
        UnreadableResultError, match=r"instance_masks: \[3, 4\] pixels, the image has \[3, 2\]"
    ) as caught:
        run(K.AugmentationSequential(OnlyTheImage(), data_keys=None), kind="geometric")
    assert caught.value.complaint.law == "target.rows_aligned"


def test_a_changed_dtype_is_a_complaint() -> None:
    class Double(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.double()

    (complaint,) = run(K.ImageSequential(Double()), kind="photometric").complaints
    assert (complaint.law, complaint.message) == (
        "target.dtype_kept",
        "image: torch.float64, expected torch.float32",
    )


def test_seeds_reproduce_and_the_generator_is_put_back() -> None:
    augmentation = K.AugmentationSequential(K.RandomCrop((2, 2)), K.ColorJiggle(0.5), data_keys=None)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    results = [run(augmentation, seed=seed).sample for seed in (5, 5, 6, 7, 8)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(results[0].image, results[1].image)
    assert not all(same(results[0].image, other.image) for other in results[2:])


def test_a_transplantation_pastes_one_class_of_the_donor_into_the_target() -> None:
    target = semantic_sample([[1, 1, 2], [1, 2, 2]], 0.0)
    donor = semantic_sample([[255, 3, 3], [3, 255, 255]], 0.5)
    adapter = KorniaAugmentation(K.RandomTransplantation(p=1.0, excluded_labels=[255]))
    assert (adapter.kind, adapter.accepts.modalities) == ("paste", {Modality.IMAGE, Modality.SEMANTIC})
    after = adapter(target, donor, 0)
    assert after.complaints == ()
    assert after.sample.semantic_map is not None
    assert donor.semantic_map is not None
    assert after.sample.semantic_map.tolist() == [[1, 3, 3], [3, 2, 2]]
    pasted = donor.semantic_map == 3
    assert same(after.sample.image, torch.where(pasted, donor.image, target.image))


def test_a_donor_of_another_size_is_cut_or_padded() -> None:
    target = semantic_sample([[1, 1, 2], [1, 2, 2]], 0.0)
    donor = semantic_sample([[3, 3], [3, 3], [4, 4]], 0.5)
    adapter = KorniaAugmentation(K.RandomTransplantation(p=1.0, excluded_labels=[255]))
    after = adapter(target, donor, 0).sample
    assert after.semantic_map is not None
    assert after.semantic_map.tolist() == [[3, 3, 2], [3, 3, 2]]


def test_a_transplantation_needs_a_semantic_map() -> None:
    bare = made(image=sample().image)
    with pytest.raises(ValueError, match="semantic_map: got None"):
        run(K.RandomTransplantation(p=1.0), bare)


def test_what_is_not_carried_does_not_come_back() -> None:
    result = run(K.RandomHorizontalFlip(p=1.0), modalities={Modality.SEMANTIC}).sample
    assert result.active_modalities() == {Modality.IMAGE, Modality.SEMANTIC}
    assert result.labels.tolist() == [5, 6]


def test_a_sample_is_prepared_to_what_the_dict_holds() -> None:
    prepared = KorniaAugmentation(K.Resize(4)).prepare(sample())
    assert prepared.active_modalities() == {Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC}
    assert (prepared.metric_depth, prepared.camera_intrinsics) == (False, None)
    bright = made(image=tv_tensors.Image(torch.tensor([-1.0, 0.5, 2.0]).reshape(3, 1, 1)))
    assert KorniaAugmentation(K.Resize(4)).prepare(bright).image.flatten().tolist() == [0.0, 0.5, 1.0]
    whole = made(image=torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1))
    expected = torch.tensor([0.0, 51.0, 255.0]) / 255
    assert same(KorniaAugmentation(K.Resize(4)).prepare(whole).image.flatten(), expected)


@pytest.mark.parametrize(
    ("augmentation", "kind", "name"),
    [
        (lambda: K.RandomHorizontalFlip(), "geometric", "RandomHorizontalFlip"),
        (lambda: K.ColorJitter(), "photometric", "ColorJitter"),
        (
            lambda: K.ImageSequential(K.ColorJitter(), K.Resize(4)),
            "geometric",
            "ImageSequential(ColorJitter, Resize)",
        ),
        (
            lambda: K.AugmentationSequential(K.ColorJitter()),
            "photometric",
            "AugmentationSequential(ColorJitter)",
        ),
    ],
)
def test_the_kind_is_what_the_module_says(augmentation: Callable[[], Any], kind: str, name: str) -> None:
    adapter = KorniaAugmentation(augmentation())
    assert (adapter.kind, adapter.name) == (kind, name)


def test_a_crop_is_given_images_that_are_large_enough() -> None:
    assert KorniaAugmentation(K.RandomCrop((30, 5))).accepts.min_side == 30
    assert KorniaAugmentation(K.RandomCrop((30, 5), pad_if_needed=True)).accepts.min_side == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: KorniaAugmentation(K.RandomMosaic()),
            ValueError,
            "kind: got None for RandomMosaic, expected 'geometric'",
        ),
        (lambda: KorniaAugmentation(K.Resize(3), kind="paste"), ValueError, "kind: got 'paste'"),
        (lambda: KorniaAugmentation(3), TypeError, "augmentation: got int"),  # pyright: ignore
        (lambda: KorniaAugmentation(K.Resize(3), box_key="xyxy"), ValueError, "box_key: got 'xyxy'"),  # pyright: ignore
        (lambda: KorniaAugmentation(K.Resize(3), boxes="closed"), ValueError, "boxes: got 'closed'"),  # pyright: ignore
    ],
)
def test_what_makes_no_sense_is_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_without_kornia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(ImportError, match=r"kornia: cannot be imported.*pip install -e '\.\[adapters\]'"):
        KorniaAugmentation(torch.nn.Identity())

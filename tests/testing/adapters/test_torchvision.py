"""torchvision's transforms as adapters hand them over: every field follows, nothing is hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2 as plain_v2

from segpaste.testing.adapters import Adapted, TorchvisionTransform, UnreadableResultError
from segpaste.testing.adapters.torchvision import labels_and_ids
from segpaste.types import CameraIntrinsics, DenseSample, Modality, SemanticMap
from segpaste.types.dense_sample import xyxy

v2: Any = plain_v2
EVERYTHING = frozenset(Modality)


def made(**fields: Any) -> DenseSample:
    return DenseSample.from_dict(fields)


def sample(dtype: torch.dtype = torch.uint8) -> DenseSample:
    """Two objects on 3 x 4 pixels: 7 at (0, 0) to (1, 1), 9 at (3, 2); column 2 is ignore."""
    masks = torch.zeros((2, 3, 4), dtype=torch.bool)
    masks[0, :2, :2] = True
    masks[1, 2, 3] = True
    semantic = torch.zeros((3, 4), dtype=torch.int64)
    semantic[:2, :2], semantic[2, 3], semantic[:, 2] = 5, 6, 255
    normals = torch.zeros((3, 3, 4))
    normals[0], normals[2] = 0.6, -0.8
    return made(
        image=tv_tensors.Image(torch.arange(36, dtype=torch.uint8).reshape(3, 3, 4).to(dtype)),
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


def run(transform: Any, given: DenseSample | None = None, seed: int = 0, **options: Any) -> Adapted:
    given = sample() if given is None else given
    return TorchvisionTransform(transform, **options)(given, given, seed)


def same(got: torch.Tensor | None, want: torch.Tensor | None) -> bool:
    assert got is not None
    assert want is not None
    return torch.equal(got.as_subclass(torch.Tensor), want.as_subclass(torch.Tensor))


def test_a_flip_flips_every_field() -> None:
    given = sample()
    result = run(v2.RandomHorizontalFlip(p=1.0), given, modalities=EVERYTHING)
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


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
def test_masks_are_handed_over_as_is_said(dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []

    def look(inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(inputs["masks"].dtype)
        assert type(inputs["masks"]) is tv_tensors.Mask
        return inputs

    given = sample()
    result = run(look, given, kind="geometric", mask_dtype=dtype)
    assert seen == [dtype]
    assert same(result.sample.instance_masks, given.instance_masks)


def test_what_a_transform_writes_to_is_the_sample_itself() -> None:
    def write(inputs: dict[str, Any]) -> dict[str, Any]:
        inputs["masks"][0, 2, 0] = 1
        return inputs

    given = sample()
    run(write, given, kind="geometric")
    assert given.instance_masks is not None
    assert bool(given.instance_masks[0, 2, 0])


def test_rows_that_are_dropped_take_labels_and_ids_along() -> None:
    transform = v2.Compose([v2.CenterCrop(2), v2.SanitizeBoundingBoxes(labels_getter=labels_and_ids)])
    left = run(transform, modalities={Modality.INSTANCE}).sample
    assert (left.labels.tolist(), len(left)) == ([5], 1)
    assert left.instance_ids is not None
    assert left.instance_ids.tolist() == [7]
    assert left.instance_masks is not None
    assert left.instance_masks.shape == (1, 2, 2)


def test_maps_that_are_taken_for_rows_are_a_complaint() -> None:
    # One box, which the crop misses, and a depth map [1, H, W]: its only channel is dropped.
    given = sample()
    assert given.instance_masks is not None
    assert given.instance_ids is not None
    fields = {name: getattr(given, name) for name in ("image", "depth", "depth_valid")}
    one = made(
        boxes=xyxy(given.boxes[1:], (3, 4)),
        labels=given.labels[1:],
        instance_ids=given.instance_ids[1:],
        instance_masks=given.instance_masks[1:],
        **fields,
    )
    transform = v2.Compose([v2.CenterCrop(2), v2.SanitizeBoundingBoxes(labels_getter=labels_and_ids)])
    with pytest.raises(
        UnreadableResultError, match=r"depth: shape \[0, 2, 2\], expected one such as \[1, 'H', 'W'\]"
    ):
        run(transform, one)


def test_rows_that_are_dropped_from_boxes_and_masks_alone_are_a_complaint() -> None:
    transform = v2.Compose([v2.CenterCrop(2), v2.SanitizeBoundingBoxes(labels_getter=None)])
    with pytest.raises(UnreadableResultError, match="1 in boxes, 2 in labels, 2 in instance_ids") as caught:
        run(transform, modalities={Modality.INSTANCE})
    assert caught.value.complaint.law == "target.rows_aligned"


def test_a_map_that_stays_behind_is_a_complaint() -> None:
    def crop(inputs: dict[str, Any]) -> dict[str, Any]:
        return {**inputs, **{key: v2.CenterCrop(2)(inputs[key]) for key in ("image", "boxes", "masks")}}

    with pytest.raises(UnreadableResultError, match=r"semantic_map: \[3, 4\] pixels, the image has \[2, 2\]"):
        run(crop, kind="geometric")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {**d, "image": d["image"].long()}, "image: torch.int64, expected torch.uint8"),
        (lambda d: {**d, "image": v2.ToDtype(torch.float32)(d["image"])}, "image: torch.float32, expected"),
        (lambda d: {**d, "labels": d["labels"].int()}, "labels: torch.int32, expected torch.int64"),
        (lambda d: {**d, "masks": d["masks"].float()}, "instance_masks: torch.float32, expected torch.uint8"),
    ],
)
def test_a_changed_dtype_is_a_complaint(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    (complaint,) = run(change, kind="photometric").complaints
    assert complaint.law == "target.dtype_kept"
    assert complaint.message.startswith(message)


@pytest.mark.parametrize("result", [None, [1, 2]])
def test_what_is_no_dict_is_a_complaint(result: object) -> None:
    with pytest.raises(UnreadableResultError, match="expected a dict"):
        run(lambda inputs: result, kind="photometric")


def test_a_field_that_is_gone_is_a_complaint() -> None:
    with pytest.raises(UnreadableResultError, match="boxes: NoneType came back"):
        run(lambda inputs: {k: v for k, v in inputs.items() if k != "boxes"}, kind="geometric")


def test_boxes_come_back_in_whatever_format_they_say_they_have() -> None:
    given = sample()
    result = run(v2.ConvertBoundingBoxFormat("CXCYWH"), given)
    assert same(result.sample.boxes, given.boxes)


def test_seeds_reproduce_and_the_generator_is_put_back() -> None:
    transform = v2.Compose([v2.RandomCrop(2), v2.ColorJitter(0.5)])
    torch.manual_seed(3)
    before = torch.get_rng_state()
    results = [run(transform, seed=seed).sample for seed in (5, 5, 6, 7, 8)]
    assert torch.equal(torch.get_rng_state(), before)
    assert same(results[0].image, results[1].image)
    assert not all(same(results[0].image, other.image) for other in results[2:])


def test_maps_have_a_fill_of_their_own_by_a_type_of_their_own() -> None:
    fill = {tv_tensors.Image: 0, SemanticMap: 255}
    filled = run(v2.Pad(1, fill=fill), types={"semantic": SemanticMap}).sample
    assert filled.semantic_map is not None
    assert filled.semantic_map[0].unique().tolist() == [255]
    assert filled.instance_masks is not None
    assert not filled.instance_masks[:, 0].any()


def test_a_sample_is_prepared_to_what_the_dict_holds() -> None:
    flip = v2.RandomHorizontalFlip(p=1.0)
    plain = TorchvisionTransform(flip, modalities={Modality.DEPTH}).prepare(sample())
    assert plain.active_modalities() == {Modality.IMAGE, Modality.DEPTH}
    assert (plain.metric_depth, plain.camera_intrinsics) == (False, None)
    whole = TorchvisionTransform(flip, modalities=EVERYTHING, camera=True)
    assert whole.prepare(sample()).to_dict().keys() == sample().to_dict().keys()
    kept = whole(sample(), sample(), 0)
    assert (kept.sample.metric_depth, kept.sample.camera_intrinsics) == (
        True,
        CameraIntrinsics(2.0, 2.0, 1.0, 1.0),
    )


def test_float_images_are_prepared_to_lie_between_0_and_1() -> None:
    given = sample(torch.float32)
    prepared = TorchvisionTransform(v2.ColorJitter()).prepare(given).image
    assert same(prepared, given.image.clamp(0, 1))
    assert same(TorchvisionTransform(v2.ColorJitter()).prepare(sample()).image, sample().image)


@pytest.mark.parametrize(
    ("transform", "kind", "name"),
    [
        (v2.RandomHorizontalFlip(), "geometric", "RandomHorizontalFlip"),
        (v2.ColorJitter(), "photometric", "ColorJitter"),
        (v2.SanitizeBoundingBoxes(), "geometric", "SanitizeBoundingBoxes"),
        (v2.Compose([v2.ColorJitter(), v2.Resize(4)]), "geometric", "Compose(ColorJitter, Resize)"),
        (v2.RandomApply([v2.Grayscale(3)]), "photometric", "RandomApply(Grayscale)"),
        (torch.nn.Sequential(v2.GaussianBlur(3)), "photometric", "Sequential(GaussianBlur)"),
    ],
)
def test_the_kind_is_what_the_module_says(transform: Any, kind: str, name: str) -> None:
    adapter = TorchvisionTransform(transform)
    assert (adapter.kind, adapter.name) == (kind, name)


def test_a_crop_is_given_images_that_are_large_enough() -> None:
    assert TorchvisionTransform(v2.RandomCrop((30, 5))).accepts.min_side == 30
    assert TorchvisionTransform(v2.Compose([v2.RandomCrop(5), v2.RandomCrop(4)])).accepts.min_side == 5
    assert TorchvisionTransform(v2.RandomCrop(30, pad_if_needed=True)).accepts.min_side == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: TorchvisionTransform(v2.Lambda(abs)),
            ValueError,
            "kind: got None for Lambda, expected 'geometric'",
        ),
        (lambda: TorchvisionTransform(v2.Compose([v2.Lambda(abs)])), ValueError, "kind: got None for Lambda"),
        (lambda: TorchvisionTransform(v2.ColorJitter(), kind="paste"), ValueError, "kind: got 'paste'"),  # pyright: ignore
        (lambda: TorchvisionTransform(3), TypeError, "transform: got int"),  # pyright: ignore
        (
            lambda: TorchvisionTransform(v2.Resize(3), mask_dtype=torch.int64),
            ValueError,
            "mask_dtype: got torch.int64",
        ),
        (
            lambda: TorchvisionTransform(v2.Resize(3), types={"image": SemanticMap}),
            ValueError,
            "types: got key 'image'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_transforms_of_the_first_version_are_refused() -> None:
    from torchvision.transforms import RandomHorizontalFlip

    with pytest.raises(ValueError, match="expected one of transforms.v2"):
        TorchvisionTransform(RandomHorizontalFlip(), kind="geometric")

"""torchvision's detection lists and back, and one of its models trained on them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from segpaste.integrations.detection import from_detection_format, to_detection_format
from segpaste.strategies import batches
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.types import BatchedDenseSample, DenseSample, Modality

INSTANCE = frozenset({Modality.INSTANCE})
SHIFTED = {n: n + 1 for n in range(5)}  # class 0 is nobody's background here


@given(batches(INSTANCE))
def test_the_round_trip_is_exact(drawn: BatchedDenseSample) -> None:
    listed = [s for s in drawn.to_samples() if s.padding_mask is None or not s.padding_mask.all()]
    images, targets = to_detection_format(listed, class_to_index=SHIFTED)
    back = from_detection_format(images, targets, class_to_index=SHIFTED, image_dtype=drawn.images.dtype)
    for one, sample, target in zip(back, listed, targets, strict=True):
        height, width = one.canvas_size
        assert torch.equal(plain(one.image), plain(sample.image)[:, :height, :width])
        assert torch.equal(plain(one.instance_masks), plain(sample.instance_masks)[:, :height, :width])
        assert torch.equal(one.labels, sample.labels)
        assert torch.equal(plain(one.boxes), plain(sample.boxes))
        if sample.padding_mask is None:
            assert (height, width) == sample.canvas_size
        else:
            assert height * width == int((~plain(sample.padding_mask)).sum())
        assert torch.equal(target["area"], plain(sample.instance_masks).sum(dim=(1, 2)).float())
        assert target["masks"].dtype is torch.uint8
        assert target["iscrowd"].tolist() == [0] * len(sample)


def test_by_hand() -> None:
    padding = torch.tensor([[[False, False, True]]])
    sample = DenseSample.from_dict(
        {
            "image": torch.tensor([[[0, 51, 255]]], dtype=torch.uint8),
            "boxes": torch.tensor([[1.0, 0, 2, 1]]),
            "labels": torch.tensor([7]),
            "instance_ids": torch.tensor([5], dtype=torch.int32),
            "instance_masks": torch.tensor([[[False, True, False]]]),
            "padding_mask": padding,
        }
    )
    batch = BatchedDenseSample.from_samples([sample])
    for given_batch in (batch, batch.to_padded(4), [sample]):
        (image,), (target,) = to_detection_format(given_batch, image_ids=[139])
        assert image.tolist() == [[[0.0, pytest.approx(0.2)]]]
        assert {
            name: value if isinstance(value, int) else value.tolist() for name, value in target.items()
        } == {
            "boxes": [[1, 0, 2, 1]],
            "labels": [7],
            "area": [1],
            "iscrowd": [0],
            "masks": [[[0, 1]]],
            "image_id": 139,
        }


def test_boxes_alone_crowds_and_rows_without_a_pixel() -> None:
    image = torch.zeros((3, 4, 4))
    boxes = torch.tensor([[0.0, 0, 2, 3], [1, 1, 3, 3]])
    (alone,) = from_detection_format([image], [{"boxes": boxes, "labels": torch.tensor([1, 2])}])
    assert alone.instance_masks is None
    (again,) = to_detection_format([alone])[1]
    assert again["area"].tolist() == [6.0, 4.0]
    assert "masks" not in again
    masks = torch.zeros((3, 4, 4), dtype=torch.uint8)
    masks[0, 1, 2] = masks[1, 0, 0] = 1
    target = {"masks": masks, "labels": torch.tensor([1, 2, 3]), "iscrowd": torch.tensor([0, 1, 0])}
    (kept,) = from_detection_format([image], [target])
    assert kept.labels.tolist() == [1]
    assert kept.boxes.tolist() == [[2, 1, 3, 2]]


def test_mask_rcnn_takes_a_step_on_it() -> None:
    torch.manual_seed(0)
    scenes = scenes_from_seed(5, 2, modalities=INSTANCE, min_instances=2, canvas=(48, 64), channels=(3,))
    images, targets = to_detection_format([scene.sample() for scene in scenes], class_to_index=SHIFTED)
    backbone: Any = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    backbone.out_channels = 8
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=4, sampling_ratio=1)
    model = tiny_mask_rcnn(backbone, pool)
    losses = model(images, targets)
    total = torch.stack(list(losses.values())).sum()
    assert bool(torch.isfinite(total))
    total.backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in backbone.parameters())


def tiny_mask_rcnn(backbone: Any, pool: MultiScaleRoIAlign) -> MaskRCNN:
    return MaskRCNN(
        backbone,
        num_classes=6,
        min_size=48,
        max_size=64,
        rpn_anchor_generator=AnchorGenerator(sizes=((8, 16),), aspect_ratios=((1.0,),)),
        box_roi_pool=pool,
        mask_roi_pool=pool,
        rpn_pre_nms_top_n_train=50,
        rpn_post_nms_top_n_train=50,
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"labels": torch.tensor([1])}, r"sample 0: target: got the keys \['labels'\], expected labels, and"),
        (
            {"labels": torch.tensor([1]), "masks": torch.zeros((1, 2, 3))},
            r"sample 0: masks: got shape \[1, 2, 3\], expected \[1, 4, 4\]",
        ),
        (
            {"labels": torch.tensor([1]), "masks": torch.full((1, 4, 4), 0.5)},
            "sample 0: masks: got other values than 0 and 1",
        ),
    ],
)
def test_what_is_refused_of_targets(target: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_detection_format([torch.zeros((3, 4, 4))], [target])


MASKS = torch.zeros((2, 4, 4), dtype=torch.uint8).index_fill_(1, torch.tensor([1]), 1)
TWO = {"labels": torch.tensor([1, 2]), "masks": MASKS}
BOXES = torch.tensor([[0.0, 0, 2, 3], [1, 1, 3, 3]])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"iscrowd": torch.tensor([1])}, r"iscrowd: got shape \[1\], expected \[2\]"),
        ({"iscrowd": torch.tensor([0.0, 0.5])}, "iscrowd: got dtype torch.float32"),
        ({"iscrowd": None}, "iscrowd: got NoneType, expected a torch.Tensor"),
        ({"labels": torch.tensor([1.0, 2.9])}, "labels: got dtype torch.float32"),
        ({"labels": torch.tensor([True, True])}, "labels: got dtype torch.bool"),
        ({"labels": [1, 2]}, "labels: got list, expected a torch.Tensor"),
        ({"labels": torch.tensor([1])}, r"masks: got shape \[2, 4, 4\], expected \[1, 4, 4\]"),
        ({"labels": torch.tensor([[1, 2]])}, r"labels: got shape \[1, 2\], expected \[N\]"),
        ({"masks": MASKS.numpy()}, "masks: got ndarray, expected a torch.Tensor"),
    ],
)
def test_a_field_of_another_type_or_shape_is_refused(changed: dict[str, Any], message: str) -> None:
    image = torch.zeros((3, 4, 4))
    with pytest.raises((TypeError, ValueError), match=f"^sample 1: {message}"):
        from_detection_format([image, image], [TWO, TWO | changed])


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (BOXES[:1], r"boxes: got shape \[1, 4\], expected \[2, 4\]"),
        (BOXES.numpy(), "boxes: got ndarray, expected a torch.Tensor"),
        (BOXES * torch.tensor([1.0, 1, 1, 0]), r"boxes: got \[0.0, 0.0, 2.0, 0.0\], expected x0 < x1"),
        (BOXES * float("nan"), r"boxes: got \[nan, nan, nan, nan\], expected x0 < x1"),
    ],
)
def test_bad_boxes_without_masks_are_refused(boxes: Any, message: str) -> None:
    target = {"labels": torch.tensor([1, 2]), "boxes": boxes}
    with pytest.raises((TypeError, ValueError), match=f"^sample 0: {message}"):
        from_detection_format([torch.zeros((3, 4, 4))], [target])


def test_a_nan_becomes_no_byte() -> None:
    image = torch.zeros((3, 4, 4))
    image[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="sample 0: image: got values from nan to nan"):
        from_detection_format([image], [TWO], image_dtype=torch.uint8)


def test_an_empty_target_of_torchs_default_dtype_is_taken() -> None:
    target = {"labels": torch.tensor([]), "boxes": torch.zeros((0, 4))}
    assert len(from_detection_format([torch.zeros((3, 4, 4))], [target])[0]) == 0


def test_what_else_is_refused() -> None:
    image = torch.zeros((3, 4, 4))
    target = {"labels": torch.tensor([1]), "boxes": torch.tensor([[0.0, 0, 1, 1]])}
    with pytest.raises(ValueError, match="targets: got 1, expected one for each of 2 images"):
        from_detection_format([image, image], [target])
    with pytest.raises(TypeError, match="images, targets: got Tensor and dict, expected two lists"):
        from_detection_format(image, target)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="batch: got Tensor, expected a batch or a list of DenseSample"):
        to_detection_format(image)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="sample 0: target: got list, expected a dict"):
        from_detection_format([image], [[1]])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="sample 0: image: got dtype torch.float64, expected"):
        from_detection_format([image.double()], [target])
    with pytest.raises(ValueError, match="sample 0: image: got values from 0 to 2, expected 0 to 1"):
        from_detection_format(
            [image.index_fill(0, torch.tensor([0]), 2.0)], [target], image_dtype=torch.uint8
        )
    with pytest.raises(ValueError, match=r"sample 0: labels: got \[1\], which class_to_index lacks"):
        from_detection_format([image], [target], class_to_index={1: 7})
    with pytest.raises(ValueError, match="class_to_index: got the index 7 for two classes, 1 and 2"):
        from_detection_format([image], [target], class_to_index={1: 7, 2: 7})
    (sample,) = from_detection_format([image], [{**target, "labels": torch.tensor([0])}])
    with pytest.raises(ValueError, match="sample 0: labels: got 0, expected 1 or more: 0 is the background"):
        to_detection_format([sample])
    with pytest.raises(ValueError, match=r"class_to_index: got no index for the classes \[0\]"):
        to_detection_format([sample], class_to_index={1: 1})
    with pytest.raises(ValueError, match="image_ids: got 2, expected one for each of 1 samples"):
        to_detection_format([sample], image_ids=[1, 2])
    with pytest.raises(TypeError, match="sample 0: got dict, expected a DenseSample"):
        to_detection_format([{}])  # pyright: ignore[reportArgumentType]
    nothing = DenseSample.from_dict(
        {"image": torch.zeros((3, 2, 2)), "padding_mask": torch.ones((1, 2, 2), dtype=torch.bool)}
    )
    with pytest.raises(ValueError, match="sample 0: padding_mask: got padding alone"):
        to_detection_format([nothing])


def plain(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None
    return value.as_subclass(torch.Tensor)

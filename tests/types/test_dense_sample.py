"""DenseSample: what it accepts, what it refuses and with which words, and what it keeps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from segpaste.types import (
    CameraIntrinsics,
    DenseSample,
    InstanceMask,
    Modality,
    PaddingMask,
    PanopticMap,
    SemanticMap,
)
from segpaste.types.dense_sample import xyxy
from tests.types.builders import ALL_SETS, CANVAS, SET_NAMES, assert_same, dense_sample, sample_fields

HEIGHT, WIDTH = CANVAS


def _set(values: dict[str, Any], name: str, index: Any, value: Any) -> None:
    values[name] = values[name].clone()
    values[name][index] = value


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])
def test_every_legal_modality_set_is_accepted_and_named(
    modalities: frozenset[Modality], dtype: torch.dtype
) -> None:
    sample = dense_sample(modalities, dtype=dtype)
    assert sample.active_modalities() == modalities
    assert len(sample) == 2
    assert sample.canvas_size == CANVAS


def test_plain_tensors_get_their_tv_tensor_type() -> None:
    sample = dense_sample()
    assert type(sample.image) is tv_tensors.Image
    assert type(sample.boxes) is tv_tensors.BoundingBoxes
    assert tuple(sample.boxes.canvas_size) == CANVAS
    assert type(sample.instance_masks) is InstanceMask
    assert type(sample.semantic_map) is SemanticMap
    assert type(sample.panoptic_map) is PanopticMap
    assert type(sample.padding_mask) is PaddingMask


def test_an_image_alone_has_empty_rows() -> None:
    sample = DenseSample(image=tv_tensors.Image(torch.zeros((1, 2, 3), dtype=torch.uint8)))
    assert sample.boxes.shape == (0, 4)
    assert sample.boxes.dtype == torch.float32
    assert tuple(sample.boxes.canvas_size) == (2, 3)
    assert sample.labels.shape == (0,)
    assert sample.labels.dtype == torch.int64
    assert sample.active_modalities() == {Modality.IMAGE}


def test_detection_only_samples_need_no_masks() -> None:
    sample = dense_sample(frozenset({Modality.IMAGE}))
    assert len(sample) == 2
    assert sample.instance_masks is None
    assert sample.instance_ids is None


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dense_sample().metric_depth = False  # pyright: ignore[reportAttributeAccessIssue]


def test_there_is_no_instance_dictionary_to_hide_fields_in() -> None:
    assert not hasattr(dense_sample(), "__dict__")


# One entry per sentence of the error messages: (what is changed, which error, its words).
MALFORMED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "image rank": (
        {"image": torch.zeros((1, 3, HEIGHT, WIDTH), dtype=torch.uint8)},
        ValueError,
        r"image: got shape \[1, 3, 5, 7\], expected \[C, H, W\]",
    ),
    "image dtype": (
        {"image": torch.zeros((3, HEIGHT, WIDTH), dtype=torch.float64)},
        TypeError,
        r"image: got dtype torch.float64, expected torch.uint8 or torch.float32",
    ),
    "image without pixels": (
        {"image": torch.zeros((3, 0, WIDTH), dtype=torch.uint8)},
        ValueError,
        r"image: got shape \[3, 0, 7\], expected no empty dimension",
    ),
    "labels rank": (
        {"labels": torch.zeros((2, 1), dtype=torch.int64)},
        ValueError,
        r"labels: got shape \[2, 1\], expected \[N\]",
    ),
    "labels dtype": (
        {"labels": torch.ones(2, dtype=torch.int32)},
        TypeError,
        r"labels: got dtype torch.int32, expected torch.int64",
    ),
    "boxes count": (
        {"boxes": torch.zeros((3, 4))},
        ValueError,
        r"boxes: got shape \[3, 4\], expected \[2, 4\]",
    ),
    "boxes dtype": (
        {"boxes": torch.zeros((2, 4), dtype=torch.float64)},
        TypeError,
        r"boxes: got dtype torch.float64, expected torch.float32",
    ),
    "boxes of another canvas": (
        {"boxes": xyxy(torch.zeros((2, 4)), (9, 9))},
        ValueError,
        r"boxes: got canvas_size \(9, 9\), expected \(5, 7\)",
    ),
    "ids dtype": (
        {"instance_ids": torch.tensor([1, 4])},
        TypeError,
        r"instance_ids: got dtype torch.int64, expected torch.int32",
    ),
    "ids count": (
        {"instance_ids": torch.tensor([1], dtype=torch.int32)},
        ValueError,
        r"instance_ids: got shape \[1\], expected \[2\]",
    ),
    "ids without masks": (
        {"instance_masks": None, "panoptic_map": None},
        ValueError,
        r"instance_masks: got None beside instance_ids, expected both or neither",
    ),
    "masks without ids": (
        {"instance_ids": None},
        ValueError,
        r"instance_ids: got None beside instance_masks, expected both or neither",
    ),
    "masks dtype": (
        {"instance_masks": torch.zeros((2, HEIGHT, WIDTH), dtype=torch.uint8)},
        TypeError,
        r"instance_masks: got dtype torch.uint8, expected torch.bool",
    ),
    "masks canvas": (
        {"instance_masks": torch.zeros((2, HEIGHT, 6), dtype=torch.bool)},
        ValueError,
        r"instance_masks: got shape \[2, 5, 6\], expected \[2, 5, 7\]",
    ),
    "semantic rank": (
        {"semantic_map": torch.zeros((1, HEIGHT, WIDTH), dtype=torch.int64)},
        ValueError,
        r"semantic_map: got shape \[1, 5, 7\], expected \[5, 7\]",
    ),
    "semantic dtype": (
        {"semantic_map": torch.zeros(CANVAS, dtype=torch.uint8)},
        TypeError,
        r"semantic_map: got dtype torch.uint8, expected torch.int64",
    ),
    "panoptic shape": (
        {"panoptic_map": torch.zeros((WIDTH, HEIGHT), dtype=torch.int64)},
        ValueError,
        r"panoptic_map: got shape \[7, 5\], expected \[5, 7\]",
    ),
    "panoptic without semantic": (
        {"semantic_map": None},
        ValueError,
        r"semantic_map: got None beside panoptic_map, expected it to be present",
    ),
    "panoptic without instances": (
        {"instance_masks": None, "instance_ids": None},
        ValueError,
        r"instance_masks: got None beside panoptic_map, expected it to be present",
    ),
    "depth without validity": (
        {"depth_valid": None},
        ValueError,
        r"depth_valid: got None beside depth, expected both or neither",
    ),
    "validity without depth": (
        {"depth": None, "metric_depth": False},
        ValueError,
        r"depth: got None beside depth_valid, expected both or neither",
    ),
    "depth rank": (
        {"depth": torch.ones(CANVAS)},
        ValueError,
        r"depth: got shape \[5, 7\], expected \[1, 5, 7\]",
    ),
    "depth_valid dtype": (
        {"depth_valid": torch.ones((1, HEIGHT, WIDTH))},
        TypeError,
        r"depth_valid: got dtype torch.float32, expected torch.bool",
    ),
    "normals channels": (
        {"normals": torch.zeros((1, HEIGHT, WIDTH))},
        ValueError,
        r"normals: got shape \[1, 5, 7\], expected \[3, 5, 7\]",
    ),
    "padding rank": (
        {"padding_mask": torch.zeros(CANVAS, dtype=torch.bool)},
        ValueError,
        r"padding_mask: got shape \[5, 7\], expected \[1, 5, 7\]",
    ),
    "metric without camera": (
        {"camera_intrinsics": None},
        ValueError,
        r"metric_depth: got True without camera_intrinsics, expected both",
    ),
    "metric without depth": (
        {"depth": None, "depth_valid": None},
        ValueError,
        r"metric_depth: got True without depth, expected depth and depth_valid",
    ),
    "metric of another type": (
        {"metric_depth": 1},
        TypeError,
        r"metric_depth: got int, expected bool",
    ),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("construct", [DenseSample, DenseSample.unchecked], ids=["checked", "unchecked"])
def test_a_malformed_structure_is_refused_by_field_shape_and_expectation(
    construct: Any, case: tuple[dict[str, Any], type[Exception], str]
) -> None:
    changes, error, words = case
    with pytest.raises(error, match=f"^{words}$"):
        construct(**(sample_fields() | changes))


def test_boxes_of_another_format_are_refused() -> None:
    boxes = tv_tensors.BoundingBoxes(
        torch.zeros((2, 4)),
        format=tv_tensors.BoundingBoxFormat.XYWH,  # pyright: ignore[reportCallIssue]
        canvas_size=CANVAS,
    )
    with pytest.raises(ValueError, match="boxes: got format .*XYWH.*, expected XYXY"):
        DenseSample.from_dict(sample_fields() | {"boxes": boxes})


@pytest.mark.parametrize(
    "name",
    ["image", "instance_ids", "instance_masks", "semantic_map", "panoptic_map", "depth", "normals"],
)
def test_what_is_no_tensor_is_refused_by_its_type(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: got list, expected a torch.Tensor"):
        DenseSample.from_dict(sample_fields() | {name: [1]})


@pytest.mark.parametrize("name", ["boxes", "labels"])
def test_rows_that_are_no_tensor_are_refused_by_their_type(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: got list, expected a torch.Tensor"):
        DenseSample.from_dict(sample_fields() | {name: [1, 2]})


# Values no well-formed sample has: (what is set where, the words).
MALFORMED_VALUES: dict[str, tuple[str, Any, Any, str]] = {
    "box not finite": ("boxes", (0, 2), torch.inf, "boxes: got non-finite values, expected finite ones"),
    "label negative": ("labels", 0, -1, "labels: got -1, expected class ids from 0 to"),
    "label too large": ("labels", 1, 2**31, f"labels: got {2**31}, expected class ids from 0 to"),
    "semantic too large": ("semantic_map", (0, 0), 2**31, f"semantic_map: got {2**31}, expected class ids"),
    "id repeated": ("instance_ids", 1, 1, r"instance_ids: got \[1, 1\], expected no repeats"),
    "id negative": ("instance_ids", 0, -2, "instance_ids: got -2, expected ids of 1 or more"),
    "id 0 beside a panoptic map": ("instance_ids", 0, 0, "instance_ids: got 0, expected ids of 1 or more"),
    "panoptic id negative": ("panoptic_map", (2, 3), -7, "panoptic_map: got -7, expected ids of 0 or more"),
    "masks overlap": (
        "instance_masks",
        (slice(None), 1, 2),
        True,
        "instance_masks: got 1 pixels in more than one mask, expected disjoint masks beside a panoptic_map",
    ),
    "semantic negative": (
        "semantic_map",
        (0, 0),
        -1,
        "semantic_map: got -1, expected class ids from 0 to",
    ),
    "depth zero": ("depth", (0, 1, 1), 0.0, "depth: got 1 pixels that are valid and not finite"),
    "depth negative": ("depth", (0, 1, 1), -1.0, "depth: got 1 pixels that are valid and not finite"),
    "depth NaN": ("depth", (0, 1, slice(0, 2)), torch.nan, "depth: got 2 pixels that are valid and not"),
    "depth infinite": ("depth", (0, 1, 1), torch.inf, "depth: got 1 pixels that are valid and not finite"),
    "normal above 1": ("normals", (0, 1, 1), 1.0001, "normals: got components that are NaN or above 1"),
    "normal below -1": ("normals", (2, 1, 1), -1.0001, "normals: got components that are NaN or above 1"),
    "normal NaN": ("normals", (1, 1, 1), torch.nan, "normals: got components that are NaN or above 1"),
    "padding with a hole": (
        "padding_mask",
        (0, 4, 3),
        False,
        "padding_mask: got 29 valid pixels that are no rectangle at the top left of 5 x 7",
    ),
    "padding at the left": ("padding_mask", (0, slice(None), 0), True, "padding_mask: got 24 valid pixels"),
    "padding at the top": ("padding_mask", (0, 0), True, "padding_mask: got 21 valid pixels"),
    "padding inside": ("padding_mask", (0, 2, 2), True, "padding_mask: got 27 valid pixels"),
}


@pytest.mark.parametrize("case", MALFORMED_VALUES.values(), ids=MALFORMED_VALUES.keys())
def test_values_no_sample_has_are_refused_on_construction_and_held_unchecked(
    case: tuple[str, Any, Any, str],
) -> None:
    name, index, value, words = case
    values = sample_fields()
    _set(values, name, index, value)
    with pytest.raises(ValueError, match=f"^{words}"):
        DenseSample(**values)
    held = DenseSample.unchecked(**values)
    assert_same(getattr(held, name).as_subclass(torch.Tensor), values[name])
    with pytest.raises(ValueError, match=f"^{words}"):
        held.validate()


def test_a_float_image_must_be_finite() -> None:
    values = sample_fields(dtype=torch.float32)
    _set(values, "image", (0, 0, 0), torch.nan)
    with pytest.raises(ValueError, match="^image: got non-finite values, expected finite ones$"):
        DenseSample(**values)


def test_without_a_panoptic_map_id_0_and_overlaps_are_allowed() -> None:
    values = sample_fields(frozenset({Modality.IMAGE, Modality.INSTANCE}))
    values["instance_ids"] = torch.tensor([0, 2**31 - 1], dtype=torch.int32)
    values["instance_masks"] = torch.ones((2, *CANVAS), dtype=torch.bool)
    sample = DenseSample(**values)
    assert sample.instance_ids is not None
    assert sample.instance_ids.tolist() == [0, 2**31 - 1]


def test_garbage_under_an_invalid_depth_is_allowed() -> None:
    values = sample_fields()
    values["depth_valid"] = torch.zeros((1, *CANVAS), dtype=torch.bool)
    for garbage in (torch.nan, -torch.inf, -3.0, 0.0):
        values["depth"] = torch.full((1, *CANVAS), garbage)
        assert DenseSample(**values).depth is not None


def test_all_padding_and_no_padding_are_rectangles_too() -> None:
    for padded in (True, False):
        values = sample_fields(padded=False)
        values["padding_mask"] = torch.full((1, *CANVAS), padded)
        assert DenseSample(**values).padding_mask is not None


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_the_dictionary_round_trip_keeps_every_field_and_omits_none(
    modalities: frozenset[Modality], padded: bool
) -> None:
    sample = dense_sample(modalities, padded=padded)
    values = sample.to_dict()
    assert None not in values.values()
    assert ("padding_mask" in values) == padded
    assert ("metric_depth" in values) is True
    assert_same(DenseSample.from_dict(values), sample)


def test_from_dict_refuses_a_key_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"from_dict: got unknown keys \['instance_mask'\]"):
        DenseSample.from_dict(sample_fields() | {"instance_mask": None})


def test_unchecked_refuses_a_field_it_does_not_know_and_a_missing_image() -> None:
    with pytest.raises(TypeError, match=r"DenseSample: got unknown fields \['depths'\]"):
        DenseSample.unchecked(**sample_fields(), depths=None)
    with pytest.raises(TypeError, match=r"image: missing, expected a tensor \[C, H, W\]"):
        DenseSample.unchecked(labels=torch.zeros(0, dtype=torch.int64))


def test_moving_keeps_every_field() -> None:
    sample = dense_sample()
    assert_same(sample.to("cpu"), sample)
    assert_same(sample.to(torch.device("cpu")), sample)


def test_moving_moves_every_tensor_and_does_not_look_at_values() -> None:
    sample = dense_sample().to("meta")
    tensors = [v for v in sample.to_dict().values() if isinstance(v, torch.Tensor)]
    assert len(tensors) == 11
    assert {t.device.type for t in tensors} == {"meta"}
    assert sample.camera_intrinsics == CameraIntrinsics(5.5, 6.25, 3.1, 2.0)
    assert sample.metric_depth is True


def test_pin_memory_pins_every_tensor_and_keeps_types(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Size] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.shape)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    sample = dense_sample()
    assert_same(sample.pin_memory(), sample)
    assert len(pinned) == 11


def test_a_field_on_another_device_is_refused() -> None:
    values = sample_fields()
    values["semantic_map"] = values["semantic_map"].to("meta")
    with pytest.raises(ValueError, match="semantic_map: got device meta, expected the image's, cpu"):
        DenseSample(**values)


def test_inside_a_compiled_function_nothing_is_checked() -> None:
    def build(image: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor) -> DenseSample:
        return DenseSample(image=image, boxes=boxes, labels=labels)  # pyright: ignore[reportArgumentType]

    wrong = (torch.zeros((3, 4, 5), dtype=torch.float64), torch.zeros((3, 4)), torch.zeros(1))
    with pytest.raises(TypeError, match="image: got dtype"):
        build(*wrong)
    compiled = torch.compile(build, backend="eager", fullgraph=True)
    assert compiled(*wrong).image.dtype == torch.float64


def test_repr_is_short_and_says_what_matters() -> None:
    assert repr(dense_sample()) == (
        "DenseSample(instance+semantic+panoptic+depth+normals, 3x5x7 uint8, 2 rows, "
        "labels [1, 2], ids [1, 4], 7 padded pixels, metric)"
    )
    bare = DenseSample(image=tv_tensors.Image(torch.zeros((1, 2, 3))))
    assert repr(bare) == "DenseSample(image, 1x2x3 float32, 0 rows)"


def test_camera_of_another_type_is_refused():
    with pytest.raises(TypeError, match="camera_intrinsics: got Tensor, expected CameraIntrinsics"):
        DenseSample(image=torch.zeros((1, 2, 2)), camera_intrinsics=torch.ones(4))  # pyright: ignore[reportArgumentType]


def test_from_dict_needs_an_image():
    with pytest.raises(ValueError, match=r"from_dict: got keys \['labels'\], expected image"):
        DenseSample.from_dict({"labels": torch.zeros(0, dtype=torch.int64)})

"""PaddedBatchedDenseSample: static shapes, zero slots, and views of single samples."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from segpaste.types import (
    BatchedDenseSample,
    InstanceMask,
    Modality,
    PaddedBatchedDenseSample,
    PaddingMask,
    PanopticMap,
    SemanticMap,
)
from tests.types.builders import ALL_SETS, CANVAS, SET_NAMES, assert_same, dense_sample

HEIGHT, WIDTH = CANVAS
SLOTS = 4


def _padded(
    modalities: frozenset[Modality] = frozenset(Modality), **options: Any
) -> PaddedBatchedDenseSample:
    samples = [dense_sample(modalities, rows=rows, seed=rows, **options) for rows in (2, 0, 3)]
    return BatchedDenseSample.from_samples(samples).to_padded(SLOTS)


def _fields(batch: PaddedBatchedDenseSample) -> dict[str, Any]:
    return {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
def test_every_field_leads_with_the_batch_and_every_row_field_with_the_slots(
    modalities: frozenset[Modality],
) -> None:
    batch = _padded(modalities)
    assert (batch.batch_size, batch.max_instances, batch.canvas_size) == (3, SLOTS, CANVAS)
    assert batch.active_modalities() == modalities
    rows = {"boxes", "labels", "instance_valid", "instance_ids", "instance_masks"}
    for name, tensor in batch.tensors().items():
        assert type(tensor) is torch.Tensor
        assert tensor.shape[0] == 3
        assert (tensor.shape[1] == SLOTS) or name not in rows


def test_plain_tensors_get_their_tv_tensor_type() -> None:
    batch = PaddedBatchedDenseSample(**_padded().tensors(), metric_depth=True)  # pyright: ignore[reportArgumentType]
    assert type(batch.images) is tv_tensors.Image
    assert type(batch.instance_masks) is InstanceMask
    assert type(batch.semantic_maps) is SemanticMap
    assert type(batch.panoptic_maps) is PanopticMap
    assert type(batch.padding_mask) is PaddingMask


def test_intrinsics_are_float64_rows_of_fx_fy_cx_cy() -> None:
    intrinsics = _padded().tensors()["camera_intrinsics"]
    assert intrinsics.dtype == torch.float64
    assert intrinsics.tolist() == [[5.5, 6.25, 5.1, 2.0], [5.5, 6.25, 3.1, 2.0], [5.5, 6.25, 6.1, 2.0]]


def test_slots_without_a_row_are_zero_in_every_field() -> None:
    batch = _padded()
    unused = ~batch.instance_valid
    assert int(unused.sum()) == 12 - 5
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        assert not bool(batch.tensors()[name][unused].any()), name


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _padded().metric_depth = False  # pyright: ignore[reportAttributeAccessIssue]


def test_select_and_gather_take_whole_samples() -> None:
    batch = _padded()
    alone = batch.select(2)
    assert alone.batch_size == 1
    assert alone.max_instances == SLOTS
    again = batch.gather(torch.tensor([2, 0, 1])).gather(torch.tensor([1, 2, 0]))
    assert_same(again, batch)
    assert_same(batch.gather(torch.tensor([2])), alone)
    assert_same(
        BatchedDenseSample.from_padded(alone).to_samples(),
        BatchedDenseSample.from_padded(batch).to_samples()[2:],
    )


def test_select_is_a_view() -> None:
    batch = _padded()
    assert batch.select(1).images.data_ptr() == batch.images[1].data_ptr()


def test_moving_keeps_every_field() -> None:
    batch = _padded()
    assert_same(batch.to("cpu"), batch)
    moved = batch.to("meta")
    assert {t.device.type for t in moved.tensors().values()} == {"meta"}
    assert moved.metric_depth is True


def test_pin_memory_pins_every_tensor_and_keeps_types(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Size] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.shape)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    batch = _padded()
    assert_same(batch.pin_memory(), batch)
    assert len(pinned) == 13


MALFORMED: dict[str, tuple[str, Any, type[Exception], str]] = {
    "images rank": (
        "images",
        torch.zeros((3, HEIGHT, WIDTH), dtype=torch.uint8),
        ValueError,
        r"images: got shape \[3, 5, 7\], expected \[B, C, H, W\]",
    ),
    "images dtype": (
        "images",
        torch.zeros((3, 3, HEIGHT, WIDTH), dtype=torch.float16),
        TypeError,
        "images: got dtype torch.float16, expected torch.uint8 or torch.float32",
    ),
    "labels batch": (
        "labels",
        torch.zeros((2, SLOTS), dtype=torch.int64),
        ValueError,
        r"labels: got shape \[2, 4\], expected \[3, K\]",
    ),
    "boxes slots": (
        "boxes",
        torch.zeros((3, 3, 4)),
        ValueError,
        r"boxes: got shape \[3, 3, 4\], expected \[3, 4, 4\]",
    ),
    "valid dtype": (
        "instance_valid",
        torch.zeros((3, SLOTS), dtype=torch.int64),
        TypeError,
        "instance_valid: got dtype torch.int64, expected torch.bool",
    ),
    "valid slots": (
        "instance_valid",
        torch.zeros((3, 5), dtype=torch.bool),
        ValueError,
        r"instance_valid: got shape \[3, 5\], expected \[3, 4\]",
    ),
    "ids dtype": (
        "instance_ids",
        torch.zeros((3, SLOTS), dtype=torch.int64),
        TypeError,
        "instance_ids: got dtype torch.int64, expected torch.int32",
    ),
    "ids alone": ("instance_masks", None, ValueError, "instance_masks: got None beside instance_ids"),
    "masks canvas": (
        "instance_masks",
        torch.zeros((3, SLOTS, 5, 5), dtype=torch.bool),
        ValueError,
        r"instance_masks: got shape \[3, 4, 5, 5\], expected \[3, 4, 5, 7\]",
    ),
    "panoptic without semantic": (
        "semantic_maps",
        None,
        ValueError,
        "semantic_map: got None beside panoptic_map, expected it to be present",
    ),
    "depth alone": (
        "depth_valid",
        None,
        ValueError,
        "depth_valid: got None beside depth, expected both or neither",
    ),
    "normals shape": (
        "normals",
        torch.zeros((3, HEIGHT, WIDTH)),
        ValueError,
        r"normals: got shape \[3, 5, 7\], expected \[3, 3, 5, 7\]",
    ),
    "padding dtype": (
        "padding_mask",
        torch.zeros((3, 1, HEIGHT, WIDTH)),
        TypeError,
        "padding_mask: got dtype torch.float32, expected torch.bool",
    ),
    "camera dtype": (
        "camera_intrinsics",
        torch.ones((3, 4)),
        TypeError,
        "camera_intrinsics: got dtype torch.float32, expected torch.float64",
    ),
    "camera missing": (
        "camera_intrinsics",
        None,
        ValueError,
        "metric_depth: got True without camera_intrinsics, expected both",
    ),
    "metric type": ("metric_depth", torch.tensor(True), TypeError, "metric_depth: got Tensor, expected bool"),
    "device": (
        "depth",
        torch.ones((3, 1, HEIGHT, WIDTH), device="meta"),
        ValueError,
        "depth: got device meta, expected the image's, cpu",
    ),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_batch_is_refused_by_field_shape_and_expectation(
    case: tuple[str, Any, type[Exception], str],
) -> None:
    name, value, error, words = case
    with pytest.raises(error, match=f"^{words}"):
        PaddedBatchedDenseSample(**(_fields(_padded()) | {name: value}))


UNCLEAN: dict[str, tuple[str, Any, Any, str]] = {
    "box in an unused slot": (
        "boxes",
        (1, 0, 3),
        1.0,
        "sample 1: boxes: got values in unused slots, expected 0",
    ),
    "label in an unused slot": ("labels", (0, 2), 7, "sample 0: labels: got values in unused slots"),
    "id in an unused slot": ("instance_ids", (2, 3), 1, "sample 2: instance_ids: got values in unused slots"),
    "mask in an unused slot": (
        "instance_masks",
        (1, 3, 0, 0),
        True,
        "sample 1: instance_masks: got values in unused slots",
    ),
    "repeated id": (
        "instance_ids",
        (2, 2),
        1,
        r"sample 2: instance_ids: got \[1, 4, 1\], expected no repeats",
    ),
    "depth": ("depth", (1, 0, 0, 0), -1.0, "sample 1: depth: got 1 pixels that are valid"),
    "padding": ("padding_mask", (1, 0, 0, 0), True, "sample 1: padding_mask: got 27 valid pixels"),
    "normals": (
        "normals",
        (0, 0, 0, 0),
        torch.nan,
        "sample 0: normals: got components that are NaN or above 1",
    ),
}


@pytest.mark.parametrize("case", UNCLEAN.values(), ids=UNCLEAN.keys())
def test_validate_names_the_sample_and_the_field(case: tuple[str, Any, Any, str]) -> None:
    name, index, value, words = case
    tensors = {n: t.clone() for n, t in _padded().tensors().items()}
    tensors[name][index] = value
    batch = PaddedBatchedDenseSample(**tensors, metric_depth=True)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=f"^{words}"):
        batch.validate()


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
def test_validate_accepts_what_from_samples_built(modalities: frozenset[Modality]) -> None:
    for dtype in (torch.uint8, torch.float32):
        _padded(modalities, dtype=dtype).validate()
    _padded(modalities).gather(slice(0, 0)).validate()


def test_a_nan_image_is_refused_by_validate_only() -> None:
    tensors = {n: t.clone() for n, t in _padded(dtype=torch.float32).tensors().items()}
    tensors["images"][1, 2, 0, 0] = torch.nan
    batch = PaddedBatchedDenseSample(**tensors, metric_depth=True)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="^sample 1: image: got non-finite values, expected finite ones$"):
        batch.validate()


def test_inside_a_compiled_function_nothing_is_checked() -> None:
    def build(images: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor) -> PaddedBatchedDenseSample:
        return PaddedBatchedDenseSample(images=images, boxes=boxes, labels=labels, instance_valid=labels)  # pyright: ignore[reportArgumentType]

    wrong = (torch.zeros((2, 3, 4, 5)), torch.zeros((2, 1, 4)), torch.zeros((2, 1)))
    with pytest.raises(TypeError, match="labels: got dtype torch.float32, expected torch.int64"):
        build(*wrong)
    compiled = torch.compile(build, backend="eager", fullgraph=True)
    assert compiled(*wrong).labels.dtype == torch.float32


def test_repr_is_short_and_says_what_matters() -> None:
    assert repr(_padded()) == (
        "PaddedBatchedDenseSample(instance+semantic+panoptic+depth+normals, B=3, K=4, 3x5x7 uint8)"
    )

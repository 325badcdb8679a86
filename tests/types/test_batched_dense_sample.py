"""BatchedDenseSample: stacking and its inverses, without losing a field."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torchvision import tv_tensors

from segpaste.types import (
    BatchedDenseSample,
    CameraIntrinsics,
    DenseSample,
    InstanceMask,
    Modality,
    PaddedBatchedDenseSample,
    PaddingMask,
    PanopticMap,
    SemanticMap,
    xyxy,
)
from tests.types.builders import ALL_SETS, CANVAS, SET_NAMES, assert_same, dense_sample, sample_fields

HEIGHT, WIDTH = CANVAS


def _samples(modalities: frozenset[Modality], **options: Any) -> list[DenseSample]:
    return [dense_sample(modalities, rows=rows, seed=rows, **options) for rows in (2, 0, 3)]


def _everything() -> BatchedDenseSample:
    return BatchedDenseSample.from_samples(_samples(frozenset(Modality)))


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_samples_survive_stacking(modalities: frozenset[Modality], padded: bool) -> None:
    samples = _samples(modalities, padded=padded)
    batch = BatchedDenseSample.from_samples(samples)
    assert batch.batch_size == 3
    assert batch.canvas_size == CANVAS
    assert batch.active_modalities() == modalities
    assert_same(batch.to_samples(), samples)


@pytest.mark.parametrize("modalities", ALL_SETS, ids=SET_NAMES)
@pytest.mark.parametrize("metric", [False, True], ids=["relative", "metric"])
@pytest.mark.parametrize("slots", [3, 5])
def test_samples_survive_padding(modalities: frozenset[Modality], metric: bool, slots: int) -> None:
    samples = _samples(modalities, metric=metric)
    batch = BatchedDenseSample.from_samples(samples)
    padded = batch.to_padded(slots)
    assert padded.max_instances == slots
    assert padded.instance_valid.sum(dim=1).tolist() == [2, 0, 3]
    padded.validate()
    again = BatchedDenseSample.from_padded(padded)
    assert_same(again, batch)
    assert_same(again.to_samples(), samples)
    assert_same(again.to_padded(slots), padded)


def test_every_sort_of_field_is_stacked_or_listed() -> None:
    batch = _everything()
    assert type(batch.images) is tv_tensors.Image
    assert batch.images.shape == (3, 3, HEIGHT, WIDTH)
    assert type(batch.semantic_maps) is SemanticMap
    assert type(batch.panoptic_maps) is PanopticMap
    assert type(batch.padding_mask) is PaddingMask
    assert [type(m) for m in batch.instance_masks or []] == [InstanceMask] * 3
    assert [b.shape[0] for b in batch.boxes] == [2, 0, 3]
    assert [c.cx for c in batch.camera_intrinsics or []] == [5.1, 3.1, 6.1]
    assert batch.metric_depth is True


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _everything().metric_depth = False  # pyright: ignore[reportAttributeAccessIssue]


def test_a_sample_without_padding_beside_a_padded_one_has_none_of_it() -> None:
    samples = [dense_sample(padded=True), dense_sample(padded=False)]
    batch = BatchedDenseSample.from_samples(samples)
    assert batch.padding_mask is not None
    assert batch.padding_mask.flatten(1).sum(dim=1).tolist() == [7, 0]
    swapped = BatchedDenseSample.from_samples(samples[::-1])
    assert swapped.padding_mask is not None
    assert type(swapped.padding_mask) is PaddingMask
    assert swapped.padding_mask.flatten(1).sum(dim=1).tolist() == [0, 7]


def _cropped(**options: Any) -> DenseSample:
    values = sample_fields(frozenset({Modality.IMAGE}), padded=False, **options)
    return DenseSample(**(values | {"image": values["image"][:, :, :-1]}))


def _with(sample: DenseSample, **changes: Any) -> DenseSample:
    return DenseSample.from_dict(sample.to_dict() | changes)


_BARE = dense_sample(frozenset({Modality.IMAGE}), padded=False)
_DEEP = dense_sample(frozenset({Modality.IMAGE, Modality.DEPTH, Modality.SEMANTIC}))
UNLIKE: dict[str, tuple[DenseSample, DenseSample, str]] = {
    "canvas": (_BARE, _cropped(), r"sample 2: got \(H, W\) \(5, 6\), expected \(5, 7\) as in sample 0"),
    "modalities": (
        _DEEP,
        dense_sample(frozenset({Modality.IMAGE, Modality.DEPTH})),
        "sample 2: got active modalities depth, expected semantic\\+depth as in sample 0",
    ),
    "channels": (
        _BARE,
        _with(_BARE, image=torch.zeros((1, *CANVAS), dtype=torch.uint8)),
        "sample 2: got channels 1, expected 3 as in sample 0",
    ),
    "image dtype": (
        _BARE,
        _with(_BARE, image=torch.zeros((3, *CANVAS))),
        "sample 2: got image dtype torch.float32, expected torch.uint8 as in sample 0",
    ),
    "metric": (
        _DEEP,
        _with(_DEEP, metric_depth=False),
        "sample 2: got metric_depth False, expected True as in sample 0",
    ),
    "camera": (
        _BARE,
        _with(_BARE, camera_intrinsics=CameraIntrinsics(1.0, 1.0, 0.0, 0.0)),
        "sample 2: got camera_intrinsics present True, expected False as in sample 0",
    ),
    "device": (_BARE, _BARE.to("meta"), "sample 2: got device meta, expected cpu as in sample 0"),
}


@pytest.mark.parametrize("case", UNLIKE.values(), ids=UNLIKE.keys())
def test_unlike_samples_are_refused_by_number_and_trait(case: tuple[DenseSample, DenseSample, str]) -> None:
    first, other, words = case
    with pytest.raises(ValueError, match=f"^{words}$"):
        BatchedDenseSample.from_samples([first, first, other])


def test_no_samples_make_an_empty_batch_of_full_rank() -> None:
    batch = BatchedDenseSample.from_samples([])
    assert batch.batch_size == 0
    assert batch.images.shape == (0, 3, 0, 0)
    assert batch.to_samples() == []
    padded = batch.to_padded(4)
    assert {name: list(t.shape) for name, t in padded.tensors().items()} == {
        "images": [0, 3, 0, 0],
        "boxes": [0, 4, 4],
        "labels": [0, 4],
        "instance_valid": [0, 4],
    }
    assert_same(BatchedDenseSample.from_padded(padded), batch)


def _empty_batch() -> BatchedDenseSample:
    full = _everything()
    values = {f.name: getattr(full, f.name) for f in dataclasses.fields(full)}
    return BatchedDenseSample(
        **{n: v if isinstance(v, bool) else v[:0] for n, v in values.items()}  # pyright: ignore[reportArgumentType]
    )


def test_an_empty_batch_of_all_modalities_keeps_every_rank_through_the_round_trip() -> None:
    batch = _empty_batch()
    assert batch.active_modalities() == frozenset(Modality)
    padded = batch.to_padded(2)
    assert {name: list(t.shape) for name, t in padded.tensors().items()} == {
        "images": [0, 3, HEIGHT, WIDTH],
        "boxes": [0, 2, 4],
        "labels": [0, 2],
        "instance_valid": [0, 2],
        "instance_ids": [0, 2],
        "instance_masks": [0, 2, HEIGHT, WIDTH],
        "semantic_maps": [0, HEIGHT, WIDTH],
        "panoptic_maps": [0, HEIGHT, WIDTH],
        "depth": [0, 1, HEIGHT, WIDTH],
        "depth_valid": [0, 1, HEIGHT, WIDTH],
        "normals": [0, 3, HEIGHT, WIDTH],
        "padding_mask": [0, 1, HEIGHT, WIDTH],
        "camera_intrinsics": [0, 4],
    }
    assert padded.metric_depth is True
    again = BatchedDenseSample.from_padded(padded)
    assert again.active_modalities() == frozenset(Modality)
    assert again.instance_masks == []
    assert again.camera_intrinsics == []
    assert again.metric_depth is True


def test_no_slots_are_enough_for_samples_without_rows() -> None:
    sample = dense_sample(rows=0)
    padded = BatchedDenseSample.from_samples([sample]).to_padded(0)
    assert padded.max_instances == 0
    assert padded.tensors()["instance_masks"].shape == (1, 0, HEIGHT, WIDTH)
    assert_same(BatchedDenseSample.from_padded(padded).to_samples(), [sample])


def test_too_few_slots_are_refused_by_sample() -> None:
    with pytest.raises(ValueError, match="^sample 2: got 3 rows, expected at most max_instances = 2$"):
        _everything().to_padded(2)
    with pytest.raises(ValueError, match="^max_instances: got -1, expected 0 or more$"):
        BatchedDenseSample.from_samples([dense_sample(rows=0)]).to_padded(-1)


def test_unused_slots_between_rows_close_up() -> None:
    compact = BatchedDenseSample.from_samples([dense_sample(rows=2)]).to_padded(4)
    spread = compact.tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        spread[name] = spread[name][:, [2, 0, 3, 1]]
    apart = PaddedBatchedDenseSample(**spread, metric_depth=True)  # pyright: ignore[reportArgumentType]
    assert apart.instance_valid.tolist() == [[False, True, False, True]]
    ragged = BatchedDenseSample.from_padded(apart)
    assert ragged.labels[0].tolist() == [1, 2]
    assert_same(ragged.to_padded(4), compact)


def test_ids_and_intrinsics_survive_where_a_float32_would_round_them() -> None:
    values = sample_fields(rows=1)
    values["instance_ids"] = torch.tensor([2**31 - 1], dtype=torch.int32)
    values["panoptic_map"] = values["instance_masks"][0].to(torch.int64) * (2**31 - 1)
    values["camera_intrinsics"] = CameraIntrinsics(fx=994.978, fy=1 / 3, cx=311.193, cy=-0.1)
    sample = DenseSample(**values)
    batch = BatchedDenseSample.from_samples([sample])
    assert_same(BatchedDenseSample.from_padded(batch.to_padded(1)).to_samples(), [sample])


def test_samples_that_no_law_allows_can_still_be_carried() -> None:
    values = sample_fields()
    values["instance_ids"] = torch.tensor([4, 4], dtype=torch.int32)
    held = DenseSample.unchecked(**values)
    batch = BatchedDenseSample.from_samples([held])
    assert_same(batch.to_samples(), [held])
    assert_same(BatchedDenseSample.from_padded(batch.to_padded(2)).to_samples(), [held])


MALFORMED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "images rank": (
        {"images": torch.zeros((3, HEIGHT, WIDTH), dtype=torch.uint8)},
        ValueError,
        r"images: got shape \[3, 5, 7\], expected \[B, C, H, W\]",
    ),
    "images dtype": (
        {"images": torch.zeros((3, 3, HEIGHT, WIDTH), dtype=torch.int64)},
        TypeError,
        "images: got dtype torch.int64, expected torch.uint8 or torch.float32",
    ),
    "labels count": (
        {"labels": [torch.zeros(0, dtype=torch.int64)]},
        ValueError,
        "labels: got 1 entries, expected B = 3",
    ),
    "boxes count": ({"boxes": []}, ValueError, "boxes: got 0 entries, expected B = 3"),
    "camera count": (
        {"camera_intrinsics": []},
        ValueError,
        "camera_intrinsics: got 0 entries, expected B = 3",
    ),
    "semantic shape": (
        {"semantic_maps": torch.zeros((3, 7, 5), dtype=torch.int64)},
        ValueError,
        r"semantic_maps: got shape \[3, 7, 5\], expected \[3, 5, 7\]",
    ),
    "depth alone": (
        {"depth_valid": None},
        ValueError,
        "depth_valid: got None beside depth, expected both or neither",
    ),
    "ids without masks": (
        {"instance_masks": None},
        ValueError,
        "instance_masks: got None beside instance_ids, expected both or neither",
    ),
    "panoptic without semantic": (
        {"semantic_maps": None},
        ValueError,
        "semantic_map: got None beside panoptic_map, expected it to be present",
    ),
    "metric without camera": (
        {"camera_intrinsics": None},
        ValueError,
        "metric_depth: got True without camera_intrinsics, expected both",
    ),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_batch_is_refused_by_field_shape_and_expectation(
    case: tuple[dict[str, Any], type[Exception], str],
) -> None:
    changes, error, words = case
    with pytest.raises(error, match=f"^{words}"):
        dataclasses.replace(_everything(), **changes)


ROWS: dict[str, tuple[str, torch.Tensor, type[Exception], str]] = {
    "boxes": ("boxes", xyxy(torch.zeros((2, 4)), CANVAS), ValueError, r"got shape \[2, 4\], expected \[3, 4"),
    "labels": ("labels", torch.zeros(3), TypeError, "got dtype torch.float32, expected torch.int64"),
    "ids": ("instance_ids", torch.zeros(3, dtype=torch.int64), TypeError, "got dtype torch.int64"),
    "masks": (
        "instance_masks",
        torch.zeros((3, 5, 6), dtype=torch.bool),
        ValueError,
        r"got shape \[3, 5, 6\], expected \[3, 5, 7\]",
    ),
}


@pytest.mark.parametrize("case", ROWS.values(), ids=ROWS.keys())
def test_malformed_rows_are_refused_by_field_and_sample(
    case: tuple[str, torch.Tensor, type[Exception], str],
) -> None:
    name, value, error, words = case
    batch = _everything()
    column = [*getattr(batch, name)[:2], value]
    with pytest.raises(error, match=rf"^{name}\[2\]: {words}"):
        dataclasses.replace(batch, **{name: column})


def test_moving_keeps_every_field_and_pins_every_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = _everything()
    assert_same(batch.to("cpu"), batch)
    moved = batch.to("meta")
    assert moved.images.device.type == moved.boxes[2].device.type == "meta"
    assert [c.cx for c in moved.camera_intrinsics or []] == [5.1, 3.1, 6.1]
    assert moved.metric_depth is True
    pinned: list[torch.Size] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.shape)
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    assert_same(batch.pin_memory(), batch)
    assert len(pinned) == 7 + 4 * 3


def test_inside_a_compiled_function_nothing_is_checked() -> None:
    def build(images: torch.Tensor) -> torch.Tensor:
        return BatchedDenseSample(images=images + 1, boxes=[], labels=[]).images  # pyright: ignore[reportArgumentType]

    wrong = torch.zeros((3, 4, 5), dtype=torch.float64)
    with pytest.raises((TypeError, ValueError), match="images: got"):
        build(wrong)
    compiled = torch.compile(build, backend="eager", fullgraph=True)
    assert compiled(wrong).shape == (3, 4, 5)


def test_repr_is_short_and_says_what_matters() -> None:
    assert repr(_everything()) == (
        "BatchedDenseSample(instance+semantic+panoptic+depth+normals, B=3, rows [2, 0, 3], 3x5x7)"
    )

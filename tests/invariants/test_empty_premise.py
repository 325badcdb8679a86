"""A law whose premise never held is not exercised; it is not held."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.invariants import check_padded, check_paste, check_sample
from segpaste.types import (
    BatchedDenseSample,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
)

H, W = 4, 5
SCHEMA = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 3: "stuff"}, max_instances_per_image=5)

EMPTY_SAMPLE = (
    "depth.positive_where_valid",
    "image.finite",
    "instance.boxes_are_tight",
    "instance.boxes_in_canvas",
    "instance.count_in_schema",
    "instance.ids_unique",
    "instance.labels_in_schema",
    "instance.masks_not_empty",
    "instance.same_class_disjoint",
    "normals.face_camera",
    "normals.unit_length",
    "padding.carries_no_labels",
    "padding.is_border",
    "panoptic.ids_are_rows",
    "panoptic.masks_match_map",
    "panoptic.one_instance_per_pixel",
    "panoptic.semantic_matches_row",
    "panoptic.things_have_ids",
    "semantic.values_in_schema",
)


def sample(columns: tuple[tuple[int, int], ...] = (), labels: tuple[int, ...] = (), **extra: Any) -> Any:
    """Rows that are bars of full height, nothing else labelled: no depth, no normal, no padding."""
    masks = torch.zeros((len(columns), H, W), dtype=torch.bool)
    for n, (left, right) in enumerate(columns):
        masks[n, :, left:right] = True
    semantic, panoptic = torch.full((H, W), 255), torch.zeros((H, W), dtype=torch.int64)
    for n, mask in enumerate(masks):
        semantic[mask], panoptic[mask] = labels[n], n + 1
    fields: dict[str, Any] = {
        "image": torch.zeros((3, H, W), dtype=torch.uint8),
        "boxes": torch.tensor([[a, 0, b, H] for a, b in columns], dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "instance_ids": torch.arange(1, len(columns) + 1, dtype=torch.int32),
        "instance_masks": masks,
        "semantic_map": semantic,
        "panoptic_map": panoptic,
        "depth": torch.zeros((1, H, W)),
        "depth_valid": torch.zeros((1, H, W), dtype=torch.bool),
        "normals": torch.zeros((3, H, W)),
        "padding_mask": torch.zeros((1, H, W), dtype=torch.bool),
    }
    return DenseSample.unchecked(**fields | extra)


def padded(one: DenseSample, slots: int = 2) -> PaddedBatchedDenseSample:
    return BatchedDenseSample.from_samples([one]).to_padded(slots)


@pytest.mark.parametrize("law", EMPTY_SAMPLE)
def test_an_empty_sample_exercises_no_sample_law(law: str) -> None:
    (report,) = check_sample(sample(), SCHEMA, only=law)
    assert (report.status, bool(report.message)) == ("not_exercised", True)


def test_every_other_sample_law_says_something_of_any_sample() -> None:
    reports = check_sample(sample(), SCHEMA)
    assert {r.name: r.status for r in reports if r.name not in EMPTY_SAMPLE} == {
        "sample.shapes_agree": "held"
    }


@pytest.mark.parametrize(
    "law", ["padded.padding_is_border", "padded.masks_off_padding", "padded.used_slots_painted"]
)
def test_an_empty_batch_exercises_no_padded_law(law: str) -> None:
    (report,) = check_padded(padded(sample()), only=law)
    assert report.status == "not_exercised"


def test_what_is_no_paste_exercises_no_paste_law_but_the_frame() -> None:
    stuff = sample(semantic_map=torch.full((H, W), 3))
    statuses = {r.name: r.status for r in check_paste(stuff, stuff, source=sample(), schema=SCHEMA)}
    assert [name for name, status in statuses.items() if status == "held"] == ["paste.frame_kept"]
    assert "violated" not in statuses.values()


PASTED: list[tuple[str, Any, Any]] = [
    ("normals.unit_norm", sample(), sample(((0, 2),), (1,))),
    ("instance.no_same_class_overlap", sample(((0, 2),), (1,)), sample(((0, 2), (3, 5)), (1, 2))),
    ("instance.pasted_masks_disjoint", sample(), sample(((0, 2),), (1,))),
    ("instance.masks_minus_union", sample(((0, 2),), (1,)), sample(((0, 2), (3, 5)), (1, 2))),
]


@pytest.mark.parametrize(("law", "before", "after"), PASTED, ids=[law for law, _, _ in PASTED])
def test_a_paste_without_the_premise_does_not_exercise_the_law(
    law: str, before: DenseSample, after: DenseSample
) -> None:
    (report,) = check_paste(before, after, only=law)
    assert report.status == "not_exercised"


def test_a_paste_over_everything_leaves_nothing_outside() -> None:
    (report,) = check_paste(sample(), sample(((0, W),), (1,)), only="paste.unchanged_outside_union.image")
    assert report.status == "not_exercised"


def test_a_batch_without_masks_gains_no_rows() -> None:
    image = torch.zeros((3, H, W), dtype=torch.uint8)
    before = DenseSample.unchecked(image=image, semantic_map=torch.full((H, W), 3))
    mixed = {"image": image + 1, "semantic_map": torch.full((H, W), 2)}
    rows = {"boxes": torch.tensor([[0.0, 0, 2, 2]]), "labels": torch.tensor([2])}
    law = "paste.rows_need_masks"
    found = [
        check_paste(before, after, only=law)[0].status
        for after in (before, DenseSample.unchecked(**mixed), DenseSample.unchecked(**mixed, **rows))
    ]
    assert found == ["not_exercised", "held", "violated"]

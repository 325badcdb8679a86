"""Faults that the input had: those that are untouched do not count, all others do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.invariants import assert_sample, check_sample
from segpaste.invariants.report import InvariantViolation
from segpaste.types import DenseSample

H, W = 3, 6


def crowd(masks: list[tuple[int, int]], **extra: Any) -> DenseSample:
    """Bars of one class, columns first to last, ids 1, 2, ..., overlapping as they like."""
    rows = torch.zeros((len(masks), H, W), dtype=torch.bool)
    for n, (left, right) in enumerate(masks):
        rows[n, :, left : right + 1] = True
    fields: dict[str, Any] = {
        "image": torch.zeros((3, H, W), dtype=torch.uint8),
        "boxes": torch.tensor([[left, 0, right + 1, H] for left, right in masks], dtype=torch.float32),
        "labels": torch.ones(len(masks), dtype=torch.int64),
        "instance_ids": torch.arange(1, len(masks) + 1, dtype=torch.int32),
        "instance_masks": rows,
    }
    return DenseSample.unchecked(**fields | extra)


def status(law: str, after: DenseSample, **known: Any) -> str:
    (report,) = check_sample(after, only=law, **known)
    return report.status


def without_row(sample: DenseSample, row: int) -> DenseSample:
    keep = [n for n in range(len(sample)) if n != row]
    fields = sample.to_dict()
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        fields[name] = fields[name].as_subclass(torch.Tensor)[keep]
    return DenseSample.unchecked(**fields)


LAW = "instance.same_class_disjoint"


def test_overlap_of_real_annotations_is_inherited() -> None:
    before = crowd([(0, 2), (1, 3), (2, 5)])
    assert status(LAW, before) == "violated"
    assert status(LAW, before, before=before) == "held"
    # A third row that overlapped both and was dropped leaves no new fault behind.
    assert status(LAW, without_row(before, 2), before=before) == "held"


def test_a_newcomer_over_an_inherited_overlap_counts() -> None:
    before = crowd([(0, 2), (1, 3)])
    after = crowd([(0, 2), (1, 3), (2, 2)])
    assert status(LAW, after, before=before) == "violated"
    assert status(LAW, crowd([(0, 2), (1, 4)]), before=crowd([(0, 2), (4, 4)])) == "violated"


def test_a_loose_box_counts_once_its_row_was_touched() -> None:
    loose = torch.tensor([[0.0, 0, 3.5, 3], [3, 0, 6, 3]])
    before = crowd([(0, 2), (3, 5)], boxes=loose)
    law = "instance.boxes_are_tight"
    assert status(law, before) == "violated"
    assert status(law, before, before=before) == "held"
    assert status(law, crowd([(0, 1), (3, 5)], boxes=loose), before=before) == "violated"
    with pytest.raises(InvariantViolation) as raised:
        assert_sample(before, only=law)
    assert str(raised.value) == f"[{law}] row 0: box (0, 0, 3.5, 3), mask spans (0, 0, 3, 3)"


def test_another_canvas_inherits_nothing() -> None:
    before = crowd([(0, 2), (1, 3)])
    small = DenseSample(image=torch.zeros((3, 1, 1), dtype=torch.uint8))  # pyright: ignore[reportArgumentType]
    assert status(LAW, before, before=small) == "violated"


def test_an_input_without_masks_has_none_to_pass_on() -> None:
    bare = DenseSample(image=torch.zeros((3, H, W), dtype=torch.uint8))  # pyright: ignore[reportArgumentType]
    assert status(LAW, crowd([(0, 2), (1, 3)]), before=bare) == "violated"


def normals(*vectors: list[float]) -> torch.Tensor:
    return torch.tensor(vectors).t().reshape(3, 1, len(vectors))


def facing(*vectors: list[float]) -> DenseSample:
    values = normals(*vectors)
    image = torch.zeros((3, 1, len(vectors)), dtype=torch.uint8)
    return DenseSample.unchecked(image=image, normals=values)


def test_normals_carried_over_from_an_averted_donor() -> None:
    law = "normals.face_camera"
    towards, away, grazing = [0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]
    before = facing(towards, towards)
    assert status(law, facing(away, towards), before=before) == "violated"
    assert status(law, facing(away, towards), before=before, source=facing(away, away)) == "held"
    assert status(law, facing(away, towards), before=before, source=facing(towards, towards)) == "violated"
    assert status(law, facing(grazing, towards), before=before) == "held"
    assert status(law, facing(grazing, towards)) == "violated"
    assert status(law, facing([float("nan")] * 3, towards), before=before) == "violated"


def test_semantic_values_that_only_the_donor_has() -> None:
    from segpaste.types import PanopticSchemaSpec

    schema = PanopticSchemaSpec(classes={1: "stuff"})

    def labelled(*values: int) -> DenseSample:
        image = torch.zeros((3, 1, len(values)), dtype=torch.uint8)
        return DenseSample(
            image=image,  # pyright: ignore[reportArgumentType]
            semantic_map=torch.tensor([values]),  # pyright: ignore[reportArgumentType]
        )

    law = "semantic.values_in_schema"
    before = labelled(1, 1)
    assert status(law, labelled(9, 1), schema=schema, before=before) == "violated"
    assert status(law, labelled(9, 1), schema=schema, before=before, source=labelled(9, 9)) == "held"


def test_fields_that_the_input_lacked_count() -> None:
    image = torch.zeros((3, 1, 2), dtype=torch.uint8)
    before = DenseSample(image=image)  # pyright: ignore[reportArgumentType]
    padded = torch.tensor([[[True, False]]])
    after = DenseSample.unchecked(image=image, padding_mask=padded, semantic_map=torch.zeros((1, 2)).long())
    assert status("padding.is_border", after, before=before) == "violated"
    assert status("padding.carries_no_labels", after, before=before) == "violated"
    assert status("padding.is_border", after, before=after) == "held"

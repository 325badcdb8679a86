"""What a sample law knows of before: what was touched, what was inherited, who was there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.invariants import averted, check_sample
from segpaste.invariants.sample_case import SampleCase
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample, PanopticSchemaSpec
from tests.invariants.invariant_cases import random_case
from tests.invariants.test_no_audit import fields_of, scene
from tests.invariants.test_not_made_worse import H, W, crowd

BEFORE = scene({5: (1, 0, 1), 6: (2, 3, 4)})


def changed(**fields: Any) -> DenseSample:
    return DenseSample.unchecked(**(fields_of(BEFORE) | fields))


def columns(case: SampleCase, *names: str) -> list[int]:
    """Columns that are touched all the way down, or not at all."""
    touched = case.touched(names)
    assert (touched.dtype, tuple(touched.shape)) == (torch.bool, tuple(case.view.canvas))
    assert torch.equal(touched.all(dim=0), touched.any(dim=0))
    return touched.any(dim=0).nonzero().flatten().tolist()


def test_what_is_touched_is_the_sum_of_the_fields() -> None:
    fields = fields_of(BEFORE)
    fields["semantic_map"][:, 2] = 1
    fields["panoptic_map"][:, 5] = 9
    fields["instance_masks"][0, :, 1] = False  # what a row loses is not touched
    fields["instance_masks"][1, :, 2] = True
    fields["image"][:, :, 0] += 1
    case = SampleCase(DenseSample.unchecked(**fields), before=BEFORE)
    assert columns(case, "image") == [0]
    assert columns(case, "semantic") == [2]
    assert columns(case, "panoptic") == [5]
    assert columns(case, "masks") == [2]
    assert columns(case, "image", "masks") == [0, 2]
    assert columns(case, "masks", "image") == [0, 2]
    assert columns(case, "panoptic", "masks", "semantic") == [2, 5]
    assert columns(case, "image", "semantic", "panoptic") == [0, 2, 5]
    assert columns(case, "depth", "image") == [0]  # there is no depth
    assert columns(case) == []


def test_a_field_that_was_not_there_is_touched_everywhere() -> None:
    everywhere = list(range(W))
    bare = DenseSample.unchecked(image=BEFORE.image)
    case = SampleCase(BEFORE, before=bare)
    assert columns(case, "semantic") == everywhere
    assert columns(case, "semantic", "image") == everywhere
    assert columns(case, "image", "semantic") == everywhere
    assert columns(case, "image") == []
    assert columns(SampleCase(BEFORE), "image") == everywhere


def test_who_was_there_before() -> None:
    after = scene({6: (2, 3, 4), 9: (1, 0, 0), 5: (1, 1, 1)})
    assert SampleCase(after, before=BEFORE).former == {0: 1, 2: 0}
    assert SampleCase(after).former == {}
    boxes = DenseSample.unchecked(
        image=BEFORE.image, boxes=fields_of(BEFORE)["boxes"], labels=fields_of(BEFORE)["labels"]
    )
    assert SampleCase(boxes, before=BEFORE).former == {}
    assert SampleCase(BEFORE, before=boxes).former == {}


def test_of_another_canvas_nothing_is_known() -> None:
    wider = DenseSample.unchecked(image=torch.zeros((1, H, W + 1), dtype=torch.uint8))
    assert SampleCase(BEFORE, before=wider).before is None
    assert SampleCase(BEFORE, before=BEFORE).before is not None


def test_which_rows_are_untouched() -> None:
    fields = fields_of(BEFORE)
    assert [SampleCase(BEFORE, before=BEFORE).untouched(k) for k in (0, 1)] == [True, True]
    assert not SampleCase(BEFORE).untouched(0)
    for name, at in (
        ("labels", (0,)),
        ("boxes", (0, 2)),
        ("instance_ids", (0,)),
        ("instance_masks", (0, 0, 0)),
    ):
        value = fields[name].clone()
        value[at] = value[at] ^ True if value.dtype == torch.bool else value[at] + 7
        case = SampleCase(changed(**{name: value}), before=BEFORE)
        assert [case.untouched(k) for k in (0, 1)] == [False, True], name
    bare = {"image": BEFORE.image, "boxes": fields["boxes"], "labels": fields["labels"]}
    boxes = DenseSample.unchecked(**bare)
    assert [SampleCase(boxes, before=boxes).untouched(k) for k in (0, 1)] == [True, True]
    moved = DenseSample.unchecked(
        **(bare | {"boxes": fields["boxes"] + torch.tensor([[1.0, 0, 0, 0], [0] * 4])})
    )
    assert [SampleCase(moved, before=boxes).untouched(k) for k in (0, 1)] == [False, True]
    named = DenseSample.unchecked(**(bare | {"labels": fields["labels"] + torch.tensor([7, 0])}))
    assert [SampleCase(named, before=boxes).untouched(k) for k in (0, 1)] == [False, True]


def test_who_is_to_blame() -> None:
    fields = fields_of(BEFORE)
    fields["image"][:, :, 3] += 1
    case = SampleCase(DenseSample.unchecked(**fields), before=BEFORE)

    def odd(view: Any) -> torch.Tensor:
        """Columns 2 and 3 always, and 0 where the picture is the old one."""
        found = torch.zeros(view.canvas, dtype=torch.bool)
        found[:, 2:4] = True
        found[:, 0] = bool(view is case.before)
        return found

    assert case.blamed(odd, ("image",)).any(dim=0).nonzero().flatten().tolist() == [3]
    assert not bool(case.blamed(lambda view: odd(view) & False, ("image",)).any())
    alone = SampleCase(DenseSample.unchecked(**fields))
    assert alone.blamed(odd, ("image",)).any(dim=0).nonzero().flatten().tolist() == [2, 3]


def test_ignore_is_the_schemas() -> None:
    assert SampleCase(BEFORE).ignore == 255
    assert SampleCase(BEFORE, PanopticSchemaSpec(classes={1: "thing"}, ignore_index=9)).ignore == 9


def status(law: str, after: DenseSample, **known: Any) -> str:
    (report,) = check_sample(after, only=law, **known)
    return report.status


def test_an_id_that_was_in_no_map_before_is_not_missed() -> None:
    law = "panoptic.ids_are_rows"
    panoptic = fields_of(BEFORE)["panoptic_map"]
    lost = changed(panoptic_map=torch.where(panoptic == 6, 0, panoptic))
    assert status(law, lost) == "violated"
    assert status(law, lost, before=BEFORE) == "violated"
    assert status(law, lost, before=lost) == "held"
    moved = fields_of(lost)
    moved["boxes"][1, 0] += 1
    assert status(law, DenseSample.unchecked(**moved), before=lost) == "violated"
    bare = DenseSample.unchecked(image=BEFORE.image)
    assert status(law, lost, before=bare) == "violated"


def test_overlaps_of_the_second_class_count_after_a_single_row_of_the_first() -> None:
    law = "instance.same_class_disjoint"
    rows = crowd([(0, 1), (2, 4), (3, 5)], labels=torch.tensor([1, 2, 2]))
    assert status(law, rows) == "violated"
    flat = rows.to_dict()
    thin = {
        "image": rows.image[:, :1],
        "instance_masks": flat["instance_masks"][:, :1],
        "boxes": flat["boxes"] * torch.tensor([1.0, 0, 1, 1 / 3]),
        "labels": flat["labels"],
        "instance_ids": flat["instance_ids"],
    }
    assert status(law, DenseSample.unchecked(**thin)) == "violated"
    both = crowd([(0, 1), (1, 2), (3, 4), (4, 5)], labels=torch.tensor([1, 1, 2, 2]))
    (report,) = check_sample(both, only=law)
    assert report.count == 2 * H


def test_a_row_in_the_first_column_has_a_box_too() -> None:
    law = "instance.boxes_are_tight"
    assert status(law, crowd([(0, 0)])) == "held"
    assert status(law, crowd([(0, 0)], boxes=torch.tensor([[0.0, 0, 2, H]]))) == "violated"
    nothing = torch.zeros(1, H, W, dtype=torch.bool)
    assert status(law, crowd([(0, 0)], instance_masks=nothing)) == "not_exercised"


def test_an_empty_mask_that_was_there_is_not_blamed() -> None:
    law = "instance.masks_not_empty"
    empty = crowd([(0, 1)], instance_masks=torch.zeros(1, H, W, dtype=torch.bool))
    assert status(law, empty) == "violated"
    assert status(law, empty, before=empty) == "held"
    assert status(law, empty, before=crowd([(0, 1)])) == "violated"


def test_ids_are_not_negative() -> None:
    law = "instance.ids_unique"
    for identity, verdict in ((2**31 - 1, "held"), (0, "held"), (-1, "violated")):
        ids = torch.tensor([identity], dtype=torch.int32)
        assert status(law, crowd([(0, 1)], instance_ids=ids)) == verdict, identity


def facing(*vectors: list[float]) -> DenseSample:
    values = torch.tensor(vectors).t().reshape(3, 1, len(vectors))
    return DenseSample.unchecked(
        image=torch.zeros((3, 1, len(vectors)), dtype=torch.uint8), normals=values.contiguous()
    )


def test_without_normals_there_is_nothing_to_judge() -> None:
    for law in ("normals.unit_length", "normals.face_camera"):
        (report,) = check_sample(facing([0.0] * 3, [0.0] * 3), only=law)
        assert (report.status, report.message) == ("not_exercised", "no normal")


def test_of_averted_normals_only_those_that_offend_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(averted, "PAIRS", 4)
    towards, away, aside = [0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [0.0, 0.8, 0.6]
    after = facing(*[aside] * 4, *[[0.0, 0.6, -0.8]] * 4)
    (report,) = check_sample(
        after, before=facing(*[towards] * 8), source=facing(away, away), only="normals.face_camera"
    )
    assert (report.status, report.count) == ("violated", 4)


def test_a_squared_norm_may_be_off_by_its_tolerance_and_no_more() -> None:
    law = "normals.unit_length"
    assert status(law, facing([2.0**-11, 0.0, -1.0])) == "held"  # 1 + 2^-22
    assert status(law, facing([2.0**-11, 2.0**-13, -1.0])) == "violated"  # which float32 would round off


def test_labels_on_padding_that_is_new() -> None:
    padding = torch.zeros(1, *BEFORE.image.shape[1:], dtype=torch.bool)
    padding[..., -2:] = True
    (report,) = check_sample(changed(padding_mask=padding), before=BEFORE, only="padding.carries_no_labels")
    assert report.count == int(padding.sum())
    assert report.message.startswith(f"{report.count} of {padding.numel()} pixels: padding carries a label")


def test_metric_depth_without_depth_does_not_agree() -> None:
    batch = random_case(1, LEGAL_MODALITY_SETS[0], canvas=(4, 5), slots=3).target
    object.__setattr__(batch, "metric_depth", True)
    (report,) = check_sample(batch, only="sample.shapes_agree")
    assert report.message == "metric_depth: got True without depth, expected depth and depth_valid"


def test_boxes_beside_sampled_masks_may_miss_them_by_the_slack() -> None:
    masks = torch.zeros((1, 4, 4), dtype=torch.bool)
    masks[0, 1:3, 1:3] = True
    for box, off in (([1.0, 1.0, 3.0, 3.0], 0.0), ([0.5, 1.5, 3.5, 3.0], 0.5), ([1.0, 1.0, 3.0, 4.5], 1.5)):
        sample = DenseSample.unchecked(
            image=torch.zeros((3, 4, 4), dtype=torch.uint8),
            boxes=torch.tensor([box]),
            labels=torch.tensor([1]),
            instance_ids=torch.tensor([1], dtype=torch.int32),
            instance_masks=masks,
        )
        for slack in (0.0, 0.5, 1.0, 1.5):
            for law, miss in (("instance.boxes_are_tight", off), ("instance.boxes_in_canvas", off - 1)):
                (report,) = check_sample(sample, box_slack=slack, only=law)
                assert report.ok == (miss <= slack), (box, slack, law)

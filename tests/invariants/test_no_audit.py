"""Augmentations that give no audit, or half of one: what is inferred, what is left open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.invariants import InvariantReport, assert_paste, check_paste, check_sample
from segpaste.invariants.report import InvariantViolation
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.invariants.invariant_cases import IGNORE, paste_by_expectation, random_case

SCHEMA = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 7: "stuff"}, max_instances_per_image=3)
H, W = 4, 6


def scene(rows: dict[int, tuple[int, int, int]], colour: int = 0, **extra: Any) -> DenseSample:
    """Upright bars: id -> (label, first column, last column); every pixel has a colour of its own."""
    masks = torch.zeros((len(rows), H, W), dtype=torch.bool)
    semantic = torch.full((H, W), 7, dtype=torch.int64)
    panoptic = torch.zeros((H, W), dtype=torch.int64)
    boxes: list[list[float]] = []
    for n, (identity, (label, left, right)) in enumerate(rows.items()):
        masks[n, :, left : right + 1] = True
        semantic[masks[n]], panoptic[masks[n]] = label, identity
        boxes.append([left, 0, right + 1, H])
    fields: dict[str, Any] = {
        "image": (torch.arange(H * W, dtype=torch.int64).reshape(1, H, W) + colour).to(torch.uint8),
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor([label for label, *_ in rows.values()], dtype=torch.int64),
        "instance_ids": torch.tensor(list(rows), dtype=torch.int32),
        "instance_masks": masks,
        "semantic_map": semantic,
        "panoptic_map": panoptic,
    }
    return DenseSample.unchecked(**fields | extra)


def fields_of(sample: DenseSample) -> dict[str, Any]:
    return {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in sample.to_dict().items()}


BEFORE = scene({5: (1, 0, 1), 6: (2, 3, 5)})
DONOR = scene({9: (1, 2, 3)}, colour=100)


def pasted(**changes: Any) -> DenseSample:
    """BEFORE with DONOR's bar over columns 2 and 3, right but for the changes."""
    good = scene({5: (1, 0, 1), 6: (2, 4, 5), 7: (1, 2, 3)})
    fields = fields_of(good)
    fields["image"][:, :, 2:4] = DONOR.image[:, :, 2:4]
    return DenseSample.unchecked(**fields | changes)


def judged(after: DenseSample, **known: Any) -> dict[str, InvariantReport]:
    return {report.name: report for report in check_paste(BEFORE, after, schema=SCHEMA, **known)}


def test_a_correct_paste_is_accepted_and_what_is_open_is_called_open() -> None:
    reports = judged(pasted(), source=DONOR)
    assert [str(r) for r in reports.values() if not r.ok] == []
    held = {name for name, r in reports.items() if r.status == "held"}
    assert {
        "instance.identity_preserved",
        "instance.masks_minus_union",
        "instance.bbox_recomputed_from_mask",
        "instance.fresh_ids",
        "instance.pasted_masks_disjoint",
        "panoptic.bijection",
        "panoptic.fresh_ids",
        "panoptic.thing_stuff_consistent",
        "semantic.single_class",
        "paste.every_painted_pixel_has_a_row",
        "paste.things_only",
        "paste.unchanged_outside_union.image",
        "paste.unchanged_outside_union.semantic",
    } <= held
    open_ = {name for name, r in reports.items() if r.status == "not_decidable"}
    assert {
        "instance.pasted_labels",
        "instance.small_area_dropped",
        "paste.drops_exactly_by_threshold",
        "paste.inside_union_is_source.image",
        "paste.pasted_rows_large_enough",
        "paste.selection_by_plan",
        "paste.union_is_pasted_masks",
        "paste.within_capacity",
        "panoptic.stuff_threshold",
    } <= open_
    assert reports["paste.selection_by_plan"].message == "no plan, configuration to recompute the paste from"


def wrong_names(after: DenseSample, **known: Any) -> set[str]:
    return {name for name, report in judged(after, **known).items() if not report.ok}


def test_raw_source_ids_that_collide() -> None:
    after = pasted()
    ids, panoptic = after.instance_ids, after.panoptic_map
    assert ids is not None
    assert panoptic is not None
    collided = panoptic.as_subclass(torch.Tensor).clone()
    collided[collided == 7] = 5
    found = wrong_names(
        pasted(instance_ids=torch.tensor([5, 6, 5], dtype=torch.int32), panoptic_map=collided)
    )
    assert {"instance.fresh_ids", "panoptic.fresh_ids", "panoptic.bijection"} <= found
    # The collision is found from the other side, too, when the newcomer stands first.
    fields = fields_of(pasted(instance_ids=torch.tensor([5, 6, 5], dtype=torch.int32)))
    order = [2, 1, 0]
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        fields[name] = fields[name][order]
    assert "instance.fresh_ids" in wrong_names(DenseSample.unchecked(**fields))


def test_the_id_of_a_dropped_row_given_to_a_newcomer_elsewhere() -> None:
    fields = fields_of(scene({5: (1, 0, 1), 6: (1, 2, 2)}))
    fields["image"][:, :, 2:6] = DONOR.image[:, :, 2:6]
    found = wrong_names(DenseSample.unchecked(**fields))
    assert "instance.fresh_ids" in found


def test_stale_boxes() -> None:
    boxes = fields_of(pasted())["boxes"]
    boxes[1] = torch.tensor([3.0, 0.0, 6.0, 4.0])
    reports = judged(pasted(boxes=boxes))
    assert {n for n, r in reports.items() if not r.ok} == {"instance.bbox_recomputed_from_mask"}
    report = reports["instance.bbox_recomputed_from_mask"]
    assert report.message == "row 1: box (3, 0, 6, 4), mask spans (4, 0, 6, 4)"
    assert report.rows == (1,)


def test_painted_but_not_labelled() -> None:
    image = fields_of(pasted())["image"]
    image[:, 0, 5] += 1
    reports = judged(pasted(image=image))
    assert {n for n, r in reports.items() if not r.ok} == {
        "paste.every_painted_pixel_has_a_row",
        "paste.unchanged_outside_union.image",
    }
    mask = reports["paste.every_painted_pixel_has_a_row"].mask
    assert mask is not None
    assert mask.nonzero().tolist() == [[0, 5]]


def test_ignore_painted_over() -> None:
    ignored = fields_of(BEFORE)["semantic_map"]
    ignored[0, 2] = IGNORE
    before = DenseSample.unchecked(**fields_of(BEFORE) | {"semantic_map": ignored})
    reports = check_paste(before, pasted(), schema=SCHEMA)
    assert {"semantic.ignore_preserved", "paste.not_on_ignore"} == {r.name for r in reports if not r.ok}
    with pytest.raises(InvariantViolation, match=r"\[semantic.ignore_preserved\] 1 of 24 pixels"):
        assert_paste(before, pasted(), schema=SCHEMA)


def test_untrimmed_original() -> None:
    masks = fields_of(pasted())["instance_masks"]
    masks[1, :, 3] = True
    found = wrong_names(pasted(instance_masks=masks))
    assert {"instance.masks_minus_union", "instance.pasted_masks_disjoint", "panoptic.bijection"} <= found


def test_emptied_original_kept() -> None:
    fields = fields_of(scene({5: (1, 0, 1), 6: (2, 3, 5), 7: (1, 3, 5)}))
    fields["instance_masks"][1] = False
    fields["image"][:, :, 3:] += 100
    found = wrong_names(DenseSample.unchecked(**fields))
    assert "instance.small_area_dropped" in found


def test_a_newcomer_without_pixels() -> None:
    fields = fields_of(scene({5: (1, 0, 1), 6: (2, 3, 5), 7: (1, 2, 2)}))
    fields["instance_masks"][2] = False
    found = wrong_names(DenseSample.unchecked(**fields))
    assert "paste.pasted_rows_large_enough" in found


def test_label_that_no_source_row_has() -> None:
    labels = torch.tensor([1, 2, 2])
    assert "instance.pasted_labels" in wrong_names(pasted(labels=labels), source=DONOR)
    assert "instance.pasted_labels" not in wrong_names(pasted(labels=labels))


def test_harmless_row_dropped() -> None:
    fields = fields_of(pasted())
    for name in ("boxes", "labels", "instance_ids", "instance_masks"):
        fields[name] = fields[name][1:]
    reports = judged(DenseSample.unchecked(**fields))
    report = reports["paste.drops_exactly_by_threshold"]
    assert report.message == "row 0: dropped, and no pixel of its 8 lost"


def test_too_many_things() -> None:
    crowded = scene({5: (1, 0, 1), 6: (2, 4, 5), 7: (1, 2, 2), 8: (1, 3, 3)})
    assert "paste.within_capacity" in wrong_names(crowded)


def test_renumbered_rows_are_known_by_their_masks() -> None:
    fields = fields_of(pasted())
    fields["instance_ids"] = torch.tensor([11, 6, 7], dtype=torch.int32)
    after = DenseSample.unchecked(**fields)
    report = judged(after, source=DONOR)["instance.identity_preserved"]
    assert report.message == "row 0: (id, label) (11, 1), expected (5, 1)"
    # Without the donor the row might be a paste of the same thing at the same place.
    assert judged(after)["instance.identity_preserved"].ok
    assert judged(after, source=BEFORE)["instance.identity_preserved"].ok


def test_a_newcomer_like_a_dropped_row_is_no_survivor() -> None:
    # Same mask, same class, another picture: what was there is gone.
    fields = fields_of(scene({5: (1, 0, 1), 7: (2, 3, 5)}))
    fields["image"][:, :, 3:] = DONOR.image[:, :, 3:]
    after = DenseSample.unchecked(**fields)
    donor = scene({9: (2, 2, 3)}, colour=100)
    assert judged(after, source=donor)["instance.identity_preserved"].ok
    # Of one colour, nobody can tell.
    plain = torch.zeros((1, H, W), dtype=torch.uint8)
    flat_before = DenseSample.unchecked(**fields_of(BEFORE) | {"image": plain})
    flat_after = DenseSample.unchecked(**fields | {"image": plain})
    reports = check_paste(flat_before, flat_after, source=donor, schema=SCHEMA)
    assert [str(r) for r in reports if not r.ok] == []


def test_void_under_a_row_that_survives() -> None:
    fields = fields_of(pasted())
    fields["semantic_map"][0, 0], fields["panoptic_map"][0, 0] = IGNORE, 0
    reports = judged(DenseSample.unchecked(**fields))
    assert not reports["paste.void_exact"].ok
    assert reports["paste.unchanged_outside_union.semantic"].status == "not_decidable"


def test_validity_that_came_from_nowhere() -> None:
    depth = torch.ones((1, H, W))
    valid = torch.ones((1, H, W), dtype=torch.bool)
    hole = valid.clone()
    hole[0, 0, 2] = False
    before = DenseSample.unchecked(**fields_of(BEFORE) | {"depth": depth, "depth_valid": hole})
    after = pasted(depth=depth, depth_valid=valid)
    reports = {r.name: r for r in check_paste(before, after)}
    assert not reports["depth.validity_join"].ok
    assert reports["depth.monotonic"].status == "not_decidable"
    joined = pasted(depth=depth, depth_valid=hole)
    assert {r.name: r for r in check_paste(before, joined)}["depth.validity_join"].status == "not_decidable"


def test_boxes_alone_are_known_by_value() -> None:
    def boxed(*boxes: list[float]) -> DenseSample:
        return DenseSample(
            image=BEFORE.image,
            boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),  # pyright: ignore[reportArgumentType]
            labels=torch.ones(len(boxes), dtype=torch.int64),
        )

    before, after = boxed([0, 0, 1, 1], [0, 0, 2, 2]), boxed([0, 0, 2, 2], [1, 1, 3, 3])
    reports = {r.name: r for r in check_paste(before, after)}
    assert [str(r) for r in reports.values() if not r.ok] == [
        "[paste.rows_need_masks] row 0: came or went, expected the rows as before (and 1 more rows)"
    ]
    assert reports["instance.identity_preserved"].status == "held"
    assert not [r for r in check_paste(before, boxed([0, 0, 2, 2], [0, 0, 1, 1])) if not r.ok]
    assert {r.status for r in check_sample(after, before=before)} <= {
        "held",
        "not_applicable",
        "not_exercised",
    }
    off = DenseSample.unchecked(**fields_of(after) | {"boxes": torch.tensor([[-1.0, 0, 2, 2], [0, 0, 1, 1]])})
    assert "instance.boxes_in_canvas" in {r.name for r in check_sample(off, before=before) if not r.ok}
    assert "instance.boxes_in_canvas" not in {r.name for r in check_sample(off, before=off) if not r.ok}


def test_semantic_only_without_a_plan_is_open() -> None:
    names = ("image", "semantic_map")
    before = DenseSample(**{n: v for n, v in fields_of(BEFORE).items() if n in names})
    after = DenseSample(**{n: v for n, v in fields_of(pasted()).items() if n in names})
    reports = {r.name: r.status for r in check_paste(before, after, schema=SCHEMA)}
    assert "violated" not in reports.values()
    assert reports["paste.unchanged_outside_union.image"] == "not_decidable"
    assert reports["paste.void_exact"] == "not_decidable"
    told = BatchAuditPacket(paste_union=torch.ones((1, H, W), dtype=torch.bool))
    assert {r.name: r.status for r in check_paste(before, after, told)}[
        "audit.union_is_true"
    ] == "not_decidable"


def test_half_an_audit() -> None:
    union = torch.zeros((1, H, W), dtype=torch.bool)
    union[:, :, 2:4] = True
    rows = torch.tensor([[-1, -1, 0]])
    told = BatchAuditPacket(paste_union=union, row_source=rows, warped_images=torch.zeros((1, 1, H, W)))
    reports = {r.name: r.status for r in check_paste(BEFORE, pasted(), told)}
    assert reports["audit.union_is_true"] == "not_decidable"
    assert reports["audit.rows_are_true"] == "not_decidable"
    assert reports["audit.warped_is_true"] == "not_decidable"
    lying = replace(told, paste_union=~union)
    reports = {r.name: r.status for r in check_paste(BEFORE, pasted(), lying)}
    assert reports["audit.union_is_true"] == "violated"


def test_another_canvas_decides_one_law_only() -> None:
    small = DenseSample(image=BEFORE.image[:, :2])  # pyright: ignore[reportArgumentType]
    reports = check_paste(BEFORE, small, index=3)
    assert {r.name for r in reports if not r.ok} == {"paste.frame_kept"}
    assert {r.status for r in reports} == {"violated", "not_decidable"}
    assert str(next(r for r in reports if not r.ok)).startswith("[paste.frame_kept] sample 3, canvas (2, 6)")


def test_another_image_dtype_is_the_frame_and_every_pixel() -> None:
    after = pasted(image=torch.zeros((1, H, W)))
    found = wrong_names(after)
    assert {"paste.frame_kept", "paste.unchanged_outside_union.image"} <= found


def test_a_plan_that_does_not_fit_leaves_the_rest_open() -> None:
    plan = PastePlan(
        source_idx=torch.zeros(1, dtype=torch.int64),
        step=torch.tensor([65536]),
        translate=torch.zeros((1, 2), dtype=torch.int64),
        hflip=torch.tensor([False]),
        order=torch.tensor([[0]]),
        count=torch.tensor([1]),
        mix_key=torch.tensor([0]),
    )
    union = torch.zeros((1, H, W), dtype=torch.bool)
    union[:, :, 2:4] = True
    told = BatchAuditPacket(
        paste_union=union, plan=plan, config=BatchCopyPasteConfig(min_residual_area_frac=0.0)
    )
    reports = {r.name: r for r in check_paste(BEFORE, pasted(), told, source=DONOR)}
    # Neither side has slots, and the audit names none: there is room for every row of the donor.
    assert [str(r) for r in reports.values() if not r.ok] == []
    assert reports["paste.selection_by_plan"].status == "held"
    bare = DenseSample(image=DONOR.image)
    reports = {r.name: r for r in check_paste(BEFORE, pasted(), told, source=bare)}
    assert {n for n, r in reports.items() if not r.ok} == {"audit.plan_fits", "instance.pasted_labels"}
    assert "cannot be recomputed: source: got modalities" in reports["paste.selection_by_plan"].message
    reports = {r.name: r for r in check_paste(BEFORE, pasted(), told)}
    assert reports["audit.plan_fits"].status == "not_decidable"


def test_a_sample_pasted_into_a_padded_batch() -> None:
    from segpaste.types import BatchedDenseSample

    after = BatchedDenseSample.from_samples([pasted()]).to_padded(5)
    reports = check_paste(BEFORE, after, source=DONOR, schema=SCHEMA)
    assert [str(r) for r in reports if not r.ok] == []
    assert "held" in {r.status for r in reports}


def test_a_warped_map_that_the_source_lacks() -> None:
    case = random_case(3, LEGAL_MODALITY_SETS[0], canvas=(4, 4), slots=2, source_slots=2)
    out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
    odd = replace(told, warped_normals=torch.zeros((1, 3, 4, 4)))
    (report,) = check_paste(case.target, out, odd, source=case.source, only="audit.warped_is_true")
    assert report.message == "warped normals of a source without it"
    silent = replace(told, row_source=None)
    (report,) = check_paste(case.target, out, silent, source=case.source, only="audit.rows_are_true")
    assert report.ok

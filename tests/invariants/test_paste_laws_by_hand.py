"""Clauses of the paste laws that drawn and broken pastes seldom decide, one small scene each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from segpaste.invariants import InvariantReport, check_paste
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
)
from tests.invariants.invariant_cases import Case, dense, paste_by_expectation, random_case, with_fields
from tests.invariants.test_no_audit import DONOR, H, W, fields_of, scene
from tests.invariants.test_not_made_worse import crowd

ROWS = LEGAL_MODALITY_SETS[0]
DEPTH = next(m for m in LEGAL_MODALITY_SETS if Modality.DEPTH in m and Modality.INSTANCE in m)
NORMALS = next(m for m in LEGAL_MODALITY_SETS if Modality.NORMALS in m and Modality.INSTANCE in m)
LABELLED = next(
    m
    for m in LEGAL_MODALITY_SETS
    if {Modality.SEMANTIC, Modality.INSTANCE} <= m and Modality.PANOPTIC not in m
)
STUFF = 7


def judged(law: str, before: Any, after: Any, *known: Any, **more: Any) -> InvariantReport:
    (report,) = check_paste(before, after, *known, only=law, **more)
    return report


def bars(masks: list[torch.Tensor]) -> DenseSample:
    """Rows of one line of pixels, ids and labels 1, 2, ..."""
    rows = torch.stack(masks)[:, None]
    width = rows.shape[2]
    spans = [mask.nonzero().flatten() for mask in masks]
    boxes = [[float(s[0]), 0.0, float(s[-1]) + 1, 1.0] for s in spans]
    return DenseSample.unchecked(
        image=torch.full((1, 1, width), len(masks), dtype=torch.uint8),
        boxes=torch.tensor(boxes),
        labels=torch.arange(1, len(masks) + 1),
        instance_ids=torch.arange(1, len(masks) + 1, dtype=torch.int32),
        instance_masks=rows,
    )


def left_of(width: int, left: int) -> tuple[DenseSample, DenseSample]:
    """A row of ``width`` pixels, and what is left of it beside a pasted one."""
    kept = torch.arange(width) < left
    return bars([torch.ones(width, dtype=torch.bool)]), bars([kept, ~kept])


def test_a_row_exactly_at_its_fraction_survives() -> None:
    law = "instance.small_area_dropped"
    half = BatchCopyPasteConfig(min_residual_area_frac=0.5)
    assert judged(law, *left_of(8, 4), config=half).status == "held"
    found = judged(law, *left_of(8, 3), config=half)
    assert found.message == (
        "row 0: 3 of 8 pixels left, expected 1 or more and at least 0.5 of them, or the row dropped"
    )
    least = BatchCopyPasteConfig(min_residual_area_frac=1 / 65536)
    assert judged(law, *left_of(65536, 1), config=least).status == "held"
    assert judged(law, *left_of(65537, 1), config=least).status == "violated"
    area = BatchCopyPasteConfig(min_area=3, min_residual_area_frac=0.0)
    assert judged(law, *left_of(8, 3), config=area).status == "held"
    assert judged(law, *left_of(8, 2), config=area).status == "violated"


def test_only_overlaps_that_the_paste_made_count() -> None:
    law = "instance.no_same_class_overlap"
    before = crowd([(0, 2), (1, 3)])
    assert judged(law, before, crowd([(0, 2), (1, 3), (5, 5)])).status == "held"
    found = judged(law, before, crowd([(0, 2), (1, 3), (3, 5)]))
    assert (found.status, found.count) == ("violated", crowd([(0, 0)]).image.shape[1])
    assert judged(law, crowd([(0, 0)]), crowd([(0, 0), (5, 5)])).status == "held"


def test_a_label_that_no_donor_has_is_named() -> None:
    before = scene({5: (1, 0, 1)})
    found = judged("instance.pasted_labels", before, scene({5: (1, 0, 1), 7: (2, 2, 3)}), source=DONOR)
    assert found.message == "row 1: label 2, which no source row has"


def test_more_rows_than_the_schema_allows() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 7: "stuff"}, max_instances_per_image=2)
    before = scene({5: (1, 0, 0)})
    law = "paste.within_capacity"
    three = scene({5: (1, 0, 0), 6: (1, 2, 2), 7: (1, 4, 4)})
    found = judged(law, before, three, schema=schema)
    assert found.message == "3 rows, expected at most max_instances_per_image = 2"
    two = scene({5: (1, 0, 0), 6: (1, 2, 2)})
    assert judged(law, before, two, schema=schema).status == "not_decidable"
    assert judged(law, three, three, schema=schema).status == "not_decidable"


def three_for_two(count: int = 3) -> tuple[Case, PaddedBatchedDenseSample, BatchAuditPacket]:
    """An empty target of two slots; of a source of three rows the first two are pasted as they lie."""
    case = random_case(
        3, ROWS, canvas=(4, 5), slots=2, source_slots=3, count=count, schema=False, padding=False,
        fullness=0.0, min_pasted_area=1,
    )  # fmt: skip
    masks = torch.zeros(1, 3, 4, 5, dtype=torch.bool)
    for k in range(3):
        masks[0, k, k] = True
    source = with_fields(
        case.source,
        instance_masks=masks,
        instance_valid=torch.ones(1, 3, dtype=torch.bool),
        labels=torch.tensor([[1, 2, 3]]),
    )
    plan = replace(
        case.plan,
        step=torch.tensor([65536]),
        translate=torch.zeros(1, 2, dtype=torch.int64),
        order=torch.arange(3)[None],
    )
    case = replace(case, source=source, plan=plan)
    return case, *paste_by_expectation(case.target, source, plan, case.config)


def test_rows_are_limited_by_what_is_free_and_by_k_range() -> None:
    law = "paste.within_capacity"
    case, out, told = three_for_two()
    source = case.source
    assert out.instance_valid.tolist() == [[True, True]]
    assert judged(law, case.target, out, told, source=source).status == "held"
    assert judged(law, dense(case.target), out, told, source=source).status == "held"
    # The same plan, from a configuration that asks for one row at most.
    most = case.config.model_copy(update={"placement": BatchedPlacementConfig(k_range=(1, 1))})
    found = judged(law, case.target, out, replace(told, config=most), source=source)
    assert found.message == "2 rows pasted, expected at most 1 (capacity 2, k_range up to 1)"
    # And a third row in a slot that was not there.
    more = {
        name: torch.cat([out.tensors()[name], out.tensors()[name][:, :1]], dim=1)
        for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
    }
    most = case.config.placement.k_range[1]
    found = judged(law, case.target, with_fields(out, **more), told, source=source)
    assert found.message == f"3 rows pasted, expected at most 2 (capacity 2, k_range up to {most})"


def test_two_rows_on_a_pixel_whose_ids_add_up_to_its_own() -> None:
    before = scene({1: (1, 0, 1), 2: (2, 3, 4)})
    fields = fields_of(scene({1: (1, 0, 1), 2: (2, 3, 4), 3: (1, 2, 2)}))
    fields["instance_masks"][:2, :, 5] = True
    fields["panoptic_map"][:, 5] = 3
    found = judged("panoptic.bijection", before, DenseSample.unchecked(**fields))
    assert (found.status, found.count) == ("violated", H)


def test_void_under_a_row_that_survives() -> None:
    law = "paste.void_exact"
    before = scene({5: (1, 0, 1)})
    fields = fields_of(before)
    fields["semantic_map"][:, 0] = 255
    fields["panoptic_map"][:, 0] = 0
    found = judged(law, before, DenseSample.unchecked(**fields))
    assert found.message == (
        f"{H} of {H * W} pixels: turned into void under a row that survives; first at (x, y) = (0, 0)"
    )
    bare = [{n: v for n, v in f.items() if n != "panoptic_map"} for f in (fields_of(before), fields)]
    without = [DenseSample.unchecked(**f) for f in bare]
    assert judged(law, *without).status == "not_decidable"


def test_metric_depth_at_twice_the_distance_is_judged() -> None:
    held = 0
    for seed in range(20):
        case = random_case(
            seed, DEPTH, canvas=(4, 5), slots=4, source_slots=3, count=3, metric=True, step=65536,
            schema=False, z_test=False, padding=False,
        )  # fmt: skip
        target = with_fields(case.target, camera_intrinsics=torch.tensor([[200.0, 200, 2, 2]]).double())
        source = with_fields(case.source, camera_intrinsics=torch.tensor([[100.0, 100, 2, 2]]).double())
        out, told = paste_by_expectation(target, source, case.plan, case.config)
        held += judged("depth.metric_rescaled", target, out, told, source=source).status == "held"
    assert held > 0


def test_pixels_of_all_pasted_masks_are_shown() -> None:
    case, out, told = three_for_two()
    masks = out.tensors()["instance_masks"].clone()
    masks[0, 0, 3, 0] = masks[0, 1, 3, 1] = True
    wrong = with_fields(out, instance_masks=masks)
    found = judged("paste.inside_union_is_source.instance", case.target, wrong, told, source=case.source)
    assert found.mask is not None
    assert found.mask.nonzero().tolist() == [[3, 0], [3, 1]]


def test_pixels_of_all_survivors_are_shown() -> None:
    after = fields_of(scene({5: (1, 0, 1), 6: (2, 3, 4)}))
    after["instance_masks"][0, :, 0] = after["instance_masks"][1, :, 4] = False
    before = scene({5: (1, 0, 1), 6: (2, 3, 4)})
    found = judged("instance.masks_minus_union", before, DenseSample.unchecked(**after))
    assert found.mask is not None
    assert found.mask.any(dim=0).nonzero().flatten().tolist() == [0, 4]


def test_a_row_too_many_stands_in_no_ones_slot() -> None:
    case, out, told = three_for_two(count=1)
    assert out.instance_valid.tolist() == [[True, False]]
    doubled = {name: out.tensors()[name].clone() for name in ("instance_valid", "instance_masks")}
    for value in doubled.values():
        value[0, 1] = value[0, 0]
    after = with_fields(out, **doubled)
    assert judged("paste.rows_in_free_slots", case.target, after, told, source=case.source).status == "held"
    assert (
        judged("paste.selection_by_plan", case.target, after, told, source=case.source).status == "violated"
    )


def test_an_id_that_only_a_row_had_is_not_fresh() -> None:
    fields = fields_of(scene({5: (1, 0, 1), 6: (2, 3, 4)}))
    fields["panoptic_map"][:, 3:5] = 0
    after = scene({5: (1, 0, 1), 6: (1, 5, 5)})
    found = judged("instance.fresh_ids", DenseSample.unchecked(**fields), after)
    assert found.message == "row 2: id 6, which was in use before"


def test_a_single_row_asked_for_is_asked_for() -> None:
    law = "paste.rows_need_masks"
    for count, verdict in ((0, "not_exercised"), (1, "held")):
        case = random_case(3, frozenset({Modality.IMAGE}), slots=2, source_slots=2, fullness=0.0, count=count)
        known = {"source": case.source, "plan": case.plan, "config": case.config}
        assert judged(law, case.target, case.target, **known).status == verdict


def test_a_flip_shows_in_n_x_alone() -> None:
    met = 0
    for seed in range(20):
        case = random_case(
            seed,
            NORMALS,
            canvas=(4, 5),
            slots=4,
            source_slots=3,
            count=3,
            schema=False,
            padding=False,
            hflip=True,
        )
        for vector, verdict in (((0.0, 0.6, -0.8), "not_exercised"), ((0.6, 0.0, -0.8), "held")):
            normals = torch.tensor(vector).reshape(1, 3, 1, 1).expand(1, 3, 4, 5).contiguous()
            source = with_fields(case.source, normals=normals)
            out, told = paste_by_expectation(case.target, source, case.plan, case.config)
            if bool(told.paste_union.any()):
                met += 1
                assert judged("normals.frame", case.target, out, told, source=source).status == verdict
    assert met > 0


def test_a_depth_of_equal_value_and_other_bits_was_not_in_front() -> None:
    valid = torch.ones((1, H, W), dtype=torch.bool)
    zeros = torch.zeros((1, H, W))
    before, after = (
        DenseSample.unchecked(**(fields_of(scene({5: (1, 0, 1)})) | {"depth": depth, "depth_valid": valid}))
        for depth in (zeros, -zeros)
    )
    found = judged("depth.monotonic", before, after, config=BatchCopyPasteConfig())
    assert (found.status, found.count) == ("violated", H * W)


def test_stuff_under_a_paste_that_looks_like_it_was_not_taken_back() -> None:
    met = 0
    for seed in range(20):
        case = random_case(
            seed, LABELLED, canvas=(4, 5), slots=4, source_slots=3, count=3, schema=True, padding=False,
            dtype=torch.uint8, tau=0.0, stuff_min_area={}, ignore_share=0.0,
        )  # fmt: skip
        alike = {
            "images": torch.zeros_like(case.target.images),
            "semantic_maps": torch.full_like(case.target.tensors()["semantic_maps"], STUFF),
        }
        target, source = with_fields(case.target, **alike), with_fields(case.source, **alike)
        out, told = paste_by_expectation(target, source, case.plan, case.config)
        met += bool(told.paste_union.any())
        assert judged("panoptic.stuff_threshold", target, out, told, source=source).ok
    assert met > 0

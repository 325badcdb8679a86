"""Every law rejects an output broken on purpose: one small mistake each, over correct pastes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.invariants import (
    LAWS,
    MetamorphicCase,
    check_metamorphic,
    check_padded,
    check_paste,
    check_sample,
    laws,
)
from segpaste.invariants.expected import ExpectedPaste, expect_paste
from segpaste.invariants.transforms import compact
from segpaste.invariants.view import view_of
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    BatchCopyPasteConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.invariants.invariant_cases import (
    IGNORE,
    Case,
    dense,
    joined_cases,
    paste_by_expectation,
    random_case,
    with_fields,
)

ALL = LEGAL_MODALITY_SETS[-1]
ROWS_ONLY = LEGAL_MODALITY_SETS[0]  # without a panoptic map source masks may overlap: pixels are contested
SEEDS = 400
WANTED = 2  # broken outputs to try per breaker

BOXES_ONLY = frozenset({Modality.IMAGE})


@dataclass(frozen=True)
class Paste:
    """A correct paste, to be broken."""

    case: Case
    out: PaddedBatchedDenseSample
    audit: BatchAuditPacket
    expected: ExpectedPaste

    @property
    def fields(self) -> dict[str, torch.Tensor]:
        """Copies of the output's tensors, sample 0."""
        return {name: value[0].clone() for name, value in self.out.tensors().items()}

    @property
    def pasted(self) -> list[int]:
        return (self.expected.row_source >= 0).nonzero().flatten().tolist()

    @property
    def survivors(self) -> list[int]:
        return (self.case.target.instance_valid & self.out.instance_valid)[0].nonzero().flatten().tolist()

    @property
    def lost(self) -> list[int]:
        """Survivors that lost pixels."""
        return [k for k in self.survivors if bool(self.expected.touched[k])]

    def broken(self, **fields: torch.Tensor) -> PaddedBatchedDenseSample:
        return with_fields(self.out, **{name: value[None] for name, value in fields.items()})

    def some(self, pixels: torch.Tensor) -> tuple[int, int] | None:
        where = pixels.nonzero()
        return None if where.shape[0] == 0 else (int(where[0, 0]), int(where[0, 1]))


Broken = PaddedBatchedDenseSample | tuple[PaddedBatchedDenseSample, BatchAuditPacket] | None
Breaker = Callable[[Paste], Broken]
PASTE: list[tuple[str, Breaker, dict[str, Any]]] = []


def breaks(law: str, **wanted: Any) -> Callable[[Breaker], Breaker]:
    """Enter a breaker: None where the paste offers nothing to break."""

    def enter(breaker: Breaker) -> Breaker:
        PASTE.append((law, breaker, wanted))
        return breaker

    return enter


# --- rows ----------------------------------------------------------------------------


@breaks("instance.identity_preserved")
def label_of_a_survivor_changed(p: Paste) -> Broken:
    labels = p.fields["labels"]
    if not p.survivors:
        return None
    labels[p.survivors[0]] += 1
    return p.broken(labels=labels)


@breaks("instance.identity_preserved", fullness=0.9)
def two_survivors_swapped(p: Paste) -> Broken:
    if len(p.survivors) < 2:
        return None
    order = torch.arange(p.out.max_instances)
    a, b = p.survivors[:2]
    order[a], order[b] = b, a
    f = p.fields
    names = ("boxes", "labels", "instance_ids", "instance_masks")
    return p.broken(**{name: f[name][order] for name in names})


@breaks("paste.rows_need_masks", modalities=BOXES_ONLY)
def phantom_row(p: Paste) -> Broken:
    valid = p.fields["instance_valid"]
    if bool(valid.all()):
        return None
    valid[:] = True
    return p.broken(instance_valid=valid)


@breaks("paste.rows_need_masks", modalities=BOXES_ONLY)
def phantom_trim(p: Paste) -> Broken:
    f = p.fields
    if not bool(f["instance_valid"].any()):
        return None
    f["boxes"][f["instance_valid"]] += 0.5
    return p.broken(boxes=f["boxes"])


@breaks("instance.masks_minus_union")
def survivors_never_trimmed(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    for k in p.lost:
        masks[k] = p.case.target.tensors()["instance_masks"][0, k]
    return p.broken(instance_masks=masks) if p.lost else None


@breaks("instance.bbox_recomputed_from_mask")
def stale_boxes(p: Paste) -> Broken:
    boxes, old = p.fields["boxes"], p.case.target.boxes[0]
    stale = [k for k in p.lost if not torch.equal(boxes[k], old[k])]
    for k in stale:
        boxes[k] = old[k]
    return p.broken(boxes=boxes) if stale else None


@breaks("instance.bbox_recomputed_from_mask")
def box_of_a_bystander_touched(p: Paste) -> Broken:
    boxes = p.fields["boxes"]
    still = [k for k in p.survivors if k not in p.lost]
    if not still or not p.pasted:
        return None
    boxes[still[0], 0] -= 0.5
    return p.broken(boxes=boxes)


@breaks("instance.small_area_dropped", residual=0.5)
def small_remainder_kept(p: Paste) -> Broken:
    f, old = p.fields, p.case.target.tensors()
    small = p.expected.row_dropped.nonzero().flatten().tolist()
    for k in small:
        f["instance_valid"][k] = True
        f["labels"][k], f["instance_ids"][k] = old["labels"][0, k], old["instance_ids"][0, k]
        f["instance_masks"][k] = old["instance_masks"][0, k] & ~p.expected.union
    return p.broken(**f) if small else None


@breaks("instance.no_same_class_overlap")
def pasted_over_its_class_untrimmed(p: Paste) -> Broken:
    f = p.fields
    same = [(k, n) for k in p.lost for n in p.pasted if f["labels"][k] == f["labels"][n]]
    for k, n in same:
        f["instance_masks"][k] |= f["instance_masks"][n]
    return p.broken(instance_masks=f["instance_masks"]) if same else None


@breaks("instance.pasted_masks_disjoint")
def earlier_donor_keeps_its_pixels(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    if len(p.pasted) < 2:
        return None
    masks[p.pasted[0]] |= masks[p.pasted[1]]
    return p.broken(instance_masks=masks)


@breaks("instance.fresh_ids")
def raw_source_ids(p: Paste) -> Broken:
    f, source = p.fields, p.case.source.tensors()["instance_ids"][0]
    wanted = {k: int(source[int(p.expected.row_source[k])]) for k in p.pasted}
    if all(int(f["instance_ids"][k]) == v for k, v in wanted.items()):
        return None
    for k, v in wanted.items():
        f["instance_ids"][k] = v
    return p.broken(instance_ids=f["instance_ids"])


@breaks("instance.fresh_ids", residual=1.0)
def id_of_a_dropped_row_given_away(p: Paste) -> Broken:
    ids, dropped = p.fields["instance_ids"], p.expected.row_dropped.nonzero().flatten().tolist()
    if not dropped or not p.pasted:
        return None
    ids[p.pasted[0]] = p.case.target.tensors()["instance_ids"][0, dropped[0]]
    return p.broken(instance_ids=ids)


@breaks("instance.pasted_labels")
def pasted_row_of_another_class(p: Paste) -> Broken:
    labels = p.fields["labels"]
    if not p.pasted:
        return None
    labels[p.pasted[0]] = 1 + int(labels[p.pasted[0]]) % 3
    return p.broken(labels=labels)


@breaks("paste.things_only", schema=True)
def stuff_pasted(p: Paste) -> Broken:
    labels = p.fields["labels"]
    if not p.pasted:
        return None
    labels[p.pasted[0]] = 7
    return p.broken(labels=labels)


@breaks("paste.within_capacity")
def more_rows_than_asked_for(p: Paste) -> Broken:
    f = p.fields
    free = (~f["instance_valid"]).nonzero().flatten().tolist()
    if not free or len(p.pasted) < int(p.case.plan.count[0]):
        return None
    f["instance_valid"][free[0]] = True
    return p.broken(instance_valid=f["instance_valid"])


@breaks("paste.within_capacity")
def a_slot_more(p: Paste) -> Broken:
    f = p.fields
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        f[name] = torch.cat([f[name], torch.zeros_like(f[name][:1])]) if f[name].shape[0] else f[name]
    return p.broken(**f) if p.out.max_instances else None


@breaks("paste.selection_by_plan")
def one_pasted_row_forgotten(p: Paste) -> Broken:
    f = p.fields
    if not p.pasted:
        return None
    _empty(f, p.pasted[-1])
    return p.broken(**f)


@breaks("paste.rows_in_free_slots")
def pasted_masks_in_the_other_order(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    if len(p.pasted) < 2:
        return None
    a, b = p.pasted[:2]
    masks[[a, b]] = masks[[b, a]]
    return p.broken(instance_masks=masks)


@breaks("paste.rows_in_free_slots", fullness=0.2)
def pasted_into_the_last_free_slot(p: Paste) -> Broken:
    f = p.fields
    last = (~f["instance_valid"]).nonzero().flatten().tolist()
    if len(p.pasted) != 1 or not last or last[-1] < p.pasted[0]:
        return None
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        f[name][last[-1]] = f[name][p.pasted[0]]
    _empty(f, p.pasted[0])
    return p.broken(**f)


@breaks("paste.drops_exactly_by_threshold")
def a_bystander_dropped(p: Paste) -> Broken:
    f = p.fields
    still = [k for k in p.survivors if k not in p.lost]
    if not still:
        return None
    _empty(f, still[0])
    return p.broken(**f)


@breaks("paste.drops_exactly_by_threshold", residual=1.0)
def too_small_and_kept(p: Paste) -> Broken:
    return small_remainder_kept(p)


@breaks("paste.pasted_rows_large_enough", min_pasted_area=3)
def crumbs_pasted(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    if not p.pasted:
        return None
    y, x = p.some(masks[p.pasted[0]]) or (0, 0)
    masks[p.pasted[0]] = False
    masks[p.pasted[0], y, x] = True
    return p.broken(instance_masks=masks)


@breaks("paste.every_row_is_painted")
def mask_not_cut_where_nothing_was_painted(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    outside = p.some(~p.expected.union)
    if not p.pasted or outside is None:
        return None
    masks[p.pasted[0]][outside] = True
    return p.broken(instance_masks=masks)


@breaks("paste.every_row_is_painted")
def row_without_a_picture(p: Paste) -> Broken:
    return (
        with_fields(
            p.case.target,
            **{
                name: p.out.tensors()[name]
                for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
            },
        )
        if p.pasted
        else None
    )


@breaks("paste.winner_by_priority_and_order", z_test=False, count=5, modalities=ROWS_ONLY)
def the_loser_wins(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    contested = (p.expected.may.sum(0) > 1) & p.expected.union
    if not bool(contested.any()) or len(p.pasted) < 2:
        return None
    for n, k in enumerate(p.pasted):
        masks[k] = torch.where(contested, n == 0, masks[k])
    first_already = (p.expected.winner == p.expected.pasted[0]) | ~contested
    return None if bool(first_already.all()) else p.broken(instance_masks=masks)


# --- where and what ------------------------------------------------------------------


@breaks("paste.frame_kept", padding=True)
def padding_forgotten(p: Paste) -> Broken:
    padding = p.fields["padding_mask"]
    return p.broken(padding_mask=torch.zeros_like(padding)) if bool(padding.any()) else None


@breaks("paste.frame_kept", padding=True)
def padding_taken_away(p: Paste) -> Broken:
    return with_fields(p.out, padding_mask=None)


@breaks("paste.frame_kept")
def camera_of_the_source(p: Paste) -> Broken:
    return with_fields(p.out, camera_intrinsics=p.case.source.camera_intrinsics)


@breaks("paste.frame_kept")
def normals_lost(p: Paste) -> Broken:
    return with_fields(p.out, normals=None)


@breaks("paste.frame_kept", dtype=torch.float32)
def image_as_bytes(p: Paste) -> Broken:
    return with_fields(p.out, images=p.out.tensors()["images"].to(torch.uint8))


def _outside(name: str) -> Breaker:
    def one_pixel_outside_changed(p: Paste) -> Broken:
        value = p.fields[name]
        free = ~p.expected.union & ~p.expected.void
        if name in ("semantic_maps",):
            free &= value != IGNORE
        where = p.some(free)
        if where is None:
            return None
        value[(..., *where)] = _other(value[(..., *where)])
        return p.broken(**{name: value})

    return one_pixel_outside_changed


def _inside(name: str) -> Breaker:
    def one_pixel_inside_changed(p: Paste) -> Broken:
        value = p.fields[name]
        where = p.some(p.expected.union)
        if where is None:
            return None
        value[(..., *where)] = _other(value[(..., *where)])
        return p.broken(**{name: value})

    return one_pixel_inside_changed


for _law, _field in (
    ("image", "images"),
    ("semantic", "semantic_maps"),
    ("panoptic", "panoptic_maps"),
    ("depth", "depth"),
    ("depth", "depth_valid"),
    ("normals", "normals"),
):
    PASTE.append((f"paste.unchanged_outside_union.{_law}", _outside(_field), {}))
    PASTE.append((f"paste.inside_union_is_source.{_law}", _inside(_field), {}))


@breaks("paste.inside_union_is_source.instance")
def mask_one_pixel_short(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    if not p.pasted:
        return None
    masks[p.pasted[0]][p.some(masks[p.pasted[0]]) or (0, 0)] = False
    return p.broken(instance_masks=masks)


@breaks("paste.union_is_pasted_masks")
def a_painted_pixel_without_mask(p: Paste) -> Broken:
    return mask_one_pixel_short(p)


@breaks("paste.every_painted_pixel_has_a_row", dtype=torch.uint8)
def surplus_painted(p: Paste) -> Broken:
    images = p.fields["images"]
    where = p.some(~p.expected.union)
    if where is None:
        return None
    images[(..., *where)] += 1
    return p.broken(images=images)


@breaks("paste.not_on_padding", padding=True, dtype=torch.uint8)
def painted_on_padding(p: Paste) -> Broken:
    f = p.fields
    where = p.some(f["padding_mask"][0])
    if where is None:
        return None
    f["images"][(..., *where)] += 1
    return p.broken(images=f["images"])


@breaks("paste.not_on_padding", padding=True)
def mask_on_padding(p: Paste) -> Broken:
    f = p.fields
    where = p.some(f["padding_mask"][0])
    if where is None or not p.pasted:
        return None
    f["instance_masks"][p.pasted[0]][where] = True
    return p.broken(instance_masks=f["instance_masks"])


@breaks("paste.not_on_ignore", ignore_share=0.3)
def mask_over_ignore(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    where = p.some(p.case.target.tensors()["semantic_maps"][0] == IGNORE)
    if where is None or not p.pasted:
        return None
    masks[p.pasted[0]][where] = True
    return p.broken(instance_masks=masks)


@breaks("semantic.ignore_preserved", ignore_share=0.3)
def ignore_painted_over(p: Paste) -> Broken:
    semantic = p.fields["semantic_maps"]
    where = p.some(p.case.target.tensors()["semantic_maps"][0] == IGNORE)
    if where is None:
        return None
    semantic[where] = 1
    return p.broken(semantic_maps=semantic)


@breaks("semantic.single_class")
def one_pixel_keeps_the_class_beneath(p: Paste) -> Broken:
    semantic = p.fields["semantic_maps"]
    where = p.some(p.expected.union)
    if where is None:
        return None
    semantic[where] = 8
    return p.broken(semantic_maps=semantic)


@breaks("paste.void_exact", residual=1.0)
def remains_of_a_dropped_row_left(p: Paste) -> Broken:
    where = p.some(p.expected.void)
    semantic = p.fields["semantic_maps"]
    if where is None:
        return None
    semantic[where] = p.case.target.tensors()["semantic_maps"][0][where]
    return p.broken(semantic_maps=semantic)


@breaks("paste.void_exact")
def void_for_no_reason(p: Paste) -> Broken:
    semantic = p.fields["semantic_maps"]
    where = p.some(~p.expected.void & (semantic != IGNORE))
    if where is None:
        return None
    semantic[where] = IGNORE
    return p.broken(semantic_maps=semantic)


# --- panoptic ------------------------------------------------------------------------


@breaks("panoptic.thing_stuff_consistent", schema=True)
def pasted_thing_without_an_id(p: Paste) -> Broken:
    panoptic = p.fields["panoptic_maps"]
    where = p.some(p.expected.union)
    if where is None:
        return None
    panoptic[where] = 0
    return p.broken(panoptic_maps=panoptic)


@breaks("panoptic.bijection")
def map_of_another_row(p: Paste) -> Broken:
    return pasted_thing_without_an_id(p)


@breaks("panoptic.bijection")
def two_rows_of_one_id(p: Paste) -> Broken:
    f = p.fields
    if not p.pasted or not p.survivors:
        return None
    f["instance_ids"][p.pasted[0]] = f["instance_ids"][p.survivors[0]]
    return p.broken(instance_ids=f["instance_ids"])


@breaks("panoptic.bijection")
def trimmed_mask_and_untrimmed_map(p: Paste) -> Broken:
    f = p.fields
    still = [k for k in p.survivors if k not in p.lost and int(f["instance_masks"][k].sum()) > 1]
    if not still or not p.pasted:
        return None
    f["instance_masks"][still[0]][p.some(f["instance_masks"][still[0]]) or (0, 0)] = False
    return p.broken(instance_masks=f["instance_masks"])


@breaks("panoptic.fresh_ids")
def map_with_an_old_id(p: Paste) -> Broken:
    f = p.fields
    if not p.pasted or not p.survivors:
        return None
    f["panoptic_maps"][f["instance_masks"][p.pasted[0]]] = f["instance_ids"][p.survivors[0]].to(torch.int64)
    return p.broken(panoptic_maps=f["panoptic_maps"])


@breaks("panoptic.stuff_threshold", schema=True, stuff_policy="revert", tau=0.9, z_test=False)
def stuff_gets_its_label_back_and_not_its_picture(p: Paste) -> Broken:
    images, source = p.fields["images"], p.case.source.tensors()["images"][0]
    where = p.some(p.expected.reverted)
    if where is None or torch.equal(images[(..., *where)], source[:, 0, 0]):
        return None
    images[(..., *where)] = source[:, 0, 0]
    return p.broken(images=images)


@breaks("panoptic.stuff_threshold", schema=True, stuff_policy="revert", tau=0.9, z_test=False)
def stuff_taken_back_from_the_masks_only(p: Paste) -> Broken:
    masks = p.fields["instance_masks"]
    where = p.some(p.expected.reverted)
    if where is None or not p.pasted:
        return None
    masks[p.pasted[0]][where] = True
    return p.broken(instance_masks=masks)


@breaks("panoptic.stuff_threshold", schema=True, stuff_policy="ignore", tau=0.9, z_test=False)
def small_stuff_left_alive(p: Paste) -> Broken:
    semantic = p.fields["semantic_maps"]
    where = p.some(p.expected.stuff_void)
    if where is None:
        return None
    semantic[where] = 7
    return p.broken(semantic_maps=semantic)


@breaks("panoptic.stuff_threshold", schema=True, tau=0.0, stuff_min_area={}, z_test=False)
def stuff_taken_back_for_no_reason(p: Paste) -> Broken:
    f, old = p.fields, p.case.target.tensors()
    where = p.some(p.expected.stuff_lost & p.expected.union)
    if where is None:
        return None
    for name in ("images", "semantic_maps", "panoptic_maps", "depth", "depth_valid", "normals"):
        f[name][(..., *where)] = old[name][0][(..., *where)]
    return p.broken(**f)


# --- geometry ------------------------------------------------------------------------


@breaks("depth.monotonic", z_test=True)
def far_before_near(p: Paste) -> Broken:
    depth, valid = p.fields["depth"], p.case.target.tensors()["depth_valid"][0, 0]
    where = p.some(valid)
    if where is None:
        return None
    depth[0][where] += 1
    return p.broken(depth=depth)


@breaks("depth.monotonic", z_test=True)
def depth_of_nothing(p: Paste) -> Broken:
    depth, valid = p.fields["depth"], p.case.target.tensors()["depth_valid"][0, 0]
    where = p.some(valid & p.expected.union)
    if where is None:
        return None
    depth[0][where] = float("nan")
    return p.broken(depth=depth)


@breaks("depth.validity_join")
def validity_of_the_source_alone(p: Paste) -> Broken:
    valid = p.fields["depth_valid"]
    source = p.expected.warped.depth_valid
    assert source is not None
    want = torch.where(p.expected.union, source, valid[0])
    return None if torch.equal(want, valid[0]) else p.broken(depth_valid=want[None])


@breaks("depth.metric_rescaled", metric=True, z_test=False)
def never_rescaled(p: Paste) -> Broken:
    depth = p.fields["depth"]
    if p.expected.factor == 1.0 or p.some(p.expected.union) is None:
        return None
    flat = torch.where(p.expected.union, (depth / p.expected.factor).float(), depth)
    return None if torch.equal(flat, depth) else p.broken(depth=flat)


@breaks("normals.unit_norm")
def not_renormalised(p: Paste) -> Broken:
    normals = p.fields["normals"]
    where = p.some(p.expected.union & (normals != 0).any(0))
    if where is None:
        return None
    normals[(..., *where)] *= 0.75
    return p.broken(normals=normals)


@breaks("normals.frame", hflip=True)
def not_negated_under_flip(p: Paste) -> Broken:
    normals = p.fields["normals"]
    if not bool((p.expected.union & (normals[0] != 0)).any()):
        return None
    normals[0] = torch.where(p.expected.union, -normals[0], normals[0])
    return p.broken(normals=normals)


@breaks("normals.frame", hflip=False)
def negated_without_flip(p: Paste) -> Broken:
    return not_negated_under_flip(p)


# --- audit ---------------------------------------------------------------------------


@breaks("audit.plan_fits")
def plan_of_another_source(p: Paste) -> Broken:
    order = torch.arange(p.case.source.max_instances + 1)[None]
    return p.out, replace(p.audit, plan=replace(p.case.plan, order=order))


@breaks("audit.union_is_true")
def union_of_everything(p: Paste) -> Broken:
    return p.out, replace(p.audit, paste_union=torch.ones_like(p.audit.paste_union))


@breaks("audit.rows_are_true")
def rows_from_nowhere(p: Paste) -> Broken:
    return (p.out, replace(p.audit, row_source=torch.full_like(p.audit.row_source, 0))) if p.pasted else None  # pyright: ignore


@breaks("audit.rows_are_true")
def audit_with_a_row_more(p: Paste) -> Broken:
    return p.out, replace(p.audit, row_dropped=torch.zeros((1, p.out.max_instances + 1), dtype=torch.bool))


@breaks("audit.warped_is_true")
def warped_shows_the_target(p: Paste) -> Broken:
    return p.out, replace(p.audit, warped_depth=torch.full_like(p.out.tensors()["depth"], 5.0))


@breaks("audit.warped_is_true")
def camera_of_the_target(p: Paste) -> Broken:
    return p.out, replace(p.audit, source_intrinsics=p.case.target.camera_intrinsics)


def _empty(fields: dict[str, torch.Tensor], slot: int) -> None:
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        fields[name][slot] = 0


def _other(value: torch.Tensor) -> torch.Tensor:
    return ~value if value.dtype == torch.bool else value + 1


# --- samples -------------------------------------------------------------------------

SampleBreaker = Callable[[dict[str, Any]], dict[str, Any] | None]
SAMPLE: list[tuple[str, SampleBreaker]] = []


def breaks_sample(law: str) -> Callable[[SampleBreaker], SampleBreaker]:
    def enter(breaker: SampleBreaker) -> SampleBreaker:
        SAMPLE.append((law, breaker))
        return breaker

    return enter


@breaks_sample("image.finite")
def nan_in_the_image(f: dict[str, Any]) -> dict[str, Any] | None:
    if not f["image"].is_floating_point():
        return None
    f["image"][0, 0, 0] = float("nan")
    return f


@breaks_sample("instance.boxes_are_tight")
def box_one_off(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["boxes"][0, 2] += 1
    return f


@breaks_sample("instance.boxes_in_canvas")
def box_left_of_the_canvas(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["boxes"][-1, 0] = -1
    return f


@breaks_sample("instance.boxes_in_canvas")
def box_of_nan(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["boxes"][-1, 3] = float("nan")
    return f


@breaks_sample("instance.masks_not_empty")
def covered_and_kept(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["instance_masks"][0] = False
    return f


@breaks_sample("instance.ids_unique")
def one_id_twice(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) < 2:
        return None
    f["instance_ids"][1] = f["instance_ids"][0]
    return f


@breaks_sample("instance.ids_unique")
def id_zero_beside_a_panoptic_map(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["instance_ids"][0] = 0
    return f


@breaks_sample("instance.same_class_disjoint")
def one_class_overlapping(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) < 2:
        return None
    f["labels"][1] = f["labels"][0]
    f["instance_masks"][1] |= f["instance_masks"][0]
    return f


@breaks_sample("instance.labels_in_schema")
def label_of_another_data_set(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["labels"][0] = 99
    return f


@breaks_sample("semantic.values_in_schema")
def class_in_between(f: dict[str, Any]) -> dict[str, Any]:
    f["semantic_map"][0, 0] = 4
    return f


@breaks_sample("panoptic.ids_are_rows")
def id_without_a_row(f: dict[str, Any]) -> dict[str, Any]:
    f["panoptic_map"][0, 0] = 4711
    return f


@breaks_sample("panoptic.ids_are_rows")
def row_without_its_id(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["panoptic_map"][f["instance_masks"][0]] = 0
    return f


@breaks_sample("panoptic.masks_match_map")
def mask_not_cut(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0 or bool(f["instance_masks"][0].all()):
        return None
    f["instance_masks"][0] = True
    return f


@breaks_sample("panoptic.semantic_matches_row")
def class_of_what_lay_beneath(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0:
        return None
    f["semantic_map"][f["instance_masks"][0]] = 7
    return f


@breaks_sample("panoptic.things_have_ids")
def thing_without_id(f: dict[str, Any]) -> dict[str, Any]:
    f["semantic_map"][0, 0], f["panoptic_map"][0, 0] = 1, 0
    return f


@breaks_sample("panoptic.one_instance_per_pixel")
def masks_that_overlap(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) < 2:
        return None
    f["instance_masks"][1] |= f["instance_masks"][0]
    return f


@breaks_sample("normals.unit_length")
def short_normals(f: dict[str, Any]) -> dict[str, Any]:
    f["normals"][:, 0, 0] = torch.tensor([0.0, 0.0, -0.5])
    return f


@breaks_sample("normals.unit_length")
def normal_of_nan(f: dict[str, Any]) -> dict[str, Any]:
    f["normals"][1, 0, 0] = float("nan")
    return f


@breaks_sample("normals.face_camera")
def averted_normals(f: dict[str, Any]) -> dict[str, Any]:
    f["normals"][:, 0, 0] = torch.tensor([0.0, 0.0, 1.0])
    return f


@breaks_sample("depth.positive_where_valid")
def valid_hole(f: dict[str, Any]) -> dict[str, Any]:
    f["depth"][0, 0, 0], f["depth_valid"][0, 0, 0] = 0.0, True
    return f


@breaks_sample("depth.positive_where_valid")
def valid_nan(f: dict[str, Any]) -> dict[str, Any]:
    f["depth"][0, 0, 0], f["depth_valid"][0, 0, 0] = float("nan"), True
    return f


@breaks_sample("padding.is_border")
def padding_with_a_hole(f: dict[str, Any]) -> dict[str, Any] | None:
    f["padding_mask"][0] = False
    f["padding_mask"][0, 0, 0] = True
    return f if min(f["padding_mask"].shape[1:]) > 1 else None


@breaks_sample("padding.carries_no_labels")
def semantic_on_padding(f: dict[str, Any]) -> dict[str, Any] | None:
    f["semantic_map"][f["padding_mask"][0]] = 7
    return f if bool(f["padding_mask"].any()) else None


@breaks_sample("padding.carries_no_labels")
def id_on_padding(f: dict[str, Any]) -> dict[str, Any] | None:
    f["panoptic_map"][f["padding_mask"][0]] = 1
    return f if bool(f["padding_mask"].any()) else None


@breaks_sample("padding.carries_no_labels")
def mask_reaches_into_padding(f: dict[str, Any]) -> dict[str, Any] | None:
    if len(f["labels"]) == 0 or not bool(f["padding_mask"].any()):
        return None
    f["instance_masks"][0] |= f["padding_mask"][0]
    return f


def shapes_agree_breaker() -> DenseSample:
    sample = dense(random_case(1, ALL, canvas=(4, 5)).target)
    assert sample.semantic_map is not None
    object.__setattr__(sample, "semantic_map", sample.semantic_map[:3])
    return sample


PADDED: list[tuple[str, Callable[[PaddedBatchedDenseSample], PaddedBatchedDenseSample | None]]] = []


def _dirty(name: str) -> Callable[[PaddedBatchedDenseSample], PaddedBatchedDenseSample | None]:
    def dirty_slot(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample | None:
        value = batch.tensors()[name].clone()
        free = (~batch.instance_valid[0]).nonzero().flatten().tolist()
        if not free:
            return None
        value[0, free[0]] = 1
        return with_fields(batch, **{name: value})

    return dirty_slot


def _emptied(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample | None:
    masks = batch.tensors()["instance_masks"].clone()
    used = batch.instance_valid[0].nonzero().flatten().tolist()
    if not used:
        return None
    masks[0, used[0]] = False
    return with_fields(batch, instance_masks=masks)


def _padding_right(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample | None:
    padding = torch.zeros_like(batch.tensors()["padding_mask"])
    padding[..., 0] = True
    return with_fields(batch, padding_mask=padding) if padding.shape[-1] > 1 else None


def _all_padding(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample | None:
    if not bool(batch.instance_valid.any()):
        return None
    return with_fields(batch, padding_mask=torch.ones_like(batch.tensors()["padding_mask"]))


for _name in ("boxes", "labels", "instance_ids", "instance_masks"):
    PADDED.append(("padded.unused_slots_zero", _dirty(_name)))
PADDED.append(("padded.used_slots_painted", _emptied))
PADDED.append(("padded.padding_is_border", _padding_right))
PADDED.append(("padded.masks_off_padding", _all_padding))


# --- several runs --------------------------------------------------------------------

Apply = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig],
    tuple[PaddedBatchedDenseSample, BatchAuditPacket],
]


def _noise(out: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    return with_fields(out, images=out.tensors()["images"] + 1)


class Unsteady:
    """Every second run gives another picture."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, t: Any, s: Any, p: Any, c: Any) -> Any:
        self.runs += 1
        out, told = paste_by_expectation(t, s, p, c)
        return (_noise(out) if self.runs % 2 == 0 else out), told


def pastes_in_place(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    t.images.copy_(_noise(t).images)
    return out, told


def steps_on_the_plan(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    p.order.copy_(p.order.flip(1))
    return out, told


def steps_on_the_count(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    p.count.add_(1)
    return out, told


def _draws_a_number(draw: Callable[[], object]) -> Apply:
    def draws(t: Any, s: Any, p: Any, c: Any) -> Any:
        draw()
        return paste_by_expectation(t, s, p, c)

    return draws


def reads_raw_memory(t: Any, s: Any, p: Any, c: Any) -> Any:
    flat = torch.empty(t.images.shape, device="meta").stride()
    images = t.images.as_subclass(torch.Tensor).as_strided(t.images.shape, flat)
    return paste_by_expectation(with_fields(t, images=images), s, p, c)


def depends_on_batch_size(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    return (_noise(out) if t.batch_size > 1 else out), told


def depends_on_place(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    images = out.tensors()["images"].clone()
    images[0] += 1
    return with_fields(out, images=images), told


def flips_off_by_one(t: Any, s: Any, p: Any, c: Any) -> Any:
    moved = p.translate.clone()
    moved[:, 1] += p.hflip.to(torch.int64)
    return paste_by_expectation(t, s, replace(p, translate=moved), c)


def shifts_right(t: Any, s: Any, p: Any, c: Any) -> Any:
    moved = p.translate.clone()
    moved[:, 1] += 1
    return paste_by_expectation(t, s, replace(p, translate=moved), c)


def later_class_first(t: Any, s: Any, p: Any, c: Any) -> Any:
    """Pastes in the order of class numbers."""
    order = torch.stack(
        [o[s.labels[int(i)][o].argsort(stable=True)] for i, o in zip(p.source_idx, p.order, strict=True)]
    )
    return paste_by_expectation(t, s, replace(p, order=order), c)


def counts_all_slots(t: Any, s: Any, p: Any, c: Any) -> Any:
    """Asks for as many rows as the target has slots, less five."""
    count = torch.full_like(p.count, max(0, t.max_instances - 5))
    return paste_by_expectation(t, s, replace(p, count=count), c)


def takes_the_first_slots(t: Any, s: Any, p: Any, c: Any) -> Any:
    """Slots are counted before it is asked whether they are used."""
    used = s.instance_valid[p.source_idx].gather(1, p.order)
    count = torch.minimum(
        p.count, used.cumsum(1).gather(1, (p.count - 1).clamp(0, used.shape[1] - 1)[:, None])[:, 0]
    )
    return paste_by_expectation(t, s, replace(p, count=count), c)


def _needs(name: str) -> Apply:
    def pastes_nothing_without(t: Any, s: Any, p: Any, c: Any) -> Any:
        count = p.count if name in t.tensors() else torch.zeros_like(p.count)
        return paste_by_expectation(t, s, replace(p, count=count), c)

    return pastes_nothing_without


def always_changes(t: Any, s: Any, p: Any, c: Any) -> Any:
    out, told = paste_by_expectation(t, s, p, c)
    return _noise(out), told


METAMORPHIC: list[tuple[str, Callable[[], Apply]]] = [
    ("metamorphic.same_seed_same_bits", Unsteady),
    ("metamorphic.inputs_not_mutated", lambda: pastes_in_place),
    ("metamorphic.inputs_not_mutated", lambda: steps_on_the_plan),
    ("metamorphic.inputs_not_mutated", lambda: steps_on_the_count),
    ("metamorphic.generators_untouched", lambda: _draws_a_number(random.random)),
    ("metamorphic.generators_untouched", lambda: _draws_a_number(np.random.rand)),
    ("metamorphic.generators_untouched", lambda: _draws_a_number(lambda: torch.rand(1))),
    ("metamorphic.memory_layout_takes_no_part", lambda: reads_raw_memory),
    ("metamorphic.batch_independence", lambda: depends_on_batch_size),
    ("metamorphic.batch_independence", lambda: depends_on_place),
    ("metamorphic.batch_permutation", lambda: depends_on_place),
    ("metamorphic.source_mirror", lambda: flips_off_by_one),
    ("metamorphic.mirror_everything", lambda: shifts_right),
    ("metamorphic.class_relabelling", lambda: later_class_first),
    ("metamorphic.larger_target_capacity", lambda: counts_all_slots),
    ("metamorphic.larger_source_capacity", lambda: takes_the_first_slots),
    ("metamorphic.normals_take_no_part", lambda: _needs("normals")),
    ("metamorphic.depth_takes_no_part", lambda: _needs("depth")),
    ("metamorphic.semantic_takes_no_part", lambda: _needs("semantic_maps")),
    ("metamorphic.empty_source_is_identity", lambda: always_changes),
    ("metamorphic.count_zero_is_identity", lambda: always_changes),
]

# What a round trip loses cannot be broken from outside: the container is broken instead.
ROUND_TRIPS = {
    "metamorphic.round_trip_padded": "segpaste.types.BatchedDenseSample.to_padded",
    "metamorphic.round_trip_samples": "segpaste.types.BatchedDenseSample.to_samples",
    "metamorphic.round_trip_dict": "segpaste.types.DenseSample.from_dict",
    "metamorphic.round_trip_coco_rle": "pycocotools.mask.decode",
}


def test_every_law_has_a_breaker() -> None:
    broken = {law for law, *_ in PASTE} | {law for law, *_ in SAMPLE} | {law for law, *_ in PADDED}
    broken |= {law for law, _ in METAMORPHIC} | set(ROUND_TRIPS)
    broken |= {"sample.shapes_agree", "instance.count_in_schema"}
    # The laws of traced augmentations have breakers of their own: transform_breakers.py.
    traced = {law.name for kind in ("geometric", "photometric", "provenance") for law in laws(kind)}
    assert broken == set(LAWS) - traced


@pytest.mark.parametrize(
    ("law", "breaker", "wanted"), PASTE, ids=[f"{law}-{breaker.__name__}" for law, breaker, _ in PASTE]
)
def test_paste_law_rejects(law: str, breaker: Breaker, wanted: dict[str, Any]) -> None:
    tried = 0
    options = {"modalities": ALL, "canvas": (5, 6), "source_slots": 5, "slots": 6} | wanted
    for seed in range(SEEDS):
        case = random_case(seed, **options)
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        expected = expect_paste(view_of(case.target), view_of(case.source), case.plan, case.config)
        broken = breaker(Paste(case, out, told, expected))
        if broken is None:
            continue
        after, audit = broken if isinstance(broken, tuple) else (broken, told)
        (report,) = check_paste(case.target, after, audit, source=case.source, only=law)
        assert report.status == "violated", f"seed {seed}: {report}"
        assert report.message
        assert report.count > 0
        tried += 1
        if tried == WANTED:
            return
    pytest.fail(f"only {tried} of {SEEDS} pastes could be broken")


@pytest.mark.parametrize(
    ("law", "breaker"), SAMPLE, ids=[f"{law}-{breaker.__name__}" for law, breaker in SAMPLE]
)
def test_sample_law_rejects(law: str, breaker: SampleBreaker) -> None:
    tried = 0
    for seed in range(SEEDS):
        case = random_case(seed, ALL, canvas=(5, 6), schema=True, padding=True)
        good = dense(case.target).to_dict()
        fields = breaker({n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in good.items()})
        if fields is None:
            continue
        (report,) = check_sample(DenseSample.unchecked(**fields), case.schema, only=law)
        assert report.status == "violated", f"seed {seed}: {report}"
        # What was pasted or changed counts, too, when it is known what was there before.
        (report,) = check_sample(
            DenseSample.unchecked(**fields), case.schema, only=law, before=DenseSample(**good)
        )
        assert report.status == "violated", f"seed {seed}: {report}"
        # What was there before and is untouched does not.
        sample = DenseSample.unchecked(**fields)
        (report,) = check_sample(sample, case.schema, only=law, before=DenseSample.unchecked(**fields))
        if law not in ("instance.ids_unique",):  # the one without which rows cannot be told apart
            assert report.ok, f"seed {seed}: {report}"
        tried += 1
        if tried == WANTED:
            return
    pytest.fail(f"only {tried} of {SEEDS} samples could be broken")


def test_shapes_agree_rejects() -> None:
    reports = {report.name: report for report in check_sample(shapes_agree_breaker())}
    assert reports["sample.shapes_agree"].message.startswith("semantic_map: got shape")


def test_shapes_agree_rejects_a_padded_batch() -> None:
    batch = random_case(1, ALL, canvas=(4, 5), slots=3).target
    object.__setattr__(batch, "labels", batch.labels[:, :1])
    (report,) = check_sample(batch, only="sample.shapes_agree")
    assert report.status == "violated"


def test_count_in_schema_rejects() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 3: "thing"}, max_instances_per_image=1)
    crowded = next(
        sample for seed in range(SEEDS) if len(sample := dense(random_case(seed, ALL, slots=8).target)) > 1
    )
    (report,) = check_sample(crowded, schema, only="instance.count_in_schema")
    assert report.message == f"{len(crowded)} things, expected at most max_instances_per_image = 1"
    (report,) = check_sample(crowded, schema, only="instance.count_in_schema", before=crowded)
    assert report.status == "held"


@pytest.mark.parametrize(("law", "breaker"), PADDED, ids=[f"{law}-{n}" for n, (law, _) in enumerate(PADDED)])
def test_padded_law_rejects(law: str, breaker: Callable[..., PaddedBatchedDenseSample | None]) -> None:
    for seed in range(SEEDS):
        case = random_case(seed, ALL, canvas=(5, 6), slots=5, padding=True)
        broken = breaker(case.target)
        if broken is not None:
            (report,) = check_padded(broken, only=law)
            assert (report.status, report.sample) == ("violated", 0)
            return
    pytest.fail("no batch could be broken")


@pytest.mark.parametrize(
    ("law", "make"), METAMORPHIC, ids=[f"{law}-{n}" for n, (law, _) in enumerate(METAMORPHIC)]
)
def test_metamorphic_law_rejects(law: str, make: Callable[[], Apply]) -> None:
    needs = LAWS[law].needs
    for seed in range(SEEDS):
        case = joined_cases(seed, 2, _smallest_set(needs, law))
        several = MetamorphicCase(case.target, case.source, case.plan, case.config, make())
        (report,) = check_metamorphic(several, only=law)
        if report.status == "violated":
            assert "a run raised" not in report.message
            return
    pytest.fail("never rejected")


@pytest.mark.parametrize(("law", "where"), ROUND_TRIPS.items(), ids=list(ROUND_TRIPS))
def test_round_trip_law_rejects(law: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = joined_cases(11, 2, LEGAL_MODALITY_SETS[-1])
    case = replace(case, target=compact(case.target))
    assert bool(case.target.instance_valid.any())
    several = MetamorphicCase(case.target, case.source)
    (report,) = check_metamorphic(several, only=law)
    assert report.status == "held"
    _lose_something(monkeypatch, where)
    (report,) = check_metamorphic(several, only=law)
    assert report.status == "violated", str(report)
    assert "a run raised" not in report.message


def _lose_something(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    import pycocotools.mask

    from segpaste.types import BatchedDenseSample

    if where.endswith("to_padded"):
        right = BatchedDenseSample.to_padded
        runs: list[int] = []

        def worse(self: BatchedDenseSample, slots: int) -> PaddedBatchedDenseSample:
            runs.append(slots)
            out = right(self, slots)
            return _noise(out) if len(runs) % 2 == 0 else out

        monkeypatch.setattr(BatchedDenseSample, "to_padded", worse)
    elif where.endswith("to_samples"):
        samples = BatchedDenseSample.to_samples
        monkeypatch.setattr(BatchedDenseSample, "to_samples", lambda self: samples(self)[::-1])
    elif where.endswith("from_dict"):
        monkeypatch.setattr(DenseSample, "from_dict", _without_labels)
    else:
        decode = pycocotools.mask.decode
        monkeypatch.setattr(pycocotools.mask, "decode", lambda codes: 1 - decode(codes))


def _without_labels(values: dict[str, Any]) -> DenseSample:
    return DenseSample(**{**values, "labels": values["labels"] * 0})


def _smallest_set(needs: frozenset[Modality], law: str) -> frozenset[Modality]:
    fitting = [m for m in LEGAL_MODALITY_SETS if needs <= m and Modality.INSTANCE in m]
    return min(fitting, key=len)

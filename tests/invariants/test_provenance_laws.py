"""Laws of a paste by a black box: the reference holds them, each mistake breaks its law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from segpaste.invariants import check_provenance, laws
from segpaste.types import DenseSample, xyxy
from tests.invariants.traced import (
    Mix,
    judged_mix,
    pair_of_scenes,
    paste_by_reference,
    plain,
    with_fields,
)


@pytest.mark.parametrize("part", range(8))
def test_pastes_by_the_reference_break_nothing(part: int) -> None:
    held: set[str] = set()
    for seed in range(part * 50, part * 50 + 50):
        target, donor = pair_of_scenes(seed, max_side=24 if seed % 4 else 48)
        reports = judged_mix(paste_by_reference(seed, target, donor), target, donor, "provenance")
        assert [str(r) for r in reports.values() if not r.ok] == [], f"seed {seed}: {target}, {donor}"
        held |= {r.name for r in reports.values() if r.status == "held"}
    assert held == {law.name for law in laws("provenance")}


# By hand: the target has object A (id 1, label 1) at columns 1-5 and rows 1-5; the donor object
# B (id 1, label 2) at columns 4-8 and rows 4-8 and C (id 2, label 4) at columns 0-2, rows 8-9.
# B is pasted where it stands, as id 2.


def target() -> DenseSample:
    return _sample({1: (1, slice(1, 6), slice(1, 6))}, 3)


def donor() -> DenseSample:
    return _sample({1: (2, slice(4, 9), slice(4, 9)), 2: (4, slice(8, 10), slice(0, 3))}, 0)


def _sample(objects: dict[int, tuple[int, slice, slice]], stuff: int) -> DenseSample:
    masks = torch.zeros((len(objects), 10, 12), dtype=torch.bool)
    semantic = torch.full((10, 12), stuff)
    for mask, (label, rows, columns) in zip(masks, objects.values(), strict=True):
        mask[rows, columns] = True
        semantic[mask] = label
    fields: dict[str, Any] = {
        "image": torch.zeros((3, 10, 12), dtype=torch.uint8),
        "boxes": xyxy(torch.zeros((len(objects), 4)), (10, 12)),
        "labels": torch.tensor([label for label, *_ in objects.values()]),
        "instance_ids": torch.tensor(list(objects), dtype=torch.int32),
        "instance_masks": masks,
        "semantic_map": semantic,
    }
    return DenseSample(**fields)


def paste(target: DenseSample, donor: DenseSample) -> DenseSample:
    """B is pasted where it stands."""
    union = plain(donor.instance_masks)[0]
    return with_fields(
        target,
        image=torch.where(union, plain(donor.image), plain(target.image)),
        semantic_map=torch.where(union, plain(donor.semantic_map), plain(target.semantic_map)),
        instance_masks=torch.stack([plain(target.instance_masks)[0] & ~union, union]),
        instance_ids=torch.tensor([1, 2], dtype=torch.int32),
        labels=torch.tensor([1, 2]),
        boxes=torch.zeros((2, 4)),
    )


def _wrong(change: Callable[[DenseSample, DenseSample, DenseSample], DenseSample]) -> Mix:
    return lambda target, donor: change(paste(target, donor), target, donor)


def _masks(change: Callable[[torch.Tensor], None]) -> Mix:
    def run(target: DenseSample, donor: DenseSample) -> DenseSample:
        out = paste(target, donor)
        masks = plain(out.instance_masks).clone()
        change(masks)
        return with_fields(out, instance_masks=masks)

    return run


def _uncut(masks: torch.Tensor) -> None:
    masks[0, 1:6, 1:6] = True


def _shifted(masks: torch.Tensor) -> None:
    masks[1] = masks[1].roll(1, dims=1)


def _eroded(masks: torch.Tensor) -> None:
    masks[1, 4] = False


def _too_little(masks: torch.Tensor) -> None:
    masks[0, 1, 1] = False


def _rectangle(out: DenseSample, target: DenseSample, donor: DenseSample) -> DenseSample:
    """C's pixels are painted into A's row."""
    image = plain(out.image).clone()
    image[:, 1:3, 1:4] = plain(donor.image)[:, 8:10, 0:3]
    return with_fields(out, image=image)


def _class_zero(out: DenseSample, target: DenseSample, donor: DenseSample) -> DenseSample:
    semantic = plain(out.semantic_map).clone()
    semantic[plain(donor.instance_masks)[0]] = 0
    return with_fields(out, semantic_map=semantic)


def _labels(*labels: int) -> Mix:
    return _wrong(lambda out, t, d: with_fields(out, labels=torch.tensor(labels)))


# (law, mistake, rows, pixels (x, y), what is said)
BREAKERS: list[tuple[str, Mix, tuple[int, ...], list[tuple[int, int]], str]] = [
    (
        "masks_show_their_object",
        _masks(_uncut),
        (0,),
        [(4, 4), (5, 4), (4, 5), (5, 5)],
        "row 0: 4 of 25 mask pixels do not show row 0 of the target (id 1)",
    ),
    (
        "masks_show_their_object",
        _masks(_shifted),
        (1,),
        [(9, y) for y in range(4, 9)],
        "row 1: 5 of 25 mask pixels do not show row 0 of the donor (id 1)",
    ),
    (
        "masks_show_their_object",
        _wrong(_rectangle),
        (0,),
        [(x, y) for y in (1, 2) for x in (1, 2, 3)],
        "row 0: 6 of 21 mask pixels do not show",
    ),
    (
        "objects_keep_their_pixels",
        _masks(_eroded),
        (1,),
        [(x, 4) for x in range(4, 9)],
        "row 1: 5 pixels show its object",
    ),
    ("objects_keep_their_pixels", _masks(_too_little), (0,), [(1, 1)], "row 0: 1 pixels show its object"),
    (
        "labels_of_their_object",
        _labels(1, 4),
        (1,),
        [],
        "row 1: label 4, expected 2: row 0 of the donor (id 1)",
    ),
    (
        "labels_of_their_object",
        _labels(2, 1),
        (0, 1),
        [],
        "row 0: label 2, expected 1: row 0 of the target (id 1)",
    ),
    (
        "semantic_of_what_is_shown",
        _wrong(_class_zero),
        (),
        [(x, y) for y in range(4, 9) for x in range(4, 9)],
        "25 of 120 pixels: the semantic label is not that of what is shown: 0, expected 2",
    ),
]


def test_the_paste_by_hand_breaks_nothing() -> None:
    reports = judged_mix(paste, target(), donor(), "provenance")
    assert {r.status for r in reports.values()} == {"held"}


@pytest.mark.parametrize("number", range(len(BREAKERS)))
def test_a_mistake_breaks_its_law(number: int) -> None:
    law, wrong, rows, pixels, said = BREAKERS[number]
    report = judged_mix(wrong, target(), donor(), "provenance")[f"provenance.{law}"]
    assert report.status == "violated"
    assert report.message.startswith(said)
    assert report.rows == rows
    if pixels:
        assert report.mask is not None
        assert {(x, y) for y, x in report.mask.nonzero().tolist()} == set(pixels)


def test_every_law_has_a_breaker() -> None:
    assert {f"provenance.{law}" for law, *_ in BREAKERS} == {law.name for law in laws("provenance")}


@pytest.mark.parametrize("law", ["masks_show_their_object", "objects_keep_their_pixels"])
def test_where_masks_overlap_any_object_will_do(law: str) -> None:
    both = with_fields(
        target(),
        instance_masks=torch.cat([plain(target().instance_masks)] * 2),
        instance_ids=torch.tensor([1, 5], dtype=torch.int32),
        labels=torch.tensor([1, 2]),
        boxes=torch.zeros((2, 4)),
    )

    def keeps_the_second(target: DenseSample, donor: DenseSample) -> DenseSample:
        return with_fields(
            target,
            instance_masks=plain(target.instance_masks)[1:],
            instance_ids=plain(target.instance_ids)[1:],
            labels=plain(target.labels)[1:],
            boxes=plain(target.boxes)[1:],
        )

    assert judged_mix(keeps_the_second, both, donor(), "provenance")[f"provenance.{law}"].status == "held"


def test_ignore_and_the_rows_label_are_right_for_the_map_too() -> None:
    def void(out: DenseSample, target: DenseSample, donor: DenseSample) -> DenseSample:
        return with_fields(out, semantic_map=torch.full_like(plain(out.semantic_map), 255))

    other = with_fields(donor(), semantic_map=torch.full((10, 12), 4))

    def by_row(out: DenseSample, target: DenseSample, donor: DenseSample) -> DenseSample:
        union = plain(out.instance_masks)[1]
        return with_fields(out, semantic_map=torch.where(union, 2, plain(out.semantic_map)))

    name = "provenance.semantic_of_what_is_shown"
    assert judged_mix(_wrong(void), target(), donor(), "provenance")[name].status == "held"
    assert judged_mix(_wrong(by_row), target(), other, "provenance")[name].status == "held"


def test_without_a_trace_nothing_is_decided() -> None:
    reports = check_provenance(target(), paste(target(), donor()), donor=donor(), trace="because")
    assert {(r.status, r.message) for r in reports} == {("not_decidable", "because")}
    assert [r.name for r in reports] == sorted(r.name for r in reports)


def test_a_donor_without_masks_has_no_objects() -> None:
    bare = with_fields(donor(), instance_masks=None, instance_ids=None)

    def in_place(target: DenseSample, donor: DenseSample) -> DenseSample:
        corner = torch.zeros((10, 12), dtype=torch.bool)
        corner[8:, 8:] = True
        return with_fields(target, image=torch.where(corner, plain(donor.image), plain(target.image)))

    reports = judged_mix(in_place, target(), bare, "provenance")
    assert reports["provenance.masks_show_their_object"].status == "held"
    assert reports["provenance.objects_keep_their_pixels"].status == "held"
    assert reports["provenance.semantic_of_what_is_shown"].status == "violated"

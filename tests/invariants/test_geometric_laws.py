"""Laws of augmentations that move pixels: right ones hold them, each mistake breaks its law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from segpaste.invariants import InvariantReport, check_transform, laws
from segpaste.types import CameraIntrinsics, DenseSample, Modality
from tests.invariants.traced import (
    BILINEAR,
    NEAREST,
    RIGHT,
    Augment,
    flip,
    identity,
    judged,
    judged_mix,
    pair_of_scenes,
    plain,
    quarter_turn,
    resized,
    side_by_side,
    trace_of,
    turned,
    window,
    with_fields,
)

SEEDS = range(30)
ALL = frozenset(Modality)
WITHOUT_A_CAMERA = ("turned",)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_breaks_nothing(name: str) -> None:
    held: set[str] = set()
    for seed in SEEDS:
        sample, _ = pair_of_scenes(seed, max_side=24 if seed % 4 else 48)
        if name.startswith(WITHOUT_A_CAMERA):
            sample = with_fields(sample, camera_intrinsics=None, metric_depth=False)
        reports = judged(RIGHT[name], sample)
        assert [str(r) for r in reports.values() if not r.ok] == [], f"seed {seed}: {sample}"
        held |= {r.name for r in reports.values() if r.status == "held"}
    assert "geometric.labels_never_grow" in held


def test_every_law_is_held_somewhere() -> None:
    held: set[str] = set()
    for seed in SEEDS:
        sample, _ = pair_of_scenes(seed, modalities=ALL, min_side=8)
        for augment in (flip, window(-4, -3, 30, 26)):
            held |= {r.name for r in judged(augment, sample).values() if r.status == "held"}
    assert held == {law.name for law in laws("geometric")}


def test_a_right_mosaic_breaks_nothing() -> None:
    held: set[str] = set()
    for seed in SEEDS:
        reports = judged_mix(side_by_side, *pair_of_scenes(seed), "geometric")
        # The mosaic keeps no camera; no other law may complain.
        reports.pop("geometric.intrinsics_follow")
        assert [str(r) for r in reports.values() if not r.ok] == []
        held |= {r.name for r in reports.values() if r.status == "held"}
    assert len(held) == 9, sorted(held)


# A scene by hand: 12 x 10, object A at columns 1-4 and rows 1-4, object B at columns 6-10 and
# rows 5-8, and a stripe without a label in column 0; depth, normals and a camera.


def hand() -> DenseSample:
    masks = torch.zeros((2, 10, 12), dtype=torch.bool)
    masks[0, 1:5, 1:5] = True
    masks[1, 5:9, 6:11] = True
    semantic = torch.full((10, 12), 3)
    panoptic = torch.zeros((10, 12), dtype=torch.int64)
    for mask, label, name in zip(masks, (1, 2), (7, 9), strict=True):
        semantic[mask], panoptic[mask] = label, name
    semantic[:, 0] = 255
    y, x = torch.meshgrid(torch.arange(10.0), torch.arange(12.0), indexing="ij")
    valid = torch.ones((1, 10, 12), dtype=torch.bool)
    valid[0, 8:, :4] = False
    normals = torch.zeros((3, 10, 12))
    normals[0], normals[2] = 0.6, -0.8
    normals[:, :, 7:] = torch.tensor([0.0, -0.6, -0.8])[:, None, None]
    normals[:, 9] = 0
    fields: dict[str, Any] = {
        "image": torch.zeros((3, 10, 12), dtype=torch.uint8),
        "boxes": torch.tensor([[1.0, 1, 5, 5], [6, 5, 11, 9]]),
        "labels": torch.tensor([1, 2]),
        "instance_ids": torch.tensor([7, 9], dtype=torch.int32),
        "instance_masks": masks,
        "semantic_map": semantic,
        "panoptic_map": panoptic,
        "depth": (1 + x + 16 * y)[None],
        "depth_valid": valid,
        "normals": normals,
        "camera_intrinsics": CameraIntrinsics(8.0, 9.0, 4.0, 3.0),
        "metric_depth": True,
    }
    return DenseSample(**fields)


def _set(**changes: Callable[[DenseSample], Any]) -> Augment:
    return lambda sample: with_fields(sample, **{name: make(sample) for name, make in changes.items()})


def _mirror(name: str) -> Augment:
    return _set(**{name: lambda s: plain(getattr(s, name)).flip(-1)})


def _at(name: str, value: float, y: int, x: int) -> Augment:
    def write(sample: DenseSample) -> torch.Tensor:
        changed = plain(getattr(sample, name)).clone()
        changed[..., y, x] = value
        return changed

    return _set(**{name: write})


def _camera(**changes: float) -> Augment:
    def write(sample: DenseSample) -> CameraIntrinsics:
        values = dict(zip(("fx", "fy", "cx", "cy"), sample.camera_intrinsics.as_tuple(), strict=True))  # pyright: ignore[reportOptionalMemberAccess]
        return CameraIntrinsics(**{**values, **changes})

    return _set(camera_intrinsics=write)


FRAME = window(-4, -3, 30, 26)
TWICE = resized(20, 24)
TURN = turned(60, expand=True)

# (law, transform, what goes wrong after it, rows that must be named, pixels (x, y) that must be)
BREAKERS: list[tuple[str, Augment, Augment, tuple[int, ...], tuple[tuple[int, int], ...]]] = [
    ("rows_show_their_object", flip, _set(labels=lambda s: plain(s.labels).flip(0)), (0, 1), ()),
    ("rows_show_their_object", flip, _set(instance_ids=lambda s: plain(s.instance_ids).flip(0)), (0, 1), ()),
    ("rows_show_their_object", TWICE, _set(labels=lambda s: plain(s.labels).flip(0)), (0, 1), ()),
    ("rows_show_their_object", flip, _set(instance_ids=lambda s: plain(s.instance_ids) + 1), (0, 1), ()),
    ("masks_move_with_image", flip, _mirror("instance_masks"), (0, 1), ((1, 5), (7, 1))),
    ("masks_move_with_image", TWICE, _mirror("instance_masks"), (0, 1), ()),
    ("masks_move_with_image", identity, _at("instance_masks", 1, 0, 0), (0, 1), ((0, 0),)),
    ("masks_move_with_image", identity, _at("instance_masks", 0, 2, 2), (0,), ((2, 2),)),
    ("semantic_moves_with_image", flip, _mirror("semantic_map"), (), ((0, 0), (11, 0))),
    ("semantic_moves_with_image", TWICE, _mirror("semantic_map"), (), ()),
    ("semantic_moves_with_image", identity, _at("semantic_map", 4, 3, 9), (), ((9, 3),)),
    ("panoptic_moves_with_image", quarter_turn, _at("panoptic_map", 9, 0, 0), (), ((0, 0),)),
    ("panoptic_moves_with_image", TWICE, _mirror("panoptic_map"), (), ()),
    ("validity_moves_with_image", flip, _mirror("depth_valid"), (), ((0, 9), (11, 9))),
    ("validity_moves_with_image", TURN, _set(depth_valid=lambda s: ~plain(s.depth_valid)), (), ()),
    ("depth_moves_with_image", flip, _mirror("depth"), (), ((0, 0),)),
    ("depth_moves_with_image", TWICE, _mirror("depth"), (), ()),
    ("depth_moves_with_image", identity, _at("depth", torch.nan, 2, 5), (), ((5, 2),)),
    (
        "normals_rotate_with_image",
        flip,
        _set(normals=lambda s: plain(s.normals) * torch.tensor([-1.0, 1, 1])[:, None, None]),
        (),
        ((11, 0),),
    ),
    (
        "normals_rotate_with_image",
        quarter_turn,
        _set(normals=lambda s: plain(s.normals).flip(0).roll(-1, 0)),
        (),
        ((0, 11),),
    ),
    (
        "normals_rotate_with_image",
        TWICE,
        _set(normals=lambda s: plain(s.normals) * torch.tensor([-1.0, 1, 1])[:, None, None]),
        (),
        (),
    ),
    (
        "normals_rotate_with_image",
        TURN,
        _set(normals=lambda s: plain(s.normals) * torch.tensor([-1.0, -1, 1])[:, None, None]),
        (),
        (),
    ),
    ("normals_rotate_with_image", identity, _at("normals", 0.5, 9, 3), (), ((3, 9),)),
    ("intrinsics_follow", flip, _camera(cx=4.0), (), ()),
    ("intrinsics_follow", TWICE, _camera(fx=8.0), (), ()),
    ("intrinsics_follow", window(3, 2, 7, 7), _camera(cy=3.0), (), ()),
    ("intrinsics_follow", flip, _set(camera_intrinsics=lambda s: None, metric_depth=lambda s: False), (), ()),
    (
        "ignore_stays_ignore",
        flip,
        _set(semantic_map=lambda s: plain(s.semantic_map).clamp(max=3)),
        (),
        ((11, 0),),
    ),
    (
        "border_is_void",
        FRAME,
        _set(semantic_map=lambda s: plain(s.semantic_map) % 255),
        (),
        ((0, 0), (29, 25)),
    ),
    ("border_is_void", FRAME, _at("panoptic_map", 7, 1, 2), (), ((2, 1),)),
    ("border_is_void", FRAME, _at("instance_masks", 1, 1, 2), (), ((2, 1),)),
    ("border_is_void", FRAME, _at("depth_valid", 1, 1, 2), (), ((2, 1),)),
    ("border_is_void", FRAME, _at("normals", 0.5, 1, 2), (), ((2, 1),)),
    ("border_is_void", TURN, _set(semantic_map=lambda s: plain(s.semantic_map) % 255), (), ((0, 0),)),
    ("labels_never_grow", flip, _set(labels=lambda s: s.labels + 1), (1,), ()),
    ("labels_never_grow", flip, _set(instance_ids=lambda s: plain(s.instance_ids) + 1), (0, 1), ()),
    ("labels_never_grow", TWICE, _at("semantic_map", 100, 4, 5), (), ((5, 4),)),
    ("labels_never_grow", flip, _at("panoptic_map", 8, 4, 5), (), ((5, 4),)),
]


@pytest.mark.parametrize("number", range(len(BREAKERS)), ids=[f"{n}-{b[0]}" for n, b in enumerate(BREAKERS)])
def test_a_mistake_breaks_its_law(number: int) -> None:
    law, augment, wrong, rows, pixels = BREAKERS[number]
    sample = hand()
    if augment is TURN:
        sample = with_fields(sample, camera_intrinsics=None, metric_depth=False)
    right = judged(augment, sample)
    assert [str(r) for r in right.values() if not r.ok] == []
    report = judged(augment, sample, wrong)[f"geometric.{law}"]
    assert report.status == "violated", report
    assert report.count >= 1
    assert report.rows == rows
    if pixels:
        assert report.mask is not None
        for x, y in pixels:
            assert bool(report.mask[y, x]), f"({x}, {y})"


def test_every_law_has_a_breaker() -> None:
    assert {f"geometric.{law}" for law, *_ in BREAKERS} == {law.name for law in laws("geometric")}


def test_a_single_pixel_of_a_mask_is_named_alone() -> None:
    report = judged(flip, hand(), _at("instance_masks", 0, 2, 8))["geometric.masks_move_with_image"]
    assert report.rows == (0,)
    assert report.mask is not None
    assert report.mask.nonzero().tolist() == [[2, 8]]
    assert report.message == "row 0: 1 of 120 sure pixels are not what the image shows of the object"


def test_without_a_trace_only_what_needs_none_is_judged() -> None:
    sample = hand()
    reports = check_transform("geometric", sample, flip(sample), trace="because")
    verdicts = {r.name: r for r in reports}
    assert verdicts.pop("geometric.labels_never_grow").status == "held"
    assert {(r.status, r.message) for r in verdicts.values()} == {("not_decidable", "because")}
    assert [r.name for r in reports] == sorted(r.name for r in reports)


def test_only_chooses_and_another_kind_is_refused() -> None:
    sample = hand()
    (report,) = check_transform("geometric", sample, sample, trace="", only="*.labels_*", index=3)
    assert (report.name, report.sample) == ("geometric.labels_never_grow", 3)
    with pytest.raises(ValueError, match="kind: got 'paste', expected 'geometric' or 'photometric'"):
        check_transform("paste", sample, sample, trace="")  # pyright: ignore[reportArgumentType]


def test_a_small_turn_and_a_shear_are_not_decidable_for_normals() -> None:
    sample = with_fields(hand(), camera_intrinsics=None, metric_depth=False)
    assert _normals(judged(turned(10), sample)).status == "not_decidable"

    def sheared(sample: DenseSample) -> DenseSample:
        from torchvision.transforms.v2 import functional as F

        from tests.invariants.traced import moved

        def warp(value: torch.Tensor, fill: float = 0) -> torch.Tensor:
            return F.affine(value, 0.0, [0, 0], 1.0, [30.0, 0.0], fill=[float(fill)])

        return moved(sample, lambda t: F.affine(t, 0.0, [0, 0], 1.0, [30.0, 0.0], BILINEAR), warp)

    assert _normals(judged(sheared, sample)).status == "not_decidable"


def test_a_row_lost_may_leave_void_behind() -> None:
    def without_the_first(sample: DenseSample) -> DenseSample:
        panoptic, semantic = plain(sample.panoptic_map).clone(), plain(sample.semantic_map).clone()
        semantic[panoptic == 7] = 255
        panoptic[panoptic == 7] = 0
        return with_fields(
            sample,
            panoptic_map=panoptic,
            semantic_map=semantic,
            labels=plain(sample.labels)[1:],
            boxes=plain(sample.boxes)[1:],
            instance_ids=plain(sample.instance_ids)[1:],
            instance_masks=plain(sample.instance_masks)[1:],
        )

    reports = judged(flip, hand(), without_the_first)
    assert [str(r) for r in reports.values() if not r.ok] == []


def test_a_mosaic_that_forgets_the_donors_masks() -> None:
    def forgetful(target: DenseSample, donor: DenseSample) -> DenseSample:
        out = side_by_side(target, donor)
        masks = plain(out.instance_masks).clone()
        masks[2:] = masks[2:].flip(-1)
        return with_fields(out, instance_masks=masks)

    sample = with_fields(hand(), camera_intrinsics=None, metric_depth=False)
    report = judged_mix(forgetful, sample, sample, "geometric")["geometric.masks_move_with_image"]
    assert report.status == "violated"
    assert report.rows == (2, 3)


def test_a_trace_of_another_canvas_is_no_trace_of_this_output() -> None:
    sample = hand()
    trace = trace_of(lambda t, d: flip(t), sample, sample, flip(sample))
    reports = check_transform("geometric", sample, window(0, 0, 5, 5)(sample), trace=trace)
    assert {r.status for r in reports if "image" in r.name} == {"violated"}
    assert any("expected one of (5, 5)" in r.message for r in reports)


def _normals(reports: dict[str, InvariantReport]) -> InvariantReport:
    return reports["geometric.normals_rotate_with_image"]


def test_a_nearest_resize_by_one_pixel_looks_like_a_crop_and_is_none() -> None:
    sample = hand()
    narrower = resized(10, 11, NEAREST)
    assert judged(narrower, sample)["geometric.intrinsics_follow"].status == "held"
    assert judged(window(0, 0, 11, 10), sample)["geometric.intrinsics_follow"].status == "held"


def test_what_a_reflected_border_shows_again_is_a_row_of_its_own() -> None:
    sample = with_fields(hand(), camera_intrinsics=None, metric_depth=False, normals=None)

    def reflected(sample: DenseSample) -> DenseSample:
        """The picture and, to its right, its mirror image."""
        names = ("image", "semantic_map", "depth", "depth_valid")
        values = {
            name: torch.cat([plain(getattr(sample, name)), plain(getattr(sample, name)).flip(-1)], dim=-1)
            for name in names
        }
        masks = plain(sample.instance_masks)
        empty = torch.zeros_like(masks)
        both = torch.cat([torch.cat([masks, empty], dim=-1), torch.cat([empty, masks.flip(-1)], dim=-1)])
        return DenseSample.unchecked(
            **values,
            instance_masks=both,
            instance_ids=torch.tensor([7, 9, 10, 11], dtype=torch.int32),
            labels=torch.tensor([1, 2, 1, 2]),
            boxes=torch.zeros((4, 4)),
        )

    reports = judged(reflected, sample)
    assert [str(r) for r in reports.values() if not r.ok] == []
    assert reports["geometric.rows_show_their_object"].status == "held"
    forgotten = judged(reflected, sample, _set(labels=lambda s: torch.tensor([1, 2, 1, 1])))
    assert forgotten["geometric.rows_show_their_object"].rows == (3,)
    halved = judged(
        reflected, sample, _set(instance_masks=lambda s: plain(s.instance_masks) & (torch.arange(24) < 20))
    )
    assert halved["geometric.masks_move_with_image"].rows == (0, 2)

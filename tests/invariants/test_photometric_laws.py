"""Laws of augmentations that change colours only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from segpaste.invariants import InvariantReport, check_transform, laws
from segpaste.types import CameraIntrinsics, DenseSample
from tests.invariants.test_geometric_laws import hand
from tests.invariants.traced import pair_of_scenes, plain, with_fields


def verdicts(before: DenseSample, after: DenseSample) -> dict[str, InvariantReport]:
    reports = check_transform("photometric", before, after, trace="colours are not traced")
    return {r.name.removeprefix("photometric."): r for r in reports}


def darker(sample: DenseSample) -> DenseSample:
    return with_fields(sample, image=(plain(sample.image) / 2).to(sample.image.dtype))


def test_a_change_of_colours_breaks_nothing() -> None:
    held = 0
    for seed in range(200):
        sample, _ = pair_of_scenes(seed, channels=(3, 1))
        reports = verdicts(sample, darker(sample))
        assert [str(r) for r in reports.values() if not r.ok] == []
        held += [r.status for r in reports.values()] == ["held", "held"]
    assert held > 150


def test_a_picture_without_labels_exercises_little() -> None:
    sample = DenseSample.unchecked(image=torch.zeros((3, 2, 2), dtype=torch.uint8))
    reports = verdicts(sample, darker(sample))
    assert {name: r.status for name, r in reports.items()} == {
        "labels_untouched": "not_exercised",
        "frame_kept": "held",
    }


def _changed(name: str, y: int, x: int, value: float) -> Callable[[DenseSample], DenseSample]:
    def change(sample: DenseSample) -> DenseSample:
        field = plain(getattr(sample, name)).clone()
        field[..., y, x] = value
        return with_fields(sample, **{name: field})

    return change


def _only_first(sample: DenseSample) -> DenseSample:
    rows = ("labels", "boxes", "instance_ids", "instance_masks")
    return with_fields(sample, **{name: plain(getattr(sample, name))[:1] for name in rows})


def _turned_round(sample: DenseSample) -> DenseSample:
    rows = ("labels", "boxes", "instance_ids", "instance_masks")
    return with_fields(sample, **{name: plain(getattr(sample, name)).flip(0) for name in rows})


# (law, mistake, what is said, rows, the first offending pixel (x, y))
BREAKERS = [
    (
        "labels_untouched",
        _changed("semantic_map", 2, 3, 9),
        "1 of 120 pixels: semantic is not what it was",
        (),
        (3, 2),
    ),
    ("labels_untouched", _changed("panoptic_map", 2, 4, 9), "1 of 120 pixels: panoptic is not", (), (4, 2)),
    (
        "labels_untouched",
        _changed("depth", 1, 3, -0.0),
        "1 of 120 pixels: depth is not what it was",
        (),
        (3, 1),
    ),
    ("labels_untouched", _changed("depth_valid", 9, 3, 1), "1 of 120 pixels: depth_valid is not", (), (3, 9)),
    ("labels_untouched", _changed("normals", 1, 9, -0.0), "1 of 120 pixels: normals is not", (), (9, 1)),
    (
        "labels_untouched",
        _changed("instance_masks", 1, 6, 1),
        "row 0: masks differ from before in 1 value (and",
        (0, 1),
        (6, 1),
    ),
    (
        "labels_untouched",
        _changed("boxes", 1, 2, 7),
        "row 1: boxes differ from before in 1 value",
        (1,),
        None,
    ),
    ("labels_untouched", _turned_round, "row 0: labels differ", (0, 1), None),
    ("labels_untouched", _only_first, "1 rows, expected 2", (), None),
    (
        "labels_untouched",
        lambda s: with_fields(s, normals=None),
        "normals: gone, expected as before",
        (),
        None,
    ),
    (
        "labels_untouched",
        lambda s: with_fields(s, padding_mask=torch.zeros((1, 10, 12), dtype=torch.bool)),
        "padding: new, expected as before",
        (),
        None,
    ),
    (
        "labels_untouched",
        lambda s: with_fields(s, camera_intrinsics=CameraIntrinsics(8.0, 9.0, 4.0, 3.5)),
        "camera and metric_depth: got ((8.0, 9.0, 4.0, 3.5), True)",
        (),
        None,
    ),
    (
        "labels_untouched",
        lambda s: with_fields(s, metric_depth=False),
        "camera and metric_depth: got",
        (),
        None,
    ),
    (
        "frame_kept",
        lambda s: with_fields(s, image=plain(s.image)[:1]),
        "image [C, H, W] of [1, 10, 12], expected [3, 10, 12]",
        (),
        None,
    ),
]


@pytest.mark.parametrize("number", range(len(BREAKERS)))
def test_a_mistake_breaks_its_law(number: int) -> None:
    law, wrong, said, rows, pixel = BREAKERS[number]
    report = verdicts(hand(), wrong(hand()))[law]
    assert report.status == "violated"
    assert report.message.startswith(said)
    assert report.rows == rows
    if pixel is not None:
        assert report.mask is not None
        assert report.mask.nonzero().tolist() == [[pixel[1], pixel[0]]]


def test_every_law_has_a_breaker() -> None:
    assert {f"photometric.{law}" for law, *_ in BREAKERS} == {law.name for law in laws("photometric")}


def test_a_smaller_canvas_breaks_both() -> None:
    smaller = with_fields(
        hand(),
        **{n: plain(getattr(hand(), n))[..., :5, :5] for n in ("image", "semantic_map", "panoptic_map")},
        **{
            n: plain(getattr(hand(), n))[..., :5, :5]
            for n in ("instance_masks", "depth", "depth_valid", "normals")
        },
        boxes=torch.zeros((2, 4)),
    )
    reports = verdicts(hand(), smaller)
    assert {r.status for r in reports.values()} == {"violated"}

"""The reference against answers worked out by hand from section 4 of the design."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.paste import apply_reference, apply_with_audit
from segpaste.paste.reference import assert_bijection, run_reference, sample_axis
from segpaste.paste.rng import philox4x32
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.paste.samples import grid, plan, view

SCHEMA = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 8: "stuff", 9: "stuff"})
ALL = "1111\n1111\n1111\n1111"
NONE = "....\n....\n....\n...."
LEFT = "11..\n11..\n11..\n11.."


def paste(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    drawn: PastePlan | None = None,
    config: BatchCopyPasteConfig | None = None,
) -> tuple[dict[str, torch.Tensor], BatchAuditPacket]:
    drawn, config = drawn or plan(), config or BatchCopyPasteConfig()
    out, audit = apply_reference(target, source, drawn, config)
    # What is worked out by hand here holds for every executor.
    for executor in ("rectangle", "graph"):
        again, told = apply_with_audit(target, source, drawn, config, executor=executor)
        assert_same_bits(out, again, audits=(audit, told), names=("reference", executor))
    return {name: value[0] for name, value in out.tensors().items()}, audit


def panoptic_config(**changes: Any) -> BatchCopyPasteConfig:
    outer = {n: changes.pop(n) for n in list(changes) if n in BatchCopyPasteConfig.model_fields}
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=SCHEMA, **changes), **outer)  # pyright: ignore[reportArgumentType]


def white(value: int = 200) -> torch.Tensor:
    return torch.full((1, 4, 4), value, dtype=torch.uint8)


# 4.2: the grid


def test_grid_at_scale_two():
    # step 32768: u = (2x + 1) * 2**15; n = u >> 17 = (2x + 1) >> 2 -> 0 0 1 1 2 2 3 3.
    # v = u - 2**16 = (2x - 1) * 2**15: -1 1 3 5 ... in units of 2**15, a pixel being 4:
    # tap floor(v / 4) = -1 0 0 1 1 2 2 3, rest 3 1 3 1 ... -> second weight 192 64 192 64 ...
    inside, nearest, taps, weights = sample_axis(8, 0, 32768, 4, mirrored=False)
    assert inside.all()
    assert nearest.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert taps.tolist() == [[0, 0, 0, 1, 1, 2, 2, 3], [0, 1, 1, 2, 2, 3, 3, 3]]  # clamped to 0..3
    assert weights[1].tolist() == [192, 64, 192, 64, 192, 64, 192, 64]


def test_grid_at_scale_one_half_and_mirrored():
    # step 131072: u = (2x + 1) * 2**17, n = 2x + 1; v = (4x + 1) * 2**16 -> tap 2x, half a pixel.
    inside, nearest, taps, weights = sample_axis(3, 0, 131072, 4, mirrored=False)
    assert inside.tolist() == [True, True, False]
    assert nearest.tolist() == [1, 3]
    assert taps.tolist() == [[0, 2], [1, 3]]
    assert weights.tolist() == [[128, 128], [128, 128]]
    _, nearest, taps, _ = sample_axis(3, 0, 131072, 4, mirrored=True)
    assert nearest.tolist() == [2, 0]
    assert taps.tolist() == [[3, 1], [2, 0]]


def test_grid_shifts_with_the_translation():
    inside, nearest, _, weights = sample_axis(4, -1, 65536, 2, mirrored=False)
    assert inside.tolist() == [True, False, False, False]
    assert nearest.tolist() == [1]
    assert weights.tolist() == [[256], [0]]


# 4.3: values


def test_uint8_image_rounds_half_up():
    # Scale 1/2 averages four pixels: (1 + 2 + 2 + 1) / 4 = 1.5 -> 2; (0 + 1 + 0 + 1) / 4 = .5 -> 1.
    image = torch.zeros((1, 4, 4), dtype=torch.uint8)
    image[0, :2] = torch.tensor([[1, 2, 0, 1], [2, 1, 0, 1]])
    out, _ = paste(view(rows={}), view(rows={0: (1, 0, ALL)}, image=image), plan(step=131072))
    assert out["images"][0].tolist() == [[2, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert out["instance_masks"][0].tolist() == (grid("11..\n11..\n....\n....") > 0).tolist()
    assert out["boxes"][0].tolist() == [0, 0, 2, 2]


def test_uint8_image_just_below_a_half_rounds_down():
    # step 66048: at x = 0, v = 512, so the second tap weighs 1 of 256, along x and along y:
    # weights 255 * 255, 255, 255, 1. Over 0, 64, 64, 127: 255 * 128 + 127 = 32767, and
    # (32767 + 32768) >> 16 = 0; one more and it would be 1.
    image = torch.zeros((1, 4, 4), dtype=torch.uint8)
    image[0, :2, :2] = torch.tensor([[0, 64], [64, 127]])
    source = view(rows={0: (1, 0, ALL)}, image=image)
    assert paste(view(rows={}), source, plan(step=66048))[0]["images"][0, 0, 0] == 0
    image[0, 1, 1] = 128
    assert paste(view(rows={}), source, plan(step=66048))[0]["images"][0, 0, 0] == 1


def test_a_term_of_weight_zero_is_positive_zero():
    # step 21846 (scale 3): at 1, v = 2: weights 256 and 0; at 0, v = -43690 mod 2**17 = 87382:
    # weights 86 and 170. Pixel (1, 0) adds two terms of -0 and two of weight 0, +0 by definition;
    # pixel (1, 1) is one tap alone and keeps its sign.
    image = torch.full((1, 4, 4), -0.0)
    target = view(rows={}, image=torch.ones((1, 4, 4)))
    out, _ = paste(target, view(rows={0: (1, 0, ALL)}, image=image), plan(step=21846))
    assert torch.signbit(out["images"][0, 1, :2]).tolist() == [False, True]


def test_float_image_at_scale_one_keeps_the_bits_of_negative_zero():
    image = torch.full((1, 4, 4), -0.0)
    image[0, 0, 0] = 3e38
    target = view(rows={}, image=torch.ones((1, 4, 4)))
    out, _ = paste(target, view(rows={0: (1, 0, ALL)}, image=image))
    assert torch.equal(out["images"].view(torch.int32), image.view(torch.int32))


def test_float_image_interpolates_in_float64():
    image = torch.zeros((1, 4, 4))
    image[0, :2, :2] = torch.tensor([[1.0, 2.0], [4.0, 8.0]])
    out, _ = paste(
        view(rows={}, image=torch.zeros((1, 4, 4))),
        view(rows={0: (1, 0, ALL)}, image=image),
        plan(step=131072),
    )
    assert out["images"][0, 0, 0].item() == 3.75


def depth(values: list[float], valid: list[int] | None = None) -> dict[str, Any]:
    """Four columns, the same in each of four rows."""
    plane = torch.tensor(values).expand(4, 4).clone()[None, None]
    ok = torch.ones((1, 1, 4, 4), dtype=torch.bool)
    if valid is not None:
        ok = torch.tensor(valid).bool().expand(4, 4).clone()[None, None]
    return {"depth": plane, "depth_valid": ok}


def test_z_test_takes_what_is_nearer_or_falls_on_invalid_depth():
    nan = float("nan")
    #                nearer  equal  farther, but the target is invalid, source invalid
    target = view(rows={}, **depth([2.0, 2.0, nan, 2.0], [1, 1, 0, 1]))
    source = view(rows={0: (1, 0, ALL)}, image=white(), **depth([1.0, 2.0, 9.0, nan], [1, 1, 1, 0]))
    out, audit = paste(target, source)
    assert audit.paste_union[0, 0].tolist() == [True, False, True, False]
    assert out["instance_masks"][0, 0].tolist() == [True, False, True, False]
    assert out["depth"][0, 0, :3].tolist() == [1.0, 2.0, 9.0]
    assert out["depth_valid"][0, 0].tolist() == [True, True, False, True]  # valid on both sides
    out, audit = paste(target, source, config=BatchCopyPasteConfig(z_test=False))
    assert audit.paste_union.all()
    assert out["depth"][0, 0].tolist() == [1.0, 2.0, 9.0, 0.0]  # 0 where the source is invalid
    assert out["depth_valid"][0, 0].tolist() == [True, True, False, False]


def test_depth_interpolates_over_valid_taps_only():
    # Scale 1/2 averages columns (0, 1) and (2, 3); of the second pair the nearest is invalid.
    source = view(rows={0: (1, 0, ALL)}, **depth([float("nan"), 4.0, 4.0, float("inf")], [0, 1, 1, 0]))
    target = view(rows={}, **depth([9.0] * 4))
    out, audit = paste(target, source, plan(step=131072), BatchCopyPasteConfig(z_test=False))
    assert audit.warped_depth is not None
    assert audit.warped_depth[0, 0, 0].tolist() == [4.0, 0.0, 0.0, 0.0]
    assert out["depth_valid"][0, 0].tolist() == [True, False, True, True]


@pytest.mark.parametrize(("step", "expected"), [(65536, 4.0), (32768, 2.0)])
def test_metric_depth_is_rescaled_by_focal_length_and_scale(step, expected):
    # sqrt(100 * 400) / sqrt(100 * 100) = 2: the same object is twice as far; at scale 2 half of that.
    cameras = [torch.tensor([[100.0, fy, 0, 0]], dtype=torch.float64) for fy in (400.0, 100.0)]
    target = replace(view(rows={}, **depth([9.0] * 4), camera_intrinsics=cameras[0]), metric_depth=True)
    source = view(rows={0: (1, 0, ALL)}, **depth([2.0] * 4), camera_intrinsics=cameras[1])
    out, audit = paste(target, replace(source, metric_depth=True), plan(step=step))
    assert out["depth"].unique().tolist() == [expected]
    assert audit.source_intrinsics is not None
    assert audit.source_intrinsics.tolist() == cameras[1].tolist()


def test_metric_depth_that_overflows_is_invalid():
    cameras = [torch.tensor([[f, f, 0, 0]], dtype=torch.float64) for f in (1e6, 1.0)]
    target = replace(view(rows={}, **depth([1.0] * 4), camera_intrinsics=cameras[0]), metric_depth=True)
    source = view(rows={0: (1, 0, ALL)}, **depth([1e35] * 4), camera_intrinsics=cameras[1])
    out, _ = paste(target, replace(source, metric_depth=True), config=BatchCopyPasteConfig(z_test=False))
    assert out["depth"].unique().tolist() == [0.0]
    assert not out["depth_valid"].any()


def test_the_largest_depth_is_valid():
    largest = torch.finfo(torch.float32).max
    source = view(rows={0: (1, 0, ALL)}, **depth([largest, 1.0, 2.0**-149, 0.0], [1, 1, 1, 0]))
    out, _ = paste(view(rows={}, **depth([1.0] * 4)), source, config=BatchCopyPasteConfig(z_test=False))
    assert out["depth"][0, 0].tolist() == [largest, 1.0, 2.0**-149, 0.0]
    assert out["depth_valid"][0, 0].tolist() == [True, True, True, False]


def normals(*columns: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(columns).float().T[:, None, :].expand(3, 4, 4).clone()[None]


def test_normals_are_mirrored_with_their_sign_and_keep_zero_positive():
    down = (0.0, 0.0, -1.0)
    source = view(rows={0: (1, 0, ALL)}, normals=normals((0.6, 0.0, -0.8), (0.0, 0.0, 0.0), down, down))
    out, _ = paste(view(rows={}, normals=normals(down, down, down, down)), source, plan(hflip=True))
    row = out["normals"][:, 0]
    assert row[:, 2].tolist() == [0.0, 0.0, 0.0]  # no normal stays no normal
    q = torch.tensor([0.6, -0.8]).double().mul(2**25).round()
    unit = (q / (q * q).sum().sqrt()).float()
    assert row[:, 3].tolist() == [-unit[0].item(), 0.0, unit[1].item()]
    assert not torch.signbit(row[0, :3]).any()


def test_normals_that_cancel_take_the_nearest():
    # Scale 1/2 averages (1, 0, 0) and (-1, 0, 0): zero, so the nearest tap (column 1) alone.
    source = view(rows={0: (1, 0, ALL)}, normals=normals((1, 0, 0), (-1, 0, 0), (0, 0, 0), (0, 0, 0)))
    out, _ = paste(view(rows={}, normals=normals(*[(0, 0, -1)] * 4)), source, plan(step=131072))
    assert out["normals"][:, 0, 0].tolist() == [-1.0, 0.0, 0.0]
    assert out["normals"][:, 0, 1].tolist() == [0.0, 0.0, 0.0]


def test_a_zero_component_of_a_normal_is_positive_and_the_shortest_normal_is_one():
    # q = rint(2**-25 * 65536 * 512) = 1, a vector of length 1 already.
    tiny = (2.0**-25, -0.0, 0.0)
    down = (-0.0, 0.0, -1.0)
    source = view(rows={0: (1, 0, ALL)}, normals=normals(tiny, down, down, down))
    out, _ = paste(view(rows={}, normals=normals(*[(1, 0, 0)] * 4)), source)
    assert out["normals"][:, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert out["normals"][:, 0, 1].tolist() == [0.0, 0.0, -1.0]
    assert torch.signbit(out["normals"][:, 0]).tolist() == [[False] * 4] * 2 + [[False, True, True, True]]


def test_normals_that_cancel_at_one_place_take_the_nearest_there_alone():
    # Scale 1/2: columns 0 and 1 cancel, the nearest is column 1. Of columns 2 and 3 only x
    # cancels: that is a normal, and its x stays 0, whatever the nearest has.
    one = (0.1, 0.2, -0.97)
    map_ = normals((-one[0], -one[1], -one[2]), one, (0.6, 0.0, -0.8), (-0.6, 0.0, -0.8))
    source = view(rows={0: (1, 0, ALL)}, normals=map_)
    out, _ = paste(view(rows={}, normals=normals(*[(0, 0, -1)] * 4)), source, plan(step=131072))
    q = [round(v * 2**25) for v in torch.tensor(one).tolist()]
    length = (float(q[0]) ** 2 + float(q[1]) ** 2 + float(q[2]) ** 2) ** 0.5
    expected = torch.tensor([v / length for v in q], dtype=torch.float64).float()
    assert torch.equal(out["normals"][:, 0, 0], expected)
    assert out["normals"][:, 0, 1].tolist() == [0.0, 0.0, -1.0]


# 4.4 and 4.5: gate and winner


def test_ignore_on_either_side_and_padding_are_never_painted():
    target = view(rows={}, semantic_maps=ALL)
    source = view(rows={0: (1, 0, ALL)}, semantic_maps=ALL, image=white())
    target.semantic_maps[0, 0, 0] = 255  # pyright: ignore[reportOptionalSubscript]
    source.semantic_maps[0, 0, 1] = 255  # pyright: ignore[reportOptionalSubscript]
    padding = torch.zeros((1, 1, 4, 4), dtype=torch.bool)
    padding[..., 3, :] = True
    out, audit = paste(replace(target, padding_mask=padding), source)
    expected = torch.ones((4, 4), dtype=torch.bool)
    expected[0, :2], expected[3] = False, False
    assert torch.equal(audit.paste_union[0], expected)
    assert torch.equal(out["images"][0] == 200, expected)


def test_source_padding_is_not_inside_and_the_flip_mirrors_the_valid_rectangle():
    padding = torch.zeros((1, 1, 4, 4), dtype=torch.bool)
    padding[..., 3:] = True
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4)
    source = replace(view(rows={0: (1, 0, ALL)}, image=image), padding_mask=padding)
    target = replace(view(rows={}, image=white()), padding_mask=torch.zeros_like(padding))
    out, _ = paste(target, source, plan(hflip=True))
    assert out["images"][0, 0].tolist() == [2, 1, 0, 200]


def test_later_rows_win_unless_a_class_has_priority():
    source = view(rows={0: (1, 0, LEFT), 1: (2, 1, "111.\n111.\n....\n....")})
    out, audit = paste(view(rows={}), source)
    assert audit.row_source is not None
    assert audit.row_source.tolist() == [[0, 1, -1, -1]]
    assert out["instance_masks"][0].sum() == 4
    assert out["instance_masks"][1].sum() == 6
    out, _ = paste(view(rows={}), source, plan(order=[1, 0, 2, 3]))
    assert out["labels"].tolist() == [2, 1, 0, 0]
    assert out["instance_masks"].sum(dim=(1, 2)).tolist() == [2, 8, 0, 0]
    out, _ = paste(view(rows={}), source, config=panoptic_config(class_priority={1: 5}))
    assert out["instance_masks"].sum(dim=(1, 2)).tolist() == [8, 2, 0, 0]


def test_a_class_without_an_entry_has_priority_zero():
    source = view(rows={0: (1, 0, LEFT), 1: (2, 1, "111.\n111.\n....\n....")})
    # 1 beats 0, -1 does not; 0 is equal, so that the later row wins.
    for priority, kept in ((1, 8), (0, 4), (-1, 4)):
        out, _ = paste(view(rows={}), source, config=panoptic_config(class_priority={1: priority}))
        assert out["instance_masks"][0].sum() == kept
    out, _ = paste(view(rows={}), source, config=panoptic_config(class_priority={2: -1}))
    assert out["instance_masks"][0].sum() == 8


def test_a_priority_counts_for_more_than_any_place_in_the_order():
    # Every slot is pasted; the first in the order has the higher priority by one.
    rows = {0: (1, 0, ALL), 1: (2, 1, "11..\n....\n....\n....")}
    out, _ = paste(
        view(rows={}, slots=2),
        view(rows=rows, slots=2),
        plan(slots=2),
        panoptic_config(class_priority={1: 1}, min_pasted_area=1),
    )
    assert out["instance_masks"].sum(dim=(1, 2)).tolist() == [16, 0]
    assert out["labels"].tolist() == [1, 0]


# 4.1: the paste list


def test_only_things_with_a_mask_are_pasted_and_only_as_many_as_fit():
    source = view(
        rows={0: (8, 0, ALL), 1: (1, 1, NONE), 2: (1, 2, LEFT), 3: (2, 3, "1...\n....\n....\n....")}
    )
    out, audit = paste(view(rows={}), source, plan(count=1), panoptic_config())
    assert audit.row_source is not None
    assert audit.row_source.tolist() == [[2, -1, -1, -1]]
    full = {i: (1, i, row) for i, row in enumerate(("1...", ".1..", "..1."))}
    full = {i: (c, n, f"....\n....\n....\n{row}") for i, (c, n, row) in full.items()}
    out, audit = paste(view(rows=full), source, plan(order=[3, 2, 1, 0]), panoptic_config())
    assert audit.row_source is not None
    assert audit.row_source.tolist() == [[-1, -1, -1, 3]]
    assert audit.paste_union.sum() == 1  # the surplus row is never painted
    assert out["labels"].tolist() == [1, 1, 1, 2]


# 4.6: the union


def stuff_scene(**config: Any) -> tuple[dict[str, torch.Tensor], BatchAuditPacket]:
    # Stuff 8 has the left half, 9 the right; the paste covers the left half and one pixel more.
    target = view(rows={}, semantic_maps="8899\n" * 4, panoptic_maps=NONE)
    source = view(
        rows={0: (1, 1, "111.\n11..\n11..\n11..")},
        semantic_maps="1118\n1188\n1188\n1188",
        panoptic_maps="111.\n11..\n11..\n11..",
        image=white(),
    )
    return paste(target, source, config=panoptic_config(**config))


def test_stuff_that_would_vanish_takes_its_pixels_back():
    out, audit = stuff_scene()
    assert audit.paste_union[0].tolist() == (grid("..1.\n....\n....\n....") > 0).tolist()
    assert out["boxes"][0].tolist() == [2, 0, 3, 1]
    assert out["semantic_maps"][0].tolist() == [8, 8, 1, 9]
    assert out["panoptic_maps"].sum() == 1
    assert out["images"].sum() == 200


def test_stuff_thresholds_are_strict():
    # 7 of 8 pixels of class 9 are left: 7 * 65536 < tau * 8 iff tau > 57344 (0.875).
    _, audit = stuff_scene(tau_stuff_frac=0.875, stuff_min_area={9: 7})
    assert audit.paste_union.sum() == 1
    _, audit = stuff_scene(stuff_min_area={9: 8})
    assert audit.paste_union.sum() == 0
    _, audit = stuff_scene(tau_stuff_frac=0.8751)
    assert audit.paste_union.sum() == 0


def test_a_stuff_class_may_vanish_where_nothing_forbids_it():
    _, audit = stuff_scene(tau_stuff_frac=0.0)
    assert audit.paste_union.sum() == 9


@pytest.mark.parametrize(("tau", "reverted"), [(43690, False), (43691, True)])
def test_the_smallest_step_of_a_stuff_fraction_decides(tau, reverted):
    # Two of three pixels are left: 2 * 65536 = 131072, against 3 * 43690 = 131070 and 3 * 43691 = 131073.
    target = view(rows={}, semantic_maps="9998\n" + "8888\n" * 3)
    source = view(rows={0: (1, 0, "1...\n....\n....\n....")}, semantic_maps="1888\n" + "8888\n" * 3)
    _, audit = paste(target, source, config=panoptic_config(tau_stuff_frac=tau / 65536))
    assert audit.paste_union.sum() == (0 if reverted else 1)


def test_stuff_policy_ignore_turns_the_rest_into_void():
    out, audit = stuff_scene(stuff_policy="ignore", stuff_min_area={9: 8})
    assert audit.paste_union.sum() == 9
    # Class 8 is gone altogether; what is left of 9, outside of the paste, is void.
    assert out["semantic_maps"].tolist() == [[1, 1, 1, 255]] + [[1, 1, 255, 255]] * 3
    assert out["panoptic_maps"].tolist() == [[1, 1, 1, 0]] + [[1, 1, 0, 0]] * 3


def test_a_row_below_min_pasted_area_is_not_pasted_and_uses_no_id():
    source = view(rows={0: (1, 0, "1...\n....\n....\n...."), 1: (2, 1, "...." + "\n11.." * 3)})
    out, audit = paste(view(rows={}), source, config=BatchCopyPasteConfig(min_pasted_area=2))
    assert audit.paste_union.sum() == 6
    assert out["instance_ids"].tolist() == [0, 0, 0, 0]
    assert out["labels"].tolist() == [2, 0, 0, 0]
    assert out["instance_valid"].tolist() == [True, False, False, False]


# 4.8 and 4.9: rows and void


def test_survivors_are_trimmed_and_dropped_rows_free_no_slot_of_this_paste():
    target = view(rows={0: (1, 4, "1...\n....\n....\n...."), 2: (2, 9, "....\n1111\n....\n....")})
    source = view(rows={0: (1, 0, LEFT)})
    out, audit = paste(target, source)
    assert audit.row_dropped is not None
    assert audit.row_dropped.tolist() == [[True, False, False, False]]
    assert out["instance_valid"].tolist() == [False, True, True, False]
    assert out["labels"].tolist() == [0, 1, 2, 0]
    assert out["instance_ids"].tolist() == [0, 10, 9, 0]
    assert out["boxes"].tolist() == [[0] * 4, [0, 0, 2, 4], [2, 1, 4, 2], [0] * 4]


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        ({"min_area": 2}, False),
        ({"min_area": 3}, True),
        ({"min_residual_area_frac": 0.5}, False),
        ({"min_residual_area_frac": 0.50001}, True),
    ],
)
def test_drop_thresholds_are_strict(change, dropped):
    target = view(rows={0: (2, 9, "....\n1111\n....\n....")})
    out, audit = paste(target, view(rows={0: (1, 0, LEFT)}), config=BatchCopyPasteConfig(**change))
    assert audit.row_dropped is not None
    assert bool(audit.row_dropped[0, 0]) is dropped
    assert bool(out["instance_valid"][0]) is not dropped


@pytest.mark.parametrize(("fraction", "dropped"), [(43690, False), (43691, True)])
def test_the_smallest_step_of_a_residual_fraction_decides(fraction, dropped):
    # As for stuff: two of three pixels are left.
    target = view(rows={0: (2, 9, ".111\n....\n....\n....")})
    config = BatchCopyPasteConfig(min_residual_area_frac=fraction / 65536)
    out, _ = paste(target, view(rows={0: (1, 0, LEFT)}), config=config)
    assert bool(out["instance_valid"][0]) is not dropped


def test_untouched_rows_keep_even_a_loose_box():
    target = view(rows={0: (2, 9, "...1\n....\n....\n....")})
    target.boxes[0, 0] = torch.tensor([0.0, 0.0, 4.0, 4.0])
    out, _ = paste(target, view(rows={0: (1, 0, LEFT)}), config=BatchCopyPasteConfig(min_area=5))
    assert out["boxes"][0].tolist() == [0, 0, 4, 4]
    assert out["instance_valid"][0]


def test_what_is_left_of_a_dropped_row_becomes_void_under_a_panoptic_map():
    target = view(
        rows={0: (1, 5, "1111\n....\n....\n....")},
        semantic_maps="1111\n" + "8888\n" * 3,
        panoptic_maps="5555\n" + NONE[:14],
    )
    source = view(
        rows={0: (2, 1, "111.\n....\n....\n....")},
        semantic_maps="2228\n" + "8888\n" * 3,
        panoptic_maps="111.\n" + NONE[:14],
    )
    out, _ = paste(target, source, config=panoptic_config(min_area=2))
    assert out["semantic_maps"][0].tolist() == [2, 2, 2, 255]
    assert out["panoptic_maps"][0].tolist() == [6, 6, 6, 0]
    assert out["instance_ids"].tolist() == [0, 6, 0, 0]


def test_fresh_ids_exceed_the_whole_panoptic_map():
    stray = view(rows={}, semantic_maps="8888\n" * 4, panoptic_maps="7...\n....\n....\n....")
    source = view(rows={0: (1, 1, LEFT)}, semantic_maps="1188\n" * 4, panoptic_maps=LEFT)
    out, _ = paste(stray, source)
    assert out["instance_ids"].tolist() == [8, 0, 0, 0]
    empty = view(rows={}, semantic_maps="8888\n" * 4, panoptic_maps=NONE)
    assert paste(empty, source)[0]["instance_ids"].tolist() == [1, 0, 0, 0]


def test_fresh_ids_exceed_those_of_rows_that_the_panoptic_map_does_not_show():
    target = view(rows={1: (1, 9, NONE)}, semantic_maps="8888\n" * 4, panoptic_maps="7...\n....\n....\n....")
    source = view(rows={0: (1, 1, LEFT)}, semantic_maps="1188\n" * 4, panoptic_maps=LEFT)
    assert paste(target, source)[0]["instance_ids"].tolist() == [10, 9, 0, 0]


def test_under_a_panoptic_map_the_semantic_label_is_that_of_the_row():
    target = view(rows={}, semantic_maps="8888\n" * 4, panoptic_maps=NONE)
    source = view(rows={0: (1, 1, LEFT)}, semantic_maps="2988\n" * 4, panoptic_maps=LEFT)
    assert paste(target, source)[0]["semantic_maps"].tolist() == [[1, 1, 8, 8]] * 4
    # Without one it is what the source shows there.
    target, source = (replace(v, panoptic_maps=None) for v in (target, source))
    assert paste(target, source)[0]["semantic_maps"].tolist() == [[2, 9, 8, 8]] * 4


# 4.11: edge cases


def test_class_mix_takes_the_classes_of_the_key():
    target = view(semantic_maps="1122\n" * 4)
    source = view(semantic_maps="3344\n" * 4, image=white())
    for key in range(8):
        bits = [philox4x32((c, 0, 0, 0), (key, 0))[0] & 1 for c in (3, 4)]
        out, audit = paste(target, source, plan(step=1000, translate=(2, 2), hflip=True, mix_key=key))
        row = [3 if bits[0] else 1] * 2 + [4 if bits[1] else 2] * 2
        assert out["semantic_maps"].tolist() == [row] * 4
        assert audit.paste_union[0, 0].tolist() == [bool(bits[0])] * 2 + [bool(bits[1])] * 2
        assert not out["instance_valid"].any()
    out, audit = paste(target, source, plan(count=0))
    assert not audit.paste_union.any()


@pytest.mark.parametrize("masks", [True, False])
def test_image_only_and_boxes_only_stay_as_they_are(masks):
    target = view(slots=2)
    if masks:
        target = replace(
            target,
            boxes=torch.tensor([[[0.0, 0, 2, 2], [0, 0, 0, 0]]]),
            labels=torch.tensor([[3, 0]]),
            instance_valid=torch.tensor([[True, False]]),
        )
    out, audit = paste(target, replace(target, images=white()[None]), plan(slots=2))  # pyright: ignore[reportArgumentType]
    assert all(torch.equal(out[name], value[0]) for name, value in target.tensors().items())
    assert not audit.paste_union.any()
    assert audit.row_source is not None
    assert (audit.row_source == -1).all()


def test_an_empty_batch_stays_empty():
    empty = view(rows={0: (1, 0, ALL)}).gather(slice(0, 0))
    nothing = plan()
    none = PastePlan(
        *(
            getattr(nothing, f)[:0]
            for f in ("source_idx", "step", "translate", "hflip", "order", "count", "mix_key")
        )
    )
    out, audit = apply_reference(empty, empty, none, BatchCopyPasteConfig())
    assert out.images.shape == (0, 1, 4, 4)
    assert audit.paste_union.shape == (0, 4, 4)


def test_a_canvas_of_one_pixel():
    one = view(
        height=1, width=1, slots=1, rows={0: (1, 0, "1")}, image=torch.full((1, 1, 1), 9, dtype=torch.uint8)
    )
    target = view(height=1, width=1, slots=1, rows={})
    out, _ = paste(target, one, plan(slots=1))
    assert out["images"].tolist() == [[[9]]]
    assert out["boxes"].tolist() == [[0, 0, 1, 1]]


def test_a_source_that_is_all_padding_pastes_nothing():
    source = replace(view(rows={0: (1, 0, ALL)}), padding_mask=torch.ones((1, 1, 4, 4), dtype=torch.bool))
    target = replace(view(rows={}), padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    out, audit = paste(target, source)
    assert not audit.paste_union.any()
    assert not out["instance_valid"].any()


def test_inputs_are_neither_changed_nor_shared():
    target = view(rows={1: (1, 4, "....\n....\n1111\n....")}, semantic_maps="1111\n" * 4)
    source = view(rows={0: (1, 0, LEFT)}, semantic_maps="1111\n" * 4, image=white())
    before = {n: v.clone() for n, v in target.tensors().items()}
    out, _ = apply_reference(target, source, plan(), BatchCopyPasteConfig())
    assert all(torch.equal(v, before[n]) for n, v in target.tensors().items())
    for name, value in out.tensors().items():
        assert value.data_ptr() != target.tensors()[name].data_ptr()


def test_bijection_is_checked_on_request():
    target = view(rows={}, semantic_maps="8888\n" * 4, panoptic_maps=NONE)
    source = view(rows={0: (1, 1, LEFT)}, semantic_maps="1188\n" * 4, panoptic_maps=LEFT)
    config = panoptic_config(debug_assert_bijection=True)
    out, _ = paste(target, source, config=config)
    assert out["instance_valid"][0]
    # Overlapping target masks, which only a batch that was never validated can hold.
    bad = view(rows={0: (1, 1, LEFT), 1: (1, 2, LEFT)}, semantic_maps="1188\n" * 4, panoptic_maps=LEFT)
    for executor in ("reference", "rectangle", "graph"):
        with pytest.raises(RuntimeError, match="debug_assert_bijection: 8 pixels"):
            apply_with_audit(bad, source, plan(count=0), config, executor=executor)
    paste(bad, source, plan(count=0), panoptic_config())
    paste(view(rows={}), view(rows={0: (1, 0, LEFT)}), config=config)  # no panoptic map: nothing to check


def test_bijection_check_needs_masks():
    from segpaste.paste.reference import _to_arrays

    sample = _to_arrays(view(rows={0: (1, 0, LEFT)}))[0]
    assert_bijection(replace(sample, panoptic=np.zeros((4, 4), dtype=np.int64)))


def test_no_audit_is_made_where_none_is_asked_for():
    arguments = (view(rows={}), view(rows={0: (1, 0, LEFT)}), plan(), BatchCopyPasteConfig())
    assert run_reference(*arguments, out=None, with_audit=False)[1] is None
    assert run_reference(*arguments, out=None, with_audit=True)[1] is not None


@pytest.mark.parametrize("batch", [0, 2])
def test_arrays_are_stacked_on_the_device_of_what_they_are_like(batch):
    from segpaste.paste.reference import _stack

    like = torch.zeros((batch, 3), dtype=torch.int32, device="meta")
    stacked = _stack([np.zeros(3)] * batch, like)
    assert (stacked.device, stacked.dtype, stacked.shape) == (like.device, like.dtype, like.shape)


@pytest.mark.parametrize("metric", [False, True])
def test_an_empty_batch_of_every_modality_has_an_empty_audit(metric):
    camera = torch.ones((1, 4), dtype=torch.float64)
    maps: dict[str, Any] = depth([1.0] * 4) | {
        "normals": normals(*[(0, 0, -1)] * 4),
        "camera_intrinsics": camera,
    }
    one = view(rows={0: (1, 1, ALL)}, semantic_maps=ALL, panoptic_maps=ALL, **maps)
    empty = replace(one, metric_depth=metric).gather(slice(0, 0))
    nothing = plan()
    none = PastePlan(*(getattr(nothing, f)[:0] for f in PastePlan.__dataclass_fields__))
    expected, told = apply_reference(empty, empty, none, BatchCopyPasteConfig())
    assert told.warped_normals is not None
    assert told.warped_normals.shape == (0, 3, 4, 4)
    assert expected.metric_depth is metric
    for executor in ("rectangle", "graph"):
        out, audit = apply_with_audit(empty, empty, none, BatchCopyPasteConfig(), executor=executor)
        assert out.metric_depth is metric
        assert_same_bits(expected, out, audits=(told, audit))

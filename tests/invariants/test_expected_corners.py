"""Corners of the laws' own recomputation that drawn pastes seldom come to."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from segpaste.invariants.bits import same
from segpaste.invariants.expected import (
    ExpectedPaste,
    _winners,  # pyright: ignore[reportPrivateUsage]
    expect_paste,
)
from segpaste.invariants.masks import depth_of_cover
from segpaste.invariants.transforms import joined, transposed
from segpaste.invariants.view import present, view_of
from segpaste.invariants.warp import sampling_grid, warp_at
from segpaste.types import LEGAL_MODALITY_SETS, Modality
from tests.invariants.invariant_cases import Case, dense, random_case, with_fields
from tests.invariants.test_expected import disagreements

ALL = LEGAL_MODALITY_SETS[-1]
ROWS = LEGAL_MODALITY_SETS[0]
MIX = frozenset({Modality.IMAGE, Modality.SEMANTIC})
MIX_WITH_DEPTH = MIX | {Modality.DEPTH}
STUFF = 7


def expected(case: Case) -> ExpectedPaste:
    return expect_paste(view_of(case.target), view_of(case.source), case.plan, case.config)


def as_it_lies(case: Case) -> Case:
    """The plan that moves nothing, and takes the rows in the order of their slots."""
    slots = case.source.max_instances
    plan = replace(
        case.plan,
        step=torch.tensor([65536]),
        translate=torch.zeros(1, 2, dtype=torch.int64),
        hflip=torch.tensor([False]),
        order=torch.arange(slots)[None],
        count=torch.tensor([slots]),
    )
    return replace(case, plan=plan)


def one_thing(height: int, width: int, taken: int, *, residual: float) -> Case:
    """A target all of one thing; the source's thing covers all of it but its last ``taken`` pixels."""
    case = as_it_lies(
        random_case(
            1, ROWS, canvas=(height, width), slots=2, source_slots=1, schema=False, padding=False,
            dtype=torch.uint8, min_area=1, min_pasted_area=1, residual=residual, z_test=False,
        )
    )  # fmt: skip
    masks = torch.zeros(1, 2, height, width, dtype=torch.bool)
    masks[0, 0] = True
    left = torch.ones(height * width, dtype=torch.bool)
    left[height * width - taken :] = False
    box = [0.0, 0.0, float(width), float(height)]
    target = with_fields(
        case.target,
        instance_masks=masks,
        instance_valid=torch.tensor([[True, False]]),
        labels=torch.tensor([[1, 0]]),
        instance_ids=torch.tensor([[4, 0]], dtype=torch.int32),
        boxes=torch.tensor([[box, [0.0] * 4]]),
    )
    source = with_fields(
        case.source,
        instance_masks=left.reshape(1, 1, height, width),
        instance_valid=torch.tensor([[True]]),
        labels=torch.tensor([[2]]),
        instance_ids=torch.tensor([[1]], dtype=torch.int32),
        boxes=torch.tensor([[box]]),
    )
    return replace(case, target=target, source=source)


def test_what_a_class_mix_says_of_rows() -> None:
    case = random_case(5, MIX_WITH_DEPTH, canvas=(4, 5), slots=3, source_slots=2, count=1, padding=False)
    found = expected(case)
    assert (found.offered, found.pasted, found.eligible, found.flipped) == ((), (), 0, False)
    assert (found.may.shape, found.may.dtype) == ((0, 4, 5), torch.bool)
    assert torch.equal(found.winner, torch.full((4, 5), -1, dtype=torch.int64))
    assert torch.equal(found.row_source, torch.full((3,), -1, dtype=torch.int64))
    for name in ("former", "remaining"):
        assert torch.equal(getattr(found, name), torch.zeros(3, dtype=torch.int64))
    for name in ("touched", "row_dropped"):
        assert torch.equal(getattr(found, name), torch.zeros(3, dtype=torch.bool))
    assert found.max_prev == -1


def test_what_a_class_mix_says_of_pixels() -> None:
    hidden = taken_back = 0
    for seed in range(12):
        case = random_case(
            seed, MIX_WITH_DEPTH, canvas=(4, 5), count=1, z_test=True, schema=True, stuff_policy="revert"
        )
        found = expected(case)
        assert torch.equal(found.first_union, found.union | found.reverted)
        assert not bool((found.stuff_lost & ~found.first_union).any())
        assert not bool((found.reverted & ~found.stuff_lost).any())
        assert not bool((found.hidden & found.first_union).any())
        hidden += int(found.hidden.sum())
        taken_back += int(found.reverted.sum())
    assert hidden > 0
    assert taken_back > 0


@pytest.mark.parametrize("ignore_share", [0.0, 0.3])
def test_stuff_left_below_its_threshold_by_a_class_mix_is_void(ignore_share: float) -> None:
    void = 0
    for seed in range(12):
        case = random_case(
            seed, MIX, canvas=(4, 5), count=1, schema=True, stuff_policy="ignore", tau=0.9,
            ignore_share=ignore_share, stuff_min_area={7: 8},
        )  # fmt: skip
        assert disagreements(case) == []
        void += int(expected(case).stuff_void.sum())
    assert void > 0


def test_stuff_on_padding_is_not_turned_into_void() -> None:
    met = 0
    for seed in range(20):
        case = random_case(
            seed, MIX, canvas=(4, 5), count=1, schema=True, stuff_policy="ignore", tau=0.9, padding=True
        )
        padding = case.target.tensors()["padding_mask"][:, 0]
        labels = torch.where(padding, STUFF, case.target.tensors()["semantic_maps"])
        case = replace(case, target=with_fields(case.target, semantic_maps=labels))
        found = expected(case)
        assert disagreements(case) == []
        assert not bool((found.stuff_void & padding[0]).any())
        met += bool(found.stuff_void.any() & padding.any())
    assert met > 0


def test_a_row_exactly_at_the_fraction_stays() -> None:
    case = one_thing(2, 4, 4, residual=0.5)
    assert expected(case).remaining.tolist() == [4, 0]
    assert expected(case).row_dropped.tolist() == [False, False]
    assert disagreements(case) == []


def test_a_row_one_part_in_65536_below_the_fraction_goes() -> None:
    # 1 pixel of 65537 is left; the fraction is 1 / 65536: 65536 < 65537.
    case = one_thing(13 * 71, 71, 1, residual=1 / 65536)
    assert expected(case).former.tolist() == [65533, 0]
    assert not bool(expected(case).row_dropped.any())
    case = one_thing(1, 65537, 1, residual=1 / 65536)
    assert expected(case).former.tolist() == [65537, 0]
    assert expected(case).row_dropped.tolist() == [True, False]


def test_a_depth_too_small_for_float32_is_not_valid() -> None:
    case = as_it_lies(
        random_case(2, ALL, canvas=(3, 4), metric=True, schema=False, z_test=False, padding=False)
    )
    fields = case.source.tensors()
    source = with_fields(
        case.source,
        depth=torch.full_like(fields["depth"], 1e-45),
        depth_valid=torch.ones_like(fields["depth_valid"]),
        camera_intrinsics=torch.tensor([[900.0, 900.0, 2.0, 2.0]], dtype=torch.float64),
    )
    target = with_fields(
        case.target, camera_intrinsics=torch.tensor([[100.0, 100.0, 2.0, 2.0]], dtype=torch.float64)
    )
    case = replace(case, source=source, target=target)
    assert bool(expected(case).union.any())
    assert not bool(present(expected(case).warped.depth_valid).any())
    assert disagreements(case) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((0.6, 0.0, -0.8), (-0.6, 0.0, 0.8)),  # cancel: the nearest one is taken
        ((0.1, 0.7, -0.3), (-0.1, -0.7, 0.3)),
        ((-0.0, -0.0, -1.0), (-0.0, -0.0, -1.0)),  # zeros lose their sign
        ((-1e-9, 1e-9, -1.0), (-1e-9, 1e-9, -1.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_normals_between_two(left: tuple[float, ...], right: tuple[float, ...]) -> None:
    case = normals_case(left, right)
    assert bool(expected(case).union.any())
    assert disagreements(case) == []


def normals_case(left: tuple[float, ...], right: tuple[float, ...]) -> Case:
    """A source of columns with these normals by turns, pasted at half its size into an empty target."""
    # At half the size a pixel looks between two: weights 128 and 128, the second is the nearest.
    base = random_case(
        1, LEGAL_MODALITY_SETS[1], canvas=(4, 4), slots=2, source_slots=1, schema=False, padding=False,
        z_test=False, min_pasted_area=1,
    )  # fmt: skip
    assert Modality.NORMALS in base.target.active_modalities()
    case = as_it_lies(base)
    case = replace(case, plan=replace(case.plan, step=torch.tensor([131072])))
    normals = torch.zeros(1, 3, 4, 4)
    normals[0, :, :, 0::2] = torch.tensor(left)[:, None, None]
    normals[0, :, :, 1::2] = torch.tensor(right)[:, None, None]
    source = with_fields(
        case.source,
        normals=normals,
        instance_masks=torch.ones(1, 1, 4, 4, dtype=torch.bool),
        instance_valid=torch.tensor([[True]]),
        labels=torch.tensor([[1]]),
        instance_ids=torch.tensor([[1]], dtype=torch.int32),
        boxes=torch.tensor([[[0.0, 0.0, 4.0, 4.0]]]),
    )
    empty = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    target = with_fields(
        case.target, instance_masks=empty, instance_valid=torch.zeros(1, 2, dtype=torch.bool)
    )
    return replace(case, source=source, target=target)


def test_only_normals_that_cancel_are_taken_from_the_nearest() -> None:
    case = normals_case((0.6, 0.0, -0.8), (-0.6, 0.0, 0.8))
    normals = case.source.tensors()["normals"].clone()
    normals[0, :, :, 2] = torch.tensor([0.0, 0.6, -0.8])[:, None]
    normals[0, :, :, 3] = torch.tensor([0.8, 0.0, -0.6])[:, None]
    case = replace(case, source=with_fields(case.source, normals=normals))
    assert bool(expected(case).union[:2, :2].all())
    assert disagreements(case) == []


def test_cover_is_counted_in_integers() -> None:
    masks = torch.tensor([[[True, False]], [[True, True]]])
    cover = depth_of_cover(masks)
    assert cover.dtype == torch.int32
    assert cover.tolist() == [[2, 1]]


def test_a_sample_looks_the_same_in_either_container() -> None:
    case = random_case(4, ALL, canvas=(5, 6), fullness=1.0, slots=4, padding=True)
    padded, ragged = view_of(case.target), view_of(dense(case.target))
    assert ragged.intrinsics == padded.intrinsics
    assert ragged.intrinsics is not None
    assert (padded.ragged, ragged.ragged) == (False, True)
    assert ragged.modalities == padded.modalities
    assert list(ragged.maps()) == list(padded.maps())
    for name, value in padded.maps().items():
        assert torch.equal(torch.nan_to_num(ragged.maps()[name]), torch.nan_to_num(value))


def test_what_is_said_of_rows_and_pixels_goes_together() -> None:
    met = dict.fromkeys(("reverted", "hidden", "lost again", "first"), 0)
    for seed in range(40):
        case = random_case(
            seed, ALL, canvas=(5, 6), slots=6, source_slots=4, count=4, min_pasted_area=5, z_test=True,
            schema=True, stuff_policy="revert", tau=0.5,
        )  # fmt: skip
        found = expected(case)
        assert int(found.winner.min()) >= -1
        assert torch.equal(found.winner >= 0, found.union)
        assert not bool((found.first_union & ~found.may.any(dim=0)).any())
        assert not bool((found.reverted & (found.union | ~found.first_union)).any())
        assert not bool((found.union & ~found.first_union).any())
        assert not bool((found.hidden & found.first_union).any())
        fields = case.target.tensors()
        assert found.max_prev == max(int(fields["instance_ids"].max()), int(fields["panoptic_maps"].max()))
        met["reverted"] += bool(found.reverted.any())
        met["hidden"] += bool(found.hidden.any())
        met["lost again"] += bool((found.first_union & ~found.union & ~found.reverted).any())
        met["first"] += bool(found.first_union.any())
    assert all(met.values()), met


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_of_equal_priorities_the_last_row_wins(rows: int) -> None:
    may = torch.ones(rows, 3, dtype=torch.bool)
    may[-1, 1] = False
    may[:, 2] = False
    second = rows - 2 if rows > 1 else -1
    assert _winners(may, torch.zeros(rows, dtype=torch.int64)).tolist() == [rows - 1, second, -1]


def test_pasted_pixels_have_the_class_of_their_row() -> None:
    """Whatever the donor's semantic map says there."""
    met = 0
    for seed in range(12):
        case = random_case(
            seed, ALL, canvas=(5, 6), slots=6, source_slots=4, count=4, schema=False, ignore_share=0
        )
        semantic = torch.full_like(case.source.tensors()["semantic_maps"], STUFF)
        case = replace(case, source=with_fields(case.source, semantic_maps=semantic))
        found = expected(case)
        assert not bool((present(found.out.semantic)[found.union] == STUFF).any())
        assert disagreements(case) == []
        met += bool(found.union.any())
    assert met > 0


def test_rows_without_ids_stay_without() -> None:
    case = random_case(3, ROWS, canvas=(4, 4), slots=3, source_slots=2, schema=False)
    target = replace(view_of(case.target), ids=None)
    assert expect_paste(target, view_of(case.source), case.plan, case.config).out.ids is None


def test_a_loose_box_of_a_row_that_loses_nothing_stays_loose() -> None:
    met = 0
    for seed in range(12):
        case = random_case(seed, ROWS, canvas=(5, 6), slots=6, source_slots=1, count=1, fullness=0.9)
        fields = case.target.tensors()
        boxes = torch.where(fields["instance_valid"][..., None], fields["boxes"] + 0.25, 0.0)
        case = replace(case, target=with_fields(case.target, boxes=boxes))
        found = expected(case)
        assert disagreements(case) == []
        kept = case.target.tensors()["instance_valid"][0] & ~found.touched
        assert torch.equal(found.out.boxes[kept], boxes[0][kept])
        met += bool(kept.any() and found.touched.any())
    assert met > 0


def test_a_row_without_pixels_or_without_validity_is_not_offered() -> None:
    case = as_it_lies(
        random_case(3, ROWS, canvas=(3, 4), slots=5, source_slots=4, schema=False, padding=False)
    )
    masks = torch.zeros(1, 4, 3, 4, dtype=torch.bool)
    masks[0, 1, 0] = masks[0, 2, 1] = True  # slot 0 is valid and empty, slot 2 painted and not valid
    source = with_fields(
        case.source,
        instance_masks=masks,
        instance_valid=torch.tensor([[True, True, False, False]]),
        labels=torch.tensor([[1, 2, 3, 0]]),
        instance_ids=torch.tensor([[1, 2, 3, 0]], dtype=torch.int32),
    )
    found = expected(replace(case, source=source))
    assert (found.offered, found.eligible) == ((1,), 1)
    assert disagreements(replace(case, source=source)) == []


@pytest.mark.parametrize("largest", ["row", "map"])
def test_the_largest_id_is_a_rows_or_the_maps(largest: str) -> None:
    case = random_case(
        4, ALL, canvas=(5, 6), slots=4, source_slots=2, fullness=1.0, padding=False, schema=False
    )
    fields = case.target.tensors()
    ids, panoptic = fields["instance_ids"].clone(), fields["panoptic_maps"].clone()
    if largest == "row":
        ids[0, int(fields["instance_valid"][0].to(torch.uint8).argmax())] = 70
    else:
        panoptic[0, 0, 0] = 70
    case = replace(case, target=with_fields(case.target, instance_ids=ids, panoptic_maps=panoptic))
    assert expected(case).max_prev == 70
    assert disagreements(case) == []


def stuff_case(
    height: int, width: int, left: int, *, minimum: dict[int, int], tau: float, policy: str = "revert"
) -> Case:
    """A target all of stuff, of which a thing of the source leaves its last ``left`` pixels."""
    case = as_it_lies(
        random_case(
            1, ROWS | {Modality.SEMANTIC}, canvas=(height, width), slots=2, source_slots=1, schema=True,
            padding=False, dtype=torch.uint8, min_pasted_area=1, z_test=False, stuff_min_area=minimum,
            tau=tau, stuff_policy=policy, fullness=0.0, priority={},
        )
    )  # fmt: skip
    taken = torch.ones(height * width, dtype=torch.bool)
    taken[height * width - left :] = False
    source = with_fields(
        case.source,
        instance_masks=taken.reshape(1, 1, height, width),
        instance_valid=torch.tensor([[True]]),
        labels=torch.tensor([[1]]),
        instance_ids=torch.tensor([[1]], dtype=torch.int32),
        semantic_maps=torch.ones(1, height, width, dtype=torch.int64),
    )
    target = with_fields(case.target, semantic_maps=torch.full((1, height, width), STUFF))
    return replace(case, source=source, target=target)


@pytest.mark.parametrize("policy", ["revert", "ignore"])
@pytest.mark.parametrize(
    ("left", "minimum", "tau", "below"),
    [
        (2, {STUFF: 2}, 0.0, False),
        (1, {STUFF: 2}, 0.0, True),
        (4, {}, 0.5, False),
        (3, {}, 0.5, True),
        (0, {}, 0.0, False),
        (0, {8: 1}, 0.0, False),
        (0, {STUFF: 1}, 0.0, True),
    ],
)
def test_stuff_exactly_at_its_threshold_is_large_enough(
    left: int, minimum: dict[int, int], tau: float, below: bool, policy: str
) -> None:
    case = stuff_case(2, 4, left, minimum=minimum, tau=tau, policy=policy)
    found = expected(case)
    assert found.stuff == ((STUFF, 8, left, below),)
    assert bool(found.reverted.any()) is (below and policy == "revert")
    assert disagreements(case) == []


def test_stuff_one_part_in_65536_below_its_fraction_is_too_small() -> None:
    found = expected(stuff_case(1, 65537, 1, minimum={}, tau=1 / 65536))
    assert found.stuff == ((STUFF, 65537, 1, True),)
    found = expected(stuff_case(1, 65536, 1, minimum={}, tau=1 / 65536))
    assert found.stuff == ((STUFF, 65536, 1, False),)


def test_stuff_on_padding_does_not_count() -> None:
    case = stuff_case(2, 4, 2, minimum={STUFF: 2}, tau=0.0)
    padding = torch.zeros(1, 1, 2, 4, dtype=torch.bool)
    padding[..., 3] = True  # a pixel of each row, one of those that are left
    case = replace(
        case,
        target=with_fields(case.target, padding_mask=padding),
        source=with_fields(case.source, padding_mask=padding & False),
    )
    found = expected(case)
    assert found.stuff == ((STUFF, 6, 1, True),)
    assert disagreements(case) == []


def test_what_is_only_as_near_is_hidden() -> None:
    case = as_it_lies(
        random_case(
            3, ALL, canvas=(4, 5), slots=5, source_slots=3, schema=False, z_test=True, metric=False,
            padding=False,
        )
    )  # fmt: skip
    fields = case.target.tensors()
    depth, valid = torch.full_like(fields["depth"], 2.0), torch.ones_like(fields["depth_valid"])
    case = replace(
        case,
        target=with_fields(case.target, depth=depth, depth_valid=valid),
        source=with_fields(case.source, depth=depth, depth_valid=valid),
    )
    assert bool(expected(case).hidden.any())
    assert not bool(expected(case).union.any())
    nearer = replace(case, source=with_fields(case.source, depth=depth * 0.75))
    assert bool(expected(nearer).union.any())
    assert not bool(expected(nearer).hidden.any())
    for each in (case, nearer):
        assert expected(each).factor == 1.0
        assert disagreements(each) == []


def test_the_mean_of_four_is_rounded_at_its_half() -> None:
    # At step 66048 the first pixel has weights 255 and 1 of 256 on either axis. The four values
    # are such that the sum ends on 32767, one short of the half.
    four = next(
        (a, b, 255, d)
        for a in range(256)
        for b in range(256)
        for d in range(256)
        if (65025 * a + 255 * (b + 255) + d) % 65536 == 32767
    )
    case = as_it_lies(
        random_case(
            1, ROWS, canvas=(2, 2), slots=1, source_slots=1, schema=False, padding=False, dtype=torch.uint8,
            min_pasted_area=1, fullness=0.0, z_test=False,
        )
    )  # fmt: skip
    case = replace(case, plan=replace(case.plan, step=torch.tensor([66048])))
    image = torch.tensor(four, dtype=torch.uint8).reshape(1, 1, 2, 2).expand(1, 3, 2, 2).contiguous()
    source = with_fields(
        case.source,
        images=image,
        instance_masks=torch.ones(1, 1, 2, 2, dtype=torch.bool),
        instance_valid=torch.tensor([[True]]),
        labels=torch.tensor([[1]]),
    )
    case = replace(case, source=source)
    total = 65025 * four[0] + 255 * (four[1] + four[2]) + four[3]
    assert int(expected(case).out.image[0, 0, 0]) == (total + 32768) >> 16
    assert disagreements(case) == []


def test_the_layout_in_memory_does_not_matter() -> None:
    for seed in range(4):
        case = random_case(seed, ALL, canvas=(4, 5), slots=4, source_slots=3, count=3)
        turned = replace(case, target=transposed(case.target), source=transposed(case.source))
        for name, value in expected(case).out.maps().items():
            assert same(expected(turned).out.maps()[name], value)


def test_a_source_without_slots_offers_nothing() -> None:
    case = random_case(3, ROWS, canvas=(4, 5), slots=3, source_slots=0, schema=True)
    assert expected(case).offered == ()
    assert disagreements(case) == []


def test_depth_without_validity_is_not_warped() -> None:
    case = as_it_lies(random_case(3, ALL, canvas=(4, 5), padding=False))
    view = view_of(case.source)
    grid = sampling_grid(case.plan, view.canvas, view.canvas, view.image.device)
    pixels = torch.arange(3)
    assert warp_at(replace(view, depth_valid=None), grid, pixels, 1.0).depth is None
    assert warp_at(replace(view, depth=None), grid, pixels, 1.0).depth_valid is None


def test_what_does_not_go_together_is_named() -> None:
    case = random_case(3, ALL, canvas=(4, 4), metric=True, slots=3, source_slots=2)
    target, source = view_of(case.target), view_of(case.source)
    image = source.image
    other = torch.uint8 if image.dtype == torch.float32 else torch.float32
    for changed, message in (
        ({"image": image[:, :3]}, "source: got canvas (3, 4), expected the target's, (4, 4)"),
        ({"image": image[:2]}, "source: got channels 2, expected the target's, 3"),
        (
            {"image": image.to(other)},
            f"source: got image dtype {other}, expected the target's, {image.dtype}",
        ),
        ({"metric": False}, "source: got metric depth False, expected the target's, True"),
        ({"intrinsics": None}, "camera_intrinsics: got None beside metric depth, expected both"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            expect_paste(target, replace(source, **changed), case.plan, case.config)
    with pytest.raises(ValueError, match="source: got modalities"):
        expect_paste(target, replace(source, normals=None), case.plan, case.config)
    message = "plan.order: got shape [1, 2], expected [1, 9] for this source"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        expect_paste(target, source.with_slots(9), case.plan, case.config)
    message = "sample: got a batch of 2, expected B = 1; use batch.select(i)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        view_of(joined([case.target, case.target]))
    message = "sample: got None for a field that its modalities promise"
    with pytest.raises(ValueError, match=f"^{message}$"):
        present(None)
    message = "sample: got int, expected DenseSample or PaddedBatchedDenseSample with B = 1"
    with pytest.raises(TypeError, match=f"^{message}$"):
        view_of(3)  # pyright: ignore[reportArgumentType]

"""Drawing plans: ranges, independence, and where the group may land."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segpaste.paste import apply_reference, draw_plan, eligible_slots
from segpaste.paste.plan import _draw_step, _draw_words, _group_box
from segpaste.paste.rng import philox4x32
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
    to_q16,
)
from tests.paste.samples import view

SEEDS = st.integers(-(2**63), 2**63 - 1)
ONE_ROW = {0: (1, 0, "....\n.11.\n.11.\n....")}


def placed(**placement: Any) -> BatchCopyPasteConfig:
    return BatchCopyPasteConfig(placement=BatchedPlacementConfig(**placement))  # pyright: ignore[reportArgumentType]


def batch_of(*views: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    names = views[0].tensors()
    return PaddedBatchedDenseSample(**{n: torch.cat([v.tensors()[n] for v in views]) for n in names})  # pyright: ignore[reportArgumentType]


def rows_equal(a: PastePlan, i: int, b: PastePlan, j: int, *, but: tuple[str, ...] = ()) -> bool:
    names = [f.name for f in fields(PastePlan) if f.name not in but]
    return all(torch.equal(getattr(a, n)[i], getattr(b, n)[j]) for n in names)


@given(st.integers(0, 2**32 - 1), st.floats(1 / 256, 256), st.floats(1 / 256, 256))
def test_step_is_the_rounded_quotient_of_a_scale_in_range(word, a, b):
    low, high = min(a, b), max(a, b)
    step = int(_draw_step(torch.tensor(word), (to_q16(low), to_q16(high))))
    scale = Fraction(to_q16(low) + word * (to_q16(high) - to_q16(low) + 1) // 2**32, 65536)
    assert step == max(round(65536 / scale), 1)
    assert step == max(round(65536 / float(scale)), 1)  # the float64 quotient rounds the same way


@given(SEEDS, st.integers(1, 12), st.integers(0, 12))
def test_more_slots_never_reorder_the_earlier_ones(seed, slots, more):
    seeds = torch.tensor([seed])
    few = _draw_words(seeds, slots)[3][0].tolist()
    many = [j for j in _draw_words(seeds, slots + more)[3][0].tolist() if j < slots]
    assert few == many


@given(st.lists(SEEDS, min_size=3, max_size=3))
def test_a_draw_depends_on_its_own_seed_alone(seeds):
    one = view(rows=ONE_ROW)
    three = batch_of(one, one, one)
    config = placed(scale_range=(0.5, 2.0))
    source_idx = torch.tensor([2, 0, 1])
    together = draw_plan(three, three, torch.tensor(seeds), config, source_idx=source_idx)
    for i in range(3):
        alone = draw_plan(
            three.select(i), three, torch.tensor(seeds[i : i + 1]), config, source_idx=source_idx[i : i + 1]
        )
        assert rows_equal(together, i, alone, 0)
    default = draw_plan(three, three, torch.tensor(seeds), config)
    assert all(int(default.source_idx[i]) != i for i in range(3))
    assert all(rows_equal(default, i, together, i, but=("source_idx",)) for i in range(3))


@given(SEEDS, st.sampled_from([(0.5, 0.5), (1.0, 1.0), (0.3, 2.0), (7.0, 9.0)]), st.booleans())
def test_group_lies_in_the_valid_rectangle_of_the_target(seed, scale_range, padded):
    source = view(rows=ONE_ROW)
    padding = torch.zeros((1, 1, 4, 4), dtype=torch.bool)
    padding[..., 3] = padded
    target = replace(view(rows={}), padding_mask=padding)
    config = replace_placement(placed(scale_range=scale_range), k_range=(1, 4))
    source = replace(source, padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    drawn = draw_plan(target, source, torch.tensor([seed]), config, source_idx=torch.tensor([0]))
    out, audit = apply_reference(target, source, drawn, config)
    step = int(drawn.step)
    # The whole group must be seen: no column or row of it may fall outside of the canvas.
    for axis, extent in ((0, 4), (1, 3 if padded else 4)):
        shift = int(drawn.translate[0, axis])
        seen = [x for x in range(-40, 40) if 1 <= ((2 * (x - shift) + 1) * step) >> 17 < 3]
        assert all(0 <= x < extent for x in seen)
    assert not (audit.paste_union & padding[:, 0]).any()
    if step <= 65536:
        assert out.instance_valid.any()


def replace_placement(config: BatchCopyPasteConfig, **changes: object) -> BatchCopyPasteConfig:
    return config.model_copy(update={"placement": config.placement.model_copy(update=changes)})


def test_oversize_groups_shrink_or_are_skipped():
    source = view(rows={0: (1, 0, "1111\n1111\n1111\n1111")})
    seed, index = torch.tensor([5]), torch.tensor([0])
    shrunk = draw_plan(source, source, seed, placed(scale_range=(2.0, 2.0)), source_idx=index)
    assert shrunk.step.tolist() == [65536]
    assert shrunk.translate.tolist() == [[0, 0]]
    assert shrunk.count.item() > 0
    skipped = draw_plan(
        source, source, seed, placed(scale_range=(2.0, 2.0), oversize_policy="skip"), source_idx=index
    )
    assert skipped.count.tolist() == [0]


def test_nothing_fits_into_a_target_that_is_all_padding():
    source = replace(view(rows=ONE_ROW), padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    target = replace(source, padding_mask=torch.ones((1, 1, 4, 4), dtype=torch.bool))
    drawn = draw_plan(target, source, torch.tensor([1]), placed(), source_idx=torch.tensor([0]))
    assert drawn.count.tolist() == [0]


def test_one_sample_has_no_partner_and_paste_prob_zero_pastes_nothing():
    one = view(rows=ONE_ROW)
    assert draw_plan(one, one, torch.tensor([3]), placed()).count.tolist() == [0]
    two = batch_of(one, one)
    assert draw_plan(two, two, torch.tensor([3, 4]), placed(paste_prob=0.0)).count.tolist() == [0, 0]


def test_eligible_slots():
    source = view(
        rows={
            0: (1, 0, "1...\n....\n....\n...."),
            1: (2, 1, ".1..\n....\n....\n...."),
            2: (1, 2, "....\n" * 4),
        }
    )
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "stuff"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    assert eligible_slots(source, BatchCopyPasteConfig()).tolist() == [[True, True, False, False]]
    assert eligible_slots(source, config).tolist() == [[True, False, False, False]]
    semantic = view(semantic_maps="1...\n" * 4)
    assert not eligible_slots(semantic, config).any()


def test_a_batch_without_rows_gets_the_identity_grid():
    batch = batch_of(view(semantic_maps="1...\n" * 4), view(semantic_maps="2...\n" * 4))
    drawn = draw_plan(batch, batch, torch.tensor([1, 2]), placed())
    assert drawn.step.tolist() == [65536, 65536]
    assert drawn.translate.tolist() == [[0, 0], [0, 0]]
    assert not drawn.hflip.any()
    assert (drawn.count > 0).all()
    assert len(set(drawn.mix_key.tolist())) == 2


def test_a_source_without_slots_has_nothing_to_place():
    target, source = view(rows=ONE_ROW), view(rows={}, slots=0)
    drawn = draw_plan(target, source, torch.tensor([3]), placed(), source_idx=torch.tensor([0]))
    assert drawn.order.shape == (1, 0)
    low, high = 65536 // 2, 65536 * 2
    assert low <= drawn.step.item() <= high
    # An empty group may be put anywhere on the canvas, its far edges included.
    assert all(0 <= t <= 4 for t in drawn.translate[0].tolist())


def test_a_source_of_one_slot_is_placed_by_its_box():
    source = view(slots=1, rows={0: (1, 0, "....\n.111\n.111\n.111")})
    config = placed(scale_range=(1.0, 1.0), hflip_probability=0.0)
    seeds, rows = torch.arange(8), torch.zeros(8, dtype=torch.int64)
    target = source.gather(torch.zeros(8, dtype=torch.int64))
    target = replace(target, instance_valid=torch.zeros((8, 1), dtype=torch.bool))
    drawn = draw_plan(target, source, seeds, config, source_idx=rows)
    # A box of 3 x 3 at (1, 1) fits at 0 and 1: it moves by -1 or 0.
    assert set(drawn.translate.flatten().tolist()) == {-1, 0}


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("slots", [0, 4])
def test_a_plan_is_drawn_on_the_device_of_the_batch(masks, padded, slots):
    one = view(slots=slots, rows={} if masks else None, semantic_maps="1...\n" * 4)
    if padded:
        one = replace(one, padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    batch = one.gather(torch.zeros(3, dtype=torch.int64)).to("meta")
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "stuff"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    seeds = torch.zeros(3, dtype=torch.int64, device="meta")
    for rows in (None, torch.zeros(3, dtype=torch.int64, device="meta")):
        drawn = draw_plan(batch, batch, seeds, config, source_idx=rows)
        for f in fields(PastePlan):
            assert getattr(drawn, f.name).device.type == "meta", f.name
    assert eligible_slots(batch, config).device.type == "meta"


@pytest.mark.parametrize(("more", "paints"), [(0, False), (1, True)])
def test_a_word_that_equals_the_threshold_says_no(more, paints):
    # Block 0 of a seed: its third word decides on the flip, its fourth on whether to paste.
    seed = 12345
    _, _, flip, paste = philox4x32((0, 0, 0, 0), (seed, 0))
    config = placed(
        hflip_probability=(flip + more) / 2**32, paste_prob=(paste + more) / 2**32, k_range=(1, 1)
    )
    one = view(rows=ONE_ROW)
    drawn = draw_plan(one, one, torch.tensor([seed]), config, source_idx=torch.tensor([0]))
    assert drawn.hflip.item() is paints
    assert drawn.count.item() == int(paints)


def test_the_box_of_no_slots_is_empty():
    none = view(slots=0, rows={}).gather(torch.zeros(3, dtype=torch.int64))
    rows, flips = torch.tensor([0, 2]), torch.tensor([False, True])
    nothing = torch.zeros((2, 0), dtype=torch.bool)
    box = _group_box(none, rows, torch.zeros((3, 0, 4), dtype=torch.int64), nothing, flips)
    assert box.dtype == torch.int64
    assert box.tolist() == [[[0, 0], [0, 0]]] * 2


def test_empty_batches_draw_empty_plans():
    empty = view(rows=ONE_ROW).gather(slice(0, 0))
    drawn = draw_plan(empty, empty, torch.zeros(0, dtype=torch.int64), placed())
    assert drawn.batch_size == 0
    assert drawn.order.shape == (0, 4)


def chi_square(observed: list[int], expected: list[float]) -> float:
    return sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))


def test_draws_are_uniform():
    """Chi-square at fixed seeds; the bounds are the 99.9 % quantiles."""
    n = 4000
    one = view(rows={0: (1, 0, "1...\n....\n....\n...."), 1: (1, 1, ".1..\n....\n....\n....")})
    batch = one.gather(torch.zeros(n, dtype=torch.int64))
    config = replace_placement(placed(scale_range=(1.0, 3.0)), k_range=(1, 1), hflip_probability=0.25)
    drawn = draw_plan(batch, batch, torch.arange(n) * 7919 + 13, config)
    flips = int(drawn.hflip.sum())
    assert chi_square([flips, n - flips], [n / 4, 3 * n / 4]) < 10.8
    scale = 65536 / drawn.step.double()
    thirds = [int(((scale >= 1 + 2 * i / 3) & (scale < 1 + 2 * (i + 1) / 3)).sum()) for i in range(2)]
    assert chi_square([*thirds, n - sum(thirds)], [n / 3] * 3) < 13.8
    in_order = drawn.order[(drawn.order < 2)].reshape(n, 2)[:, 0]
    assert chi_square([int((in_order == s).sum()) for s in (0, 1)], [n / 2] * 2) < 10.8
    offset = (drawn.source_idx - torch.arange(n)) % n
    assert (offset != 0).all()
    eighths = torch.bincount(offset * 8 // n, minlength=8).tolist()
    assert chi_square(eighths, [n / 8] * 8) < 24.4
    # A single pixel at scale 1 may land on each of the 16 pixels.
    still = replace_placement(config, scale_range=(1.0, 1.0))
    drawn = draw_plan(batch, batch, torch.arange(n) * 104729 + 5, still)
    _, audit = apply_reference(batch, batch, drawn, still)
    hits = audit.paste_union.sum(dim=0).flatten().tolist()
    assert sum(hits) == n
    assert chi_square(hits, [n / 16] * 16) < 37.7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": torch.zeros(1)}, r"seeds: got torch.float32 \[1\], expected int64 \[1\]"),
        ({"seeds": torch.zeros(2, dtype=torch.int64)}, r"seeds: got torch.int64 \[2\]"),
        ({"source_idx": torch.zeros(2, dtype=torch.int64)}, r"source_idx: got torch.int64 \[2\]"),
        ({"source_idx": torch.tensor([1])}, "source_idx: got 1, expected 0 or more and less than 1"),
        ({"source_idx": torch.tensor([-1])}, "source_idx: got -1, expected 0 or more"),
        (
            {"source": True},
            r"^source: got 2 samples, expected the target batch itself \(B = 1\) or an explicit source_idx$",
        ),
    ],
)
def test_refuses_what_does_not_fit(change, message):
    one = view(rows=ONE_ROW)
    source = batch_of(one, one) if "source" in change else one
    seeds = change.get("seeds", torch.tensor([1]))
    with pytest.raises(ValueError, match=message):
        draw_plan(one, source, seeds, placed(), source_idx=change.get("source_idx"))


@pytest.mark.parametrize(("rows", "got"), [([-1, 5], -1), ([0, 5], 5), ([2, 1], 2)])
def test_the_source_row_that_does_not_exist_is_named(rows, got):
    two = batch_of(view(rows=ONE_ROW), view(rows=ONE_ROW))
    with pytest.raises(ValueError, match=f"source_idx: got {got}, expected 0 or more and less than 2"):
        draw_plan(two, two, torch.tensor([1, 2]), placed(), source_idx=torch.tensor(rows))


def aligned(patch: int, **placement: Any) -> BatchCopyPasteConfig:
    return placed(pad_to_multiple=patch, patch_aligned=True, **placement)


def corner_of(union: torch.Tensor) -> tuple[int, int]:
    ys, xs = union.nonzero(as_tuple=True)
    return int(ys.min()), int(xs.min())


@given(
    SEEDS,
    st.sampled_from([(0.5, 0.5), (1.0, 1.0), (0.5, 2.0), (3.0, 9.0)]),
    st.sampled_from([2, 4]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from(["shrink", "skip"]),
)
def test_an_aligned_group_starts_on_a_patch_and_lies_in_the_valid_rectangle(
    seed, scale_range, patch, padded, policy
):
    source = view(height=8, width=8, rows={0: (1, 0, "........\n.111....\n.111....\n" + "........\n" * 5)})
    padding = torch.zeros((1, 1, 8, 8), dtype=torch.bool)
    padding[..., 8 - padded :] = True
    target = replace(view(height=8, width=8, rows={}), padding_mask=padding)
    source = replace(source, padding_mask=torch.zeros_like(padding))
    config = aligned(patch, scale_range=scale_range, oversize_policy=policy, hflip_probability=0.0)
    drawn = draw_plan(target, source, torch.tensor([seed]), config, source_idx=torch.tensor([0]))
    _, audit = apply_reference(target, source, drawn, config)
    union = audit.paste_union[0]
    if policy == "shrink":
        assert drawn.count.item() > 0
    if drawn.count.item() == 0:
        return
    assert tuple(at % patch for at in corner_of(union)) == (0, 0)
    # Nothing of the group is cut off: as many pixels as the scale shows where there is room.
    columns, rows = (
        sum(low <= ((2 * i + 1) * int(drawn.step)) >> 17 < high for i in range(99))
        for low, high in ((1, 4), (1, 3))
    )
    assert int(union.sum()) == columns * rows > 0


def test_alignment_keeps_every_other_draw():
    source = batch_of(*[view(rows=ONE_ROW)] * 16)
    seeds = torch.arange(16) * 977
    loose = draw_plan(source, source, seeds, placed(scale_range=(0.5, 1.0)))
    tight = draw_plan(source, source, seeds, aligned(2, scale_range=(0.5, 1.0)))
    assert all(rows_equal(loose, i, tight, i, but=("translate",)) for i in range(16))
    assert not torch.equal(loose.translate, tight.translate)


def test_aligned_places_are_uniform():
    """A pixel at scale 1 on a 4 x 6 canvas in patches of 2; the bound is the 99.9 % quantile."""
    n = 3000
    one = view(height=4, width=6, rows={0: (1, 0, "......\n....1.\n......\n......")})
    batch = one.gather(torch.zeros(n, dtype=torch.int64))
    config = aligned(2, scale_range=(1.0, 1.0))
    drawn = draw_plan(batch, batch, torch.arange(n) * 104729 + 5, config)
    _, audit = apply_reference(batch, batch, drawn, config)
    hits = audit.paste_union.sum(dim=0)
    assert hits.nonzero().tolist() == [[y, x] for y in (0, 2) for x in (0, 2, 4)]
    assert chi_square(hits[::2, ::2].flatten().tolist(), [n / 6] * 6) < 20.6


@pytest.mark.parametrize("size", [(4, 6), (6, 4)])
def test_refuses_alignment_on_a_canvas_one_side_of_which_is_no_multiple(size):
    height, width = size
    row = "." * (width - 1) + "1"
    one = view(height=height, width=width, rows={0: (1, 0, "\n".join([row] * height))})
    expected = f"got a canvas of {height} x {width}, expected multiples of pad_to_multiple = 4"
    with pytest.raises(ValueError, match=expected):
        draw_plan(one, one, torch.tensor([1]), aligned(4))


@pytest.mark.parametrize("patch", [3, 8])
def test_refuses_alignment_on_a_canvas_that_is_no_multiple(patch):
    one = view(rows=ONE_ROW)
    expected = f"patch_aligned: got a canvas of 4 x 4, expected multiples of pad_to_multiple = {patch}"
    with pytest.raises(ValueError, match=expected):
        draw_plan(one, one, torch.tensor([1]), aligned(patch))
    draw_plan(one, one, torch.tensor([1]), placed(pad_to_multiple=patch))

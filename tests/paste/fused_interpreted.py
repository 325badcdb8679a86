"""The fused executor under Triton's interpreter; ``test_fused.py`` runs this in a process of its own.

It cannot be collected beside other tests: Triton reads ``TRITON_INTERPRET`` when it is
imported, and torch's compiler imports it too.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st
from triton.runtime import interpreter

from segpaste.paste import apply, apply_with_audit, draw_plan, fused, fused_kernels
from segpaste.paste.apply import interprets_triton
from segpaste.paste.rng import philox4x32, random_words, to_int64
from segpaste.strategies import PasteCase
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.parity.agreement import Manner, expect_the_references_bits
from tests.parity.banked import Banked, banked
from tests.parity.drawn import IMAGE_ONLY, KINDS, cases, manners
from tests.paste.samples import grid, plan, view

if not interprets_triton():
    raise RuntimeError("TRITON_INTERPRET: got nothing, expected 1, as tests/paste/test_fused.py sets it")

COUNTS = "SEGPASTE_FUSED_COUNTS"
"""Names the file that the numbers of examples are written to."""

# The interpreter takes a quarter of a second for a paste, so the kinds share the examples.
EXAMPLES = settings().max_examples
KINDS_WITH_MAPS = [kind for kind in KINDS if "semantic" in kind]
KINDS_WITHOUT = [kind for kind in KINDS if "semantic" not in kind]

NATIVE_TILES = fused.PIXEL_TILE, fused.MASK_TILE
Tiles = tuple[tuple[int, int], tuple[int, int]]
TILES: tuple[Tiles, ...] = (NATIVE_TILES, NATIVE_TILES, ((4, 8), (8, 8)), ((2, 4), (4, 2)))
SMALL_CANVAS = 200  # pixels; more would be too many programs of a small tile

_seen: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _counted() -> Iterator[None]:
    yield
    if COUNTS in os.environ:
        Path(os.environ[COUNTS]).write_text(json.dumps(_seen), encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def _one_element_is_an_index() -> Iterator[None]:
    """Some versions of the interpreter take ``int`` of an array ``[1]``, which NumPy 2.5 refuses."""
    patch: Callable[..., None] = interpreter._patch_lang_tensor

    def patch_with_index(tensor: Any, *scope: Any) -> None:
        patch(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    interpreter._patch_lang_tensor = patch_with_index
    yield
    interpreter._patch_lang_tensor = patch


@pytest.fixture(scope="module", autouse=True)
def _overflow_is_judged() -> Iterator[None]:
    """A depth beyond float32 becomes infinite and so invalid; only NumPy warns of it."""
    with np.errstate(over="ignore"):
        yield


@pytest.fixture(autouse=True)
def _native_tiles() -> Iterator[None]:
    yield
    fused.PIXEL_TILE, fused.MASK_TILE = NATIVE_TILES


@pytest.mark.parametrize(
    ("kinds", "examples"),
    [(KINDS_WITH_MAPS, 6 * EXAMPLES // 10), (KINDS_WITHOUT, 4 * EXAMPLES // 10)],
    ids=["maps", "no_maps"],
)
def test_the_bits_are_the_references(kinds: list[str], examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.data(), st.sampled_from(kinds), manners("fused"), st.sampled_from(TILES))
    def agrees(data: st.DataObject, kind: str, manner: Manner, tiles: Tiles) -> None:
        case = data.draw(cases(*KINDS[kind]))
        height, width = case.target.canvas_size
        small = height * width <= SMALL_CANVAS
        fused.PIXEL_TILE, fused.MASK_TILE = tiles if small else NATIVE_TILES
        audit = expect_the_references_bits(case, "fused", manner)
        _seen["examples"] += 1
        _seen["small tiles"] += small and tiles != NATIVE_TILES
        _seen["audits"] += audit is not None
        _seen["pasted"] += audit is not None and bool(audit.paste_union.any())

    agrees()


def test_crops_of_a_bank() -> None:
    pasted = 0

    @settings(max_examples=3 * EXAMPLES // 20)
    @given(st.sampled_from(list(KINDS)).flatmap(lambda kind: banked(*KINDS[kind])))
    def agrees(drawn: Banked) -> None:
        nonlocal pasted
        audit = expect_the_references_bits(drawn.case(), "fused", Manner())
        pasted += audit is not None and bool(audit.paste_union.any())

    agrees()
    assert pasted >= EXAMPLES // 40


def expect_the_bits(case: PasteCase, **manner: Any) -> Any:
    """Compare with the reference; the audit."""
    return expect_the_references_bits(case, "fused", Manner(**manner))


EVERYTHING = frozenset(Modality)
SCHEMA = PanopticSchemaSpec(classes={0: "stuff", 3: "thing", 7: "thing", 9: "stuff"}, ignore_index=255)


def batch_of(
    size: int,
    canvas: tuple[int, int],
    slots: int,
    modalities: frozenset[Modality] = EVERYTHING,
    *,
    detection: bool = False,
) -> PaddedBatchedDenseSample:
    scenes = scenes_from_seed(
        5,
        size,
        modalities=modalities,
        canvas=canvas,
        min_instances=2,
        max_instances=max(slots - 2, 2),
        detection=detection,
    )
    return BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(slots)


@pytest.mark.parametrize("kind", KINDS)
def test_every_set_of_modalities(kind: str) -> None:
    modalities, detection = KINDS[kind]
    fused.PIXEL_TILE, fused.MASK_TILE = (4, 8), (8, 8)
    batch = batch_of(2, (6, 9), 4, modalities, detection=detection)
    config = BatchCopyPasteConfig(z_test=False)
    drawn = draw_plan(batch, batch, torch.tensor([3, 4]), config)
    audit = expect_the_bits(PasteCase(batch, batch, drawn, config))
    assert bool(audit.paste_union.any()) == (modalities != IMAGE_ONLY)


def test_several_tiles_of_the_native_size() -> None:
    batch = batch_of(2, (37, 300), 6)
    config = BatchCopyPasteConfig(z_test=False)
    drawn = draw_plan(batch, batch, torch.tensor([3, 4]), config)
    audit = expect_the_bits(PasteCase(batch, batch, drawn, config))
    assert audit.paste_union[..., 128:].any()
    assert audit.paste_union.flatten(1).any(dim=1).all()


def test_one_pixel_wherever_it_lies_in_a_tile() -> None:
    """Pasted on each pixel of a canvas of 2 x 3 tiles, out of a row that has them all."""
    fused.PIXEL_TILE, fused.MASK_TILE = (2, 4), (2, 2)
    height, width, number = 3, 9, 27
    image = torch.arange(number).reshape(1, height, width).byte()
    target = view(height=height, width=width, slots=2, rows={1: (3, 4, "111111111 " * 3)}, image=image)
    source = view(
        height=height, width=width, slots=2, rows={0: (7, 1, "......... .1....... .........")}, image=image
    )
    still = plan(slots=2)
    fields = {n: getattr(still, n).repeat_interleave(number, dim=0) for n in PastePlan.__slots__}
    place = torch.arange(number)
    fields["translate"] = torch.stack((place // width - 1, place % width - 1), dim=1)
    many = target.gather(torch.zeros(number, dtype=torch.int64))
    audit = expect_the_bits(PasteCase(many, source, PastePlan(**fields), BatchCopyPasteConfig()))
    assert torch.equal(audit.paste_union.flatten(1), torch.eye(number, dtype=torch.bool))


@pytest.mark.parametrize("policy", ["revert", "ignore"])
def test_stuff_in_several_tiles(policy: str) -> None:
    batch = batch_of(2, (7, 10), 5)
    labels = batch.semantic_maps
    assert labels is not None
    used = sorted(set(labels.unique().tolist()) | set(batch.labels.unique().tolist()))
    things = set(batch.labels[batch.instance_valid].tolist())
    schema = PanopticSchemaSpec(
        classes={c: "thing" if c in things else "stuff" for c in used if c != 255}, ignore_index=255
    )
    fused.PIXEL_TILE, fused.MASK_TILE = (4, 8), (4, 8)
    reverted = set()
    for tau in (0.0, 0.8, 1.0):
        panoptic = PanopticPasteConfig.model_validate(
            {"taxonomy": schema, "tau_stuff_frac": tau, "stuff_policy": policy}
        )
        config = BatchCopyPasteConfig(z_test=False, panoptic=panoptic)
        drawn = draw_plan(batch, batch, torch.tensor([1, 2]), config)
        audit = expect_the_bits(PasteCase(batch, batch, drawn, config))
        pasted = apply(batch, batch, drawn, config, executor="fused")
        assert pasted.semantic_maps is not None
        reverted.add((int(audit.paste_union.sum()), int((pasted.semantic_maps == 255).sum())))
    assert len(reverted) > 1


@pytest.mark.parametrize(("size", "slots"), [(0, 4), (0, 0), (1, 0), (2, 0)])
def test_nothing_to_paste_into(size: int, slots: int) -> None:
    full = batch_of(2, (5, 6), 4)
    fields: dict[str, Any] = {
        name: value[:size, :slots]
        if name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
        else value[:size]
        for name, value in full.tensors().items()
    }
    target = PaddedBatchedDenseSample(**fields, metric_depth=full.metric_depth)
    drawn = draw_plan(
        target,
        full,
        torch.arange(size),
        BatchCopyPasteConfig(),
        source_idx=torch.zeros(size, dtype=torch.int64),
    )
    audit = expect_the_bits(PasteCase(target, full, drawn, BatchCopyPasteConfig()))
    assert not audit.paste_union.any()


def test_a_source_without_slots() -> None:
    target = batch_of(2, (5, 6), 4)
    fields: dict[str, Any] = {
        name: value[:1, :0]
        if name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks")
        else value[:1]
        for name, value in target.tensors().items()
    }
    source = PaddedBatchedDenseSample(**fields, metric_depth=target.metric_depth)
    seeds, rows = torch.arange(2), torch.zeros(2, dtype=torch.int64)
    drawn = draw_plan(target, source, seeds, BatchCopyPasteConfig(), source_idx=rows)
    assert drawn.order.shape == (2, 0)
    expect_the_bits(PasteCase(target, source, drawn, BatchCopyPasteConfig()))


def test_one_pixel() -> None:
    target = view(height=1, width=1, slots=2, rows={1: (3, 5, "1")})
    source = view(height=1, width=1, slots=3, rows={2: (7, 1, "1")}, image=torch.full((1, 1, 1), 9).byte())
    case = PasteCase(target, source, plan(slots=3), BatchCopyPasteConfig())
    assert expect_the_bits(case).row_dropped.tolist() == [[False, True]]


def test_a_source_that_is_all_padding() -> None:
    padding = torch.ones((1, 1, 4, 4), dtype=torch.bool)
    target = view(rows={0: (3, 1, "1... .... .... ....")}, padding_mask=torch.zeros_like(padding))
    source = view(rows={0: (3, 1, ".... .11. .11. ....")}, padding_mask=padding)
    assert not expect_the_bits(PasteCase(target, source, plan(), BatchCopyPasteConfig())).paste_union.any()


def test_the_later_of_two_with_one_priority_wins_and_the_higher_priority_over_both() -> None:
    rows = {
        0: (3, 1, "1111 1111 .... ...."),
        1: (3, 2, "11.. 11.. 11.. ...."),
        2: (7, 3, ".11. .... .11. ...."),
    }
    panoptic = PanopticPasteConfig(taxonomy=SCHEMA, class_priority={3: -1, 7: 2})
    for order in ([0, 1, 2, 3], [1, 0, 3, 2], [2, 1, 0, 3], [3, 2, 0, 1]):
        case = PasteCase(
            view(rows={}), view(rows=rows), plan(order=order), BatchCopyPasteConfig(panoptic=panoptic)
        )
        assert expect_the_bits(case).paste_union.sum() == 11


def test_a_lone_tap_keeps_the_sign_of_a_zero_and_a_flip_turns_it() -> None:
    image = torch.full((1, 4, 4), -0.0)
    normals = torch.zeros((1, 3, 4, 4))
    normals[:, 2] = -1.0
    normals[:, 0, :, :2] = torch.tensor([-0.0, 1e-9])
    source = view(rows={0: (3, 1, "1111 1111 1111 1111")}, image=image, normals=normals)
    target = view(rows={}, image=image + 1.0, normals=torch.zeros((1, 3, 4, 4)))
    for step in (65536, 32768, 40000):
        for hflip in (False, True):
            drawn = plan(step=step, hflip=hflip)
            expect_the_bits(PasteCase(target, source, drawn, BatchCopyPasteConfig()))
    pasted = apply(target, source, plan(), BatchCopyPasteConfig(), executor="fused")
    assert torch.signbit(pasted.images).all()


def test_normals_that_cancel_take_the_nearest() -> None:
    normals = torch.zeros((1, 3, 2, 4))
    turns = torch.tensor([1.0, -1.0, 1.0, -1.0])
    normals[:, 0], normals[:, 1], normals[:, 2] = 0.6 * turns, 0.48 * turns, -0.64 * turns
    mask = {0: (3, 1, "1111 1111")}
    source = view(height=2, rows=mask, normals=normals)
    target = view(height=2, rows={}, normals=torch.zeros((1, 3, 2, 4)))
    for step in (131072, 65536, 32768):
        for shift in (0, 1):
            drawn = plan(step=step, translate=(0, shift))
            expect_the_bits(PasteCase(target, source, drawn, BatchCopyPasteConfig()))


def test_taps_are_added_in_pairs() -> None:
    """In float64 1e30 + 1 is 1e30, so that the sum of these four depends on the order."""
    image = torch.tensor([[1e30, 1.0], [-1e30, 1.0]]).repeat(2, 2)[None]
    source = view(rows={0: (3, 1, "1111 1111 1111 1111")}, image=image)
    turned = image.transpose(1, 2).contiguous()
    for values, shown in ((image, 0.0), (turned, 0.5), (image.flip(2), 0.0), (turned.flip(1), 0.5)):
        source = replace(source, images=values[None])  # pyright: ignore[reportArgumentType]
        target = view(rows={}, image=torch.ones((1, 4, 4)))
        drawn = plan(step=131072)
        expect_the_bits(PasteCase(target, source, drawn, BatchCopyPasteConfig()))
        pasted = apply(target, source, drawn, BatchCopyPasteConfig(), executor="fused")
        assert pasted.images[0, 0, 0, 0] == shown


@given(
    seed=st.integers(0, 2**32 - 1),
    step=st.sampled_from((65536, 32768, 47000, 131072)),
    valid=st.integers(0, 15),
)
@settings(max_examples=EXAMPLES // 5)
def test_depth_of_any_bits_beneath_what_is_invalid(seed: int, step: int, valid: int) -> None:
    """Garbage, NaN, infinities and subnormal numbers, on both sides."""
    bits = torch.from_numpy(random_words(seed, 0, 16).view(np.float32).copy()).reshape(1, 1, 4, 4)
    good = bits.isfinite() & (bits > 0)
    good &= (torch.arange(16).reshape(1, 1, 4, 4) * 7 % 16) >= valid
    camera = torch.tensor([[3.0, 5.0, 1.0, 1.0]], dtype=torch.float64)
    source = view(
        rows={0: (3, 1, "1111 1111 1111 1111")},
        depth=bits,
        depth_valid=good,
        camera_intrinsics=camera,
        metric_depth=True,
    )
    target = replace(
        source,
        depth=bits.flip(2).contiguous(),
        depth_valid=good.flip(2).contiguous(),
        camera_intrinsics=camera * 1e9,  # makes some of the valid depths infinite
        **view(rows={}, slots=4).tensors(),
    )
    expect_the_bits(PasteCase(target, source, plan(step=step), BatchCopyPasteConfig()))


def test_masks_whose_offsets_exceed_32_bits() -> None:
    """Strides of 3 GB between samples and rows; only the pages that are used take memory."""
    apart = 3 * 2**30
    memory = torch.from_numpy(np.zeros(3 * apart, dtype=np.uint8)).view(torch.bool)
    masks = memory.as_strided((2, 2, 4, 4), (apart, apart + 64, 4, 1))
    small = view(slots=2, rows={0: (3, 1, "11.. 11.. .... ....")})
    masks[:, :1] = grid("11.. .11. .... ....") > 0
    fields: dict[str, Any] = {n: torch.cat((t, t)) for n, t in small.tensors().items()}
    fields["instance_masks"] = masks
    batch = PaddedBatchedDenseSample(**fields)
    drawn = PastePlan(
        source_idx=torch.tensor([1, 0]),
        step=torch.tensor([65536, 32768]),
        translate=torch.tensor([[0, 1], [0, 0]]),
        hflip=torch.tensor([False, True]),
        order=torch.tensor([[0, 1], [1, 0]]),
        count=torch.tensor([2, 2]),
        mix_key=torch.tensor([0, 0]),
    )
    config = BatchCopyPasteConfig()
    expected, told = apply_with_audit(batch, batch, drawn, config, executor="reference")
    actual, audit = apply_with_audit(batch, batch, drawn, config, executor="fused")
    assert_same_bits(expected, actual, audits=(told, audit))
    assert audit.paste_union.flatten(1).any(dim=1).all()


def test_masks_that_overlap_are_reported_when_asked_for() -> None:
    panoptic = PanopticPasteConfig(taxonomy=SCHEMA, debug_assert_bijection=True)
    config = BatchCopyPasteConfig(panoptic=panoptic)
    rows = {0: (3, 1, "11.. 11.. .... ...."), 1: (7, 2, ".1.. .1.. .... ....")}
    maps: dict[str, Any] = {"semantic_maps": "33.. 33.. .... ....", "panoptic_maps": "11.. 11.. .... ...."}
    target = view(rows=rows, **maps)
    out = replace(target, **{n: torch.empty_like(t) for n, t in target.tensors().items()})
    found = []
    for executor in ("reference", "fused"):
        with pytest.raises(RuntimeError) as caught:
            apply(target, target, plan(count=0), config, executor=executor, out=out)
        found.append(str(caught.value))
    assert found[0] == found[1] == "debug_assert_bijection: 2 pixels belong to more than one instance"
    assert torch.equal(out.images, target.images)


def test_tables_of_classes_are_kept_and_not_mistaken_for_each_other() -> None:
    device = torch.device("cpu")
    first = PanopticPasteConfig(taxonomy=SCHEMA, class_priority={3: 5})
    assert fused._classes_on(first, device) is fused._classes_on(first, device)
    for priority in range(100):  # more than are kept, each made where the last one was
        panoptic = PanopticPasteConfig(taxonomy=SCHEMA, class_priority={7: priority})
        table = fused._classes_on(panoptic, device).table
        assert table.tolist() == [[0, 0, 0], [3, 1, 0], [7, 1, priority], [9, 0, 0]]
        del panoptic
    assert len(fused._TABLES) <= 32


@triton.jit
def _rounded(values, out, BLOCK: tl.constexpr):  # noqa: N803
    n = tl.arange(0, BLOCK)
    tl.store(out + n, fused_kernels._quantise(tl.load(values + n)))


def test_rounding_is_half_to_even_with_zeros_positive() -> None:
    halves = torch.arange(-8, 9, dtype=torch.float64) / 2
    around = torch.cat([halves, torch.nextafter(halves, halves + 1), torch.nextafter(halves, halves - 1)])
    generator = torch.Generator().manual_seed(1)
    large = (torch.rand(256, generator=generator, dtype=torch.float64) - 0.5) * 2**27
    largest = torch.tensor([2.0**26, -(2.0**26), 2.0**25 + 0.5, -(2.0**25) - 0.5, -0.0, 0.0, 5e-324])
    values = torch.cat([around, large, largest.double(), large.round() + 0.5])
    padded = torch.zeros(1024, dtype=torch.float64)
    padded[: len(values)] = values
    out = torch.empty_like(padded)
    # What is quantised is S, and S * 512 is rounded.
    _rounded[(1,)](padded / 512, out, BLOCK=1024)  # pyright: ignore[reportArgumentType]
    expected = torch.round(padded) + 0.0
    assert torch.equal(out.view(torch.int64), expected.view(torch.int64))
    assert not torch.signbit(out[out == 0]).any()


@triton.jit
def _selected(labels, key, out, BLOCK: tl.constexpr):  # noqa: N803
    n = tl.arange(0, BLOCK)
    taken = fused_kernels._takes_part(tl.load(labels + n), tl.load(key))
    tl.store(out + n, taken.to(tl.uint8))


@given(
    key=st.integers(0, 2**64 - 1) | st.sampled_from((0, 2**64 - 1, 2**63, 2**32 - 1)),
    labels=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=64),
)
def test_classes_take_part_by_philox(key: int, labels: list[int]) -> None:
    padded = torch.zeros(64, dtype=torch.int64)
    padded[: len(labels)] = torch.tensor(labels)
    out = torch.empty(64, dtype=torch.uint8)
    _selected[(1,)](padded, torch.tensor([to_int64(key)]), out, BLOCK=64)  # pyright: ignore[reportArgumentType]
    halves = key & 0xFFFFFFFF, key >> 32
    assert out.tolist() == [philox4x32((label, 0, 0, 0), halves)[0] & 1 for label in padded.tolist()]


@triton.jit
def _where_seen(numbers, out):
    first, last, valid = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    shift, step, extent = tl.load(numbers + 3), tl.load(numbers + 4), tl.load(numbers + 5)
    low, high = fused_kernels._seen_from(first, last, valid, shift, step, extent)
    tl.store(out, low)
    tl.store(out + 1, high)


@given(
    valid=st.integers(0, 40),
    edges=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    shift=st.integers(-60, 60),
    step=st.integers(1, 2**19) | st.sampled_from((1, 32768, 65535, 65536, 65537, 131072, 2**24)),
    extent=st.integers(1, 64),
)
def test_a_rectangle_on_the_canvas_holds_exactly_what_shows_the_box(
    valid: int, edges: tuple[int, int], shift: int, step: int, extent: int
) -> None:
    first, last = sorted(edges)
    out = torch.empty(2, dtype=torch.int64)
    _where_seen[(1,)](torch.tensor([first, last, valid, shift, step, extent]), out)
    nearest = [((2 * (x - shift) + 1) * step) >> 17 for x in range(extent)]
    showing = [x for x, n in enumerate(nearest) if first <= n < min(last, valid)]
    low, high = out.tolist()
    assert showing == list(range(low, high))


def test_the_config_of_the_paste_reaches_the_rows() -> None:
    """Thresholds on both sides of what is left: 3 of 12 pixels, and exactly there."""
    target = view(rows={0: (3, 1, "1111 1111 1... 111.")})
    source = view(rows={1: (7, 1, "1111 1111 1... ....")})
    dropped = []
    for area in (3, 4):
        for fraction in (0.0, 0.25, 16385 / 65536):
            config = BatchCopyPasteConfig(
                min_area=area,
                min_residual_area_frac=fraction,
                placement=BatchedPlacementConfig(k_range=(1, 1)),
            )
            audit = expect_the_bits(PasteCase(target, source, plan(), config))
            dropped.append(bool(audit.row_dropped[0, 0]))
    assert dropped == [False, False, True, True, True, True]


def test_out_gathers_no_history() -> None:
    rows = {0: (3, 1, "11.. 11.. .... ....")}
    target = view(rows=rows, image=torch.ones((1, 4, 4)))
    target = replace(target, images=target.images.clone().requires_grad_())
    out = replace(target, **{n: torch.zeros_like(t) for n, t in target.tensors().items()})
    apply(target, target, plan(), BatchCopyPasteConfig(), executor="fused", out=out)
    assert not any(value.requires_grad for value in out.tensors().values())
    assert not apply(target, target, plan(), BatchCopyPasteConfig(), executor="fused").images.requires_grad

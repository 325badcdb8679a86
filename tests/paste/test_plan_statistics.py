"""Every draw of a plan has the distribution it claims, and tells nothing of any other.

Pearson's chi-square at fixed seeds. A draw becomes a *feature*: one category per sample,
with the probability that each category should have. Features are tested one by one, in
pairs, and each against that of the next seed. The tests are tested with planted mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import pytest
import torch

from segpaste.paste import draw_plan
from segpaste.paste.rng import philox4x32
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PaddedBatchedDenseSample,
    PastePlan,
)
from tests.paste.samples import view

SAMPLES = 6000

# Upper 1e-4 quantiles of the chi-square distribution by degrees of freedom:
# scipy.stats.chi2.isf(1e-4, df), scipy 1.17.
CRITICAL = dict(
    zip(
        (1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 21, 29, 31, 33, 45, 77, 105, 165, 225),
        (
            *(15.137, 18.421, 21.108, 23.513, 25.745, 29.878, 31.828, 33.720, 37.367, 44.263),
            *(45.925, 53.962, 66.152, 69.106, 72.030, 89.070, 131.895, 167.614, 241.250, 312.566),
        ),
        strict=True,
    )
)

# Of some two hundred comparisons one may exceed it by chance; these seeds are such that none does.
SEEDS: dict[str, Callable[[int], torch.Tensor]] = {
    "consecutive": lambda n: torch.arange(n),
    "spread": lambda n: torch.arange(n) * 0x5851F42D4C957F2D + 13,
    "high words": lambda n: torch.arange(n) << 32,
}

Feature = tuple[torch.Tensor, list[float]]
"""``[n]`` int64 categories, and the probability of each."""


def config_of(**placement: Any) -> BatchCopyPasteConfig:
    return BatchCopyPasteConfig(placement=BatchedPlacementConfig(**placement))


def repeated(one: PaddedBatchedDenseSample, times: int) -> PaddedBatchedDenseSample:
    """One sample many times, without memory for it."""
    tensors = {name: value.expand(times, *value.shape[1:]) for name, value in one.tensors().items()}
    return PaddedBatchedDenseSample(**tensors)  # pyright: ignore[reportArgumentType]


def block(height: int, width: int, corner: tuple[int, int]) -> str:
    """A grid with a block of 2 x 3 pixels."""
    y, x = corner
    full = "." * x + "111" + "." * (width - x - 3)
    return "\n".join(full if y <= row < y + 2 else "." * width for row in range(height))


def excess(observed: torch.Tensor, expected: torch.Tensor, freedom: int) -> float:
    """Pearson's statistic over its critical value: beyond 1 the hypothesis is refuted."""
    if freedom not in CRITICAL:
        raise KeyError(f"CRITICAL: no value for {freedom} degrees of freedom")
    return float(((observed - expected) ** 2 / expected).sum()) / CRITICAL[freedom]


def misfit(feature: Feature) -> float:
    """How far one feature is from its probabilities."""
    values, probabilities = feature
    if int(values.min()) < 0 or int(values.max()) >= len(probabilities):
        return float("inf")
    observed = torch.bincount(values, minlength=len(probabilities)).double()
    expected = torch.tensor(probabilities, dtype=torch.float64) * len(values)
    return excess(observed, expected, len(probabilities) - 1)


def dependence(one: Feature, other: Feature) -> float:
    """How far two features are from independent, their probabilities given."""
    rows, columns = len(one[1]), len(other[1])
    table = torch.bincount(one[0] * columns + other[0], minlength=rows * columns).double()
    table = table.reshape(rows, columns)
    expected = table.sum(dim=1, keepdim=True) * table.sum(dim=0) / table.sum()
    return excess(table, expected, (rows - 1) * (columns - 1))


def even(values: torch.Tensor, categories: int) -> Feature:
    return values, [1 / categories] * categories


# -- what is drawn, as features ---------------------------------------------------------

FLIP, PASTE, SCALES = 0.25, 0.7, (0.5, 2.0)
SLOTS = (0, 1, 3, 5)
FREE = 6


def wide_draw(seeds: torch.Tensor, **changes: Any) -> PastePlan:
    """Small objects, four eligible slots of six, on a canvas where all of them fit at any scale."""
    source = view(
        height=40,
        width=60,
        slots=6,
        rows={slot: (1, slot, block(40, 60, (30, 17))) for slot in SLOTS},
    )
    target = repeated(view(height=40, width=60, slots=FREE, rows={}), len(seeds))
    options = {"scale_range": SCALES, "hflip_probability": FLIP, "paste_prob": PASTE, "k_range": (2, 9)}
    return draw_plan(
        target,
        source,
        seeds,
        config_of(**(options | changes)),
        source_idx=torch.zeros(len(seeds), dtype=torch.int64),
    )


def first_slots(plan: PastePlan) -> torch.Tensor:
    """The first two eligible slots in paste order, as one number below 12."""
    place = {slot: n for n, slot in enumerate(SLOTS)}
    found = []
    for order in plan.order.tolist():
        one, two = [place[slot] for slot in order if slot in place][:2]
        found.append(one * 3 + two - (two > one))
    return torch.tensor(found)


def features(plan: PastePlan) -> dict[str, Feature]:
    """The draws of :func:`wide_draw` that do not depend on one another."""
    scale = 65536 / plan.step.double()
    low, high = SCALES
    pasted = (plan.count > 0).long()
    sixteenth = ((scale - low) / (high - low) * 16).floor().clamp(0, 15).long()
    return {
        "scale": even(sixteenth, 16),
        "flip": (plan.hflip.long(), [1 - FLIP, FLIP]),
        "paste": (pasted, [1 - PASTE, PASTE]),
        "slots": even(first_slots(plan), 12),
        "mix": even(plan.mix_key & 3, 4),
        "mix, high word": even((plan.mix_key >> 60) & 15, 16),
    }


def counts(plan: PastePlan) -> Feature:
    """The count of those that paste, from 2 to 9."""
    return even(plan.count[plan.count > 0] - 2, 8)


HEIGHT, WIDTH = 6, 8


def places(seeds: torch.Tensor, *, valid: tuple[int, int] = (HEIGHT, WIDTH), patch: int = 1) -> PastePlan:
    """An object of 2 x 3 pixels at scale 1, near the bottom right, on a small canvas."""
    source = view(height=HEIGHT, width=WIDTH, slots=1, rows={0: (1, 0, block(HEIGHT, WIDTH, (4, 5)))})
    blank = view(height=HEIGHT, width=WIDTH, slots=1, rows={})
    padding = torch.ones((1, 1, HEIGHT, WIDTH), dtype=torch.bool)
    padding[:, :, : valid[0], : valid[1]] = False
    source = replace(source, padding_mask=torch.zeros_like(padding))  # pyright: ignore[reportArgumentType]
    target = repeated(replace(blank, padding_mask=padding), len(seeds))  # pyright: ignore[reportArgumentType]
    aligned = {"pad_to_multiple": patch, "patch_aligned": True} if patch > 1 else {}
    config = config_of(scale_range=(1.0, 1.0), hflip_probability=0.0, **aligned)
    return draw_plan(target, source, seeds, config, source_idx=torch.zeros(len(seeds), dtype=torch.int64))


def corners(plan: PastePlan, *, valid: tuple[int, int] = (HEIGHT, WIDTH), patch: int = 1) -> Feature:
    """Where the object's top-left corner lies, among all places that there are."""
    rows, columns = ((side - size) // patch + 1 for side, size in zip(valid, (2, 3), strict=True))
    corner = plan.translate + torch.tensor([4, 5])
    index = corner // patch
    ok = (corner % patch == 0).all(dim=1) & (index >= 0).all(dim=1)
    ok &= (index < torch.tensor([rows, columns])).all(dim=1)
    return even(torch.where(ok, index[:, 0] * columns + index[:, 1], -1), rows * columns)


BATCH = 6


@cache
def sources(seeds: str) -> list[PastePlan]:
    """Plans of a thousand batches of six, each sample pasted from another."""
    one = view(height=2, width=3, slots=1, rows={0: (1, 0, "1..\n...")})
    batch = repeated(one, BATCH)
    config = config_of(k_range=(1, 4))
    return [draw_plan(batch, batch, part, config) for part in SEEDS[seeds](SAMPLES).split(BATCH)]


def offsets(chosen: torch.Tensor, index: int) -> Feature:
    """Which other sample ``index`` is pasted from; none is its own source."""
    return even((chosen[:, index] - index) % BATCH - 1, BATCH - 1)


# -- the tests --------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", SEEDS)
def test_every_draw_is_distributed_as_it_says(seeds: str) -> None:
    plan = wide_draw(SEEDS[seeds](SAMPLES))
    found = {name: misfit(feature) for name, feature in features(plan).items()}
    found["count"] = misfit(counts(plan))
    assert {name: ratio for name, ratio in found.items() if ratio > 1} == {}
    assert all(ratio > 0 for ratio in found.values())


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize(
    ("valid", "patch"), [((6, 8), 1), ((4, 5), 1), ((2, 3), 1), ((6, 8), 2), ((6, 7), 2)]
)
def test_every_place_in_the_valid_rectangle_is_as_likely(
    seeds: str, valid: tuple[int, int], patch: int
) -> None:
    if valid == (2, 3):  # there is only one place
        plan = places(SEEDS[seeds](50), valid=valid)
        assert (plan.translate == torch.tensor([-4, -5])).all()
        return
    plan = places(SEEDS[seeds](SAMPLES), valid=valid, patch=patch)
    assert misfit(corners(plan, valid=valid, patch=patch)) < 1


@pytest.mark.parametrize("seeds", SEEDS)
def test_every_other_sample_is_as_likely_a_source(seeds: str) -> None:
    plans = sources(seeds)
    chosen = torch.stack([plan.source_idx for plan in plans])
    for index in range(BATCH):
        assert misfit(offsets(chosen, index)) < 1
    # Nor does the choice tell anything of the sample's other draws, or of its neighbour's.
    everyone = torch.cat([offsets(chosen, index)[0] for index in range(BATCH)])
    for drawn in (
        torch.stack([plan.hflip for plan in plans]),
        torch.stack([plan.count for plan in plans]) > 2,
        torch.stack([plan.mix_key for plan in plans]) & 1,
    ):
        assert dependence(even(everyone, BATCH - 1), even(drawn.long().T.flatten(), 2)) < 1
    assert dependence(offsets(chosen, 0), offsets(chosen, 1)) < 1


@pytest.mark.parametrize("batch", [2, 3, 50])
def test_nobody_is_its_own_source(batch: int) -> None:
    one = view(height=2, width=3, slots=1, rows={0: (1, 0, "1..\n...")})
    many = repeated(one, batch)
    for start in range(0, 400, batch):
        plan = draw_plan(many, many, torch.arange(start, start + batch), config_of())
        assert (plan.source_idx != torch.arange(batch)).all()
        assert ((plan.source_idx >= 0) & (plan.source_idx < batch)).all()


@pytest.mark.parametrize("seeds", SEEDS)
def test_no_draw_tells_of_another(seeds: str) -> None:
    plan = wide_draw(SEEDS[seeds](SAMPLES), paste_prob=1.0)
    found = features(plan) | {"count": counts(plan)} | relative_place(plan)
    del found["paste"]  # it is certain here, so that there is a count for everyone
    ratios = {pair: dependence(found[pair[0]], found[pair[1]]) for pair in combinations(found, 2)}
    assert {pair: ratio for pair, ratio in ratios.items() if ratio > 1} == {}
    sometimes = features(wide_draw(SEEDS[seeds](SAMPLES)))
    for name in ("scale", "flip", "slots", "mix"):
        assert dependence(sometimes["paste"], sometimes[name]) < 1


@pytest.mark.parametrize("seeds", SEEDS)
def test_no_seed_tells_of_the_next(seeds: str) -> None:
    found = features(wide_draw(SEEDS[seeds](SAMPLES)))
    del found["slots"], found["scale"], found["mix, high word"]  # too many pairs of categories
    scale, _ = features(wide_draw(SEEDS[seeds](SAMPLES)))["scale"]
    found["scale"] = even(scale // 4, 4)
    for feature in found.values():
        assert serial(feature) < 1


def serial(feature: Feature) -> float:
    """How much a sample tells of the one with the next seed."""
    values, probabilities = feature
    return dependence((values[:-1], probabilities), (values[1:], probabilities))


def relative_place(plan: PastePlan) -> dict[str, Feature]:
    """The half of the canvas on which the group lies, by its middle, in y and x."""
    scale = 65536 / plan.step.double()
    box = torch.tensor([[30.0, 32.0], [17.0, 20.0]], dtype=torch.float64)
    box = box.expand(len(scale), 2, 2).clone()
    box[plan.hflip, 1] = 60 - box[plan.hflip, 1].flip(1)
    middle = box.mean(dim=2) * scale[:, None] + plan.translate
    return {
        "y": even((middle[:, 0] > 20).long(), 2),
        "x": even((middle[:, 1] > 30).long(), 2),
    }


def test_the_classes_of_a_mix_are_chosen_one_by_one() -> None:
    """Class c takes part iff a bit of Philox under the key is set: 32 combinations of five."""
    keys = wide_draw(SEEDS["consecutive"](SAMPLES)).mix_key.tolist()
    combination = torch.tensor(
        [
            sum(
                (philox4x32((c, 0, 0, 0), (key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF))[0] & 1) << c
                for c in range(5)
            )
            for key in keys
        ]
    )
    assert misfit(even(combination, 32)) < 1


def test_a_draw_depends_neither_on_the_batch_nor_on_its_neighbours() -> None:
    one = view(height=5, width=7, slots=3, rows={0: (1, 0, "11.....\n" * 5), 2: (2, 1, ".....1.\n" * 5)})
    config = config_of(k_range=(1, 2))
    seeds = SEEDS["spread"](64)
    whole = repeated(one, 64)
    plans = draw_plan(whole, whole, seeds, config)
    other_seeds = torch.arange(64) * 999 + 5
    for size, at in ((2, 1), (3, 0), (7, 6), (64, 63)):
        batch = repeated(one, size)
        for index in (0, 5, 40):
            among = other_seeds[:size].clone()
            among[at] = seeds[index]
            drawn = draw_plan(batch, batch, among, config)
            for name in ("step", "translate", "hflip", "order", "count", "mix_key"):
                assert torch.equal(getattr(drawn, name)[at], getattr(plans, name)[index]), name


# -- the tests tested: mistakes that people make ----------------------------------------


def _numbers(label: int, high: int) -> torch.Tensor:
    """Numbers below ``high`` of an honest generator."""
    generator = torch.Generator().manual_seed(label)
    return torch.randint(high, (SAMPLES,), generator=generator)


def test_the_tests_find_what_is_not_distributed_as_it_says() -> None:
    plan = wide_draw(SEEDS["consecutive"](SAMPLES))
    honest = features(plan)
    assert all(misfit(feature) < 1 for feature in honest.values())

    low, high = (65536 / scale for scale in reversed(SCALES))
    inverse = (low + (high - low) * _numbers(1, 2**20).double() / 2**20).long()
    assert misfit(features(replace(plan, step=inverse))["scale"]) > 1  # the step is uniform, not the scale

    often = plan.hflip | (_numbers(2, 100) < 6)
    assert misfit(features(replace(plan, hflip=often))["flip"]) > 1

    seldom = torch.where(_numbers(3, 100) < 5, 0, plan.count)
    assert misfit(features(replace(plan, count=seldom))["paste"]) > 1
    without_last = torch.where(plan.count == 9, 8, plan.count)
    assert misfit(counts(replace(plan, count=without_last))) > 1

    turned = (torch.arange(6) + _numbers(4, 6)[:, None]) % 6  # turned round instead of shuffled
    assert misfit(features(replace(plan, order=turned))["slots"]) > 1
    swapped = torch.arange(6).repeat(SAMPLES, 1)  # swaps with any place: the naive shuffle
    for place in range(6):
        partner = _numbers(10 + place, 6)[:, None]
        here, there = swapped[:, place : place + 1].clone(), swapped.gather(1, partner)
        swapped[:, place : place + 1] = there
        swapped.scatter_(1, partner, here)
    assert misfit(features(replace(plan, order=swapped))["slots"]) > 1

    assert misfit(features(replace(plan, mix_key=plan.mix_key * 2))["mix"]) > 1
    short = plan.mix_key & 0xFFFFFFFF
    assert misfit(features(replace(plan, mix_key=short))["mix, high word"]) > 1


def test_the_tests_find_places_that_are_not_as_likely() -> None:
    plan = places(SEEDS["consecutive"](SAMPLES))
    assert misfit(corners(plan)) < 1
    y, x = _numbers(5, 4), _numbers(6, 6)  # the last row is never reached
    assert misfit(corners(replace(plan, translate=torch.stack((y - 4, x - 5), dim=1)))) > 1
    rounded = (_numbers(7, 2**16).double() / 2**16 * 5).round().long()  # half as often at both ends
    assert misfit(corners(replace(plan, translate=torch.stack((_numbers(8, 5) - 4, rounded - 5), dim=1)))) > 1
    outside = plan.translate.clone()
    outside[0, 1] = 9
    assert misfit(corners(replace(plan, translate=outside))) > 1


def test_the_tests_find_a_choice_of_source_that_is_not_fair() -> None:
    chosen = torch.stack([plan.source_idx for plan in sources("consecutive")])
    own = torch.arange(BATCH)
    drawn = _numbers(9, BATCH).reshape(-1, BATCH)
    next_one = torch.where(drawn == own, (own + 1) % BATCH, drawn)  # itself becomes the next
    assert max(misfit(offsets(next_one, index)) for index in range(BATCH)) > 1
    assert misfit(offsets(torch.where(chosen == 5, 0, chosen), 3)) > 1  # the last one never
    assert misfit(offsets(own.expand_as(chosen), 0)) > 1  # itself


def test_the_tests_find_what_is_not_independent() -> None:
    plan = wide_draw(SEEDS["consecutive"](SAMPLES), paste_prob=1.0)
    honest = features(plan)
    one_word = replace(plan, hflip=honest["scale"][0] < 4)  # one word for two draws
    assert misfit(features(one_word)["flip"]) < 1
    assert dependence(honest["scale"], features(one_word)["flip"]) > 1
    key = plan.mix_key & 0xFFFFFFFF
    doubled = features(replace(plan, mix_key=key | key << 32))  # one word for both halves
    low = even(key >> 28 & 3, 4)
    assert dependence(low, doubled["mix, high word"]) > 1
    paired = wide_draw(SEEDS["consecutive"](SAMPLES) // 2)  # two samples share a seed
    assert serial(features(paired)["mix"]) > 1
    assert serial(features(paired)["flip"]) > 1

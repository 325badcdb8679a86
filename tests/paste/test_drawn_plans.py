"""Plans against the same plans worked out in Python integers, draw by draw.

What is drawn with which word of the generator is part of the format: a plan that came out
otherwise would replay old seeds as other samples.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from segpaste.paste import draw_plan
from segpaste.paste.rng import philox4x32, to_int64
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PastePlan
from tests.parity.test_tiny_pastes import tiny_pastes

WORD = 2**32
SEEDS = (0, 1, -1, 2**63 - 1, -(2**63), 0x5DEECE66D, -987654321987654321, 77)

INSTANCES = ("instance", "instance+semantic+panoptic+depth+normals", "instance+semantic")
PLACEMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"scale_range": (1.0, 1.0), "k_range": (1, 1)},
    {"scale_range": (0.4, 1.3), "k_range": (0, 3), "paste_prob": 0.5},
    {"scale_range": (2.0, 9.0), "hflip_probability": 1.0},
    {"scale_range": (1.5, 3.0), "oversize_policy": "skip", "hflip_probability": 0.25},
    {"scale_range": (0.5, 2.0), "pad_to_multiple": 2, "patch_aligned": True},
    {"scale_range": (0.004, 0.2), "pad_to_multiple": 4, "patch_aligned": True, "hflip_probability": 0.0},
)


@pytest.mark.parametrize("placement", range(len(PLACEMENTS)))
@pytest.mark.parametrize("kind", INSTANCES)
def test_a_plan_is_what_its_words_say(kind: str, placement: int) -> None:
    for case in tiny_pastes(kind):
        config = placed(case.config, PLACEMENTS[placement])
        target, source = case.target, case.source
        multiple = (config.placement.pad_to_multiple or 1) if config.placement.patch_aligned else 1
        if any(side % multiple for side in target.canvas_size):
            continue
        seeds = SEEDS[: target.batch_size] if placement % 2 else SEEDS[-target.batch_size :]
        rows = None if case.intra_batch else case.plan.source_idx
        drawn = draw_plan(target, source, torch.tensor(seeds), config, source_idx=rows)
        for b, seed in enumerate(seeds):
            expected = plan_by_hand(case.target, case.source, seed, config, b, rows)
            assert shown(drawn, b) == expected


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_the_source_row_is_another_one(batch: int) -> None:
    [case] = [c for c in tiny_pastes("instance") if c.target.batch_size == 1][:1]
    target = case.target.gather(torch.zeros(batch, dtype=torch.int64))
    drawn = draw_plan(target, target, torch.tensor(SEEDS[:batch]), case.config)
    for b, seed in enumerate(SEEDS[:batch]):
        assert shown(drawn, b) == plan_by_hand(target, target, seed, case.config, b, None)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_rows_the_grid_is_the_identity(seed: int) -> None:
    case = tiny_pastes("semantic")[0]
    rows = torch.zeros(1, dtype=torch.int64)
    target = case.target.gather(torch.zeros(1, dtype=torch.int64))
    config = placed(case.config, {"k_range": (1, 9)})
    drawn = draw_plan(target, case.source, torch.tensor([seed]), config, source_idx=rows)
    first, second, third = (words(seed, i, 0) for i in range(3))
    assert first[3] < WORD  # paste_prob is 1
    assert shown(drawn, 0) == {
        "source_idx": 0,
        "step": 65536,
        "translate": [0, 0],
        "hflip": False,
        "order": sorted(range(case.source.max_instances), key=lambda j: words(seed, j, 1)[0]),
        "count": 1 + (second[0] * 9 >> 32),
        "mix_key": to_int64(third[0] | third[1] << 32),
    }


def placed(config: BatchCopyPasteConfig, placement: dict[str, Any]) -> BatchCopyPasteConfig:
    changed = config.model_dump(exclude={"panoptic", "placement"}) | {"panoptic": config.panoptic}
    return BatchCopyPasteConfig.model_validate(changed | {"placement": placement})


def shown(plan: PastePlan, b: int) -> dict[str, Any]:
    names = ("source_idx", "step", "translate", "hflip", "order", "count", "mix_key")
    return {name: getattr(plan, name)[b].tolist() for name in names}


def words(seed: int, index: int, use: int) -> tuple[int, int, int, int]:
    return philox4x32((index, use, 0, 0), (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))


def plan_by_hand(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    seed: int,
    config: BatchCopyPasteConfig,
    b: int,
    rows: torch.Tensor | None,
) -> dict[str, Any]:
    """Sample b's plan: the scalars have the blocks 0, 1 and 2 of use 0, slot j the block j of use 1."""
    placement = config.placement
    first, second, third = (words(seed, i, 0) for i in range(3))
    fewest, most = placement.k_range
    count = fewest + (second[0] * (most - fewest + 1) >> 32)
    if first[3] >= placement.paste_prob * WORD or (rows is None and target.batch_size == 1):
        count = 0
    if rows is None:
        row = first[0] * max(target.batch_size - 1, 1) >> 32
        row = 0 if target.batch_size == 1 else row + (row >= b)
    else:
        row = int(rows[b])
    flip = first[2] < placement.hflip_probability * WORD
    low, high = (round(Fraction(s) * 65536) for s in placement.scale_range)
    scale = low + (first[1] * (high - low + 1) >> 32)
    step = max(round(Fraction(WORD, scale)), 1)
    order = sorted(range(source.max_instances), key=lambda j: words(seed, j, 1)[0])

    room, seen = valid_extent(target, b), valid_extent(source, row)
    free = int((~target.instance_valid[b]).sum())
    chosen = [j for j in order if may_be_pasted(source, row, j, config)][: min(count, free)]
    group = bounds(source, row, chosen, seen, flip)
    fits = all(size <= most for (_, size), most in zip(scaled(group, step), room, strict=True))
    if not fits and placement.oversize_policy == "shrink":
        needed = [
            -((low - high) * 65536 // max(side, 1)) for (low, high), side in zip(group, room, strict=True)
        ]
        step, fits = max(step, *needed), True
    if not fits or min(room) == 0:
        return plan(row, step, [0, 0], flip, order, 0, third)
    multiple = (placement.pad_to_multiple or 1) if placement.patch_aligned else 1
    translate: list[int] = []
    for (begin, size), side, word in zip(scaled(group, step), room, second[1:3], strict=True):
        places = max(side - size, 0) // multiple + 1
        translate.append((word * places >> 32) * multiple - begin)
    return plan(row, step, translate, flip, order, count, third)


def plan(
    row: int,
    step: int,
    translate: list[int],
    flip: bool,
    order: list[int],
    count: int,
    third: tuple[int, ...],
) -> dict[str, Any]:
    return {
        "source_idx": row,
        "step": step,
        "translate": translate,
        "hflip": flip,
        "order": order,
        "count": count,
        "mix_key": to_int64(third[0] | third[1] << 32),
    }


def may_be_pasted(source: PaddedBatchedDenseSample, row: int, j: int, config: BatchCopyPasteConfig) -> bool:
    if not source.instance_valid[row, j] or not source.tensors()["instance_masks"][row, j].any():
        return False
    return config.schema_spec is None or config.schema_spec.classes[int(source.labels[row, j])] == "thing"


def valid_extent(view: PaddedBatchedDenseSample, row: int) -> tuple[int, int]:
    if view.padding_mask is None:
        return view.canvas_size
    valid = ~view.tensors()["padding_mask"][row, 0]
    return int(valid.any(dim=1).sum()), int(valid.any(dim=0).sum())


def bounds(
    source: PaddedBatchedDenseSample, row: int, chosen: list[int], seen: tuple[int, int], flip: bool
) -> list[tuple[int, int]]:
    """(low, high) of y and x of the group, high exclusive, as it stands after the flip."""
    if not chosen:
        return [(0, 0), (0, 0)]
    union = source.tensors()["instance_masks"][row, chosen].any(dim=0)
    ys, xs = (at.tolist() for at in union.nonzero(as_tuple=True))
    y, x = (min(ys), max(ys) + 1), (min(xs), max(xs) + 1)
    return [y, (seen[1] - x[1], seen[1] - x[0]) if flip else x]


def scaled(group: list[tuple[int, int]], step: int) -> list[tuple[int, int]]:
    """(first pixel, number of pixels) in y and x of those that show the group, untranslated."""
    return [
        (first_showing(low, step), first_showing(high, step) - first_showing(low, step))
        for low, high in group
    ]


def first_showing(low: int, step: int) -> int:
    """The first pixel x with ``(2 x + 1) * step >> 17 >= low``, found by trying around the answer."""
    x = max(low * 65536 // step - 2, 0)
    while (2 * x + 1) * step >> 17 < low:
        x += 1
    return x

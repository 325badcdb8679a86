"""What free cases add to a scene: class tables, configurations, slots and plans of every kind.

:mod:`segpaste.strategies` draws such things, too, but may come to draw them otherwise at any
time; frozen inputs must not, so they are read here, in a few lines, and for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from segpaste.paste.rng import to_int64
from segpaste.strategies.choices import Choices
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)

SCHEMA_BYTES, CONFIG_BYTES, SLOT_BYTES, PLAN_BYTES = 64, 64, 128, 96

MOST_SLOTS = 12  # samples have at most seven rows, batches four slots to spare


def draw_schema(choices: Choices) -> PanopticSchemaSpec:
    """Up to three things and three stuff classes, ids with gaps, any *ignore*."""
    kinds = ["thing"] * choices.integer(1, 3) + ["stuff"] * choices.integer(0, 3)
    label = choices.of((0, 1, 7, 300))
    classes: dict[int, Any] = {}
    for index in choices.permutation(len(kinds)):
        classes[label] = kinds[index]
        label += choices.of((1, 1, 2, 40))
    ignore = choices.of((255, 255, 6, 65535, 2**31 - 1))
    while ignore in classes:
        ignore += 1
    return PanopticSchemaSpec(
        classes=classes, ignore_index=ignore, max_instances_per_image=choices.of((256, MOST_SLOTS))
    )


def draw_config(choices: Choices, schema: PanopticSchemaSpec | None) -> BatchCopyPasteConfig:
    """Thresholds from nothing to everything, priorities of both signs, both policies for stuff."""
    placement = BatchedPlacementConfig(
        scale_range=choices.of(
            ((0.5, 2.0), (1.0, 1.0), (0.5, 0.5), (2.0, 2.0), (0.25, 0.75), (1.5, 9.0), (1 / 256, 256.0))
        ),
        hflip_probability=choices.of((0.5, 0.0, 1.0)),
        paste_prob=choices.of((1.0, 1.0, 1.0, 1.0, 1.0, 0.5)),
        k_range=choices.of(((1, 256), (1, 256), (2, 256), (0, 3), (1, 1), (1, 2), (3, 3))),
        oversize_policy=choices.of(("shrink", "shrink", "skip")),
    )
    numbers: dict[str, Any] = {
        "min_area": choices.of((1, 1, 2, 6, 30, 10**6)),
        "min_pasted_area": choices.of((1, 1, 1, 1, 3, 25)),
        "min_residual_area_frac": choices.of((0.1, 0.0, 0.25, 0.5, 0.9, 1.0)),
        "z_test": not choices.one_in(4),
    }
    panoptic = None
    if schema is not None:
        priority = {label: choices.integer(-2, 2) for label in schema.classes}
        area = {label: choices.of((0, 0, 1, 5, 50, 10**6)) for label in schema.classes}
        panoptic = PanopticPasteConfig(
            taxonomy=schema,
            class_priority={label: number for label, number in priority.items() if number},
            stuff_min_area={
                label: number for label, number in area.items() if number and schema.classes[label] == "stuff"
            },
            tau_stuff_frac=choices.of((0.1, 0.0, 0.25, 0.5, 0.9, 1.0)),
            stuff_policy=choices.of(("revert", "ignore")),
            debug_assert_bijection=choices.one_in(4),
        )
    return BatchCopyPasteConfig(placement=placement, panoptic=panoptic, **numbers)


def draw_slots(choices: Choices, samples: Sequence[DenseSample]) -> PaddedBatchedDenseSample:
    """A padded batch with none to four slots to spare, its rows in any of them."""
    slots = max(len(sample.labels) for sample in samples) + choices.of((2, 0, 1, 3, 4))
    padded = BatchedDenseSample.from_samples(samples).to_padded(slots)
    place = torch.tensor([choices.permutation(slots) for _ in samples], dtype=torch.int64)
    place = place.reshape(len(samples), slots)
    batch = torch.arange(len(samples))[:, None]
    fields: dict[str, Any] = padded.tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        if name in fields:
            fields[name] = fields[name][batch, place]
    return PaddedBatchedDenseSample(**fields, metric_depth=padded.metric_depth)


def draw_rows(choices: Choices, targets: int, sources: int, intra: bool) -> list[int]:
    """The source row of each target; inside one batch never its own."""
    if intra:
        return [(b + choices.integer(1, targets - 1)) % targets for b in range(targets)]
    return [choices.integer(0, sources - 1) for _ in range(targets)]


def draw_any_plan(
    choices: Sequence[Choices],
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    rows: Sequence[int],
) -> PastePlan:
    """Steps from 1 to 2**24, any permutation and count; mostly something lands on the canvas."""
    drawn = [
        _draw_row(one, target, source, row, source.instance_masks is not None)
        for one, row in zip(choices, rows, strict=True)
    ]
    columns = {name: torch.tensor([one[name] for one in drawn]) for name in drawn[0]}
    columns["order"] = columns["order"].to(torch.int64).reshape(len(drawn), source.max_instances)
    return PastePlan(source_idx=torch.tensor(list(rows), dtype=torch.int64), **columns)


def _draw_row(
    choices: Choices,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    row: int,
    moved: bool,
) -> dict[str, Any]:
    fine = choices.integer(0, 2**16 - 1)
    step = choices.of(
        (65536, 65536, 32768, 131072, 32768 + fine, 32768 + fine, 65536 + fine, 3 * 65536, 2 ** (fine % 25))
    )
    hflip = choices.one_in(2)
    slots = source.max_instances
    order = choices.permutation(slots)
    count = choices.of((slots + 1, slots + 1, slots, 2, 1, 0))
    key = to_int64(choices.integer(0, 2**64 - 1))
    onto = [choices.integer(0, side - 1) for side in target.canvas_size]
    far = choices.of(((0, 0),) * 12 + ((2**24, 0), (0, -(2**24))))
    middle = _first_middle(source, row, order, hflip)
    move = [to - at * 65536 // step + away for to, at, away in zip(onto, middle, far, strict=True)]
    if not moved:
        step, hflip, move = 65536, False, [0, 0]
    return {
        "step": step,
        "translate": move,
        "hflip": hflip,
        "order": list(order),
        "count": count,
        "mix_key": key,
    }


def _first_middle(
    source: PaddedBatchedDenseSample, row: int, order: Sequence[int], hflip: bool
) -> tuple[int, int]:
    """The middle of the box of the first used slot in the plan's order, as (y, x) after the flip."""
    for slot in order:
        if bool(source.instance_valid[row, slot]):
            left, top, right, bottom = (int(side) for side in source.boxes[row, slot].tolist())
            x = (left + right) // 2
            return (top + bottom) // 2, source.canvas_size[1] - 1 - x if hflip else x
    return 0, 0

"""Class tables, configurations, padded batches and plans read from bytes, simplest first.

Like :mod:`segpaste.strategies.scenes` this needs no Hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segpaste.paste.rng import to_int64
from segpaste.strategies.choices import Choices
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchema,
    PanopticSchemaSpec,
    PastePlan,
)

SCHEMA_BYTES = 8
CONFIG_BYTES = 16
PADDING_BYTES = 16
PLAN_BYTES = 32
"""Bytes enough for what their name says; a schema takes three more and a configuration two
more for every class, a plan one more for every source slot."""

EXTRA_SLOTS = 4
"""The most slots that drawn padded batches have beyond their fullest sample."""

HALF_SIZE = 2 * 65536
"""The step at which every pixel is the mean of two by two."""

_IDENTITY = 65536
_ONTO_TARGET = 2  # the least of the moves that bring a source pixel onto the target
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PasteCase:
    """Everything that determines one paste of a batch.

    Attributes:
        target: B samples.
        source: the view pasted from; the target itself, or another batch with the same
            canvas, channels, image dtype, modalities and kind of depth.
        plan: drawn over its whole legal range, or by ``draw_plan`` from ``seed``.
        config: the configuration.
        seed: 64-bit seed of target 0; target b has ``seed + b``.
    """

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig
    seed: int = 0

    @property
    def schema(self) -> PanopticSchemaSpec | None:
        """The class table of the configuration, if any."""
        return self.config.schema_spec

    @property
    def intra_batch(self) -> bool:
        """Whether targets are pasted from each other."""
        return self.source is self.target

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis and IPython show it: as ``repr`` does, not field by field."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        source = "the target" if self.intra_batch else repr(self.source)
        changed = self.config.model_dump(exclude_defaults=True)
        return f"PasteCase({self.target}, source={source}, {self.plan}, config={changed}, seed={self.seed})"


def draw_schema(
    choices: Choices,
    *,
    min_things: int = 1,
    max_things: int = 3,
    min_stuff: int = 0,
    max_stuff: int = 3,
    capacity: int = 256,
    ignore_index: int | None = None,
) -> PanopticSchemaSpec:
    """Read a class table; ids with gaps, now and then above 255, things and stuff mixed.

    Args:
        choices: where from.
        min_things: fewest thing classes.
        max_things: most thing classes.
        min_stuff: fewest stuff classes.
        max_stuff: most stuff classes.
        capacity: ``max_instances_per_image`` is at least this, often exactly.
        ignore_index: if fixed; mostly 255 otherwise.
    """
    things = choices.integer(min_things, max_things)
    kinds = ["thing"] * things + ["stuff"] * choices.integer(min_stuff, max_stuff)
    order = choices.permutation(len(kinds))
    label = choices.of((0, 0, 0, 1, 1, 7, 300))
    classes: dict[int, Any] = {}
    for index in order:
        label += label == ignore_index
        classes[label] = kinds[index]
        label += choices.of((1, 1, 1, 2, 40))
    ignore = choices.of((255, 255, 255, 0, 65535, _INT32_MAX)) if ignore_index is None else ignore_index
    while ignore in classes:
        ignore += 1
    return PanopticSchemaSpec(
        classes=classes,
        ignore_index=ignore,
        max_instances_per_image=choices.of((max(capacity, 256), capacity, capacity + 1)),
    )


def draw_config(choices: Choices, schema: PanopticSchemaSpec | None) -> BatchCopyPasteConfig:
    """Read a configuration: placements, thresholds from nothing to everything, both policies."""
    placement = BatchedPlacementConfig(
        scale_range=choices.of(
            (
                *((0.5, 2.0), (0.5, 2.0), (1.0, 1.0), (1.0, 1.0), (0.5, 0.5), (2.0, 2.0)),
                *((0.3, 0.7), (0.6, 1.1), (1.5, 9.0), (1 / 256, 256.0)),
            )
        ),
        hflip_probability=choices.of((0.5, 0.0, 1.0)),
        paste_prob=choices.of((1.0,) * 30 + (0.5, 0.0)),
        k_range=choices.of(
            (
                *(((1, 256),) * 16),
                *(((2, 256),) * 4),
                *((0, 256), (0, 3), (0, 0), (1, 1), (1, 1), (1, 2), (2, 3), (3, 3)),
            )
        ),
        oversize_policy="skip" if choices.one_in(8) else "shrink",
    )
    scalars: dict[str, Any] = {
        "min_area": choices.of((1, 1, 1, 2, 6, 30, 1_000_000)),
        "min_pasted_area": choices.of((1,) * 17 + (2, 4, 30)),
        "min_residual_area_frac": choices.of((0.1, 0.0, 0.0, 0.5, 0.9, 1.0)),
        "z_test": not choices.one_in(4),
    }
    panoptic = None
    if schema is not None:
        # As bytes the larger ones come out in reverse, and a few slots times them overflow int32.
        unit = choices.of((1, 200, 2**30 - 1))
        panoptic = PanopticPasteConfig(
            taxonomy=schema,
            class_priority={c: p * unit for c in schema.classes if (p := choices.of((0, 1, -1, 0, -2)))},
            stuff_min_area={
                c: area
                for c, kind in schema.classes.items()
                if kind == "stuff" and (area := choices.of((0, 0, 0, 1, 4, 40, 1_000_000)))
            },
            tau_stuff_frac=choices.of((0.1, 0.0, 0.25, 0.5, 0.9, 1.0)),
            stuff_policy=choices.of(("revert", "ignore", "ignore")),
            debug_assert_bijection=choices.one_in(4),
        )
    return BatchCopyPasteConfig(placement=placement, panoptic=panoptic, **scalars)


def draw_padded(
    choices: Choices, samples: Sequence[DenseSample], *, max_instances: int, compact: bool = False
) -> PaddedBatchedDenseSample:
    """Pad samples to a common number of slots, used ones anywhere.

    Args:
        choices: where from; :data:`PADDING_BYTES` are enough for a few small samples.
        samples: one or more, of one frame.
        max_instances: the most slots, at least the rows of the fullest sample.
        compact: used slots first.
    """
    fullest = max(len(s) for s in samples)
    slots = min(fullest + choices.of((1, 0, 2, 3, 3, EXTRA_SLOTS, EXTRA_SLOTS, EXTRA_SLOTS)), max_instances)
    padded = BatchedDenseSample.from_samples(samples).to_padded(slots)
    if compact:
        return padded
    columns: list[Sequence[int]] = []
    for _ in samples:
        layout = choices.of(("compact", "compact", "last", "anywhere"))
        backwards = range(slots - 1, -1, -1)
        identity = range(slots)
        columns.append(
            identity if layout == "compact" else backwards if layout == "last" else choices.permutation(slots)
        )
    place = torch.tensor(columns, dtype=torch.int64).reshape(len(samples), slots)
    batch = torch.arange(len(samples))[:, None]
    changed: dict[str, Any] = padded.tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        if name in changed:
            changed[name] = changed[name][batch, place]
    return PaddedBatchedDenseSample(**changed, metric_depth=padded.metric_depth)


def draw_source_rows(choices: Choices, target: int, source: int, intra_batch: bool) -> list[int]:
    """The source row of each of ``target`` samples; inside one batch never a sample's own."""
    if intra_batch:
        return [(b + choices.integer(1, target - 1)) % target if target > 1 else 0 for b in range(target)]
    return [choices.integer(0, source - 1) for _ in range(target)]


def draw_any_plan(
    choices: Sequence[Choices],
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    config: BatchCopyPasteConfig,
    source_idx: Sequence[int],
    *,
    step: int | None = None,
) -> PastePlan:
    """Read a plan over its whole legal range, far beyond what ``draw_plan`` draws.

    Scales from 1/256 to 65536 with the integer ones and 1/2 exact, translations partly
    and wholly outside the canvas, any permutation, counts from 0 to the configured
    most. Two in three translations bring a pixel of the first eligible row onto a
    pixel of the target, so that most plans paste something. Batches without masks keep
    the identity grid, and a batch of one that is its own source has nothing to paste.

    Args:
        choices: one reader per target; :data:`PLAN_BYTES` + K_s bytes each are enough.
        target: B samples.
        source: the source view.
        config: bounds the count and, by its class table, what is eligible.
        source_idx: B rows of the source view.
        step: the inverse scale of all of them, if fixed; each then shows a pixel on the target.
    """
    alone = source is target and target.batch_size == 1
    rows = [
        _draw_row(one, target, source, config, b, s, alone, step)
        for b, (one, s) in enumerate(zip(choices, source_idx, strict=True))
    ]
    batch, slots = target.batch_size, source.max_instances
    return PastePlan(
        source_idx=torch.tensor(list(source_idx), dtype=torch.int64),
        step=torch.tensor([r["step"] for r in rows], dtype=torch.int64),
        translate=torch.tensor([r["translate"] for r in rows], dtype=torch.int64).reshape(batch, 2),
        hflip=torch.tensor([r["hflip"] for r in rows], dtype=torch.bool),
        order=torch.tensor([r["order"] for r in rows], dtype=torch.int64).reshape(batch, slots),
        count=torch.tensor([r["count"] for r in rows], dtype=torch.int64),
        mix_key=torch.tensor([r["mix_key"] for r in rows], dtype=torch.int64),
    )


def spread(number: int) -> int:
    """A 64-bit key for a small number, 0 for 0; so that few bytes give keys of all sizes."""
    return number * 0x9E3779B97F4A7C15 % 2**64


def _draw_row(
    choices: Choices,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    config: BatchCopyPasteConfig,
    b: int,
    s: int,
    alone: bool,
    fixed_step: int | None,
) -> dict[str, Any]:
    most = config.placement.k_range[1]
    slots = source.max_instances
    few = min(most, slots + 1)
    count = choices.of((*(few,) * 15, 0, *(min(most, 1),) * 3, most, most, choices.integer(0, few)))
    mix_key = to_int64(spread(choices.integer(0, 2**12 - 1)))
    hflip, step, move = choices.one_in(2), _draw_step(choices), choices.integer(0, 11)
    if fixed_step is not None:
        step, move = fixed_step, _ONTO_TARGET
    far = choices.of((2**24, -(2**24)))
    wide = choices.of(((far, 0), (0, far), (far, far)))
    height, width = target.canvas_size
    near = choices.integer(0, 2 * height) - height, choices.integer(0, 2 * width) - width
    words = tuple(choices.integer(0, 2**12 - 1) for _ in range(2))
    order = choices.permutation(slots)
    if Modality.INSTANCE not in source.active_modalities():
        step, hflip, translate = _IDENTITY, False, (0, 0)
    elif move < _ONTO_TARGET:
        translate = (0, 0)
    elif move >= 10:
        translate = near if move == 10 else wide
    else:
        translate = _onto_target(words, target, source, config, b, s, order, step, hflip)
    return {
        "step": step,
        "translate": translate,
        "hflip": hflip,
        "order": order,
        "count": 0 if alone else count,
        "mix_key": mix_key,
    }


def _draw_step(choices: Choices) -> int:
    kind = choices.integer(0, 12)
    fine = 5 * choices.integer(0, 2**12 - 1)
    power = choices.integer(0, 24)
    if kind <= 4:
        return (_IDENTITY, _IDENTITY, _IDENTITY, _IDENTITY // 2, 2 * _IDENTITY)[kind]
    if kind <= 6:
        return _IDENTITY // 2 + 8 * fine
    if kind <= 8:
        return _IDENTITY // 3 + fine
    if kind <= 10:
        return (3 if kind == 9 else 5) * _IDENTITY + fine
    return _IDENTITY // 8 if kind == 11 else 2**power


def _onto_target(
    words: tuple[int, ...],
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    config: BatchCopyPasteConfig,
    b: int,
    s: int,
    order: Sequence[int],
    step: int,
    hflip: bool,
) -> tuple[int, int]:
    """A translation that shows a pixel of the first row to be pasted on an open pixel of the target."""
    seen = _first_mask(source, config, s, order)
    if seen is None:
        return 0, 0
    if hflip:
        # From here on in the grid's own coordinates, which mirror last.
        width_seen = _valid_width(source, s)
        seen[:, :width_seen] = seen[:, :width_seen][:, ::-1]
    shown_y, shown_x = (_is_shown(np.arange(size), step) for size in seen.shape)
    if (seen & shown_y[:, None] & shown_x).any():
        seen = seen & shown_y[:, None] & shown_x
    pixels = np.argwhere(seen)
    y, x = (int(v) for v in pixels[words[0] % len(pixels)])
    free = np.argwhere(_open_to_pastes(target, config, b))
    onto_y, onto_x = (int(v) for v in free[words[1] % len(free)]) if len(free) else (0, 0)
    return onto_y - _first_showing(y, step), onto_x - _first_showing(x, step)


def _first_showing(pixel: Any, step: int) -> Any:
    """The first target coordinate, untranslated, that shows this source pixel or a later one."""
    return -(-(pixel * 2**17) // step) // 2


def _is_shown(pixel: np.ndarray, step: int) -> np.ndarray:
    """Whether any target coordinate shows this source pixel."""
    return ((2 * _first_showing(pixel, step) + 1) * step) >> 17 == pixel


def _first_mask(
    source: PaddedBatchedDenseSample, config: BatchCopyPasteConfig, s: int, order: Sequence[int]
) -> np.ndarray | None:
    masks = source.tensors()["instance_masks"][s].numpy()
    labels = source.labels[s].tolist()
    schema: PanopticSchema | None = config.schema_spec
    for slot in order:
        if masks[slot].any() and (schema is None or schema.classes[labels[slot]] == "thing"):
            return masks[slot].copy()
    return None


def _open_to_pastes(target: PaddedBatchedDenseSample, config: BatchCopyPasteConfig, b: int) -> np.ndarray:
    """Where neither padding nor *ignore* forbids a paste, ``[H, W]`` bool."""
    fields = target.tensors()
    free = np.ones(target.canvas_size, dtype=bool)
    if "padding_mask" in fields:
        free &= ~fields["padding_mask"][b, 0].numpy()
    if "semantic_maps" in fields:
        free &= fields["semantic_maps"][b].numpy() != config.ignore_index
    return free


def _valid_width(source: PaddedBatchedDenseSample, s: int) -> int:
    if source.padding_mask is None:
        return source.canvas_size[1]
    return int((~source.tensors()["padding_mask"][s, 0]).any(dim=0).sum())

"""The frozen pastes: what seed, modality set and image dtype stand for, drawn by Philox alone.

Three seeds in four are *even* cases: canvas 37 x 53, six row slots, one of a few
configurations written below, a plan from ``draw_plan``. Their shapes agree, so that many
can go through one call and one compiled graph (:mod:`segpaste.goldens.joining`). They
differ in the number of samples, in whether they paste from each other or from another
view, and in everything a scene holds. Every fourth seed is a *free* case: canvas, slots,
channels, class table, configuration and plan are drawn over their whole legal range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import torch

from segpaste.goldens.free import (
    CONFIG_BYTES,
    PLAN_BYTES,
    SCHEMA_BYTES,
    SLOT_BYTES,
    draw_any_plan,
    draw_config,
    draw_rows,
    draw_schema,
    draw_slots,
)
from segpaste.paste import draw_plan
from segpaste.paste.rng import random_words, to_int64
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import PasteCase
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    modality_set_name,
)

DtypeName = Literal["uint8", "float32"]

_IMAGE_ONLY = frozenset({Modality.IMAGE})
_SETS: dict[str, tuple[frozenset[Modality], bool]] = {
    **{modality_set_name(modalities): (modalities, False) for modalities in LEGAL_MODALITY_SETS},
    "image": (_IMAGE_ONLY, False),
    "boxes": (_IMAGE_ONLY, True),
}

KINDS: tuple[str, ...] = tuple(_SETS)
"""The modality sets by name: the 16 that a paste works on, ``image`` and ``boxes`` (rows
with boxes but no masks), which stay as they are."""

DTYPES: tuple[DtypeName, ...] = get_args(DtypeName)
"""Image dtypes."""

SEEDS = range(200)
"""The frozen seeds."""

CANVAS = (37, 53)
SLOTS = 6
SCHEMA = PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 2: "thing", 3: "stuff", 4: "thing"})

# Streams of a case's key; scenes use 0 and those from 2**16 on.
_LAYOUT, _SCHEMA, _CONFIG, _PADDING, _ROWS, _SEEDS, _PLANS = 1, 2, 3, 4, 5, 6, 16

_BITS = {
    Modality.INSTANCE: 1,
    Modality.SEMANTIC: 2,
    Modality.PANOPTIC: 4,
    Modality.DEPTH: 8,
    Modality.NORMALS: 16,
}
_DETECTION, _FLOAT = 32, 64


@dataclass(frozen=True)
class FrozenCase:
    """The name of one frozen paste, and the paste.

    Attributes:
        seed: 0 to 199.
        kind: the modality set, one of :data:`KINDS`.
        dtype: of the image.
    """

    seed: int
    kind: str
    dtype: DtypeName

    @cached_property
    def case(self) -> PasteCase:
        """Target, source view, plan and configuration; the same bits whenever and wherever."""
        return _draw(self.seed, self.kind, self.dtype)

    def __str__(self) -> str:
        return f"{self.kind} {self.dtype} seed {self.seed}"


def frozen_cases(
    kinds: Collection[str] | None = None,
    dtypes: Collection[DtypeName] | None = None,
    seeds: Collection[int] | None = None,
) -> Iterator[FrozenCase]:
    """The frozen pastes, one after the other: set by set, dtype by dtype, seed by seed.

    Args:
        kinds: of :data:`KINDS`; all if ``None``.
        dtypes: of :data:`DTYPES`; both if ``None``.
        seeds: of :data:`SEEDS`; all if ``None``.

    Raises:
        ValueError: on an unknown one, naming it.
    """
    for name, given, known in (
        ("kinds", kinds, KINDS), ("dtypes", dtypes, DTYPES), ("seeds", seeds, SEEDS)
    ):  # fmt: skip
        for value in () if given is None else given:
            if value not in known:
                raise ValueError(f"{name}: got {value!r}, expected one of {_shown(known)}")
    for kind in KINDS if kinds is None else kinds:
        for dtype in DTYPES if dtypes is None else dtypes:
            for seed in SEEDS if seeds is None else seeds:
                yield FrozenCase(seed, kind, dtype)


def is_even(seed: int) -> bool:
    """Whether the cases of this seed share their shapes."""
    return seed % 4 != 3


def _draw(seed: int, kind: str, dtype: DtypeName) -> PasteCase:
    modalities, detection = _SETS[kind]
    number = sum(_BITS.get(m, 0) for m in modalities)
    number += _DETECTION * detection + _FLOAT * (dtype == "float32")
    low, high = random_words(seed, number, 2).tolist()
    key = low | high << 32
    limits: dict[str, Any] = {
        "modalities": modalities,
        "detection": detection,
        "image_dtypes": (torch.uint8 if dtype == "uint8" else torch.float32,),
    }
    return _free(key, limits) if seed % 4 == 3 else _even(key, seed, limits)


_PLACEMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"scale_range": (1.0, 1.0), "k_range": (1, 3)},
    {"scale_range": (0.3, 0.9)},
    {"scale_range": (1.2, 4.0), "oversize_policy": "skip", "k_range": (2, 256)},
    {"scale_range": (2.0, 2.0), "hflip_probability": 1.0},
)
_THRESHOLDS: tuple[dict[str, Any], ...] = (
    {},
    {"min_area": 12, "min_residual_area_frac": 0.5},
    {"min_residual_area_frac": 0.0, "min_pasted_area": 20},
    {"min_area": 60, "min_residual_area_frac": 0.9},
    {"min_pasted_area": 2, "min_residual_area_frac": 1.0},
)
_PANOPTIC: tuple[dict[str, Any], ...] = (
    {},
    {"class_priority": {1: 2, 4: -1}, "stuff_min_area": {0: 40}, "tau_stuff_frac": 0.5},
    {"class_priority": {2: 1}, "tau_stuff_frac": 0.85, "debug_assert_bijection": True},
    {"class_priority": {1: -3, 2: -2}, "stuff_min_area": {0: 900, 3: 1}, "tau_stuff_frac": 0.0},
    {"class_priority": {4: 7}, "stuff_min_area": {3: 300}, "tau_stuff_frac": 0.65},
)


def _even_config(seed: int, modalities: frozenset[Modality]) -> BatchCopyPasteConfig:
    """Of every four seeds two revert starved stuff and one voids it; the numbers go round in five."""
    which = seed // 4 % 5
    voids = seed % 4 == 2 and Modality.SEMANTIC in modalities
    panoptic = PanopticPasteConfig(
        taxonomy=SCHEMA, stuff_policy="ignore" if voids else "revert", **_PANOPTIC[which]
    )
    return BatchCopyPasteConfig.model_validate(
        {"placement": _PLACEMENTS[which], "panoptic": panoptic, **_THRESHOLDS[which]}
    )


def _even(key: int, seed: int, limits: dict[str, Any]) -> PasteCase:
    choices = Choices.from_seed(key, _LAYOUT, 8)
    batch = choices.of((1, 2, 2, 1, 3))
    others = choices.of((1, 1, 2))
    intra = batch > 1 and not choices.one_in(3)
    count = batch if intra else batch + others
    scenes = scenes_from_seed(
        key,
        count,
        min_instances=1,
        max_instances=SLOTS,
        schema=SCHEMA,
        canvas=CANVAS,
        channels=(3,),
        metric=Modality.DEPTH in limits["modalities"],
        **limits,
    )
    samples = [scene.sample() for scene in scenes]
    config = _even_config(seed, limits["modalities"])
    target = _of_one_shape(samples[:batch])
    source = target if intra else _of_one_shape(samples[batch:])
    words = Choices.from_seed(key, _SEEDS, 8 * batch)
    seeds = torch.tensor([to_int64(words.integer(0, 2**64 - 1)) for _ in range(batch)])
    rows = None
    if not intra:
        chosen = draw_rows(Choices.from_seed(key, _ROWS, batch), batch, others, intra=False)
        rows = torch.tensor(chosen, dtype=torch.int64)
    plan = draw_plan(target, source, seeds, config, source_idx=rows)
    return PasteCase(target, source, plan, config, seed)


def _of_one_shape(samples: Sequence[DenseSample]) -> PaddedBatchedDenseSample:
    padded = BatchedDenseSample.from_samples(samples).to_padded(SLOTS)
    if padded.padding_mask is None:
        none = torch.zeros((len(samples), 1, *CANVAS), dtype=torch.bool)
        padded = replace(padded, padding_mask=none)  # pyright: ignore[reportArgumentType]
    return padded if padded.metric_depth else replace(padded, camera_intrinsics=None)


def _free(key: int, limits: dict[str, Any]) -> PasteCase:
    choices = Choices.from_seed(key, _LAYOUT, 16)
    batch, others = choices.of((1, 2, 1, 3)), choices.integer(1, 3)
    intra = batch > 1 and not choices.one_in(3)
    canvas = choices.of(((23, 31), (53, 37), (61, 19), (7, 97), (11, 13), (29, 1), (19, 23), (1, 1)))
    most = choices.of((4, 7, 2))
    any_plan = choices.one_in(2)
    schema = None
    if not choices.one_in(3):
        schema = draw_schema(Choices.from_seed(key, _SCHEMA, SCHEMA_BYTES))
    config = draw_config(Choices.from_seed(key, _CONFIG, CONFIG_BYTES), schema)
    scenes = scenes_from_seed(
        key,
        batch if intra else batch + others,
        min_instances=0 if choices.one_in(8) else 1,
        max_instances=most,
        schema=schema,
        canvas=canvas,
        channels=(3, 1, 4),
        **limits,
    )
    samples = [scene.sample() for scene in scenes]
    slots = Choices.from_seed(key, _PADDING, SLOT_BYTES)
    target = draw_slots(slots, samples[:batch])
    source = target if intra else draw_slots(slots, samples[batch:])
    rows = draw_rows(Choices.from_seed(key, _ROWS, batch), batch, others, intra)
    if any_plan:
        readers = [Choices.from_seed(key, _PLANS + b, PLAN_BYTES) for b in range(batch)]
        plan = draw_any_plan(readers, target, source, rows)
    else:
        words = Choices.from_seed(key, _SEEDS, 8 * batch)
        seeds = torch.tensor([to_int64(words.integer(0, 2**64 - 1)) for _ in range(batch)])
        index = None if intra else torch.tensor(rows, dtype=torch.int64)
        plan = draw_plan(target, source, seeds, config, source_idx=index)
    return PasteCase(target, source, plan, config)


def _shown(known: Sequence[Any]) -> str:
    return f"{known.start} to {known.stop - 1}" if isinstance(known, range) else ", ".join(known)

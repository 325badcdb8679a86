"""Batches to augment, and what compares two of them."""

from __future__ import annotations

from collections.abc import Collection

import torch

from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)

SCHEMA: PanopticSchemaSpec = DEFAULT_SCHEMA
INSTANCE = frozenset({Modality.IMAGE, Modality.INSTANCE})
EVERYTHING = frozenset(Modality)
LIVELY = BatchCopyPasteConfig(placement=BatchedPlacementConfig(scale_range=(0.7, 1.5)), z_test=False)
PANOPTIC = LIVELY.model_copy(update={"panoptic": PanopticPasteConfig(taxonomy=SCHEMA, tau_stuff_frac=0.0)})

_INTEGER = {torch.float32: torch.int32, torch.float64: torch.int64}


def samples(
    count: int,
    *,
    modalities: Collection[Modality] = INSTANCE,
    canvas: tuple[int, int] = (17, 23),
    dtype: torch.dtype = torch.uint8,
    seed: int = 0,
) -> list[DenseSample]:
    """Drawn samples of one canvas, each with an object or more."""
    scenes = scenes_from_seed(
        seed,
        count,
        min_instances=1,
        max_instances=4,
        modalities=modalities,
        canvas=canvas,
        image_dtypes=(dtype,),
        channels=(3,),
    )
    return [scene.sample() for scene in scenes]


def batch(
    count: int,
    *,
    slots: int = 9,
    modalities: Collection[Modality] = INSTANCE,
    canvas: tuple[int, int] = (17, 23),
    dtype: torch.dtype = torch.uint8,
    seed: int = 0,
) -> PaddedBatchedDenseSample:
    """Those samples with ``slots`` row slots."""
    drawn = samples(count, modalities=modalities, canvas=canvas, dtype=dtype, seed=seed)
    return BatchedDenseSample.from_samples(drawn).to_padded(slots)


def as_integers(value: torch.Tensor) -> torch.Tensor:
    """The bits of a tensor: -0 and +0 differ, a NaN equals itself."""
    plain = value.as_subclass(torch.Tensor).contiguous()
    return plain.view(_INTEGER[plain.dtype]) if plain.dtype in _INTEGER else plain


def same(one: PaddedBatchedDenseSample, other: PaddedBatchedDenseSample) -> bool:
    """Whether two batches have the same fields with the same bits."""
    first, second = one.tensors(), other.tensors()
    return (
        first.keys() == second.keys()
        and one.metric_depth == other.metric_depth
        and all(
            first[n].dtype == second[n].dtype and torch.equal(as_integers(first[n]), as_integers(second[n]))
            for n in first
        )
    )


def same_plan(one: PastePlan | None, other: PastePlan | None) -> bool:
    """Whether two plans say the same."""
    names = PastePlan.__dataclass_fields__
    return all(torch.equal(getattr(one, n), getattr(other, n)) for n in names)


def copied(value: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The same batch in memory of its own."""
    fields = {name: tensor.clone() for name, tensor in value.tensors().items()}
    return PaddedBatchedDenseSample(**fields, metric_depth=value.metric_depth)  # pyright: ignore[reportArgumentType]

"""Replay records: a few numbers from which a pasted sample comes back bit for bit."""

from __future__ import annotations

from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from segpaste.paste.padding import pad_canvas
from segpaste.paste.plan import draw_plan
from segpaste.paste.reference import apply_reference
from segpaste.paste.rng import derive_seed, to_int64
from segpaste.types import BatchAuditPacket, BatchCopyPasteConfig, PaddedBatchedDenseSample
from segpaste.version import VERSION

UInt64 = Annotated[int, Field(ge=0, lt=2**64)]


class ReplayRecord(BaseModel):
    """What decides one pasted sample, besides the batch it was pasted in. No tensors.

    The seed is either derived from five numbers or given as it is.

    Attributes:
        base_seed, epoch, rank, worker_id, sample_idx: the tuple of :func:`derive_seed`.
        sample_seed: the seed itself, as 64 bits without sign, in place of that tuple.
        index: row of the target in its batch; the choice of the source depends on it.
        source_idx: row of the source view, where it was given and not drawn.
        config: the configuration.
        version: the version of segpaste that pasted it.

    Raises:
        pydantic.ValidationError: on an unknown field, a number out of range, or unless
            exactly one of ``base_seed`` and ``sample_seed`` is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_seed: UInt64 | None = None
    epoch: UInt64 = 0
    rank: UInt64 = 0
    worker_id: UInt64 = 0
    sample_idx: UInt64 = 0
    sample_seed: UInt64 | None = None
    index: Annotated[int, Field(ge=0)] = 0
    source_idx: Annotated[int, Field(ge=0)] | None = None
    config: BatchCopyPasteConfig = Field(default_factory=BatchCopyPasteConfig)
    version: str = VERSION

    @model_validator(mode="after")
    def _one_seed(self) -> Self:
        if (self.base_seed is None) == (self.sample_seed is None):
            raise ValueError(
                f"base_seed, sample_seed: got {self.base_seed} and {self.sample_seed}, "
                "expected one of the two"
            )
        return self

    @property
    def seed(self) -> int:
        """The 64-bit seed of the sample."""
        if self.base_seed is None:
            return self.sample_seed or 0
        return derive_seed(self.base_seed, self.epoch, self.rank, self.worker_id, self.sample_idx)

    def seeds_for(self, batch: PaddedBatchedDenseSample) -> torch.Tensor:
        """The seed in every row of ``[B]`` int64, on the batch's device; only one is needed."""
        return torch.full(
            (batch.batch_size,), to_int64(self.seed), dtype=torch.int64, device=batch.images.device
        )


def check_record(record: ReplayRecord, batch: PaddedBatchedDenseSample, *, any_version: bool) -> None:
    """Refuse a record that this batch or this version of segpaste cannot replay.

    Raises:
        TypeError: if the record is none.
        ValueError: if the batch has no row ``record.index``, or the record was written by
            another version and ``any_version`` is false.
    """
    if not isinstance(record, ReplayRecord):
        raise TypeError(
            f"record: got {type(record).__name__}, expected a ReplayRecord "
            "(ReplayRecord.model_validate_json makes one of a line)"
        )
    if record.version != VERSION and not any_version:
        raise ValueError(
            f"record.version: got {record.version}, expected {VERSION}, "
            "or any_version=True to replay without the promise of equal bits"
        )
    if record.index >= batch.batch_size:
        raise ValueError(f"record.index: got {record.index}, expected less than B = {batch.batch_size}")


def replay(
    record: ReplayRecord,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample | None = None,
    *,
    any_version: bool = False,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """Paste one recorded sample again, with the reference.

    Args:
        record: the record, for instance ``ReplayRecord.model_validate_json(text)``.
        target: the batch ``[B, ...]`` the sample was pasted in.
        source: the source view; the batch itself by default.
        any_version: accept a record of another version, whose bits may differ.

    Returns:
        The pasted sample with B = 1, and its audit.

    Raises:
        TypeError: if the record, the batch or the source is of another type.
        ValueError: as :func:`check_record`.
    """
    for name, view in (("target", target), ("source", target if source is None else source)):
        if not isinstance(view, PaddedBatchedDenseSample):
            raise TypeError(f"{name}: got {type(view).__name__}, expected a PaddedBatchedDenseSample")
    check_record(record, target, any_version=any_version)
    config, patch = record.config, record.config.placement.pad_to_multiple
    if patch is not None:
        padded = pad_canvas(target, patch, config.ignore_index)
        source = padded if source is None else pad_canvas(source, patch, config.ignore_index)
        target = padded
    view = target if source is None else source
    seeds = record.seeds_for(target)
    source_idx = None if record.source_idx is None else torch.full_like(seeds, record.source_idx)
    plan = draw_plan(target, view, seeds, config, source_idx=source_idx)
    return apply_reference(target.select(record.index), view, plan.select(record.index), config)

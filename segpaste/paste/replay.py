"""Replay records: a few numbers from which a pasted sample comes back bit for bit."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field

from segpaste.paste.plan import draw_plan
from segpaste.paste.reference import apply_reference
from segpaste.paste.rng import derive_seed, to_int64
from segpaste.types import BatchAuditPacket, BatchCopyPasteConfig, PaddedBatchedDenseSample

UInt64 = Annotated[int, Field(ge=0, lt=2**64)]


class ReplayRecord(BaseModel):
    """What decides one pasted sample, besides the batch it was pasted in. No tensors.

    Attributes:
        base_seed, epoch, rank, worker_id, sample_idx: the tuple of :func:`derive_seed`.
        index: row of the target in its batch; the choice of the source depends on it.
        source_idx: row of the source view, where it was given and not drawn.
        config: the configuration.
        version: the version of segpaste that pasted it.

    Raises:
        pydantic.ValidationError: on an unknown field or a number out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_seed: UInt64
    epoch: UInt64 = 0
    rank: UInt64 = 0
    worker_id: UInt64 = 0
    sample_idx: UInt64 = 0
    index: Annotated[int, Field(ge=0)] = 0
    source_idx: Annotated[int, Field(ge=0)] | None = None
    config: BatchCopyPasteConfig = Field(default_factory=BatchCopyPasteConfig)
    version: str = Field(default_factory=lambda: version("segpaste"))

    @property
    def seed(self) -> int:
        """The 64-bit seed of the sample."""
        return derive_seed(self.base_seed, self.epoch, self.rank, self.worker_id, self.sample_idx)


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
        ValueError: if the batch has no row ``record.index``, or the record was written by
            another version and ``any_version`` is false.
    """
    if record.version != version("segpaste") and not any_version:
        raise ValueError(
            f"record.version: got {record.version}, expected {version('segpaste')}, "
            "or any_version=True to replay without the promise of equal bits"
        )
    if record.index >= target.batch_size:
        raise ValueError(f"record.index: got {record.index}, expected less than B = {target.batch_size}")
    view = target if source is None else source
    seeds = torch.full((target.batch_size,), to_int64(record.seed), dtype=torch.int64)
    source_idx = None if record.source_idx is None else torch.full_like(seeds, record.source_idx)
    plan = draw_plan(target, view, seeds.to(target.images.device), record.config, source_idx=source_idx)
    return apply_reference(target.select(record.index), view, plan.select(record.index), record.config)

"""Replay records bring a sample back bit for bit, through JSON."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from segpaste.paste import ReplayRecord, apply_reference, draw_plan, replay
from segpaste.paste.rng import to_int64
from segpaste.types import BatchCopyPasteConfig, BatchedPlacementConfig, PaddedBatchedDenseSample
from tests.paste.samples import view


def batch() -> PaddedBatchedDenseSample:
    views = [
        view(
            rows={0: (label, 0, "11..\n11..\n....\n....")},
            image=torch.full((1, 4, 4), 50 * label, dtype=torch.uint8),
        ).tensors()
        for label in (1, 2, 3)
    ]
    return PaddedBatchedDenseSample(**{n: torch.cat([v[n] for v in views]) for n in views[0]})  # pyright: ignore[reportArgumentType]


def test_a_record_replays_the_sample_of_its_batch():
    config = BatchCopyPasteConfig(placement=BatchedPlacementConfig(scale_range=(0.7, 1.9)))
    records = [
        ReplayRecord(base_seed=2**64 - 3, epoch=1, sample_idx=i, index=i, config=config) for i in range(3)
    ]
    seeds = torch.tensor([to_int64(r.seed) for r in records])
    plan = draw_plan(batch(), batch(), seeds, config)
    together, audit = apply_reference(batch(), batch(), plan, config)
    assert audit.paste_union.flatten(1).any(dim=1).all()
    for i, record in enumerate(records):
        again = ReplayRecord.model_validate_json(record.model_dump_json())
        assert again == record
        alone, _ = replay(again, batch())
        for name, value in alone.tensors().items():
            assert torch.equal(value[0], together.tensors()[name][i]), name


def test_a_record_with_its_own_source_view():
    donor = batch().select(2)
    record = ReplayRecord(base_seed=1, source_idx=0)
    out, audit = replay(record, batch().select(0), donor)
    assert audit.paste_union.any()
    assert out.batch_size == 1
    assert set(out.images[audit.paste_union[:, None]].tolist()) == {150}


def test_refusals():
    record = ReplayRecord(base_seed=1, version="0.0.1")
    with pytest.raises(ValueError, match=r"record.version: got 0.0.1, expected 1\.0\.0\.dev0"):
        replay(record, batch())
    assert replay(record, batch(), any_version=True)[0].batch_size == 1
    with pytest.raises(ValueError, match=r"record\.index: got 3, expected less than B = 3"):
        replay(ReplayRecord(base_seed=1, index=3), batch())
    with pytest.raises(ValidationError, match="base_seed"):
        ReplayRecord(base_seed=-1)
    with pytest.raises(ValidationError, match="Extra inputs"):
        ReplayRecord.model_validate({"base_seed": 1, "seed": 2})

"""Replay records bring a sample back bit for bit, through JSON."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from segpaste.paste import ReplayRecord, apply_reference, draw_plan, replay
from segpaste.paste.padding import pad_canvas
from segpaste.paste.rng import to_int64
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from segpaste.version import VERSION
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


@pytest.mark.parametrize("numbers", [{}, {"base_seed": 1, "sample_seed": 2}])
def test_one_seed_is_given_and_not_two(numbers: dict[str, int]) -> None:
    with pytest.raises(ValidationError) as refused:
        ReplayRecord.model_validate(numbers)
    got = f"{numbers.get('base_seed')} and {numbers.get('sample_seed')}"
    expected = f"Value error, base_seed, sample_seed: got {got}, expected one of the two"
    assert [error["msg"] for error in refused.value.errors()] == [expected]


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_a_seed_may_be_given_as_it_is(seed: int) -> None:
    record = ReplayRecord(sample_seed=seed)
    assert record.seed == seed
    assert torch.equal(record.seeds_for(batch()), torch.tensor([to_int64(seed)] * 3))


def test_seeds_are_made_on_the_device_of_the_batch() -> None:
    assert ReplayRecord(base_seed=1).seeds_for(batch().to("meta")).device.type == "meta"


def refused(kind: type[Exception], *arguments: Any) -> str:
    with pytest.raises(kind) as error:
        replay(*arguments)
    return str(error.value)


def test_what_is_said_of_arguments_of_another_type() -> None:
    record = ReplayRecord(base_seed=1)
    line = record.model_dump_json()
    assert refused(TypeError, line, batch()) == (
        "record: got str, expected a ReplayRecord (ReplayRecord.model_validate_json makes one of a line)"
    )
    expected = "expected a PaddedBatchedDenseSample"
    assert refused(TypeError, record, [batch()]) == f"target: got list, {expected}"
    assert refused(TypeError, record, batch(), (batch(),)) == f"source: got tuple, {expected}"


def test_what_is_said_of_a_record_of_another_version() -> None:
    assert refused(ValueError, ReplayRecord(base_seed=1, version="0.0.1"), batch()) == (
        f"record.version: got 0.0.1, expected {VERSION}, "
        "or any_version=True to replay without the promise of equal bits"
    )


PATCHES = BatchCopyPasteConfig(
    placement=BatchedPlacementConfig(pad_to_multiple=6, scale_range=(1.0, 1.0)),
    panoptic=PanopticPasteConfig(
        taxonomy=PanopticSchemaSpec(classes={1: "thing", 2: "thing", 3: "thing"}, ignore_index=7)
    ),
)


def labelled() -> PaddedBatchedDenseSample:
    """The batch with a semantic map, in which 0 would be no class."""
    fields = batch().tensors() | {"semantic_maps": torch.full((3, 4, 4), 3)}
    return PaddedBatchedDenseSample(**fields)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("own_view", [False, True])
def test_a_record_of_padded_canvases_pads_them_again(own_view: bool) -> None:
    target = labelled()
    source = target.gather(torch.tensor([2, 0])) if own_view else None
    record = ReplayRecord(base_seed=5, index=1, source_idx=0 if own_view else None, config=PATCHES)
    grown = pad_canvas(target, 6, 7)
    donors = grown if source is None else pad_canvas(source, 6, 7)
    rows = torch.zeros(3, dtype=torch.int64) if own_view else None
    plan = draw_plan(grown, donors, record.seeds_for(target), PATCHES, source_idx=rows)
    expected, told = apply_reference(grown.select(1), donors, plan.select(1), PATCHES)
    assert told.paste_union.any()
    actual, also_told = replay(record, target, source)
    assert actual.canvas_size == (6, 6)
    assert_same_bits(expected, actual, audits=(told, also_told))

"""A CPU batch is pasted on the CPU, whatever device new tensors go to by default."""

from __future__ import annotations

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste
from segpaste.paste import apply_with_audit, draw_plan
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchedDenseSample, DenseSample
from tests.augmentation.batches import EVERYTHING, PANOPTIC, as_integers, batch, samples

SEEDS = torch.arange(2)


@pytest.mark.parametrize("executor", [None, "reference", "rectangle", "graph"])
def test_a_batch_stays_where_it_is(executor):
    view = batch(2, modalities=EVERYTHING)
    plan = draw_plan(view, view, SEEDS, PANOPTIC)
    expected, told = apply_with_audit(view, view, plan, PANOPTIC, executor=executor)
    assert told.paste_union.any()
    with torch.device("meta"):
        redrawn = draw_plan(view, view, SEEDS, PANOPTIC)
        actual, also_told = apply_with_audit(view, view, redrawn, PANOPTIC, executor=executor)
    assert_same_bits(expected, actual, audits=(told, also_told))


def test_a_module_does_not_mind():
    view, augment = batch(2, modalities=EVERYTHING), BatchCopyPaste(PANOPTIC, seed=3)
    expected = augment(view, seeds=SEEDS)
    with torch.device("meta"):
        actual = augment(view, seeds=SEEDS)
    assert_same_bits(expected, actual)


def test_samples_and_batches_do_not_mind():
    drawn = samples(2, modalities=EVERYTHING)
    raw = [
        {
            name: value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value
            for name, value in d
        }
        for d in (sample.to_dict().items() for sample in drawn)
    ]
    with torch.device("meta"):
        stacked = BatchedDenseSample.from_samples([DenseSample.from_dict(fields) for fields in raw])
        back = BatchedDenseSample.from_padded(stacked.to_padded(8)).to_samples()
        nothing = DenseSample(image=drawn[0].image)
    assert nothing.boxes.device.type == "cpu"
    for one, other in zip(drawn, back, strict=True):
        for name, value in one.to_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(as_integers(value), as_integers(other.to_dict()[name])), name

"""Strategies: the batch itself, one's own, and what a sampler draws."""

from __future__ import annotations

import torch
from torch import nn

from segpaste.augmentation import (
    BatchCopyPaste,
    BatchedPlacementSampler,
    IntraBatchSource,
    SourceStrategy,
)
from segpaste.paste import draw_plan
from segpaste.types import BatchCopyPasteConfig, BatchedPlacementConfig, PaddedBatchedDenseSample, PastePlan
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, batch, same, same_plan


class Fixed(nn.Module):
    """Donors are rows of a batch of its own."""

    def __init__(self, view: PaddedBatchedDenseSample, rows: torch.Tensor) -> None:
        super().__init__()
        self.view = view
        self.register_buffer("rows", rows)

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        rows = self.get_buffer("rows")[: target.batch_size]
        return self.view, sampler(target, self.view, seeds, source_idx=rows)


def test_the_sampler_draws_what_draw_plan_draws() -> None:
    padded, seeds = batch(5, modalities=EVERYTHING), torch.arange(5)
    for config in (PANOPTIC, BatchCopyPasteConfig()):
        sampler = BatchedPlacementSampler(config)
        assert same_plan(sampler(padded, padded, seeds), draw_plan(padded, padded, seeds, config))
        rows = torch.tensor([4, 4, 0, 2, 1])
        given = sampler(padded, padded, seeds, source_idx=rows)
        assert torch.equal(given.source_idx, rows)
        assert same_plan(given, draw_plan(padded, padded, seeds, config, source_idx=rows))
    assert BatchedPlacementSampler().config == BatchCopyPasteConfig()
    assert sampler.state_dict() == {}


def test_no_sample_is_its_own_donor() -> None:
    sampler, strategy = BatchedPlacementSampler(LIVELY), IntraBatchSource()
    for count in (2, 3, 7):
        padded = batch(count)
        seen = torch.zeros((count, count), dtype=torch.bool)
        for step in range(40):
            view, plan = strategy.sample(padded, torch.arange(count) + 1000 * step, sampler)
            assert view is padded
            seen[torch.arange(count), plan.source_idx] = True
        assert torch.equal(seen, ~torch.eye(count, dtype=torch.bool))


def test_anything_with_a_method_sample_is_a_strategy() -> None:
    view = batch(3, slots=5, seed=2)
    strategy = Fixed(view, torch.tensor([2, 2, 0, 1]))
    assert isinstance(strategy, SourceStrategy)
    assert isinstance(IntraBatchSource(), SourceStrategy)
    assert not isinstance(object(), SourceStrategy)
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY, source_strategy=strategy, seed=1)
    assert "source_strategy.rows" in augment.state_dict()
    pasted, audit = augment.forward_with_audit(padded)
    assert audit.paste_union.flatten(1).any(dim=1).all()
    assert audit.plan is not None
    assert audit.plan.source_idx.tolist() == [2, 2, 0, 1]
    assert pasted.max_instances == 9
    # A batch of one pastes, too, when the donor is another.
    _, alone = augment.forward_with_audit(padded.select(0))
    assert alone.paste_union.any()


def test_a_view_is_padded_as_the_target_is() -> None:
    placement = BatchedPlacementConfig(pad_to_multiple=16)
    config = LIVELY.model_copy(update={"placement": placement})
    view = batch(3, seed=2)
    strategy = Fixed(view, torch.tensor([2, 2, 0, 1]))
    pasted, audit = BatchCopyPaste(config, source_strategy=strategy).forward_with_audit(batch(4))
    assert pasted.canvas_size == (32, 32)
    assert audit.paste_union.any()
    assert not audit.paste_union[:, 17:].any()
    assert not audit.paste_union[:, :, 23:].any()


def test_a_sample_is_pasted_alike_in_a_batch_of_2_and_of_32() -> None:
    view = batch(32, modalities=EVERYTHING, seed=2)
    rows = torch.arange(31, -1, -1)
    padded, seeds = batch(32, modalities=EVERYTHING), torch.arange(32) * 77
    whole, audit = BatchCopyPaste(PANOPTIC, source_strategy=Fixed(view, rows)).forward_with_audit(
        padded, seeds=seeds
    )
    assert int(audit.paste_union.flatten(1).any(dim=1).sum()) > 20
    for first in range(0, 32, 2):
        pair = slice(first, first + 2)
        augment = BatchCopyPaste(PANOPTIC, source_strategy=Fixed(view, rows[pair]))
        assert same(augment(padded.gather(pair), seeds=seeds[pair]), whole.gather(pair))

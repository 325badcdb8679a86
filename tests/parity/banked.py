"""Pastes from a bank: what is drawn, and the case that ``BankSource`` makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

from segpaste.augmentation import BankSource, BatchedPlacementSampler
from segpaste.augmentation.bank_source import MissingGeometry
from segpaste.bank.batch import BankBatch
from segpaste.paste.rng import to_int64
from segpaste.strategies import PasteCase, bank_batches, paste_cases
from segpaste.strategies.pastes import spread
from segpaste.types import BatchCopyPasteConfig, Modality, PaddedBatchedDenseSample


@dataclass(frozen=True)
class Banked:
    """What decides a paste from a bank."""

    target: PaddedBatchedDenseSample
    bank_batch: BankBatch
    config: BatchCopyPasteConfig
    seed: int
    crops_per_target: int = 1
    missing_geometry: MissingGeometry = "error"

    @property
    def seeds(self) -> torch.Tensor:
        rows = range(self.target.batch_size)
        return torch.tensor([to_int64((self.seed + b) % 2**64) for b in rows], dtype=torch.int64)

    def source(self) -> BankSource:
        """The strategy, staged."""
        source = BankSource(crops_per_target=self.crops_per_target, missing_geometry=self.missing_geometry)
        source.set_bank_batch(self.bank_batch)
        return source

    def case(self) -> PasteCase:
        """The paste, with the view and the plan that the strategy gives."""
        sampler = BatchedPlacementSampler(self.config)
        view, plan = self.source().sample(self.target, self.seeds, sampler)
        return PasteCase(self.target, view, plan, self.config, self.seed)


@st.composite
def banked(draw: st.DrawFn, modalities: frozenset[Modality], detection: bool = False) -> Banked:
    """Pastes from a bank into targets of every kind."""
    count = draw(st.sampled_from((1, 2, 3, 2)))
    # 4 x 4 pixels hold four crops of one pixel.
    drawn = draw(paste_cases(modalities, detection=detection, channels=(3,), min_side=1 if count == 1 else 4))
    target, config = drawn.target, drawn.config
    incomplete = draw(st.sampled_from((False, False, True)))
    if incomplete and target.depth is not None:
        config = config.model_copy(update={"z_test": False})
    bank_batch = draw(
        bank_batches(
            target,
            schema=config.schema_spec,
            min_crops=1 if count == 1 else count + 1,  # not all can be used, and several rows shall be common
            crops_per_target=count,
            incomplete=incomplete,
        )
    )
    seed = spread(draw(st.integers(0, 2**32 - 1)))
    return Banked(target, bank_batch, config, seed, count, "invalid" if incomplete else "error")

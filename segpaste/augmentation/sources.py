"""Where donors come from: the protocol, the batch itself, and the drawing of placements."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from segpaste.paste import draw_plan
from segpaste.paste.padding import pad_canvas
from segpaste.paste.plan import draw_from_settings
from segpaste.paste.settings import ClassTables, settings_of, tables_of
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PastePlan


class BatchedPlacementSampler(nn.Module):
    """Draws plans as ``config.placement`` says, one 64-bit seed per sample.

    The same integers on every device, eager or compiled. It has no state: the class
    table's buffers move with the module and are not saved.

    Args:
        config: the configuration; the default one if ``None``.
    """

    def __init__(self, config: BatchCopyPasteConfig | None = None) -> None:
        super().__init__()
        self.config = BatchCopyPasteConfig() if config is None else config
        self.settings = settings_of(self.config)
        self._patch = self.config.placement.pad_to_multiple
        for name, table in tables_of(self.config)._asdict().items():
            # A copy: the tables of one configuration are shared by all who ask for them.
            self.register_buffer(f"_class_{name}", table.clone(), persistent=False)

    @property
    def tables(self) -> ClassTables:
        """The class table as tensors, on the module's device."""
        return ClassTables(*(getattr(self, f"_class_{name}") for name in ClassTables._fields))

    def padded(self, batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
        """The batch on its canvas padded to ``pad_to_multiple``; itself without one."""
        if self._patch is None:
            return batch
        return pad_canvas(batch, self._patch, self.settings.ignore_index)

    def forward(
        self,
        target: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample,
        seeds: torch.Tensor,
        *,
        source_idx: torch.Tensor | None = None,
    ) -> PastePlan:
        """Draw one plan per target.

        Args:
            target: B samples; padded here if it is not yet, as ``source`` is.
            source: the source view, B_s samples.
            seeds: ``[B]`` int64, on the device of both.
            source_idx: ``[B]`` int64, the row of ``source`` for each target; uniform over
                the *other* rows if ``None``, ``source`` then being ``target``.

        Raises:
            ValueError: as :func:`segpaste.paste.draw_plan`.
        """
        same = source is target
        target = self.padded(target)
        source = target if same else self.padded(source)
        if torch.compiler.is_compiling():
            return draw_from_settings(
                target, source, seeds, self.settings, self.tables, source_idx=source_idx
            )
        return draw_plan(target, source, seeds, self.config, source_idx=source_idx)


@runtime_checkable
class SourceStrategy(Protocol):
    """Picks the donors of one step and says where they go. An ``nn.Module`` or any object.

    One that is to be compiled with ``torch.compile`` must be traceable itself.
    """

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        """The source view, and a plan whose ``source_idx`` indexes into it.

        Args:
            target: B samples, already padded to ``pad_to_multiple``.
            seeds: ``[B]`` int64, the samples' seeds, and the only randomness to use:
                what else is drawn cannot be replayed, resumed or compiled.
            sampler: draws the rest of a plan, ``sampler(target, view, seeds,
                source_idx=rows)``; its ``config`` is the configuration.

        Returns:
            A view with the target's channels, modalities, image dtype, device and canvas
            (before or after its padding), any number of samples and slots; and a plan
            with B rows.
        """
        ...


class IntraBatchSource:
    """Donors are the other samples of the batch: the view is the target itself.

    No sample is its own donor; a batch of one stays as it is.
    """

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        """The target, and a plan with another of its rows for each sample."""
        return target, sampler(target, target, seeds)

    def __repr__(self) -> str:
        return "IntraBatchSource()"

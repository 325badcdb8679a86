"""Where donors come from: the protocol, the batch itself, and the drawing of placements."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from segpaste.augmentation.arguments import check_int64_row, check_padded
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
        if not isinstance(self.config, BatchCopyPasteConfig):
            raise TypeError(f"config: got {type(config).__name__}, expected a BatchCopyPasteConfig")
        self.settings = settings_of(self.config)
        self._patch = self.config.placement.pad_to_multiple
        with torch.inference_mode(False):
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
        if torch.compiler.is_compiling():
            batch = without_tv_tensors(batch)
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
            TypeError: on a target or source that is no padded batch.
            ValueError: as :func:`segpaste.paste.draw_plan`.
        """
        check_padded("target", target)
        check_padded("source", source)
        check_int64_row("seeds", seeds, target.batch_size, target.labels.device)
        if source_idx is not None:
            check_int64_row("source_idx", source_idx, target.batch_size, target.labels.device)
        same = source is target
        target = self.padded(target)
        source = target if same else self.padded(source)
        if torch.compiler.is_compiling():
            return draw_from_settings(
                target, source, seeds, self.settings, self.tables, source_idx=source_idx
            )
        return draw_plan(target, source, seeds, self.config, source_idx=source_idx)


def without_tv_tensors(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The same batch of plain tensors, as it is inside of a graph."""
    return PaddedBatchedDenseSample(**batch.tensors(), metric_depth=batch.metric_depth)  # pyright: ignore[reportArgumentType]


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

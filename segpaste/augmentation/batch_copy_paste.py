"""The augmentation of a training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Self, get_args

import torch
from torch import nn
from torchvision import tv_tensors

from segpaste.augmentation.arguments import (
    check_generator,
    check_int64_row,
    check_padded,
    view_and_plan,
)
from segpaste.augmentation.bank_source import BankSource
from segpaste.augmentation.harmonize import Harmonize
from segpaste.augmentation.loader import CopyPasteLoader
from segpaste.augmentation.seeds import new_key, process_rank, seeds_from, stream_seeds
from segpaste.augmentation.sources import (
    BatchedPlacementSampler,
    IntraBatchSource,
    SourceStrategy,
    without_tv_tensors,
)
from segpaste.augmentation.validate import check_unit_range, check_values
from segpaste.bank.batch import BankBatch
from segpaste.paste import apply, apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.paste.graph import paste_graph
from segpaste.paste.inputs import check_out
from segpaste.paste.replay import ReplayRecord, check_record
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    InstanceMask,
    PaddedBatchedDenseSample,
    PaddingMask,
    PanopticMap,
    PastePlan,
    SemanticMap,
)
from segpaste.types.numbers import whole_number

_Pasted = tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]


class BatchCopyPaste(nn.Module):
    """Copy-paste for a batch, exact to the last bit on every executor.

    With ``config.harmonize`` the images are harmonised after the paste (:class:`Harmonize`),
    within tolerances; all other fields stay exact.

    Each sample has a 64-bit seed, which decides its paste together with its batch. Seeds
    come from the caller, from a generator, or from the module's own stream, whose state
    is two buffers: ``key`` ``[]`` int64 and ``counter`` ``[]`` int64, the number of steps
    so far. Both are in the state dict, so that a run that is resumed goes on as it would
    have. torch's global generators are neither read nor changed by a step.

    The same in training and in evaluation mode: do not call it where nothing is to be
    pasted.

    Args:
        config: the configuration; the default one if ``None``.
        source_strategy: where donors come from; by default as ``config.source`` says, the
            other samples of the batch or a ``BankSource()``.
        seed: the key of the stream, 64 bits; by default one draw from torch's default
            generator, so that ``torch.manual_seed`` before the construction decides it.
        executor: one of ``"reference"``, ``"rectangle"``, ``"graph"``, ``"fused"``; by
            default the fastest for the batch's device. All give the same bits.

    Raises:
        TypeError: on a configuration, strategy or seed of another type.
        ValueError: on an executor that does not exist, or a seed beyond 64 bits.
    """

    key: torch.Tensor
    counter: torch.Tensor

    def __init__(
        self,
        config: BatchCopyPasteConfig | None = None,
        *,
        source_strategy: SourceStrategy | None = None,
        seed: int | None = None,
        executor: ExecutorName | None = None,
    ) -> None:
        super().__init__()
        config = BatchCopyPasteConfig() if config is None else config
        if not isinstance(config, BatchCopyPasteConfig):
            raise TypeError(f"config: got {type(config).__name__}, expected a BatchCopyPasteConfig")
        strategy = source_strategy
        if strategy is None:
            strategy = BankSource() if config.source == "bank" else IntraBatchSource()
        if isinstance(strategy, type):
            raise TypeError(f"source_strategy: got the class {strategy.__name__}, expected an object of it")
        if not isinstance(strategy, SourceStrategy):
            raise TypeError(
                f"source_strategy: got {type(strategy).__name__}, expected an object with a method sample"
            )
        names = get_args(ExecutorName)
        if executor is not None and executor not in names:
            raise ValueError(f"executor: got {executor!r}, expected None or one of {list(names)}")
        self.executor: ExecutorName | None = executor
        self.sampler = BatchedPlacementSampler(config)
        self.source_strategy = strategy
        self.harmonize = None if config.harmonize is None else Harmonize(config.harmonize)
        # What executors are asked for; the very object where there is nothing to take out of it.
        exact = config.harmonize is None
        self._paste_config = config if exact else config.model_copy(update={"harmonize": None})
        # A counter of inference mode could not be moved on outside of it.
        with torch.inference_mode(False):
            key = new_key(seed)
            self.register_buffer("key", key)
            self.register_buffer("counter", torch.zeros_like(key))
        self._rank = 0

    @classmethod
    def from_dataloader(
        cls,
        loader: Iterable[Any],
        max_instances: int,
        config: BatchCopyPasteConfig | None = None,
        *,
        source_strategy: SourceStrategy | None = None,
        seed: int | None = None,
        executor: ExecutorName | None = None,
        device: torch.device | str | None = None,
        validate: bool = False,
        bank_loader: Iterable[BankBatch | torch.Tensor] | None = None,
    ) -> CopyPasteLoader:
        """Wrap a loader, so that its batches come out padded and pasted.

        Args:
            loader: yields lists of ``DenseSample`` (``collate_fn=list``),
                ``BatchedDenseSample`` or ``PaddedBatchedDenseSample``.
            max_instances: K, the row slots of every sample: its own rows and the pasted.
            config: as for the class; so are the next three.
            source_strategy: see above.
            seed: see above.
            executor: see above.
            device: where to paste; batches are brought there, and the module is. By
                default on the CPU.
            validate: as for :meth:`forward`.
            bank_loader: gives the crops of each step, for instance from
                ``segpaste.bank.create_bank_dataloader``. What pastes them is
                ``source_strategy``, by default ``BankSource()``.

        Raises:
            TypeError: if ``loader`` or ``bank_loader`` cannot be iterated,
                ``max_instances`` is no integer, or ``source_strategy`` no ``BankSource``
                beside a ``bank_loader``.
            ValueError: if ``max_instances`` is negative.
        """
        if bank_loader is not None and source_strategy is None:
            source_strategy = BankSource()
        augment = cls(config, source_strategy=source_strategy, seed=seed, executor=executor)
        place = None if device is None else torch.device(device)
        return CopyPasteLoader(
            loader,
            augment if place is None else augment.to(place),
            max_instances,
            place,
            validate,
            bank_loader,
        )

    @property
    def config(self) -> BatchCopyPasteConfig:
        """The configuration."""
        return self.sampler.config

    def forward(
        self,
        padded: PaddedBatchedDenseSample,
        generator: torch.Generator | None = None,
        *,
        seeds: torch.Tensor | None = None,
        validate: bool = False,
        out: PaddedBatchedDenseSample | None = None,
    ) -> PaddedBatchedDenseSample:
        """Paste into every sample of a batch. The batch is not written to.

        Args:
            padded: B samples ``[B, ...]`` with K row slots, on the module's device.
            generator: draws the seeds; not while compiling.
            seeds: ``[B]`` int64, one per sample, on the device of the batch; not together
                with ``generator``. Without either they come from the module's stream.
            validate: check values too: what :meth:`PaddedBatchedDenseSample.validate`
                does, that boxes are the extent of their masks, and that float images to be
                harmonised lie in 0..1; not while compiling.
            out: memory for the result, for instance what an earlier call returned; it is
                overwritten completely and returned. Not while compiling.

        Returns:
            A batch with the fields of ``padded`` in memory of its own; with
            ``pad_to_multiple`` on the padded canvas and always with a padding mask.

        Raises:
            TypeError, ValueError: naming the field, what was got and what is expected,
                before anything is computed, on a batch that the configuration does not
                fit, a source view or plan that the batch does not fit, seeds of another
                dtype, shape or device, both ``generator`` and ``seeds``, and an ``out``
                that does not fit. Neither the stream nor the generator has moved then.
        """
        return self._paste(padded, generator, seeds, validate, out, with_audit=False)[0]

    def forward_with_audit(
        self,
        padded: PaddedBatchedDenseSample,
        generator: torch.Generator | None = None,
        *,
        seeds: torch.Tensor | None = None,
        validate: bool = False,
        out: PaddedBatchedDenseSample | None = None,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        """As :meth:`forward`; with what was pasted where, for ``segpaste.invariants``."""
        return _with_its_audit(self._paste(padded, generator, seeds, validate, out, with_audit=True))

    def next_seeds(self, batch_size: int) -> torch.Tensor:
        """The seeds that the next step would draw from the stream, which moves on.

        ``augment(batch, seeds=augment.next_seeds(batch.batch_size))`` is
        ``augment(batch)``, with the seeds in the caller's hands for :meth:`record`.

        Args:
            batch_size: B.

        Returns:
            ``[B]`` int64 on the module's device.

        Raises:
            TypeError, ValueError: if ``batch_size`` is no integer, or negative.
        """
        if not torch.compiler.is_compiling():
            batch_size = whole_number("batch_size", batch_size, at_least=0)
        seeds = self._seeds_of_this_step(batch_size)
        self.counter.add_(1)
        return seeds

    def record(self, seeds: torch.Tensor, index: int, *, source_idx: int | None = None) -> ReplayRecord:
        """What brings sample ``index`` of a step back, as numbers that fit into a log.

        Args:
            seeds: ``[B]`` int64, the seeds of that step.
            index: the row of the sample.
            source_idx: the row of its source, where a caller chose it.

        Raises:
            TypeError, ValueError: on seeds that are not ``[B]`` int64, an ``index`` that is
                not one of their rows, and a ``source_idx`` that is negative.
        """
        check_int64_row("seeds", seeds)
        index = whole_number("index", index, at_least=0)
        if index >= len(seeds):
            raise ValueError(f"index: got {index}, expected less than B = {len(seeds)}")
        if source_idx is not None:
            source_idx = whole_number("source_idx", source_idx, at_least=0, or_none=True)
        seed = int(seeds[index]) % 2**64
        return ReplayRecord(sample_seed=seed, index=index, source_idx=source_idx, config=self.config)

    def replay(
        self,
        record: ReplayRecord,
        batch: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample | None = None,
        *,
        any_version: bool = False,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        """Paste one recorded sample again, with the executor of this module.

        Args:
            record: from :meth:`record`, or of the reference's runs. With a ``BankSource``
                the crops of that step have to be staged, too.
            batch: the batch ``[B, ...]`` that the sample was pasted in, before the paste.
            source: the source view; by default what the source strategy gives.
            any_version: accept a record of another version, whose bits may differ.

        Returns:
            The pasted sample with B = 1, the same bits as in its batch (a harmonised image
            within the stated tolerance), and its audit.

        Raises:
            TypeError: if ``record`` is no ``ReplayRecord``.
            ValueError: on a record of another configuration or version, one that has no
                row in the batch, and as :meth:`forward`.
        """
        self._check_batch(batch, validate=False)
        check_record(record, batch, any_version=any_version)
        if record.config != self.config:
            raise ValueError(
                "record.config: got another configuration than this module's, "
                "expected BatchCopyPaste(record.config) to replay it"
            )
        if source is not None:
            check_padded("source", source)
        target = self.sampler.padded(batch)
        seeds = record.seeds_for(target)
        if source is None and record.source_idx is None:
            view, plan = self._sample(target, seeds)
        else:
            rows = None if record.source_idx is None else torch.full_like(seeds, record.source_idx)
            view = target if source is None else self.sampler.padded(source)
            plan = self.sampler(target, view, seeds, source_idx=rows)
        row = record.index
        pasted = self._apply_plan(
            target.select(row), view, plan.select(row), seeds[row : row + 1], None, with_audit=True
        )
        return _with_its_audit(pasted)

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        changed = self.config.model_dump(exclude_defaults=True)
        executor = "" if self.executor is None else f", executor={self.executor!r}"
        return f"config={changed}{executor}"

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned knows no process group, but must draw as a forked one does.
        rank = process_rank()
        return {**self.__dict__, "_rank": self._rank if rank is None else rank}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # What comes from another process lies in memory shared with it and with every other
        # copy; a counter that all of them moved would be nobody's.
        with torch.inference_mode(False):
            self.key, self.counter = self.key.clone(), self.counter.clone()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        # Moved to a device under inference mode, the buffers stay ordinary tensors, too.
        with torch.inference_mode(False):
            return super()._apply(fn, recurse)

    def _seeds_of_this_step(self, batch_size: int) -> torch.Tensor:
        rank = process_rank()
        return stream_seeds(self.key, self.counter, batch_size, self._rank if rank is None else rank)

    def _paste(
        self,
        padded: PaddedBatchedDenseSample,
        generator: torch.Generator | None,
        seeds: torch.Tensor | None,
        validate: bool,
        out: PaddedBatchedDenseSample | None,
        *,
        with_audit: bool,
    ) -> _Pasted:
        check_generator(generator)
        if torch.compiler.is_compiling():
            _check_traceable(generator, validate, out, self.executor)
            self._check_fields(padded)
            _check_seeds(padded, generator, seeds)
            return self._paste_traced(padded, seeds, with_audit=with_audit)
        self._check_batch(padded, validate=validate)
        _check_seeds(padded, generator, seeds)
        target = self.sampler.padded(padded)
        if out is not None:
            check_padded("out", out)
            # What else it must not share is known when there is a source view.
            check_out(out, target, padded)
        if generator is not None:
            return self._paste_drawing(target, generator, out, with_audit=with_audit)
        if seeds is not None:
            return self._paste_with(target, seeds, out, with_audit=with_audit)
        pasted = self._paste_with(
            target, self._seeds_of_this_step(target.batch_size), out, with_audit=with_audit
        )
        # Only now: a step that was refused is no step.
        self.counter.add_(1)
        return pasted

    def _paste_drawing(
        self,
        target: PaddedBatchedDenseSample,
        generator: torch.Generator,
        out: PaddedBatchedDenseSample | None,
        *,
        with_audit: bool,
    ) -> _Pasted:
        state = generator.get_state()
        try:
            seeds = seeds_from(generator, target.batch_size, target.images.device)
            return self._paste_with(target, seeds, out, with_audit=with_audit)
        except BaseException:
            generator.set_state(state)
            raise

    def _paste_with(
        self,
        target: PaddedBatchedDenseSample,
        seeds: torch.Tensor,
        out: PaddedBatchedDenseSample | None,
        *,
        with_audit: bool,
    ) -> _Pasted:
        view, plan = self._sample(target, seeds)
        return self._apply_plan(target, view, plan, seeds, out, with_audit=with_audit)

    def _apply_plan(
        self,
        target: PaddedBatchedDenseSample,
        view: PaddedBatchedDenseSample,
        plan: PastePlan,
        seeds: torch.Tensor,
        out: PaddedBatchedDenseSample | None,
        *,
        with_audit: bool,
    ) -> _Pasted:
        """The exact paste; then the images, where they are to be harmonised."""
        if self.harmonize is None and not with_audit:
            return apply(target, view, plan, self._paste_config, executor=self.executor, out=out), None
        batch, audit = apply_with_audit(
            target, view, plan, self._paste_config, executor=self.executor, out=out
        )
        if self.harmonize is None:
            return batch, audit
        harmonized = self.harmonize(batch, target, audit.paste_union, seeds)
        if out is None:
            batch = harmonized
        else:
            batch.images.copy_(harmonized.images)
        return batch, replace(audit, config=self.config) if with_audit else None

    def _paste_traced(
        self, padded: PaddedBatchedDenseSample, seeds: torch.Tensor | None, *, with_audit: bool
    ) -> _Pasted:
        """What ``torch.compile`` sees: plain tensors and numbers, no pydantic, no checks."""
        if seeds is None:
            seeds = self.next_seeds(padded.batch_size)
        target = self.sampler.padded(without_tv_tensors(padded))
        view, plan = self._sample(target, seeds)
        batch, audit = paste_graph(
            target,
            view,
            plan,
            self.sampler.settings,
            self.sampler.tables,
            with_audit=with_audit or self.harmonize is not None,
        )
        if self.harmonize is not None and audit is not None:
            batch = self.harmonize(batch, target, audit.paste_union, seeds)
        if not with_audit:
            audit = None
        return _wrapped(batch), audit if audit is None else replace(audit, config=self.config)

    def _sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        view, plan = view_and_plan(self.source_strategy.sample(target, seeds, self.sampler))
        return (view if view is target else self.sampler.padded(view)), plan

    def _check_batch(self, padded: PaddedBatchedDenseSample, *, validate: bool) -> None:
        if not isinstance(padded, PaddedBatchedDenseSample):
            raise TypeError(
                f"padded: got {type(padded).__name__}, expected a PaddedBatchedDenseSample "
                "(BatchCopyPaste.from_dataloader wraps a loader of others)"
            )
        check_padded("padded", padded)
        self._check_fields(padded)
        if validate:
            check_values(padded)
            if self.harmonize is not None:
                check_unit_range(padded)

    def _check_fields(self, padded: PaddedBatchedDenseSample) -> None:
        """What can be said without a value and without pydantic, so that it is traced, too."""
        device, settings = padded.labels.device, self.sampler.settings
        if device != self.key.device:
            raise ValueError(f"padded: got device {device}, expected the module's, {self.key.device}")
        if settings.has_schema:
            for name in ("semantic_maps", "panoptic_maps"):
                if getattr(padded, name) is None:
                    raise ValueError(
                        f"padded.{name}: got None, expected semantic and panoptic maps, "
                        "as the configuration is panoptic"
                    )
        slots = padded.max_instances
        # The default is no demand. By its value: what was set is forgotten on the way through YAML.
        if settings.k_range[1] > slots and settings.k_range != _DEFAULT_K_RANGE:
            raise ValueError(
                f"placement.k_range: got {settings.k_range}, "
                f"expected an upper end of at most max_instances = {slots}"
            )


def _with_its_audit(pasted: _Pasted) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    batch, audit = pasted
    if audit is None:
        raise TypeError("audit: got None, expected a BatchAuditPacket")
    return batch, audit


def _wrapped(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    """The same batch with the tv_tensors that it has outside of a graph."""
    values: dict[str, Any] = batch.tensors()
    for name, kind in _TV_TENSORS.items():
        if name in values:
            values[name] = values[name].as_subclass(kind)
    return PaddedBatchedDenseSample(**values, metric_depth=batch.metric_depth)


_TV_TENSORS = {
    "images": tv_tensors.Image,
    "instance_masks": InstanceMask,
    "semantic_maps": SemanticMap,
    "panoptic_maps": PanopticMap,
    "padding_mask": PaddingMask,
}

_DEFAULT_K_RANGE = BatchedPlacementConfig().k_range


def _check_seeds(
    padded: PaddedBatchedDenseSample, generator: torch.Generator | None, seeds: torch.Tensor | None
) -> None:
    if seeds is None:
        return
    if generator is not None:
        raise ValueError("seeds: got both seeds and a generator, expected one of the two")
    check_int64_row("seeds", seeds, padded.batch_size, padded.labels.device)


def _check_traceable(
    generator: torch.Generator | None,
    validate: bool,
    out: PaddedBatchedDenseSample | None,
    executor: ExecutorName | None,
) -> None:
    if generator is not None:
        raise ValueError("generator: got one while compiling, expected None: draw seeds from it beforehand")
    if validate:
        raise ValueError("validate: got True while compiling, expected False")
    if out is not None:
        raise ValueError("out: got a batch while compiling, expected None")
    if executor not in (None, "graph"):
        raise ValueError(f"executor: got {executor!r} while compiling, expected None or 'graph'")

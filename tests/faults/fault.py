"""What a fault is, and how one breaks the correct path in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch

from segpaste.paste import apply_reference, draw_plan, reference
from segpaste.paste.reference import SampleArrays
from segpaste.paste.rng import to_int64
from segpaste.testing.targets import Augmentation, Executor, Target
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
    xyxy,
)

Pasted = tuple[PaddedBatchedDenseSample, BatchAuditPacket]

correct: Any = SimpleNamespace(**vars(reference))
"""The steps of the reference, by their names there, as they are while no fault holds."""


class Call(NamedTuple):
    """The arguments of one paste."""

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig

    def paste(self, **steps: Any) -> Pasted:
        """The reference paste, some of its steps replaced by others, and nobody to assert anything."""
        with steps_replaced(assert_bijection=lambda sample: None, **steps):
            return apply_reference(*self)

    def paste_as_if(self, **arguments: Any) -> Pasted:
        """The reference paste of other arguments, whose audit tells these."""
        after, audit = self._replace(**arguments).paste()
        return after, replace(audit, plan=self.plan, config=self.config)

    def paste_then(self, edit: Callable[[Rows], None], **steps: Any) -> Pasted:
        """The reference paste; ``edit`` writes to every sample when its rows are updated."""

        def update_rows(*arguments: Any) -> tuple[SampleArrays, np.ndarray, np.ndarray, np.ndarray]:
            _, target, source, winner, union, slots, pasted, config = arguments
            rows, row_source, dropped, void = correct.update_rows(*arguments)
            edit(Rows(rows, target, source, winner, union, slots, pasted, config, row_source, dropped, void))
            return rows, row_source, dropped, void

        return self.paste(update_rows=update_rows, **steps)


@dataclass(frozen=True)
class Rows:
    """One sample when its rows have been updated (4.8), before void is written (4.9).

    Attributes:
        out: the output so far; its rows and its panoptic map may be written to.
        target, source: the samples before the paste.
        winner: ``[H, W]`` the position in ``slots`` that won each pixel, else -1.
        union: ``[H, W]`` bool, U.
        slots: the paste list.
        pasted: the positions in ``slots`` that were pasted.
        config: the configuration.
        row_source: ``[K]`` the source slot of pasted rows, else -1; may be written to.
        dropped: ``[K]`` bool; may be written to.
        void: ``[H, W]`` bool, what is left of dropped rows; may be written to.
    """

    out: Any
    target: Any
    source: Any
    winner: np.ndarray
    union: np.ndarray
    slots: list[int]
    pasted: list[int]
    config: BatchCopyPasteConfig
    row_source: np.ndarray
    dropped: np.ndarray
    void: np.ndarray

    @property
    def new(self) -> list[int]:
        """The slots of pasted rows, in paste order."""
        return np.flatnonzero(self.row_source >= 0).tolist()

    @property
    def trimmed(self) -> list[int]:
        """The slots of surviving target rows that lost pixels."""
        lost = (self.target.masks & self.union).any(axis=(1, 2))
        return np.flatnonzero(lost & self.target.valid & ~self.dropped).tolist()

    def clear(self, row: int) -> None:
        """Make a slot an unused one."""
        for field in (self.out.boxes, self.out.labels, self.out.valid, self.out.ids, self.out.masks):
            field[row] = 0

    def rename(self, row: int, identity: int) -> None:
        """Give a row another id, in the panoptic map, too."""
        if self.out.panoptic is not None:
            self.out.panoptic[self.out.masks[row]] = identity
        self.out.ids[row] = identity


@dataclass(frozen=True)
class Fault:
    """One mistake in an otherwise correct paste.

    Attributes:
        name: the name of the function.
        mistake: what is wrong, in one line.
        seen: the clause of the specification that it breaks, or the library it was seen in.
        laws: the laws that must catch it.
        needs: what samples must carry for the mistake to be possible.
        target: the broken paste, as the runner takes it.
    """

    name: str
    mistake: str
    seen: str
    laws: tuple[str, ...]
    needs: frozenset[Modality]
    target: Target


def fault(
    seen: str, *laws: str, needs: Iterable[Modality] = (), audited: bool = True
) -> Callable[[Callable[[Call], Pasted]], Fault]:
    """Makes a :class:`Fault` of a function, whose docstring says what is wrong with it.

    Args:
        seen: see :class:`Fault`.
        laws: see :class:`Fault`.
        needs: see :class:`Fault`.
        audited: whether the broken paste is an executor, with an audit, or a callable
            that takes two samples and tells nobody what it does.
    """

    def made(function: Callable[[Call], Pasted]) -> Fault:
        name = function.__name__

        def apply(
            target: PaddedBatchedDenseSample,
            source: PaddedBatchedDenseSample,
            plan: PastePlan,
            config: BatchCopyPasteConfig,
        ) -> Pasted:
            return function(Call(target, source, plan, config))

        def augment(
            target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig
        ) -> DenseSample:
            after, _ = function(call_of(target, donor, seed, config))
            return unchecked_sample(after, target)

        broken = Executor(name, apply, "") if audited else Augmentation(name, augment, True, None)
        return Fault(name, described(function), seen, laws, frozenset(needs), broken)

    return made


def described(function: Callable[..., Any]) -> str:
    """The docstring of a faulty function, in one line.

    Raises:
        ValueError: if there is none.
    """
    mistake = " ".join((function.__doc__ or "").split()).removesuffix(".")
    if not mistake:
        raise ValueError(f"{function.__name__}: got no docstring, expected what is wrong with it")
    return mistake


def call_of(target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig) -> Call:
    """A paste of one sample into another, with room for every row of the donor."""
    slots = max(1, len(target) + len(donor))
    if config.schema_spec is not None:
        slots = min(slots, config.schema_spec.max_instances_per_image)
    view = BatchedDenseSample.from_samples([target]).to_padded(slots)
    source = BatchedDenseSample.from_samples([donor]).to_padded(len(donor))
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(view, source, torch.tensor([to_int64(seed)]), config, source_idx=first)
    return Call(view, source, plan, config)


def unchecked_sample(after: PaddedBatchedDenseSample, like: DenseSample) -> DenseSample:
    """The one sample of a batch, its unused slots closed up, and nothing of it checked."""
    fields: dict[str, Any] = {name: value[0] for name, value in after.tensors().items()}
    used = fields.pop("instance_valid")
    rows = {name: fields.pop(name)[used] for name in _ROWS if name in fields}
    fields.pop("camera_intrinsics", None)
    renamed = {_SINGULAR.get(name, name): value for name, value in fields.items()}
    return DenseSample.unchecked(
        **renamed,
        **{**rows, "boxes": xyxy(rows["boxes"], after.canvas_size)},
        camera_intrinsics=like.camera_intrinsics,
        metric_depth=after.metric_depth,
    )


_ROWS = ("boxes", "labels", "instance_ids", "instance_masks")
_SINGULAR = {"images": "image", "semantic_maps": "semantic_map", "panoptic_maps": "panoptic_map"}


def steps_replaced(**steps: Any) -> AbstractContextManager[Any]:
    """While it holds, these functions of the reference are others."""
    return patch.multiple(reference, **steps)


def changed(batch: PaddedBatchedDenseSample, **fields: Any) -> PaddedBatchedDenseSample:
    """The same batch with other fields."""
    return replace(batch, **fields)


def field(batch: PaddedBatchedDenseSample, name: str) -> torch.Tensor:
    """A copy of a field that is there, as a plain tensor."""
    return batch.tensors()[name].clone()

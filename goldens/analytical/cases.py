"""A paste and the answer to it, worked out by hand; and the list of all of them.

A golden is a function without arguments: its name says what is shown, its docstring
derives the answer from the specification of a paste, and it returns a :class:`Golden`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import torch

from segpaste.goldens.analytical.notation import Plan, Sample, read_batch, read_mask, read_plan
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PastePlan

Samples = Sample | tuple[Sample, ...]

AS_IT_IS = Plan()
"""The plan that moves nothing and asks for every slot."""

DEFAULTS = BatchCopyPasteConfig()
"""No class table; drop below 1 pixel or below 6554/65536 (a tenth) of the area; z-test on."""


class Otherwise(TypedDict, total=False):
    """Inputs of a golden that are replaced by others."""

    target: Samples
    source: Samples
    plan: Plan | tuple[Plan, ...]
    config: BatchCopyPasteConfig


@dataclass(frozen=True, slots=True)
class Golden:
    """A case as it is written down; :class:`AnalyticalCase` is the same in tensors.

    Attributes:
        target: one sample, or B of them.
        source: as the target; ``None`` for the target itself.
        expected: as the target.
        union: ``#`` where the source shows; one text for each sample.
        plan: one, or one for each sample.
        config: the configuration.
        otherwise: what to replace in the inputs so that another answer is right.
        batch: how many of the samples there are in fact: 0 makes a batch of none.
    """

    target: Samples
    source: Samples | None
    expected: Samples
    union: str | tuple[str, ...]
    plan: Plan | tuple[Plan, ...] = AS_IT_IS
    config: BatchCopyPasteConfig = DEFAULTS
    otherwise: Otherwise | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PasteInputs:
    """What a paste is made from: ``apply(target, source, plan, config)``."""

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AnalyticalCase:
    """A paste whose answer was worked out by hand.

    Attributes:
        name: ``subject.what_is_shown``.
        why: what is shown, and how the answer follows from the specification.
        inputs: target, source view (the target itself where a batch is pasted from
            itself), plan and configuration.
        expected: the pasted batch, in every field.
        union: ``[B, H, W]`` bool, the pixels that show the source.
        otherwise: inputs slightly different, for which another answer is right.
    """

    name: str
    why: str
    inputs: PasteInputs
    expected: PaddedBatchedDenseSample
    union: torch.Tensor
    otherwise: PasteInputs | None

    def __repr__(self) -> str:
        return f"AnalyticalCase({self.name})"


WRITTEN: dict[str, Callable[[], Golden]] = {}
"""Every golden by its name, in the order of the files."""


def golden(write: Callable[[], Golden]) -> Callable[[], Golden]:
    """List a golden under the name of its file and function.

    Raises:
        ValueError: if the name is taken, or the golden says nothing of its answer.
    """
    name = f"{write.__module__.rpartition('.')[2]}.{write.__name__}"
    if name in WRITTEN:
        raise ValueError(f"golden: got {name} twice, expected names of their own")
    if not write.__doc__:
        raise ValueError(f"golden: got {name} without a docstring, expected the derivation there")
    WRITTEN[name] = write
    return write


def read_case(name: str) -> AnalyticalCase:
    """The golden of that name in fresh tensors.

    Raises:
        ValueError: if there is none, or it is not well written.
    """
    if name not in WRITTEN:
        raise ValueError(f"name: got {name!r}, expected one of {sorted(WRITTEN)}")
    write = WRITTEN[name]
    case = write()
    expected, union = (
        read_batch(_tuple(case.expected)),
        torch.stack([read_mask(u) for u in _texts(case.union)]),
    )
    if case.batch is not None:
        expected, union = expected.gather(slice(0, case.batch)), union[: case.batch]
    return AnalyticalCase(
        name=name,
        why=inspect.cleandoc(write.__doc__ or ""),
        inputs=_inputs(case, {}),
        expected=expected,
        union=union,
        otherwise=None if case.otherwise is None else _inputs(case, case.otherwise),
    )


def _inputs(case: Golden, replaced: Otherwise) -> PasteInputs:
    target = read_batch(_tuple(replaced.get("target", case.target)))
    if case.batch is not None:
        target = target.gather(slice(0, case.batch))
    from_source = replaced.get("source", case.source)
    source = target if from_source is None else read_batch(_tuple(from_source))
    plans = replaced.get("plan", case.plan)
    listed = (plans,) * target.batch_size if isinstance(plans, Plan) else plans
    return PasteInputs(
        target, source, read_plan(listed, source.max_instances), replaced.get("config", case.config)
    )


def _tuple(samples: Samples) -> tuple[Sample, ...]:
    return (samples,) if isinstance(samples, Sample) else samples


def _texts(union: str | tuple[str, ...]) -> tuple[str, ...]:
    return (union,) if isinstance(union, str) else union

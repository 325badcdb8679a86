"""Many frozen cases through one call: samples do not know of each other.

Cases that agree in every shape and in the configuration are laid behind one another: their
targets become one batch, their source views another, their plans one plan whose rows
count on into it. The result is taken apart again. That this changes no bit is itself part
of what the digests check, as they are the ones of single calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any

import torch

from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.digests import Outcome
from segpaste.strategies.pastes import PasteCase
from segpaste.types import PaddedBatchedDenseSample, PastePlan

Signature = tuple[Any, ...]


def signature(case: PasteCase) -> Signature:
    """What two cases must share to go through one call, but for the configuration."""

    def of(batch: PaddedBatchedDenseSample) -> Signature:
        return (*((name, value.dtype, value.shape[1:]) for name, value in batch.tensors().items()),)

    return of(case.target), of(case.source), case.target.metric_depth


def in_groups(cases: Iterable[FrozenCase], key: Callable[[FrozenCase], Any]) -> list[list[FrozenCase]]:
    """The cases in groups of one key, in the order in which keys appear."""
    groups: dict[Any, list[FrozenCase]] = {}
    for one in cases:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def join(cases: list[FrozenCase]) -> PasteCase:
    """One paste that holds those of all ``cases``, which share signature and configuration."""
    first = cases[0].case
    rows, at = [], 0
    for one in cases:
        rows.append(one.case.plan.source_idx + at)
        at += one.case.source.batch_size
    plan = {f.name: torch.cat([getattr(one.case.plan, f.name) for one in cases]) for f in fields(PastePlan)}
    return PasteCase(
        target=_behind_one_another([one.case.target for one in cases]),
        source=_behind_one_another([one.case.source for one in cases]),
        plan=PastePlan(**(plan | {"source_idx": torch.cat(rows)})),
        config=first.config,
    )


def grow(case: PasteCase, targets: int, sources: int) -> PasteCase:
    """The case with its first target and source repeated up to these numbers, for one static shape."""

    def index(have: int, want: int) -> torch.Tensor:
        return torch.arange(want) * (torch.arange(want) < have)

    t, s = index(case.target.batch_size, targets), index(case.source.batch_size, sources)
    plan = {f.name: getattr(case.plan, f.name)[t] for f in fields(PastePlan)}
    return replace(case, target=case.target.gather(t), source=case.source.gather(s), plan=PastePlan(**plan))


def take_apart(outcome: Outcome, cases: list[FrozenCase]) -> list[Outcome]:
    """The results of the single cases, in their order."""
    results, at = [], 0
    for one in cases:
        end = at + one.case.target.batch_size
        results.append({name: value[at:end] for name, value in outcome.items()})
        at = end
    return results


def _behind_one_another(batches: list[PaddedBatchedDenseSample]) -> PaddedBatchedDenseSample:
    columns = [batch.tensors() for batch in batches]
    joined: dict[str, Any] = {name: torch.cat([c[name] for c in columns]) for name in columns[0]}
    return PaddedBatchedDenseSample(**joined, metric_depth=batches[0].metric_depth)

"""The executors as runners: a list of frozen cases in, their results out."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from segpaste.goldens.cases import FrozenCase, is_even
from segpaste.goldens.digests import Outcome, outcome_of
from segpaste.goldens.joining import grow, in_groups, join, signature, take_apart
from segpaste.paste import apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.paste.settings import settings_of, tables_of
from segpaste.strategies.pastes import PasteCase
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
)

PasteFunction = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig],
    tuple[PaddedBatchedDenseSample, BatchAuditPacket | None],
]
Runner = Callable[[list[FrozenCase]], list[Outcome]]


def one_by_one(paste: PasteFunction, device: str = "cpu") -> Runner:
    """Every case in a call of its own."""

    def run(cases: list[FrozenCase]) -> list[Outcome]:
        return [_run(paste, _moved(one.case, device)) for one in cases]

    return run


def joined(paste: PasteFunction, device: str = "cpu") -> Runner:
    """Cases of one shape and configuration in one call."""

    def run(cases: list[FrozenCase]) -> list[Outcome]:
        results: dict[int, Outcome] = {}
        for group in in_groups(cases, lambda one: (signature(one.case), one.case.config)):
            outcome = _run(paste, _moved(join(group), device))
            results |= dict(zip((one.seed for one in group), take_apart(outcome, group), strict=True))
        return [results[one.seed] for one in cases]

    return run


def executor(name: ExecutorName) -> PasteFunction:
    """A built-in executor as a function."""

    def paste(
        target: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample,
        plan: PastePlan,
        config: BatchCopyPasteConfig,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
        return apply_with_audit(target, source, plan, config, executor=name)

    return paste


def built_in(name: str, device: str = "cpu") -> Runner:
    """The runner of an executor by name: ``reference``, ``rectangle``, ``graph``, ``fused``,
    or ``compiled`` for the graph executor through inductor.

    Raises:
        ValueError: on another name.
    """
    if name == "compiled":
        return compiled(device=device)
    if name == "graph":
        return joined(executor("graph"), device)
    if name in ("reference", "rectangle", "fused"):
        return one_by_one(executor(name), device)
    raise ValueError(f"executor: got {name!r}, expected reference, rectangle, graph, compiled or fused")


def compiled(*, backend: Any = "inductor", device: str = "cpu") -> Runner:
    """Even cases through ``torch.compile(fullgraph=True)``, in one graph for each of their few forms.

    Thresholds are given to the graph as tensors, and groups of cases grow to one number of
    samples, so that cases of one set need one graph per policy for stuff and not one per
    configuration. Free cases, each of which has a shape of its own, are refused.
    """

    def run(cases: list[FrozenCase]) -> list[Outcome]:
        free = [one.seed for one in cases if not is_even(one.seed)]
        if free:
            raise ValueError(
                f"seeds: got {free[0]}, expected even cases, as compiled graphs are of one shape"
            )
        results: dict[int, Outcome] = {}
        for alike in in_groups(
            cases, lambda one: (signature(one.case), settings_of(one.case.config).reverts)
        ):
            groups = in_groups(alike, lambda one: one.case.config)
            pastes = [join(group) for group in groups]
            targets = max(paste.target.batch_size for paste in pastes)
            sources = max(paste.source.batch_size for paste in pastes)
            graph = _compiled_graph(pastes[0], backend)
            for group, paste in zip(groups, pastes, strict=True):
                grown = _moved(grow(paste, targets, sources), device)
                outcome = _run(graph, grown)
                results |= dict(zip((one.seed for one in group), take_apart(outcome, group), strict=True))
        return [results[one.seed] for one in cases]

    return run


_NUMBERS = ("ignore_index", "tau_stuff_q16", "min_area", "min_pasted_area", "min_residual_q16")


def _compiled_graph(first: PasteCase, backend: Any) -> PasteFunction:
    graph = importlib.import_module("segpaste.paste.graph")  # like apply, only when it is asked for
    static = replace(settings_of(first.config), debug_assert_bijection=False)

    @torch.compile(fullgraph=True, backend=backend)
    def paste_graph(target: Any, source: Any, plan: Any, numbers: list[Any], tables: Any) -> Any:
        settings = replace(static, **dict(zip(_NUMBERS, numbers, strict=True)))
        return graph.paste_graph(target, source, plan, settings, tables, with_audit=True)

    def paste(
        target: PaddedBatchedDenseSample,
        source: PaddedBatchedDenseSample,
        plan: PastePlan,
        config: BatchCopyPasteConfig,
    ) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
        device = target.labels.device
        settings = settings_of(config)
        numbers = [torch.tensor(getattr(settings, name), device=device) for name in _NUMBERS]
        tables = tables_of(config, device)
        return paste_graph(target, source, plan, numbers, tables)

    return paste


def _run(paste: PasteFunction, case: PasteCase) -> Outcome:
    return outcome_of(*paste(case.target, case.source, case.plan, case.config))


def _moved(case: PasteCase, device: str) -> PasteCase:
    if device == "cpu":
        return case
    target = case.target.to(device)
    source = target if case.intra_batch else case.source.to(device)
    return replace(case, target=target, source=source, plan=case.plan.to(device))

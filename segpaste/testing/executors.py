"""The built-in executors that can be verified by name.

Each is a function ``(target, source, plan, config) -> (PaddedBatchedDenseSample,
BatchAuditPacket)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from segpaste.augmentation import BatchCopyPaste, BatchedPlacementSampler
from segpaste.paste import apply_with_audit
from segpaste.paste.apply import interprets_triton
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PaddedBatchedDenseSample,
    PastePlan,
)

Pasted = tuple[PaddedBatchedDenseSample, BatchAuditPacket]


@dataclass(frozen=True)
class BuiltIn:
    """One entry of the table.

    Attributes:
        function: ``module:attribute``.
        devices: where it runs.
        by_default: whether it is run where no target is named.
        exception: says of an example why it does not go through what is verified, if so.
    """

    function: str
    devices: tuple[str, ...] = ("cpu", "cuda")
    by_default: bool = False
    exception: Callable[[PaddedBatchedDenseSample, BatchCopyPasteConfig], str | None] | None = None


def apply_batched(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> Pasted:
    """Paste with :class:`~segpaste.augmentation.BatchCopyPaste`, source and plan being given.

    What the placement of a configuration says is in the plan already; the module gets the
    default one, for it refuses a ``k_range`` that a batch cannot meet, and would pad the
    canvas. Where it refuses the class table (:func:`beside_the_module`), the paste goes
    through :func:`~segpaste.paste.apply_with_audit` instead, as the module's does.
    """
    if beside_the_module(target, config) is not None:
        return apply_with_audit(target, source, plan, config)
    bare = config.model_copy(update={"placement": BatchedPlacementConfig()})
    module = BatchCopyPaste(bare, source_strategy=_Given(source, plan), seed=0)
    device = target.images.device
    seeds = torch.zeros(target.batch_size, dtype=torch.int64, device=device)
    batch, audit = module.to(device).forward_with_audit(target, seeds=seeds)
    return batch, replace(audit, config=config)


def apply_rectangle(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> Pasted:
    """Paste with the ``rectangle`` executor."""
    return apply_with_audit(target, source, plan, config, executor="rectangle")


def apply_graph(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> Pasted:
    """Paste with the ``graph`` executor."""
    return apply_with_audit(target, source, plan, config, executor="graph")


def apply_fused(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
) -> Pasted:
    """Paste with the ``fused`` executor."""
    return apply_with_audit(target, source, plan, config, executor="fused")


def beside_the_module(target: PaddedBatchedDenseSample, config: BatchCopyPasteConfig) -> str | None:
    """Why ``BatchCopyPaste`` refuses this configuration for a batch that ``apply`` accepts, if so."""
    if config.panoptic is None or (target.semantic_maps is not None and target.panoptic_maps is not None):
        return None
    return (
        "a class table without semantic and panoptic maps, which BatchCopyPaste refuses; "
        "pasted by segpaste.paste.apply_with_audit"
    )


EXECUTORS: dict[str, BuiltIn] = {
    "reference": BuiltIn("segpaste.paste:apply_reference", by_default=True),
    "batched": BuiltIn(f"{__name__}:apply_batched", by_default=True, exception=beside_the_module),
    "rectangle": BuiltIn(f"{__name__}:apply_rectangle", devices=("cpu",)),
    "graph": BuiltIn(f"{__name__}:apply_graph"),
    "fused": BuiltIn(f"{__name__}:apply_fused", devices=("cuda",)),
}
"""Every built-in executor by name."""


def unavailable(name: str, device: str) -> str | None:
    """Why a built-in executor cannot run on this device (``"cpu"``, ``"cuda"``), in one line."""
    if device not in ("cpu", "cuda"):
        return None  # refused elsewhere, whatever the target
    if device in EXECUTORS[name].devices or (name == "fused" and interprets_triton()):
        return None
    if name == "fused":
        return (
            "target fused: got device cpu, expected --device cuda, or TRITON_INTERPRET=1 in the environment"
        )
    return f"target {name}: got device {device}, expected {' or '.join(EXECUTORS[name].devices)}"


class _Given:
    """A source strategy that gives what it was given."""

    def __init__(self, source: PaddedBatchedDenseSample, plan: PastePlan) -> None:
        self._source, self._plan = source, plan

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        return self._source, self._plan

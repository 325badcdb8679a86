"""Applying a plan: one function in front of the executors, which agree bit for bit.

| executor | where | how |
|---|---|---|
| ``reference`` | CPU, and CUDA by way of the CPU | NumPy, one sample at a time, made to be read |
| ``rectangle`` | CPU | compiled loops over the rectangles that are pasted |
| ``graph`` | CPU and CUDA | static torch operations, made to be compiled |
| ``fused`` | CUDA | Triton kernels |
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal, get_args

import torch

from segpaste.paste.inputs import check_exact, check_out, check_plan, check_views
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
)

ExecutorName = Literal["reference", "rectangle", "graph", "fused"]
Executor = Callable[..., tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]]


def apply(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    executor: ExecutorName | None = None,
    out: PaddedBatchedDenseSample | None = None,
) -> PaddedBatchedDenseSample:
    """Paste ``source`` into ``target`` as ``plan`` says. The inputs are never written to.

    Args:
        target: B samples ``[B, ...]`` with K slots.
        source: the source view, ``[B_s, ...]`` with K_s slots; same canvas, modalities,
            channels, image dtype and device. May be ``target`` itself.
        plan: B rows, K_s slots; on the same device.
        config: thresholds, class table, z-test; without ``harmonize``.
        executor: one of the table above; by default the one for the device
            (:func:`choose_executor`).
        out: a batch of the target's fields, shapes, dtypes and device in memory that
            neither target nor source uses. It is overwritten completely and returned.
            From the second call on this saves most of the time of a large batch, which
            otherwise goes into fresh memory.

    Returns:
        The pasted batch ``[B, ...]``, contiguous unless ``out`` is not.

    Raises:
        ValueError: before anything is computed, on views, a plan or an ``out`` that do
            not fit, on a configuration that asks for harmonised images, and on an executor
            that does not exist or not for this device.
        RuntimeError: with ``debug_assert_bijection``, if two masks of one sample overlap
            under a panoptic map; ``out`` then holds the pasted batch.
    """
    return _run(target, source, plan, config, executor, out, with_audit=False)[0]


def apply_with_audit(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    *,
    executor: ExecutorName | None = None,
    out: PaddedBatchedDenseSample | None = None,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """As :func:`apply`; with what the laws need to judge it.

    Returns:
        The pasted batch, and the audit of every sample, always in fresh memory.
    """
    batch, audit = _run(target, source, plan, config, executor, out, with_audit=True)
    if audit is None:
        raise TypeError(f"executor {executor}: got no audit, expected one")
    return batch, audit


def choose_executor(device: torch.device) -> ExecutorName:
    """The executor for a device: ``graph`` while compiling, else ``rectangle`` on the CPU,
    ``fused`` on CUDA and ``graph`` elsewhere.
    """
    if torch.compiler.is_compiling():
        return "graph"
    return {"cpu": "rectangle", "cuda": "fused"}.get(device.type, "graph")  # pyright: ignore[reportReturnType]


def _run(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    executor: ExecutorName | None,
    out: PaddedBatchedDenseSample | None,
    *,
    with_audit: bool,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket | None]:
    device = target.images.device
    name = choose_executor(device) if executor is None else executor
    if name not in _EXECUTORS:
        raise ValueError(
            f"executor: got {executor!r}, expected None or one of {list(get_args(ExecutorName))}"
        )
    if device.type == "mps":
        raise ValueError("target: got a batch on mps, which lacks float64, expected one on cpu or cuda")
    devices = ("cuda", "cpu") if name == "fused" and interprets_triton() else _DEVICES[name]
    if devices is not None and device.type not in devices:
        raise ValueError(f"executor: got {name!r} for {device}, expected a batch on {' or '.join(devices)}")
    check_exact(config)
    check_views(target, source, config)
    check_plan(target, source, plan)
    if out is not None:
        check_out(out, target, source, plan)
    return _executor(name)(target, source, plan, config, out=out, with_audit=with_audit)


_EXECUTORS = {
    "reference": ("segpaste.paste.reference", "run_reference"),
    "rectangle": ("segpaste.paste.rectangle", "run_rectangle"),
    "graph": ("segpaste.paste.graph", "run_graph"),
    "fused": ("segpaste.paste.fused", "run_fused"),
}

_DEVICES: dict[str, tuple[str, ...] | None] = {
    "reference": None,
    "rectangle": ("cpu",),
    "graph": None,
    "fused": ("cuda",),
}


def interprets_triton() -> bool:
    """Whether Triton runs its kernels on the CPU, as tests do; it reads the variable so."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "y", "yes")


def _executor(name: str) -> Executor:
    """Imported when first asked for: each brings a compiler that others do not need."""
    _say_if_denormals_are_flushed()
    module, function = _EXECUTORS[name]
    return getattr(importlib.import_module(module), function)


@cache
def _say_if_denormals_are_flushed() -> None:
    """Once in a process: the exactness of all executors hangs on it."""
    if not bool(torch.tensor(2.0**-149, device="cpu") * 1.0):
        warnings.warn(
            "torch.set_flush_denormal(True) is on: executors promise the same bits only without it",
            RuntimeWarning,
            stacklevel=5,
        )

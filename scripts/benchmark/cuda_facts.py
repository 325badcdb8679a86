"""What a call does on CUDA beside taking time: launches, memory, waiting for the device."""

from __future__ import annotations

import gc
from typing import Any

import torch

from benchmark.protocol import Call


def facts_of_call(call: Call) -> dict[str, Any]:
    """Measure one call, warmed up before.

    Returns:
        ``kernels`` launched, ``copies`` (memcpy and memset) enqueued, ``scratch_bytes`` (peak
        memory above what was allocated before the call, what is returned included) and
        ``synchronises`` (whether the host waited for the device).
    """
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call(0)
    torch.cuda.synchronize()
    scratch = torch.cuda.max_memory_allocated() - before
    kernels, copies = _launches(call)
    return {
        "kernels": kernels,
        "copies": copies,
        "scratch_bytes": scratch,
        "synchronises": _synchronises(call),
    }


def _launches(call: Call) -> tuple[int, int]:
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities):
        call(0)  # the profiler's own first run may lose events
        torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profile:
        call(0)
        torch.cuda.synchronize()
    names = [
        event.name
        for event in profile.events() or []
        if event.device_type.name == "CUDA" and not event.is_user_annotation
    ]
    copies = sum(name.startswith(("Memcpy", "Memset")) for name in names)
    return len(names) - copies, copies


def _synchronises(call: Call) -> bool:
    torch.cuda.set_sync_debug_mode("error")
    try:
        call(0)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False

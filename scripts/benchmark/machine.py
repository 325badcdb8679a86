"""What the machine is that was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def machine(distributions: Sequence[str], processor: str | None = None) -> dict[str, Any]:
    """Processor, cores that may be used, and versions of what is installed."""
    return {
        "processor": _processor() if processor is None else processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": {"Python": platform.python_version()}
        | {name: found for name in distributions if (found := _version(name))},
    }


def _processor() -> str:
    """What the processor calls itself, wherever the system says so."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None

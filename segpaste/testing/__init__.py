"""The runner: judge any copy-paste augmentation by the laws, or compare two results bit by bit.

Everything is imported on first use, so that importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.testing.check import check_augmentation
    from segpaste.testing.engine import RunOptions, run
    from segpaste.testing.events import Event
    from segpaste.testing.parametrize import parametrize_with_invariants
    from segpaste.testing.parity import Difference, ParityError, assert_same_bits, differences
    from segpaste.testing.replays import Replayed, StillFailingError, replay
    from segpaste.testing.results import (
        AugmentationViolation,
        MinimalCase,
        Result,
        RunReport,
        TargetReport,
    )
    from segpaste.testing.stored import StoredFileError, load_sample, save_sample
    from segpaste.testing.targets import TargetNotFoundError, resolve_target

__all__ = [
    "AugmentationViolation",
    "Difference",
    "Event",
    "MinimalCase",
    "ParityError",
    "Replayed",
    "Result",
    "RunOptions",
    "RunReport",
    "StillFailingError",
    "StoredFileError",
    "TargetNotFoundError",
    "TargetReport",
    "assert_same_bits",
    "check_augmentation",
    "differences",
    "load_sample",
    "parametrize_with_invariants",
    "replay",
    "resolve_target",
    "run",
    "save_sample",
]

_HOMES = {
    "AugmentationViolation": "results",
    "Difference": "parity",
    "Event": "events",
    "MinimalCase": "results",
    "ParityError": "parity",
    "Replayed": "replays",
    "Result": "results",
    "RunOptions": "engine",
    "RunReport": "results",
    "StillFailingError": "replays",
    "StoredFileError": "stored",
    "TargetNotFoundError": "targets",
    "TargetReport": "results",
    "assert_same_bits": "parity",
    "check_augmentation": "check",
    "differences": "parity",
    "load_sample": "stored",
    "parametrize_with_invariants": "parametrize",
    "replay": "replays",
    "resolve_target": "targets",
    "run": "engine",
    "save_sample": "stored",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"segpaste.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""Hypothesis strategies for dense samples, batches, and whole pastes.

``from segpaste.strategies import dense_samples`` loads Hypothesis;
``segpaste.strategies.scenes``, which turns integers into samples, does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.strategies.banks import bank_batches
    from segpaste.strategies.cases import paste_cases, paste_configs, paste_plans
    from segpaste.strategies.hard_cases import HARD_CASES
    from segpaste.strategies.pastes import PasteCase
    from segpaste.strategies.samples import (
        batches,
        camera_intrinsics,
        dense_samples,
        depth_fields,
        instance_masks,
        normals,
        padded_batches,
        panoptic_schemas,
        semantic_maps,
    )

_HOME = {
    "HARD_CASES": "hard_cases",
    "PasteCase": "pastes",
    "bank_batches": "banks",
    "batches": "samples",
    "camera_intrinsics": "samples",
    "dense_samples": "samples",
    "depth_fields": "samples",
    "instance_masks": "samples",
    "normals": "samples",
    "padded_batches": "samples",
    "panoptic_schemas": "samples",
    "paste_cases": "cases",
    "paste_configs": "cases",
    "paste_plans": "cases",
    "semantic_maps": "samples",
}

__all__ = [
    "HARD_CASES",
    "PasteCase",
    "bank_batches",
    "batches",
    "camera_intrinsics",
    "dense_samples",
    "depth_fields",
    "instance_masks",
    "normals",
    "padded_batches",
    "panoptic_schemas",
    "paste_cases",
    "paste_configs",
    "paste_plans",
    "semantic_maps",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

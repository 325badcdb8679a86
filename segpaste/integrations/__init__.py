"""Readers: COCO instances and panoptic, semantic PNG, RGB-D frames, demo photographs; crops for banks.

Everything is imported on first use, so that importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.integrations.coco_crops import CocoCrops
    from segpaste.integrations.data_set import DataSet
    from segpaste.integrations.errors import DataError
    from segpaste.integrations.folder import load_data
    from segpaste.integrations.photographs import demo_photographs
    from segpaste.integrations.sample_crops import SampleCrops

__all__ = ["CocoCrops", "DataError", "DataSet", "SampleCrops", "demo_photographs", "load_data"]

_HOMES = {
    "CocoCrops": "segpaste.integrations.coco_crops",
    "DataError": "segpaste.integrations.errors",
    "DataSet": "segpaste.integrations.data_set",
    "SampleCrops": "segpaste.integrations.sample_crops",
    "demo_photographs": "segpaste.integrations.photographs",
    "load_data": "segpaste.integrations.folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

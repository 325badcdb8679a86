"""Readers: COCO instances and panoptic, semantic PNG, RGB-D frames, demo photographs.

Everything is imported on first use, so that importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.integrations.data_set import DataSet
    from segpaste.integrations.errors import DataError
    from segpaste.integrations.folder import load_data
    from segpaste.integrations.photographs import demo_photographs

__all__ = ["DataError", "DataSet", "demo_photographs", "load_data"]

_HOMES = {
    "DataError": "segpaste.integrations.errors",
    "DataSet": "segpaste.integrations.data_set",
    "demo_photographs": "segpaste.integrations.photographs",
    "load_data": "segpaste.integrations.folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

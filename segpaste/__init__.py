"""Copy-paste for dense labels, and the laws that prove it right.

Names are imported on first use: pytest's plugin must not load torch into suites that never
use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segpaste.version import VERSION

if TYPE_CHECKING:
    from segpaste.augmentation import (
        BatchCopyPaste,
        BatchedPlacementSampler,
        IntraBatchSource,
        SourceStrategy,
    )
    from segpaste.types import (
        BatchAuditPacket,
        BatchCopyPasteConfig,
        BatchedDenseSample,
        BatchedPlacementConfig,
        CameraIntrinsics,
        DenseSample,
        InstanceMask,
        Modality,
        PaddedBatchedDenseSample,
        PaddingMask,
        PanopticMap,
        PanopticPasteConfig,
        PanopticSchema,
        PanopticSchemaSpec,
        PastePlan,
        SemanticMap,
    )

__version__ = VERSION

__all__ = [
    "BatchAuditPacket",
    "BatchCopyPaste",
    "BatchCopyPasteConfig",
    "BatchedDenseSample",
    "BatchedPlacementConfig",
    "BatchedPlacementSampler",
    "CameraIntrinsics",
    "DenseSample",
    "InstanceMask",
    "IntraBatchSource",
    "Modality",
    "PaddedBatchedDenseSample",
    "PaddingMask",
    "PanopticMap",
    "PanopticPasteConfig",
    "PanopticSchema",
    "PanopticSchemaSpec",
    "PastePlan",
    "SemanticMap",
    "SourceStrategy",
    "__version__",
]

_AUGMENTATION = ("BatchCopyPaste", "BatchedPlacementSampler", "IntraBatchSource", "SourceStrategy")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "augmentation" if name in _AUGMENTATION else "types"
    return getattr(import_module(f"segpaste.{home}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

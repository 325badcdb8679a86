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
        BankSource,
        BatchCopyPaste,
        BatchedPlacementSampler,
        IntraBatchSource,
        SourceStrategy,
    )
    from segpaste.bank import (
        BankBatch,
        BankCrop,
        BankError,
        BankSampler,
        InstanceBank,
        create_bank_dataloader,
        open_bank,
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
    "BankBatch",
    "BankCrop",
    "BankError",
    "BankSampler",
    "BankSource",
    "BatchAuditPacket",
    "BatchCopyPaste",
    "BatchCopyPasteConfig",
    "BatchedDenseSample",
    "BatchedPlacementConfig",
    "BatchedPlacementSampler",
    "CameraIntrinsics",
    "DenseSample",
    "InstanceBank",
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
    "create_bank_dataloader",
    "open_bank",
]

_HOMES = {
    "BankSource": "augmentation",
    "BatchCopyPaste": "augmentation",
    "BatchedPlacementSampler": "augmentation",
    "IntraBatchSource": "augmentation",
    "SourceStrategy": "augmentation",
    "BankBatch": "bank",
    "BankCrop": "bank",
    "BankError": "bank",
    "BankSampler": "bank",
    "InstanceBank": "bank",
    "create_bank_dataloader": "bank",
    "open_bank": "bank",
}
"""Where a name lives that is no type."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"segpaste.{_HOMES.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

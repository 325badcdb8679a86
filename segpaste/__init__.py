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
        CopyPaste,
        CopyPasteCollator,
        FixedSizeCrop,
        Harmonize,
        IntraBatchSource,
        RandomResize,
        SanitizeBoundingBoxes,
        SanitizeInstances,
        SourceStrategy,
        make_large_scale_jittering,
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
    from segpaste.integrations import CocoDetectionV2, CocoPanopticV2, create_coco_dataloader, to_coco
    from segpaste.presets import PresetConfig, get_preset, list_presets, register_preset
    from segpaste.types import (
        BatchAuditPacket,
        BatchCopyPasteConfig,
        BatchedDenseSample,
        BatchedPlacementConfig,
        CameraIntrinsics,
        DenseSample,
        HarmonizeConfig,
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
    "CocoDetectionV2",
    "CocoPanopticV2",
    "CopyPaste",
    "CopyPasteCollator",
    "DenseSample",
    "FixedSizeCrop",
    "Harmonize",
    "HarmonizeConfig",
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
    "PresetConfig",
    "RandomResize",
    "SanitizeBoundingBoxes",
    "SanitizeInstances",
    "SemanticMap",
    "SourceStrategy",
    "__version__",
    "create_bank_dataloader",
    "create_coco_dataloader",
    "get_preset",
    "list_presets",
    "make_large_scale_jittering",
    "open_bank",
    "register_preset",
    "to_coco",
]

_HOMES = {
    "BankSource": "augmentation",
    "BatchCopyPaste": "augmentation",
    "BatchedPlacementSampler": "augmentation",
    "CopyPaste": "augmentation",
    "CopyPasteCollator": "augmentation",
    "FixedSizeCrop": "augmentation",
    "Harmonize": "augmentation",
    "IntraBatchSource": "augmentation",
    "RandomResize": "augmentation",
    "SanitizeBoundingBoxes": "augmentation",
    "SanitizeInstances": "augmentation",
    "SourceStrategy": "augmentation",
    "make_large_scale_jittering": "augmentation",
    "BankBatch": "bank",
    "BankCrop": "bank",
    "BankError": "bank",
    "BankSampler": "bank",
    "InstanceBank": "bank",
    "create_bank_dataloader": "bank",
    "open_bank": "bank",
    "CocoDetectionV2": "integrations",
    "CocoPanopticV2": "integrations",
    "create_coco_dataloader": "integrations",
    "to_coco": "integrations",
    "PresetConfig": "presets",
    "get_preset": "presets",
    "list_presets": "presets",
    "register_preset": "presets",
}
"""Where a name lives that is no type."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"segpaste.{_HOMES.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

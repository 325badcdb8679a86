"""Copy-paste for dense labels, and the laws that prove it right."""

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
from segpaste.version import VERSION

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

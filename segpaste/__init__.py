"""Copy-paste for dense labels, and the laws that prove it right."""

from importlib.metadata import version

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

__version__ = version("segpaste")

__all__ = [
    "BatchAuditPacket",
    "BatchCopyPasteConfig",
    "BatchedDenseSample",
    "BatchedPlacementConfig",
    "CameraIntrinsics",
    "DenseSample",
    "InstanceMask",
    "Modality",
    "PaddedBatchedDenseSample",
    "PaddingMask",
    "PanopticMap",
    "PanopticPasteConfig",
    "PanopticSchema",
    "PanopticSchemaSpec",
    "PastePlan",
    "SemanticMap",
    "__version__",
]

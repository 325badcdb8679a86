"""Containers, schemas and configuration: what every other part of segpaste speaks."""

from segpaste.types.audit import BatchAuditPacket, PasteThresholds
from segpaste.types.batch_leaves import register_batches
from segpaste.types.batched_dense_sample import BatchedDenseSample
from segpaste.types.camera import CameraIntrinsics
from segpaste.types.config import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    HarmonizeConfig,
    PanopticPasteConfig,
    to_q16,
)
from segpaste.types.dense_sample import DenseSample, xyxy
from segpaste.types.geometric_kernels import register_kernels
from segpaste.types.leaves import register_node
from segpaste.types.modality import LEGAL_MODALITY_SETS, Modality, modality_set_name
from segpaste.types.padded_batched_dense_sample import PaddedBatchedDenseSample
from segpaste.types.plan import PastePlan
from segpaste.types.schema import (
    PanopticSchema,
    PanopticSchemaSpec,
    check_against_schema,
    classes_of_kind,
)
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap

__all__ = [
    "LEGAL_MODALITY_SETS",
    "BatchAuditPacket",
    "BatchCopyPasteConfig",
    "BatchedDenseSample",
    "BatchedPlacementConfig",
    "CameraIntrinsics",
    "DenseSample",
    "HarmonizeConfig",
    "InstanceMask",
    "Modality",
    "PaddedBatchedDenseSample",
    "PaddingMask",
    "PanopticMap",
    "PanopticPasteConfig",
    "PanopticSchema",
    "PanopticSchemaSpec",
    "PastePlan",
    "PasteThresholds",
    "SemanticMap",
    "check_against_schema",
    "classes_of_kind",
    "modality_set_name",
    "to_q16",
    "xyxy",
]

# torchvision hands on what it does not know: before anybody has a sample, it must know them.
register_node(DenseSample)
register_kernels()
register_batches()

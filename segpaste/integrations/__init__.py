"""What other tools speak: COCO read and written, folders of data, Hugging Face, Lightning, detection lists.

Everything is imported on first use, so that importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.integrations.coco_crops import CocoCrops
    from segpaste.integrations.coco_datasets import CocoDetectionV2, CocoPanopticV2
    from segpaste.integrations.coco_export import CocoExport, to_coco
    from segpaste.integrations.coco_loader import create_coco_dataloader
    from segpaste.integrations.collate import make_segpaste_collate_fn
    from segpaste.integrations.data_set import DataSet
    from segpaste.integrations.detection import from_detection_format, to_detection_format
    from segpaste.integrations.errors import DataError
    from segpaste.integrations.folder import load_data
    from segpaste.integrations.huggingface import (
        contiguous_classes,
        from_hf_format,
        id2label,
        make_hf_collate_fn,
        to_hf_batch,
        to_hf_format,
    )
    from segpaste.integrations.lightning import make_segpaste_datamodule
    from segpaste.integrations.photographs import demo_photographs
    from segpaste.integrations.sample_crops import SampleCrops

__all__ = [
    "CocoCrops",
    "CocoDetectionV2",
    "CocoExport",
    "CocoPanopticV2",
    "DataError",
    "DataSet",
    "SampleCrops",
    "contiguous_classes",
    "create_coco_dataloader",
    "demo_photographs",
    "from_detection_format",
    "from_hf_format",
    "id2label",
    "load_data",
    "make_hf_collate_fn",
    "make_segpaste_collate_fn",
    "make_segpaste_datamodule",
    "to_coco",
    "to_detection_format",
    "to_hf_batch",
    "to_hf_format",
]

_HOMES = {
    "CocoCrops": "segpaste.integrations.coco_crops",
    "CocoDetectionV2": "segpaste.integrations.coco_datasets",
    "CocoExport": "segpaste.integrations.coco_export",
    "CocoPanopticV2": "segpaste.integrations.coco_datasets",
    "DataError": "segpaste.integrations.errors",
    "DataSet": "segpaste.integrations.data_set",
    "SampleCrops": "segpaste.integrations.sample_crops",
    "contiguous_classes": "segpaste.integrations.huggingface",
    "create_coco_dataloader": "segpaste.integrations.coco_loader",
    "demo_photographs": "segpaste.integrations.photographs",
    "from_detection_format": "segpaste.integrations.detection",
    "from_hf_format": "segpaste.integrations.huggingface",
    "id2label": "segpaste.integrations.huggingface",
    "load_data": "segpaste.integrations.folder",
    "make_hf_collate_fn": "segpaste.integrations.huggingface",
    "make_segpaste_collate_fn": "segpaste.integrations.collate",
    "make_segpaste_datamodule": "segpaste.integrations.lightning",
    "to_coco": "segpaste.integrations.coco_export",
    "to_detection_format": "segpaste.integrations.detection",
    "to_hf_batch": "segpaste.integrations.huggingface",
    "to_hf_format": "segpaste.integrations.huggingface",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The names users may rely on, and that each of them says what it is."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest

import segpaste

SURFACE: dict[str, set[str]] = {
    "segpaste": {
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
    },
    "segpaste.augmentation": {
        "BankSource",
        "BatchCopyPaste",
        "BatchedPlacementSampler",
        "CopyPaste",
        "CopyPasteCollator",
        "CopyPasteLoader",
        "FixedSizeCrop",
        "Harmonize",
        "IntraBatchSource",
        "RandomResize",
        "SanitizeBoundingBoxes",
        "SanitizeInstances",
        "SourceStrategy",
        "make_large_scale_jittering",
    },
    "segpaste.bank": {
        "BankBatch",
        "BankCrop",
        "BankDataLoader",
        "BankError",
        "BankSampler",
        "CropProvenance",
        "InstanceBank",
        "LMDBBank",
        "MemmapBank",
        "WebDatasetBank",
        "build_bank",
        "collate_bank",
        "convert_bank",
        "create_bank_dataloader",
        "open_bank",
        "verify_bank",
        "write_bank",
    },
    "segpaste.types": {
        "BatchAuditPacket",
        "BatchCopyPasteConfig",
        "BatchedDenseSample",
        "BatchedPlacementConfig",
        "CameraIntrinsics",
        "DenseSample",
        "HarmonizeConfig",
        "InstanceMask",
        "LEGAL_MODALITY_SETS",
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
    },
    "segpaste.paste": {
        "ReplayRecord",
        "apply",
        "apply_reference",
        "apply_with_audit",
        "check_out",
        "check_plan",
        "check_views",
        "choose_executor",
        "derive_seed",
        "draw_plan",
        "eligible_slots",
        "philox4x32",
        "philox_words",
        "replay",
    },
    "segpaste.invariants": {
        "InvariantReport",
        "InvariantViolation",
        "LAWS",
        "LAW_MODULES",
        "Law",
        "MetamorphicCase",
        "Trace",
        "assert_metamorphic",
        "assert_paste",
        "assert_sample",
        "check_metamorphic",
        "check_moved_sample",
        "check_padded",
        "check_paste",
        "check_provenance",
        "check_sample",
        "check_transform",
        "get_law",
        "laws",
        "provenance_pairs",
        "read_trace",
    },
    "segpaste.strategies": {
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
    },
    "segpaste.testing": {
        "AugmentationViolation",
        "Difference",
        "Event",
        "MinimalCase",
        "ParityError",
        "Replayed",
        "Result",
        "RunOptions",
        "RunReport",
        "StillFailingError",
        "StoredFileError",
        "TargetNotFoundError",
        "TargetReport",
        "assert_same_bits",
        "check_augmentation",
        "differences",
        "load_sample",
        "parametrize_with_invariants",
        "replay",
        "resolve_target",
        "run",
        "save_sample",
    },
    "segpaste.testing.adapters": {
        "Accepts",
        "Adapted",
        "Adapter",
        "AlbumentationsTransform",
        "Complaint",
        "KorniaAugmentation",
        "MMDetectionTransform",
        "TorchvisionTransform",
        "UltralyticsTransform",
        "UnreadableResultError",
        "adapt",
    },
    "segpaste.presets": {
        "BankDonorsConfig",
        "LargeScaleJitterConfig",
        "PresetConfig",
        "SignOff",
        "get_preset",
        "list_presets",
        "register_preset",
    },
    "segpaste.integrations": {
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
    },
}
PACKAGES = sorted(SURFACE)
DOCUMENTED = [*PACKAGES, "segpaste.viz"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_public_names_are_these_and_no_others(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) == SURFACE[package]
    assert len(module.__all__) == len(SURFACE[package])
    for name in module.__all__:
        assert hasattr(module, name), name


def test_the_version_stands_in_one_place() -> None:
    assert segpaste.__version__ == version("segpaste")


def _undocumented(name: str, value: Any) -> list[str]:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return []
    missing = [] if (inspect.getdoc(value) or "").strip() else [name]
    if inspect.isclass(value):
        for member, attribute in vars(value).items():
            public = not member.startswith("_")
            method = inspect.isfunction(attribute) or isinstance(
                attribute, property | classmethod | staticmethod
            )
            if public and method and not inspect.getdoc(getattr(value, member)):
                missing.append(f"{name}.{member}")
    return missing


@pytest.mark.parametrize("package", DOCUMENTED)
def test_every_public_name_has_a_docstring(package: str) -> None:
    module = importlib.import_module(package)
    assert (module.__doc__ or "").strip(), package
    assert module.__all__
    missing = []
    for name in module.__all__:
        missing += _undocumented(name, getattr(module, name))
    assert missing == []


def test_what_looks_for_docstrings_finds_their_absence() -> None:
    class Bare:
        def method(self) -> None: ...

    assert _undocumented("Bare", Bare) == ["Bare", "Bare.method"]

"""What stands in a training loop: the batched copy-paste, its sources, a wrapped loader."""

from segpaste.augmentation.bank_source import BankSource
from segpaste.augmentation.batch_copy_paste import BatchCopyPaste
from segpaste.augmentation.copy_paste import CopyPaste, CopyPasteCollator
from segpaste.augmentation.harmonize import Harmonize
from segpaste.augmentation.loader import CopyPasteLoader
from segpaste.augmentation.lsj import FixedSizeCrop, RandomResize, make_large_scale_jittering
from segpaste.augmentation.sanitize import SanitizeBoundingBoxes, SanitizeInstances
from segpaste.augmentation.sources import BatchedPlacementSampler, IntraBatchSource, SourceStrategy

__all__ = [
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
]

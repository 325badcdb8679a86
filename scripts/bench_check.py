"""How long ``check_augmentation`` takes with its default budget, on one core.

    python scripts/bench_check.py

Prints seconds of processor time, shrinking of what is broken included. The table of
docs/check-augmentation.md was made with it. Libraries that are not installed are left out.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from rich.console import Console
from rich.table import Table

from segpaste.testing import check_augmentation
from tests.faults.transforms import darker, masks_stay, mirrored
from tests.faults_five import stale_boxes
from tests.testing.augmentations import Correct
from tests.testing.transforms import side_by_side

CASES: tuple[tuple[str, Any, dict[str, Any]], ...] = (
    ("a flip", mirrored, {"kind": "geometric"}),
    ("a mosaic", side_by_side, {"kind": "geometric", "modalities": ["instance+semantic"]}),
    ("a change of colours", darker, {"kind": "photometric"}),
    ("a flip that leaves masks and boxes", masks_stay, {"kind": "geometric"}),
    ("a paste", Correct(), {}),
    ("a paste that leaves boxes", stale_boxes, {}),
    ("torchvision RandomHorizontalFlip", "torchvision.transforms.v2:RandomHorizontalFlip(p=1.0)", {}),
    ("torchvision ColorJitter", "torchvision.transforms.v2:ColorJitter(0.3, 0.3)", {}),
    ("torchvision RandomRotation", "torchvision.transforms.v2:RandomRotation(30)", {}),
    ("AlbumentationsX CopyAndPaste", "albumentations:CopyAndPaste(p=1.0)", {}),
    ("MMDetection CopyPaste", "mmdet.datasets.transforms:CopyPaste()", {}),
    ("Ultralytics CopyPaste", "ultralytics.data.augment:CopyPaste(p=1.0)", {}),
)


def main() -> int:
    """Measure and print."""
    torch.set_num_threads(1)
    table = Table("augmentation", "laws", "broken", "seconds")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEGPASTE_REPLAYS"] = folder
        check_augmentation(mirrored, kind="geometric", examples=5)  # what is compiled once
        for name, augmentation, options in CASES:
            if isinstance(augmentation, str) and find_spec(re.split("[.:]", augmentation)[0]) is None:
                continue
            started = time.process_time()
            results = check_augmentation(augmentation, on_fail="record", **options)
            seconds = time.process_time() - started
            broken = sum(result.status == "failed" for result in results)
            table.add_row(name, str(len(results)), str(broken), f"{seconds:.0f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

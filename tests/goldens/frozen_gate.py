"""What the frozen tests of CPU and GPU share."""

from __future__ import annotations

from pathlib import Path

import pytest

from segpaste.goldens.cases import DtypeName
from segpaste.goldens.check import Mismatch, report
from segpaste.goldens.pictures import write_pictures

PICTURES = Path("goldens-report")

THROUGH_INDUCTOR: list[tuple[str, DtypeName]] = [
    ("instance", "uint8"),
    ("semantic", "float32"),
    ("instance+depth+normals", "uint8"),
    ("instance+semantic+panoptic+depth+normals", "float32"),
]


def expect_nothing(found: list[Mismatch]) -> None:
    """Fail with what differs, where, and where the pictures are."""
    if found:
        pytest.fail(report(found, write_pictures(found, PICTURES)), pytrace=False)

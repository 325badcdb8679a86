"""Every mistake in a transform is found, by the law it names, within the first hundred examples."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest

from segpaste.testing import check_augmentation
from tests.faults.transforms import TRANSFORM_FAULTS, Transform, cropped, darker, mirrored, shifted
from tests.faults.transforms_campaign import SOON, first_found

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("name", TRANSFORM_FAULTS)
def test_the_law_it_names_finds_it_soon(name: str) -> None:
    found = first_found(TRANSFORM_FAULTS[name], 0)
    assert found is not None
    assert found <= SOON


@pytest.mark.parametrize("transform", [mirrored, cropped, shifted])
def test_right_transforms_break_no_law(transform: Transform) -> None:
    check_augmentation(transform, kind="geometric")


def test_a_right_change_of_colours_breaks_no_law() -> None:
    check_augmentation(darker, kind="photometric")


def test_the_page_for_users_says_what_was_measured() -> None:
    figures = json.loads((ROOT / "docs" / "proof.json").read_text("utf-8"))
    page = " ".join((ROOT / "docs" / "check-augmentation.md").read_text("utf-8").split())
    numbers = [number for run in figures["transforms"].values() for number in run.values()]
    assert f"Of {len(figures['transforms'])} flips, crops, shifts and changes of colours" in page
    assert f"at the {median(numbers):g}rd example in the median, at the {max(numbers)}th at worst" in page
    alarms = [min(fault["kills"].values()) + 1 for fault in figures["faults"].values()]
    soon = sum(number <= SOON for number in alarms)
    assert f"Of {len(alarms)} pastes with one mistake, {soon} are found within the first {SOON}" in page
    assert f"at the {median(alarms):g}th in the median and the {max(alarms)}th at worst" in page

"""Every mistake in a transform is found, by the law it names, within the first hundred examples."""

from __future__ import annotations

import pytest

from segpaste.testing import check_augmentation
from tests.faults.transforms import TRANSFORM_FAULTS, Transform, cropped, darker, mirrored, shifted
from tests.faults.transforms_campaign import SOON, first_found


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

"""Small augmentations to run the runner on: correct, odd and wrong ones."""

from __future__ import annotations

import sys
from typing import Any

from segpaste.types import DenseSample, Modality
from tests.faults_five import correct


class Correct:
    """A correct augmentation as a class, as many libraries have them."""

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        """Paste with the default configuration; no audit."""
        return correct(target, donor, seed)[0]


class NeedsArguments:
    """Cannot be made without arguments."""

    def __init__(self, probability: float) -> None:
        self.probability = probability


def identity(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Pastes nothing."""
    return target


def raises_with_rows(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Stumbles over a target with two rows or more."""
    if len(target) >= 2:
        raise IndexError("row 1 is out of range\nand more that nobody needs to see")
    return target


def returns_a_dict(target: DenseSample, donor: DenseSample, seed: int) -> Any:
    """Forgets to make a sample of its result."""
    return target.to_dict()


def returns_three(target: DenseSample, donor: DenseSample, seed: int) -> Any:
    """Returns more than anybody asked for."""
    return target, donor, seed


def writes_to_its_input(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Works in place."""
    target.image.add_(1)
    return target


def raises_on_panoptic(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Knows no panoptic maps."""
    if Modality.PANOPTIC in target.active_modalities():
        raise NotImplementedError
    return target


def gives_up(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Leaves the program as if all were well."""
    sys.exit(0)


def stumbles_inside_segpaste(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
    """Hands something to segpaste that it refuses."""
    fields = target.to_dict()
    fields["image"] = None
    return DenseSample(**fields)


not_callable = 3

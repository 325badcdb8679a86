"""What an adapter is: another library's augmentation behind ``(target, donor, seed)``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch

from segpaste.types import DenseSample, Modality

AugmentationKind = Literal["paste", "geometric", "photometric"]
"""What an augmentation does: pastes a donor in; moves pixels; changes colours only."""

ROWS_ALIGNED = "target.rows_aligned"
DTYPE_KEPT = "target.dtype_kept"


@dataclass(frozen=True)
class Accepts:
    """What an augmentation can be given; examples are drawn within it.

    Attributes:
        modalities: what it carries along, the image always. Sets of modalities that a paste
            works on and that lie within are drawn from.
        image_dtypes: ``torch.uint8``, ``torch.float32`` or both.
        channels: numbers of image channels.
        min_side, max_side: least and greatest height and width in pixels.
        min_instances: fewest objects of a drawn sample.
    """

    modalities: frozenset[Modality] = frozenset(Modality)
    image_dtypes: tuple[torch.dtype, ...] = (torch.uint8, torch.float32)
    channels: tuple[int, ...] = (3,)
    min_side: int = 1
    max_side: int = 24
    min_instances: int = 0


@dataclass(frozen=True)
class Complaint:
    """Something that the adapter saw in the library's result and that no sample can hold.

    Attributes:
        law: :data:`ROWS_ALIGNED` or :data:`DTYPE_KEPT`.
        message: what was found and what was expected, with numbers.
    """

    law: str
    message: str


@dataclass(frozen=True)
class Adapted:
    """A result with complaints about what had to be put right to make a sample of it."""

    sample: DenseSample
    complaints: tuple[Complaint, ...] = ()


class UnreadableResultError(Exception):
    """The library's result cannot be made into a sample at all; ``complaint`` says why."""

    def __init__(self, complaint: Complaint) -> None:
        self.complaint = complaint
        super().__init__(complaint.message)


class Adapter(ABC):
    """Another library's augmentation as a callable ``(target, donor, seed) -> sample``.

    A call converts target and donor into what the library takes, seeds the generators that
    the library says it draws from (and puts them back afterwards), calls it, and converts
    the result back. Nothing is repaired on the way: values that :class:`DenseSample` refuses
    come back in ``DenseSample.unchecked``, for the laws to judge.

    Attributes:
        name: what reports call it.
        kind: what the augmentation does.
        accepts: what it can be given.
        mixes: whether the donor takes part; pictures of violations show it only then.
    """

    name: str
    kind: AugmentationKind
    accepts: Accepts
    mixes: bool = True

    @abstractmethod
    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> DenseSample | Adapted:
        """Run the augmentation on samples that it may keep or write to."""

    def prepare(self, sample: DenseSample) -> DenseSample:
        """What of a drawn sample the library can represent; done before a run, not within it.

        All of it by default. A library that holds masks as polygons, say, has no word for a
        mask with a hole: such a mask is replaced by one it can hold, so that what is judged is
        the augmentation.
        """
        return sample

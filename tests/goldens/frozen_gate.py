"""What the frozen tests of CPU and GPU share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segpaste.goldens.cases import DtypeName, FrozenCase
from segpaste.goldens.check import Mismatch, compare, report
from segpaste.goldens.digests import Outcome
from segpaste.goldens.pictures import write_pictures
from segpaste.goldens.store import FrozenStore
from segpaste.invariants.bits import bits

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


def flipped(value: torch.Tensor, place: int, bit: int) -> torch.Tensor:
    """A copy with one bit of one element changed."""
    changed = value.as_subclass(torch.Tensor).clone().contiguous()
    flat = bits(changed).view(-1)
    if flat.dtype == torch.bool:
        flat[place] = ~flat[place]
    else:
        one = torch.tensor(1, dtype=flat.dtype) << bit
        flat[place] ^= one
    return changed


def expect_every_flip_to_show(one: FrozenCase, outcome: Outcome, name: str, folder: Path) -> None:
    """Flip one bit of each field of a result in turn; the gate must name the field, the place and draw it.

    Args:
        one: the case.
        outcome: what an executor made of it; right.
        name: of the executor.
        folder: for the pictures.
    """
    expect_nothing(compare([one], [outcome], store=FrozenStore(), name=name))
    for field, value in outcome.items():
        place = value.numel() - 2
        index = [int(i) for i in torch.unravel_index(torch.tensor(place), value.shape)]
        changed = {**outcome, field: flipped(value, place, 0)}
        found = compare([one], [changed], store=FrozenStore(), name=name)
        lines = write_pictures(found, folder / field)
        drawn = [path.read_bytes()[:4] for path in (folder / field).iterdir()]
        text = report(found, lines)
        if [m.field for m in found] != [field] or drawn != [b"\x89PNG"] or f", at {index}; " not in text:
            pytest.fail(f"{name}: one bit of {field} was flipped at {index}, but the gate said:\n{text}")

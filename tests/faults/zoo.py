"""All faults by name."""

from __future__ import annotations

from types import ModuleType

from segpaste.testing.targets import Augmentation
from segpaste.types import Modality
from tests import faults_five
from tests.faults import (
    edges,
    from_the_specification,
    gate_and_union,
    painting,
    rows,
    selection_and_grid,
    several_runs,
    warped_values,
    without_audit,
)
from tests.faults.fault import Fault, described

SUBJECTS: dict[str, ModuleType] = {
    "Written from the specification alone": from_the_specification,
    "What is pasted, and where a pixel looks": selection_and_grid,
    "Values that are warped": warped_values,
    "Gate, winner, paste union": gate_and_union,
    "What is written inside the union, and outside": painting,
    "Rows and void": rows,
    "Edges, and what the audit tells": edges,
    "What one run does not show": several_runs,
    "Two samples in, one out, and no audit": without_audit,
}
"""The modules of the zoo, by their headings."""


def _of(module: ModuleType) -> list[Fault]:
    return [value for value in vars(module).values() if isinstance(value, Fault)]


_FIVE = [
    Fault(
        name=name,
        mistake=described(member.augment),
        seen="seen in the wild",
        laws=(member.law,),
        needs=frozenset({Modality.INSTANCE} if member.law.startswith("instance") else ()),
        target=Augmentation(name, member.augment, True, None),
    )
    for name, member in faults_five.FAULTS.items()
]

BLIND: tuple[str, ...] = tuple(f.name for f in _of(from_the_specification))
"""The names of those that were written before their author had seen a law."""

BY_SUBJECT: dict[str, list[Fault]] = {
    "Two samples in, a sample and an audit out": _FIVE,
    **{heading: _of(module) for heading, module in SUBJECTS.items()},
}

ZOO: dict[str, Fault] = {f.name: f for faults in BY_SUBJECT.values() for f in faults}
"""Every fault by its name."""

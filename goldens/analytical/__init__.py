"""Analytical goldens: tiny pastes whose right answer was worked out by hand.

Each file has one subject. A case shows one clause of the specification of a paste (the numbers
4.0 to 4.11 are its clauses), derives the answer in its docstring, and states every field of the
output as text that can be checked with pencil and paper.
"""

from __future__ import annotations

from segpaste.goldens.analytical import classmix as classmix
from segpaste.goldens.analytical import depth as depth
from segpaste.goldens.analytical import edges as edges
from segpaste.goldens.analytical import gate as gate
from segpaste.goldens.analytical import ids as ids
from segpaste.goldens.analytical import normals as normals
from segpaste.goldens.analytical import overlap as overlap
from segpaste.goldens.analytical import rows as rows
from segpaste.goldens.analytical import scaling as scaling
from segpaste.goldens.analytical import stuff as stuff
from segpaste.goldens.analytical.cases import WRITTEN, AnalyticalCase, PasteInputs, read_case

__all__ = ["AnalyticalCase", "PasteInputs", "analytical_cases", "case_names", "read_case"]


def analytical_cases() -> list[AnalyticalCase]:
    """Every case, in fresh tensors, in the order of files and functions.

    An implementation of the paste reproduces them if for each one
    ``apply(case.inputs.target, case.inputs.source, case.inputs.plan, case.inputs.config)``
    equals ``case.expected`` in every bit of every field.
    """
    return [read_case(name) for name in WRITTEN]


def case_names() -> list[str]:
    """The names of all cases, ``subject.what_is_shown``; :func:`read_case` reads one."""
    return list(WRITTEN)

"""Pastes whose right result is known: worked out by hand, or frozen.

:mod:`segpaste.goldens.analytical` holds the ones that were worked out by hand. Here is the
gate of the frozen ones: 200 seeds of every modality set and image dtype.
"""

from __future__ import annotations

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, FrozenCase, frozen_cases
from segpaste.goldens.check import Mismatch, check_executor, report
from segpaste.goldens.pictures import write_pictures
from segpaste.goldens.store import FrozenStore

__all__ = [
    "DTYPES",
    "KINDS",
    "SEEDS",
    "FrozenCase",
    "FrozenStore",
    "Mismatch",
    "check_executor",
    "frozen_cases",
    "report",
    "write_pictures",
]

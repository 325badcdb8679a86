"""The laws of dense-label augmentation: predicates, their registry, their reports."""

from segpaste.invariants.check import assert_sample, check_padded, check_sample
from segpaste.invariants.registry import LAWS, Law, get_law, laws
from segpaste.invariants.report import InvariantReport, InvariantViolation

__all__ = [
    "LAWS",
    "InvariantReport",
    "InvariantViolation",
    "Law",
    "assert_sample",
    "check_padded",
    "check_sample",
    "get_law",
    "laws",
]

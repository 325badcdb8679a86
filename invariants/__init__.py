"""The laws of dense-label augmentation: predicates, their registry, their reports."""

from segpaste.invariants.catalogue import LAW_MODULES
from segpaste.invariants.check import (
    assert_metamorphic,
    assert_paste,
    assert_sample,
    check_metamorphic,
    check_moved_sample,
    check_padded,
    check_paste,
    check_provenance,
    check_sample,
    check_transform,
)
from segpaste.invariants.metamorphic_case import MetamorphicCase
from segpaste.invariants.provenance import Trace, provenance_pairs, read_trace
from segpaste.invariants.registry import LAWS, Law, get_law, laws
from segpaste.invariants.report import InvariantReport, InvariantViolation

__all__ = [
    "LAWS",
    "LAW_MODULES",
    "InvariantReport",
    "InvariantViolation",
    "Law",
    "MetamorphicCase",
    "Trace",
    "assert_metamorphic",
    "assert_paste",
    "assert_sample",
    "check_metamorphic",
    "check_moved_sample",
    "check_padded",
    "check_paste",
    "check_provenance",
    "check_sample",
    "check_transform",
    "get_law",
    "laws",
    "provenance_pairs",
    "read_trace",
]

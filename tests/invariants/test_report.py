"""What a report says, and how."""

from __future__ import annotations

import torch

from segpaste.invariants import InvariantReport, InvariantViolation
from segpaste.invariants.report import HELD, by_pixels, by_rows, first_pixel, violated


def test_message_grammar() -> None:
    report = InvariantReport("instance.x", "violated", "row 1: box (3, 4, 9, 9)", rows=(1,), sample=2)
    assert str(report) == "[instance.x] sample 2, row 1: box (3, 4, 9, 9)"
    assert str(InvariantReport("instance.x", "not_exercised")) == "[instance.x] not exercised"
    assert InvariantReport("a.b", "held").ok
    assert not report.ok


def test_pixels_are_counted_and_the_first_is_named() -> None:
    mask = torch.zeros(3, 4, dtype=torch.bool)
    assert by_pixels(mask, "no") is HELD
    mask[1, 2] = mask[2, 0] = True
    assert first_pixel(mask) == (2, 1)
    found = by_pixels(mask, "wrong")
    assert found.message == "2 of 12 pixels: wrong; first at (x, y) = (2, 1)"
    assert found.count == 2
    assert found.mask is mask


def test_rows_are_named() -> None:
    assert by_rows([], []) is HELD
    assert by_rows([3], ["bad"]).message == "row 3: bad"
    found = by_rows([3, 5, 6], ["bad", "worse", "worst"])
    assert found.message == "row 3: bad (and 2 more rows)"
    assert (found.rows, found.count) == ((3, 5, 6), 3)


def test_a_violation_carries_all_reports() -> None:
    reports = [InvariantReport(f"a.{n}", violated("x").status, "x") for n in "bc"]
    error = InvariantViolation(reports)
    assert str(error) == "[a.b] x\n[a.c] x"
    assert error.reports == tuple(reports)

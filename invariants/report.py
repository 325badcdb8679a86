"""What a law says of one sample: held, violated, or why it could not be judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

Status = Literal["held", "violated", "not_exercised", "not_decidable", "not_applicable"]


@dataclass(frozen=True, slots=True)
class InvariantReport:
    """The verdict of one law on one sample.

    Attributes:
        name: dotted name of the law.
        status: ``"held"``; ``"violated"``; ``"not_exercised"`` when the premise never
            held (nothing was pasted, say); ``"not_decidable"`` when what would decide
            is unknown (no audit); ``"not_applicable"`` when the sample lacks what the
            law speaks of.
        message: what was found and what was expected, with numbers; the reason, for
            every status but ``"held"``.
        count: number of offending pixels or rows.
        mask: ``[H, W]`` bool, the offending pixels, where pixels offend.
        rows: the offending rows (slots of the output), where rows offend.
        sample: index of the sample in its batch, if it was judged as part of one.
    """

    name: str
    status: Status
    message: str = ""
    count: int = 0
    mask: torch.Tensor | None = field(default=None, repr=False, compare=False)
    rows: tuple[int, ...] = ()
    sample: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the law was not violated. A law that was not judged is ok, not held."""
        return self.status != "violated"

    def __str__(self) -> str:
        where = "" if self.sample is None else f"sample {self.sample}, "
        return f"[{self.name}] {where}{self.message or self.status.replace('_', ' ')}"


class InvariantViolation(AssertionError):  # noqa: N818  the name says what it is: no error of the program
    """One or more laws are violated; one line each.

    Attributes:
        reports: the reports of the violated laws.
    """

    def __init__(self, reports: Sequence[InvariantReport]) -> None:
        self.reports = tuple(reports)
        super().__init__("\n".join(str(report) for report in self.reports))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a predicate returns; the registry makes an :class:`InvariantReport` of it."""

    status: Status
    message: str = ""
    count: int = 0
    mask: torch.Tensor | None = None
    rows: tuple[int, ...] = ()


HELD = Finding("held")


def not_exercised(reason: str) -> Finding:
    """The premise never held."""
    return Finding("not_exercised", reason)


def not_decidable(reason: str) -> Finding:
    """What would decide is unknown."""
    return Finding("not_decidable", reason)


def not_applicable(reason: str) -> Finding:
    """The sample lacks what the law speaks of."""
    return Finding("not_applicable", reason)


def violated(message: str) -> Finding:
    """A violation that is no matter of single pixels or rows."""
    return Finding("violated", message, count=1)


def exercised(finding: Finding, premise: bool, reason: str) -> Finding:
    """The finding; but if it is not violated and its premise never held: not exercised."""
    return finding if finding.status == "violated" or premise else not_exercised(reason)


def by_pixels(offending: torch.Tensor, what: str) -> Finding:
    """Held if no pixel of ``offending`` (``[H, W]`` bool) is set, else violated there.

    Args:
        offending: the offending pixels.
        what: says what is wrong there and what was expected; the message adds how many
            pixels of how many and the first of them.
    """
    count = int(torch.count_nonzero(offending))
    if count == 0:
        return HELD
    x, y = first_pixel(offending)
    message = f"{count} of {offending.numel()} pixels: {what}; first at (x, y) = ({x}, {y})"
    return Finding("violated", message, count=count, mask=offending)


def by_rows(rows: Iterable[int], messages: Iterable[str], mask: torch.Tensor | None = None) -> Finding:
    """Held if ``rows`` is empty, else violated by them; one message a row, the first is shown."""
    offending = list(rows)
    if not offending:
        return HELD
    first = next(iter(messages))
    more = f" (and {len(offending) - 1} more rows)" if len(offending) > 1 else ""
    return Finding(
        "violated",
        f"row {offending[0]}: {first}{more}",
        count=len(offending),
        mask=mask,
        rows=tuple(offending),
    )


def first_pixel(mask: torch.Tensor) -> tuple[int, int]:
    """(x, y) of the first set pixel of ``[H, W]``, in reading order."""
    index = int(mask.flatten().to(torch.uint8).argmax())
    return index % mask.shape[1], index // mask.shape[1]

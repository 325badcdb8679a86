"""A bank that is opened for a command, its classes by name or id, and their table."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from segpaste.cli.app import UsageError
from segpaste.cli.words import plural, printable

if TYPE_CHECKING:
    from segpaste.bank.meta import BankHead
    from segpaste.bank.sampler import BankSampler
    from segpaste.bank.stored_bank import StoredBank

_WIDTH = 100
_SHORT = 30  # classes that are listed unasked

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class ClassRow:
    """One class of a bank: what ``info`` lists."""

    class_id: int
    name: str
    crops: int
    share: float
    repeat_factor: float


def opened(path: Path, option: str = "BANK") -> StoredBank:
    """The bank at ``path``.

    Raises:
        UsageError: naming ``option`` and what is wrong with it.
    """
    from segpaste.bank import open_bank
    from segpaste.bank.errors import BankError

    try:
        return open_bank(path)
    except BankError as error:
        raise UsageError(f"{option}: {error}") from None


def class_ids(head: BankHead, counts: Sequence[int], option: str, wanted: Sequence[str]) -> list[int]:
    """The ids of classes given by name or id.

    Args:
        head: the bank's.
        counts: crops of each class id.
        option: named in the error.
        wanted: names or ids; what is both is an id.

    Raises:
        UsageError: naming the first that no crop of the bank has.
    """
    present = [c for c in range(len(counts)) if counts[c]]
    found: list[int] = []
    for text in wanted:
        ids = [int(text)] if text.isascii() and text.isdecimal() and len(text) <= 18 else []
        ids = [c for c in ids if c < len(counts)] or [c for c, n in head.class_names.items() if n == text]
        if not ids:
            names = [head.class_names[c] for c in present if c in head.class_names]
            near = difflib.get_close_matches(text, names, 1)
            such = near or names[:1] or [str(c) for c in present[:1]]
            hint = f", such as {such[0]!r}" if such else ""
            raise UsageError(
                f"{option}: got {text!r}, expected the name or id of one of the "
                f"{len(present)} classes with crops{hint}"
            )
        if not any(counts[c] for c in ids):
            raise UsageError(f"{option}: got {text!r}, a class of which this bank has no crop")
        found += [c for c in ids if counts[c] and c not in found]
    return found


def name_of(head: BankHead, class_id: int) -> str:
    """A class's name, safe to print; ``class 7`` where it has none."""
    name = head.class_names.get(class_id)
    return f"class {class_id}" if name is None else printable(name)


def class_rows(bank: StoredBank, threshold: float) -> list[ClassRow]:
    """The classes that have crops, most first."""
    if len(bank) == 0:
        return []
    factors = sampler_of(bank, threshold).repeat_factors.tolist()
    rows = [
        ClassRow(c, name_of(bank.head, c), n, n / len(bank), factors[c])
        for c, n in enumerate(bank.class_frequencies.tolist())
        if n
    ]
    return sorted(rows, key=lambda row: (-row.crops, row.class_id))


def sampler_of(
    bank: StoredBank, threshold: float, *, num_samples: int | None = None, seed: int = 0
) -> BankSampler:
    """The sampler of training with these options, for one process.

    Raises:
        UsageError: naming the option that is out of range.
    """
    from segpaste.bank import BankSampler

    try:
        # One process, also where the environment speaks of several.
        return BankSampler(
            bank, threshold=threshold, num_samples=num_samples, seed=seed, num_replicas=1, rank=0
        )
    except ValueError as error:
        names = {"num_samples": "count"}
        name, rest = str(error).split(":", 1)
        raise UsageError(f"--{names.get(name, name)}:{rest}") from None


def print_rows(
    columns: Sequence[str],
    rows: Sequence[_Row],
    cells: Callable[[_Row], Sequence[str]],
    top: int | None,
    rare: int | None,
) -> None:
    """Print a table of classes, most crops first.

    Args:
        columns: titles; one that begins with ``>`` is set to the right.
        rows: all classes.
        cells: a row as text.
        top: how many of the first are listed; by default all, or some where there are many.
        rare: how many of the last, likewise.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if top is None and rare is None:
        top, rare = (len(rows), 0) if len(rows) <= _SHORT else (_SHORT * 2 // 3, _SHORT // 3)
    first = min(top or 0, len(rows))
    last = min(rare or 0, len(rows) - first)
    hidden = len(rows) - first - last
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in columns:
        right = title.startswith(">")
        table.add_column(title.lstrip(">"), justify="right" if right else "left", no_wrap=title != "class")
    for row in rows[:first]:
        table.add_row(*map(Text, cells(row)))
    if hidden:
        table.add_row(Text(f"({plural(hidden, 'more class')})"), style="dim")
    for row in rows[len(rows) - last :]:
        table.add_row(*map(Text, cells(row)))
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDTH)
    print()
    console.print(table)

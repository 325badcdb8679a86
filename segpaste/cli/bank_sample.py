"""``segpaste bank sample``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segpaste.cli.app import PASSED, UsageError
from segpaste.cli.bank_classes import ClassRow, class_rows, opened, print_rows, sampler_of
from segpaste.cli.bank_show import write_sheet
from segpaste.cli.checks import at_least_one, picture_to_write, whole_seed
from segpaste.cli.words import percent, plural

if TYPE_CHECKING:
    from segpaste.bank.stored_bank import StoredBank

_SAMPLE_TILES = 64
_MOST_DRAWS = 100_000_000


@dataclass(frozen=True)
class SampleRequest:
    """The command line of ``bank sample``, as given."""

    bank: Path
    count: int = 10_000
    threshold: float = 1e-3
    seed: int = 0
    top: int | None = None
    rare: int | None = None
    as_json: bool = False
    out: Path | None = None
    columns: int | None = None


@dataclass(frozen=True)
class DrawnRow(ClassRow):
    """One class of a bank and its draws: what ``sample`` lists."""

    expected_share: float
    drawn: int
    drawn_share: float


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of counts against shares.

    Attributes:
        statistic: the sum of squared differences over what is expected.
        degrees_of_freedom: of the classes compared; those of which fewer than 5 draws are
            expected count as one.
        p: how likely a statistic at least that large is where the shares are true.
    """

    statistic: float
    degrees_of_freedom: int
    p: float


def sample_crops(request: SampleRequest) -> int:
    """Draw as training does, and print the classes' shares.

    Raises:
        UsageError: in one line, if an option is out of range, or the picture cannot be written.
    """
    import numpy as np

    at_least_one("--top", request.top)
    at_least_one("--rare", request.rare)
    at_least_one("--columns", request.columns)
    whole_seed("--seed", request.seed)
    if not 1 <= request.count <= _MOST_DRAWS:
        raise UsageError(f"--count: got {request.count}, expected 1 to {_MOST_DRAWS:,}")
    if request.out is not None:
        picture_to_write("--out", request.out)
    bank = opened(request.bank)
    if len(bank) == 0:
        raise UsageError(f"BANK: {request.bank} has no crops to draw")
    sampler = sampler_of(bank, request.threshold, num_samples=request.count, seed=request.seed)
    drawn = np.fromiter(sampler, np.int64, request.count)
    counts = np.bincount(np.asarray(bank.crop_class_ids)[drawn], minlength=bank.head.num_classes)
    classes = class_rows(bank, request.threshold)
    weight = sum(row.crops * row.repeat_factor for row in classes)
    rows = [
        DrawnRow(
            **vars(row),
            expected_share=row.crops * row.repeat_factor / weight,
            drawn=int(counts[row.class_id]),
            drawn_share=int(counts[row.class_id]) / request.count,
        )
        for row in classes
    ]
    test = chi_square([row.drawn for row in rows], [row.expected_share for row in rows])
    if request.as_json:
        said = {
            "path": str(request.bank),
            "version": bank.version,
            "count": request.count,
            "threshold": request.threshold,
            "seed": request.seed,
            "different_crops": len(np.unique(drawn)),
            "chi_square": None if test is None else vars(test),
            "classes": [vars(row) for row in rows],
        }
        print(json.dumps(said, indent=2))
    else:
        _print_draws(request, bank, rows, test, len(np.unique(drawn)))
    if request.out is not None:
        shown = drawn[:_SAMPLE_TILES].tolist()
        write_sheet(
            bank,
            shown,
            request.out,
            request.columns,
            f"the first {plural(len(shown), 'draw')}",
            depth=False,
            said_on=sys.stderr if request.as_json else sys.stdout,
        )
    return PASSED


def chi_square(drawn: Sequence[int], shares: Sequence[float]) -> ChiSquare | None:
    """The test, or None where fewer than two classes can be told apart."""
    import torch

    total = sum(drawn)
    pairs = [(n, share * total) for n, share in zip(drawn, shares, strict=True)]
    kept = [pair for pair in pairs if pair[1] >= 5]
    rest = [pair for pair in pairs if pair[1] < 5]
    if rest and sum(e for _, e in rest) >= 5:
        kept.append((sum(n for n, _ in rest), sum(e for _, e in rest)))
    elif rest and kept:  # too few even together: into the smallest class that is judged
        place = min(range(len(kept)), key=lambda n: kept[n][1])
        kept[place] = (
            kept[place][0] + sum(n for n, _ in rest),
            kept[place][1] + sum(e for _, e in rest),
        )
    if len(kept) < 2:
        return None
    statistic = sum((n - e) ** 2 / e for n, e in kept)
    free = len(kept) - 1
    halves = torch.tensor([free / 2, statistic / 2], dtype=torch.float64)
    return ChiSquare(statistic, free, float(torch.special.gammaincc(halves[0], halves[1])))


def _print_draws(
    request: SampleRequest, bank: StoredBank, rows: Sequence[DrawnRow], test: ChiSquare | None, different: int
) -> None:
    print(
        f"{plural(request.count, 'draw')} of {different:,} different crops out of {len(bank):,}, "
        f"{bank.version}, threshold {request.threshold:g}, seed {request.seed}"
    )
    columns = ["class", ">id", ">crops", ">share", ">repeat", ">expected", ">drawn", ">draws"]

    def cells(row: DrawnRow) -> list[str]:
        return [
            row.name,
            str(row.class_id),
            f"{row.crops:,}",
            percent(row.share),
            f"{row.repeat_factor:.2f}",
            percent(row.expected_share),
            percent(row.drawn_share),
            f"{row.drawn:,}",
        ]

    print_rows(columns, rows, cells, request.top, request.rare)
    if test is not None:
        print(
            f"\nchi-square {test.statistic:.1f} on {plural(test.degrees_of_freedom, 'degree')} of freedom: "
            f"shares this far from the expected ones have p = {test.p:.2g}"
        )

"""Sources of drawn crops, and builds that run in other processes, importable there."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segpaste.bank import BankCrop, build_bank
from segpaste.bank.meta import BackendName, BankHead
from segpaste.bank.source import CropSource
from tests.bank.drawn_bank import drawn_crops, drawn_head

PRELOAD = ("tests.bank.builds", "lmdb", "pyarrow.parquet", "webdataset")
"""What a fork server imports once for all processes of the tests."""


class UnportableError(Exception):
    """An error that cannot be made again from what is pickled of it."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@dataclass(frozen=True)
class DrawnShard:
    """Four crops, or trouble.

    Attributes:
        number: which shard; every third has a crop less, and says so.
        seconds: how long it takes.
        trouble: ``raise``, ``unportable``, ``die``, ``die once`` or ``interrupt``; ``""``: none.
        notes: a folder in which a file is made for every time that it is worked on.
        told: is told as the digest of what it reads, if it is the first shard.
    """

    number: int
    seconds: float = 0.0
    trouble: str = ""
    notes: Path | None = None
    told: str = ""

    def inputs(self) -> str:
        """Those of the first shard."""
        return self.told if self.number == 0 else ""

    def crops(self) -> tuple[Sequence[BankCrop], dict[str, int]]:
        """The crops."""
        before = 0
        if self.notes is not None:
            before = len(list(self.notes.glob(f"{self.number}-*")))
            (self.notes / f"{self.number}-{before}").touch()
        time.sleep(self.seconds)
        if self.trouble == "raise":
            raise ValueError(f"picture {self.number}: is no picture")
        if self.trouble == "unportable":
            raise UnportableError("this", "that")
        if self.trouble == "interrupt":
            raise KeyboardInterrupt
        if self.trouble == "die" or (self.trouble == "die once" and before == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        crops = drawn_crops(4, seed=self.number)
        return (crops[:3], {"the fourth": 1}) if self.number % 3 == 0 else (crops, {})


@dataclass(frozen=True)
class DrawnSource:
    """Some shards of drawn crops, of which ``troubled`` make trouble."""

    count: int = 6
    seconds: float = 0.0
    trouble: str = ""
    troubled: tuple[int, ...] = ()
    notes: Path | None = None
    name: str = "drawn"
    told: str = ""

    def head(self) -> BankHead:
        """That of the drawn crops."""
        return drawn_head()

    def shards(self) -> list[DrawnShard]:
        """The shards."""
        return [
            DrawnShard(n, self.seconds, self.trouble if n in self.troubled else "", self.notes, self.told)
            for n in range(self.count)
        ]

    def most_crops(self) -> int:
        """Four a shard."""
        return 4 * self.count

    def built_from(self) -> dict[str, Any]:
        """The same, however long it takes and whatever trouble there is."""
        return {"source": self.name, "shards": self.count}

    def healthy(self) -> DrawnSource:
        """The same without trouble, and at once."""
        return replace(self, troubled=(), seconds=0.0)

    def worked_on(self) -> dict[int, int]:
        """Shard -> how often it was worked on; shards that never were are left out."""
        names = [] if self.notes is None else [path.name for path in self.notes.iterdir()]
        numbers = [int(name.partition("-")[0]) for name in names]
        return {number: numbers.count(number) for number in sorted(set(numbers))}


def files_of(path: Path) -> dict[str, str]:
    """The SHA-256 of every file of a bank."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def end_at_once(*arguments: object) -> None:
    """A worker that never begins."""
    os._exit(7)


def build(source: CropSource, path: Path, backend: BackendName, workers: int) -> None:
    """Build a bank; runs in a process that is killed meanwhile."""
    build_bank(source, path, backend=backend, workers=workers)

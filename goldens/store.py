"""The folder of frozen files: what stands in it, and whether it is whole.

| file | content |
|---|---|
| ``digests/<set>.<dtype>.txt`` | a line of digests per seed |
| ``facts.txt`` | boxes, ids, labels and areas of a few seeds, to be read |
| ``tensors.xz`` | what is needed to show a mismatch |
| ``ledger.jsonl`` | a line per update: when, why, from which commit, what changed |

They are written by ``scripts/regenerate_goldens.py`` only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.digests import FrozenFileError, parse_line
from segpaste.goldens.tensors import KeptTensors

FOLDER = Path(__file__).parent / "frozen"
"""Where the frozen files lie."""

LEDGER, TENSORS, FACTS, DIGESTS = "ledger.jsonl", "tensors.xz", "facts.txt", "digests"
PENDING = ".pending"
"""Folder of an update that has been decided and not been finished."""


class FrozenStore:
    """Reads one folder of frozen files.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self._read: dict[tuple[str, str], dict[int, dict[str, str]]] = {}

    def digests(self, kind: str, dtype: str) -> dict[int, dict[str, str]]:
        """The frozen digests of one set and dtype by seed; empty if there are none.

        Raises:
            FrozenFileError: if the file does not read so.
        """
        path = self.folder / digests_file(kind, dtype)
        if not path.is_file():
            return {}
        try:
            return dict(map(parse_line, path.read_text(encoding="utf-8").splitlines()))
        except ValueError as error:
            raise FrozenFileError(f"{path}: {error}") from None

    def digests_of(self, one: FrozenCase) -> dict[str, str]:
        """The frozen digests of one case; empty if there are none."""
        key = one.kind, one.dtype
        if key not in self._read:
            self._read[key] = self.digests(*key)
        return self._read[key].get(one.seed, {})

    @cached_property
    def tensors(self) -> KeptTensors | None:
        """The kept tensors, if there are any."""
        path = self.folder / TENSORS
        return KeptTensors(path.read_bytes()) if path.is_file() else None

    def ledger(self) -> list[dict[str, Any]]:
        """The entries of the ledger, the oldest first.

        Raises:
            FrozenFileError: on a line that is no entry.
        """
        path = self.folder / LEDGER
        if not path.is_file():
            return []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise FrozenFileError(f"{path}: {error}") from None
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not (isinstance(entry, dict) and isinstance(entry.get("new"), str)):
                raise FrozenFileError(
                    f"{path}: line {number}: got {line[:60]!r}, expected an entry as "
                    "scripts/regenerate_goldens.py writes it"
                )
            entries.append(entry)
        return entries

    def digest(self) -> str:
        """The SHA-256 of all files but the ledger, with their names."""
        return digest_of({path: (self.folder / path).read_bytes() for path in self.files()})

    def files(self) -> Iterator[str]:
        """The frozen files that are there, without the ledger, relative to the folder."""
        for name in (FACTS, TENSORS):
            if (self.folder / name).is_file():
                yield name
        for path in sorted((self.folder / DIGESTS).glob("*")):
            if path.is_file():
                yield f"{DIGESTS}/{path.name}"

    def trouble(self) -> str | None:
        """What is wrong with the files themselves, in one line; ``None`` if nothing is."""
        pending = self.folder / PENDING
        if pending.is_dir() and any(pending.iterdir()):
            return (
                f"{self.folder}: an update is running, or was interrupted after it had been decided; finish "
                "it with python scripts/regenerate_goldens.py --recover"
            )
        try:
            entries = self.ledger()
        except FrozenFileError as error:
            return str(error)
        if not entries:
            return f"{self.folder / LEDGER}: got no entry, expected one per update"
        found, written = self.digest(), entries[-1]["new"]
        if found != written:
            return (
                f"{self.folder}: the files have the digest {found[:16]}, the ledger's last entry says "
                f"{written[:16]}; they were changed past scripts/regenerate_goldens.py"
            )
        return None


def digests_file(kind: str, dtype: str) -> str:
    """The file of one set and dtype, relative to the folder."""
    return f"{DIGESTS}/{kind}.{dtype}.txt"


def digest_of(files: dict[str, bytes]) -> str:
    """The SHA-256 of files and their names, whatever their order."""
    state = hashlib.sha256()
    for name in sorted(files):
        state.update(f"{name} {len(files[name])}\n".encode())
        state.update(files[name])
    return state.hexdigest()

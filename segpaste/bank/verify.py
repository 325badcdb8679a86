"""Reading a whole bank, to know that every bit is as it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segpaste.bank.errors import BankError, MissingEngineError
from segpaste.bank.meta import META_FILE, BankMeta, ContentDigest
from segpaste.bank.open import open_bank
from segpaste.bank.stored_bank import StoredBank, check_size, file_sha256, read_meta

_LISTED = 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What :func:`verify_bank` found.

    Attributes:
        path: the bank.
        version: what ``meta.json`` says, or ``None`` if it cannot be read.
        files: number of files looked at, ``meta.json`` included.
        crops: number of crops that were read and are as they were written.
        problems: what is wrong, one line each; at most 20 crops are named, the rest counted.
    """

    path: Path
    version: str | None
    files: int
    crops: int
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_bank(path: str | Path) -> VerifyReport:
    """Check the size and SHA-256 of every file, every crop's CRC-32, and the content's digest.

    Whatever is wrong is in the report, also that it is no bank.

    Raises:
        BankError: if its engine is not installed, so that nothing can be said of the crops.
    """
    try:
        meta = read_meta(path)
    except BankError as error:
        return VerifyReport(Path(path), None, 0, 0, (str(error),))
    try:
        bank, not_open = open_bank(path), []
    except MissingEngineError:
        raise
    except BankError as error:
        bank, not_open = None, [str(error)]
    problems = _file_problems(Path(path), meta) + not_open
    crops = 0
    if bank is not None:
        crops, found = _crop_problems(bank, Path(path))
        problems += found
    return VerifyReport(Path(path), meta.version, len(meta.files) + 1, crops, tuple(dict.fromkeys(problems)))


def _file_problems(path: Path, meta: BankMeta) -> list[str]:
    problems = []
    for name, entry in meta.files.items():
        try:
            check_size(path, name, entry.size)
            found = file_sha256(path, name)
        except BankError as error:
            problems.append(str(error))
            continue
        if found != entry.sha256:
            problems.append(f"{path}: {name}: got SHA-256 {found[:12]}..., expected {entry.sha256[:12]}...")
    known = {META_FILE, *meta.files}
    there = sorted(entry.relative_to(path).as_posix() for entry in path.rglob("*") if not entry.is_dir())
    problems += [f"{path}: {name}: is not in {META_FILE}" for name in there if name not in known]
    return problems


def _crop_problems(bank: StoredBank, path: Path) -> tuple[int, list[str]]:
    """How many crops are as they were written, and what is wrong with the others."""
    digest = ContentDigest(bank.head)
    problems: list[str] = []
    for number in range(len(bank)):
        try:
            records, index = bank.records([number])
        except BankError as error:
            problems.append(str(error))
            continue
        digest.add(records.view("u1").data, index.tobytes())
    wrong = len(problems)
    if wrong > _LISTED:
        problems[_LISTED:] = [f"{path}: {wrong - _LISTED} more crops were changed"]
    if not wrong and digest.hexdigest() != bank.meta.content:
        problems.append(f"{path}: content: got {digest.hexdigest()[:12]}, expected {bank.meta.content[:12]}")
    return len(bank) - wrong, problems

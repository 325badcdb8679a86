"""Options that are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

from segpaste.cli.app import UsageError


def at_least_one(option: str, value: int | None) -> None:
    """Refuse a number below 1.

    Raises:
        UsageError: naming the option.
    """
    if value is not None and value < 1:
        raise UsageError(f"{option}: got {value}, expected 1 or more")


def whole_seed(option: str, value: int) -> None:
    """Refuse a seed that is none of 64 bits.

    Raises:
        UsageError: naming the option.
    """
    if not 0 <= value < 2**64:
        raise UsageError(f"{option}: got {value}, expected 0 or more and less than 2**64")


def file_to_write(option: str, path: Path) -> None:
    """Refuse a path where no file can be written.

    Raises:
        UsageError: naming the option.
    """
    if path.is_dir():
        raise UsageError(f"{option}: {path} is a folder, expected a file")
    if not path.parent.is_dir():
        raise UsageError(f"{option}: no such folder {path.parent}")


def picture_to_write(option: str, path: Path) -> None:
    """Refuse a path where no PNG file can be written, or where one has no business: inside of a bank.

    Raises:
        UsageError: naming the option.
    """
    from segpaste.bank.errors import BankError
    from segpaste.bank.stored_bank import read_meta

    file_to_write(option, path)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{option}: got {path}, expected a name that ends in .png")
    folder = path.parent.resolve()
    for parent in (folder, *folder.parents):
        try:
            read_meta(parent)
        except BankError:
            continue
        raise UsageError(f"{option}: {path} is inside of a bank, expected another place")

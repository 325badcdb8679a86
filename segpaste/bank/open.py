"""Opening a bank, whatever it is stored in."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import get_args

from segpaste.bank.errors import BankError
from segpaste.bank.meta import BackendName
from segpaste.bank.stored_bank import StoredBank, read_meta

_CLASSES: dict[str, tuple[str, str]] = {
    "memmap": ("segpaste.bank.memmap_bank", "MemmapBank"),
    "lmdb": ("segpaste.bank.lmdb_bank", "LMDBBank"),
    "webdataset": ("segpaste.bank.webdataset_bank", "WebDatasetBank"),
}


def open_bank(path: str | Path) -> StoredBank:
    """The bank in a folder.

    Raises:
        BankError: one line that names the path, if there is no bank, it is not complete, it was
            changed (see :class:`~segpaste.bank.stored_bank.StoredBank` for what is looked at),
            or its engine is not installed.
    """
    meta = read_meta(path)
    return backend_class(meta.format)(path, meta)


def backend_class(backend: BackendName) -> type[StoredBank]:
    """The class of a backend; its engine is imported when a bank is opened or written.

    Raises:
        BankError: on another name.
    """
    if backend not in _CLASSES:
        raise BankError(f"backend: got {backend!r}, expected one of {', '.join(get_args(BackendName))}")
    module, name = _CLASSES[backend]
    return getattr(import_module(module), name)

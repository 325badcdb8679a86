"""Banks in LMDB: one file of records in a B+ tree, read through a shared map."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from segpaste.bank.engines_needed import require
from segpaste.bank.errors import BankError
from segpaste.bank.layout import INDEX_DTYPE, Chunk, record_dtype
from segpaste.bank.memmap_bank import CLASS_IDS_FILE, INDEX_FILE, IndexWriter
from segpaste.bank.meta import BankHead
from segpaste.bank.npy_files import map_npy
from segpaste.bank.stored_bank import StoredBank

DATA_FILE = "data.mdb"


class LMDBBank(StoredBank):
    """A bank whose records lie in ``data.mdb``, under the crop's number as 8 big-endian bytes.

    Index and class ids are ``.npy`` files as in a memmap bank: a value of LMDB ends at 4 GiB,
    and a view of one must not outlive its transaction. The environment is opened once per
    process, read-only and without locks; a forked worker opens its own.
    """

    format = "lmdb"
    index_files = (INDEX_FILE, CLASS_IDS_FILE)

    @classmethod
    def writer(cls, folder: Path, head: BankHead, count: int) -> LMDBWriter:
        """What writes ``count`` crops into ``folder``."""
        return LMDBWriter(folder, head, count)

    def _open_index(self) -> np.ndarray:
        return map_npy(self._path, INDEX_FILE, INDEX_DTYPE, len(self))

    def _open_class_ids(self) -> np.ndarray:
        # Copy on write: torch has no read-only tensors.
        return map_npy(self._path, CLASS_IDS_FILE, np.dtype("<i8"), len(self), "c")

    def _open_records(self) -> None:
        self._lmdb = _engine()
        self._file = _identity(self._path)
        self._environment = _environment(self._path, self._file)
        found = self._environment.count()
        if found != len(self):
            raise BankError(f"{self._path}: {DATA_FILE}: got {found} records, expected {len(self)}")

    def _record(self, number: int) -> np.ndarray:
        if self._environment.process != os.getpid():
            self._environment = _environment(self._path, self._file)
        try:
            with self._environment.open.begin(buffers=True) as transaction:
                value = transaction.get(number.to_bytes(8, "big"))
                if value is None or len(value) != self._record_dtype.itemsize:
                    found = "no record" if value is None else f"a record of {len(value)} bytes"
                    raise BankError(
                        f"{self._where(number)}: got {found}, expected one of "
                        f"{self._record_dtype.itemsize} bytes: {DATA_FILE} was changed"
                    )
                # Copied: the view ends with the transaction.
                return np.frombuffer(bytes(value), self._record_dtype)
        except self._lmdb.Error as error:
            raise BankError(f"{self._where(number)}: {DATA_FILE} is damaged: {error}") from error


class LMDBWriter:
    """See :class:`~segpaste.bank.stored_bank.BankWriter`.

    One transaction appends everything, into the map itself: the file's bytes depend on the
    records only (and on the system's page size), and memory does not grow with them.
    """

    def __init__(self, folder: Path, head: BankHead, count: int) -> None:
        self._lmdb = _engine()
        self._path = folder / DATA_FILE
        self._next = 0
        room = _room(record_dtype(head).itemsize, count)
        with self._errors():
            self._environment = self._lmdb.open(
                str(self._path), subdir=False, map_size=room, lock=False, writemap=True, sync=False
            )
            if hasattr(
                os, "posix_fallocate"
            ):  # a full disk is an error here; later it would kill the process
                with self._path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, room)
            self._transaction = self._environment.begin(write=True)
        self._index = IndexWriter(folder, count)

    def add(self, chunk: Chunk) -> None:
        """The next crops."""
        with self._errors():
            for place in range(len(chunk.records)):
                key, value = self._next.to_bytes(8, "big"), chunk.records[place : place + 1].tobytes()
                self._transaction.put(key, value, append=True)
                self._next += 1
        self._index.add(chunk.index)

    def close(self) -> None:
        """Commit, and cut off what was not needed."""
        self._index.close()
        with self._errors():
            self._transaction.commit()
            used = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
            self._environment.sync(True)
            self._environment.close()
        os.truncate(self._path, used)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._lmdb.Error as error:
            raise BankError(f"{self._path}: cannot be written: {error}") from error


class _Environment:
    """An open environment; closed with the last bank that uses it."""

    def __init__(self, path: Path, size: int) -> None:
        self.process = os.getpid()
        try:
            self.open = _engine().open(
                str(path / DATA_FILE),
                subdir=False,
                readonly=True,
                lock=False,
                readahead=False,
                map_size=size,
                max_spare_txns=8,
            )
            used = (self.open.info()["last_pgno"] + 1) * self.open.stat()["psize"]
        except _engine().Error as error:
            raise BankError(f"{path}: {DATA_FILE}: damaged: {error}") from error
        if used > size:  # reading beyond the end of the file would kill the process
            raise BankError(f"{path}: {DATA_FILE}: got {size} bytes, expected {used}")

    def count(self) -> int:
        """How many records there are."""
        return self.open.stat()["entries"]

    def __del__(self) -> None:
        if hasattr(self, "open"):
            self.open.close()


# LMDB refuses to open a file twice in one process; banks of one file share its environment.
_Identity = tuple[int, int, int, int]
_environments: WeakValueDictionary[_Identity, _Environment] = WeakValueDictionary()
_opening = threading.Lock()


def _environment(path: Path, file: _Identity) -> _Environment:
    with _opening:
        if _identity(path) != file:
            raise BankError(f"{path}: {DATA_FILE}: was replaced since it was opened")
        known = _environments.get(file)
        if known is not None and known.process != os.getpid():
            known.open.close()  # the parent's; here it is only in the way
            known = None
        if known is None:
            known = _environments[file] = _Environment(path, file[2])
        return known


def _forget_lock() -> None:
    global _opening
    _opening = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def _identity(path: Path) -> _Identity:
    try:
        status = (path / DATA_FILE).stat()
    except OSError as error:
        raise BankError(f"{path}: {DATA_FILE}: missing or not readable: {error.strerror}") from error
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _room(record_bytes: int, count: int) -> int:
    """An upper bound of what ``count`` records take, decided by them alone."""
    page = mmap.PAGESIZE
    inline = record_bytes + 18  # a node's head, its key and its place in the page
    if inline <= page // 2 - 32:
        pages = count // ((page - 16) // inline) + 1
    else:  # in pages of its own; what stays in the tree is small
        pages = count * ((record_bytes + 15) // page + 1) + count // ((page - 16) // 26) + 1
    pages += pages // 16 + 64  # branches
    return pages * page


def _engine() -> ModuleType | Any:
    return require("lmdb", "bank-lmdb", "backend 'lmdb'")

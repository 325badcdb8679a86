"""Banks in LMDB: one file of records in a B+ tree, read through a shared map."""

from __future__ import annotations

import mmap
import os
import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
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
from segpaste.bank.npy_files import NpyWriter, map_npy
from segpaste.bank.stored_bank import StoredBank

DATA_FILE = "data.mdb"
TREE_FILE = "tree.npy"

_TREE_DTYPE = np.dtype([("offset", "<i8"), ("first", "<i8"), ("size", "<u4"), ("crc32", "<u4")])
"""A page of the tree; ``first``: number of the first crop in a leaf, -1 in every other page."""


class LMDBBank(StoredBank):
    """A bank whose records lie in ``data.mdb``, under the crop's number as 8 big-endian bytes.

    Index and class ids are ``.npy`` files as in a memmap bank: a value of LMDB ends at 4 GiB,
    and a view of one must not outlive its transaction. The environment is opened once per
    process, read-only and without locks; a forked worker opens its own.

    LMDB trusts its pages: one flipped bit in the tree can lead it out of its map, which kills
    the process. ``tree.npy`` therefore knows the CRC-32 of every page of the tree; LMDB is sent
    only through pages that have been verified.
    """

    format = "lmdb"
    index_files = (INDEX_FILE, CLASS_IDS_FILE, TREE_FILE)

    @classmethod
    def writer(cls, folder: Path, head: BankHead, count: int) -> LMDBWriter:
        """What writes ``count`` crops into ``folder``."""
        return LMDBWriter(folder, head, count)

    def _open_index(self) -> np.ndarray:
        return map_npy(self._given, INDEX_FILE, INDEX_DTYPE, len(self))

    def _open_class_ids(self) -> np.ndarray:
        # Copy on write: torch has no read-only tensors.
        return map_npy(self._given, CLASS_IDS_FILE, np.dtype("<i8"), len(self), "c")

    def _open_records(self) -> None:
        self._lmdb = _engine()
        self._file = _identity(self._path, self._given)
        try:
            self._bytes = np.memmap(self._given / DATA_FILE, "u1", "r")
        except OSError as error:
            raise BankError(f"{self._given}: {DATA_FILE}: not readable: {error.strerror}") from error
        self._tree = map_npy(self._given, TREE_FILE, _TREE_DTYPE, None)
        for page in self._tree[self._tree["first"] < 0]:
            self._check_page(page, f"{self._given}: {DATA_FILE}")
        self._environment = _environment(self._path, self._file, self._given)

    def _check_page(self, page: np.void, where: str) -> None:
        start = int(page["offset"])
        if zlib.crc32(self._bytes[start : start + int(page["size"])].data) != int(page["crc32"]):
            raise BankError(
                f"{where}: the page at byte {start} of {DATA_FILE} was changed after it was built"
            )

    def _record(self, number: int) -> np.ndarray:
        leaf = bisect_right(self._tree, number, key=itemgetter("first")) - 1
        self._check_page(self._tree[leaf], self._where(number))
        if self._environment.process != os.getpid():
            self._environment = _environment(self._path, self._file, self._given)
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
        """Commit, cut off what was not needed, and write down the pages of the tree."""
        self._index.close()
        with self._errors():
            self._transaction.commit()
            page = self._environment.stat()["psize"]
            used = (self._environment.info()["last_pgno"] + 1) * page
            self._environment.sync(True)
            self._environment.close()
        os.truncate(self._path, used)
        tree = _tree_pages(self._path, page)
        file = NpyWriter(self._path.with_name(TREE_FILE), _TREE_DTYPE, len(tree))
        file.add(tree)
        file.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._lmdb.Error as error:
            raise BankError(f"{self._path}: cannot be written: {error}") from error


def _tree_pages(path: Path, size: int) -> np.ndarray:
    """All pages but those of large records: ``[P]`` of ``_TREE_DTYPE``, leaves last and in order.

    A page begins with its number (8 bytes), 2 bytes unused, its flags (2 bytes), and then, in a
    large record, the number of its pages (4 bytes); elsewhere 4 bytes later begin the places of
    the nodes (2 bytes each). A node has 8 bytes before its key (LMDB 0.9, ``struct MDB_page``).
    """
    branch, leaf, overflow, meta = 1, 2, 4, 8
    data = memoryview(np.memmap(path, "u1", "r").data)
    rows, start = [], 0
    while start < len(data):
        (flags,) = struct.unpack_from("<H", data, start + 10)
        if flags & overflow:
            start += size * struct.unpack_from("<I", data, start + 12)[0]
            continue
        if flags not in (branch, leaf, meta):
            raise BankError(f"{path}: cannot be written: got a page with flags {flags}, expected LMDB 0.9's")
        first = -1
        if flags == leaf:
            node = start + struct.unpack_from("<H", data, start + 16)[0]
            (first,) = struct.unpack_from(">q", data, node + 8)
        rows.append((start, first, size, zlib.crc32(data[start : start + size])))
        start += size
    rows.sort(key=itemgetter(1))
    return np.array(rows, _TREE_DTYPE)


class _Environment:
    """An open environment; closed with the last bank that uses it."""

    def __init__(self, path: Path, size: int, given: Path) -> None:
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
        except _engine().Error as error:
            raise BankError(f"{given}: {DATA_FILE}: damaged: {error}") from error

    def __del__(self) -> None:
        if hasattr(self, "open"):
            self.open.close()


# LMDB refuses to open a file twice in one process; banks of one file share its environment.
_Identity = tuple[int, int, int, int]
_environments: WeakValueDictionary[_Identity, _Environment] = WeakValueDictionary()
_opening = threading.Lock()


def _environment(path: Path, file: _Identity, given: Path) -> _Environment:
    with _opening:
        if _identity(path, given) != file:
            raise BankError(f"{given}: {DATA_FILE}: was replaced since it was opened")
        known = _environments.get(file)
        if known is not None and known.process != os.getpid():
            known.open.close()  # the parent's; here it is only in the way
            known = None
        if known is None:
            known = _environments[file] = _Environment(path, file[2], given)
        return known


def _forget_lock() -> None:
    global _opening
    _opening = threading.Lock()  # another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def _identity(path: Path, given: Path) -> _Identity:
    try:
        status = (path / DATA_FILE).stat()
    except OSError as error:
        raise BankError(f"{given}: {DATA_FILE}: missing or not readable: {error.strerror}") from error
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

"""Banks as NumPy files that are mapped into memory: nothing to install, nothing to decode."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segpaste.bank.layout import INDEX_DTYPE, Chunk, record_dtype
from segpaste.bank.meta import BankHead
from segpaste.bank.npy_files import NpyWriter, map_npy
from segpaste.bank.stored_bank import StoredBank

RECORDS_FILE = "records.npy"
INDEX_FILE = "index.npy"
CLASS_IDS_FILE = "class_ids.npy"


class MemmapBank(StoredBank):
    """A bank in ``records.npy``, ``index.npy`` and ``class_ids.npy``; ``numpy.load`` reads each.

    ``crop_class_ids`` is a view of the file. A bank that is deleted stays readable for those
    who have it open; one whose files are *shortened* in place kills its readers, as with any
    mapped file.
    """

    format = "memmap"
    index_files = (INDEX_FILE, CLASS_IDS_FILE)

    @classmethod
    def writer(cls, folder: Path, head: BankHead, count: int) -> MemmapWriter:
        """What writes ``count`` crops into ``folder``."""
        return MemmapWriter(folder, head, count)

    def _open_index(self) -> np.ndarray:
        return map_npy(self._given, INDEX_FILE, INDEX_DTYPE, len(self))

    def _open_class_ids(self) -> np.ndarray:
        # Copy on write: torch has no read-only tensors.
        return map_npy(self._given, CLASS_IDS_FILE, np.dtype("<i8"), len(self), "c")

    def _open_records(self) -> None:
        self._records = map_npy(self._given, RECORDS_FILE, self._record_dtype, len(self))

    def _record(self, number: int) -> np.ndarray:
        return self._records[number : number + 1]


class IndexWriter:
    """Writes ``index.npy`` and ``class_ids.npy``."""

    def __init__(self, folder: Path, count: int) -> None:
        self._index = NpyWriter(folder / INDEX_FILE, INDEX_DTYPE, count)
        self._class_ids = NpyWriter(folder / CLASS_IDS_FILE, np.dtype("<i8"), count)

    def add(self, index: np.ndarray) -> None:
        """The next rows."""
        self._index.add(index)
        self._class_ids.add(index["class_id"])

    def close(self) -> None:
        """Close both files."""
        self._index.close()
        self._class_ids.close()


class MemmapWriter:
    """See :class:`~segpaste.bank.stored_bank.BankWriter`."""

    def __init__(self, folder: Path, head: BankHead, count: int) -> None:
        self._records = NpyWriter(folder / RECORDS_FILE, record_dtype(head), count)
        self._index = IndexWriter(folder, count)

    def add(self, chunk: Chunk) -> None:
        """The next crops."""
        self._records.add(chunk.records)
        self._index.add(chunk.index)

    def close(self) -> None:
        """Close the files."""
        self._records.close()
        self._index.close()

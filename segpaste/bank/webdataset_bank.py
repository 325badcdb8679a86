"""Banks as WebDataset shards: tar files for whoever streams, an index in Parquet for random access."""

from __future__ import annotations

import io
import json
import math
import os
import weakref
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib import format as npy

from segpaste.bank.engines_needed import require
from segpaste.bank.errors import BankError
from segpaste.bank.layout import DEPTH, INDEX_DTYPE, INTRINSICS, NORMALS, Chunk, record_dtype
from segpaste.bank.meta import BankHead
from segpaste.bank.stored_bank import StoredBank

INDEX_FILE = "index.parquet"
SHARD_BYTES = 1 << 28
"""A shard is closed by the first crop that reaches this size."""

_PLACE_DTYPE = np.dtype([("shard", "<i4"), ("offset", "<i8"), ("size", "<i8")])
_ROW_GROUP = 1 << 16
_BLOCK = 512


class WebDatasetBank(StoredBank):
    """A bank in ``shard-000000.tar`` and following, and ``index.parquet``.

    ``webdataset.WebDataset(...).decode()`` streams the shards without segpaste: each crop is
    ``image.npy``, ``alpha.npy``, further fields likewise, and ``json`` with class id and
    provenance. The index holds every column of
    :data:`~segpaste.bank.layout.INDEX_DTYPE` and where in which shard the crop's members lie;
    it is read at open, 68 bytes a crop.
    """

    format = "webdataset"
    index_files = (INDEX_FILE,)

    @classmethod
    def writer(cls, folder: Path, head: BankHead, count: int) -> WebDatasetWriter:
        """What writes crops into ``folder``; it needs no count."""
        return WebDatasetWriter(folder, head)

    def _open_index(self) -> np.ndarray:
        index, self._places = _read_index(self._given, len(self))
        index.flags.writeable = False
        return index

    def _open_class_ids(self) -> np.ndarray:
        return np.array(self._index["class_id"])

    def _open_records(self) -> None:
        names = [shard_name(number) for number in range(int(self._places["shard"].max(initial=-1)) + 1)]
        for name in names:
            if name not in self._meta.files:
                raise BankError(f"{self._given}: meta.json: files: got no {name}, expected it in the index")
        self._shards = _Shards([self._path / name for name in names])

    def _record(self, number: int) -> np.ndarray:
        place = self._places[number]
        where = f"{self._where(number)}: {shard_name(int(place['shard']))}"
        try:
            members = self._shards.read(int(place["shard"]), int(place["offset"]), int(place["size"]))
        except OSError as error:
            raise BankError(f"{where}: missing or not readable: {error.strerror}") from error
        record = np.zeros(1, self._record_dtype)
        missing = set(self._record_dtype.names or ())
        try:
            for name, content in _members_of(members):
                field = name.partition(".")[2].removesuffix(".npy")
                if field in missing:
                    _fill(record[field][0], content)
                    missing.remove(field)
        except ValueError as error:
            raise BankError(f"{where}: damaged: {error}") from error
        if missing:
            raise BankError(f"{where}: damaged: got no {sorted(missing)[0]}.npy")
        return record


class WebDatasetWriter:
    """See :class:`~segpaste.bank.stored_bank.BankWriter`."""

    def __init__(self, folder: Path, head: BankHead) -> None:
        self._webdataset = require("webdataset", "bank-webdataset", "backend 'webdataset'")
        self._folder = folder
        self._head = head
        self._names = record_dtype(head).names or ()
        self._parquet = _ParquetWriter(folder / INDEX_FILE)
        self._shard = -1
        self._tar: Any = None
        self._next = 0

    def add(self, chunk: Chunk) -> None:
        """The next crops."""
        places = np.zeros(len(chunk.index), _PLACE_DTYPE)
        for place in range(len(chunk.index)):
            tar = self._tar
            if tar is None or tar.tarstream.offset >= SHARD_BYTES:
                tar = self._open_shard()
            start = tar.tarstream.offset
            tar.write(self._members(chunk.records[place], chunk.index[place]))
            places[place] = (self._shard, start, tar.tarstream.offset - start)
        self._parquet.add(chunk.index, places)

    def close(self) -> None:
        """Finish the last shard and the index."""
        self._close_shard()
        self._parquet.close()

    def _open_shard(self) -> Any:
        self._close_shard()
        self._shard += 1
        self._file = (self._folder / shard_name(self._shard)).open("xb")
        # Nobody's name and no time in the headers: the same crops make the same bytes.
        self._tar = self._webdataset.TarWriter(
            self._file, user="", group="", mode=0o644, mtime=0, encoder=False
        )
        return self._tar

    def _close_shard(self) -> None:
        if self._tar is not None:
            self._tar.close()
            self._file.close()
            self._tar = None

    def _members(self, record: np.void, row: np.void) -> dict[str, Any]:
        members: dict[str, Any] = {"__key__": f"{self._next:09d}"}
        self._next += 1
        for name in self._names:
            members[f"{name}.npy"] = _npy_bytes(record[name])
        members["json"] = json.dumps(_facts(row, self._head)).encode()
        return members


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:06d}.tar"


class _Shards:
    """Open shards, read by position: safe in threads, and in processes forked from this one."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._files: dict[int, io.FileIO] = {}
        weakref.finalize(self, _close_all, self._files)

    def read(self, shard: int, offset: int, size: int) -> bytes:
        file = self._files.get(shard)
        if file is None:
            opened = io.FileIO(self._paths[shard])
            file = self._files.setdefault(shard, opened)
            if file is not opened:  # another thread was faster
                opened.close()
        return os.pread(file.fileno(), size, offset)


def _close_all(files: dict[int, io.FileIO]) -> None:
    for file in files.values():
        file.close()


class _ParquetWriter:
    """Writes the index; the row groups do not depend on the sizes of the chunks."""

    def __init__(self, path: Path) -> None:
        self._arrow = _arrow()
        columns = [
            (name, self._arrow.from_numpy_dtype(dtype[name]))
            for dtype in (INDEX_DTYPE, _PLACE_DTYPE)
            for name in dtype.names or ()
        ]
        self._schema = self._arrow.schema(columns)
        self._writer = _parquet().ParquetWriter(path, self._schema, compression="zstd", store_schema=False)
        self._index = np.empty(_ROW_GROUP, INDEX_DTYPE)
        self._places = np.empty(_ROW_GROUP, _PLACE_DTYPE)
        self._filled = 0

    def add(self, index: np.ndarray, places: np.ndarray) -> None:
        while len(index):
            n = min(len(index), _ROW_GROUP - self._filled)
            self._index[self._filled : self._filled + n] = index[:n]
            self._places[self._filled : self._filled + n] = places[:n]
            self._filled += n
            index, places = index[n:], places[n:]
            if self._filled == _ROW_GROUP:
                self._flush()

    def close(self) -> None:
        if self._filled:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = [
            np.ascontiguousarray(values[name][: self._filled])
            for values in (self._index, self._places)
            for name in values.dtype.names or ()
        ]
        # A missing score stays NaN, bit for bit; as a null it would come back as another.
        arrays = [self._arrow.array(column, from_pandas=False) for column in columns]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema), _ROW_GROUP)
        self._filled = 0


def _read_index(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The index, and where each crop lies."""
    arrow, parquet = _arrow(), _parquet()
    try:
        # One thread: what Arrow starts in the background does not survive a fork.
        table = parquet.read_table(path / INDEX_FILE, use_threads=False, pre_buffer=False)
        if table.num_rows != count:
            raise BankError(f"{path}: {INDEX_FILE}: got {table.num_rows} rows, expected {count}")
        read = []
        for dtype in (INDEX_DTYPE, _PLACE_DTYPE):
            values = np.empty(count, dtype)
            for name in dtype.names or ():
                values[name] = table.column(name).to_numpy()
            read.append(values)
    except (arrow.ArrowException, KeyError, OSError, TypeError) as error:
        raise BankError(f"{path}: {INDEX_FILE}: not readable: {' '.join(str(error).split())}") from error
    return read[0], read[1]


def _facts(row: np.void, head: BankHead) -> dict[str, Any]:
    """What the index knows of a crop, in words."""
    class_id, model, score = int(row["class_id"]), int(row["model"]), float(row["score"])
    bits = {"depth": DEPTH, "normals": NORMALS, "camera_intrinsics": INTRINSICS}
    return {
        "class_id": class_id,
        "class_name": head.class_names.get(class_id),
        "dataset": head.datasets[int(row["dataset"])],
        "image_id": int(row["image_id"]),
        "annotation_id": int(row["annotation_id"]),
        "model": None if model < 0 else head.models[model],
        "score": None if math.isnan(score) else score,
        "carries": [name for name, bit in bits.items() if row["carries"] & bit],
    }


def _members_of(tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents in a piece of a tar file.

    Of the headers only name and size are read: ``tarfile`` takes most of the time of a read, and
    the bytes that are found are verified all the same.

    Raises:
        ValueError: if a header is damaged.
    """
    start = 0
    while start < len(tar):
        name = tar[start : start + 100].rstrip(b"\0").decode("ascii")
        size = int(tar[start + 124 : start + 136].rstrip(b"\0"), 8)
        if size < 0:
            raise ValueError(f"got a member of {size} bytes")
        start += _BLOCK
        yield name, tar[start : start + size]
        start += -(-size // _BLOCK) * _BLOCK


def _npy_bytes(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    npy.write_array(file, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _fill(target: np.ndarray, member: bytes) -> None:
    """Copy the array in a ``.npy`` member.

    Raises:
        ValueError: if it is not one of the target's shape and dtype.
    """
    start = 10 + int.from_bytes(member[8:10], "little")
    if _header(member[:start]) != (target.shape, False, target.dtype):
        raise ValueError(f"no array of {target.dtype} {list(target.shape)}")
    if len(member) != start + target.nbytes:
        raise ValueError(f"got {len(member)} bytes, expected {start + target.nbytes}")
    target[...] = np.frombuffer(member, target.dtype, offset=start).reshape(target.shape)


@lru_cache(maxsize=64)
def _header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype] | None:
    """Shape, Fortran order and dtype; ``None`` if it is no header."""
    if header[:8] != npy.magic(1, 0):
        return None
    try:
        return npy.read_array_header_1_0(io.BytesIO(header[8:]))
    except Exception:  # NumPy parses the header as Python; damaged, it raises all sorts
        return None


def _arrow() -> ModuleType | Any:
    return require("pyarrow", "bank-webdataset", "backend 'webdataset'")


def _parquet() -> ModuleType | Any:
    return require("pyarrow.parquet", "bank-webdataset", "backend 'webdataset'")

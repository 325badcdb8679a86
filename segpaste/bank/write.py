"""Writing a bank: beside its path, and renamed when it is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segpaste.bank.errors import BankError
from segpaste.bank.folder_beside import flush, folder_beside
from segpaste.bank.layout import INDEX_DTYPE, Chunk, check_record, record_dtype
from segpaste.bank.meta import META_FILE, BackendName, BankHead, BankMeta, ContentDigest, FileEntry
from segpaste.bank.open import backend_class
from segpaste.bank.stored_bank import file_sha256


def write_bank(
    path: str | Path,
    head: BankHead,
    chunks: Iterable[Chunk],
    *,
    backend: BackendName,
    count: int,
    built_from: Mapping[str, Any] | None = None,
) -> BankMeta:
    """Write a bank of ``count`` crops; the same arguments make the same bytes.

    It is written into a hidden folder beside ``path``, flushed to disk and renamed: under
    ``path`` there is a whole bank or nothing, whenever the power fails. What a killed writer
    left beside is removed by the next one for the same path.

    Args:
        path: where the bank shall be; must not exist, its parent must.
        head: what is common to all crops.
        chunks: the crops in order, in pieces of any size.
        backend: ``"memmap"``, ``"lmdb"`` or ``"webdataset"``.
        count: number of crops in all chunks.
        built_from: what the bank was built from, as JSON, for the reader.

    Raises:
        BankError: naming the path, if it exists or its parent does not, if the chunks are not
            ``count`` whole crops of this head, if the engine is not installed, or if the files
            cannot be written.
    """
    target = Path(path)
    kind = backend_class(backend)
    check_new(path)
    try:
        with folder_beside(target) as folder:
            content = ContentDigest(head)
            writer = kind.writer(folder, head, count)
            try:
                for chunk in _checked(chunks, head, count, path):
                    for place in range(len(chunk.index)):
                        content.add(
                            chunk.records[place : place + 1].view("u1").data, chunk.index[place].tobytes()
                        )
                    writer.add(chunk)
            finally:
                writer.close()
            meta = BankMeta(
                format=backend,
                head=head,
                count=count,
                content=content.hexdigest(),
                files=_entries(folder),
                built_from=dict(built_from or {}),
            )
            (folder / META_FILE).write_text(meta.to_json(), encoding="utf-8")
            for name in (*meta.files, META_FILE):
                flush(folder / name)
            flush(folder)
            _move(folder, target, path)
            flush(target.parent)
    except OSError as error:
        raise BankError(f"{path}: cannot be written: {error}") from error
    return meta


def check_new(path: str | Path) -> None:
    """Refuse a path where no new bank can be.

    Raises:
        BankError: if it exists, or its parent does not.
    """
    parent = Path(path).parent
    if os.path.lexists(path):
        raise BankError(f"{path}: exists, expected a new path")
    if not parent.is_dir():
        raise BankError(f"{path}: {parent} is no folder, expected one that exists")


def _checked(chunks: Iterable[Chunk], head: BankHead, count: int, path: str | Path) -> Iterator[Chunk]:
    dtype = record_dtype(head)
    done = 0
    for chunk in chunks:
        if chunk.records.dtype != dtype or chunk.index.dtype != INDEX_DTYPE:
            raise BankError(f"{path}: crop {done}: got records of another head")
        if len(chunk.records) != len(chunk.index):
            raise BankError(
                f"{path}: crop {done}: got {len(chunk.records)} records and {len(chunk.index)} index rows"
            )
        _check_rows(chunk.index, head, f"{path}: crop {done} and after")
        for place in range(len(chunk.index)):
            where = f"{path}: crop {done + place}"
            check_record(chunk.records[place : place + 1], chunk.index[place], where)
        done += len(chunk.index)
        if done > count:
            break
        yield Chunk(np.ascontiguousarray(chunk.records), np.ascontiguousarray(chunk.index))
    if done != count:
        raise BankError(f"{path}: got {'more' if done > count else done} crops, expected {count}")


def _check_rows(index: np.ndarray, head: BankHead, where: str) -> None:
    limits = {
        "class_id": (0, head.num_classes),
        "dataset": (0, len(head.datasets)),
        "model": (-1, len(head.models)),
    }
    for name, (least, beyond) in limits.items():
        wrong = (index[name] < least) | (index[name] >= beyond)
        if wrong.any():
            value = int(index[name][wrong.argmax()])
            raise BankError(f"{where}: {name}: got {value}, expected {least} to {beyond - 1}")


def _entries(folder: Path) -> dict[str, FileEntry]:
    names = sorted(entry.name for entry in folder.iterdir())
    return {
        name: FileEntry(size=(folder / name).stat().st_size, sha256=file_sha256(folder, name))
        for name in names
    }


def _move(folder: Path, target: Path, path: str | Path) -> None:
    """Rename to a path that may have come to exist meanwhile."""
    check_new(path)  # an empty folder would be replaced without a word
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise BankError(f"{path}: exists, expected a new path") from error
        raise

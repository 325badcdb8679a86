"""What all stored banks have in common: the checks at open and at read, the crops, pickling."""

from __future__ import annotations

import hashlib
import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, SupportsIndex

import numpy as np
import torch

from segpaste.bank.errors import BankError
from segpaste.bank.layout import INDEX_DTYPE, Chunk, check_record, record_dtype, unpack
from segpaste.bank.meta import LAYOUT_VERSION, META_FILE, BackendName, BankHead, BankMeta
from segpaste.bank.protocol import BankCrop

_CHUNK_BYTES = 1 << 25
_CHUNK_CROPS = 256


class BankWriter(Protocol):
    """Writes the files of a bank, all but ``meta.json``, into an empty folder."""

    def add(self, chunk: Chunk) -> None:
        """The next crops."""
        ...

    def close(self) -> None:
        """Finish and close the files; also called, once, when writing is given up."""
        ...


class StoredBank(ABC):
    """A bank in a folder; implements :class:`~segpaste.bank.protocol.InstanceBank`.

    At open everything but the crops is verified: ``meta.json`` by its own checksum, the sizes
    of all files, the SHA-256 of the index and the class ids. Each crop is verified by its CRC-32
    whenever it is read. So what is wrong with a bank is found before it is trained on, and a
    million crops open in a fraction of a second. :func:`~segpaste.bank.verify.verify_bank`
    reads everything.

    A bank is replaced by removing its folder and writing another: then those who have it open go
    on reading the old one, or are told. Where another bank is copied *into its files*, what is
    mapped becomes the other one under those who read it, unseen once it is complete.

    Pickled by path and version: a copy in another process opens the files itself, and refuses
    a bank that has replaced this one.

    Args:
        path: the folder.
        meta: what :func:`read_meta` gave for it; read here if ``None``.

    Raises:
        BankError: naming the path, if it is no bank of this backend, is not complete, or was
            changed.
    """

    format: ClassVar[BackendName]
    index_files: ClassVar[tuple[str, ...]]
    """The files whose SHA-256 is checked at open."""

    def __init__(self, path: str | Path, meta: BankMeta | None = None) -> None:
        self._given = Path(path)  # what messages name
        self._path = self._given.absolute()  # what is opened later, in whatever working directory
        self._meta = read_meta(path) if meta is None else meta
        if self._meta.format != self.format:
            raise BankError(f"{path}: got a bank in {self._meta.format!r}, expected one in {self.format!r}")
        self._record_dtype = record_dtype(self.head)
        self._check_files()
        self._index = self._open_index()
        self._class_ids = torch.from_numpy(self._open_class_ids())
        self._frequencies = self._count_classes()
        self._open_records()

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return self._path

    @property
    def meta(self) -> BankMeta:
        """What ``meta.json`` says."""
        return self._meta

    @property
    def head(self) -> BankHead:
        """What is common to all crops."""
        return self._meta.head

    @property
    def index(self) -> np.ndarray:
        """``[N]`` of :data:`~segpaste.bank.layout.INDEX_DTYPE`, read-only: what is known of each crop."""
        return self._index

    @property
    def class_frequencies(self) -> torch.Tensor:
        """``[num_classes]`` int64: the number of crops of each class, from class 0 on."""
        return self._frequencies.clone()

    @property
    def crop_class_ids(self) -> torch.Tensor:
        """``[N]`` int64: the class of each crop, the same tensor each time.

        It lies in the file where the backend can map it. What is written into it reaches no
        file, but everybody who uses this bank.
        """
        return self._class_ids

    @property
    def crop_size(self) -> tuple[int, int]:
        """``(h, w)`` of every crop."""
        return self.head.crop_size

    @property
    def has_embeddings(self) -> bool:
        """Whether every crop has an embedding."""
        return self.head.embedding_dim is not None

    @property
    def version(self) -> str:
        """``{format}@{sha256[:12]}``: what follows the ``@`` is the same for the same content."""
        return self._meta.version

    def __len__(self) -> int:
        return self._meta.count

    def __getitem__(self, index: SupportsIndex, /) -> BankCrop:
        """Crop ``index``, in memory of its own; negative from the end.

        Raises:
            IndexError: if there is no such crop.
            TypeError: if ``index`` is no integer.
            BankError: naming path and crop, if its bytes were changed.
        """
        number = self._number(index)
        return unpack(self._checked(number), self._index[number], self.head)

    def __iter__(self) -> Iterator[BankCrop]:
        return (self[number] for number in range(len(self)))

    def __getitems__(self, indices: Sequence[SupportsIndex], /) -> list[BankCrop]:
        """Several crops; what a ``DataLoader`` calls for a batch."""
        return [self[index] for index in indices]

    def records(self, indices: Sequence[SupportsIndex]) -> Chunk:
        """Records and index rows of some crops, in the order asked for, in memory of their own.

        Raises:
            IndexError, TypeError, BankError: as for a single crop.
        """
        numbers = [self._number(index) for index in indices]
        records = np.empty(len(numbers), self._record_dtype)
        for place, number in enumerate(numbers):
            records[place : place + 1] = self._checked(number)
        return Chunk(records, np.array(self._index[numbers], INDEX_DTYPE))

    def chunks(self, size: int | None = None) -> Iterator[Chunk]:
        """The whole bank in order, ``size`` crops at a time; at most 256 or 32 MiB if ``None``.

        Raises:
            BankError: as for a single crop.
        """
        if size is None:
            size = min(_CHUNK_CROPS, max(1, _CHUNK_BYTES // self._record_dtype.itemsize))
        for start in range(0, len(self), size):
            yield self.records(range(start, min(start + size, len(self))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (type(self), str(self._path), self.version)

    def __repr__(self) -> str:
        h, w = self.crop_size
        return f"{type(self).__name__}({str(self._path)!r}: {len(self)} crops of {h} x {w}, {self.version})"

    @classmethod
    @abstractmethod
    def writer(cls, folder: Path, head: BankHead, count: int) -> BankWriter:
        """What writes ``count`` crops into ``folder``; :func:`~segpaste.bank.write.write_bank` uses it."""

    @abstractmethod
    def _open_index(self) -> np.ndarray:
        """The index, ``[N]`` of ``INDEX_DTYPE``, read-only; its file is as it was written."""

    @abstractmethod
    def _open_class_ids(self) -> np.ndarray:
        """The class ids, ``[N]`` int64; their file is as it was written."""

    @abstractmethod
    def _open_records(self) -> None:
        """Check what can be checked of the records without reading them."""

    @abstractmethod
    def _record(self, number: int) -> np.ndarray:
        """Record ``number`` as ``[1]``, unchecked; it may be a view of the file."""

    def _checked(self, number: int) -> np.ndarray:
        try:
            record = self._record(number)
            check_record(record, self._index[number], self._where(number))
        except BankError:
            self._refuse_replaced()
            raise
        return record

    def _refuse_replaced(self) -> None:
        """Say so if the folder holds another bank by now: what is wrong with a crop is then no damage."""
        try:
            meta = read_meta(self._path)
        except BankError:
            return
        _check_version(self._given, meta, self.version)

    def _where(self, number: int) -> str:
        return f"{self._given}: crop {number}"

    def _number(self, index: SupportsIndex) -> int:
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"index: got {type(index).__name__}, expected an int: a bank gives one crop at a time"
            ) from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"index: got {number}, expected one of the {len(self)} crops of {self._given}")
        return number % len(self)

    def _check_files(self) -> None:
        for name, entry in self._meta.files.items():
            check_size(self._given, name, entry.size)
        for name in self.index_files:
            if name not in self._meta.files:
                raise BankError(
                    f"{self._given}: meta.json: files: got no {name}, expected it in {self.format!r}"
                )
            if file_sha256(self._given, name) != self._meta.files[name].sha256:
                raise BankError(
                    f"{self._given}: {name}: got other bytes than meta.json knows: "
                    "the file was changed or is of another bank"
                )

    def _count_classes(self) -> torch.Tensor:
        ids = self._class_ids
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.head.num_classes:
            raise BankError(
                f"{self._given}: class ids: got {int(ids.min())} to {int(ids.max())}, "
                f"expected 0 or more and less than {self.head.num_classes}"
            )
        return torch.bincount(ids, minlength=self.head.num_classes)


def read_meta(path: str | Path) -> BankMeta:
    """``meta.json`` of a bank.

    Raises:
        BankError: naming the path, if it is no folder of a bank, or ``meta.json`` is damaged
            or of another layout.
    """
    folder = Path(path)
    if not folder.exists():
        raise BankError(f"{path}: got nothing there, expected the folder of a bank")
    if not folder.is_dir():
        raise BankError(f"{path}: got a file, expected the folder of a bank")
    try:
        text = (folder / META_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BankError(f"{path}: got a folder without {META_FILE}, expected the folder of a bank") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BankError(f"{path}: {META_FILE}: not readable: {_one_line(error)}") from error
    try:
        return BankMeta.from_json(text)
    except (ValueError, RecursionError) as error:
        layout = _layout_of(text)
        if layout not in (None, LAYOUT_VERSION):
            raise BankError(
                f"{path}: {META_FILE}: got layout {layout}, expected {LAYOUT_VERSION}: "
                "the bank was written by another version of segpaste"
            ) from error
        raise BankError(f"{path}: {META_FILE}: damaged: {_one_line(error)}") from error


def check_size(path: Path, name: str, size: int) -> None:
    """Refuse a file that is missing or of another size.

    Raises:
        BankError: naming the bank and the file.
    """
    try:
        found = (path / name).stat().st_size
    except OSError as error:
        raise BankError(f"{path}: {name}: missing or not readable: {error.strerror}") from error
    if found != size:
        raise BankError(f"{path}: {name}: got {found} bytes, expected {size}")


def file_sha256(path: Path, name: str) -> str:
    """SHA-256 of a file of a bank, in little memory.

    Raises:
        BankError: if it cannot be read.
    """
    try:
        with (path / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BankError(f"{path}: {name}: missing or not readable: {error.strerror}") from error


def _reopened(kind: type[StoredBank], path: str, version: str) -> StoredBank:
    meta = read_meta(path)
    _check_version(path, meta, version)
    return kind(path, meta)


def _check_version(path: str | Path, meta: BankMeta, version: str) -> None:
    if meta.version != version:
        raise BankError(
            f"{path}: got a bank of version {meta.version}, expected {version}: "
            "it was replaced since it was opened"
        )


def _layout_of(text: str) -> object:
    """The layout that a ``meta.json`` claims, if it can be told."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return values.get("layout") if isinstance(values, dict) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

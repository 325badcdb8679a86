"""The folder beside a bank under construction: one file for each shard that is done."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segpaste.bank.errors import BankError
from segpaste.bank.layout import INDEX_DTYPE, Chunk, pack, record_dtype
from segpaste.bank.meta import BankHead
from segpaste.bank.source import CropShard

_JOB_FILE = "job.json"
_LOCK_FILE = "lock"
_READ_AT_ONCE = 256


class Made(NamedTuple):
    """A finished shard.

    Attributes:
        body: the crops' index rows, then their records.
        crops: their number.
        left_out: what gave no crop: reason -> number.
        inputs: digest of the files that they were cut from.
    """

    body: bytes
    crops: int
    left_out: dict[str, int]
    inputs: str


def make_shard(shard: CropShard, head: BankHead) -> Made:
    """Do the work of one shard; runs wherever an engine puts it."""
    # Before they are read: of a file that changes meanwhile the old bytes are noted, so it is cut again.
    inputs = shard.inputs()
    crops, left_out = shard.crops()
    chunk = pack(crops, head)
    return Made(chunk.index.tobytes() + chunk.records.tobytes(), len(crops), dict(left_out), inputs)


class Staging:
    """The finished shards of one build.

    Args:
        path: of the bank; the folder is ``.{name}.building`` beside it.
        head: the bank's.
        shards: how many shards there are in all.
    """

    def __init__(self, path: Path, head: BankHead, shards: int) -> None:
        self.folder = path.parent / f".{path.name}.building"
        self._path = path
        self._head = head
        self._shards = shards
        self._job = ""
        self._crops_of: dict[int, int] = {}
        self._inputs_of: dict[int, str] = {}
        self._left_out: Counter[str] = Counter()
        self.crops = 0
        """The number of crops in the finished shards."""

    @property
    def done(self) -> Set[int]:
        """The numbers of the finished shards."""
        return self._crops_of.keys()

    @property
    def left_out(self) -> dict[str, int]:
        """What the finished shards left out: reason -> number."""
        return dict(sorted(self._left_out.items()))

    @property
    def contents(self) -> dict[str, str]:
        """The digest of what the shards were cut from, when all are finished."""
        return contents_of([self._inputs_of[number] for number in range(self._shards)])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other build of the same bank away; the lock of a killed process is none.

        Raises:
            BankError: if another build is running, or the folder cannot be made.
        """
        try:
            file = self._lock()
        except OSError as error:
            raise BankError(f"{self._path}: cannot be built: {error}") from error
        try:
            yield
        finally:
            if not (self.folder / _JOB_FILE).exists():  # nothing was begun
                shutil.rmtree(self.folder, ignore_errors=True)
            os.close(file)

    def open(
        self,
        job: dict[str, Any],
        shards: Sequence[CropShard],
        *,
        fresh: bool,
        checked: Callable[[int, int], None],
    ) -> None:
        """Take up what an interrupted build left, or begin.

        Every file is read and checked; one that is not whole, not the one of its number and job, or
        of which an input has changed since, is done again.

        Args:
            job: what decides the crops but for the contents of the shards' inputs, as JSON.
            shards: the work.
            fresh: begin, whatever there is.
            checked: is called after each file with how many were checked, of how many.

        Raises:
            BankError: if what is there was left by another job; it names what differs.
        """
        self._job = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
        there = self.folder / _JOB_FILE
        # A job that was refused at its first shard has nothing that could be lost.
        nothing_done = not any(self.folder.glob("shard-*.crops"))
        if fresh or nothing_done or not there.exists():
            self._clear()
            _write(there, json.dumps(job, sort_keys=True, indent=1).encode())
            return
        try:
            found = json.loads(there.read_bytes())
        except ValueError:
            found = None
        if found != json.loads(json.dumps(job)):
            raise BankError(
                f"{self._path}: {self.folder} holds an interrupted build of another job "
                f"({difference(found, json.loads(json.dumps(job)))}): "
                "fresh=True (--fresh) starts anew, or delete that folder"
            )
        numbers = [number for number in range(self._shards) if self._file(number).exists()]
        for place, number in enumerate(numbers):
            title = self._sound_title(number)
            if title is not None and title["inputs"] == shards[number].inputs():
                self._note(number, title["crops"], title["left_out"], title["inputs"])
            checked(place + 1, len(numbers))

    def put(self, number: int, made: Made) -> None:
        """Keep a finished shard: whole under its name, or not at all."""
        title = {
            "job": self._job,
            "shard": number,
            "inputs": made.inputs,
            "crops": made.crops,
            "left_out": made.left_out,
            "size": len(made.body),
            "crc32": zlib.crc32(made.body),
        }
        line = json.dumps(title, sort_keys=True).encode()
        _write(self._file(number), line + b" %08x\n" % zlib.crc32(line), made.body)
        self._note(number, made.crops, made.left_out, made.inputs)

    def chunks(self) -> Iterator[Chunk]:
        """The crops of all shards, shard after shard."""
        records = record_dtype(self._head)
        for number in range(self._shards):
            with self._file(number).open("rb") as file:
                file.readline()
                index = np.fromfile(file, INDEX_DTYPE, self._crops_of[number])
                for start in range(0, len(index), _READ_AT_ONCE):
                    rows = index[start : start + _READ_AT_ONCE]
                    yield Chunk(np.fromfile(file, records, len(rows)), rows)

    def size(self) -> int:
        """Bytes that the finished shards take."""
        return sum(self._file(number).stat().st_size for number in self._crops_of)

    def remove(self) -> None:
        """Delete the folder; for a build that is done."""
        shutil.rmtree(self.folder)

    def _note(self, number: int, crops: int, left_out: dict[str, int], inputs: str) -> None:
        self._crops_of[number] = crops
        self._inputs_of[number] = inputs
        self.crops += crops
        self._left_out.update(left_out)

    def _file(self, number: int) -> Path:
        return self.folder / f"shard-{number:06d}.crops"

    def _lock(self) -> int:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                file = os.open(self.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:  # the folder was removed by a build that ended just now
                continue
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.read(file, 20).decode(errors="replace") or "just started"
                os.close(file)
                raise BankError(
                    f"{self._path}: another build of this bank is running (process {holder}); "
                    "wait for it, or end it"
                ) from error
            except OSError:  # a file system without locks, as clusters may have: trust the user
                return file
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(self.folder / _LOCK_FILE)):
                    os.ftruncate(file, 0)
                    os.write(file, str(os.getpid()).encode())
                    return file
            os.close(file)  # the lock of a folder that is gone

    def _clear(self) -> None:
        for file in self.folder.iterdir():
            if file.is_dir() and not file.is_symlink():
                shutil.rmtree(file)
            elif file.name != _LOCK_FILE:
                file.unlink()

    def _sound_title(self, number: int) -> dict[str, Any] | None:
        """What a shard's file says of itself; ``None`` if it is missing or any byte is not as written."""
        try:
            with self._file(number).open("rb") as file:
                line, _, check = file.readline().rstrip(b"\n").rpartition(b" ")
                if check != f"{zlib.crc32(line):08x}".encode():
                    return None
                title = json.loads(line)
                if (title.get("job"), title.get("shard")) != (self._job, number):
                    return None
                crc32, size = 0, 0
                while part := file.read(1 << 20):
                    crc32, size = zlib.crc32(part, crc32), size + len(part)
        except FileNotFoundError:
            return None
        return title if (crc32, size) == (title["crc32"], title["size"]) else None


def difference(found: Any, expected: Any, at: str = "") -> str:
    """The first place where two JSON values differ, in words."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in sorted(set(found) | set(expected)):
            if found.get(key) != expected.get(key):
                return difference(found.get(key), expected.get(key), f"{at}.{key}" if at else key)
    return f"{at or _JOB_FILE}: it has {found!r:.80}, this build {expected!r:.80}"


def contents_of(inputs: Sequence[str]) -> dict[str, str]:
    """What a bank says of its shards' digests, in order: one over all, or nothing where there are none."""
    if not any(inputs):
        return {}
    return {"contents": hashlib.sha256("\n".join(inputs).encode()).hexdigest()}


def _write(path: Path, *parts: bytes) -> None:
    """Write a file that is whole under its name, or not there."""
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise BankError(f"{path}: cannot be written: {error}") from error

"""A folder that is written beside its place and renamed when it is whole."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A new hidden folder beside ``target``, locked as long as this process works on it.

    It is removed at the end; what is to stay must have been renamed before. What killed writers
    for the same place left beside is removed at the start.

    Raises:
        OSError: if the folder cannot be made.
    """
    prefix = f".{target.name}.writing-"
    for entry in list(os.scandir(target.parent)):
        if entry.name.startswith(prefix):
            _remove_leftover(Path(entry.path))
    folder, lock = _new_locked_folder(target.parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # where all went well it has been renamed
        os.close(lock)


def flush(path: Path) -> None:
    """Have a file, or a folder's list of names, on the disk.

    Raises:
        OSError: if that fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = parent / f"{prefix}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
        with suppress(FileNotFoundError):  # somebody took it for a leftover before it was locked
            lock = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # no locks on this file system: then nobody removes leftovers either
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_leftover(folder: Path) -> None:
    """Remove the folder of a writer that is dead: the system took its lock away."""
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with suppress(OSError):  # in use
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)

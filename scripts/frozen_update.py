"""Writing frozen files so that no moment is a bad one to be killed at.

1. A lock, which the system takes back from a process that dies, keeps others out.
2. All new files, the ledger among them, are written into a folder of their own, to disk.
3. One rename gives that folder the name :data:`~segpaste.goldens.store.PENDING`: until
   then the old state stands, from then on the new one is decided.
4. The files are moved to their places, the folder is removed. Whoever is killed here
   leaves a state that ``--check`` names and ``--recover`` finishes, as often as need be.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from segpaste.goldens.digests import FrozenFileError, parse_line
from segpaste.goldens.store import DIGESTS, LEDGER, PENDING, FrozenStore, digest_of

LOCK, UNDECIDED, MANIFEST = ".lock", ".undecided", "MANIFEST"


class UpdateError(Exception):
    """An update that is refused, in one line."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other updates of the folder out.

    Raises:
        UpdateError: if one is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UpdateError(f"{folder}: another update is running; wait for it to end") from None
    try:
        yield
    finally:
        lock.release()


def write_state(folder: Path, files: Mapping[str, bytes], reason: str) -> dict[str, Any]:
    """Replace the frozen files by others and append to the ledger; call it under :func:`locked`.

    Args:
        folder: of the frozen files.
        files: the new ones, without the ledger, by their place in the folder.
        reason: why; not blank.

    Returns:
        The ledger's new entry.

    Raises:
        UpdateError: without a reason, if nothing changes, and over files that are damaged.
    """
    if not reason.strip():
        raise UpdateError('reason: got nothing, expected why the bits change: --reason "..."')
    finish(folder)
    store = FrozenStore(folder)
    try:
        entries = store.ledger()
    except FrozenFileError as error:
        raise UpdateError(str(error)) from None
    if not entries and any(store.files()):
        raise UpdateError(
            f"{folder / LEDGER}: got no entry beside frozen files, expected one per update; bring the file "
            "back from version control first"
        )
    entry = _entry(folder, files, " ".join(reason.split()))
    if entries and entry["new"] == entries[-1]["new"] == store.digest():
        raise UpdateError(f"{folder}: nothing changes: the files have the digest {entry['new'][:16]} already")
    ledger = "".join(json.dumps(one) + "\n" for one in (*entries, entry))
    everything = {**files, LEDGER: ledger.encode()}
    undecided = folder / UNDECIDED
    shutil.rmtree(undecided, ignore_errors=True)
    for name, content in {**everything, MANIFEST: "\n".join(sorted(everything)).encode()}.items():
        _write(undecided / name, content)
    _flush_folders(undecided)
    os.rename(undecided, folder / PENDING)
    _flush(folder)
    finish(folder)
    return entry


def finish(folder: Path) -> bool:
    """Finish an update that was decided and interrupted; whether there was one.

    Nothing is done twice, and being killed again does no harm.
    """
    pending = folder / PENDING
    if not pending.is_dir():
        return False
    manifest = pending / MANIFEST
    if manifest.is_file():
        listed = manifest.read_text(encoding="utf-8").splitlines()
        for name in listed:
            if (pending / name).is_file():
                (folder / name).parent.mkdir(exist_ok=True)
                os.replace(pending / name, folder / name)
        for name in list(FrozenStore(folder).files()):
            if name not in listed:
                (folder / name).unlink()
        _flush_folders(folder)
        manifest.unlink()
    shutil.rmtree(pending)
    _flush(folder)
    return True


def _entry(folder: Path, files: Mapping[str, bytes], reason: str) -> dict[str, Any]:
    store = FrozenStore(folder)
    old = {name: (folder / name).read_bytes() for name in store.files()}
    before, after = _lines(old), _lines(files)
    changed: dict[str, int] = {}
    for case in before.keys() & after.keys():
        for field in before[case].keys() | after[case].keys():
            if before[case].get(field) != after[case].get(field):
                changed[field] = changed.get(field, 0) + 1
    commit, dirty = _commit(folder)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "commit": commit,
        "dirty": dirty,
        "old": digest_of(old) if old else None,
        "new": digest_of(dict(files)),
        "cases": len(after),
        "new_cases": len(after.keys() - before.keys()),
        "lost_cases": len(before.keys() - after.keys()),
        "changed_cases": sum(before[case] != after[case] for case in before.keys() & after.keys()),
        "changed_fields": dict(sorted(changed.items())),
    }


def _lines(files: Mapping[str, bytes]) -> dict[tuple[str, int], dict[str, str]]:
    cases: dict[tuple[str, int], dict[str, str]] = {}
    for name, content in files.items():
        if name.startswith(DIGESTS):
            # What is no text has a line that is none.
            for line in content.decode(errors="replace").splitlines():
                try:
                    seed, digests = parse_line(line)
                except FrozenFileError:
                    raise UpdateError(
                        f"{name}: got the line {line[:40]!r}, expected a seed and digests; bring the file "
                        "back from version control first"
                    ) from None
                cases[name, seed] = digests
    return cases


def _commit(folder: Path) -> tuple[str | None, bool | None]:
    """The commit that is checked out, and whether anything but the frozen files differs from it."""

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain", "--", ":/", f":(exclude,top){_in_tree(folder)}")
    return (None if commit is None else commit.strip()), (None if status is None else bool(status.strip()))


def _in_tree(folder: Path) -> str:
    root = Path(__file__).resolve().parent.parent
    place = folder.resolve()
    return str(place.relative_to(root)) if place.is_relative_to(root) else "goldens/frozen"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folders(top: Path) -> None:
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        _flush(folder)


def _flush(folder: Path) -> None:
    """Bring the names in a folder to disk; where folders cannot be opened, the system does it."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

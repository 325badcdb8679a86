"""Kills updates of a small frozen folder, again and again, and says what each left behind.

``test_regenerate_goldens.py`` runs it in a process of its own, as it forks: every update is
a child, so that importing is paid for once. Half of the children are killed after a random
time, half at a random one of their operations on files.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from frozen_update import (  # noqa: E402  # pyright: ignore[reportMissingImports]
    UpdateError,
    finish,
    locked,
    write_state,
)
from regenerate_goldens import new_files  # noqa: E402  # pyright: ignore[reportMissingImports]

from segpaste.goldens.check import check_executor  # noqa: E402
from segpaste.goldens.store import FrozenStore  # noqa: E402

KINDS = ("instance", "image")
FEWER, MORE = [0, 1], [0, 1, 2]
OPERATIONS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"}
TRIALS = 10


def update(folder: Path, seeds: list[int]) -> None:
    """One update, as the script does it."""
    with locked(folder):
        write_state(folder, new_files(KINDS, seeds, lambda text: None), "a reason")


class Operations:
    """Counts operations on files below a folder; counted down to zero, this process dies."""

    def __init__(self, folder: Path) -> None:
        self.done, self.deadly = 0, -1
        self._folder = str(folder)
        sys.addaudithook(self._count)

    def _count(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and self._folder in str(arguments[0]):
            self.done += 1
            if self.done == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)


def killed(
    folder: Path, seeds: list[int], operations: Operations, *, after: float | None, deadly: int
) -> bool:
    """Update in a child and kill it, after a time or at an operation; whether it was dead before its end."""
    child = os.fork()
    if child == 0:
        if after is None:
            operations.done, operations.deadly = 0, deadly
        update(folder, seeds)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main(folder: Path, seed: int) -> dict[str, object]:
    """Ten updates killed at random moments: how many died, and in which state they left the folder."""
    draw = random.Random(seed)
    update(folder, MORE)
    operations = Operations(folder)
    start = time.perf_counter()
    update(folder, FEWER)
    lasts, most = time.perf_counter() - start, operations.done
    told = {"old": 0, "new": 0, "named": 0}
    dead = trial = 0
    while dead < TRIALS and trial < 4 * TRIALS:
        trial += 1
        before = FrozenStore(folder)
        old, frozen = before.digest(), len(before.digests("instance", "uint8"))
        seeds = MORE if frozen == len(FEWER) else FEWER
        after = draw.uniform(0, lasts) if trial % 2 else None
        dead += killed(folder, seeds, operations, after=after, deadly=draw.randint(1, most))
        store = FrozenStore(folder)
        trouble = store.trouble()
        if trouble is not None:
            if "--recover" not in trouble:
                raise SystemExit(f"trial {trial}: not named: {trouble}")
            told["named"] += 1
            with locked(folder):
                finish(folder)
            store = FrozenStore(folder)
        else:
            told["old" if store.digest() == old else "new"] += 1
        if store.trouble() is not None:
            raise SystemExit(f"trial {trial}: not whole after recovery: {store.trouble()}")
        for kind in KINDS:
            there = sorted(store.digests(kind, "uint8"))
            if there not in (FEWER, MORE) or check_executor(
                "reference", kinds=[kind], seeds=there, store=store
            ):
                raise SystemExit(f"trial {trial}: got another state than the old or the new one")
    # A lock of the dead does not block; and what they began is gone.
    last = MORE if len(FrozenStore(folder).digests("instance", "uint8")) == len(FEWER) else FEWER
    update(folder, last)
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.is_dir())
    return {"dead": dead, "operations": most, "left": left, **told}


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
    except UpdateError as error:
        sys.exit(str(error))

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

from frozen_update import UpdateError, finish, locked, write_state  # noqa: E402
from regenerate_goldens import new_files  # noqa: E402

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


def killed(folder: Path, seeds: list[int], *, after: float | None, operations: int) -> bool:
    """Update in a child and kill it; whether it was dead before its end."""
    child = os.fork()
    if child == 0:
        if after is None:
            left = [operations]

            def count(event: str, arguments: tuple[object, ...]) -> None:
                if event in OPERATIONS and str(folder) in str(arguments[0]):
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(count)
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
    start = time.perf_counter()
    update(folder, FEWER)
    lasts = time.perf_counter() - start
    told = {"old": 0, "new": 0, "named": 0}
    dead = 0
    for trial in range(TRIALS):
        before = FrozenStore(folder)
        old, frozen = before.digest(), len(before.digests("instance", "uint8"))
        seeds = MORE if frozen == len(FEWER) else FEWER
        after = draw.uniform(0, lasts) if trial % 2 else None
        dead += killed(folder, seeds, after=after, operations=draw.randrange(40))
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
    return {"dead": dead, "left": left, **told}


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
    except UpdateError as error:
        sys.exit(str(error))

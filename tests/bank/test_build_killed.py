"""kill -9 at random moments of a build: the next one ends in the same bytes."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from segpaste.bank import open_bank
from segpaste.bank.meta import BackendName
from segpaste.bank.source import CropSource
from tests.bank.builds import PRELOAD, DrawnSource, build, files_of
from tests.bank.drawn_bank import BACKENDS


def test_a_killed_build_ends_in_the_same_bytes(tmp_path: Path) -> None:
    for backend, kills in zip(BACKENDS, (2, 1, 1), strict=True):
        (tmp_path / backend).mkdir()
        kill(DrawnSource(20, seconds=0.01), tmp_path / backend, backend, kills=kills, seed=kills)


@pytest.mark.nightly
@pytest.mark.parametrize(("backend", "workers"), [*((backend, 1) for backend in BACKENDS), ("memmap", 2)])
def test_builds_killed_twenty_times_end_in_the_same_bytes(
    tmp_path: Path, backend: BackendName, workers: int
) -> None:
    kill(DrawnSource(40, seconds=0.02), tmp_path, backend, kills=20, seed=5, workers=workers)


@pytest.mark.nightly
def test_workers_end_with_a_killed_builder(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    source = DrawnSource(10_000, seconds=0.01, notes=tmp_path / "notes")
    builder = started(source, tmp_path / "bank", "memmap", 2)
    while not source.worked_on():
        time.sleep(0.05)
    builder.kill()
    builder.join()
    time.sleep(1)
    done = len(source.worked_on())
    time.sleep(0.5)
    assert len(source.worked_on()) == done


def kill(
    source: CropSource, folder: Path, backend: BackendName, *, kills: int, seed: int, workers: int = 1
) -> None:
    """Build again and again, killed after a random part of the time that a build takes, then to its end.

    A build goes on where the killed one was; one that ended before its moment came does not
    count, and its bank is removed.

    Args:
        source: what is built.
        folder: an empty one.
        backend: the bank's.
        kills: how often.
        seed: decides the moments.
        workers: of each build.
    """
    draw, killed = random.Random(seed), 0
    began = time.monotonic()
    ended(started(source, folder / "whole", backend, workers))
    longest = time.monotonic() - began
    whole = files_of(folder / "whole")
    path = folder / "bank"
    while killed < kills:
        builder = started(source, path, backend, workers)
        builder.join(draw.uniform(0, longest))
        if builder.exitcode is None:
            builder.kill()
            builder.join()
            killed += 1
        else:
            ended(builder)
        if seen(path, whole):
            shutil.rmtree(path)
    ended(started(source, path, backend, workers))
    assert seen(path, whole)
    assert sorted(each.name for each in folder.iterdir()) == ["bank", "whole"]


def seen(path: Path, whole: dict[str, str]) -> bool:
    """Whether a reader sees a bank, which must be the whole one; the builder has ended."""
    if not path.exists():
        return False
    open_bank(path)
    assert files_of(path) == whole
    return True


def started(source: CropSource, path: Path, backend: BackendName, workers: int) -> Any:
    """A builder in a process of its own, which begins where everything is imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    builder = context.Process(target=build, args=(source, path, backend, workers))
    builder.start()
    return builder


def ended(builder: Any) -> None:
    builder.join()
    assert builder.exitcode == 0

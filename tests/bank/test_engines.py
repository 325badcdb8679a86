"""Processes that do the work of a build: any number, dying, raising, the same bytes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segpaste.bank import BankError, build_bank, engines
from segpaste.bank.engines import run_locally
from tests.bank.builds import DrawnSource, end_at_once, files_of


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    """Workers end with the builds that had them."""
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [2, 4, 9])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, workers: int) -> None:
    (tmp_path / "notes").mkdir()
    source = DrawnSource(7, notes=tmp_path / "notes")
    build_bank(source, tmp_path / "bank", workers=workers)
    assert source.worked_on() == dict.fromkeys(range(7), 1)
    build_bank(source, tmp_path / "one")
    assert files_of(tmp_path / "bank") == files_of(tmp_path / "one")


def test_shards_are_given_as_they_are_done() -> None:
    source = DrawnSource(5)
    given = dict(run_locally(source.shards(), [4, 1, 3], source.head(), 2))
    assert sorted(given) == [1, 3, 4]
    assert [given[n].crops for n in (1, 3, 4)] == [4, 3, 4]


def test_what_a_worker_raises_arrives_and_ends_the_others(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    path = tmp_path / "bank"
    source = DrawnSource(40, seconds=0.05, trouble="raise", troubled=(1,), notes=tmp_path / "notes")
    with pytest.raises(ValueError, match="^picture 1: is no picture") as caught:
        build_bank(source, path, workers=2)
    assert str(caught.value) == "picture 1: is no picture"
    assert any("in a worker:" in note and "raise ValueError" in note for note in caught.value.__notes__)
    assert len(source.worked_on()) < 10
    # What was done stays, and is not done again.
    build_bank(source.healthy(), path, workers=2)
    build_bank(source.healthy(), tmp_path / "one")
    assert files_of(path) == files_of(tmp_path / "one")


def test_an_error_that_cannot_travel_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="^UnportableError: this and that$"):
        build_bank(DrawnSource(trouble="unportable", troubled=(2,)), tmp_path / "bank", workers=2)


def test_a_worker_that_dies_costs_its_shard_a_second_try(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    source = DrawnSource(6, trouble="die once", troubled=(2, 4), notes=tmp_path / "notes")
    build_bank(source, tmp_path / "bank", workers=2)
    assert source.worked_on() == {0: 1, 1: 1, 2: 2, 3: 1, 4: 2, 5: 1}
    build_bank(source.healthy(), tmp_path / "one")
    assert files_of(tmp_path / "bank") == files_of(tmp_path / "one")


def test_a_shard_that_kills_its_workers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bank"
    source = DrawnSource(6, trouble="die", troubled=(2,))
    with pytest.raises(BankError, match=r"^shard 2: .* ended 2 times \(exit code -9, out of memory\?\)$"):
        build_bank(source, path, workers=2)
    assert not path.exists()
    assert (tmp_path / ".bank.building").is_dir()


def test_an_interrupt_in_a_worker_ends_it_as_a_death(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="^shard 0: the process that worked on it ended 2 times"):
        build_bank(DrawnSource(2, trouble="interrupt", troubled=(0,)), tmp_path / "bank", workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_build_leaves_its_staging_and_no_worker(tmp_path: Path, workers: int) -> None:
    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "notes").mkdir()
    source, path = DrawnSource(notes=tmp_path / "notes"), tmp_path / "bank"
    with pytest.raises(KeyboardInterrupt):
        build_bank(source, path, workers=workers, progress=interrupt)
    assert len(list((tmp_path / ".bank.building").glob("shard-*.crops"))) == 1
    assert multiprocessing.active_children() == []
    build_bank(source, path)
    assert len([n for n, times in source.worked_on().items() if times == 1]) >= 4


def test_an_iterator_that_is_closed_ends_its_workers() -> None:
    source = DrawnSource(20, seconds=0.01)
    work = run_locally(source.shards(), range(20), source.head(), 2)
    next(work)
    assert len(multiprocessing.active_children()) == 2
    began = time.monotonic()
    work.close()
    assert multiprocessing.active_children() == []
    assert time.monotonic() - began < 5


def test_a_worker_that_cannot_begin_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_serve", end_at_once)
    with pytest.raises(BankError, match=r"before it took up work \(exit code 7\).*__main__"):
        build_bank(DrawnSource(), tmp_path / "bank", workers=2)

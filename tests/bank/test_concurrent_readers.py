"""Many readers at once, in threads, forked and spawned, while banks come and go beside them."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from segpaste.bank import BankCrop, BankError, open_bank
from segpaste.bank.stored_bank import StoredBank
from tests.bank.drawn_bank import BACKENDS, drawn_bank, drawn_crops, same_crop

FIELDS: dict[str, Any] = {"depth": True, "embedding_dim": 2}
COUNT = 23
# Python 3.12 warns of forking a process that has threads; loaders do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(params=BACKENDS)
def bank(request: pytest.FixtureRequest, tmp_path: Path) -> StoredBank:
    return drawn_bank(tmp_path / "bank", COUNT, backend=request.param, **FIELDS)


def _batches(bank: StoredBank, **arguments: Any) -> list[BankCrop]:
    loader: DataLoader[Any] = DataLoader(
        bank,  # pyright: ignore[reportArgumentType]
        batch_size=4,
        collate_fn=list,
        **arguments,
    )
    return [crop for batch in loader for crop in batch]


def _right(crops: list[BankCrop], seed: int = 0) -> bool:
    return all(same_crop(a, b) for a, b in zip(crops, drawn_crops(COUNT, seed=seed, **FIELDS), strict=True))


def test_forked_workers(bank: StoredBank) -> None:
    assert _right(list(bank))  # everything is open before the fork
    assert _right(_batches(bank, num_workers=2, multiprocessing_context="fork"))
    assert _right(list(bank))


@pytest.mark.nightly  # the short forms: one spawned worker in test_loader.py, pickling in test_backends.py
def test_spawned_workers(bank: StoredBank) -> None:
    assert _right(_batches(bank, num_workers=2, multiprocessing_context="spawn"))


def test_a_fork_in_the_middle_of_reading(bank: StoredBank) -> None:
    # Threads read on while the workers of a loader are forked from this very process.
    stop, wrong = threading.Event(), []
    threads = [threading.Thread(target=_read_until, args=(bank, stop, wrong)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert _right(_batches(bank, num_workers=2, multiprocessing_context="fork"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_threads(bank: StoredBank) -> None:
    opened = [bank, open_bank(bank.path), pickle.loads(pickle.dumps(bank))]
    stop, wrong = threading.Event(), []
    threads = [threading.Thread(target=_read_until, args=(one, stop, wrong)) for one in opened * 2]
    for thread in threads:
        thread.start()
    for _ in range(5):  # others come and go meanwhile
        assert _right(list(open_bank(bank.path)))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def _read_until(bank: StoredBank, stop: threading.Event, wrong: list[Any]) -> None:
    expected = drawn_crops(COUNT, **FIELDS)
    try:
        while not stop.is_set():
            for number in range(COUNT):
                if not same_crop(bank[number], expected[number]):
                    wrong.append(number)
    except Exception as error:  # an exception in a thread is not one of the test
        wrong.append(error)


def test_readers_while_another_bank_is_built_beside(bank: StoredBank) -> None:
    stop, wrong = threading.Event(), []
    reader = threading.Thread(target=_read_until, args=(bank, stop, wrong))
    reader.start()
    backend = bank.format
    for seed in (1, 2, 3):
        other = drawn_bank(bank.path.with_name(f"other{seed}"), COUNT, backend=backend, seed=seed, **FIELDS)
        assert _right(list(other), seed)
    stop.set()
    reader.join()
    assert wrong == []


def test_a_bank_that_is_deleted_stays_readable_where_it_is_open(bank: StoredBank) -> None:
    assert _right(list(bank))
    shutil.rmtree(bank.path)
    assert _right(list(bank))
    with pytest.raises(BankError, match="bank: got nothing there"):
        pickle.loads(pickle.dumps(bank))


def test_a_bank_that_is_replaced_is_never_mixed_with_the_old(bank: StoredBank) -> None:
    assert _right(list(bank))
    shutil.rmtree(bank.path)
    new = drawn_bank(bank.path, COUNT, backend=bank.format, seed=1, **FIELDS)
    assert _right(list(new), seed=1)
    assert _right(list(bank))
    with pytest.raises(BankError, match=f"got a bank of version {new.version}, expected {bank.version}"):
        pickle.loads(pickle.dumps(bank))
    assert _right(_batches(new, num_workers=1, multiprocessing_context="fork"), seed=1)


def test_a_worker_forked_after_the_bank_was_replaced_is_told(tmp_path: Path) -> None:
    # Only LMDB opens the file anew in a forked process.
    bank = drawn_bank(tmp_path / "bank", COUNT, backend="lmdb", **FIELDS)
    shutil.rmtree(bank.path)
    new = drawn_bank(bank.path, COUNT, backend="lmdb", seed=1, **FIELDS)
    forked = multiprocessing.get_context("fork").Process(target=_told, args=(bank, tmp_path / "told"))
    forked.start()
    forked.join()
    assert (tmp_path / "told").read_text() == (
        f"{bank.path}: got a bank of version {new.version}, expected {bank.version}: "
        "it was replaced since it was opened"
    )
    assert _right(list(bank))


def _told(bank: StoredBank, file: Path) -> None:
    try:
        bank[0]
    except BankError as error:
        file.write_text(str(error))


def test_banks_of_one_file_share_an_environment_until_the_last_is_gone(tmp_path: Path) -> None:
    bank = drawn_bank(tmp_path / "bank", COUNT, backend="lmdb", **FIELDS)
    for _ in range(3):
        other = open_bank(bank.path)
        assert _right(list(other))
        del bank
        assert _right(list(other))
        bank = other
        del other
    path = bank.path
    del bank
    assert _right(list(open_bank(path)))

"""Banks of many small crops: opening one reads no crop, and drawing and loading take constant memory."""

from __future__ import annotations

import gc
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from segpaste.bank import BankSampler, LMDBBank, create_bank_dataloader, open_bank, write_bank

ROOT = Path(__file__).resolve().parent.parent.parent
SIDE = 16
MB = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def banks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the benchmark makes banks of."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from benchmark import banks  # pyright: ignore[reportMissingImports]

    return banks


@pytest.mark.parametrize(
    ("backend", "count"),
    [
        ("memmap", 20_000),
        ("lmdb", 20_000),
        ("webdataset", 2_000),
        *(
            pytest.param(backend, count, marks=pytest.mark.nightly)
            for backend, count in (("memmap", 1_000_000), ("lmdb", 1_000_000), ("webdataset", 50_000))
        ),
    ],
)
def test_opening_reads_no_crop_and_memory_stays_constant(
    tmp_path: Path, banks: Any, backend: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bank"
    write_bank(path, banks.noise_head(SIDE), banks.noise(SIDE, count), backend=backend, count=count)
    open_bank(path)  # what is imported, mapped and compiled once
    list(BankSampler([0, 1]))
    pages: Counter[str] = Counter()
    if backend == "lmdb":
        check = LMDBBank._check_page
        monkeypatch.setattr(LMDBBank, "_check_page", lambda *a: pages.update(("read",)) or check(*a))

    before = _bytes_read(backend)
    bank = open_bank(path)
    opening = _bytes_read(backend) - before
    per_crop = 2 * (48 + 8 + 20)  # index, class ids and places in files, and once more in memory
    assert opening < per_crop * count + MB
    assert pages["read"] <= count // 100  # of LMDB's tree; three crops share a leaf

    before = _status("RssAnon")
    sampler = BankSampler(bank)
    length = len(sampler)
    first = _status("RssAnon")
    assert first - before < 8 * count + 4 * MB
    assert sum(1 for _ in sampler) == length
    assert _status("RssAnon") - first < 2 * MB

    before = _bytes_read(backend)
    loader = create_bank_dataloader(bank, batch_size=100)
    batches = iter(loader)
    for _ in itertools.islice(batches, 5):
        pass
    warm = _status("RssAnon")
    assert sum(1 for _ in batches) == len(loader) - 5
    assert _status("RssAnon") - warm < 2 * MB
    # That crops would have been noticed: these are.
    if backend == "lmdb":
        assert pages["read"] > count * 9 // 10
    else:
        assert _bytes_read(backend) - before > 4 * SIDE * SIDE * count / 2 > opening


def _bytes_read(backend: str) -> int:
    """By read calls of this process, and what it has touched of files that are mapped.

    Not with LMDB: pages of its tree lie among the records, and with one of them the system maps up
    to 2 MB around it.
    """
    gc.collect()
    calls = int(Path("/proc/self/io").read_text("utf-8").split()[1])
    return calls + (_status("RssFile") if backend == "memmap" else 0)


def _status(name: str) -> int:
    gc.collect()
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

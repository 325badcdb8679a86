"""Measure banks: crops per second built and read, and what a million crops cost.

    python scripts/bench_bank.py                 # everything
    python scripts/bench_bank.py --quick         # a fast look
    python scripts/bench_bank.py --publish       # everything, and write docs/bank-benchmark.{md,json}
    python scripts/bench_bank.py --render        # write the page anew from its JSON

How it is measured stands on the page, docs/bank-benchmark.md. Needs the engines of all backends:
``pip install -e '.[bank]'``.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from benchmark import bank_page, banks
from benchmark.machine import machine
from PIL import Image
from torch.utils.data import SequentialSampler

from segpaste.bank import BankSampler, build_bank, create_bank_dataloader, open_bank, write_bank
from segpaste.bank.layout import Chunk
from segpaste.bank.loader import collate_records
from segpaste.bank.meta import BackendName
from segpaste.bank.stored_bank import StoredBank
from segpaste.integrations.coco_crops import CocoCrops

ROOT = Path(__file__).resolve().parent.parent
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
SIDE, SMALL_SIDE = 64, 8
BATCH = 32
Round = Callable[[], object]


def main() -> int:
    """Measure, print, write."""
    options = _options()
    if options.probe:
        print(json.dumps(probe(options.probe)))
        return 0
    if not options.render:
        torch.set_num_threads(1)
        results = _measured(options)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = bank_page.render(json.loads(options.json.read_text(encoding="utf-8")))
    options.json.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def probe(path: Path) -> dict[str, Any]:
    """What opening and drawing cost in this process, which is to be a fresh one."""
    torch.set_num_threads(1)
    list(BankSampler([0, 1]))  # what is compiled and imported once
    before = memory()
    bank = open_bank(path)
    opened = memory()
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        open_bank(path)
        seconds.append(time.perf_counter() - started)
    again = memory()
    sampler = BankSampler(bank)
    length = len(sampler)
    table = memory()
    started = time.perf_counter()
    for _ in sampler:
        pass
    drawing = time.perf_counter() - started
    drawn = memory()
    loader = create_bank_dataloader(bank, batch_size=256)
    batches = iter(loader)
    first = min(20, len(loader) // 10)
    more = min(200, len(loader) - first)
    _drain(itertools.islice(batches, first))
    warm = memory()
    _drain(itertools.islice(batches, more))
    return {
        "format": bank.meta.format,
        "crops": len(bank),
        "bytes": sum(entry.size for entry in bank.meta.files.values()),
        "open_ms": 1000 * statistics.median(seconds),
        "open_bytes": opened - before,
        "sampler_bytes": table - again,
        "drawn": length,
        "draw_us": 1e6 * drawing / length,
        "draw_bytes": drawn - table,
        "loaded": more * 256,
        "load_bytes": memory() - warm,
    }


def memory() -> int:
    """Bytes of this process that are no pages of a file."""
    gc.collect()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        small = [_small_bank(folder, backend, options) for backend in BACKENDS]
        read = _read(folder, options)
        build = _build(folder, options)
    return {
        "machine": machine(("torch", "numpy", "lmdb", "webdataset", "pyarrow", "Pillow")),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": [round(load_before, 2), round(os.getloadavg()[0], 2)],
        "read": read,
        "build": build,
        "small": {"side": SMALL_SIDE, "banks": small},
    }


def _small_bank(folder: Path, backend: BackendName, options: argparse.Namespace) -> dict[str, Any]:
    # A tar member takes 1 KiB at least: ten times the disk and the time of the others.
    count = options.small // 10 if backend == "webdataset" else options.small
    path = folder / f"small-{backend}"
    _say(f"{backend}: {count} crops of {SMALL_SIDE} x {SMALL_SIDE}")
    started = time.perf_counter()
    chunks = banks.noise(SMALL_SIDE, count)
    write_bank(path, banks.noise_head(SMALL_SIDE), chunks, backend=backend, count=count)
    seconds = time.perf_counter() - started
    command = [sys.executable, __file__, "--probe", str(path)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    shutil.rmtree(path)
    return json.loads(found) | {"write_us": 1e6 * seconds / count}


def _read(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All loaders and plain reads over the same crops."""
    count = options.crops
    opened: dict[str, StoredBank] = {}
    for backend in BACKENDS:
        path = folder / f"read-{backend}"
        chunks = banks.noise(SIDE, count)
        write_bank(path, banks.noise_head(SIDE), chunks, backend=backend, count=count)
        opened[backend] = open_bank(path)
    first = next(iter(opened.values()))
    records = first.records(range(count))
    plain = folder / "plain.bin"
    plain.write_bytes(records.records.tobytes())
    size = records.records.dtype.itemsize
    order = list(BankSampler(np.zeros(count, np.int64)))
    head = first.head
    batches = [
        Chunk(records.records[start : start + BATCH], records.index[start : start + BATCH])
        for start in range(0, count, BATCH)
    ]
    contenders: dict[str, Round] = {
        "plain, sequential": lambda: _plain(plain, size, range(count)),
        "plain, random": lambda: _plain(plain, size, order),
        "collate": lambda: _drain(collate_records(batch, head=head) for batch in batches),
    }
    for backend, bank in opened.items():
        for name in ("sequential", "random"):
            for workers in (0, 2):
                sampler = SequentialSampler(bank) if name == "sequential" else BankSampler(bank)
                loader = create_bank_dataloader(
                    bank,
                    batch_size=BATCH,
                    sampler=sampler,
                    num_workers=workers,
                    persistent_workers=workers > 0,
                )
                contenders[f"{backend}, {name}, {workers}"] = lambda loader=loader: _drain(loader)
    times = _rounds(contenders, options.rounds)
    return {
        "crops": count,
        "side": SIDE,
        "batch": BATCH,
        "record_bytes": size,
        "rounds": options.rounds,
        "entries": [
            _entry(name, values, times["plain, random" if "random" in name else "plain, sequential"], count)
            for name, values in times.items()
        ],
    }


def _build(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Banks of a drawn data set, with one worker and two, against decoding its pictures."""
    _say(f"drawing {options.pictures} pictures")
    annotations, images = banks.coco_data_set(folder / "coco", options.pictures)
    files = sorted(images.iterdir())
    crops = 0

    def build(backend: BackendName, workers: int) -> None:
        nonlocal crops
        path = folder / "built"
        crops = build_bank(
            CocoCrops(annotations, images, crop_size=(SIDE, SIDE)), path, backend=backend, workers=workers
        ).count
        shutil.rmtree(path)

    contenders: dict[str, Round] = {"decode": lambda: [_decoded(file) for file in files]}
    for backend in BACKENDS:
        for workers in (1, 2):
            contenders[f"{backend}, {workers}"] = lambda b=backend, w=workers: build(b, w)
    times = _rounds(contenders, options.build_rounds, warm=False)
    return {
        "pictures": len(files),
        "crops": crops,
        "side": SIDE,
        "rounds": options.build_rounds,
        "entries": [_entry(name, values, times["decode"], crops) for name, values in times.items()],
    }


def _rounds(contenders: Mapping[str, Round], rounds: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Seconds per contender and round; one after the other, in rotated order."""
    names = list(contenders)
    if warm:
        for name in names:
            contenders[name]()
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}")
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            contenders[name]()
            times[name].append(time.perf_counter() - started)
    return times


def _entry(name: str, seconds: list[float], floor: list[float], crops: int) -> dict[str, Any]:
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return {
        "contender": name,
        "crops_per_second": round(crops / median),
        "quartiles": [round(crops / high), round(crops / low)],
        "ratio": round(statistics.median(s / f for s, f in zip(seconds, floor, strict=True)), 2),
    }


def _plain(path: Path, size: int, order: range | list[int]) -> None:
    """The same bytes by the system's read call, a record at a time."""
    buffer = bytearray(size)
    file = os.open(path, os.O_RDONLY)
    try:
        for number in order:
            os.preadv(file, [buffer], number * size)
    finally:
        os.close(file)


def _drain(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def _decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure banks against a plain read of the same bytes")
    parser.add_argument("--quick", action="store_true", help="few crops, 3 rounds")
    parser.add_argument("--crops", type=int, help="of the banks that are read (default 4096)")
    parser.add_argument("--small", type=int, help="crops of the large bank of small ones (default 1000000)")
    parser.add_argument("--pictures", type=int, help="of the data set that is built from (default 600)")
    parser.add_argument("--rounds", type=int, help="of reading (default 15)")
    parser.add_argument("--build-rounds", type=int, help="of building (default 3)")
    parser.add_argument("--folder", type=Path, help="where banks are made meanwhile; 2 GB")
    parser.add_argument("--json", type=Path, help="results; the page is written beside")
    parser.add_argument("--publish", action="store_true", help="write docs/bank-benchmark.{json,md}")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page anew")
    parser.add_argument("--probe", type=Path, metavar="BANK", help="print what one bank costs, as JSON")
    options = parser.parse_args()
    shortened = ("quick", "crops", "small", "pictures", "rounds", "build_rounds")
    narrowed = [name for name in shortened if getattr(options, name)]
    if options.publish and narrowed:
        name = narrowed[0].replace("_", "-")
        parser.error(f"--publish: got it with --{name}, expected a complete run")
    quick = options.quick
    options.crops = options.crops or (512 if quick else 4096)
    options.small = options.small or (20_000 if quick else 1_000_000)
    options.pictures = options.pictures or (24 if quick else 600)
    options.rounds = options.rounds or (3 if quick else 15)
    options.build_rounds = options.build_rounds or (1 if quick else 3)
    folder = ROOT / ("docs" if options.publish or options.render else "bench-report")
    options.json = options.json or folder / "bank-benchmark.json"
    return options


if __name__ == "__main__":
    sys.exit(main())

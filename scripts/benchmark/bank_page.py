"""The page of the banks' benchmark: a pure function of its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def render(results: Mapping[str, Any]) -> str:
    """The page, from what ``bench_bank.py`` wrote."""
    read, build, small = results["read"], results["build"], results["small"]
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    parts = [
        _INTRODUCTION,
        f"{machine['processor']}, {machine['cores']} cores; {versions}. Measured on {results['date']}; load "
        f"of the machine when it began and when it ended: {results['load'][0]} and {results['load'][1]}.\n",
        "## Read by the loader\n",
        f"{read['crops']:,} crops of {read['side']} x {read['side']} with image and alpha, "
        f"{read['record_bytes']:,} bytes each, in batches of {read['batch']}; medians of {read['rounds']} "
        "rounds, quartiles in brackets. *x plain* is how many times as long as a plain read of the same "
        "bytes in the same order takes, by `pread`, a record at a time.\n",
        _table(
            ("", "sequential, 0 workers", "x plain", "2 workers", "x plain", "random, 0 workers", "x plain",
             "2 workers", "x plain"),
            [_read_row(_by_name(read), backend) for backend in ("memmap", "lmdb", "webdataset")],
        ),
        _plain_lines(_by_name(read), read),
        "## Built\n",
        f"{build['crops']:,} crops of {build['side']} x {build['side']} out of {build['pictures']} JPEGs of "
        f"512 x 512 and their polygons; medians of {build['rounds']} rounds. *x decoding* is how many times "
        "as long as decoding the pictures alone takes, in one process.\n",
        _table(
            ("", "1 worker", "x decoding", "2 workers", "x decoding"),
            [_build_row(_by_name(build), backend) for backend in ("memmap", "lmdb", "webdataset")],
        ),
        _BUILT,
        "## A million small crops\n",
        f"Crops of {small['side']} x {small['side']}, 1,203 classes. Each bank is opened in a fresh process. "
        "Memory is what is no page of a file (`RssAnon`), so that the mapped file in the system's cache does "
        "not count.\n",
        _table(
            ("", "crops", "on disk", "open", "memory: open", "sampler", "after drawing an epoch",
             "after loading", "a draw", "writing a crop"),
            [_small_row(entry) for entry in small["banks"]],
        ),
        _SMALL,
    ]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"


def _by_name(section: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {entry["contender"]: entry for entry in section["entries"]}


def _rate(entry: Mapping[str, Any]) -> tuple[str, str]:
    low, high = entry["quartiles"]
    return f"{entry['crops_per_second']:,} ({low:,} to {high:,})", f"{entry['ratio']:.3g}"


def _read_row(entries: Mapping[str, Any], backend: str) -> list[str]:
    cells = [_rate(entries[f"{backend}, {order}, {w}"]) for order in ("sequential", "random") for w in (0, 2)]
    return [f"**{backend}**, crops per second", *(text for cell in cells for text in cell)]


def _build_row(entries: Mapping[str, Any], backend: str) -> list[str]:
    cells = [_rate(entries[f"{backend}, {workers}"]) for workers in (1, 2)]
    return [f"**{backend}**, crops per second", *(text for cell in cells for text in cell)]


def _plain_lines(entries: Mapping[str, Any], read: Mapping[str, Any]) -> str:
    sequential, random, collate = (
        entries[name]["crops_per_second"] for name in ("plain, sequential", "plain, random", "collate")
    )
    staged = 20 * read["side"] ** 2
    return (
        f"The plain read: {sequential:,} crops per second in order, {random:,} in random order. It does far "
        f"less: a batch holds {staged:,} bytes a crop, as 32-bit integers, and every record is checked "
        f"against its CRC-32 before it gets there. Staging alone, of records that are in memory already: "
        f"{collate:,} crops per second ({entries['collate']['ratio']:.3g} x plain). Handing a "
        "batch from a worker to the loop costs more here than reading it: workers pay only beside a loop "
        "that has other work to do.\n"
    )


def _small_row(entry: Mapping[str, Any]) -> list[str]:
    def mb(name: str) -> str:
        return f"{entry[name] / 1e6:.1f} MB"

    return [
        f"**{entry['format']}**",
        f"{entry['crops']:,}",
        f"{entry['bytes'] / 1e6:,.0f} MB",
        f"{entry['open_ms']:.0f} ms",
        mb("open_bytes"),
        mb("sampler_bytes"),
        mb("draw_bytes"),
        mb("load_bytes"),
        f"{entry['draw_us']:.2g} µs",
        f"{entry['write_us']:.0f} µs",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"


_INTRODUCTION = """# Benchmark of banks

<!-- Written by scripts/bench_bank.py --publish from docs/bank-benchmark.json; do not edit. -->

How fast [banks](bank.md) are built and read. One line regenerates this page, in about ten minutes and
with 2 GB of temporary files; it wants a machine with nothing else to do, and the engines of all
backends (`pip install -e '.[bank]'`):

```console
python scripts/bench_bank.py --publish
```

Contenders take turns: each round runs every one once, in rotated order, and a ratio is the median of the
ratios within rounds, so that noise hits all alike. Every file is in the system's cache: this measures the
code, not a disk. One thread; workers are forked once and persist, so that their start is not counted.
"""

_BUILT = """A build checksums the pictures, decodes them, cuts, writes the shards, and then the bank,
with checksums of everything, flushed to disk. Two workers are two processes that are started for
the build; the few seconds that this takes are counted here.
"""

_SMALL = """*open* is the median of five, `meta.json`, index and class ids verified; its memory includes what
the backend's engine takes when it is imported. *sampler* is one int64 a crop. The next two columns say
how much memory grew while a whole epoch was drawn, and while up to 51,200 crops were loaded after a few
to warm up. A WebDataset bank keeps its index in memory, as nothing can be mapped in Parquet; a crop of 8 x 8
takes 3 KiB in a tar file, so that it is measured with a tenth of the crops.
"""

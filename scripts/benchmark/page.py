"""The Markdown page: a pure function of the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark import tables
from benchmark.peers import PEERS
from benchmark.scenes import SIDES
from benchmark.tables import Results, Table


def render(results: Mapping[str, Any], plot: str) -> str:
    """The page, from what ``bench.py`` wrote; ``plot`` is the picture's file name."""
    parts = [_INTRODUCTION, *_cpu(results.get("cpu"), plot), *_cuda(results.get("cuda"))]
    return "\n".join(parts).rstrip() + "\n"


def _cpu(run: Mapping[str, Any] | None, plot: str) -> list[str]:
    if run is None:
        return ["## CPU\n", "Owed: not measured yet.\n"]
    results = Results(run["entries"])
    parts = ["## CPU\n", _machine(run), "", _table(tables.mark_table(tables.cpu_marks(results)), "###")]
    if results.cells("grid"):
        parts += [
            f"![Time of every library as a multiple of copying the batch, per cell]({plot})\n",
            _COLUMNS,
        ]
    parts += [_table(table, "###") for table in tables.cpu_tables(results)]
    prototype = tables.prototype_table(results)
    if prototype.rows:
        parts += [_table(prototype, "###"), _PROTOTYPE]
    peers = tables.peer_tables(results)
    if peers:
        parts += ["### What the peers do and do not do\n", *_peer_lines(run), ""]
        parts += [_table(table, "###") for table in peers]
        parts.append(_MISSING)
        failed = tables.failures(results)
        parts += ["Failed:\n", *(f"- {line}" for line in failed), ""] if failed else []
    growth = tables.growth_table(results)
    if growth.rows:
        parts += [_table(growth, "###"), _GROWTH]
    if run.get("strategies"):
        parts.append(_table(strategy_table(run["strategies"]), "###"))
    return parts


def strategy_table(rates: Mapping[str, Any]) -> Table:
    """Examples per second of the strategies."""
    side, rows = rates["side"], rates["rates"]
    return Table(
        f"Strategies: examples per second at {side} x {side}, one thread",
        ("modalities", "scenes", "`dense_samples`", "`paste_cases`"),
        [[name, *(f"{rate:.0f}" for rate in values)] for name, values in rows.items()],
    )


def _cuda(run: Mapping[str, Any] | None) -> list[str]:
    parts = ["## GPU\n"]
    if run is None:
        return [*parts, _OWED]
    results = Results(run["entries"])
    parts += [_machine(run), "", _table(tables.mark_table(tables.cuda_marks(results)), "###")]
    parts += [_table(table, "###") for table in tables.cuda_tables(results)]
    return [*parts, _CUDA_COLUMNS]


def _machine(run: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["machine"]["versions"].items())
    executor = f"; executor `{run['executor']}`" if run.get("executor") else ""
    return (
        f"{run['machine']['processor']}, {run['machine']['cores']} cores; {versions}. Measured on "
        f"{run['date']}, medians of {run['rounds']} rounds{executor}."
    )


def _peer_lines(run: Mapping[str, Any]) -> list[str]:
    absent = run.get("peers_not_installed", [])
    lines = [
        "- **SimpleCopyPaste (rewritten)**: the semantics of torchvision's reference script, which its wheel "
        "does not ship, written anew in a few lines for this page: ragged samples, all instances of the "
        "previous sample pasted where they stand; masks trimmed, dropped when empty, boxes recomputed; no "
        "warp, no ids, no slots."
    ]
    for peer in PEERS.values():
        note = " *Not installed for this run.*" if peer.environment in absent else ""
        lines.append(f"- **{peer.title}**: {peer.does}{note}")
    return lines


def _table(table: Table, level: str) -> str:
    """Markdown; the first column left, the others right unless they hold sentences."""
    wide = any(len(text) > 60 for row in table.rows for text in row)
    rule = ["---"] + (["---"] if wide else ["---:"]) * (len(table.head) - 1)
    lines = [f"{level} {table.title}\n"]
    lines += ["| " + " | ".join(row) + " |" for row in (table.head, rule, *table.rows)]
    return "\n".join(lines) + "\n"


_INTRODUCTION = f"""# Benchmarks

<!-- Written by scripts/bench.py --publish from docs/benchmarks.json; do not edit. -->

Two lines regenerate this page. The first installs the other libraries into environments of their
own under `.bench-peers/`, once; the second measures everything in about ten minutes, and wants a
machine with nothing else to do.

```console
make bench-peers
make bench BENCH_ARGS=--publish
```

How it is measured: every library runs in a process of its own, and the processes take turns. Round
*r* runs every contender once, in rotated order, backwards every other round, so that noise hits all
alike. Calls shorter than 5 ms are repeated to fill it. A ratio is the median, over the rounds, of a
contender's time by the floor's in the same round. What a call returns is freed within its time.

The scenes are drawn from fixed integers: ellipses and rectangles with sides log-uniform between
{100 * SIDES[0]:.0f} % and {100 * SIDES[1]:.0f} % of the canvas, most of them small as in COCO, later
ones hiding earlier ones. There are as many row slots as the most instances (K = 5 and 20): with more,
copying them all would take longer, and pasting next to nothing more. The configuration is the default:
scale 0.5 to 2, mirrored half of the time, nearly always as many instances of one other sample of the
batch as there are free slots; warp, drop rule, fresh ids and recomputed boxes included. Plans take
turns from round to round. Copies of the batch take turns from call to call, more than 64 MB of them, for
memcpy as for us, since a training step finds its batch in memory and not in a processor's cache; what
is written is one buffer, again and again. A peer has one batch.

Banks of crops have [a page of their own](bank-benchmark.md).
"""

_COLUMNS = """Columns:

- **`apply`**: the paste with the plan drawn beforehand, into a preallocated batch (`out=`) or a fresh one.
- **`draw_plan`**: drawing the plan alone.
- **`BatchCopyPaste`**: the whole module, drawing included, fresh output.
- **memcpy**, the floor: copying the same bytes (images, masks and all small fields) into a preallocated
  batch. **clone**: the same into fresh memory, whose page faults cost more than the copying.

A figure reads *multiple of the floor (time)*. A cell reads *samples, side in pixels, instances per
sample*; MB is one batch.
"""

_PROTOTYPE = """The prototype was measured on another day, on a machine of this kind. It had neither
class tables, ids and stuff rules nor the z-test.
"""

_MISSING = """The peers do less than `apply` does and are timed on what they do; the floor is the same for
all, the padded batch with its masks, which some of them never write. Slow ones get fewer rounds, as the
cell says. All run on one thread and are compared with the floor on one thread.
"""

_GROWTH = """One quantity grows at a time; the others are B = 8, 256 x 256, K = 40 and 10 instances per
sample (K = 80 where the instances grow). The exponent is the slope of a least-squares line through the
logarithms: 1 is proportional. K grows by unused slots, which an executor must still write as zeros.
"""

_OWED = """Owed: not run on a GPU yet. `python3 scripts/bench.py --device cuda --publish` measures it:
the fused executor and the graph executor, eager and compiled, against a copy of the same bytes on the
device, with kernel launches, peak memory, and whether the host ever waits for the device. Marks, at
B = 32, 1024 x 1024, K = 32, uint8: fused at most 2 x the copy, graph compiled at most 5 x, fused peak
memory at most 1.5 x inputs plus outputs; in every cell: no waiting for the device, and as many launches
of the eager graph as in any other cell of the same modalities.
"""

_CUDA_COLUMNS = """Wall-clock time of calls filling 5 ms, between two synchronisations. *copy* is a
device-to-device copy of the same bytes into preallocated memory. *kernels* and *copies* (memcpy,
memset) are counted by the profiler over one call.
"""

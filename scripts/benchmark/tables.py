"""From measured entries to tables and marks; the page and the terminal show the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.cells import Cell
from benchmark.peers import PEERS

Entry = Mapping[str, Any]

TITLES = {
    "memcpy": "memcpy",
    "clone": "clone",
    "apply_out": "`apply`, `out=`",
    "apply_fresh": "`apply`, fresh",
    "draw_plan": "`draw_plan`",
    "forward": "`BatchCopyPaste`",
    "torchvision": "SimpleCopyPaste (rewritten)",
    "fused_out": "fused, `out=`",
    "fused_fresh": "fused, fresh",
    "graph_eager": "graph, eager",
    "graph_compiled": "graph, compiled",
    "forward_compiled": "`BatchCopyPaste`, compiled",
    **{name: peer.title for name, peer in PEERS.items()},
}

# Of a first prototype, without all of the specification: fresh / out= / floor in ms, uint8, one thread.
PROTOTYPE = {
    "2,256,1-5": (0.77, 0.67, 0.10),
    "8,256,1-20": (6.9, 6.9, 2.4),
    "8,512,1-5": (5.4, 5.6, 2.8),
    "8,512,1-20": (46.0, 12.6, 9.7),
    "32,512,1-20": (192.0, 63.5, 36.0),
}

LARGE_BYTES = 80e6


@dataclass(frozen=True)
class Table:
    """A title, a head and rows of text; a column may hold Markdown code marks."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Mark:
    """A figure that must be reached.

    Attributes:
        what: the quantity.
        cell: where.
        got: the figure, ``None`` where it was not measured.
        limit: the largest that passes.
        unit: ``"x"`` or ``"ms"``, ...
    """

    what: str
    cell: str
    got: float | None
    limit: float
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """``pass``, ``MISS`` or ``not measured``."""
        if self.got is None:
            return "not measured"
        return "pass" if self.got <= self.limit else "**MISS**"


class Results:
    """The entries of one device, to be looked up."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self._found = {(Cell(**e["cell"]), e["contender"], e["threads"]): e for e in self.entries}

    def find(self, cell: Cell, contender: str, threads: int = 1) -> Entry | None:
        """The entry, if there is one."""
        return self._found.get((cell, contender, threads))

    def cells(self, section: str) -> list[Cell]:
        """Measured cells of a section, in order."""
        return list(dict.fromkeys(c for c, _, _ in self._found if c.section == section))

    def threads(self) -> list[int]:
        """Numbers of threads measured."""
        return sorted({threads for _, _, threads in self._found})

    def figure(self, cell: Cell, contender: str, key: str, threads: int = 1) -> float | None:
        """``ms`` or ``ratio`` of an entry."""
        entry = self.find(cell, contender, threads)
        return None if entry is None else entry.get(key)


def cpu_tables(results: Results) -> list[Table]:
    """The grid per dtype and number of threads, then all modalities."""
    tables: list[Table] = []
    for section, title in (("grid", "Instances"), ("modalities", "All modalities")):
        cells = results.cells(section)
        for dtype in dict.fromkeys(cell.dtype for cell in cells):
            for threads in results.threads():
                mine = [c for c in cells if c.dtype == dtype and results.find(c, "memcpy", threads)]
                if mine:
                    plural = "one thread" if threads == 1 else f"{threads} threads"
                    rows = [_row(results, cell, threads) for cell in mine]
                    tables.append(Table(f"{title}, {dtype}, {plural}", _HEAD, rows))
    return tables


_HEAD = (
    "B, size, instances",
    "MB",
    "`apply`, `out=`",
    "`apply`, fresh",
    "fresh : clone",
    "`draw_plan`",
    "`BatchCopyPaste`",
    "memcpy",
    "clone",
)


def _row(results: Results, cell: Cell, threads: int) -> list[str]:
    def both(contender: str) -> str:
        return show(results.find(cell, contender, threads))

    fresh, clone = (results.figure(cell, c, "ms", threads) for c in ("apply_fresh", "clone"))
    return [
        short_name(cell),
        f"{bytes_of(cell) / 1e6:.3g}",
        both("apply_out"),
        both("apply_fresh"),
        f"{fresh / clone:.2f}x" if fresh and clone else "-",
        both("draw_plan"),
        both("forward"),
        _milliseconds(results.figure(cell, "memcpy", "ms", threads)),
        _milliseconds(clone),
    ]


def peer_tables(results: Results) -> list[Table]:
    """Every library on the grid, one thread; ours first."""
    names = ("apply_out", "apply_fresh", "forward", "torchvision", *PEERS)
    cells = results.cells("grid")
    present = [n for n in names if any(results.find(c, n) for c in cells)]
    if not set(present) & {"torchvision", *PEERS}:
        return []
    usual = max((e.get("rounds", 0) for e in results.entries), default=0)
    tables: list[Table] = []
    for dtype in dict.fromkeys(cell.dtype for cell in cells):
        rows = [
            [short_name(cell), *(show(results.find(cell, name), usual) for name in present)]
            for cell in cells
            if cell.dtype == dtype
        ]
        tables.append(
            Table(f"Peers, {dtype}, one thread", ["B, size, instances", *(TITLES[n] for n in present)], rows)
        )
    return tables


def failures(results: Results) -> list[str]:
    """Who failed where, and what it said: a line each."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in results.entries:
        if "error" in entry:
            cell = Cell(**entry["cell"])
            found.setdefault((entry["contender"], entry["error"]), []).append(cell.name)
    return [
        f"{TITLES.get(name, name)} in {len(where)} cells ({where[0]}{', ...' if len(where) > 1 else ''}): "
        f"`{message}`"
        for (name, message), where in found.items()
    ]


def prototype_table(results: Results) -> Table:
    """The first prototype's figures beside ours."""
    rows: list[list[str]] = []
    for cell in results.cells("grid"):
        if cell.dtype != "uint8" or short_name(cell) not in PROTOTYPE:
            continue
        fresh, out, floor = PROTOTYPE[short_name(cell)]
        rows.append(
            [
                short_name(cell),
                _milliseconds(results.figure(cell, "apply_fresh", "ms")),
                _milliseconds(fresh),
                _milliseconds(results.figure(cell, "apply_out", "ms")),
                _milliseconds(out),
                _milliseconds(results.figure(cell, "memcpy", "ms")),
                _milliseconds(floor),
            ]
        )
    head = ("B, size, instances", "fresh", "prototype", "`out=`", "prototype", "memcpy", "memcpy then")
    return Table("Beside the first prototype, uint8, one thread", head, rows)


def growth_table(results: Results) -> Table:
    """Time against one quantity at a time, with the exponent of a power law fitted to it."""
    cells = results.cells("growth")
    rows: list[list[str]] = []
    for axis in dict.fromkeys(cell.axis for cell in cells):
        mine = [cell for cell in cells if cell.axis == axis]
        values = [_along(cell) for cell in mine]
        for contender in ("apply_out", "apply_fresh", "draw_plan", "memcpy"):
            times = [results.figure(cell, contender, "ms") for cell in mine]
            known = [(v, t) for v, t in zip(values, times, strict=True) if t]
            exponent = "-"
            if len(known) > 1:
                logs = np.log(np.array(known))
                exponent = f"{np.polyfit(logs[:, 0], logs[:, 1], 1)[0]:.2f}"
            steps = ", ".join(
                f"{_value(cell)}: {_milliseconds(time)}" for cell, time in zip(mine, times, strict=True)
            )
            rows.append([axis, TITLES[contender], exponent, steps])
    return Table("Growth, uint8, one thread", ("grows", "what", "exponent", "time"), rows)


def cuda_tables(results: Results) -> list[Table]:
    """Time against the copy on the device, launches, memory."""
    names = [n for n in TITLES if any(e["contender"] == n for e in results.entries) and n != "memcpy"]
    cells = results.cells("grid") + results.cells("modalities")
    times = [
        [
            _full_name(cell),
            _milliseconds(_any_threads(results, cell, "memcpy", "ms")),
            *(show(_any_entry(results, cell, name)) for name in names),
        ]
        for cell in cells
    ]
    facts = [
        [_full_name(cell), TITLES[name], *_facts(_any_entry(results, cell, name), cell)]
        for cell in cells
        for name in names
        if name not in ("clone",) and _any_entry(results, cell, name)
    ]
    return [
        Table("Time on the device", ("cell", "copy", *(TITLES[n] for n in names)), times),
        Table(
            "Launches and memory",
            ("cell", "what", "kernels", "copies", "peak : (inputs + outputs)", "waits for the device"),
            facts,
        ),
    ]


def cpu_marks(results: Results) -> list[Mark]:
    """Everything that must be reached on the CPU: one thread, uint8."""
    marks: list[Mark] = []
    cells = [cell for cell in results.cells("grid") if cell.dtype == "uint8"]
    for cell in cells:
        limit = {512: 2.5, 256: 7.0}.get(cell.size)
        if limit is not None:
            ratio = results.figure(cell, "apply_out", "ratio")
            marks.append(Mark("`apply`, `out=` : memcpy", short_name(cell), ratio, limit))
    for cell in cells:
        if (cell.batch, cell.size) == (2, 256):
            for contender in ("apply_out", "apply_fresh"):
                got = results.figure(cell, contender, "ms")
                marks.append(Mark(TITLES[contender], short_name(cell), got, 1.0, "ms"))
    for cell in cells:
        if bytes_of(cell) >= LARGE_BYTES:
            fresh, clone = (results.figure(cell, c, "ms") for c in ("apply_fresh", "clone"))
            got = fresh / clone if fresh and clone else None
            marks.append(Mark("`apply`, fresh : clone", short_name(cell), got, 1.3))
    for cell in results.cells("modalities"):
        if cell.size == 512:
            ratio = results.figure(cell, "apply_out", "ratio")
            marks.append(Mark("all modalities, `out=` : memcpy", short_name(cell), ratio, 3.0))
    return marks


def cuda_marks(results: Results) -> list[Mark]:
    """Everything that must be reached on a GPU."""
    marks: list[Mark] = []
    main = [
        c for c in results.cells("grid") if (c.batch, c.size, c.slots, c.dtype) == (32, 1024, 32, "uint8")
    ]
    for cell in main:
        for contender, limit in (("fused_out", 2.0), ("graph_compiled", 5.0)):
            ratio = _any_threads(results, cell, contender, "ratio")
            marks.append(Mark(f"{TITLES[contender]} : copy", _full_name(cell), ratio, limit))
        memory = _memory(_any_entry(results, cell, "fused_fresh"), cell)
        marks.append(Mark("fused, peak memory : (inputs + outputs)", _full_name(cell), memory, 1.5))
    waits = _fact_values(
        results, "synchronises", ("fused_out", "fused_fresh", "graph_eager", "graph_compiled")
    )
    got = float(sum(waits)) if waits else None
    marks.append(Mark("calls that wait for the device", "all cells", got, 0.0, ""))
    instance_only = Results(e for e in results.entries if e["cell"]["section"] == "grid")
    kernels = _fact_values(instance_only, "kernels", ("graph_eager",))
    spread = float(max(kernels) - min(kernels)) if kernels else None
    marks.append(Mark("graph, eager: spread of kernel launches over B, size, K", "grid", spread, 0.0, ""))
    return marks


def mark_table(marks: Sequence[Mark]) -> Table:
    """Each mark, what was measured, and the verdict."""
    rows = [
        [
            m.what,
            m.cell,
            "-" if m.got is None else f"{m.got:.3g} {m.unit}".strip(),
            f"{m.limit:g} {m.unit}".strip(),
            m.verdict,
        ]
        for m in marks
    ]
    return Table("Marks", ("what", "cell", "measured", "at most", ""), rows)


def show(entry: Entry | None, usual_rounds: int = 0) -> str:
    """``2.13x (5.2 ms)``; with the number of rounds where it is not the usual one."""
    if entry is None:
        return "-"
    if "error" in entry:
        return "failed"
    time = _milliseconds(entry["ms"])
    if usual_rounds and entry["rounds"] < usual_rounds:
        time += f", {entry['rounds']} rounds"
    if "ratio" not in entry:
        return time
    return f"{_significant(entry['ratio'])}x ({time})"


def short_name(cell: Cell) -> str:
    """``8,512,1-20``: samples, side, instances per sample."""
    return f"{cell.batch},{cell.size},{cell.instances}"


def bytes_of(cell: Cell) -> int:
    """Of one batch: images and masks, and the dense maps; without the small fields."""
    per_pixel = 3 * (1 if cell.dtype == "uint8" else 4) + cell.slots
    if cell.all_modalities:
        per_pixel += 8 + 8 + 4 + 1 + 12
    return per_pixel * cell.batch * cell.size**2


def _full_name(cell: Cell) -> str:
    what = "all modalities" if cell.all_modalities else cell.dtype
    return f"{short_name(cell)}, K={cell.slots}, {what}"


def _any_entry(results: Results, cell: Cell, contender: str) -> Entry | None:
    return next((e for t in results.threads() if (e := results.find(cell, contender, t))), None)


def _any_threads(results: Results, cell: Cell, contender: str, key: str) -> float | None:
    entry = _any_entry(results, cell, contender)
    return None if entry is None else entry.get(key)


def _fact_values(results: Results, key: str, contenders: Sequence[str]) -> list[Any]:
    return [
        e["facts"][key] for e in results.entries if e["contender"] in contenders and key in e.get("facts", {})
    ]


def _memory(entry: Entry | None, cell: Cell) -> float | None:
    """Peak by inputs plus outputs, the outputs being fresh and so part of the scratch memory."""
    scratch = (entry or {}).get("facts", {}).get("scratch_bytes")
    if scratch is None or entry is None:
        return None
    outputs = bytes_of(cell) if entry["contender"].endswith("_out") else 0
    return (bytes_of(cell) + outputs + scratch) / (2 * bytes_of(cell))


def _facts(entry: Entry | None, cell: Cell) -> list[str]:
    facts = (entry or {}).get("facts", {})
    if "kernels" not in facts:
        return [f"failed: {facts.get('error', 'not measured')[:90]}", "-", "-", "-"]
    memory = _memory(entry, cell)
    return [
        str(facts["kernels"]),
        str(facts["copies"]),
        "-" if memory is None else f"{memory:.2f}",
        "yes" if facts["synchronises"] else "no",
    ]


def _along(cell: Cell) -> float:
    return {"B": cell.batch, "H x W": cell.size**2, "K": cell.slots, "instances": cell.high}[cell.axis]


def _value(cell: Cell) -> str:
    return f"{cell.size}²" if cell.axis == "H x W" else str(int(_along(cell)))


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{_significant(value)} ms"


def _significant(value: float) -> str:
    """Two or three digits: 0.12, 3.45, 46.1, 1204."""
    if value <= 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{min(digits, 3)}f}"

"""Measure speed: ``apply`` and ``BatchCopyPaste`` against copying the same bytes and against peers.

    python scripts/bench.py                      # everything, on the CPU
    python scripts/bench.py --quick              # a fast look
    python scripts/bench.py --publish            # everything, and write docs/benchmarks.{md,json,svg}
    python scripts/bench.py --device cuda        # executors on the GPU
    python scripts/bench.py --render             # write the page anew from its JSON

How it is measured stands on the page, docs/benchmarks.md. Results go to ``bench-report/`` unless
``--publish``, ``--json``, ``--markdown`` or ``--plot`` say otherwise; a run replaces the results of
its own device in that JSON and keeps the other's.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmark import cells, conductor, page, peers, plot, tables
from benchmark.cells import Cell
from benchmark.conductor import Worker
from benchmark.machine import machine
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ("grid", "modalities", "growth", "strategies")
PEER_TIMEOUT = 180.0


def main() -> int:
    """Measure, print, write; 1 if anything of segpaste itself failed to run."""
    options = _options()
    if options.render:
        _write(_read(options.json), options)
        return 0
    chosen = _cells(options)
    run = _cuda_run(options, chosen) if options.device == "cuda" else _cpu_run(options, chosen)
    results = _read(options.json) | {options.device: run}
    _write(results, options)
    _print(run, options.device)
    failures = conductor.failures_of_ours(run["entries"])
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _cpu_run(options: argparse.Namespace, chosen: list[Cell]) -> dict[str, Any]:
    commands = (
        {} if options.peers is None else {n: peers.command(options.peers, n) for n in peers.ENVIRONMENTS}
    )
    entries: list[dict[str, Any]] = []
    with ExitStack() as stack, _progress() as progress:
        own = {
            f"ours-{n}": stack.enter_context(conductor.ours(n, "cpu", options.executor))
            for n in options.threads
        }
        others = {
            name: stack.enter_context(Worker(command, 1, PEER_TIMEOUT))
            for name, command in commands.items()
            if command is not None and 1 in options.threads
        }
        budgets = {name: float(options.peer_seconds) for name in others}
        bar = progress.add_task("", total=len(chosen))
        for cell in chosen:
            workers = dict(own)
            if cell.section == "grid":
                workers |= others
            elif cell.section == "growth":
                workers = {key: worker for key, worker in own.items() if worker.threads == 1}
            entries += conductor.measure(
                cell,
                workers,
                rounds=options.rounds,
                budgets=budgets,
                tick=lambda text: progress.update(bar, description=text),
            )
            progress.advance(bar)
        if "strategies" in options.sections:
            progress.update(bar, description="strategies")
            rates = _strategies(options)
        else:
            rates = None
    run = _about(options, None) | {"executor": options.executor, "entries": entries}
    run["peers_not_installed"] = [name for name in peers.ENVIRONMENTS if commands.get(name) is None]
    if rates is not None:
        run["strategies"] = rates
    return run


def _cuda_run(options: argparse.Namespace, chosen: list[Cell]) -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        sys.exit("--device cuda: got no CUDA device, expected one")
    entries: list[dict[str, Any]] = []
    with _progress() as progress:
        bar = progress.add_task("", total=len(chosen))
        for cell in chosen:
            # A process per cell: what one compiled or cached is no part of the next one's memory.
            with conductor.ours(options.threads[0], "cuda", None) as worker:
                entries += conductor.measure(
                    cell,
                    {f"ours-{worker.threads}": worker},
                    rounds=options.rounds,
                    budgets={},
                    with_facts=True,
                    tick=lambda text: progress.update(bar, description=text),
                )
            progress.advance(bar)
    return _about(options, torch.cuda.get_device_name()) | {"entries": entries}


def _strategies(options: argparse.Namespace) -> dict[str, Any]:
    from bench_strategies import rates

    return rates(examples=30 if options.quick else 300, side=64)


def _cells(options: argparse.Namespace) -> list[Cell]:
    if options.device == "cuda":
        chosen = cells.cuda()[-3:] if options.quick else cells.cuda()
    else:
        sizes = {"batches": options.batches, "sizes": options.sizes, "instances": options.instances}
        chosen = []
        if "grid" in options.sections:
            chosen += cells.grid(**sizes, dtypes=options.dtypes)
        if "modalities" in options.sections:
            few = [b for b in options.batches if b <= 8] or options.batches
            chosen += cells.all_modalities(**(sizes | {"batches": few}))
        if "growth" in options.sections and 1 in options.threads:
            chosen += cells.growth(size=min(options.sizes))
    if options.cells:
        chosen = [c for c in chosen if any(fnmatch.fnmatch(c.name, pattern) for pattern in options.cells)]
    if not chosen and options.sections != ["strategies"]:
        sys.exit(f"--cells: got {options.cells}, which fits no cell; names look like grid/8,512,1-20/uint8")
    return chosen


def _about(options: argparse.Namespace, processor: str | None) -> dict[str, Any]:
    return {
        "machine": machine(("torch", "numpy", "numba", "triton"), processor),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rounds": options.rounds,
    }


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write(results: dict[str, Any], options: argparse.Namespace) -> None:
    """JSON with an entry per line, the page and the plot."""
    entries = results.get("cpu", {}).get("entries", [])
    texts = {
        options.json: _dump(results),
        options.markdown: page.render(results, options.plot.name),
        options.plot: plot.draw(tables.Results(entries)),
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _dump(results: dict[str, Any]) -> str:
    text = json.dumps(results | {d: r | {"entries": []} for d, r in results.items()}, indent=1)
    for device, run in results.items():
        lines = ",\n   ".join(json.dumps(entry) for entry in run["entries"])
        head, _, tail = text.partition(f'"{device}": {{')
        text = head + f'"{device}": {{' + tail.replace('"entries": []', f'"entries": [\n   {lines}\n  ]', 1)
    return text + "\n"


def _print(run: dict[str, Any], device: str) -> None:
    results = tables.Results(run["entries"])
    if device == "cuda":
        shown = [*tables.cuda_tables(results), tables.mark_table(tables.cuda_marks(results))]
    else:
        shown = [*tables.cpu_tables(results), *tables.peer_tables(results), tables.growth_table(results)]
        if run.get("strategies"):
            shown.append(page.strategy_table(run["strategies"]))
        shown.append(tables.mark_table(tables.cpu_marks(results)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=170)
    for table in shown:
        if not table.rows:
            continue
        rich = RichTable(title=table.title, title_justify="left")
        for number, name in enumerate(table.head):
            first = number == 0
            rich.add_column(name.replace("`", ""), justify="left" if first else "right", no_wrap=first)
        for row in table.rows:
            rich.add_row(*(text.replace("`", "").replace("**", "") for text in row))
        console.print(rich)


def _progress() -> Progress:
    columns = (BarColumn(20), TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure speed against memcpy and against peers")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="few cells, 5 rounds, no growth")
    parser.add_argument("--rounds", type=int, help="per contender and cell (default 15)")
    parser.add_argument("--cells", action="append", metavar="PATTERN", help="only these, e.g. 'grid/*,512,*'")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, help="default all of them")
    parser.add_argument("--batches", type=int, nargs="+", help="B of the grid")
    parser.add_argument("--sizes", type=int, nargs="+", help="side of the grid's images")
    parser.add_argument("--instances", type=_range, nargs="+", metavar="LOW-HIGH", help="per sample")
    parser.add_argument("--dtypes", nargs="+", choices=cells.DTYPES, default=list(cells.DTYPES))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--executor", help="of apply on the CPU (default: its own choice)")
    parser.add_argument(
        "--peers", type=Path, default=peers.DEFAULT_ENVIRONMENTS, help="where make bench-peers put them"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_const", const=None)
    parser.add_argument(
        "--peer-seconds", type=float, default=6.0, help="per peer and cell; a slower one gets fewer rounds"
    )
    parser.add_argument("--json", type=Path, help="results, read and written")
    parser.add_argument("--markdown", type=Path, help="the page")
    parser.add_argument("--plot", type=Path, help="its picture, SVG")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.{json,md,svg}")
    parser.add_argument("--render", action="store_true", help="measure nothing, write page and plot anew")
    options = parser.parse_args()
    narrowed = [
        name
        for name in ("quick", "cells", "sections", "batches", "sizes", "instances", "executor")
        if getattr(options, name)
    ]
    if options.publish and narrowed:
        parser.error(f"--publish: got it with --{narrowed[0]}, expected a complete run")
    if options.publish and options.rounds is not None and options.rounds < 15:
        parser.error(f"--publish: got --rounds {options.rounds}, expected 15 or more")
    if options.publish and (set(options.threads) != {1, 2} or set(options.dtypes) != set(cells.DTYPES)):
        parser.error("--publish: got some of the threads or dtypes, expected 1 and 2 threads, all dtypes")
    quick = options.quick
    options.rounds = options.rounds or (5 if quick else 15)
    options.sections = options.sections or (["grid", "modalities", "strategies"] if quick else list(SECTIONS))
    options.batches = options.batches or ([2, 8] if quick else list(cells.BATCHES))
    options.sizes = options.sizes or ([256] if quick else list(cells.SIZES))
    options.instances = options.instances or list(cells.INSTANCES)
    folder = ROOT / ("docs" if options.publish or options.render else "bench-report")
    options.json = options.json or folder / "benchmarks.json"
    options.markdown = options.markdown or options.json.with_suffix(".md")
    options.plot = options.plot or options.markdown.with_suffix(".svg")
    return options


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    try:
        found = int(low), int(high or low)
    except ValueError:
        found = 0, 0
    if not 1 <= found[0] <= found[1]:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected 1-5 for instance")
    return found


if __name__ == "__main__":
    sys.exit(main())

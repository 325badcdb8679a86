"""Starts the processes, asks them round by round, and turns seconds into figures."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any

from benchmark.cells import Cell
from benchmark.peers import PEERS

SCRIPTS = Path(__file__).resolve().parent.parent
FLOOR = "memcpy"


class WorkerError(Exception):
    """A process that ended, hung or refused a cell."""


class Worker:
    """One process that speaks ``benchmark.protocol``."""

    def __init__(self, command: Sequence[str], threads: int, timeout: float, **environment: str) -> None:
        self.threads = threads
        self._timeout = timeout
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        limits = dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads)
        )
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | limits | environment,
            cwd=SCRIPTS,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The reply.

        Raises:
            WorkerError: if the process reports an error, has ended, or does not answer in time.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerError("no pipes")
        if self._process.poll() is not None:
            raise WorkerError(self._last_words())
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None
        ready, _, _ = select.select([stdout], [], [], self._timeout)
        if not ready:
            self._process.kill()
            raise WorkerError(f"no answer within {self._timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def traceback(self) -> str:
        """What the process wrote to standard error so far, the last of it."""
        self._errors.flush()
        self._errors.seek(0)
        return "\n".join(self._errors.read().splitlines()[-30:])

    def _last_words(self) -> str:
        lines = [line for line in self.traceback().splitlines() if line.strip()]
        return f"process ended: {lines[-1].strip()}" if lines else "process ended"


def ours(threads: int, device: str, executor: str | None) -> Worker:
    """The process of segpaste itself, in this interpreter."""
    command = [sys.executable, "-m", "benchmark.ours", "--threads", str(threads), "--device", device]
    if executor is not None:
        command += ["--executor", executor]
    # So that a checkout can be measured that nobody installed, as on a borrowed GPU.
    paths = [str(SCRIPTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return Worker(command, threads, timeout=600.0, PYTHONPATH=os.pathsep.join(paths))


def measure(
    cell: Cell,
    workers: Mapping[str, Worker],
    *,
    rounds: int,
    budgets: Mapping[str, float],
    with_facts: bool = False,
    tick: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Every contender of every process on one cell.

    Args:
        cell: the workload.
        workers: process by name; those of segpaste are called ``ours-<threads>``.
        rounds: how often each contender is timed.
        budgets: seconds that a process may use for this cell; a slow one gets fewer rounds.
        with_facts: ask for facts, too.
        tick: told what is going on.

    Returns:
        One entry per contender: ``ms`` (median), ``quartiles_ms``, ``ratio`` (median over the
        rounds of its time by that of the floor in the same round and, for segpaste, on as many
        threads), or ``error``.
    """
    entries: list[dict[str, Any]] = []
    running: list[tuple[str, str, frozenset[int]]] = []
    for key, worker in workers.items():
        tick(f"{cell.name}: preparing {key}")
        base = {"contender": key, "threads": worker.threads}
        try:
            found = worker.ask(prepare=cell.to_dict(), rounds=rounds)["contenders"]
        except WorkerError as error:
            entries.append(base | {"error": str(error)})
            continue
        for name, state in found.items():
            if "error" in state:
                entries.append(base | {"contender": name, "error": state["error"]})
                continue
            share = budgets.get(key, float("inf")) / max(state["estimate"], 1e-9)
            running.append((key, name, _spread(rounds, max(3, int(min(share, rounds))))))

    seconds: dict[tuple[str, str], dict[int, float]] = {(key, name): {} for key, name, _ in running}
    failed: dict[tuple[str, str], str] = {}
    for r in range(rounds):
        tick(f"{cell.name}: round {r + 1} of {rounds}")
        start = r % max(len(running), 1)
        order = running[start:] + running[:start]
        # Backwards every other round, so that nobody always follows the same one.
        for key, name, mine in order if r % 2 == 0 else reversed(order):
            if r not in mine or (key, name) in failed:
                continue
            try:
                seconds[key, name][r] = workers[key].ask(run=name, round=r)["seconds"]
            except WorkerError as error:
                failed[key, name] = str(error)

    for key, name, _ in running:
        entry: dict[str, Any] = {"contender": name, "threads": workers[key].threads}
        if (key, name) in failed:
            entries.append(entry | {"error": failed[key, name]})
            continue
        own = key if (key, FLOOR) in seconds else "ours-1"
        entry |= _figures(seconds[key, name], seconds.get((own, FLOOR), {}))
        entry |= _facts(workers[key], name) if with_facts else {}
        entries.append(entry)
    return [{"cell": cell.to_dict(), **entry} for entry in entries]


def failures_of_ours(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of segpaste itself did not run: contender and message."""
    return [
        f"{Cell(**e['cell']).name}, {e['contender']}: {e['error']}"
        for e in entries
        if "error" in e and e["contender"] not in PEERS
    ]


def _figures(seconds: Mapping[int, float], floor: Mapping[int, float]) -> dict[str, Any]:
    ordered = sorted(seconds.values())
    last = len(ordered) - 1
    figures: dict[str, Any] = {
        "rounds": len(ordered),
        "ms": _round(median(ordered) * 1e3),
        "quartiles_ms": [_round(ordered[round(last * q)] * 1e3) for q in (0.25, 0.75)],
    }
    shared = [seconds[r] / floor[r] for r in seconds if r in floor]
    if shared:
        figures["ratio"] = _round(median(shared))
    return figures


def _facts(worker: Worker, name: str) -> dict[str, Any]:
    try:
        return worker.ask(facts=name)
    except WorkerError as error:
        return {"facts": {"error": str(error)}}


def _spread(rounds: int, count: int) -> frozenset[int]:
    """``count`` of the rounds, evenly."""
    count = min(count, rounds)
    return frozenset(i * rounds // count for i in range(count))


def _round(value: float) -> float:
    """Four significant digits."""
    return float(f"{value:.4g}")

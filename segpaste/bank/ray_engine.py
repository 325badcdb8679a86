"""The work of a build on a Ray cluster."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from segpaste.bank.engines import attempt
from segpaste.bank.engines_needed import require
from segpaste.bank.errors import BankError
from segpaste.bank.meta import BankHead
from segpaste.bank.source import CropShard
from segpaste.bank.staging import Made

_RETRIES = 3
_TASKS_PER_CPU = 2
_KNOCK_SECONDS = 10


def run_on_ray(
    shards: Sequence[CropShard],
    numbers: Sequence[int],
    head: BankHead,
    *,
    workers: int,
    address: str | None,
) -> Generator[tuple[int, Made], None, None]:
    """Do each shard as a task of one CPU; results come back through the object store.

    A worker or node that is lost costs the shards that it was working on or still held, which
    are done again elsewhere. Files are read where a task runs: every node needs the data under
    the same path, and segpaste.

    Args:
        shards: all the work.
        numbers: the places in it of what is to be done.
        head: the bank's.
        workers: CPUs of the Ray that is started here; a running one is used as it is.
        address: of a running cluster; ``None``: that of ``RAY_ADDRESS``, else a Ray of its own
            is started on this machine for the time of the build. What is connected already is
            used whatever the address.

    Raises:
        BankError: if ray is missing, the cluster cannot be reached, or a shard is lost again and again.
        Exception: what a shard raised.
    """
    ray: Any = require("ray", "bank-ray", "engine 'ray'")
    starts = not ray.is_initialized()
    if starts:
        _connect(ray, workers, address or os.environ.get("RAY_ADDRESS"))
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(attempt)
    waiting, running = deque(numbers), {}
    head_there = ray.put(head)
    try:
        while waiting or running:
            # Looked up each time: a cluster may grow and shrink.
            room = max(1, _TASKS_PER_CPU * int(ray.cluster_resources().get("CPU", 0)))
            while waiting and len(running) < room:
                number = waiting.popleft()
                running[task.remote(shards[number], head_there)] = number
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(done)
            try:
                answer = ray.get(done)
            except ray.exceptions.RayError as error:
                first, *_ = str(error).strip().splitlines() or [""]
                raise BankError(
                    f"shard {number}: lost {_RETRIES + 1} times on the cluster: "
                    f"{type(error).__name__}: {first}"
                ) from error
            if isinstance(answer, Exception):
                raise answer
            yield number, answer
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if starts:
            ray.shutdown()


def _connect(ray: Any, workers: int, address: str | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:
        options |= {"num_cpus": workers, "include_dashboard": False, "address": "local"}
    else:
        options |= {"address": address}
    try:
        if address is not None:
            _knock(address)
        ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BankError(f"ray_address: got {address!r}, which cannot be reached: {reason}") from error


def _knock(address: str) -> None:
    """Ray itself tries for minutes where nobody answers.

    Raises:
        OSError: if nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isascii() and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()

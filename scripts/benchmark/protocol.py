"""One process per library: it prepares a cell, then times one contender when told to.

One line of JSON per request and reply::

    {"prepare": {...cell...}, "rounds": 15}  ->  {"contenders": {name: {"estimate": s} or {"error": ...}}}
    {"run": name, "round": 3}                ->  {"seconds": s}
    {"facts": name}                          ->  {"facts": {...}}

The conductor asks one process after the other, round by round, so that noise hits all alike.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

Call = Callable[[int], object]
Prepare = Callable[[dict[str, Any]], dict[str, Call]]

# A short call is repeated until this much time is filled, and its mean taken.
FILL_SECONDS = 0.005
MOST_REPEATS = 50
# A call slower than this is not warmed up a second time.
SLOW_SECONDS = 3.0


def serve(
    prepare: Prepare,
    *,
    settle: Callable[[], None] = lambda: None,
    facts: Callable[[Call], dict[str, Any]] = lambda call: {},
) -> None:
    """Answer requests until standard input ends. What libraries print goes to standard error.

    Args:
        prepare: from a request to contenders by name, each a function of the round.
        settle: waits until a device is idle; called before and after what is timed.
        facts: what else is worth knowing of a contender, measured apart.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    calls: dict[str, Call] = {}
    repeats: dict[str, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                calls.clear()
                gc.collect()
                calls.update(prepare(request))
                answer: dict[str, Any] = {"contenders": _warm_up(calls, repeats, settle)}
            elif "facts" in request:
                answer = {"facts": facts(calls[request["facts"]])}
            else:
                name = request["run"]
                seconds = _time(calls[name], request["round"], repeats[name], settle)
                answer = {"seconds": seconds}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        replies.write(json.dumps(answer) + "\n")


def _warm_up(calls: dict[str, Call], repeats: dict[str, int], settle: Callable[[], None]) -> dict[str, Any]:
    """Call each once for what is compiled or loaded on first use, and once to learn its time."""
    found: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            seconds = _time(call, 0, 1, settle)
            if seconds < SLOW_SECONDS:
                seconds = _time(call, 0, 1, settle)
        except Exception as error:
            traceback.print_exc()
            found[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        repeats[name] = min(MOST_REPEATS, max(1, round(FILL_SECONDS / max(seconds, 1e-9))))
        found[name] = {"estimate": seconds * repeats[name]}
    return found


def _time(call: Call, round_: int, repeats: int, settle: Callable[[], None]) -> float:
    """Mean seconds of ``repeats`` calls, what they return being freed within."""
    if repeats > 1:
        call(round_)
    settle()
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(repeats):
            call(round_)
        settle()
        return (time.perf_counter_ns() - start) / repeats / 1e9
    finally:
        gc.enable()

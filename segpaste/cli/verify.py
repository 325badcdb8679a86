"""``segpaste verify``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segpaste.cli.app import INTERRUPTED, PASSED, VIOLATED, UsageError

if TYPE_CHECKING:
    from segpaste.integrations import DataSet
    from segpaste.testing.engine import RunOptions
    from segpaste.testing.events import Listener
    from segpaste.testing.targets import Target
    from segpaste.types import Modality

DEMO_EXAMPLES = 100
"""Examples made of the demo's photographs, where ``--examples`` does not say."""


@dataclass(frozen=True)
class Request:
    """The command line, as given."""

    targets: tuple[str, ...] = ()
    data: tuple[Path, ...] = ()
    modalities: tuple[str, ...] = ()
    examples: int | None = None
    seed: int = 0
    device: str = "cpu"
    only: str = "*"
    json: Path | None = None
    html: Path | None = None
    junit: Path | None = None
    kind: str | None = None
    xfails: Path | None = None
    skip_bad: bool = False


def run_verify(request: Request) -> int:
    """Run what is requested.

    Returns:
        0 if all laws hold, 1 if some are violated, 130 when interrupted.

    Raises:
        UsageError: in one line, before anything was run; before any data are read, if they
            have no part in it.
    """
    if request.examples is not None and request.examples < 1:
        raise UsageError(f"--examples: got {request.examples}, expected 1 or more")
    _check_outputs(request)
    _say("loading torch")
    try:
        return _run(request)
    except KeyboardInterrupt:
        print("segpaste: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(request: Request) -> int:
    import torch

    from segpaste.testing.engine import check_options, check_targets, run
    from segpaste.testing.expected import XfailsError
    from segpaste.testing.html_report import HtmlReporter
    from segpaste.testing.json_report import JsonReporter
    from segpaste.testing.junit_report import JunitReporter
    from segpaste.testing.terminal import RichReporter, terminal_reporter

    # Many operations on small tensors: threads would wait for each other most of the time.
    torch.set_num_threads(1)
    targets = _targets(request)
    options = replace(_options(request), xfails=_xfails(request, targets))
    try:
        check_options(options)
        check_targets(targets, options)
    except XfailsError as error:
        raise UsageError(f"--xfails: {error}") from None
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    options = _with_data(options, request)
    terminal = terminal_reporter()
    listeners: list[Listener] = [terminal]
    if request.json is not None:
        listeners.append(JsonReporter(request.json))
    if request.html is not None:
        listeners.append(HtmlReporter(request.html))
    if request.junit is not None:
        listeners.append(JunitReporter(request.junit))
    try:
        report = run(targets, options, listeners)
    except OSError as error:
        if error.filename is None:
            raise
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from None
    finally:
        if isinstance(terminal, RichReporter):
            terminal.stop()
    page = None if request.html is None else request.html / "index.html"
    for path in (request.json, request.junit, page):
        if path is not None:
            print(f"wrote {path}")
    return PASSED if report.ok else VIOLATED


def _targets(request: Request) -> list[Target]:
    from segpaste.testing.targets import TargetNotFoundError, default_targets, resolve_target

    try:
        return [
            resolve_target(name, request.device, request.kind)  # pyright: ignore[reportArgumentType]
            for name in request.targets or default_targets()
        ]
    except TargetNotFoundError as error:
        raise UsageError(str(error)) from None


def _xfails(request: Request, targets: Sequence[Target]) -> dict[str, dict[str, str]]:
    from segpaste.testing.expected import XfailsError, load_xfails, stale
    from segpaste.testing.judge import every_law

    if request.xfails is None:
        return {}
    try:
        found = load_xfails(request.xfails)
    except XfailsError as error:
        raise UsageError(f"--xfails: {error}") from None
    lines = stale(found, [target.name for target in targets], every_law())
    if lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise UsageError(f"--xfails: {request.xfails}: {lines[0]}{more}")
    return found


def _options(request: Request) -> RunOptions:
    """All that can be known, and refused, without any data."""
    from segpaste.testing.check import DEFAULT_EXAMPLES
    from segpaste.testing.engine import RunOptions, parse_modalities

    sets = None
    if request.modalities:
        try:
            sets = parse_modalities(request.modalities)
        except ValueError as error:
            raise UsageError(f"--{error}") from None
    return RunOptions(
        modalities=sets,
        examples=DEFAULT_EXAMPLES if request.examples is None else request.examples,
        seed=request.seed,
        device=request.device,
        only=request.only,
        folders=tuple(str(folder) for folder in request.data),
    )


def _with_data(options: RunOptions, request: Request) -> RunOptions:
    data, loaders, notes = _read_data(request, options.modalities)
    real = options.examples
    if not request.data:
        real = DEMO_EXAMPLES if request.examples is None else min(request.examples, DEMO_EXAMPLES)
    return replace(
        options,
        real_examples=real if data else 0,
        data=tuple(data),
        loaders=loaders,
        notes=tuple(notes),
    )


def _read_data(
    request: Request, sets: Sequence[frozenset[Modality]] | None
) -> tuple[list[DataSet], dict[str, str], list[str]]:
    """The data sets, the Python expression that loads each, and what to tell of them."""
    from segpaste.integrations import DataError, demo_photographs, load_data

    found: list[tuple[DataSet, str, str]] = []  # the set, its name in its folder, its loader
    notes: list[str] = []
    if not request.data:
        _say("labelling the demo photographs")
        try:
            found = [(data, data.name, "demo_photographs()") for data in demo_photographs()]
        except DataError as error:
            return [], {}, [f"no photographs, drawn scenes only: {error}"]
    for folder in dict.fromkeys(request.data):
        _say(f"reading {folder}")
        option = ", skip_bad=True" if request.skip_bad else ""
        loader = f"load_data({str(folder.resolve())!r}{option})"
        try:
            sets_here = load_data(folder, skip_bad=request.skip_bad)
        except DataError as error:
            raise UsageError(f"--data: {error}") from None
        for data in sets_here:
            named = replace(data, name=f"{folder.resolve().name}/{data.name}")
            found.append((named, data.name, loader))
    chosen: list[DataSet] = []
    loaders: dict[str, str] = {}
    for data, inner, loader in found:
        kept = data if sets is None else _reduced(data, sets)
        if kept is None:
            notes.append(f"{data.name}: left out, it has none of the modality sets asked for")
            continue
        if kept.name in loaders:
            raise UsageError(f"--data: got two data sets called {kept.name!r}, expected different names")
        expression = f"next(d for d in {loader} if d.name == {inner!r})"
        if kept is not data:
            names = ", ".join(f"Modality.{m.name}" for m in sorted(kept.modalities, key=lambda m: m.name))
            expression += f".only(frozenset({{{names}}}))"
        chosen.append(kept)
        loaders[kept.name] = expression
    if request.data and not chosen:
        raise UsageError(f"--modalities: no data set has any of {', '.join(request.modalities)}")
    return chosen, loaders, notes


def _reduced(data: DataSet, sets: Sequence[frozenset[Modality]]) -> DataSet | None:
    """The data set with the largest of the modality sets that it has."""
    fitting = [s for s in sets if s <= data.modalities]
    if not fitting:
        return None
    largest = max(fitting, key=len)
    return data if largest == data.modalities else data.only(largest)


def _check_outputs(request: Request) -> None:
    """Make the report's folder now, so that a long run does not end without a report."""
    if request.html is not None:
        try:
            request.html.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--html: cannot make the folder {request.html}: {error.strerror}") from None
        _check_writable("--html", request.html)
        if (request.html / "index.html").is_dir():
            raise UsageError(f"--html: {request.html / 'index.html'} is a folder, expected a file")
    for option, path in (("--json", request.json), ("--junit", request.junit)):
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{option}: {path} is a folder, expected a file")
        if not path.parent.is_dir():
            raise UsageError(f"{option}: no such folder {path.parent}")
        _check_writable(option, path.parent)


def _check_writable(option: str, folder: Path) -> None:
    # By writing, for permissions do not tell of a full or a read-only file system.
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{option}: cannot write to {folder}: {error.strerror}") from None


def _say(what: str) -> None:
    """One line before something that takes seconds; standard error, for it is no result."""
    print(f"segpaste: {what} ...", file=sys.stderr, flush=True)

"""``segpaste audit``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from segpaste.cli.app import PASSED, VIOLATED, UsageError
from segpaste.cli.bank_build import parsed_size
from segpaste.cli.bank_classes import opened
from segpaste.cli.checks import whole_seed
from segpaste.cli.presets import preset_of

if TYPE_CHECKING:
    from segpaste.audit import AuditOptions, AuditResult
    from segpaste.audit.run import Progress
    from segpaste.integrations import DataSet
    from segpaste.presets import PresetConfig


@dataclass(frozen=True)
class AuditRequest:
    """The command line of ``audit``, as given."""

    preset: str
    out: Path
    data: tuple[Path, ...] = ()
    samples: int = 16
    seed: int = 0
    gallery: int = 8
    size: str | None = None
    jitter: bool = True
    relabel: bool = False
    bank: Path | None = None
    skip_bad: bool = False


def run_command(request: AuditRequest) -> int:
    """Run what is requested, and write it.

    Returns:
        0 if all laws hold, 1 if some are violated.

    Raises:
        UsageError: in one line, before anything was run.
    """
    whole_seed("--seed", request.seed)
    preset = preset_of("--preset", request.preset)
    if request.bank is not None and preset.bank is None:
        raise UsageError(f"--bank: got one for {preset.name!r}, whose donors come from the batch")
    if request.size is not None and (not request.jitter or preset.large_scale_jitter is None):
        raise UsageError("--size: got a canvas without jittering, expected one of the two")

    from segpaste.audit import AuditError, AuditOptions, check_place, run_audit, write_audit

    try:
        check_place(request.out)
    except AuditError as error:
        raise UsageError(f"--out: {error}") from None
    try:
        options = AuditOptions(
            samples=request.samples,
            seed=request.seed,
            gallery=request.gallery,
            size=None if request.size is None else parsed_size(request.size, "--size"),
            jitter=request.jitter,
        )
    except AuditError as error:
        raise UsageError(f"--{error}") from None
    bank = None if request.bank is None else opened(request.bank, "--bank")
    try:
        data, notes = _data(request, preset, options)
        with _progress(sys.stderr) as progress:
            result = run_audit(preset, data, options, bank=bank, notes=notes, progress=progress)
    except AuditError as error:
        raise UsageError(str(error)) from None
    try:
        write_audit(result, request.out)
    except OSError as error:
        raise UsageError(f"--out: cannot write {request.out}: {error.strerror}") from None
    _print(result, request.out)
    return PASSED if result.ok else VIOLATED


def _data(
    request: AuditRequest, preset: PresetConfig, options: AuditOptions
) -> tuple[list[DataSet], list[str]]:
    from segpaste.audit import fitted, made_sets
    from segpaste.integrations import DataError, load_data

    if not request.data:
        _say("drawing scenes, labelling the demo photographs")
        return made_sets(preset, max(2, options.samples), options.seed)
    found: list[DataSet] = []
    for folder in dict.fromkeys(request.data):
        _say(f"reading {folder}")
        try:
            sets = load_data(folder, skip_bad=request.skip_bad)
        except DataError as error:
            raise UsageError(f"--data: {error}") from None
        found += [
            replace(
                each,
                name=f"{folder.resolve().name}/{each.name}",
                skipped=tuple(_within(folder, line) for line in each.skipped),
                notes=tuple(_within(folder, line) for line in each.notes),
            )
            for each in sets
        ]
    return fitted(preset, found, relabel=request.relabel)


def _within(folder: Path, line: str) -> str:
    """A line that names files by their place in the folder: where that lies is no part of an audit."""
    for base in (str(folder.resolve()), str(folder.absolute()), str(folder)):
        start = re.escape(f"{base.rstrip(os.sep)}{os.sep}")
        line = re.sub(rf"(?<![\w./-]){start}", "", line)
    return line


def _print(result: AuditResult, out: Path) -> None:
    for each in result.sets:
        verdicts = each.verdicts
        held, violated = verdicts.named("held"), verdicts.named("violated")
        height, width = each.canvas
        statistics = each.statistics
        print(f"{each.name}: {each.samples} samples, {height} x {width}, {each.modalities}")
        others = [
            f", {count} {said}"
            for status, said in (
                ("not_exercised", "never exercised"),
                ("not_decidable", "never decidable"),
                ("not_asked", "not asked"),
            )
            if (count := len(verdicts.named(status)))
        ]
        print(f"  {len(held)} laws held, {len(violated)} violated{''.join(others)}")
        per_image = sum(statistics.pastes) / max(1, statistics.samples)
        share = sum(statistics.shares) / max(1, statistics.samples)
        if each.nothing_pasted:
            print("  nothing was pasted: no law was shown to hold of a paste")
        else:
            objects = f"{per_image:.2f} objects pasted per image, " if statistics.objects else ""
            print(f"  {objects}{share:.1%} of an image shows a donor")
        for name in violated:
            print(f"  violated {name}: {verdicts.first[name]}")
        if each.skipped:
            records = "record" if each.skipped == 1 else "records"
            print(f"  {each.skipped} {records} left out that could not be read; the page names them")
        for note in each.notes[: len(each.notes) - each.skipped]:
            print(f"  note: {note}")
        for name, count in sorted(verdicts.data_faults.items()):
            print(f"  the data break {name} themselves in {count} of {each.samples} samples")
    for note in result.notes:
        print(f"note: {note}")
    empty = [each.name for each in result.sets if each.nothing_pasted]
    but = f", but nothing was pasted in {', '.join(empty)}" if empty else ""
    print(f"all laws hold{but}" if result.ok else "some laws are violated")
    print(f"wrote {out / 'index.html'}")


@contextmanager
def _progress(stream: TextIO) -> Iterator[Progress]:
    """A bar for every set on a terminal; elsewhere a line when one begins."""
    if not stream.isatty():

        def tell(name: str, done: int, total: int) -> None:
            if done == 0:
                print(f"segpaste: {name}: {total} samples ...", file=stream, flush=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars: dict[str, Any] = {}
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream, highlight=False),
    ) as shown:

        def move(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = shown.add_task(name, total=total)
            shown.update(bars[name], completed=done)

        yield move


def _say(what: str) -> None:
    print(f"segpaste: {what} ...", file=sys.stderr, flush=True)

"""``segpaste bank build`` and ``convert``."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from segpaste.cli.app import INTERRUPTED, PASSED, UsageError
from segpaste.cli.words import duration, plural, size_in_words

if TYPE_CHECKING:
    from segpaste.bank.build import BuildProgress
    from segpaste.bank.meta import BankMeta

_LINE_EVERY_SECONDS = 5.0
_MOST_SKIPPED = 10
_OPTIONS = ("backend", "crop_size", "engine", "min_area", "oversize", "ray_address", "workers")


@dataclass(frozen=True)
class BuildRequest:
    """The command line of ``bank build``, as given."""

    annotations: Path
    images: Path
    out: Path
    crop_size: str
    backend: str = "memmap"
    min_area: int = 0
    panoptic: Path | None = None
    engine: str = "local"
    workers: int = 1
    ray_address: str | None = None
    dataset: str | None = None
    model: str | None = None
    oversize: str = "shrink"
    skip_bad: bool = False
    fresh: bool = False


def run_build(request: BuildRequest) -> int:
    """Build a bank, show how far it is, and say what it holds.

    Returns:
        0, or 130 when interrupted.

    Raises:
        UsageError: in one line, on an argument, file or entry that is not as it should be.
    """
    crop_size = parsed_size(request.crop_size)
    _check_there(request)
    try:
        with _one_line_errors():
            _check_options(request, crop_size)
            return _build(request, crop_size)
    except KeyboardInterrupt:
        print("segpaste: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED


def run_convert(source: Path, out: Path, backend: str) -> int:
    """Write a bank into another backend, show how far it is, and say what it holds.

    Raises:
        UsageError: in one line, on a bank that cannot be read or written.
    """
    from segpaste.bank import convert_bank
    from segpaste.bank.build import BuildProgress

    began = time.monotonic()

    def tell(written: int, crops: int) -> None:
        seconds = time.monotonic() - began
        show(
            BuildProgress(
                stage="writing",
                shards_done=0,
                shards_total=0,
                crops=crops,
                written=written,
                left_out={},
                seconds=seconds,
                crops_per_second=written / max(seconds, 1e-9),
                seconds_left=seconds * (crops - written) / written,
            )
        )

    with progress_on(sys.stderr) as show, _one_line_errors():
        meta = convert_bank(source, out, backend, progress=tell)  # pyright: ignore[reportArgumentType]
    _print_summary(meta, out, {})
    return PASSED


def parsed_size(text: str, option: str = "--crop-size") -> tuple[int, int]:
    """``"128"`` or ``"96x128"``, height first, as ``(h, w)``.

    Raises:
        UsageError: on anything else.
    """
    from segpaste.bank.cropping import check_cropping

    found = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)
    if found is None:
        raise UsageError(
            f"{option}: got {text!r}, expected a number such as 128, or height x width such as 96x128"
        )
    size = int(found[1]), int(found[2] or found[1])
    try:
        check_cropping(size, 0, "shrink")
    except ValueError as error:
        _, _, expected = str(error).rpartition(", expected ")
        raise UsageError(f"{option}: got {text!r}, expected {expected}") from None
    return size


def _build(request: BuildRequest, crop_size: tuple[int, int]) -> int:
    from segpaste.bank import build_bank
    from segpaste.integrations.coco_crops import CocoCrops

    # Beside a large data set this takes a while, and nothing else would be seen.
    print(f"segpaste: reading {request.annotations} ...", file=sys.stderr, flush=True)
    there = request.out.exists()
    source = CocoCrops(
        request.annotations,
        request.images,
        crop_size=crop_size,
        min_area=request.min_area,
        panoptic=request.panoptic,
        dataset=request.dataset,
        model=request.model,
        oversize=request.oversize,  # pyright: ignore[reportArgumentType]
        skip_bad=request.skip_bad,
    )
    began = time.monotonic()
    with progress_on(sys.stderr) as progress:
        meta = build_bank(
            source,
            request.out,
            backend=request.backend,  # pyright: ignore[reportArgumentType]
            engine=request.engine,  # pyright: ignore[reportArgumentType]
            workers=request.workers,
            progress=progress,
            ray_address=request.ray_address,
            fresh=request.fresh,
        )
    seconds = time.monotonic() - began
    if there:
        print(f"{request.out} is already built, from the same files with the same options")
    _print_summary(meta, request.out, meta.built_from.get("left_out", {}))
    for line in source.skipped[:_MOST_SKIPPED]:
        print(f"skipped   {line}")
    if len(source.skipped) > _MOST_SKIPPED:
        print(f"skipped   and {len(source.skipped) - _MOST_SKIPPED} more")
    if not there:
        print(f"time      {duration(seconds)}, {meta.count / max(seconds, 1e-9):,.0f} crops/s")
    return PASSED


@contextmanager
def progress_on(stream: TextIO) -> Iterator[RichProgress | PlainProgress]:
    """Something that :func:`segpaste.bank.build_bank` may tell of its progress.

    A bar where ``stream`` is a terminal, else a plain line every few seconds.
    """
    if not stream.isatty():
        yield PlainProgress(stream)
        return
    progress = RichProgress(stream)
    try:
        yield progress
    finally:
        progress.stop()


class PlainProgress:
    """Lines of plain text, no control characters: every few seconds, and as a stage ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def __call__(self, progress: BuildProgress) -> None:
        done, total, _ = _place(progress)
        if done == total or time.monotonic() - self._last >= _LINE_EVERY_SECONDS:
            self._last = time.monotonic()
            print(f"{progress.stage}: {_said(progress)}", file=self._stream, flush=True)


class RichProgress:
    """A bar for each stage."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}", markup=False),
            console=Console(file=stream, highlight=False),
        )
        self._first: Any = self._progress.add_task("starting", total=None, said="")
        self._tasks: dict[str, Any] = {}
        self._progress.start()

    def __call__(self, progress: BuildProgress) -> None:
        done, total, _ = _place(progress)
        if not self._tasks:
            self._tasks[progress.stage] = self._first
            self._progress.update(self._first, description=progress.stage)
        elif progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._progress.add_task(progress.stage, total=total, said="")
        task = self._tasks[progress.stage]
        self._progress.update(task, completed=done, total=total, said=_said(progress))

    def stop(self) -> None:
        """Leave the bars as they are; also when the build was interrupted."""
        self._progress.stop()


def _place(progress: BuildProgress) -> tuple[int, int, str]:
    """How much of how many of what."""
    if progress.stage == "writing":
        return progress.written, progress.crops, "crop"
    return progress.shards_done, progress.shards_total, "shard"


def _said(progress: BuildProgress) -> str:
    done, total, what = _place(progress)
    parts = [f"{done:,} of {plural(total, what)}"]
    if progress.stage == "cutting":
        parts.append(f"{progress.crops:,} crops")
    if progress.stage != "checking":
        parts.append(f"{progress.crops_per_second:,.0f} crops/s")
    if progress.seconds_left:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _print_summary(meta: BankMeta, out: Path, left_out: dict[str, int]) -> None:
    from segpaste.bank import open_bank

    h, w = meta.head.crop_size
    used = int((open_bank(out).class_frequencies > 0).sum())
    size = size_in_words(sum(entry.size for entry in meta.files.values()))
    print(f"bank      {out}")
    print(f"version   {meta.version}")
    print(f"crops     {meta.count:,} of {h} x {w} pixels, {plural(used, 'class')}")
    if left_out:
        print(f"left out  {', '.join(f'{reason} ({number:,})' for reason, number in left_out.items())}")
    print(f"size      {size} in {plural(len(meta.files), 'file')}")


def _check_there(request: BuildRequest) -> None:
    """Refuse what is not there before anything is read."""
    if not request.annotations.is_file():
        raise UsageError(f"COCO_JSON: got {request.annotations}, expected a file")
    for name, folder in (("IMAGES", request.images), ("--panoptic", request.panoptic)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{name}: got {folder}, expected a folder")


def _check_options(request: BuildRequest, crop_size: tuple[int, int]) -> None:
    """Refuse wrong options before a JSON is read for minutes."""
    from segpaste.bank.build import check_arguments
    from segpaste.bank.cropping import check_cropping

    check_cropping(crop_size, request.min_area, request.oversize)  # pyright: ignore[reportArgumentType]
    check_arguments(
        request.out,
        request.backend,  # pyright: ignore[reportArgumentType]
        request.engine,  # pyright: ignore[reportArgumentType]
        request.workers,
        request.ray_address,
    )


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What the builder refuses as a wrong use of the command.

    Raises:
        UsageError: naming the option, the file or the entry.
    """
    from segpaste.bank.errors import BankError
    from segpaste.integrations import DataError

    try:
        yield
    except ValueError as error:
        argument = str(error).partition(": got ")[0]
        if argument == "path":
            raise UsageError(f"OUT{str(error).removeprefix(argument)}") from None
        if argument in _OPTIONS:
            rest = str(error).removeprefix(argument)
            raise UsageError(f"--{argument.replace('_', '-')}{rest}") from None
        if isinstance(error, BankError | DataError):
            raise UsageError(str(error)) from None
        raise
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None

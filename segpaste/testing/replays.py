"""Violations that are kept under a short id, found again, and run again."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from segpaste.invariants import InvariantReport
from segpaste.invariants.registry import LAWS
from segpaste.testing.examples import Example
from segpaste.testing.files import write_whole
from segpaste.testing.judge import RUNNER_LAWS, Judgement, judge, law_kind
from segpaste.testing.results import MinimalCase, Result
from segpaste.testing.stored import (
    SUFFIX,
    StoredFileError,
    StoredViolation,
    read_violation,
    shown_pair,
    write_violation,
)
from segpaste.testing.targets import Executor, Target, TargetNotFoundError, resolve_target
from segpaste.types import DenseSample, PanopticSchemaSpec

if TYPE_CHECKING:
    from PIL import Image

FOLDER = Path(".segpaste", "replays")
"""Where violations are kept, below the current directory, unless SEGPASTE_REPLAYS says."""

VARIABLE = "SEGPASTE_REPLAYS"

ReplayStatus = Literal["still failing", "fixed", "error"]

_ID = re.compile(r"[0-9a-f]{1,8}")


class StillFailingError(AssertionError):
    """A violation that was kept is there still, or can no longer be run."""


@dataclass(frozen=True)
class Replayed:
    """What became of a kept violation.

    Attributes:
        status: ``"still failing"``; ``"fixed"`` if the law is not violated any more;
            ``"error"`` if there is no verdict: the target cannot be found or raises, or the
            law does not exist or cannot be judged any more.
        law: dotted name.
        target: name of what was run.
        was: what the law said when the violation was kept.
        message: what it says now; of an error, why there is no verdict.
        report: the law's report, if there is one.
        before: the stored target, the offending one of a batch.
        donor: what is pasted into it or mixed with it; None where nothing is.
        after: what the target makes of it now; None if nothing.
        file: where the violation is kept.
        stored: all that is kept.
        rows: the offending rows, as rows of ``after``.
    """

    status: ReplayStatus
    law: str
    target: str
    was: str
    message: str
    report: InvariantReport | None
    before: DenseSample
    donor: DenseSample | None
    after: DenseSample | None
    file: Path
    stored: StoredViolation = field(repr=False)
    rows: tuple[int, ...] = ()

    @property
    def replay_id(self) -> str:
        """Its short name."""
        return self.stored.replay_id

    def picture(self) -> Image.Image:
        """Target, donor, what came out and, while it is still failing, the offending pixels."""
        from segpaste.testing.pictures import violation_strip
        from segpaste.viz import Column, draw_strip

        if self.status == "still failing" and self.report is not None:
            return violation_strip(self._minimal(self.report))
        named = [("before (target)", self.before), ("donor", self.donor), ("after", self.after)]
        columns = [Column(title, sample) for title, sample in named if sample is not None]
        caption = f"{self.law}: {self.status}\n{self.message}"
        return draw_strip(columns, caption=caption, ignore_index=self.stored.ignore_index)

    def raise_unless_fixed(self) -> None:
        """Nothing if it is fixed; else draw it and raise.

        Raises:
            StillFailingError: saying what the law says, and where the picture is.
        """
        if self.status == "fixed":
            return
        lines = [f"{self.target}: {self.status}: {self.message}"]
        if self.status == "still failing":
            lines.append(f"  picture: {self._write_picture()}")
        lines.append(f"  run it again: segpaste replay {self.file}")
        raise StillFailingError("\n".join(lines))

    def _write_picture(self) -> Path:
        from segpaste.viz import png_bytes

        data = png_bytes(self.picture())
        try:
            path = _made(replays_folder()) / f"{self.replay_id}.png"
            write_whole(path, data)
        except OSError:  # a checkout that nobody may write to
            path = Path(tempfile.mkdtemp(prefix="segpaste-")) / f"{self.replay_id}.png"
            write_whole(path, data)
        return path

    def _minimal(self, report: InvariantReport) -> MinimalCase:
        stored = self.stored
        example = stored.example
        how = repr(example.plan) if stored.planned else f"seed {example.seed}"
        return MinimalCase(
            example, report, self.before, self.donor, self.after, self.rows, how, "", stored.replay_id
        )


def replays_folder() -> Path:
    """The folder in which violations are kept: SEGPASTE_REPLAYS, or ``.segpaste/replays`` here."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else FOLDER


def keep(
    target: Target,
    result: Result,
    *,
    device: str = "cpu",
    schema: PanopticSchemaSpec | None = None,
    versions: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Path | None:
    """Keep the minimal case of a violated law under its replay id.

    Args:
        target: what was verified.
        result: a result on it.
        device: ``"cpu"`` or ``"cuda"``, where it ran.
        schema: the class table that overrode the examples' own.
        versions: of what took part.
        folder: :func:`replays_folder` by default; made where it is missing, with a
            ``.gitignore`` of its own.

    Returns:
        The file; None if there is no minimal case, or if the folder cannot be written to,
        which standard error is told once.
    """
    if result.minimal is None:
        return None
    folder = replays_folder() if folder is None else folder
    violation = _violation(target, result, result.minimal, device, schema, versions or {})
    path = folder / f"{violation.replay_id}{SUFFIX}"
    try:
        write_violation(_made(folder) / path.name, violation)
    except OSError as error:
        _say_once(f"violations are not kept: cannot write to {folder}: {error.strerror or error}")
        return None
    return path


def find(id_or_path: str | Path, folder: Path | None = None) -> Path:
    """The file of a violation.

    Args:
        id_or_path: a replay id, the beginning of one that no other begins with, or a file.
        folder: where ids are looked up; :func:`replays_folder` by default.

    Raises:
        StoredFileError: if there is none or more than one; the message says which there are.
    """
    text = str(id_or_path)
    is_id = isinstance(id_or_path, str) and _ID.fullmatch(text.lower()) is not None
    if not is_id:
        if not Path(text).is_file() and not text.endswith(SUFFIX) and os.sep not in text:
            raise StoredFileError(
                f"{text}: no such file, and no replay id: expected up to 8 hexadecimal digits or a file"
            )
        return Path(text)
    folder = replays_folder() if folder is None else folder
    kept = sorted(path for path in folder.glob(f"*{SUFFIX}") if _ID.fullmatch(path.stem))
    found = [path for path in kept if path.stem.startswith(text.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        raise StoredFileError(f"{text}: begins {len(found)} replay ids: {_listed(found)}")
    there = f"kept there: {_listed(kept)}" if kept else "nothing is kept there"
    raise StoredFileError(f"{text}: no violation of that id in {folder}; {there}")


def replay(
    id_or_path: str | Path,
    aug: str | Callable[..., Any] | None = None,
    *,
    folder: Path | None = None,
    device: str | None = None,
) -> Replayed:
    """Run a kept violation again: the stored input through the target, judged by the stored law.

    Args:
        id_or_path: the replay id, the beginning of one, or a file.
        aug: what to run instead of the stored target: a callable or its name. Needed where
            the target had no name to import it by, such as a lambda.
        folder: where ids are looked up; :func:`replays_folder` by default.
        device: ``"cpu"`` or ``"cuda"``; where it ran before by default.

    Raises:
        StoredFileError: if no such violation is kept, or its file is damaged.
    """
    file = find(id_or_path, folder)
    stored = read_violation(file)
    device = stored.device if device is None else device
    before, donor = shown_pair(stored.example, stored.index)
    if not stored.takes_donor:
        donor = None
    done = Replayed(
        "error", stored.law, stored.target, stored.message, "", None, before, donor, None, file, stored
    )
    if stored.law not in _laws():
        return replace(done, message=_no_law(stored.law))
    if device == "cuda" and not torch.cuda.is_available():
        return replace(done, message="it ran on cuda, but torch finds no CUDA device")
    spec = stored.spec if aug is None else aug
    if spec is None:
        return replace(done, message=f"{stored.target} has no name to import it by: say what is to be run")
    try:
        target = resolve_target(spec, device, stored.kind)
    except TargetNotFoundError as error:
        return replace(done, message=str(error))
    if isinstance(target, Executor) != stored.planned:
        kinds = {True: "an executor", False: "a callable (target, donor, seed)"}
        got, wanted = kinds[not stored.planned], kinds[stored.planned]
        return replace(done, message=f"{target.name} is {got}, the violation is of {wanted}")
    return _judged(replace(done, target=target.name), target, stored.example.to(device))


def _judged(done: Replayed, target: Target, example: Example) -> Replayed:
    metamorphic = law_kind(done.law) == "metamorphic"
    schema = done.stored.class_table
    judgement = judge(target, example, only=done.law, metamorphic=metamorphic, schema=schema)
    index = done.stored.index if isinstance(target, Executor) else 0
    if index < len(judgement.after):
        done = replace(done, after=judgement.after[index].to("cpu"))
    report = judgement.reports.get(done.law)
    if report is None:
        whole = judge(target, example, only="*", metamorphic=metamorphic, schema=schema)
        failures = [report.message for report in whole.violated if report.name in RUNNER_LAWS]
        return replace(done, message=f"{target.name} {failures[0] if failures else 'gave no verdict'}")
    done = replace(done, report=report, rows=_rows(report, judgement, index), message=str(report))
    if report.status == "violated":
        return replace(done, status="still failing")
    # What is not exercised is not violated: a correct target may leave this input alone.
    if report.status in ("held", "not_exercised"):
        return replace(done, status="fixed")
    return done


def _rows(report: InvariantReport, judgement: Judgement, index: int) -> tuple[int, ...]:
    """The offending rows as rows of the sample shown."""
    slots = judgement.slots[index] if index < len(judgement.slots) else []
    return tuple(slots.index(slot) for slot in report.rows if slot in slots)


def _violation(
    target: Target,
    result: Result,
    minimal: MinimalCase,
    device: str,
    schema: PanopticSchemaSpec | None,
    versions: Mapping[str, str],
) -> StoredViolation:
    law = LAWS.get(result.law) or RUNNER_LAWS.get(result.law)
    planned = isinstance(target, Executor)
    return StoredViolation(
        replay_id=minimal.replay_id,
        law=result.law,
        law_kind=result.kind,
        statement="" if law is None else law.statement,
        message=str(minimal.report),
        where=minimal.example.where,
        target=target.name,
        spec=target.name if isinstance(target, Executor) else target.spec,
        kind="paste" if isinstance(target, Executor) else target.kind,
        takes_donor=isinstance(target, Executor) or target.takes_donor,
        planned=planned,
        index=(minimal.report.sample or 0) if planned else 0,
        example=minimal.example if device == "cpu" else _on_cpu(minimal.example),
        class_table=schema,
        device=device,
        versions=dict(versions),
    )


def _on_cpu(example: Example) -> Example:
    target = example.target.to("cpu")
    source = target if example.source is example.target else example.source.to("cpu")
    return replace(example, target=target, source=source, plan=example.plan.to("cpu"))


def _made(folder: Path) -> Path:
    """The folder, which version control is told to leave alone."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_whole(ignore, "*\n")
    return folder


def _laws() -> list[str]:
    return [*RUNNER_LAWS, *LAWS]


def _no_law(name: str) -> str:
    last = name.rpartition(".")[2]
    close = [other for other in _laws() if other.rpartition(".")[2] == last]
    hint = f"; is it {close[0]} now?" if close else "; `segpaste laws` lists them"
    return f"there is no law {name}{hint}"


def _listed(paths: list[Path]) -> str:
    names = [path.stem for path in paths]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


@cache
def _say_once(line: str) -> None:
    print(f"segpaste: {line}", file=sys.stderr)

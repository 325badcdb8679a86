"""Check the frozen seeds, or rewrite them for a stated reason.

    python scripts/regenerate_goldens.py                          # --check, with the reference
    python scripts/regenerate_goldens.py --executor rectangle     # another executor
    python scripts/regenerate_goldens.py --update --reason "..."  # the bits change, and this is why
    python scripts/regenerate_goldens.py --recover                # finish an interrupted update

A mismatch is named by set, dtype, seed, field and pixel, and drawn into ``goldens-report/``.
Exit codes: 0 all is as frozen, 1 a mismatch, 2 wrong usage, 3 the frozen files are not
whole or were changed by something else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from frozen_update import UpdateError, finish, locked, write_state
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, frozen_cases, is_even
from segpaste.goldens.check import Mismatch, check_executor, report
from segpaste.goldens.digests import FrozenFileError, given_digests, line_of, outcome_digests
from segpaste.goldens.facts import FACT_SEEDS, facts_of
from segpaste.goldens.pictures import write_pictures
from segpaste.goldens.runners import built_in
from segpaste.goldens.store import FACTS, FOLDER, TENSORS, FrozenStore, digests_file
from segpaste.goldens.tensors import Packer

WITNESS = "rectangle"
"""An update is refused where this executor does not agree with the reference."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the frozen digests (default).")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Rewrite the frozen files; needs --reason.")
    ] = False,
    recover: Annotated[bool, typer.Option("--recover", help="Finish an interrupted update.")] = False,
    reason: Annotated[str, typer.Option(help="Why the bits change; goes into the ledger.")] = "",
    executor: Annotated[
        str, typer.Option(help="reference, rectangle, graph, compiled or fused.")
    ] = "reference",
    device: Annotated[str, typer.Option(help="Where the executor runs.")] = "cpu",
    kinds: Annotated[str, typer.Option(help="Modality sets, separated by commas.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0-19 or 3,7.")] = "",
    folder: Annotated[Path, typer.Option(help="The frozen files.")] = FOLDER,
    pictures: Annotated[Path, typer.Option(help="Where pictures of mismatches go.")] = Path("goldens-report"),
) -> None:
    """Check the frozen seeds (default), rewrite them for a reason, or finish an interrupted rewrite."""
    if check + update + recover > 1:
        raise _usage("got several of --check, --update and --recover, expected one")
    chosen_kinds, chosen_seeds, chosen_device = _kinds(kinds), _seeds(seeds), _device(device)
    out, err = Console(soft_wrap=True, highlight=False), Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        if recover:
            with locked(folder):
                done = finish(folder)
            out.print("finished the interrupted update" if done else "nothing to finish")
        if update:
            if not reason.strip():
                raise _usage('--reason: got nothing, expected why the bits change: --reason "..."')
            if folder.resolve() == FOLDER.resolve() and (kinds or seeds):
                raise _usage("--kinds, --seeds: got some, expected none: the package's files hold all cases")
            _update(folder, chosen_kinds, chosen_seeds, reason, out)
            return
    except UpdateError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(3) from None
    status = _check(
        FrozenStore(folder), chosen_kinds, chosen_seeds, executor, chosen_device, pictures, out, err
    )
    raise typer.Exit(status)


def _check(
    store: FrozenStore,
    kinds: tuple[str, ...],
    seeds: list[int] | None,
    executor: str,
    device: str,
    pictures: Path,
    out: Console,
    err: Console,
) -> int:
    trouble = store.trouble()
    if trouble is not None:
        err.print(trouble, markup=False)
        return 3
    start = time.perf_counter()
    found: list[Mismatch] = []
    cases = 0
    try:
        with _progress(err, len(kinds) * len(DTYPES)) as step:
            for kind in kinds:
                for dtype in DTYPES:
                    step(f"{executor}: {kind} {dtype}")
                    # A set that is not named on the command line is checked where it is frozen.
                    asked = sorted(store.digests(kind, dtype)) if seeds is None else seeds
                    asked = [s for s in asked if is_even(s)] if executor == "compiled" else asked
                    cases += len(asked)
                    found += check_executor(
                        executor, kinds=[kind], dtypes=[dtype], seeds=asked, device=device, store=store
                    )
    except FrozenFileError as error:
        err.print(str(error), markup=False)
        return 3
    except ValueError as error:
        err.print(str(error), markup=False)
        return 2
    seconds = time.perf_counter() - start
    everything = len(KINDS) * len(DTYPES) * len(SEEDS)
    whole = kinds == KINDS and seeds is None and executor != "compiled"
    if whole and store.folder.resolve() == FOLDER.resolve() and cases != everything:
        err.print(f"{store.folder}: got {cases} frozen cases, expected {everything}", markup=False)
        return 3
    if found or not cases:
        err.print(report(found, write_pictures(found, pictures)) if cases else "got no cases", markup=False)
        return 1
    out.print(
        f"{executor}: {cases} frozen cases, every bit as it was ({seconds:.0f} s); "
        f"digest {store.digest()[:16]}, of the ledger's entry {len(store.ledger())}",
        markup=False,
    )
    return 0


def _update(folder: Path, kinds: tuple[str, ...], seeds: list[int] | None, reason: str, out: Console) -> None:
    with locked(folder):
        with _progress(Console(stderr=True), len(kinds) * len(DTYPES)) as step:
            files = new_files(kinds, list(SEEDS) if seeds is None else seeds, step)
        entry = write_state(folder, files, reason)
    changed = ", ".join(f"{field} in {n}" for field, n in entry["changed_fields"].items()) or "none"
    out.print(
        f"{entry['cases']} cases frozen, {entry['new_cases']} new, {entry['lost_cases']} gone, "
        f"{entry['changed_cases']} changed; fields that changed: {changed}; digest {entry['new'][:16]}",
        markup=False,
    )


def new_files(kinds: tuple[str, ...], seeds: list[int], step: Any) -> dict[str, bytes]:
    """The frozen files of today's code, by their place in the folder.

    Raises:
        UpdateError: where reference and rectangle executor do not agree.
    """
    files: dict[str, bytes] = {}
    facts: list[str] = []
    kept = Packer()
    reference, witness = built_in("reference"), built_in(WITNESS)
    for kind in kinds:
        for dtype in DTYPES:
            step(f"{kind} {dtype}")
            cases = list(frozen_cases([kind], [dtype], seeds))
            lines: list[str] = []
            for one, outcome, other in zip(cases, reference(cases), witness(cases), strict=True):
                digests = outcome_digests(outcome)
                if digests != outcome_digests(other):
                    raise UpdateError(
                        f"{one}: reference and {WITNESS} executor disagree, expected one truth to freeze: "
                        "run make test first"
                    )
                lines.append(line_of(one, given_digests(one) | digests))
                kept.add(one, outcome)
                if one.seed in FACT_SEEDS and dtype == "uint8":
                    facts += facts_of(one, outcome)
            files[digests_file(kind, dtype)] = ("\n".join(lines) + "\n").encode()
    files[FACTS] = ("\n".join(facts) + "\n").encode()
    files[TENSORS] = kept.content()
    return files


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise _usage(f"--kinds: got {unknown[0]!r}, expected some of {', '.join(KINDS)}")
    return names or KINDS


def _seeds(text: str) -> list[int] | None:
    if not text:
        return None
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (0, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
        if first > last or last not in SEEDS:
            raise _usage(f"--seeds: got {part!r}, expected such as 0-19 or 3,7 of 0 to {SEEDS[-1]}")
        seeds += range(first, last + 1)
    return seeds


def _device(text: str) -> str:
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError):
        raise _usage(f"--device: got {text!r}, expected cpu, or cuda where there is such a GPU") from None
    return text


def _usage(message: str) -> typer.Exit:
    Console(stderr=True, soft_wrap=True).print(message, markup=False, highlight=False)
    return typer.Exit(2)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=total)

        def step(text: str) -> None:
            progress.update(bar, description=text, advance=1 if progress.tasks[0].description else 0)

        yield step


if __name__ == "__main__":
    torch.set_num_threads(1)  # the cases are small, and other processes want the cores
    app()

"""``segpaste replay``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segpaste.cli.app import PASSED, VIOLATED, UsageError

if TYPE_CHECKING:
    from segpaste.testing.replays import Replayed
    from segpaste.testing.stored import StoredViolation

REGRESSIONS = Path("tests", "regressions")
"""Where promoted violations go."""


def replay_one(
    id_or_file: str,
    *,
    target: str | None,
    device: str | None,
    html: Path | None,
    promote: bool,
    into: Path,
    force: bool,
) -> int:
    """Run a kept violation again and print the verdict.

    Args:
        id_or_file: a replay id, the beginning of one, or a file.
        target: what to run instead of the stored target.
        device: where; by default where it ran before.
        html: folder for a page with the picture.
        promote: whether to write it as a regression test.
        into: the folder for that.
        force: whether a test that is there already is replaced.

    Returns:
        0 if it is fixed, 1 if it is still failing.

    Raises:
        UsageError: in one line, if there is no verdict or something cannot be written.
    """
    import torch

    from segpaste.testing.replays import replay
    from segpaste.testing.stored import StoredFileError

    if device not in (None, "cpu", "cuda"):
        raise UsageError(f"--device: got {device!r}, expected 'cpu' or 'cuda'")
    torch.set_num_threads(1)
    try:
        done = replay(id_or_file, target, device=device)
    except StoredFileError as error:
        raise UsageError(str(error)) from None
    for line in lines_of(done):
        print(line)
    if done.status == "error":
        hint = "" if target is not None or done.stored.spec is not None else " (--target SPEC)"
        raise UsageError(f"error: {done.message}{hint}")
    if html is not None:
        print(f"wrote {_write_page(done, html)}")
    if promote:
        stored = done.stored if target is None else replace(done.stored, spec=target, target=done.target)
        for path in _promoted(stored, into, force=force):
            print(f"wrote {path}")
    print(done.status)
    return PASSED if done.status == "fixed" else VIOLATED


def lines_of(done: Replayed) -> list[str]:
    """The law, the input, and what the law said and says."""
    stored = done.stored
    lines = [
        f"replay {done.replay_id}: {done.law}",
        f"  law:    {stored.statement}" if stored.statement else "",
        f"  target: {done.target}",
        f"  input:  {stored.where}, seed {stored.example.seed}, kept in {done.file}",
        f"  then:   {done.was}",
        f"  now:    {done.message}" if done.status != "error" else "",
    ]
    return [line for line in lines if line]


def _write_page(done: Replayed, folder: Path) -> Path:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from segpaste.testing.files import write_whole
    from segpaste.viz import data_uri

    path = folder / "index.html"
    picture = done.picture()
    environment = Environment(
        loader=PackageLoader("segpaste.testing"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("replay.html.j2").render(
        law=done.law,
        verdict="good" if done.status == "fixed" else "bad",
        status=done.status,
        lines="\n".join(lines_of(done)),
        uri=data_uri(picture),
        width=picture.width,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)
    except OSError as error:
        raise UsageError(f"--html: cannot write {path}: {error.strerror}") from None
    return path


def _promoted(stored: StoredViolation, into: Path, *, force: bool) -> list[Path]:
    """Write the violation and a test that replays it.

    Raises:
        UsageError: if one of the files is there already, and ``force`` is not given.
    """
    from segpaste.testing.files import write_whole
    from segpaste.testing.stored import SUFFIX, write_violation

    name = re.sub(r"\W+", "_", f"{stored.law}_{stored.replay_id}")
    data, test = into / f"{name}{SUFFIX}", into / f"test_{name}.py"
    taken = [path for path in (data, test) if path.exists()]
    if taken and not force:
        raise UsageError(f"--promote: {taken[0]} is there already; --force replaces it")
    try:
        into.mkdir(parents=True, exist_ok=True)
        write_violation(data, stored)
        write_whole(test, promoted_test(stored, name))
    except OSError as error:
        raise UsageError(f"--into: cannot write to {into}: {error.strerror}") from None
    return [data, test]


def promoted_test(stored: StoredViolation, name: str) -> str:
    """The source of the test that replays ``name.safetensors`` beside it."""
    return _TEST_ON_GPU.format(name=name) if stored.device == "cuda" else _TEST.format(name=name)


_TEST = '''\
"""A violation that was found once and must not come back; the file beside this one holds the input."""

from pathlib import Path

from segpaste.testing import replay


def test_{name}() -> None:
    replay(Path(__file__).with_name("{name}.safetensors")).raise_unless_fixed()
'''

_TEST_ON_GPU = '''\
"""A violation that was found once and must not come back; the file beside this one holds the input."""

from pathlib import Path

import pytest
import torch

from segpaste.testing import replay


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it was found on a GPU, and there is none")
def test_{name}() -> None:
    replay(Path(__file__).with_name("{name}.safetensors")).raise_unless_fixed()
'''

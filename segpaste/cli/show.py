"""``segpaste show``."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segpaste.cli.app import PASSED, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from segpaste.testing.stored import StoredViolation
    from segpaste.types import DenseSample

Protocol = Literal["iterm", "kitty"]

_CHUNK = 4096  # the longest piece that kitty's protocol allows


def show(file: str, *, out: Path | None, index: int | None, inline: bool | None) -> int:
    """Draw a stored sample or violation into a PNG file, and into the terminal where it can.

    Args:
        file: the file, or a replay id.
        out: the PNG; beside the file by default.
        index: which sample of a batch; the offending one by default.
        inline: whether to show it in the terminal too; by default if standard output is a
            terminal known to be able to.

    Raises:
        UsageError: in one line, if there is no such file or it cannot be drawn.
    """
    from segpaste.testing.files import write_whole
    from segpaste.testing.replays import find
    from segpaste.testing.stored import StoredFileError, StoredViolation, read
    from segpaste.viz import png_bytes

    try:
        path = find(file)
        content = read(path)
    except StoredFileError as error:
        raise UsageError(str(error)) from None
    if isinstance(content, StoredViolation):
        picture = _violation(content, index)
    elif index not in (None, 0):
        raise UsageError(f"--index: got {index}, but {path} holds one sample, expected 0")
    else:
        picture = _sample(path, content)
    out = path.with_name(f"{path.name}.png") if out is None else out
    png = png_bytes(picture)
    try:
        write_whole(out, png)
    except OSError as error:
        raise UsageError(f"--out: cannot write {out}: {error.strerror}") from None
    protocol = terminal_protocol(os.environ)
    if inline or (inline is None and protocol is not None and sys.stdout.isatty()):
        # A terminal that understands neither is silent about iTerm2's, and prints kitty's.
        sys.stdout.writelines(escape_codes(png, protocol or "iterm"))
        sys.stdout.write("\n")
    print(f"wrote {out}")
    return PASSED


def terminal_protocol(environment: Mapping[str, str]) -> Protocol | None:
    """How the terminal is told to show a picture; None if it is not known to be able to."""
    program = environment.get("TERM_PROGRAM", "")
    if environment.get("TERM", "").startswith(("screen", "tmux")) or program == "tmux":
        return None  # a multiplexer between us swallows the codes
    if program in ("iTerm.app", "WezTerm"):
        return "iterm"
    if "KITTY_WINDOW_ID" in environment or program == "ghostty":
        return "kitty"
    return "kitty" if environment.get("TERM") in ("xterm-kitty", "xterm-ghostty") else None


def escape_codes(png: bytes, protocol: Protocol) -> Iterator[str]:
    """The codes that show a PNG where the cursor is: iTerm2's OSC 1337, or kitty's graphics."""
    text = base64.standard_b64encode(png).decode("ascii")
    if protocol == "iterm":
        yield f"\x1b]1337;File=inline=1;size={len(png)};preserveAspectRatio=1:{text}\x07"
        return
    for start in range(0, len(text), _CHUNK):
        more = int(start + _CHUNK < len(text))
        keys = f"a=T,f=100,m={more}" if start == 0 else f"m={more}"
        yield f"\x1b_G{keys};{text[start : start + _CHUNK]}\x1b\\"


def _sample(path: Path, sample: DenseSample) -> Image.Image:
    from segpaste.viz import draw_samples

    return draw_samples({path.name: sample})


def _violation(stored: StoredViolation, index: int | None) -> Image.Image:
    from segpaste.testing.stored import shown_pair
    from segpaste.viz import draw_samples

    batch = stored.example.target.batch_size
    if index is not None and not 0 <= index < max(1, batch):
        raise UsageError(f"--index: got {index}, expected 0 to {max(1, batch) - 1}")
    chosen = stored.index if index is None else index
    before, donor = shown_pair(stored.example, chosen)
    of = f" (sample {chosen} of {batch})" if batch > 1 else ""
    samples = {f"target{of}": before, "donor": donor} if stored.takes_donor else {"sample": before}
    caption = "\n".join(
        [
            f"{stored.replay_id}: {stored.message}",
            f"{stored.target}, {stored.where}, seed {stored.example.seed}",
        ]
    )
    return draw_samples(samples, caption=caption, ignore_index=stored.ignore_index)

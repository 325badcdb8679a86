"""``segpaste bank show``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from segpaste.cli.app import PASSED, UsageError
from segpaste.cli.bank_classes import class_ids, name_of, opened
from segpaste.cli.checks import at_least_one, picture_to_write, whole_seed

if TYPE_CHECKING:
    from segpaste.bank.meta import BankHead
    from segpaste.bank.protocol import BankCrop
    from segpaste.bank.stored_bank import StoredBank
    from segpaste.viz import CropTile

_MOST_TILES = 2000


@dataclass(frozen=True)
class ShowRequest:
    """The command line of ``bank show``, as given."""

    bank: Path
    out: Path
    indices: str | None = None
    classes: tuple[str, ...] = ()
    seed: int = 0
    count: int = 64
    columns: int | None = None
    depth: bool = False


def show_crops(request: ShowRequest) -> int:
    """Draw a contact sheet into a PNG file.

    Raises:
        UsageError: in one line, if an option is out of range, or the picture cannot be written.
    """
    if request.indices is not None and request.classes:
        raise UsageError("--indices: got some beside --class, expected one of the two")
    at_least_one("--columns", request.columns)
    if not 1 <= request.count <= _MOST_TILES:
        raise UsageError(f"--count: got {request.count}, expected 1 to {_MOST_TILES}")
    whole_seed("--seed", request.seed)
    picture_to_write("--out", request.out)
    bank = opened(request.bank)
    if request.depth and not (bank.head.has_depth or bank.head.has_normals):
        raise UsageError(f"--depth: got it for {request.bank}, whose crops carry neither depth nor normals")
    chosen = _chosen(bank, request)
    what = f"{len(chosen):,} of {len(bank):,} crops"
    write_sheet(bank, chosen, request.out, request.columns, what, depth=request.depth)
    return PASSED


def write_sheet(
    bank: StoredBank,
    chosen: Sequence[int],
    out: Path,
    columns: int | None,
    what: str,
    *,
    depth: bool,
    said_on: TextIO | None = None,
) -> None:
    """Draw crops, in this order, into a PNG file, and say so.

    Args:
        bank: the bank.
        chosen: numbers of crops.
        out: the file.
        columns: crops to a row, or None.
        what: which crops these are, for the title.
        depth: whether depth and normals are drawn.
        said_on: where the line goes; standard output by default.

    Raises:
        UsageError: naming a damaged crop, or what keeps the file from being written.
    """
    from segpaste.bank.errors import BankError
    from segpaste.testing.files import write_whole
    from segpaste.viz import draw_contact_sheet, png_bytes

    picture_to_write("--out", out)
    try:
        tiles = [_tile(bank.head, n, bank[n], depth=depth) for n in chosen]
    except BankError as error:
        raise UsageError(f"BANK: {error}") from None
    h, w = bank.crop_size
    sheet = draw_contact_sheet(
        tiles, title=f"{bank.path.name}: {what} of {h} x {w}, {bank.version}", columns=columns
    )
    try:
        write_whole(out, png_bytes(sheet))
    except OSError as error:
        raise UsageError(f"--out: cannot write {out}: {error.strerror}") from None
    print(f"wrote {out} ({len(tiles)} crops, {sheet.width} x {sheet.height} pixels)", file=said_on)


def _chosen(bank: StoredBank, request: ShowRequest) -> list[int]:
    """The numbers of the crops to draw."""
    import numpy as np
    import torch

    if request.indices is not None:
        return _parsed(request.indices, len(bank))
    if len(bank) == 0:
        raise UsageError(f"BANK: {request.bank} has no crops to draw")
    ids = np.asarray(bank.crop_class_ids)
    pool = np.arange(len(bank))
    if request.classes:
        wanted = class_ids(bank.head, bank.class_frequencies.tolist(), "--class", request.classes)
        pool = np.flatnonzero(np.isin(ids, wanted))
    generator = torch.Generator().manual_seed(request.seed)
    drawn = pool[torch.randperm(len(pool), generator=generator)[: request.count].numpy()]
    return sorted(drawn.tolist(), key=lambda n: (int(ids[n]), n))


def _parsed(text: str, length: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdecimal()) or len(part) > 18 or int(part) >= length:
            raise UsageError(
                f"--indices: got {part!r}, expected numbers of crops, 0 to {length - 1}, and commas"
            )
    if len(parts) > _MOST_TILES:
        raise UsageError(f"--indices: got {len(parts)}, expected at most {_MOST_TILES}")
    return [int(part) for part in parts]


def _tile(head: BankHead, number: int, crop: BankCrop, *, depth: bool) -> CropTile:
    from segpaste.viz import CropTile

    said = crop.provenance
    origin = [said.dataset] if len(head.datasets) > 1 and said.dataset else []
    origin += [f"image {said.image_id}"] if said.image_id >= 0 else []
    origin += [f"annotation {said.annotation_id}"] if said.annotation_id >= 0 else []
    notes = [f"crop {number}, {int(crop.alpha.sum()):,} px", ", ".join(origin)]
    if said.model is not None:
        notes.append(said.model if said.score is None else f"{said.model}, score {said.score:.2f}")
    return CropTile(
        crop.image,
        crop.alpha,
        crop.class_id,
        name_of(head, crop.class_id),
        tuple(note for note in notes if note),
        depth=crop.depth if depth else None,
        depth_valid=crop.depth_valid if depth else None,
        normals=crop.normals if depth else None,
    )

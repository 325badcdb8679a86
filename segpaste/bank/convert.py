"""The same bank in another backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from segpaste.bank.layout import Chunk
from segpaste.bank.meta import BackendName, BankMeta
from segpaste.bank.open import backend_class, open_bank
from segpaste.bank.stored_bank import StoredBank
from segpaste.bank.write import check_new, write_bank


def convert_bank(
    source: StoredBank | str | Path,
    path: str | Path,
    backend: BackendName,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> BankMeta:
    """Write a bank once more, in ``backend``; every crop is verified on the way.

    Content and what follows the ``@`` of the version stay. Converted back, every file is the
    same again, bit for bit.

    Args:
        source: a bank, or its path.
        path: where the new one shall be; must not exist.
        backend: ``"memmap"``, ``"lmdb"`` or ``"webdataset"``.
        progress: called with the crops that are written and their number in all, every few.

    Raises:
        BankError: if ``source`` is damaged, or as :func:`~segpaste.bank.write.write_bank` does.
    """
    backend_class(backend)  # both are said before a bank is read that may be damaged
    check_new(path)
    bank = source if isinstance(source, StoredBank) else open_bank(source)
    return write_bank(
        path,
        bank.head,
        _told(bank, progress),
        backend=backend,
        count=len(bank),
        built_from=bank.meta.built_from,
    )


def _told(bank: StoredBank, progress: Callable[[int, int], None] | None) -> Iterator[Chunk]:
    """The bank's chunks; tells what was taken."""
    written = 0
    for chunk in bank.chunks():
        yield chunk
        written += len(chunk.index)
        if progress is not None:
            progress(written, len(bank))

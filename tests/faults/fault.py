"""What a fault is, and how one breaks the correct path in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from segpaste.paste import apply_reference, reference
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
)

Pasted = tuple[PaddedBatchedDenseSample, BatchAuditPacket]
Paste = Callable[
    [PaddedBatchedDenseSample, PaddedBatchedDenseSample, PastePlan, BatchCopyPasteConfig], Pasted
]


@dataclass(frozen=True)
class Fault:
    """One mistake in an otherwise correct paste.

    Attributes:
        name: the name of the function.
        mistake: what is wrong, in one line.
        seen: the clause of the specification that it breaks, or the library it was seen in.
        laws: the laws that must catch it; empty while that is left open.
        needs: what samples must carry for the mistake to be possible.
        paste: the broken paste.
    """

    name: str
    mistake: str
    seen: str
    laws: tuple[str, ...]
    needs: frozenset[Modality]
    paste: Paste


def fault(seen: str, *, laws: Iterable[str] = (), needs: Iterable[Modality] = ()) -> Callable[[Paste], Fault]:
    """Makes a :class:`Fault` of a function, whose docstring says what is wrong with it."""

    def made(paste: Paste) -> Fault:
        mistake = " ".join((paste.__doc__ or "").split()).rstrip(".")
        if not mistake:
            raise ValueError(f"{paste.__name__}: got no docstring, expected what is wrong with it")
        return Fault(paste.__name__, mistake, seen, tuple(laws), frozenset(needs), paste)

    return made


def paste_with(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    plan: PastePlan,
    config: BatchCopyPasteConfig,
    **steps: Any,
) -> Pasted:
    """The reference paste, some of its steps replaced by others."""
    with steps_replaced(**steps):
        return apply_reference(target, source, plan, config)


def steps_replaced(**steps: Any) -> AbstractContextManager[Any]:
    """While it holds, these functions of the reference are others."""
    return patch.multiple(reference, **steps)

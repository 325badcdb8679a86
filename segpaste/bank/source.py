"""What a bank is built from: shards of work that do not know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from segpaste.bank.meta import BankHead
from segpaste.bank.protocol import BankCrop


class CropShard(Protocol):
    """A part of a source: the same crops every time, in this process or another. Can be pickled."""

    def crops(self) -> tuple[Sequence[BankCrop], dict[str, int]]:
        """The crops in order, and what was left out: reason -> number.

        Raises:
            ValueError: naming the file and the entry that are not as they should be.
        """
        ...

    def inputs(self) -> str:
        """A digest of the contents of the files that :meth:`crops` reads, which differs if any byte does.

        Never raises: a file that cannot be read is noted as such. Empty where
        :meth:`CropSource.built_from` says it all.
        """
        ...


class CropSource(Protocol):
    """Where crops come from, split into shards without regard to who works on them."""

    def head(self) -> BankHead:
        """What is common to all crops."""
        ...

    def shards(self) -> Sequence[CropShard]:
        """The work; the crops of a bank are those of its shards, one shard after the other."""
        ...

    def most_crops(self) -> int:
        """How many crops there are at most; decides how much space is asked for."""
        ...

    def built_from(self) -> dict[str, Any]:
        """What decides the crops, as JSON: digests, and parameters; no paths and no times.

        An interrupted build goes on only where it is the same. With the shards' digests it decides
        every byte.
        """
        ...

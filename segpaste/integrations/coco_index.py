"""The entries of a COCO file, packed: one block of bytes that processes share."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from segpaste.types.numbers import whole_number


class PackedEntries:
    """A list of entries that is never changed, pickled one by one into one tensor.

    Millions of small Python objects take several times as much memory, and a forked worker copies
    their pages when it merely looks at them. One tensor is shared with forked workers as it is, and
    with spawned ones because torch hands tensors between processes in shared memory.
    """

    def __init__(self, entries: Iterable[Any]) -> None:
        content = bytearray()
        ends: list[int] = []
        for entry in entries:
            content += pickle.dumps(entry, protocol=pickle.HIGHEST_PROTOCOL)
            ends.append(len(content))
        self._content = torch.from_numpy(np.frombuffer(content, np.uint8))
        self._ends = torch.from_numpy(np.array([0, *ends], np.int64))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Any:
        """One entry, made anew; negative indices count from the end.

        Raises:
            IndexError: if there is none.
        """
        number = whole_number("index", index)
        place = number + len(self) if number < 0 else number
        if not 0 <= place < len(self):
            raise IndexError(f"index: got {number}, expected less than the {len(self)} images")
        start, end = self._ends[place : place + 2].tolist()
        return pickle.loads(self._content[start:end].numpy().data)  # what was pickled above

    @property
    def nbytes(self) -> int:
        """How much memory they take."""
        return self._content.nbytes + self._ends.nbytes

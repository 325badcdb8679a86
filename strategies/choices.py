"""Bounded integers out of a string of bytes, simplest first.

Hypothesis draws, mutates and shrinks a string of bytes in one step, for the price of a
single integer; Philox writes one as cheaply. So scenes, configurations and plans are
written down once, as a reading of bytes, and both can drive them. A string that shrinks
towards zero bytes makes every choice shrink towards its low end, the more surely the
less what is read depends on what was read before: readers ask for the same bytes
whether or not they will need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from segpaste.paste.rng import random_words

T = TypeVar("T")


class Choices:
    """Reads choices from ``data``, front to back; past its end everything is simplest."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @classmethod
    def from_seed(cls, seed: int, stream: int, size: int) -> Choices:
        """Choices of ``size`` Philox bytes; streams of one seed are independent."""
        words = random_words(seed, stream, (size + 3) // 4)
        return cls(words.astype("<u4").tobytes()[:size])

    def integer(self, low: int, high: int) -> int:
        """An integer in ``[low, high]``, ``low`` simplest; at most 2**64 values."""
        span = high - low + 1
        size = 1 if span <= 2**6 else 2 if span <= 2**12 else 4 if span <= 2**32 else 8
        chunk = self._data[self._at : self._at + size]
        self._at += size
        word = int.from_bytes(chunk, "big") if len(chunk) == size else 0
        # Modulo rather than scaled: a small word is the same choice whatever the bounds,
        # so a canvas can shrink around a shape. The bias is at most 1 in 4.
        return low + word % span

    def one_in(self, n: int) -> bool:
        """True once in ``n``; false is simpler."""
        return self.integer(0, n - 1) == n - 1

    def of(self, options: Sequence[T]) -> T:
        """One of ``options``, the first simplest; repeat one to make it more frequent."""
        return options[self.integer(0, len(options) - 1)]

    def permutation(self, n: int) -> tuple[int, ...]:
        """A permutation of ``range(n)``; the identity is simplest."""
        rest = list(range(n))
        return tuple(rest.pop(self.integer(0, len(rest) - 1)) for _ in range(n))

    @property
    def bytes_read(self) -> int:
        """How much has been asked for, whether or not it was there."""
        return self._at

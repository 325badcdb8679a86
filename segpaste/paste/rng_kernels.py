"""Philox as a compiled loop, for the CPU: the same words as ``rng.philox4x32``."""

from __future__ import annotations

import numpy as np

from segpaste.paste.jit import compiled


@compiled(inline=True)
def block(key, c0, c1, c2, c3):
    """The four words of one block, for other loops.

    Args:
        key: 64 bits, uint64.
        c0: counter word in ``[0, 2**32)``, uint64.
        c1: likewise.
        c2: likewise.
        c3: likewise.

    Returns:
        Four words, uint64.
    """
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    k0, k1 = key & mask, key >> half
    for _ in range(10):
        p0 = c0 * np.uint64(0xD2511F53)
        p1 = c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (p1 >> half) ^ c1 ^ k0, p1 & mask
        c2, c3 = (p0 >> half) ^ c3 ^ k1, p0 & mask
        k0 = (k0 + np.uint64(0x9E3779B9)) & mask
        k1 = (k1 + np.uint64(0xBB67AE85)) & mask
    return c0, c1, c2, c3


@compiled
def fill_words(keys, counters, words):
    """One block per key and counter.

    Args:
        keys: ``[n]`` int64, 64-bit keys in two's complement.
        counters: ``[n, 4]`` int64, counter words in ``[0, 2**32)``.
        words: ``[n, 4]`` int64, written.
    """
    for i in range(keys.size):
        c0, c1 = np.uint64(counters[i, 0]), np.uint64(counters[i, 1])
        c2, c3 = np.uint64(counters[i, 2]), np.uint64(counters[i, 3])
        c0, c1, c2, c3 = block(np.uint64(keys[i]), c0, c1, c2, c3)
        words[i, 0], words[i, 1] = np.int64(c0), np.int64(c1)
        words[i, 2], words[i, 3] = np.int64(c2), np.int64(c3)

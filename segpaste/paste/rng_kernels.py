"""Philox as a compiled loop, for the CPU: the same words as ``rng.philox4x32``."""

from __future__ import annotations

import numpy as np

from segpaste.paste.jit import compiled


@compiled
def fill_words(keys, counters, words):
    """One block per key and counter.

    Args:
        keys: ``[n]`` int64, 64-bit keys in two's complement.
        counters: ``[n, 4]`` int64, counter words in ``[0, 2**32)``.
        words: ``[n, 4]`` int64, written.
    """
    mask = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    for i in range(keys.size):
        key = np.uint64(keys[i])
        k0, k1 = key & mask, key >> half
        c0, c1 = np.uint64(counters[i, 0]), np.uint64(counters[i, 1])
        c2, c3 = np.uint64(counters[i, 2]), np.uint64(counters[i, 3])
        for _ in range(10):
            p0 = c0 * np.uint64(0xD2511F53)
            p1 = c2 * np.uint64(0xCD9E8D57)
            c0, c1 = (p1 >> half) ^ c1 ^ k0, p1 & mask
            c2, c3 = (p0 >> half) ^ c3 ^ k1, p0 & mask
            k0 = (k0 + np.uint64(0x9E3779B9)) & mask
            k1 = (k1 + np.uint64(0xBB67AE85)) & mask
        words[i, 0], words[i, 1] = np.int64(c0), np.int64(c1)
        words[i, 2], words[i, 3] = np.int64(c2), np.int64(c3)

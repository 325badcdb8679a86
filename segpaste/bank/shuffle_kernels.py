"""A random permutation at some positions as a compiled loop."""

from __future__ import annotations

import numpy as np

from segpaste.paste.jit import compiled
from segpaste.paste.rng_kernels import block


@compiled
def swap_or_not(places, length, key, pivots, purpose):
    """Where each place goes.

    Args:
        places: ``[n]`` int64, each in ``[0, length)``, overwritten.
        length: of what is permuted.
        key: 64 bits in two's complement.
        pivots: ``[turns]`` int64, each in ``[0, length)``.
        purpose: last counter word of the blocks.
    """
    mask = np.uint64(0xFFFFFFFF)
    for i in range(places.size):
        place = places[i]
        for turn in range(pivots.size):
            pair = pivots[turn] - place
            if pair < 0:
                pair += length
            name = np.uint64(max(place, pair))
            coin = block(np.uint64(key), name & mask, name >> np.uint64(32), np.uint64(turn), purpose)[0]
            if coin & np.uint64(1):
                place = pair
        places[i] = place

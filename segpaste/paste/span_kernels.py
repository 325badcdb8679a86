"""The loop that finds where masks lie, compiled by Numba."""

from __future__ import annotations

import numpy as np

from segpaste.paste.jit import compiled


@compiled
def fill_spans(masks, wanted, spans, begin, end):
    """``spans[b, k] = (y0, x0, y1, x1)`` for the samples ``begin <= b < end``.

    Args:
        masks: ``[B, K, H, W]`` uint8 of 0 and 1, contiguous; or the same memory as uint64,
            ``[B, K, H, W / 8]``, which is read several times as fast.
        wanted: ``[B, K]`` uint8; the other masks are not read.
        spans: ``[B, K, 4]`` int64; zeros are written for masks that are empty or not wanted.
        begin: first sample.
        end: one past the last.
    """
    height, width = np.uint64(masks.shape[2]), np.uint64(masks.shape[3])
    columns = np.zeros(masks.shape[3], dtype=masks.dtype)
    flags = columns.view(np.uint8)
    rows = np.zeros(masks.shape[2], dtype=np.uint8)
    # Four places of a mask are read by turns: memory answers several requests at a time.
    places = np.uint64(4)
    stride = (height + places - np.uint64(1)) // places
    for b in range(begin, end):
        for k in range(masks.shape[1]):
            spans[b, k, :] = 0
            if not wanted[b, k]:
                continue
            columns[:] = 0
            occupied = False
            for step in range(stride):
                for place in range(places):
                    y = step + place * stride
                    if y >= height:
                        continue
                    some = np.uint64(0)
                    for x in range(width):
                        some |= np.uint64(masks[b, k, y, x])
                    rows[y] = some != 0
                    if some:
                        occupied = True
                        for x in range(width):
                            columns[x] |= masks[b, k, y, x]
            if occupied:
                spans[b, k, 0], spans[b, k, 2] = stretch_of(rows)
                spans[b, k, 1], spans[b, k, 3] = stretch_of(flags)


@compiled
def stretch_of(marks):
    """First marked position and one past the last; at least one is marked."""
    low, high = 0, marks.size
    while not marks[low]:
        low += 1
    while not marks[high - 1]:
        high -= 1
    return low, high

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
    height, width = masks.shape[2], masks.shape[3]
    columns = np.zeros(width, dtype=masks.dtype)
    flags = columns.view(np.uint8)
    for b in range(begin, end):
        for k in range(masks.shape[1]):
            spans[b, k, :] = 0
            if not wanted[b, k]:
                continue
            columns[:] = 0
            top, bottom = -1, 0
            for y in range(height):
                row = masks[b, k, y]
                some = np.uint64(0)
                for x in range(width):
                    some |= np.uint64(row[x])
                if some:
                    if top < 0:
                        top = y
                    bottom = y + 1
                    for x in range(width):
                        columns[x] |= row[x]
            if top >= 0:
                left, right = 0, flags.size
                while not flags[left]:
                    left += 1
                while not flags[right - 1]:
                    right -= 1
                spans[b, k, 0], spans[b, k, 1] = top, left
                spans[b, k, 2], spans[b, k, 3] = bottom, right

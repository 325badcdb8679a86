"""Run lengths and panoptic PNGs as compiled loops."""

from __future__ import annotations

import numpy as np

from segpaste.paste.jit import compiled


@compiled
def fill_runs(runs, mask, box):
    """Set the pixels of every second run, the first being unset; return how many.

    Args:
        runs: ``[R]`` int64, column by column; 0 or more, they add up to H x W.
        mask: ``[H, W]`` uint8 of zeros.
        box: ``[4]`` int64; becomes ``(x0, y0, x1, y1)``, half open, where a pixel is set.
    """
    height = mask.shape[0]
    position = area = 0
    left, top, right, bottom = mask.shape[1], height, 0, 0
    for place in range(runs.size):
        run = runs[place]
        if place % 2 == 1 and run > 0:
            area += run
            x, y = position // height, position % height
            left = min(left, x)
            remaining = run
            while remaining > 0:
                until = min(height, y + remaining)
                top, bottom = min(top, y), max(bottom, until)
                for line in range(y, until):
                    mask[line, x] = 1
                remaining -= until - y
                x, y = x + 1, 0
            right = max(right, x)
        position += run
    if area:
        box[0], box[1], box[2], box[3] = left, top, right, bottom
    return area


@compiled
def read_compressed(counts, runs):
    """Run lengths of COCO's compressed string into ``runs``; return how many, or -1.

    -1 says that the string is not as usual: :func:`segpaste.integrations.rle.mask_of` then
    finds out what it is.

    Args:
        counts: ``[C]`` uint8, the characters.
        runs: ``[C]`` int64, written.
    """
    found = 0
    value = np.int64(0)
    shift = np.int64(0)
    for place in range(counts.size):
        bits = np.int64(counts[place]) - 48
        if bits < 0 or bits > 63 or shift > 45:
            return -1
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= np.int64(1) << shift
        if found > 2:
            value += runs[found - 2]
        runs[found] = value
        found += 1
        value = np.int64(0)
        shift = np.int64(0)
    return -1 if shift else found


@compiled
def fill_segments(rgb, ids, classes, rows, semantic, panoptic, masks, areas, boxes):
    """Look every pixel of a panoptic PNG up; return the first id that is not listed, or -1.

    Args:
        rgb: ``[H, W, 3]`` uint8; the id is r + 256 g + 65536 b.
        ids: ``[S]`` int64, ascending.
        classes: ``[S]`` int64, what the semantic map says.
        rows: ``[S]`` int64, what the panoptic map says: the row's number from 1, or 0.
        semantic: ``[H, W]`` int64, written.
        panoptic: ``[H, W]`` int64, written.
        masks: ``[N, H, W]`` uint8 of zeros.
        areas: ``[S]`` int64 of zeros; becomes the pixels of each segment.
        boxes: ``[S, 4]`` int64; becomes ``(x0, y0, x1, y1)``, half open.
    """
    boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3] = rgb.shape[1], rgb.shape[0], 0, 0
    place, last = 0, ids[0]
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            found = np.int64(rgb[y, x, 0]) + 256 * np.int64(rgb[y, x, 1]) + 65536 * np.int64(rgb[y, x, 2])
            if found != last:
                place = np.searchsorted(ids, found)
                if place == ids.size or ids[place] != found:
                    return found
                last = found
            semantic[y, x] = classes[place]
            row = rows[place]
            panoptic[y, x] = row
            if row:
                masks[row - 1, y, x] = 1
            areas[place] += 1
            boxes[place, 0] = min(boxes[place, 0], x)
            boxes[place, 1] = min(boxes[place, 1], y)
            boxes[place, 2] = max(boxes[place, 2], x + 1)
            boxes[place, 3] = max(boxes[place, 3], y + 1)
    return -1

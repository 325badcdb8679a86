"""The loop that looks for labels without a class, compiled by Numba."""

from __future__ import annotations

from segpaste.paste.jit import compiled


@compiled
def first_unknown(labels, known):
    """Where the first label stands that is not known, -1 if all are.

    Args:
        labels: ``[n]`` int64.
        known: ``[L]`` uint8, 1 for the labels below L that are known; no others are.
    """
    for i in range(labels.size):
        label = labels[i]
        if i > 0 and label == labels[i - 1]:
            continue
        if label < 0 or label >= known.size or not known[label]:
            return i
    return -1

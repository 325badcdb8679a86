"""Running an augmentation on the provenance image: where did every pixel of its output come from?"""

from __future__ import annotations

from collections.abc import Callable

from segpaste.invariants import Trace, provenance_pairs, read_trace
from segpaste.testing.targets import TargetFailedError
from segpaste.types import DenseSample

Rerun = Callable[[DenseSample, DenseSample], DenseSample]


def traced(rerun: Rerun, target: DenseSample, donor: DenseSample, after: DenseSample) -> Trace | str:
    """Where every pixel of ``after`` came from, or why that cannot be said.

    Args:
        rerun: runs the augmentation on another target and donor with the seed that made
            ``after``.
        target: what it was given.
        donor: what it was given to paste or mix in.
        after: what it made of them.
    """
    pairs = provenance_pairs(target, donor)
    if isinstance(pairs, str):
        return pairs
    try:
        first, second = (rerun(*pair) for pair in pairs)
    except TargetFailedError as failure:
        return f"on the provenance image it {failure}"
    return read_trace(first, second, target, donor, after)

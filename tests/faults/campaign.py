"""Which laws catch which fault, on the examples that ``segpaste verify`` draws.

The examples are drawn once and every fault is judged on the same ones, without shrinking.
"""

from __future__ import annotations

from collections.abc import Iterator

from segpaste.testing.check import DEFAULT_EXAMPLES
from segpaste.testing.examples import Example, drawn_examples, shares, stream_seed
from segpaste.testing.search import sweep
from segpaste.types import LEGAL_MODALITY_SETS, modality_set_name


def default_examples(seed: int) -> list[Example]:
    """What a run of ``segpaste verify --seed SEED`` draws for an executor, in its order."""
    sets = sorted(LEGAL_MODALITY_SETS, key=lambda s: (-len(s), modality_set_name(s)))
    examples: list[Example] = []
    for modalities, count in zip(sets, shares(DEFAULT_EXAMPLES, sets), strict=True):
        stream = stream_seed(seed, f"drawn/{modality_set_name(modalities)}")
        sweep(drawn_examples(modalities, max_batch=3), examples.append, examples=count, seed=stream)
    return examples

"""Which laws catch which fault, on the examples that ``segpaste verify`` draws.

The examples are drawn once and every fault is judged on the same ones, without shrinking.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from segpaste.invariants import get_law
from segpaste.testing.check import DEFAULT_EXAMPLES
from segpaste.testing.examples import Example, drawn_examples, shares, stream_seed
from segpaste.testing.judge import COMPLETES, judge, law_kind, law_names
from segpaste.testing.search import sweep
from segpaste.testing.targets import Executor
from segpaste.types import LEGAL_MODALITY_SETS, Modality, modality_set_name
from tests.faults.fault import Fault

SEEDS = (0, 1, 2)
"""The seeds of the campaign: 0 is what ``segpaste verify`` uses by default."""


@cache
def default_examples(seed: int, max_batch: int) -> tuple[Example, ...]:
    """What a run of ``segpaste verify --seed SEED`` draws, in its order.

    Args:
        seed: the seed of the run.
        max_batch: 3 for an executor, 2 for a callable of two samples.
    """
    sets = sorted(LEGAL_MODALITY_SETS, key=lambda s: (-len(s), modality_set_name(s)))
    examples: list[Example] = []
    for modalities, count in zip(sets, shares(DEFAULT_EXAMPLES, sets), strict=True):
        stream = stream_seed(seed, f"drawn/{modality_set_name(modalities)}")
        sweep(drawn_examples(modalities, max_batch=max_batch), examples.append, examples=count, seed=stream)
    return tuple(examples)


def examples_for(fault: Fault, seed: int) -> tuple[Example, ...]:
    """The examples that a fault is judged on."""
    return default_examples(seed, 3 if isinstance(fault.target, Executor) else 2)


def kills(fault: Fault, seed: int, laws: Iterable[str] | None = None) -> dict[str, int]:
    """The laws that catch a fault, and the number (from 0) of the first example on which they do.

    A law is not asked again when it has caught the fault.

    Args:
        fault: the fault.
        seed: of the examples.
        laws: the laws to ask; all of them by default. ``target.completes`` always is.
    """
    asked = law_names() if laws is None else [COMPLETES, *laws]
    open_laws = dict.fromkeys(asked)
    found: dict[str, int] = {}
    for number, example in enumerate(examples_for(fault, seed)):
        present = example.target.active_modalities()
        if not fault.needs <= present:
            continue
        for law in _violated(fault, example, list(open_laws), present, all_laws=laws is None):
            found[law] = number
            del open_laws[law]
        if not set(open_laws) - {COMPLETES}:
            break
    return found


def _violated(
    fault: Fault, example: Example, laws: list[str], present: frozenset[Modality], *, all_laws: bool
) -> list[str]:
    """Those of ``laws`` that the fault violates on one example."""
    several = [law for law in laws if law_kind(law) == "metamorphic" and get_law(law).needs <= present]
    single = [law for law in laws if law_kind(law) != "metamorphic"]
    # Where many laws are asked, one judgement by all of them is cheaper than one each.
    globs = [("*", False)] if all_laws else [(law, False) for law in single]
    globs += [(law, True) for law in several]
    violated: set[str] = set()
    for only, metamorphic in globs:
        judgement = judge(fault.target, example, only=only, metamorphic=metamorphic)
        violated |= {report.name for report in judgement.violated}
    return [law for law in laws if law in violated]

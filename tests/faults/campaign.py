"""Which laws catch which fault, on the examples that ``segpaste verify`` draws.

The examples are drawn once and every fault is judged on the same ones, without shrinking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache

from segpaste.invariants import get_law
from segpaste.paste import apply_reference
from segpaste.strategies import HARD_CASES, PasteCase
from segpaste.strategies.hard_cases import case_labels, outcome_labels, sample_labels
from segpaste.testing.check import DEFAULT_EXAMPLES
from segpaste.testing.examples import Example, drawn_examples, shares, stream_seed
from segpaste.testing.judge import COMPLETES, judge, law_kind, law_names
from segpaste.testing.search import sweep
from segpaste.testing.targets import Executor
from segpaste.types import LEGAL_MODALITY_SETS, BatchedDenseSample, Modality, modality_set_name
from tests.faults.fault import Fault

SEEDS = (0, 1, 2)
"""The seeds of the campaign: 0 is what ``segpaste verify`` uses by default."""

FURTHER_SEEDS = (3, 4, 5)
"""Nothing was changed for these: what is caught on them is what a user's seed would catch."""

_FEW = 4


@cache
def default_examples(seed: int, max_batch: int = 3) -> tuple[Example, ...]:
    """What a run of ``segpaste verify --seed SEED`` draws, in its order.

    Args:
        seed: the seed of the run.
        max_batch: 3 for an executor, 2 for a callable of two samples.
    """
    sets = sorted(LEGAL_MODALITY_SETS, key=lambda s: (-len(s), modality_set_name(s)))
    examples: list[Example] = []
    for modalities, count in zip(sets, shares(DEFAULT_EXAMPLES, sets), strict=True):
        stream = stream_seed(seed, f"drawn/{modality_set_name(modalities)}")
        drawn = drawn_examples(modalities, max_batch=max_batch)
        sweep(drawn, examples.append, examples=count, seed=stream)
    return tuple(examples)


def kills(fault: Fault, seed: int, laws: Iterable[str] | None = None, *, every: int = 1) -> dict[str, int]:
    """The laws that catch a fault, and the number (from 0) of the first example on which they do.

    A law is not asked again when it has caught the fault, and nothing is drawn or judged
    any more when all have.

    Args:
        fault: the fault.
        seed: of the examples.
        laws: the laws to ask; all of them by default. ``target.completes`` always is.
        every: metamorphic laws that the fault does not name are asked on one example in
            so many; they run the target a dozen times.
    """
    laws = None if laws is None else tuple(laws)
    still_open = dict.fromkeys(law_names() if laws is None else [COMPLETES, *laws])
    found: dict[str, int] = {}
    for number, example in enumerate(default_examples(seed, 3 if isinstance(fault.target, Executor) else 2)):
        present = example.target.active_modalities()
        if not fault.needs <= present:
            continue
        asked = [law for law in still_open if law in fault.laws or number % every == 0 or not _several(law)]
        for law in _violated(fault, example, asked, present):
            found[law] = number
            del still_open[law]
        if laws is not None and not still_open.keys() & set(laws):
            break
    return found


def reach(seeds: Iterable[int] = SEEDS) -> dict[str, float]:
    """In which share of the drawn examples each hard case is met."""
    counts: Counter[str] = Counter()
    total = 0
    for example in (e for seed in seeds for e in default_examples(seed)):
        case = PasteCase(example.target, example.source, example.plan, example.config, example.seed)
        samples = BatchedDenseSample.from_padded(example.target).to_samples()
        met = {label for s in samples for label in sample_labels(s, example.config.ignore_index)}
        counts.update(met | set(case_labels(case)) | set(outcome_labels(case, apply_reference)))
        total += 1
    return {hard.name: round(counts[hard.name] / total, 4) for hard in HARD_CASES}


def _violated(fault: Fault, example: Example, laws: list[str], present: frozenset[Modality]) -> list[str]:
    """Those of ``laws`` that the fault violates on one example."""
    several = [law for law in laws if _several(law) and get_law(law).needs <= present]
    single = [law for law in laws if not _several(law)]
    # One judgement by all laws is cheaper than many by one each.
    together = len(single) > _FEW or len(several) > _FEW
    globs = [("*", len(several) > _FEW)] if together else [(law, False) for law in single]
    if len(several) <= _FEW:
        globs += [(law, True) for law in several]
    violated: set[str] = set()
    for only, metamorphic in globs:
        judgement = judge(fault.target, example, only=only, metamorphic=metamorphic)
        violated |= {report.name for report in judgement.violated}
    return [law for law in laws if law in violated]


def _several(law: str) -> bool:
    """Whether a law needs several runs of the target."""
    return law_kind(law) == "metamorphic"

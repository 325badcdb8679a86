"""How often each class is drawn: as often as the repeat factors say.

Fixed seeds, so each of these either always passes or always fails; the bounds are those that one
correct implementation in ten thousand would miss.
"""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from segpaste.bank import BankSampler

# 1,500 crops: classes from 900 crops down to one; class 6 has none.
COUNTS = {0: 900, 1: 400, 2: 120, 3: 50, 4: 20, 5: 9, 7: 1}
TOTAL = sum(COUNTS.values())
IDS = torch.tensor([c for c, count in COUNTS.items() for _ in range(count)])[
    torch.randperm(TOTAL, generator=torch.Generator().manual_seed(0))
]
THRESHOLD = 0.1
# scipy.stats.chi2.isf(1e-4, df), scipy 1.17.
CHI2 = {6: 27.856, 1499: 1711.2}


def law() -> dict[int, float]:
    """``n_c r(c)``, from the formula alone."""
    return {c: n * max(1.0, math.sqrt(THRESHOLD * TOTAL / n)) for c, n in COUNTS.items()}


def two_ranks_three_epochs(num_samples: int | None, seed: int) -> list[list[int]]:
    """What three epochs of two ranks draw together, each rank stopped and resumed in each epoch."""
    epochs: list[list[int]] = []
    for epoch in range(3):
        drawn: list[int] = []
        for rank in range(2):
            arguments = {"threshold": THRESHOLD, "num_samples": num_samples, "seed": seed}
            first = BankSampler(IDS, **arguments, num_replicas=2, rank=rank)
            first.set_epoch(epoch)
            walk = iter(first)
            drawn += [next(walk) for _ in range(len(first) // 2 - 7 * epoch)]
            second = BankSampler(IDS, **arguments, num_replicas=2, rank=rank)
            second.load_state_dict(first.state_dict())
            second.set_epoch(epoch)
            drawn += list(second)
        epochs.append(drawn)
    return epochs


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    scale = sum(counts.values()) / sum(expected.values())
    return sum((counts[c] - scale * e) ** 2 / (scale * e) for c, e in expected.items())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_draws_follow_the_law(seed: int) -> None:
    drawn = [crop for epoch in two_ranks_three_epochs(20_000, seed) for crop in epoch]
    assert len(drawn) == 60_000
    classes = Counter(IDS[torch.tensor(drawn)].tolist())
    assert classes[6] == 0
    assert chi_square(classes, law()) < CHI2[6]
    # Within a class all crops alike: over crops, too.
    weights = {i: law()[c] / COUNTS[c] for i, c in enumerate(IDS.tolist())}
    assert chi_square(Counter(drawn), weights) < CHI2[1499]


def test_this_chi_square_tells_other_laws_apart() -> None:
    drawn = [crop for epoch in two_ranks_three_epochs(20_000, 0) for crop in epoch]
    classes = Counter(IDS[torch.tensor(drawn)].tolist())
    uniform = {c: float(n) for c, n in COUNTS.items()}
    linear = {c: n * max(1.0, THRESHOLD * TOTAL / n) for c, n in COUNTS.items()}
    of_images = {c: n * max(1.0, math.sqrt(THRESHOLD * 1.1 * TOTAL / n)) for c, n in COUNTS.items()}
    for other in (uniform, linear, of_images):
        assert chi_square(classes, other) > CHI2[6]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_repeats_are_exact_and_their_fractions_binomial(seed: int) -> None:
    epochs = two_ranks_three_epochs(None, seed)
    ups: Counter[int] = Counter()
    for drawn in epochs:
        counts = Counter(drawn)
        for crop, class_id in enumerate(IDS.tolist()):
            factor = law()[class_id] / COUNTS[class_id]
            assert counts[crop] in {math.floor(factor), math.ceil(factor)}
            ups[class_id] += counts[crop] - math.floor(factor)
    for class_id, count in COUNTS.items():
        fraction = law()[class_id] / count % 1
        trials = 3 * count
        # Four standard deviations and a half, and half a crop for the smallest classes.
        bound = 4.5 * math.sqrt(trials * fraction * (1 - fraction)) + 0.5
        assert abs(ups[class_id] - trials * fraction) <= bound
    assert any(ups[class_id] for class_id in COUNTS)
    # Which crops are rounded up changes from epoch to epoch.
    assert len({tuple(sorted(Counter(drawn).items())) for drawn in epochs}) == 3


@pytest.mark.parametrize("num_samples", [None, 3_000])
def test_the_order_tells_nothing_of_the_class(num_samples: int | None) -> None:
    # The list in ten parts: each class as often in each. And neighbours: no class follows another
    # more often than chance has it.
    sampler = BankSampler(IDS, threshold=THRESHOLD, num_samples=num_samples, seed=5)
    classes = []
    for epoch in range(20):
        sampler.set_epoch(epoch)
        classes.append(IDS[torch.tensor(list(sampler))])
    frequent = [c == 0 for c in classes]
    parts = torch.zeros(10)
    for one in frequent:
        parts += torch.tensor([part.sum() for part in one[: len(one) // 10 * 10].reshape(10, -1)])
    mean = parts.mean()
    # scipy.stats.chi2.isf(1e-4, 9), scipy 1.17.
    assert float(((parts - mean) ** 2 / mean).sum()) < 33.72
    pairs = sum(int((one[1:] & one[:-1]).sum()) for one in frequent)
    total = sum(len(one) - 1 for one in frequent)
    share = sum(float(one.float().mean()) * (len(one) - 1) for one in frequent) / total
    assert abs(pairs - total * share**2) < 4 * math.sqrt(total * share**2 * (1 - share**2))

"""On CUDA: the frozen bits of every modality set."""

from __future__ import annotations

import pytest
import torch

from segpaste.goldens.cases import DTYPES, KINDS, SEEDS, DtypeName
from segpaste.goldens.check import check_executor
from tests.goldens.frozen_gate import THROUGH_INDUCTOR, expect_nothing

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executor", ["fused", "graph"])
def test_the_frozen_bits(executor: str, kind: str, dtype: DtypeName, device: str) -> None:
    expect_nothing(check_executor(executor, kinds=[kind], dtypes=[dtype], device=device))


@pytest.mark.parametrize(("kind", "dtype"), THROUGH_INDUCTOR)
def test_the_frozen_bits_compiled(kind: str, dtype: DtypeName, device: str) -> None:
    torch._dynamo.reset()
    seeds = [seed for seed in SEEDS if seed % 4 in (0, 1)]
    expect_nothing(check_executor("compiled", kinds=[kind], dtypes=[dtype], seeds=seeds, device=device))

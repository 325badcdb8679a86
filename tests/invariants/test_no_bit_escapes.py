"""Whatever bit of a correct output is changed, some law says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segpaste.invariants import check_padded, check_paste
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PaddedBatchedDenseSample, modality_set_name
from tests.invariants.invariant_cases import paste_by_expectation, random_case, with_fields

PASTES_PER_SET = 12


def one_element_changed(
    rng: np.random.Generator, batch: PaddedBatchedDenseSample, name: str
) -> PaddedBatchedDenseSample:
    value = batch.tensors()[name].clone()
    flat = value.view(-1)
    index = int(rng.integers(flat.numel()))
    if flat.dtype == torch.bool:
        flat[index] = ~flat[index]
    elif flat.dtype == torch.float32:
        flat.view(torch.int32)[index] ^= 1  # the last bit
    elif flat.dtype == torch.float64:
        flat.view(torch.int64)[index] ^= 1
    else:
        flat[index] += 1
    return with_fields(batch, **{name: value})


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_one_element_changed_is_found(modalities: frozenset[Modality]) -> None:
    painted = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        case = random_case(seed, modalities, canvas=(5, 5))
        out, told = paste_by_expectation(case.target, case.source, case.plan, case.config)
        if not bool(told.paste_union.any()):
            continue
        painted += 1
        for name, value in out.tensors().items():
            if value.numel() == 0:
                continue
            broken = one_element_changed(rng, out, name)
            reports = check_paste(case.target, broken, told, source=case.source) + check_padded(broken)
            assert any(not report.ok for report in reports), f"seed {seed}: {name}"
        if painted == PASTES_PER_SET:
            return
    pytest.fail(f"only {painted} pastes painted anything")

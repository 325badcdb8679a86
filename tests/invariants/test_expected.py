"""The laws' own recomputation of section 4: against hand-worked answers and the reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given

from segpaste.invariants.bits import same
from segpaste.invariants.expected import expect_paste
from segpaste.invariants.view import view_of
from segpaste.invariants.warp import sampling_grid
from segpaste.paste import apply_reference
from segpaste.strategies import PasteCase, paste_cases
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchAuditPacket,
    Modality,
    PaddedBatchedDenseSample,
    modality_set_name,
)
from tests.invariants.invariant_cases import Case, paste_by_expectation, random_case, with_fields

SEEDS_PER_SET = 60


def disagreements(case: Case | PasteCase) -> list[str]:
    """Fields in which reference and recomputation differ in a bit."""
    out, told = apply_reference(case.target, case.source, case.plan, case.config)
    want, want_told = paste_by_expectation(case.target, case.source, case.plan, case.config)
    mine, theirs = out.tensors(), want.tensors()
    found = [] if mine.keys() == theirs.keys() else ["fields"]
    found += [name for name in theirs if not same(mine[name], theirs[name])]
    for name in BatchAuditPacket.__dataclass_fields__:
        a, b = getattr(told, name), getattr(want_told, name)
        if isinstance(b, torch.Tensor) and not (isinstance(a, torch.Tensor) and same(a, b)):
            found.append(f"audit.{name}")
    return found


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_reference_agrees_on_random_cases(modalities: frozenset[Modality]) -> None:
    for seed in range(SEEDS_PER_SET):
        case = random_case(seed, modalities)
        assert disagreements(case) == [], f"seed {seed}"


def test_reference_agrees_where_there_is_nothing_to_paste() -> None:
    for seed in range(SEEDS_PER_SET):
        case = random_case(seed, frozenset({Modality.IMAGE}))
        assert disagreements(case) == [], f"seed {seed}"


@given(paste_cases(max_side=16))
def test_reference_agrees_on_drawn_cases(case: PasteCase) -> None:
    if case.target.batch_size:
        assert disagreements(case) == []


def test_grid_at_scale_one_is_the_identity_and_flip_mirrors_within_the_valid_width() -> None:
    plan = random_case(0, source_slots=0, step=65536, translate=[0, 0], hflip=False).plan
    cpu = torch.device("cpu")
    grid = sampling_grid(plan, (3, 5), (3, 4), cpu)
    assert grid.near_x.tolist() == [0, 1, 2, 3, 3]
    assert grid.inside[0].tolist() == [True, True, True, True, False]
    assert grid.x.weight.tolist() == [0] * 5
    flipped = sampling_grid(replace(plan, hflip=torch.tensor([True])), (3, 5), (3, 4), cpu)
    assert flipped.near_x.tolist() == [3, 2, 1, 0, 0]


def test_grid_at_scale_two_has_quarter_weights() -> None:
    # u = (2x + 1) * 32768 in 2^-17 pixels: x = 0 looks at 0.25, so 0.25 - 0.5 = -0.25 between
    # taps -1 (clamped to 0) and 0, and the second weighs 3/4.
    plan = random_case(0, source_slots=0, step=32768, translate=[0, 0], hflip=False).plan
    grid = sampling_grid(plan, (1, 4), (1, 2), torch.device("cpu"))
    assert grid.near_x.tolist() == [0, 0, 1, 1]
    assert grid.x.low.tolist() == [0, 0, 0, 1]
    assert grid.x.high.tolist() == [0, 1, 1, 1]
    assert grid.x.weight.tolist() == [192, 64, 192, 64]


def test_inputs_that_do_not_go_together_are_refused() -> None:
    case = random_case(3, LEGAL_MODALITY_SETS[8], canvas=(4, 4), metric=False, slots=3, source_slots=2)
    target, source = view_of(case.target), view_of(case.source)
    with pytest.raises(ValueError, match="canvas"):
        expect_paste(target, replace(source, image=source.image[:, :2]), case.plan, case.config)
    with pytest.raises(ValueError, match=r"plan\.order"):
        expect_paste(target, source.with_slots(9), case.plan, case.config)


def test_metric_depth_without_a_camera_is_refused() -> None:
    depth = next(m for m in LEGAL_MODALITY_SETS if Modality.DEPTH in m and Modality.INSTANCE in m)
    case = random_case(3, depth, canvas=(4, 4), metric=True, slots=3, source_slots=2)
    blind = replace(view_of(case.source), intrinsics=None)
    with pytest.raises(ValueError, match="camera_intrinsics"):
        expect_paste(view_of(case.target), blind, case.plan, case.config)


def test_the_factor_is_left_to_right() -> None:
    # fx_t fy_t = 16, fx_s fy_s = 4: ratio 2, at step 32768 (twice as large) 1.
    depth = next(m for m in LEGAL_MODALITY_SETS if Modality.DEPTH in m and Modality.INSTANCE in m)
    case = random_case(3, depth, canvas=(4, 4), metric=True, slots=3, source_slots=2, step=32768)
    target = _with_camera(case.target, [2.0, 8.0, 0.0, 0.0])
    source = _with_camera(case.source, [1.0, 4.0, 0.0, 0.0])
    assert expect_paste(view_of(target), view_of(source), case.plan, case.config).factor == 1.0


def _with_camera(batch: PaddedBatchedDenseSample, camera: list[float]) -> PaddedBatchedDenseSample:
    return with_fields(batch, camera_intrinsics=torch.tensor([camera], dtype=torch.float64))

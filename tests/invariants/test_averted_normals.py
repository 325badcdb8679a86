"""Averted normals: excused only where the donor's own averted normals account for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segpaste.invariants import check_sample
from segpaste.invariants.view import view_of
from segpaste.invariants.warp import sampling_grid, warp_at
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample
from tests.invariants.invariant_cases import random_case

SIDE = 12


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return (vectors.double() / torch.linalg.vector_norm(vectors.double(), dim=0)).float()


def facing(seed: int) -> torch.Tensor:
    vectors = torch.randn((3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    vectors[2] = -vectors[2].abs() - 0.2
    return unit(vectors)


def status(after: torch.Tensor, before: torch.Tensor, source: torch.Tensor) -> tuple[str, int]:
    def of(normals: torch.Tensor) -> DenseSample:
        image = torch.zeros((3, *normals.shape[1:]), dtype=torch.uint8)
        return DenseSample.unchecked(image=image, normals=normals)

    (report,) = check_sample(of(after), before=of(before), source=of(source), only="normals.face_camera")
    return report.status, report.count


def donor_with_one_averted() -> torch.Tensor:
    donor = facing(1)
    donor[:, 5, 6] = unit(torch.tensor([0.3, -0.2, 0.6]))
    return donor


def smooth() -> torch.Tensor:
    """A ball seen from the front: neighbours differ by a few degrees."""
    axis = torch.linspace(-0.6, 0.6, SIDE)
    x, y = axis.expand(SIDE, SIDE), axis[:, None].expand(SIDE, SIDE)
    return unit(torch.stack([x, y, -(1 - x * x - y * y).sqrt()]))


@pytest.mark.parametrize("averted", [(0.0, 0.0, 1.0), (0.3, -0.2, 0.6), (1.0, 0.0, 0.01)])
def test_one_averted_normal_of_the_donor_excuses_no_flipped_sign(averted: tuple[float, ...]) -> None:
    donor = smooth()
    donor[:, 3, 9] = unit(torch.tensor(averted))
    assert status(donor, facing(2), donor) == ("held", 0)
    wrong = donor * torch.tensor([1.0, 1.0, -1.0])[:, None, None]
    verdict, count = status(wrong, facing(2), donor)
    assert verdict == "violated"
    assert count > SIDE * SIDE // 2


def test_blends_with_an_averted_normal_are_excused_mirrored_or_not() -> None:
    donor = donor_with_one_averted()
    taps = [donor[:, y, x].double() for y in (4, 5) for x in (5, 6)]
    for step in range(1, 32):
        u, v = (step * 7 % 32) / 32, step / 32
        weights = ((1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v)
        blend = torch.stack([w * t for w, t in zip(weights, taps, strict=True)]).sum(0)
        for sign in (1.0, -1.0):
            after = facing(2)
            after[:, 3, 3] = unit(blend) * torch.tensor([sign, 1.0, 1.0])
            assert status(after, facing(2), donor) == ("held", 0)


def test_a_donor_that_faces_the_camera_excuses_nothing() -> None:
    after = facing(2)
    after[:, 3, 3] = torch.tensor([0.0, 0.0, 1.0])
    assert status(after, facing(2), facing(1)) == ("violated", 1)


def test_a_warp_of_any_averted_donor_is_excused() -> None:
    held = 0
    for seed in range(300):
        case = random_case(seed, LEGAL_MODALITY_SETS[-1])
        if case.source.padding_mask is not None:
            continue
        source = view_of(case.source)
        assert source.normals is not None
        noise = torch.rand(source.canvas, generator=torch.Generator().manual_seed(seed))
        donor = torch.where(noise < 0.3, -source.normals, source.normals)
        canvas = source.canvas
        grid = sampling_grid(case.plan, canvas, canvas, donor.device)

        pixels = grid.inside.flatten().nonzero().flatten()
        if pixels.numel() == 0:
            continue
        warped = warp_at(replace(source, normals=donor), grid, pixels, 1.0).normals
        assert warped is not None
        after = torch.zeros_like(donor)
        after.view(3, -1)[:, pixels] = warped
        averted = int((after[2] > 0).sum())
        verdict = status(after, torch.zeros_like(after), donor)
        assert verdict[0] in {"held", "not_exercised"}, seed
        held += averted
    assert held > 100

"""What excuses an averted normal, at its limits: exact numbers, by hand."""

from __future__ import annotations

import pytest
import torch

from segpaste.invariants import averted
from segpaste.invariants.averted import (
    TOLERANCE,
    _averted_blocks,  # pyright: ignore[reportPrivateUsage]
    _may_blend,  # pyright: ignore[reportPrivateUsage]
    carried_over,
    looks_away,
)

BEYOND = TOLERANCE * (1 + 2.0**-10)
AHEAD = [[0.0, 0.0, 1.0]] * 4
WEDGE = [[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


def may_blend(vector: list[float], block: list[list[float]]) -> bool:
    vectors = torch.tensor([[vector]], dtype=torch.float64)
    found = _may_blend(vectors, torch.tensor([[block]], dtype=torch.float64))
    assert (found.shape, found.dtype) == ((1, 1), torch.bool)
    return bool(found)


def picture(*rows: list[list[float]]) -> torch.Tensor:
    """``[3, H, W]`` from rows of vectors."""
    return torch.tensor(rows).permute(2, 0, 1).contiguous()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_no_component_has_a_sign_that_none_of_the_four_has(axis: int, sign: float) -> None:
    vector = [0.0, 0.0, 1.0]
    vector[axis] = sign * TOLERANCE
    assert may_blend(vector, AHEAD)
    vector[axis] = sign * BEYOND
    assert not may_blend(vector, AHEAD)
    assert not may_blend([0.0, 0.0, -1.0], AHEAD)


def test_the_blend_lies_in_the_cap_of_the_four() -> None:
    assert may_blend([0.0, 0.0, 1.0 - TOLERANCE], AHEAD)
    assert not may_blend([0.0, 0.0, 1.0 - BEYOND], AHEAD)


def test_the_blend_lies_in_the_cone_of_three() -> None:
    assert may_blend([-TOLERANCE, 0.0, 1.0], WEDGE)
    assert not may_blend([-BEYOND, 0.0, 1.0], WEDGE)
    assert may_blend([TOLERANCE, 0.0, 1.0], WEDGE)
    assert not may_blend([BEYOND, 0.0, 1.0], WEDGE)
    assert may_blend([0.5, 0.75, 1.0], WEDGE)
    for turned in (WEDGE[::-1], [WEDGE[2], WEDGE[0], WEDGE[1], WEDGE[3]]):  # the other way round
        assert may_blend([0.5, 0.75, 1.0], turned)
        assert not may_blend([-BEYOND, 0.0, 1.0], turned)


@pytest.mark.parametrize("skipped", range(4))
def test_every_three_of_the_four_are_tried(skipped: int) -> None:
    corners = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    block = [*corners[:skipped], [1.0, 0.0, 0.0], *corners[skipped:]]
    assert may_blend([0.5, 0.5, 0.5], block)
    far = [*corners[:skipped], [1.0, -1.0, -1.0], *corners[skipped:]]
    assert may_blend([0.5, 0.5, 0.5], far)


def test_several_vectors_and_blocks_are_judged_one_by_one() -> None:
    blocks = [AHEAD, WEDGE, [[-1.0, 0.0, 0.0]] * 4, [[0.0, 0.0, 0.5]] * 4]
    vectors = [[0.0, 0.0, 1.0], [0.5, 0.75, 1.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.25], [0.0, 1.0, 0.0]]
    vectors += [[-BEYOND, 0.0, 1.0], [0.0, BEYOND, 1.0], [0.0, 0.0, 1.0 - BEYOND]]
    found = _may_blend(
        torch.tensor(vectors, dtype=torch.float64)[:, None], torch.tensor([blocks], dtype=torch.float64)
    )
    assert found.tolist() == [[may_blend(vector, block) for block in blocks] for vector in vectors]
    assert found.any(dim=0).tolist() == [True] * 4
    assert not bool(found.all(dim=1).any())


def test_a_cap_of_a_quarter_turn_and_more_is_none() -> None:
    # One corner is at right angles to the mean: reach is 0, and the cap says nothing.
    block = [[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]]
    assert may_blend([1.0, 0.5, 0.0], block)
    assert not may_blend([0.0, 0.0, 0.25], [[0.0, 0.0, 0.5]] * 4)


def test_the_volume_of_three_at_its_limit() -> None:
    vector = [0.5, 0.5, 0.5]
    a, b, far = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 0.5]
    for first, second in ((a, b), (b, a)):
        assert may_blend(vector, [first, second, [0.0, 0.0, -TOLERANCE], far])
        assert not may_blend(vector, [first, second, [0.0, 0.0, -BEYOND], far])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_share_of_one_of_three_at_its_limit(sign: float) -> None:
    a, b, c = [sign, 1.0, 0.0], [-sign, 1.0, 0.0], [0.0, 0.0, 1.0]
    assert may_blend([-2 * sign * TOLERANCE, TOLERANCE, 1.0], [a, b, c, a])
    assert not may_blend([-2 * sign * BEYOND, BEYOND, 1.0], [a, b, c, a])


def test_opposite_normals_have_no_cap() -> None:
    block = [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]
    assert may_blend([0.6, 0.8, 0.0], block)
    assert may_blend([-0.6, -0.8, 0.0], block)


def test_what_looks_away() -> None:
    nan = float("nan")
    row = [[0.0, 0.0, -1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [nan] * 3, [0.0, 1.0, -0.0]]
    assert looks_away(picture(row)).tolist() == [[False, False, True, True, True, True]]


def test_blocks_have_an_averted_normal_and_come_mirrored() -> None:
    towards, away, none = [0.0, 0.0, -1.0], [3.0, 0.0, 4.0], [0.0, 0.0, 0.0]
    assert _averted_blocks(picture([towards, towards])).shape == (0, 4, 3)
    (plain, other) = sorted(_averted_blocks(picture([away])).tolist())
    unit = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64) / 5
    assert other == [unit.tolist()] * 4
    assert plain == [(unit * torch.tensor([-1.0, 1.0, 1.0])).tolist()] * 4
    # Without a normal there is nothing to blend in, and a NaN is none.
    for missing in (none, [float("nan")] * 3, [float("inf"), 0.0, 0.0]):
        blocks = _averted_blocks(picture([away, missing]))
        assert {tuple(map(tuple, block)) for block in blocks.tolist()} == {
            tuple(map(tuple, block)) for block in (plain, other)
        }
    # One in the middle of nine is in four blocks of four, and each comes twice; some are alike.
    nine = picture(*[[towards] * 3] * 3)
    nine[:, 1, 1] = torch.tensor([0.0, 0.0, 1.0])
    assert _averted_blocks(nine).shape == (4, 4, 3)
    grazing = picture([[0.0, 1.0, 0.0]])
    assert _averted_blocks(grazing).shape == (1, 4, 3)
    assert _averted_blocks(grazing).dtype == torch.float64


def test_at_the_border_neighbours_are_the_borders_own() -> None:
    towards, away = [0.0, 0.0, -1.0], [0.0, 0.0, 1.0]
    blocks = _averted_blocks(picture([away, towards]))
    kinds = {tuple(z for _, _, z in block) for block in blocks.tolist()}
    assert kinds == {(1.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, -1.0)}


def test_only_those_asked_for_are_excused() -> None:
    away = [0.0, 0.0, 1.0]
    donor = picture([away, away])
    normals = picture([away, [0.0, 1.0, 0.0]], [away, away])
    asked = torch.tensor([[True, True], [False, True]])
    assert carried_over(normals, donor, asked).tolist() == [[True, False], [False, True]]
    assert not bool(carried_over(normals, donor, asked & False).any())
    assert not bool(carried_over(normals, -donor, asked).any())
    assert carried_over(normals, -donor, asked).shape == asked.shape


@pytest.mark.parametrize(("pairs", "passed"), [(8, 0), (7, 4), (4, 4), (3, 5), (2, 6)])
def test_of_too_many_an_even_share_is_compared(
    pairs: int, passed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(averted, "PAIRS", pairs)
    donor = picture([[0.0, 0.0, 1.0]])  # one block, that is its own mirror
    normals = picture([[0.0, 1.0, 0.0]] * 8)
    found = carried_over(normals, donor, torch.ones(1, 8, dtype=torch.bool))
    assert int(found.sum()) == passed
    stride = -(-8 // pairs)
    assert found[0].tolist() == [n % stride != 0 for n in range(8)]

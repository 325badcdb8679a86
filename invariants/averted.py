"""Which averted normals of an output a donor's own averted normals can account for."""

from __future__ import annotations

import torch

TOLERANCE = 2.0**-14
"""Slack of the comparisons: a blend of normals that nearly cancel is rounded before it is renormalised."""

PAIRS = 1 << 22
"""Most pairs of (output normal, 2 x 2 donor pixels) that are compared."""


def looks_away(normals: torch.Tensor) -> torch.Tensor:
    """``[H, W]`` bool, normals (``[3, H, W]``) that are not 0 and have no n_z < 0."""
    return ~(normals[2] < 0) & ~(normals == 0).all(dim=0)


def carried_over(normals: torch.Tensor, donor: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    """Of the pixels asked for, those whose normal a faithful paste may have made of the donor's.

    Where the paste took its normals from is unknown, and interpolation blends 2 x 2 of them.
    So a normal is accounted for if it may be a blend, with weights of 0 or more, of 2 x 2
    neighbours of the donor, mirrored or not, at least one of them averted. A blend of
    facing normals alone faces the camera. No faithful normal is refused, unless its blend
    cancelled to less than 2^-11 of a unit; of more than ``PAIRS`` pairs an even
    share of the pixels is compared and the others are let pass. Beside rough or opposite normals one
    averted normal may be blended into almost any: there only a plan can tell.

    Args:
        normals: ``[3, H, W]`` float32, the output's.
        donor: ``[3, h, w]`` float32, the source's.
        asked: ``[H, W]`` bool.

    Returns:
        ``[H, W]`` bool, a subset of ``asked``.
    """
    blocks = _averted_blocks(donor)
    where = asked.flatten().nonzero().flatten()
    excused = asked.flatten().clone()
    if blocks.shape[0] == 0 or where.numel() == 0:
        return torch.zeros_like(asked)
    stride = -(-where.numel() * blocks.shape[0] // PAIRS)
    for some in where[::stride].split(max(1, (1 << 18) // blocks.shape[0])):
        vectors = normals.flatten(1)[:, some].t().to(torch.float64)
        excused[some] = _may_blend(vectors[:, None], blocks[None]).any(dim=1)
    return excused.reshape(asked.shape)


def _averted_blocks(donor: torch.Tensor) -> torch.Tensor:
    """``[Q, 4, 3]`` float64, 2 x 2 neighbours with an averted one, then the same mirrored."""
    # Neighbours beyond the border are the border's own.
    edged = torch.nn.functional.pad(donor.to(torch.float64)[None], (1, 1, 1, 1), mode="replicate")[0]
    corners = torch.stack([edged[:, :-1, :-1], edged[:, :-1, 1:], edged[:, 1:, :-1], edged[:, 1:, 1:]])
    corners = corners.flatten(2).permute(2, 0, 1)
    there = corners.isfinite().all(dim=2) & (corners != 0).any(dim=2)
    away = there & (corners[..., 2] >= 0)
    some = away.any(dim=1)
    corners, there, away = corners[some], there[some], away[some]
    first = corners[torch.arange(corners.shape[0], device=donor.device), away.to(torch.uint8).argmax(dim=1)]
    corners = torch.where(there[..., None], corners, first[:, None])  # no normal: nothing to blend in
    corners = corners / torch.linalg.vector_norm(corners, dim=2, keepdim=True)
    corners = torch.cat([corners, corners * corners.new_tensor([-1.0, 1.0, 1.0])])
    return torch.unique(corners, dim=0) if corners.shape[0] else corners


def _may_blend(vectors: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """``[P, Q]`` bool: whether ``vectors`` ``[P, 1, 3]`` may lie in the cone of ``blocks`` ``[1, Q, 4, 3]``.

    Necessary conditions, each exact but for its tolerance: no component has a sign that
    none of the four has; where all four lie in one cap about their mean, so does the
    blend; and it lies in the cone of three of them (a cone in space is that of its triples).
    """
    low, high = blocks.amin(dim=2), blocks.amax(dim=2)
    signs = (((low < 0) | (vectors >= -TOLERANCE)) & ((high > 0) | (vectors <= TOLERANCE))).all(dim=-1)
    mean = blocks.sum(dim=2)
    reach = (blocks * mean[:, :, None]).sum(dim=-1).amin(dim=2)
    size = torch.linalg.vector_norm(mean, dim=-1)
    capped = (reach <= 0) | ((vectors * mean).sum(dim=-1) >= reach - TOLERANCE * size)
    among = torch.zeros_like(signs)
    for skipped in range(4):
        a, b, c = (blocks[:, :, k] for k in range(4) if k != skipped)
        turn = _triple(a, b, c)
        parts = torch.stack([_triple(vectors, b, c), _triple(a, vectors, c), _triple(a, b, vectors)])
        among |= (turn >= -TOLERANCE) & (parts >= -TOLERANCE).all(dim=0)
        among |= (turn <= TOLERANCE) & (parts <= TOLERANCE).all(dim=0)
    return signs & capped & among


def _triple(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """A . (b x c), broadcast."""
    cross = torch.linalg.cross(*torch.broadcast_tensors(b, c), dim=-1)
    return (a * cross).sum(dim=-1)

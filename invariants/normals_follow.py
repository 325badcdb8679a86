"""How normals turn with a traced image."""

from __future__ import annotations

import math

import torch

from segpaste.invariants.report import Finding, by_pixels, exercised, not_decidable, not_exercised
from segpaste.invariants.transform_case import LEAST_SPAN, Affine, TransformCase
from segpaste.invariants.view import present

ROUNDING = 2.0**-18
"""A component may differ by this where a pixel moves onto a pixel: the rounding of a float32 warp."""

COSINE = 1e-3
"""How far from 1 the cosine to the expected normal may be where the image is stretched."""

DEGREES, LEAST_TURN = 10.0, 25.0
"""Within how many degrees a direction in the plane must follow a rotation of at least how many."""

LEAST_LENGTH = 0.2
"""Directions in the plane are judged for normals of at least this length in it."""

_SAME_TURN = 1e-4
_NEARLY = 0.02
_SIMILAR = 0.03


def judge_normals(case: TransformCase) -> Finding:
    """The verdict of ``geometric.normals_rotate_with_image``, for a case with a trace."""
    maps = case.field("normals")
    got = present(case.after.normals).to(torch.float64)
    shown = case.shown(maps).to(torch.float64)
    sure = case.sure(maps).all(dim=0)
    wrong, judged = torch.zeros_like(sure), torch.zeros_like(sure)
    reasons: list[str] = []
    for origin in maps:
        here = sure & (case.trace.origin == origin)
        if not bool(here.any()):
            continue
        fit = case.affine(origin)
        if fit is not None and min(fit.span) < LEAST_SPAN:
            reasons.append("fewer than three columns or rows are known: a flip looks like an exchange")
            continue
        if fit is None:
            reasons.append("the pixels that are known do not tell one affine map by which the image moved")
            continue
        outcome = _judged(fit, case.trace.exact_of[origin], got, shown, here)
        if isinstance(outcome, str):
            reasons.append(outcome)
            continue
        wrong |= outcome[0]
        judged |= outcome[1]
    found = by_pixels(wrong, "the normal is not that of the pixel shown, turned as the image is")
    if found.status != "violated" and reasons:
        return not_decidable(reasons[0])
    if not bool(sure.any()):
        return not_exercised("no pixel of the output that is sure shows the input")
    return exercised(found, bool(judged.any()), "no pixel that is sure shows a normal that turns")


def _judged(
    fit: Affine, exact: bool, got: torch.Tensor, shown: torch.Tensor, here: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor] | str:
    """Where the normals are wrong, and where they were judged; or why they cannot be.

    A turn by less than a pixel over the whole image moves no pixel where it is sampled: normals
    may be turned by so much, all by the same angle.
    """
    unseen = math.atan(1 / min(fit.span))
    lengths = fit.linear.norm(dim=0)
    if float(lengths.min()) == 0:
        return "the image is drawn out of single pixels"
    axes = fit.linear / lengths  # columns: where the output's axes point in the input
    turn = axes.round()
    straight = bool((turn.abs().sum(dim=0) == 1).all()) and bool((turn.abs().sum(dim=1) == 1).all())
    if straight and float((axes - turn).abs().max()) <= _NEARLY:
        expected = _turned(shown, turn)
        none = (shown == 0).all(dim=0)
        if exact and _unit(lengths):
            wrong = here & ~((got - expected).abs() <= ROUNDING).all(dim=0)
            if bool(wrong.any()) and _turned_as_one(got[:, here], expected[:, here], unseen):
                return torch.zeros_like(here), here
            return wrong, here
        length = got.norm(dim=0) * expected.norm(dim=0)
        cosine = (got * expected).sum(dim=0) / length.clamp(min=1e-12)
        least = math.cos(math.acos(1 - COSINE) + unseen)
        differs = torch.where(none, (got != 0).any(dim=0), ~(cosine >= least))
        return here & differs, here
    orthogonal = abs(float((axes[:, 0] * axes[:, 1]).sum())) <= _SIMILAR
    if not orthogonal or float(lengths.max() / lengths.min()) > 1 + _SIMILAR:
        return "the image is sheared, or turned and stretched"
    if float(torch.linalg.det(axes)) > 0:
        angle = math.degrees(abs(math.atan2(float(axes[1, 0]), float(axes[0, 0]))))
        if angle < LEAST_TURN:
            return f"the image is turned by {angle:.0f} degrees: too little to tell whether normals follow"
    expected = _turned(shown, axes)
    flat, wanted = got[:2], expected[:2]
    none = here & (shown == 0).all(dim=0)
    clear = here & (wanted.norm(dim=0) > LEAST_LENGTH)
    length = flat.norm(dim=0) * wanted.norm(dim=0)
    cosine = (flat * wanted).sum(dim=0) / length.clamp(min=1e-12)
    follows = cosine >= math.cos(math.radians(DEGREES))
    return (clear & ~follows) | (none & (got != 0).any(dim=0)), clear | none


def _turned(normals: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """``[3, H, W]`` in the frame of the output, whose axes are the columns of ``axes``."""
    flat = torch.einsum("io,ihw->ohw", axes, normals[:2])
    return torch.cat([flat, normals[2:]])


def _turned_as_one(got: torch.Tensor, expected: torch.Tensor, most: float) -> bool:
    """Whether one turn in the plane, by at most ``most`` radians, explains all of ``[3, n]``."""
    cross = expected[0] * got[1] - expected[1] * got[0]
    dot = (expected[:2] * got[:2]).sum(dim=0)
    angle = torch.atan2(cross.sum(), dot.sum())
    cosine, sine = torch.cos(angle), torch.sin(angle)
    turned = torch.stack([
        cosine * expected[0] - sine * expected[1],
        sine * expected[0] + cosine * expected[1],
        expected[2],
    ])  # fmt: skip
    return abs(float(angle)) <= most and bool(((turned - got).abs() <= _SAME_TURN).all())


def _unit(lengths: torch.Tensor) -> bool:
    return bool(((lengths - 1).abs() < 1e-9).all())

"""Bitwise comparison: -0 and +0 differ, equal NaN payloads agree."""

from __future__ import annotations

import torch

_INTEGER_VIEW = {torch.float32: torch.int32, torch.float64: torch.int64, torch.float16: torch.int16}


def differs(got: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Where two tensors differ in a bit, ``expected``'s shape, bool.

    All true if dtypes or shapes differ.
    """
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return torch.ones(expected.shape, dtype=torch.bool, device=expected.device)
    return bits(got) != bits(expected)


def same(got: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether dtype, shape and every bit agree."""
    return (
        got.dtype == expected.dtype
        and got.shape == expected.shape
        and bool(torch.equal(bits(got), bits(expected)))
    )


def bits(value: torch.Tensor) -> torch.Tensor:
    """A plain integer view of a tensor's bits (bool stays bool)."""
    plain = value.as_subclass(torch.Tensor)
    view = _INTEGER_VIEW.get(plain.dtype)
    return plain if view is None else plain.contiguous().view(view)


def pixels_differ(got: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Where two maps ``[H, W]`` or ``[C, H, W]`` differ in any channel, ``[H, W]`` bool."""
    found = differs(got, expected)
    return found if found.ndim == 2 else found.any(dim=0)

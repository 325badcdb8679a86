"""The same batch in memory laid out in other ways, and buffers that hold garbage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from segpaste.types import PaddedBatchedDenseSample

Lay = Callable[[torch.Tensor], torch.Tensor]


def _contiguous(value: torch.Tensor) -> torch.Tensor:
    return value.clone(memory_format=torch.contiguous_format)


def _channels_last(value: torch.Tensor) -> torch.Tensor:
    if value.ndim != 4:
        return _contiguous(value)
    return value.clone(memory_format=torch.channels_last)


def _transposed(value: torch.Tensor) -> torch.Tensor:
    if value.ndim < 2:
        return _every_other(value)
    return _contiguous(value.transpose(-1, -2)).transpose(-1, -2)


def _batch_last(value: torch.Tensor) -> torch.Tensor:
    """The batch dimension with the smallest stride."""
    return _contiguous(value.movedim(0, -1)).movedim(-1, 0)


def _window(value: torch.Tensor) -> torch.Tensor:
    """The middle of a larger tensor full of garbage."""
    large = value.new_empty([side + 3 for side in value.shape])
    fill_with_garbage(large)
    inner = large[tuple(slice(1, 1 + side) for side in value.shape)]
    return inner.copy_(value)


def _every_other(value: torch.Tensor) -> torch.Tensor:
    """Every other element along the last dimension of a larger tensor."""
    large = value.new_empty((*value.shape[:-1], 2 * value.shape[-1]))
    fill_with_garbage(large)
    return large[..., ::2].copy_(value)


def _offset(value: torch.Tensor) -> torch.Tensor:
    """Contiguous, but not where its storage begins nor where its words are aligned."""
    large = value.new_empty(value.numel() + 7)
    fill_with_garbage(large)
    return large[5 : 5 + value.numel()].view(value.shape).copy_(value)


LAYOUTS: Mapping[str, Lay] = {
    "contiguous": _contiguous,
    "channels last": _channels_last,
    "transposed": _transposed,
    "batch last": _batch_last,
    "window": _window,
    "every other": _every_other,
    "offset": _offset,
}
"""How a tensor may lie in memory; the simplest first."""


def laid_out(batch: PaddedBatchedDenseSample, layout: str) -> PaddedBatchedDenseSample:
    """A copy of the batch, each field in the given layout."""
    lay = LAYOUTS[layout]
    fields = {name: lay(value) for name, value in batch.tensors().items()}
    return PaddedBatchedDenseSample(**fields, metric_depth=batch.metric_depth)  # pyright: ignore[reportArgumentType]


def dirty_buffers(like: PaddedBatchedDenseSample, layout: str) -> PaddedBatchedDenseSample:
    """Buffers for the result, every element of which holds garbage."""
    buffers = laid_out(like, layout)
    for value in buffers.tensors().values():
        fill_with_garbage(value)
    return buffers


def fill_with_garbage(value: torch.Tensor) -> None:
    """Write what no result holds: true, NaN, or a number with all bits set but the highest."""
    if value.dtype == torch.bool:
        value.fill_(True)
    elif value.dtype.is_floating_point:
        value.fill_(float("nan"))
    else:
        value.fill_(torch.iinfo(value.dtype).max)

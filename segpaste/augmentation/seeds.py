"""The stream of seeds of a module: where its randomness comes from.

A block of Philox per sample, under the key of the module, counted by (row of the batch,
number of the step, rank of the process). In a worker of a ``DataLoader`` the key is mixed
with the worker's seed, which torch draws anew for every epoch.
"""

from __future__ import annotations

import torch
from torch import distributed
from torch.utils.data._utils import worker as data_worker

from segpaste.paste.rng import philox_words, to_int64
from segpaste.types.numbers import whole_number

_MASK32 = 0xFFFFFFFF
_WORKER = 0xFFFFFFFF
"""Last counter word of the block that mixes a worker's seed in; a rank is below 2**31."""


def new_key(seed: int | None) -> torch.Tensor:
    """The key ``[]`` int64 for a seed; without one, a draw from torch's default generator.

    Raises:
        TypeError: if the seed is no integer.
        ValueError: if it does not fit into 64 bits.
    """
    if seed is None:
        # On the CPU in any case, so that one torch.manual_seed means one key.
        key = torch.empty((), dtype=torch.int64, device="cpu").random_(-(2**63), None)
    else:
        number = whole_number("seed", seed, or_none=True)
        key = torch.tensor(to_int64(number), dtype=torch.int64, device="cpu")
    return key.to(torch.get_default_device())


def stream_seeds(key: torch.Tensor, step: torch.Tensor, batch: int, rank: int) -> torch.Tensor:
    """The seeds of one step, ``[batch]`` int64, on the device of ``key``.

    Args:
        key: ``[]`` int64.
        step: ``[]`` int64, the number of the step.
        batch: B.
        rank: rank of the process.
    """
    seed = _worker_seed()
    if seed is not None:
        key = _joined(philox_words(key, seed & _MASK32, (seed >> 32) & _MASK32, rank, _WORKER))
    row = torch.arange(batch, dtype=torch.int64, device=key.device)
    return _joined(philox_words(key, row, step & _MASK32, (step >> 32) & _MASK32, rank))


def seeds_from(generator: torch.Generator, batch: int, device: torch.device) -> torch.Tensor:
    """``[batch]`` int64 over the full range, drawn where the generator lives."""
    drawn = torch.empty(batch, dtype=torch.int64, device=generator.device).random_(
        -(2**63), None, generator=generator
    )
    return drawn.to(device, non_blocking=True)


def process_rank() -> int | None:
    """The rank of this process, if processes have been grouped."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    return None


def _joined(words: torch.Tensor) -> torch.Tensor:
    return words[..., 0] | (words[..., 1] << 32)


def _worker_seed() -> int | None:
    # The variable behind torch.utils.data.get_worker_info(), which cannot be traced.
    info = data_worker._worker_info
    return None if info is None else info.seed

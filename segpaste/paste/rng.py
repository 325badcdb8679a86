"""Philox 4x32-10, counter-based: the only source of randomness of a paste.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). A word is a pure
function of (key, counter), so a draw is the same on every device, in every batch and
under every compiler. Words are int64 in ``[0, 2**32)``.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK32 = 0xFFFFFFFF
_ROUNDS = 10

Words = TypeVar("Words", int, np.ndarray, torch.Tensor)


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words]
) -> tuple[Words, Words, Words, Words]:
    """One block: four 32-bit words for each counter under its key.

    Args:
        counter: four words; Python ints, int64 arrays or int64 tensors that broadcast.
        key: two words of the same kind.

    Returns:
        Four words of that kind, each in ``[0, 2**32)``.
    """
    return _philox(counter, key, _multiply_by_limbs)


def philox_words(key: torch.Tensor, *counter: int | torch.Tensor) -> torch.Tensor:
    """The block of words for 64-bit keys.

    Args:
        key: ``[...]`` int64, the key in two's complement.
        counter: up to four counter words, ints or int64 tensors that broadcast with
            ``key``; those left out are 0.

    Returns:
        ``[..., 4]`` int64 words in ``[0, 2**32)``.
    """
    if key.device.type == "cpu" and not torch.compiler.is_compiling():
        return _words_on_cpu(key, counter)
    zero = torch.zeros_like(key)
    c0, c1, c2, c3 = (zero + word for word in (*counter, 0, 0, 0, 0)[:4])
    # An arithmetic shift fills with the sign, which the mask takes off again.
    words = philox4x32((c0, c1, c2, c3), (key & _MASK32, (key >> 32) & _MASK32))
    return torch.stack(torch.broadcast_tensors(*words), dim=-1)


def _words_on_cpu(key: torch.Tensor, counter: tuple[int | torch.Tensor, ...]) -> torch.Tensor:
    """One compiled loop in place of some 200 operations on a few numbers each."""
    from segpaste.paste.rng_kernels import fill_words

    keys = torch.broadcast_tensors(key, *(word for word in counter if isinstance(word, torch.Tensor)))[0]
    shape = keys.shape
    counters = torch.zeros((*shape, 4), dtype=torch.int64, device="cpu")
    for i, word in enumerate(counter):
        counters[..., i] = word
    words = torch.empty((*shape, 4), dtype=torch.int64, device="cpu")
    fill_words(keys.reshape(-1).numpy(), counters.view(-1, 4).numpy(), words.view(-1, 4).numpy())
    return words


def random_words(seed: int, stream: int, n: int) -> np.ndarray:
    """``n`` words in bulk, for noise: ``[n]`` uint32.

    Block i has the counter (i, stream, 0, 0); its four words stand next to each other.

    Args:
        seed: 64-bit key; a negative number is taken in two's complement.
        stream: 0 <= stream < 2**32, separates uses of one seed.
        n: how many, 0 or more.
    """
    low, high = seed & _MASK32, (seed >> 32) & _MASK32
    index = np.arange((n + 3) // 4, dtype=np.uint64)
    zero = np.zeros_like(index)
    counter = (index, zero + np.uint64(stream), zero, zero)
    words = _philox(counter, (zero + np.uint64(low), zero + np.uint64(high)), _multiply_uint64)
    return np.stack(words, axis=-1).astype(np.uint32).reshape(-1)[:n]


def uniform_below(word: torch.Tensor, bound: torch.Tensor | int) -> torch.Tensor:
    """Map int64 words to integers in ``[0, bound)``, ``bound`` at most 2**31.

    ``(word * bound) >> 32``: the bias is below ``bound / 2**32``.
    """
    return (word * bound) >> 32


def derive_seed(base_seed: int, epoch: int, rank: int, worker_id: int, sample_idx: int) -> int:
    """The seed of one sample, ``0 <= seed < 2**64``.

    The first eight bytes, little-endian, of the SHA-256 of the five numbers as
    little-endian uint64.

    Raises:
        ValueError: if a number is negative or does not fit into 64 bits.
    """
    numbers = {
        "base_seed": base_seed,
        "epoch": epoch,
        "rank": rank,
        "worker_id": worker_id,
        "sample_idx": sample_idx,
    }
    for name, number in numbers.items():
        if not 0 <= number < 2**64:
            raise ValueError(f"{name}: got {number}, expected 0 <= {name} < 2**64")
    digest = hashlib.sha256(struct.pack("<5Q", *numbers.values())).digest()
    return int.from_bytes(digest[:8], "little")


def to_int64(seed: int) -> int:
    """A 64-bit seed as the int64 of the same bits, for tensors.

    Raises:
        ValueError: if the seed does not fit into 64 bits.
    """
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"seed: got {seed}, expected -2**63 <= seed < 2**64")
    return seed - 2**64 if seed >= 2**63 else seed


def _philox(
    counter: tuple[Any, Any, Any, Any],
    key: tuple[Any, Any],
    multiply: Callable[[int, Any], tuple[Any, Any]],
) -> tuple[Any, Any, Any, Any]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = multiply(_MULTIPLIERS[0], c0)
        high1, low1 = multiply(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK32, (k1 + _WEYL[1]) & _MASK32
    return c0, c1, c2, c3


def _multiply_by_limbs(constant: int, word: Any) -> tuple[Any, Any]:
    # By 16-bit limbs: a 64-bit product would overflow int64, which generated C++ may
    # compile to anything.
    low = (word & 0xFFFF) * constant
    high = (word >> 16) * constant + (low >> 16)
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)


def _multiply_uint64(constant: int, word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    product = word * np.uint64(constant)
    return product >> np.uint64(32), product & np.uint64(_MASK32)

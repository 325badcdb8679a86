"""Philox against the known answers of its authors, and the derivation of seeds."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segpaste.paste import rng
from segpaste.paste.rng import (
    derive_seed,
    philox4x32,
    philox_words,
    random_words,
    to_int64,
    uniform_below,
)

# kat_vectors of Random123, philox4x32 with 10 rounds: counter, key, answer.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert philox4x32(counter, key) == answer
    key64 = torch.tensor([to_int64(key[0] | key[1] << 32)])
    assert philox_words(key64, *counter).tolist() == [list(answer)]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_bulk_words_are_the_blocks_in_order(seed, stream, n):
    blocks = philox_words(torch.full((11,), seed), torch.arange(11), stream).reshape(-1)
    assert random_words(seed, stream, n).dtype == np.uint32
    assert random_words(seed, stream, n).tolist() == blocks[:n].tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**31))
def test_uniform_below_stays_in_range(word, bound):
    drawn = int(uniform_below(torch.tensor(word), bound))
    assert drawn == word * bound // 2**32
    assert 0 <= drawn < bound


def test_derived_seed_is_sha256_of_five_little_endian_uint64():
    numbers = (7, 1, 0, 3, 2**64 - 1)
    digest = hashlib.sha256(b"".join(n.to_bytes(8, "little") for n in numbers)).digest()
    assert derive_seed(*numbers) == int.from_bytes(digest[:8], "little")
    # sha256 of forty zero bytes begins with the hexadecimal digits below.
    assert derive_seed(0, 0, 0, 0, 0) == int.from_bytes(hashlib.sha256(bytes(40)).digest()[:8], "little")


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("value", [-1, 2**64])
def test_derived_seed_refuses_what_is_no_uint64(position, value):
    numbers = [0] * 5
    numbers[position] = value
    name = ("base_seed", "epoch", "rank", "worker_id", "sample_idx")[position]
    with pytest.raises(ValueError, match=f"{name}: got {value}"):
        derive_seed(*numbers)


def test_to_int64_keeps_the_bits():
    assert to_int64(2**64 - 1) == -1
    assert to_int64(2**63) == -(2**63)
    assert to_int64(-5) == -5
    with pytest.raises(ValueError, match="seed: got 18446744073709551616"):
        to_int64(2**64)


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**64])
def test_to_int64_refuses_what_has_more_bits(seed):
    with pytest.raises(ValueError, match=f"^seed: got {seed}, expected -2\\*\\*63 <= seed < 2\\*\\*64$"):
        to_int64(seed)
    assert to_int64(-(2**63)) == -(2**63)


@pytest.mark.parametrize("given", range(5))
def test_words_by_tensors_are_the_words_by_the_loop(given, monkeypatch):
    # One key and many counters, many keys and one counter, and both.
    keys = torch.tensor([[0], [1], [-1], [2**63 - 1], [-(2**63)], [0x123456789ABCDEF]])
    counters = (torch.tensor([0, 1, 2**16, 2**32 - 1]), 7, 2**32 - 1, torch.tensor(3))[:given]
    for some in (keys, keys[5]):
        loop = philox_words(some, *counters)
        with monkeypatch.context() as patched:
            patched.setattr(torch.compiler, "is_compiling", lambda: True)
            tensors = philox_words(some, *counters)
        assert tensors.dtype == torch.int64
        assert torch.equal(tensors, loop)


@pytest.mark.parametrize("compiling", [False, True])
def test_the_loop_makes_the_words_on_the_cpu_unless_compiling(compiling, monkeypatch):
    asked: list[int] = []
    loop = rng._words_on_cpu
    monkeypatch.setattr(rng, "_words_on_cpu", lambda key, counter: asked.append(1) or loop(key, counter))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    philox_words(torch.tensor([5]), 1)
    assert len(asked) == (0 if compiling else 1)


def test_words_on_another_device_are_made_there():
    assert philox_words(torch.zeros(3, dtype=torch.int64, device="meta"), 1).shape == (3, 4)


def test_words_do_not_depend_on_the_batch():
    alone = philox_words(torch.tensor([123]), 5, 1)
    together = philox_words(torch.tensor([9, 123, -7]), 5, 1)
    assert torch.equal(alone[0], together[1])


def test_compiled_words_are_the_same():
    keys = torch.tensor([0, -1, 2**62])
    compiled = torch.compile(lambda k: philox_words(k, 3, 1), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(keys), philox_words(keys, 3, 1))

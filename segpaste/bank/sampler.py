"""Which crops an epoch holds, and in which order: rare classes more often."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import distributed
from torch.utils.data import Sampler

from segpaste.bank.meta import MAX_CLASSES
from segpaste.bank.protocol import InstanceBank
from segpaste.paste.rng import derive_seed, philox_words, to_int64
from segpaste.types.numbers import whole_number

_MASK32 = 0xFFFFFFFF
_ROUND_UP, _DRAW, _PIVOT, _SWAP = range(4)
"""Last counter word of a block: what it is used for."""

"""Repeat factors are a table over class ids: 128 MiB of them."""

_TURNS = 48
_WEIGHT_BITS = 20
_CHUNK = 1024
"""Positions that are looked up together."""
_WIDE_CHUNK = 1 << 13
"""Crops that are rounded together."""


class BankSampler(Sampler[int]):
    """Numbers of crops, rare classes repeated (Gupta, Dollar, Girshick 2019, LVIS).

    A class that makes up a share ``f_c`` of the bank has the repeat factor
    ``r(c) = max(1, sqrt(threshold / f_c))``. LVIS counts images that hold the class; a crop is
    an image of its own here, of one class, so ``f_c`` is the share of the bank's crops.

    Without ``num_samples`` an epoch holds each crop ``floor(r)`` times, and once more with
    probability ``r - floor(r)``, drawn anew for each epoch; the whole in random order. With
    ``num_samples`` it is that many independent draws with replacement, a crop with probability
    proportional to ``r``.

    That list is the same on all ranks, without communication, and on all machines: it depends on
    the class ids and the arguments only. Rank ``k`` of ``n`` has its positions ``k, k + n, ...``,
    so ranks are disjoint as positions and cover it together; one crop may stand at several.
    Lengths of ranks differ by one at most; with ``drop_last`` they are equal, and what is left
    over, fewer than ``n``, is nobody's. A loader of the former has a batch more on some ranks now
    and then, for which DDP waits forever; ``BankDataLoader`` with ``drop_last`` leaves it out.

    Call :meth:`set_epoch` before every epoch, as with torch's ``DistributedSampler``: otherwise
    each is the same. A loop that needs more than an epoch holds goes on with :meth:`next_round`.

    Beside the class ids it holds one int64 per crop; drawing takes constant memory.

    Attributes:
        epoch: number of the epoch.
        round: which of the lists of that epoch this is, 0 unless :meth:`next_round` was called.
        moves: how often it went to another epoch, round or state; who iterates sees by it that
            what is left of an iteration no longer counts.
        repeat_factors: ``[C]`` float64, ``r(c)`` from class 0 to the largest id; 1 for a class
            without crops.

    Args:
        bank_or_class_ids: a bank, or the class of each of its crops, ``[N]`` integers, 0 or more
            and less than 2**24.
        threshold: share below which a class is repeated, above 0 and at most 1.
        num_samples: draws of an epoch, all ranks together; ``None`` repeats crops instead.
        seed: 0 <= seed < 2**64, the same on all ranks.
        num_replicas: the number of processes; by default as ``torch.distributed`` says where it
            is initialised, else 1.
        rank: which of them this is; likewise, else 0.
        drop_last: make all ranks equally long, which DDP needs.

    Raises:
        TypeError: on an argument of another type.
        ValueError: on a value out of range, or a bank without crops.
    """

    def __init__(
        self,
        bank_or_class_ids: InstanceBank | torch.Tensor | np.ndarray | Sequence[int],
        *,
        threshold: float = 1e-3,
        num_samples: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        drop_last: bool = False,
    ) -> None:
        self._bank_version = getattr(bank_or_class_ids, "version", None)
        self._class_ids = _class_ids(getattr(bank_or_class_ids, "crop_class_ids", bank_or_class_ids))
        self._threshold = _share("threshold", threshold)
        self._num_samples = (
            None if num_samples is None else whole_number("num_samples", num_samples, at_least=1, below=2**62)
        )
        self._seed = whole_number("seed", seed, at_least=0, below=2**64)
        if (num_replicas is None) != (rank is None):
            raise ValueError(f"rank: got {rank} with num_replicas {num_replicas}, expected both or neither")
        if num_replicas is None:
            grouped = distributed.is_available() and distributed.is_initialized()
            num_replicas = distributed.get_world_size() if grouped else 1
            rank = distributed.get_rank() if grouped else 0
        self._num_replicas = whole_number("num_replicas", num_replicas, at_least=1, below=2**31)
        self._rank = whole_number("rank", rank, at_least=0, below=self._num_replicas)
        self._drop_last = bool(drop_last)
        factors = _repeat_factors(self._class_ids, self._threshold)
        self.repeat_factors = torch.from_numpy(factors)
        self.epoch = self.round = self.moves = 0
        self._order: _Order | None = None
        self._weight_ends = None if num_samples is None else _weight_ends(self._class_ids, factors)
        self._iteration = 0
        self._place(0)

    def __len__(self) -> int:
        """Crops of this rank in the whole of the current epoch, wherever one stands in it."""
        longer = not self._drop_last and self._rank < self._current().length % self._num_replicas
        return self.common_length + longer

    def __iter__(self) -> Iterator[int]:
        """From where a loaded state stood, once; else from the epoch's beginning."""
        start = self.begin()
        self._start = 0
        return self._walk(self._iteration, self._current(), start, len(self))

    @property
    def common_length(self) -> int:
        """Crops that every rank has in the current epoch: the length of the shortest."""
        return self._current().length // self._num_replicas

    def begin(self) -> int:
        """Leave the latest iteration for the next one, which ``iter`` takes up; where it begins.

        For a loader that asks for the first crop later than its own iteration begins.
        """
        self._iteration += 1
        self._place(self._start)
        return self._start

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; the current one is not left, nor is its place.

        So a loop calls it before every epoch, the resumed one too.

        Raises:
            ValueError: if it is not within 0 <= epoch < 2**64.
        """
        epoch = whole_number("epoch", epoch, at_least=0, below=2**64)
        if epoch != self.epoch:
            self._move(epoch, 0)

    def next_round(self) -> None:
        """Go to the beginning of another list of the same epoch, drawn anew.

        A loop that has gone through the crops before its own epoch is over goes on with these:
        :meth:`set_epoch` keeps counting the loop's epochs, and none of its lists has come before.
        """
        self._move(self.epoch, self.round + 1)

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Where the latest iteration stands, and what it is an iteration of; plain values.

        The state of one rank resumes all, as they stand at the same position.

        Args:
            consumed: crops that the loop took since the latest iteration began. Workers of a
                ``DataLoader`` are handed crops ahead of the loop; without this number those
                count as taken. ``BankDataLoader.state_dict`` counts for itself.

        Raises:
            ValueError: if ``consumed`` is negative.
        """
        position = self._position
        if consumed is not None:
            position = min(
                position, self._began + whole_number("consumed", consumed, at_least=0, below=2**63)
            )
        return {**self._identity(), "epoch": self.epoch, "round": self.round, "position": position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next iteration go on where the state stood; nothing changes if it is refused.

        Raises:
            ValueError: naming the field that is missing, or of another bank, another number of
                processes or other arguments, or out of range.
        """
        expected = self._identity()
        for name in (*expected, "epoch", "round", "position"):
            if name not in state:
                raise ValueError(f"state: got none for {name!r}, expected what state_dict() gave")
        for name, value in expected.items():
            if state[name] != value:
                raise ValueError(f"state[{name!r}]: got {state[name]!r}, expected this sampler's, {value!r}")
        epoch = whole_number("state['epoch']", state["epoch"], at_least=0, below=2**64)
        round_ = whole_number("state['round']", state["round"], at_least=0, below=2**64)
        position = whole_number("state['position']", state["position"], at_least=0, below=2**63)
        order = self._order_of(epoch, round_)
        longest = -(-order.length // self._num_replicas)
        if position > longest:
            raise ValueError(f"state['position']: got {position}, expected at most {longest}")
        self._move(epoch, round_)
        self._order = order
        self._place(min(position, len(self)))

    def _move(self, epoch: int, round_: int) -> None:
        self.epoch, self.round, self._order = epoch, round_, None
        self.moves += 1
        self._iteration += 1
        self._place(0)

    def _place(self, position: int) -> None:
        self._start = self._began = self._position = position

    def _walk(self, iteration: int, order: _Order, start: int, length: int) -> Iterator[int]:
        for first in range(start, length, _CHUNK):
            places = np.arange(first, min(first + _CHUNK, length), dtype=np.int64)
            for crop in order.crops(self._rank + places * self._num_replicas).tolist():
                # An iterator that was left behind does not move the place of its successor.
                if iteration == self._iteration:
                    self._position += 1
                yield crop

    def _current(self) -> _Order:
        if self._order is None:
            self._order = self._order_of(self.epoch, self.round)
        return self._order

    def _order_of(self, epoch: int, round_: int) -> _Order:
        if self._order is not None and (epoch, round_) == (self.epoch, self.round):
            return self._order
        key = to_int64(derive_seed(self._seed, epoch, 0, 0, round_))
        if self._num_samples is None or self._weight_ends is None:
            return _Repeats(key, _repeat_ends(self._class_ids, self.repeat_factors.numpy(), key))
        return _Draws(key, self._weight_ends, self._num_samples)

    def _identity(self) -> dict[str, Any]:
        if self._bank_version is None:
            digest = hashlib.sha256(np.ascontiguousarray(self._class_ids, "<i8").data).hexdigest()
            self._bank_version = f"class-ids@{digest[:12]}"
        return {
            # Without the format: a bank that was converted is the same one.
            "bank": self._bank_version.rpartition("@")[2],
            "threshold": self._threshold,
            "num_samples": self._num_samples,
            "seed": self._seed,
            "num_replicas": self._num_replicas,
            "drop_last": self._drop_last,
        }


class _Order(Protocol):
    """The list of an epoch, all ranks together, by position."""

    @property
    def length(self) -> int: ...

    def crops(self, positions: np.ndarray) -> np.ndarray:
        """``[n]`` int64, the crops at the positions ``[n]`` int64."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Repeats:
    """Every crop as often as ``ends`` says, shuffled.

    Attributes:
        key: 64 bits as int64.
        ends: ``[N]`` int64, the sum of the repeats of the crops up to this one.
    """

    key: int
    ends: np.ndarray

    @property
    def length(self) -> int:
        return int(self.ends[-1])

    def crops(self, positions: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.ends, _shuffled(positions, self.length, self.key), side="right")


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """Independent draws.

    Attributes:
        key: 64 bits as int64.
        ends: ``[N]`` int64, the sum of the weights of the crops up to this one, below 2**53.
        length: how many.
    """

    key: int
    ends: np.ndarray
    length: int

    def crops(self, positions: np.ndarray) -> np.ndarray:
        words = _words(self.key, positions & _MASK32, positions >> 32, 0, _DRAW)
        # 53 bits and one multiplication: the same float on every machine.
        uniform = ((words[:, 0] >> 5 << 26) + (words[:, 1] >> 6)) * 2.0**-53
        drawn = np.minimum((uniform * float(self.ends[-1])).astype(np.int64), self.ends[-1] - 1)
        return np.searchsorted(self.ends, drawn, side="right")


def _shuffled(places: np.ndarray, length: int, key: int) -> np.ndarray:
    """A random permutation of ``range(length)`` at some places, without the rest of it.

    Swap-or-not (Hoang, Morris, Rogaway 2012): a turn pairs ``x`` with ``pivot - x``, and a coin of
    the pair's says whether they change places.
    """
    from segpaste.bank.shuffle_kernels import swap_or_not

    words = _words(key, np.arange(_TURNS), 0, 0, _PIVOT)[:, :2].tolist()
    pivots = np.array([(low | high << 32) % length for low, high in words])
    result = places.copy()
    swap_or_not(result, length, key, pivots, np.uint64(_SWAP))
    return result


def _repeat_factors(class_ids: np.ndarray, threshold: float) -> np.ndarray:
    """``[C]`` float64."""
    counts = np.bincount(class_ids)
    factors = np.sqrt(threshold * len(class_ids) / np.maximum(counts, 1))
    return np.where(counts > 0, np.maximum(factors, 1.0), 1.0)


def _repeat_ends(class_ids: np.ndarray, factors: np.ndarray, key: int) -> np.ndarray:
    """``[N]`` int64, what :class:`_Repeats` wants."""
    whole = np.floor(factors)
    up = np.rint((factors - whole) * 2.0**32).astype(np.int64)
    whole = whole.astype(np.int64)
    ends = np.empty(len(class_ids), np.int64)
    for first in range(0, len(ends), _WIDE_CHUNK):
        classes = class_ids[first : first + _WIDE_CHUNK]
        crops = np.arange(first, first + len(classes), dtype=np.int64)
        words = _words(key, crops & _MASK32, crops >> 32, 0, _ROUND_UP)
        ends[first : first + len(classes)] = whole[classes] + (words[:, 0] < up[classes])
    return np.cumsum(ends, out=ends)


def _weight_ends(class_ids: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """``[N]`` int64, what :class:`_Draws` wants: repeat factors as fixed-point numbers."""
    total = float(np.dot(np.bincount(class_ids), factors))
    bits = min(_WEIGHT_BITS, 52 - math.ceil(math.log2(total)))
    weights = np.rint(factors * 2.0**bits).astype(np.int64)
    ends = weights[class_ids]
    return np.cumsum(ends, out=ends)


def _words(key: int, *counter: int | np.ndarray) -> np.ndarray:
    """``[n, 4]`` int64; the first word of the counter is ``[n]``."""
    words = (torch.from_numpy(word) if isinstance(word, np.ndarray) else word for word in counter)
    return philox_words(torch.tensor(key, device="cpu"), *words).numpy()


def _class_ids(given: Any) -> np.ndarray:
    """``[N]`` int64, the same memory where it has that dtype."""
    array = given.detach().cpu().numpy() if isinstance(given, torch.Tensor) else np.asarray(given)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"bank_or_class_ids: got {type(given).__name__} of {array.dtype} {list(array.shape)}, "
            "expected a bank or its class ids, [N] integers"
        )
    if not array.size:
        raise ValueError("bank_or_class_ids: got no crop, expected at least one")
    if int(array.min()) < 0 or int(array.max()) >= MAX_CLASSES:
        wrong = int(array.min()) if int(array.min()) < 0 else int(array.max())
        raise ValueError(
            f"bank_or_class_ids: got class {wrong}, expected 0 or more and less than {MAX_CLASSES}"
        )
    return array.astype(np.int64, copy=False)


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
        raise TypeError(f"{name}: got {type(value).__name__}, expected a float")
    if not 0 < value <= 1:
        raise ValueError(f"{name}: got {value}, expected a share of the crops, above 0 and at most 1")
    return float(value)

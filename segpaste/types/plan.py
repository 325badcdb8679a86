"""The plan of a paste: everything random about it, as small integer tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch

_SPEC: dict[str, tuple[int, torch.dtype]] = {
    "source_idx": (1, torch.int64),
    "step": (1, torch.int64),
    "translate": (2, torch.int64),
    "hflip": (1, torch.bool),
    "order": (2, torch.int64),
    "count": (1, torch.int64),
    "mix_key": (1, torch.int64),
}

LARGEST_STEP = 2**31
FARTHEST_TRANSLATION = 2**28


@dataclass(frozen=True, slots=True)
class PastePlan:
    """What is pasted where, for a batch of ``B`` targets and ``K_s`` source slots.

    Attributes:
        source_idx: ``[B]`` int64, row of the source view each target is pasted from.
        step: ``[B]`` int64, inverse scale in Q16 (65536 is scale 1), 1 to 2**31.
        translate: ``[B, 2]`` int64, (ty, tx) in target pixels, -2**28 to 2**28. Within
            these limits no coordinate leaves int64.
        hflip: ``[B]`` bool, whether the source is mirrored.
        order: ``[B, K_s]`` int64, a permutation of the source slots.
        count: ``[B]`` int64, how many rows are asked for; 0 pastes nothing.
        mix_key: ``[B]`` int64, the 64-bit key (two's complement) of the class mix.

    Raises:
        TypeError, ValueError: if a field has another dtype or shape, ``step`` or
            ``translate`` is beyond its limits, ``count`` is negative, or a row of ``order``
            is no permutation. Values are checked on the CPU only.
    """

    source_idx: torch.Tensor
    step: torch.Tensor
    translate: torch.Tensor
    hflip: torch.Tensor
    order: torch.Tensor
    count: torch.Tensor
    mix_key: torch.Tensor

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        for name in _SPEC:
            if not isinstance(getattr(self, name), torch.Tensor):
                raise TypeError(
                    f"plan.{name}: got {type(getattr(self, name)).__name__}, expected a torch.Tensor"
                )
        batch = self.source_idx.shape[0] if self.source_idx.ndim else 0
        device = self.source_idx.device
        for name, (ndim, dtype) in _SPEC.items():
            value: torch.Tensor = getattr(self, name)
            if value.device != device:
                raise ValueError(
                    f"plan.{name}: got device {value.device}, expected that of source_idx, {device}"
                )
            if value.dtype != dtype:
                raise TypeError(f"plan.{name}: got dtype {value.dtype}, expected {dtype}")
            if value.ndim != ndim or value.shape[0] != batch:
                expected = "[B]" if ndim == 1 else "[B, 2]" if name == "translate" else "[B, K_s]"
                raise ValueError(
                    f"plan.{name}: got shape {list(value.shape)}, expected {expected} with B = {batch}"
                )
        if self.translate.shape[1] != 2:
            raise ValueError(f"plan.translate: got shape {list(self.translate.shape)}, expected [B, 2]")
        if self.step.device.type == "cpu":
            self._check_values()

    def _check_values(self) -> None:
        for name, low in (("source_idx", 0), ("step", 1), ("count", 0)):
            value: torch.Tensor = getattr(self, name)
            if bool((value < low).any()):
                raise ValueError(f"plan.{name}: got {int(value.min())}, expected at least {low}")
        for name, high in (("step", LARGEST_STEP), ("translate", FARTHEST_TRANSLATION)):
            value = getattr(self, name)
            if bool((value.abs() > high).any()):
                raise ValueError(
                    f"plan.{name}: got {int(value[value.abs() > high][0])}, expected at most {high} in size"
                )
        slots = torch.arange(self.order.shape[1], device=self.order.device)
        if not torch.equal(self.order.sort(dim=1).values, slots.expand_as(self.order)):
            raise ValueError("plan.order: got rows with repeats or gaps, expected permutations of 0..K_s-1")

    @property
    def batch_size(self) -> int:
        """B."""
        return self.source_idx.shape[0]

    def select(self, index: int) -> PastePlan:
        """The plan of sample ``index`` alone, with B = 1."""
        return PastePlan(**{name: getattr(self, name)[index : index + 1] for name in _SPEC})

    def to(self, device: torch.device | str) -> PastePlan:
        """The same plan on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis and IPython show it: as ``repr`` does, not field by field."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        if self.batch_size > 4 or self.order.shape[1] > 16 or self.step.device.type != "cpu":
            return f"PastePlan(B={self.batch_size}, K_s={self.order.shape[1]})"
        rows = [
            f"from {int(self.source_idx[b])} step {int(self.step[b])} at {tuple(self.translate[b].tolist())}"
            f"{' flipped' if bool(self.hflip[b]) else ''}, first {int(self.count[b])} of "
            f"{self.order[b].tolist()}"
            for b in range(self.batch_size)
        ]
        return f"PastePlan({'; '.join(rows)})"

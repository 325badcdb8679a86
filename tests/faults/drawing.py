"""Faults in the drawing of a plan (4.0, 4.1).

Every plan within its bounds is legal, so that no law judges how one was drawn: the frozen
seeds do, which keep a digest of every plan.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from segpaste.goldens.cases import FrozenCase, frozen_cases
from segpaste.goldens.digests import PLAN, given_digests
from segpaste.goldens.store import FrozenStore
from segpaste.paste import plan
from segpaste.paste.settings import PasteSettings
from tests.faults.fault import described

KINDS = ("instance", "instance+semantic")
"""The frozen sets on which plans are compared."""

correct: Any = SimpleNamespace(**vars(plan))
"""The steps of the drawing, by their names there, as they are while no fault holds."""


@dataclass(frozen=True)
class DrawingFault:
    """One mistake in an otherwise correct drawing.

    Attributes:
        name: the name of the function.
        mistake: what is wrong, in one line.
        breaks: the clause of the specification.
        steps: the functions of ``segpaste.paste.plan`` that it replaces, by name.
    """

    name: str
    mistake: str
    breaks: str
    steps: dict[str, Any]

    def holds(self) -> AbstractContextManager[Any]:
        """While it holds, plans are drawn with this mistake."""
        return patch.multiple(plan, **self.steps)


def first_caught(fault: DrawingFault) -> str | None:
    """The first frozen case whose plan is drawn otherwise than when it was frozen, if any."""
    store = FrozenStore()
    with fault.holds():
        for one in _drawn_cases():
            again = FrozenCase(one.seed, one.kind, one.dtype)  # draws its plan anew
            if given_digests(again)[PLAN] != store.digests_of(one)[PLAN]:
                return str(one)
    return None


@cache
def _drawn_cases() -> tuple[FrozenCase, ...]:
    return tuple(frozen_cases(KINDS, ["uint8"]))


DRAWING: dict[str, DrawingFault] = {}
"""Every fault of the drawing by its name."""


def _fault(breaks: str) -> Callable[[Callable[[], dict[str, Any]]], None]:
    """Makes a fault of a function whose docstring says what is wrong, and which returns the wrong steps."""

    def made(function: Callable[[], dict[str, Any]]) -> None:
        name = function.__name__
        DRAWING[name] = DrawingFault(name, described(function), breaks, function())

    return made


def _with_settings(change: Callable[[PasteSettings], dict[str, Any]]) -> dict[str, Any]:
    """The drawing by other settings."""

    def settings_of(config: Any) -> PasteSettings:
        settings = correct.settings_of(config)
        return replace(settings, **change(settings))

    return {"settings_of": settings_of}


@_fault("4.0: order")
def order_is_descending() -> dict[str, Any]:
    """Slots are sorted by their words from the largest to the smallest."""

    def draw_words(seeds: torch.Tensor, slots: int) -> Any:
        *words, order = correct._draw_words(seeds, slots)
        return *words, order.flip(1)

    return {"_draw_words": draw_words}


@_fault("4.0: one word per slot index")
def order_shares_its_words() -> dict[str, Any]:
    """The words of the order are those of scale, flip and place once more."""
    return {"_ORDER": correct._SCALARS}


@_fault("4.0: step")
def step_is_cut_off() -> dict[str, Any]:
    """``step`` is 65536 / scale cut off, not rounded."""

    def draw_step(word: torch.Tensor, scale_q16: tuple[int, int]) -> torch.Tensor:
        low, high = scale_q16
        scale = low + correct.uniform_below(word, high - low + 1)
        return (2**32 // scale).clamp(min=1)

    return {"_draw_step": draw_step}


@_fault("4.0: scale_range")
def step_is_uniform() -> dict[str, Any]:
    """The inverse of the scale is drawn uniformly, so that small scales are rare."""

    def draw_step(word: torch.Tensor, scale_q16: tuple[int, int]) -> torch.Tensor:
        low, high = (2**32 // side for side in reversed(scale_q16))
        return low + correct.uniform_below(word, high - low + 1)

    return {"_draw_step": draw_step}


@_fault("4.0: scale_range")
def largest_scale_is_never_drawn() -> dict[str, Any]:
    """The scale is drawn below the upper end of ``scale_range``, and never is it."""
    return _with_settings(lambda s: {"scale_q16": (s.scale_q16[0], max(s.scale_q16[1] - 1, s.scale_q16[0]))})


@_fault("4.1: count from k_range")
def largest_count_is_never_drawn() -> dict[str, Any]:
    """The count is drawn below the upper end of ``k_range``, and never is it."""
    return _with_settings(lambda s: {"k_range": (s.k_range[0], max(s.k_range[1] - 1, s.k_range[0]))})


@_fault("4.1: 0 with probability 1 - paste_prob")
def paste_prob_is_inverted() -> dict[str, Any]:
    """Nothing is pasted with probability ``paste_prob``."""
    return _with_settings(lambda s: {"paste_below": 2**32 - s.paste_below})


@_fault("4.0: hflip_probability")
def flips_are_always_even() -> dict[str, Any]:
    """One sample in two is mirrored, whatever ``hflip_probability`` says."""
    return _with_settings(lambda s: {"hflip_below": 2**31})


@_fault("4.1: oversize_policy")
def too_large_a_group_is_skipped() -> dict[str, Any]:
    """A group that does not fit is never scaled down."""
    return _with_settings(lambda s: {"shrink": False})


@_fault("4.1: first scaled down to fit")
def group_is_shrunk_a_little_too_little() -> dict[str, Any]:
    """The step at which a group just fits is one too small."""

    def fit(group: Any, step: torch.Tensor, extent: Any, shrink: bool) -> Any:
        enlarged, fits = correct._fit(group, step, extent, shrink)
        return torch.where(enlarged > step, enlarged - 1, step), fits

    return {"_fit": fit}


@_fault("4.1: inside the target's valid rectangle")
def group_lands_anywhere_on_the_canvas() -> dict[str, Any]:
    """Places on the target's padding are drawn, too."""

    def valid_extent(view: Any) -> torch.Tensor:
        return torch.tensor([view.canvas_size] * view.batch_size)

    return {"valid_extent": valid_extent}


@_fault("4.1: uniform over all positions")
def last_place_is_never_drawn() -> dict[str, Any]:
    """A group never lies at the lower or the right border."""

    def uniform_below(word: torch.Tensor, bound: Any) -> torch.Tensor:
        places = (bound - 1).clamp(min=1) if isinstance(bound, torch.Tensor) else bound
        return correct.uniform_below(word, places)

    return {"uniform_below": uniform_below}


@_fault("4.1: the group")
def group_has_rows_that_are_not_pasted() -> dict[str, Any]:
    """The box of the group is that of all eligible rows, however few are pasted."""
    return {"_chosen_slots": lambda target, eligible, order, count: eligible}


@_fault("4.1: min(count, F)")
def group_has_rows_without_a_slot() -> dict[str, Any]:
    """The box of the group has rows for which the target has no slot."""

    def chosen_slots(target: Any, eligible: Any, order: Any, count: Any) -> torch.Tensor:
        roomy = SimpleNamespace(instance_valid=torch.zeros((len(order), 1000), dtype=torch.bool))
        return correct._chosen_slots(roomy, eligible, order, count)

    return {"_chosen_slots": chosen_slots}


@_fault("4.1: the scaled bounding box of the group")
def group_is_not_mirrored() -> dict[str, Any]:
    """The box of the group is that before the flip."""

    def group_box(source: Any, source_idx: Any, spans: Any, chosen: Any, hflip: torch.Tensor) -> torch.Tensor:
        return correct._group_box(source, source_idx, spans, chosen, torch.zeros_like(hflip))

    return {"_group_box": group_box}


@_fault("4.1: with a schema: thing classes only")
def group_has_rows_of_stuff() -> dict[str, Any]:
    """Rows of stuff classes count when the group is placed."""

    def eligible(source: Any, spans: torch.Tensor, *rest: Any) -> torch.Tensor:
        return source.instance_valid & (spans[:, :, 2] > 0)

    return {"_eligible": eligible}


@_fault("4.0: uniform over the other rows of the batch")
def next_sample_is_the_source() -> dict[str, Any]:
    """The source of a sample is the one after it in the batch, never another."""

    def draw_from_settings(target: Any, *rest: Any, source_idx: Any = None) -> Any:
        batch = target.batch_size
        if source_idx is None and batch > 1:
            source_idx = (torch.arange(batch) + 1) % batch
        return correct.draw_from_settings(target, *rest, source_idx=source_idx)

    return {"draw_from_settings": draw_from_settings}

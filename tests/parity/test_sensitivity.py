"""The parity suite tested: one number taken wrongly by an executor is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings

from segpaste.paste import graph
from segpaste.paste.settings import PasteSettings, settings_of
from segpaste.strategies import PasteCase
from segpaste.testing.parity import PICTURE_FOLDER, ParityError
from segpaste.types import Modality, PastePlan
from tests.parity.agreement import Manner, expect_the_references_bits
from tests.parity.drawn import cases

EVERYTHING = frozenset(Modality)
CLASS_MIX = frozenset({Modality.IMAGE, Modality.SEMANTIC})
ONLY_DRAWING = {
    "scale_q16",
    "hflip_below",
    "paste_below",
    "k_range",
    "shrink",
    "pad_to_multiple",
    "alignment",
}
NEVER_TRUE = {"debug_assert_bijection"}

SETTINGS: dict[str, Callable[[Any], Any]] = {
    "has_schema": lambda given_: False,
    "ignore_index": lambda given_: given_ + 1,
    "reverts": lambda given_: not given_,
    "tau_stuff_q16": lambda given_: given_ + 1,
    "min_residual_q16": lambda given_: given_ + 1,
    "min_area": lambda given_: given_ + 1,
    "min_pasted_area": lambda given_: given_ + 1,
    "z_test": lambda given_: not given_,
}
"""Settings that a paste reads, each read wrongly by the least that can be."""

PLANS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "source_idx": lambda given_: given_ * 0,
    "step": lambda given_: given_ + 1,
    "translate": lambda given_: given_ + 1,
    "hflip": lambda given_: ~given_,
    "order": lambda given_: given_.flip(1),
    "count": lambda given_: (given_ - 1).clamp(min=0),
}


def test_every_number_that_a_paste_reads_is_here() -> None:
    assert {f.name for f in fields(PasteSettings)} == {*SETTINGS, *ONLY_DRAWING, *NEVER_TRUE}
    assert {f.name for f in fields(PastePlan)} == {*PLANS, "mix_key"}


def _finds(modalities: frozenset[Modality], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PICTURE_FOLDER, str(tmp_path))

    # Most are found within a few examples. One in twenty-five leaves a stuff class exactly at
    # its threshold, and each of the twelve sets with a semantic map has a hundred of them.
    @settings(phases=[Phase.generate], report_multiple_bugs=False, max_examples=400)
    @given(cases(modalities, detection=False))
    def agrees(case: PasteCase) -> None:
        # Without the audit, which holds the plan itself.
        expect_the_references_bits(case, "graph", Manner(audit=False))

    with pytest.raises(ParityError):
        agrees()
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_read_wrongly_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(config: Any) -> PasteSettings:
        right = settings_of(config)
        return replace(right, **{name: SETTINGS[name](getattr(right, name))})

    monkeypatch.setattr(graph, "settings_of", wrong)
    _finds(EVERYTHING, tmp_path, monkeypatch)


def _with_wrong_plan(
    monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    right = graph.run_graph

    def wrong(target: Any, source: Any, plan: PastePlan, config: Any, **options: Any) -> Any:
        misread = replace(plan, **{name: change(getattr(plan, name))})
        return right(target, source, misread, config, **options)

    monkeypatch.setattr(graph, "run_graph", wrong)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_read_wrongly_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_wrong_plan(monkeypatch, name, PLANS[name])
    _finds(EVERYTHING, tmp_path, monkeypatch)


def test_a_mix_key_read_wrongly_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_wrong_plan(monkeypatch, "mix_key", lambda given_: given_ ^ (1 << 40))
    _finds(CLASS_MIX, tmp_path, monkeypatch)

"""Laws compute where the sample lies: no tensor is made on the default device.

Only a GPU could show the mistake in a result; here every call that makes or moves a tensor is watched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from segpaste.invariants import MetamorphicCase, check_metamorphic, check_padded, check_paste, check_sample
from segpaste.invariants.averted import carried_over
from segpaste.invariants.bits import differs
from segpaste.invariants.sample_case import SampleCase
from segpaste.types import DenseSample
from tests.invariants.invariant_cases import dense, joined_cases, paste_by_expectation
from tests.invariants.test_no_audit import H, W, fields_of, scene
from tests.invariants.test_tiny_pastes import pastes
from tests.parity.drawn import KINDS

LAWS_FOLDER = Path(sys.modules["segpaste.invariants"].__file__ or "").resolve().parent
MAKERS = (torch.tensor, torch.zeros, torch.ones, torch.full, torch.arange, torch.empty, torch.eye)


class Watch(TorchFunctionMode):
    """Notes where a law makes a tensor without saying on which device, or moves one to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.made = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        moves = func is torch.Tensor.to
        if func in MAKERS or moves:
            frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
            path = Path(frame.f_code.co_filename)
            if path.resolve().parent == LAWS_FOLDER:
                self.made += not moves
                if args[1:2] == (None,) if moves else kwargs.get("device") is None:
                    self.found.add(f"{path.name}: torch.{func.__name__} in {frame.f_code.co_name}")
        return func(*args, **kwargs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_paste_is_judged_where_it_lies(kind: str) -> None:
    with Watch() as watch:
        for case, out, told in pastes(kind)[:2]:
            check_padded(out)
            check_sample(out, case.schema, before=case.target, source=case.source)
            check_sample(dense(out), case.schema, before=dense(case.target), source=dense(case.source))
            check_paste(case.target, out, told, source=case.source)
            check_paste(case.target, out, schema=case.schema)
            check_paste(dense(case.target), dense(out), told, source=case.source)
    assert watch.made > 0
    assert watch.found == set()


def test_averted_normals_are_looked_up_where_they_lie() -> None:
    away = torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1).expand(3, 2, 2)
    with Watch() as watch:
        assert bool(carried_over(away, away, away[2] > 0).all())
    assert watch.made > 0
    assert watch.found == set()


def test_what_is_seldom_made_lies_there_too() -> None:
    before = scene({5: (1, 0, 1)})
    padded = DenseSample.unchecked(**(fields_of(before) | {"padding_mask": torch.ones(1, H, W).bool()}))
    with Watch() as watch:
        (report,) = check_sample(padded, before=before, only="padding.carries_no_labels")
        assert report.count == H * W
        assert not bool(SampleCase(before, before=before).touched(("image",)).any())
        assert bool(differs(torch.zeros(2, dtype=torch.int32), torch.zeros(2, dtype=torch.int64)).all())
    assert watch.made > 0
    assert watch.found == set()


@pytest.mark.parametrize("kind", ["instance", "semantic", "instance+semantic+panoptic+depth+normals"])
def test_runs_are_compared_where_they_lie(kind: str) -> None:
    case = joined_cases(3, 2, KINDS[kind][0])
    several = MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
    with Watch() as watch:
        check_metamorphic(several)
    assert watch.made > 0
    assert watch.found == set()

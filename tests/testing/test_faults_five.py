"""Five wrong copy-pastes fail by the right law, with a small example, code and a picture."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from segpaste.testing import Result, check_augmentation
from segpaste.testing.pictures import violation_strip
from tests.faults_five import FAULTS

SETS = ["instance+semantic+panoptic+depth+normals", "instance+semantic"]


@cache
def _failed(name: str) -> dict[str, Result]:
    fault = FAULTS[name]
    results = check_augmentation(
        fault.augment, modalities=SETS, examples=100, on_fail="record", only=fault.law
    )
    return {result.law: result for result in results if result.status == "failed"}


@pytest.mark.parametrize("name", FAULTS)
def test_the_right_law_fails_with_an_example_of_a_few_pixels(name: str) -> None:
    fault = FAULTS[name]
    failed = _failed(name)
    assert list(failed) == [fault.law]
    minimal = failed[fault.law].minimal
    assert minimal is not None
    height, width = minimal.before.canvas_size
    assert height * width <= 16
    assert minimal.donor is not None
    assert len(minimal.before) + len(minimal.donor) <= 4
    assert minimal.report.message


@pytest.mark.parametrize("name", FAULTS)
def test_the_code_reproduces_the_very_violation(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = _failed(name)[FAULTS[name].law]
    assert result.minimal is not None
    namespace: dict[str, Any] = {}
    exec(compile(result.minimal.code, "reproduction", "exec"), namespace)
    violated = [r for r in namespace["reports"] if r.status == "violated"]
    assert [str(r) for r in violated] == [result.violation]
    assert str(result.violation) in capsys.readouterr().out


@pytest.mark.parametrize("name", FAULTS)
def test_the_picture_shows_something_and_is_not_huge(name: str) -> None:
    minimal = _failed(name)[FAULTS[name].law].minimal
    assert minimal is not None
    picture = violation_strip(minimal)
    assert 300 < picture.width < 1500
    assert 150 < picture.height < 2500
    assert len(picture.getcolors(1 << 24) or []) > 10


def test_the_replay_id_is_of_the_example_and_the_law() -> None:
    ids = {name: _failed(name)[FAULTS[name].law].replay_id for name in FAULTS}
    assert len(set(ids.values())) == len(FAULTS)
    assert all(i is not None and len(i) == 8 and int(i, 16) >= 0 for i in ids.values())

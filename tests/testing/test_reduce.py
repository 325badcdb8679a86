"""Making examples smaller: they stay legal, and shrink to what matters."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segpaste.paste.inputs import check_plan, check_views
from segpaste.strategies import PasteCase, paste_cases
from segpaste.testing.examples import Example
from segpaste.testing.reduce import reduced
from segpaste.types import Modality


def _example(case: PasteCase) -> Example:
    return Example(case.target, case.source, case.plan, case.config, case.seed)


def _check(example: Example) -> None:
    check_views(example.target, example.source, example.config)
    check_plan(example.target, example.source, example.plan)
    example.target.validate()
    example.source.validate()


@pytest.mark.parametrize("planned", [True, False])
@settings(max_examples=15)
@given(case=paste_cases(max_batch=2), salt=st.integers(0, 2**16))
def test_every_proposal_is_a_legal_input(planned: bool, case: PasteCase, salt: int) -> None:
    tried = 0

    def wanted(example: Example) -> bool:
        nonlocal tried
        tried += 1
        _check(example)
        return (tried * 2654435761 + salt) % 7 < 2  # now and then, so that it walks about

    found = reduced(_example(case), wanted, planned=planned, max_seconds=5, max_tries=60)
    _check(found)


@settings(max_examples=10)
@given(case=paste_cases(frozenset(Modality), max_batch=2))
def test_what_is_not_needed_goes(case: PasteCase) -> None:
    assume(case.target.batch_size > 0)
    found = reduced(_example(case), lambda example: True, planned=True, max_seconds=20)
    assert found.target.batch_size == found.source.batch_size == 1
    assert found.target.canvas_size == (1, 1)
    assert found.target.max_instances == found.source.max_instances == 0
    assert len(found.target.active_modalities()) == 2
    assert found.config.model_dump(exclude_defaults=True).keys() <= {"panoptic"}


@settings(max_examples=5)
@given(case=paste_cases(frozenset({Modality.INSTANCE}), max_batch=1, max_side=6))
def test_what_is_needed_stays(case: PasteCase) -> None:
    def rows(example: Example) -> int:
        return int(example.target.instance_valid.sum())

    assume(case.target.batch_size == 1)
    before = rows(_example(case))
    found = reduced(
        _example(case), lambda example: rows(example) == before, planned=True, max_seconds=20, max_tries=300
    )
    assert rows(found) == before
    assert found.target.max_instances == before

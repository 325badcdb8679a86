"""Programs that reproduce: for executors, by kind of law, and for other devices."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from segpaste.paste import apply_reference
from segpaste.strategies import PasteCase, paste_cases
from segpaste.testing import Result, RunOptions, resolve_target, run
from segpaste.testing.examples import Example
from segpaste.testing.judge import law_kind, law_names
from segpaste.testing.reproduce import replay_id, reproduction
from segpaste.testing.targets import Executor
from segpaste.types import Modality
from tests.faults_five import correct

PANOPTIC = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})


def wrong(target: Any, source: Any, plan: Any, config: Any) -> Any:
    """An executor that leaves boxes in unused slots, shifts the others, and forgets the flip."""
    after, audit = apply_reference(target, source, plan, config)
    after.boxes.add_(1)
    if bool(plan.hflip.any()):
        raise NotImplementedError("flip")
    return after, audit


@pytest.fixture(scope="module")
def failed() -> dict[str, Result]:
    """Every law that the wrong executor violates."""
    target = Executor("wrong", wrong, "from tests.testing.test_reproduce import wrong as apply")
    report = run([target], RunOptions(modalities=(PANOPTIC,), examples=30))
    return {result.law: result for result in report.targets[0].failed}


def test_every_kind_of_violation_is_reproduced(failed: dict[str, Result]) -> None:
    kinds = {law_kind(law) for law in failed}
    assert kinds == {"target", "sample", "padded", "paste", "metamorphic"}
    for law, result in failed.items():
        assert result.minimal is not None
        namespace: dict[str, Any] = {}
        exec(compile(result.minimal.code, law, "exec"), namespace)
        violated = [report for report in namespace["reports"] if report.status == "violated"]
        assert [report.name for report in violated] == [law], result.minimal.code
        if law_kind(law) != "target":
            assert violated[0].message == result.minimal.report.message
        assert result.minimal.replay_id == replay_id(result.target, result.minimal.code)


@settings(max_examples=10)
@given(case=paste_cases(max_batch=2))
def test_programs_run_for_every_law_and_find_nothing_in_the_reference(case: PasteCase) -> None:
    if case.target.batch_size == 0:
        return
    example = Example(case.target, case.source, case.plan, case.config, case.seed)
    for law in law_names()[::7]:
        for target in (resolve_target("reference"), resolve_target(correct)):
            namespace: dict[str, Any] = {}
            exec(compile(reproduction(target, example, law), law, "exec"), namespace)
            assert not any(report.status == "violated" for report in namespace["reports"]), law


def test_the_device_is_part_of_the_program(failed: dict[str, Result]) -> None:
    result = next(iter(failed.values()))
    assert result.minimal is not None
    for name in ("reference", correct):
        code = reproduction(resolve_target(name), result.minimal.example, result.law, device="cuda")
        assert '.to("cuda")' in code
        compile(code, "reproduction", "exec")

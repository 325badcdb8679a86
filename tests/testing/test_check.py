"""``check_augmentation``: verdicts, arguments, determinism, and the reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.invariants import InvariantViolation
from segpaste.paste import apply_reference
from segpaste.testing import AugmentationViolation, Event, Result, TargetNotFoundError, check_augmentation
from segpaste.testing.events import ExampleJudged, RunFinished, RunStarted, ShrinkStarted, TargetStarted
from segpaste.testing.judge import COMPLETES, law_names
from segpaste.testing.targets import Executor, resolve_target
from segpaste.types import Modality, PanopticSchemaSpec
from tests.faults_five import correct
from tests.testing import augmentations

ONE_SET = ["instance+semantic+panoptic"]


def _record(aug: str | Callable[..., Any] | Executor, **options: Any) -> dict[str, Result]:
    results = check_augmentation(aug, on_fail="record", **options)  # pyright: ignore[reportArgumentType]
    return {result.law: result for result in results}


def test_the_reference_holds_every_law_by_name_and_as_a_callable() -> None:
    by_name = _record("reference", examples=48)
    assert [r.law for r in by_name.values() if r.status == "failed"] == []
    assert sum(r.status == "passed" for r in by_name.values()) > 40
    assert list(by_name) == law_names()
    as_callable = _record(correct, examples=48)
    assert [r.law for r in as_callable.values() if r.status == "failed"] == []
    assert as_callable["instance.bbox_recomputed_from_mask"].status == "passed"


def test_counts_are_of_examples() -> None:
    result = _record("reference", examples=20, modalities=ONE_SET)[COMPLETES]
    assert (result.tried, result.exercised, result.violations) == (20, 20, 0)
    assert result.examples_per_second > 0
    assert result.replay_id is None


def test_laws_of_absent_modalities_are_not_applicable() -> None:
    results = _record("reference", examples=10, modalities=ONE_SET, only="depth.*")
    assert results
    assert {r.status for r in results.values()} == {"not applicable"}
    assert {r.tried for r in results.values()} == {0}


def test_a_law_whose_premise_never_held_is_not_passed() -> None:
    results = _record(augmentations.identity, examples=20, modalities=ONE_SET, only="paste.*")
    assert "passed" not in {r.status for r in results.values() if r.law == "paste.not_on_ignore"}
    assert not any(r.status == "failed" for r in results.values())
    assert any(r.reason for r in results.values())


def test_without_an_audit_what_cannot_be_inferred_is_not_decidable() -> None:
    results = _record(augmentations.Correct, examples=48)
    assert "failed" not in {r.status for r in results.values()}
    undecided = [r for r in results.values() if r.status == "not decidable"]
    assert undecided
    assert all(r.exercised == 0 and r.reason for r in undecided)


def test_the_same_seed_gives_the_same_results() -> None:
    def facts(seed: int) -> list[tuple[Any, ...]]:
        results = _record(augmentations.raises_with_rows, examples=30, seed=seed).values()
        return [(r.law, r.status, r.tried, r.exercised, r.violations, r.first, r.replay_id) for r in results]

    assert facts(3) == facts(3)
    assert facts(3) != facts(4)


def test_an_exception_is_a_violation_with_its_last_line_and_place() -> None:
    results = _record(augmentations.raises_with_rows, examples=40, modalities=ONE_SET)
    result = results[COMPLETES]
    assert result.status == "failed"
    assert result.violation is not None
    assert result.violation.startswith(
        "[target.completes] raised IndexError: row 1 is out of range (augmentations.py:"
    )
    assert "nobody needs" not in result.violation
    assert result.minimal is not None
    assert len(result.minimal.before) == 2
    assert result.minimal.after is None
    assert torch.tensor(result.minimal.before.canvas_size).prod() <= 4


def test_leaving_the_program_is_a_violation() -> None:
    result = _record(augmentations.gives_up, examples=3, modalities=ONE_SET)[COMPLETES]
    assert result.status == "failed"
    assert result.violation is not None
    assert result.violation.startswith("[target.completes] raised SystemExit: 0 (augmentations.py:")


def test_an_executor_that_leaves_the_program_is_a_violation() -> None:
    def leaves(target: Any, source: Any, plan: Any, config: Any) -> Any:
        raise SystemExit("enough")

    result = _record(Executor("leaves", leaves, ""), examples=3, modalities=ONE_SET)[COMPLETES]
    assert result.violation is not None
    assert result.violation.startswith("[target.completes] raised SystemExit: enough (test_check.py:")


def test_the_place_of_an_exception_is_the_targets_own_line() -> None:
    result = _record(augmentations.stumbles_inside_segpaste, examples=3, modalities=ONE_SET)[COMPLETES]
    assert result.violation is not None
    assert re.search(r" \(augmentations\.py:\d+\)$", result.violation)


def test_an_interrupt_is_no_violation() -> None:
    def interrupted(target: Any, donor: Any, seed: int) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _record(interrupted, examples=3, modalities=ONE_SET)


@pytest.mark.parametrize(
    ("aug", "returned"),
    [
        (augmentations.returns_a_dict, "a dict"),
        (augmentations.returns_three, "(DenseSample, DenseSample, int)"),
    ],
)
def test_what_is_no_sample_is_a_violation(aug: Callable[..., Any], returned: str) -> None:
    result = _record(aug, examples=5, modalities=ONE_SET)[COMPLETES]
    assert result.status == "failed"
    assert result.violation is not None
    assert f"returned {returned}, expected a DenseSample" in result.violation


def test_an_executor_must_return_a_batch_and_an_audit() -> None:
    wrong = Executor("wrong", lambda t, s, p, c: apply_reference(t, s, p, c)[0], "")  # pyright: ignore[reportArgumentType]
    result = _record(wrong, examples=5, modalities=ONE_SET)[COMPLETES]
    assert result.violation is not None
    assert (
        "returned a PaddedBatchedDenseSample, expected (PaddedBatchedDenseSample, Batch" in result.violation
    )


def test_an_executor_that_drops_a_sample_is_found_out() -> None:
    def short(target: Any, source: Any, plan: Any, config: Any) -> Any:
        after, audit = apply_reference(target, source, plan, config)
        return after.gather(slice(0, 1)), audit

    result = _record(Executor("short", short, ""), examples=40, modalities=ONE_SET)[COMPLETES]
    assert result.status == "failed"
    assert result.violation is not None
    assert "expected B = " in result.violation


def test_an_executor_that_raises_is_a_violation_even_in_a_laws_variation() -> None:
    def raises_without_flip(target: Any, source: Any, plan: Any, config: Any) -> Any:
        if target.batch_size == 1 and target.max_instances > 6:
            raise RuntimeError("too many slots")
        return apply_reference(target, source, plan, config)

    results = _record(Executor("narrow", raises_without_flip, ""), examples=60, modalities=ONE_SET)
    result = results[COMPLETES]
    assert result.violation is not None
    assert "raised RuntimeError: too many slots" in result.violation
    assert result.minimal is not None
    assert result.minimal.example.target.max_instances > 6


def test_writing_to_the_input_is_found_out_and_harms_no_other_law() -> None:
    results = _record(augmentations.writes_to_its_input, examples=20, modalities=ONE_SET)
    failed = [name for name, r in results.items() if r.status == "failed"]
    assert any("mutat" in name or "input" in name for name in failed)
    assert any(name.startswith(("paste.", "instance.")) for name in failed)


def test_raising_lists_every_violated_law_once() -> None:
    with pytest.raises(AugmentationViolation) as caught:
        check_augmentation(augmentations.raises_with_rows, examples=20, modalities=ONE_SET)
    error = caught.value
    assert isinstance(error, InvariantViolation)
    assert isinstance(error, AssertionError)
    assert [r.law for r in error.results] == [COMPLETES]
    assert "1 law violated by tests.testing.augmentations:raises_with_rows" in str(error)
    assert "minimal example" in str(error)


def test_a_schema_of_ones_own_is_drawn_from() -> None:
    seen: set[int] = set()

    def look(target: Any, donor: Any, seed: int) -> Any:
        seen.update(target.labels.tolist())
        return target

    schema = PanopticSchemaSpec(classes={17: "thing", 40: "stuff"})
    _record(look, examples=20, modalities=ONE_SET, schema=schema, only=COMPLETES)
    assert 17 in seen
    assert seen <= {17, 40}


def test_the_configuration_is_given_to_who_asks_for_it() -> None:
    configs: set[int] = set()

    def asks(target: Any, donor: Any, seed: int, config: Any) -> Any:
        configs.add(config.min_area)
        return target

    _record(asks, examples=20, modalities=ONE_SET, only=COMPLETES)
    assert len(configs) > 1


def test_events_tell_the_run() -> None:
    events: list[Event] = []
    check_augmentation(
        augmentations.raises_on_panoptic,
        examples=20,
        modalities=["instance", *ONE_SET],
        only=COMPLETES,
        on_fail="record",
        callback=events.append,
    )
    kinds = [type(event) for event in events]
    assert kinds[:2] == [RunStarted, TargetStarted]
    assert kinds[-1] is RunFinished
    judged = [event for event in events if isinstance(event, ExampleJudged)]
    assert [event.done for event in judged] == list(range(1, 21))
    assert [event.violated for event in judged if event.violated] == [(COMPLETES,)]
    assert [event.law for event in events if isinstance(event, ShrinkStarted)] == [COMPLETES]


def test_modalities_are_named_or_given() -> None:
    header = _header(modalities=[{Modality.INSTANCE, Modality.SEMANTIC}, "depth+semantic", "semantic+depth"])
    assert header.modalities == ("instance+semantic", "semantic+depth")


def _header(**options: Any) -> Any:
    events: list[Event] = []
    check_augmentation(augmentations.identity, examples=2, only=COMPLETES, callback=events.append, **options)
    assert isinstance(events[0], RunStarted)
    return events[0].header


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "examples: got 0, expected 1 or more"),
        ({"only": "nothing.*"}, r"only: got 'nothing.\*', which matches no law"),
        ({"device": "tpu"}, "device: got 'tpu', expected 'cpu' or 'cuda'"),
        ({"modalities": ["colour"]}, "modalities: got 'colour', expected one of instance,"),
        ({"modalities": ["panoptic"]}, "modalities: got 'panoptic', expected one of"),
        ({"modalities": []}, "modalities: got none"),
        ({"on_fail": "shout"}, "on_fail: got 'shout', expected 'raise' or 'record'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_augmentation(augmentations.identity, **options)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "expected module:attribute or one of reference"),
        ("no_such_module:aug", "cannot import no_such_module: raised ModuleNotFoundError"),
        ("tests.testing.augmentations:nothing", "has no attribute 'nothing'"),
        ("tests.testing.augmentations:not_callable", "got int, expected a callable"),
        ("tests.testing.augmentations:NeedsArguments", "cannot make one without arguments: raised TypeError"),
        (7, "got int, expected a callable or one of"),
    ],
)
def test_targets_that_are_none_are_refused_in_one_line(spec: Any, message: str) -> None:
    with pytest.raises(TargetNotFoundError, match=message) as caught:
        resolve_target(spec)
    assert "\n" not in str(caught.value)


def test_a_target_is_named_and_imported_as_it_was_given() -> None:
    by_spec = resolve_target("tests.testing.augmentations:Correct")
    assert by_spec.name == "tests.testing.augmentations:Correct"
    by_function = resolve_target(augmentations.identity)
    assert by_function.name == "tests.testing.augmentations:identity"
    assert by_function.imported_by == "from tests.testing.augmentations import identity as aug"
    local = resolve_target(lambda target, donor, seed: target)
    assert local.imported_by is None
    assert resolve_target(replace(local, name="mine")).name == "mine"

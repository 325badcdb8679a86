"""``@parametrize_with_invariants``: ids, one run for all laws, strict verdicts, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torchvision.transforms import v2

from segpaste.testing import AugmentationViolation
from segpaste.testing.parametrize import Check, parametrize_with_invariants
from segpaste.testing.targets import TargetNotFoundError
from segpaste.types import DenseSample
from tests.faults_five import correct, stale_boxes
from tests.testing.augmentations import Correct, identity, raises_with_rows

TIGHT = "instance.boxes_are_tight"
SMALL: dict[str, Any] = {"modalities": ["instance"], "examples": 8}


def forgets_the_boxes(sample: DenseSample, seed: int) -> DenseSample:
    """Moves the boxes and nothing else."""
    return DenseSample.unchecked(**(sample.to_dict() | {"boxes": sample.boxes * 0}))


def _parameters(decorated: Any) -> list[Any]:
    (mark,) = decorated.pytestmark
    return mark.args[1]


def _checks(augmentations: Any, **options: Any) -> dict[str, Check]:
    """The checks by test id."""

    @parametrize_with_invariants(augmentations, **options)
    def test(check: Callable[[], None]) -> None:
        check()

    return {parameter.id: parameter.values[0] for parameter in _parameters(test)}


def test_an_id_names_augmentation_law_and_device() -> None:
    checks = _checks([identity, stale_boxes, Correct, Correct(), "reference"], only="target.*", **SMALL)
    own = ("target.completes", "target.rows_aligned", "target.modalities_kept", "target.dtype_kept")
    names = ["identity", "stale_boxes", "Correct", "Correct_2"]
    assert list(checks) == [f"{name}-{law}-cpu" for name in names for law in own] + [
        "reference-target.completes-cpu"
    ]


def test_laws_follow_from_the_kind_and_the_modalities() -> None:
    geometric = _checks([forgets_the_boxes], kind="geometric", modalities=["instance"])
    laws = {check.law for check in geometric.values()}
    assert TIGHT in laws
    assert "instance.fresh_ids" not in laws  # a law of pasting
    assert not {law for law in laws if law.startswith(("depth.", "normals.", "panoptic."))}
    everything = {check.law for check in _checks([forgets_the_boxes], kind="geometric").values()}
    assert laws < everything
    assert {"normals.unit_length", "depth.positive_where_valid"} <= everything - laws


def test_a_transform_of_a_library_is_adapted() -> None:
    checks = _checks([v2.RandomHorizontalFlip(p=1.0)], only="target.completes", **SMALL)
    (name,) = checks
    assert name == "RandomHorizontalFlip-target.completes-cpu"
    checks[name]()


def test_the_function_may_ask_for_the_augmentation() -> None:
    @parametrize_with_invariants([identity], only="target.completes")
    def test(check: Callable[[], None], augmentation: Any, tmp_path: Any) -> None:
        check()

    (parameter,) = _parameters(test)
    assert parameter.values[0] is identity
    assert isinstance(parameter.values[1], Check)


def test_all_laws_of_an_augmentation_are_judged_in_one_run() -> None:
    calls = []

    def counted(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        calls.append(seed)
        return target

    checks = list(_checks([counted], only="instance.*", **SMALL).values())
    assert calls == []  # collecting runs nothing
    statuses = [checks[0].result().status]
    made = len(calls)
    assert made >= 8
    statuses += [check.result().status for check in checks[1:]]
    assert len(calls) == made
    assert len(statuses) == len(checks) > 5


def test_a_law_that_is_violated_fails_its_own_test_and_no_other() -> None:
    options = {"kind": "geometric", "only": "instance.boxes_*", **SMALL}
    checks = {check.law: check for check in _checks([forgets_the_boxes], **options).values()}
    checks["instance.boxes_in_canvas"]()
    with pytest.raises(AugmentationViolation) as raised:
        checks[TIGHT]()
    text = "\n".join([str(raised.value), *raised.value.__notes__])
    assert "[instance.boxes_are_tight] row 0: box (0, 0, 0, 0), mask spans (0, 0, 1, 1)" in text
    assert f"segpaste replay {checks[TIGHT].result().replay_id}" in text
    assert "tests.testing.test_parametrize:forgets_the_boxes" in text
    assert "reproduction:\n" in text
    assert [result.law for result in raised.value.results] == [TIGHT]


def test_what_is_expected_to_fail_is_strict() -> None:
    options = {"kind": "geometric", "only": "instance.boxes_*", **SMALL}
    expected = {TIGHT: "boxes are left alone, documented", "instance.boxes_in_canvas": "nobody knows"}
    checks = {
        check.law: check for check in _checks([forgets_the_boxes], expected=expected, **options).values()
    }
    with pytest.raises(
        pytest.xfail.Exception, match=r"left alone, documented \(\[instance.boxes_are_tight\]"
    ):
        checks[TIGHT]()
    with pytest.raises(AugmentationViolation, match="expected to fail .nobody knows. and holds: remove"):
        checks["instance.boxes_in_canvas"]()


def test_what_is_expected_may_depend_on_the_augmentation() -> None:
    def expected(augmentation: Any) -> dict[str, str]:
        return {"target.completes": "one row at most"} if augmentation is raises_with_rows else {}

    first, second = _checks(
        [raises_with_rows, identity], expected=expected, only="target.completes", **SMALL
    ).values()
    with pytest.raises(pytest.xfail.Exception, match="one row at most"):
        first()
    second()


def test_a_law_without_a_verdict_never_passes() -> None:
    (check,) = _checks([identity], only="instance.small_area_dropped", **SMALL).values()
    with pytest.raises(pytest.skip.Exception, match="^not exercised: "):
        check()


def test_a_run_that_raises_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def breaks(*arguments: Any, **options: Any) -> Any:
        tried.append(1)
        raise RuntimeError("an internal error")

    monkeypatch.setattr("segpaste.testing.parametrize.check_augmentation", breaks)
    for check in _checks([identity], only="instance.*").values():
        with pytest.raises(RuntimeError, match="an internal error"):
            check()
    assert tried == [1]


def test_seed_and_examples_go_to_the_run() -> None:
    (check,) = _checks(
        [identity], only="target.completes", modalities=["instance"], examples=3, seed=7
    ).values()
    assert check.result().tried == 3
    seeds: list[list[int]] = []
    for seed in (7, 7, 8):
        seen: list[int] = []

        def noting(target: DenseSample, donor: DenseSample, seed: int, seen: list[int] = seen) -> DenseSample:
            seen.append(seed)
            return target

        (check,) = _checks(
            [noting], only="target.completes", modalities=["instance"], examples=3, seed=seed
        ).values()
        check()
        seeds.append(seen)
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize(
    ("augmentations", "options", "message"),
    [
        ([], {}, "augmentations: got none, expected one or more"),
        ([correct], {"only": "nothing.*"}, r"only: got 'nothing\.\*', which matches no law of kind 'paste'"),
        ([correct], {"expected": {"instance.fresh_id": "why"}}, "no law is called 'instance.fresh_id'; inst"),
        ([correct], {"expected": {"instance.fresh_ids": ""}}, "got the reason '', expected a text"),
        (
            [forgets_the_boxes],
            {"kind": "geometric", "expected": {"instance.fresh_ids": "why"}},
            "expected: instance.fresh_ids: not judged on .*forgets_the_boxes, of kind 'geometric'",
        ),
        (
            [correct],
            {"modalities": ["instance"], "expected": {"depth.monotonic": "why"}},
            "expected: depth.monotonic: not judged on .*correct, of kind 'paste', with these modalities",
        ),
        ([correct], {"modalities": ["panoptic"]}, "modalities: got 'panoptic'"),
        ([correct], {"kind": "colour"}, "kind: got 'colour'"),
        ([3], {}, "target: got int"),
    ],
)
def test_a_mistake_is_told_when_tests_are_collected(
    augmentations: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TargetNotFoundError), match=message):
        _checks(augmentations, **options)


def test_the_function_must_have_an_argument_check() -> None:
    with pytest.raises(
        ValueError, match=r"has the arguments \['augmentation'\], expected one called 'check'"
    ):

        @parametrize_with_invariants([identity])
        def test(augmentation: Any) -> None:
            raise AssertionError(augmentation)


def test_a_correct_augmentation_fails_no_law() -> None:
    def darker(sample: DenseSample, seed: int) -> DenseSample:
        fields: dict[str, Any] = sample.to_dict()
        return DenseSample(**(fields | {"image": fields["image"].clone().clamp(0, 200)}))

    for check in _checks([darker], kind="photometric", **SMALL).values():
        assert check.result().status in ("passed", "not exercised", "not applicable"), check.result()

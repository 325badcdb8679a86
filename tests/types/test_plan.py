"""PastePlan: integers of the right shape, legal values, one row at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from segpaste.types import PastePlan
from tests.types.builders import assert_same


def _values() -> dict[str, torch.Tensor]:
    return {
        "source_idx": torch.tensor([1, 0]),
        "step": torch.tensor([65536, 1]),
        "translate": torch.tensor([[0, -3], [4, 5]]),
        "hflip": torch.tensor([True, False]),
        "order": torch.tensor([[2, 0, 1], [0, 1, 2]]),
        "count": torch.tensor([0, 3]),
        "mix_key": torch.tensor([-(2**63), 2**63 - 1]),
    }


def test_a_legal_plan_is_kept_as_it_is() -> None:
    values = _values()
    plan = PastePlan(**values)
    assert plan.batch_size == 2
    for name, value in values.items():
        assert getattr(plan, name) is value


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PastePlan(**_values()).step = torch.tensor([1, 1])  # pyright: ignore[reportAttributeAccessIssue]


def test_an_empty_plan_and_a_source_without_slots_are_legal() -> None:
    assert PastePlan(**{name: value[:0] for name, value in _values().items()}).batch_size == 0
    plan = PastePlan(**(_values() | {"order": torch.zeros((2, 0), dtype=torch.int64)}))
    assert plan.order.shape == (2, 0)


MALFORMED: dict[str, tuple[str, torch.Tensor, type[Exception], str]] = {
    "step as a float": (
        "step",
        torch.ones(2),
        TypeError,
        "plan.step: got dtype torch.float32, expected torch.int64",
    ),
    "step int32": (
        "step",
        torch.ones(2, dtype=torch.int32),
        TypeError,
        "plan.step: got dtype torch.int32, expected torch.int64",
    ),
    "hflip as integers": (
        "hflip",
        torch.tensor([0, 1]),
        TypeError,
        "plan.hflip: got dtype torch.int64, expected torch.bool",
    ),
    "count of another batch": (
        "count",
        torch.tensor([1]),
        ValueError,
        r"plan.count: got shape \[1\], expected \[B\] with B = 2",
    ),
    "step too large": (
        "step",
        torch.tensor([1, 2**31 + 1]),
        ValueError,
        "plan.step: got 2147483649, expected at most 2147483648 in size",
    ),
    "translation too far": (
        "translate",
        torch.tensor([[0, 0], [1, -(2**28) - 1]]),
        ValueError,
        "plan.translate: got -268435457, expected at most 268435456 in size",
    ),
    "translate rank": (
        "translate",
        torch.tensor([1, 2]),
        ValueError,
        r"plan.translate: got shape \[2\], expected \[B, 2\] with B = 2",
    ),
    "translate width": (
        "translate",
        torch.zeros((2, 3), dtype=torch.int64),
        ValueError,
        r"plan.translate: got shape \[2, 3\], expected \[B, 2\]",
    ),
    "order rank": (
        "order",
        torch.tensor([0, 1]),
        ValueError,
        r"plan.order: got shape \[2\], expected \[B, K_s\] with B = 2",
    ),
    "source below 0": (
        "source_idx",
        torch.tensor([0, -1]),
        ValueError,
        "plan.source_idx: got -1, expected at least 0",
    ),
    "step 0": ("step", torch.tensor([0, 5]), ValueError, "plan.step: got 0, expected at least 1"),
    "count below 0": ("count", torch.tensor([2, -4]), ValueError, "plan.count: got -4, expected at least 0"),
    "order repeats": (
        "order",
        torch.tensor([[0, 1, 2], [1, 1, 2]]),
        ValueError,
        r"plan.order: got rows with repeats or gaps, expected permutations of 0..K_s-1",
    ),
    "order beyond K": (
        "order",
        torch.tensor([[0, 1, 2], [1, 2, 3]]),
        ValueError,
        "plan.order: got rows with repeats",
    ),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_plan_is_refused_by_field_and_expectation(
    case: tuple[str, torch.Tensor, type[Exception], str],
) -> None:
    name, value, error, words = case
    with pytest.raises(error, match=f"^{words}"):
        PastePlan(**(_values() | {name: value}))


def test_a_scalar_source_index_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^plan.source_idx: got shape \[\], expected \[B\]"):
        PastePlan(**(_values() | {"source_idx": torch.tensor(0)}))


def test_what_is_no_tensor_is_refused_by_its_type() -> None:
    wrong: Any = [1, 0]
    for name in _values():
        with pytest.raises(TypeError, match=f"^plan.{name}: got list, expected a torch.Tensor$"):
            PastePlan(**(_values() | {name: wrong}))


def test_fields_on_different_devices_are_refused() -> None:
    values = _values() | {"order": _values()["order"].to("meta")}
    with pytest.raises(ValueError, match="^plan.order: got device meta, expected that of source_idx, cpu$"):
        PastePlan(**values)


def test_off_the_cpu_only_shapes_and_dtypes_are_checked() -> None:
    meta = {name: value.to("meta") for name, value in _values().items()}
    assert PastePlan(**meta).batch_size == 2
    with pytest.raises(TypeError, match="plan.step: got dtype"):
        PastePlan(**(meta | {"step": torch.ones(2, device="meta")}))


def test_select_takes_one_row_of_every_field() -> None:
    row = PastePlan(**_values()).select(1)
    assert row.batch_size == 1
    assert_same(row, PastePlan(**{name: value[1:2] for name, value in _values().items()}))


def test_moving_keeps_every_field() -> None:
    plan = PastePlan(**_values())
    assert_same(plan.to("cpu"), plan)
    moved = plan.to("meta")
    assert {getattr(moved, f.name).device.type for f in dataclasses.fields(moved)} == {"meta"}


def test_inside_a_compiled_function_nothing_is_checked() -> None:
    def build(step: torch.Tensor) -> PastePlan:
        return PastePlan(**dict.fromkeys(_values(), step))

    with pytest.raises(TypeError, match="plan.source_idx: got dtype"):
        build(torch.zeros(3))
    compiled = torch.compile(build, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(3)).order.shape == (3,)


def test_repr_is_short_and_says_what_matters() -> None:
    assert repr(PastePlan(**_values())) == (
        "PastePlan(from 1 step 65536 at (0, -3) flipped, first 0 of [2, 0, 1]; "
        "from 0 step 1 at (4, 5), first 3 of [0, 1, 2])"
    )
    many = {name: torch.cat([value] * 3) for name, value in _values().items()}
    assert repr(PastePlan(**many)) == "PastePlan(B=6, K_s=3)"

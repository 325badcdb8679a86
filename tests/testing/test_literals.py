"""Source code of tensors, samples, plans and configurations gives them back, bit for bit."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any

import pytest
import torch
from hypothesis import given

import segpaste.types
from segpaste.strategies import PasteCase, paste_cases
from segpaste.testing.literals import (
    UNPACKED,
    config_code,
    plan_code,
    sample_code,
    schema_code,
    tensor_code,
)
from segpaste.types import BatchCopyPasteConfig, BatchedDenseSample, PanopticSchemaSpec


def _run(code: str) -> Any:
    namespace = {"torch": torch, "math": math, "base64": base64, "zlib": zlib}
    namespace |= {name: getattr(segpaste.types, name) for name in segpaste.types.__all__}
    exec(UNPACKED, namespace)
    return eval(code, namespace)


def _bits(tensor: torch.Tensor) -> list[int]:
    return list(tensor.as_subclass(torch.Tensor).contiguous().numpy().tobytes())


def _assert_same_tensor(got: Any, expected: torch.Tensor) -> None:
    assert isinstance(got, torch.Tensor)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert _bits(got) == _bits(expected)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(7),
        torch.zeros((0, 4)),
        torch.zeros((2, 3, 4), dtype=torch.uint8),
        torch.tensor([[True, False], [False, True]]),
        torch.tensor([[1.5, -0.0], [0.0, math.inf]]),
        torch.tensor([0.1, 1 / 3, 1e-45, 3.4e38, math.nan, -math.inf]),
        torch.tensor([-1, 2**63 - 1, -(2**63)]),
        torch.tensor([0x7FC00001, -1, 0x7F800000], dtype=torch.int32).view(torch.float32),
        torch.full((3,), -0.0),
        torch.arange(700, dtype=torch.float32).reshape(7, 100) / 7,
        torch.arange(1000).reshape(10, 100) % 2 == 0,
        torch.tensor([1e-3, 0.1], dtype=torch.float64),
        torch.arange(60, dtype=torch.int64),
    ],
    ids=str,
)
def test_a_tensor_comes_back_bit_for_bit(tensor: torch.Tensor) -> None:
    _assert_same_tensor(_run(tensor_code(tensor)), tensor)


def test_a_constant_tensor_is_short_and_a_large_one_is_packed() -> None:
    assert tensor_code(torch.full((99, 99), 3)) == "torch.full((99, 99), 3, dtype=torch.int64)"
    assert tensor_code(torch.arange(1000)).startswith('unpacked("')


@given(paste_cases())
def test_a_case_comes_back_bit_for_bit(case: PasteCase) -> None:
    target = _run(sample_code(case.target))
    assert isinstance(target, segpaste.types.PaddedBatchedDenseSample)
    assert set(target.tensors()) == set(case.target.tensors())
    assert target.metric_depth == case.target.metric_depth
    for name, value in case.target.tensors().items():
        _assert_same_tensor(target.tensors()[name], value)
    plan = _run(plan_code(case.plan))
    assert repr(plan) == repr(case.plan)
    assert _run(config_code(case.config)) == case.config
    if case.schema is not None:
        assert _run(schema_code(case.schema)) == case.schema
    for sample in BatchedDenseSample.from_padded(case.target).to_samples():
        again = _run(sample_code(sample))
        assert isinstance(again, segpaste.types.DenseSample)
        assert again.camera_intrinsics == sample.camera_intrinsics
        for name, value in sample.to_dict().items():
            if isinstance(value, torch.Tensor):
                _assert_same_tensor(getattr(again, name), value)


def test_defaults_are_left_out_of_a_configuration() -> None:
    assert config_code(BatchCopyPasteConfig()) == "BatchCopyPasteConfig()"
    assert "min_area" in config_code(BatchCopyPasteConfig(min_area=3))
    assert schema_code(None) == "None"
    assert "thing" in schema_code(PanopticSchemaSpec(classes={1: "thing"}))

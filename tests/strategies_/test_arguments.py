"""Impossible limits are refused lazily, naming the argument and its value."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

import segpaste.strategies
from segpaste.strategies import (
    batches,
    dense_samples,
    padded_batches,
    panoptic_schemas,
    paste_cases,
)
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.types import Modality, PanopticSchemaSpec
from tests.strategies_.counting import quick

SMALL = PanopticSchemaSpec(classes={1: "thing"}, max_instances_per_image=2)

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"modalities": ["depth"]}, r"modalities: got 'depth', expected members of Modality"),
    ({"modalities": {Modality.PANOPTIC}}, r"modalities: got PANOPTIC without INSTANCE"),
    ({"modalities": {Modality.PANOPTIC, Modality.INSTANCE}}, r"got PANOPTIC without SEMANTIC"),
    ({"modalities": {Modality.DEPTH}, "detection": True}, r"detection: got True with modalities"),
    ({"modalities": {Modality.SEMANTIC}, "metric": True}, r"metric: got True with modalities"),
    ({"schema": "coco"}, r"schema: got 'coco'"),
    ({"image_dtypes": [torch.float64]}, r"image_dtypes: got \[torch.float64\]"),
    ({"image_dtypes": []}, r"image_dtypes: got \[\]"),
    ({"channels": [3, 0]}, r"channels: got \[3, 0\]"),
    ({"channels": ()}, r"channels: got \(\)"),
    ({"canvas": (0, 4)}, r"canvas: got \(0, 4\)"),
    ({"canvas": (4,)}, r"canvas: got \(4,\)"),
    ({"min_side": 0}, r"min_side: got 0"),
    ({"min_side": 5, "max_side": 4}, r"min_side: got 5, expected at most max_side = 4"),
    ({"max_instances": -1}, r"max_instances: got -1"),
    ({"min_instances": 2.5}, r"min_instances: got 2.5"),
    ({"min_instances": True}, r"min_instances: got True"),
    ({"min_instances": 3, "max_instances": 5, "schema": SMALL}, r"at most max_instances_per_image = 2"),
]


def _draw(strategy: st.SearchStrategy[Any]) -> None:
    @quick(1)
    @given(strategy)
    def run(_: object) -> None:
        pass

    run()


@pytest.mark.parametrize(("limits", "message"), REFUSED, ids=[message for _, message in REFUSED])
@pytest.mark.parametrize("strategy", [dense_samples, padded_batches], ids=lambda s: s.__name__)
def test_limits_are_checked_when_drawing(strategy: Any, limits: dict[str, Any], message: str) -> None:
    lazy = strategy(**limits)  # says nothing yet
    with pytest.raises(InvalidArgument, match=message):
        _draw(lazy)


@pytest.mark.parametrize(
    ("limits", "message"),
    [r for r in REFUSED if "max_instances_per_image" not in r[1]],
    ids=[message for _, message in REFUSED if "max_instances_per_image" not in message],
)
def test_scenes_refuse_the_same_limits(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scenes_from_seed(0, 1, **limits)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (batches(min_batch=2, max_batch=1), r"min_batch: got 2, expected at most max_batch = 1"),
        (panoptic_schemas(min_things=4), r"min_things: got 4, expected at most max_things = 3"),
        (panoptic_schemas(min_stuff=-1), r"min_stuff: got -1"),
        (panoptic_schemas(capacity=0), r"capacity: got 0"),
        (paste_cases(max_batch=-1), r"max_batch: got -1"),
        (paste_cases(max_instances=-1), r"max_instances: got -1"),
        (paste_cases({Modality.PANOPTIC}), r"modalities: got PANOPTIC without INSTANCE"),
    ],
    ids=str,
)
def test_other_limits(strategy: st.SearchStrategy[Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        _draw(strategy)


def test_public_names() -> None:
    assert set(segpaste.strategies.__all__) <= set(dir(segpaste.strategies))
    for name in segpaste.strategies.__all__:
        assert getattr(segpaste.strategies, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'dense_sample'"):
        _ = segpaste.strategies.dense_sample  # pyright: ignore[reportAttributeAccessIssue]

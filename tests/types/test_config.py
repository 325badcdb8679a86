"""Configurations: the defaults goldens hang on, bounds, and text round trips."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    to_q16,
)

SCHEMA = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 9: "stuff"}, max_instances_per_image=12)
FULL = BatchCopyPasteConfig(
    placement=BatchedPlacementConfig(
        scale_range=(0.1, 3.5), hflip_probability=0.3, paste_prob=0.7, k_range=(0, 5), oversize_policy="skip"
    ),
    panoptic=PanopticPasteConfig(
        taxonomy=SCHEMA,
        class_priority={2: 5, 1: -1},
        stuff_min_area={9: 64},
        tau_stuff_frac=1 / 3,
        stuff_policy="ignore",
        debug_assert_bijection=True,
    ),
    min_area=2,
    min_pasted_area=3,
    min_residual_area_frac=0.25,
    z_test=False,
)


def test_the_defaults_are_those_of_the_design() -> None:
    config = BatchCopyPasteConfig()
    assert config.model_dump() == {
        "placement": {
            "scale_range": (0.5, 2.0),
            "hflip_probability": 0.5,
            "paste_prob": 1.0,
            "k_range": (1, 256),
            "oversize_policy": "shrink",
            "pad_to_multiple": None,
            "patch_aligned": False,
        },
        "panoptic": None,
        "source": "intra_batch",
        "harmonize": None,
        "min_area": 1,
        "min_pasted_area": 1,
        "min_residual_area_frac": 0.1,
        "z_test": True,
    }
    panoptic = PanopticPasteConfig(taxonomy=SCHEMA)
    assert panoptic.model_dump(exclude={"taxonomy"}) == {
        "class_priority": {},
        "stuff_min_area": {},
        "tau_stuff_frac": 0.1,
        "stuff_policy": "revert",
        "debug_assert_bijection": False,
    }


@pytest.mark.parametrize("config", [BatchCopyPasteConfig(), FULL], ids=["defaults", "full"])
def test_yaml_json_and_dictionaries_read_back_equal(config: BatchCopyPasteConfig, tmp_path: Path) -> None:
    assert BatchCopyPasteConfig.from_yaml(config.to_yaml()) == config
    assert BatchCopyPasteConfig.from_yaml(config.model_dump_json()) == config
    assert BatchCopyPasteConfig.model_validate_json(config.model_dump_json()) == config
    assert BatchCopyPasteConfig.model_validate(config.model_dump()) == config
    file = tmp_path / "paste.yaml"
    file.write_text(config.to_yaml(), encoding="utf-8")
    assert BatchCopyPasteConfig.from_yaml(file) == config


def test_an_empty_text_is_the_defaults_only_where_it_says_so() -> None:
    assert BatchCopyPasteConfig.from_yaml("{}") == BatchCopyPasteConfig()
    with pytest.raises(pydantic.ValidationError):
        BatchCopyPasteConfig.from_yaml("")


def test_equal_schemas_are_equal_keys() -> None:
    other = PanopticSchemaSpec(classes={9: "stuff", 2: "thing", 1: "thing"}, max_instances_per_image=12)
    assert other == SCHEMA
    assert len({other, SCHEMA}) == 1


def test_class_tables_are_sorted_and_read_only() -> None:
    assert FULL.panoptic is not None
    assert list(FULL.panoptic.class_priority) == [1, 2]
    with pytest.raises(TypeError):
        FULL.panoptic.class_priority[1] = 3  # pyright: ignore[reportIndexIssue]


def test_the_schema_decides_the_ignore_index() -> None:
    assert BatchCopyPasteConfig().ignore_index == 255
    assert BatchCopyPasteConfig().schema_spec is None
    schema = PanopticSchemaSpec(classes={255: "thing"}, ignore_index=0)
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    assert config.ignore_index == 0
    assert config.schema_spec is schema


@pytest.mark.parametrize(
    "model", [FULL, FULL.placement, FULL.panoptic, SCHEMA], ids=lambda model: type(model).__name__
)
def test_configurations_are_frozen_and_know_all_their_fields(model: Any) -> None:
    field = next(iter(type(model).model_fields))
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(model, field, None)
    values = model.model_dump() | {"k_rnage": 1}
    with pytest.raises(pydantic.ValidationError, match="k_rnage\n.*Extra inputs are not permitted"):
        type(model).model_validate(values)


OUT_OF_BOUNDS: dict[str, tuple[type[pydantic.BaseModel], dict[str, Any], str]] = {
    "scale 0": (BatchedPlacementConfig, {"scale_range": (0.0, 1.0)}, "scale_range"),
    "scale below 1/256": (BatchedPlacementConfig, {"scale_range": (0.0039, 1.0)}, "scale_range"),
    "scale above 256": (BatchedPlacementConfig, {"scale_range": (1.0, 256.5)}, "scale_range"),
    "scale reversed": (BatchedPlacementConfig, {"scale_range": (2.0, 0.5)}, "scale_range"),
    "scale NaN": (BatchedPlacementConfig, {"scale_range": (float("nan"), 1.0)}, "scale_range"),
    "scale of three": (BatchedPlacementConfig, {"scale_range": (1, 1, 1)}, "scale_range"),
    "flip above 1": (BatchedPlacementConfig, {"hflip_probability": 1.01}, "hflip_probability"),
    "flip NaN": (BatchedPlacementConfig, {"hflip_probability": float("nan")}, "hflip_probability"),
    "paste below 0": (BatchedPlacementConfig, {"paste_prob": -0.1}, "paste_prob"),
    "count below 0": (BatchedPlacementConfig, {"k_range": (-1, 3)}, "k_range"),
    "count reversed": (BatchedPlacementConfig, {"k_range": (4, 3)}, "k_range"),
    "count too large": (BatchedPlacementConfig, {"k_range": (0, 2**31)}, "k_range"),
    "count as a fraction": (BatchedPlacementConfig, {"k_range": (0.5, 3)}, "k_range"),
    "oversize": (BatchedPlacementConfig, {"oversize_policy": "crop"}, "oversize_policy"),
    "min_area 0": (BatchCopyPasteConfig, {"min_area": 0}, "min_area"),
    "min_pasted_area 0": (BatchCopyPasteConfig, {"min_pasted_area": 0}, "min_pasted_area"),
    "residual above 1": (BatchCopyPasteConfig, {"min_residual_area_frac": 1.5}, "min_residual_area_frac"),
    "source": (BatchCopyPasteConfig, {"source": "elsewhere"}, "source"),
    "harmonize": (BatchCopyPasteConfig, {"harmonize": "poisson"}, "harmonize"),
    "tau below 0": (PanopticPasteConfig, {"taxonomy": SCHEMA, "tau_stuff_frac": -0.5}, "tau_stuff_frac"),
    "policy": (PanopticPasteConfig, {"taxonomy": SCHEMA, "stuff_policy": "keep"}, "stuff_policy"),
    "no taxonomy": (PanopticPasteConfig, {}, "taxonomy"),
    "priority of an unknown class": (
        PanopticPasteConfig,
        {"taxonomy": SCHEMA, "class_priority": {3: 1}},
        r"class_priority: got classes \[3\], which the taxonomy lacks",
    ),
    "priority too large": (
        PanopticPasteConfig,
        {"taxonomy": SCHEMA, "class_priority": {1: 2**31}},
        "got 2147483648 for class 1, expected",
    ),
    "area of an unknown class": (
        PanopticPasteConfig,
        {"taxonomy": SCHEMA, "stuff_min_area": {8: 1}},
        r"stuff_min_area: got classes \[8\], which the taxonomy lacks",
    ),
    "area below 0": (
        PanopticPasteConfig,
        {"taxonomy": SCHEMA, "stuff_min_area": {9: -1}},
        r"stuff_min_area: got \{9: -1\}, expected areas of 0 or more",
    ),
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS.keys())
def test_values_out_of_bounds_are_refused_by_field(
    case: tuple[type[pydantic.BaseModel], dict[str, Any], str],
) -> None:
    model, values, words = case
    with pytest.raises(pydantic.ValidationError, match=words):
        model.model_validate(values)


@pytest.mark.parametrize(
    "values",
    [
        {"scale_range": (1 / 256, 256)},
        {"k_range": (0, 2**31 - 1)},
        {"hflip_probability": 0, "paste_prob": 1},
    ],
)
def test_bounds_themselves_are_legal(values: dict[str, Any]) -> None:
    assert BatchedPlacementConfig.model_validate(values).model_dump()


@dataclasses.dataclass(frozen=True)
class _Half:
    """A fraction exactly between two Q16 integers, and the even one of them."""

    numerator: int
    even: int


@pytest.mark.parametrize("half", [_Half(1, 0), _Half(3, 2), _Half(5, 2), _Half(7, 4), _Half(131071, 65536)])
def test_q16_rounds_halves_to_even(half: _Half) -> None:
    assert to_q16(half.numerator / 131072) == half.even


@given(st.floats(0, 1))
def test_q16_is_the_nearest_integer_of_the_exact_product(fraction: float) -> None:
    assert abs(Fraction(fraction) * 65536 - to_q16(fraction)) <= Fraction(1, 2)
    assert 0 <= to_q16(fraction) <= 65536


def test_alignment_needs_a_patch_size() -> None:
    with pytest.raises(pydantic.ValidationError, match="patch_aligned: got True without pad_to_multiple"):
        BatchedPlacementConfig(patch_aligned=True)
    assert BatchedPlacementConfig(patch_aligned=True, pad_to_multiple=14).pad_to_multiple == 14

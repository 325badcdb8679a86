"""A configuration as plain numbers: every field and every table, worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from segpaste.paste.settings import settings_of, tables_of
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)

SCHEMA = PanopticSchemaSpec(classes={9: "stuff", 2: "thing", 300: "thing", 4: "stuff"}, ignore_index=7)


def test_the_defaults() -> None:
    assert asdict(settings_of(BatchCopyPasteConfig())) == {
        "scale_q16": (32768, 131072),
        "hflip_below": 2**31,
        "paste_below": 2**32,
        "k_range": (1, 256),
        "shrink": True,
        "pad_to_multiple": 1,
        "alignment": 1,
        "has_schema": False,
        "ignore_index": 255,
        "reverts": False,
        "tau_stuff_q16": 0,
        "min_area": 1,
        "min_pasted_area": 1,
        "min_residual_q16": 6554,  # 6553.6
        "z_test": True,
        "debug_assert_bijection": False,
    }


@pytest.mark.parametrize("policy", ["revert", "ignore"])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("asserts", [False, True])
def test_every_field_is_taken_from_where_it_stands(policy: str, aligned: bool, asserts: bool) -> None:
    config = BatchCopyPasteConfig(
        placement=BatchedPlacementConfig(
            scale_range=(0.25, 3.0),
            hflip_probability=0.125,
            paste_prob=0.75,
            k_range=(2, 5),
            oversize_policy="skip",
            pad_to_multiple=8,
            patch_aligned=aligned,
        ),
        panoptic=PanopticPasteConfig(
            taxonomy=SCHEMA,
            stuff_policy=policy,  # pyright: ignore[reportArgumentType]
            tau_stuff_frac=0.5,
            debug_assert_bijection=asserts,
        ),
        min_area=3,
        min_pasted_area=4,
        min_residual_area_frac=0.25,
        z_test=False,
    )
    assert asdict(settings_of(config)) == {
        "scale_q16": (16384, 196608),
        "hflip_below": 2**29,
        "paste_below": 3 * 2**30,
        "k_range": (2, 5),
        "shrink": False,
        "pad_to_multiple": 8,
        "alignment": 8 if aligned else 1,
        "has_schema": True,
        "ignore_index": 7,
        "reverts": policy == "revert",
        "tau_stuff_q16": 32768,
        "min_area": 3,
        "min_pasted_area": 4,
        "min_residual_q16": 16384,
        "z_test": False,
        "debug_assert_bijection": asserts,
    }
    assert settings_of(config) is settings_of(config.model_copy(deep=True))


def test_the_tables_of_a_schema() -> None:
    config = BatchCopyPasteConfig(
        panoptic=PanopticPasteConfig(
            taxonomy=SCHEMA, class_priority={2: 40, 300: -3}, stuff_min_area={9: 12, 4: 5}
        )
    )
    tables = tables_of(config)
    assert tables.ids.tolist() == [2, 4, 9, 300, 2**63 - 1]
    assert tables.is_thing.tolist() == [True, False, False, True, False]
    assert tables.is_stuff.tolist() == [False, True, True, False, False]
    assert tables.priority.tolist() == [2, 1, 1, 0, 1]  # the ranks of 40, 0, 0, -3, 0
    assert tables.min_area.tolist() == [0, 5, 12, 0, 0]
    kinds = (torch.int64, torch.bool, torch.bool, torch.int64, torch.int64)
    assert tuple(table.dtype for table in tables) == kinds
    assert tables_of(config) is tables
    assert tables.find(torch.tensor([[300, 2], [3, 255]])).tolist() == [[3, 0], [4, 4]]
    assert tables.find(torch.tensor([[4, 9], [2, 2**40]]).T).tolist() == [[1, 0], [2, 4]]


def test_the_tables_without_a_schema_know_no_class() -> None:
    tables = tables_of(BatchCopyPasteConfig())
    values = [table.tolist() for table in tables]
    assert values == [[2**63 - 1], [False], [False], [0], [0]]
    assert [table.dtype for table in tables][:2] == [torch.int64, torch.bool]
    assert tables.find(torch.tensor([0, 5])).tolist() == [0, 0]


def test_the_tables_go_to_the_device_they_are_asked_for_on() -> None:
    schema = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=SCHEMA))
    for config in (BatchCopyPasteConfig(), schema):
        assert {table.device.type for table in tables_of(config, "meta")} == {"meta"}
        assert {table.device.type for table in tables_of(config).to("meta")} == {"meta"}
        assert {table.device.type for table in tables_of(config)} == {"cpu"}


def test_the_tables_are_on_the_cpu_whatever_the_default_device_is() -> None:
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=SCHEMA, class_priority={2: 41}))
    with torch.device("meta"):
        tables = tables_of(config)
    assert tables.ids.tolist() == [2, 4, 9, 300, 2**63 - 1]
    assert tables.is_thing.tolist() == [True, False, False, True, False]
    assert tables.is_stuff.tolist() == [False, True, True, False, False]
    assert tables.priority.tolist() == [1, 0, 0, 0, 0]
    assert tables.min_area.tolist() == [0, 0, 0, 0, 0]

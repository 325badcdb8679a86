"""BatchAuditPacket: shapes, rows, devices and the thresholds it speaks of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
    PasteThresholds,
)
from tests.types.builders import assert_same

B, K, HEIGHT, WIDTH = 2, 3, 4, 5
SCHEMA = PanopticSchemaSpec(classes={1: "thing", 9: "stuff"})


def _plan() -> PastePlan:
    return PastePlan(
        source_idx=torch.tensor([1, 0]),
        step=torch.tensor([65536, 32768]),
        translate=torch.zeros((B, 2), dtype=torch.int64),
        hflip=torch.tensor([False, True]),
        order=torch.arange(K).expand(B, K),
        count=torch.tensor([1, 2]),
        mix_key=torch.tensor([7, 8]),
    )


def _values() -> dict[str, Any]:
    union = torch.zeros((B, HEIGHT, WIDTH), dtype=torch.bool)
    union[1, 2] = True
    return {
        "paste_union": union,
        "row_source": torch.tensor([[-1, 0, -1], [2, -1, 1]]),
        "row_dropped": torch.tensor([[True, False, False], [False, False, True]]),
        "warped_images": torch.arange(B * 3 * HEIGHT * WIDTH).reshape(B, 3, HEIGHT, WIDTH).to(torch.uint8),
        "warped_semantic_maps": torch.full((B, HEIGHT, WIDTH), 9),
        "warped_depth": torch.arange(B * HEIGHT * WIDTH, dtype=torch.float32).reshape(B, 1, HEIGHT, WIDTH),
        "warped_depth_valid": torch.ones((B, 1, HEIGHT, WIDTH), dtype=torch.bool),
        "warped_normals": torch.zeros((B, 3, HEIGHT, WIDTH)),
        "source_intrinsics": torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], dtype=torch.float64),
        "plan": _plan(),
        "config": BatchCopyPasteConfig(min_area=3, panoptic=PanopticPasteConfig(taxonomy=SCHEMA)),
    }


def test_select_takes_one_sample_of_every_field() -> None:
    audit = BatchAuditPacket(**_values()).select(1)
    assert audit.batch_size == 1
    for name, value in _values().items():
        got = getattr(audit, name)
        if isinstance(value, torch.Tensor):
            assert_same(got, value[1:2], name)
        elif isinstance(value, PastePlan):
            assert_same(got, value.select(1), name)
        else:
            assert got == value


def test_moving_keeps_every_field_and_moves_the_plan() -> None:
    audit = BatchAuditPacket(**_values())
    again = audit.to("cpu")
    for name, value in _values().items():
        if isinstance(value, torch.Tensor | PastePlan):
            assert_same(getattr(again, name), value, name)
    assert again.config == audit.config
    moved = audit.to("meta")
    assert moved.paste_union.device.type == "meta"
    assert moved.plan is not None
    assert moved.plan.step.device.type == "meta"


def test_what_an_augmentation_does_not_know_stays_unknown() -> None:
    audit = BatchAuditPacket(paste_union=_values()["paste_union"])
    assert (audit.schema, audit.thresholds, audit.select(0).plan, audit.to("cpu").row_source) == (None,) * 4


def test_thresholds_and_schema_are_those_of_the_configuration() -> None:
    audit = BatchAuditPacket(**_values())
    assert audit.schema == SCHEMA
    assert audit.thresholds == PasteThresholds(
        min_area=3, min_pasted_area=1, min_residual_area_frac=0.1, tau_stuff_frac=0.1
    )
    plain = dataclasses.replace(audit, config=BatchCopyPasteConfig())
    assert plain.schema is None
    assert plain.thresholds is not None
    assert plain.thresholds.tau_stuff_frac is None


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BatchAuditPacket(**_values()).plan = None  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    "union",
    [torch.zeros((HEIGHT, WIDTH), dtype=torch.bool), torch.zeros((B, HEIGHT, WIDTH))],
    ids=["rank", "dtype"],
)
def test_a_malformed_union_is_refused(union: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"^audit.paste_union: got .*, expected bool \[B, H, W\]$"):
        BatchAuditPacket(paste_union=union)


@pytest.mark.parametrize("name", [n for n, v in _values().items() if isinstance(v, torch.Tensor)][1:])
def test_a_field_of_another_batch_is_refused_by_name(name: str) -> None:
    values = _values()
    with pytest.raises(ValueError, match=f"^audit.{name}: got 1 samples, expected B = 2$"):
        BatchAuditPacket(**(values | {name: values[name][:1]}))

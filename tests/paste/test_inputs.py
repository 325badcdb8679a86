"""What a paste refuses, and the words it says it in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.paste import apply_reference
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, PanopticSchemaSpec
from tests.paste.samples import plan, view

LEFT = "11..\n11..\n11..\n11.."
ROWS = {0: (1, 0, LEFT)}
DEPTH: dict[str, Any] = {
    "depth": torch.ones((1, 1, 4, 4)),
    "depth_valid": torch.ones((1, 1, 4, 4), dtype=torch.bool),
}
CAMERA: dict[str, Any] = {"camera_intrinsics": torch.ones((1, 4), dtype=torch.float64)}


def with_schema(classes: dict[int, str], limit: int = 256) -> BatchCopyPasteConfig:
    schema = PanopticSchemaSpec(classes=classes, max_instances_per_image=limit)  # pyright: ignore[reportArgumentType]
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))


PLAIN = BatchCopyPasteConfig()
REFUSED = [
    (
        view(rows=ROWS),
        view(rows=ROWS, semantic_maps=LEFT),
        plan(),
        PLAIN,
        "source: got modalities instance.semantic, expected the target's, instance",
    ),
    (
        view(**DEPTH),
        view(**DEPTH),
        plan(),
        PLAIN,
        "target: got modalities depth, expected image alone or one of",
    ),
    (
        view(rows=ROWS),
        view(rows={0: (1, 0, LEFT + "\n11..")}, height=5),
        plan(),
        PLAIN,
        r"source: got canvas \(H, W\) \(5, 4\), expected the target's, \(4, 4\)",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS, image=torch.zeros((3, 4, 4), dtype=torch.uint8)),
        plan(),
        PLAIN,
        "source: got channels 3",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS, image=torch.zeros((1, 4, 4))),
        plan(),
        PLAIN,
        "source: got image dtype torch.float32",
    ),
    (
        replace(view(rows=ROWS, **DEPTH, **CAMERA), metric_depth=True),
        view(rows=ROWS, **DEPTH, **CAMERA),
        plan(),
        PLAIN,
        "source.metric_depth: got False, expected the target's, True",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        plan(),
        with_schema({1: "thing"}, limit=3),
        "target: got K = 4 row slots, expected at most max_instances_per_image = 3",
    ),
    (
        view(rows=ROWS),
        view(rows={0: (7, 0, LEFT)}),
        plan(),
        with_schema({1: "thing"}),
        "source.labels: got 7, which the schema lacks",
    ),
    (
        view(rows=ROWS, semantic_maps=LEFT),
        view(rows=ROWS, semantic_maps=LEFT),
        plan(),
        with_schema({1: "thing"}),
        "target.semantic_maps: got 0, which the schema lacks",
    ),
    (
        view(rows={0: (1, 2**31 - 4, LEFT)}),
        view(rows=ROWS),
        plan(),
        PLAIN,
        "target.instance_ids: got 2147483644 with K = 4",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        plan(slots=3),
        PLAIN,
        "plan.order: got 3 slots, expected the source's K = 4",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        replace(plan(), source_idx=torch.tensor([1])),
        PLAIN,
        "plan.source_idx: got 1, expected less than 1",
    ),
    (
        view(rows=ROWS).gather(torch.tensor([0, 0])),
        view(rows=ROWS),
        plan(),
        PLAIN,
        "plan: got B = 1, expected the target's, 2",
    ),
    (
        view(semantic_maps=LEFT),
        replace(view(semantic_maps=LEFT), instance_valid=torch.tensor([[True, False, False, False]])),
        plan(),
        PLAIN,
        "source.boxes: got rows without instance_masks beside semantic_maps",
    ),
]


@pytest.mark.parametrize(("target", "source", "drawn", "config", "message"), REFUSED)
def test_refused_before_anything_is_computed(target, source, drawn, config, message):
    with pytest.raises(ValueError, match=message):
        apply_reference(target, source, drawn, config)


def test_other_devices_are_refused():
    meta = view(rows=ROWS).to("meta")
    with pytest.raises(ValueError, match="source: got device meta, expected the target's, cpu"):
        apply_reference(view(rows=ROWS), meta, plan(), PLAIN)
    with pytest.raises(ValueError, match="plan: got device meta, expected cpu"):
        apply_reference(view(rows=ROWS), view(rows=ROWS), plan().to("meta"), PLAIN)


def test_the_largest_legal_id_is_pasted_beside():
    target = view(rows={0: (1, 2**31 - 5, "....\n....\n....\n..11")})
    out, _ = apply_reference(target, view(rows=ROWS), plan(), PLAIN)
    assert out.instance_ids is not None
    assert out.instance_ids[0].tolist() == [2**31 - 5, 2**31 - 4, 0, 0]

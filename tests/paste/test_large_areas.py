"""Areas whose product with 65536 leaves int32: from 32,768 pixels on (design, section 5)."""

from __future__ import annotations

import pytest
import torch

from segpaste.paste import apply_with_audit
from segpaste.paste.apply import ExecutorName
from segpaste.types import (
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from tests.paste.samples import plan, view

EXECUTORS: list[ExecutorName] = ["reference", "rectangle", "graph"]
HEIGHT, WIDTH = 200, 300
ALL = "\n".join(["1" * WIDTH] * HEIGHT)
THIRD = "\n".join(["1" * 100 + "." * 200] * HEIGHT)
# 20,000 of 60,000 pixels are covered: two thirds are left, of which int32 makes a negative number.


def sample(mask: str, **maps: torch.Tensor) -> PaddedBatchedDenseSample:
    return view(height=HEIGHT, width=WIDTH, slots=2, rows={0: (1, 1, mask)}, **maps)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(("fraction", "dropped"), [(0.5, False), (0.75, True)])
def test_a_row_of_many_pixels_is_dropped_by_its_fraction(
    executor: ExecutorName, fraction: float, dropped: bool
) -> None:
    config = BatchCopyPasteConfig(min_residual_area_frac=fraction)
    after, audit = apply_with_audit(sample(ALL), sample(THIRD), plan(slots=2), config, executor=executor)
    assert int(audit.paste_union.sum()) == 20_000
    assert audit.row_dropped is not None
    assert audit.row_dropped.tolist() == [[dropped, False]]
    masks = after.tensors()["instance_masks"]
    assert sorted(masks.sum(dim=(2, 3))[0].tolist()) == ([0, 20_000] if dropped else [20_000, 40_000])


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(("fraction", "starved"), [(0.5, False), (0.75, True)])
def test_stuff_of_many_pixels_is_starved_by_its_fraction(
    executor: ExecutorName, fraction: float, starved: bool
) -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 7: "stuff"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=fraction))
    labels = torch.full((1, HEIGHT, WIDTH), 7)
    target = view(height=HEIGHT, width=WIDTH, slots=1, rows={}, semantic_maps=labels)
    source = sample(THIRD, semantic_maps=labels)
    _, audit = apply_with_audit(target, source, plan(slots=2), config, executor=executor)
    assert int(audit.paste_union.sum()) == (0 if starved else 20_000)

"""The fused executor on CUDA: launches, memory, layouts; bits are in ``test_parity.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from segpaste.paste import apply, draw_plan
from segpaste.strategies import PasteCase
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    modality_set_name,
)
from tests.parity.agreement import Manner, expect_the_references_bits, moved

pytestmark = pytest.mark.gpu

EVERYTHING = frozenset(Modality)
INSTANCES = frozenset({Modality.IMAGE, Modality.INSTANCE})
KINDS = pytest.mark.parametrize("kind", [INSTANCES, EVERYTHING], ids=modality_set_name)
POLICIES = pytest.mark.parametrize("policy", [None, "revert", "ignore"])


def case_of(
    kind: frozenset[Modality], policy: str | None, *, size: int, slots: int, canvas: tuple[int, int]
) -> PasteCase:
    """A batch that pastes into itself, three used slots in four at most."""
    scenes = scenes_from_seed(
        size * slots,
        size,
        modalities=kind,
        canvas=canvas,
        min_instances=1,
        max_instances=max(1, 3 * slots // 4),
        image_dtypes=(torch.uint8,),
        channels=(3,),
    )
    batch = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(slots)
    panoptic = None
    if policy is not None:
        panoptic = PanopticPasteConfig.model_validate({"taxonomy": DEFAULT_SCHEMA, "stuff_policy": policy})
    config = BatchCopyPasteConfig(panoptic=panoptic, z_test=False)
    return PasteCase(batch, batch, draw_plan(batch, batch, torch.arange(size), config), config)


@KINDS
@POLICIES
def test_large_canvases(kind: frozenset[Modality], policy: str | None, device: str) -> None:
    """Many tiles, and sides that no tile divides."""
    for canvas in ((256, 512), (203, 389)):
        case = case_of(kind, policy, size=4, slots=12, canvas=canvas)
        audit = expect_the_references_bits(case, "fused", Manner(), device)
        assert audit is not None
        assert audit.paste_union.any()


@KINDS
@POLICIES
def test_the_launches_do_not_depend_on_the_batch(
    kind: frozenset[Modality], policy: str | None, device: str
) -> None:
    counts = set()
    for size, slots, canvas in ((2, 4, (64, 64)), (8, 4, (64, 64)), (2, 40, (64, 64)), (3, 9, (200, 311))):
        case = moved(case_of(kind, policy, size=size, slots=slots, canvas=canvas), device)
        counts.add(_launches(case))
    print(f"launches, {modality_set_name(kind)}, {policy}: {counts}")
    assert len(counts) == 1
    assert counts.pop() <= 30


@KINDS
def test_the_peak_of_memory(kind: frozenset[Modality], device: str) -> None:
    case = moved(case_of(kind, None, size=8, slots=8, canvas=(512, 512)), device)
    run = _runner(case)
    run()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    pasted = run()
    torch.cuda.synchronize()
    added = torch.cuda.max_memory_allocated() - before
    inputs, outputs = _bytes(case.target), _bytes(pasted)
    print(f"peak, {modality_set_name(kind)}: {(inputs + added) / (inputs + outputs):.3f} of inputs + outputs")
    assert inputs + added <= 1.5 * (inputs + outputs)


def test_another_stream(device: str) -> None:
    """Kernels run where the caller's other work does."""
    case = case_of(EVERYTHING, "revert", size=3, slots=6, canvas=(64, 96))
    expected = apply(case.target, case.source, case.plan, case.config, executor="reference")
    there = moved(case, device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        actual = apply(there.target, there.source, there.plan, there.config, executor="fused")
    torch.cuda.current_stream().wait_stream(stream)
    assert_same_bits(expected, actual, case=case, names=("reference", "fused on another stream"))


def test_masks_of_more_than_two_billion_pixels(device: str) -> None:
    """Offsets beyond 32 bits, in the inputs and in the outputs."""
    size, slots, side = 2, 65, 4096
    fields: dict[str, Any] = {
        "images": torch.zeros((size, 1, side, side), dtype=torch.uint8, device=device),
        "boxes": torch.zeros((size, slots, 4), device=device),
        "labels": torch.zeros((size, slots), dtype=torch.int64, device=device),
        "instance_valid": torch.zeros((size, slots), dtype=torch.bool, device=device),
        "instance_ids": torch.zeros((size, slots), dtype=torch.int32, device=device),
        "instance_masks": torch.zeros((size, slots, side, side), dtype=torch.bool, device=device),
    }
    fields["instance_valid"][:, -2] = True
    fields["instance_masks"][:, -2, -9:, -7:] = True
    fields["boxes"][:, -2] = torch.tensor([side - 7.0, side - 9.0, side, side], device=device)
    fields["images"][1] = 200
    batch = PaddedBatchedDenseSample(**fields)
    assert fields["instance_masks"].numel() > 2**31
    config = BatchCopyPasteConfig(min_residual_area_frac=1.0)
    seeds = torch.arange(size, device=device)
    plan = draw_plan(batch, batch, seeds, config)
    plan = replace(
        plan,
        step=torch.full_like(plan.step, 65536),
        translate=torch.tensor([[0, -1], [0, -1]], device=device),
        hflip=torch.zeros_like(plan.hflip),
        count=torch.ones_like(plan.count),
    )
    pasted = apply(batch, batch, plan, config, executor="fused")
    expected = torch.zeros((slots, 9, 8), dtype=torch.bool, device=device)
    expected[0, :, :7] = True
    corner = pasted.instance_masks
    assert corner is not None
    for b, shown in ((0, 200), (1, 0)):
        assert torch.equal(corner[b, :, -9:, -8:].as_subclass(torch.Tensor), expected)
        assert bool((pasted.images[b, 0, -9:, -8:-1] == shown).all())
        assert pasted.boxes[b, 0].tolist() == [side - 8.0, side - 9.0, side - 1.0, float(side)]
        assert pasted.instance_valid[b].nonzero().flatten().tolist() == [0]
        assert int(corner[b].as_subclass(torch.Tensor).count_nonzero()) == 63


def _runner(case: PasteCase) -> Any:
    return lambda: apply(case.target, case.source, case.plan, case.config, executor="fused")


def _launches(case: PasteCase) -> int:
    """Kernels, copies and fills on the device, the first call's compilation left out."""
    run = _runner(case)
    run()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        run()
        torch.cuda.synchronize()
    events = profiled.events()
    assert events is not None
    launched = [e for e in events if e.device_type == DeviceType.CUDA]
    assert any("paint" in e.name for e in launched), [e.name for e in launched]
    return len(launched)


def _bytes(batch: PaddedBatchedDenseSample) -> int:
    return sum(t.numel() * t.element_size() for t in batch.tensors().values())

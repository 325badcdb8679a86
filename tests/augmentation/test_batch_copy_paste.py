"""The module: what goes in, what comes out, whichever way it is called."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste
from segpaste.invariants import assert_paste
from segpaste.paste import apply_reference, apply_with_audit, draw_plan
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    PaddedBatchedDenseSample,
    modality_set_name,
)
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, as_integers, batch, copied, same

SEEDS = torch.tensor([11, -(2**63), 2**63 - 1, 0])
SET_NAMES = [modality_set_name(s) for s in LEGAL_MODALITY_SETS]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=SET_NAMES)
def test_forward_is_the_plan_of_its_seeds_applied(modalities: frozenset[Any], dtype: torch.dtype) -> None:
    padded = batch(4, modalities=modalities, dtype=dtype)
    before = copied(padded)
    config = PANOPTIC if padded.panoptic_maps is not None else LIVELY
    plan = draw_plan(padded, padded, SEEDS, config)
    expected, audit_expected = apply_reference(padded, padded, plan, config)
    augment = BatchCopyPaste(config)
    pasted, audit = augment.forward_with_audit(padded, seeds=SEEDS)
    assert audit.paste_union.any()
    assert torch.equal(audit.paste_union, audit_expected.paste_union)
    assert audit.config == config
    assert same(pasted, expected)
    assert same(augment(padded, seeds=SEEDS), expected)
    assert same(padded, before)
    for i, s in enumerate(plan.source_idx.tolist()):
        assert s != i
        assert_paste(padded.select(i), pasted.select(i), audit.select(i), source=padded.select(s))


@pytest.mark.parametrize("executor", ["reference", "rectangle", "graph"])
def test_an_executor_can_be_forced(executor: Any) -> None:
    padded = batch(4, modalities=EVERYTHING)
    forced = BatchCopyPaste(PANOPTIC, executor=executor)
    plan = draw_plan(padded, padded, SEEDS, PANOPTIC)
    expected, _ = apply_with_audit(padded, padded, plan, PANOPTIC, executor="reference")
    assert same(forced(padded, seeds=SEEDS), expected)
    assert f"executor={executor!r}" in repr(forced)


def test_an_executor_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"executor: got 'fast', expected None or one of \['reference', "):
        BatchCopyPaste(executor="fast")  # pyright: ignore[reportArgumentType]


def test_a_batch_of_one_and_an_empty_one_stay_as_they_are() -> None:
    augment = BatchCopyPaste(LIVELY)
    for count in (1, 0):
        padded = batch(4).gather(slice(0, count))
        pasted, audit = augment.forward_with_audit(padded)
        assert same(pasted, padded)
        assert not audit.paste_union.any()
        assert audit.paste_union.shape[0] == count
    nothing = BatchedDenseSample.from_samples([]).to_padded(3)
    assert augment(nothing).batch_size == 0


def test_memory_formats_do_not_matter_and_the_input_is_never_written() -> None:
    padded = batch(4, modalities=EVERYTHING, dtype=torch.float32)
    augment = BatchCopyPaste(PANOPTIC)
    expected = augment(padded, seeds=SEEDS)
    fields = padded.tensors()

    def channels_last(value: torch.Tensor) -> torch.Tensor:
        return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value

    def strided(value: torch.Tensor) -> torch.Tensor:
        wide = value.new_zeros((*value.shape[:-1], 2 * value.shape[-1]))
        wide[..., ::2] = value
        return wide[..., ::2]

    def flipped_batch(value: torch.Tensor) -> torch.Tensor:
        return value.transpose(0, -1).contiguous().transpose(0, -1)

    for change in (channels_last, strided, flipped_batch):
        changed: dict[str, Any] = {name: change(value) for name, value in fields.items()}
        assert not all(v.is_contiguous() for v in changed.values())
        given = PaddedBatchedDenseSample(**changed, metric_depth=padded.metric_depth)
        result = augment(given, seeds=SEEDS)
        assert same(result, expected)
        assert same(given, padded)
        assert all(value.is_contiguous() for value in result.tensors().values())


def test_out_is_overwritten_and_returned() -> None:
    padded = batch(4, modalities=EVERYTHING)
    augment = BatchCopyPaste(PANOPTIC)
    expected = augment(padded, seeds=SEEDS)
    out = augment(padded, seeds=SEEDS + 5)
    assert not same(out, expected)
    assert augment(padded, seeds=SEEDS, out=out) is out
    assert same(out, expected)
    with pytest.raises(ValueError, match=r"out\.\w+: got the memory of "):
        augment(padded, seeds=SEEDS, out=padded)


def test_autocast_and_inference_mode_change_nothing() -> None:
    padded = batch(4, modalities=EVERYTHING, dtype=torch.float32)
    augment = BatchCopyPaste(PANOPTIC)
    expected = augment(padded, seeds=SEEDS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(augment(padded, seeds=SEEDS), expected)
    with torch.inference_mode():
        assert same(augment(padded, seeds=SEEDS), expected)
        augment(padded)
    assert int(augment.counter) == 1


def test_a_thread_more_changes_nothing() -> None:
    padded = batch(8, modalities=EVERYTHING, canvas=(64, 48))
    augment = BatchCopyPaste(PANOPTIC)
    seeds = torch.arange(8)
    one = augment(padded, seeds=seeds)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert same(augment(padded, seeds=seeds), one)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("how", ["pickle", "deepcopy", "state dict"])
def test_a_copy_goes_on_with_the_same_stream(how: str) -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY, seed=5)
    augment(padded)
    if how == "state dict":
        other = BatchCopyPaste(LIVELY)
        assert set(augment.state_dict()) == {"key", "counter"}
        other.load_state_dict(augment.state_dict())
    else:
        other = pickle.loads(pickle.dumps(augment)) if how == "pickle" else copy.deepcopy(augment)
    assert other.config == LIVELY
    for _ in range(2):
        assert same(augment(padded), other(padded))


def test_to_moves_buffers_and_leaves_their_dtype() -> None:
    augment = BatchCopyPaste(PANOPTIC, seed=2**64 - 1).to(torch.float16)
    assert augment.key.dtype == augment.counter.dtype == torch.int64
    assert int(augment.key) == -1
    meta = augment.to("meta")
    assert {b.device.type for b in meta.buffers()} == {"meta"}
    assert meta.sampler.tables.ids.device.type == "meta"


@pytest.mark.parametrize("seed", [0, 1], ids=["no padding before", "padding before"])
def test_the_canvas_is_padded_to_a_multiple(seed: int) -> None:
    placement = BatchedPlacementConfig(pad_to_multiple=8, patch_aligned=True, scale_range=(0.7, 1.5))
    config = PANOPTIC.model_copy(update={"placement": placement})
    padded = batch(4, modalities=EVERYTHING, canvas=(17, 24), seed=seed)
    assert (padded.padding_mask is not None) == (seed == 1)
    augment = BatchCopyPaste(config)
    pasted, audit = augment.forward_with_audit(padded, seeds=SEEDS)
    assert pasted.canvas_size == (24, 24)
    fields, former = pasted.tensors(), padded.tensors()
    assert fields.keys() == former.keys() | {"padding_mask"}
    new = {name: fields[name][..., 17:, :] for name in fields if fields[name].ndim >= 3 and name != "boxes"}
    assert new["padding_mask"].all()
    assert (new["semantic_maps"] == config.ignore_index).all()
    for name in new.keys() - {"padding_mask", "semantic_maps"}:
        assert not as_integers(new[name]).any(), name
    assert audit.paste_union.any()
    assert not audit.paste_union[:, 17:].any()


def test_the_corner_of_the_group_lies_on_a_patch() -> None:
    # Without maps nothing is cut off, and from scale 1 on every donor pixel shows.
    placement = BatchedPlacementConfig(pad_to_multiple=8, patch_aligned=True, scale_range=(1.0, 1.4))
    augment = BatchCopyPaste(BatchCopyPasteConfig(placement=placement), seed=2)
    padded = batch(4, canvas=(45, 61))
    corners = []
    for _ in range(10):
        _, audit = augment.forward_with_audit(padded)
        if audit.plan is None:
            pytest.fail("audit.plan: got None, expected the plan")
        for union, step in zip(audit.paste_union, audit.plan.step.tolist(), strict=True):
            if step <= 65536:
                corners.append(tuple(union.nonzero().amin(dim=0).tolist()))
    assert len(corners) > 30
    assert all(y % 8 == x % 8 == 0 for y, x in corners)
    assert len(set(corners)) > 5


def test_a_canvas_that_is_a_multiple_gets_a_padding_mask_too() -> None:
    placement = BatchedPlacementConfig(pad_to_multiple=8)
    augment = BatchCopyPaste(LIVELY.model_copy(update={"placement": placement}))
    padded = batch(4, canvas=(16, 24))
    if padded.padding_mask is not None:
        pytest.fail("the batch has a padding mask already, expected none")
    pasted = augment(padded, seeds=SEEDS)
    assert pasted.padding_mask is not None
    assert not pasted.padding_mask.any()
    plain = BatchCopyPaste(BatchCopyPasteConfig(z_test=False))(padded, seeds=SEEDS)
    fields = pasted.tensors()
    fields.pop("padding_mask")
    assert same(PaddedBatchedDenseSample(**fields), plain)  # pyright: ignore[reportArgumentType]
    assert same(BatchCopyPaste(augment.config)(pasted, seeds=SEEDS), augment(pasted, seeds=SEEDS))

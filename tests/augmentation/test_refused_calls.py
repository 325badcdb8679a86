"""A refused call is no call: nothing moves, and arguments of another kind are named."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, BatchedPlacementSampler, IntraBatchSource
from segpaste.paste import ReplayRecord, replay
from segpaste.types import BatchedPlacementConfig, Modality, PaddedBatchedDenseSample
from tests.augmentation.batches import LIVELY, PANOPTIC, batch, copied, same
from tests.augmentation.test_sources import Fixed

DEEP = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.DEPTH, Modality.NORMALS})


class Returning:
    """A strategy that returns what it was told, out of the view and the plan it should."""

    def __init__(self, choose: Any) -> None:
        self.choose = choose

    def sample(self, target: Any, seeds: Any, sampler: BatchedPlacementSampler) -> Any:
        return self.choose(target, sampler(target, target, seeds))


def stays(augment: BatchCopyPaste, message: str, *args: Any, **options: Any) -> None:
    """Refused in one line; neither the stream nor a generator has moved."""
    drawing = torch.Generator().manual_seed(3)
    before = drawing.get_state()
    for generator in (None, drawing):
        with pytest.raises((ValueError, TypeError), match=message) as caught:
            augment(*args, generator=generator, **options)
        assert "\n" not in str(caught.value)
        assert int(augment.counter) == 0
        assert torch.equal(drawing.get_state(), before)


def wrong(padded: PaddedBatchedDenseSample, **changes: Any) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = padded.tensors() | changes
    return PaddedBatchedDenseSample(**fields, metric_depth=padded.metric_depth)


def test_an_out_that_does_not_fit_moves_nothing() -> None:
    padded, augment = batch(4), BatchCopyPaste(LIVELY)
    stays(augment, r"out\.\w+: got the memory of (target|source)\.", padded, out=padded)
    stays(augment, r"out\.images: got shape \[3, 3, 17, 23\]", padded, out=copied(padded.gather(slice(0, 3))))
    for given, got in ((padded.images, "Image"), ({}, "dict"), (padded.labels, "Tensor")):
        stays(augment, f"out: got {got}, expected a PaddedBatchedDenseSample", padded, out=given)


def test_an_out_is_checked_against_the_padded_canvas_and_the_batch_before_it() -> None:
    config = LIVELY.model_copy(update={"placement": BatchedPlacementConfig(pad_to_multiple=8)})
    padded, augment = batch(4), BatchCopyPaste(config)
    stays(augment, r"out: got the fields .*, expected the target's, .*padding_mask", padded, out=batch(4))
    buffer = augment(padded, seeds=torch.arange(4))
    window = wrong(padded, images=buffer.images[..., :17, :23])
    stays(augment, r"out\.images: got the memory of source\.images", window, out=buffer)


def test_what_only_the_source_view_shows_moves_nothing() -> None:
    padded = batch(4)
    view = copied(padded)
    augment = BatchCopyPaste(LIVELY, source_strategy=Fixed(view, torch.arange(4)))
    stays(augment, r"out\.\w+: got the memory of source\.", padded, out=view)
    small = BatchCopyPaste(LIVELY, source_strategy=Fixed(batch(4, canvas=(8, 8)), torch.arange(4)))
    stays(small, r"source: got canvas \(H, W\) \(8, 8\)", padded)
    stays(BatchCopyPaste(LIVELY, executor="fused"), "executor: got 'fused' for cpu", padded)


def test_after_a_refusal_the_stream_and_the_generator_go_on_as_without_it() -> None:
    padded = batch(4)
    one, other = BatchCopyPaste(LIVELY, seed=5), BatchCopyPaste(LIVELY, seed=5)
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    for _ in range(2):
        with pytest.raises(ValueError, match="out"):
            one(padded, out=padded)
        with pytest.raises(ValueError, match="out"):
            one(padded, first, out=padded)
        assert same(one(padded), other(padded))
        assert same(one(padded, first), other(padded, second))
    assert int(one.counter) == 2


def test_something_else_than_a_generator() -> None:
    padded, augment = batch(4), BatchCopyPaste(LIVELY)
    given: Any
    for given, message in (
        (7, "generator: got int, expected a torch.Generator or None"),
        (torch.arange(4), "generator: got Tensor, expected a torch.Generator; seeds go in as seeds="),
    ):
        with pytest.raises(TypeError, match=message):
            augment(padded, given)
        with pytest.raises(TypeError, match=message):
            augment.forward_with_audit(padded, given)
    assert int(augment.counter) == 0


@pytest.mark.parametrize(
    ("choose", "got"),
    [
        (lambda view, plan: None, "NoneType"),
        (lambda view, plan: plan, "PastePlan"),
        (lambda view, plan: (plan, view), r"\(PastePlan, PaddedBatchedDenseSample\)"),
        (lambda view, plan: (view, None), r"\(PaddedBatchedDenseSample, NoneType\)"),
        (lambda view, plan: (view, plan, 1), r"\(PaddedBatchedDenseSample, PastePlan, int\)"),
    ],
    ids=["nothing", "plan only", "swapped", "no plan", "three"],
)
def test_a_strategy_that_returns_something_else(choose: Any, got: str) -> None:
    augment = BatchCopyPaste(LIVELY, source_strategy=Returning(choose))
    stays(augment, rf"source_strategy\.sample: got {got}, expected \(PaddedBatchedDenseSample, P", batch(4))


def test_a_strategy_class_in_place_of_an_object() -> None:
    message = "source_strategy: got the class IntraBatchSource, expected an object of it"
    with pytest.raises(TypeError, match=message):
        BatchCopyPaste(source_strategy=IntraBatchSource)  # pyright: ignore[reportArgumentType]


def test_a_sampler_given_something_else() -> None:
    padded, seeds = batch(4), torch.arange(4)
    sampler: Any = BatchedPlacementSampler(LIVELY)
    with pytest.raises(ValueError, match=r"source_idx: got list, expected int64 \[4\] on cpu"):
        sampler(padded, padded, seeds, source_idx=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"seeds: got list, expected int64 \[4\] on cpu"):
        sampler(padded, padded, [0, 1, 2, 3])
    for name, views in (("target", (7, padded)), ("source", (padded, None))):
        with pytest.raises(TypeError, match=f"{name}: got .*, expected a PaddedBatchedDenseSample"):
            sampler(*views, seeds)
    with pytest.raises(TypeError, match="config: got dict, expected a BatchCopyPasteConfig"):
        BatchedPlacementSampler({})  # pyright: ignore[reportArgumentType]


def test_a_record_that_is_none() -> None:
    padded, augment = batch(4), BatchCopyPaste(LIVELY)
    record = augment.record(torch.arange(4), 1)
    for given, got in (({}, "dict"), (record.model_dump_json(), "str")):
        for again in (replay, augment.replay):
            with pytest.raises(TypeError, match=f"record: got {got}, expected a ReplayRecord"):
                again(given, padded)  # pyright: ignore[reportArgumentType]
    for again in (replay, augment.replay):
        with pytest.raises(TypeError, match="source: got int, expected a PaddedBatchedDenseSample"):
            again(record, padded, 7)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="target: got int, expected a PaddedBatchedDenseSample"):
        replay(record, 7)  # pyright: ignore[reportArgumentType]


def test_a_record_of_a_row_that_is_not_there() -> None:
    augment: Any = BatchCopyPaste(LIVELY)
    seeds = torch.arange(4)
    for arguments, message in (
        ((seeds, 9), "index: got 9, expected less than B = 4"),
        ((seeds, 4), "index: got 4, expected less than B = 4"),
        ((seeds, -1), "index: got -1, expected 0 or more"),
        ((seeds, 1.0), "index: got float, expected an int"),
        (([1, 2], 0), r"seeds: got list, expected int64 \[B\]"),
        ((seeds.float(), 0), r"seeds: got float32 \[4\] on cpu, expected int64 \[B\]"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            augment.record(*arguments)
    with pytest.raises(ValueError, match="source_idx: got -1, expected 0 or more"):
        augment.record(seeds, 0, source_idx=-1)
    record = augment.record(seeds, np.int64(2), source_idx=np.int64(3))
    assert record == ReplayRecord(sample_seed=2, index=2, source_idx=3, config=LIVELY)


def test_a_number_of_seeds_that_is_none() -> None:
    augment: Any = BatchCopyPaste(LIVELY)
    with pytest.raises(ValueError, match="batch_size: got -1, expected 0 or more"):
        augment.next_seeds(-1)
    for given, got in ((2.5, "float"), (True, "bool"), ("2", "str")):
        with pytest.raises(TypeError, match=f"batch_size: got {got}, expected an int"):
            augment.next_seeds(given)
    assert int(augment.counter) == 0
    assert augment.next_seeds(np.int32(2)).shape == (2,)


def test_a_loader_that_is_none() -> None:
    with pytest.raises(TypeError, match="loader: got NoneType, expected an iterable of batches"):
        BatchCopyPaste.from_dataloader(None, 4)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="max_instances: got str, expected an int"):
        BatchCopyPaste.from_dataloader([], "4")  # pyright: ignore[reportArgumentType]
    for empty in ([], ()):
        kind = type(empty).__name__
        with pytest.raises(
            ValueError, match=f"loader: got a batch that is an empty {kind}, expected samples"
        ):
            next(iter(BatchCopyPaste.from_dataloader([empty], 4)))


def test_a_seed_of_numpy() -> None:
    assert int(BatchCopyPaste(seed=np.int64(4)).key) == 4  # pyright: ignore[reportArgumentType]
    assert int(BatchCopyPaste(seed=np.uint64(2**64 - 1)).key) == -1  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="seed: got bool, expected an int or None"):
        BatchCopyPaste(seed=np.bool_(True))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["images", "depth", "normals", "boxes"])
def test_a_field_that_requires_grad_is_refused_by_name(name: str) -> None:
    padded = batch(4, modalities=DEEP, dtype=torch.float32)
    learnt = wrong(padded, **{name: padded.tensors()[name].clone().requires_grad_()})
    message = f"{name}: got a tensor that requires grad, expected a detached one"
    augment = BatchCopyPaste(LIVELY)
    stays(augment, rf"padded\.{message}", learnt)
    stays(augment, rf"out\.{message}", padded, out=learnt)
    other = BatchCopyPaste(LIVELY, source_strategy=Returning(lambda view, plan: (learnt, plan)))
    stays(other, rf"source\.{message}", padded)


def test_a_module_made_moved_or_copied_under_inference_mode_works_outside() -> None:
    padded = batch(4)
    with torch.inference_mode():
        made = BatchCopyPaste(PANOPTIC, seed=2)
        twin = copy.deepcopy(made)
        moved = BatchCopyPaste(PANOPTIC, seed=2).to("meta")
    for module in (made, moved):
        assert not any(value.is_inference() for value in module.buffers())
    assert int(twin.next_seeds(4)[0]) == int(made.next_seeds(4)[0])
    with torch.inference_mode():
        made.next_seeds(4)
        plain = BatchCopyPaste(LIVELY, seed=2)
        inside = plain(padded)
    plain(padded)
    assert same(inside, BatchCopyPaste(LIVELY, seed=2)(padded))
    assert int(made.counter) == int(plain.counter) == 2

"""Batches in torch's trees: the same batch comes out of them, and no transform lets one through."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree
from torchvision.transforms import v2
from torchvision.transforms.v2.functional._utils import _KERNEL_REGISTRY

from segpaste.augmentation import (
    CopyPaste,
    FixedSizeCrop,
    RandomResize,
    SanitizeBoundingBoxes,
    SanitizeInstances,
    make_large_scale_jittering,
)
from segpaste.types import BatchedDenseSample, PaddedBatchedDenseSample
from segpaste.types.batch_leaves import BatchLeaf
from tests.types.test_transforms_v2 import COLOURING, IN_CONTAINERS, MOVING, WITHOUT_GEOMETRY
from tests.types.whole_samples import full_sample, same_bits, sample_of

CHANGING = MOVING | WITHOUT_GEOMETRY | COLOURING | IN_CONTAINERS
REFUSAL = "BatchedDenseSample, expected samples: augment them before they are collated"
MESSAGES = {"RandomIoUCrop": "requires input sample to contain"}
"""What torchvision says itself; all others say what a batch is to be told."""


def _ragged() -> BatchedDenseSample:
    padding = torch.zeros((1, 40, 60), dtype=torch.bool)
    return BatchedDenseSample.from_samples([full_sample(padding_mask=padding), full_sample()])


def _padded() -> PaddedBatchedDenseSample:
    return _ragged().to_padded(3)


BATCHES: dict[str, Callable[[], Any]] = {
    "ragged": _ragged,
    "padded": _padded,
    "none": lambda: BatchedDenseSample.from_samples([]),
    "bare": lambda: BatchedDenseSample.from_samples([sample_of(image=torch.zeros((1, 3, 4)))]),
}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and same_bits(a, b)


@pytest.mark.parametrize("name", BATCHES)
def test_a_tree_map_gives_an_equal_batch(name: str) -> None:
    batch = BATCHES[name]()
    for function in (lambda leaf: leaf, torch.clone, lambda leaf: leaf[...]):
        after = pytree.tree_map(function, {"batch": batch})["batch"]
        assert type(after) is type(batch)
        for field in dataclasses.fields(batch):
            assert _same(getattr(batch, field.name), getattr(after, field.name)), field.name
    assert pytree.tree_structure(batch) == pytree.tree_structure(BATCHES[name]())
    if name == "ragged":
        sizes = [tuple(boxes.canvas_size) for boxes in pytree.tree_map(torch.clone, batch).boxes]
        assert sizes == [(40, 60)] * 2


def test_what_no_batch_can_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="PaddedBatchedDenseSample: got Size for one of its tensors"):
        pytree.tree_map(lambda leaf: leaf.shape, _padded())


def test_every_functional_refuses_a_leaf_of_a_batch() -> None:
    assert {f.__name__ for f, kernels in _KERNEL_REGISTRY.items() if BatchLeaf not in kernels} == set()


@pytest.mark.parametrize("make", [_ragged, _padded], ids=["ragged", "padded"])
@pytest.mark.parametrize("name", sorted(CHANGING))
def test_no_transform_of_torchvision_lets_a_batch_through(name: str, make: Callable[[], Any]) -> None:
    transform = CHANGING[name]()
    batch = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TypeError, match=MESSAGES.get(name, REFUSAL)):
            transform(batch)


@pytest.mark.parametrize("make", [_ragged, _padded], ids=["ragged", "padded"])
@pytest.mark.parametrize(
    "transform",
    [
        RandomResize(0.5, 1.0, 20, 20),
        FixedSizeCrop(20, 20),
        make_large_scale_jittering(20),
        SanitizeBoundingBoxes(),
        SanitizeInstances(1),
        CopyPaste([full_sample()]),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_no_transform_of_segpaste_lets_a_batch_through(transform: v2.Transform, make: Any) -> None:
    for given in (make(), (full_sample(), make()), {"batch": [make()]}):
        with pytest.raises(TypeError, match=rf"^\w+: got a (Padded)?{REFUSAL}"):
            transform(given)


def test_a_batch_of_a_subclass_is_refused_too() -> None:
    class Own(PaddedBatchedDenseSample):
        pass

    own = Own(**{f.name: getattr(_padded(), f.name) for f in dataclasses.fields(PaddedBatchedDenseSample)})
    with pytest.raises(TypeError, match="got a Own, expected samples"):
        v2.RandomHorizontalFlip(p=1)(own)

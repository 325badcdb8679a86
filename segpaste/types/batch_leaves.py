"""Batches in torch's trees: taken apart and put together as any node, and refused by transforms.

torchvision hands on what it does not know, so that a batch which met a transform after it was
collated would come out as it was, without a word. Its leaves are of a type for which every
functional of torchvision has a kernel: one that raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, NamedTuple, NoReturn

import torch
from torch.utils import _pytree as pytree
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import _utils as functional_utils

from segpaste.types.batched_dense_sample import BatchedDenseSample
from segpaste.types.camera import CameraIntrinsics
from segpaste.types.dense_sample import xyxy
from segpaste.types.padded_batched_dense_sample import PaddedBatchedDenseSample
from segpaste.types.tensors import InstanceMask, PaddingMask, PanopticMap, SemanticMap

Batch = BatchedDenseSample | PaddedBatchedDenseSample


class BatchLeaf(tv_tensors.Image):
    """A tensor of a batch. An image, for it is images that transforms look for, and ask their size."""


class _Context(NamedTuple):
    """What a batch is besides its tensors."""

    kind: type[Batch]
    names: tuple[str, ...]
    lengths: tuple[int | None, ...]
    metric_depth: bool


_KINDS: dict[str, type[tv_tensors.TVTensor]] = {
    "images": tv_tensors.Image,
    "instance_masks": InstanceMask,
    "semantic_maps": SemanticMap,
    "panoptic_maps": PanopticMap,
    "padding_mask": PaddingMask,
}


def register_batches() -> None:
    """Make both batches nodes, and tell torchvision what to refuse; done once, by :mod:`segpaste.types`."""
    for functional in functional_utils._KERNEL_REGISTRY:
        F.register_kernel(functional, BatchLeaf)(_refusing(functional.__name__))
    for kind in (BatchedDenseSample, PaddedBatchedDenseSample):
        register_batch(kind)


def register_batch(kind: type[Batch]) -> None:
    """Make batches of a class nodes of ``torch.utils._pytree``; of subclasses, too."""
    if kind not in pytree.SUPPORTED_NODES:
        pytree.register_pytree_node(kind, _flatten, _unflatten)


def refuse_batches(name: str, given: Any) -> None:
    """Refuse a batch anywhere among the inputs of a transform.

    Raises:
        TypeError: on a ``BatchedDenseSample`` or a ``PaddedBatchedDenseSample``.
    """
    for leaf in pytree.tree_leaves(given, is_leaf=lambda value: isinstance(value, Batch)):
        if isinstance(leaf, Batch):
            raise _refused(name, type(leaf).__name__)


def _refused(name: str, kind: str) -> TypeError:
    return TypeError(f"{name}: got a {kind}, expected samples: augment them before they are collated")


def _flatten(batch: Any) -> tuple[list[torch.Tensor], _Context]:
    names: list[str] = []
    lengths: list[int | None] = []
    leaves: list[torch.Tensor] = []
    for field in fields(batch):
        value = getattr(batch, field.name)
        if value is None or field.name == "metric_depth":
            continue
        ragged = isinstance(value, list)
        names.append(field.name)
        lengths.append(len(value) if ragged else None)
        leaves += [_leaf(batch, entry) for entry in (value if ragged else [value])]
    return leaves, _Context(type(batch), tuple(names), tuple(lengths), batch.metric_depth)


def _leaf(batch: Any, value: Any) -> torch.Tensor:
    if isinstance(value, CameraIntrinsics):
        value = torch.tensor(value.as_tuple(), dtype=torch.float64, device="cpu")
    leaf = value.as_subclass(torch.Tensor).as_subclass(BatchLeaf)
    leaf.batch = type(batch).__name__
    return leaf


def _unflatten(leaves: Iterable[Any], context: _Context) -> Any:
    rest = list(leaves)
    for leaf in rest:
        if not isinstance(leaf, torch.Tensor):
            raise TypeError(
                f"{context.kind.__name__}: got {type(leaf).__name__} for one of its tensors, expected a "
                "torch.Tensor: what was applied to the leaves makes something of them that no batch can hold"
            )
    values: dict[str, Any] = {"metric_depth": context.metric_depth}
    for name, length in zip(context.names, context.lengths, strict=True):
        count = 1 if length is None else length
        entries = [leaf.as_subclass(torch.Tensor) for leaf in rest[:count]]
        del rest[:count]
        values[name] = entries[0] if length is None else entries
    return context.kind(**_typed(values))


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """The fields with the types that a batch has them in."""
    height, width = values["images"].shape[-2:]
    for name, value in values.items():
        kind = _KINDS.get(name)
        if kind is not None:
            ragged = isinstance(value, list)
            values[name] = [entry.as_subclass(kind) for entry in value] if ragged else value.as_subclass(kind)
        elif name == "boxes" and isinstance(value, list):
            values[name] = [xyxy(entry, (height, width)) for entry in value]
        elif name == "camera_intrinsics" and isinstance(value, list):
            values[name] = [CameraIntrinsics(*entry.tolist()) for entry in value]
    return values


def _refusing(name: str) -> Callable[..., NoReturn]:
    def kernel(leaf: torch.Tensor, *args: Any, **named: Any) -> NoReturn:
        raise _refused(name, getattr(leaf, "batch", "batch"))

    return kernel

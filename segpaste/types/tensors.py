"""tv_tensor subclasses, so that torchvision's transforms know a map from an image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision import tv_tensors


class InstanceMask(tv_tensors.Mask):
    """Binary masks of instances, ``[N, H, W]`` bool."""


class SemanticMap(tv_tensors.Mask):
    """Semantic class of every pixel, ``[H, W]`` int64; 255 is *ignore* by default."""


class PanopticMap(tv_tensors.Mask):
    """Instance id of every pixel, ``[H, W]`` int64; 0 means stuff or void.

    Ids only: the class stands in the semantic map (ADR-0006, section 1).
    """


class PaddingMask(tv_tensors.Mask):
    """True where a pixel is padding, ``[1, H, W]`` bool. Belongs to no object."""

    @classmethod
    def from_tensor(cls, data: torch.Tensor) -> PaddingMask:
        """Wrap a bool tensor ``[1, H, W]`` (or ``[B, 1, H, W]``) as a padding mask.

        Raises:
            TypeError: if ``data`` is not a bool tensor.
        """
        if data.dtype != torch.bool:
            raise TypeError(f"padding_mask: got dtype {data.dtype}, expected torch.bool")
        return data.as_subclass(cls)  # not cls(data), which would move it to the default device


def plain(value: torch.Tensor) -> torch.Tensor:
    """The same memory as a plain tensor, in what ``torch.compile`` traces too."""
    if torch.compiler.is_compiling():
        # Dynamo can trace neither ``as_subclass(torch.Tensor)`` nor the ``shape`` of a
        # tv_tensor, but any operation on one gives a plain tensor.
        return value[...]
    return value.as_subclass(torch.Tensor)


def map_tensor(function: Callable[[torch.Tensor], torch.Tensor], value: torch.Tensor) -> torch.Tensor:
    """Apply a function to a tensor as a plain one, keeping its tv_tensor type."""
    changed = function(value.as_subclass(torch.Tensor))
    if isinstance(value, tv_tensors.TVTensor):
        return tv_tensors.wrap(changed, like=value)  # pyright: ignore[reportCallIssue]
    return changed

"""The stage: who is harmonised, by which method, and which pixels may change."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from segpaste.augmentation.arguments import check_int64_row, check_padded
from segpaste.augmentation.harmonize.alpha import feather_alpha
from segpaste.augmentation.harmonize.multiband import (
    coarsest_level,
    multiband_change,
    multiband_reach,
)
from segpaste.augmentation.harmonize.poisson import bounding_boxes, poisson_change
from segpaste.augmentation.harmonize.reinhard import Colours, colours_of, transfer_colours
from segpaste.paste.rng import philox_words
from segpaste.types import HarmonizeConfig, PaddedBatchedDenseSample
from segpaste.types.tensors import plain

# The second counter word separates uses of one seed: plans have 0 and 1, crops of a bank 2.
_HARMONIZE = 3


class Harmonize(nn.Module):
    """Harmonises the images of a pasted batch. Every other field is what it was.

    ``BatchCopyPaste`` calls it where ``config.harmonize`` asks for it; alone it serves any
    paste whose union is known. It has no state and no parameters.

    An image changes where its method reaches and nowhere else, never on padding, and not at
    all where nothing was pasted: with ``"reinhard"`` or feathering alone inside the union,
    with ``"poisson"`` inside the union's bounding box, with ``"multiband"`` at most
    ``4 * (2**levels - 1)`` pixels from it along both axes. There, uint8 is computed in
    0..1 and rounded; float32 is expected in 0..1: values outside are taken as the nearest
    bound, NaN as 0, and the result lies in 0..1. So harmonise before normalising.

    Not bit for bit the same on every device, nor eager and compiled, as sums of floats are
    not: see the tolerances in the documentation. On the CPU, eager, a sample's bits do not
    depend on its batch.

    Args:
        config: how.

    Raises:
        TypeError: on a configuration of another type.
    """

    def __init__(self, config: HarmonizeConfig) -> None:
        super().__init__()
        if not isinstance(config, HarmonizeConfig):
            raise TypeError(f"config: got {type(config).__name__}, expected a HarmonizeConfig")
        self.config = config
        # Numbers, as pydantic stays out of what is traced.
        self._method = config.method
        self._feather = config.feather
        self._max_gain = config.max_gain
        self._levels = config.levels
        self._below = round(config.probability * 2**32)

    def forward(
        self,
        pasted: PaddedBatchedDenseSample,
        before: PaddedBatchedDenseSample,
        union: torch.Tensor,
        seeds: torch.Tensor | None = None,
    ) -> PaddedBatchedDenseSample:
        """Harmonise the images. Nothing is written to.

        Args:
            pasted: B samples after the paste, images ``[B, C, H, W]``.
            before: the same before it; on the same canvas.
            union: ``[B, H, W]`` bool, the pixels that show the source (the audit's
                ``paste_union``).
            seeds: ``[B]`` int64, the samples' seeds; needed with a ``probability`` below 1.

        Returns:
            The pasted batch with images in memory of their own; the other fields are its very
            tensors. While compiling the images are a plain tensor.

        Raises:
            TypeError, ValueError: naming the argument, on batches, a union or seeds of
                another type, dtype, shape or device, and on seeds that are missing.
        """
        if not torch.compiler.is_compiling():
            _check(pasted, before, union, seeds)
        if seeds is None and self._below < 2**32:
            raise ValueError(
                f"seeds: got None, expected [B] int64 with a probability of {self.config.probability}"
            )
        return replace(pasted, images=self._images(pasted, before, plain(union), seeds))  # pyright: ignore[reportArgumentType]

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return ", ".join(
            f"{name}={value!r}" for name, value in self.config.model_dump(exclude_defaults=True).items()
        )

    @torch.no_grad()
    def _images(
        self,
        pasted: PaddedBatchedDenseSample,
        before: PaddedBatchedDenseSample,
        union: torch.Tensor,
        seeds: torch.Tensor | None,
    ) -> torch.Tensor:
        images, former = plain(pasted.images), plain(before.images)
        if 0 in images.shape:
            return images.clone()
        valid = torch.ones_like(union)
        if before.padding_mask is not None:
            valid = ~plain(before.padding_mask)[:, 0]
        union = union & valid
        if seeds is not None and self._below < 2**32:
            # Not chosen is as not pasted.
            chosen = philox_words(seeds, 0, _HARMONIZE)[:, 0] < self._below
            union = union & chosen[:, None, None]
        if torch.compiler.is_compiling() or images.device.type != "cpu":
            return self._changed(
                images, former, union, valid, self._target_colours(former, valid), self._levels
            )
        return self._one_by_one(images, former, union, valid)

    def _one_by_one(
        self, images: torch.Tensor, former: torch.Tensor, union: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        """The same on the CPU, where work on what does not change can be left out.

        So no sample's bits depend on the batch.
        """
        result = images.clone()
        for b in union.flatten(1).any(dim=1).nonzero().flatten().tolist():
            one = slice(b, b + 1)
            ys, xs = _box(union[b], 1, 1)
            levels = 0
            if self._method == "multiband":
                near = (one, ys, xs)
                levels = int(coarsest_level(union[near], valid[near], self._levels))
                # The reach, and two places of the coarsest level, so that no mean of what may
                # change misses a neighbour.
                ys, xs = _box(union[b], multiband_reach(levels) + 2 * 2**levels + 1, 2**levels)
            here, pixels = (one, ys, xs), (one, slice(None), ys, xs)
            colours = self._target_colours(former[one], valid[one])
            result[pixels] = self._changed(
                images[pixels], former[pixels], union[here], valid[here], colours, levels
            )
        return result

    def _target_colours(self, former: torch.Tensor, valid: torch.Tensor) -> Colours | None:
        return colours_of(_unit(former), valid) if self._method == "reinhard" else None

    def _changed(
        self,
        images: torch.Tensor,
        former: torch.Tensor,
        union: torch.Tensor,
        valid: torch.Tensor,
        colours: Colours | None,
        levels: int,
    ) -> torch.Tensor:
        source, target = _unit(images), _unit(former)
        difference = torch.where(union[:, None], source - target, 0.0)
        alpha = feather_alpha(union, valid, self._feather)
        if self._method == "multiband":
            change = multiband_change(difference, alpha, union, valid, levels)
            changed = (union | (change != 0).any(dim=1)) & valid
        elif self._method == "poisson":
            change = poisson_change(difference, alpha, union, valid)
            changed = bounding_boxes(union) & valid
        elif colours is not None:
            moved = transfer_colours(source, union, colours, self._max_gain).clamp(0.0, 1.0)
            change, changed = alpha[:, None] * (moved - target), union
        else:
            change, changed = alpha[:, None] * difference, union & (alpha < 1)
        return torch.where(changed[:, None], _like(target + change, images), images)


def _box(union: torch.Tensor, margin: int, grid: int) -> tuple[slice, slice]:
    """The bounding box of a union ``[H, W]`` with a margin, beginning on a multiple of ``grid``."""
    sides: list[slice] = []
    for dim in (1, 0):
        occupied = union.any(dim=dim).nonzero()
        low, high = int(occupied[0]) - margin, int(occupied[-1]) + 1 + margin
        sides.append(slice(max(low, 0) // grid * grid, min(high, union.shape[1 - dim])))
    return sides[0], sides[1]


def _unit(images: torch.Tensor) -> torch.Tensor:
    """Float32 in 0..1."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32) * (1 / 255)
    return images.nan_to_num(nan=0.0, posinf=1.0, neginf=0.0).clamp(0.0, 1.0)


def _like(unit: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Of the images' dtype and range."""
    unit = unit.clamp(0.0, 1.0)
    return (unit * 255).round().to(torch.uint8) if images.dtype == torch.uint8 else unit


def _check(
    pasted: PaddedBatchedDenseSample,
    before: PaddedBatchedDenseSample,
    union: torch.Tensor,
    seeds: torch.Tensor | None,
) -> None:
    check_padded("pasted", pasted)
    check_padded("before", before)
    now, was = plain(pasted.images), plain(before.images)
    if (was.dtype, was.shape, was.device) != (now.dtype, now.shape, now.device):
        raise ValueError(
            f"before.images: got {was.dtype} {list(was.shape)} on {was.device}, expected those of pasted, "
            f"{now.dtype} {list(now.shape)} on {now.device}"
        )
    if not isinstance(union, torch.Tensor):
        raise TypeError(f"union: got {type(union).__name__}, expected a bool tensor [B, H, W]")
    shape = (now.shape[0], *now.shape[2:])
    if union.dtype != torch.bool or tuple(union.shape) != shape or union.device != now.device:
        raise ValueError(
            f"union: got {union.dtype} {list(union.shape)} on {union.device}, "
            f"expected torch.bool {list(shape)} on {now.device}"
        )
    if seeds is not None:
        check_int64_row("seeds", seeds, now.shape[0], now.device)

"""Drawing plans: all randomness of a paste, once, in integer tensor operations.

Every draw of a sample is a word of Philox under that sample's seed, so that it depends
neither on the batch nor on the device; only the choice of the source row depends on how
many samples there are to choose from.
"""

from __future__ import annotations

import torch

from segpaste.paste.inputs import check_views
from segpaste.paste.rng import philox_words, uniform_below
from segpaste.types import (
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PastePlan,
    classes_of_kind,
    to_q16,
)

IDENTITY_STEP = 65536

# The second counter word separates uses of one seed; the first counts within a use.
_SCALARS, _ORDER = 0, 1


def draw_plan(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    seeds: torch.Tensor,
    config: BatchCopyPasteConfig,
    *,
    source_idx: torch.Tensor | None = None,
) -> PastePlan:
    """Draw one plan per target (design, 4.0 and 4.1).

    The scale is uniform over ``scale_range`` in steps of 1/65536; the translation is
    uniform over all places where the scaled bounding box of the rows to be pasted lies
    inside the target's valid rectangle.

    Args:
        target: B samples, K slots.
        source: the source view, B_s samples, K_s slots.
        seeds: ``[B]`` int64, one 64-bit seed per target.
        config: the configuration; its ``placement`` says how to draw.
        source_idx: ``[B]`` int64, the source row of each target. By default uniform
            over the *other* rows of the view, which then is the target batch itself;
            with B = 1 there is no other and nothing is pasted.

    Raises:
        ValueError: on seeds or source rows of another dtype, shape or range, and on views
            that cannot be pasted into each other.
    """
    check_views(target, source, config)
    batch = target.batch_size
    if seeds.dtype != torch.int64 or seeds.shape != (batch,):
        raise ValueError(f"seeds: got {seeds.dtype} {list(seeds.shape)}, expected int64 [{batch}]")
    if source_idx is not None and (source_idx.dtype != torch.int64 or source_idx.shape != (batch,)):
        raise ValueError(
            f"source_idx: got {source_idx.dtype} {list(source_idx.shape)}, expected int64 [{batch}]"
        )
    if source_idx is not None and batch and source_idx.device.type == "cpu":
        low, high = int(source_idx.min()), int(source_idx.max())
        if low < 0 or high >= source.batch_size:
            got = low if low < 0 else high
            raise ValueError(f"source_idx: got {got}, expected 0 or more and less than {source.batch_size}")
    if source_idx is None and source.batch_size != batch:
        raise ValueError(
            f"source: got {source.batch_size} samples, expected the target batch itself (B = {batch}) "
            "or an explicit source_idx"
        )
    placement = config.placement
    first = philox_words(seeds, 0, _SCALARS)
    second = philox_words(seeds, 1, _SCALARS)
    third = philox_words(seeds, 2, _SCALARS)

    count = placement.k_range[0] + uniform_below(
        second[:, 0], placement.k_range[1] - placement.k_range[0] + 1
    )
    count = torch.where(first[:, 3] < _threshold(placement.paste_prob), count, 0)
    if source_idx is None:
        own = torch.arange(batch, device=seeds.device)
        other = uniform_below(first[:, 0], max(batch - 1, 1))
        source_idx = torch.where(other >= own, other + 1, other) if batch > 1 else torch.zeros_like(own)
        count = count if batch > 1 else torch.zeros_like(count)

    order = _draw_order(seeds, source.max_instances)
    hflip = first[:, 2] < _threshold(placement.hflip_probability)
    step = _draw_step(first[:, 1], placement.scale_range)
    mix_key = third[:, 0] | (third[:, 1] << 32)
    if source.instance_masks is None or source.batch_size == 0:
        # No rows: the class mix, or nothing, on the identity grid.
        step = torch.full_like(step, IDENTITY_STEP)
        hflip = torch.zeros_like(hflip)
        translate = torch.zeros((batch, 2), dtype=torch.int64, device=seeds.device)
    else:
        chosen = _chosen_slots(target, source, source_idx, order, count, config)
        group = _group_box(source, source_idx, chosen, hflip)
        extent = _valid_extent(target)
        step, fits = _fit(group, step, extent, placement.oversize_policy)
        count = torch.where(fits, count, 0)
        low, size = _scaled(group, step)
        room = (extent - size).clamp(min=0)
        translate = torch.where(fits[:, None], uniform_below(second[:, 1:3], room + 1) - low, 0)
    return PastePlan(source_idx, step, translate, hflip, order, count, mix_key)


def eligible_slots(source: PaddedBatchedDenseSample, config: BatchCopyPasteConfig) -> torch.Tensor:
    """The source slots that may be pasted, ``[B_s, K_s]`` bool (design, 4.1).

    Valid rows with a non-empty mask; with a schema, of a thing class.
    """
    if source.instance_masks is None:
        return torch.zeros_like(source.instance_valid)
    eligible = source.instance_valid & source.instance_masks.as_subclass(torch.Tensor).flatten(2).any(dim=2)
    if config.schema_spec is not None:
        things = torch.tensor(classes_of_kind(config.schema_spec, "thing"), dtype=torch.int64)
        eligible = eligible & torch.isin(source.labels, things.to(source.labels.device))
    return eligible


def _threshold(probability: float) -> int:
    """A word is below this with the given probability."""
    return round(probability * 2**32)


def _draw_order(seeds: torch.Tensor, slots: int) -> torch.Tensor:
    """A permutation per sample; more slots never reorder the earlier ones."""
    index = torch.arange(slots, device=seeds.device)
    words = philox_words(seeds[:, None].expand(-1, slots), index, _ORDER)[..., 0]
    return words.argsort(dim=1, stable=True)


def _draw_step(word: torch.Tensor, scale_range: tuple[float, float]) -> torch.Tensor:
    """Inverse scale in Q16: ``round-half-even(65536 / scale)``, scale being a Q16 number.

    In integers: 2**32 / (scale in Q16) never comes so close to a half that the float64
    quotient would round the other way.
    """
    low, high = (to_q16(scale) for scale in scale_range)
    scale = low + uniform_below(word, high - low + 1)
    quotient = 2**32 // scale
    rest = 2 * (2**32 - quotient * scale)
    up = (rest > scale) | ((rest == scale) & (quotient % 2 == 1))
    return (quotient + up).clamp(min=1)


def _chosen_slots(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    source_idx: torch.Tensor,
    order: torch.Tensor,
    count: torch.Tensor,
    config: BatchCopyPasteConfig,
) -> torch.Tensor:
    """The first ``min(count, F)`` eligible slots of the permutation, ``[B, K_s]`` bool."""
    capacity = (~target.instance_valid).sum(dim=1)
    in_order = eligible_slots(source, config)[source_idx].gather(1, order)
    wanted = in_order & (in_order.cumsum(dim=1) <= torch.minimum(count, capacity)[:, None])
    return torch.zeros_like(wanted).scatter(1, order, wanted)


def _group_box(
    source: PaddedBatchedDenseSample, source_idx: torch.Tensor, chosen: torch.Tensor, hflip: torch.Tensor
) -> torch.Tensor:
    """Bounding box of the chosen masks as seen after the flip, ``[B, 2, 2]``.

    Last dimension low (inclusive) and high (exclusive); the one before y and x. An
    empty group has low = high = 0.
    """
    masks = source.instance_masks
    if masks is None:
        raise ValueError("source.instance_masks: got None, expected masks")
    extent = _valid_extent(source)[source_idx]
    plain = masks.as_subclass(torch.Tensor)
    sides: list[torch.Tensor] = []
    for axis in (0, 1):
        occupied = plain.any(dim=3 - axis)[source_idx]
        occupied = (occupied & chosen[:, :, None]).any(dim=1)
        size = occupied.shape[1]
        index = torch.arange(size, device=occupied.device)
        occupied = occupied & (index < extent[:, axis, None])
        low = torch.where(occupied, index, size).amin(dim=1)
        high = torch.where(occupied, index + 1, 0).amax(dim=1)
        low = torch.minimum(low, high)
        if axis == 1:
            flipped = torch.where(high > low, extent[:, 1] - high, 0)
            low, high = torch.where(hflip, flipped, low), torch.where(hflip, flipped + high - low, high)
        sides.append(torch.stack((low, high), dim=1))
    return torch.stack(sides, dim=1)


def _valid_extent(view: PaddedBatchedDenseSample) -> torch.Tensor:
    """The valid rectangle (Hv, Wv) of every sample, ``[B, 2]`` int64."""
    height, width = view.canvas_size
    if view.padding_mask is None:
        size = torch.tensor((height, width), dtype=torch.int64, device=view.images.device)
        return size.expand(view.batch_size, 2)
    valid = ~view.padding_mask.as_subclass(torch.Tensor)[:, 0]
    return torch.stack((valid.any(dim=2).sum(dim=1), valid.any(dim=1).sum(dim=1)), dim=1)


def _fit(
    group: torch.Tensor, step: torch.Tensor, extent: torch.Tensor, policy: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Enlarge ``step`` where the group does not fit; and whether it can be placed."""
    room = (extent > 0).all(dim=1)
    _, size = _scaled(group, step)
    fits = (size <= extent).all(dim=1)
    if policy == "skip":
        return step, fits & room
    # A stretch of real length L holds at most ceil(L) pixel centres, so this is enough.
    length = group[:, :, 1] - group[:, :, 0]
    needed = -((-length * 65536) // extent.clamp(min=1))
    shrunk = torch.maximum(step, needed.amax(dim=1))
    return torch.where(fits, step, shrunk), room


def _scaled(group: torch.Tensor, step: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First target pixel and size of the scaled group at translation 0, ``[B, 2]`` each.

    Pixel x shows source pixel ``((2 x + 1) * step) >> 17``; the first x that shows b or
    a later one is ``ceil(b * 2**17 / step) // 2``.
    """
    bounds = -((-group * 2**17) // step[:, None, None]) // 2
    return bounds[:, :, 0], bounds[:, :, 1] - bounds[:, :, 0]

"""Drawing plans: all randomness of a paste, once, in integer tensor operations.

Every draw of a sample is a word of Philox under that sample's seed, so that it depends
neither on the batch nor on the device; only the choice of the source row depends on how
many samples there are to choose from.
"""

from __future__ import annotations

import torch

from segpaste.paste.inputs import check_views
from segpaste.paste.rng import philox_words, uniform_below
from segpaste.paste.settings import ClassTables, PasteSettings, settings_of, tables_of
from segpaste.paste.spans import mask_spans
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample, PastePlan
from segpaste.types.tensors import plain

IDENTITY_STEP = 65536

# The second counter word separates uses of one seed; the first counts within a use.
_SCALARS, _ORDER = 0, 1
_BLOCKS = 3

_FARTHEST = 2**31  # beyond every canvas


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
    inside the target's valid rectangle, with ``patch_aligned`` over those places among
    them whose top-left corner is a multiple of ``pad_to_multiple`` in y and x.

    Args:
        target: B samples, K slots.
        source: the source view, B_s samples, K_s slots.
        seeds: ``[B]`` int64, one 64-bit seed per target.
        config: the configuration; its ``placement`` says how to draw.
        source_idx: ``[B]`` int64, the source row of each target. By default uniform
            over the *other* rows of the view, which then is the target batch itself;
            with B = 1 there is no other and nothing is pasted.

    Raises:
        ValueError: on seeds or source rows of another dtype, shape or range, on views
            that cannot be pasted into each other, and with ``patch_aligned`` on a canvas
            that is no multiple of ``pad_to_multiple``.
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
    settings = settings_of(config)
    height, width = target.canvas_size
    if height % settings.alignment or width % settings.alignment:
        raise ValueError(
            f"patch_aligned: got a canvas of {height} x {width}, expected multiples of "
            f"pad_to_multiple = {settings.alignment}"
        )
    tables = tables_of(config, target.labels.device)
    return draw_from_settings(target, source, seeds, settings, tables, source_idx=source_idx)


def draw_from_settings(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    seeds: torch.Tensor,
    settings: PasteSettings,
    tables: ClassTables,
    *,
    source_idx: torch.Tensor | None = None,
) -> PastePlan:
    """:func:`draw_plan` without its checks, for ``torch.compile(fullgraph=True)``.

    Static operations on the device of the batch, no synchronisation. A module calls it
    as ``draw_from_settings(padded, view, seeds, self.settings, ClassTables(*buffers))``,
    with settings and tables made at construction (:func:`settings_of`,
    :func:`tables_of`), and hands the plan to ``paste_graph`` with the same two.

    Args:
        target: B samples, K slots; with patch alignment of a canvas that is a multiple.
        source: the source view; the target itself where ``source_idx`` is ``None``.
        seeds: ``[B]`` int64.
        settings: see :func:`settings_of`.
        tables: see :func:`tables_of`; on the device of the batch.
        source_idx: ``[B]`` int64, or ``None`` for another row of the batch.
    """
    batch = target.batch_size
    first, second, third, order = _draw_words(seeds, source.max_instances)
    fewest, most = settings.k_range
    count = fewest + uniform_below(second[:, 0], most - fewest + 1)
    count = torch.where(first[:, 3] < settings.paste_below, count, 0)
    if source_idx is None:
        own = torch.arange(batch, device=seeds.device)
        other = uniform_below(first[:, 0], max(batch - 1, 1))
        source_idx = torch.where(other >= own, other + 1, other) if batch > 1 else torch.zeros_like(own)
        count = count if batch > 1 else torch.zeros_like(count)

    hflip = first[:, 2] < settings.hflip_below
    step = _draw_step(first[:, 1], settings.scale_q16)
    mix_key = third[:, 0] | (third[:, 1] << 32)
    if source.instance_masks is None or source.batch_size == 0:
        # No rows: the class mix, or nothing, on the identity grid.
        step = torch.full_like(step, IDENTITY_STEP)
        hflip = torch.zeros_like(hflip)
        translate = torch.zeros((batch, 2), dtype=torch.int64, device=seeds.device)
    else:
        spans = mask_spans(plain(source.instance_masks), source.instance_valid)
        eligible = _eligible(source, spans, settings, tables)[source_idx]
        chosen = _chosen_slots(target, eligible, order, count)
        group = _group_box(source, source_idx, spans, chosen, hflip)
        extent = valid_extent(target)
        step, fits = _fit(group, step, extent, settings.shrink)
        count = torch.where(fits, count, 0)
        low, size = _scaled(group, step)
        # Place 0 is always among them, so that what fits can be aligned too.
        places = (extent - size).clamp(min=0) // settings.alignment + 1
        corner = uniform_below(second[:, 1:3], places) * settings.alignment
        translate = torch.where(fits[:, None], corner - low, 0)
    return PastePlan(source_idx, step, translate, hflip, order, count, mix_key)


def eligible_slots(source: PaddedBatchedDenseSample, config: BatchCopyPasteConfig) -> torch.Tensor:
    """The source slots that may be pasted, ``[B_s, K_s]`` bool (design, 4.1).

    Valid rows with a non-empty mask; with a schema, of a thing class.
    """
    if source.instance_masks is None:
        return torch.zeros_like(source.instance_valid)
    spans = mask_spans(plain(source.instance_masks), source.instance_valid)
    return _eligible(source, spans, settings_of(config), tables_of(config, source.labels.device))


def _eligible(
    source: PaddedBatchedDenseSample, spans: torch.Tensor, settings: PasteSettings, tables: ClassTables
) -> torch.Tensor:
    eligible = source.instance_valid & (spans[:, :, 2] > 0)
    if settings.has_schema:
        eligible = eligible & tables.is_thing[tables.find(source.labels)]
    return eligible


def _draw_words(
    seeds: torch.Tensor, slots: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three blocks of words, ``[B, 4]`` each, and a permutation of the slots, ``[B, K_s]``.

    All in one call of the generator, which takes hundreds of operations however many
    words it makes. More slots never reorder the earlier ones.
    """
    index = torch.arange(_BLOCKS + slots, device=seeds.device)
    ordinary = index < _BLOCKS
    words = philox_words(
        seeds[:, None].expand(-1, _BLOCKS + slots),
        torch.where(ordinary, index, index - _BLOCKS),
        torch.where(ordinary, _SCALARS, _ORDER),
    )
    order = words[:, _BLOCKS:, 0].argsort(dim=1, stable=True)
    return words[:, 0], words[:, 1], words[:, 2], order


def _draw_step(word: torch.Tensor, scale_q16: tuple[int, int]) -> torch.Tensor:
    """Inverse scale in Q16: ``round-half-even(65536 / scale)``, scale being a Q16 number.

    In integers: 2**32 / (scale in Q16) never comes so close to a half that the float64
    quotient would round the other way.
    """
    low, high = scale_q16
    scale = low + uniform_below(word, high - low + 1)
    quotient = 2**32 // scale
    rest = 2 * (2**32 - quotient * scale)
    up = (rest > scale) | ((rest == scale) & (quotient % 2 == 1))
    return (quotient + up).clamp(min=1)


def _chosen_slots(
    target: PaddedBatchedDenseSample, eligible: torch.Tensor, order: torch.Tensor, count: torch.Tensor
) -> torch.Tensor:
    """The first ``min(count, F)`` eligible slots of the permutation, ``[B, K_s]`` bool."""
    capacity = (~target.instance_valid).sum(dim=1)
    in_order = eligible.gather(1, order)
    wanted = in_order & (in_order.cumsum(dim=1) <= torch.minimum(count, capacity)[:, None])
    return torch.zeros_like(wanted).scatter(1, order, wanted)


def _group_box(
    source: PaddedBatchedDenseSample,
    source_idx: torch.Tensor,
    spans: torch.Tensor,
    chosen: torch.Tensor,
    hflip: torch.Tensor,
) -> torch.Tensor:
    """Bounding box of the chosen masks as seen after the flip, ``[B, 2, 2]``.

    Last dimension low (inclusive) and high (exclusive); the one before y and x. An
    empty group has low = high = 0.
    """
    extent = valid_extent(source)[source_idx]
    if spans.shape[1] == 0:
        return torch.zeros((len(extent), 2, 2), dtype=torch.int64, device=extent.device)
    sides = torch.where(chosen[:, :, None], spans[source_idx], 0)
    high = torch.minimum(sides[:, :, 2:].amax(dim=1), extent)
    farthest = torch.where(chosen[:, :, None], sides[:, :, :2], _FARTHEST)
    low = torch.minimum(farthest.amin(dim=1), high)
    flipped = torch.where(high[:, 1] > low[:, 1], extent[:, 1] - high[:, 1], 0)
    left = torch.where(hflip, flipped, low[:, 1])
    right = left + high[:, 1] - low[:, 1]
    return torch.stack((torch.stack((low[:, 0], left), 1), torch.stack((high[:, 0], right), 1)), dim=2)


def valid_extent(view: PaddedBatchedDenseSample) -> torch.Tensor:
    """The valid rectangle (Hv, Wv) of every sample, ``[B, 2]`` int64."""
    height, width = view.canvas_size
    if view.padding_mask is None:
        # Filled on the device: a tensor made of Python numbers would be copied to it.
        like = {"dtype": torch.int64, "device": view.labels.device}
        sides = [torch.full((view.batch_size,), side, **like) for side in (height, width)]
        return torch.stack(sides, dim=1)
    valid = ~plain(view.padding_mask)[:, 0]
    return torch.stack((valid.any(dim=2).sum(dim=1), valid.any(dim=1).sum(dim=1)), dim=1)


def _fit(
    group: torch.Tensor, step: torch.Tensor, extent: torch.Tensor, shrink: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Enlarge ``step`` where the group does not fit; and whether it can be placed."""
    room = (extent > 0).all(dim=1)
    _, size = _scaled(group, step)
    fits = (size <= extent).all(dim=1)
    if not shrink:
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

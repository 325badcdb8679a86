"""The Triton kernels of the fused executor, in the order in which they are launched.

Numbers in comments (4.1 ... 4.11) are the clauses of the design's section 4. What makes the
bits right (section 5): coordinates, weights, areas and offsets are integers; a product
that is added is exact in float64, so contraction to a fused multiply-add cannot change it;
division and square root are float64; atomics are on integers, whose order does not matter.

A *tile* is the block of pixels of one program. Masks, flags and validities are uint8 views
of bool tensors. An argument of ``None`` is a modality that is absent: Triton compiles the
code that needs it away. Strides are tuples in elements, in the order of the dimensions named.
"""

# A kernel is compiled, not run: its ``tl`` values have no Python types, and whether a
# modality is there is decided when it is compiled.
# pyright: reportOptionalSubscript=false, reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# ruff: noqa: N803 (constants of compilation are written large in Triton)
# pyright: reportIndexIssue=false, reportGeneralTypeIssues=false

from __future__ import annotations

import triton
import triton.language as tl

# What is known of a mask, [rows, HELD_FIELDS] int64, zero before the first launch. A lower
# edge is kept as its distance from the far side, so that 0 means "nothing" and the union
# of two boxes is a maximum.
HELD_FIELDS = 10
_AREA = tl.constexpr(0)
_BOX = tl.constexpr(1)  # H - y0, y1, W - x0, x1
_LOST = tl.constexpr(5)  # pixels that U takes from the row
_LEFT_BOX = tl.constexpr(6)  # as _BOX, of what is left
_HELD = tl.constexpr(HELD_FIELDS)

# What is known of the n-th row of the paste list, [B, K_s, PASTED_FIELDS] int64, likewise.
PASTED_FIELDS = 14
_SLOT = tl.constexpr(0)  # in the source
_PRIORITY = tl.constexpr(1)
_LABEL = tl.constexpr(2)
_RECT = tl.constexpr(3)  # y0, y1, x0, x1: where its box lies on the target canvas
_VISIBLE = tl.constexpr(7)  # pixels won
_ROW = tl.constexpr(8)  # row in the output, -1 if it is not pasted
_ID = tl.constexpr(9)
_WON_BOX = tl.constexpr(10)  # as _BOX, of the pixels won
_PASTED = tl.constexpr(PASTED_FIELDS)

# The paste of one sample, [B, SAMPLE_FIELDS] int64.
SAMPLE_FIELDS = 12
_SOURCE = tl.constexpr(0)
_STEP = tl.constexpr(1)
_TY = tl.constexpr(2)
_TX = tl.constexpr(3)
_FLIP = tl.constexpr(4)
_HEIGHT = tl.constexpr(5)  # the source's valid rectangle
_WIDTH = tl.constexpr(6)
_LISTED = tl.constexpr(7)  # rows on the paste list
_GROUP = tl.constexpr(8)  # y0, y1, x0, x1 on the target canvas: U lies inside
_SAMPLE = tl.constexpr(SAMPLE_FIELDS)

# A stuff class in one sample, [B, S, STUFF_FIELDS] int64, zero before the first launch.
STUFF_FIELDS = 2
_TAKEN = tl.constexpr(0)  # pixels that U takes from the class
_BEFORE = tl.constexpr(1)  # pixels of the class; counted only where U takes some
_STUFF = tl.constexpr(STUFF_FIELDS)

_ROUND_TO_INTEGER = tl.constexpr(6755399441055744.0)  # 1.5 * 2**52


@triton.jit(do_not_specialize=["slots", "height"])
def measure_rows(
    masks,
    mask_strides,
    valid,
    copy,
    copy_strides,
    held,
    slots,
    height,
    width,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """Area and box of every mask; beside it the copy of the masks, if one is wanted.

    One program per tile and row. The pixels of an unused row are zero by contract (4.10)
    and are not read.
    """
    program = tl.program_id(0).to(tl.int64)
    tiles_x = tl.cdiv(width, TILE_W)
    tiles = tiles_x * tl.cdiv(height, TILE_H)
    row = program // tiles
    tile = program % tiles
    b = row // slots
    k = row % slots
    ys = (tile // tiles_x) * TILE_H + tl.arange(0, TILE_H)[:, None]
    xs = (tile % tiles_x) * TILE_W + tl.arange(0, TILE_W)[None, :]
    on_canvas = (ys < height) & (xs < width)
    read_height = tl.where(tl.load(valid + row) != 0, height, 0)
    place = masks + b * mask_strides[0] + k * mask_strides[1] + ys * mask_strides[2] + xs * mask_strides[3]
    mask = tl.load(place, mask=(ys < read_height) & (xs < width), other=0)
    if copy is not None:
        place = copy + b * copy_strides[0] + k * copy_strides[1] + ys * copy_strides[2] + xs * copy_strides[3]
        tl.store(place, mask, mask=on_canvas)
    area = tl.sum((mask != 0).to(tl.int32))
    if area > 0:
        facts = held + row * _HELD
        tl.atomic_add(facts + _AREA, area.to(tl.int64), sem="relaxed")
        _grow_box(facts + _BOX, mask != 0, ys, xs, height, width)


@triton.jit(do_not_specialize=["slots", "source_slots", "height", "width", "classes"])
def list_rows(
    source_idx,
    step,
    translate,
    hflip,
    order,
    count,
    target_valid,
    source_valid,
    source_labels,
    source_held,
    source_padding,
    padding_strides,
    target_camera,
    source_camera,
    class_table,
    sample,
    pasted,
    free,
    factor,
    slots,
    source_slots,
    height,
    width,
    classes,
    ROWS: tl.constexpr,
    SLOTS: tl.constexpr,
    SOURCE_SLOTS: tl.constexpr,
    EDGE: tl.constexpr,
):
    """4.1 and 4.2: the paste list of a sample and where its rows come to lie.

    One program per sample. Without ``ROWS`` it is a class mix: the identity grid, and
    the whole source is the group. ``class_table`` is [classes, 3]: id, whether a thing,
    priority; ``None`` without a schema.
    """
    b = tl.program_id(0).to(tl.int64)
    source = tl.load(source_idx + b)
    wanted = tl.load(count + b)
    valid_h = height.to(tl.int64)
    valid_w = width.to(tl.int64)
    if source_padding is not None:
        corner = source_padding + source * padding_strides[0]
        valid_h = _unpadded(corner, padding_strides[1], height, EDGE)
        valid_w = _unpadded(corner, padding_strides[2], width, EDGE)
    facts = sample + b * _SAMPLE
    tl.store(facts + _SOURCE, source)
    tl.store(facts + _HEIGHT, valid_h)
    tl.store(facts + _WIDTH, valid_w)
    if ROWS:
        inverse_scale = tl.load(step + b)
        ty = tl.load(translate + 2 * b)
        tx = tl.load(translate + 2 * b + 1)
        flip = tl.load(hflip + b) != 0
        tl.store(facts + _STEP, inverse_scale)
        tl.store(facts + _TY, ty)
        tl.store(facts + _TX, tx)
        tl.store(facts + _FLIP, flip.to(tl.int64))

        k = tl.arange(0, SLOTS)
        vacant = tl.load(target_valid + b * slots + k, mask=k < slots, other=1) == 0
        tl.store(free + b * slots + tl.cumsum(vacant.to(tl.int32), 0) - 1, k.to(tl.int64), mask=vacant)
        wanted = tl.minimum(wanted, tl.sum(vacant.to(tl.int32)).to(tl.int64))

        n = tl.arange(0, SOURCE_SLOTS)
        there = n < source_slots
        slot = tl.load(order + b * source_slots + n, mask=there, other=0)
        row = source * source_slots + slot
        label = tl.load(source_labels + row, mask=there, other=0)
        eligible = there & (tl.load(source_valid + row, mask=there, other=0) != 0)
        eligible &= tl.load(source_held + row * _HELD + _AREA, mask=there, other=0) > 0
        priority = tl.zeros((SOURCE_SLOTS,), tl.int64)
        if class_table is not None:
            thing = tl.zeros((SOURCE_SLOTS,), tl.int64)
            for c in range(classes):
                same = label == tl.load(class_table + 3 * c)
                thing = tl.where(same, tl.load(class_table + 3 * c + 1), thing)
                priority = tl.where(same, tl.load(class_table + 3 * c + 2), priority)
            eligible &= thing != 0
        place = tl.cumsum(eligible.to(tl.int32), 0).to(tl.int64) - 1
        listed = eligible & (place < wanted)
        tl.store(facts + _LISTED, tl.sum(listed.to(tl.int64)))

        box = source_held + row * _HELD + _BOX
        top = height - tl.load(box, mask=listed, other=0)
        bottom = tl.load(box + 1, mask=listed, other=0)
        left = width - tl.load(box + 2, mask=listed, other=0)
        right = tl.load(box + 3, mask=listed, other=0)
        y0, y1 = _seen_from(top, bottom, valid_h, ty, inverse_scale, height)
        mirrored_left = tl.where(flip, valid_w - right, left)
        mirrored_right = tl.where(flip, valid_w - left, right)
        x0, x1 = _seen_from(mirrored_left, mirrored_right, valid_w, tx, inverse_scale, width)
        seen = listed & (y0 < y1) & (x0 < x1)
        y0, y1 = tl.where(seen, y0, 0), tl.where(seen, y1, 0)
        x0, x1 = tl.where(seen, x0, 0), tl.where(seen, x1, 0)
        entry = pasted + (b * source_slots + place) * _PASTED
        tl.store(entry + _SLOT, slot, mask=listed)
        tl.store(entry + _PRIORITY, priority, mask=listed)
        tl.store(entry + _LABEL, label, mask=listed)
        tl.store(entry + _RECT, y0, mask=listed)
        tl.store(entry + _RECT + 1, y1, mask=listed)
        tl.store(entry + _RECT + 2, x0, mask=listed)
        tl.store(entry + _RECT + 3, x1, mask=listed)
        tl.store(facts + _GROUP, tl.min(tl.where(seen, y0, height)))
        tl.store(facts + _GROUP + 1, tl.max(y1))
        tl.store(facts + _GROUP + 2, tl.min(tl.where(seen, x0, width)))
        tl.store(facts + _GROUP + 3, tl.max(x1))
        if factor is not None:
            # 4.7, left to right: the only rounded product before a square root, not a sum.
            near = tl.sqrt(tl.load(target_camera + 4 * b) * tl.load(target_camera + 4 * b + 1))
            far = tl.sqrt(tl.load(source_camera + 4 * source) * tl.load(source_camera + 4 * source + 1))
            tl.store(factor + b, (near / far) * inverse_scale.to(tl.float64) * 0.0000152587890625)
    else:
        tl.store(facts + _STEP, 65536)
        tl.store(facts + _GROUP + 1, tl.where(wanted > 0, valid_h, 0))
        tl.store(facts + _GROUP + 3, tl.where(wanted > 0, valid_w, 0))
        if factor is not None:
            near = tl.sqrt(tl.load(target_camera + 4 * b) * tl.load(target_camera + 4 * b + 1))
            far = tl.sqrt(tl.load(source_camera + 4 * source) * tl.load(source_camera + 4 * source + 1))
            tl.store(factor + b, near / far)


@triton.jit(do_not_specialize=["source_slots", "height", "stuff_classes", "ignore_index"])
def find_winners(
    sample,
    pasted,
    factor,
    mix_key,
    source_masks,
    source_mask_strides,
    padding,
    padding_strides,
    target_semantic,
    target_semantic_strides,
    source_semantic,
    source_semantic_strides,
    target_depth,
    target_depth_strides,
    target_depth_valid,
    target_depth_valid_strides,
    source_depth,
    source_depth_strides,
    source_depth_valid,
    source_depth_valid_strides,
    stuff_table,
    stuff,
    winner,
    source_slots,
    height,
    width,
    stuff_classes,
    ignore_index,
    COUNT_VISIBLE: tl.constexpr,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.4 and 4.5: the row that takes each pixel of the group's tiles, -1 for none.

    One program per tile of the canvas; those that the group does not touch return at once
    and leave ``winner`` [B, H, W] as it is. Without ``source_masks`` it is a class mix and the
    source takes part by class. The depths are there iff the z-test is on. With a
    ``stuff_table`` the pixels lost by every stuff class are counted, to be judged before
    the rows' areas are; else ``COUNT_VISIBLE`` counts those here.
    """
    b, ys, xs, y0, x0 = _tile(height, width, TILE_H, TILE_W)
    facts = sample + b * _SAMPLE
    if _apart(facts + _GROUP, y0, x0, TILE_H, TILE_W):
        return
    on_canvas = (ys < height) & (xs < width)
    source = tl.load(facts + _SOURCE)
    inside, ny, nx = _nearest_tap(facts, ys, xs)
    inside &= on_canvas

    listed = tl.load(facts + _LISTED)
    best = tl.full((TILE_H, TILE_W), -1, tl.int64)
    if source_masks is not None:
        greatest = tl.full((TILE_H, TILE_W), -9223372036854775808, tl.int64)
        rows = source_masks + source * source_mask_strides[0]
        offset = ny * source_mask_strides[2] + nx * source_mask_strides[3]
        for n in range(listed):
            entry = pasted + (b * source_slots + n) * _PASTED
            if not _apart(entry + _RECT, y0, x0, TILE_H, TILE_W):
                slot = tl.load(entry + _SLOT)
                priority = tl.load(entry + _PRIORITY)
                hit = tl.load(rows + slot * source_mask_strides[1] + offset, mask=inside, other=0) != 0
                # The later of two with the same priority wins, as n ascends.
                takes = hit & (priority >= greatest)
                greatest = tl.where(takes, priority, greatest)
                best = tl.where(takes, n, best)
    else:
        label = _read(source_semantic, source_semantic_strides, source, ny, nx, inside)
        best = tl.where(inside & _takes_part(label, tl.load(mix_key + b)), 0, best)

    taken = best >= 0
    if tl.sum(taken.to(tl.int32)) > 0:
        if padding is not None:
            taken &= _read(padding, padding_strides, b, ys, xs, taken) == 0
        if target_semantic is not None:
            taken &= _read(target_semantic, target_semantic_strides, b, ys, xs, taken) != ignore_index
            taken &= _read(source_semantic, source_semantic_strides, source, ny, nx, taken) != ignore_index
        if target_depth is not None:
            seen, seen_valid = _warp_depth(
                source_depth,
                source_depth_strides,
                source_depth_valid,
                source_depth_valid_strides,
                source,
                ny,
                nx,
                _four_taps(facts, ys, xs),
                taken,
                None if factor is None else factor + b,
            )
            judged = _read(target_depth_valid, target_depth_valid_strides, b, ys, xs, taken) != 0
            nearer = seen < _read(target_depth, target_depth_strides, b, ys, xs, judged)
            taken &= (judged == 0) | (seen_valid & nearer)
        best = tl.where(taken, best, -1)
        if stuff_table is not None:
            label = _read(target_semantic, target_semantic_strides, b, ys, xs, taken)
            _count_taken(stuff + b * stuff_classes * _STUFF, stuff_table, label, taken, stuff_classes)
        if COUNT_VISIBLE:
            _count_visible(pasted + b * source_slots * _PASTED, best, y0, x0, listed, TILE_H, TILE_W)
    tl.store(winner + (b * height + ys) * width + xs, best.to(winner.dtype.element_ty), mask=on_canvas)


@triton.jit(do_not_specialize=["height", "stuff_classes"])
def measure_stuff(
    semantic,
    semantic_strides,
    padding,
    padding_strides,
    stuff_table,
    stuff,
    height,
    width,
    stuff_classes,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.6: the area in the target of every stuff class that loses a pixel. Padding never counts."""
    b, ys, xs, _, _ = _tile(height, width, TILE_H, TILE_W)
    on_canvas = (ys < height) & (xs < width)
    if padding is not None:
        on_canvas &= _read(padding, padding_strides, b, ys, xs, on_canvas) == 0
    label = _read(semantic, semantic_strides, b, ys, xs, on_canvas)
    for c in range(stuff_classes):
        entry = stuff + (b * stuff_classes + c) * _STUFF
        if tl.load(entry + _TAKEN) > 0:
            area = tl.sum((on_canvas & (label == tl.load(stuff_table + 2 * c))).to(tl.int32))
            if area > 0:
                tl.atomic_add(entry + _BEFORE, area.to(tl.int64), sem="relaxed")


@triton.jit(do_not_specialize=["source_slots", "height", "stuff_classes", "tau_q16"])
def revert_stuff(
    sample,
    pasted,
    semantic,
    semantic_strides,
    stuff_table,
    stuff,
    winner,
    source_slots,
    height,
    width,
    stuff_classes,
    tau_q16,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.6 (2): take the paste back from starved stuff; then count what every row has won."""
    b, ys, xs, y0, x0 = _tile(height, width, TILE_H, TILE_W)
    facts = sample + b * _SAMPLE
    if _apart(facts + _GROUP, y0, x0, TILE_H, TILE_W):
        return
    on_canvas = (ys < height) & (xs < width)
    place = winner + (b * height + ys) * width + xs
    best = tl.load(place, mask=on_canvas, other=-1).to(tl.int64)
    taken = best >= 0
    if tl.sum(taken.to(tl.int32)) > 0:
        label = _read(semantic, semantic_strides, b, ys, xs, taken)
        for c in range(stuff_classes):
            if _starved(stuff + (b * stuff_classes + c) * _STUFF, stuff_table + 2 * c, tau_q16):
                best = tl.where(label == tl.load(stuff_table + 2 * c), -1, best)
        tl.store(place, best.to(winner.dtype.element_ty), mask=taken)
        listed = tl.load(facts + _LISTED)
        _count_visible(pasted + b * source_slots * _PASTED, best, y0, x0, listed, TILE_H, TILE_W)


@triton.jit(do_not_specialize=["slots", "source_slots", "min_pasted_area"])
def assign_rows(
    sample,
    pasted,
    free,
    target_valid,
    target_ids,
    panoptic_max,
    slots,
    source_slots,
    min_pasted_area,
    SLOTS: tl.constexpr,
    SOURCE_SLOTS: tl.constexpr,
):
    """4.6 (3) and 4.8: which rows are large enough; their slots and fresh ids.

    One program per sample. ``panoptic_max`` [B] int64 is the largest value of the target's map.
    """
    b = tl.program_id(0).to(tl.int64)
    k = tl.arange(0, SLOTS)
    used = tl.load(target_valid + b * slots + k, mask=k < slots, other=0) != 0
    highest = tl.max(tl.load(target_ids + b * slots + k, mask=used, other=-1).to(tl.int64))
    if panoptic_max is not None:
        highest = tl.maximum(highest, tl.maximum(tl.load(panoptic_max + b), 0))
    n = tl.arange(0, SOURCE_SLOTS)
    listed = n < tl.load(sample + b * _SAMPLE + _LISTED)
    entry = pasted + (b * source_slots + n) * _PASTED
    large = listed & (tl.load(entry + _VISIBLE, mask=listed, other=0) >= min_pasted_area)
    position = tl.cumsum(large.to(tl.int32), 0).to(tl.int64) - 1
    row = tl.load(free + b * slots + position, mask=large, other=-1)
    tl.store(entry + _ROW, row, mask=listed)
    tl.store(entry + _ID, highest + 1 + position, mask=listed)


@triton.jit(
    do_not_specialize=["slots", "source_slots", "channels", "height", "stuff_classes"],
)
def paint(
    sample,
    pasted,
    factor,
    winner,
    held,
    target_valid,
    source_image,
    source_image_strides,
    image,
    image_strides,
    target_masks,
    target_mask_strides,
    masks,
    mask_strides,
    target_semantic,
    target_semantic_strides,
    source_semantic,
    source_semantic_strides,
    semantic,
    semantic_strides,
    panoptic,
    panoptic_strides,
    source_depth,
    source_depth_strides,
    source_depth_valid,
    source_depth_valid_strides,
    target_depth_valid,
    target_depth_valid_strides,
    depth,
    depth_strides,
    depth_valid,
    depth_valid_strides,
    source_normals,
    source_normals_strides,
    normals,
    normals_strides,
    stuff_table,
    stuff,
    union,
    warped_image,
    warped_semantic,
    warped_depth,
    warped_depth_valid,
    warped_normals,
    slots,
    source_slots,
    channels,
    height,
    width,
    stuff_classes,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.6 (3), 4.3 and 4.7: the final U, and everything inside it, in one pass.

    Writes only pixels of U; the outputs already hold the target. ``winner`` becomes final.
    Pixels lost by target rows and boxes of pasted rows are gathered beside it, and with a
    ``stuff_table`` the pixels lost by stuff classes, of this U. ``union`` and ``warped_*``,
    the audit, are contiguous and zero before the launch.
    """
    b, ys, xs, y0, x0 = _tile(height, width, TILE_H, TILE_W)
    facts = sample + b * _SAMPLE
    if _apart(facts + _GROUP, y0, x0, TILE_H, TILE_W):
        return
    on_canvas = (ys < height) & (xs < width)
    pixel = (b * height + ys) * width + xs
    best = tl.load(winner + pixel, mask=on_canvas, other=-1).to(tl.int64)
    taken = best >= 0
    entry = pasted + (b * source_slots + best) * _PASTED
    row = best
    if masks is not None:
        row = tl.load(entry + _ROW, mask=taken, other=-1)
        tl.store(
            winner + pixel, tl.full((TILE_H, TILE_W), -1, winner.dtype.element_ty), mask=taken & (row < 0)
        )
        taken &= row >= 0
    if tl.sum(taken.to(tl.int32)) == 0:
        return
    source = tl.load(facts + _SOURCE)
    flip = tl.load(facts + _FLIP)
    _, ny, nx = _nearest_tap(facts, ys, xs)
    taps = _four_taps(facts, ys, xs)
    if union is not None:
        tl.store(union + pixel, tl.full((TILE_H, TILE_W), 1, tl.uint8), mask=taken)

    # Pointers step from plane to plane: a product with a stride could exceed 32 bits.
    source_plane = source_image + source * source_image_strides[0]
    plane = image + b * image_strides[0] + ys * image_strides[2] + xs * image_strides[3]
    for c in range(channels):
        value = _interpolate(source_plane, source_image_strides[2], source_image_strides[3], taps, taken)
        if source_image.dtype.element_ty == tl.uint8:
            value = ((value + 32768) >> 16).to(tl.uint8)
        else:
            value = (value * 0.0000152587890625).to(tl.float32)  # a power of two, exact
        tl.store(plane, value, mask=taken)
        if warped_image is not None:
            tl.store(warped_image + ((b * channels + c) * height + ys) * width + xs, value, mask=taken)
        source_plane += source_image_strides[1]
        plane += image_strides[1]

    if semantic is not None:
        label = _read(source_semantic, source_semantic_strides, source, ny, nx, taken)
        if warped_semantic is not None:
            tl.store(warped_semantic + pixel, label, mask=taken)
        if panoptic is not None:
            label = tl.load(entry + _LABEL, mask=taken, other=0)
        tl.store(_place(semantic, semantic_strides, b, ys, xs), label, mask=taken)
        if stuff_table is not None:
            former = _read(target_semantic, target_semantic_strides, b, ys, xs, taken)
            _count_taken(stuff + b * stuff_classes * _STUFF, stuff_table, former, taken, stuff_classes)

    if panoptic is not None:
        tl.store(
            _place(panoptic, panoptic_strides, b, ys, xs),
            tl.load(entry + _ID, mask=taken, other=0),
            mask=taken,
        )

    if depth is not None:
        seen, seen_valid = _warp_depth(
            source_depth,
            source_depth_strides,
            source_depth_valid,
            source_depth_valid_strides,
            source,
            ny,
            nx,
            taps,
            taken,
            None if factor is None else factor + b,
        )
        tl.store(_place(depth, depth_strides, b, ys, xs), seen, mask=taken)
        joined = seen_valid & (_read(target_depth_valid, target_depth_valid_strides, b, ys, xs, taken) != 0)
        tl.store(_place(depth_valid, depth_valid_strides, b, ys, xs), joined.to(tl.uint8), mask=taken)
        if warped_depth is not None:
            tl.store(warped_depth + pixel, seen, mask=taken)
            tl.store(warped_depth_valid + pixel, seen_valid.to(tl.uint8), mask=taken)

    if normals is not None:
        plane_x = source_normals + source * source_normals_strides[0]
        plane_y = plane_x + source_normals_strides[1]
        plane_z = plane_y + source_normals_strides[1]
        across, down = source_normals_strides[3], source_normals_strides[2]
        qx = _quantise(_interpolate(plane_x, down, across, taps, taken))
        qy = _quantise(_interpolate(plane_y, down, across, taps, taken))
        qz = _quantise(_interpolate(plane_z, down, across, taps, taken))
        # Where they cancel, the nearest tap alone.
        alone = taken & (qx == 0.0) & (qy == 0.0) & (qz == 0.0)
        tap = plane_x + ny * down + nx * across
        qx = tl.where(alone, _quantise(tl.load(tap, mask=alone, other=0.0).to(tl.float64) * 65536.0), qx)
        tap += source_normals_strides[1]
        qy = tl.where(alone, _quantise(tl.load(tap, mask=alone, other=0.0).to(tl.float64) * 65536.0), qy)
        tap += source_normals_strides[1]
        qz = tl.where(alone, _quantise(tl.load(tap, mask=alone, other=0.0).to(tl.float64) * 65536.0), qz)
        length = tl.sqrt((qx * qx + qy * qy) + qz * qz)
        some = length > 0.0  # not where a normal is NaN
        length = tl.where(some, length, 1.0)
        unit_x = tl.where(some, (qx / length).to(tl.float32), 0.0)
        unit_x = tl.where(flip != 0, 0.0 - unit_x, unit_x)
        unit_y = tl.where(some, (qy / length).to(tl.float32), 0.0)
        unit_z = tl.where(some, (qz / length).to(tl.float32), 0.0)
        normal = normals + b * normals_strides[0] + ys * normals_strides[2] + xs * normals_strides[3]
        tl.store(normal, unit_x, mask=taken)
        tl.store(normal + normals_strides[1], unit_y, mask=taken)
        tl.store((normal + normals_strides[1]) + normals_strides[1], unit_z, mask=taken)
        if warped_normals is not None:
            shown = warped_normals + (3 * b * height + ys) * width + xs
            area = height.to(tl.int64) * width
            tl.store(shown, unit_x, mask=taken)
            tl.store(shown + area, unit_y, mask=taken)
            tl.store(shown + 2 * area, unit_z, mask=taken)

    if masks is not None:
        mask = masks + b * mask_strides[0] + ys * mask_strides[2] + xs * mask_strides[3]
        # 4.8: U is taken from the target's rows; then the winners' rows are filled.
        former = target_masks + b * target_mask_strides[0]
        former += ys * target_mask_strides[2] + xs * target_mask_strides[3]
        left_mask = mask
        for i in range(slots):
            facts_i = held + (b * slots + i) * _HELD
            used = tl.load(target_valid + b * slots + i) != 0
            if used and not _apart_from_box(facts_i + _BOX, y0, x0, height, width, TILE_H, TILE_W):
                cut = tl.load(former, mask=taken, other=0) != 0
                lost = tl.sum(cut.to(tl.int32))
                if lost > 0:
                    tl.atomic_add(facts_i + _LOST, lost.to(tl.int64), sem="relaxed")
                    tl.store(left_mask, tl.zeros((TILE_H, TILE_W), tl.uint8), mask=cut)
            former += target_mask_strides[1]
            left_mask += mask_strides[1]
        tl.store(mask + row * mask_strides[1], tl.full((TILE_H, TILE_W), 1, tl.uint8), mask=taken)
        for n in range(tl.load(facts + _LISTED)):
            entry_n = pasted + (b * source_slots + n) * _PASTED
            if not _apart(entry_n + _RECT, y0, x0, TILE_H, TILE_W):
                won = taken & (best == n)
                if tl.sum(won.to(tl.int32)) > 0:
                    _grow_box(entry_n + _WON_BOX, won, ys, xs, height, width)


@triton.jit(do_not_specialize=["height", "stuff_classes", "tau_q16", "ignore_index"])
def void_stuff(
    sample,
    winner,
    target_semantic,
    target_semantic_strides,
    padding,
    padding_strides,
    semantic,
    semantic_strides,
    panoptic,
    panoptic_strides,
    stuff_table,
    stuff,
    height,
    width,
    stuff_classes,
    tau_q16,
    ignore_index,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.6 (4): what the final U leaves of a starved stuff class becomes void."""
    b, ys, xs, y0, x0 = _tile(height, width, TILE_H, TILE_W)
    outside = (ys < height) & (xs < width)
    if not _apart(sample + b * _SAMPLE + _GROUP, y0, x0, TILE_H, TILE_W):
        outside &= tl.load(winner + (b * height + ys) * width + xs, mask=outside, other=0) < 0
    if padding is not None:
        outside &= _read(padding, padding_strides, b, ys, xs, outside) == 0
    for c in range(stuff_classes):
        if _starved(stuff + (b * stuff_classes + c) * _STUFF, stuff_table + 2 * c, tau_q16):
            label = _read(target_semantic, target_semantic_strides, b, ys, xs, outside)
            void = outside & (label == tl.load(stuff_table + 2 * c))
            _write_void(
                semantic,
                semantic_strides,
                panoptic,
                panoptic_strides,
                b,
                ys,
                xs,
                void,
                ignore_index,
                TILE_H,
                TILE_W,
            )


@triton.jit(
    do_not_specialize=[
        *("slots", "parts", "height"),
        *("min_area", "residual_q16", "ignore_index"),
    ],
)
def settle_rows(
    held,
    masks,
    mask_strides,
    semantic,
    semantic_strides,
    panoptic,
    panoptic_strides,
    slots,
    parts,
    height,
    width,
    min_area,
    residual_q16,
    ignore_index,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.8: drop target rows of which too little is left, with 4.9; box what is left of the others.

    ``parts`` programs per row share the tiles of its box; a row that lost nothing has none.
    """
    program = tl.program_id(0).to(tl.int64)
    row = program // parts
    b = row // slots
    facts = held + row * _HELD
    lost = tl.load(facts + _LOST)
    if lost == 0:
        return
    dropped = _is_dropped(tl.load(facts + _AREA), lost, min_area, residual_q16)
    # From whole tiles of the canvas, so that rows of pixels stay aligned.
    first_y = (height - tl.load(facts + _BOX)) // TILE_H
    first_x = (width - tl.load(facts + _BOX + 2)) // TILE_W
    tiles_y = tl.cdiv(tl.load(facts + _BOX + 1), TILE_H) - first_y
    tiles_x = tl.cdiv(tl.load(facts + _BOX + 3), TILE_W) - first_x
    plane = masks + b * mask_strides[0] + (row % slots) * mask_strides[1]
    for tile in range(program % parts, tiles_y * tiles_x, parts):
        ys = (first_y + tile // tiles_x) * TILE_H + tl.arange(0, TILE_H)[:, None]
        xs = (first_x + tile % tiles_x) * TILE_W + tl.arange(0, TILE_W)[None, :]
        place = plane + ys * mask_strides[2] + xs * mask_strides[3]
        left = tl.load(place, mask=(ys < height) & (xs < width), other=0) != 0
        if tl.sum(left.to(tl.int32)) > 0:
            if dropped:
                tl.store(place, tl.zeros((TILE_H, TILE_W), tl.uint8), mask=left)
                if panoptic is not None:
                    _write_void(
                        semantic,
                        semantic_strides,
                        panoptic,
                        panoptic_strides,
                        b,
                        ys,
                        xs,
                        left,
                        ignore_index,
                        TILE_H,
                        TILE_W,
                    )
            else:
                _grow_box(facts + _LEFT_BOX, left, ys, xs, height, width)


@triton.jit(
    do_not_specialize=["slots", "source_slots", "height", "width", "min_area", "residual_q16"],
)
def write_rows(
    sample,
    pasted,
    held,
    boxes,
    labels,
    valid,
    ids,
    row_source,
    row_dropped,
    slots,
    source_slots,
    height,
    width,
    min_area,
    residual_q16,
    SLOTS: tl.constexpr,
    SOURCE_SLOTS: tl.constexpr,
):
    """4.8 and 4.10: boxes, labels and ids of the rows that changed; the others hold the target's.

    One program per sample. ``row_source`` (-1 before the launch) and ``row_dropped`` (false)
    are the audit's, or ``None``. Rows that lost pixels and pasted rows are different rows.
    """
    b = tl.program_id(0).to(tl.int64)
    k = b * slots + tl.arange(0, SLOTS)
    there = tl.arange(0, SLOTS) < slots
    facts = held + k * _HELD
    lost = tl.load(facts + _LOST, mask=there, other=0)
    touched = lost > 0
    area = tl.load(facts + _AREA, mask=touched, other=0)
    dropped = touched & _is_dropped(area, lost, min_area, residual_q16)
    _write_box(boxes + 4 * k, facts + _LEFT_BOX, height, width, touched, dropped)
    tl.store(labels + k, tl.zeros((SLOTS,), tl.int64), mask=dropped)
    tl.store(valid + k, tl.zeros((SLOTS,), tl.uint8), mask=dropped)
    tl.store(ids + k, tl.zeros((SLOTS,), tl.int32), mask=dropped)
    if row_dropped is not None:
        tl.store(row_dropped + k, tl.full((SLOTS,), 1, tl.uint8), mask=dropped)

    n = tl.arange(0, SOURCE_SLOTS)
    listed = n < tl.load(sample + b * _SAMPLE + _LISTED)
    entry = pasted + (b * source_slots + n) * _PASTED
    row = tl.load(entry + _ROW, mask=listed, other=-1)
    new = row >= 0
    row += b * slots
    _write_box(boxes + 4 * row, entry + _WON_BOX, height, width, new, n < 0)
    tl.store(labels + row, tl.load(entry + _LABEL, mask=new, other=0), mask=new)
    tl.store(valid + row, tl.full((SOURCE_SLOTS,), 1, tl.uint8), mask=new)
    tl.store(ids + row, tl.load(entry + _ID, mask=new, other=0).to(tl.int32), mask=new)
    if row_source is not None:
        tl.store(row_source + row, tl.load(entry + _SLOT, mask=new, other=0), mask=new)


@triton.jit
def _tile(height, width, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """The sample and the pixels of this program, rows ``[TILE_H, 1]`` and columns ``[1, TILE_W]``."""
    program = tl.program_id(0).to(tl.int64)
    tiles_x = tl.cdiv(width, TILE_W)
    tiles = tiles_x * tl.cdiv(height, TILE_H)
    tile = program % tiles
    y0 = (tile // tiles_x) * TILE_H
    x0 = (tile % tiles_x) * TILE_W
    return program // tiles, y0 + tl.arange(0, TILE_H)[:, None], x0 + tl.arange(0, TILE_W)[None, :], y0, x0


@triton.jit
def _place(plane, strides, b, ys, xs):
    """Where the pixels of a map ``[B, H, W]`` are."""
    return plane + b * strides[0] + ys * strides[1] + xs * strides[2]


@triton.jit
def _read(plane, strides, b, ys, xs, needed):
    """The pixels of a map ``[B, H, W]``; what is not needed is not read and 0."""
    return tl.load(_place(plane, strides, b, ys, xs), mask=needed, other=0)


@triton.jit
def _apart(rectangle, y0, x0, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """Whether a tile misses a rectangle y0, y1, x0, x1."""
    below = (y0 >= tl.load(rectangle + 1)) | (y0 + TILE_H <= tl.load(rectangle))
    return below | (x0 >= tl.load(rectangle + 3)) | (x0 + TILE_W <= tl.load(rectangle + 2))


@triton.jit
def _apart_from_box(box, y0, x0, height, width, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """The same for a box H - y0, y1, W - x0, x1."""
    below = (y0 >= tl.load(box + 1)) | (y0 + TILE_H <= height - tl.load(box))
    return below | (x0 >= tl.load(box + 3)) | (x0 + TILE_W <= width - tl.load(box + 2))


@triton.jit
def _grow_box(box, hit, ys, xs, height, width):
    """Enlarge a box H - y0, y1, W - x0, x1 so that it holds all pixels hit."""
    tl.atomic_max(box, tl.max(tl.where(hit, height - ys, 0)).to(tl.int64), sem="relaxed")
    tl.atomic_max(box + 1, tl.max(tl.where(hit, ys + 1, 0)).to(tl.int64), sem="relaxed")
    tl.atomic_max(box + 2, tl.max(tl.where(hit, width - xs, 0)).to(tl.int64), sem="relaxed")
    tl.atomic_max(box + 3, tl.max(tl.where(hit, xs + 1, 0)).to(tl.int64), sem="relaxed")


@triton.jit
def _write_box(place, box, height, width, needed, zero):
    """XYXY as float32."""
    y0 = tl.where(zero, 0, height - tl.load(box, mask=needed, other=0))
    y1 = tl.where(zero, 0, tl.load(box + 1, mask=needed, other=0))
    x0 = tl.where(zero, 0, width - tl.load(box + 2, mask=needed, other=0))
    x1 = tl.where(zero, 0, tl.load(box + 3, mask=needed, other=0))
    tl.store(place, x0.to(tl.float32), mask=needed)
    tl.store(place + 1, y0.to(tl.float32), mask=needed)
    tl.store(place + 2, x1.to(tl.float32), mask=needed)
    tl.store(place + 3, y1.to(tl.float32), mask=needed)


@triton.jit
def _write_void(
    semantic,
    semantic_strides,
    panoptic,
    panoptic_strides,
    b,
    ys,
    xs,
    void,
    ignore_index,
    TILE_H: tl.constexpr,
    TILE_W: tl.constexpr,
):
    """4.9: semantic *ignore*, panoptic 0."""
    tl.store(
        _place(semantic, semantic_strides, b, ys, xs),
        tl.zeros((TILE_H, TILE_W), tl.int64) + ignore_index,
        mask=void,
    )
    if panoptic is not None:
        tl.store(
            _place(panoptic, panoptic_strides, b, ys, xs), tl.zeros((TILE_H, TILE_W), tl.int64), mask=void
        )


@triton.jit
def _unpadded(corner, stride, extent, EDGE: tl.constexpr):
    """How many pixels from the corner on are no padding, along one edge."""
    pixels = tl.zeros((EDGE,), tl.int64)
    for start in range(0, extent, EDGE):
        at = start + tl.arange(0, EDGE).to(tl.int64)
        pixels += (tl.load(corner + at * stride, mask=at < extent, other=1) == 0).to(tl.int64)
    return tl.sum(pixels)


@triton.jit
def _seen_from(first, last, valid, shift, step, extent):
    """4.2 turned round: the positions on the canvas whose nearest tap lies in ``[first, last)``.

    ``n >= a`` iff ``2(x - t) + 1 >= a * 2**17 / step``, iff ``x - t`` is at least half of
    that quotient, rounded up and then down.
    """
    first, last = tl.maximum(first, 0), tl.minimum(last, valid)
    low = shift + (((first << 17) + (step - 1)) // step >> 1)
    high = shift + (((last << 17) + (step - 1)) // step >> 1)
    return tl.maximum(low, 0), tl.where(last > first, tl.minimum(high, extent), 0)


@triton.jit
def _nearest_tap(facts, ys, xs):
    """4.2: inside, and the nearest tap (0 where it is not inside)."""
    step, valid_h, valid_w = tl.load(facts + _STEP), tl.load(facts + _HEIGHT), tl.load(facts + _WIDTH)
    ny = ((2 * (ys - tl.load(facts + _TY)) + 1) * step) >> 17
    nx = ((2 * (xs - tl.load(facts + _TX)) + 1) * step) >> 17
    inside_y = (ny >= 0) & (ny < valid_h)
    inside_x = (nx >= 0) & (nx < valid_w)
    nx = tl.where(tl.load(facts + _FLIP) != 0, valid_w - 1 - nx, nx)
    return inside_y & inside_x, tl.where(inside_y, ny, 0), tl.where(inside_x, nx, 0)


@triton.jit
def _four_taps(facts, ys, xs):
    """4.2: top, bottom, left, right of the bilinear taps, and the weights (0,0) (0,1) (1,0) (1,1)."""
    step = tl.load(facts + _STEP)
    top, bottom, weight_top, weight_bottom = _two_taps(
        ys, tl.load(facts + _TY), step, tl.load(facts + _HEIGHT)
    )
    valid_w = tl.load(facts + _WIDTH)
    left, right, weight_left, weight_right = _two_taps(xs, tl.load(facts + _TX), step, valid_w)
    flip = tl.load(facts + _FLIP) != 0
    left = tl.where(flip, valid_w - 1 - left, left)
    right = tl.where(flip, valid_w - 1 - right, right)
    return (
        top,
        bottom,
        left,
        right,
        weight_top * weight_left,
        weight_top * weight_right,
        weight_bottom * weight_left,
        weight_bottom * weight_right,
    )


@triton.jit
def _two_taps(position, shift, step, valid):
    """Along one axis: the taps, clamped after the weights, and the weights."""
    v = (2 * (position - shift) + 1) * step - 65536
    second = ((v & 131071) >> 9).to(tl.int32)
    first = v >> 17
    near = tl.minimum(tl.maximum(first, 0), valid - 1)
    far = tl.minimum(tl.maximum(first + 1, 0), valid - 1)
    return near, far, 256 - second, second


@triton.jit
def _interpolate(plane, down, across, taps, needed):
    """4.3: the weighted sum of four taps, not yet divided by 65536; int32 for uint8, else float64."""
    top, bottom, left, right = taps[0] * down, taps[1] * down, taps[2] * across, taps[3] * across
    a = _term(plane + top + left, taps[4], needed)
    b = _term(plane + top + right, taps[5], needed)
    c = _term(plane + bottom + left, taps[6], needed)
    d = _term(plane + bottom + right, taps[7], needed)
    # A lone tap keeps the sign of a zero. Only the first can have all the weight.
    return tl.where(taps[4] == 65536, a, (a + b) + (c + d))


@triton.jit
def _term(place, weight, needed):
    """A tap times its weight; a tap of weight 0 is not read and +0."""
    value = tl.load(place, mask=needed & (weight > 0), other=0)
    if place.dtype.element_ty == tl.uint8:
        term = value.to(tl.int32) * weight
    else:
        term = value.to(tl.float64) * weight.to(tl.float64)
    return term


@triton.jit
def _warp_depth(depth, strides, depth_valid, valid_strides, source, ny, nx, taps, needed, factor):
    """4.3 and 4.7: depth over valid taps, rescaled, and its validity V_src; 0 where that is false."""
    plane = depth + source * strides[0]
    usable = depth_valid + source * valid_strides[0]
    a, wa = _valid_term(plane, strides, usable, valid_strides, taps[0], taps[2], taps[4], needed)
    b, wb = _valid_term(plane, strides, usable, valid_strides, taps[0], taps[3], taps[5], needed)
    c, wc = _valid_term(plane, strides, usable, valid_strides, taps[1], taps[2], taps[6], needed)
    d, wd = _valid_term(plane, strides, usable, valid_strides, taps[1], taps[3], taps[7], needed)
    total = tl.where(wa == 65536, a, (a + b) + (c + d))
    weight = (wa + wb) + (wc + wd)
    value = total / tl.where(weight > 0, weight, 1).to(tl.float64)  # 0 without a valid tap
    if factor is not None:
        value = value * tl.load(factor)
    rounded = value.to(tl.float32)
    nearest = _read(depth_valid, valid_strides, source, ny, nx, needed) != 0
    valid = nearest & (rounded > 0.0) & (rounded < float("inf"))
    return tl.where(valid, rounded, 0.0), valid


@triton.jit
def _valid_term(plane, strides, usable, valid_strides, y, x, weight, needed):
    """A valid tap times its weight, and the weight; an invalid tap is not read and counts as 0."""
    valid = tl.load(usable + y * valid_strides[1] + x * valid_strides[2], mask=needed & (weight > 0), other=0)
    weight = tl.where(valid != 0, weight, 0)
    value = tl.load(plane + y * strides[1] + x * strides[2], mask=valid != 0, other=0.0)
    return value.to(tl.float64) * weight.to(tl.float64), weight


@triton.jit
def _quantise(total):
    """4.3: ``rint(S * 512)``, half to even, a zero as +0.

    Next to 1.5 * 2**52 float64 holds integers only, so the addition rounds as ``rint`` does,
    for sizes up to 2**51; the difference is exact, and +0 where it is zero.
    """
    return (total * 512.0 + _ROUND_TO_INTEGER) - _ROUND_TO_INTEGER


@triton.jit
def _count_visible(entries, best, y0, x0, listed, TILE_H: tl.constexpr, TILE_W: tl.constexpr):
    """Add the pixels of this tile to the areas won by the rows of the paste list."""
    for n in range(listed):
        entry = entries + n * _PASTED
        if not _apart(entry + _RECT, y0, x0, TILE_H, TILE_W):
            area = tl.sum((best == n).to(tl.int32))
            if area > 0:
                tl.atomic_add(entry + _VISIBLE, area.to(tl.int64), sem="relaxed")


@triton.jit
def _count_taken(stuff, stuff_table, label, taken, stuff_classes):
    """Add the pixels of this tile to what U takes from the stuff classes."""
    for c in range(stuff_classes):
        area = tl.sum((taken & (label == tl.load(stuff_table + 2 * c))).to(tl.int32))
        if area > 0:
            tl.atomic_add(stuff + c * _STUFF + _TAKEN, area.to(tl.int64), sem="relaxed")


@triton.jit
def _starved(entry, stuff_class, tau_q16):
    """4.6 (2): whether U takes from a stuff class and leaves too little of it."""
    taken = tl.load(entry + _TAKEN)
    before = tl.load(entry + _BEFORE)
    left = before - taken
    too_few = (left < tl.load(stuff_class + 1)) | (left * 65536 < tau_q16 * before)
    return (taken > 0) & too_few


@triton.jit
def _is_dropped(former, lost, min_area, residual_q16):
    """4.8: whether too little is left of a row that lost pixels."""
    left = former - lost
    return (left < min_area) | (left * 65536 < residual_q16 * former)


@triton.jit
def _takes_part(label, key):
    """4.11: the lowest bit of Philox 4x32-10 (key, class), in 64-bit words without a sign."""
    c0 = label.to(tl.uint64)
    c1 = c0 * 0
    c2 = c1
    c3 = c1
    k0 = (key & 0xFFFFFFFF).to(tl.uint64)
    k1 = ((key >> 32) & 0xFFFFFFFF).to(tl.uint64)
    for _ in tl.static_range(10):
        first = c0 * 0xD2511F53
        second = c2 * 0xCD9E8D57
        c0 = (second >> 32) ^ c1 ^ k0
        c1 = second & 0xFFFFFFFF
        c2 = (first >> 32) ^ c3 ^ k1
        c3 = first & 0xFFFFFFFF
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return (c0 & 1) != 0

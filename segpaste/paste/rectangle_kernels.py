"""The loops of the rectangle executor, compiled by Numba; one file, as its cache asks for.

Numbers in comments (4.1 ... 4.11) are the clauses of the design's section 4. Work is done
only where something is pasted: in the rectangle that each pasted row covers in the target.
All images and maps are contiguous, bools are bytes, and a modality that is absent is an
array of size 0.

What is called per pixel takes arrays and numbers, not tuples of arrays: taking one out of a
tuple counts a reference, which costs more than the pixel. Loops over pixels run over unsigned
numbers, as an index that cannot be negative is not checked for it.
"""

# Everything here is compiled; what Numba infers the type checker cannot follow.
# pyright: basic, reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from segpaste.paste.jit import compiled


class View(NamedTuple):
    """A batch as arrays; also what is written, with the same fields."""

    image8: np.ndarray  # [B, C, H, W] uint8, or of size 0
    image32: np.ndarray  # [B, C, H, W] float32, or of size 0
    boxes: np.ndarray  # [B, K, 4] float32
    labels: np.ndarray  # [B, K] int64
    valid: np.ndarray  # [B, K] uint8
    ids: np.ndarray  # [B, K] int32
    masks: np.ndarray  # [B, K, H, W] uint8
    semantic: np.ndarray  # [B, H, W] int64
    panoptic: np.ndarray  # [B, H, W] int64
    depth: np.ndarray  # [B, H, W] float32
    depth_valid: np.ndarray  # [B, H, W] uint8
    normals: np.ndarray  # [B, 3, H, W] float32
    padding: np.ndarray  # [B, H, W] uint8
    camera: np.ndarray  # [B, 4] float64


class Plan(NamedTuple):
    """The plan, and for the class mix the labels that each sample takes."""

    source_idx: np.ndarray  # [B] int64
    step: np.ndarray  # [B] int64
    translate: np.ndarray  # [B, 2] int64
    hflip: np.ndarray  # [B] uint8
    order: np.ndarray  # [B, K_s] int64
    count: np.ndarray  # [B] int64
    mix_labels: np.ndarray  # [M] int64, ascending per sample
    mix_start: np.ndarray  # [B + 1] int64, where each sample's labels begin


class Rules(NamedTuple):
    """The configuration."""

    classes: np.ndarray  # [N] int64, ascending
    is_thing: np.ndarray  # [N] uint8
    priority: np.ndarray  # [N] int64
    stuff_min_area: np.ndarray  # [N] int64
    class_table: np.ndarray  # [L] int32, label -> index or -1; of size 0 where labels are large
    has_schema: bool
    reverts: bool
    z_test: bool
    metric: bool
    ignore: int
    tau_q16: int
    min_area: int
    min_pasted_area: int
    residual_q16: int


class Audit(NamedTuple):
    """What is told of the paste; arrays of size 0 where nobody asks."""

    union: np.ndarray  # [B, H, W] uint8
    row_source: np.ndarray  # [B, K] int64
    row_dropped: np.ndarray  # [B, K] uint8
    semantic: np.ndarray  # [B, H, W] int64
    depth_valid: np.ndarray  # [B, H, W] uint8


class Axis(NamedTuple):
    """4.2 along one axis, for the positions ``low <= x < high`` that are inside."""

    near: np.ndarray
    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray  # of the second tap, 0..255
    low: int
    high: int


@compiled
def labels_present(semantic, padding, table, found):
    """The distinct labels of one map ``[H, W]`` off its padding, if all are below
    ``table.size``: their number, with the labels in ``found``; else -1.
    """
    table[:] = 0
    for y in range(semantic.shape[0]):
        for x in range(semantic.shape[1]):
            if padding.size and padding[y, x]:
                continue
            label = semantic[y, x]
            if label < 0 or label >= table.size:
                return -1
            table[label] = 1
    n = 0
    for label in range(table.size):
        if table[label]:
            found[n] = label
            n += 1
    return n


@compiled
def paste_samples(height, width, class_mix, winner_type, clear, spans, source_spans, begin, end, *arrays):
    """Paste the samples ``begin <= b < end`` of a canvas.

    ``arrays`` are the fields of target, source and out (a ``View`` each), of the plan, the
    rules and the audit, one after the other: a call with the tuples themselves takes twice
    as long, on small images a hundredth of the whole paste.

    ``out`` holds copies of the target's images and maps; of what there is one of per row,
    nothing yet. Its masks are zeros, or with ``clear`` anything: each is cleared when its row
    is written, while it is in the cache. ``winner_type`` is of a dtype that holds every
    source slot.
    """
    target, source, out = View(*arrays[0:14]), View(*arrays[14:28]), View(*arrays[28:42])
    plan, rules, audit = Plan(*arrays[42:50]), Rules(*arrays[50:64]), Audit(*arrays[64:69])
    slots_most = source.valid.shape[1]
    winner = np.empty((height, width), dtype=winner_type.dtype)
    union = np.zeros((height, width), dtype=np.uint8)
    depth_size = (height, width) if target.depth.size else (0, 0)
    depth = np.empty(depth_size, dtype=np.float32)
    depth_valid = np.empty(depth_size, dtype=np.uint8)
    most = max(slots_most, 1)
    slots = np.empty(most, dtype=np.int64)
    priority = np.empty(most, dtype=np.int64)
    sequence = np.empty(most, dtype=np.int64)
    areas = np.empty(most, dtype=np.int64)
    rects = np.empty((most, 4), dtype=np.int64)
    lost = np.zeros(rules.classes.size, dtype=np.int64)
    starved = np.zeros(rules.classes.size, dtype=np.uint8)
    columns = np.zeros(width, dtype=np.uint8)
    nothing8 = np.zeros((0, 0), dtype=np.uint8)
    nothing64 = np.zeros((0, 0), dtype=np.int64)

    for b in range(begin, end):
        copy_rows(b, target, out)
        s = plan.source_idx[b]
        padding = target.padding[b] if target.padding.size else nothing8
        source_padding = source.padding[s] if source.padding.size else nothing8
        source_h, source_w = valid_rectangle(source_padding, height, width)
        step, ty, tx, mirrored = plan.step[b], plan.translate[b, 0], plan.translate[b, 1], plan.hflip[b] != 0
        if class_mix:  # 4.11: the identity grid
            step, ty, tx, mirrored = 65536, 0, 0, False
        rows = axis_of(height, ty, step, source_h, False)
        cols = axis_of(width, tx, step, source_w, mirrored)

        # 4.1 the paste list, and 4.5 in which order it is painted.
        n_list = 0
        if class_mix:
            if plan.count[b] > 0 and rows.high > rows.low and cols.high > cols.low:
                n_list = 1
                rects[0, 0], rects[0, 1], rects[0, 2], rects[0, 3] = rows.low, cols.low, rows.high, cols.high
                sequence[0] = 0
        else:
            n_list = paste_list(b, s, target, source, plan, rules, source_spans, slots, priority)
            sort_by_priority(priority, n_list, sequence)
            for n in range(n_list):
                span = source_spans[s, slots[n]]
                rects[n, 0], rects[n, 2] = positions_in(rows, span[0], span[2])
                rects[n, 1], rects[n, 3] = positions_in(cols, span[1], span[3])
        for n in range(n_list):
            fill_rect(winner, rects[n], winner.dtype.type(-1))
        for m in range(n_list):
            n = sequence[m]
            if class_mix:
                begin_labels, end_labels = plan.mix_start[b], plan.mix_start[b + 1]
                take_classes(
                    source.semantic[s], plan.mix_labels, begin_labels, end_labels, rows, cols, winner
                )
            else:
                take_mask(source.masks[s, slots[n]], rects[n], n, rows, cols, winner)
        factor = metric_factor(target, source, b, s, step) if rules.metric else np.float64(1.0)
        for n in range(n_list):
            if padding.size:
                refuse_padding(padding, rects[n], n, winner)
            if target.semantic.size:
                refuse_ignored(
                    target.semantic[b], source.semantic[s], rules.ignore, rows, cols, rects[n], n, winner
                )
            if target.depth.size:
                see_depth(
                    source.depth[s], source.depth_valid[s], factor, rules.metric, rows, cols,
                    rects[n], n, winner, depth, depth_valid,
                )  # fmt: skip
                if rules.z_test:
                    refuse_hidden(
                        target.depth[b], target.depth_valid[b], rects[n], n, winner, depth, depth_valid
                    )

        # 4.6 the union, in its order.
        with_stuff = rules.has_schema and target.semantic.size > 0
        judged = with_stuff and rules.reverts
        if judged and find_starved(target.semantic[b], padding, rules, rects, n_list, winner, lost, starved):
            for n in range(n_list):
                take_back_starved(
                    target.semantic[b], rules.class_table, rules.classes, starved, rects[n], n, winner
                )
        for n in range(n_list):
            areas[n] = mark_union(rects[n], n, winner, union)
            if not class_mix and 0 < areas[n] < rules.min_pasted_area:
                take_back_row(rects[n], n, winner, union)
                areas[n] = 0

        # 4.7 the maps inside the union.
        for n in range(n_list):
            if areas[n] == 0:
                continue
            rect = rects[n]
            if out.image32.size:
                paint_floats(source.image32[s], out.image32[b], rect, n, rows, cols, winner)
            if out.semantic.size:
                label = np.int64(-1)
                if out.panoptic.size and not class_mix:
                    label = source.labels[s, slots[n]]
                told = audit.semantic[b] if audit.semantic.size else nothing64
                paint_labels(source.semantic[s], rect, n, label, rows, cols, winner, out.semantic[b], told)
            if out.depth.size:
                told_valid = audit.depth_valid[b] if audit.depth_valid.size else nothing8
                paint_depth(rect, n, winner, depth, depth_valid, out.depth[b], out.depth_valid[b], told_valid)
            if out.normals.size:
                paint_normals(source.normals[s], out.normals[b], rect, n, rows, cols, mirrored, winner)
        if out.image8.size:
            paint_bytes(source.image8[s], out.image8[b], rects, areas, n_list, rows, cols, union)
        if audit.union.size:
            audit.union[b] = union
        judged = with_stuff and not rules.reverts
        if judged and find_starved(target.semantic[b], padding, rules, rects, n_list, winner, lost, starved):
            write_starved(
                target.semantic[b], padding, rules.class_table, rules.classes, starved, union, rules.ignore,
                out.semantic[b], out.panoptic[b] if out.panoptic.size else nothing64,
            )  # fmt: skip

        # 4.8 the rows.
        if not class_mix:
            highest = np.int64(-1)
            pasted = 0
            for n in range(n_list):
                pasted += areas[n] > 0
            if pasted:
                highest = highest_id(b, target)
            update_rows(b, target, rules, spans, rects, areas, n_list, union, columns, clear, out, audit)
            fill_slots(
                b, s, target, source, slots, n_list, areas, rects, highest, winner, columns, clear, out, audit
            )
        if b + 1 < end:
            for n in range(n_list):
                fill_rect(union, rects[n], np.uint8(0))


@compiled
def copy_rows(b, target, out):
    for i in range(target.valid.shape[1]):
        for side in range(4):
            out.boxes[b, i, side] = target.boxes[b, i, side]
        out.labels[b, i], out.valid[b, i] = target.labels[b, i], np.uint8(target.valid[b, i] != 0)
        if target.ids.size:
            out.ids[b, i] = target.ids[b, i]


@compiled
def valid_rectangle(padding, height, width):
    """Extent of what is not padding, a rectangle at the top left."""
    if padding.size == 0:
        return height, width
    if padding[0, 0]:
        return 0, 0
    valid_h, valid_w = 0, 0
    while valid_h < height and not padding[valid_h, 0]:
        valid_h += 1
    while valid_w < width and not padding[0, valid_w]:
        valid_w += 1
    return valid_h, valid_w


@compiled
def axis_of(extent, shift, step, valid, mirrored):
    """4.2 along one axis."""
    # Unsigned: an index that cannot be negative is not checked for it.
    near = np.zeros(extent, dtype=np.uint32)
    first = np.zeros(extent, dtype=np.uint32)
    second = np.zeros(extent, dtype=np.uint32)
    weight = np.zeros(extent, dtype=np.int32)
    low, high = 0, 0
    for x in range(extent):
        u = (2 * (x - shift) + 1) * step
        n = u >> 17
        if n < 0 or n >= valid:
            continue
        v = u - 65536
        a = v >> 17
        b = min(max(a + 1, 0), valid - 1)  # clamped after the weights are known
        a = min(max(a, 0), valid - 1)
        if mirrored:
            n, a, b = valid - 1 - n, valid - 1 - a, valid - 1 - b
        near[x], first[x], second[x] = n, a, b
        weight[x] = (v & 0x1FFFF) >> 9
        if high == 0:
            low = x
        high = x + 1
    return Axis(near, first, second, weight, low, high)


@compiled
def positions_in(axis, first, last):
    """The positions whose nearest tap lies in ``first <= n < last``: a stretch, maybe empty."""
    low, high = 0, 0
    for x in range(axis.low, axis.high):
        if first <= np.int64(axis.near[x]) < last:
            if high == 0:
                low = x
            high = x + 1
    return low, high


@compiled
def extent_of(marks):
    """First marked position and one past the last; at least one is marked."""
    low, high = 0, marks.size
    while not marks[low]:
        low += 1
    while not marks[high - 1]:
        high -= 1
    return low, high


@compiled
def fill_rect(plane, rect, value):
    for y in range(np.uint64(rect[0]), np.uint64(rect[2])):
        for x in range(np.uint64(rect[1]), np.uint64(rect[3])):
            plane[y, x] = value


@compiled
def covered(rects, areas, n_list, top, left, bottom, right):
    """Whether anything is pasted in the rectangle of some row that meets this one."""
    for n in range(n_list):
        if areas[n] > 0 and (
            top < rects[n, 2] and bottom > rects[n, 0] and left < rects[n, 3] and right > rects[n, 1]
        ):
            return True
    return False


@compiled(inline=True)
def class_index(label, table, classes):
    """Where a label stands in the class table, -1 if nowhere."""
    if table.size:
        if label < 0 or label >= table.size:
            return np.int64(-1)
        return np.int64(table[label])
    return position_in(label, classes, 0, classes.size)


@compiled
def position_in(value, ascending, begin, end):
    """Binary search in ``ascending[begin:end]``, -1 if it is not there."""
    low, high = np.int64(begin), np.int64(end)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    if low < end and ascending[low] == value:
        return low
    return np.int64(-1)


@compiled
def paste_list(b, s, target, source, plan, rules, source_spans, slots, priority):
    """4.1: fills ``slots`` and ``priority`` in paste order; returns how many."""
    wanted = np.int64(0)
    for i in range(target.valid.shape[1]):
        wanted += target.valid[b, i] == 0
    wanted = min(wanted, plan.count[b])
    n = 0
    for position in range(plan.order.shape[1]):
        if n >= wanted:
            break
        j = plan.order[b, position]
        if not source.valid[s, j] or source_spans[s, j, 2] == 0:
            continue
        first = np.int64(0)
        if rules.has_schema:
            index = class_index(source.labels[s, j], rules.class_table, rules.classes)
            if index < 0 or not rules.is_thing[index]:
                continue
            first = rules.priority[index]
        slots[n], priority[n] = j, first
        n += 1
    return n


@compiled
def sort_by_priority(priority, n_list, sequence):
    """A stable insertion sort: mostly the priorities are all equal."""
    for n in range(n_list):
        m = n
        while m > 0 and priority[sequence[m - 1]] > priority[n]:
            sequence[m] = sequence[m - 1]
            m -= 1
        sequence[m] = n


@compiled
def take_mask(mask, rect, n, rows, cols, winner):
    mine, near_y, near_x = winner.dtype.type(n), rows.near, cols.near
    seen = np.empty(winner.shape[1], dtype=np.uint8)
    left, right = np.uint64(rect[1]), np.uint64(rect[3])
    for y in range(np.uint64(rect[0]), np.uint64(rect[2])):
        source_y = near_y[y]
        for x in range(left, right):
            seen[x] = mask[source_y, near_x[x]]
        for x in range(left, right):
            before = winner[y, x]
            winner[y, x] = mine if seen[x] != 0 else before


@compiled
def take_classes(semantic, labels, begin, end, rows, cols, winner):
    """4.11: the source pixels of the classes that the mix key selects."""
    last, taken = np.int64(0), position_in(np.int64(0), labels, begin, end) >= 0
    near = cols.near[cols.low : cols.high]
    for y in range(rows.low, rows.high):
        seen, won = semantic[rows.near[y]], winner[y, cols.low : cols.high]
        for i in range(near.size):
            label = seen[near[i]]
            if label != last:
                last, taken = label, position_in(label, labels, begin, end) >= 0
            if taken:
                won[i] = 0


# The four judges of 4.4 each take back what row n may not take.


@compiled
def refuse_padding(padding, rect, n, winner):
    for y in range(rect[0], rect[2]):
        padded, won = padding[y, rect[1] : rect[3]], winner[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n and padded[i]:
                won[i] = -1


@compiled
def refuse_ignored(semantic, source, ignore, rows, cols, rect, n, winner):
    near = cols.near[rect[1] : rect[3]]
    for y in range(rect[0], rect[2]):
        label, seen = semantic[y, rect[1] : rect[3]], source[rows.near[y]]
        won = winner[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n and (label[i] == ignore or seen[near[i]] == ignore):
                won[i] = -1


@compiled
def see_depth(values, valid, factor, metric, rows, cols, rect, n, winner, depth, depth_valid):
    """4.3: the source's depth where row n may be pasted, over the valid taps, and V_src."""
    near, first, second = (
        cols.near[rect[1] : rect[3]],
        cols.first[rect[1] : rect[3]],
        cols.second[rect[1] : rect[3]],
    )
    weights = cols.weight[rect[1] : rect[3]]
    for y in range(rect[0], rect[2]):
        won = winner[y, rect[1] : rect[3]]
        seen, seen_valid = depth[y, rect[1] : rect[3]], depth_valid[y, rect[1] : rect[3]]
        near_valid = valid[rows.near[y]]
        upper, lower = values[rows.first[y]], values[rows.second[y]]
        upper_valid, lower_valid = valid[rows.first[y]], valid[rows.second[y]]
        wy = np.int64(rows.weight[y])
        for i in range(won.size):
            if won[i] != n:
                continue
            seen[i], seen_valid[i] = 0, 0
            if not near_valid[near[i]]:
                continue
            x0, x1, wx = first[i], second[i], np.int64(weights[i])
            w00, w01 = (256 - wy) * (256 - wx), (256 - wy) * wx
            w10, w11 = wy * (256 - wx), wy * wx
            u00, u01 = w00 if upper_valid[x0] else 0, w01 if upper_valid[x1] else 0
            u10, u11 = w10 if lower_valid[x0] else 0, w11 if lower_valid[x1] else 0
            # Selected, as below an invalid tap there may be anything.
            t00 = np.float64(upper[x0]) * np.float64(u00) if u00 > 0 else 0.0
            t01 = np.float64(upper[x1]) * np.float64(u01) if u01 > 0 else 0.0
            t10 = np.float64(lower[x0]) * np.float64(u10) if u10 > 0 else 0.0
            t11 = np.float64(lower[x1]) * np.float64(u11) if u11 > 0 else 0.0
            weight = u00 + u01 + u10 + u11
            if weight == 0:
                continue
            value = ((t00 + t01) + (t10 + t11)) / np.float64(weight)
            if metric:
                value = value * factor
            rounded = np.float32(value)
            if np.isfinite(rounded) and rounded > 0:
                seen[i], seen_valid[i] = rounded, 1


@compiled
def refuse_hidden(target, target_valid, rect, n, winner, depth, depth_valid):
    for y in range(rect[0], rect[2]):
        won = winner[y, rect[1] : rect[3]]
        there, there_valid = target[y, rect[1] : rect[3]], target_valid[y, rect[1] : rect[3]]
        seen, seen_valid = depth[y, rect[1] : rect[3]], depth_valid[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n and there_valid[i] and not (seen_valid[i] and seen[i] < there[i]):
                won[i] = -1


@compiled
def metric_factor(target, source, b, s, step):
    """4.7: left to right in float64."""
    ratio = np.sqrt(target.camera[b, 0] * target.camera[b, 1]) / np.sqrt(
        source.camera[s, 0] * source.camera[s, 1]
    )
    return ratio * np.float64(step) / np.float64(65536.0)


@compiled
def find_starved(semantic, padding, rules, rects, n_list, winner, lost, starved):
    """4.6 (2): marks the stuff classes of which this union leaves too little; whether any is."""
    table, classes, is_thing = rules.class_table, rules.classes, rules.is_thing
    lost[:] = 0
    starved[:] = 0
    hit = False
    for n in range(n_list):
        rect = rects[n]
        for y in range(rect[0], rect[2]):
            label, won = semantic[y, rect[1] : rect[3]], winner[y, rect[1] : rect[3]]
            for i in range(won.size):
                if won[i] == n:
                    c = class_index(label[i], table, classes)
                    if c >= 0 and not is_thing[c]:
                        lost[c] += 1
                        hit = True
    if not hit:
        return False
    valid_h, valid_w = valid_rectangle(padding, semantic.shape[0], semantic.shape[1])
    found = False
    for c in range(lost.size):
        if lost[c] == 0:
            continue
        before = np.int64(0)
        for y in range(valid_h):
            label, in_row = semantic[y, :valid_w], np.int64(0)
            for x in range(label.size):
                in_row += np.int64(label[x] == classes[c])
            before += in_row
        left = before - lost[c]
        if left < rules.stuff_min_area[c] or left * 65536 < rules.tau_q16 * before:
            starved[c] = 1
            found = True
    return found


@compiled
def take_back_starved(semantic, table, classes, starved, rect, n, winner):
    for y in range(rect[0], rect[2]):
        label, won = semantic[y, rect[1] : rect[3]], winner[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n:
                c = class_index(label[i], table, classes)
                if c >= 0 and starved[c]:
                    won[i] = -1


@compiled
def mark_union(rect, n, winner, union):
    """Adds what row n won to the union; how much that is."""
    mine, area = winner.dtype.type(n), np.int64(0)
    for y in range(np.uint64(rect[0]), np.uint64(rect[2])):
        in_row = np.int32(0)
        for x in range(np.uint64(rect[1]), np.uint64(rect[3])):
            won = np.uint8(winner[y, x] == mine)
            union[y, x] |= won
            in_row += np.int32(won)
        area += in_row
    return area


@compiled
def take_back_row(rect, n, winner, union):
    """4.6 (3): nobody inherits these pixels."""
    for y in range(rect[0], rect[2]):
        won, marked = winner[y, rect[1] : rect[3]], union[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n:
                won[i], marked[i] = -1, 0


@compiled
def write_starved(before, padding, table, classes, starved, union, ignore, semantic, panoptic):
    """4.6 (4): what is left of a starved class becomes void, padding excepted."""
    for y in range(before.shape[0]):
        for x in range(before.shape[1]):
            c = class_index(before[y, x], table, classes)
            if c < 0 or not starved[c] or union[y, x] or (padding.size and padding[y, x]):
                continue
            semantic[y, x] = ignore
            if panoptic.size:
                panoptic[y, x] = 0


@compiled
def paint_bytes(source, out, rects, areas, n_list, rows, cols, union):
    """4.3 for uint8: integers, so that the order of the sum is free.

    Row by row of the canvas, what is pasted beside each other together: along y first, over
    neighbours in memory, then along x. Three loops and not one: the first and the last are
    vectorised, which the second cannot be.
    """
    blended = np.empty(union.shape[1], dtype=np.int32)
    total = np.empty(union.shape[1], dtype=np.int32)
    first, second, weight = cols.first, cols.second, cols.weight
    order = np.empty(max(n_list, 1), dtype=np.int64)
    stretches = np.empty((max(n_list, 1), 2), dtype=np.uint64)
    n_painted = sort_by_left(rects, areas, n_list, order)
    top, bottom = np.int64(union.shape[0]), np.int64(0)
    for i in range(n_painted):
        top, bottom = min(top, rects[order[i], 0]), max(bottom, rects[order[i], 2])
    for y in range(np.uint64(top), np.uint64(bottom)):
        y0, y1, w1 = rows.first[y], rows.second[y], rows.weight[y]
        w0 = np.int32(256) - w1
        for i in range(stretches_of(rects, order, n_painted, np.int64(y), stretches)):
            left, right = stretches[i, 0], stretches[i, 1]
            while left < right and not union[y, left]:
                left += np.uint64(1)
            while left < right and not union[y, right - np.uint64(1)]:
                right -= np.uint64(1)
            if left == right:
                continue
            last = right - np.uint64(1)
            begin = np.uint64(min(min(first[left], second[left]), min(first[last], second[last])))
            end = np.uint64(max(max(first[left], second[left]), max(first[last], second[last])))
            end += np.uint64(1)
            for c in range(np.uint64(source.shape[0])):
                for x in range(begin, end):
                    blended[x] = np.int32(source[c, y0, x]) * w0 + np.int32(source[c, y1, x]) * w1
                for x in range(left, right):
                    one = blended[first[x]]
                    total[x] = one * 256 + (blended[second[x]] - one) * weight[x] + 32768
                for x in range(left, right):
                    # Unsigned 32-bit numbers shift several to a register; and what was there
                    # is read in any case, as a load under a condition is not vectorised.
                    value, before = np.uint8(np.uint32(total[x]) >> np.uint32(16)), out[c, y, x]
                    out[c, y, x] = value if union[y, x] != 0 else before


@compiled
def sort_by_left(rects, areas, n_list, order):
    """The rectangles in which something is pasted, from left to right; how many."""
    count = 0
    for n in range(n_list):
        if areas[n] == 0:
            continue
        m = count
        while m > 0 and rects[order[m - 1], 1] > rects[n, 1]:
            order[m] = order[m - 1]
            m -= 1
        order[m] = n
        count += 1
    return count


@compiled
def stretches_of(rects, order, count, y, stretches):
    """The columns ``left <= x < right`` of row y that lie in rectangles; how many stretches.

    What is not further apart than a few pixels is one stretch.
    """
    found = 0
    for i in range(count):
        n = order[i]
        if not rects[n, 0] <= y < rects[n, 2]:
            continue
        left, right = np.uint64(rects[n, 1]), np.uint64(rects[n, 3])
        if found and left <= stretches[found - 1, 1] + np.uint64(8):
            stretches[found - 1, 1] = max(stretches[found - 1, 1], right)
        else:
            stretches[found, 0], stretches[found, 1] = left, right
            found += 1
    return found


@compiled(inline=True)
def weighted(upper, lower, x0, x1, wy, wx):
    """4.3: ``(p00*w00 + p01*w01) + (p10*w10 + p11*w11)`` in float64; taps of weight 0 do not
    count, and a tap that stands alone keeps the sign of a zero.
    """
    # Selected, not branched on: ten times as fast, and what is not selected has no effect.
    t00 = np.float64(upper[x0]) * np.float64((256 - wy) * (256 - wx))
    t01 = np.float64(upper[x1]) * np.float64((256 - wy) * wx) if wx > 0 else 0.0
    t10 = np.float64(lower[x0]) * np.float64(wy * (256 - wx)) if wy > 0 else 0.0
    t11 = np.float64(lower[x1]) * np.float64(wy * wx) if wy * wx > 0 else 0.0
    total = (t00 + t01) + (t10 + t11)
    return t00 if wy + wx == 0 else total


@compiled
def paint_floats(source, out, rect, n, rows, cols, winner):
    first, second = cols.first[rect[1] : rect[3]], cols.second[rect[1] : rect[3]]
    weights = cols.weight[rect[1] : rect[3]]
    for c in range(source.shape[0]):
        for y in range(rect[0], rect[2]):
            upper, lower = source[c, rows.first[y]], source[c, rows.second[y]]
            wy = np.int64(rows.weight[y])
            won, painted = winner[y, rect[1] : rect[3]], out[c, y, rect[1] : rect[3]]
            for i in range(won.size):
                if won[i] == n:
                    total = weighted(upper, lower, first[i], second[i], wy, np.int64(weights[i]))
                    painted[i] = np.float32(total / np.float64(65536.0))


@compiled
def paint_labels(source, rect, n, label, rows, cols, winner, out, told):
    """4.7: with a panoptic map the label of the winning row, else the warped source label."""
    near = cols.near[rect[1] : rect[3]]
    for y in range(rect[0], rect[2]):
        seen, won = source[rows.near[y]], winner[y, rect[1] : rect[3]]
        painted = out[y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] == n:
                painted[i] = seen[near[i]] if label < 0 else label
                if told.size:
                    told[y, rect[1] + i] = seen[near[i]]


@compiled
def paint_depth(rect, n, winner, depth, depth_valid, out, out_valid, told):
    for y in range(rect[0], rect[2]):
        for x in range(rect[1], rect[3]):
            if winner[y, x] == n:
                out[y, x] = depth[y, x]
                out_valid[y, x] &= depth_valid[y, x]
                if told.size:
                    told[y, x] = depth_valid[y, x]


@compiled(inline=True)
def rint(value):
    """Round half to even, and -0 to +0: up to 2**51 the sum has no bits for a fraction.

    Numba's own ``rint`` is a call for each pixel, some thirty times slower.
    """
    return (value + np.float64(6755399441055744.0)) - np.float64(6755399441055744.0)


@compiled
def paint_normals(source, out, rect, n, rows, cols, mirrored, winner):
    """4.3: interpolated, quantised, renormalised; the zero vector means no normal."""
    scale = np.float64(512.0)
    near = cols.near[rect[1] : rect[3]]
    first, second = cols.first[rect[1] : rect[3]], cols.second[rect[1] : rect[3]]
    weights = cols.weight[rect[1] : rect[3]]
    for y in range(rect[0], rect[2]):
        y0, y1, wy = rows.first[y], rows.second[y], np.int64(rows.weight[y])
        x_up, x_low = source[0, y0], source[0, y1]
        y_up, y_low = source[1, y0], source[1, y1]
        z_up, z_low = source[2, y0], source[2, y1]
        alone = source[:, rows.near[y]]
        won = winner[y, rect[1] : rect[3]]
        painted = out[:, y, rect[1] : rect[3]]
        for i in range(won.size):
            if won[i] != n:
                continue
            x0, x1, wx = first[i], second[i], np.int64(weights[i])
            qx = rint(weighted(x_up, x_low, x0, x1, wy, wx) * scale)
            qy = rint(weighted(y_up, y_low, x0, x1, wy, wx) * scale)
            qz = rint(weighted(z_up, z_low, x0, x1, wy, wx) * scale)
            if qx == 0 and qy == 0 and qz == 0:
                qx = rint(np.float64(alone[0, near[i]]) * np.float64(65536.0) * scale)
                qy = rint(np.float64(alone[1, near[i]]) * np.float64(65536.0) * scale)
                qz = rint(np.float64(alone[2, near[i]]) * np.float64(65536.0) * scale)
            length = np.sqrt((qx * qx + qy * qy) + qz * qz)
            nx = ny = nz = np.float32(0)
            if length > 0:
                nx = np.float32(qx / length)
                ny = np.float32(qy / length)
                nz = np.float32(qz / length)
            painted[0, i] = np.float32(0) - nx if mirrored else nx
            painted[1, i] = ny
            painted[2, i] = nz


@compiled
def highest_id(b, target):
    """4.8: the largest id before the paste, padding included."""
    highest = np.int64(-1)
    for i in range(target.valid.shape[1]):
        if target.valid[b, i]:
            highest = max(highest, np.int64(target.ids[b, i]))
    if target.panoptic.size:
        highest = max(highest, np.int64(0))
        for y in range(target.panoptic.shape[1]):
            row = target.panoptic[b, y]
            for x in range(row.size):
                highest = max(highest, row[x])
    return highest


@compiled
def clear_plane(plane):
    values = plane.reshape(-1)
    for x in range(np.uint64(values.size)):
        values[x] = 0


@compiled
def update_rows(b, target, rules, spans, rects, areas, n_list, union, columns, clear, out, audit):
    """4.8: copies the target's rows without the union; drops those left with too little."""
    for i in range(target.valid.shape[1]):
        if not target.valid[b, i]:
            continue
        if clear:
            clear_plane(out.masks[b, i])
        if spans[b, i, 2] == 0:
            continue
        top, left, bottom, right = spans[b, i, 0], spans[b, i, 1], spans[b, i, 2], spans[b, i, 3]
        former_mask, mask = target.masks[b, i], out.masks[b, i]
        if not covered(rects, areas, n_list, top, left, bottom, right):
            for y in range(np.uint64(top), np.uint64(bottom)):
                for x in range(np.uint64(left), np.uint64(right)):
                    mask[y, x] = np.uint8(former_mask[y, x] != 0)
            continue
        columns[left:right] = 0
        marks = columns[left:right]
        former, kept, first, last = np.int64(0), np.int64(0), np.int64(-1), np.int64(0)
        for y in range(np.uint64(top), np.uint64(bottom)):
            row_former, row_kept = np.int32(0), np.int32(0)
            for x in range(np.uint64(left), np.uint64(right)):
                # True may be any byte but 0, where a bool was made by a view.
                before = np.uint8(former_mask[y, x] != 0)
                value = np.uint8(before & (union[y, x] ^ np.uint8(1)))
                mask[y, x] = value
                columns[x] |= value
                row_former += np.int32(before)
                row_kept += np.int32(value)
            former += row_former
            kept += row_kept
            if row_kept:
                if first < 0:
                    first = np.int64(y)
                last = np.int64(y) + 1
        if kept == former:
            continue
        if kept < rules.min_area or kept * 65536 < rules.residual_q16 * former:
            drop_row(b, i, top, left, bottom, right, kept, rules, out)
            if audit.row_dropped.size:
                audit.row_dropped[b, i] = 1
        else:
            low, high = extent_of(marks)
            out.boxes[b, i, 0], out.boxes[b, i, 1] = left + low, first
            out.boxes[b, i, 2], out.boxes[b, i, 3] = left + high, last


@compiled
def drop_row(b, i, top, left, bottom, right, kept, rules, out):
    """4.9 and 4.10: the row becomes zeros; what is left of it void, under a panoptic map."""
    mask = out.masks[b, i]
    for y in range(top, bottom):
        for x in range(left, right):
            if mask[y, x] and out.panoptic.size:
                out.semantic[b, y, x] = rules.ignore
                out.panoptic[b, y, x] = 0
            mask[y, x] = 0
    out.boxes[b, i, :] = 0
    out.labels[b, i], out.valid[b, i], out.ids[b, i] = 0, 0, 0


@compiled
def fill_slots(
    b, s, target, source, slots, n_list, areas, rects, highest, winner, columns, clear, out, audit
):
    """4.8: pasted rows go into the slots that were free before, ascending, in paste order."""
    slot = np.int64(-1)
    fresh = highest
    for n in range(n_list):
        if areas[n] == 0:
            continue
        slot += 1
        while target.valid[b, slot]:
            slot += 1
        fresh += 1
        if clear:
            clear_plane(out.masks[b, slot])
        mask, mine = out.masks[b, slot], winner.dtype.type(n)
        left, right = np.uint64(rects[n, 1]), np.uint64(rects[n, 3])
        columns[left:right] = 0
        first, last = np.int64(-1), np.int64(0)
        for y in range(np.uint64(rects[n, 0]), np.uint64(rects[n, 2])):
            some = np.uint8(0)
            for x in range(left, right):
                value = np.uint8(winner[y, x] == mine)
                mask[y, x] = value
                columns[x] |= value
                some |= value
            if some:
                if first < 0:
                    first = np.int64(y)
                last = np.int64(y) + 1
        low, high = extent_of(columns[left:right])
        if out.panoptic.size:
            write_id(out.panoptic[b], rects[n], n, fresh, winner)
        out.boxes[b, slot, 0], out.boxes[b, slot, 1] = rects[n, 1] + low, first
        out.boxes[b, slot, 2], out.boxes[b, slot, 3] = rects[n, 1] + high, last
        out.labels[b, slot] = source.labels[s, slots[n]]
        out.valid[b, slot] = 1
        out.ids[b, slot] = fresh
        if audit.row_source.size:
            audit.row_source[b, slot] = slots[n]
    if clear:
        for free in range(slot + 1, target.valid.shape[1]):
            if not target.valid[b, free]:
                clear_plane(out.masks[b, free])


@compiled
def write_id(panoptic, rect, n, fresh, winner):
    mine = winner.dtype.type(n)
    for y in range(np.uint64(rect[0]), np.uint64(rect[2])):
        for x in range(np.uint64(rect[1]), np.uint64(rect[3])):
            before = panoptic[y, x]  # read whatever comes of it: a load under a condition is not vectorised
            panoptic[y, x] = fresh if winner[y, x] == mine else before

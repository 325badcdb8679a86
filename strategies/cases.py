"""Hypothesis strategies for plans, configurations and whole cases of a paste."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from segpaste.paste.rng import to_int64
from segpaste.strategies.edits import (
    add_padding,
    at_the_edge_of_float32,
    empty_a_row,
    give_stuff_rows,
    label_padding,
    lay_stuff,
    leave_out_an_edge,
    loosen_boxes,
    overlap_rows,
    poised,
    tie_depths,
)
from segpaste.strategies.hard_cases import case_labels
from segpaste.strategies.pastes import (
    CONFIG_BYTES,
    EXTRA_SLOTS,
    HALF_SIZE,
    PLAN_BYTES,
    PasteCase,
    draw_any_plan,
    draw_config,
    draw_source_rows,
    spread,
)
from segpaste.strategies.samples import (
    draw_padded_batch,
    draw_samples,
    panoptic_schemas,
    readers,
    with_names,
)
from segpaste.strategies.scenes import (
    CHANNELS,
    FRAME_BYTES,
    IMAGE_DTYPES,
    check_range,
    draw_frame,
)
from segpaste.strategies.thresholds import THRESHOLD_BYTES, bind_thresholds, starve_beside_padding
from segpaste.types import (
    BatchCopyPasteConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticSchemaSpec,
    PastePlan,
)


@st.composite
def paste_configs(draw: st.DrawFn, schema: PanopticSchemaSpec | None = None) -> BatchCopyPasteConfig:
    """Configurations, with ``panoptic`` iff there is a schema.

    Args:
        draw: supplied by Hypothesis.
        schema: the class table, for priorities and stuff areas.
    """
    classes = 0 if schema is None else len(schema.classes)
    return draw_config(draw(readers(CONFIG_BYTES + 2 * classes)), schema)


@st.composite
def paste_plans(
    draw: st.DrawFn,
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample | None = None,
    config: BatchCopyPasteConfig | None = None,
) -> PastePlan:
    """Plans over their whole legal range, most of which paste something.

    Args:
        draw: supplied by Hypothesis.
        target: B samples.
        source: the source view; the target batch itself if ``None``, and then no sample
            is its own source unless it is alone.
        config: bounds the count; the default configuration if ``None``.

    Raises:
        hypothesis.errors.InvalidArgument: on a source view without samples.
    """
    view = target if source is None else source
    batch = target.batch_size
    if batch and not view.batch_size:
        raise InvalidArgument("source.batch_size: got 0, expected 1 or more to paste from")
    rows = draw_source_rows(draw(readers(2 * batch)), batch, view.batch_size, view is target)
    each = [draw(readers(PLAN_BYTES + view.max_instances)) for _ in range(batch)]
    return draw_any_plan(each, target, view, config or BatchCopyPasteConfig(), rows)


@st.composite
def paste_cases(
    draw: st.DrawFn,
    modalities: Collection[Modality] | None = None,
    *,
    schema: PanopticSchemaSpec | None = None,
    image_dtypes: Sequence[torch.dtype] = IMAGE_DTYPES,
    channels: Sequence[int] = CHANNELS,
    canvas: tuple[int, int] | None = None,
    min_side: int = 1,
    max_side: int = 16,
    max_batch: int = 3,
    max_instances: int = 4,
    detection: bool = False,
    untidy: bool = True,
) -> PasteCase:
    """Whole pastes: target, source, plan, configuration and seed.

    The source is the target batch itself, or a view with other samples, another number
    of them and of slots. Half of the plans are drawn by ``draw_plan`` from the seed, the
    others over the whole legal range. Where the paste covers part of something,
    many a configuration has a threshold that it meets exactly or misses by a pixel;
    where there is depth, many a target has depths beside what is pasted, to the last bit.

    Args:
        draw: supplied by Hypothesis.
        modalities: as for :func:`~segpaste.strategies.dense_samples`, as are the others.
        schema: the class table of samples and configuration; if ``None`` one is drawn,
            and the configuration may have none.
        image_dtypes: dtypes of the images.
        channels: the numbers of channels to choose from.
        canvas: (H, W), if fixed.
        min_side: least H and W, if not.
        max_side: greatest H and W, if not.
        max_batch: most targets, and most samples of a source view.
        max_instances: most objects drawn for a sample.
        detection: rows have boxes and labels but no masks; for the image alone.
        untidy: some samples are as annotators and pipelines leave them, breaking a sample
            law or two: boxes with room around their masks, rows without a pixel, labels and ids
            on padding, overlapping rows of one class, normals that look away. Else all of them
            meet every sample law.

    Raises:
        hypothesis.errors.InvalidArgument: on limits that no case meets.
    """
    from segpaste.paste.plan import draw_plan

    with_names(lambda: check_range("max_batch", 0, "max_batch", max_batch, 0))
    with_names(lambda: check_range("max_instances", 0, "max_instances", max_instances, 0))
    head, dirt = draw(readers(16)), draw(readers(32))
    # Half of the frames would have a side of one or two pixels, on which little can happen.
    least_side = max(min_side, min(dirt.of((1, 4, 6)), max_side)) if canvas is None else min_side
    with_schema = schema is not None or head.of((False, True, True))
    by_seed = head.one_in(2)
    batch = min(head.of((1,) * 7 + (2,) * 9 + (3,) * 3 + (0,)), max_batch)
    # A batch of one is its own source only now and then: nothing can be pasted there.
    intra_batch = head.one_in(2 if batch > 1 else 10)
    sources = min(head.of((1, 1, 2, 3)), max(max_batch, 1))
    source_camera = head.one_in(2)

    table = schema or draw(
        panoptic_schemas(
            min_stuff=0 if head.one_in(12) else 1,
            min_things=1 if head.one_in(6) else 2,
            capacity=max_instances + EXTRA_SLOTS,
            ignore_index=None if with_schema else 255,
        )
    )
    most = min(max_instances, table.max_instances_per_image)
    slots = min(max_instances + EXTRA_SLOTS, table.max_instances_per_image)
    reader = draw(readers(FRAME_BYTES))
    # There is more to metric depth than to relative one.
    metric = True if modalities is not None and Modality.DEPTH in modalities and dirt.one_in(3) else None
    frame = with_names(
        lambda: draw_frame(
            reader,
            modalities=modalities,
            schema=table,
            image_dtypes=image_dtypes,
            channels=channels,
            canvas=canvas,
            min_side=least_side,
            max_side=max_side,
            metric=metric,
            detection=detection,
            reserve=slots,
        )
    )
    config = draw(paste_configs(table if with_schema else None))
    # One object is simpler; two and more are what rows can get wrong.
    fewest = min(head.of((1, 2, 3, 2, 1, 2, 0, 3, 1, 2, 0, 3, 2, 0)), most)
    if intra_batch:
        fewest = min(max(fewest, 1), most)  # what is empty has nothing to paste
    target_most = most if fewest else 0
    # Where the target is empty, the source seldom is.
    source_fewest = fewest if dirt.one_in(8) else min(max(fewest, dirt.of((1, 2, 2))), most)
    target = draw_padded_batch(
        draw, frame, draw_samples(draw, frame, batch, batch, fewest, target_most), slots
    )
    if dirt.one_in(3):
        target = add_padding(dirt, target, table.ignore_index)
    if intra_batch:
        source = target
    else:
        view = replace(frame, intrinsics=frame.metric or source_camera)
        source = draw_padded_batch(
            draw, view, draw_samples(draw, view, sources, sources, source_fewest, most), slots
        )
        source = add_padding(dirt, source, table.ignore_index) if dirt.one_in(4) else source
    target = lay_stuff(dirt, target, table)
    donors = overlap_rows(dirt, target if intra_batch else source, same_class=untidy)
    donors = give_stuff_rows(dirt, donors, table, untidy=untidy)
    if untidy:
        donors = leave_out_an_edge(dirt, donors, table.ignore_index)
    halved = dirt.one_in(4) and untidy and _interpolates(donors)
    donors = poised(dirt, donors) if halved else donors
    target, source = donors if intra_batch else target, donors
    # The depth test hangs on a last bit, or there is none, so that infinite and zero depth show.
    special = dirt.of(
        ("none", "none", "none", "edge", "edge", "tie", "tie")
        if target.metric_depth
        else ("none",) * 7 + ("tie",)
    )
    tied = special == "tie" and untidy and target.depth is not None and not intra_batch
    if not tied and ((dirt.one_in(2) and halved) or special == "edge"):
        config = config.model_copy(update={"z_test": False})
    seed = spread(draw(readers(8)).integer(0, 2**32 - 1))
    rows = draw_source_rows(draw(readers(2 * max_batch)), batch, source.batch_size, intra_batch)
    # Drawn in any case, so that a case with a plan of its own is no longer than others.
    each = [draw(readers(PLAN_BYTES + max_instances + EXTRA_SLOTS)) for _ in range(batch)]
    if by_seed and not halved:
        seeds = torch.tensor([to_int64((seed + b) % 2**64) for b in range(batch)], dtype=torch.int64)
        source_idx = None if intra_batch else torch.tensor(rows, dtype=torch.int64)
        plan = draw_plan(target, source, seeds, config, source_idx=source_idx)
    else:
        plan = draw_any_plan(each, target, source, config, rows, step=HALF_SIZE if halved else None)
    case = PasteCase(target, source, plan, config, seed)
    case = empty_a_row(case) if dirt.one_in(4) and untidy else case
    case = at_the_edge_of_float32(case) if special == "edge" else case
    thresholds = draw(readers(THRESHOLD_BYTES))
    case = tie_depths(case) if tied else replace(case, config=bind_thresholds(thresholds, case))
    if dirt.integer(0, 7) and untidy:
        starved = None if tied else starve_beside_padding(dirt, case)
        case = case if starved is None else replace(case, config=starved)
        dirty = loosen_boxes(dirt, label_padding(dirt, case.target, table, case.config))
        case = replace(case, target=dirty, source=dirty if intra_batch else case.source)
    for label in case_labels(case):
        event(label)
    return case


def _interpolates(batch: PaddedBatchedDenseSample) -> bool:
    """Whether rows are pasted and anything but bytes is interpolated."""
    values = batch.normals is not None or batch.depth is not None or batch.images.is_floating_point()
    return values and batch.instance_masks is not None

"""Rows of the target that lose pixels, capacity and slots: clauses 4.1, 4.8, 4.9, 4.10."""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig


@golden
def dropped_below_an_area_kept_at_it() -> Golden:
    """4.8: a row that lost pixels is dropped when its remaining area is less than min_area = 2.

    No fraction (0). Pasted are columns 2, 4 and 5.

        slot   before     lost   remaining
        0      0, 1, 2    1      2, not less than 2: kept, box recomputed
        1      3, 4, 5    2      1 < 2: dropped, its slot is zero in every field
        2      6          0      1, but it lost nothing: kept, and its loose box left alone

    The pasted row goes into slot 3, the only one free before. Ids: the largest before is 7,
    that of the dropped row: 8. Without a panoptic map what is left of the dropped row changes
    nothing: column 3 still shows 10.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 10 10",
            rows={
                0: Row(label=1, id=3, box=(0, 0, 3, 1), mask="###...."),
                1: Row(label=2, id=7, box=(3, 0, 6, 1), mask="...###."),
                2: Row(label=4, id=5, box=(5.5, 0, 7, 1), mask="......#"),
            },
            slots=4,
        ),
        source=Sample(
            image="1 2 3 4 5 6 7",
            rows={0: Row(label=1, id=0, box=(2, 0, 6, 1), mask="..#.##.")},
            slots=1,
        ),
        config=BatchCopyPasteConfig(min_area=2, min_residual_area_frac=0.0),
        expected=Sample(
            image="10 10 3 10 5 6 10",
            rows={
                0: Row(label=1, id=3, box=(0, 0, 2, 1), mask="##....."),
                2: Row(label=4, id=5, box=(5.5, 0, 7, 1), mask="......#"),
                3: Row(label=1, id=8, box=(2, 0, 6, 1), mask="..#.##."),
            },
            slots=4,
        ),
        union="..#.##.",
        otherwise={"config": BatchCopyPasteConfig(min_area=1, min_residual_area_frac=0.0)},
    )


@golden
def dropped_below_a_fraction_kept_at_it() -> Golden:
    """4.8: dropped iff remaining * 65536 < min_residual_q16 * former; here 1/4, 16384.

    The upper row has 4 pixels and loses 3: 1 * 65536 < 16384 * 4 = 65536 is false: kept. The
    lower row has 5 and loses 4: 65536 < 16384 * 5 = 81920: dropped.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 / 10 10 10 10 10",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####. ....."),
                1: Row(label=1, id=1, box=(0, 1, 5, 2), mask="..... #####"),
            },
            slots=3,
        ),
        source=Sample(
            image="1 2 3 4 5 / 6 7 8 9 10",
            rows={0: Row(label=2, id=0, box=(0, 0, 4, 2), mask="###.. ####.")},
            slots=1,
        ),
        config=BatchCopyPasteConfig(min_residual_area_frac=0.25),
        expected=Sample(
            image="1 2 3 10 10 / 6 7 8 9 10",
            rows={
                0: Row(label=1, id=0, box=(3, 0, 4, 1), mask="...#. ....."),
                2: Row(label=2, id=2, box=(0, 0, 4, 2), mask="###.. ####."),
            },
            slots=3,
        ),
        union="###.. ####.",
        otherwise={"config": BatchCopyPasteConfig(min_residual_area_frac=0.2)},
    )


@golden
def a_tenth_is_6554_of_65536() -> Golden:
    """4.8, 4.10: the default 0.1 is round(6553.6) = 6554, so one of ten pixels is too few.

    remaining 1, former 10: 1 * 65536 < 6554 * 10 = 65540: dropped. (In real numbers 1 < 0.1 * 10
    is false.)
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 / 10 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 5, 2), mask="##### #####")},
            slots=2,
        ),
        source=Sample(
            image="1 2 3 4 5 / 6 7 8 9 11",
            rows={0: Row(label=2, id=0, box=(0, 0, 5, 2), mask="##### ####.")},
            slots=1,
        ),
        expected=Sample(
            image="1 2 3 4 5 / 6 7 8 9 10",
            rows={1: Row(label=2, id=1, box=(0, 0, 5, 2), mask="##### ####.")},
            slots=2,
        ),
        union="##### ####.",
        otherwise={"config": BatchCopyPasteConfig(min_residual_area_frac=0.0999)},
    )


@golden
def a_tenth_of_nine_is_less_than_one() -> Golden:
    """4.8: the other side: remaining 1, former 9: 65536 < 6554 * 9 = 58986 is false: kept."""
    return Golden(
        target=Sample(
            image="10 10 10 10 10 / 10 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 5, 2), mask=".#### #####")},
            slots=2,
        ),
        source=Sample(
            image="1 2 3 4 5 / 6 7 8 9 11",
            rows={0: Row(label=2, id=0, box=(0, 0, 5, 2), mask="##### ####.")},
            slots=1,
        ),
        expected=Sample(
            image="1 2 3 4 5 / 6 7 8 9 10",
            rows={
                0: Row(label=1, id=0, box=(4, 1, 5, 2), mask="..... ....#"),
                1: Row(label=2, id=1, box=(0, 0, 5, 2), mask="##### ####."),
            },
            slots=2,
        ),
        union="##### ####.",
        otherwise={"config": BatchCopyPasteConfig(min_residual_area_frac=0.2)},
    )


@golden
def a_row_without_a_pixel_is_dropped_whatever_the_fraction() -> Golden:
    """4.8, 4.10: min_area is at least 1, so remaining 0 < 1 drops, also with the fraction 0."""
    return Golden(
        target=Sample(
            image="10 10 10",
            rows={0: Row(label=1, id=4, box=(0, 0, 2, 1), mask="##.")},
            slots=2,
        ),
        source=Sample(
            image="1 2 3",
            rows={0: Row(label=2, id=0, box=(0, 0, 3, 1), mask="###")},
            slots=1,
        ),
        config=BatchCopyPasteConfig(min_residual_area_frac=0.0),
        expected=Sample(
            image="1 2 3",
            rows={1: Row(label=2, id=5, box=(0, 0, 3, 1), mask="###")},
            slots=2,
        ),
        union="###",
        otherwise={"plan": Plan(translate=(0, 1))},
    )


@golden
def a_fraction_of_one_drops_whatever_was_touched() -> Golden:
    """4.8: min_residual 1 is 65536: remaining < former drops every row that lost a pixel.

    Slot 0 loses 1 of 3 pixels: 2 * 65536 < 65536 * 3: dropped. Slot 1 lost nothing and stays.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###.."),
                1: Row(label=1, id=1, box=(3, 0, 5, 1), mask="...##"),
            },
            slots=3,
        ),
        source=Sample(
            image="1 2 3 4 5",
            rows={0: Row(label=2, id=0, box=(0, 0, 1, 1), mask="#....")},
            slots=1,
        ),
        config=BatchCopyPasteConfig(min_residual_area_frac=1.0),
        expected=Sample(
            image="1 10 10 10 10",
            rows={
                1: Row(label=1, id=1, box=(3, 0, 5, 1), mask="...##"),
                2: Row(label=2, id=2, box=(0, 0, 1, 1), mask="#...."),
            },
            slots=3,
        ),
        union="#....",
        otherwise={"config": BatchCopyPasteConfig(min_residual_area_frac=0.5)},
    )


@golden
def a_slot_freed_by_the_paste_is_not_used_by_it() -> Golden:
    """4.1, 4.8: slots and capacity are those that were free *before*.

    K = 2, slot 1 is free: F = 1. Of two eligible source rows only the first is pasted, the
    surplus is never painted (column 2 stays 10). It hides the target's row, which is dropped;
    the pasted row goes into slot 1, slot 0 is unused.
    """
    return Golden(
        target=Sample(
            image="10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#..")},
            slots=2,
        ),
        source=Sample(
            image="1 2 3",
            rows={
                0: Row(label=2, id=0, box=(0, 0, 2, 1), mask="##."),
                1: Row(label=4, id=1, box=(2, 0, 3, 1), mask="..#"),
            },
            slots=2,
        ),
        expected=Sample(
            image="1 2 10",
            rows={1: Row(label=2, id=1, box=(0, 0, 2, 1), mask="##.")},
            slots=2,
        ),
        union="##.",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def a_full_target_takes_nothing() -> Golden:
    """4.1: F = 0, so the paste list is empty and nothing is painted."""
    full = Sample(
        image="10 10",
        rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.")},
        slots=1,
    )
    return Golden(
        target=full,
        source=Sample(
            image="1 2",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##")},
            slots=1,
        ),
        expected=full,
        union="..",
        otherwise={"target": Sample(image="10 10", rows={}, slots=1)},
    )


@golden
def a_hidden_row_uses_up_capacity_all_the_same() -> Golden:
    """4.1, 4.6 (3): the list is made before a pixel is touched, so nobody steps in.

    F = 2: of order [0, 1, 2] the slots 0 and 1. Slot 1 hides slot 0 (later, same priority),
    which is not pasted. Slot 2 was never in the list. The output has one pasted row, in the
    first free slot, 0, with id 0.
    """
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=2),
        source=Sample(
            image="1 2 3",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=2, id=1, box=(0, 0, 2, 1), mask="##."),
                2: Row(label=4, id=2, box=(2, 0, 3, 1), mask="..#"),
            },
            slots=3,
        ),
        expected=Sample(
            image="1 2 10",
            rows={0: Row(label=2, id=0, box=(0, 0, 2, 1), mask="##.")},
            slots=2,
        ),
        union="##.",
        otherwise={"plan": Plan(order=(0, 2, 1))},
    )


@golden
def pasted_rows_fill_the_free_slots_upwards() -> Golden:
    """4.8: free slots in ascending order, pasted rows in paste order; survivors do not move.

    Slots 1 and 3 of five are used, 0, 2 and 4 are free. Paste order is source slots 1, 0: the
    first goes into slot 0, the second into slot 2. Ids 6 + 1 and 6 + 2.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={
                1: Row(label=1, id=6, box=(0, 0, 1, 1), mask="#..."),
                3: Row(label=1, id=2, box=(1, 0, 2, 1), mask=".#.."),
            },
            slots=5,
        ),
        source=Sample(
            image="1 2 3 4",
            rows={
                0: Row(label=2, id=0, box=(2, 0, 3, 1), mask="..#."),
                1: Row(label=4, id=1, box=(3, 0, 4, 1), mask="...#"),
            },
            slots=2,
        ),
        plan=Plan(order=(1, 0)),
        expected=Sample(
            image="10 10 3 4",
            rows={
                0: Row(label=4, id=7, box=(3, 0, 4, 1), mask="...#"),
                1: Row(label=1, id=6, box=(0, 0, 1, 1), mask="#..."),
                2: Row(label=2, id=8, box=(2, 0, 3, 1), mask="..#."),
                3: Row(label=1, id=2, box=(1, 0, 2, 1), mask=".#.."),
            },
            slots=5,
        ),
        union="..##",
        otherwise={"plan": Plan(order=(0, 1))},
    )


PANOPTIC = BatchCopyPasteConfig(
    min_area=2, panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0)
)
THING_AND_STUFF = Sample(
    image="10 10 10 10 10",
    rows={0: Row(label=1, id=3, box=(0, 0, 3, 1), mask="###..")},
    slots=2,
    semantic="1 1 1 0 0",
)
COVER = Sample(
    image="1 2 3 4 5",
    rows={0: Row(label=2, id=1, box=(1, 0, 4, 1), mask=".###.")},
    slots=1,
    semantic="0 2 2 2 0",
)


@golden
def what_is_left_of_a_dropped_row_is_void_in_panoptic_maps() -> Golden:
    """4.9: semantic *ignore* and panoptic 0 where a dropped row had pixels left.

    Columns 1, 2 and 3 are pasted. The target's row has column 0 left, 1 < min_area = 2: dropped,
    and column 0 becomes void; its image stays. The fresh id is 3 + 1 = 4, in rows and map.
    """
    return Golden(
        target=THING_AND_STUFF.but(panoptic="3 3 3 0 0"),
        source=COVER.but(panoptic="0 1 1 1 0"),
        config=PANOPTIC,
        expected=Sample(
            image="10 2 3 4 10",
            rows={1: Row(label=2, id=4, box=(1, 0, 4, 1), mask=".###.")},
            slots=2,
            semantic="255 2 2 2 0",
            panoptic="0 4 4 4 0",
        ),
        union=".###.",
        otherwise={
            "config": BatchCopyPasteConfig(
                min_area=1, panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0)
            )
        },
    )


@golden
def without_a_panoptic_map_nothing_becomes_void() -> Golden:
    """4.9: the same without the panoptic map: the row is dropped, column 0 keeps its label 1."""
    return Golden(
        target=THING_AND_STUFF,
        source=COVER,
        config=PANOPTIC,
        expected=Sample(
            image="10 2 3 4 10",
            rows={1: Row(label=2, id=4, box=(1, 0, 4, 1), mask=".###.")},
            slots=2,
            semantic="1 2 2 2 0",
        ),
        union=".###.",
        otherwise={
            "config": BatchCopyPasteConfig(
                min_area=1, panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0)
            )
        },
    )


@golden
def void_is_the_schemas_ignore() -> Golden:
    """4.9: as two cases before, with ignore_index 9 in the schema: column 0 becomes 9."""
    schema = CLASSES.model_copy(update={"ignore_index": 9})
    return Golden(
        target=THING_AND_STUFF.but(panoptic="3 3 3 0 0"),
        source=COVER.but(panoptic="0 1 1 1 0"),
        config=BatchCopyPasteConfig(
            min_area=2, panoptic=PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=0.0)
        ),
        expected=Sample(
            image="10 2 3 4 10",
            rows={1: Row(label=2, id=4, box=(1, 0, 4, 1), mask=".###.")},
            slots=2,
            semantic="9 2 2 2 0",
            panoptic="0 4 4 4 0",
        ),
        union=".###.",
        otherwise={"config": PANOPTIC},
    )


@golden
def with_a_panoptic_map_semantic_is_the_rows_label() -> Golden:
    """4.7: inside U the winner's label and fresh id, not the source's semantic map and ids.

    The source's map says 4 under a row of class 2 (a loose annotation): with a panoptic map the
    output says 2. The source's id 12 is not used: max_prev is 0 at least, the fresh id is 1.
    """
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=1, semantic="0 0 0", panoptic="0 0 0"),
        source=Sample(
            image="1 2 3",
            rows={0: Row(label=2, id=12, box=(0, 0, 2, 1), mask="##.")},
            slots=1,
            semantic="4 2 0",
            panoptic="12 12 0",
        ),
        config=PANOPTIC,
        expected=Sample(
            image="1 2 10",
            rows={0: Row(label=2, id=1, box=(0, 0, 2, 1), mask="##.")},
            slots=1,
            semantic="2 2 0",
            panoptic="1 1 0",
        ),
        union="##.",
        otherwise={"plan": Plan(count=0)},
    )

"""Fresh ids, and numbers too large for a float32: clauses 4.3 and 4.8.

Fresh ids are max_prev + 1 + n. The case without any id in the target, -1 + 1 + n, is every case
of ``overlap``; the case of an id in the padding is below.
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig

WITH_CLASSES = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0))


@golden
def the_largest_id_is_not_given_again_though_it_was_dropped() -> Golden:
    """4.8: max_prev is the largest id *before* the paste.

    Ids 2 and 9; the row with 9 is hidden and dropped. The fresh ids are 10 and 11, not 3 and 4
    or 9 and 10.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={
                0: Row(label=1, id=2, box=(0, 0, 1, 1), mask="#..."),
                1: Row(label=1, id=9, box=(1, 0, 2, 1), mask=".#.."),
            },
            slots=4,
        ),
        source=Sample(
            image="1 2 3 4",
            rows={
                0: Row(label=2, id=40, box=(1, 0, 3, 1), mask=".##."),
                1: Row(label=2, id=41, box=(3, 0, 4, 1), mask="...#"),
            },
            slots=2,
        ),
        expected=Sample(
            image="10 2 3 4",
            rows={
                0: Row(label=1, id=2, box=(0, 0, 1, 1), mask="#..."),
                2: Row(label=2, id=10, box=(1, 0, 3, 1), mask=".##."),
                3: Row(label=2, id=11, box=(3, 0, 4, 1), mask="...#"),
            },
            slots=4,
        ),
        union=".###",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def the_id_zero_counts_without_a_panoptic_map() -> Golden:
    """4.8: a row with id 0 makes max_prev 0, an unused slot (whose id field is 0 too) does not.

    One used row with id 0: fresh id 1.
    """
    return Golden(
        target=Sample(
            image="10 10",
            rows={1: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.")},
            slots=2,
        ),
        source=Sample(
            image="1 2",
            rows={0: Row(label=2, id=0, box=(1, 0, 2, 1), mask=".#")},
            slots=1,
        ),
        expected=Sample(
            image="10 2",
            rows={
                0: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#"),
                1: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#."),
            },
            slots=2,
        ),
        union=".#",
        otherwise={"target": Sample(image="10 10", rows={}, slots=2)},
    )


@golden
def a_panoptic_map_starts_at_one() -> Golden:
    """4.8: with a panoptic map max_prev is at least 0, as 0 means stuff; so the first id is 1."""
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=2, semantic="0 0 0", panoptic="0 0 0"),
        source=Sample(
            image="1 2 3",
            rows={
                0: Row(label=1, id=5, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=1, id=6, box=(1, 0, 2, 1), mask=".#."),
            },
            slots=2,
            semantic="1 1 0",
            panoptic="5 6 0",
        ),
        config=WITH_CLASSES,
        expected=Sample(
            image="1 2 10",
            rows={
                0: Row(label=1, id=1, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=1, id=2, box=(1, 0, 2, 1), mask=".#."),
            },
            slots=2,
            semantic="1 1 0",
            panoptic="1 2 0",
        ),
        union="##.",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def an_id_in_the_padding_of_the_map_counts() -> Golden:
    """4.8: max_prev is taken over all rows and the *whole* panoptic map, padding included.

    The row has id 3, the padding shows 7: the fresh id is 8.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={0: Row(label=1, id=3, box=(0, 0, 1, 1), mask="#...")},
            slots=2,
            semantic="1 0 0 255",
            panoptic="3 0 0 7",
            padding="...#",
        ),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#..")},
            slots=1,
            semantic="0 2 0 0",
            panoptic="0 1 0 0",
            padding="....",
        ),
        config=WITH_CLASSES,
        expected=Sample(
            image="10 2 10 10",
            rows={
                0: Row(label=1, id=3, box=(0, 0, 1, 1), mask="#..."),
                1: Row(label=2, id=8, box=(1, 0, 2, 1), mask=".#.."),
            },
            slots=2,
            semantic="1 2 0 255",
            panoptic="3 8 0 7",
            padding="...#",
        ),
        union=".#..",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def numbers_beyond_two_to_the_24_survive() -> Golden:
    """4.3, 4.8: ids and labels are integers throughout; float32 knows no 2**24 + 1.

    2**24 + 1 = 16777217 is the target's id, so the fresh one is 16777218 = 2**24 + 2. The
    semantic map carries class 33554433 = 2**25 + 1, at twice the size: n = 0, 0, 1, 1. Nothing
    of it may be blended: source labels 33554433 and 1 have no label between them.
    The target's labels and maps outside U stay: 16777219 = 2**24 + 3.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={0: Row(label=16777219, id=16777217, box=(3, 0, 4, 1), mask="...#")},
            slots=2,
            semantic="16777219 16777219 16777219 16777219",
        ),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=33554433, id=0, box=(0, 0, 1, 1), mask="#...")},
            slots=1,
            semantic="33554433 1 1 1",
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="7 7 10 10",
            rows={
                0: Row(label=16777219, id=16777217, box=(3, 0, 4, 1), mask="...#"),
                1: Row(label=33554433, id=16777218, box=(0, 0, 2, 1), mask="##.."),
            },
            slots=2,
            semantic="33554433 33554433 16777219 16777219",
        ),
        union="##..",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def the_largest_id_there_can_be() -> Golden:
    """4.8: max_prev + K must stay below 2**31: 2147483645 + 2 = 2**31 - 1 is just allowed.

    The fresh id is 2147483646, in the rows (int32) and in the map (int64).
    """
    return Golden(
        target=Sample(
            image="10 10",
            rows={0: Row(label=1, id=2147483645, box=(0, 0, 1, 1), mask="#.")},
            slots=2,
            semantic="1 0",
            panoptic="2147483645 0",
        ),
        source=Sample(
            image="1 2",
            rows={0: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#")},
            slots=1,
            semantic="0 2",
            panoptic="0 1",
        ),
        config=WITH_CLASSES,
        expected=Sample(
            image="10 2",
            rows={
                0: Row(label=1, id=2147483645, box=(0, 0, 1, 1), mask="#."),
                1: Row(label=2, id=2147483646, box=(1, 0, 2, 1), mask=".#"),
            },
            slots=2,
            semantic="1 2",
            panoptic="2147483645 2147483646",
        ),
        union=".#",
        otherwise={"plan": Plan(count=0)},
    )

"""Pasted objects that overlap: clauses 4.5 and 4.6 (1) and (3) of the specification.

One line of pixels. The target is empty and shows 10 everywhere, the source shows 1, 2,
3 ... from the left, so an output pixel is the source's exactly where it is not 10.
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig

EMPTY = Sample(image="10 10 10 10 10", rows={}, slots=2)
# Both cover column 2.
LEFT_AND_RIGHT = Sample(
    image="1 2 3 4 5",
    rows={
        0: Row(label=1, id=8, box=(0, 0, 3, 1), mask="###.."),
        1: Row(label=2, id=9, box=(2, 0, 5, 1), mask="..###"),
    },
    slots=2,
)


@golden
def the_later_pasted_wins() -> Golden:
    """4.5: of equal priorities the later in paste order takes the contested pixel.

    Order [0, 1]: the left one is pasted first, the right one later, so column 2 is the
    right one's. What is left of the left one: columns 0 and 1. Pasted rows go into the free
    slots 0 and 1 in paste order (4.8). The target has no id and no panoptic map, so max_prev
    is -1 and the ids are -1 + 1 + 0 = 0 and -1 + 1 + 1 = 1.
    """
    return Golden(
        target=EMPTY,
        source=LEFT_AND_RIGHT,
        plan=Plan(order=(0, 1)),
        expected=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##..."),
                1: Row(label=2, id=1, box=(2, 0, 5, 1), mask="..###"),
            },
            slots=2,
        ),
        union="#####",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def later_is_by_the_plan_not_by_the_slot() -> Golden:
    """4.0, 4.1, 4.5, 4.8: paste order is the position in the plan's permutation.

    Order [1, 0]: the right one is pasted first and gets slot 0 and id 0; the left one is
    pasted later, takes column 2, and gets slot 1 and id 1.
    """
    return Golden(
        target=EMPTY,
        source=LEFT_AND_RIGHT,
        plan=Plan(order=(1, 0)),
        expected=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=2, id=0, box=(3, 0, 5, 1), mask="...##"),
                1: Row(label=1, id=1, box=(0, 0, 3, 1), mask="###.."),
            },
            slots=2,
        ),
        union="#####",
        otherwise={"plan": Plan(order=(0, 1))},
    )


@golden
def a_class_priority_beats_the_order() -> Golden:
    """4.5: the largest (priority, order) wins, the priority being compared first.

    Class 1 has priority 1, class 2 has none, which is 0. The right one (class 2) is pasted
    later, (0, 1); the left one (class 1) is (1, 0), which is larger. So column 2 stays with
    the left one. Slots and ids follow the paste order as ever.
    """
    return Golden(
        target=EMPTY,
        source=LEFT_AND_RIGHT,
        plan=Plan(order=(0, 1)),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, class_priority={1: 1})),
        expected=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###.."),
                1: Row(label=2, id=1, box=(3, 0, 5, 1), mask="...##"),
            },
            slots=2,
        ),
        union="#####",
        otherwise={"config": BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES))},
    )


@golden
def no_priority_is_zero_and_beats_a_negative_one() -> Golden:
    """4.5: a class without an entry has priority 0, and priorities may be negative.

    Class 2 has priority -1: the right one is (-1, 1), the left one (0, 0), which is larger.
    """
    return Golden(
        target=EMPTY,
        source=LEFT_AND_RIGHT,
        plan=Plan(order=(0, 1)),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, class_priority={2: -1})),
        expected=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###.."),
                1: Row(label=2, id=1, box=(3, 0, 5, 1), mask="...##"),
            },
            slots=2,
        ),
        union="#####",
        otherwise={
            "config": BatchCopyPasteConfig(
                panoptic=PanopticPasteConfig(taxonomy=CLASSES, class_priority={1: -1, 2: -1})
            )
        },
    )


@golden
def three_on_one_pixel() -> Golden:
    """4.5 with three rows: priority decides against both others, order between equals.

    Slot a has class 1, b class 2 and c class 4; class 2 has priority 3, the others 0.
    Paste order is [c, b, a] = slots [2, 1, 0], so c is (0, 0), b is (3, 1), a is (0, 2).

        column   0   1   2    3     4    5   6
        a (0,2)  #   #   #    #     .    .   .
        b (3,1)  .   .   #    #     #    .   .
        c (0,0)  .   .   .    #     #    #   #
        winner   a   a   b    b     b    c   c

    Slots and ids in paste order: c 0, b 1, a 2.
    """
    return Golden(
        target=Sample(image="10 10 10 10 10 10 10", rows={}, slots=3),
        source=Sample(
            image="1 2 3 4 5 6 7",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####..."),
                1: Row(label=2, id=1, box=(2, 0, 5, 1), mask="..###.."),
                2: Row(label=4, id=2, box=(3, 0, 7, 1), mask="...####"),
            },
            slots=3,
        ),
        plan=Plan(order=(2, 1, 0)),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, class_priority={2: 3})),
        expected=Sample(
            image="1 2 3 4 5 6 7",
            rows={
                0: Row(label=4, id=0, box=(5, 0, 7, 1), mask=".....##"),
                1: Row(label=2, id=1, box=(2, 0, 5, 1), mask="..###.."),
                2: Row(label=1, id=2, box=(0, 0, 2, 1), mask="##....."),
            },
            slots=3,
        ),
        union="#######",
        otherwise={"config": BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES))},
    )


@golden
def a_split_object_has_one_box_around_its_parts() -> Golden:
    """4.5, 4.8: the later object lies in the middle of the earlier one and splits it.

    The earlier keeps columns 0 and 4; its box reaches from 0 to 4 + 1.
    """
    return Golden(
        target=EMPTY,
        source=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 5, 1), mask="#####"),
                1: Row(label=1, id=1, box=(1, 0, 4, 1), mask=".###."),
            },
            slots=2,
        ),
        expected=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 5, 1), mask="#...#"),
                1: Row(label=1, id=1, box=(1, 0, 4, 1), mask=".###."),
            },
            slots=2,
        ),
        union="#####",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def a_hidden_one_uses_up_neither_slot_nor_id() -> Golden:
    """4.6 (3): a pasted row with no visible pixel (0 < min_pasted_area = 1) is not pasted.

    The first covers columns 1 and 2, the second covers them too and wins both. So the
    second is the first pasted row *of the output*: slot 0 and id 0.
    """
    return Golden(
        target=EMPTY,
        source=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(1, 0, 3, 1), mask=".##.."),
                1: Row(label=2, id=1, box=(0, 0, 3, 1), mask="###.."),
            },
            slots=2,
        ),
        expected=Sample(
            image="1 2 3 10 10",
            rows={0: Row(label=2, id=0, box=(0, 0, 3, 1), mask="###..")},
            slots=2,
        ),
        union="###..",
        otherwise={"plan": Plan(order=(1, 0))},
    )


@golden
def nobody_inherits_the_pixels_of_one_too_small() -> Golden:
    """4.6 (3): pixels of a row below min_pasted_area leave U, and nobody inherits them.

    min_pasted_area = 2. The later row wins its single pixel, column 2, and with 1 < 2 it is
    not pasted. Column 2 goes back to the target, though the earlier row covers it, too: the
    winners are not found again. The earlier row has columns 0 and 1, 2 pixels, exactly the
    threshold, and 2 < 2 is false: it stays.
    """
    return Golden(
        target=EMPTY,
        source=Sample(
            image="1 2 3 4 5",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###.."),
                1: Row(label=2, id=1, box=(2, 0, 3, 1), mask="..#.."),
            },
            slots=2,
        ),
        config=BatchCopyPasteConfig(min_pasted_area=2),
        expected=Sample(
            image="1 2 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##...")},
            slots=2,
        ),
        union="##...",
        otherwise={"config": BatchCopyPasteConfig(min_pasted_area=1)},
    )


@golden
def the_area_that_counts_is_the_visible_one() -> Golden:
    """4.6 (3): three pixels of which the target's canvas shows two, below three.

    min_pasted_area = 3 and tx = 3: source columns 0, 1, 2 come to target columns 3, 4, 5,
    and the canvas ends after 4. 2 < 3: not pasted, nothing changes.
    """
    return Golden(
        target=EMPTY,
        source=Sample(
            image="1 2 3 4 5",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###..")},
            slots=1,
        ),
        plan=Plan(translate=(0, 3)),
        config=BatchCopyPasteConfig(min_pasted_area=3),
        expected=EMPTY,
        union=".....",
        otherwise={"plan": Plan(translate=(0, 2))},
    )

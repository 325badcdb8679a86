"""The stuff rule: clause 4.6 (2) and (4).

Class 0 and 3 are stuff, 1, 2 and 4 are things. ``a`` is how many pixels a stuff class has in
the target, ``r`` how many are left outside U. It is found wanting iff it lost a pixel and
r < stuff_min_area or r * 65536 < tau_q16 * a.
"""

from __future__ import annotations

from typing import Any

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig


def rule(min_pasted_area: int = 1, **panoptic: Any) -> BatchCopyPasteConfig:
    """A configuration with the class table and no fraction, but for what is said."""
    return BatchCopyPasteConfig(
        min_pasted_area=min_pasted_area,
        panoptic=PanopticPasteConfig(**({"taxonomy": CLASSES, "tau_stuff_frac": 0.0} | panoptic)),
    )


@golden
def reverted_below_the_least_area_kept_at_it() -> Golden:
    """4.6 (2): min area 2 for both classes; columns 2, 3 and 4 would be pasted.

    Class 0: a = 3, r = 2: 2 < 2 is false: pasted on. Class 3: a = 3, r = 1 < 2: all its pixels
    leave U. U is column 2.
    """
    return Golden(
        target=Sample(image="10 10 10 10 10 10", rows={}, slots=1, semantic="0 0 0 3 3 3"),
        source=Sample(
            image="1 2 3 4 5 6",
            rows={0: Row(label=1, id=0, box=(2, 0, 5, 1), mask="..###.")},
            slots=1,
            semantic="1 1 1 1 1 1",
        ),
        config=rule(stuff_min_area={0: 2, 3: 2}),
        expected=Sample(
            image="10 10 3 10 10 10",
            rows={0: Row(label=1, id=0, box=(2, 0, 3, 1), mask="..#...")},
            slots=1,
            semantic="0 0 1 3 3 3",
        ),
        union="..#...",
        otherwise={"config": rule(stuff_min_area={0: 2, 3: 1})},
    )


@golden
def reverted_below_the_fraction_kept_at_it() -> Golden:
    """4.6 (2): tau = 1/2, 32768 in Q16; columns 2 to 5 would be pasted.

    Class 0: a = 4, r = 2: 2 * 65536 < 32768 * 4 = 131072 is false: pasted on. Class 3: a = 3,
    r = 1: 65536 < 32768 * 3 = 98304: reverted. U is columns 2 and 3.
    """
    return Golden(
        target=Sample(image="10 10 10 10 10 10 10", rows={}, slots=1, semantic="0 0 0 0 3 3 3"),
        source=Sample(
            image="1 2 3 4 5 6 7",
            rows={0: Row(label=1, id=0, box=(2, 0, 6, 1), mask="..####.")},
            slots=1,
            semantic="1 1 1 1 1 1 1",
        ),
        config=rule(tau_stuff_frac=0.5),
        expected=Sample(
            image="10 10 3 4 10 10 10",
            rows={0: Row(label=1, id=0, box=(2, 0, 4, 1), mask="..##...")},
            slots=1,
            semantic="0 0 1 1 3 3 3",
        ),
        union="..##...",
        otherwise={"config": rule(tau_stuff_frac=0.25)},
    )


NINE_OF_TEN = Sample(
    image="1 2 3 4 5 / 6 7 8 9 11",
    rows={0: Row(label=1, id=0, box=(0, 0, 5, 2), mask="##### ####.")},
    slots=1,
    semantic="1 1 1 1 1 / 1 1 1 1 1",
)


@golden
def a_tenth_of_ten_is_more_than_one() -> Golden:
    """4.6 (2), 4.10: the default tau 0.1 is 6554 in Q16, so one of ten pixels is not enough.

    a = 10, r = 1: 1 * 65536 < 6554 * 10 = 65540: everything is reverted, and a row without a
    pixel is not pasted. (In real numbers 1 < 0.1 * 10 is false.)
    """
    target = Sample(
        image="10 10 10 10 10 / 10 10 10 10 10", rows={}, slots=1, semantic="0 0 0 0 0 / 0 0 0 0 0"
    )
    return Golden(
        target=target,
        source=NINE_OF_TEN,
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES)),
        expected=target,
        union="..... .....",
        otherwise={"config": rule(tau_stuff_frac=0.0999)},
    )


@golden
def a_tenth_of_nine_is_less_than_one() -> Golden:
    """4.6 (2): a = 9, r = 1: 65536 < 6554 * 9 = 58986 is false: pasted.

    The tenth pixel, (0, 0), has a thing's label and is pasted on; things are not judged.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 / 10 10 10 10 10",
            rows={},
            slots=1,
            semantic="4 0 0 0 0 / 0 0 0 0 0",
        ),
        source=NINE_OF_TEN,
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES)),
        expected=Sample(
            image="1 2 3 4 5 / 6 7 8 9 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 5, 2), mask="##### ####.")},
            slots=1,
            semantic="1 1 1 1 1 / 1 1 1 1 0",
        ),
        union="##### ####.",
        otherwise={"config": rule(tau_stuff_frac=0.2)},
    )


@golden
def with_tau_zero_a_class_may_vanish() -> Golden:
    """4.6 (2): a = 2, r = 0, tau 0, no least area: 0 * 65536 < 0 * 2 is false: pasted."""
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=1, semantic="0 0 3"),
        source=Sample(
            image="1 2 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.")},
            slots=1,
            semantic="1 1 0",
        ),
        config=rule(),
        expected=Sample(
            image="1 2 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.")},
            slots=1,
            semantic="1 1 3",
        ),
        union="##.",
        otherwise={"config": rule(tau_stuff_frac=0.1)},
    )


FIRST_ALONE_THEN_THREE = Sample(
    image="1 2 3 4 5",
    rows={
        0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#...."),
        1: Row(label=2, id=1, box=(1, 0, 5, 1), mask=".#.##"),
    },
    slots=2,
    semantic="1 2 0 2 2",
)
THREE_AND_TWO = Sample(image="10 10 10 10 10", rows={}, slots=2, semantic="0 0 0 3 3")


@golden
def stuff_is_judged_before_small_rows_leave() -> Golden:
    """4.6: (2) sees the U of step (1), with the rows that (3) will remove.

    min_pasted_area 2, min area of class 0 is 2. U of step (1): columns 0, 1, 3, 4. Class 0: a =
    3, r = 1 < 2: columns 0 and 1 leave U. Class 3: r = 0, but no threshold: stays in U.
    (3): the first row has 0 pixels left and is not pasted, the second has 2 (columns 3, 4).
    Were small rows removed first, the first row (1 pixel) would go, class 0 would have r = 2,
    and column 1 would be pasted.
    """
    return Golden(
        target=THREE_AND_TWO,
        source=FIRST_ALONE_THEN_THREE,
        config=rule(min_pasted_area=2, stuff_min_area={0: 2}),
        expected=Sample(
            image="10 10 10 4 5",
            rows={0: Row(label=2, id=0, box=(3, 0, 5, 1), mask="...##")},
            slots=2,
            semantic="0 0 0 2 2",
        ),
        union="...##",
        otherwise={"config": rule(min_pasted_area=2, stuff_min_area={0: 1})},
    )


@golden
def under_ignore_stuff_is_judged_after_small_rows_left() -> Golden:
    """4.6 (4): the policy "ignore" judges the *final* U. The same scene as the case before.

    (3): the first row has 1 pixel < 2 and is not pasted, column 0 leaves U. Final U: columns 1,
    3, 4. Class 0: a = 3, r = 2: 2 < 2 is false: nothing becomes void.
    """
    return Golden(
        target=THREE_AND_TWO,
        source=FIRST_ALONE_THEN_THREE,
        config=rule(min_pasted_area=2, stuff_min_area={0: 2}, stuff_policy="ignore"),
        expected=Sample(
            image="10 2 10 4 5",
            rows={0: Row(label=2, id=0, box=(1, 0, 5, 1), mask=".#.##")},
            slots=2,
            semantic="0 2 0 2 2",
        ),
        union=".#.##",
        otherwise={"config": rule(min_pasted_area=1, stuff_min_area={0: 2}, stuff_policy="ignore")},
    )


@golden
def under_ignore_what_is_left_becomes_void() -> Golden:
    """4.6 (4): tau 1/2. Class 0: a = 4, r = 1: 65536 < 32768 * 4: column 3 becomes void.

    Class 3 has one pixel and a least area of 5, but lost nothing: not judged, it stays 3. The
    image of a void pixel stays. Panoptic is 0 on stuff and on void alike.
    """
    config = rule(tau_stuff_frac=0.5, stuff_min_area={3: 5}, stuff_policy="ignore")
    return Golden(
        target=Sample(image="10 10 10 10 10", rows={}, slots=1, semantic="0 0 0 0 3", panoptic="0 0 0 0 0"),
        source=Sample(
            image="1 2 3 4 5",
            rows={0: Row(label=1, id=3, box=(0, 0, 3, 1), mask="###..")},
            slots=1,
            semantic="1 1 1 0 0",
            panoptic="3 3 3 0 0",
        ),
        config=config,
        expected=Sample(
            image="1 2 3 10 10",
            rows={0: Row(label=1, id=1, box=(0, 0, 3, 1), mask="###..")},
            slots=1,
            semantic="1 1 1 255 3",
            panoptic="1 1 1 0 0",
        ),
        union="###..",
        otherwise={"config": rule(tau_stuff_frac=0.25, stuff_policy="ignore")},
    )


@golden
def padding_is_neither_counted_nor_made_void() -> Golden:
    """4.6: column 5 is padding that carries label 0 all the same.

    Least area 2, policy "ignore". Class 0 has columns 0 to 3, of which column 3 is left: r = 1 <
    2, and column 3 becomes void. (Were padding counted, r would be 2 and 2 < 2 false.) Column 5
    does not become void.
    """
    return Golden(
        target=Sample(image="10 10 10 10 10 10", rows={}, slots=1, semantic="0 0 0 0 3 0", padding=".....#"),
        source=Sample(
            image="1 2 3 4 5 6",
            rows={0: Row(label=1, id=3, box=(0, 0, 3, 1), mask="###...")},
            slots=1,
            semantic="1 1 1 0 0 0",
            padding="......",
        ),
        config=rule(stuff_min_area={0: 2}, stuff_policy="ignore"),
        expected=Sample(
            image="1 2 3 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###...")},
            slots=1,
            semantic="1 1 1 255 3 0",
            padding=".....#",
        ),
        union="###...",
        otherwise={"config": rule(stuff_min_area={0: 1}, stuff_policy="ignore")},
    )


@golden
def a_revert_restores_every_modality() -> Golden:
    """4.6 (2), 4.7: what leaves U is the target's in image, maps, depth and normals.

    tau 0.1. The object covers columns 0, 1, 2, all nearer. Class 0: a = 2, r = 0: 0 < 6554 * 2:
    columns 0 and 1 leave U. Column 2 carries a thing and is pasted on: its row, id 4, has nothing
    left and is dropped. The new row gets slot 1 and id 5. Column 2: depth 2 < 9, normal
    (0, -1, 0).
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={0: Row(label=1, id=4, box=(2, 0, 3, 1), mask="..#.")},
            slots=2,
            semantic="0 0 1 3",
            panoptic="0 0 4 0",
            depth="9 (nan) 9 9",
            normals="0,0,-1 0,0,-1 0,0,-1 0,0,-1",
        ),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=2, id=1, box=(0, 0, 3, 1), mask="###.")},
            slots=1,
            semantic="2 2 2 0",
            panoptic="1 1 1 0",
            depth="2 2 2 2",
            normals="0,-1,0 0,-1,0 0,-1,0 0,-1,0",
        ),
        config=rule(tau_stuff_frac=0.1),
        expected=Sample(
            image="10 10 3 10",
            rows={1: Row(label=2, id=5, box=(2, 0, 3, 1), mask="..#.")},
            slots=2,
            semantic="0 0 2 3",
            panoptic="0 0 5 0",
            depth="9 (nan) 2 9",
            normals="0,0,-1 0,0,-1 0,-1,0 0,0,-1",
        ),
        union="..#.",
        otherwise={"config": rule()},
    )

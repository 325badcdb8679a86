"""What may be pasted at all, and where: clauses 4.1 and 4.4.

The target shows 10 everywhere; the source shows 1, 2, 3 ...
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, PanopticSchemaSpec

WITH_CLASSES = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0))


@golden
def ignore_on_either_side_shuts_the_gate() -> Golden:
    """4.4: neither the target's label nor the warped source's may be *ignore*; 255 without a schema.

        column   0     1     2     3
        target   255   0     0     0
        source   1     255   1     1
        pasted   no    no    yes   yes

    Without a panoptic map the semantic map inside U is the warped source's (4.7), outside it
    is as before, 255 in column 0 included.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, semantic="255 0 0 0"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            semantic="1 255 1 1",
        ),
        expected=Sample(
            image="10 10 3 4",
            rows={0: Row(label=1, id=0, box=(2, 0, 4, 1), mask="..##")},
            slots=1,
            semantic="255 0 1 1",
        ),
        union="..##",
        otherwise={"target": Sample(image="10 10 10 10", rows={}, slots=1, semantic="0 0 0 0")},
    )


@golden
def what_is_ignored_is_said_by_the_schema() -> Golden:
    """4, notation: *ignore* is the schema's ignore_index, here 9; 255 is a class like any other.

    Column 0: the target is 9: shut. Column 1: the source is 9: shut. Columns 2 and 3: 255 on
    one side or the other: open. No stuff class is lost beyond its threshold: class 0 has 2
    pixels (columns 1 and 3) and loses column 3, 1 of 2 is left, and tau is 0; 255 is a thing.
    """
    schema = PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 255: "thing"}, ignore_index=9)
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, semantic="9 0 255 0"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=255, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            semantic="255 9 255 255",
        ),
        config=BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=0.0)),
        expected=Sample(
            image="10 10 3 4",
            rows={0: Row(label=255, id=0, box=(2, 0, 4, 1), mask="..##")},
            slots=1,
            semantic="9 0 255 255",
        ),
        union="..##",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def the_ignored_source_pixel_moves_with_the_object() -> Golden:
    """4.4: the *warped* source label counts: with tx = 1 the 255 of source column 1 is at column 2."""
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, semantic="0 0 0 0"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            semantic="1 255 2 1",
        ),
        plan=Plan(translate=(0, 1)),
        expected=Sample(
            image="10 1 10 3",
            rows={0: Row(label=1, id=0, box=(1, 0, 4, 1), mask=".#.#")},
            slots=1,
            semantic="0 1 0 2",
        ),
        union=".#.#",
        otherwise={"plan": Plan()},
    )


@golden
def padding_on_either_side() -> Golden:
    """4.4: no target padding is pasted on; 4.2: nothing outside the source's valid rectangle.

    The target's valid rectangle is 3 x 3 (column 3 and row 3 are padding), the source's is
    2 x 3. Translation (1, 1): source rows 0, 1 come to rows 1, 2 and columns 0, 1, 2 to
    columns 1, 2, 3, of which column 3 is padding. Row 3 would show source row 2: outside.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 / 10 10 10 10 / 10 10 10 10 / 77 77 77 77",
            rows={},
            slots=1,
            padding="...# ...# ...# ####",
        ),
        source=Sample(
            image="1 2 3 99 / 4 5 6 99 / 99 99 99 99 / 99 99 99 99",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 2), mask="###. ###. .... ....")},
            slots=1,
            padding="...# ...# #### ####",
        ),
        plan=Plan(translate=(1, 1)),
        expected=Sample(
            image="10 10 10 10 / 10 1 2 10 / 10 4 5 10 / 77 77 77 77",
            rows={0: Row(label=1, id=0, box=(1, 1, 3, 3), mask=".... .##. .##. ....")},
            slots=1,
            padding="...# ...# ...# ####",
        ),
        union=".... .##. .##. ....",
        otherwise={"plan": Plan()},
    )


@golden
def only_things_are_pasted_and_stuff_uses_up_no_place() -> Golden:
    """4.1: with a schema only thing classes are eligible; the paste list is of eligible slots.

    Order [0, 1], count 1. Slot 0 is stuff, so the first eligible slot is 1. Semantic inside U
    is the warped source label, 2. The target is class 3 in 4 pixels, 2 are left, tau is 0.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=2, semantic="3 3 3 3"),
        source=Sample(
            image="1 2 3 4",
            rows={
                0: Row(label=3, id=0, box=(0, 0, 2, 1), mask="##.."),
                1: Row(label=2, id=1, box=(2, 0, 4, 1), mask="..##"),
            },
            slots=2,
            semantic="3 3 2 2",
        ),
        plan=Plan(order=(0, 1), count=1),
        config=WITH_CLASSES,
        expected=Sample(
            image="10 10 3 4",
            rows={0: Row(label=2, id=0, box=(2, 0, 4, 1), mask="..##")},
            slots=2,
            semantic="3 3 2 2",
        ),
        union="..##",
        otherwise={"config": BatchCopyPasteConfig()},
    )


@golden
def empty_and_unused_slots_use_up_no_place() -> Golden:
    """4.1: eligible are valid rows with a non-empty mask.

    Order [2, 0, 1, 3], count 2. Slot 2 is unused, slot 0 valid with an empty mask; so the first
    two eligible slots are 1 and 3, in that order.
    """
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=4),
        source=Sample(
            image="1 2 3",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 0, 0), mask="..."),
                1: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#."),
                3: Row(label=4, id=2, box=(2, 0, 3, 1), mask="..#"),
            },
            slots=4,
        ),
        plan=Plan(order=(2, 0, 1, 3), count=2),
        expected=Sample(
            image="10 2 3",
            rows={
                0: Row(label=2, id=0, box=(1, 0, 2, 1), mask=".#."),
                1: Row(label=4, id=1, box=(2, 0, 3, 1), mask="..#"),
            },
            slots=4,
        ),
        union=".##",
        otherwise={"plan": Plan(order=(2, 0, 3, 1), count=2)},
    )


@golden
def as_many_as_the_plan_asks_for() -> Golden:
    """4.1: the first ``count`` of the permutation: of [2, 0, 1] with count 2 the slots 2 and 0."""
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=3),
        source=Sample(
            image="1 2 3",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=1, id=1, box=(1, 0, 2, 1), mask=".#."),
                2: Row(label=1, id=2, box=(2, 0, 3, 1), mask="..#"),
            },
            slots=3,
        ),
        plan=Plan(order=(2, 0, 1), count=2),
        expected=Sample(
            image="1 10 3",
            rows={
                0: Row(label=1, id=0, box=(2, 0, 3, 1), mask="..#"),
                1: Row(label=1, id=1, box=(0, 0, 1, 1), mask="#.."),
            },
            slots=3,
        ),
        union="#.#",
        otherwise={"plan": Plan(order=(2, 0, 1), count=3)},
    )

"""The smallest and the emptiest inputs, and batches: clause 4.11."""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig

WITH_CLASSES = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.0))


@golden
def a_canvas_of_one_pixel() -> Golden:
    """4.11: 1 x 1. The target's row has nothing left and is dropped; the new one has slot 1, id 1."""
    return Golden(
        target=Sample(image="10", rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#")}, slots=2),
        source=Sample(image="1", rows={0: Row(label=2, id=0, box=(0, 0, 1, 1), mask="#")}, slots=1),
        expected=Sample(image="1", rows={1: Row(label=2, id=1, box=(0, 0, 1, 1), mask="#")}, slots=2),
        union="#",
        otherwise={"plan": Plan(translate=(0, 1))},
    )


@golden
def one_pixel_instances() -> Golden:
    """4.2, notation: the mask of pixel (x, y) has the box [x, y, x + 1, y + 1], flipped or not.

    Flip in a canvas of 4 columns: x -> 3 - x. Pixels (y, x) = (0, 0) and (2, 2) come to (0, 3)
    and (2, 1).
    """
    return Golden(
        target=Sample(image="10 10 10 10 / 10 10 10 10 / 10 10 10 10", rows={}, slots=2),
        source=Sample(
            image="1 2 3 4 / 5 6 7 8 / 11 12 13 14",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#... .... ...."),
                1: Row(label=2, id=1, box=(2, 2, 3, 3), mask=".... .... ..#."),
            },
            slots=2,
        ),
        plan=Plan(hflip=True),
        expected=Sample(
            image="10 10 10 1 / 10 10 10 10 / 10 13 10 10",
            rows={
                0: Row(label=1, id=0, box=(3, 0, 4, 1), mask="...# .... ...."),
                1: Row(label=2, id=1, box=(1, 2, 2, 3), mask=".... .... .#.."),
            },
            slots=2,
        ),
        union="...# .... .#..",
        otherwise={"plan": Plan()},
    )


@golden
def an_instance_that_fills_the_canvas() -> Golden:
    """4.8: all is covered but one ignored pixel (4.4); both rows of the target are dropped.

    tau is 0, so stuff may vanish. The dropped rows have no pixel left that could become void.
    Slot 2 was the only free one; the fresh id is 6 + 1.
    """
    return Golden(
        target=Sample(
            image="10 10 10 / 10 10 10",
            rows={
                0: Row(label=1, id=6, box=(0, 0, 1, 2), mask="#.. #.."),
                1: Row(label=2, id=2, box=(1, 0, 2, 1), mask=".#. ..."),
            },
            slots=3,
            semantic="1 2 0 / 1 3 255",
            panoptic="6 2 0 / 6 0 0",
        ),
        source=Sample(
            image="1 2 3 / 4 5 6",
            rows={0: Row(label=4, id=1, box=(0, 0, 3, 2), mask="### ###")},
            slots=1,
            semantic="4 4 4 / 4 4 4",
            panoptic="1 1 1 / 1 1 1",
        ),
        config=WITH_CLASSES,
        expected=Sample(
            image="1 2 3 / 4 5 10",
            rows={2: Row(label=4, id=7, box=(0, 0, 3, 2), mask="### ##.")},
            slots=3,
            semantic="4 4 4 / 4 4 255",
            panoptic="7 7 7 / 7 7 0",
        ),
        union="### ##.",
        otherwise={"plan": Plan(count=0)},
    )


ALONE = Sample(
    image="1 2 3",
    rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#..")},
    slots=2,
)


@golden
def a_batch_of_one_has_no_partner() -> Golden:
    """4.11: B = 1 with the batch itself as the source: the plan is drawn with count 0: identity."""
    return Golden(
        target=ALONE,
        source=None,
        plan=Plan(translate=(0, 1), count=0),
        expected=ALONE,
        union="...",
        otherwise={"plan": Plan(translate=(0, 1), count=1)},
    )


@golden
def a_batch_of_one_with_a_bank() -> Golden:
    """4.11: B = 1 pastes as ever where the source is another view, here row 2 of three."""

    def bank(value: int) -> Sample:
        return Sample(
            image=f"{value} {value} {value}",
            rows={0: Row(label=2, id=0, box=(1, 0, 2, 1), mask=".#.")},
            slots=1,
        )

    return Golden(
        target=ALONE,
        source=(bank(40), bank(50), bank(60)),
        plan=Plan(source=2),
        expected=Sample(
            image="1 60 3",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#."),
            },
            slots=2,
        ),
        union=".#.",
        otherwise={"plan": Plan(source=1)},
    )


@golden
def a_batch_that_is_its_own_source() -> Golden:
    """4: a deterministic function of its inputs: sample 1 gets sample 0 as it was, not as it became.

    Sample 0 takes the object of sample 1 (column 1, value 5), sample 1 that of sample 0 (column
    0, value 1). Sample 1 is asked for slot 1 first, which sample 0 does not use before its paste.
    (Were sample 0 pasted in place first, its slot 1 would hold column 1, and that would be pasted,
    as K = 2 leaves room for one.) Ids go by sample: 0 + 1 and 7 + 1.
    """
    first = Sample(image="1 2 3", rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#..")}, slots=2)
    second = Sample(image="4 5 6", rows={0: Row(label=2, id=7, box=(1, 0, 2, 1), mask=".#.")}, slots=2)
    return Golden(
        target=(first, second),
        source=None,
        plan=(Plan(source=1), Plan(source=0, order=(1, 0))),
        expected=(
            Sample(
                image="1 5 3",
                rows={
                    0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.."),
                    1: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#."),
                },
                slots=2,
            ),
            Sample(
                image="1 5 6",
                rows={
                    0: Row(label=2, id=7, box=(1, 0, 2, 1), mask=".#."),
                    1: Row(label=1, id=8, box=(0, 0, 1, 1), mask="#.."),
                },
                slots=2,
            ),
        ),
        union=(".#.", "#.."),
        otherwise={"plan": (Plan(source=1), Plan(source=1, count=0))},
    )


@golden
def a_sample_pasted_onto_itself() -> Golden:
    """4: the source may be the target sample; tx = 1 moves a copy of its object by one.

    The object is columns 0 and 1, the copy columns 1 and 2, showing source columns 0 and 1 as
    they were, 1 and 2. The original loses column 1: 1 of 2 left, 65536 < 6554 * 2 is false: kept.
    """
    return Golden(
        target=Sample(image="1 2 3", rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.")}, slots=2),
        source=None,
        plan=Plan(translate=(0, 1)),
        expected=Sample(
            image="1 1 2",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.."),
                1: Row(label=1, id=1, box=(1, 0, 3, 1), mask=".##"),
            },
            slots=2,
        ),
        union=".##",
        otherwise={"plan": Plan()},
    )


@golden
def samples_of_a_batch_do_not_touch_each_other() -> Golden:
    """4.0: each sample has its own plan, padding, ids and capacity.

    Sample 0: nothing asked for. Sample 1: twice the size brings the object, source column 0, to
    columns 0 and 1, of which 1 is padding. Sample 2: no free slot. Sample 3: mirrored, the object
    is at column 3, fresh id 9 + 1 = 10.
    """
    empty = Sample(image="10 10 10 10", rows={}, slots=2, padding="....")
    full = empty.but(
        rows={
            0: Row(label=1, id=5, box=(2, 0, 3, 1), mask="..#."),
            1: Row(label=1, id=6, box=(3, 0, 4, 1), mask="...#"),
        }
    )
    half = empty.but(rows={0: Row(label=1, id=9, box=(0, 0, 1, 1), mask="#...")})
    return Golden(
        target=(empty, empty.but(padding=".###"), full, half),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=2, id=0, box=(0, 0, 1, 1), mask="#...")},
            slots=1,
            padding="....",
        ),
        plan=(Plan(count=0), Plan(step=32768), Plan(), Plan(hflip=True)),
        expected=(
            empty,
            Sample(
                image="7 10 10 10",
                rows={0: Row(label=2, id=0, box=(0, 0, 1, 1), mask="#...")},
                slots=2,
                padding=".###",
            ),
            full,
            Sample(
                image="10 10 10 7",
                rows={
                    0: Row(label=1, id=9, box=(0, 0, 1, 1), mask="#..."),
                    1: Row(label=2, id=10, box=(3, 0, 4, 1), mask="...#"),
                },
                slots=2,
                padding="....",
            ),
        ),
        union=("....", "#...", "....", "...#"),
        otherwise={"plan": Plan(count=0)},
    )


@golden
def a_batch_of_none() -> Golden:
    """4.11: B = 0 gives B = 0, every field with its shape and dtype."""
    return Golden(
        target=ALONE,
        source=ALONE,
        expected=ALONE,
        union="...",
        batch=0,
    )


@golden
def detection_only_is_the_identity() -> Golden:
    """4.11: boxes without masks: nothing is pasted and nothing phantom appears."""
    target = Sample(image="10 10 10", rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask=None)}, slots=3)
    return Golden(
        target=target,
        source=Sample(image="1 2 3", rows={0: Row(label=2, id=0, box=(1, 0, 3, 1), mask=None)}, slots=2),
        expected=target,
        union="...",
    )


@golden
def image_only_is_the_identity() -> Golden:
    """4.11: an image alone has nothing that could be pasted."""
    target = Sample(image="10 10 10", slots=2)
    return Golden(target=target, source=Sample(image="1 2 3", slots=2), expected=target, union="...")


@golden
def a_source_without_instances() -> Golden:
    """4.1, 4.11: an empty paste list is the identity, with stuff to be seen on both sides."""
    target = Sample(
        image="10 10",
        rows={0: Row(label=1, id=3, box=(0, 0, 1, 1), mask="#.")},
        slots=2,
        semantic="1 0",
        panoptic="3 0",
    )
    return Golden(
        target=target,
        source=Sample(image="1 2", rows={}, slots=2, semantic="3 3", panoptic="0 0"),
        config=WITH_CLASSES,
        expected=target,
        union="..",
        otherwise={
            "source": Sample(
                image="1 2",
                rows={0: Row(label=2, id=1, box=(1, 0, 2, 1), mask=".#")},
                slots=2,
                semantic="3 2",
                panoptic="0 1",
            )
        },
    )


@golden
def no_slots_at_all() -> Golden:
    """4.1: K = 0 in target and source: no capacity and no list: identity."""
    target = Sample(image="10 10", rows={}, slots=0)
    return Golden(
        target=target,
        source=Sample(image="1 2", rows={}, slots=0),
        expected=target,
        union="..",
    )


@golden
def a_source_that_is_all_padding() -> Golden:
    """4.2, 4.11: Hv = Wv = 0: nothing is inside, mirrored or not. Its rows are empty."""
    target = Sample(image="10 10", rows={}, slots=1, padding="..")
    row = {0: Row(label=1, id=0, box=(0, 0, 0, 0), mask="..")}
    return Golden(
        target=target,
        source=Sample(image="1 2", rows=row, slots=1, padding="##"),
        plan=Plan(hflip=True),
        expected=target,
        union="..",
        otherwise={
            "source": Sample(
                image="1 2",
                rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.")},
                slots=1,
                padding="..",
            )
        },
    )


@golden
def a_paste_that_misses_the_canvas() -> Golden:
    """4.2, 4.6 (3): moved out of sight no pixel is inside, and an empty row is not pasted."""
    target = Sample(image="10 10", rows={}, slots=1)
    return Golden(
        target=target,
        source=Sample(image="1 2", rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##")}, slots=1),
        plan=Plan(translate=(1, 0)),
        expected=target,
        union="..",
        otherwise={"plan": Plan()},
    )


@golden
def every_modality_at_once() -> Golden:
    """4.7: one object, twice the size, mirrored, nearer in one of its two columns.

    Wv = 4: output columns 0 and 1 show source column 3, columns 2 and 3 column 2. The object is
    column 3. Cameras 600 over 300 make the factor 2 * 32768 / 65536 = 1: depth 3 stays 3. Target
    depth 4 and 2: column 0 is nearer, column 1 is not. All source values are constant, so that no
    blend changes them; the normal (-1, 0, 0) is mirrored to (1, 0, 0).
    Class 0 loses 1 of 4 pixels, tau is 0.
    """
    camera = (600.0, 600.0, 2.0, 0.5)
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={},
            slots=1,
            semantic="0 0 0 0",
            panoptic="0 0 0 0",
            depth="4 2 4 4",
            normals="0,0,-1 0,0,-1 0,0,-1 0,0,-1",
            camera=camera,
            metric=True,
        ),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=2, id=9, box=(3, 0, 4, 1), mask="...#")},
            slots=1,
            semantic="3 3 3 2",
            panoptic="0 0 0 9",
            depth="3 3 3 3",
            normals="-1,0,0 -1,0,0 -1,0,0 -1,0,0",
            camera=(300.0, 300.0, 2.0, 0.5),
            metric=True,
        ),
        plan=Plan(step=32768, hflip=True),
        config=WITH_CLASSES,
        expected=Sample(
            image="7 10 10 10",
            rows={0: Row(label=2, id=1, box=(0, 0, 1, 1), mask="#...")},
            slots=1,
            semantic="2 0 0 0",
            panoptic="1 0 0 0",
            depth="3 2 4 4",
            normals="1,0,0 0,0,-1 0,0,-1 0,0,-1",
            camera=camera,
            metric=True,
        ),
        union="#...",
        otherwise={"plan": Plan(step=32768)},
    )

"""Depth: the z-test, validity, the metric factor, and rounding; clauses 4.3, 4.4, 4.7.

One line of pixels, or two where it is scaled down. The object covers the whole source unless
a case says so. Hexadecimal floats are written as C and Python do: ``0x1.8p+1`` is 1.5 * 2 = 3.
A float32 has 23 bits after the point, so beside 1 the next is ``0x1.000002p+0`` = 1 + 2**-23.
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import Plan, Row, Sample
from segpaste.types import BatchCopyPasteConfig

FOCAL_1000 = (1000.0, 1000.0, 2.0, 0.5)
FOCAL_500 = (500.0, 500.0, 2.0, 0.5)


@golden
def planes_nearer_equal_and_farther() -> Golden:
    """4.4: pasted iff d_src < d_tgt, strictly, on float32 values.

    The target is a plane at 4. Of the float32 next to 4 the one below is 4 - 2**-22 =
    0x1.fffffep+1 (between 2 and 4 they are 2**-22 apart), the one above 4 + 2**-21 =
    0x1.000002p+2.

        column    0   1   2           3           4    5
        d_src     2   4   below 4     above 4     8    2**-149, the least float32 above 0
        < 4       yes no  yes         no          no   yes
    """
    return Golden(
        target=Sample(image="10 10 10 10 10 10", rows={}, slots=1, depth="4 4 4 4 4 4"),
        source=Sample(
            image="1 2 3 4 5 6",
            rows={0: Row(label=1, id=0, box=(0, 0, 6, 1), mask="######")},
            slots=1,
            depth="2 4 0x1.fffffep+1 0x1.000002p+2 8 0x1p-149",
        ),
        expected=Sample(
            image="1 10 3 10 10 6",
            rows={0: Row(label=1, id=0, box=(0, 0, 6, 1), mask="#.#..#")},
            slots=1,
            depth="2 4 0x1.fffffep+1 4 4 0x1p-149",
        ),
        union="#.#..#",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


VALIDITY_TARGET = Sample(image="10 10 10 10 10 10", rows={}, slots=1, depth="4 4 (nan) (nan) (0x1p+3) (-1)")
VALIDITY_SOURCE = Sample(
    image="1 2 3 4 5 6",
    rows={0: Row(label=1, id=0, box=(0, 0, 6, 1), mask="######")},
    slots=1,
    depth="2 (nan) 9 (nan) (inf) 2",
)


@golden
def validity_on_either_side() -> Golden:
    """4.4: the gate is open where the target's depth is invalid, else V_src and nearer decide.

        column   target     source    may paste                V_src & V_tgt   depth in U
        0        4          2         2 < 4: yes               true            2
        1        4          invalid   V_src fails: no          -               (unchanged, 4)
        2        invalid    9         target invalid: yes      false           9
        3        invalid    invalid   target invalid: yes      false           0, as V_src is false
        4        invalid    invalid   target invalid: yes      false           0
        5        invalid    2         target invalid: yes      false           2

    4.7: depth is written inside U even where the joined validity is false; 4.3: it is 0 where
    V_src is false, so neither NaN nor infinity beneath an invalid pixel comes through.
    """
    return Golden(
        target=VALIDITY_TARGET,
        source=VALIDITY_SOURCE,
        expected=Sample(
            image="1 10 3 4 5 6",
            rows={0: Row(label=1, id=0, box=(0, 0, 6, 1), mask="#.####")},
            slots=1,
            depth="2 4 (9) (0) (0) (2)",
        ),
        union="#.####",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def without_z_test_depth_is_joined_all_the_same() -> Golden:
    """4.4, 4.7: with z_test off nothing is compared, but validity is joined and depth written.

    As the case before, with column 1 pasted too: V_src is false there, so depth 0 and invalid.
    """
    return Golden(
        target=VALIDITY_TARGET,
        source=VALIDITY_SOURCE,
        config=BatchCopyPasteConfig(z_test=False),
        expected=Sample(
            image="1 2 3 4 5 6",
            rows={0: Row(label=1, id=0, box=(0, 0, 6, 1), mask="######")},
            slots=1,
            depth="2 (0) (9) (0) (0) (2)",
        ),
        union="######",
        otherwise={"config": BatchCopyPasteConfig(z_test=True)},
    )


@golden
def garbage_outside_u_stays_as_it_is() -> Golden:
    """4.7: outside U nothing changes, not even what stands beneath invalid depth.

    The object covers column 1 only. Columns 0, 2 and 3 keep NaN, minus infinity and -0.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, depth="(nan) 4 (-inf) (-0)"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(1, 0, 2, 1), mask=".#..")},
            slots=1,
            depth="2 2 2 2",
        ),
        expected=Sample(
            image="10 2 10 10",
            rows={0: Row(label=1, id=0, box=(1, 0, 2, 1), mask=".#..")},
            slots=1,
            depth="(nan) 2 (-inf) (-0)",
        ),
        union=".#..",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def twice_the_focal_length_is_twice_as_far() -> Golden:
    """4.7: factor sqrt(1000 * 1000) / sqrt(500 * 500) * 65536 / 65536 = 1000 / 500 = 2.

    The z-test of 4.4 compares the rescaled value (4.3 scales before V_src and d_src stand).

        column          0    1    2            3
        source depth    3    3    2.5          2.5 - 2**-22 (float32 below 2.5)
        times 2         6    6    5            5 - 2**-21 = 0x1.3ffffep+2
        target depth    7    5    5            5
        pasted          yes  no   no (equal)   yes

    2.5 = 0x1.4p+1, the float32 below it is 0x1.3ffffep+1.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, depth="7 5 5 5", camera=FOCAL_1000, metric=True),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            depth="3 3 2.5 0x1.3ffffep+1",
            camera=FOCAL_500,
            metric=True,
        ),
        expected=Sample(
            image="1 10 10 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="#..#")},
            slots=1,
            depth="6 5 5 0x1.3ffffep+2",
            camera=FOCAL_1000,
            metric=True,
        ),
        union="#..#",
        otherwise={
            "target": Sample(
                image="10 10 10 10", rows={}, slots=1, depth="7 5 5 5", camera=FOCAL_500, metric=True
            )
        },
    )


@golden
def relative_depth_has_no_factor() -> Golden:
    """4.3: the factor is for metric depth alone, even where there are intrinsics.

    Focal lengths 1000 and 500 and twice the size, as in the metric cases; 3 stays 3. Scale 2
    over a constant: taps 3 and 3, D = 3 W, D / W = 3.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, depth="4 3 4 4", camera=FOCAL_1000),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            depth="3 3 3 3",
            camera=FOCAL_500,
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="7 10 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="#.##")},
            slots=1,
            depth="3 3 3 3",
            camera=FOCAL_1000,
        ),
        union="#.##",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def twice_the_size_is_half_as_far() -> Golden:
    """4.7: equal cameras, step 32768: factor (500 / 500) * 32768 / 65536 = 1 / 2.

    A plane at 3 becomes one at 1.5. It is nearer than 2, and not nearer than 1.5 or 1.

    4.2: column x shows n = ((2x + 1) * 32768) >> 17 = floor((2x + 1) / 4) = 0, 0, 1, 1; the
    row has n = floor(1 / 4) = 0. The mask is set in column 0 of the source, so in columns 0
    and 1 of the target; column 1 has target depth 1.5, which is equal: not pasted.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10", rows={}, slots=1, depth="2 1.5 2 1", camera=FOCAL_500, metric=True
        ),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#...")},
            slots=1,
            depth="3 3 3 3",
            camera=FOCAL_500,
            metric=True,
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="7 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#...")},
            slots=1,
            depth="1.5 1.5 2 1",
            camera=FOCAL_500,
            metric=True,
        ),
        union="#...",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def pixels_that_are_not_square() -> Golden:
    """4.7: the factor has the geometric mean of fx and fy.

    Target sqrt(400 * 900) = sqrt(360000) = 600, source sqrt(100 * 400) = sqrt(40000) = 200:
    factor 3. (By fx alone it would be 4, by fy alone 2.25, by the sum 1300 / 500 = 2.6.)
    1.25 becomes 3.75, the principal point plays no part.
    """
    camera = (400.0, 900.0, 1.0, 7.0)
    return Golden(
        target=Sample(image="10 10", rows={}, slots=1, depth="4 3.75", camera=camera, metric=True),
        source=Sample(
            image="1 2",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##")},
            slots=1,
            depth="1.25 1.25",
            camera=(100.0, 400.0, 5.0, 2.0),
            metric=True,
        ),
        expected=Sample(
            image="1 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.")},
            slots=1,
            depth="3.75 3.75",
            camera=camera,
            metric=True,
        ),
        union="#.",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def a_product_that_leaves_float32_is_invalid() -> Golden:
    """4.3: V_src is false where the final float32 is not finite or not positive.

    Focal 250 over 500: factor 1/2. Below 2**-126 float32 are the multiples of 2**-149.

        source             times 1/2         nearest float32 (ties to even multiple)
        1 * 2**-149        0.5 * 2**-149     0 : not positive, invalid
        3 * 2**-149        1.5 * 2**-149     2 * 2**-149 = 2**-148 : valid
        2 * 2**-149        1 * 2**-149       2**-149 : valid

    3 * 2**-149 = 0x1.8p-148. The target's depth is 5, valid, in columns 0 to 2: the first is
    not pasted as V_src is false. In column 3 it is invalid: pasted, with depth 0.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10",
            rows={},
            slots=1,
            depth="5 5 5 (5)",
            camera=(250.0, 250.0, 0.0, 0.0),
            metric=True,
        ),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            depth="0x1p-149 0x1.8p-148 0x1p-148 0x1p-149",
            camera=FOCAL_500,
            metric=True,
        ),
        expected=Sample(
            image="10 2 3 4",
            rows={0: Row(label=1, id=0, box=(1, 0, 4, 1), mask=".###")},
            slots=1,
            depth="5 0x1p-148 0x1p-149 (0)",
            camera=(250.0, 250.0, 0.0, 0.0),
            metric=True,
        ),
        union=".###",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def a_product_that_overflows_is_invalid() -> Golden:
    """4.3, at the other end: factor 2, and the largest float32 is (2 - 2**-23) * 2**127.

        source                              times 2
        2**126                              2**127 : finite
        0x1.fffffep+126 (largest / 2)       the largest float32 : finite
        2**127                              2**128 : rounds to infinity, invalid

    All target depths are invalid, so all is pasted; the joined validity is false throughout,
    and the third gets depth 0, not infinity.
    """
    return Golden(
        target=Sample(
            image="10 10 10", rows={}, slots=1, depth="(1) (1) (1)", camera=FOCAL_1000, metric=True
        ),
        source=Sample(
            image="1 2 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###")},
            slots=1,
            depth="0x1p+126 0x1.fffffep+126 0x1p+127",
            camera=FOCAL_500,
            metric=True,
        ),
        expected=Sample(
            image="1 2 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###")},
            slots=1,
            depth="(0x1p+127) (0x1.fffffep+127) (0)",
            camera=FOCAL_1000,
            metric=True,
        ),
        union="###",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def only_valid_taps_are_averaged() -> Golden:
    """4.3: D and W run over the valid taps of non-zero weight; V_src is the nearest tap's.

    Scale 2, step 32768. Column x has v = (2x + 1) * 32768 - 65536 = (2x - 1) * 32768:

        x   v        taps          w1 = (v mod 2**17) >> 9   weights     nearest
        0   -32768   -1, 0 -> 0,0  98304 >> 9 = 192          64, 192     0
        1    32768    0, 1         32768 >> 9 =  64          192, 64     0
        2    98304    0, 1         192                       64, 192     1
        3   163840    1, 2          64                       192, 64     1

    In y there is one line, both taps are clamped to it, with 64 + 192 = 256. Source depth is
    8, (nan), 16, ...: tap 1 is invalid.

        x = 0: (64 * 8 + 192 * 8) / 256 = 8
        x = 1: tap 1 is left out: 192 * 8 / 192 = 8, nearest 0 is valid: V_src
        x = 2: tap 1 is left out: 64 * 8 / 64 = 8, but nearest 1 is invalid: no V_src
        x = 3: nearest 1 is invalid: no V_src

    Target depth is 9, 9, 9 and in column 3 invalid: columns 0 and 1 are nearer, 2 is shut by
    V_src, 3 is open and gets depth 0.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, depth="9 9 9 (9)"),
        source=Sample(
            image="7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            depth="8 (nan) 16 16",
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="7 7 10 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="##.#")},
            slots=1,
            depth="8 8 9 (0)",
        ),
        union="##.#",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def a_mean_over_three_taps_is_a_division_by_three() -> Golden:
    """4.3: W is the weights' sum, here no power of two; one rounding to float32 at the end.

    Step 131072 halves the size: pixel (0, 0) has v = 131072 - 65536 = 65536 in x and y, taps 0
    and 1 with w1 = 65536 >> 9 = 128, so all four weights are 128 * 128 = 16384; nearest is
    131072 >> 17 = 1, that is (1, 1). Output column 1: taps 2 and 3; output row 1 has n = 3,
    which is not inside, as is column 2.

    Left block: 1 and invalid above 1 and 2: D = (1 * 16384 + 0) + (1 * 16384 + 2 * 16384),
    W = 3 * 16384, D / W = 4 / 3 = 1.0101 0101 ... in binary. Bits after the point of a
    float32: 23. In hexadecimal 4/3 = 1.55555|5...; five digits are 20 bits, the next digit 5 =
    0101 gives 3 bits 010 and the rest begins with 1 and is more than a half: up to 011. So
    1.55555 and 0110 = 0x1.555556p+0.

    Right block: 1 and 1 above invalid and 3: D / W = 5 / 3 = 1.AAAAA|A...: 1010 gives 101 and
    the rest 0 1010... is less than a half: down. 0x1.aaaaaap+0.
    """
    return Golden(
        target=Sample(image="10 10 10 10 / 10 10 10 10", rows={}, slots=1, depth="9 9 9 9 / 9 9 9 9"),
        source=Sample(
            image="7 7 7 7 / 7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 2), mask="#### ####")},
            slots=1,
            depth="1 (nan) 1 1 / 1 2 (inf) 3",
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="7 7 10 10 / 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.. ....")},
            slots=1,
            depth="0x1.555556p+0 0x1.aaaaaap+0 9 9 / 9 9 9 9",
        ),
        union="##.. ....",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def one_rounding_after_the_factor_not_two() -> Golden:
    """4.3: d = D / W stays float64 until it has been multiplied by the factor of 4.7.

    Half the size (step 131072), focal 300 over 200: factor (300 / 200) * 131072 / 65536 = 3,
    no power of two. Each output pixel is the mean of a block of 2 x 2, as in the case before.

    Left block: 1 in the upper line, 1 + 2**-23 in the lower one. d = 1 + 2**-24, times 3 is
    3 + 3 * 2**-24. Between 2 and 4 float32 are 2**-22 = 4 * 2**-24 apart, so this lies three
    quarters of the way up: 3 + 2**-22 = 0x1.800002p+1.
    Rounded first, d would be 1 (a tie, to even), and 3 * 1 = 3: another answer.

    Right block: 1 + 2**-23 and 1 + 2 * 2**-23 lie about the tie 1 + 3 * 2**-24; times 3 is
    3 + 9 * 2**-24 = 3 + 2.25 * 2**-22, down to 3 + 2 * 2**-22 = 0x1.800004p+1.
    Rounded first, d would be 1 + 4 * 2**-24 (to even), times 3 is 3 + 12 * 2**-24 = 3 + 3 *
    2**-22: another answer, too high this time.
    """
    camera = (300.0, 300.0, 2.0, 1.0)
    return Golden(
        target=Sample(
            image="10 10 10 10 / 10 10 10 10",
            rows={},
            slots=1,
            depth="9 9 9 9 / 9 9 9 9",
            camera=camera,
            metric=True,
        ),
        source=Sample(
            image="7 7 7 7 / 7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 2), mask="#### ####")},
            slots=1,
            depth="""
                1              1              0x1.000002p+0  0x1.000002p+0
                0x1.000002p+0  0x1.000002p+0  0x1.000004p+0  0x1.000004p+0
            """,
            camera=(200.0, 200.0, 2.0, 1.0),
            metric=True,
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="7 7 10 10 / 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.. ....")},
            slots=1,
            depth="0x1.800002p+1 0x1.800004p+1 9 9 / 9 9 9 9",
            camera=camera,
            metric=True,
        ),
        union="##.. ....",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def the_taps_are_added_in_the_given_order() -> Golden:
    """4.3: D = (p00 w00 + p01 w01) + (p10 w10 + p11 w11), and no other order.

    Half the size, all weights 16384, a power of two, so it may be left out of the sums below;
    dividing by W = 4 * 16384 then divides by 4. The block is

        2**24     1
        2**-29    2**-29

    A float64 near 2**24 is a multiple of 2**-28 (52 bits after the point).
    Right: (2**24 + 1) + (2**-29 + 2**-29) = 2**24 + 1 + 2**-28, a float64. Float32 near 2**24
    are 2 apart, 2**24 + 1 would be a tie, and this is above it: up to 2**24 + 2.
    One after the other: 2**24 + 1 + 2**-29 is a tie between two float64 and goes back to the
    even 2**24 + 1, and so again: the tie of float32 remains, down to 2**24.
    By columns: 2**24 + 2**-29 is 2**24, 1 + 2**-29 is kept, the sum is a tie again: 2**24.

    Divided by 4: 2**22 + 0.5 = 0x1.000002p+22.
    """
    return Golden(
        target=Sample(image="10 10 / 10 10", rows={}, slots=1, depth="0x1p+23 9 / 9 9"),
        source=Sample(
            image="7 7 / 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 2), mask="## ##")},
            slots=1,
            depth="0x1p+24 1 / 0x1p-29 0x1p-29",
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="7 10 / 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#. ..")},
            slots=1,
            depth="0x1.000002p+22 9 / 9 9",
        ),
        union="#. ..",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def the_z_test_compares_what_would_be_written() -> Golden:
    """4.4: ``d_src < d_tgt`` of float32 values, as written, not of the float64 before them.

    Focal 500 over 1500 is the float64 just below 1/3: 0x1.5555555555555p-2. Depth 1 times that
    lies between the float32 0x1.555554p-2 and 0x1.555556p-2, of whose last digits 4 and 6 it has
    5.55...: nearer to 6. So 0x1.555556p-2 would be written.

    Left: the target has just that. Equal is not nearer, and nothing is pasted, though the float64
    is smaller. Right: the target has the next float32, 0x1.555558p-2, which is farther: pasted.
    """
    focal_1500 = (1500.0, 1500.0, 1.0, 1.0)
    return Golden(
        target=Sample(
            image="10 10",
            rows={},
            slots=1,
            depth="0x1.555556p-2 0x1.555558p-2",
            camera=FOCAL_500,
            metric=True,
        ),
        source=Sample(
            image="7 8",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##")},
            slots=1,
            depth="1 1",
            camera=focal_1500,
            metric=True,
        ),
        plan=Plan(),
        expected=Sample(
            image="10 8",
            rows={0: Row(label=1, id=0, box=(1, 0, 2, 1), mask=".#")},
            slots=1,
            depth="0x1.555556p-2 0x1.555556p-2",
            camera=FOCAL_500,
            metric=True,
        ),
        union=".#",
        otherwise={"plan": Plan(count=0)},
    )

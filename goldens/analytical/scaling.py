"""Where an output pixel looks in the source, and what it reads: clauses 4.2 and 4.3.

For output column x: u = (2(x - tx) + 1) * step in units of 2**-17 pixel; the nearest column is
n = u >> 17 (inside iff 0 <= n < Wv); v = u - 65536, taps v >> 17 and the next, weight of the
second w1 = (v mod 2**17) >> 9, of the first 256 - w1. Rows alike. ``>>`` rounds downwards.

With step 32768 (twice the size) v = (2x - 1) * 32768, so that

    x    n    taps      weights        x    n    taps      weights
    0    0    -1, 0     64, 192        1    0    0, 1      192, 64
    2    1     0, 1     64, 192        3    1    1, 2      192, 64
    4    2     1, 2     64, 192        5    2    2, 3      192, 64
    6    3     2, 3     64, 192        7    3    3, 4      192, 64

and taps outside are clamped to the border, their weights being what they are. In a canvas of
one line both taps in y are that line, with weights that sum to 256.

With step 131072 (half the size) v = 2x * 2**17 + 65536: taps 2x and 2x + 1 with 128 each, and
n = 2x + 1.
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import Plan, Row, Sample

EMPTY_8 = Sample(image="10 10 10 10 10 10 10 10", rows={}, slots=1)


@golden
def a_translation_moves_down_and_right() -> Golden:
    """4.2: step 65536: u >> 17 = ((2(x - tx) + 1) * 2**16) >> 17 = x - tx. translate is (ty, tx).

    ty = 1, tx = -1: output (y, x) shows source (y - 1, x + 1). The object's pixels (0, 1),
    (0, 2), (1, 1) come to (1, 0), (1, 1), (2, 0). v = (x - tx) * 2**17, so w1 = 0: no blend.
    """
    return Golden(
        target=Sample(image="10 10 10 / 10 10 10 / 10 10 10", rows={}, slots=1),
        source=Sample(
            image="11 12 13 / 21 22 23 / 31 32 33",
            rows={0: Row(label=1, id=0, box=(1, 0, 3, 2), mask=".## .#. ...")},
            slots=1,
        ),
        plan=Plan(translate=(1, -1)),
        expected=Sample(
            image="10 10 10 / 12 13 10 / 22 10 10",
            rows={0: Row(label=1, id=0, box=(0, 1, 2, 3), mask="... ##. #..")},
            slots=1,
        ),
        union="... ##. #..",
        otherwise={"plan": Plan(translate=(-1, 1))},
    )


@golden
def twice_the_size() -> Golden:
    """4.2, 4.3: masks take the nearest tap, a uint8 image (sum of w*p + 32768) >> 16.

    Weights in y sum to 256, so this is round-half-up of (w0 * p + w1 * q) / 256.

        x   nearest   (.., ..)/4            exact    image
        0   0         (1*0  + 3*0) / 4      0        0
        1   0         (3*0  + 1*2) / 4      0.5      1     half goes up (to even it would be 0)
        2   1         (1*0  + 3*2) / 4      1.5      2
        3   1         (3*2  + 1*4) / 4      2.5      3     half goes up (to even it would be 2)
        4   2         (1*2  + 3*4) / 4      3.5      4
        5   2         (3*4  + 1*5) / 4      4.25     4
        6   3         (1*4  + 3*5) / 4      4.75     5
        7   3         (3*5  + 1*9) / 4      6        6

    The mask has source columns 0, 1 and 3, so output columns 0 to 3, 6 and 7.
    """
    return Golden(
        target=EMPTY_8,
        source=Sample(
            image="0 2 4 5 9 9 9 9",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="##.#....")},
            slots=1,
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="0 1 2 3 10 10 5 6",
            rows={0: Row(label=1, id=0, box=(0, 0, 8, 1), mask="####..##")},
            slots=1,
        ),
        union="####..##",
        otherwise={"plan": Plan(step=65536)},
    )


@golden
def twice_the_size_in_both_directions() -> Golden:
    """4.2: a tap's weight is wy * wx; rows and columns do not mix up.

    Output (1, 1) blends source rows 0 and 1 by 192, 64 and columns 0 and 1 by 192, 64: in
    16ths 9, 3, 3, 1. Output (1, 2) has columns 0 and 1 by 64, 192: 3, 9, 1, 3. Output (2, 1)
    has rows by 64, 192: 3, 1, 9, 3. Output (2, 2): 1, 3, 3, 9. The source is 16 and 0 in its
    upper line, 32 and 160 in its lower one:

        (1, 1): (9*16 + 3*0 + 3*32 + 1*160) / 16 = 400 / 16 = 25
        (1, 2): (3*16 + 9*0 + 1*32 + 3*160) / 16 = 560 / 16 = 35
        (2, 1): (3*16 + 1*0 + 9*32 + 3*160) / 16 = 816 / 16 = 51
        (2, 2): (1*16 + 3*0 + 3*32 + 9*160) / 16 = 1552 / 16 = 97

    On the border of the canvas taps coincide. Row 0 has both taps in source row 0: (0, 1) is
    (3*16 + 0) / 4 = 12, (0, 2) is (16 + 0) / 4 = 4. Column 0 has both in column 0: (1, 0) is
    (3*16 + 32) / 4 = 20, (2, 0) is (16 + 3*32) / 4 = 28. (0, 0) is 16.
    The object covers the first two lines and columns of the source, so all but output column
    and row 4 and beyond; the canvas of 3 x 3 shows output 0 to 2. Source row and column 2 are
    taps of output 3 and beyond only, and not read.
    """
    return Golden(
        target=Sample(image="10 10 10 / 10 10 10 / 10 10 10", rows={}, slots=1),
        source=Sample(
            image="16 0 255 / 32 160 255 / 255 255 255",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 2), mask="##. ##. ...")},
            slots=1,
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="16 12 4 / 20 25 35 / 28 51 97",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 3), mask="### ### ###")},
            slots=1,
        ),
        union="### ### ###",
        otherwise={"plan": Plan(step=65536)},
    )


@golden
def half_the_size() -> Golden:
    """4.2, 4.3: four pixels make one, and masks look at the lower right of the four.

    Output (0, x) averages source columns 2x, 2x + 1 of rows 0, 1, with 128 * 128 = 16384 each:
    (sum * 16384 + 32768) >> 16 = (sum + 2) >> 2, half going up.

        x   block            sum    sum / 4    image
        0   0 1 / 0 1        2      0.5        1      (to even it would be 0)
        1   0 0 / 1 0        1      0.25       0      but the mask is not set at (1, 3)
        2   1 1 / 1 0        3      0.75       1
        3   2 2 / 3 3        10     2.5        3      (to even it would be 2)

    Nearest is (1, 2x + 1): of the mask's lower line the columns 1, 3, 5, 7 count.

        mask   # # # # . . . .
               . # # . . # . #     columns 1, 3, 5, 7: set, not, set, set

    Output columns 4 and beyond have n >= 9, output row 1 has n = 3: outside.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 10 10 10 / 10 10 10 10 10 10 10 10",
            rows={},
            slots=1,
        ),
        source=Sample(
            image="0 1 0 0 1 1 2 2 / 0 1 1 0 1 0 3 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 8, 2), mask="####.... .##..#.#")},
            slots=1,
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="1 10 1 3 10 10 10 10 / 10 10 10 10 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="#.##.... ........")},
            slots=1,
        ),
        union="#.##.... ........",
        otherwise={"plan": Plan(step=65536)},
    )


@golden
def half_a_step_on_one_side_of_a_border() -> Golden:
    """4.2: step 43691, scale 1.5 rounded: column 1 has u = 3 * 43691 = 131073, just past 2**17.

        x   u                   n   v        taps        w1                       w0
        0    43691              0   -21845   -1, 0       109227 >> 9 = 213        43
        1   131073              1    65537    0, 1        65537 >> 9 = 128        128
        2   218455              1   152919    1, 2        21847 >> 9 = 42         214
        3   305837              2   240301    1, 2       109229 >> 9 = 213        43

    (21847 / 512 = 42.67: the weight is cut off, not rounded.) Source 0, 100, 200:

        x = 1: (128*0 + 128*100) / 256 = 50
        x = 2: (214*100 + 42*200) / 256 = 29800 / 256 = 116.4, so 116 (with 43: 116.8, 117)
        x = 3: (43*100 + 213*200) / 256 = 46900 / 256 = 183.2, so 183

    The mask is set in source column 1 only: n = 1 in output columns 1 and 2.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1),
        source=Sample(
            image="0 100 200 200",
            rows={0: Row(label=1, id=0, box=(1, 0, 2, 1), mask=".#..")},
            slots=1,
        ),
        plan=Plan(step=43691),
        expected=Sample(
            image="10 50 116 10",
            rows={0: Row(label=1, id=0, box=(1, 0, 3, 1), mask=".##.")},
            slots=1,
        ),
        union=".##.",
        otherwise={"plan": Plan(step=43690)},
    )


@golden
def half_a_step_on_the_other_side() -> Golden:
    """4.2: step 43690: column 1 has u = 131070, just before 2**17, so n = 0.

        x   u                   n   v        taps        w1                       w0
        0    43690              0   -21846   -1, 0       109226 >> 9 = 213        43
        1   131070              0    65534    0, 1        65534 >> 9 = 127        129
        2   218450              1   152914    1, 2        21842 >> 9 = 42         214
        3   305830              2   240294    1, 2       109222 >> 9 = 213        43

    The mask, source column 1, is at output column 2 alone; and columns 0 and 1 for the other
    object, source column 0: x = 0 is 0, x = 1 is (129*0 + 127*100) / 256 = 12700 / 256 = 49.6,
    so 50; x = 2 is 116 as before. Source columns 0 and 1 are one object each; they get slots
    and ids 0 and 1.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=2),
        source=Sample(
            image="0 100 200 200",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#..."),
                1: Row(label=1, id=1, box=(1, 0, 2, 1), mask=".#.."),
            },
            slots=2,
        ),
        plan=Plan(step=43690),
        expected=Sample(
            image="0 50 116 10",
            rows={
                0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.."),
                1: Row(label=1, id=1, box=(2, 0, 3, 1), mask="..#."),
            },
            slots=2,
        ),
        union="###.",
        otherwise={"plan": Plan(step=43691)},
    )


@golden
def left_of_the_source_is_outside_not_column_zero() -> Golden:
    """4.2: n is a floor, so what lies less than a pixel before the source is outside.

    Twice the size, tx = 2: output column 1 has u = (2 * (1 - 2) + 1) * 32768 = -32768 and
    n = -1 (cut off towards zero it would be 0). Column 0: u = -98304, n = -1. Column 2 and 3:
    n = 0, columns 4 and 5: n = 1, 6 and 7: n = 2. The object is source column 0.

    Column 2 is like x = 0 of the table: both taps 0: 40. Column 3 like x = 1:
    (3*40 + 80) / 4 = 50.
    """
    return Golden(
        target=EMPTY_8,
        source=Sample(
            image="40 80 80 80 80 80 80 80",
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.......")},
            slots=1,
        ),
        plan=Plan(step=32768, translate=(0, 2)),
        expected=Sample(
            image="10 10 40 50 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(2, 0, 4, 1), mask="..##....")},
            slots=1,
        ),
        union="..##....",
        otherwise={"plan": Plan(step=32768, translate=(0, 1))},
    )


@golden
def a_flip_mirrors_the_valid_rectangle() -> Golden:
    """4.2: the flip mirrors every index last, i -> Wv - 1 - i; Wv = 3 in a canvas of 5.

    The source is padded from column 3 on. Output column x shows n = x - 1, mirrored 2 - n:

        x     0    1   2   3   4
        n    -1    0   1   2   3
        shows out  2   1   0   out

    The object is source columns 0 and 1, so output columns 3 and 2. (Mirrored in the canvas,
    column 0 would be at x = 5 and column 1 at x = 4.)
    """
    return Golden(
        target=Sample(image="10 10 10 10 10", rows={}, slots=1, padding="....."),
        source=Sample(
            image="1 2 3 99 99",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##...")},
            slots=1,
            padding="...##",
        ),
        plan=Plan(hflip=True, translate=(0, 1)),
        expected=Sample(
            image="10 10 2 1 10",
            rows={0: Row(label=1, id=0, box=(2, 0, 4, 1), mask="..##.")},
            slots=1,
            padding=".....",
        ),
        union="..##.",
        otherwise={"plan": Plan(hflip=False, translate=(0, 1))},
    )


@golden
def taps_stop_at_the_valid_rectangle() -> Golden:
    """4.2: tap indices are clamped to Wv - 1, so padding never bleeds into the image.

    Twice the size; Wv = 4, behind it 200. Output column 7 has taps 3 and 4 with 192 and 64;
    tap 4 becomes 3, the value is 40. Column 6 has taps 2 and 3: (1*40 + 3*40) / 4 = 40.

    The same in y: the canvas has 2 lines, Hv = 1, and output rows 0 and 1 both have n = 0; row 1
    has taps 0 and 1, and 1 becomes 0.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 10 10 10 / 10 10 10 10 10 10 10 10",
            rows={},
            slots=1,
            padding="........ ........",
        ),
        source=Sample(
            image="0 0 40 40 200 200 200 200 / 200 200 200 200 200 200 200 200",
            rows={0: Row(label=1, id=0, box=(3, 0, 4, 1), mask="...#.... ........")},
            slots=1,
            padding="....#### ########",
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image="10 10 10 10 10 10 40 40 / 10 10 10 10 10 10 40 40",
            rows={0: Row(label=1, id=0, box=(6, 0, 8, 2), mask="......## ......##")},
            slots=1,
            padding="........ ........",
        ),
        union="......## ......##",
        otherwise={"plan": Plan(step=65536)},
    )


@golden
def a_flip_at_twice_the_size() -> Golden:
    """4.2: weights first, then the flip of the tap indices; Wv = 4.

    Output column 1 has taps 0, 1 with 192, 64; mirrored they are source columns 3 and 2:
    (3*40 + 1*20) / 4 = 35. Column 2: taps 0, 1 with 64, 192, that is (40 + 3*20) / 4 = 25.
    Column 0: both taps 0, mirrored 3: 40. Nearest: columns 0, 1 show source 3; 2, 3 show 2.
    Column 3: taps 1, 2 with 192, 64 are source 2, 1: (3*20 + 0) / 4 = 15.
    The object is source columns 2 and 3.
    """
    return Golden(
        target=EMPTY_8.but(padding="........"),
        source=Sample(
            image="0 0 20 40 200 200 200 200",
            rows={0: Row(label=1, id=0, box=(2, 0, 4, 1), mask="..##....")},
            slots=1,
            padding="....####",
        ),
        plan=Plan(step=32768, hflip=True),
        expected=Sample(
            image="40 35 25 15 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####....")},
            slots=1,
            padding="........",
        ),
        union="####....",
        otherwise={"plan": Plan(step=32768)},
    )


@golden
def float_images_are_rounded_once() -> Golden:
    """4.3: float32 images are summed in float64 and rounded once, ties to even.

    Half the size, (p00 + p01 + p10 + p11) / 4 without a rounding before the last.

    Left block: 1, 1 above 1 + 2**-23 twice: mean 1 + 2**-24, a tie between 1 (even) and
    1 + 2**-23: 1. Right block: 1 + 2**-23 and 1 + 2**-22: mean 1 + 3 * 2**-24, a tie between
    1 + 2**-23 (odd) and 1 + 2 * 2**-23 (even): 1 + 2**-22 = 0x1.000004p+0.
    """
    return Golden(
        target=Sample(image="0.5 0.5 0.5 0.5 / 0.5 0.5 0.5 0.5", floats=True, rows={}, slots=1),
        source=Sample(
            image="""
                1              1              0x1.000002p+0  0x1.000004p+0
                0x1.000002p+0  0x1.000002p+0  0x1.000004p+0  0x1.000002p+0
            """,
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 2), mask="#### ####")},
            slots=1,
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="1 0x1.000004p+0 0.5 0.5 / 0.5 0.5 0.5 0.5",
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.. ....")},
            slots=1,
        ),
        union="##.. ....",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def float_taps_are_added_line_by_line() -> Golden:
    """4.3: (p00 w00 + p01 w01) + (p10 w10 + p11 w11), shown by a cancellation.

    Half the size, four weights of 16384; the block is 2**60, -2**60 above 1, 2.
    (2**60 - 2**60) + (1 + 2) = 3, times 16384 / 65536 is 0.75.
    By columns: 2**60 + 1 is 2**60 in float64 (near it they are 256 apart), -2**60 + 2 is
    -2**60, and the sum would be 0.
    """
    return Golden(
        target=Sample(image="0.5 0.5 / 0.5 0.5", floats=True, rows={}, slots=1),
        source=Sample(
            image="0x1p+60 -0x1p+60 / 1 2",
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 2), mask="## ##")},
            slots=1,
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="0.75 0.5 / 0.5 0.5",
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#. ..")},
            slots=1,
        ),
        union="#. ..",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def a_tap_of_full_weight_is_copied_bit_for_bit() -> Golden:
    """4.2: a tap of weight 65536 is the value, down to the sign of zero and the least float32.

    Nothing moves, so every pixel has one tap of weight 65536. -0 stays -0, though -0 plus the
    three terms +0.0 of the unread taps would be +0. 2**-149 is the least positive float32.
    """
    return Golden(
        target=Sample(image="0.5 0.5 0.5 0.5", floats=True, rows={}, slots=1),
        source=Sample(
            image="-0 0x1p-149 0x1.fffffep+127 -0x1.000002p-3",
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
        ),
        expected=Sample(
            image="-0 0x1p-149 0x1.fffffep+127 -0x1.000002p-3",
            floats=True,
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
        ),
        union="####",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def every_channel_is_warped_alike() -> Golden:
    """4.3: three channels, twice the size, output column 1 is (3 p0 + p1) / 4 in each of them.

    0, 4 -> 1; 8, 0 -> 6; 255, 255 -> 255. Column 0 has p0 alone.
    """
    return Golden(
        target=Sample(image=("10 10", "20 20", "30 30"), rows={}, slots=1),
        source=Sample(
            image=("0 4", "8 0", "255 255"),
            rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#.")},
            slots=1,
        ),
        plan=Plan(step=32768),
        expected=Sample(
            image=("0 1", "8 6", "255 255"),
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##")},
            slots=1,
        ),
        union="##",
        otherwise={"plan": Plan()},
    )

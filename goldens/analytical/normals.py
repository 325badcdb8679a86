"""Surface normals: blended, made unit again, mirrored; clause 4.3.

S is the weighted sum of the taps, weights summing to 65536; q = rint(S * 512), integers;
n = q / |q| in float64, rounded once. So a tap (1, 0, 0) of full weight has q = (2**25, 0, 0).
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import Plan, Row, Sample


@golden
def zero_components_are_plus_zero() -> Golden:
    """4.3: nothing moves. A component -0 gives q = +0 and n = +0 / |q| = +0.

    (-0, 0, -1): q = (+0, +0, -2**25), |q| = 2**25, n = (+0, +0, -1). (-1, -0, -0) alike. The
    zero vector means "no normal": q is zero, the nearest tap's q is zero, the result is zero.
    """
    return Golden(
        target=Sample(image="10 10 10", rows={}, slots=1, normals="0,1,0 0,1,0 0,1,0"),
        source=Sample(
            image="1 2 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###")},
            slots=1,
            normals="-0,0,-1 -1,-0,-0 -0,-0,-0",
        ),
        expected=Sample(
            image="1 2 3",
            rows={0: Row(label=1, id=0, box=(0, 0, 3, 1), mask="###")},
            slots=1,
            normals="0,0,-1 -1,0,0 0,0,0",
        ),
        union="###",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def a_flip_negates_x_and_leaves_zero_positive() -> Golden:
    """4.3: mirrored, n_x becomes 0 - n_x, last; 0 - 0 is +0, not -0.

    Wv = 4, nothing scaled: output column x shows source 3 - x.

        output   0         1          2         3
        source   3         2          1         0
        before   zero      (0, -1, 0) (0, 0, -1) (1, 0, 0)
        after    zero      (0, -1, 0) (0, 0, -1) (-1, 0, 0)
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, normals="0,1,0 0,1,0 0,1,0 0,1,0"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            normals="1,0,0 0,0,-1 0,-1,0 .",
        ),
        plan=Plan(hflip=True),
        expected=Sample(
            image="4 3 2 1",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            normals=". 0,-1,0 0,0,-1 -1,0,0",
        ),
        union="####",
        otherwise={"plan": Plan()},
    )


# In a canvas of 2 x 2 at twice the size, output (1, 1) blends all four pixels by 9, 3, 3, 1
# sixteenths, and the other three outputs blend pixels of the first row or column only.
THREE_FOUR_FIVE = Sample(
    image="7 7 / 7 7",
    rows={0: Row(label=1, id=0, box=(0, 0, 1, 1), mask="#. ..")},
    slots=1,
    normals=". 1,0,0 / 0,0,-1 0,0,-1",
)
UP = Sample(image="10 10 / 10 10", rows={}, slots=1, normals="0,1,0 0,1,0 / 0,1,0 0,1,0")


@golden
def a_blend_is_made_unit_again() -> Golden:
    """4.3: S is a sum over normals, "no normal" adding nothing, and n = q / |q|.

    Twice the size (see the table in ``scaling``); the object is source pixel (0, 0), so all of
    the output. Taps: none, (1, 0, 0) / (0, 0, -1), (0, 0, -1).

        (0, 0): all four taps are (0, 0), no normal: q is zero, the nearest too: none.
        (0, 1): columns 0, 1 by 192, 64, row 0 alone: S = 256 * 64 * (1, 0, 0), so (1, 0, 0).
        (1, 0): rows 0, 1 by 192, 64, column 0 alone: (0, 0, -1).
        (1, 1): in 16ths 9 * none + 3 (1, 0, 0) + 3 (0, 0, -1) + 1 (0, 0, -1) = (3, 0, -4);
                S = 4096 * (3, 0, -4), q = 2**21 * (3, 0, -4), |q| = 2**21 * 5 exactly:
                n = (3/5, 0, -4/5), to float32.

    3/5 = 0x1.33333|3..p-1: five digits, then 3 = 0011 gives 001 and more than a half: 010, so
    0x1.333334p-1. 4/5 = 0x1.99999|9..p-1: 9 = 1001 gives 100 and more than a half: 101, so
    0x1.99999ap-1.
    """
    return Golden(
        target=UP,
        source=THREE_FOUR_FIVE,
        plan=Plan(step=32768),
        expected=Sample(
            image="7 7 / 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 2), mask="## ##")},
            slots=1,
            normals=". 1,0,0 / 0,0,-1 0x1.333334p-1,0,-0x1.99999ap-1",
        ),
        union="## ##",
        otherwise={"plan": Plan(step=32768, hflip=True)},
    )


@golden
def a_blend_is_mirrored_after_it_was_rounded() -> Golden:
    """4.3: the case before, of the mirrored source and with the flip: the same, but n_x negated.

    Source columns swapped: (1, 0, 0), none / (0, 0, -1), (0, 0, -1). The flip swaps them back,
    so every output pixel reads the values of the case before; its n_x is then 0 - n_x. Where
    n_x is 0 it stays +0.
    """
    return Golden(
        target=UP,
        source=Sample(
            image="7 7 / 7 7",
            rows={0: Row(label=1, id=0, box=(1, 0, 2, 1), mask=".# ..")},
            slots=1,
            normals="1,0,0 . / 0,0,-1 0,0,-1",
        ),
        plan=Plan(step=32768, hflip=True),
        expected=Sample(
            image="7 7 / 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 2), mask="## ##")},
            slots=1,
            normals=". -1,0,0 / 0,0,-1 -0x1.333334p-1,0,-0x1.99999ap-1",
        ),
        union="## ##",
        otherwise={"plan": Plan(step=32768)},
    )


@golden
def where_the_blend_vanishes_the_nearest_decides() -> Golden:
    """4.3: where q is zero the nearest tap's vector alone, and where that is zero, zero.

    Half the size: the mean of a block of 2 x 2, nearest is its lower right pixel.

        left block   (1, 0, 0) (0, 1, 0) / (-1, 0, 0) (0, -1, 0)
                     sum zero, nearest (0, -1, 0): that
        right block  (1, 0, 0) (-1, 0, 0) / none none
                     sum zero, nearest none: none
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 / 10 10 10 10",
            rows={},
            slots=1,
            normals="0,0,-1 0,0,-1 0,0,-1 0,0,-1 / 0,0,-1 0,0,-1 0,0,-1 0,0,-1",
        ),
        source=Sample(
            image="7 7 7 7 / 7 7 7 7",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 2), mask="#### ####")},
            slots=1,
            normals="1,0,0 0,1,0 1,0,0 -1,0,0 / -1,0,0 0,-1,0 . .",
        ),
        plan=Plan(step=131072),
        expected=Sample(
            image="7 7 10 10 / 10 10 10 10",
            rows={0: Row(label=1, id=0, box=(0, 0, 2, 1), mask="##.. ....")},
            slots=1,
            normals="0,-1,0 . 0,0,-1 0,0,-1 / 0,0,-1 0,0,-1 0,0,-1 0,0,-1",
        ),
        union="##.. ....",
        otherwise={"plan": Plan(count=0)},
    )


@golden
def components_are_rounded_to_integers_half_to_even() -> Golden:
    """4.3: q = rint(S * 512) = rint(p * 2**25) at full weight, n_z = -1 beside it.

        p_x           p_x * 2**25   q_x          n_x
        1 * 2**-26    0.5           0            0
        3 * 2**-26    1.5           2            2**-24
        5 * 2**-26    2.5           2            2**-24
        2 * 2**-26    1             1            2**-25

    q_z = -2**25. For q_x = 2: |q| = sqrt(2**50 + 4), which is 2**25 + 2**-24 less some 2**-74;
    float64 near 2**25 are 2**-27 apart, so it is 2**25 + 2**-24. n_x = 2 / |q| = 2**-24 times
    (1 - 2**-49 ...), n_z = -(1 - 2**-49 ...): to float32 2**-24 and -1. For q_x = 1: the square
    is 2**50 + 1, the root 2**25 + 2**-26, n_x = 2**-25, n_z = -1. Hexadecimal: 3 * 2**-26 =
    0x1.8p-25, 5 * 2**-26 = 0x1.4p-24.
    """
    return Golden(
        target=Sample(image="10 10 10 10", rows={}, slots=1, normals="0,1,0 0,1,0 0,1,0 0,1,0"),
        source=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            normals="0x1p-26,0,-1 0x1.8p-25,0,-1 0x1.4p-24,0,-1 0x1p-25,0,-1",
        ),
        expected=Sample(
            image="1 2 3 4",
            rows={0: Row(label=1, id=0, box=(0, 0, 4, 1), mask="####")},
            slots=1,
            normals="0,0,-1 0x1p-24,0,-1 0x1p-24,0,-1 0x1p-25,0,-1",
        ),
        union="####",
        otherwise={"plan": Plan(count=0)},
    )

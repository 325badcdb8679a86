"""The class mix of batches with semantic maps alone: clause 4.11.

Class c of the source takes part iff the lowest bit of word 0 of Philox 4x32-10 under the plan's
mix key, with the counter (c, 0, 0, 0), is set. The words used here, of which the first is in the
known answers published with the generator (Random123: key and counter 0):

    key       class 0    class 1    class 2    class 3    class 4
    0         6627e8d5   f8e4cca4   04faa329   c990ef29   ef3dc354
              in         out        in         in         out
    2**32     fdde3e0b   ccf3076a   9f3b3c64   fc669d65   ec49f9ef
              in         out        out        in         in
    -1        72a47709   19fed511   17625282   8e8fd014   99f01fee
              in         in         out        out        out

A 64-bit key has its lower half first: 2**32 is the words 0, 1, and -1 is ffffffff twice.
"""

from __future__ import annotations

from segpaste.goldens.analytical.cases import Golden, golden
from segpaste.goldens.analytical.notation import CLASSES, Plan, Sample
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig

WORDS: dict[int, tuple[int, ...]] = {
    0: (0x6627E8D5, 0xF8E4CCA4, 0x04FAA329, 0xC990EF29, 0xEF3DC354),
    2**32: (0xFDDE3E0B, 0xCCF3076A, 0x9F3B3C64, 0xFC669D65, 0xEC49F9EF),
    -1: (0x72A47709, 0x19FED511, 0x17625282, 0x8E8FD014, 0x99F01FEE),
}
"""Word 0 for classes 0 to 4 under each mix key: the table above, for a test of it."""

TARGET = Sample(image="10 10 10 10 10 10", semantic="4 4 4 4 4 4")
SOURCE = Sample(image="1 2 3 4 5 6", semantic="0 1 2 3 4 255")


@golden
def the_key_decides_the_classes() -> Golden:
    """4.11: key 0 takes classes 0, 2 and 3; *ignore* is never pasted (4.4). No rows, no ids."""
    return Golden(
        target=TARGET,
        source=SOURCE,
        plan=Plan(mix_key=0),
        expected=Sample(image="1 10 3 4 10 10", semantic="0 4 2 3 4 4"),
        union="#.##..",
        otherwise={"plan": Plan(mix_key=2**32)},
    )


@golden
def the_upper_half_of_the_key_counts() -> Golden:
    """4.11: key 2**32 takes classes 0, 3 and 4. (Without its upper half it would be key 0.)"""
    return Golden(
        target=TARGET,
        source=SOURCE,
        plan=Plan(mix_key=2**32),
        expected=Sample(image="1 10 10 4 5 10", semantic="0 4 4 3 4 4"),
        union="#..##.",
        otherwise={"plan": Plan(mix_key=0)},
    )


@golden
def a_negative_key_is_its_64_bits() -> Golden:
    """4.11: key -1 takes classes 0 and 1."""
    return Golden(
        target=TARGET,
        source=SOURCE,
        plan=Plan(mix_key=-1),
        expected=Sample(image="1 2 10 10 10 10", semantic="0 1 4 4 4 4"),
        union="##....",
        otherwise={"plan": Plan(mix_key=0)},
    )


@golden
def the_grid_is_the_identity() -> Golden:
    """4.11: a class mix is not scaled, moved or mirrored, whatever the plan says of it.

    Key 0: classes 0, 2, 3.
    """
    return Golden(
        target=TARGET,
        source=SOURCE,
        plan=Plan(mix_key=0, step=32768, translate=(0, 2), hflip=True),
        expected=Sample(image="1 10 3 4 10 10", semantic="0 4 2 3 4 4"),
        union="#.##..",
        otherwise={"plan": Plan(mix_key=-1, step=32768, translate=(0, 2), hflip=True)},
    )


@golden
def gate_padding_and_depth_hold_for_a_mix() -> Golden:
    """4.4, 4.11: the same gate: padding of both sides, *ignore* of both sides, the z-test.

    Key 0; the source is class 0 everywhere but in column 5.

        column    0     1     2     3     4        5      6      7
        target    4     255   4     4     4        4      4      255, padding
        source    0     0     0     0     0        255    0, pad 0, padding
        d_tgt     5     5     5     5     invalid  5      5      invalid
        d_src     4     4     5     nan   nan      4      4      4
        pasted    yes   no    no    no    yes      no     no     no

    Column 2 is equal, not nearer; in column 3 V_src is false; in column 4 the target's depth is
    invalid, so the gate is open, and depth is 0 and stays invalid.
    """
    return Golden(
        target=Sample(
            image="10 10 10 10 10 10 10 10",
            semantic="4 255 4 4 4 4 4 255",
            depth="5 5 5 5 (1) 5 5 (1)",
            padding=".......#",
        ),
        source=Sample(
            image="1 2 3 4 5 6 7 8",
            semantic="0 0 0 0 0 255 0 0",
            depth="4 4 5 (nan) (nan) 4 4 4",
            padding="......##",
        ),
        plan=Plan(mix_key=0),
        expected=Sample(
            image="1 10 10 10 5 10 10 10",
            semantic="0 255 4 4 0 4 4 255",
            depth="4 5 5 5 (0) 5 5 (1)",
            padding=".......#",
        ),
        union="#...#...",
        otherwise={"config": BatchCopyPasteConfig(z_test=False)},
    )


@golden
def the_stuff_rule_holds_for_a_mix() -> Golden:
    """4.6, 4.11: tau 1/2. Key 0: of the source classes 0 and 2 take part, columns 0, 1, 2, 4.

    Target class 3: a = 4 (columns 0 to 3), r = 1: 65536 < 32768 * 4: its pixels leave U. Target
    class 0: a = 2 (columns 4, 5), r = 1: 65536 < 32768 * 2 is false: stays. U is column 4, which
    shows class 2. With a schema stuff takes part in a mix as things do, and min_pasted_area, here
    4, speaks of rows alone.
    """
    schema = PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.5)
    return Golden(
        target=Sample(image="10 10 10 10 10 10", semantic="3 3 3 3 0 0"),
        source=Sample(image="1 2 3 4 5 6", semantic="0 0 2 1 2 4"),
        plan=Plan(mix_key=0),
        config=BatchCopyPasteConfig(panoptic=schema, min_pasted_area=4),
        expected=Sample(image="10 10 10 10 5 10", semantic="3 3 3 3 2 0"),
        union="....#.",
        otherwise={
            "config": BatchCopyPasteConfig(
                panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.25)
            )
        },
    )


@golden
def stuff_of_a_mix_becomes_void_under_ignore() -> Golden:
    """4.6 (4), 4.11: as before with the policy "ignore": class 3 keeps the paste, column 3 is void."""
    schema = PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.5, stuff_policy="ignore")
    return Golden(
        target=Sample(image="10 10 10 10 10 10", semantic="3 3 3 3 0 0"),
        source=Sample(image="1 2 3 4 5 6", semantic="0 0 2 1 2 4"),
        plan=Plan(mix_key=0),
        config=BatchCopyPasteConfig(panoptic=schema),
        expected=Sample(image="1 2 3 10 5 10", semantic="0 0 2 255 2 0"),
        union="###.#.",
        otherwise={
            "config": BatchCopyPasteConfig(
                panoptic=PanopticPasteConfig(taxonomy=CLASSES, tau_stuff_frac=0.25, stuff_policy="ignore")
            )
        },
    )


@golden
def a_count_of_zero_mixes_nothing() -> Golden:
    """4.1, 4.11: count 0 is "no paste at all" (probability 1 - paste_prob), for a mix too."""
    return Golden(
        target=TARGET,
        source=SOURCE,
        plan=Plan(mix_key=0, count=0),
        expected=TARGET,
        union="......",
        otherwise={"plan": Plan(mix_key=0, count=1)},
    )

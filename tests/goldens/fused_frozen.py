"""The fused executor on frozen seeds under Triton's interpreter; ``test_frozen.py`` runs this."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from segpaste.goldens.cases import DtypeName, FrozenCase
from segpaste.goldens.check import built_in, check_executor, report
from segpaste.goldens.pictures import write_pictures
from segpaste.paste import fused
from segpaste.paste.apply import interprets_triton
from tests.goldens.frozen_gate import PICTURES, expect_every_flip_to_show

SETS: list[tuple[str, DtypeName]] = [
    ("instance", "float32"),
    ("semantic+depth", "uint8"),
    ("instance+semantic+normals", "uint8"),
    ("instance+semantic+panoptic+depth+normals", "float32"),
]

if __name__ == "__main__":
    if not interprets_triton():
        sys.exit("TRITON_INTERPRET: got nothing, expected 1")
    seeds = range(int(sys.argv[2]))
    # The interpreter's time goes by programs; two of these tiles still lie above one another.
    fused.PIXEL_TILE = fused.MASK_TILE = (32, 64)
    with np.errstate(over="ignore"):  # a depth beyond float32 becomes infinite and so invalid
        found = [m for k, d in SETS for m in check_executor("fused", kinds=[k], dtypes=[d], seeds=seeds)]
    if found:
        sys.exit(report(found, write_pictures(found, PICTURES)))
    one = FrozenCase(0, *SETS[-1])
    with np.errstate(over="ignore"):
        (outcome,) = built_in("fused")([one])
    expect_every_flip_to_show(one, outcome, "fused", Path(sys.argv[1]))
    print(f"{len(SETS) * len(seeds)} frozen cases, one bit flipped in each of {len(outcome)} fields")

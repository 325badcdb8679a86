"""The 40 classes of NYU Depth v2: 37 things and 3 stuff classes.

Source: the mapping of the 894 raw labels to 40 classes of Gupta, Arbelaez, Malik 2013 (ids 1 to
40, 0 is unlabelled). Walls, floors and ceilings are stuff, everything else is a thing, as in
Seichter et al. 2022 (EMSANet), since the labels have instances of all the others.
"""

from __future__ import annotations

NYU40_THINGS: dict[int, str] = {
    3: "cabinet",
    4: "bed",
    5: "chair",
    6: "sofa",
    7: "table",
    8: "door",
    9: "window",
    10: "bookshelf",
    11: "picture",
    12: "counter",
    13: "blinds",
    14: "desk",
    15: "shelves",
    16: "curtain",
    17: "dresser",
    18: "pillow",
    19: "mirror",
    20: "floor mat",
    21: "clothes",
    23: "books",
    24: "refrigerator",
    25: "television",
    26: "paper",
    27: "towel",
    28: "shower curtain",
    29: "box",
    30: "whiteboard",
    31: "person",
    32: "night stand",
    33: "toilet",
    34: "sink",
    35: "lamp",
    36: "bathtub",
    37: "bag",
    38: "otherstructure",
    39: "otherfurniture",
    40: "otherprop",
}
"""Class id -> name of what has instances."""

NYU40_STUFF: dict[int, str] = {
    1: "wall",
    2: "floor",
    22: "ceiling",
}
"""Class id -> name of what has none."""

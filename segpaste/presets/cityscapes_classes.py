"""The classes of Cityscapes' panoptic benchmark, by label id: 8 things and 11 stuff classes.

Source: ``helpers/labels.py`` of cityscapesScripts (Cordts et al. 2016): the labels that are not
``ignoreInEval``, things being those with ``hasInstances``. The ids are ``id``, as in
``*_labelIds.png``, not ``trainId``.
"""

from __future__ import annotations

CITYSCAPES_THINGS: dict[int, str] = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""Label id -> name of what has instances."""

CITYSCAPES_STUFF: dict[int, str] = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
}
"""Label id -> name of what has none."""

CITYSCAPES_VOID: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)
"""Label ids that the benchmark leaves out: unlabeled, ego vehicle, rectification border, out of
roi, static, dynamic, ground, parking, rail track, guard rail, bridge, tunnel, polegroup, caravan,
trailer."""

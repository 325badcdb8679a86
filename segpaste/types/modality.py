"""The modalities of a dense sample, and which combinations a paste accepts."""

from __future__ import annotations

import enum
from itertools import product


class Modality(enum.Enum):
    """One kind of data a dense sample may carry. ``IMAGE`` is always there."""

    IMAGE = "image"
    INSTANCE = "instance"
    SEMANTIC = "semantic"
    PANOPTIC = "panoptic"
    DEPTH = "depth"
    NORMALS = "normals"


_LABELS = (
    frozenset({Modality.INSTANCE}),
    frozenset({Modality.SEMANTIC}),
    frozenset({Modality.INSTANCE, Modality.SEMANTIC}),
    frozenset({Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC}),
)
_GEOMETRY = tuple(
    frozenset(pair) - {None} for pair in product((None, Modality.DEPTH), (None, Modality.NORMALS))
)

LEGAL_MODALITY_SETS: tuple[frozenset[Modality], ...] = tuple(
    frozenset({Modality.IMAGE}) | labels | frozenset(m for m in geometry if m is not None)
    for labels, geometry in product(_LABELS, _GEOMETRY)
)
"""The 16 sets that a paste works on: {instance, semantic, instance + semantic,
instance + semantic + panoptic} x {depth or not} x {normals or not}, each with the
image. The image alone, with or without boxes, is legal too and stays as it is."""


def modalities_of(
    instance: object, semantic: object, panoptic: object, depth: object, normals: object
) -> frozenset[Modality]:
    """The modalities of a sample or batch with these fields, which are ``None`` if absent."""
    return _PRESENT[
        instance is not None,
        semantic is not None,
        panoptic is not None,
        depth is not None,
        normals is not None,
    ]


# Asked several times in every paste: a table is quicker than hashing enumeration members.
_PRESENT = {
    present: frozenset({Modality.IMAGE})
    | {m for m, there in zip(list(Modality)[1:], present, strict=True) if there}
    for present in product((False, True), repeat=5)
}


def modality_set_name(modalities: frozenset[Modality]) -> str:
    """A stable, readable name such as ``instance+semantic+depth`` (``image`` if alone)."""
    named = [m.value for m in Modality if m in modalities and m is not Modality.IMAGE]
    return "+".join(named) or Modality.IMAGE.value

"""The legal modality sets and their names."""

from __future__ import annotations

from itertools import product

from segpaste.types import LEGAL_MODALITY_SETS, Modality, modality_set_name

M = Modality


def test_the_legal_sets_are_the_sixteen_of_the_design() -> None:
    labels = [
        {M.INSTANCE},
        {M.SEMANTIC},
        {M.INSTANCE, M.SEMANTIC},
        {M.INSTANCE, M.SEMANTIC, M.PANOPTIC},
    ]
    want = {
        frozenset({M.IMAGE} | rows | depth | normals)
        for rows, depth, normals in product(labels, ({M.DEPTH}, set()), ({M.NORMALS}, set()))
    }
    assert len(LEGAL_MODALITY_SETS) == 16
    assert set(LEGAL_MODALITY_SETS) == want


def test_names_are_unique_and_in_one_order() -> None:
    names = [modality_set_name(modalities) for modalities in LEGAL_MODALITY_SETS]
    assert len(set(names)) == 16
    assert "instance+semantic+panoptic+depth+normals" in names
    assert modality_set_name(frozenset({M.IMAGE})) == "image"

"""Class tables cross to other processes: they pickle, copy and hash."""

from __future__ import annotations

import copy
import pickle

import pytest

from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, PanopticSchemaSpec
from segpaste.types.frozen_mapping import FrozenMapping


def config() -> BatchCopyPasteConfig:
    schema = PanopticSchemaSpec(classes={7: "stuff", 1: "thing"})
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, class_priority={1: 3}))


def test_items_are_sorted_and_read_only():
    mapping = FrozenMapping({2: "b", 1: "a"})
    assert list(mapping.items()) == [(1, "a"), (2, "b")]
    assert mapping == {1: "a", 2: "b"}
    assert len(mapping) == 2
    assert repr(mapping) == "{1: 'a', 2: 'b'}"
    assert len(FrozenMapping()) == 0
    with pytest.raises(TypeError, match="does not support item assignment"):
        mapping[1] = "c"  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize("again", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy, copy.copy])
def test_configurations_survive_pickle_and_copy(again):
    same = again(config())
    assert same == config()
    assert hash(same) == hash(config())
    assert same.panoptic.taxonomy.classes == {1: "thing", 7: "stuff"}


def test_equal_tables_hash_alike_and_others_do_not_compare_equal():
    a, b = (
        PanopticSchemaSpec(classes={1: "thing", 2: "stuff"}),
        PanopticSchemaSpec(classes={2: "stuff", 1: "thing"}),
    )
    assert a == b
    assert hash(a) == hash(b)
    assert a != PanopticSchemaSpec(classes={1: "thing"})
    assert hash(BatchCopyPasteConfig()) == hash(BatchCopyPasteConfig())

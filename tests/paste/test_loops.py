"""The compiled loops against the same thing said another way."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segpaste.paste import span_kernels
from segpaste.paste.inputs import check_views
from segpaste.paste.label_kernels import first_unknown
from segpaste.paste.rng import philox4x32, philox_words
from segpaste.paste.spans import mask_spans, words_of
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, PanopticSchemaSpec
from tests.paste.samples import view


def traced(function, *arguments):
    """What the function gives while compiling, where no loop of ours may run."""
    torch.compiler.reset()
    return torch.compile(function, backend="eager", fullgraph=True, dynamic=False)(*arguments)


def test_words_are_the_same_by_loop_by_tensors_and_by_integers():
    keys = torch.tensor([[0, 1, -1, 2**63 - 1, -(2**63), 0x123456789ABCDEF]]).T
    counters = torch.tensor([0, 1, 2**16, 2**31, 2**32 - 1])
    words = philox_words(keys, counters, 7)
    assert words.shape == (6, 5, 4)
    assert torch.equal(words, traced(lambda k, c: philox_words(k, c, 7), keys, counters))
    for i, key in enumerate(keys[:, 0].tolist()):
        halves = (key & 0xFFFFFFFF, (key >> 32) & 0xFFFFFFFF)
        for j, counter in enumerate(counters.tolist()):
            assert words[i, j].tolist() == list(philox4x32((counter, 7, 0, 0), halves))


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 3), st.integers(0, 2**31), st.booleans())
def test_spans_are_the_extents_of_the_masks(height, width, slots, seed, strided):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand((2, slots, height, width), generator=generator) < torch.rand(
        (2, slots, 1, 1), generator=generator
    ).pow(4)
    if strided:
        masks = masks.transpose(2, 3).contiguous().transpose(2, 3)
    wanted = torch.rand((2, slots), generator=generator) < 0.8
    spans = mask_spans(masks, wanted)
    for b in range(2):
        for k in range(slots):
            ys, xs = masks[b, k].nonzero(as_tuple=True)
            extent = [0, 0, 0, 0]
            if len(ys) and wanted[b, k]:
                extent = [int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1]
            assert spans[b, k].tolist() == extent


@pytest.mark.parametrize("slots", [0, 3])
def test_spans_are_the_same_while_compiling(slots):
    masks = torch.rand((2, slots, 5, 7), generator=torch.Generator().manual_seed(3)) < 0.1
    wanted = torch.arange(2 * slots).reshape(2, slots) != 1
    assert torch.equal(traced(mask_spans, masks, wanted), mask_spans(masks, wanted))


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 3), st.integers(0, 2**31))
def test_spans_by_tensors_are_the_spans_by_the_loop(height, width, slots, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand((2, slots, height, width), generator=generator) < 0.1
    wanted = torch.rand((2, slots), generator=generator) < 0.8
    loop = mask_spans(masks, wanted)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.compiler, "is_compiling", lambda: True)
        tensors = mask_spans(masks, wanted)
    assert tensors.dtype == torch.int64
    assert torch.equal(tensors, loop)


@pytest.mark.parametrize("compiling", [False, True])
def test_the_loop_finds_the_spans_on_the_cpu_unless_compiling(compiling, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(span_kernels, "fill_spans", lambda *_: asked.append(1))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    mask_spans(torch.ones((1, 1, 2, 2), dtype=torch.bool), torch.ones((1, 1), dtype=torch.bool))
    assert len(asked) == (0 if compiling else 1)


def test_the_loops_write_to_the_cpu_whatever_the_default_device_is():
    masks, wanted = torch.ones((1, 1, 2, 3), dtype=torch.bool), torch.ones((1, 1), dtype=torch.bool)
    keys = torch.tensor([0])
    with torch.device("meta"):
        spans, words = mask_spans(masks, wanted), philox_words(keys, 0)
    assert spans.tolist() == [[[0, 0, 2, 3]]]
    assert words.tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]


def test_masks_are_read_by_words_where_they_can_be():
    memory = np.zeros(2 * 3 * 2 * 16 + 1, dtype=np.uint8)
    masks = memory[:-1].reshape(2, 3, 2, 16)
    words = words_of(masks)
    assert (words.shape, words.dtype) == ((2, 3, 2, 2), np.uint64)
    assert np.shares_memory(words, masks)
    narrow, nothing = masks.reshape(2, 3, 8, 4), masks[:, :0]
    assert words_of(narrow) is narrow
    assert words_of(nothing) is nothing
    beside = memory[1:].reshape(2, 3, 2, 16)
    assert words_of(beside) is beside


def test_spans_are_written_of_the_samples_asked_for():
    masks, wanted = np.ones((4, 2, 3, 5), dtype=np.uint8), np.ones((4, 2), dtype=np.uint8)
    spans = np.full((4, 2, 4), -1)
    span_kernels.fill_spans(masks, wanted, spans, 1, 3)
    assert spans.tolist() == [[[-1] * 4] * 2, *[[[0, 0, 3, 5]] * 2] * 2, [[-1] * 4] * 2]


class Counted:
    """Marks that count how often they are read."""

    def __init__(self, *marks: int) -> None:
        self.marks, self.size, self.reads = marks, len(marks), 0

    def __getitem__(self, at: int) -> int:
        self.reads += 1
        assert self.reads <= 2 * self.size
        return self.marks[at]


@pytest.mark.parametrize(
    ("marks", "stretch"),
    [((0, 0, 0, 1, 0, 1, 0, 0, 0, 0), (3, 6)), ((1,), (0, 1)), ((0, 1), (1, 2)), ((1, 0), (0, 1))],
)
def test_a_stretch_is_found_in_one_pass_from_either_side(marks, stretch):
    in_python = getattr(span_kernels.stretch_of, "py_func", span_kernels.stretch_of)
    assert in_python(Counted(*marks)) == stretch


@pytest.mark.parametrize(
    ("labels", "at"),
    [
        ([0, 2, 2, 0], -1),
        ([], -1),
        ([2, 2, 1], 2),
        ([1, 2], 0),
        ([2, -1], 1),
        ([-1, -1, 2], 0),
        ([-2, 2], 0),
        ([0, 3], 1),  # the table ends at 2
        ([2, 2**40], 1),
    ],
)
def test_the_first_label_that_is_not_in_the_table(labels, at):
    known = np.array([1, 0, 1], dtype=np.uint8)
    assert first_unknown(np.array(labels, dtype=np.int64), known) == at


@pytest.mark.parametrize("largest", [9, 2**16 - 1, 2**16, 2**31 - 1])
@pytest.mark.parametrize("wrong", [8, 10, 254, 2**40, -1])
def test_a_label_without_a_class_is_found_in_small_tables_and_large(largest, wrong):
    schema = PanopticSchemaSpec(classes={1: "thing", 7: "stuff", largest: "stuff"}, ignore_index=255)
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    labels = torch.full((1, 4, 4), 7)
    labels[0, 3, 1:] = torch.tensor([largest, 255, 1])
    right = view(rows={}, semantic_maps=labels)
    check_views(right, right, config)
    labels[0, 3, 3] = wrong
    with pytest.raises(ValueError, match=f"target.semantic_maps: got {wrong}, which the schema lacks"):
        check_views(view(rows={}, semantic_maps=labels), right, config)


def test_a_map_that_begins_with_a_label_below_zero_is_refused():
    schema = PanopticSchemaSpec(classes={7: "stuff"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    labels = torch.full((1, 4, 4), 7)
    labels[0, 0, 0] = -1
    broken = view(rows={}, semantic_maps=labels)
    with pytest.raises(ValueError, match="target.semantic_maps: got -1, which the schema lacks"):
        check_views(broken, broken, config)


UNCACHED = """
from numba.core.caching import CacheImpl
CacheImpl._locator_classes = []  # no folder can be written to
import torch
from segpaste.paste.rng import philox_words
print([hex(word) for word in philox_words(torch.tensor([0]), 0)[0].tolist()])
from segpaste.paste.rng_kernels import fill_words
print(type(fill_words._cache).__name__)
"""


def test_loops_run_where_nothing_can_be_cached():
    done = subprocess.run(
        [sys.executable, "-c", UNCACHED], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.stdout.splitlines() == [
        "['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']",
        "NullCache",
    ], done.stderr

"""The rectangle executor where its loops differ from the reference's way: stretches, tables, threads."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.paste import apply, apply_with_audit, rectangle
from segpaste.paste import rectangle_kernels as kernels
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.parity.drawn import KINDS
from tests.parity.layouts import LAYOUTS, dirty_buffers
from tests.parity.test_tiny_pastes import PASTES_PER_KIND, tiny_pastes
from tests.paste.samples import plan, view

EVERYTHING = "instance+semantic+panoptic+depth+normals"


def agree(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    drawn: PastePlan | None = None,
    config: BatchCopyPasteConfig | None = None,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """The result, which is the reference's."""
    drawn, config = drawn or plan(), config or BatchCopyPasteConfig()
    expected, told = apply_with_audit(target, source, drawn, config, executor="reference")
    actual, audit = apply_with_audit(target, source, drawn, config, executor="rectangle")
    assert_same_bits(expected, actual, audits=(told, audit), names=("reference", "rectangle"))
    return actual, audit


def panoptic(classes: dict[int, Any], *, ignore_index: int = 255, **changes: Any) -> BatchCopyPasteConfig:
    schema = PanopticSchemaSpec(classes=classes, ignore_index=ignore_index)
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, **changes))


def test_what_is_pasted_far_apart_in_one_row_of_pixels() -> None:
    """Each in its own stretch of columns, and one of them without a pixel in the middle row."""
    far = 26
    gap = "." * 11
    rows = {
        0: (1, 0, "\n".join(f"{c}{gap}.{gap}.." for c in "1.1")),
        1: (1, 1, "\n".join([f".{gap}1{gap}.."] * 3)),
        2: (1, 2, "\n".join([f".{gap}.{gap}11"] * 3)),
    }
    image = torch.arange(2 * 3 * far, dtype=torch.uint8).reshape(2, 3, far) + 1
    target = view(height=3, width=far, rows={}, image=torch.zeros_like(image))
    out, audit = agree(target, view(height=3, width=far, rows=rows, image=image))
    assert torch.equal(out.images[0], torch.where(audit.paste_union, image, 0))
    assert out.images[0, 0].ne(0).sum(dim=1).tolist() == [4, 3, 4]


def test_a_row_of_class_zero_gives_its_label_to_the_semantic_map() -> None:
    maps: dict[str, Any] = {"semantic_maps": "8888\n" * 4, "panoptic_maps": "....\n" * 4}
    source = view(rows={0: (0, 1, "1...\n....\n....\n....")}, **maps)
    out, _ = agree(view(rows={}, **maps), source, config=panoptic({0: "thing", 8: "stuff"}))
    assert out.semantic_maps is not None
    assert out.semantic_maps[0, 0].tolist() == [0, 8, 8, 8]


@pytest.mark.parametrize("policy", ["revert", "ignore"])
def test_stuff_of_classes_too_large_for_a_table(policy: str) -> None:
    """Class 1 is the first of the schema, 2**20 the last: both are searched for."""
    large = 1 << 20
    config = panoptic(
        {1: "stuff", 2: "thing", large: "stuff"}, stuff_min_area={1: 4, large: 4}, stuff_policy=policy
    )
    labels = torch.full((1, 4, 4), 2)
    labels[0, :2] = torch.tensor([[1, 1, 1, 1], [large, large, large, large]])
    source_labels = torch.full((1, 4, 4), 2)
    source = view(rows={0: (2, 1, "1...\n1...\n1...\n....")}, semantic_maps=source_labels)
    out, audit = agree(view(rows={}, semantic_maps=labels), source, config=config)
    assert out.semantic_maps is not None
    assert out.instance_valid.sum() == 1
    if policy == "revert":
        assert audit.paste_union[0, :, 0].tolist() == [False, False, True, False]
        assert torch.equal(out.semantic_maps, labels)
    else:
        assert out.semantic_maps[0].tolist() == [[2, 255, 255, 255]] * 2 + [[2] * 4] * 2


@pytest.mark.parametrize("ignore_index", [10, 5])
def test_an_ignore_label_past_the_table_or_in_a_gap_has_no_class(ignore_index: int) -> None:
    """Under the policy "ignore" all pixels are looked up. What is left of stuff loses the id too;
    pixels without a class keep theirs.
    """
    ignored = f"{ignore_index:x}"
    config = panoptic(
        {1: "thing", 8: "stuff", 9: "stuff"},
        ignore_index=ignore_index,
        stuff_policy="ignore",
        stuff_min_area={8: 9},
    )
    target = view(
        rows={}, semantic_maps=f"8888\n{4 * ignored}\n9999\n9999", panoptic_maps="7777\n6666\n5555\n5555"
    )
    source = view(
        rows={0: (1, 1, "1...\n....\n....\n....")}, semantic_maps="1888\n8888\n8888\n8888",
        panoptic_maps="1...\n....\n....\n....",
    )  # fmt: skip
    out, _ = agree(target, source, config=config)
    assert out.semantic_maps is not None
    assert out.panoptic_maps is not None
    assert out.semantic_maps[0, :2].tolist() == [[1] + [ignore_index] * 3, [ignore_index] * 4]
    assert out.panoptic_maps[0].tolist() == [[8, 0, 0, 0], [6] * 4, [5] * 4, [5] * 4]


def test_stuff_takes_back_the_only_pixel_of_a_canvas() -> None:
    config = panoptic({1: "thing", 8: "stuff"}, stuff_min_area={8: 1})
    one: dict[str, Any] = {"height": 1, "width": 1, "image": torch.zeros((1, 1, 1), dtype=torch.uint8)}
    source = view(**one, rows={0: (1, 0, "1")}, semantic_maps="1")
    _, audit = agree(view(**one, rows={}, semantic_maps="8"), source, config=config)
    assert not audit.paste_union.any()


# At step 2**16 + 1016 the second tap weighs (1016 * (2 x + 1) mod 2**17) >> 9: 1 at x = 0 and 255 at
# x = 64; at step 2**16 - 1 it weighs 255 from x = 1 on, and at 2**16 + 512 it weighs 1 at x = 0.
@pytest.mark.parametrize(
    ("step", "y", "x", "lightest"),
    [
        (65535, 1, 1, (0, 0)),
        (66552, 64, 0, (0, 1)),
        (66552, 0, 64, (1, 0)),
        (66048, 0, 0, (1, 1)),
    ],
)
def test_a_tap_of_the_smallest_weight_counts(step: int, y: int, x: int, lightest: tuple[int, int]) -> None:
    """The other three taps see the depth 1, this one 2**16 + 1: with one of 65536 parts, 2."""
    height, width = y + 3, x + 3
    size: dict[str, Any] = {"height": height, "width": width}
    size["image"] = torch.zeros((1, height, width), dtype=torch.uint8)
    valid = torch.ones((1, 1, height, width), dtype=torch.bool)
    v = torch.tensor([(2 * y + 1) * step - 65536, (2 * x + 1) * step - 65536])
    top, left = (v >> 17).tolist()
    depth = torch.ones((1, 1, height, width))
    depth[0, 0, top + lightest[0], left + lightest[1]] = 2**16 + 1
    rows = {0: (1, 0, "\n".join(["1" * width] * height))}
    source = view(**size, rows=rows, depth=depth, depth_valid=valid)
    out, _ = agree(
        view(**size, rows={}, depth=torch.full_like(depth, 9.0), depth_valid=valid), source, plan(step=step)
    )
    assert out.depth is not None
    assert out.depth[0, 0, y, x] == 2


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_tap_of_weight_zero_is_not_read(value: float) -> None:
    """At step 21846 (scale 3) the weights at 1 are 256 and 0, at 2 they are 170 and 86."""
    for bad, at in (((0, 1), (2, 1)), ((1, 0), (1, 2)), ((1, 1), (1, 2)), ((1, 1), (2, 1)), ((1, 1), (1, 1))):
        image = torch.ones((1, 4, 4))
        image[0, bad[0], bad[1]] = value
        source = view(rows={0: (1, 0, "1111\n" * 4)}, image=image)
        out, _ = agree(view(rows={}, image=torch.zeros((1, 4, 4))), source, plan(step=21846))
        assert out.images[0, 0, at[0], at[1]] == 1


def test_bools_of_an_audit_are_zeros_and_ones() -> None:
    target = view(rows={1: (1, 3, "1...\n....\n....\n....")})
    _, audit = agree(target, view(rows={0: (1, 0, "1111\n" * 4)}))
    assert audit.row_dropped is not None
    assert audit.row_dropped.view(torch.uint8).tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize("kind", ["semantic+depth", EVERYTHING])
def test_without_an_audit_the_bits_are_the_same(kind: str) -> None:
    for case in tiny_pastes(kind):
        arguments = (case.target, case.source, case.plan, case.config)
        expected = apply_with_audit(*arguments, executor="rectangle")[0]
        assert_same_bits(expected, apply(*arguments, executor="rectangle"), case=case)


def test_labels_present_are_the_distinct_ones_off_the_padding() -> None:
    semantic = np.array([[3, 0, 3], [1, 3, 0]])
    no_padding = np.zeros((0, 0), dtype=np.uint8)
    padding = np.array([[0, 1, 0], [1, 1, 0]], dtype=np.uint8)
    for where, expected in ((no_padding, [0, 1, 3]), (padding, [0, 3])):
        table, found = np.full(4, 1, dtype=np.uint8), np.empty(4, dtype=np.int64)
        n = kernels.labels_present(semantic, where, table, found)
        assert found[:n].tolist() == expected


@pytest.mark.parametrize("label", [-1, 4, 5])
def test_a_label_that_the_table_has_no_place_for(label: int) -> None:
    table, found = np.empty(4, dtype=np.uint8), np.empty(4, dtype=np.int64)
    assert (
        kernels.labels_present(np.array([[3, label]]), np.zeros((0, 0), dtype=np.uint8), table, found) == -1
    )


def test_everything_is_made_on_the_cpu_whatever_the_default() -> None:
    case = tiny_pastes(EVERYTHING)[0]
    arguments = (case.target, case.source, case.plan, case.config)
    expected, told = apply_with_audit(*arguments, executor="rectangle")
    with torch.device("meta"):
        actual, audit = apply_with_audit(*arguments, executor="rectangle")
    assert_same_bits(expected, actual, audits=(told, audit), case=case)


def test_rows_behind_those_that_keep_everything_lose_their_pixels_too() -> None:
    """The first has no pixels, the second none that is painted over."""
    masks = ("....\n" * 4, ".1..\n....\n....\n....", "11..\n....\n....\n....")
    target = view(rows={slot: (1, 3 + slot, mask) for slot, mask in enumerate(masks)})
    out, _ = agree(target, view(rows={0: (1, 0, "1.1.\n....\n....\n....")}))
    assert out.boxes[0, :3].tolist() == [[0, 0, 0, 0], [1, 0, 2, 1], [1, 0, 2, 1]]


def test_a_schema_of_one_class() -> None:
    source = view(rows={0: (1, 0, "11..\n....\n....\n....")})
    out, _ = agree(view(rows={}), source, config=panoptic({1: "thing"}))
    assert out.labels[out.instance_valid].tolist() == [1]


def test_class_mix_of_labels_too_large_for_a_table() -> None:
    """Of the key's words for the labels 1 and 2**20, only the second's last bit is set."""
    labels = torch.full((1, 4, 4), 1)
    labels[0, 1:3, 1:3] = 1 << 20
    target, source = view(semantic_maps=torch.full_like(labels, 3)), view(semantic_maps=labels)
    _, audit = agree(target, source, plan(mix_key=5))
    assert torch.equal(audit.paste_union, labels == 1 << 20)


def test_an_empty_batch_of_semantic_maps() -> None:
    none = view(semantic_maps="1111\n" * 4).gather(torch.zeros(0, dtype=torch.int64))
    fields = {field.name: getattr(plan(), field.name)[:0] for field in dataclasses.fields(PastePlan)}
    out, _ = agree(none, none, PastePlan(**fields))
    assert out.batch_size == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_out_holds_the_result_however_it_lies(layout: str) -> None:
    for case in tiny_pastes(EVERYTHING)[:3]:
        arguments = (case.target, case.source, case.plan, case.config)
        out = dirty_buffers(case.target, layout)
        assert apply(*arguments, executor="rectangle", out=out) is out
        assert_same_bits(apply(*arguments, executor="reference"), out, case=case)


# The loops are compiled for one type of each argument: another one would be compiled for as long again.
VIEW_TYPES: dict[str, tuple[type, int]] = {
    "image8": (np.uint8, 4),
    "image32": (np.float32, 4),
    "boxes": (np.float32, 3),
    "labels": (np.int64, 2),
    "valid": (np.uint8, 2),
    "ids": (np.int32, 2),
    "masks": (np.uint8, 4),
    "semantic": (np.int64, 3),
    "panoptic": (np.int64, 3),
    "depth": (np.float32, 3),
    "depth_valid": (np.uint8, 3),
    "normals": (np.float32, 4),
    "padding": (np.uint8, 3),
    "camera": (np.float64, 2),
}
PLAN_TYPES: dict[str, tuple[type, int]] = {
    "source_idx": (np.int64, 1),
    "step": (np.int64, 1),
    "translate": (np.int64, 2),
    "hflip": (np.uint8, 1),
    "order": (np.int64, 2),
    "count": (np.int64, 1),
    "mix_labels": (np.int64, 1),
    "mix_start": (np.int64, 1),
}
RULES_TYPES: dict[str, tuple[type, int]] = {
    "classes": (np.int64, 1),
    "is_thing": (np.uint8, 1),
    "priority": (np.int64, 1),
    "stuff_min_area": (np.int64, 1),
    "class_table": (np.int32, 1),
    **dict.fromkeys(("has_schema", "reverts", "z_test", "metric"), (bool, 0)),
    **dict.fromkeys(("ignore", "tau_q16", "min_area", "min_pasted_area", "residual_q16"), (int, 0)),
}
AUDIT_TYPES: dict[str, tuple[type, int]] = {
    "union": (np.uint8, 3),
    "row_source": (np.int64, 2),
    "row_dropped": (np.uint8, 2),
    "semantic": (np.int64, 3),
    "depth_valid": (np.uint8, 3),
}
TYPES: dict[str, tuple[type, int]] = {
    "height": (int, 0),
    "width": (int, 0),
    "class_mix": (bool, 0),
    "winner_type": (np.int16, 2),
    "clear": (bool, 0),
    "spans": (np.int64, 3),
    "source_spans": (np.int64, 3),
    "begin": (int, 0),
    "end": (int, 0),
    **{f"{role}.{name}": t for role in ("target", "source", "out") for name, t in VIEW_TYPES.items()},
    **{f"plan.{name}": t for name, t in PLAN_TYPES.items()},
    **{f"rules.{name}": t for name, t in RULES_TYPES.items()},
    **{f"audit.{name}": t for name, t in AUDIT_TYPES.items()},
}


def type_of(value: Any) -> tuple[type, int]:
    """What Numba tells apart in an argument; its memory must be contiguous."""
    if not isinstance(value, np.ndarray):
        return type(value), 0
    assert value.flags.c_contiguous
    return value.dtype.type, value.ndim


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every call of the loops, which are not run."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(kernels, "paste_samples", lambda *a: seen.append(dict(zip(TYPES, a, strict=True))))
    return seen


@pytest.mark.parametrize("with_audit", [False, True])
def test_all_pastes_run_the_same_machine_code(calls: list[dict[str, Any]], with_audit: bool) -> None:
    for kind in KINDS:
        for case in tiny_pastes(kind):
            rectangle.run_rectangle(
                case.target, case.source, case.plan, case.config, out=None, with_audit=with_audit
            )
    assert len(calls) == PASTES_PER_KIND * (
        len(KINDS) - 2
    )  # nothing is pasted into image only and boxes only
    for call in calls:
        assert {name: type_of(value) for name, value in call.items()} == TYPES
        told = [name for name, value in call.items() if name.startswith("audit.") and value.size]
        assert with_audit or told == []


def test_all_label_maps_run_the_same_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[tuple[type, int]]] = []
    monkeypatch.setattr(kernels, "labels_present", lambda *a: seen.append([type_of(v) for v in a]) or 0)
    for case in tiny_pastes("semantic"):
        apply(case.target, case.source, case.plan, case.config, executor="rectangle")
    assert len(seen) >= PASTES_PER_KIND
    for types in seen:
        assert types == [(np.int64, 2), (np.uint8, 2), (np.uint8, 1), (np.int64, 1)]


@pytest.mark.parametrize(("slots", "dtype"), [(2**15, np.int16), (2**15 + 1, np.int32)])
def test_winners_are_numbered_in_two_bytes_where_they_fit(
    calls: list[dict[str, Any]], slots: int, dtype: type
) -> None:
    one = view(height=1, width=1, slots=slots, rows={}, image=torch.zeros((1, 1, 1), dtype=torch.uint8))
    apply(one, one, plan(slots=slots), BatchCopyPasteConfig(), executor="rectangle")
    assert calls[0]["winner_type"].dtype == dtype


def test_contiguous_buffers_are_written_to_directly(calls: list[dict[str, Any]]) -> None:
    case = tiny_pastes("instance+semantic")[0]
    out = dirty_buffers(case.target, "contiguous")
    apply(case.target, case.source, case.plan, case.config, executor="rectangle", out=out)
    assert calls[0]["clear"] is True
    addresses = {value.data_ptr() for value in out.tensors().values()}
    written = {calls[0][f"out.{name}"].ctypes.data for name in VIEW_TYPES if calls[0][f"out.{name}"].size}
    assert written == addresses


def test_a_thread_writes_none_but_its_own_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    one = view(rows={1: (2, 5, "11..\n11..\n....\n....")})
    two = one.gather(torch.zeros(2, dtype=torch.int64))
    fields = {
        field.name: getattr(plan(), field.name).repeat_interleave(2, dim=0)
        for field in dataclasses.fields(PastePlan)
    }
    drawn = PastePlan(**fields | {"source_idx": torch.ones(2, dtype=torch.int64)})

    def second_only(_: object) -> Callable[[int, Callable[[int, int], None]], None]:
        return lambda samples, run: run(1, samples)

    expected = apply(two, two, drawn, BatchCopyPasteConfig(), executor="rectangle")
    monkeypatch.setattr(rectangle, "_threads", second_only)
    out = dirty_buffers(two, "contiguous")
    before = out.labels.clone()
    apply(two, two, drawn, BatchCopyPasteConfig(), executor="rectangle", out=out)
    assert torch.equal(out.labels[1], expected.labels[1])
    assert torch.equal(out.labels[0], before[0])


def test_as_many_threads_as_torch_may_use_and_the_work_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[tuple[int, int]] = []

    def pool(process: int, threads: int) -> ThreadPoolExecutor:
        pools.append((process, threads))
        return make_pool(process, threads)

    make_pool = rectangle._pool
    monkeypatch.setattr(rectangle, "_pool", pool)
    monkeypatch.setattr(rectangle, "_BYTES_PER_THREAD", 8)
    for may_use, size, samples, expected in (
        (1, 24, 7, [(0, 7)]),  # one thread
        (2, 7, 7, [(0, 7)]),  # too little work
        (2, 15, 7, [(0, 7)]),
        (8, 24, 1, [(0, 1)]),  # one sample
        (8, 24, 2, [(0, 1), (1, 2)]),
        (2, 24, 7, [(0, 3), (3, 7)]),
        (8, 31, 7, [(0, 2), (2, 4), (4, 7)]),
    ):
        monkeypatch.setattr(torch, "get_num_threads", lambda may_use=may_use: may_use)
        pools.clear()
        seen: list[tuple[int, int]] = []
        names: list[str] = []

        def run(begin: int, end: int, seen: Any = seen, names: list[str] = names) -> None:
            seen.append((begin, end))
            names.append(threading.current_thread().name)

        work = view_of_size(size)
        rectangle._threads(work)(samples, run)
        assert sorted(seen) == expected
        assert pools == ([(os.getpid(), len(expected))] if len(expected) > 1 else [])
        assert all(name.startswith("segpaste_") == (len(expected) > 1) for name in names)


def view_of_size(size: int) -> kernels.View:
    """A view that holds so many bytes."""
    return rectangle._absent()._replace(
        labels=np.zeros(size - size // 2, dtype=np.uint8)[None],
        valid=np.zeros(size // 2, dtype=np.uint8)[None],
    )


def test_a_pool_has_as_many_threads_as_asked_for() -> None:
    pool = rectangle._pool(os.getpid(), 2)
    waiting, started = threading.Event(), threading.Semaphore(0)

    def wait() -> bool:
        started.release()
        return waiting.wait(10)

    done = [pool.submit(wait) for _ in range(3)]
    assert [started.acquire(timeout=5) for _ in range(2)] == [True, True]
    assert not started.acquire(timeout=0.05)
    waiting.set()
    assert all(future.result() for future in done)


def test_pasted_by_several_threads_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in tiny_pastes(EVERYTHING) if case.target.batch_size > 1)
    arguments = (case.target, case.source, case.plan, case.config)
    expected, told = apply_with_audit(*arguments, executor="rectangle")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(rectangle, "_BYTES_PER_THREAD", 1)
    actual, audit = apply_with_audit(*arguments, executor="rectangle")
    assert_same_bits(expected, actual, audits=(told, audit), case=case)

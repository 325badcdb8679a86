"""What stands in front of the executors: the choice of one, ``out``, and what is refused."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.paste import apply, apply_reference, apply_with_audit, choose_executor
from segpaste.paste.apply import interprets_triton
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample
from tests.paste.samples import plan, view

module = importlib.import_module("segpaste.paste.apply")  # the package's name of it is the function
PLAIN = BatchCopyPasteConfig()
ROWS = {1: (2, 5, "11..\n11..\n....\n....")}
EXECUTORS = ("rectangle", "graph")


def scene(**maps) -> PaddedBatchedDenseSample:
    return view(rows=ROWS, image=torch.arange(16, dtype=torch.uint8).reshape(1, 4, 4), **maps)


def buffers(like: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    copies = {name: torch.empty_like(value) for name, value in like.tensors().items()}
    return PaddedBatchedDenseSample(**copies, metric_depth=like.metric_depth)  # pyright: ignore[reportArgumentType]


def test_the_executor_of_a_device():
    assert choose_executor(torch.device("cpu")) == "rectangle"
    assert choose_executor(torch.device("cuda", 1)) == "fused"
    assert choose_executor(torch.device("meta")) == "graph"


@pytest.mark.parametrize("device", ["cpu", "cuda", "meta"])
def test_while_compiling_it_is_the_graph(device, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert choose_executor(torch.device(device)) == "graph"


def test_the_executor_in_what_is_compiled():
    chosen = torch.compile(lambda x: x + len(choose_executor(x.device)), backend="eager", fullgraph=True)
    assert chosen(torch.zeros(())) == len("graph")


def test_an_executor_that_does_not_exist_or_not_here():
    expected = (
        "^executor: got 'fast', expected None or one of \\['reference', 'rectangle', 'graph', 'fused'\\]$"
    )
    for function in (apply, apply_with_audit):
        with pytest.raises(ValueError, match=expected):
            function(scene(), scene(), plan(), PLAIN, executor="fast")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="executor: got 'fused' for cpu, expected a batch on cuda"):
        apply(scene(), scene(), plan(), PLAIN, executor="fused")


def test_a_batch_on_mps_is_refused():
    batch: Any = SimpleNamespace(images=SimpleNamespace(device=torch.device("mps")))
    expected = "^target: got a batch on mps, which lacks float64, expected one on cpu or cuda$"
    with pytest.raises(ValueError, match=expected):
        apply(batch, batch, plan(), PLAIN)


@pytest.mark.parametrize(("interprets", "where"), [("0", "cuda"), ("1", "cuda or cpu")])
def test_where_the_fused_executor_runs(interprets, where, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", interprets)
    meta = scene().to("meta")
    with pytest.raises(ValueError, match=f"^executor: got 'fused' for meta, expected a batch on {where}$"):
        apply(meta, meta, plan().to("meta"), PLAIN, executor="fused")
    with pytest.raises(ValueError, match="^executor: got 'rectangle' for meta, expected a batch on cpu$"):
        apply(meta, meta, plan().to("meta"), PLAIN, executor="rectangle")


@pytest.mark.parametrize(
    ("value", "interprets"),
    [
        *((yes, True) for yes in ("1", "true", "True", "TRUE", "on", "y", "yes", "YES")),
        *((no, False) for no in (None, "", "0", "false", "2")),
    ],
)
def test_whether_triton_interprets_is_read_as_triton_reads_it(value, interprets, monkeypatch):
    if value is None:
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    else:
        monkeypatch.setenv("TRITON_INTERPRET", value)
    assert interprets_triton() is interprets


def test_what_an_executor_is_called_with(monkeypatch):
    told: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def executor(*views: Any, **options: Any) -> tuple[PaddedBatchedDenseSample, None]:
        told.append((views, options))
        return views[0], None

    monkeypatch.setattr(module, "_executor", lambda name: executor)
    target, source, drawn, out = scene(), scene(), plan(), buffers(scene())
    assert apply(target, source, drawn, PLAIN, out=out) is target
    with pytest.raises(TypeError, match="^executor graph: got no audit, expected one$"):
        apply_with_audit(target, source, drawn, PLAIN, executor="graph")
    views = (target, source, drawn, PLAIN)
    # No audit is made for those who do not ask for one.
    assert told == [(views, {"out": out, "with_audit": False}), (views, {"out": None, "with_audit": True})]


@pytest.mark.parametrize("executor", ["reference", *EXECUTORS])
def test_out_is_overwritten_and_returned(executor):
    target, source = scene(), scene()
    out = buffers(target)
    for value in out.tensors().values():
        value.view(torch.uint8).fill_(1)
    assert apply(target, source, plan(), PLAIN, executor=executor, out=out) is out
    assert_same_bits(apply_reference(target, source, plan(), PLAIN)[0], out)
    assert apply_with_audit(target, source, plan(), PLAIN, executor=executor, out=out)[0] is out


def slices_of_one_buffer(overlap: int) -> tuple[PaddedBatchedDenseSample, PaddedBatchedDenseSample]:
    """A batch and an ``out`` whose images are parts of one array, of which they share some."""
    memory = np.zeros(64, dtype=np.uint8)
    mine, theirs = memory[:16], memory[16 - overlap : 32 - overlap]
    target = replace(scene(), images=torch.from_numpy(mine).view(1, 1, 4, 4))  # pyright: ignore[reportArgumentType]
    out = replace(buffers(target), images=torch.from_numpy(theirs).view(1, 1, 4, 4))  # pyright: ignore[reportArgumentType]
    return target, out


@pytest.mark.parametrize("executor", [None, "reference", *EXECUTORS])
def test_out_may_stand_beside_the_input_but_not_in_it(executor):
    target, out = slices_of_one_buffer(0)
    apply(target, scene(), plan(), PLAIN, executor=executor, out=out)
    for overlap in (1, 16):
        target, out = slices_of_one_buffer(overlap)
        before = target.images.clone()
        with pytest.raises(ValueError, match="out.images: got the memory of target.images, expected memory"):
            apply(target, scene(), plan(), PLAIN, executor=executor, out=out)
        assert torch.equal(target.images, before)


def test_an_input_that_starts_inside_of_out():
    target, out = slices_of_one_buffer(4)
    with pytest.raises(ValueError, match="out.images: got the memory of source.images"):
        apply(out, target, plan(), PLAIN, out=replace(buffers(out), images=target.images))


def test_two_fields_of_out_in_one_memory():
    maps: dict[str, Any] = {"semantic_maps": torch.zeros((1, 4, 4), dtype=torch.int64)}
    target = scene(**maps, panoptic_maps=maps["semantic_maps"].clone())
    out = buffers(target)
    with pytest.raises(ValueError, match=r"out.\w+_maps: got the memory of out.\w+_maps"):
        apply(target, target, plan(), PLAIN, out=replace(out, panoptic_maps=out.semantic_maps))


def test_a_plan_in_the_memory_of_out():
    out = buffers(scene())
    drawn = replace(plan(), order=out.labels.copy_(torch.arange(4)))
    with pytest.raises(
        ValueError, match="^out.labels: got the memory of plan.order, expected memory of its own$"
    ):
        apply(scene(), scene(), drawn, PLAIN, out=out)


@pytest.mark.parametrize("strides", [(16, 16, 2, 1), (16, 16, 0, 1), (16, 16, 1, 1)])
def test_out_that_overlaps_itself(strides):
    image = torch.as_strided(torch.zeros(64, dtype=torch.uint8), (1, 1, 4, 4), strides)
    with pytest.raises(ValueError, match=r"out.images: got strides .*, expected memory for every element"):
        apply(scene(), scene(), plan(), PLAIN, out=replace(buffers(scene()), images=image))


def test_out_on_the_device_that_holds_shapes_alone():
    target, out = scene().to("meta"), buffers(scene()).to("meta")
    assert apply(target, scene().to("meta"), plan().to("meta"), PLAIN, out=out) is out


def test_out_with_other_fields():
    more = replace(buffers(scene()), semantic_maps=torch.zeros((1, 4, 4), dtype=torch.int64))
    with pytest.raises(ValueError, match=r"out: got the fields .*semantic_maps.*, expected the target's"):
        apply(scene(), scene(), plan(), PLAIN, out=more)


def test_out_of_another_shape_names_the_field():
    wide = view(height=4, width=5, rows={})
    with pytest.raises(ValueError, match=r"out.images: got shape \[1, 1, 4, 5\], expected \[1, 1, 4, 4\]"):
        apply(scene(), scene(), plan(), PLAIN, out=buffers(wide))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_images_without_channels(executor):
    target = view(rows={0: (1, 3, "....\n.11.\n.11.\n....")}, image=torch.zeros((0, 4, 4), dtype=torch.uint8))
    source = view(rows=ROWS, image=torch.zeros((0, 4, 4), dtype=torch.uint8))
    expected, told = apply_reference(target, source, plan(), PLAIN)
    assert told.paste_union.sum() == 4
    actual, also_told = apply_with_audit(target, source, plan(), PLAIN, executor=executor)
    assert_same_bits(expected, actual, audits=(told, also_told))


def test_more_rows_than_two_bytes_number():
    slots = 2**15 + 2
    rows: dict[str, Any] = {
        "boxes": torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, slots, 4).clone(),
        "labels": torch.ones((1, slots), dtype=torch.int64),
        "instance_ids": torch.arange(slots, dtype=torch.int32)[None],
        "instance_masks": torch.ones((1, slots, 1, 1), dtype=torch.bool),
    }
    image = torch.zeros((1, 1, 1, 1), dtype=torch.uint8)
    every = torch.ones((1, slots), dtype=torch.bool)
    source = PaddedBatchedDenseSample(images=image + 9, instance_valid=every, **rows)  # pyright: ignore[reportArgumentType]
    nothing: dict[str, Any] = {name: torch.zeros_like(value) for name, value in rows.items()}
    target = PaddedBatchedDenseSample(images=image, instance_valid=~every, **nothing)  # pyright: ignore[reportArgumentType]
    config = BatchCopyPasteConfig(min_pasted_area=1)
    drawn = plan(order=list(range(slots)), count=slots)
    out, audit = apply_with_audit(target, source, drawn, config)
    assert out.images.item() == 9
    # All want the one pixel: the last gets it, and the first slot.
    assert out.instance_valid.sum() == 1
    assert audit.row_source is not None
    assert audit.row_source[0, 0] == slots - 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_true_may_be_any_byte(executor):
    def loud(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
        changed = {
            name: (value.to(torch.uint8) * 255).view(torch.bool)
            for name, value in batch.tensors().items()
            if value.dtype == torch.bool
        }
        return replace(batch, **changed)  # pyright: ignore[reportArgumentType]

    depth = torch.full((1, 1, 4, 4), 2.0)
    maps: dict[str, Any] = {"depth": depth, "depth_valid": torch.ones((1, 1, 4, 4), dtype=torch.bool)}
    rows = {0: (1, 3, "....\n1111\n1111\n...."), 2: (1, 4, "....\n....\n....\n...1")}
    target = view(rows=rows, **maps, padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    maps = {"depth": depth / 2, "depth_valid": maps["depth_valid"]}
    source = view(rows=ROWS, **maps, padding_mask=target.padding_mask)
    drawn = plan(translate=(1, 1))
    expected, told = apply_reference(target, source, drawn, PLAIN)
    assert told.paste_union.sum() == 4
    actual, also_told = apply_with_audit(loud(target), loud(source), drawn, PLAIN, executor=executor)
    assert_same_bits(expected, actual, audits=(told, also_told))
    for name, value in actual.tensors().items():
        if value.dtype == torch.bool:
            assert value.view(torch.uint8).max() <= 1, name


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_normal_that_is_not_a_number_is_no_normal(executor):
    normals = torch.zeros((1, 3, 4, 4))
    normals[:, 2] = -1
    broken = normals.clone()
    broken[0, 1, 0, 0] = torch.nan
    target, source = scene(normals=normals), scene(normals=broken)
    expected = apply_reference(target, source, plan(), PLAIN)[0]
    assert expected.normals is not None
    assert expected.normals[0, :, 0, 0].tolist() == [0, 0, 0]
    assert_same_bits(expected, apply(target, source, plan(), PLAIN, executor=executor))


MESSAGE = "torch.set_flush_denormal(True) is on: executors promise the same bits only without it"
NO_FLUSHING = pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor cannot flush denormals"
)

FLUSHED = """
import warnings, torch
torch.set_flush_denormal(True)
from tests.paste.samples import plan, view
from segpaste.paste import apply
from segpaste.types import BatchCopyPasteConfig
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for _ in range(2):
        apply(view(rows={}), view(rows={}), plan(), BatchCopyPasteConfig(), executor="reference")
print([(str(w.message), w.filename) for w in said])
"""


@NO_FLUSHING
def test_it_says_so_once_where_denormals_are_flushed():
    done = subprocess.run([sys.executable, "-c", FLUSHED], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str([(MESSAGE, "<string>")]), done.stderr  # the line of the caller


@NO_FLUSHING
@pytest.mark.parametrize("flushes", [False, True])
def test_what_is_said_where_denormals_are_flushed(flushes, monkeypatch):
    said: list[Any] = []
    monkeypatch.setattr(module.warnings, "warn", lambda *what, **where: said.append((what, where)))
    module._say_if_denormals_are_flushed.cache_clear()
    try:
        torch.set_flush_denormal(flushes)
        for _ in range(2):
            apply(scene(), scene(), plan(), PLAIN, executor="reference")
    finally:
        torch.set_flush_denormal(False)
        module._say_if_denormals_are_flushed.cache_clear()
    assert said == [((MESSAGE, RuntimeWarning), {"stacklevel": 5})] * flushes


def test_whether_denormals_are_flushed_is_tried_on_the_cpu():
    module._say_if_denormals_are_flushed.cache_clear()
    with torch.device("meta"):
        module._say_if_denormals_are_flushed()


@pytest.mark.parametrize("executor", ["reference", *EXECUTORS])
def test_out_gathers_no_history(executor):
    target = view(rows=ROWS, image=torch.ones((1, 4, 4)))
    target = replace(target, images=target.images.clone().requires_grad_())
    out = buffers(target)
    for _ in range(2):
        apply(target, target, plan(), PLAIN, executor=executor, out=out)
    assert not any(value.requires_grad for value in out.tensors().values())
    assert not apply(target, target, plan(), PLAIN, executor=executor).images.requires_grad


@pytest.mark.parametrize("executor", ["reference", *EXECUTORS])
@pytest.mark.parametrize("canvas", [(0, 4), (4, 0), (0, 0)])
def test_a_canvas_without_pixels(executor, canvas):
    whole = scene(semantic_maps=torch.zeros((1, 4, 4), dtype=torch.int64))
    maps = {
        name: value[..., : canvas[0], : canvas[1]]
        for name, value in whole.tensors().items()
        if name in ("images", "instance_masks", "semantic_maps")
    }
    target = replace(whole, **maps)  # pyright: ignore[reportArgumentType]
    expected, told = apply_reference(target, target, plan(), PLAIN)
    actual, also_told = apply_with_audit(target, target, plan(), PLAIN, executor=executor)
    assert_same_bits(expected, actual, audits=(told, also_told))

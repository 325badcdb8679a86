"""What a paste refuses, and the words it says it in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from segpaste.paste import apply_reference, inputs
from segpaste.paste.inputs import _overlaps_itself, _reach, _table_of, _unknown, check_out, check_views
from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, PanopticSchemaSpec
from tests.paste.samples import plan, view

LEFT = "11..\n11..\n11..\n11.."
ROWS = {0: (1, 0, LEFT)}
DEPTH: dict[str, Any] = {
    "depth": torch.ones((1, 1, 4, 4)),
    "depth_valid": torch.ones((1, 1, 4, 4), dtype=torch.bool),
}
CAMERA: dict[str, Any] = {"camera_intrinsics": torch.ones((1, 4), dtype=torch.float64)}


def with_schema(classes: dict[int, str], limit: int = 256) -> BatchCopyPasteConfig:
    schema = PanopticSchemaSpec(classes=classes, max_instances_per_image=limit)  # pyright: ignore[reportArgumentType]
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))


PLAIN = BatchCopyPasteConfig()
REFUSED = [
    (
        view(rows=ROWS),
        view(rows=ROWS, semantic_maps=LEFT),
        plan(),
        PLAIN,
        "source: got modalities instance.semantic, expected the target's, instance",
    ),
    (
        view(**DEPTH),
        view(**DEPTH),
        plan(),
        PLAIN,
        "^target: got modalities depth, expected image alone or one of instance, instance.normals, ",
    ),
    (
        view(rows=ROWS),
        view(rows={0: (1, 0, LEFT + "\n11..")}, height=5),
        plan(),
        PLAIN,
        r"source: got canvas \(H, W\) \(5, 4\), expected the target's, \(4, 4\)",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS, image=torch.zeros((3, 4, 4), dtype=torch.uint8)),
        plan(),
        PLAIN,
        "source: got channels 3",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS, image=torch.zeros((1, 4, 4))),
        plan(),
        PLAIN,
        "source: got image dtype torch.float32",
    ),
    (
        replace(view(rows=ROWS, **DEPTH, **CAMERA), metric_depth=True),
        view(rows=ROWS, **DEPTH, **CAMERA),
        plan(),
        PLAIN,
        "source.metric_depth: got False, expected the target's, True",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        plan(),
        with_schema({1: "thing"}, limit=3),
        "target: got K = 4 row slots, expected at most max_instances_per_image = 3",
    ),
    (
        view(rows=ROWS),
        view(rows={0: (7, 0, LEFT)}),
        plan(),
        with_schema({1: "thing"}),
        "source.labels: got 7, which the schema lacks",
    ),
    (
        view(rows=ROWS, semantic_maps=LEFT),
        view(rows=ROWS, semantic_maps=LEFT),
        plan(),
        with_schema({1: "thing"}),
        "target.semantic_maps: got 0, which the schema lacks",
    ),
    (
        view(rows={0: (1, 2**31 - 4, LEFT)}),
        view(rows=ROWS),
        plan(),
        PLAIN,
        r"^target.instance_ids: got 2147483644 with K = 4, expected the largest id plus K below 2\*\*31$",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        plan(slots=3),
        PLAIN,
        "plan.order: got 3 slots, expected the source's K = 4",
    ),
    (
        view(rows=ROWS, semantic_maps=LEFT, panoptic_maps=torch.full((1, 4, 4), 2**31 - 4)),
        view(rows=ROWS, semantic_maps=LEFT, panoptic_maps=LEFT),
        plan(),
        PLAIN,
        r"^target.panoptic_maps: got 2147483644 with K = 4, expected the largest id plus K below 2\*\*31$",
    ),
    (
        view(rows=ROWS),
        view(rows=ROWS),
        replace(plan(), source_idx=torch.tensor([1])),
        PLAIN,
        "plan.source_idx: got 1, expected less than 1",
    ),
    (
        view(rows=ROWS).gather(torch.tensor([0, 0])),
        view(rows=ROWS),
        plan(),
        PLAIN,
        "plan: got B = 1, expected the target's, 2",
    ),
    (
        view(semantic_maps=LEFT),
        replace(view(semantic_maps=LEFT), instance_valid=torch.tensor([[True, False, False, False]])),
        plan(),
        PLAIN,
        "^source.boxes: got rows without instance_masks beside semantic_maps, "
        "expected masks for them or no rows$",
    ),
    (
        replace(view(semantic_maps=LEFT), instance_valid=torch.tensor([[True, False, False, False]])),
        view(semantic_maps=LEFT),
        plan(),
        PLAIN,
        "^target.boxes: got rows without",
    ),
]


@pytest.mark.parametrize(("target", "source", "drawn", "config", "message"), REFUSED)
def test_refused_before_anything_is_computed(target, source, drawn, config, message):
    with pytest.raises(ValueError, match=message):
        apply_reference(target, source, drawn, config)


def test_what_is_legal_is_let_through():
    check_views(view(slots=2), view(slots=2), PLAIN)  # image alone
    boxes = replace(view(slots=1), instance_valid=torch.ones((1, 1), dtype=torch.bool))
    check_views(boxes, boxes, PLAIN)
    full = view(rows=ROWS)
    check_views(full, full, with_schema({1: "thing"}, limit=4))  # K is at most the limit
    check_views(view(rows={}), view(rows={}), with_schema({}))


@pytest.mark.parametrize(
    ("shape", "strides", "overlaps"),
    [
        ((4, 4), (4, 1), False),
        ((4, 4), (1, 4), False),
        ((2,), (0,), True),
        ((1, 2), (0, 1), False),  # a dimension of one element is never stepped along
        ((2, 2), (2, 1), False),
        ((2, 3), (2, 1), True),  # rows of three elements, two apart
        ((2, 3), (3, 1), False),
        ((3, 2), (2, 3), True),  # 0, 2, 4 and 3, 5, 7 do not meet, but neither lies past the other
        ((2, 2, 2), (1, 2, 3), True),  # 1 + 2 = 3
        ((2, 2, 2), (1, 2, 4), False),
    ],
)
def test_whether_two_elements_may_share_memory(shape, strides, overlaps):
    assert _overlaps_itself(torch.as_strided(torch.zeros(64), shape, strides)) is overlaps


def test_how_far_a_tensor_reaches_in_memory():
    memory = torch.zeros(60, dtype=torch.int64)
    assert _reach(memory) == 480
    assert _reach(memory[3:7]) == 32
    assert _reach(memory[:0]) == 0
    # Elements 5, 8, 11: the last ends at 12.
    assert _reach(memory[5:12:3]) == 56
    # Rows of 10: the last element is 2 * 10 + 3 * 2 = 26.
    assert _reach(memory.view(6, 10)[:3, :8:2]) == 27 * 8


def image_at(memory: torch.Tensor, begin: int) -> Any:
    return memory[begin : begin + 16].view(1, 1, 4, 4)


def test_memory_of_out():
    memory = torch.zeros(128, dtype=torch.uint8)
    scene = view(rows=ROWS)
    fresh = replace(scene, **{n: v.clone() for n, v in scene.tensors().items()})

    def refused(out: int, target: int, source: int | None = None) -> str | None:
        mine = replace(fresh, images=image_at(memory, out))
        given = replace(scene, images=image_at(memory, target))
        other = given if source is None else replace(view(rows=ROWS), images=image_at(memory, source))
        try:
            check_out(mine, given, other)
        except ValueError as error:
            return str(error)
        return None

    def meets(other: str) -> str:
        return f"out.images: got the memory of {other}.images, expected memory of its own"

    assert refused(16, 0) is None  # side by side
    assert refused(0, 16) is None
    assert refused(15, 0) == meets("target")
    assert refused(0, 15) == meets("target")
    assert refused(64, 0, 60) == meets("source")
    assert refused(8, 0, 4) in (meets("target"), meets("source"))
    assert refused(16, 0, 0) is None  # inputs may share
    assert refused(15, 0, 0) == meets("target")  # the first of two that lie there alike
    # A short input inside of a long one does not hide the long one's end.
    long = replace(scene, images=memory[:64].view(1, 4, 4, 4))
    inner = replace(long, images=torch.zeros((1, 4, 4, 4), dtype=torch.uint8), labels=scene.labels.clone())
    labels = memory[8:40].view(torch.int64).view(1, 4)
    inner = replace(inner, labels=labels)
    mine = replace(fresh, images=memory[48:112].view(1, 4, 4, 4))
    with pytest.raises(ValueError, match="out.images: got the memory of target.images"):
        check_out(mine, long, inner)


def test_memory_of_what_is_not_contiguous():
    scene = view(rows=ROWS)
    out = replace(scene, **{n: v.clone() for n, v in scene.tensors().items()})
    turned: Any = scene.images.transpose(2, 3)
    with pytest.raises(
        ValueError, match="^out.images: got the memory of target.images, expected memory of its"
    ):
        check_out(replace(out, images=turned), scene, scene)
    # An input may lie in its own memory more than once.
    one_value: Any = torch.zeros((1, 1, 1, 1), dtype=torch.uint8).expand(1, 1, 4, 4)
    check_out(out, replace(scene, images=one_value), scene)


def test_fields_without_elements_lie_nowhere():
    none = view(slots=0, rows={})
    with pytest.raises(ValueError, match="out.images: got the memory of target.images"):
        check_out(replace(none, boxes=none.boxes.clone()), none, none)
    check_out(replace(none, images=torch.zeros((1, 1, 4, 4), dtype=torch.uint8)), none, none)  # pyright: ignore[reportArgumentType]


def test_out_of_another_kind_is_refused_and_of_another_layout_taken():
    scene = view(rows=ROWS, **DEPTH, **CAMERA)
    fresh = replace(scene, **{n: v.clone() for n, v in scene.tensors().items()})
    expected = "^out.metric_depth: got True, expected False$"
    with pytest.raises(ValueError, match=expected):
        check_out(replace(fresh, metric_depth=True), scene, scene)
    floats = replace(fresh, images=torch.zeros((1, 1, 4, 4)))  # pyright: ignore[reportArgumentType]
    expected = "^out.images: got torch.float32 on cpu, expected torch.uint8 on cpu$"
    with pytest.raises(ValueError, match=expected):
        check_out(floats, scene, scene)
    turned = replace(fresh, images=torch.zeros((1, 1, 4, 4), dtype=torch.uint8).transpose(2, 3))  # pyright: ignore[reportArgumentType]
    check_out(turned, scene, scene)


def test_other_devices_are_refused():
    meta = view(rows=ROWS).to("meta")
    with pytest.raises(ValueError, match="source: got device meta, expected the target's, cpu"):
        apply_reference(view(rows=ROWS), meta, plan(), PLAIN)
    with pytest.raises(ValueError, match="plan: got device meta, expected cpu"):
        apply_reference(view(rows=ROWS), view(rows=ROWS), plan().to("meta"), PLAIN)


def test_the_largest_legal_id_is_pasted_beside():
    target = view(rows={0: (1, 2**31 - 5, "....\n....\n....\n..11")})
    out, _ = apply_reference(target, view(rows=ROWS), plan(), PLAIN)
    assert out.instance_ids is not None
    assert out.instance_ids[0].tolist() == [2**31 - 5, 2**31 - 4, 0, 0]


def test_an_out_that_must_not_be_written_to():
    scene = view(rows=ROWS, image=torch.zeros((1, 4, 4)), **DEPTH)
    fields = {name: torch.zeros_like(value) for name, value in scene.tensors().items()}
    tracked = replace(scene, **{**fields, "depth": fields["depth"].clone().requires_grad_()})
    with pytest.raises(ValueError, match="out.depth: got a tensor that requires grad"):
        check_out(tracked, scene, scene)
    with torch.inference_mode():
        frozen = replace(scene, **{**fields, "depth": torch.zeros_like(fields["depth"])})
        check_out(frozen, scene, scene)
    with pytest.raises(ValueError, match="out.depth: got a tensor made in inference mode"):
        check_out(frozen, scene, scene)


def test_a_plan_in_the_memory_of_out():
    scene = view(rows=ROWS)
    out = replace(scene, **{name: torch.zeros_like(value) for name, value in scene.tensors().items()})
    drawn = replace(plan(slots=4), order=out.labels.copy_(torch.arange(4)))
    check_out(out, scene, scene)
    with pytest.raises(ValueError, match="out.labels: got the memory of plan.order"):
        check_out(out, scene, scene, drawn)


def test_a_plan_that_ends_in_the_memory_of_out():
    scene = view(rows=ROWS)
    out = replace(scene, **{name: torch.zeros_like(value) for name, value in scene.tensors().items()})
    memory = torch.arange(6)
    labels: Any = memory[2:].view(1, 4)
    drawn = replace(plan(slots=4), order=memory[:4].view(1, 4))
    with pytest.raises(
        ValueError, match="^out.labels: got the memory of plan.order, expected memory of its own$"
    ):
        check_out(replace(out, labels=labels), scene, scene, drawn)


@pytest.mark.parametrize(
    ("known", "table"), [((), [0]), ((0,), [1]), ((1, 4), [0, 1, 0, 0, 1]), ((3, 0), [1, 0, 0, 1])]
)
def test_a_table_has_a_byte_for_every_label_up_to_the_largest(known, table):
    made = _table_of(known)
    assert made.dtype == "uint8"
    assert made.tolist() == table


@pytest.mark.parametrize(("largest", "tables"), [(2**16 - 1, 1), (2**16, 0), (2**62, 0)])
def test_large_labels_are_searched_for_and_not_looked_up(largest, tables, monkeypatch):
    made: list[tuple[int, ...]] = []
    monkeypatch.setattr(inputs, "_table_of", lambda known: made.append(known) or _table_of(known))
    with torch.device("meta"):  # whatever the default device is
        for labels, unknown in (((largest, 3), None), ((3, 4, 5), 4), ((), None)):
            values = torch.tensor(labels, dtype=torch.int64, device="cpu")
            assert _unknown(values, (3, largest)) == unknown
    assert len(made) == 3 * tables

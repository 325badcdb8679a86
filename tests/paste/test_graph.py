"""The graph executor: the reference's bits in every corner, and one graph when compiled.

All modality sets through all compilers, all memory layouts and many more drawn pastes are
in ``tests/parity``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segpaste.paste import apply, apply_with_audit, draw_plan
from segpaste.paste.graph import _winner, paste_graph
from segpaste.paste.plan import draw_from_settings
from segpaste.paste.settings import ClassTables, settings_of, tables_of
from segpaste.strategies import PasteCase, paste_cases
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
    modality_set_name,
)
from tests.parity.test_tiny_pastes import tiny_pastes
from tests.paste.samples import plan, view

FULL = "1111\n1111\n1111\n1111"
EVERYTHING = frozenset(Modality)
CLASS_MIX = frozenset({Modality.IMAGE, Modality.SEMANTIC, Modality.DEPTH, Modality.NORMALS})


def agree(
    target: PaddedBatchedDenseSample,
    source: PaddedBatchedDenseSample,
    drawn: PastePlan,
    config: BatchCopyPasteConfig | None = None,
) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
    """The graph's result, which is the reference's."""
    config = config or BatchCopyPasteConfig()
    expected, told = apply_with_audit(target, source, drawn, config, executor="reference")
    actual, audit = apply_with_audit(target, source, drawn, config, executor="graph")
    assert_same_bits(expected, actual, audits=(told, audit), names=("reference", "graph"))
    return actual, audit


@given(paste_cases())
def test_the_bits_are_the_references(case: PasteCase) -> None:
    try:
        expected, told = apply_with_audit(
            case.target, case.source, case.plan, case.config, executor="reference"
        )
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=str(error)):
            apply(case.target, case.source, case.plan, case.config, executor="graph")
        return
    actual, audit = apply_with_audit(case.target, case.source, case.plan, case.config, executor="graph")
    assert_same_bits(expected, actual, audits=(told, audit), case=case, names=("reference", "graph"))
    assert audit.config is case.config
    assert all(value.is_contiguous() for value in actual.tensors().values())


@pytest.mark.parametrize(
    "kind", ["boxes", "semantic+depth", "instance", "instance+semantic+panoptic+depth+normals"]
)
def test_everything_is_made_on_the_device_of_the_batch(kind: str) -> None:
    """On the device that holds shapes alone a tensor made elsewhere cannot be mixed in."""
    for case in tiny_pastes(kind)[:2]:
        target, source = case.target.to("meta"), case.source.to("meta")
        drawn = case.plan.to("meta")
        config = case.config
        if config.panoptic is not None:  # the assertion reads values
            panoptic = config.panoptic.model_copy(update={"debug_assert_bijection": False})
            config = config.model_copy(update={"panoptic": panoptic})
        out, audit = apply_with_audit(target, source, drawn, config, executor="graph")
        like, told = apply_with_audit(case.target, case.source, case.plan, config, executor="graph")
        for got, wanted in ((out.tensors(), like.tensors()), (vars_of(audit), vars_of(told))):
            assert got.keys() == wanted.keys()
            for name, value in got.items():
                assert value.device.type == "meta", name
                assert (value.shape, value.dtype) == (wanted[name].shape, wanted[name].dtype), name


class Devices(TorchDispatchMode):
    """The devices of all tensors that are made or come out of an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.seen |= {value.device.type for value in tree_leaves(out) if isinstance(value, torch.Tensor)}
        return out


@pytest.mark.parametrize("kind", ["semantic+depth", "instance+semantic+panoptic+depth+normals"])
def test_nothing_is_made_elsewhere_and_moved(kind: str) -> None:
    """A number of the host's that is mixed in is allowed, and makes a GPU wait."""
    for case in tiny_pastes(kind)[:3]:
        tables = ClassTables(*(table.to("meta") for table in tables_of(case.config)))
        settings = replace(settings_of(case.config), debug_assert_bijection=False)  # that reads values
        target, source, drawn = case.target.to("meta"), case.source.to("meta"), case.plan.to("meta")
        with Devices() as devices:
            paste_graph(target, source, drawn, settings, tables, with_audit=True)
        assert devices.seen == {"meta"}


def vars_of(audit: BatchAuditPacket) -> dict[str, torch.Tensor]:
    values = {name: getattr(audit, name) for name in BatchAuditPacket.__dataclass_fields__}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def two_rows(image: torch.Tensor | None = None, **maps: Any) -> PaddedBatchedDenseSample:
    return view(rows={0: (1, 0, FULL), 2: (1, 1, ".11.\n.11.\n....\n....")}, image=image, **maps)


@pytest.mark.parametrize("step", [65536, 65535, 32768, 131072, 40000])
@pytest.mark.parametrize("value", [-0.0, 0.0, -(2.0**-149), 3.4e38, -1.0])
def test_signs_of_zero_and_the_ends_of_float32(value, step):
    """A tap that stands alone keeps -0; of several taps that are -0 each the sum is +0."""
    source = two_rows(torch.full((1, 4, 4), value))
    out, audit = agree(view(rows={}, image=torch.ones((1, 4, 4))), source, plan(step=step))
    assert audit.paste_union.any()
    if step == 65536:
        assert torch.equal(
            out.tensors()["images"].view(torch.int32), source.tensors()["images"].view(torch.int32)
        )


def test_a_tap_of_weight_zero_is_not_read():
    """At scale 1 every value stands alone, and what is next to it may be anything."""
    image = torch.zeros((1, 4, 4))
    image[0, :, 1::2] = torch.inf
    out, _ = agree(view(rows={}, image=torch.ones((1, 4, 4))), two_rows(image), plan())
    assert torch.equal(out.tensors()["images"][0], image)


@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -1.0, 0.0])
@pytest.mark.parametrize("step", [65536, 50000, 90000])
@pytest.mark.parametrize("metric", [False, True])
def test_nothing_is_read_where_depth_is_invalid(garbage, step, metric):
    valid = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 0], [0, 1, 0, 1]], dtype=torch.bool)[
        None, None
    ]
    depth = torch.where(valid, 1.75, garbage)
    maps: dict[str, Any] = {"metric_depth": metric, "depth_valid": valid}
    if metric:
        maps["camera_intrinsics"] = torch.tensor([[500.0, 510.0, 2.0, 2.0]], dtype=torch.float64)
    target = view(rows={}, depth=torch.full((1, 1, 4, 4), 9.0), **maps)
    out, audit = agree(target, two_rows(depth=depth, **maps), plan(step=step, hflip=True))
    assert audit.warped_depth is not None
    assert audit.warped_depth.isfinite().all()
    assert out.depth is not None


@pytest.mark.parametrize("depth", [1e-45, 3e38])
@pytest.mark.parametrize("step", [1, 2**24])
def test_depth_that_leaves_float32_is_invalid(depth, step):
    maps: dict[str, Any] = {
        "metric_depth": True,
        "depth_valid": torch.ones((1, 1, 4, 4), dtype=torch.bool),
        "camera_intrinsics": torch.tensor([[500.0, 510.0, 2.0, 2.0]], dtype=torch.float64),
    }
    target = view(rows={}, depth=torch.full((1, 1, 4, 4), 9.0), **maps)
    source = two_rows(depth=torch.full((1, 1, 4, 4), depth), **maps)
    agree(target, source, plan(step=step), BatchCopyPasteConfig(z_test=False))


@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("step", [65536, 50000])
def test_normals_that_cancel_and_normals_that_are_none(hflip, step):
    normals = torch.zeros((1, 3, 4, 4))
    normals[:, 0] = torch.tensor([[-1.0, 1.0, -1.0, 1.0]] * 4)
    normals[:, :, 2] = -0.0
    normals[:, 2, 3] = -(2.0**-30)  # too short for 2**-25: no normal
    agree(
        view(rows={}, normals=torch.full((1, 3, 4, 4), 0.5)),
        two_rows(normals=normals),
        plan(step=step, hflip=hflip),
    )


def test_ids_next_to_the_largest():
    largest = 2**31 - 1 - 4
    target = view(rows={1: (1, largest, "1...\n....\n....\n....")})
    out, _ = agree(target, two_rows(), plan())
    assert out.instance_ids is not None
    assert out.instance_ids.tolist() == [[largest + 1, 0, largest + 2, 0]]


@pytest.mark.parametrize("priority", [{}, {1: -5, 2: (2**31 - 1)}, {1: 2, 2: -(2**31 - 1)}])
def test_priorities_of_any_size_decide_before_the_order(priority):
    source = view(rows={0: (1, 0, FULL), 1: (2, 1, FULL), 2: (3, 2, FULL)})
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "thing", 3: "thing"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, class_priority=priority))
    for order in ([0, 1, 2, 3], [2, 1, 0, 3], [1, 3, 0, 2]):
        out, _ = agree(view(rows={}), source, plan(order=order), config)
        last = [j for j in order if j < 3][-1] + 1
        winner = max((1, 2, 3), key=lambda c: (priority.get(c, 0), c == last))
        assert out.labels[out.instance_valid].tolist() == [winner]


@pytest.mark.parametrize("area", [0, 5, 2**31 - 1])
@pytest.mark.parametrize("policy", ["revert", "ignore"])
def test_a_least_area_of_any_size(area, policy):
    schema = PanopticSchemaSpec(classes={1: "thing", 7: "stuff", 8: "stuff"})
    config = BatchCopyPasteConfig(
        panoptic=PanopticPasteConfig(
            taxonomy=schema, stuff_min_area={7: area}, stuff_policy=policy, tau_stuff_frac=0.0
        )
    )
    target = view(rows={}, semantic_maps="7777\n7777\n8888\n8888")
    source = view(rows={0: (1, 0, ".11.\n.11.\n.11.\n....")}, semantic_maps="1111\n" * 4)
    _, audit = agree(target, source, plan(), config)
    assert int(audit.paste_union.sum()) == (2 if area > 4 and policy == "revert" else 6)


@pytest.mark.parametrize("slots", [255, 256, 300])
def test_ranks_beyond_a_byte(slots):
    rows = {j: (1, j, "1...\n....\n....\n....") for j in range(slots)}
    source = view(rows=rows, slots=slots)
    out, audit = agree(view(rows={}, slots=slots), source, plan(slots=slots, count=slots))
    assert audit.row_source is not None
    assert audit.row_source[out.instance_valid].tolist() == [slots - 1]


def test_an_audit_is_made_where_one_is_asked_for():
    case = tiny_pastes("instance")[0]
    arguments = (case.target, case.source, case.plan, settings_of(case.config), tables_of(case.config))
    assert paste_graph(*arguments)[1] is None
    assert paste_graph(*arguments, with_audit=True)[1] is not None


@pytest.mark.parametrize("slots", [1, 255, 256, 2**15 - 1, 2**15])
def test_the_winner_has_the_largest_rank_however_many_there_are(slots):
    """One pixel, all masks set, any of the ranks in any place."""
    grid: Any = SimpleNamespace(
        inside=torch.ones((1, 1, 1), dtype=torch.bool), at_nearest=lambda masks: masks
    )
    masks = torch.ones((1, slots, 1, 1), dtype=torch.bool)
    rank = torch.arange(1, slots + 1)[None].roll(slots // 2)
    winner = _winner(grid, masks, rank)
    assert (winner.dtype, winner.tolist()) == (torch.int64, [[[slots]]])


@pytest.mark.parametrize("shape", [(0, 3, 2, 3), (2, 0, 2, 3), (2, 3, 2, 0), (2, 0, 1, 0), (0, 0, 0, 0)])
def test_empty_batches_and_views_without_slots(shape):
    """Targets, their slots, sources, their slots."""
    b, k, b_s, k_s = shape
    target = view(rows={}, slots=k, height=1, width=1).gather(torch.zeros(b, dtype=torch.int64))
    rows = {0: (1, 0, "1")} if k_s else {}
    source = view(rows=rows, slots=k_s, height=1, width=1).gather(torch.zeros(b_s, dtype=torch.int64))
    drawn = draw_plan(
        target,
        source,
        torch.arange(b),
        BatchCopyPasteConfig(),
        source_idx=torch.arange(b).clamp(max=max(b_s - 1, 0)),
    )
    out, audit = agree(target, source, drawn)
    assert bool(audit.paste_union.any()) == (b > 0 and k > 0 and k_s > 0)
    assert out.batch_size == b


def test_a_source_that_is_all_padding_is_never_seen():
    source = replace(two_rows(), padding_mask=torch.ones((1, 1, 4, 4), dtype=torch.bool))
    target = replace(view(rows={}), padding_mask=torch.zeros((1, 1, 4, 4), dtype=torch.bool))
    for hflip in (False, True):
        _, audit = agree(target, source, plan(hflip=hflip))
        assert not audit.paste_union.any()


def test_labels_in_any_layout_are_found_without_a_warning():
    batch, config = drawn_batch(EVERYTHING)
    strided = {n: torch.stack((v, v), dim=-1)[..., 0] for n, v in batch.tensors().items()}
    other = PaddedBatchedDenseSample(**strided, metric_depth=batch.metric_depth)  # pyright: ignore[reportArgumentType]
    drawn = draw_plan(other, other, torch.tensor([3, 4, 5]), config)
    assert_same_bits(
        apply(batch, batch, drawn, config, executor="graph"), agree(other, other, drawn, config)[0]
    )


def test_out_is_written_completely_and_returned():
    batch, config = drawn_batch(EVERYTHING)
    drawn = draw_plan(batch, batch, torch.tensor([3, 4, 5]), config)
    expected = apply(batch, batch, drawn, config, executor="graph")
    out = PaddedBatchedDenseSample(
        **{n: torch.ones_like(v).fill_(1) for n, v in batch.tensors().items()},  # pyright: ignore[reportArgumentType]
        metric_depth=batch.metric_depth,
    )
    assert apply(batch, batch, drawn, config, executor="graph", out=out) is out
    assert_same_bits(expected, out)


def test_overlapping_masks_are_reported_with_the_assertion_on():
    schema = PanopticSchemaSpec(classes={1: "thing"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema, debug_assert_bijection=True))
    target = view(
        rows={0: (1, 1, "11..\n....\n....\n...."), 1: (1, 2, ".11.\n....\n....\n....")},
        semantic_maps="111.\n....\n....\n....".replace(".", "1"),
        panoptic_maps="112.\n....\n....\n....",
    )
    for executor in ("reference", "graph"):
        with pytest.raises(RuntimeError, match="debug_assert_bijection: 1 pixels belong to more than one"):
            apply(target, target, plan(count=0), config, executor=executor)


class CountOperations(TorchDispatchMode):
    """How many operations a call takes, which on a GPU are its launches."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.number += 1
        return func(*args, **(kwargs or {}))


def drawn_batch(
    modalities: frozenset[Modality], *, samples: int = 3, slots: int = 6, seed: int = 0, side: int = 12
) -> tuple[PaddedBatchedDenseSample, BatchCopyPasteConfig]:
    """Scenes of one frame and the same fields, and a configuration with their class table."""
    scenes = scenes_from_seed(
        seed,
        samples,
        modalities=modalities,
        canvas=(side, side + 3),
        max_instances=max(slots // 2, 1),
        image_dtypes=(torch.float32,),
        channels=(3,),
        metric=False if Modality.DEPTH in modalities else None,
    )
    batch = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(slots)
    batch = replace(batch, camera_intrinsics=None)
    if batch.padding_mask is None:
        nothing = torch.zeros((samples, 1, side, side + 3), dtype=torch.bool)
        batch = replace(batch, padding_mask=nothing)  # pyright: ignore[reportArgumentType]
    panoptic = PanopticPasteConfig(taxonomy=DEFAULT_SCHEMA, class_priority={1: 1}, stuff_min_area={3: 2})
    return batch, BatchCopyPasteConfig(panoptic=panoptic)


@pytest.mark.parametrize("modalities", [EVERYTHING, CLASS_MIX], ids=modality_set_name)
def test_the_number_of_operations_does_not_depend_on_the_sizes(modalities):
    def count(samples: int, slots: int, side: int) -> int:
        batch, config = drawn_batch(modalities, samples=samples, slots=slots, side=side)
        settings, tables = settings_of(config), tables_of(config)
        seeds = torch.arange(samples)
        with CountOperations() as counted:
            drawn = draw_from_settings(batch, batch, seeds, settings, tables)
            paste_graph(batch, batch, drawn, settings, tables)
        return counted.number

    assert len({count(2, 2, 6), count(7, 2, 6), count(3, 24, 9), count(5, 12, 40)}) == 1


Function = Callable[[PaddedBatchedDenseSample, torch.Tensor], PaddedBatchedDenseSample]


def draw_and_paste(config: BatchCopyPasteConfig) -> Function:
    settings, tables = settings_of(config), tables_of(config)

    def function(batch: PaddedBatchedDenseSample, seeds: torch.Tensor) -> PaddedBatchedDenseSample:
        drawn = draw_from_settings(batch, batch, seeds, settings, tables)
        return paste_graph(batch, batch, drawn, settings, tables)[0]

    return function


def compiled(function: Function, backend: str) -> tuple[Function, CompileCounterWithBackend]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    counter = CompileCounterWithBackend(backend)
    return torch.compile(function, fullgraph=True, backend=counter), counter


@pytest.mark.parametrize(
    ("modalities", "backend"),
    [
        (EVERYTHING, "eager"),
        (CLASS_MIX, "aot_eager"),
        (frozenset({Modality.IMAGE, Modality.INSTANCE}), "aot_eager"),
        (frozenset({Modality.IMAGE}), "aot_eager"),
    ],
)
def test_one_graph_for_all_batches_of_a_shape(modalities, backend):
    _, config = drawn_batch(modalities)
    function, counter = compiled(draw_and_paste(config), backend)
    pasted = 0
    for seed in range(3):
        batch, _ = drawn_batch(modalities, seed=seed)
        seeds = torch.arange(3) * 977 + seed
        drawn = draw_plan(batch, batch, seeds, config)
        expected, audit = apply_with_audit(batch, batch, drawn, config, executor="reference")
        assert_same_bits(expected, function(batch, seeds), names=("reference", f"compiled by {backend}"))
        pasted += int(audit.paste_union.sum())
    assert (pasted > 0) == (modalities != {Modality.IMAGE})
    assert counter.frame_count == 1
    assert not torch._dynamo.utils.counters["graph_break"]


CHANGES: dict[str, list[tuple[dict[str, Any], list[tuple[int, int, int]]]]] = {
    "sizes": [({}, [(3, 6, 12), (4, 8, 9)])],
    "sizes and settings": [
        ({}, [(3, 6, 12), (4, 8, 9)]),
        ({"min_area": 5, "min_residual_area_frac": 0.7, "min_pasted_area": 4}, [(3, 6, 12)]),
    ],
}


@pytest.mark.parametrize("changes", ["sizes", pytest.param("sizes and settings", marks=pytest.mark.nightly)])
def test_sizes_that_change_and_another_configuration(changes: str):
    """Dynamo makes symbols of sizes and numbers when it sees a second value of them."""
    modalities = frozenset({Modality.IMAGE, Modality.INSTANCE})
    torch._dynamo.reset()
    for change, sizes in CHANGES[changes]:
        config = drawn_batch(modalities)[1].model_copy(update=change)
        function = torch.compile(draw_and_paste(config), fullgraph=True, backend="eager")
        for samples, slots, side in sizes:
            batch, _ = drawn_batch(modalities, samples=samples, slots=slots, side=side)
            seeds = torch.arange(samples)
            drawn = draw_plan(batch, batch, seeds, config)
            expected = apply(batch, batch, drawn, config, executor="reference")
            assert_same_bits(expected, function(batch, seeds))


def test_an_audit_comes_out_of_a_graph_too():
    batch, config = drawn_batch(EVERYTHING)
    settings, tables = settings_of(config), tables_of(config)

    def function(batch: PaddedBatchedDenseSample, drawn: PastePlan) -> Any:
        return paste_graph(batch, batch, drawn, settings, tables, with_audit=True)

    torch._dynamo.reset()
    drawn = draw_plan(batch, batch, torch.arange(3), config)
    expected, told = apply_with_audit(batch, batch, drawn, config, executor="reference")
    actual, audit = torch.compile(function, fullgraph=True, backend="eager")(batch, drawn)
    assert_same_bits(expected, actual, audits=(told, replace(audit, config=config)))


def test_settings_and_tables_are_made_once():
    schema = PanopticSchemaSpec(classes={5: "thing", 2: "stuff"}, ignore_index=0)
    config = BatchCopyPasteConfig(
        panoptic=PanopticPasteConfig(taxonomy=schema, class_priority={5: -1}, stuff_min_area={2: 3}),
        placement=BatchedPlacementConfig(scale_range=(0.5, 1.5), pad_to_multiple=16, patch_aligned=True),
    )
    settings, tables = settings_of(config), tables_of(config)
    assert settings_of(config.model_copy()) is settings
    assert tables_of(config.model_copy()) is tables
    assert (settings.scale_q16, settings.alignment, settings.pad_to_multiple) == ((32768, 98304), 16, 16)
    assert (settings.ignore_index, settings.reverts, settings.has_schema) == (0, True, True)
    assert tables.find(torch.tensor([[2, 5], [0, 255]])).tolist() == [[0, 1], [2, 2]]
    assert tables.is_thing.tolist() == [False, True, False]
    assert tables.is_stuff.tolist() == [True, False, False]
    assert tables.priority.tolist() == [1, 0, 1]  # by rank, and no entry counts as 0
    assert tables.min_area.tolist() == [3, 0, 0]
    without = tables_of(BatchCopyPasteConfig())
    assert without.find(torch.tensor([0, 7])).tolist() == [0, 0]
    assert not settings_of(BatchCopyPasteConfig()).has_schema
    assert (
        settings_of(BatchCopyPasteConfig(placement=BatchedPlacementConfig(pad_to_multiple=8))).alignment == 1
    )

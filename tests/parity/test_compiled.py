"""``torch.compile(fullgraph=True)``: one graph per modality set, and still the reference's bits.

Graphs are counted where they arrive, at the backend: a list of reasons for graph breaks can
be empty while there are some. Four sets go through inductor in ``make test``, the others
through aot_eager; in ``make nightly`` all go through inductor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounterWithBackend
from torch._dynamo.utils import counters

from segpaste.augmentation import BatchCopyPaste
from segpaste.paste import apply_with_audit, draw_plan
from segpaste.paste.graph import paste_graph
from segpaste.paste.plan import draw_from_settings
from segpaste.paste.rng import to_int64
from segpaste.paste.settings import settings_of, tables_of
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import PLAN_BYTES, PasteCase, draw_any_plan, draw_source_rows, spread
from segpaste.strategies.samples import readers
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.testing.parity import assert_same_bits
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    modality_set_name,
)
from tests.parity.drawn import IMAGE_ONLY, KINDS

CANVAS = (11, 14)
BATCH, SLOTS = 3, 7
SOURCES, SOURCE_SLOTS = 2, 5
STEPS = 6

ALL = frozenset(Modality)

PANOPTIC = PanopticPasteConfig(
    taxonomy=DEFAULT_SCHEMA,
    class_priority={1: 2, 4: -1},
    stuff_min_area={0: 3},
    tau_stuff_frac=0.25,
)
PLAIN = BatchCopyPasteConfig(min_area=2, placement=BatchedPlacementConfig(k_range=(1, 5)))
CONFIGS: dict[str, BatchCopyPasteConfig] = {
    "no schema": PLAIN,
    "schema": PLAIN.model_copy(update={"panoptic": PANOPTIC}),
    "schema, ignore": PLAIN.model_copy(
        update={"panoptic": PANOPTIC.model_copy(update={"stuff_policy": "ignore"}), "z_test": False}
    ),
}


def _module_cases() -> Iterator[tuple[str, str]]:
    """Every set with every configuration that ``BatchCopyPaste`` takes for it."""
    for kind, (modalities, _) in KINDS.items():
        yield kind, "no schema"
        if Modality.PANOPTIC in modalities:
            yield kind, "schema"


THROUGH_INDUCTOR = (
    ("instance", "no schema"),
    ("semantic", "no schema"),
    ("instance+depth+normals", "no schema"),
    (modality_set_name(ALL), "schema"),
)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def batch_of_one_shape(
    kind: str, seed: int, size: int, slots: int, dtype: torch.dtype, metric: bool
) -> PaddedBatchedDenseSample:
    """Samples whose shape and fields depend on nothing but the kind."""
    modalities, detection = KINDS[kind]
    scenes = scenes_from_seed(
        seed,
        size,
        max_instances=min(slots, 5),
        modalities=modalities,
        detection=detection,
        canvas=CANVAS,
        image_dtypes=(dtype,),
        channels=(3,),
        metric=metric and Modality.DEPTH in modalities,
    )
    padded = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(slots)
    if padded.padding_mask is None:
        padding = torch.zeros((size, 1, *CANVAS), dtype=torch.bool)
        padded = replace(padded, padding_mask=padding)  # pyright: ignore[reportArgumentType]
    return padded if padded.metric_depth else replace(padded, camera_intrinsics=None)


def check_one_graph(compiled: CompileCounterWithBackend) -> None:
    """Fail unless there was one graph, complete, compiled once."""
    assert compiled.frame_count == 1
    assert counters["stats"]["unique_graphs"] == 1
    assert sum(counters["graph_break"].values()) == 0


def _module_through(backend: str, kind: str, config: BatchCopyPasteConfig, dtype: torch.dtype) -> None:
    augment = BatchCopyPaste(config)
    compiled = CompileCounterWithBackend(backend)
    step = torch.compile(augment, fullgraph=True, backend=compiled)
    pasted = 0
    for number in range(STEPS):
        batch = batch_of_one_shape(kind, number, BATCH, SLOTS, dtype, metric=True)
        seeds = torch.tensor([to_int64(spread(10 * number + b)) for b in range(BATCH)])
        plan = draw_plan(batch, batch, seeds, config)
        expected, audit = apply_with_audit(batch, batch, plan, config, executor="reference")
        pasted += int(audit.paste_union.any())
        case = PasteCase(batch, batch, plan, config, number)
        eager = augment(batch, seeds=seeds)
        assert_same_bits(expected, eager, case=case, names=("reference", "eager"))
        # Seeds and values of other batches are no reason to compile again.
        with torch._dynamo.config.patch(error_on_recompile=True):
            actual = step(batch, seeds=seeds)
        assert_same_bits(expected, actual, case=case, names=("reference", f"compiled by {backend}"))
    check_one_graph(compiled)
    assert pasted >= (2 if KINDS[kind][0] != IMAGE_ONLY else 0)


def _dtype_of(kind: str) -> torch.dtype:
    return (torch.uint8, torch.float32)[list(KINDS).index(kind) % 2]


@pytest.mark.parametrize(("kind", "config"), THROUGH_INDUCTOR)
def test_the_module_through_inductor(kind: str, config: str) -> None:
    _module_through("inductor", kind, CONFIGS[config], _dtype_of(kind))


@pytest.mark.parametrize(
    ("kind", "config"), [case for case in _module_cases() if case not in THROUGH_INDUCTOR]
)
def test_the_module_through_aot_eager(kind: str, config: str) -> None:
    _module_through("aot_eager", kind, CONFIGS[config], _dtype_of(kind))


@pytest.mark.nightly
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])
@pytest.mark.parametrize(("kind", "config"), list(_module_cases()))
def test_every_module_through_inductor(kind: str, config: str, dtype: torch.dtype) -> None:
    _module_through("inductor", kind, CONFIGS[config], dtype)


def _graph_through(backend: str, kind: str, config: BatchCopyPasteConfig, dtype: torch.dtype) -> None:
    """The compiled graph under plans of the whole legal range, from another view."""
    settings_, tables = settings_of(config), tables_of(config)
    compiled = CompileCounterWithBackend(backend)

    @torch.compile(fullgraph=True, backend=compiled)
    def paste(target: Any, source: Any, plan: Any) -> Any:
        return paste_graph(target, source, plan, settings_, tables, with_audit=True)

    bytes_ = PLAN_BYTES + SOURCE_SLOTS
    union: list[bool] = []

    @given(st.integers(0, 2**32 - 1), readers(2 * BATCH), st.tuples(*[readers(bytes_)] * BATCH))
    def agrees(seed: int, rows: Choices, each: tuple[Choices, ...]) -> None:
        key = spread(seed)
        target = batch_of_one_shape(kind, key, BATCH, SLOTS, dtype, metric=True)
        source = batch_of_one_shape(
            kind, (key + 1) % 2**64, SOURCES, SOURCE_SLOTS, dtype, metric=target.metric_depth
        )
        plan = draw_any_plan(
            each, target, source, config, draw_source_rows(rows, BATCH, SOURCES, intra_batch=False)
        )
        expected, told = apply_with_audit(target, source, plan, config, executor="reference")
        union.append(bool(told.paste_union.any()))
        with torch._dynamo.config.patch(error_on_recompile=True):
            actual, audit = paste(target, source, plan)
        assert_same_bits(
            expected,
            actual,
            audits=(told, replace(audit, config=config)),
            case=PasteCase(target, source, plan, config, seed),
            names=("reference", f"graph compiled by {backend}"),
        )

    agrees()
    check_one_graph(compiled)
    assert sum(union) >= (len(union) / 4 if KINDS[kind][0] != IMAGE_ONLY else 0)


def test_the_graph_through_inductor() -> None:
    _graph_through("inductor", modality_set_name(ALL), CONFIGS["schema, ignore"], torch.float32)


@pytest.mark.nightly
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_graph_through_inductor(kind: str, config: str) -> None:
    _graph_through("inductor", kind, CONFIGS[config], _dtype_of(kind))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_plans_are_drawn_alike_eager_and_compiled(backend: str) -> None:
    config = CONFIGS["schema"]
    settings_, tables = settings_of(config), tables_of(config)
    compiled = CompileCounterWithBackend(backend)

    @torch.compile(fullgraph=True, backend=compiled)
    def draw(batch: Any, seeds: torch.Tensor) -> Any:
        return draw_from_settings(batch, batch, seeds, settings_, tables)

    @settings(max_examples=50)
    @given(
        st.integers(0, 2**32 - 1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=BATCH, max_size=BATCH)
    )
    def alike(number: int, seeds: list[int]) -> None:
        batch = batch_of_one_shape("instance", spread(number), BATCH, SLOTS, torch.uint8, metric=False)
        drawn = torch.tensor(seeds)
        eager, actual = draw_plan(batch, batch, drawn, config), draw(batch, drawn)
        for name in ("source_idx", "step", "translate", "hflip", "order", "count", "mix_key"):
            assert torch.equal(getattr(eager, name), getattr(actual, name)), name

    alike()
    check_one_graph(compiled)

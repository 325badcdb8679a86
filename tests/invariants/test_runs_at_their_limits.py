"""The laws of several runs where a clause of theirs decides: limits, empty batches, what is left out."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.invariants import InvariantReport, MetamorphicCase, check_metamorphic, laws
from segpaste.invariants.metamorphic_case import Executor
from segpaste.invariants.metamorphic_laws import (
    ADDED_SLOTS,
    _largest_id,  # pyright: ignore[reportPrivateUsage]
    _renaming,  # pyright: ignore[reportPrivateUsage]
    _valid_widths,  # pyright: ignore[reportPrivateUsage]
)
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from tests.invariants.invariant_cases import (
    Case,
    joined_cases,
    paste_by_expectation,
    random_case,
    with_fields,
)
from tests.invariants.test_breakers import ROUND_TRIPS, _lose_something

ALL = LEGAL_MODALITY_SETS[-1]
ROWS = LEGAL_MODALITY_SETS[0]
DEPTH = next(m for m in LEGAL_MODALITY_SETS if Modality.DEPTH in m and Modality.INSTANCE in m)
LABELLED = next(
    m
    for m in LEGAL_MODALITY_SETS
    if {Modality.SEMANTIC, Modality.INSTANCE} <= m and Modality.PANOPTIC not in m
)
FULL = "the schema allows no more slots"


def judged(case: Case, law: str, **changes: Any) -> InvariantReport:
    several = MetamorphicCase(case.target, case.source, case.plan, case.config, paste_by_expectation)
    (report,) = check_metamorphic(replace(several, **changes), only=f"metamorphic.{law}")
    return report


def config_of(*classes: int, limit: int = 256, ignore: int = 255) -> BatchCopyPasteConfig:
    taxonomy = PanopticSchemaSpec(
        classes=dict.fromkeys(classes, "thing"), ignore_index=ignore, max_instances_per_image=limit
    )
    return BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=taxonomy))


# --- what is left out -----------------------------------------------------------------


def test_depth_takes_no_part_once_the_z_test_is_off() -> None:
    """With the z-test on, hidden rows would make the difference."""
    met = 0
    for seed in range(12):
        case = random_case(
            seed, DEPTH, canvas=(4, 5), slots=5, source_slots=3, count=3, z_test=True, schema=False
        )
        assert judged(case, "depth_takes_no_part").ok, seed
        with_test = paste_by_expectation(case.target, case.source, case.plan, case.config)[1].paste_union
        plain = case.config.model_copy(update={"z_test": False})
        without = paste_by_expectation(case.target, case.source, case.plan, plain)[1].paste_union
        met += not torch.equal(with_test, without)
    assert met > 0


def test_labels_take_no_part_once_nothing_is_ignore_and_there_is_no_schema() -> None:
    met_schema = met_target = met_source = 0
    for seed in range(16):
        wanted = {"canvas": (4, 5), "slots": 5, "source_slots": 3, "count": 3, "padding": False}
        case = random_case(seed, LABELLED, schema=True, ignore_share=0.3, tau=0.9, **wanted)
        assert judged(case, "semantic_takes_no_part").ok, seed
        plain = case.config.model_copy(update={"panoptic": None})

        def union(config: BatchCopyPasteConfig, target: Any, source: Any, case: Case = case) -> torch.Tensor:
            return paste_by_expectation(target, source, case.plan, config)[1].paste_union

        def filled(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
            labels = batch.tensors()["semantic_maps"]
            return with_fields(batch, semantic_maps=torch.where(labels == 255, 0, labels))

        clean = union(plain, filled(case.target), filled(case.source))
        met_schema += not torch.equal(union(case.config, filled(case.target), filled(case.source)), clean)
        met_target += not torch.equal(union(plain, case.target, filled(case.source)), clean)
        met_source += not torch.equal(union(plain, filled(case.target), case.source), clean)
    assert min(met_schema, met_target, met_source) > 0


# --- black boxes ----------------------------------------------------------------------


@pytest.mark.parametrize(("size", "at"), [(1, 0), (2, 1), (3, 1)])
def test_a_black_box_gets_its_seed_and_its_donor_every_time(size: int, at: int) -> None:
    case = joined_cases(3, 3, ALL)
    source = case.source.gather(slice(0, size))
    wanted = source.tensors()["images"][at]
    calls: list[int] = []

    def copies(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        assert torch.equal(donor.image.as_subclass(torch.Tensor), wanted)
        calls.append(seed)
        return target

    reports = check_metamorphic(MetamorphicCase(case.target, source, augment=copies, seed=11))
    assert [str(r) for r in reports if not r.ok] == []
    assert set(calls) == {11}
    assert len(calls) >= 6


def test_without_samples_or_without_donors_there_is_nothing_to_run() -> None:
    def refuses(*arguments: Any) -> Any:
        raise RuntimeError

    case = joined_cases(3, 1, ALL)
    nobody = case.target.gather(slice(0, 0))
    names = [law.name for law in laws("metamorphic")]
    for target, source in ((case.target, nobody), (nobody, case.source), (nobody, nobody)):
        box = MetamorphicCase(target, source, augment=refuses)
        for report in check_metamorphic(box):
            assert report.status != "violated", (report, names)
    one = MetamorphicCase(case.target, case.source, augment=lambda target, donor, seed: target)
    (report,) = check_metamorphic(one, only="metamorphic.same_seed_same_bits")
    assert report.status == "held"


def test_what_a_run_does_to_its_arguments_is_said_of_each() -> None:
    case = joined_cases(3, 2, ALL)

    def paints_the_source(target: Any, source: Any, *rest: Any) -> Any:
        out = paste_by_expectation(target, source, *rest)
        source.images.as_subclass(torch.Tensor).view(-1)[0] += 1
        return out

    report = judged(case, "inputs_not_mutated", apply=paints_the_source)
    assert report.message.startswith("source after the run: images[0, 0, 0, 0] is ")

    def paints_its_target(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        target.image.as_subclass(torch.Tensor).view(-1)[0] += 1
        return target

    report = judged(case, "inputs_not_mutated", apply=None, augment=paints_its_target)
    assert report.message.startswith("target after the run: image[0, 0, 0] is ")


def test_an_empty_donor_is_labelled_with_the_configurations_ignore() -> None:
    case = joined_cases(3, 2, ALL)
    seen: list[list[int]] = []

    def looks(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        assert donor.semantic_map is not None
        seen.append(donor.semantic_map.unique().tolist())
        return target

    for config, ignore in ((config_of(1, 2, 3, ignore=9), 9), (None, 255)):
        judged(replace(case, config=config), "empty_source_is_identity", apply=None, augment=looks)  # pyright: ignore[reportArgumentType]
        assert seen.pop() == [ignore]


# --- generators -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seeds", "whose"),
    [
        (lambda: random.seed(3), "Python"),
        (lambda: np.random.seed(3), "NumPy"),
        (lambda: torch.manual_seed(3), "torch"),
        (lambda: np.random.random(312), "NumPy"),
    ],
)
def test_seeding_is_noticed_even_if_all_runs_do_it(seeds: Callable[[], object], whose: str) -> None:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:

        def run(*arguments: Any) -> Any:
            seeds()
            return paste_by_expectation(*arguments)

        case = joined_cases(3, 1, ROWS)
        for _ in range(2):
            seeds()
            report = judged(case, "generators_untouched", apply=run)
            assert report.message == f"{whose}'s global generator was moved on or seeded"
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


# --- slots ----------------------------------------------------------------------------


def test_slots_up_to_what_the_schema_allows() -> None:
    case = joined_cases(3, 2, ROWS)
    for law, slots in (
        ("larger_target_capacity", case.target.max_instances),
        ("larger_source_capacity", case.source.max_instances),
    ):
        enough = config_of(1, 2, 3, limit=slots + ADDED_SLOTS)
        assert judged(replace(case, config=enough), law).message != FULL
        assert (
            judged(replace(case, config=config_of(1, 2, 3, limit=slots + ADDED_SLOTS - 1)), law).message
            == FULL
        )


@pytest.mark.parametrize(("largest", "room"), [(100, True), (2**31 - 10, True), (2**31 - 9, False)])
@pytest.mark.parametrize("of", ["row", "map"])
def test_slots_as_far_as_ids_go(largest: int, room: bool, of: str) -> None:
    case = joined_cases(3, 2, ALL)
    assert case.target.max_instances + ADDED_SLOTS == 9
    fields = case.target.tensors()
    name = "instance_ids" if of == "row" else "panoptic_maps"
    changed = fields[name].clone()
    changed.view(-1)[0] = largest
    target = with_fields(case.target, **{name: changed})
    assert _largest_id(target) == largest
    report = judged(replace(case, target=target), "larger_target_capacity")
    assert (report.message != "the ids leave no room for more slots") is room


def test_no_slots_no_ids() -> None:
    case = random_case(3, ROWS, canvas=(4, 5), slots=0, source_slots=2, schema=False)
    assert judged(case, "larger_target_capacity").status != "violated"


def test_only_samples_with_room_are_given_more() -> None:
    case = joined_cases(3, 2, ROWS)
    fields = {name: value.clone() for name, value in case.target.tensors().items()}
    fields["instance_valid"][0] = True
    plan = replace(case.plan, count=torch.full_like(case.plan.count, 3))
    sizes: list[int] = []

    def run(target: Any, *rest: Any) -> Any:
        sizes.append(target.batch_size)
        assert rest[1].batch_size == target.batch_size
        return paste_by_expectation(target, *rest)

    full = replace(case, target=with_fields(case.target, **fields), plan=plan)
    report = judged(full, "larger_target_capacity", apply=run)
    assert report.status in ("held", "not_exercised")
    assert report.message in ("", "nothing was pasted")
    assert sizes == [1, 1]


def test_room_for_exactly_as_many_as_are_offered_is_enough() -> None:
    case = random_case(3, ROWS, canvas=(4, 5), slots=5, source_slots=3, schema=False, padding=False)
    valid = torch.tensor([[True, True, False, False, True]])
    masks = torch.ones(1, 3, 4, 5, dtype=torch.bool)
    source = with_fields(
        case.source,
        instance_masks=masks,
        instance_valid=torch.tensor([[True] * 3]),
        labels=torch.ones(1, 3).long(),
    )
    target = with_fields(case.target, instance_valid=valid)
    for count, bound in ((2, False), (3, True)):
        plan = replace(case.plan, count=torch.tensor([count]), order=torch.tensor([[0, 1, 2]]))
        report = judged(replace(case, target=target, source=source, plan=plan), "larger_target_capacity")
        assert (report.message == "capacity binds in every sample") is bound


# --- batches --------------------------------------------------------------------------


def test_a_batch_beside_its_copy_is_tried() -> None:
    case = joined_cases(3, 2, ROWS)

    def run(target: Any, *rest: Any) -> Any:
        out, told = paste_by_expectation(target, *rest)
        if target.batch_size > 2:
            out = with_fields(out, images=out.tensors()["images"] + 1)
        return out, told

    report = judged(case, "batch_independence", apply=run)
    assert report.message.startswith("the batch beside a copy of itself: images[0, 0, 0, 0] is ")

    def tells(target: Any, *rest: Any) -> Any:
        out, told = paste_by_expectation(target, *rest)
        return out, replace(told, paste_union=told.paste_union ^ (target.batch_size > 2))

    report = judged(case, "batch_independence", apply=tells)
    assert report.message.startswith("the batch beside a copy of itself: paste_union[0, 0, 0] is ")


def test_a_permuted_batch_has_as_many_donors() -> None:
    case = joined_cases(3, 3, ROWS)
    sizes: list[tuple[int, int, int]] = []

    def run(target: Any, source: Any, plan: Any, config: Any) -> Any:
        sizes.append((target.batch_size, source.batch_size, plan.batch_size))
        return paste_by_expectation(target, source, plan, config)

    assert judged(case, "batch_permutation", apply=run).status == "held"
    assert set(sizes) == {(3, 3, 3)}


def test_a_sample_alone_has_a_donor_alone() -> None:
    case = joined_cases(3, 3, ROWS)
    sizes: list[tuple[int, int, int]] = []

    def run(target: Any, source: Any, plan: Any, config: Any) -> Any:
        sizes.append((target.batch_size, source.batch_size, plan.batch_size))
        return paste_by_expectation(target, source, plan, config)

    assert judged(case, "batch_independence", apply=run).status == "held"
    assert sizes == [(3, 3, 3), *[(1, 1, 1)] * 3, (6, 3, 6)]


# --- mirrors --------------------------------------------------------------------------

INEXACT = "no sample whose mirrored paste is exact"


def test_only_exact_samples_are_mirrored() -> None:
    case = joined_cases(7, 2, ROWS)
    case = replace(
        case,
        target=with_fields(case.target, padding_mask=None),
        source=with_fields(case.source, padding_mask=None),
        plan=replace(case.plan, step=torch.tensor([65535, 65536])),
    )
    sizes: list[tuple[int, int]] = []

    def run(target: Any, source: Any, plan: Any, config: Any) -> Any:
        sizes.append((target.batch_size, plan.batch_size))
        return paste_by_expectation(target, source, plan, config)

    assert judged(case, "mirror_everything", apply=run).ok
    assert sizes == [(1, 1), (1, 1)]


@pytest.mark.parametrize(("step", "exact"), [(2560, False), (1536, True), (98304, True), (196608, True)])
def test_a_step_must_divide_the_width(step: int, exact: bool) -> None:
    case = random_case(7, ROWS, canvas=(4, 6), padding=False, slots=4, source_slots=3, count=3)
    report = judged(replace(case, plan=replace(case.plan, step=torch.tensor([step]))), "mirror_everything")
    assert report.ok
    assert (report.message == INEXACT) is not exact


def test_one_row_of_pixels_is_mirrored_too() -> None:
    held = 0
    for seed in range(10):
        case = random_case(
            seed, ROWS, canvas=(1, 6), padding=False, slots=4, source_slots=3, count=3, step=65536,
            z_test=False, min_pasted_area=1, translate=[0, 0], schema=False,
        )  # fmt: skip
        held += judged(case, "mirror_everything").status == "held"
    assert held > 0


def test_a_class_mix_is_mirrored_where_the_source_is_as_wide() -> None:
    kinds = {"held": 0, "not_exercised": 0}
    mix = frozenset({Modality.IMAGE, Modality.SEMANTIC})
    for seed in range(8):
        case = random_case(seed, mix, canvas=(3, 6), padding=False, count=1)
        report = judged(case, "mirror_everything")
        assert report.ok
        assert report.message != INEXACT
        kinds[report.status] += 1
        padding = torch.zeros(1, 1, 3, 6, dtype=torch.bool)
        padding[..., 4:] = True
        narrow = replace(
            case,
            source=with_fields(case.source, padding_mask=padding),
            target=with_fields(case.target, padding_mask=padding & False),
        )
        assert judged(narrow, "mirror_everything").message == INEXACT
    assert kinds["held"] > 0


def test_widths_of_the_valid_rectangles() -> None:
    batch = joined_cases(3, 2, ROWS).target
    height, width = batch.canvas_size
    assert _valid_widths(with_fields(batch, padding_mask=None)).tolist() == [width, width]
    padding = torch.ones(2, 1, height, width, dtype=torch.bool)
    padding[0, :, :1, :3] = False
    padding[1, :, :4, :2] = False
    assert _valid_widths(with_fields(batch, padding_mask=padding)).tolist() == [3, 2]


# --- names ----------------------------------------------------------------------------


def renamed(labels: list[int], semantic: list[int], config: BatchCopyPasteConfig, of: str) -> dict[int, int]:
    case = random_case(3, LABELLED, canvas=(1, 4), slots=3, source_slots=3, padding=False)
    slots = torch.zeros(1, 3, dtype=torch.int64)
    valid = torch.zeros(1, 3, dtype=torch.bool)
    nothing = torch.full((1, 1, 4), config.ignore_index)
    empty = {"labels": slots, "instance_valid": valid, "semantic_maps": nothing}
    some = {name: value.clone() for name, value in empty.items()}
    for k, label in enumerate(labels):
        some["labels"][0, k], some["instance_valid"][0, k] = label, True
    for x, label in enumerate(semantic):
        some["semantic_maps"][0, 0, x] = label
    target = with_fields(case.target, **(some if of == "target" else empty))
    source = with_fields(case.source, **(some if of == "source" else empty))
    return _renaming(Executor(target, source, case.plan, config, paste_by_expectation))


@pytest.mark.parametrize("of", ["target", "source"])
def test_all_known_classes_change_places(of: str) -> None:
    assert renamed([4, 2], [9, 7], config_of(5, 1), of) == {1: 9, 2: 7, 4: 5, 5: 4, 7: 2, 9: 1}
    assert renamed([4, 2], [9], BatchCopyPasteConfig(), of) == {2: 9, 4: 4, 9: 2}
    assert renamed([4], [9], BatchCopyPasteConfig(), of) == {4: 9, 9: 4}
    assert renamed([], [9, 8], BatchCopyPasteConfig(), of) == {8: 9, 9: 8}
    assert renamed([], [], BatchCopyPasteConfig(), of) == {}
    assert renamed([3, 4], [3], config_of(9, ignore=3), of) == {4: 9, 9: 4}


@pytest.mark.parametrize(
    ("only", "ignore", "other"),
    [
        (5, 255, 6),
        (254, 255, 256),
        (0, 1, 2),
        (2**31 - 1, 255, 2**31 - 2),
        (2**31 - 2, 2**31 - 1, 2**31 - 3),
    ],
)
def test_a_single_class_gets_another_number(only: int, ignore: int, other: int) -> None:
    assert renamed([], [], config_of(only, ignore=ignore), "target") == {only: other}


# --- round trips ----------------------------------------------------------------------


def rle_case() -> Case:
    """A batch whose first sample has no rows."""
    case = joined_cases(3, 2, ROWS)
    valid = case.target.instance_valid.clone()
    valid[0], valid[1, 0] = False, True
    masks = case.target.tensors()["instance_masks"].clone()
    masks[1, 0, 0, 0] = True
    return replace(case, target=with_fields(case.target, instance_valid=valid, instance_masks=masks))


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("round_trip_padded", "padded, ragged, padded: "),
        ("round_trip_samples", "batch, samples, batch: "),
        ("round_trip_dict", "sample 0 as dict: "),
    ],
)
def test_what_a_round_trip_loses(law: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = joined_cases(11, 2, ALL)
    _lose_something(monkeypatch, ROUND_TRIPS[f"metamorphic.{law}"])
    assert judged(case, law).message.startswith(said)
    nobody = replace(case, target=case.target.gather(slice(0, 0)))
    monkeypatch.undo()
    if law != "round_trip_padded":
        assert judged(nobody, law).message == "no samples"


def test_warnings_of_others_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    import pycocotools.mask

    encode = pycocotools.mask.encode

    def warns(masks: Any) -> Any:
        warnings.warn("something else", UserWarning, stacklevel=1)
        return encode(masks)

    monkeypatch.setattr(pycocotools.mask, "encode", warns)
    with pytest.warns(UserWarning, match="something else"):
        judged(rle_case(), "round_trip_coco_rle")


def test_samples_without_rows_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import pycocotools.mask

    case = rle_case()
    assert judged(case, "round_trip_coco_rle").status == "held"
    decode = pycocotools.mask.decode

    def forgets_two(codes: Any) -> np.ndarray:
        masks = decode(codes)
        masks[0, :2, 0] ^= 1
        return masks

    monkeypatch.setattr(pycocotools.mask, "decode", forgets_two)
    assert judged(case, "round_trip_coco_rle").message == "sample 1: 2 mask pixels differ"
    none = replace(case, target=case.target.gather(slice(0, 1)))
    report = judged(none, "round_trip_coco_rle")
    assert (report.status, report.message) == ("not_exercised", "no rows")

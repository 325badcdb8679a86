"""The changes of a batch that the laws of several runs make."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.invariants.bits import same
from segpaste.invariants.transforms import (
    chosen_plans,
    compact,
    copied,
    copied_plan,
    joined,
    mirrored,
    relabelled,
    relabelled_config,
    transposed,
    transposed_sample,
    with_fields,
    with_longer_order,
    with_more_slots,
    without_rows,
)
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    PastePlan,
)
from tests.invariants.invariant_cases import dense, joined_cases, random_case

ALL = LEGAL_MODALITY_SETS[-1]
ROWS = LEGAL_MODALITY_SETS[0]


def a_batch(**wanted: Any) -> PaddedBatchedDenseSample:
    options = {"canvas": (3, 5), "slots": 4, "fullness": 0.7, "padding": False, "metric": True} | wanted
    return random_case(6, ALL, **options).target


def values_agree(got: PaddedBatchedDenseSample, want: PaddedBatchedDenseSample) -> bool:
    mine, theirs = got.tensors(), want.tensors()
    return mine.keys() == theirs.keys() and all(same(mine[name], theirs[name]) for name in theirs)


def test_a_copy_shares_no_memory() -> None:
    batch = a_batch()
    copy = copied(batch)
    assert values_agree(copy, batch)
    assert copy.metric_depth is batch.metric_depth is True
    for name, value in copy.tensors().items():
        assert value.data_ptr() != batch.tensors()[name].data_ptr() or not value.numel(), name
    plan = joined_cases(3, 2, ALL).plan
    again = copied_plan(plan)
    for name in PastePlan.__dataclass_fields__:
        mine, theirs = getattr(again, name), getattr(plan, name)
        assert same(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()


def test_fields_are_changed_or_taken_away() -> None:
    batch = a_batch()
    bare = with_fields(batch, normals=None)
    assert "normals" not in bare.tensors()
    assert bare.metric_depth
    assert not with_fields(batch, metric_depth=False).metric_depth


def test_transposed_memory_holds_the_same_values() -> None:
    batch = a_batch()
    turned = transposed(batch)
    assert values_agree(turned, batch)
    assert turned.tensors()["images"].stride()[-2:] == (1, 3)
    assert turned.tensors()["semantic_maps"].stride()[-2:] == (1, 3)
    two = transposed(joined_cases(3, 2, ALL).target).tensors()
    assert two["labels"].stride() == two["instance_valid"].stride() == (1, 2)
    sample = dense(batch)
    other = transposed_sample(sample)
    assert other.to_dict()["semantic_map"].stride() == (1, 3)
    fields = other.to_dict()
    assert list(fields) == list(sample.to_dict())
    assert fields["image"].stride()[-2:] == (1, 3)
    assert fields["boxes"].stride() == sample.to_dict()["boxes"].stride()
    for name, value in sample.to_dict().items():
        if isinstance(value, torch.Tensor):
            assert same(fields[name], value), name
        else:
            assert fields[name] == value


def test_a_mirror_by_hand() -> None:
    batch = a_batch(padding=True)
    fields = {name: value.clone() for name, value in batch.tensors().items()}
    padding = torch.zeros(1, 1, 3, 5, dtype=torch.bool)
    padding[..., 3:] = True  # three columns are valid
    fields["padding_mask"] = padding
    fields["images"][0, 0, 0] = torch.tensor([1, 2, 3, 4, 5]).to(fields["images"].dtype)
    fields["normals"][0, :, 0] = torch.tensor([[0.6, 0.0, -0.6, 0.5, -0.5]] * 3)
    fields["boxes"][0] = torch.tensor([[0.0, 1, 2, 3]] * 4)
    fields["instance_valid"][0] = torch.tensor([True, False, True, True])
    turned = mirrored(with_fields(batch, **fields)).tensors()
    assert turned["images"][0, 0, 0].tolist() == [3, 2, 1, 4, 5]
    assert turned["padding_mask"].equal(padding)
    expected = torch.tensor([[0.6, 0.0, -0.6, 0.5, -0.5], [-0.6, 0.0, 0.6, 0.5, -0.5]])
    assert same(turned["normals"][0, 0, 0], expected[0])
    assert same(turned["normals"][0, 1, 0], expected[1])
    assert turned["boxes"][0].tolist() == [[1, 1, 3, 3], [0, 1, 2, 3], [1, 1, 3, 3], [1, 1, 3, 3]]
    for name in ("instance_masks", "semantic_maps", "panoptic_maps", "depth", "depth_valid"):
        want = torch.cat([fields[name][..., :3].flip(-1), fields[name][..., 3:]], dim=-1)
        assert same(turned[name], want), name
    for name in ("labels", "instance_ids", "instance_valid", "camera_intrinsics"):
        assert same(turned[name], fields[name])


def test_a_mirror_without_padding_is_the_whole_width() -> None:
    batch = a_batch()
    turned = mirrored(batch).tensors()
    assert same(turned["images"], batch.tensors()["images"].flip(-1))
    assert same(turned["instance_masks"], batch.tensors()["instance_masks"].flip(-1))


def test_every_sample_is_mirrored_by_its_own_width() -> None:
    wide, narrow = a_batch(padding=True), a_batch(padding=True)
    halves = []
    for batch, valid in ((wide, 5), (narrow, 2)):
        padding = torch.ones(1, 1, 3, 5, dtype=torch.bool)
        padding[..., :2, :valid] = False
        halves.append(with_fields(batch, padding_mask=padding))
    both = mirrored(joined(halves))
    for n, half in enumerate(halves):
        assert values_agree(both.select(n), mirrored(half))


def test_classes_are_renamed_at_once() -> None:
    batch = a_batch()
    turned = relabelled(batch, {1: 2, 2: 1, 7: 8}).tensors()
    table = {1: 2, 2: 1, 7: 8}
    fields = batch.tensors()
    valid = fields["instance_valid"]
    want = [[table.get(c, c) for c in row] for row in fields["labels"].tolist()]
    assert turned["labels"][valid].tolist() == torch.tensor(want)[valid].tolist()
    assert turned["labels"][~valid].tolist() == fields["labels"][~valid].tolist()
    flat = [table.get(c, c) for c in fields["semantic_maps"].flatten().tolist()]
    assert turned["semantic_maps"].flatten().tolist() == flat
    unused = relabelled(with_fields(batch, instance_valid=valid & False), {0: 5}).tensors()
    assert 5 not in unused["labels"].flatten().tolist()
    rows = random_case(6, ROWS, canvas=(3, 5), slots=4).target
    assert "semantic_maps" not in relabelled(rows, table).tensors()


@pytest.mark.parametrize("policy", ["revert", "ignore"])
def test_a_configuration_is_renamed_and_else_the_same(policy: Any) -> None:
    panoptic = PanopticPasteConfig(
        taxonomy=PanopticSchemaSpec(
            classes={1: "thing", 2: "thing", 7: "stuff"}, ignore_index=9, max_instances_per_image=17
        ),
        class_priority={1: 4, 2: -1},
        stuff_min_area={7: 6},
        tau_stuff_frac=0.25,
        stuff_policy=policy,
        debug_assert_bijection=True,
    )
    config = BatchCopyPasteConfig(panoptic=panoptic, min_area=3, z_test=True)
    got = relabelled_config(config, {1: 2, 2: 1, 7: 8})
    want = PanopticPasteConfig(
        taxonomy=PanopticSchemaSpec(
            classes={2: "thing", 1: "thing", 8: "stuff"}, ignore_index=9, max_instances_per_image=17
        ),
        class_priority={2: 4, 1: -1},
        stuff_min_area={8: 6},
        tau_stuff_frac=0.25,
        stuff_policy=policy,
        debug_assert_bijection=True,
    )
    assert got.panoptic == want
    assert got == config.model_copy(update={"panoptic": want})
    partly = relabelled_config(config, {7: 8}).panoptic
    assert partly is not None
    assert dict(partly.class_priority) == {1: 4, 2: -1}
    assert dict(partly.taxonomy.classes) == {1: "thing", 2: "thing", 8: "stuff"}
    things = relabelled_config(config, {1: 2, 2: 1}).panoptic
    assert things is not None
    assert dict(things.stuff_min_area) == {7: 6}
    plain = BatchCopyPasteConfig()
    assert relabelled_config(plain, {1: 2}) is plain


def test_slots_are_added_at_the_end() -> None:
    batch = a_batch()
    more = with_more_slots(batch, 2).tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks"):
        before = batch.tensors()[name]
        assert same(more[name][:, :4], before), name
        assert more[name].shape[1] == 6
        assert not bool(more[name][:, 4:].any())
    assert same(more["images"], batch.tensors()["images"])


def test_a_longer_order_names_the_new_slots_first() -> None:
    plan = joined_cases(3, 2, ROWS).plan
    longer = with_longer_order(plan, 2)
    slots = plan.order.shape[1]
    assert longer.order.dtype == torch.int64
    assert longer.order[:, :2].tolist() == [[slots, slots + 1]] * 2
    assert same(longer.order[:, 2:], plan.order)
    assert longer.step is plan.step


def test_without_rows_nothing_is_labelled() -> None:
    batch = a_batch()
    bare = without_rows(batch, 77).tensors()
    for name in ("boxes", "labels", "instance_valid", "instance_ids", "instance_masks", "panoptic_maps"):
        assert same(bare[name], torch.zeros_like(batch.tensors()[name])), name
    assert same(bare["semantic_maps"], torch.full_like(batch.tensors()["semantic_maps"], 77))
    assert same(bare["images"], batch.tensors()["images"])
    assert "semantic_maps" not in without_rows(random_case(6, ROWS, slots=2).target, 77).tensors()


def test_batches_and_plans_are_joined_and_chosen() -> None:
    case = joined_cases(3, 3, ALL)
    apart = [case.target.select(n) for n in range(3)]
    whole = joined(apart)
    assert values_agree(whole, case.target)
    assert whole.metric_depth == case.target.metric_depth
    assert joined([with_fields(apart[0], metric_depth=True)]).metric_depth
    chosen = chosen_plans(case.plan, torch.tensor([2, 0]))
    for name in PastePlan.__dataclass_fields__:
        assert same(getattr(chosen, name), getattr(case.plan, name)[[2, 0]])


def test_used_slots_come_first_in_order() -> None:
    case = random_case(6, ROWS, canvas=(3, 5), slots=6, fullness=0.6, padding=False)
    valid = case.target.instance_valid[0]
    assert 0 < int(valid.sum()) < 6
    small = compact(case.target)
    used = int(valid.sum())
    assert small.max_instances == 6
    assert small.instance_valid[0].tolist() == [True] * used + [False] * (6 - used)
    assert same(small.tensors()["instance_ids"][0, :used], case.target.tensors()["instance_ids"][0][valid])

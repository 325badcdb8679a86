"""Crops staged for training: what is in a batch, the workers, and resuming within an epoch."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.utils.data import SequentialSampler

from segpaste.bank import BankBatch, BankCrop, BankSampler, InstanceBank, collate_bank, create_bank_dataloader
from segpaste.bank.loader import BankDataLoader, collate_records
from segpaste.bank.stored_bank import StoredBank
from tests.bank.drawn_bank import BACKENDS, drawn_bank, drawn_crops
from tests.bank.own_bank import Fixed, OwnBank

ALL: dict[str, Any] = {"depth": True, "normals": True, "intrinsics": True, "metric": True}
KINDS: list[dict[str, Any]] = [
    {},
    {"depth": True},
    {"normals": True},
    {"depth": True, "intrinsics": True},
    {"intrinsics": True},
    ALL,
]


def same(one: BankBatch, other: BankBatch) -> bool:
    """Whether two batches agree in every bit."""
    mine, theirs = one.tensors(), other.tensors()
    return (
        mine.keys() == theirs.keys()
        and one.metric_depth == other.metric_depth
        and all(t.dtype == theirs[n].dtype and torch.equal(t, theirs[n]) for n, t in mine.items())
    )


def kinds(bank: StoredBank) -> dict[str, bool]:
    """What ``collate_bank`` has to know to stage crops of a bank as its loader does."""
    head = bank.head
    return {
        "has_depth": head.has_depth,
        "has_normals": head.has_normals,
        "has_intrinsics": head.has_intrinsics,
        "metric_depth": head.metric_depth,
    }


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> StoredBank:
    """Forty crops, every other with everything."""
    return drawn_bank(tmp_path_factory.mktemp("banks") / "all", 40, some_without=True, embedding_dim=3, **ALL)


def test_the_fields_of_a_batch_are_those_of_its_crops() -> None:
    crops = drawn_crops(6, some_without=True, **ALL)
    batch = collate_bank(crops, candidates_per_target=3)
    batch.validate()
    assert batch.crops.shape == (2, 3, 5, 16, 20)
    assert batch.crops.dtype == torch.int32
    for place, crop in enumerate(crops):
        at = divmod(place, 3)
        assert torch.equal(batch.crops[at][:3], crop.image.int())
        assert torch.equal(batch.crops[at][3:4], crop.alpha.int())
        assert batch.crops[at][4].unique().tolist() == [crop.class_id]
        assert batch.carries_depth is not None
        assert batch.carries_normals is not None
        assert bool(batch.carries_depth[at]) is bool(batch.carries_normals[at]) is (place % 2 == 0)
        for name in ("depth", "depth_valid", "normals"):
            staged = getattr(batch, name)[at]
            carried = getattr(crop, name)
            assert torch.equal(staged, torch.zeros_like(staged) if carried is None else carried)
        camera = crop.camera_intrinsics
        assert batch.camera_intrinsics is not None
        assert tuple(batch.camera_intrinsics[at].tolist()) == (
            (0,) * 4 if camera is None else camera.as_tuple()
        )
    assert batch.metric_depth


def test_a_class_beyond_a_byte_is_kept(tmp_path: Path) -> None:
    classes = (1202, 70_000, 2**31 - 1)
    crops = [replace(c, class_id=k) for c, k in zip(drawn_crops(3), classes, strict=True)]
    assert collate_bank(crops).crops[:, 0, 4, 0, 0].tolist() == list(classes)
    bank = drawn_bank(tmp_path / "bank", 4, classes=(1202,))
    batch = next(iter(create_bank_dataloader(bank, batch_size=4)))
    assert batch.crops[:, :, 4].unique().tolist() == [1202]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "+".join(kind) or "colour")
@pytest.mark.parametrize("backend", BACKENDS)
def test_records_and_crops_give_the_same_bits(tmp_path: Path, backend: Any, kind: dict[str, Any]) -> None:
    bank = drawn_bank(tmp_path / "bank", 12, backend=backend, some_without=True, **kind)
    numbers = [7, 0, 7, 4, 11, 2]
    by_crops = collate_bank(bank.__getitems__(numbers), candidates_per_target=2, **kinds(bank))
    by_records = collate_records(bank.records(numbers), head=bank.head, candidates_per_target=2)
    assert same(by_crops, by_records)
    by_records.validate()
    loaded = next(
        iter(create_bank_dataloader(bank, batch_size=3, candidates_per_target=2, sampler=Fixed(numbers)))
    )
    assert same(loaded, by_records)


def test_a_batch_has_what_the_bank_has_whichever_crops_are_drawn(bank: StoredBank) -> None:
    without = create_bank_dataloader(bank, batch_size=2, sampler=Fixed([1, 3, 5, 7]))
    for batch in without:
        assert set(batch.tensors()) == set(_FIELDS)
        assert batch.metric_depth
        assert batch.depth is not None
        assert not bool(batch.depth.any())
    assert set(collate_bank([bank[1], bank[3]]).tensors()) == {"crops"}


_FIELDS = (
    "crops",
    "depth",
    "depth_valid",
    "normals",
    "camera_intrinsics",
    "carries_depth",
    "carries_normals",
)


def test_the_loader_gives_what_the_sampler_says(bank: StoredBank) -> None:
    loader = create_bank_dataloader(bank, batch_size=3, candidates_per_target=2, threshold=0.6, seed=9)
    assert isinstance(loader, torch.utils.data.DataLoader)
    numbers = list(BankSampler(bank, threshold=0.6, seed=9))
    assert len(loader) == len(numbers) // 6
    batches = list(loader)
    assert len(batches) == len(loader)
    for place, batch in enumerate(batches):
        taken = [bank[n] for n in numbers[6 * place : 6 * place + 6]]
        assert same(batch, collate_bank(taken, candidates_per_target=2, **kinds(bank)))
    assert all(same(a, b) for a, b in zip(batches, loader, strict=True))
    loader.set_epoch(1)
    assert not same(next(iter(loader)), batches[0])


def test_the_last_batch_is_smaller_or_left_out(bank: StoredBank) -> None:
    kept = create_bank_dataloader(bank, batch_size=7, num_samples=40, drop_last=False)
    assert [b.batch_size for b in kept] == [7, 7, 7, 7, 7, 5]
    assert [b.batch_size for b in create_bank_dataloader(bank, batch_size=7, num_samples=40)] == [7] * 5


def test_workers_give_the_same_and_resume_where_the_loop_was(bank: StoredBank) -> None:
    arguments: dict[str, Any] = {"batch_size": 2, "candidates_per_target": 2, "threshold": 0.6, "seed": 3}
    workers: dict[str, Any] = {
        "num_workers": 2,
        "multiprocessing_context": "fork",
        "prefetch_factor": 3,
        "persistent_workers": True,
    }
    plain = create_bank_dataloader(bank, **arguments)
    together: list[BankBatch] = []
    for epoch in range(2):
        plain.set_epoch(epoch)
        together += list(plain)
    loader = create_bank_dataloader(bank, **arguments, **workers)
    taken = list(itertools.islice(loader, 4))
    state = loader.state_dict()
    assert state["position"] == 16  # the workers were handed up to 24 more
    resumed = create_bank_dataloader(bank, **arguments, **workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    for epoch in range(2):
        resumed.set_epoch(epoch)
        taken += list(resumed)
        assert resumed.state_dict()["position"] == 4 * len(resumed)
    assert len(taken) == len(together)
    assert all(same(a, b) for a, b in zip(taken, together, strict=True))


@pytest.mark.parametrize(
    "backend",
    ["memmap", *(pytest.param(name, marks=pytest.mark.nightly) for name in BACKENDS if name != "memmap")],
)
def test_a_worker_that_is_spawned_gives_the_same(tmp_path: Path, backend: Any) -> None:
    bank = drawn_bank(tmp_path / "bank", 8, backend=backend)
    expected = list(create_bank_dataloader(bank, batch_size=3))
    loader = create_bank_dataloader(bank, batch_size=3, num_workers=1, multiprocessing_context="spawn")
    assert len(expected) == 2
    assert all(same(a, b) for a, b in zip(loader, expected, strict=True))


def test_a_loader_that_is_resumed_twice_and_in_the_middle_of_a_short_batch(bank: StoredBank) -> None:
    def fresh() -> BankDataLoader:
        return create_bank_dataloader(bank, batch_size=6, num_samples=20, drop_last=False)

    expected = list(fresh())
    state: dict[str, Any] | None = None
    taken: list[BankBatch] = []
    for position in (6, 12, 18, 20, 20):
        loader = fresh()
        if state is not None:
            loader.load_state_dict(state)
        taken += list(itertools.islice(loader, 1))
        state = loader.state_dict()
        assert state["position"] == position
    assert [b.batch_size for b in taken] == [6, 6, 6, 2]
    assert all(same(a, b) for a, b in zip(taken, expected, strict=True))


def test_an_iterator_that_was_left_behind_is_not_counted(bank: StoredBank) -> None:
    loader = create_bank_dataloader(bank, batch_size=2)
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    next(old)
    assert loader.state_dict()["position"] == 2
    loader.set_epoch(1)
    next(new)
    assert loader.state_dict()["position"] == 0


def test_batches_of_an_iterator_left_behind_do_not_count_where_workers_read_ahead(bank: StoredBank) -> None:
    loader = create_bank_dataloader(
        bank, batch_size=2, num_workers=1, multiprocessing_context="fork", prefetch_factor=4
    )
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    next(old)
    next(old)
    assert loader.state_dict()["position"] == 2  # the sampler is further on
    next(new)
    assert loader.state_dict()["position"] == 4


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_pass_that_has_begun_stands_at_its_beginning(bank: StoredBank, num_workers: int) -> None:
    loader = create_bank_dataloader(
        bank, batch_size=2, num_workers=num_workers, multiprocessing_context="fork" if num_workers else None
    )
    loader.load_state_dict({**loader.state_dict(), "position": 8})
    batches = iter(loader)
    assert loader.state_dict()["position"] == 8
    assert len(list(batches)) == 16
    assert loader.state_dict()["position"] == 40
    batches = iter(loader)
    assert loader.state_dict()["position"] == 0
    next(batches)
    assert loader.state_dict()["position"] == 2


@pytest.mark.parametrize("given", [False, True])
def test_all_ranks_have_the_same_number_of_batches(monkeypatch: pytest.MonkeyPatch, given: bool) -> None:
    plain = OwnBank(drawn_crops(47))
    numbers = list(BankSampler(plain))
    for rank in range(2):
        monkeypatch.setattr(distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        sampler = BankSampler(plain) if given else None
        loader = create_bank_dataloader(plain, batch_size=3, sampler=sampler)
        # Rank 0 of the sampler that was given has a crop, so a batch, more.
        assert len(loader.sampler) == (24 if given and rank == 0 else 23)  # pyright: ignore[reportArgumentType]
        assert len(loader) == 7
        batches = list(loader)
        mine = numbers[rank::2]
        expected = [collate_bank([plain[n] for n in mine[3 * k : 3 * k + 3]]) for k in range(7)]
        assert len(batches) == 7
        assert all(same(a, b) for a, b in zip(batches, expected, strict=True))
        assert loader.state_dict()["position"] == 21
        # From the middle, also of a batch: 11 or 12 crops are left, or none or one.
        for position, left in ((12, 3), (14, 3), (15, 2), (23, 0), (24, 0)):
            if position <= len(loader.sampler):  # pyright: ignore[reportArgumentType]
                loader.load_state_dict({**loader.state_dict(), "position": position})
                assert len(list(loader)) == left
        ragged = create_bank_dataloader(plain, batch_size=3, drop_last=False)
        assert len(ragged) == len(list(ragged)) == 8


def test_torch_s_generators_are_left_alone(bank: StoredBank) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(create_bank_dataloader(bank, batch_size=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sampler_of_one_s_own(bank: StoredBank) -> None:
    ranks = [
        create_bank_dataloader(bank, batch_size=5, sampler=BankSampler(bank, num_replicas=2, rank=rank))
        for rank in range(2)
    ]
    assert [len(one) for one in ranks] == [4, 4]
    other = create_bank_dataloader(bank, batch_size=4, sampler=SequentialSampler(bank))
    first = next(iter(other))
    assert same(first, collate_bank([bank[n] for n in range(4)], **kinds(bank)))
    for call in (other.state_dict, partial(other.load_state_dict, {}), partial(other.set_epoch, 1)):
        with pytest.raises(TypeError, match="^sampler: got SequentialSampler, expected a BankSampler$"):
            call()


def test_a_bank_that_is_no_folder(tmp_path: Path) -> None:
    plain = OwnBank(drawn_crops(9))
    assert isinstance(plain, InstanceBank)
    loader = create_bank_dataloader(plain, batch_size=3, num_workers=1)
    numbers = list(BankSampler(plain))
    for place, batch in enumerate(loader):
        assert same(batch, collate_bank([plain[n] for n in numbers[3 * place : 3 * place + 3]]))
    deep = OwnBank(drawn_crops(9, depth=True))
    with pytest.raises(ValueError, match=r"^crop 0: depth: got some, expected none in a batch without$"):
        next(iter(create_bank_dataloader(deep, batch_size=3)))
    collate = partial(collate_bank, has_depth=True)
    batch = next(iter(create_bank_dataloader(deep, batch_size=3, collate_fn=collate)))
    assert batch.carries_depth is not None
    assert bool(batch.carries_depth.all())


def test_damage_is_named_by_the_loader(tmp_path: Path) -> None:
    bank = drawn_bank(tmp_path / "bank", 6)
    with (tmp_path / "bank" / "records.npy").open("r+b") as file:
        file.seek(-7, 2)
        byte = file.read(1)
        file.seek(-7, 2)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ValueError, match="crop 5"):
        list(create_bank_dataloader(bank, batch_size=6))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size: got 0, expected 1 or more"),
        ({"batch_size": 2.0}, TypeError, "batch_size: got float, expected an int"),
        ({"batch_size": True}, TypeError, "batch_size: got bool, expected an int"),
        (
            {"batch_size": 2, "candidates_per_target": 0},
            ValueError,
            "candidates_per_target: got 0, expected 1 or more",
        ),
        (
            {"batch_size": 2, "candidates_per_target": 3, "drop_last": False},
            ValueError,
            "drop_last: got False with candidates_per_target 3, expected True: the crops that are left over",
        ),
        (
            {"batch_size": 2, "sampler": SequentialSampler([0]), "seed": 4},
            ValueError,
            "sampler: got one beside threshold, num_samples or seed, expected none of these",
        ),
        (
            {"batch_size": 2, "threshold": 0.0},
            ValueError,
            "threshold: got 0.0, expected a share of the crops",
        ),
        ({"batch_size": 2, "num_samples": 0}, ValueError, "num_samples: got 0, expected 1 or more"),
    ],
)
def test_arguments_out_of_range_are_named(
    bank: StoredBank, arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}") as raised:
        create_bank_dataloader(bank, **arguments)
    assert "\n" not in str(raised.value)


def test_crops_that_do_not_fit_together_are_named() -> None:
    crops = drawn_crops(4)
    wide = drawn_crops(1, crop_size=(16, 21))
    metric = drawn_crops(1, **ALL)
    plain = drawn_crops(1, depth=True)
    wrong: list[tuple[list[BankCrop], dict[str, Any], str]] = [
        ([], {}, "crops: got 0, expected a multiple above 0 of candidates_per_target, 1"),
        (
            crops,
            {"candidates_per_target": 3},
            "crops: got 4, expected a multiple above 0 of candidates_per_target, 3",
        ),
        (crops, {"candidates_per_target": 0}, "candidates_per_target: got 0, expected 1 or more"),
        (crops + wide, {}, r"crop 4: got size \(16, 21\), expected that of crop 0, \(16, 20\)"),
        (crops + metric, {"has_depth": False}, "crop 4: depth: got some, expected none in a batch without"),
        (crops + metric, {"has_normals": False}, "crop 4: normals: got some, expected none"),
        (crops + metric, {"has_intrinsics": False}, "crop 4: camera_intrinsics: got some, expected none"),
        (metric + plain, {}, "crop 1: metric_depth: got False, expected True"),
        (plain, {"metric_depth": True}, "crop 0: metric_depth: got False, expected True"),
        (
            [replace(crops[0], class_id=2**31)],
            {},
            "crop 0: class_id: got 2147483648, expected 0 or more and less than",
        ),
    ]
    for given, arguments, message in wrong:
        with pytest.raises(ValueError, match=f"^{message}") as raised:
            collate_bank(given, **arguments)
        assert "\n" not in str(raised.value)

"""The same content in every backend, and the same bytes whoever writes it."""

from __future__ import annotations

import gc
import itertools
import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segpaste.bank import BankError, convert_bank, open_bank, verify_bank, webdataset_bank, write_bank
from segpaste.bank.layout import Chunk, pack
from segpaste.bank.meta import BackendName
from tests.bank.drawn_bank import BACKENDS, drawn_bank, drawn_crops, drawn_head, same_crop

EVERYTHING: dict[str, Any] = {
    "depth": True,
    "normals": True,
    "intrinsics": True,
    "metric": True,
    "embedding_dim": 3,
    "some_without": True,
}


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(BACKENDS, 2)))
@pytest.mark.parametrize("count", [0, 11])
def test_there_and_back(tmp_path: Path, one: BackendName, other: BackendName, count: int) -> None:
    bank = drawn_bank(tmp_path / "bank", count, backend=one, **EVERYTHING)
    there = convert_bank(bank, tmp_path / "there", other)
    back = convert_bank(tmp_path / "there", tmp_path / "back", one)
    assert there.version == f"{other}@{bank.version.partition('@')[2]}"
    assert back == bank.meta
    assert _files(tmp_path / "back") == _files(tmp_path / "bank")
    converted = open_bank(tmp_path / "there")
    assert all(same_crop(a, b) for a, b in zip(converted, bank, strict=True))
    assert torch.equal(converted.crop_class_ids, bank.crop_class_ids)
    assert verify_bank(tmp_path / "there").problems == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_bytes_do_not_depend_on_the_chunks(
    tmp_path: Path, backend: BackendName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset_bank, "_ROW_GROUP", 4)
    monkeypatch.setattr(webdataset_bank, "SHARD_BYTES", 20_000)
    head, crops = drawn_head(), drawn_crops(17)
    written = []
    for name, size in (("a", 1), ("b", 6), ("c", 17)):
        chunks = (pack(crops[start : start + size], head) for start in range(0, 17, size))
        write_bank(tmp_path / name, head, chunks, backend=backend, count=17)
        written.append(_files(tmp_path / name))
    assert written[0] == written[1] == written[2]
    assert all(same_crop(got, crop) for got, crop in zip(open_bank(tmp_path / "a"), crops, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_conversion_does_not_spread_damage(tmp_path: Path, backend: BackendName) -> None:
    bank = drawn_bank(tmp_path / "bank", 6)
    records = bank.path / "records.npy"
    content = bytearray(records.read_bytes())
    content[-1] ^= 1
    records.write_bytes(content)
    with pytest.raises(BankError, match="bank: crop 5: got bytes of checksum"):
        convert_bank(bank.path, tmp_path / "there", backend)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bank"]


def test_any_bits_of_a_record_survive(tmp_path: Path) -> None:
    # What pack() writes is well formed; a bank must not depend on it: NaN, -0, odd booleans.
    head = drawn_head(depth=True, intrinsics=True, metric=True, embedding_dim=3)
    records, index = pack(drawn_crops(4, depth=True, intrinsics=True, metric=True, embedding_dim=3), head)
    random.seed(0)
    for name in ("depth", "embedding", "camera_intrinsics"):
        records[name].view("u1")[...] = np.frombuffer(random.randbytes(records[name].nbytes), "u1").reshape(
            records[name].view("u1").shape
        )
    for place in range(4):
        index["crc32"][place] = zlib.crc32(records[place : place + 1].view("u1").data)
    index["score"].view("u8")[0] = 0x7FF8000000000123  # a NaN with a payload
    write_bank(tmp_path / "memmap", head, [Chunk(records, index)], backend="memmap", count=4)
    for backend in ("lmdb", "webdataset"):
        convert_bank(tmp_path / "memmap", tmp_path / backend, backend)
        got = open_bank(tmp_path / backend).records(range(4))
        assert got.records.tobytes() == records.tobytes()
        assert got.index.tobytes() == index.tobytes()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_shards_are_read_by_webdataset_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    webdataset = pytest.importorskip("webdataset")
    monkeypatch.setattr(webdataset_bank, "SHARD_BYTES", 40_000)
    bank = drawn_bank(tmp_path / "bank", 9, backend="webdataset", **EVERYTHING)
    shards = sorted(str(path) for path in bank.path.glob("shard-*.tar"))
    assert len(shards) > 2
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    gc.collect()  # it leaves its files to the collector, which warns
    crops = drawn_crops(9, **EVERYTHING)
    assert [sample["__key__"] for sample in samples] == [f"{number:09d}" for number in range(9)]
    for sample, crop in zip(samples, crops, strict=True):
        assert torch.equal(torch.from_numpy(sample["image.npy"]), crop.image)
        assert torch.equal(torch.from_numpy(sample["alpha.npy"]), crop.alpha)
        assert crop.embedding is not None
        assert torch.equal(torch.from_numpy(sample["embedding.npy"]), crop.embedding)
        if crop.depth is not None:
            assert torch.equal(torch.from_numpy(sample["depth.npy"]), crop.depth)
        assert sample["json"] == {
            "class_id": crop.class_id,
            "class_name": f"class-{crop.class_id}",
            "dataset": crop.provenance.dataset,
            "image_id": crop.provenance.image_id,
            "annotation_id": crop.provenance.annotation_id,
            "model": crop.provenance.model,
            "score": crop.provenance.score,
            "carries": ["depth", "normals", "camera_intrinsics"] if crop.depth is not None else [],
        }


def test_the_index_of_shards_is_read_by_pyarrow_itself(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    bank = drawn_bank(tmp_path / "bank", 5, backend="webdataset")
    table = parquet.read_table(bank.path / "index.parquet")
    assert table.column("class_id").to_pylist() == bank.crop_class_ids.tolist()
    assert table.column("annotation_id").to_pylist() == [2**40 + number for number in range(5)]
    assert table.column("offset")[0].as_py() == 0


def test_what_a_bank_was_built_from_is_kept(tmp_path: Path) -> None:
    built_from = {"annotations": "ab12", "crop_size": [16, 20]}
    write_bank(tmp_path / "a", drawn_head(), [], backend="memmap", count=0, built_from=built_from)
    convert_bank(tmp_path / "a", tmp_path / "b", "lmdb")
    assert json.loads((tmp_path / "b" / "meta.json").read_text())["built_from"] == built_from

"""meta.json vouches for itself, and the digest for the content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from segpaste.bank.layout import pack, record_dtype
from segpaste.bank.meta import BankHead, BankMeta, ContentDigest, FileEntry
from tests.bank.drawn_bank import drawn_crops, drawn_head


def _meta(**changes: Any) -> BankMeta:
    values: dict[str, Any] = {
        "format": "memmap",
        "head": drawn_head(depth=True),
        "count": 3,
        "content": "0123456789abcdef" * 4,
        "files": {"records.npy": FileEntry(size=10, sha256="f" * 64)},
        "built_from": {"annotations": "ab", "list": [1, 2.5, None, "ä"]},
    }
    return BankMeta.model_validate({**values, **changes})


def test_what_is_written_is_read() -> None:
    meta = _meta()
    assert BankMeta.from_json(meta.to_json()) == meta
    assert BankMeta.from_json(meta.to_json()).to_json() == meta.to_json()
    assert meta.version == "memmap@0123456789ab"


def test_a_changed_character_is_found() -> None:
    text = _meta().to_json()
    values = json.loads(text)
    for place, character in enumerate(text):
        changed = text[:place] + chr(ord(character) ^ 1) + text[place + 1 :]
        try:
            found = BankMeta.from_json(changed)
        except ValueError:
            continue
        # What passes says the same: white space only.
        assert json.loads(changed) == values
        assert found == _meta()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"checksum": 1}', "{" * 50])
def test_what_is_no_meta_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        BankMeta.from_json(text)


@pytest.mark.parametrize(
    "values",
    [
        {"crop_size": (0, 4), "num_classes": 1},
        {"crop_size": (8192, 8193), "num_classes": 1},
        {"crop_size": (4, 4), "num_classes": 0},
        {"crop_size": (4, 4), "num_classes": 2**24 + 1},
        {"crop_size": (4, 4), "num_classes": 2, "class_names": {2: "beyond"}},
        {"crop_size": (4, 4), "num_classes": 2, "metric_depth": True},
        {"crop_size": (4, 4), "num_classes": 2, "metric_depth": True, "has_depth": True},
        {"crop_size": (4, 4), "num_classes": 2, "embedding_dim": 0},
        {"crop_size": (4, 4), "num_classes": 2, "unknown": 0},
    ],
)
def test_a_head_that_does_not_agree_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        BankHead.model_validate(values)


def test_the_largest_record_is_one_for_numpy() -> None:
    carries = dict.fromkeys(("has_depth", "has_normals", "has_intrinsics"), True)
    head = BankHead(crop_size=(8192, 8192), num_classes=2**24, embedding_dim=65536, **carries)
    assert record_dtype(head).itemsize == 21 * 2**26 + 4 * 8 + 2 * 65536


def _digest(head: BankHead, crops: list[Any]) -> str:
    digest = ContentDigest(head)
    for start in range(0, len(crops), 2):
        records, index = pack(crops[start : start + 2], head)
        for place in range(len(index)):
            digest.add(records[place : place + 1].tobytes(), index[place].tobytes())
    return digest.hexdigest()


def test_the_digest_knows_head_order_and_rows() -> None:
    head, crops = drawn_head(), drawn_crops(5)
    renamed = head.model_copy(update={"class_names": {1: "another"}})
    digests = [
        _digest(head, crops),
        _digest(head, crops[:4]),
        _digest(head, crops[::-1]),
        _digest(renamed, crops),
        _digest(head, drawn_crops(5, seed=1)),
    ]
    assert len(set(digests)) == 5
    assert digests[0] == _digest(head, drawn_crops(5))

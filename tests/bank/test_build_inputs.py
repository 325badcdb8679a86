"""A file that changes: never a bank of old and new images, and never one that passes for the new ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segpaste.bank import BankError, build_bank, open_bank
from segpaste.bank.build import BuildProgress
from segpaste.integrations.coco_crops import CocoCrops, CocoShard
from tests.bank.builds import DrawnSource, files_of


class _StopError(Exception):
    pass


class Pictures:
    """Six NPY images of one object each, all files of one size; panoptic PNGs of one size beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "images").mkdir()
        (root / "png").mkdir()
        for number in range(6):
            self.draw(number, shade=10 * number)
            self.draw_png(number, first=2)
        images = [{"id": n, "file_name": f"{n}.npy", "height": 12, "width": 12} for n in range(6)]
        categories = [{"id": c, "name": f"class {c}", "isthing": 1} for c in (1, 2)]
        ring = [2, 2, 8, 2, 8, 8, 2, 8]
        annotations = [{"id": n, "image_id": n, "category_id": 1, "segmentation": [ring]} for n in range(6)]
        segments = [{"id": c, "category_id": c} for c in (1, 2)]
        panoptic = [{"image_id": n, "file_name": f"{n}.png", "segments_info": segments} for n in range(6)]
        for name, entries in (("instances", annotations), ("panoptic", panoptic)):
            content = {"images": images, "categories": categories, "annotations": entries}
            (root / f"{name}.json").write_text(json.dumps(content))

    def draw(self, number: int, shade: int) -> None:
        """Write an image; its time stays what it was."""
        file = self.root / "images" / f"{number}.npy"
        np.save(file, np.full((12, 12, 3), shade, np.uint8))
        os.utime(file, ns=(0, 0))

    def draw_png(self, number: int, first: int) -> None:
        """Write a PNG of segments 1 and 2; without compression all have one size."""
        ids = np.zeros((12, 12, 3), np.uint8)
        ids[:first, :, 0], ids[first:, :, 0] = 1, 2
        file = self.root / "png" / f"{number}.png"
        Image.fromarray(ids).save(file, compress_level=0)
        os.utime(file, ns=(0, 0))

    def source(self, *, panoptic: bool = False) -> CocoCrops:
        options: dict[str, Any] = {"crop_size": (8, 8), "images_per_shard": 2}
        if panoptic:
            options["panoptic"] = self.root / "png"
        name = "panoptic.json" if panoptic else "instances.json"
        return CocoCrops(self.root / name, self.root / "images", **options)

    def interrupted(self, path: Path, *, panoptic: bool = False) -> None:
        """A build that ends after its second shard of three."""

        def stop(progress: BuildProgress) -> None:
            if progress.shards_done == 2:
                raise _StopError

        with pytest.raises(_StopError):
            build_bank(self.source(panoptic=panoptic), path, progress=stop)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path)


def cut(said: list[BuildProgress]) -> int:
    """How many shards were cut."""
    return len([p for p in said if p.stage == "cutting" and p.crops_per_second > 0])


@pytest.mark.parametrize("panoptic", [False, True])
def test_a_shard_whose_file_has_changed_is_cut_again(pictures: Pictures, panoptic: bool) -> None:
    path = pictures.root / "bank"
    pictures.interrupted(path, panoptic=panoptic)
    before = pictures.source(panoptic=panoptic).built_from()
    if panoptic:
        pictures.draw_png(3, first=5)
    else:
        pictures.draw(3, shade=200)
    assert pictures.source(panoptic=panoptic).built_from() == before  # as far as names and sizes say
    said: list[BuildProgress] = []
    build_bank(pictures.source(panoptic=panoptic), path, progress=said.append)
    assert cut(said) == 2
    build_bank(pictures.source(panoptic=panoptic), pictures.root / "at once")
    assert files_of(path) == files_of(pictures.root / "at once")
    if not panoptic:
        assert open_bank(path)[3].image.unique().tolist() == [200]


def test_a_shard_whose_files_are_the_same_is_kept(pictures: Pictures) -> None:
    path = pictures.root / "bank"
    pictures.interrupted(path)
    os.utime(pictures.root / "images" / "0.npy")  # a copy of the data has other times
    said: list[BuildProgress] = []
    build_bank(pictures.source(), path, progress=said.append)
    assert cut(said) == 1


def test_a_bank_of_changed_files_is_not_the_same_build(pictures: Pictures) -> None:
    path = pictures.root / "bank"
    meta = build_bank(pictures.source(), path)
    assert len(meta.built_from["contents"]) == 64
    assert build_bank(pictures.source(), path) == meta
    pictures.draw(5, shade=200)
    with pytest.raises(BankError, match="bank: exists, got a bank that was built from files of other conte"):
        build_bank(pictures.source(), path)
    assert open_bank(path)[5].image.unique().tolist() == [50]
    pictures.draw(5, shade=50)
    assert build_bank(pictures.source(), path) == meta


def test_workers_note_the_same_contents(pictures: Pictures) -> None:
    build_bank(pictures.source(), pictures.root / "one")
    build_bank(pictures.source(), pictures.root / "two", workers=2)
    assert files_of(pictures.root / "one") == files_of(pictures.root / "two")


def test_a_file_that_changes_while_it_is_cut_is_noted_as_it_was(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_as_it_is = CocoShard.crops

    def change_and_cut(shard: CocoShard) -> Any:
        pictures.draw(0, shade=200)
        return cut_as_it_is(shard)

    monkeypatch.setattr(CocoShard, "crops", change_and_cut)
    build_bank(pictures.source(), pictures.root / "bank")
    with pytest.raises(BankError, match="files of other contents"):
        build_bank(pictures.source(), pictures.root / "bank")


def test_a_file_that_cannot_be_read_has_another_digest(pictures: Pictures) -> None:
    shard = pictures.source().shards()[0]
    before = shard.inputs()
    (pictures.root / "images" / "1.npy").unlink()
    assert shard.inputs() != before


def test_a_source_of_another_digest_is_another_bank(tmp_path: Path) -> None:
    build_bank(DrawnSource(told="a"), tmp_path / "bank")
    for other in (DrawnSource(told="b"), DrawnSource()):
        with pytest.raises(BankError, match="files of other contents"):
            build_bank(other, tmp_path / "bank")

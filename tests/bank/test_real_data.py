"""Banks of the small COCO sample, where the environment variable ``SEGPASTE_DATA`` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segpaste.bank import build_bank, open_bank, verify_bank
from segpaste.bank.meta import BackendName
from segpaste.integrations import load_data
from segpaste.integrations.coco_crops import CocoCrops
from segpaste.integrations.sample_crops import SampleCrops
from tests.bank.builds import files_of
from tests.bank.drawn_bank import BACKENDS, same_crop
from tests.bank.test_build_killed import kill

MAPS = Path(__file__).parents[1] / "data_maps"


@pytest.fixture(scope="module")
def coco(data_root: Path) -> Path:
    return data_root / "coco128_multi"


def instances(coco: Path, **options: Any) -> CocoCrops:
    return CocoCrops(coco / "instances_rle.json", coco / "images", **options)


def test_all_backends_hold_the_same_253_crops(coco: Path, tmp_path: Path) -> None:
    metas = {
        backend: build_bank(instances(coco, crop_size=(64, 64)), tmp_path / backend, backend=backend)
        for backend in BACKENDS
    }
    assert {meta.count for meta in metas.values()} == {253}  # 257 annotations, of which 4 are crowds
    assert len({meta.content for meta in metas.values()}) == 1
    assert [meta.built_from["left_out"] for meta in metas.values()] == [{"crowd regions": 4}] * 3
    for backend in BACKENDS:
        report: Any = verify_bank(tmp_path / backend)
        assert report.problems == ()
    bank = open_bank(tmp_path / "memmap")
    assert len(bank.class_frequencies) == 91
    ids = [
        (crop.provenance.image_id, crop.provenance.annotation_id)
        for crop in map(bank.__getitem__, range(253))
    ]
    assert ids == sorted(ids)


def test_panoptic_labels_give_the_same_objects(coco: Path) -> None:
    def cut(source: CocoCrops) -> list[tuple[int, int, bytes, bytes]]:
        crops = [crop for shard in source.shards() for crop in shard.crops()[0]]
        return sorted(
            (c.provenance.image_id, c.class_id, c.alpha.numpy().tobytes(), c.image.numpy().tobytes())
            for c in crops
        )

    panoptic = CocoCrops(
        coco / "panoptic.json", coco / "images", panoptic=coco / "panoptic", crop_size=(64, 64)
    )
    ours = cut(panoptic)
    assert len(ours) == 253
    assert ours == cut(instances(coco, crop_size=(64, 64)))


def test_samples_that_a_reader_gives_make_the_same_crops(coco: Path) -> None:
    sets = {data.name: data for data in load_data(coco, mapping=MAPS / "coco128_multi.yaml")}
    of_samples = SampleCrops(sets["instances"].samples, crop_size=(64, 64))
    theirs = [crop for shard in of_samples.shards() for crop in shard.crops()[0]]
    ours = [crop for shard in instances(coco, crop_size=(64, 64)).shards() for crop in shard.crops()[0]]
    assert [c.class_id for c in theirs] == [c.class_id for c in ours]
    assert all(
        one.image.equal(other.image) and one.alpha.equal(other.alpha)
        for one, other in zip(ours, theirs, strict=True)
    )


def test_depth_normals_and_intrinsics_reach_the_bank(data_root: Path, tmp_path: Path) -> None:
    (data,) = load_data(data_root / "tartanair_dsine", mapping=MAPS / "tartanair_dsine.yaml")
    source = SampleCrops(data.samples, crop_size=(64, 96), schema=data.schema)
    meta = build_bank(source, tmp_path / "bank")
    assert meta.head.has_depth
    assert meta.head.has_normals
    assert meta.head.metric_depth
    bank = open_bank(tmp_path / "bank")
    assert len(bank) > 0
    made = [crop for shard in source.shards() for crop in shard.crops()[0]]
    assert all(same_crop(bank[n], crop) for n, crop in enumerate(made))
    for crop in made:
        assert crop.camera_intrinsics is not None
        assert crop.camera_intrinsics.fx <= 320


@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_four_workers_make_the_same_bytes(coco: Path, tmp_path: Path, backend: BackendName) -> None:
    for workers in (1, 4):
        build_bank(
            instances(coco, images_per_shard=2), tmp_path / str(workers), backend=backend, workers=workers
        )
    assert files_of(tmp_path / "1") == files_of(tmp_path / "4")


@pytest.mark.nightly
@pytest.mark.parametrize("backend", BACKENDS)
def test_builds_killed_twenty_times_end_in_the_same_bytes(
    coco: Path, tmp_path: Path, backend: BackendName
) -> None:
    kill(instances(coco, images_per_shard=2), tmp_path, backend, kills=20, seed=20)

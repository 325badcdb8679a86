"""The comparison of bits: planted differences are found, told and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from PIL import Image

from segpaste.paste import apply_with_audit
from segpaste.strategies import PasteCase, paste_cases
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.testing.parity import PICTURE_FOLDER, ParityError, assert_same_bits, differences
from segpaste.types import (
    BatchAuditPacket,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
)
from segpaste.viz.panels import RED

ALL = frozenset(Modality)


def _batch(side: tuple[int, int] = (6, 9)) -> PaddedBatchedDenseSample:
    scenes = scenes_from_seed(
        8, 2, canvas=side, modalities=ALL, min_instances=2, image_dtypes=(torch.float32,), channels=(3,)
    )
    return BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(5)


def _copy(batch: PaddedBatchedDenseSample, **changes: object) -> PaddedBatchedDenseSample:
    values = {name: value.clone() for name, value in batch.tensors().items()}
    return type(batch)(**(values | {"metric_depth": batch.metric_depth} | changes))  # pyright: ignore[reportArgumentType]


def _plan(batch: PaddedBatchedDenseSample) -> PastePlan:
    size, slots = batch.batch_size, batch.max_instances
    zeros = torch.zeros(size, dtype=torch.int64)
    return PastePlan(
        source_idx=zeros,
        step=zeros + 65536,
        translate=torch.zeros((size, 2), dtype=torch.int64),
        hflip=zeros.bool(),
        order=torch.arange(slots).expand(size, slots),
        count=zeros,
        mix_key=zeros,
    )


def test_equal_batches_do_not_differ() -> None:
    batch = _batch()
    assert differences(batch, _copy(batch)) == []
    assert_same_bits(batch, _copy(batch))


@pytest.mark.parametrize(
    ("wanted", "given_", "differ"),
    [
        (0x7FC00001, 0x7FC00001, False),  # a NaN and itself
        (0x7FC00001, 0x7FC00002, True),  # two NaNs
        (0x00000000, 0x80000000, True),  # +0 and -0
        (0x3F800000, 0x3F800001, True),  # 1 and its neighbour
    ],
)
def test_floats_are_compared_as_bits(wanted: int, given_: int, differ: bool) -> None:
    one, other = _batch(), _copy(_batch())
    for batch, word in ((one, wanted), (other, given_)):
        batch.images.as_subclass(torch.Tensor).view(torch.int32)[1, 2, 3, 4] = word - (word >> 31 << 32)
    found = differences(one, other)
    assert [d.field for d in found] == ["images"] * differ
    if differ:
        assert f"1 of {3 * 2 * 6 * 9} elements differ" in found[0].message
        assert f"first at [1, 2, 3, 4]: expected 0x{wanted:08x} (" in found[0].message
        assert f"got 0x{given_:08x} (" in found[0].message
        assert found[0].first == (1, 2, 3, 4)


def _without_normals(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    return replace(batch, normals=None)


def _as_bytes(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    return replace(batch, images=batch.images.to(torch.uint8))  # pyright: ignore[reportArgumentType]


def _first_sample(batch: PaddedBatchedDenseSample) -> PaddedBatchedDenseSample:
    return batch.gather(slice(0, 1))


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (_without_normals, "normals", "normals: expected torch.float32 [2, 3, 6, 9], got None"),
        (_as_bytes, "images", "images: expected dtype torch.float32, got torch.uint8"),
        (_first_sample, "labels", "labels: expected shape [2, 5], got [1, 5]"),
    ],
)
def test_presence_dtype_and_shape(
    change: Callable[[PaddedBatchedDenseSample], PaddedBatchedDenseSample],
    field: str,
    message: str,
    tmp_path: Path,
) -> None:
    batch = _batch()
    other = change(batch)
    (found,) = [d for d in differences(batch, other) if d.field == field]
    assert str(found) == message
    assert found.mask is None
    with pytest.raises(ParityError, match="picture"):
        assert_same_bits(batch, other, folder=tmp_path)


def test_every_field_of_batch_and_audit_is_compared() -> None:
    batch = replace(_batch(), camera_intrinsics=torch.ones((2, 4), dtype=torch.float64), metric_depth=False)
    plan = _plan(batch)
    tensors = batch.tensors()
    audit = BatchAuditPacket(
        paste_union=torch.zeros((2, 6, 9), dtype=torch.bool),
        row_source=torch.zeros((2, 5), dtype=torch.int64),
        row_dropped=torch.zeros((2, 5), dtype=torch.bool),
        warped_images=tensors["images"],
        warped_semantic_maps=tensors["semantic_maps"],
        warped_depth=tensors["depth"],
        warped_depth_valid=tensors["depth_valid"],
        warped_normals=tensors["normals"],
        source_intrinsics=tensors["camera_intrinsics"],
        plan=plan,
        config=BatchCopyPasteConfig(),
    )

    def flipped(value: torch.Tensor) -> torch.Tensor:
        changed = value.clone()
        raw = changed.view(torch.uint8)
        raw[(*[-1] * raw.ndim,)] ^= 1
        return changed

    for name, value in tensors.items():
        other = _copy(batch, **{name: flipped(value)})
        assert [d.field for d in differences(batch, other)] == [name]
    assert [d.field for d in differences(batch, replace(batch, metric_depth=True))] == ["metric_depth"]
    names = [name for name in BatchAuditPacket.__slots__ if name not in ("plan", "config")]
    for name in names:
        worse = replace(audit, **{name: flipped(getattr(audit, name))})
        assert [d.field for d in differences(batch, batch, audits=(audit, worse))] == [f"audit.{name}"]
        absent = replace(audit, **{name: None}) if name != "paste_union" else worse
        assert [d.field for d in differences(batch, batch, audits=(audit, absent))] == [f"audit.{name}"]
    moved = replace(audit, plan=replace(plan, translate=plan.translate + torch.tensor([0, 1])))
    assert [d.field for d in differences(batch, batch, audits=(audit, moved))] == ["audit.plan.translate"]
    stricter = replace(audit, config=BatchCopyPasteConfig(min_area=2))
    assert [d.field for d in differences(batch, batch, audits=(audit, stricter))] == ["audit.config"]


def test_all_fields_are_told_at_once_and_the_first_pixel_is_shown(tmp_path: Path) -> None:
    batch, other = _batch(), _copy(_batch())
    other.labels[1, 0] += 1
    assert other.semantic_maps is not None
    other.semantic_maps[1, 2, 3] = 41
    other.semantic_maps[1, 2, 4] = 42
    case = PasteCase(batch, batch, _plan(batch), BatchCopyPasteConfig(), 1)
    with pytest.raises(ParityError) as caught:
        assert_same_bits(batch, other, case=case, names=("reference", "other"), folder=tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("reference and other differ in 2 fields (instance+semantic+panoptic+depth")
    assert "labels: 1 of 10 elements differ (10.00 %), first at [1, 0]" in lines[1]
    assert "semantic_maps: 2 of 108 elements differ (1.85 %), first at [1, 2, 3]: expected" in lines[2]
    assert "semantic_maps[1] around row 2, column 3" in lines[3]
    (drawn,) = [line for line in lines if "[41]" in line]
    assert drawn.split()[0] == "2"
    assert "[42]" in drawn
    assert drawn.count("[") == 4
    (path,) = tmp_path.iterdir()
    assert f"picture: {path}" in str(caught.value)
    assert str(case) in lines[-1]


def _red_pixels(path: Path) -> int:
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.abs(pixels - RED).sum(axis=-1) < 10).sum())


@pytest.mark.parametrize("side", [(6, 9), (7, 200)])
def test_the_picture_shows_the_differing_pixels_in_red(side: tuple[int, int], tmp_path: Path) -> None:
    batch = _batch(side)
    reds = []
    for count in (0, 1, 4):
        other = _copy(batch)
        other.labels[0, 0] += 1
        other.images[0, 1, 5, :count] = -7.0
        with pytest.raises(ParityError, match=r"picture: .*expected-actual-instance.*\.png"):
            assert_same_bits(batch, other, folder=tmp_path)
        (path,) = tmp_path.iterdir()
        reds.append(_red_pixels(path))
    assert reds[0] == 0
    assert reds[2] > 2 * reds[1] > 0


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PICTURE_FOLDER, str(tmp_path / "here"))
    with pytest.raises(ParityError, match=str(tmp_path / "here")):
        assert_same_bits(_batch(), _copy(_batch(), labels=_batch().labels + 1))
    assert len(list((tmp_path / "here").iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ParityError, match=r"labels: 10 of 10 elements differ[\s\S]*no picture: "):
        assert_same_bits(_batch(), _copy(_batch(), labels=_batch().labels + 1), folder=tmp_path / "file")


def test_a_mistake_shrinks_to_one_pixel_and_is_drawn(tmp_path: Path) -> None:
    """An executor that rounds one channel of the image up, wherever it pastes."""
    failing: list[PasteCase] = []

    @settings(max_examples=200, database=None)
    @given(paste_cases(frozenset({Modality.IMAGE, Modality.INSTANCE}), image_dtypes=(torch.uint8,)))
    def agrees(case: PasteCase) -> None:
        after, audit = apply_with_audit(
            case.target, case.source, case.plan, case.config, executor="reference"
        )
        wrong = _copy(after)
        wrong.images[:, 0] += audit.paste_union.to(torch.uint8)
        if differences(after, wrong):
            failing.append(case)
        assert_same_bits(after, wrong, case=case, names=("reference", "wrong"), folder=tmp_path)

    with pytest.raises(ParityError) as caught:
        agrees()
    assert failing[-1].target.canvas_size == (1, 1)
    assert "images: 1 of " in str(caught.value)
    assert repr(failing[-1]) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["reference-wrong-instance.png"]

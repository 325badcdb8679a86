"""Which laws an audit asks: steps that are wrong are found, and what is not asked is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.audit import AuditOptions, AuditResult, drawn_set, run_audit, write_audit
from segpaste.audit.judging import KINDS, MOST_DRAWN, ONE_OF
from segpaste.augmentation import BatchCopyPaste
from segpaste.cli import main
from segpaste.invariants import laws
from segpaste.presets import PresetConfig, get_preset
from segpaste.types import DenseSample

SIZE = (64, 80)


def _audit(preset: PresetConfig, *, samples: int = 4, jitter: bool = True) -> AuditResult:
    size = SIZE if jitter else None
    options = AuditOptions(samples=samples, gallery=0, size=size, jitter=jitter)
    return run_audit(preset, [drawn_set(preset, 4, 0)], options)


def _changed(sample: DenseSample, **fields: Any) -> DenseSample:
    return DenseSample.unchecked(**(sample.to_dict() | fields))


def _image_alone(given: DenseSample, made: DenseSample) -> DenseSample:
    return _changed(made, image=made.image.as_subclass(torch.Tensor).flip(-1))


def _labels_reversed(given: DenseSample, made: DenseSample) -> DenseSample:
    return _changed(made, labels=made.labels.flip(0))


def _depth_doubled(given: DenseSample, made: DenseSample) -> DenseSample:
    assert made.depth is not None
    return _changed(made, depth=made.depth.as_subclass(torch.Tensor) * 2)


def _camera_kept(given: DenseSample, made: DenseSample) -> DenseSample:
    return _changed(made, camera_intrinsics=given.camera_intrinsics)


@pytest.mark.parametrize(
    ("name", "wrong", "law"),
    [
        ("coco-instance", _image_alone, "geometric.masks_move_with_image"),
        ("coco-instance", _labels_reversed, "geometric.rows_show_their_object"),
        ("nyu-depth", _depth_doubled, "geometric.depth_moves_with_image"),
        ("nyu-depth", _camera_kept, "geometric.intrinsics_follow"),
    ],
)
def test_a_wrong_jittering_is_found(
    name: str,
    wrong: Callable[[DenseSample, DenseSample], DenseSample],
    law: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = PresetConfig.jitter

    def jitter(self: PresetConfig, size: tuple[int, int] | None = None) -> Any:
        transform = right(self, size)
        assert transform is not None
        return lambda sample: wrong(sample, transform(sample))

    monkeypatch.setattr(PresetConfig, "jitter", jitter)
    monkeypatch.setattr(
        "segpaste.audit.made_sets", lambda preset, count, seed: ([drawn_set(preset, count, seed)], [])
    )
    out = tmp_path / "out"
    command = ["audit", "--preset", name, "--samples", "4", "--gallery", "0", "--out", str(out)]
    assert main([*command, "--size", "64x80"]) == 1
    assert f"violated {law}: jittered, scene" in capsys.readouterr().out
    (data,) = json.loads((out / "manifest.json").read_text("utf-8"))["data"]
    assert law in data["laws_violated"]


def test_a_wrong_sanitizing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PresetConfig.sanitize

    def sanitize(self: PresetConfig) -> Any:
        transform = right(self)
        assert transform is not None
        return lambda sample: _labels_reversed(sample, transform(sample))

    monkeypatch.setattr(PresetConfig, "sanitize", sanitize)
    (found,) = _audit(get_preset("coco-instance")).sets
    assert "geometric.rows_show_their_object" in found.verdicts.named("violated")
    assert {violation.stage for violation, _ in found.violations} == {"sanitized"}


def test_a_jittering_that_is_not_decided_by_the_seed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = PresetConfig.jitter
    drawn = torch.Generator().manual_seed(3)

    def jitter(self: PresetConfig, size: tuple[int, int] | None = None) -> Any:
        transform = right(self, size)
        assert transform is not None

        def run(sample: DenseSample) -> DenseSample:
            torch.manual_seed(int(torch.randint(2**31, (), generator=drawn)))
            return transform(sample)

        return run

    monkeypatch.setattr(PresetConfig, "jitter", jitter)
    (found,) = _audit(get_preset("coco-instance")).sets
    assert "metamorphic.same_seed_same_bits" in found.verdicts.named("violated")
    assert found.verdicts.first["metamorphic.same_seed_same_bits"].startswith("jittered, ")


def test_a_paste_that_writes_into_its_batch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = BatchCopyPaste.forward_with_audit

    def wrong(self: BatchCopyPaste, padded: Any, *arguments: Any, **named: Any) -> Any:
        result = right(self, padded, *arguments, **named)
        padded.images.as_subclass(torch.Tensor)[:, :, 0, 0] += 1
        return result

    monkeypatch.setattr(BatchCopyPaste, "forward_with_audit", wrong)
    (found,) = _audit(get_preset("coco-instance")).sets
    assert "metamorphic.inputs_not_mutated" in found.verdicts.named("violated")


def test_a_thoroughly_broken_paste_is_told_law_by_law(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = BatchCopyPaste.forward_with_audit

    def broken(self: BatchCopyPaste, *arguments: Any, **named: Any) -> Any:
        batch, audit = right(self, *arguments, **named)
        plain = {name: value.as_subclass(torch.Tensor) for name, value in batch.tensors().items()}
        return replace(
            batch,
            images=plain["images"].flip(-1),
            instance_masks=plain["instance_masks"].flip(-1) | plain["instance_masks"].flip(1),
            semantic_maps=plain["semantic_maps"] * 0 + 7,
            panoptic_maps=plain["panoptic_maps"].flip(-1) + 1,
        ), audit

    monkeypatch.setattr(BatchCopyPaste, "forward_with_audit", broken)
    monkeypatch.setattr(
        "segpaste.audit.made_sets", lambda preset, count, seed: ([drawn_set(preset, count, seed)], [])
    )
    out = tmp_path / "out"
    command = ["audit", "--preset", "coco-panoptic", "--samples", "4", "--gallery", "0", "--out", str(out)]
    assert main([*command, "--size", "64x80"]) == 1
    said = capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    violated = manifest["data"][0]["laws_violated"]
    assert len(violated) > MOST_DRAWN
    assert all(f"  violated {law}: " in said for law in violated)
    page = (out / "index.html").read_text("utf-8")
    assert page.count("<article>") == MOST_DRAWN
    assert f"The first {MOST_DRAWN} of {len(violated)} violated laws are drawn" in page
    assert len(list(out.glob("violation-*.png"))) == MOST_DRAWN


def test_every_law_is_asked_or_said_not_to_be(tmp_path: Path) -> None:
    result = _audit(get_preset("nyu-depth"), samples=ONE_OF + 1)
    (found,) = result.sets
    verdicts = found.verdicts
    assert (
        set(verdicts.counts)
        == {law.name for kind in KINDS for law in laws(kind)}
        == {law.name for law in laws()}
    )
    unasked = {law.name for kind in ("provenance", "photometric") for law in laws(kind)}
    assert set(verdicts.named("not_asked")) == unasked
    assert all(verdicts.counts[name] == {"not_asked": ONE_OF + 1} for name in unasked)
    # Two samples of eleven are judged by the laws of several runs.
    assert verdicts.counts["metamorphic.batch_independence"] == {"held": 2, "not_asked": ONE_OF - 1}
    assert "not_asked" not in verdicts.counts["geometric.depth_moves_with_image"]
    manifest = write_audit(result, tmp_path / "out")
    assert manifest["data"][0]["laws_not_asked"] == verdicts.named("not_asked")
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert all(name in page for name in unasked)
    assert f"Asked on one sample of {ONE_OF}: the metamorphic laws." in page
    statistics = (tmp_path / "out" / "statistics.json").read_text("utf-8")
    assert all(f'"{name}"' in statistics for name in unasked)


def test_without_jittering_and_sanitizing_the_geometric_laws_are_not_asked() -> None:
    values = get_preset("coco-instance").model_dump() | {"min_mask_area": 0, "sign_off": ()}
    (found,) = _audit(PresetConfig.model_validate(values), jitter=False).sets
    names = {law.name for law in laws("geometric")}
    assert names <= set(found.verdicts.named("not_asked"))


def test_that_nothing_was_pasted_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = get_preset("coco-instance")
    paste = preset.batch_copy_paste
    none = paste.model_copy(update={"placement": paste.placement.model_copy(update={"k_range": (0, 0)})})
    values = preset.model_dump() | {"name": "none", "batch_copy_paste": none, "sign_off": ()}
    file = tmp_path / "none.yaml"
    file.write_text(PresetConfig.model_validate(values).to_yaml(), encoding="utf-8")
    monkeypatch.setattr(
        "segpaste.audit.made_sets", lambda preset, count, seed: ([drawn_set(preset, count, seed)], [])
    )
    out = tmp_path / "out"
    command = ["audit", "--preset", str(file), "--samples", "4", "--gallery", "0", "--out", str(out)]
    assert main([*command, "--size", "64x80"]) == 0
    said = capsys.readouterr().out
    assert "  nothing was pasted: no law was shown to hold of a paste\n" in said
    assert "all laws hold, but nothing was pasted in drawn scenes\n" in said
    assert "nothing was pasted" in (out / "index.html").read_text("utf-8")


def test_the_same_data_draw_alike_wherever_they_lie() -> None:
    preset = get_preset("coco-instance")
    data = drawn_set(preset, 4, 0)
    options = AuditOptions(samples=4, gallery=0, size=SIZE)
    (one,), (two,) = (
        run_audit(preset, [replace(data, name=f"{folder}/instances")], options).sets
        for folder in ("here", "there")
    )
    assert one.statistics == two.statistics
    assert one.verdicts.counts == two.verdicts.counts

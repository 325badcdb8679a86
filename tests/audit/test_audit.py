"""Audits: every law judged, the same bytes twice, a manifest that is true, and violations that show."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.audit import (
    AuditError,
    AuditOptions,
    AuditResult,
    check_place,
    drawn_set,
    fitted,
    made_sets,
    run_audit,
    write,
    write_audit,
)
from segpaste.audit.data import content_sha256, relabelled
from segpaste.audit.judging import KINDS
from segpaste.audit.page import html_page
from segpaste.augmentation import BatchCopyPaste, SanitizeInstances
from segpaste.integrations import DataSet
from segpaste.integrations.data_set import unpadded
from segpaste.invariants import laws
from segpaste.presets import PresetConfig, get_preset
from segpaste.types import Modality, PanopticSchemaSpec, xyxy

NAMES = ["cityscapes-panoptic", "coco-instance", "coco-panoptic", "lvis-rare", "nyu-depth"]
SMALL = AuditOptions(samples=5, gallery=1)


def _audit(name: str, options: AuditOptions = SMALL, count: int = 4) -> AuditResult:
    preset = get_preset(name)
    return run_audit(preset, [drawn_set(preset, count, 3)], options)


@pytest.fixture(scope="module")
def coco() -> AuditResult:
    return _audit("coco-panoptic")


@pytest.mark.parametrize("name", NAMES)
def test_the_presets_keep_all_laws_on_drawn_scenes_of_their_classes(name: str) -> None:
    result = _audit(name, AuditOptions(samples=12, gallery=0), 12)
    (found,) = result.sets
    assert found.verdicts.violations == []
    assert result.ok
    assert found.samples == 12
    # Not vacuously: things were pasted, and nearly all laws that apply had something to judge.
    assert sum(found.statistics.pastes) >= 6
    assert len(found.verdicts.named("held")) >= (36 if get_preset(name).class_table is None else 38)
    assert len(found.verdicts.named("not_exercised")) <= 6
    assert found.verdicts.named("not_decidable") == []


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_the_presets_keep_all_laws_on_many_drawn_scenes(name: str) -> None:
    result = _audit(name, AuditOptions(samples=200, gallery=0, seed=11), 200)
    assert result.sets[0].verdicts.violations == []


@pytest.mark.parametrize("name", NAMES)
def test_a_sign_off_says_on_what_and_of_which_laws_nothing_was_shown(name: str) -> None:
    preset = get_preset(name)
    assert preset.sign_off
    known = {law.name for kind in KINDS for law in laws(kind)}
    for run in preset.sign_off:
        assert run.version
        # Of this very configuration; scripts/sign_off_presets.py runs them again after a change.
        assert run.config_sha256 == preset.config_sha256
        assert set(run.not_exercised) <= known
        assert run.laws_held + len(run.not_exercised) <= len(known)
    data = {run.data.partition("/")[0] for run in preset.sign_off}
    assert data >= (
        {"coco128_multi", "coco_panoptic_sample"} if name.startswith("coco") else {"drawn scenes"}
    )


def test_the_same_audit_gives_the_same_bytes(coco: AuditResult, tmp_path: Path) -> None:
    torch.manual_seed(5)
    torch.rand(3)  # torch's generator has no part in it
    state = torch.random.get_rng_state()
    again = _audit("coco-panoptic")
    assert torch.equal(torch.random.get_rng_state(), state)
    write_audit(coco, tmp_path / "one")
    write_audit(again, tmp_path / "two")
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")
    other = _audit("coco-panoptic", replace(SMALL, seed=1))
    assert other.sets[0].sha256 == coco.sets[0].sha256
    assert other.sets[0].statistics.areas != coco.sets[0].statistics.areas


def test_the_manifest_is_true_of_every_file(coco: AuditResult, tmp_path: Path) -> None:
    manifest = write_audit(coco, tmp_path / "audit")
    files = _contents(tmp_path / "audit")
    assert json.loads(files.pop("manifest.json")) == manifest
    said = {name: (entry["sha256"], entry["bytes"]) for name, entry in manifest["files"].items()}
    assert said == {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    assert set(files) == {"index.html", "preset.yaml", "statistics.json", "gallery-1-01.png"}
    assert PresetConfig.from_yaml(files["preset.yaml"].decode()) == get_preset("coco-panoptic")
    assert manifest["ok"] is True
    assert manifest["data"][0]["sha256"] == content_sha256(drawn_set(coco.preset, 4, 3).samples)
    assert manifest["data"][0]["laws_held"] == len(coco.sets[0].verdicts.named("held"))


def test_the_page_refers_to_nothing_outside_itself(coco: AuditResult, tmp_path: Path) -> None:
    write_audit(coco, tmp_path / "audit")
    page = (tmp_path / "audit" / "index.html").read_text("utf-8")
    assert "all laws hold" in page
    assert 'src="data:image/' in page
    assert "http" not in page.replace("http-equiv", "")
    assert str(tmp_path) not in page
    assert page.count("<svg") >= 4


@pytest.mark.parametrize("least", [32, 400])
def test_every_row_is_counted_once(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PresetConfig, "sanitize", lambda self: SanitizeInstances(least))
    numbers = _audit("coco-panoptic").sets[0].statistics
    assert numbers.samples == len(numbers.pastes) == len(numbers.shares) == 5
    pasted, sanitized = numbers.donors["pasted"], numbers.donors["pasted, then sanitized away"]
    assert sum(numbers.pastes) == len(numbers.areas) == pasted + sanitized
    assert min(numbers.areas) >= get_preset("coco-panoptic").batch_copy_paste.min_pasted_area
    assert sanitized == sum(area < least for area in numbers.areas)
    assert (sanitized > 0) == (least == 400)
    assert sum(each.pasted for each in numbers.classes.values()) == len(numbers.areas)
    assert sum(numbers.targets.values()) == sum(each.before for each in numbers.classes.values())
    assert (numbers.targets["dropped: sanitized, below the least mask area"] > 0) == (least == 400)
    lost = sum(n for name, n in numbers.targets.items() if name.startswith("dropped")) + sanitized
    assert lost == sum(each.lost for each in numbers.classes.values())
    assert all(each.before + each.pasted - each.lost == each.after for each in numbers.classes.values())


def test_a_broken_paste_shows_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _break_boxes(monkeypatch)
    result = _audit("coco-panoptic")
    assert not result.ok
    (found,) = result.sets
    assert "instance.boxes_are_tight" in found.verdicts.named("violated")
    assert {violation.stage for violation, _ in found.violations} >= {"pasted"}
    manifest = write_audit(result, tmp_path / "audit")
    assert manifest["ok"] is False
    assert "instance.boxes_are_tight" in manifest["data"][0]["laws_violated"]
    page = (tmp_path / "audit" / "index.html").read_text("utf-8")
    assert "some laws are violated" in page
    assert "<article>" in page
    assert (tmp_path / "audit" / "violation-1-1.png").is_file()


def test_rows_that_sanitizing_leaves_in_the_map_show_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class _RowsOnly:
        def __call__(self, sample: Any) -> Any:
            keep = sample.instance_masks.flatten(1).sum(1) >= 400
            values = sample.to_dict()
            for name in ("boxes", "labels", "instance_ids", "instance_masks"):
                values[name] = values[name].as_subclass(torch.Tensor)[keep]
            values["boxes"] = xyxy(values["boxes"], sample.canvas_size)
            return type(sample).unchecked(**values)

    monkeypatch.setattr(PresetConfig, "sanitize", lambda self: _RowsOnly())
    (found,) = _audit("coco-panoptic").sets
    assert {violation.stage for violation, _ in found.violations} == {"sanitized"}


def test_an_earlier_audit_is_replaced_and_nothing_is_left_beside(coco: AuditResult, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    out.mkdir()
    write_audit(coco, out)
    before = _contents(out)
    more = replace(coco, notes=("said twice",))
    write_audit(more, out)
    after = _contents(out)
    assert after["index.html"] != before["index.html"]
    assert after.keys() == before.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["audit"]


def test_an_audit_with_files_of_others_is_left_alone(coco: AuditResult, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    write_audit(coco, out)
    (out / "mine.txt").write_text("notes on it")
    before = _contents(out)
    with pytest.raises(AuditError, match="is an audit with 'mine.txt', which is not of it"):
        write_audit(coco, out)
    assert _contents(out) == before


def test_sets_of_one_name_are_both_in_the_statistics(coco: AuditResult, tmp_path: Path) -> None:
    write_audit(replace(coco, sets=(*coco.sets, *coco.sets)), tmp_path / "audit")
    found = json.loads((tmp_path / "audit" / "statistics.json").read_text("utf-8"))
    assert [each["name"] for each in found] == ["drawn scenes", "drawn scenes"]
    assert [each["samples"] for each in found] == [5, 5]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems rename twice")
def test_an_earlier_audit_is_replaced_at_once(
    coco: AuditResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit"
    write_audit(coco, out)
    before = _contents(out)

    def killed(source: Any, target: Any) -> None:
        raise AssertionError("between two renames there would be no audit")

    monkeypatch.setattr(os, "rename", killed)
    write_audit(replace(coco, notes=("said twice",)), out)
    assert _contents(out)["index.html"] != before["index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["audit"]


def test_of_pixels_alone_no_objects_are_counted() -> None:
    preset = PresetConfig(
        name="semantic", description="d", target_modalities=frozenset({Modality.IMAGE, Modality.SEMANTIC})
    )
    result = run_audit(preset, [drawn_set(preset, 4, 0)], AuditOptions(samples=4, gallery=0))
    page = html_page(result)
    assert max(result.sets[0].statistics.shares) > 0
    assert "of an image shows a donor" in page
    assert "objects pasted per image" not in page
    assert "pasted objects per image" not in page


def test_an_earlier_audit_stays_where_the_new_one_cannot_be_written(
    coco: AuditResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "audit"
    write_audit(coco, out)
    before = _contents(out)
    rename = os.rename

    def full(source: Any, target: Any) -> None:
        if Path(target) == out and "writing" in Path(source).name:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    monkeypatch.setattr(write, "_exchanged", lambda one, other: False)  # as where the system cannot
    with pytest.raises(KeyboardInterrupt):
        write_audit(coco, out)
    assert _contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["audit"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda out: out.write_text("x"), "is no folder"),
        (lambda out: (out.mkdir(), (out / "thesis.tex").write_text("x")), "exists and is no audit"),
        (lambda out: (out.mkdir(), (out / "manifest.json").write_text("[1]")), "exists and is no audit"),
        (
            lambda out: (
                out.mkdir(),
                (out / "manifest.json").write_text('{"format": "segpaste-audit/9"}'),
                (out / "thesis.tex").write_text("x"),
            ),
            "is an audit with 'thesis.tex'",
        ),
        (lambda out: out.symlink_to(out.parent), "is no folder"),
    ],
)
def test_what_is_no_audit_is_not_replaced(
    make: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make(out)
    with pytest.raises(AuditError, match=message):
        check_place(out)
    with pytest.raises(AuditError, match="no such folder"):
        check_place(tmp_path / "nowhere" / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "samples: got 1, expected 2 or more"),
        ({"gallery": -1}, "gallery: got -1"),
        ({"seed": -1}, "seed: got -1"),
        ({"seed": 2**64}, "seed: got"),
        ({"size": (0, 4)}, r"size: got \(0, 4\)"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditError, match=message):
        AuditOptions(**options)


def test_sets_are_chosen_by_their_modalities() -> None:
    coco = get_preset("coco-panoptic")
    whole = drawn_set(coco, 2, 0)
    instances = replace(whole.only(frozenset({Modality.IMAGE, Modality.INSTANCE})), name="instances")
    chosen, notes = fitted(coco, [instances, whole])
    assert [each.name for each in chosen] == ["drawn scenes"]
    assert notes == ["instances: left out, it has instance; the preset is for instance+semantic+panoptic"]
    with pytest.raises(AuditError, match=r"no set has instance\+semantic\+panoptic"):
        fitted(coco, [instances])
    chosen, notes = fitted(get_preset("coco-instance"), [whole, instances])
    assert [each.name for each in chosen] == ["instances"]


def test_a_set_with_less_than_the_preset_wants_is_noted() -> None:
    nyu = get_preset("nyu-depth")
    flat = drawn_set(nyu, 2, 0).only(
        frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})
    )
    (chosen,), notes = fitted(nyu, [flat])
    assert Modality.DEPTH not in chosen.modalities
    assert notes == ["drawn scenes: without depth, which these data lack"]


def _of_other_classes(table: dict[int, Any]) -> DataSet:
    preset = get_preset("coco-panoptic")
    schema = PanopticSchemaSpec(classes=table)
    return replace(relabelled(drawn_set(preset, 2, 0), schema), name="other")


def test_classes_that_are_not_the_presets_are_refused_or_relabelled() -> None:
    preset = get_preset("coco-panoptic")
    with pytest.raises(AuditError, match="got class 1000, which the preset's class table lacks; --relabel"):
        fitted(preset, [_of_other_classes({1: "thing", 1000: "stuff"})])
    swapped = _of_other_classes({1: "stuff", 2: "thing"})
    with pytest.raises(AuditError, match="class 1 is stuff in the data and thing in the preset"):
        fitted(preset, [swapped])
    (data,), notes = fitted(preset, [swapped], relabel=True)
    assert notes == ["other: relabelled with the preset's classes, so that names mean nothing"]
    schema = preset.class_table
    assert schema is not None
    for sample in data.samples:
        assert all(schema.classes[label] == "thing" for label in sample.labels.tolist())
    result = run_audit(preset, [data], AuditOptions(samples=4, gallery=0))
    assert result.ok


def test_classes_of_other_names_are_noted() -> None:
    preset = get_preset("coco-panoptic")
    data = drawn_set(preset, 2, 0)
    labels = sorted({label for sample in data.samples for label in sample.labels.tolist()})
    same = {label: preset.class_names[label].upper().replace(" ", "_") for label in labels}
    assert fitted(preset, [replace(data, class_names=same)])[1] == []
    cat = same | {labels[0]: "tabby"}
    name = preset.class_names[labels[0]]
    note = f"drawn scenes: class {labels[0]} is 'tabby' in the data and '{name}' in the preset"
    said = "; the preset's names are shown"
    assert fitted(preset, [replace(data, class_names=cat)])[1] == [note + said]
    every = dict.fromkeys(labels, "tabby")
    more = f", and {len(labels) - 1} more classes have other names"
    assert fitted(preset, [replace(data, class_names=every)])[1] == [note + more + said]


def test_a_preset_without_classes_relabels_nothing_and_says_so() -> None:
    bare = PresetConfig(
        name="bare", description="d", target_modalities=frozenset({Modality.IMAGE, Modality.INSTANCE})
    )
    _, notes = fitted(bare, [drawn_set(bare, 2, 0)], relabel=True)
    assert notes == ["drawn scenes: not relabelled, the preset has no class table"]


def test_photographs_with_too_many_rows_are_left_out() -> None:
    coco = get_preset("coco-instance")
    few = PresetConfig.model_validate(coco.model_dump() | {"max_instances": 1})
    (drawn,), (note,) = made_sets(few, 4, 0)
    assert max(len(sample) for sample in drawn.samples) == 1
    assert note.startswith("no photographs, drawn scenes only: ")


def test_too_many_rows_for_the_preset_are_refused() -> None:
    preset = get_preset("coco-instance")
    few = PresetConfig.model_validate(preset.model_dump() | {"max_instances": 1})
    with pytest.raises(AuditError, match="expected at most max_instances = 1"):
        fitted(few, [drawn_set(preset, 4, 0)])


def test_padding_is_taken_off_before_jittering() -> None:
    preset = get_preset("nyu-depth")
    sample = drawn_set(preset, 1, 0).samples[0]
    values = sample.to_dict()
    padding = torch.zeros((1, *sample.canvas_size), dtype=torch.bool)
    padding[:, 90:], padding[:, :, 100:] = True, True
    values["padding_mask"] = padding
    shown = unpadded(type(sample).unchecked(**values))
    assert shown.canvas_size == (90, 100)
    assert shown.padding_mask is None
    assert torch.equal(shown.image, sample.image[:, :90, :100])


def test_without_jitter_samples_stay_on_their_canvas() -> None:
    result = _audit("coco-instance", replace(SMALL, jitter=False))
    assert result.sets[0].canvas == (96, 128)
    assert result.sets[0].statistics.empty == 0
    sized = _audit("coco-instance", replace(SMALL, size=(64, 80)))
    assert sized.sets[0].canvas == (64, 80)


def test_the_coco_presets_keep_all_laws_on_real_images(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segpaste.integrations import load_data

    read = load_data(data_root / "coco_panoptic_sample")
    for name in ("coco-panoptic", "coco-instance"):
        preset = get_preset(name)
        data, _ = fitted(preset, read)
        result = run_audit(preset, data, AuditOptions(samples=2, gallery=0, size=(192, 192)))
        assert result.sets[0].verdicts.violations == []
        assert sum(result.sets[0].statistics.pastes) > 0


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["coco-panoptic", "coco-instance"])
@pytest.mark.parametrize("folder", ["coco_panoptic_sample", "coco128_multi"])
def test_the_coco_presets_keep_all_laws_at_full_size(name: str, folder: str, data_root: Path) -> None:
    from segpaste.integrations import load_data

    preset = get_preset(name)
    data, _ = fitted(preset, load_data(data_root / folder))
    result = run_audit(preset, data, AuditOptions(samples=24, gallery=0))
    assert [each.verdicts.violations for each in result.sets] == [[]]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _break_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    right = BatchCopyPaste.forward_with_audit

    def wrong(self: BatchCopyPaste, *arguments: Any, **named: Any) -> Any:
        batch, audit = right(self, *arguments, **named)
        boxes = batch.boxes.as_subclass(torch.Tensor).clone()
        boxes[..., 2] += batch.instance_valid
        return replace(batch, boxes=boxes), audit

    monkeypatch.setattr(BatchCopyPaste, "forward_with_audit", wrong)

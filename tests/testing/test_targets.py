"""The built-in targets: which there are, where they run, and what does not go through them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given

import segpaste.integrations
from segpaste.cli import main
from segpaste.integrations import DataError
from segpaste.paste import apply_with_audit
from segpaste.strategies import PasteCase, paste_cases
from segpaste.testing import (
    RunOptions,
    RunReport,
    TargetNotFoundError,
    check_augmentation,
    resolve_target,
    run,
)
from segpaste.testing.executors import EXECUTORS, apply_batched, beside_the_module
from segpaste.testing.html_report import html_page
from segpaste.testing.parity import assert_same_bits
from segpaste.testing.targets import Executor, builtin_targets, default_targets
from segpaste.types import BatchCopyPasteConfig, Modality, PanopticPasteConfig, PanopticSchemaSpec

INSTANCE = frozenset({Modality.IMAGE, Modality.INSTANCE})
EVERYTHING = frozenset(Modality)


@pytest.fixture(autouse=True)
def _no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_the_targets_are_these() -> None:
    assert builtin_targets() == ["reference", "batched", "rectangle", "graph", "fused"]
    assert default_targets() == ["reference", "batched"]


@pytest.mark.parametrize("name", ["reference", "batched", "rectangle", "graph"])
def test_each_is_imported_by_the_line_that_reports_print(name: str) -> None:
    target = resolve_target(name)
    assert isinstance(target, Executor)
    names: dict[str, object] = {}
    exec(target.imported_by, names)
    assert names["apply"] is target.apply


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("fused", "cpu", "target fused: got device cpu, expected --device cuda, or TRITON_INTERPRET=1"),
        ("rectangle", "cuda", "target rectangle: got device cuda, expected cpu"),
    ],
)
def test_what_cannot_run_here_says_so_in_one_line(name: str, device: str, message: str) -> None:
    with pytest.raises(TargetNotFoundError, match=message) as caught:
        resolve_target(name, device)
    assert "\n" not in str(caught.value)
    with pytest.raises(TargetNotFoundError, match=message):
        check_augmentation(name, device=device, examples=1)


def test_the_command_line_says_so_and_means_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "fused"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("segpaste: target fused: got device cpu, expected --device cuda, or TRITON")


def test_the_fused_kernels_run_on_the_cpu_under_tritons_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert resolve_target("fused").name == "fused"
    assert resolve_target("fused", "cuda").name == "fused"


@given(paste_cases())
def test_the_module_gives_the_references_bits(case: PasteCase) -> None:
    expected, told = apply_with_audit(case.target, case.source, case.plan, case.config, executor="reference")
    actual, audit = apply_batched(case.target, case.source, case.plan, case.config)
    assert_same_bits(expected, actual, audits=(told, audit), case=case, names=("reference", "batched"))


def test_a_class_table_without_maps_does_not_go_through_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segpaste.testing.executors.BatchCopyPaste", None)
    schema = PanopticSchemaSpec(classes={1: "thing"})
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=schema))
    seen = set()

    @given(paste_cases(INSTANCE, schema=schema) | paste_cases(EVERYTHING, schema=schema))
    def told(case: PasteCase) -> None:
        complete = case.target.panoptic_maps is not None
        seen.add(complete)
        assert beside_the_module(case.target, BatchCopyPasteConfig()) is None
        assert (beside_the_module(case.target, config) is None) == complete
        if complete:
            with pytest.raises(TypeError, match="NoneType"):
                apply_batched(case.target, case.source, case.plan, case.config)
        else:
            apply_batched(case.target, case.source, case.plan, case.config)

    told()
    assert seen == {False, True}


@pytest.mark.parametrize(("modalities", "some"), [(INSTANCE, True), (EVERYTHING, False)])
def test_the_examples_that_do_not_go_through_it_are_counted(
    modalities: frozenset[Modality], some: bool
) -> None:
    options = RunOptions(modalities=(modalities,), examples=20, only="paste.frame_kept")
    (report,) = run([resolve_target("batched")], options).targets
    assert not report.failed
    assert len(report.notes) == some
    if some:
        count, _, rest = report.notes[0].partition(" of 20 examples: a class table without semantic and ")
        assert 0 < int(count) < 20
        assert rest.startswith("panoptic maps, which BatchCopyPaste refuses; pasted by")
    (reference,) = run([resolve_target("reference")], options).targets
    assert reference.notes == ()


def test_without_a_target_reference_and_module_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise DataError("demo photographs: left out of this test")

    monkeypatch.setattr(segpaste.integrations, "demo_photographs", missing, raising=False)
    options = ["--examples", "8", "--modalities", "instance", "--json", str(tmp_path / "r.json")]
    assert main(["verify", *options, "--html", str(tmp_path / "html")]) == 0
    out = capsys.readouterr().out
    assert "reference: " in out
    assert "batched: " in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert [target["target"] for target in report["targets"]] == ["reference", "batched"]
    notes = report["targets"][1]["notes"]
    assert "which BatchCopyPaste refuses" in notes[0]
    assert notes[0] in out
    assert "which BatchCopyPaste refuses" in (tmp_path / "html" / "index.html").read_text()


def test_a_mistake_of_the_module_is_found_and_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong executor beneath it: what the paste covers keeps its mask."""

    def careless(target, source, plan, config, **options):
        batch, audit = apply_with_audit(target, source, plan, config, executor="reference")
        if batch.instance_masks is not None and batch.instance_valid.any():
            masks = batch.instance_masks.as_subclass(torch.Tensor)
            masks[batch.instance_valid] = True
        return batch, audit

    monkeypatch.setattr("segpaste.augmentation.batch_copy_paste.apply_with_audit", careless)
    options = RunOptions(modalities=(INSTANCE,), examples=30, only="instance.boxes_are_tight")
    (report,) = run([resolve_target("batched")], options).targets
    (failed,) = report.failed
    assert failed.minimal is not None
    assert "from segpaste.testing.executors import apply_batched as apply" in failed.minimal.code
    names: dict[str, list[object]] = {}
    exec(compile(failed.minimal.code, "reproduction", "exec"), names)
    assert any(getattr(r, "status", None) == "violated" for r in names["reports"])


def test_a_mistake_with_an_empty_batch_is_reported_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = apply_with_audit

    def stumbles(target, source, plan, config, **options):
        if target.batch_size == 0:
            raise IndexError("no sample 0")
        return right(target, source, plan, config, **options)

    monkeypatch.setattr("segpaste.augmentation.batch_copy_paste.apply_with_audit", stumbles)
    options = RunOptions(modalities=(EVERYTHING,), examples=200, only="target.completes")
    (report,) = run([resolve_target("batched")], options).targets
    (failed,) = report.failed
    assert failed.minimal is not None
    assert failed.minimal.example.target.batch_size == 0
    names: dict[str, list[object]] = {}
    exec(compile(failed.minimal.code, "reproduction", "exec"), names)
    assert [getattr(r, "status", None) for r in names["reports"]] == ["violated"]
    assert html_page(RunReport(run([], options).header, (report,), 1.0))


def test_the_table_names_functions_that_exist() -> None:
    for builtin in EXECUTORS.values():
        module, _, attribute = builtin.function.partition(":")
        assert callable(getattr(__import__(module, fromlist=[attribute]), attribute))


def test_what_a_script_defines_is_found_in_the_module_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "flips.py").write_text(
        "from segpaste.testing import resolve_target\n"
        "def flip(sample, seed):\n    return sample\n"
        "target = resolve_target(flip, kind='geometric')\n"
        "print(target.name, target.spec, target.imported_by)\n"
    )
    run_of_it = subprocess.run(
        [sys.executable, "flips.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run_of_it.stdout == "flips:flip flips:flip from flips import flip as aug\n"

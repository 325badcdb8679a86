"""Stored samples and violations: every bit comes back, and every wrong file is named in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from safetensors.torch import load_file, save_file

from segpaste.strategies import PasteCase, dense_samples, paste_cases
from segpaste.testing.examples import Example, ragged
from segpaste.testing.stored import (
    FORMAT,
    StoredFileError,
    StoredViolation,
    load_sample,
    read_violation,
    save_sample,
    write_violation,
)
from segpaste.types import CameraIntrinsics, DenseSample, PaddedBatchedDenseSample, PanopticSchemaSpec

ROOT = Path(__file__).resolve().parents[2]


def _same(
    got: DenseSample | PaddedBatchedDenseSample, expected: DenseSample | PaddedBatchedDenseSample
) -> None:
    assert type(got) is type(expected)
    for field in fields(expected):
        mine, other = getattr(got, field.name), getattr(expected, field.name)
        if not isinstance(other, torch.Tensor):
            assert mine == other, field.name
            continue
        assert type(mine) is type(other), field.name
        assert (mine.dtype, mine.shape) == (other.dtype, other.shape), field.name
        plain, wanted = (t.as_subclass(torch.Tensor).contiguous().numpy().tobytes() for t in (mine, other))
        assert plain == wanted, field.name


def _malformed() -> DenseSample:
    """What no well-formed sample holds, in every dtype."""
    nan = torch.tensor([0x7FC00001, -1, 0x7F800001, -(2**31)], dtype=torch.int32).view(torch.float32)
    return DenseSample.unchecked(
        image=nan.reshape(1, 2, 2).repeat(3, 1, 1),
        boxes=torch.tensor([[-0.0, 0.0, float("inf"), 1e-45]]),
        labels=torch.tensor([2**63 - 1]),
        instance_ids=torch.tensor([2**31 - 1], dtype=torch.int32),
        instance_masks=torch.tensor([[[True, False], [False, True]]]),
        semantic_map=torch.tensor([[0, -1], [255, 2**62]]),
        panoptic_map=torch.tensor([[0, 2**31 - 1], [2**31, -5]]),
        depth=nan.reshape(1, 2, 2),
        depth_valid=torch.tensor([[[True, False], [True, False]]]),
        normals=-nan.reshape(1, 2, 2).expand(3, 2, 2),
        padding_mask=torch.zeros((1, 2, 2), dtype=torch.bool),
        camera_intrinsics=CameraIntrinsics(0.1, 1 / 3, -0.0, 1e300),
        metric_depth=True,
    )


def test_every_bit_of_a_malformed_sample_comes_back(tmp_path: Path) -> None:
    sample = _malformed()
    save_sample(tmp_path / "s.safetensors", sample)
    got = load_sample(str(tmp_path / "s.safetensors"))
    _same(got, sample)
    assert str(got.camera_intrinsics) == str(sample.camera_intrinsics)  # -0.0 equals 0.0


def test_no_rows_and_no_other_fields(tmp_path: Path) -> None:
    sample = DenseSample(image=torch.zeros((1, 1, 1), dtype=torch.uint8))  # pyright: ignore[reportArgumentType]
    save_sample(tmp_path / "s.safetensors", sample)
    _same(load_sample(tmp_path / "s.safetensors"), sample)


def test_views_of_one_memory_are_stored_apart(tmp_path: Path) -> None:
    memory = torch.arange(48, dtype=torch.float32).reshape(3, 4, 4) / 64
    sample = DenseSample.unchecked(
        image=memory.transpose(1, 2),
        depth=memory[:1],
        depth_valid=torch.ones((1, 1, 1), dtype=torch.bool).expand(1, 4, 4),
    )
    save_sample(tmp_path / "s.safetensors", sample)
    _same(load_sample(tmp_path / "s.safetensors"), sample)


@given(dense_samples())
def test_drawn_samples_come_back(tmp_path_factory: pytest.TempPathFactory, sample: DenseSample) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.safetensors"
    save_sample(path, sample)
    got = load_sample(path)
    _same(got, sample)
    got.validate()


@given(paste_cases())
def test_violations_of_executors_come_back(tmp_path_factory: pytest.TempPathFactory, case: PasteCase) -> None:
    path = tmp_path_factory.getbasetemp() / "planned.safetensors"
    violation = _violation(case, planned=True)
    write_violation(path, violation)
    got = read_violation(path)
    _same(got.example.target, case.target)
    _same(got.example.source, case.source)
    assert (got.example.source is got.example.target) == (case.source is case.target)
    for field in fields(case.plan):
        assert torch.equal(getattr(got.example.plan, field.name), getattr(case.plan, field.name))
    assert got.example.config == case.config
    assert replace(got, example=violation.example) == violation


@given(paste_cases(max_batch=2).filter(lambda case: case.target.batch_size > 0))
def test_violations_of_callables_come_back(tmp_path_factory: pytest.TempPathFactory, case: PasteCase) -> None:
    path = tmp_path_factory.getbasetemp() / "called.safetensors"
    violation = _violation(case, planned=False)
    write_violation(path, violation)
    got = read_violation(path).example.alone(0)
    expected = violation.example.alone(0)
    _same(ragged(got.target), ragged(expected.target))
    _same(ragged(got.source), ragged(expected.source))
    assert (got.config, got.seed, got.group) == (case.config, case.seed, "drawn")


def _violation(case: PasteCase, *, planned: bool) -> StoredViolation:
    example = Example(case.target, case.source, case.plan, case.config, case.seed)
    return StoredViolation(
        replay_id="0123abcd",
        law="instance.boxes_are_tight",
        law_kind="sample",
        statement="a law",
        message="line one\nline \ud800 two",
        where="drawn",
        target="batched",
        spec="batched" if planned else None,
        kind="paste",
        takes_donor=True,
        planned=planned,
        index=0,
        example=example,
        class_table=PanopticSchemaSpec(classes={1: "thing", 2: "stuff"}, ignore_index=0),
        device="cpu",
        versions={"torch": "2"},
    )


def _sample_file(path: Path) -> Path:
    save_sample(path, _malformed())
    return path


def _edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A file whose header was changed."""

    def edit(path: Path) -> None:
        data = _sample_file(path).read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["segpaste"])
        changed = change(header)
        text = json.dumps(header if changed is None else changed)
        save_file(load_file(path), path, {"segpaste": text})

    return edit


def _with_tensors(**changes: torch.Tensor | None) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        data = _sample_file(path).read_bytes()
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        tensors = load_file(path) | {name.replace("__", "/"): t for name, t in changes.items()}
        save_file({name: t for name, t in tensors.items() if t is not None}, path, metadata)

    return edit


def _cut(length: int) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(_sample_file(path).read_bytes()[:length])


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "cannot be read: No such file or directory"),
    "a folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "empty": (lambda path: path.touch(), "damaged, or no safetensors file"),
    "text": (lambda path: path.write_text("not at all a file of tensors"), "damaged, or no safetensors file"),
    "a pickle": (lambda path: torch.save({"a": 1}, path), "damaged, or no safetensors file"),
    "the header cut": (_cut(40), "damaged, or no safetensors file"),
    "the tensors cut": (_cut(-1), "damaged, or no safetensors file"),
    "of another program": (
        lambda path: save_file({"a": torch.zeros(2)}, path, {"format": "pt"}),
        "a safetensors file, but not one that segpaste wrote",
    ),
    "no metadata": (lambda path: save_file({"a": torch.zeros(2)}, path), "not one that segpaste wrote"),
    "no JSON": (
        lambda path: save_file({}, path, {"segpaste": "{"}),
        "damaged, its header is not JSON",
    ),
    "deep JSON": (
        lambda path: save_file({}, path, {"segpaste": "[" * 100_000}),
        "damaged, its header is not JSON",
    ),
    "a list": (_edited(lambda header: [1]), "format: got '[1]', expected 1"),
    "a later format": (
        _edited(lambda header: header.update(format=FORMAT + 1)),
        f"format: got '{FORMAT + 1}', expected {FORMAT}; written by another version?",
    ),
    "unknown content": (_edited(lambda header: header.update(content="film")), "in its header: content:"),
    "an unknown key": (_edited(lambda header: header.update(more=1)), "in its header: more:"),
    "no violation": (_edited(lambda header: header.update(content="violation")), "violation: missing"),
    "no samples": (
        _edited(lambda header: header.update(samples={})),
        "holds samples [], expected",
    ),
    "a padded sample": (
        _edited(lambda header: header["samples"]["sample"].update(padded=True)),
        "its tensors make no sample",
    ),
    "no camera": (
        _edited(lambda header: header["samples"]["sample"].update(camera_intrinsics=None)),
        "its tensors make no sample: metric_depth: got True without camera_intrinsics",
    ),
    "a camera of zeros": (
        _edited(lambda header: header["samples"]["sample"].update(camera_intrinsics=[0, 0, 0, 0])),
        "its tensors make no sample: camera_intrinsics.fx",
    ),
    "no image": (_with_tensors(sample__image=None), "its tensors make no sample: image: missing"),
    "a wrong dtype": (
        _with_tensors(sample__labels=torch.zeros(1)),
        "its tensors make no sample: labels:",
    ),
    "a wrong shape": (
        _with_tensors(sample__depth=torch.zeros((2, 2))),
        "its tensors make no sample: depth:",
    ),
    "an unknown field": (_with_tensors(sample__colour=torch.zeros(1)), "unknown fields ['colour']"),
    "an unknown tensor": (_with_tensors(more=torch.zeros(1)), "holds a tensor 'more' of unknown meaning"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    make, message = WRONG[name]
    path = tmp_path / "wrong.safetensors"
    make(path)
    with pytest.raises(StoredFileError) as caught:
        load_sample(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text


@given(paste_cases(max_batch=1).filter(lambda case: case.target.batch_size == 1))
def test_a_violation_is_no_sample_and_a_sample_no_violation(
    tmp_path_factory: pytest.TempPathFactory, case: PasteCase
) -> None:
    path = tmp_path_factory.getbasetemp() / "either.safetensors"
    write_violation(path, _violation(case, planned=False))
    with pytest.raises(StoredFileError, match="holds a violation, expected a sample"):
        load_sample(path)
    save_sample(path, ragged(case.target.select(0)))
    with pytest.raises(StoredFileError, match="holds a sample alone, expected a violation"):
        read_violation(path)


def test_a_killed_write_leaves_the_old_file(tmp_path: Path) -> None:
    old = _malformed()
    save_sample(tmp_path / "s.safetensors", old)
    program = """
import os, signal, sys
from segpaste.testing.stored import load_sample, save_sample
import segpaste.testing.files
sample = load_sample("s.safetensors")
sample.image.zero_()
segpaste.testing.files.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
save_sample("s.safetensors", sample)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert run.returncode == -signal.SIGKILL
    _same(load_sample(tmp_path / "s.safetensors"), old)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".safetensors"] == ["s.safetensors"]


def test_the_same_sample_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_sample(tmp_path / name, _malformed())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

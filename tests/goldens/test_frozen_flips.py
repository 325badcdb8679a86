"""One flipped bit of one field of any executor is found, named and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.goldens import check as gate
from segpaste.goldens.cases import FrozenCase
from segpaste.goldens.check import Mismatch, check_executor, report
from segpaste.goldens.pictures import write_pictures
from segpaste.goldens.runners import compiled
from segpaste.paste import apply_with_audit
from segpaste.types import BatchAuditPacket, PaddedBatchedDenseSample
from tests.goldens.frozen_gate import expect_every_flip_to_show, flipped

KIND = "instance+semantic+panoptic+depth+normals"
EXECUTORS = ("reference", "rectangle", "graph")
FIELDS = (
    *("images", "boxes", "labels", "instance_valid", "instance_ids", "instance_masks", "semantic_maps"),
    *("panoptic_maps", "depth", "depth_valid", "normals", "padding_mask", "camera_intrinsics", "paste_union"),
)
Paste = Callable[..., tuple[PaddedBatchedDenseSample, BatchAuditPacket]]


def flipping(executor: Any, field: str, place: int, bit: int = 0) -> Paste:
    """An executor that flips one bit of its result."""

    def paste(*case: Any) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        batch, audit = apply_with_audit(*case, executor=executor)
        if field == "paste_union":
            return batch, replace(audit, paste_union=flipped(audit.paste_union, place, bit))
        changed: dict[str, Any] = {field: flipped(getattr(batch, field), place, bit)}
        return replace(batch, **changed), audit

    return paste


def found_by(paste: Paste, name: str, seed: int = 0, kind: str = KIND) -> list[Mismatch]:
    """What the gate says of one seed."""
    return check_executor(paste, kinds=[kind], dtypes=["float32"], seeds=[seed], name=name)


def test_every_field_is_here() -> None:
    one = FrozenCase(0, KIND, "float32").case
    assert {*one.target.tensors(), "paste_union"} == set(FIELDS)


@pytest.mark.parametrize(("field", "executor"), [(field, EXECUTORS[n % 3]) for n, field in enumerate(FIELDS)])
def test_a_flipped_bit_is_found_and_drawn(field: str, executor: str, tmp_path: Path) -> None:
    case = FrozenCase(0, KIND, "float32").case
    value = case.target.tensors().get(field, torch.zeros((case.target.batch_size, 37, 53)))
    place = value.numel() - 2
    index = [int(i) for i in torch.unravel_index(torch.tensor(place), value.shape)]
    found = found_by(flipping(executor, field, place), executor)
    assert [one.field for one in found] == [field]
    assert f"1 of {value.numel()} elements differ, at {index}; " in found[0].message
    assert found[0].origin in set(EXECUTORS) - {executor}
    lines = write_pictures(found, tmp_path)
    pictures = list(tmp_path.iterdir())
    assert len(pictures) == 1
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    text = report(found, lines)
    assert text.startswith(f"1 frozen cases are not what they were: {field} in 1\n")
    assert f"picture: {pictures[0]}" in text


@pytest.mark.parametrize("executor", [*EXECUTORS, "compiled"])
def test_a_flipped_bit_of_every_field_of_every_executor(executor: str, tmp_path: Path) -> None:
    one = FrozenCase(0, KIND, "float32")
    run = compiled(backend="aot_eager") if executor == "compiled" else gate.built_in(executor)
    (outcome,) = run([one])
    assert {*outcome} == {*FIELDS, "metric_depth"}
    expect_every_flip_to_show(one, outcome, executor, tmp_path)


@pytest.mark.parametrize("bit", [0, 7, 15, 31])
def test_any_bit_of_a_float(bit: int) -> None:
    found = found_by(flipping("rectangle", "normals", 1234, bit), "rectangle", seed=1)
    assert [one.field for one in found] == ["normals"]


def test_the_sign_of_a_zero_is_a_bit() -> None:
    found = found_by(flipping("graph", "boxes", 0, 31), "graph", seed=2, kind="instance")
    assert [one.field for one in found] == ["boxes"]


def test_where_all_executors_have_changed_the_kept_tensors_are_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gate, "_WITNESSES", ())
    for field in ("images", "instance_masks", "depth"):
        found = found_by(flipping("reference", field, 77), "reference", seed=3, kind=KIND)
        assert [(one.field, one.origin) for one in found] == [(field, "kept tensors")]
        assert "1 of " in found[0].message
    assert "picture: " in report(found, write_pictures(found, tmp_path))


def test_label_maps_are_kept_of_every_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_WITNESSES", ())
    found = found_by(flipping("reference", "semantic_maps", 5), "reference", seed=150)
    assert [one.origin for one in found] == ["kept tensors"]


def test_where_nobody_knows_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "_WITNESSES", ())
    found = found_by(flipping("reference", "images", 5), "reference", seed=150)
    assert [one.before for one in found] == [None]
    assert "there is no before" in found[0].message
    assert "no picture: there is no before" in report(found, write_pictures(found, tmp_path))


def test_another_shape_or_dtype_is_said(tmp_path: Path) -> None:
    def paste(*case: Any) -> tuple[PaddedBatchedDenseSample, BatchAuditPacket]:
        batch, audit = apply_with_audit(*case, executor="rectangle")
        small = batch.images.as_subclass(torch.Tensor)[:, :1]
        return replace(batch, images=small), audit  # pyright: ignore[reportArgumentType]

    found = found_by(paste, "mine", kind="image")
    assert [one.field for one in found] == ["images"]
    assert "was float32 [" in found[0].message
    assert "no picture: " in report(found, write_pictures(found, tmp_path))


def test_changed_inputs_are_told_from_changed_executors() -> None:
    class Moved(FrozenCase):
        """A case whose configuration is drawn otherwise."""

        @property
        def case(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
            drawn = FrozenCase(self.seed, self.kind, self.dtype).case
            return replace(drawn, config=drawn.config.model_copy(update={"min_area": 77}))

    cases = [Moved(0, KIND, "float32")]
    results = gate.built_in("reference")(list(cases))
    found = gate.compare(cases, results, store=gate.FrozenStore(), name="reference")
    assert [one.field for one in found] == ["inputs"]


def test_a_changed_plan_is_shown_field_by_field() -> None:
    class Moved(FrozenCase):
        """A case whose plan is drawn otherwise."""

        @property
        def case(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
            drawn = FrozenCase(self.seed, self.kind, self.dtype).case
            return replace(drawn, plan=replace(drawn.plan, step=drawn.plan.step + 1))

    cases = [Moved(0, KIND, "float32")]
    found = gate.compare(cases, gate.built_in("reference")(list(cases)), store=gate.FrozenStore(), name="x")
    assert found[0].field == "plan.step"
    assert "(before: kept tensors)" in found[0].message


def test_thousands_of_mismatches_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MOST_EXPLAINED", 3)
    paste = flipping("rectangle", "images", 0)
    found = check_executor(paste, kinds=["instance"], dtypes=["uint8"], seeds=range(20), name="rectangle")
    assert [one.explained for one in found] == [True] * 3 + [False] * 17
    assert "20 frozen cases are not what they were: images in 20" in report(found)
    assert "and 8 more cases" in report(found)

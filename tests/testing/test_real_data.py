"""Examples made of real data: where they come from, and how their violations are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from segpaste.integrations import DataSet
from segpaste.testing import Result, RunOptions, resolve_target, run
from segpaste.testing.engine import METAMORPHIC_EVERY
from segpaste.testing.pictures import violation_strip
from segpaste.types import DenseSample, Modality, PanopticSchemaSpec, xyxy
from tests.faults_five import correct

SET = frozenset({Modality.IMAGE, Modality.INSTANCE})
LAW = "instance.boxes_are_tight"


def _frame(number: int, height: int, width: int) -> DenseSample:
    """A frame with one object of a third of its size."""
    mask = torch.zeros((1, height, width), dtype=torch.bool)
    mask[0, 1 : height // 2, number : number + width // 3] = True
    box = torch.tensor([[number, 1, number + width // 3, height // 2]], dtype=torch.float32)
    return DenseSample(
        image=torch.full((3, height, width), 60 * number, dtype=torch.uint8),  # pyright: ignore[reportArgumentType]
        boxes=xyxy(box, (height, width)),
        labels=torch.tensor([1]),
        instance_ids=torch.tensor([number], dtype=torch.int32),
        instance_masks=mask,  # pyright: ignore[reportArgumentType]
    )


def _data(height: int, width: int) -> DataSet:
    frames = tuple(_frame(number, height, width) for number in (1, 2, 3))
    schema = PanopticSchemaSpec(classes={1: "thing"})
    return DataSet("frames", frames, ("a.png", "b.png", "c.png"), schema)


def _wrong_beyond(width: int) -> Callable[..., DenseSample]:
    """Shifts boxes by one pixel, on canvases wider than any that is drawn."""

    def aug(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample:
        after = correct(target, donor, seed)[0]
        if target.canvas_size[1] <= width:
            return after
        boxes = after.boxes.as_subclass(torch.Tensor) + 1
        return DenseSample.unchecked(**(after.to_dict() | {"boxes": xyxy(boxes, after.canvas_size)}))

    return aug


def _failure(aug: Callable[..., Any], data: DataSet) -> Result:
    options = RunOptions(
        modalities=(SET,),
        examples=10,
        real_examples=10,
        data=(data,),
        loaders={"frames": "frames()"},
        only=LAW,
    )
    (failed,) = run([resolve_target(aug)], options).targets[0].failed
    return failed


def _violated(result: Result, **names: Any) -> list[str]:
    assert result.minimal is not None
    exec(compile(result.minimal.code, "reproduction", "exec"), names)
    return [str(report) for report in names["reports"] if report.status == "violated"]


def test_a_violation_on_a_frame_is_cut_down_to_what_matters() -> None:
    aug = _wrong_beyond(24)
    failed = _failure(aug, _data(12, 48))
    assert failed.minimal is not None
    assert failed.minimal.before.canvas_size == (1, 25)
    assert failed.minimal.example.where.startswith("cut from frames: ")
    assert failed.first is not None
    assert "frames: " in failed.first
    assert ".png, 12 x 48)" in failed.first
    assert _violated(failed, aug=aug) == [failed.violation]


def test_what_stays_large_is_loaded_by_the_code_and_shown_in_a_window() -> None:
    aug = _wrong_beyond(150)
    data = _data(16, 200)
    failed = _failure(aug, data)
    assert failed.minimal is not None
    assert failed.minimal.before.canvas_size == (16, 200)
    assert "samples = frames().samples" in failed.minimal.code
    assert _violated(failed, aug=aug, frames=lambda: data) == [failed.violation]
    assert violation_strip(failed.minimal).width > 900


def test_without_a_loader_the_code_takes_the_data_it_was_given() -> None:
    aug = _wrong_beyond(150)
    data = _data(16, 200)
    options = RunOptions(modalities=(SET,), examples=1, real_examples=10, data=(data,), only=LAW)
    (failed,) = run([resolve_target(aug)], options).targets[0].failed
    assert failed.minimal is not None
    assert "`data` is the list of data sets" in failed.minimal.code
    assert _violated(failed, aug=aug, data=[data]) == [failed.violation]


@pytest.mark.parametrize("law", ["metamorphic.inputs_not_mutated", "paste.frame_kept"])
def test_an_executor_is_judged_on_frames_too(law: str) -> None:
    options = RunOptions(
        modalities=(SET,), examples=1, real_examples=2 * METAMORPHIC_EVERY, data=(_data(12, 30),), only=law
    )
    (target,) = run([resolve_target("reference")], options).targets
    real = target.groups[1]
    assert (real.group, real.examples) == ("frames", 2 * METAMORPHIC_EVERY)
    assert real.pasted >= 5
    expected = 2 if law.startswith("metamorphic") else 2 * METAMORPHIC_EVERY
    assert target.results[0].tried - 1 <= expected <= target.results[0].tried

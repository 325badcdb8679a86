"""Augmentations of every kind through check_augmentation: what is judged, and what is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from segpaste.augmentation import make_large_scale_jittering
from segpaste.cli import main
from segpaste.strategies.scenes import DEFAULT_SCHEMA
from segpaste.testing import (
    AugmentationViolation,
    Result,
    RunOptions,
    TargetNotFoundError,
    check_augmentation,
    resolve_target,
    run,
)
from segpaste.testing.adapters import Accepts, Adapted, Adapter, Complaint, UnreadableResultError
from segpaste.testing.adapters.base import DTYPE_KEPT, ROWS_ALIGNED
from segpaste.testing.judge import COMPLETES, MODALITIES_KEPT, applicable_laws
from segpaste.types import DenseSample, Modality
from tests.testing import transforms

SET = ["instance+semantic"]


def record(aug: Any, **options: Any) -> dict[str, Result]:
    found = check_augmentation(aug, on_fail="record", **{"examples": 30, "modalities": SET} | options)
    return {result.law: result for result in found}


def broken(results: dict[str, Result]) -> set[str]:
    return {law for law, result in results.items() if result.status == "failed"}


def test_a_correct_flip_breaks_nothing_in_any_modality() -> None:
    results = record(transforms.mirrored, kind="geometric", modalities=None, examples=64)
    assert list(results) == applicable_laws("geometric")
    assert not broken(results)
    for law in (
        "geometric.masks_move_with_image",
        "geometric.normals_rotate_with_image",
        "geometric.intrinsics_follow",
        "instance.boxes_are_tight",
        "metamorphic.same_seed_same_bits",
        DTYPE_KEPT,
    ):
        assert results[law].status == "passed", (law, results[law].reason)


def test_an_image_of_another_size_is_a_changed_one() -> None:
    targets = [resolve_target(make_large_scale_jittering(8, 2.0)), resolve_target(v2.Identity())]
    options = RunOptions(modalities=(frozenset({Modality.INSTANCE}),), examples=20)
    jittered, still = (report.groups[0] for report in run(targets, options).targets)
    assert jittered.examples == still.examples == 20
    assert jittered.pasted >= 15  # the others were empty, or of 8 x 8 pixels of one colour
    assert still.pasted == 0


def test_masks_that_stay_behind_are_found_with_a_small_example_and_code() -> None:
    results = record(transforms.masks_stay_behind, kind="geometric", modalities=["instance"])
    assert "geometric.masks_move_with_image" in broken(results)
    result = results["geometric.masks_move_with_image"]
    minimal = result.minimal
    assert minimal is not None
    assert minimal.donor is None
    assert max(minimal.before.canvas_size) <= 2
    assert minimal.stored is not None
    names: dict[str, Any] = {}
    exec(compile(minimal.code, "<reproduction>", "exec"), names)
    assert [report.status for report in names["reports"]] == ["violated"]
    assert result.examples == result.tried


def test_a_mosaic_of_two_is_judged_with_its_donor() -> None:
    results = record(transforms.side_by_side, kind="geometric")
    assert not broken(results)
    assert results["geometric.semantic_moves_with_image"].status == "passed"
    assert results["geometric.masks_move_with_image"].status == "passed"


def test_colours_may_change_and_labels_may_not() -> None:
    fine = record(transforms.darker, kind="photometric")
    assert list(fine) == applicable_laws("photometric")
    assert not broken(fine)
    assert fine["photometric.labels_untouched"].status == "passed"
    wrong = record(transforms.darker_with_labels, kind="photometric")
    assert "photometric.labels_untouched" in broken(wrong)


def test_expected_failures_are_strict() -> None:
    law = "photometric.labels_untouched"
    options: dict[str, Any] = {"kind": "photometric", "modalities": SET, "examples": 30}
    reason = "class 2 is merged into 1, on purpose"
    results = check_augmentation(transforms.darker_with_labels, expected={law: reason}, **options)
    (found,) = [result for result in results if result.law == law]
    assert (found.status, found.reason) == ("expected", reason)
    assert found.violation is not None
    with pytest.raises(AugmentationViolation, match=f"{law}.*darker.*remove the entry"):
        check_augmentation(transforms.darker, expected={law: reason}, **options)
    with pytest.raises(ValueError, match="expected: no law is called 'photometric.labels'"):
        check_augmentation(transforms.darker, expected={"photometric.labels": reason}, **options)
    with pytest.raises(ValueError, match="got the reason ''"):
        check_augmentation(transforms.darker, expected={law: ""}, **options)


class Library(Adapter):
    """An adapter of a library that fails in ways no sample can hold."""

    name = "library"
    kind = "geometric"

    def __init__(self, law: str, *, readable: bool = True, accepts: Accepts | None = None) -> None:
        self.accepts = accepts or Accepts()
        self.seen: list[DenseSample] = []
        self._complaint = Complaint(law, "got 2, expected 3")
        self._readable = readable

    def __call__(self, target: DenseSample, donor: DenseSample, seed: int) -> Adapted:
        self.seen.append(target)
        if not self._readable:
            raise UnreadableResultError(self._complaint)
        return Adapted(target, (self._complaint,))


@pytest.mark.parametrize("law", [ROWS_ALIGNED, DTYPE_KEPT])
@pytest.mark.parametrize("readable", [True, False])
def test_complaints_of_an_adapter_break_the_law_they_name(law: str, readable: bool) -> None:
    results = record(Library(law, readable=readable), examples=5)
    other = next(one for one in (ROWS_ALIGNED, DTYPE_KEPT) if one != law)
    assert results[law].status == "failed"
    assert results[law].violation == f"[{law}] got 2, expected 3"
    assert results[other].status == ("passed" if readable else "not applicable")
    assert results[COMPLETES].status == ("passed" if readable else "not applicable")


def test_an_adapter_is_given_only_what_it_accepts() -> None:
    accepts = Accepts(
        modalities=frozenset({Modality.INSTANCE, Modality.SEMANTIC}),
        image_dtypes=(torch.uint8,),
        channels=(1,),
        min_side=5,
        max_side=9,
        min_instances=1,
    )
    library = Library(ROWS_ALIGNED, accepts=accepts)
    record(library, modalities=None, examples=40)
    for sample in library.seen:
        assert sample.active_modalities() <= accepts.modalities | {Modality.IMAGE}
        assert sample.image.dtype == torch.uint8
        assert 5 <= min(sample.canvas_size) <= max(sample.canvas_size) <= 24
        assert sample.padding_mask is None
    sets = {sample.active_modalities() for sample in library.seen}
    assert len(sets) == 3
    with pytest.raises(ValueError, match="library carries .* only"):
        record(library, modalities=["instance+depth"])


def test_labels_are_judged_by_the_class_table_that_they_are_drawn_of() -> None:
    def unknown_class(sample: DenseSample, seed: int) -> DenseSample:
        values = sample.to_dict()
        values["labels"] = sample.labels + 100
        return DenseSample.unchecked(**values)

    assert 100 + max(DEFAULT_SCHEMA.classes) not in DEFAULT_SCHEMA.classes
    assert "instance.labels_in_schema" in broken(record(unknown_class, kind="geometric"))


@pytest.mark.parametrize(
    ("aug", "kind", "message"),
    [
        (
            transforms.mirrored,
            "flip",
            "kind: got 'flip', expected one of 'paste', 'geometric', 'photometric'",
        ),
        ("reference", "geometric", "kind: got 'geometric' for target reference, expected 'paste'"),
        (lambda sample: sample, "geometric", r"takes 1 arguments, expected \(sample, seed\) or"),
        (Library(ROWS_ALIGNED), "paste", "kind: got 'paste' for an adapter made as 'geometric'"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused(aug: Any, kind: Any, message: str) -> None:
    with pytest.raises(TargetNotFoundError, match=message):
        check_augmentation(aug, kind=kind, examples=1)


def test_a_law_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="matches no law of target .*mirrored"):
        record(transforms.mirrored, kind="geometric", only="photometric.*")


def test_a_modality_that_is_lost_is_reported() -> None:
    def forgets_depth(sample: DenseSample, seed: int) -> DenseSample:
        values = sample.to_dict()
        for name in ("depth", "depth_valid", "metric_depth"):
            values.pop(name, None)
        return DenseSample.from_dict(values)

    results = record(forgets_depth, kind="geometric", modalities=["instance+depth"], examples=4)
    result = results[MODALITIES_KEPT]
    assert (result.status, result.violation) == (
        "failed",
        "[target.modalities_kept] depth: gone, expected what went in",
    )
    assert results["geometric.depth_moves_with_image"].status == "not applicable"


def test_a_resized_box_may_be_a_pixel_beside_a_sampled_mask_and_no_more() -> None:
    def shrunk(sample: DenseSample, seed: int, *, off: float = 0.0) -> DenseSample:
        size = sample.canvas_size
        rows, columns = torch.arange(7) * size[0] // 7, torch.arange(5) * size[1] // 5
        whole = torch.zeros((0, *size)) if sample.instance_masks is None else sample.instance_masks
        masks = whole.as_subclass(torch.Tensor)[:, rows][:, :, columns].bool()
        kept = masks.flatten(1).any(dim=1)
        scale = torch.tensor([5 / size[1], 7 / size[0]] * 2)
        boxes = (sample.boxes.as_subclass(torch.Tensor) * scale + off)[kept]
        return DenseSample.unchecked(
            image=v2.Resize((7, 5), antialias=True)(sample.image),
            boxes=boxes,
            labels=sample.labels[kept],
            instance_ids=None if sample.instance_ids is None else sample.instance_ids[kept],
            instance_masks=masks[kept],
        )

    def shrunk_and_off(sample: DenseSample, seed: int) -> DenseSample:
        return shrunk(sample, seed, off=2.5)

    law = "instance.boxes_are_tight"
    options: dict[str, Any] = {"kind": "geometric", "modalities": ["instance"], "only": law}
    fine = record(shrunk, **options)[law]
    assert fine.status == "passed", fine.violation
    assert record(shrunk_and_off, **options)[law].status == "failed"


def test_the_reason_shown_is_that_of_the_verdict() -> None:
    def depends_on_the_image(sample: DenseSample, seed: int) -> DenseSample:
        values = sample.to_dict()
        values["labels"] = sample.labels + (sample.image.sum() > 0).long()
        return DenseSample.unchecked(**values)

    results = record(depends_on_the_image, kind="geometric", examples=40)
    undecided = [result for result in results.values() if result.status == "not decidable"]
    assert undecided
    assert all("depend" in (result.reason or "") for result in undecided)


@pytest.mark.parametrize("whose", ["tests.testing.transforms:darker", "*"])
def test_an_entry_for_a_law_that_does_not_judge_the_target_is_refused(
    whose: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, law = "tests.testing.transforms:darker", "geometric.border_is_void"
    message = f"{law}: expected to fail, but {spec} is not judged by it"
    options = RunOptions(examples=1, xfails={whose: {law: "no border"}})
    with pytest.raises(ValueError, match=message):
        run([resolve_target(spec, kind="photometric")], options)
    with pytest.raises(ValueError, match=message):
        check_augmentation(spec, kind="photometric", expected={law: "no border"})
    file = tmp_path / "xfails.yaml"
    file.write_text(f'"{whose}":\n  {law}: no border\n')
    assert main(["verify", spec, "--kind", "photometric", "--xfails", str(file)]) == 2
    assert f"segpaste: --xfails: {message}\n" in capsys.readouterr().err

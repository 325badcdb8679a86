"""Large-scale jittering, a batched paste and sanitizing in a row: every law, on drawn and real data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from segpaste.augmentation import BatchCopyPaste, SanitizeInstances, make_large_scale_jittering
from segpaste.integrations import demo_photographs, load_data
from segpaste.invariants import InvariantReport, check_padded, check_paste, check_sample
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    BatchedPlacementConfig,
    DenseSample,
    Modality,
    PanopticPasteConfig,
    PanopticSchemaSpec,
    modality_set_name,
)

MAPS = Path(__file__).parents[1] / "data_maps"
FOLDERS = ("coco128_multi", "coco_panoptic_sample", "rgbd_kinect", "tartanair_dsine")
LEAST_AREA = 4
CANVASES = (((17, 23), torch.uint8, 24), ((30, 9), torch.float32, 21), ((8, 26), torch.float32, (13, 30)))
"""The size of the drawn scenes, the dtype of their images, and the size they are brought to."""
PLACEMENT = BatchedPlacementConfig(scale_range=(0.6, 1.6))


def _config(schema: PanopticSchemaSpec | None, sample: DenseSample) -> BatchCopyPasteConfig:
    panoptic = None
    if schema is not None and sample.panoptic_map is not None:
        panoptic = PanopticPasteConfig(taxonomy=schema, tau_stuff_frac=0.0)
    return BatchCopyPasteConfig(placement=PLACEMENT, panoptic=panoptic)


def _through(
    samples: Sequence[DenseSample],
    schema: PanopticSchemaSpec | None,
    size: int | tuple[int, int],
    seed: int,
) -> tuple[list[InvariantReport], int]:
    """What every law says of the pipeline's work, and how many samples something was pasted into.

    Faults that the samples had before are their own.
    """
    torch.manual_seed(seed)
    flip, jitter = v2.RandomHorizontalFlip(), make_large_scale_jittering(size)
    clean = SanitizeInstances(LEAST_AREA)
    # A flip would move padding to the left, and is refused.
    padded_already = [
        sample.padding_mask is not None and bool(sample.padding_mask.any()) for sample in samples
    ]
    moved = [jitter(s if was else flip(s)) for s, was in zip(samples, padded_already, strict=True)]
    for sample in moved:
        sample.validate()
    reports = [
        report
        for before, after in zip(samples, moved, strict=True)
        for report in check_sample(after, schema)
        if report.ok or all(was.ok for was in check_sample(before, schema, only=report.name))
    ]
    batch = BatchedDenseSample.from_samples([clean(sample) for sample in moved])
    slots = max(1, 2 * max(len(labels) for labels in batch.labels))
    padded = batch.to_padded(slots)
    after, audit = BatchCopyPaste(_config(schema, samples[0]), seed=seed).forward_with_audit(padded)
    reports += check_padded(after)
    assert audit.plan is not None
    for index in range(after.batch_size):
        before, result = padded.select(index), after.select(index)
        source = padded.select(int(audit.plan.source_idx[index]))
        reports += check_paste(before, result, audit.select(index), source=source, index=index)
        reports += check_sample(result, schema, before=before, source=source, index=index)
    for pasted in BatchedDenseSample.from_padded(after).to_samples():
        final = clean(pasted)
        final.validate()
        reports += check_sample(final, schema, before=pasted)
        if final.instance_masks is not None and len(final):
            areas = final.instance_masks.as_subclass(torch.Tensor).flatten(1).sum(dim=1)
            assert int(areas.min()) >= LEAST_AREA
    return reports, int(audit.paste_union.flatten(1).any(dim=1).sum())


def _violated(reports: Sequence[InvariantReport]) -> list[str]:
    return [f"[{r.name}] sample {r.sample}: {r.message}" for r in reports if not r.ok]


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_no_law_is_violated_on_drawn_scenes(modalities: frozenset[Modality]) -> None:
    pasted, verdicts = 0, Counter()
    for seed, (canvas, dtype, size) in enumerate(CANVASES):
        scenes = scenes_from_seed(
            seed, 3, modalities=modalities, min_instances=1, canvas=canvas, image_dtypes=(dtype,)
        )
        reports, count = _through([scene.sample() for scene in scenes], DEFAULT_SCHEMA, size, seed)
        assert _violated(reports) == []
        pasted += count
        verdicts.update(report.name for report in reports if report.status == "held")
    assert pasted >= 2
    assert len(verdicts) >= 12


@pytest.mark.nightly
@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_no_law_is_violated_on_many_drawn_scenes(modalities: frozenset[Modality]) -> None:
    for seed in range(200):
        scenes = scenes_from_seed(seed, 4, modalities=modalities, max_side=30)
        reports, _ = _through([scene.sample() for scene in scenes], DEFAULT_SCHEMA, 8 + seed % 29, seed)
        assert _violated(reports) == []


def test_no_law_is_violated_on_photographs() -> None:
    pytest.importorskip("skimage", reason="photographs need scikit-image")
    for data in demo_photographs():
        reports, pasted = _through(data.samples[:2], data.schema, 96, 1)
        assert _violated(reports) == []
        assert pasted


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_law_is_violated_on_research_data(folder: str, data_root: Path) -> None:
    for data in load_data(data_root / folder, mapping=MAPS / f"{folder}.yaml"):
        reports, pasted = _through(data.samples[:3], data.schema, 160, 2)
        assert _violated(reports) == []
        assert pasted

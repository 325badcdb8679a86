"""Real samples: the same bits from every executor, and no law violated by ``BatchCopyPaste``.

On the photographs that ship with scikit-image, and on the research data where the
environment variable ``SEGPASTE_DATA`` says.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segpaste.integrations import DataSet, demo_photographs, load_data
from segpaste.paste import apply_with_audit, draw_plan
from segpaste.paste.apply import ExecutorName
from segpaste.strategies.pastes import PasteCase
from segpaste.testing import RunOptions, resolve_target, run
from segpaste.testing.parity import assert_same_bits
from segpaste.types import BatchCopyPasteConfig, BatchedDenseSample, PanopticPasteConfig

pytest.importorskip("skimage", reason="photographs and unlabelled frames need scikit-image")

MAPS = Path(__file__).parents[1] / "data_maps"
FOLDERS = ("coco128_multi", "coco_panoptic_sample", "rgbd_kinect", "tartanair_dsine")
EXECUTORS: tuple[ExecutorName, ...] = ("rectangle", "graph")


def _check_bits(data: DataSet, executor: ExecutorName, samples: int) -> None:
    chosen = (data.samples * 2)[:2] if len(data.samples) < 2 else data.samples[:samples]
    fullest = max(len(sample) for sample in chosen)
    panoptic = None if data.schema is None else PanopticPasteConfig(taxonomy=data.schema)
    config = BatchCopyPasteConfig(panoptic=panoptic)
    batch = BatchedDenseSample.from_samples(chosen).to_padded(fullest + 8)
    plan = draw_plan(batch, batch, torch.arange(batch.batch_size), config)
    expected, told = apply_with_audit(batch, batch, plan, config, executor="reference")
    assert told.paste_union.any()
    actual, audit = apply_with_audit(batch, batch, plan, config, executor=executor)
    case = PasteCase(batch, batch, plan, config)
    assert_same_bits(expected, actual, audits=(told, audit), case=case, names=("reference", executor))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_photographs_have_the_references_bits(executor: ExecutorName) -> None:
    for data in demo_photographs():
        _check_bits(data, executor, 2)


@pytest.mark.parametrize("folder", FOLDERS)
def test_research_data_have_the_references_bits(folder: str, data_root: Path) -> None:
    for data in load_data(data_root / folder, mapping=MAPS / f"{folder}.yaml"):
        for executor in EXECUTORS:
            _check_bits(data, executor, 3)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_law_is_violated_on_research_data(folder: str, data_root: Path) -> None:
    sets = tuple(load_data(data_root / folder, mapping=MAPS / f"{folder}.yaml"))
    options = RunOptions(examples=1, real_examples=12, data=sets)
    (report,) = run([resolve_target("batched")], options).targets
    assert [result.first for result in report.failed] == []
    real = [group for group in report.groups if group.group != "drawn"]
    assert sum(group.examples for group in real) == 12
    assert sum(group.pasted for group in real) >= 3

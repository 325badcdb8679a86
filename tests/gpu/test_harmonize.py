"""On CUDA: the same images are drawn, the same pixels may change, within the stated bounds."""

from __future__ import annotations

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, Harmonize
from segpaste.types import HarmonizeConfig
from tests.augmentation.batches import EVERYTHING, PANOPTIC, batch
from tests.augmentation.harmonize.pictures import SHAPES, pair, plain, union_of
from tests.augmentation.harmonize.test_stage import CONFIGS

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_within_the_stated_bounds_of_the_cpu(
    config: HarmonizeConfig, dtype: torch.dtype, device: str
) -> None:
    given = pair(*(union_of(shape, 61, 54) for shape in SHAPES), dtype=dtype, padding=(2, 5))
    stage, seeds = Harmonize(config.model_copy(update={"probability": 0.75})), torch.arange(len(SHAPES))
    on_cpu = plain(stage(given.pasted, given.before, given.union, seeds).images)
    moved = (value.to(device) for value in (given.pasted, given.before, given.union, seeds))
    on_gpu = plain(stage(*moved).images).cpu()
    off = (on_gpu.double() - on_cpu.double()).abs().max()
    assert float(off) <= (1 if dtype == torch.uint8 else 2e-6)


def test_labels_are_those_of_the_cpu_bit_for_bit(device: str) -> None:
    padded, seeds = batch(5, modalities=EVERYTHING, canvas=(44, 52)), torch.arange(5)
    config = PANOPTIC.model_copy(update={"harmonize": CONFIGS["poisson"]})
    on_cpu = BatchCopyPaste(config)(padded, seeds=seeds).tensors()
    on_gpu = BatchCopyPaste(config).to(device)(padded.to(device), seeds=seeds.to(device)).tensors()
    for name, value in on_cpu.items():
        assert name == "images" or torch.equal(on_gpu[name].cpu().nan_to_num(), value.nan_to_num())

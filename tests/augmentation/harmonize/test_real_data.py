"""On photographs with COCO's labels: every label law after harmonisation, images finite and in range."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, make_large_scale_jittering
from segpaste.integrations.coco_datasets import CocoPanopticV2
from segpaste.invariants import check_paste
from segpaste.types import BatchCopyPasteConfig, BatchedDenseSample, BatchedPlacementConfig, HarmonizeConfig
from tests.augmentation.harmonize.pictures import plain


@pytest.mark.parametrize("method", ["reinhard", "multiband", "poisson"])
def test_the_labels_of_photographs_are_untouched(data_root: Path, method: str) -> None:
    folder = data_root / "coco128_multi"
    data = CocoPanopticV2(folder / "images", folder / "panoptic.json", folder / "panoptic")
    torch.manual_seed(0)
    jitter = make_large_scale_jittering((96, 128), 0.5, 1.0)
    samples = [jitter(data[index]) for index in range(4)]
    batch = BatchedDenseSample.from_samples(samples).to_padded(80)
    place = BatchedPlacementConfig(k_range=(1, 6), scale_range=(0.7, 1.0))
    exact = BatchCopyPasteConfig(placement=place)
    config = exact.model_copy(update={"harmonize": HarmonizeConfig(method=method, feather=1)})  # pyright: ignore[reportArgumentType]
    seeds = torch.arange(4)
    result, audit = BatchCopyPaste(config).forward_with_audit(batch, seeds=seeds)
    pasted = BatchCopyPaste(exact)(batch, seeds=seeds)
    assert audit.plan is not None
    assert int(audit.paste_union.sum()) > 100
    assert not torch.equal(plain(result.images), plain(pasted.images))
    for name, value in pasted.tensors().items():
        assert name == "images" or torch.equal(result.tensors()[name], value)
    for b, source in enumerate(audit.plan.source_idx.tolist()):
        given = batch.select(b), result.select(b), audit.select(b)
        assert [r for r in check_paste(*given, source=batch.select(source)) if not r.ok] == []

"""What adapters make lies where the sample lies, whatever torch's default device is."""

from __future__ import annotations

import torch

from segpaste.augmentation import CopyPaste, CopyPasteCollator
from segpaste.integrations import (
    from_detection_format,
    from_hf_format,
    make_segpaste_collate_fn,
    to_detection_format,
    to_hf_batch,
    to_hf_format,
)
from segpaste.types import DenseSample
from tests.augmentation.batches import EVERYTHING, PANOPTIC, SCHEMA, as_integers, samples

SHIFTED = {n: n + 1 for n in range(5)}


def made(small: list[DenseSample], large: list[DenseSample]) -> list[torch.Tensor]:
    """Something of everything that the adapters make."""
    torch.manual_seed(0)
    pasted = CopyPaste(small, PANOPTIC)(small[0])
    collated = CopyPasteCollator(20, PANOPTIC)(small)
    segments = to_hf_format(small[0], SCHEMA)
    back = from_hf_format(segments, SCHEMA)
    inputs = to_hf_batch(small, SCHEMA)
    images, targets = to_detection_format(small, class_to_index=SHIFTED)
    rows = from_detection_format(images, targets, class_to_index=SHIFTED)[0]
    padded = make_segpaste_collate_fn(20, pad=True)([*small, *large])
    samples_made = (pasted, *collated.to_samples(), back, rows)
    fields = [v for sample in samples_made for v in sample.to_dict().values() if isinstance(v, torch.Tensor)]
    lists = [*segments.values(), inputs["pixel_values"], inputs["pixel_mask"], *inputs["mask_labels"]]
    return [*fields, *lists, *images, targets[0]["labels"], *padded.tensors().values()]


def test_another_default_device_changes_nothing() -> None:
    small, large = samples(2, modalities=EVERYTHING), samples(2, modalities=EVERYTHING, canvas=(30, 20))
    expected = made(small, large)
    with torch.device("meta"):
        got = made(small, large)
    assert len(got) == len(expected) > 40
    for one, other in zip(got, expected, strict=True):
        assert one.device == other.device
        assert torch.equal(as_integers(one), as_integers(other))

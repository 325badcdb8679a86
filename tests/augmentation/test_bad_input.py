"""What the module refuses, in one line and before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, BatchedPlacementSampler
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    Modality,
    PaddedBatchedDenseSample,
    PastePlan,
)
from tests.augmentation.batches import EVERYTHING, INSTANCE, LIVELY, PANOPTIC, batch

SEEDS = torch.arange(4)


def refuses(augment: BatchCopyPaste, message: str, padded: Any, *args: Any, **options: Any) -> None:
    """One line, and the stream has not moved."""
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        augment(padded, *args, **options)
    assert "\n" not in str(caught.value)
    assert int(augment.counter) == 0


def test_another_type_than_a_padded_batch() -> None:
    refuses(BatchCopyPaste(), "padded: got list, expected a PaddedBatchedDenseSample", [])


@pytest.mark.parametrize("modalities", [INSTANCE, INSTANCE | {Modality.SEMANTIC}], ids=len)
def test_a_panoptic_configuration_needs_both_maps(modalities: frozenset[Modality]) -> None:
    missing = "panoptic_maps" if Modality.SEMANTIC in modalities else "semantic_maps"
    refuses(
        BatchCopyPaste(PANOPTIC),
        rf"padded\.{missing}: got None, expected semantic and panoptic maps",
        batch(4, modalities=modalities),
    )


class Other:
    """A strategy that returns what it is given."""

    def __init__(self, view: PaddedBatchedDenseSample | None = None, **changes: Any) -> None:
        self.view = view
        self.changes = changes

    def sample(
        self, target: PaddedBatchedDenseSample, seeds: torch.Tensor, sampler: BatchedPlacementSampler
    ) -> tuple[PaddedBatchedDenseSample, PastePlan]:
        plan = sampler(target, target, seeds)
        fields = {name: getattr(plan, name) for name in PastePlan.__dataclass_fields__}
        return self.view or target, PastePlan(**(fields | self.changes))


def test_a_source_view_of_other_modalities_or_another_canvas() -> None:
    everything = batch(4, modalities=EVERYTHING)
    with pytest.raises(ValueError, match=r"source: got modalities instance, expected the target's, instance"):
        BatchCopyPaste(PANOPTIC, source_strategy=Other(batch(4)))(everything)
    with pytest.raises(ValueError, match=r"source: got canvas \(H, W\) \(8, 8\), expected the target's"):
        BatchCopyPaste(LIVELY, source_strategy=Other(batch(4, canvas=(8, 8))))(batch(4))


def test_a_plan_that_fits_neither_batch_nor_view() -> None:
    rows = torch.tensor([1, 0, 3, 4])
    with pytest.raises(ValueError, match=r"plan\.source_idx: got 4, expected less than 4"):
        BatchCopyPaste(LIVELY, source_strategy=Other(source_idx=rows))(batch(4))
    with pytest.raises(ValueError, match=r"plan\.order: got 9 slots, expected the source's K = 5"):
        BatchCopyPaste(LIVELY, source_strategy=Other(batch(4, slots=5)))(batch(4))


def test_a_k_range_beyond_the_slots_only_if_it_was_asked_for() -> None:
    wide = LIVELY.model_copy(update={"placement": BatchedPlacementConfig(k_range=(1, 10))})
    refuses(
        BatchCopyPaste(wide), r"k_range: got \(1, 10\), expected an upper end of at most .* = 9", batch(4)
    )
    BatchCopyPaste(wide)(batch(4, slots=10))
    BatchCopyPaste(LIVELY)(batch(4))
    again = BatchCopyPasteConfig.from_yaml(LIVELY.to_yaml())
    assert "k_range" in again.placement.model_fields_set
    BatchCopyPaste(again)(batch(4))


def test_seeds_of_another_shape_dtype_or_kind() -> None:
    padded = batch(4)
    augment = BatchCopyPaste(LIVELY)
    for seeds, got in (
        (torch.arange(3), r"int64 \[3\] on cpu"),
        (torch.arange(4)[:, None], r"int64 \[4, 1\] on cpu"),
        (torch.arange(4, dtype=torch.int32), r"int32 \[4\] on cpu"),
        (torch.arange(4, device="meta"), r"int64 \[4\] on meta"),
        ([1, 2, 3, 4], "list"),
        (7, "int"),
    ):
        refuses(augment, rf"seeds: got {got}, expected int64 \[4\] on cpu", padded, seeds=seeds)
    refuses(augment, "seeds: got both seeds and a generator", padded, torch.Generator(), seeds=SEEDS)


def test_a_module_on_another_device() -> None:
    augment = BatchCopyPaste(LIVELY).to("meta")
    with pytest.raises(ValueError, match="padded: got device cpu, expected the module's, meta"):
        augment(batch(4))


def test_images_of_another_dtype() -> None:
    fields: dict[str, Any] = batch(4).tensors()
    for dtype in (torch.float64, torch.float16, torch.int64):
        with pytest.raises(
            TypeError, match=rf"images: got dtype {dtype}, expected torch.uint8 or torch.float32"
        ):
            PaddedBatchedDenseSample(**(fields | {"images": fields["images"].to(dtype)}))


def test_images_that_require_grad() -> None:
    fields: dict[str, Any] = batch(4, dtype=torch.float32).tensors()
    learnt = PaddedBatchedDenseSample(**(fields | {"images": fields["images"].clone().requires_grad_()}))
    refuses(BatchCopyPaste(LIVELY), "padded.images: got a tensor that requires grad", learnt)


def test_boxes_that_disagree_with_masks_only_under_validate() -> None:
    padded = batch(4, modalities=EVERYTHING)
    augment = BatchCopyPaste(PANOPTIC)
    rows = padded.instance_valid.nonzero()
    sample, row = rows[-1].tolist()
    fields: dict[str, Any] = padded.tensors()
    boxes = fields["boxes"].clone()
    boxes[sample, row, 3] += 1
    loose = PaddedBatchedDenseSample(**(fields | {"boxes": boxes}), metric_depth=padded.metric_depth)
    got, expected = (str(tuple(b[sample, row].tolist())) for b in (boxes, padded.boxes))
    message = rf"sample {sample}: boxes: row {row}: got {got}, expected {expected}, the extent of its mask"
    refuses(augment, message.replace("(", r"\(").replace(")", r"\)"), loose, validate=True)
    augment(loose)
    augment(padded, validate=True)


def test_other_values_that_no_sample_has_under_validate() -> None:
    padded = batch(4, dtype=torch.float32)
    fields: dict[str, Any] = padded.tensors()
    images = fields["images"].clone()
    images[2, 0, 0, 0] = torch.nan
    broken = PaddedBatchedDenseSample(**(fields | {"images": images}))
    refuses(BatchCopyPaste(LIVELY), "sample 2: image: got non-finite values", broken, validate=True)


def test_what_the_module_is_made_of() -> None:
    with pytest.raises(TypeError, match="config: got dict, expected a BatchCopyPasteConfig"):
        BatchCopyPaste({})  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="source_strategy: got int, expected an object with a method sample"):
        BatchCopyPaste(source_strategy=3)  # pyright: ignore[reportArgumentType]
    for seed, kind in ((1.0, "float"), (True, "bool"), ("1", "str")):
        with pytest.raises(TypeError, match=f"seed: got {kind}, expected an int or None"):
            BatchCopyPaste(seed=seed)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"seed: got 18446744073709551616, expected -2\*\*63 <= seed"):
        BatchCopyPaste(seed=2**64)

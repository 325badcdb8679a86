"""BatchCopyPaste with a configuration that harmonises: in every call, and never in the labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch._dynamo.testing import CompileCounterWithBackend
from torchvision import tv_tensors

from segpaste.augmentation import BankSource, BatchCopyPaste, Harmonize, IntraBatchSource
from segpaste.invariants import check_paste
from segpaste.paste import ReplayRecord, apply, apply_reference, apply_with_audit, replay
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    HarmonizeConfig,
    Modality,
    PaddedBatchedDenseSample,
)
from tests.augmentation.bank_batches import noise
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, batch, copied, same, samples
from tests.augmentation.harmonize.pictures import plain

METHODS = {
    "feather": HarmonizeConfig(feather=2),
    "reinhard": HarmonizeConfig(method="reinhard"),
    "multiband": HarmonizeConfig(method="multiband"),
    "poisson": HarmonizeConfig(method="poisson", probability=0.5),
}
every_method = pytest.mark.parametrize("how", METHODS.values(), ids=METHODS)
PATCHES = PANOPTIC.model_copy(update={"placement": BatchedPlacementConfig(pad_to_multiple=8)})


def harmonizing(config: BatchCopyPasteConfig, how: HarmonizeConfig) -> BatchCopyPasteConfig:
    return config.model_copy(update={"harmonize": how})


def all_but_the_image(one: PaddedBatchedDenseSample, other: PaddedBatchedDenseSample) -> bool:
    """Whether everything else is the same, bit for bit."""
    return same(one, with_images(other, one.tensors()["images"]))


@every_method
@pytest.mark.parametrize("config", [LIVELY, PANOPTIC, PATCHES], ids=["plain", "panoptic", "patches"])
def test_it_is_the_exact_paste_and_then_the_stage(config: BatchCopyPasteConfig, how: HarmonizeConfig) -> None:
    padded, seeds = batch(5, modalities=EVERYTHING, canvas=(44, 52)), torch.arange(5)
    kept = copied(padded)
    augment, exact = BatchCopyPaste(harmonizing(config, how), seed=1), BatchCopyPaste(config, seed=1)
    result, audit = augment.forward_with_audit(padded, seeds=seeds)
    pasted, said = exact.forward_with_audit(padded, seeds=seeds)
    assert all_but_the_image(result, pasted)
    assert not same(result, pasted)
    target = exact.sampler.padded(padded)
    assert same(result, Harmonize(how)(pasted, target, said.paste_union, seeds))
    assert torch.equal(audit.paste_union, said.paste_union)
    assert audit.config == augment.config
    assert isinstance(result.images, tv_tensors.Image)
    assert same(padded, kept)
    # The other ways in.
    assert same(augment(padded, seeds=seeds), result)
    out = copied(pasted)
    assert augment(padded, seeds=seeds, out=out) is out
    assert same(out, result)
    for executor in ("reference", "graph"):
        assert same(BatchCopyPaste(augment.config, seed=1, executor=executor)(padded, seeds=seeds), result)


@every_method
def test_the_laws_judge_all_of_it_but_the_image(how: HarmonizeConfig) -> None:
    padded = batch(6, modalities=EVERYTHING, canvas=(30, 34))
    augment = BatchCopyPaste(harmonizing(PANOPTIC, how), seed=3)
    result, audit = augment.forward_with_audit(padded)
    assert audit.plan is not None
    not_judged, held = set(), set()
    for b, source in enumerate(audit.plan.source_idx.tolist()):
        target, donor = padded.select(b), padded.select(source)
        reports = check_paste(target, result.select(b), audit.select(b), source=donor)
        assert [r for r in reports if not r.ok] == []
        not_judged |= {r.name for r in reports if "config.harmonize is set" in r.message}
        held |= {r.name for r in reports if r.status == "held"}
        # Labels are judged as ever, and so is the image's padding.
        broken = copied(result.select(b))
        broken.tensors()["semantic_maps"][0][audit.paste_union[b]] += 1
        assert broken.padding_mask is not None
        plain(broken.images)[plain(broken.padding_mask).expand_as(broken.images)] += 1
        found = {r.name for r in check_paste(target, broken, audit.select(b), source=donor) if not r.ok}
        assert ("paste.inside_union_is_source.semantic" in found) == bool(audit.paste_union[b].any())
        assert ("paste.not_on_padding" in found) == bool(broken.padding_mask.any())
    assert not_judged == {"paste.inside_union_is_source.image", "paste.unchanged_outside_union.image"}
    assert {"paste.every_painted_pixel_has_a_row", "paste.every_row_is_painted", "panoptic.bijection"} <= held


@every_method
def test_a_record_brings_the_image_back(how: HarmonizeConfig) -> None:
    padded = batch(5, modalities=EVERYTHING)
    augment = BatchCopyPaste(harmonizing(PANOPTIC, how), seed=4)
    seeds = augment.next_seeds(5)
    pasted = augment(padded, seeds=seeds)
    for index in range(5):
        record = ReplayRecord.model_validate_json(augment.record(seeds, index).model_dump_json())
        alone, audit = BatchCopyPaste(record.config).replay(record, padded)
        assert same(alone, pasted.select(index))
        assert audit.config == augment.config
        with pytest.raises(ValueError, match="^config.harmonize: got HarmonizeConfig"):
            replay(record, padded)


@pytest.mark.parametrize(
    ("how", "modalities"),
    [
        pytest.param(METHODS["poisson"], {Modality.IMAGE, Modality.INSTANCE}, id="instances"),
        pytest.param(
            METHODS["reinhard"],
            {Modality.IMAGE, Modality.SEMANTIC},
            marks=pytest.mark.nightly,
            id="class mix",
        ),
    ],
)
def test_one_graph_with_the_labels_of_the_eager_module(how: HarmonizeConfig, modalities: Any) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    config = harmonizing(LIVELY, how)
    eager, traced = BatchCopyPaste(config, seed=6), BatchCopyPaste(config, seed=6)
    step = torch.compile(traced, fullgraph=True, backend=counter)
    changed = False
    padded = batch(4, modalities=modalities)
    for number in range(3):
        padded = padded.gather(torch.tensor([1, 2, 3, 0]))
        result, expected = step(padded), eager(padded)
        assert all_but_the_image(result, expected)
        off = plain(result.images).int() - plain(expected.images).int()
        assert int(off.abs().max()) <= 1
        exact = BatchCopyPaste(LIVELY, seed=6)
        exact.counter.fill_(number)
        changed |= not same(exact(padded), expected)
        assert isinstance(result.images, tv_tensors.Image)
    assert changed
    assert counter.frame_count == 1


def test_a_loader_harmonises() -> None:
    data, config = samples(4), harmonizing(LIVELY, METHODS["reinhard"])
    wrapped = BatchCopyPaste.from_dataloader([data], 9, config, seed=5)
    assert same(next(iter(wrapped)), BatchCopyPaste(config, seed=5)(batch(4)))
    assert not same(next(iter(wrapped)), BatchCopyPaste(LIVELY, seed=5)(batch(4)))


def test_normalised_images_are_refused_where_values_are_checked() -> None:
    padded = batch(3, dtype=torch.float32)
    in_range = with_images(padded, plain(padded.images).clamp(0, 1))
    normalised = with_images(padded, torch.full_like(plain(padded.images), -1.5))
    augment = BatchCopyPaste(harmonizing(LIVELY, METHODS["reinhard"]), seed=1)
    augment(in_range, validate=True)
    augment(batch(3), validate=True)
    with pytest.raises(ValueError, match="^sample 0: images: got values from -1.5 to -1.5, expected 0..1"):
        augment(normalised, validate=True)
    BatchCopyPaste(LIVELY, seed=1)(normalised, validate=True)


def with_images(value: PaddedBatchedDenseSample, images: torch.Tensor) -> PaddedBatchedDenseSample:
    return PaddedBatchedDenseSample(**{**value.tensors(), "images": images}, metric_depth=value.metric_depth)  # pyright: ignore[reportArgumentType]


def test_executors_refuse_what_they_would_not_do() -> None:
    padded = batch(3)
    augment = BatchCopyPaste(LIVELY)
    view, plan = augment.source_strategy.sample(padded, torch.arange(3), augment.sampler)
    config = harmonizing(LIVELY, METHODS["poisson"])
    for function in (apply, apply_with_audit, apply_reference):
        with pytest.raises(ValueError, match="^config.harmonize: got HarmonizeConfig.*BatchCopyPaste"):
            function(padded, view, plan, config)


def test_without_it_executors_are_given_the_very_configuration() -> None:
    _, audit = BatchCopyPaste(LIVELY).forward_with_audit(batch(3))
    assert audit.config is LIVELY


# --- configuration --------------------------------------------------------------------


def test_yaml_there_and_back_and_a_file_of_before() -> None:
    config = harmonizing(PANOPTIC, HarmonizeConfig(method="poisson", probability=0.25, feather=2))
    assert BatchCopyPasteConfig.from_yaml(config.to_yaml()) == config
    assert {"method": "poisson", "probability": 0.25, "feather": 2}.items() <= config.model_dump()[
        "harmonize"
    ].items()
    old = "source: intra_batch\nharmonize: null\nmin_area: 2\n"
    assert BatchCopyPasteConfig.from_yaml(old) == BatchCopyPasteConfig(min_area=2)
    hash(config)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "method: got None with feather = 0, expected a method, a feather of 1 or more, or both"),
        ({"method": "poison"}, "'reinhard', 'multiband' or 'poisson'"),
        ({"method": "poisson", "probability": 1.5}, "probability"),
        ({"method": "poisson", "feather": -1}, "feather"),
        ({"method": "poisson", "feather": 65}, "feather"),
        ({"method": "reinhard", "max_gain": 0.5}, "max_gain"),
        ({"method": "multiband", "levels": 11}, "levels"),
        ({"method": "multiband", "level": 1}, "level"),
    ],
)
def test_a_configuration_that_says_nothing_or_nonsense(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        HarmonizeConfig(**given)


def test_donors_from_a_bank_by_configuration() -> None:
    config = LIVELY.model_copy(update={"source": "bank"})
    assert BatchCopyPasteConfig.from_yaml(config.to_yaml()) == config
    augment = BatchCopyPaste(config, seed=2)
    assert isinstance(augment.source_strategy, BankSource)
    assert isinstance(BatchCopyPaste(LIVELY).source_strategy, IntraBatchSource)
    # What is given wins.
    assert isinstance(
        BatchCopyPaste(config, source_strategy=IntraBatchSource()).source_strategy, IntraBatchSource
    )
    padded = batch(3)
    augment.source_strategy.set_bank_batch(noise(3, 2))
    other = BatchCopyPaste(replace_source(config), source_strategy=BankSource(), seed=2)
    other.source_strategy.set_bank_batch(noise(3, 2))  # pyright: ignore[reportAttributeAccessIssue]
    assert same(augment(padded), other(padded))


def replace_source(config: BatchCopyPasteConfig) -> BatchCopyPasteConfig:
    return config.model_copy(update={"source": "intra_batch"})

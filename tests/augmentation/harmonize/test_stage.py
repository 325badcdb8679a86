"""The stage alone: whom it draws, what it may change, what it refuses, how it compiles."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from segpaste.augmentation import Harmonize
from segpaste.augmentation.harmonize.multiband import multiband_reach
from segpaste.invariants import check_transform
from segpaste.paste import philox_words
from segpaste.types import HarmonizeConfig, PaddedBatchedDenseSample
from tests.augmentation.batches import EVERYTHING, as_integers, batch, copied, same
from tests.augmentation.harmonize import oracle
from tests.augmentation.harmonize.pictures import SHAPES, Pair, pair, plain, union_of

CONFIGS = {
    "feather": HarmonizeConfig(feather=2),
    "reinhard": HarmonizeConfig(method="reinhard", feather=1),
    "multiband": HarmonizeConfig(method="multiband", levels=2),
    "poisson": HarmonizeConfig(method="poisson"),
}
every_method = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def drawn(dtype: torch.dtype = torch.uint8, count: int = 4) -> tuple[PaddedBatchedDenseSample, torch.Tensor]:
    """A batch with all labels and padding, and a union to play with."""
    before = batch(count, modalities=EVERYTHING, canvas=(48, 46), dtype=dtype)
    union = torch.stack([torch.from_numpy(union_of(s, 48, 46)) for s in (SHAPES * 2)[:count]])
    return before, union


def noise_in(
    before: PaddedBatchedDenseSample, union: torch.Tensor, factor: float = 1.0
) -> PaddedBatchedDenseSample:
    """The batch with noise where the union is."""
    noise = torch.rand(before.images.shape, generator=torch.Generator().manual_seed(0))
    images = plain(before.images)
    noise = (noise * 255).to(torch.uint8) if images.dtype == torch.uint8 else noise * factor
    return replaced(before, torch.where(union[:, None], noise, images))


def replaced(value: PaddedBatchedDenseSample, images: torch.Tensor) -> PaddedBatchedDenseSample:
    fields: dict[str, Any] = {**value.tensors(), "images": images}
    return PaddedBatchedDenseSample(**fields, metric_depth=value.metric_depth)


def reachable(union: torch.Tensor, config: HarmonizeConfig) -> torch.Tensor:
    """``[B, H, W]`` bool, where the documentation allows an image to change."""
    if config.method not in ("multiband", "poisson"):
        return union
    found = torch.zeros_like(union)
    margin = multiband_reach(config.levels) if config.method == "multiband" else 0
    for b, one in enumerate(union):
        places = one.nonzero()
        if config.method == "poisson" and len(places):
            (top, left), (bottom, right) = places.amin(dim=0).tolist(), places.amax(dim=0).tolist()
            found[b, top : bottom + 1, left : right + 1] = True
        for y, x in places.tolist() if config.method == "multiband" else ():
            found[b, max(y - margin, 0) : y + margin + 1, max(x - margin, 0) : x + margin + 1] = True
    return found


@every_method
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=["uint8", "float32"])
def test_only_the_image_changes_and_only_where_it_may(config: HarmonizeConfig, dtype: torch.dtype) -> None:
    before, union = drawn(dtype, 8)
    assert before.padding_mask is not None
    padding = plain(before.padding_mask)[:, 0]
    assert bool(padding.any())
    pasted = noise_in(before, union & ~padding)
    kept = copied(pasted), copied(before), union.clone()
    result = Harmonize(config)(pasted, before, union)
    assert same(pasted, kept[0])
    assert same(before, kept[1])
    assert torch.equal(union, kept[2])
    for name, value in result.tensors().items():
        assert name == "images" or torch.equal(as_integers(value), as_integers(pasted.tensors()[name]))
    for b in range(8):
        reports = check_transform("photometric", pasted.select(b), result.select(b), trace="colours only")
        assert {r.name: r.status for r in reports} == {
            "photometric.frame_kept": "held",
            "photometric.labels_untouched": "held",
        }
    changed = (as_integers(result.images) != as_integers(pasted.images)).any(dim=1)
    assert not bool((changed & padding).any())
    assert not bool((changed & ~reachable(union & ~padding, config)).any())
    assert changed.flatten(1).any(dim=1).tolist() == [
        may_change(config, (union & ~padding)[b], ~padding[b]) for b in range(8)
    ]


def may_change(config: HarmonizeConfig, union: torch.Tensor, valid: torch.Tensor) -> bool:
    """Without a target beside it the source stays; and what is small or thin is not splined."""
    if config.method == "reinhard" or not bool(union.any()):
        return bool(union.any())
    if config.method == "multiband" and oracle.levels_of(union.numpy(), valid.numpy(), config.levels) == 0:
        return False
    return not torch.equal(union, valid)


@every_method
def test_values_outside_of_0_to_1_and_not_finite_stay_where_nothing_changes(config: HarmonizeConfig) -> None:
    given = pair(union_of("disc", 60, 70))
    odd = torch.tensor([float("nan"), float("inf"), -float("inf"), -3.0, 7.0])
    images, former = plain(given.pasted.images).clone(), plain(given.before.images).clone()
    images[0, 0, 30, 28:33] = odd  # inside
    former[0, 1, 30, 28:33] = odd
    images[0, 2, 0, :5] = former[0, 2, 0, :5] = odd  # far outside
    result = plain(
        Harmonize(config)(replaced(given.pasted, images), replaced(given.before, former), given.union).images
    )
    assert torch.equal(as_integers(result[..., 0, :5]), as_integers(images[..., 0, :5]))
    changed = as_integers(result) != as_integers(images)
    assert bool(torch.isfinite(result[changed]).all())
    assert bool(((result[changed] >= 0) & (result[changed] <= 1)).all())
    # What cannot be used counts as a bound: a neighbour sees no more of it than of 0 or 1.
    bounded, target = (
        images.nan_to_num(0.0, 1.0, 0.0).clamp(0, 1),
        former.nan_to_num(0.0, 1.0, 0.0).clamp(0, 1),
    )
    usual = plain(
        Harmonize(config)(replaced(given.pasted, bounded), replaced(given.before, target), given.union).images
    )
    assert torch.equal(result[changed], usual[changed])


@every_method
def test_nothing_pasted_an_empty_batch_and_a_canvas_of_nothing(config: HarmonizeConfig) -> None:
    stage = Harmonize(config)
    given = pair(*(union_of("nothing", 5, 6) for _ in range(2)))
    odd = plain(given.before.images) * 9 - 4
    result = stage(replaced(given.before, odd), replaced(given.before, odd), given.union)
    assert torch.equal(result.images, odd)
    assert result.images.data_ptr() != odd.data_ptr()
    empty = given.before.gather(slice(0, 0))
    assert stage(empty, empty, given.union[:0]).batch_size == 0
    flat = pair(np.zeros((1, 0, 4), dtype=bool)[0])
    assert stage(flat.before, flat.before, flat.union).canvas_size == (0, 4)


def test_who_is_harmonised_is_drawn_from_the_seed_alone() -> None:
    given = repeated("disc", 200)
    seeds = torch.arange(200) * 2**50 - 2**57
    words = philox_words(seeds, 0, 3)[:, 0]
    for probability in (0.0, 0.25, 0.5, 1.0):
        config = HarmonizeConfig(method="reinhard", probability=probability)
        result = Harmonize(config)(given.pasted, given.before, given.union, seeds)
        changed = (plain(result.images) != plain(given.pasted.images)).flatten(1).any(dim=1)
        assert torch.equal(changed, words < probability * 2**32)
        assert abs(float(changed.float().mean()) - probability) < 0.1


def repeated(shape: str, count: int) -> Pair:
    return pair(*(union_of(shape, 8, 8) for _ in range(count)))


@every_method
def test_a_samples_bits_do_not_depend_on_its_batch(config: HarmonizeConfig) -> None:
    given = pair(*(union_of(shape, 33, 47) for shape in SHAPES), padding=(3, 0))
    config = config.model_copy(update={"probability": 0.7})
    seeds = torch.arange(len(SHAPES))
    whole = Harmonize(config)(given.pasted, given.before, given.union, seeds)
    for b in range(len(SHAPES)):
        alone = Harmonize(config)(
            given.pasted.select(b), given.before.select(b), given.union[b : b + 1], seeds[b : b + 1]
        )
        assert same(alone, whole.select(b))


@pytest.mark.parametrize(
    ("method", "dtype", "backend"),
    [
        ("feather", torch.uint8, "eager"),
        ("reinhard", torch.float32, "eager"),
        ("multiband", torch.float32, "eager"),
        ("poisson", torch.float32, "eager"),
        pytest.param("poisson", torch.uint8, "aot_eager", marks=pytest.mark.nightly),
        *(pytest.param(m, torch.uint8, "inductor", marks=pytest.mark.nightly) for m in CONFIGS),
    ],
    ids=str,
)
def test_one_graph_within_the_stated_tolerance_of_the_eager_stage(
    method: str, dtype: torch.dtype, backend: str
) -> None:
    config = CONFIGS[method]
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    stage = Harmonize(config.model_copy(update={"probability": 0.75}))
    step = torch.compile(stage, fullgraph=True, backend=counter)
    for number in range(3):
        given = pair(*(union_of(shape, 41, 44) for shape in SHAPES), dtype=dtype, seed=number, padding=(2, 5))
        union = given.union.roll(number, 0) & given.valid
        seeds = torch.arange(len(SHAPES)) + 100 * number
        pasted = noise_in(given.before, union)
        eager, traced = (plain(s(pasted, given.before, union, seeds).images) for s in (stage, step))
        off = (eager.double() - traced.double()).abs().max()
        assert float(off) <= (1 if dtype == torch.uint8 else 2e-6)
        # The draw and what may change agree exactly.
        outside = ~reachable(union, config)[:, None].expand_as(traced)
        assert torch.equal(traced[outside], plain(pasted.images)[outside])
    assert counter.frame_count == 1


@every_method
def test_autocast_and_a_default_dtype_change_nothing(config: HarmonizeConfig) -> None:
    given = pair(*(union_of(shape, 21, 18) for shape in SHAPES))
    usual = Harmonize(config)(given.pasted, given.before, given.union)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert same(Harmonize(config)(given.pasted, given.before, given.union), usual)
    torch.set_default_dtype(torch.float64)
    try:
        assert same(Harmonize(config)(given.pasted, given.before, given.union), usual)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.inference_mode():
        assert same(Harmonize(config)(given.pasted, given.before, given.union), usual)


def test_it_has_no_state_and_shows_its_configuration() -> None:
    stage = Harmonize(HarmonizeConfig(method="poisson", feather=3))
    assert dict(stage.state_dict()) == {}
    assert repr(stage) == "Harmonize(method='poisson', feather=3)"
    assert copy.deepcopy(stage).config == stage.config


GIVEN = pair(union_of("disc", 8, 9))
SMALLER = pair(union_of("disc", 8, 8))
BYTES = pair(union_of("disc", 8, 9), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"pasted": GIVEN.union}, TypeError, "pasted: got Tensor, expected a PaddedBatchedDenseSample"),
        ({"before": None}, TypeError, "before: got NoneType, expected a PaddedBatchedDenseSample"),
        ({"before": BYTES.before}, ValueError, r"before.images: got torch.uint8 \[1, 3, 8, 9\] on cpu"),
        ({"before": SMALLER.before}, ValueError, r"before.images: .* \[1, 3, 8, 8\] .* \[1, 3, 8, 9\]"),
        ({"union": None}, TypeError, "union: got NoneType, expected a bool tensor"),
        ({"union": GIVEN.union.int()}, ValueError, r"union: got torch.int32 \[1, 8, 9\]"),
        ({"union": SMALLER.union}, ValueError, r"union: got torch.bool \[1, 8, 8\] .* \[1, 8, 9\]"),
        ({"seeds": torch.zeros(2, dtype=torch.int64)}, ValueError, r"seeds: got int64 \[2\]"),
        ({"seeds": None}, ValueError, "seeds: got None, expected .* with a probability of 0.5"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], error: type[Exception], said: str) -> None:
    stage = Harmonize(HarmonizeConfig(method="poisson", probability=0.5))
    arguments = {"pasted": GIVEN.pasted, "before": GIVEN.before, "union": GIVEN.union}
    with pytest.raises(error, match=f"^{said}"):
        stage(**{**arguments, "seeds": torch.zeros(1, dtype=torch.int64), **change})


def test_a_configuration_of_another_type_is_named() -> None:
    with pytest.raises(TypeError, match="^config: got str, expected a HarmonizeConfig"):
        Harmonize("poisson")  # pyright: ignore[reportArgumentType]

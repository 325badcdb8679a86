"""Each method against an independent one in float64, and what its paper says it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segpaste.augmentation import Harmonize
from segpaste.augmentation.harmonize.multiband import multiband_reach
from segpaste.types import HarmonizeConfig
from tests.augmentation.harmonize import oracle
from tests.augmentation.harmonize.pictures import SHAPES, Pair, images_only, pair, plain, union_of, unit_of

CANVASES = ((23, 31), (40, 17), (1, 1), (2, 9))
CONFIGS = {
    "feather": HarmonizeConfig(feather=3),
    "reinhard": HarmonizeConfig(method="reinhard"),
    "reinhard, soft": HarmonizeConfig(method="reinhard", feather=2),
    "multiband": HarmonizeConfig(method="multiband", levels=3),
    "multiband, soft": HarmonizeConfig(method="multiband", levels=3, feather=2),
    "poisson": HarmonizeConfig(method="poisson"),
    "poisson, soft": HarmonizeConfig(method="poisson", feather=2),
}

# Stated in docs/harmonize.md: of the range 0..1, and one level of 255 besides rounding.
TOLERANCE = 2e-6


def expected(given: Pair, index: int, config: HarmonizeConfig) -> np.ndarray:
    """``[C, H, W]`` float64 in 0..1, by the oracle."""
    before, pasted = unit_of(given.before)[index], unit_of(given.pasted)[index]
    union, valid = given.union[index].numpy(), given.valid[index].numpy()
    if not union.any():
        return pasted
    difference = np.where(union, pasted - before, 0.0)
    alpha = oracle.alpha_of(union, valid, config.feather)
    if config.method == "reinhard":
        moved = oracle.reinhard(pasted, before, union, valid, config.max_gain)
        change = alpha * (moved - before)
    elif config.method == "multiband":
        change = oracle.multiband(difference, alpha, union, valid, config.levels)
    elif config.method == "poisson":
        change = oracle.poisson(difference, alpha, union, valid)
    else:
        change = alpha * difference
    return np.where(valid, np.clip(before + change, 0, 1), pasted)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=["float32", "uint8"])
def test_what_an_independent_implementation_gives(config: HarmonizeConfig, dtype: torch.dtype) -> None:
    for number, (height, width) in enumerate(CANVASES):
        for channels, padding in ((3, (0, 0)), (1, (0, 0)), (3, (height // 2, width // 3))):
            unions = [union_of(shape, height, width) for shape in SHAPES]
            given = pair(*unions, dtype=dtype, channels=channels, seed=number, padding=padding)
            result = unit_of(Harmonize(config)(given.pasted, given.before, given.union))
            for index, shape in enumerate(SHAPES):
                off = np.abs(result[index] - expected(given, index, config)).max()
                # Rounding is half a level, and the values that are rounded may lie at a half.
                bound = TOLERANCE if dtype == torch.float32 else 0.5 / 255 + TOLERANCE
                assert off <= bound, (shape, (height, width), channels, padding, off)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_reinhard_gives_the_pasted_the_targets_mean_and_deviation(channels: int) -> None:
    given = pair(union_of("disc", 60, 70), channels=channels)
    pasted, before, union = unit_of(given.pasted), unit_of(given.before), given.union[0].numpy()
    # Of little contrast, so that no value has to be clamped to 0..1, through which nothing
    # could keep the statistics.
    pasted, before = np.where(union, 0.5 + 0.3 * pasted, 0.3 + 0.3 * before), 0.3 + 0.3 * before
    config = HarmonizeConfig(method="reinhard", max_gain=1000)
    result = unit_of(
        Harmonize(config)(images_only(pasted, torch.float32), images_only(before, torch.float32), given.union)
    )[0]
    before, pasted = before[0], pasted[0]
    if channels == 3:
        result, before, pasted = oracle.to_lab(result), oracle.to_lab(before), oracle.to_lab(pasted)
    assert np.abs(result[:, union].mean(axis=1) - before.mean(axis=(1, 2))).max() < 1e-5
    assert np.abs(result[:, union].std(axis=1) - before.std(axis=(1, 2))).max() < 1e-5
    assert np.abs(pasted[:, union].mean(axis=1) - before.mean(axis=(1, 2))).max() > 0.1


def test_reinhard_stretches_contrast_no_further_than_asked() -> None:
    given = pair(union_of("disc", 40, 40), channels=1)
    images = unit_of(given.pasted)
    images[given.union[:, None].numpy()] *= 0.01
    pasted = images_only(images, torch.float32)
    union = given.union[0].numpy()
    for gain in (1.0, 2.0, 5.0):
        config = HarmonizeConfig(method="reinhard", max_gain=gain)
        result = unit_of(Harmonize(config)(pasted, given.before, given.union))[0, 0]
        assert result[union].std() == pytest.approx(gain * images[0, 0][union].std(), rel=1e-3)


@pytest.mark.parametrize("flat", ["source", "target", "both"])
def test_reinhard_of_one_colour_is_no_division_by_zero(flat: str) -> None:
    given = pair(union_of("disc", 20, 20))
    pasted, before = unit_of(given.pasted), unit_of(given.before)
    if flat in ("target", "both"):
        before[:] = 0.25
    inside = given.union[:, None].numpy()
    pasted = np.where(inside, 0.75 if flat in ("source", "both") else pasted, before)
    result = Harmonize(HarmonizeConfig(method="reinhard"))(
        images_only(pasted, torch.float32), images_only(before, torch.float32), given.union
    )
    assert bool(torch.isfinite(result.images).all())
    if flat == "both":  # it takes the colour of what it lies on
        assert np.abs(unit_of(result) - 0.25).max() < 1e-6


def test_multiband_leaves_an_image_pasted_onto_itself_and_keeps_differences_between_bounds() -> None:
    given = pair(*(union_of(shape, 50, 61) for shape in SHAPES))
    stage = Harmonize(HarmonizeConfig(method="multiband", levels=4))
    assert torch.equal(stage(given.before, given.before, given.union).images, given.before.images)
    # A constant difference: the weights of the two images are in 0..1 and sum to 1.
    before = np.full(given.before.images.shape, 0.25)
    pasted = np.where(given.union[:, None].numpy(), 0.75, before)
    result = unit_of(
        stage(images_only(pasted, torch.float32), images_only(before, torch.float32), given.union)
    )
    assert result.min() >= 0.25 - 1e-6
    assert result.max() <= 0.75 + 1e-6
    assert np.abs(result[SHAPES.index("everything")] - 0.75).max() < 1e-6


def test_multiband_takes_everything_from_the_source_where_there_is_nothing_else() -> None:
    given = pair(union_of("everything", 33, 29), dtype=torch.uint8)
    result = Harmonize(HarmonizeConfig(method="multiband"))(given.pasted, given.before, given.union)
    assert torch.equal(result.images, given.pasted.images)


def test_multiband_keeps_details_and_spreads_the_step_at_the_edge() -> None:
    y, x = np.mgrid[:128, :128]
    union = ((y - 64) ** 2 + (x - 64) ** 2 < 40**2)[None]
    before = np.full((1, 1, 128, 128), 0.3)
    detail = 0.05 * (-1.0) ** (y + x)
    pasted = np.where(union, 0.6 + detail, before)
    result = unit_of(
        Harmonize(HarmonizeConfig(method="multiband"))(
            images_only(pasted, torch.float32),
            images_only(before, torch.float32),
            torch.from_numpy(union),
        )
    )[0, 0]
    row = result[64]
    # The checkerboard is the highest frequency there is, and stays.
    inside = slice(40, 88)
    assert np.abs(np.diff(row[inside])).min() > 0.08
    # The step of 0.3 is spread: no two neighbours (of one parity, which the detail is not) jump by it.
    smooth = (row[1:] + row[:-1]) / 2
    assert np.abs(np.diff(smooth)).max() < 0.1
    assert row[:8].max() < 0.31


@pytest.mark.parametrize("shape", SHAPES)
def test_poisson_recovers_a_source_that_is_the_target_and_a_constant(shape: str) -> None:
    for padding in ((0, 0), (4, 6)):
        given = pair(union_of(shape, 30, 37), padding=padding)
        before = np.where(given.valid[:, None].numpy(), 0.2 + 0.5 * unit_of(given.before), 1.0)
        pasted = np.where(given.union[:, None].numpy(), before + 0.2, before)
        valid = given.valid.numpy()
        result = Harmonize(HarmonizeConfig(method="poisson"))(
            images_only(pasted, torch.float32, valid), images_only(before, torch.float32, valid), given.union
        )
        # Where nothing of the target is left that it could agree with, the source stays.
        alone = bool((given.union == given.valid).all())
        assert np.abs(unit_of(result) - (pasted if alone else before)).max() < 1e-6


def test_poisson_solves_its_equation_and_is_the_target_beyond_its_box() -> None:
    union = np.zeros((40, 50), dtype=bool)
    union[8:30, 10:40] = union_of("disc", 22, 30)
    given = pair(union)
    # Less contrast, so that nothing has to be clamped.
    before, pasted = 0.3 + 0.3 * unit_of(given.before)[0], 0.3 + 0.3 * unit_of(given.pasted)[0]
    result = unit_of(
        Harmonize(HarmonizeConfig(method="poisson"))(
            images_only(pasted[None], torch.float32), images_only(before[None], torch.float32), given.union
        )
    )[0]
    ys, xs = np.nonzero(union)
    box = (slice(None), slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1))
    outside = np.ones_like(union)
    outside[box[1:]] = False
    assert np.array_equal(result[:, outside], before.astype(np.float32)[:, outside])

    def laplacian(field: np.ndarray) -> np.ndarray:
        return np.sum([np.roll(field, shift, axis) - field for shift in (1, -1) for axis in (1, 2)], axis=0)

    def divergence() -> np.ndarray:
        total = np.zeros_like(before)
        for shift in (1, -1):
            for axis in (1, 2):
                both = union & np.roll(union, shift, axis - 1)
                of_source, of_target = (np.roll(image, shift, axis) - image for image in (pasted, before))
                total += np.where(both, of_source, of_target)
        return total

    residual = (laplacian(result) - divergence())[box]
    assert np.abs(residual).max() < 2e-6
    assert np.abs((laplacian(pasted) - divergence())[box]).max() > 0.1


def test_poisson_of_a_rectangle_is_that_of_perez() -> None:
    union = np.zeros((30, 30), dtype=bool)
    union[5:20, 8:25] = True
    given = pair(union)
    result = Harmonize(HarmonizeConfig(method="poisson"))(given.pasted, given.before, given.union)
    outside = ~given.union[:, None].expand_as(given.before.images)
    assert torch.equal(plain(result.images)[outside], plain(given.before.images)[outside])


def test_feathering_stays_between_source_and_target_and_changes_the_band_alone() -> None:
    for dtype in (torch.float32, torch.uint8):
        given = pair(*(union_of(shape, 40, 47) for shape in SHAPES), dtype=dtype)
        for feather in (1, 4, 64):
            result = Harmonize(HarmonizeConfig(feather=feather))(given.pasted, given.before, given.union)
            alphas = [
                oracle.alpha_of(u.numpy(), v.numpy(), feather)
                for u, v in zip(given.union, given.valid, strict=True)
            ]
            alpha = torch.from_numpy(np.stack(alphas))[:, None].expand_as(result.images)
            images, source, target = (
                plain(result.images),
                plain(given.pasted.images),
                plain(given.before.images),
            )
            assert torch.equal(images[alpha == 1], source[alpha == 1])
            assert torch.equal(images[alpha == 0], target[alpha == 0])
            low, high = torch.minimum(source, target), torch.maximum(source, target)
            slack = 0 if dtype == torch.uint8 else 2**-23
            assert bool(((images >= low - slack) & (images <= high + slack)).all())
            assert bool(((alpha > 0) & (alpha < 1)).any())


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_multiband_reaches_no_farther_than_stated(levels: int) -> None:
    union = np.zeros((160, 160), dtype=bool)
    union[40:120, 40:120] = True
    given = pair(union)
    result = Harmonize(HarmonizeConfig(method="multiband", levels=levels))(
        given.pasted, given.before, given.union
    )
    changed = (plain(result.images) != plain(given.before.images)).any(dim=1)[0]
    y, x = changed.nonzero().unbind(dim=1)
    reach = max(40 - int(y.min()), int(y.max()) - 119, 40 - int(x.min()), int(x.max()) - 119)
    assert reach <= multiband_reach(levels)
    assert reach >= multiband_reach(levels) // 2

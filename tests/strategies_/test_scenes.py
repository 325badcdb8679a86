"""Scenes: integers in, the same bits out, by no generator but ours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from segpaste.invariants import check_sample
from segpaste.strategies.choices import Choices
from segpaste.strategies.pastes import (
    CONFIG_BYTES,
    PLAN_BYTES,
    SCHEMA_BYTES,
    draw_any_plan,
    draw_config,
    draw_padded,
    draw_schema,
)
from segpaste.strategies.scenes import (
    FRAME_BYTES,
    SHAPE_BYTES,
    Frame,
    Scene,
    Shape,
    draw_frame,
    draw_scene,
    scene_bytes,
    scene_from_seed,
    scenes_from_seed,
)
from segpaste.types import LEGAL_MODALITY_SETS, DenseSample, Modality, modality_set_name

EVERYTHING = frozenset(Modality)


def _bits(sample: DenseSample) -> dict[str, bytes]:
    return {
        name: value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode()
        for name, value in sample.to_dict().items()
    }


@pytest.mark.parametrize("modalities", LEGAL_MODALITY_SETS, ids=modality_set_name)
def test_a_seed_gives_the_same_bits_twice(modalities: frozenset[Modality]) -> None:
    for seed in (0, 1, 2**63 + 5, -7):
        first = scene_from_seed(seed, modalities=modalities)
        again = scene_from_seed(seed, modalities=modalities)
        assert first == again
        assert _bits(first.sample()) == _bits(again.sample())
        assert [r for r in check_sample(first.sample()) if not r.ok] == []


def test_no_global_generator_is_used() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state(legacy=False)
    one = [_bits(scene_from_seed(seed).sample()) for seed in range(30)]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state(legacy=False)) == repr(before[1])
    torch.manual_seed(1)
    np.random.seed(1)
    assert [_bits(scene_from_seed(seed).sample()) for seed in range(30)] == one


def test_scenes_of_one_seed_share_a_frame_and_differ() -> None:
    scenes = scenes_from_seed(3, 5, modalities=EVERYTHING, min_instances=2, canvas=(20, 30))
    assert len({scene.frame for scene in scenes}) == 1
    assert len({scene.seed for scene in scenes}) == 5
    assert all(len(scene.shapes) in (0, 2, 3, 4) for scene in scenes)


def test_seeds_give_different_scenes() -> None:
    assert len({repr(scene_from_seed(seed)) for seed in range(100)}) > 90


def test_readers_never_ask_for_more_than_stated() -> None:
    for seed in range(200):
        for side in (1, 24, 64, 65, 500):
            frame_reader = Choices.from_seed(seed, 0, FRAME_BYTES)
            frame = draw_frame(frame_reader, canvas=(side, side), modalities=EVERYTHING)
            assert frame_reader.bytes_read <= FRAME_BYTES
            scene_reader = Choices.from_seed(seed, 1, scene_bytes(frame))
            shapes = [Choices.from_seed(seed, 2 + n, SHAPE_BYTES) for n in range(3)]
            draw_scene(scene_reader, shapes, frame)
            assert scene_reader.bytes_read <= scene_bytes(frame)
            assert all(shape.bytes_read <= SHAPE_BYTES for shape in shapes)


def test_readers_of_pastes_never_ask_for_more_than_stated() -> None:
    for seed in range(200):
        reader = Choices.from_seed(seed, 0, 64)
        schema = draw_schema(reader)
        assert reader.bytes_read <= SCHEMA_BYTES + 4 * 6
        reader = Choices.from_seed(seed, 1, 64)
        config = draw_config(reader, schema)
        assert reader.bytes_read <= CONFIG_BYTES + 2 * len(schema.classes)
        samples = [s.sample() for s in scenes_from_seed(seed, 2, modalities=EVERYTHING, schema=schema)]
        view = draw_padded(Choices.from_seed(seed, 2, 64), samples, max_instances=8)
        readers = [Choices.from_seed(seed, 3 + b, 64) for b in range(2)]
        draw_any_plan(readers, view, view, config, [1, 0])
        assert all(r.bytes_read <= PLAN_BYTES + view.max_instances for r in readers)


def test_zero_bytes_are_the_simplest_scene() -> None:
    frame = draw_frame(Choices(b""))
    assert frame == Frame(canvas=(1, 1), modalities=LEGAL_MODALITY_SETS[0])
    scene = draw_scene(Choices(b""), [Choices(b"")], frame)
    assert scene.shapes == (Shape(top=0, left=0, height=1, width=1, label=1),)
    assert scene.palette == "constant"
    assert scene.valid is None


def test_choices_reach_both_ends_and_nothing_else() -> None:
    for low, high in ((0, 0), (3, 7), (-5, 70), (0, 5000), (-(2**40), 2**40)):
        reader = Choices.from_seed(9, 0, 8 * 4000)
        seen = {reader.integer(low, high) for _ in range(4000)}
        assert min(seen) >= low
        assert max(seen) <= high
        if high - low < 100:
            assert seen == set(range(low, high + 1))
    assert Choices(b"").integer(4, 9) == 4
    assert Choices(b"\xff").integer(0, 5000) == 0, "a number cut short reads as the simplest"


def test_choices_of_options_and_permutations() -> None:
    reader = Choices.from_seed(1, 0, 4000)
    assert {reader.permutation(3) for _ in range(200)} == {
        (0, 1, 2),
        (0, 2, 1),
        (1, 0, 2),
        (1, 2, 0),
        (2, 0, 1),
        (2, 1, 0),
    }
    assert Choices(b"").permutation(3) == (0, 1, 2)
    assert {reader.of("ab") for _ in range(50)} == {"a", "b"}
    hits = sum(reader.one_in(4) for _ in range(1000))
    assert 150 < hits < 350


def test_a_scene_says_only_what_differs_from_the_simplest() -> None:
    frame = Frame(canvas=(2, 3), modalities=frozenset({Modality.IMAGE, Modality.INSTANCE}))
    scene = Scene(frame=frame, shapes=(Shape(0, 0, 1, 1, label=2, form="ring"),), palette="ramp")
    assert repr(scene) == (
        "Scene(frame=Frame(canvas=(2, 3), modalities=instance), shapes=(Shape(top=0, left=0, height=1, "
        "width=1, label=2, form='ring'),), palette='ramp')"
    )


def test_a_provenance_image_shows_the_row_of_every_mask_pixel() -> None:
    frame = Frame(canvas=(9, 9), modalities=EVERYTHING, channels=2)
    shapes = (
        Shape(0, 0, 5, 5, label=1),
        Shape(2, 2, 1, 1, label=2),  # hidden by the next, so without a row
        Shape(2, 2, 6, 6, label=2),
        Shape(8, 8, 1, 1, label=4),
    )
    sample = Scene(frame=frame, shapes=shapes, palette="provenance", level=9, first_id=5).sample()
    assert sample.instance_masks is not None
    assert sample.instance_ids is not None
    assert sample.instance_ids.tolist() == [5, 6, 7]
    for row, mask in enumerate(sample.instance_masks.as_subclass(torch.Tensor)):
        assert set(sample.image[0][mask].tolist()) == {row + 1}
    outside = ~sample.instance_masks.as_subclass(torch.Tensor).any(dim=0)
    assert set(sample.image[0][outside].tolist()) == {0}
    assert set(sample.image[1].flatten().tolist()) == {9}


@pytest.mark.parametrize("form", ["box", "ellipse", "triangle", "split", "ring", "checker"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 7), (8, 5)])
def test_every_form_has_pixels_at_every_size(form: str, size: tuple[int, int]) -> None:
    frame = Frame(canvas=(8, 8), modalities=frozenset({Modality.IMAGE, Modality.INSTANCE}))
    shape = Shape(0, 0, *size, label=1, form=form)  # pyright: ignore[reportArgumentType]
    assert len(Scene(frame=frame, shapes=(shape,)).sample()) == 1


def test_wide_images_are_finite_and_normal() -> None:
    frame = Frame(canvas=(32, 32), modalities=EVERYTHING, float_image=True)
    image = Scene(frame=frame, palette="wide", seed=5).sample().image.numpy()
    magnitude = np.abs(image[image != 0])
    assert np.isfinite(image).all()
    assert magnitude.min() >= 2.0**-60
    assert magnitude.max() < 2.0**4
    assert (np.signbit(image) & (image == 0)).any()


def test_scenes_load_neither_hypothesis_nor_pytest() -> None:
    code = (
        "import sys; import segpaste.strategies, segpaste.strategies.scenes, segpaste.strategies.pastes; "
        "segpaste.strategies.scenes.scene_from_seed(1).sample(); "
        "print([m for m in ('hypothesis', 'pytest') if m in sys.modules]); "
        "from segpaste.strategies import dense_samples; print('hypothesis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "True"]

"""Labels in Hugging Face's form and back, judged by the real processor and a real model."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st

from segpaste.integrations.huggingface import (
    PANOPTIC_LABELS,
    contiguous_classes,
    from_hf_format,
    id2label,
    make_hf_collate_fn,
    to_hf_batch,
    to_hf_format,
)
from segpaste.invariants import assert_sample
from segpaste.strategies import dense_samples, panoptic_schemas
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import BatchedDenseSample, DenseSample, Modality, PanopticSchemaSpec

INSTANCE = frozenset({Modality.INSTANCE})
SEMANTIC = frozenset({Modality.SEMANTIC})
BOTH = INSTANCE | SEMANTIC
EXTRAS = (frozenset[Modality](), frozenset({Modality.DEPTH, Modality.NORMALS}))


def panoptic_samples(seed: int = 0, count: int = 1, **limits: Any) -> list[DenseSample]:
    drawn = scenes_from_seed(
        seed, count, modalities=PANOPTIC_LABELS, min_instances=1, channels=(3,), canvas=(20, 28), **limits
    )
    return [scene.sample() for scene in drawn]


def by_hand() -> DenseSample:
    """Things 1 and 2 (ids 7 and 2**31 - 1) on stuff 0 and 3; void in the corner; two columns padded."""
    z = torch.tensor([[7, 7, 0, 0, 0], [7, 0, 2**31 - 1, 0, 0], [0, 0, 2**31 - 1, 0, 0]])
    semantic = torch.tensor([[1, 1, 0, 255, 255], [1, 3, 2, 255, 255], [3, 255, 2, 255, 255]])
    padding = torch.zeros((1, 3, 5), dtype=torch.bool)
    padding[..., 3:] = True
    masks = torch.stack([z == 7, z == 2**31 - 1])
    return DenseSample.from_dict(
        {
            "image": torch.full((3, 3, 5), 51, dtype=torch.uint8),
            "boxes": torch.tensor([[0.0, 0, 2, 2], [2, 1, 3, 3]]),
            "labels": torch.tensor([1, 2]),
            "instance_ids": torch.tensor([7, 2**31 - 1], dtype=torch.int32),
            "instance_masks": masks,
            "semantic_map": semantic,
            "panoptic_map": z,
            "padding_mask": padding,
        }
    )


def test_things_by_row_then_stuff_ascending_and_void_in_none() -> None:
    hf = to_hf_format(by_hand(), DEFAULT_SCHEMA)
    assert set(hf) == {"mask_labels", "class_labels"}
    assert hf["mask_labels"].dtype is torch.bool
    assert hf["class_labels"].dtype is torch.int64
    assert hf["class_labels"].tolist() == [1, 2, 0, 3]
    assert hf["mask_labels"].to(torch.int64).tolist() == [
        [[1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]],
        [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]],
    ]


def test_labels_on_padding_are_in_no_segment() -> None:
    sample = by_hand()
    semantic = plain(sample.semantic_map).clone()
    semantic[:, 3:] = 3
    labelled = DenseSample.from_dict(sample.to_dict() | {"semantic_map": semantic})
    expected = to_hf_format(sample, DEFAULT_SCHEMA)
    assert torch.equal(to_hf_format(labelled, DEFAULT_SCHEMA)["mask_labels"], expected["mask_labels"])


@given(st.data())
def test_the_round_trip_of_a_panoptic_sample_is_exact(data: st.DataObject) -> None:
    schema = data.draw(panoptic_schemas())
    sample = data.draw(dense_samples(PANOPTIC_LABELS | data.draw(st.sampled_from(EXTRAS)), schema=schema))
    hf: dict[str, Any] = to_hf_format(sample, schema)
    if sample.padding_mask is not None:
        hf["pixel_mask"] = (~sample.padding_mask[0]).to(torch.int64)
    back = from_hf_format(hf, schema, sample.image)
    assert_sample(back, schema)
    assert_same_rows(back, sample)
    assert torch.equal(plain(back.semantic_map), plain(sample.semantic_map))
    assert torch.equal(plain(back.panoptic_map), renumbered(sample))
    assert (back.padding_mask is None) == (sample.padding_mask is None)
    if sample.padding_mask is not None:
        assert torch.equal(plain(back.padding_mask), plain(sample.padding_mask))
    event(f"{len(sample)} rows, {len(hf['class_labels']) - len(sample)} stuff segments")


@given(st.data())
def test_the_round_trip_of_an_instance_sample_is_exact(data: st.DataObject) -> None:
    schema = data.draw(panoptic_schemas())
    sample = data.draw(dense_samples(INSTANCE | data.draw(st.sampled_from(EXTRAS)), schema=schema))
    hf = to_hf_format(sample, schema)
    assert torch.equal(hf["class_labels"], sample.labels)
    back = from_hf_format(hf, schema, sample.image, modalities=INSTANCE)
    assert_same_rows(back, sample)
    assert back.active_modalities() == INSTANCE | {Modality.IMAGE}
    event(f"overlap: {bool((plain(sample.instance_masks).sum(dim=0) > 1).any())}")


@given(st.data())
def test_the_round_trip_of_a_semantic_sample_is_exact(data: st.DataObject) -> None:
    schema = data.draw(panoptic_schemas())
    sample = data.draw(dense_samples(SEMANTIC | data.draw(st.sampled_from(EXTRAS)), schema=schema))
    hf = to_hf_format(sample, schema)
    shown = sorted(set(plain(sample.semantic_map).flatten().tolist()) - {schema.ignore_index})
    assert hf["class_labels"].tolist() == shown
    back = from_hf_format(hf, schema, sample.image, modalities=SEMANTIC)
    assert torch.equal(plain(back.semantic_map), plain(sample.semantic_map))
    assert back.active_modalities() == SEMANTIC | {Modality.IMAGE}


@given(st.data())
def test_instances_beside_a_semantic_map_keep_things_and_stuff(data: st.DataObject) -> None:
    schema = data.draw(panoptic_schemas())
    sample = data.draw(dense_samples(BOTH, schema=schema))
    hf = to_hf_format(sample, schema)
    back = from_hf_format(hf, schema, sample.image, modalities=BOTH)
    things = torch.tensor([schema.classes[c] == "thing" for c in sample.labels.tolist()], dtype=torch.bool)
    assert torch.equal(plain(back.instance_masks), plain(sample.instance_masks)[things])
    assert torch.equal(back.labels, sample.labels[things])
    covered = plain(back.instance_masks).any(dim=0)
    semantic = plain(sample.semantic_map)
    stuff = torch.tensor([c for c, kind in schema.classes.items() if kind == "stuff"], dtype=torch.int64)
    kept = torch.where(torch.isin(semantic, stuff), semantic, schema.ignore_index)
    assert torch.equal(plain(back.semantic_map)[~covered], kept[~covered])


def test_ids_need_not_fit_into_an_encoding() -> None:
    """``class_id * max + id`` of neighbouring classes collides where an id is the maximum."""
    schema = PanopticSchemaSpec(classes={0: "thing", 1: "stuff"}, max_instances_per_image=2)
    z = torch.tensor([[9, 4, 0]])
    sample = DenseSample.from_dict(
        {
            "image": torch.zeros((3, 1, 3), dtype=torch.uint8),
            "boxes": torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]]),
            "labels": torch.tensor([0, 0]),
            "instance_ids": torch.tensor([9, 4], dtype=torch.int32),
            "instance_masks": torch.stack([z == 9, z == 4]),
            "semantic_map": torch.tensor([[0, 0, 1]]),
            "panoptic_map": z,
        }
    )
    back = from_hf_format(to_hf_format(sample, schema), schema)
    assert plain(back.panoptic_map).tolist() == [[1, 2, 0]]
    assert plain(back.semantic_map).tolist() == [[0, 0, 1]]
    assert back.image.shape == (3, 1, 3)
    assert not back.image.any()


def test_overlapping_masks_go_through_and_are_refused_where_a_map_needs_one_answer() -> None:
    masks = torch.tensor([[[True, True, False]], [[False, True, True]]])
    hf = {"mask_labels": masks, "class_labels": torch.tensor([1, 2])}
    sample = from_hf_format(hf, DEFAULT_SCHEMA, modalities=INSTANCE)
    assert torch.equal(to_hf_format(sample, DEFAULT_SCHEMA)["mask_labels"], masks)
    both = from_hf_format(hf, DEFAULT_SCHEMA, modalities=BOTH)
    assert plain(both.semantic_map).tolist() == [[1, 2, 2]]  # the later row is in front
    for modalities in (PANOPTIC_LABELS, SEMANTIC):
        with pytest.raises(ValueError, match="mask_labels: got 1 pixels in more than one segment"):
            from_hf_format(hf, DEFAULT_SCHEMA, modalities=modalities)


def test_two_segments_of_one_stuff_class_are_joined() -> None:
    masks = torch.tensor([[[1.0, 0, 0]], [[0, 0, 1.0]]])
    back = from_hf_format({"mask_labels": masks, "class_labels": torch.tensor([3, 3])}, DEFAULT_SCHEMA)
    assert plain(back.semantic_map).tolist() == [[3, 255, 3]]
    assert len(back) == 0


def test_class_indices_go_there_and_back() -> None:
    schema = PanopticSchemaSpec(classes={200: "stuff", 1: "thing", 17: "thing"})
    indices = contiguous_classes(schema)
    assert indices == {1: 0, 17: 1, 200: 2}
    assert id2label(schema, {17: "cat"}) == {0: "class 1", 1: "cat", 2: "class 200"}
    sample = panoptic_samples(schema=schema)[0]
    hf = to_hf_format(sample, schema, class_to_index=indices)
    assert int(hf["class_labels"].max()) <= 2
    back = from_hf_format(hf, schema, class_to_index=indices)
    assert torch.equal(back.labels, sample.labels)
    assert torch.equal(plain(back.semantic_map), plain(sample.semantic_map))


@pytest.mark.parametrize("pad", [False, True])
def test_a_batch_is_what_the_processor_makes(pad: bool) -> None:
    import transformers  # here, as it takes seconds

    processor: Any = transformers.Mask2FormerImageProcessor(do_resize=False, ignore_index=255)
    samples = panoptic_samples(seed=3, count=3, image_dtypes=(torch.uint8,))
    if pad:
        samples[1] = DenseSample(**{**samples[1].to_dict(), **cut(samples[1])})
    ours = make_hf_collate_fn(DEFAULT_SCHEMA, pad=pad)(samples)
    maps, tables = zip(*(segment_map(sample) for sample in samples), strict=True)
    theirs = processor(
        images=[sample.image.numpy() for sample in samples],
        segmentation_maps=list(maps),
        instance_id_to_semantic_id=list(tables),
        input_data_format="channels_first",
        return_tensors="pt",
    )
    valid = ours["pixel_mask"].bool()
    assert bool((theirs["pixel_mask"].bool() | ~valid).all())  # of padding within a sample it knows nothing
    assert set(ours) == set(theirs)
    for name in ("pixel_values", "pixel_mask"):
        assert ours[name].shape == theirs[name].shape
        assert ours[name].dtype == theirs[name].dtype
    torch.testing.assert_close(
        ours["pixel_values"][valid[:, None].expand(-1, 3, -1, -1)],
        theirs["pixel_values"][valid[:, None].expand(-1, 3, -1, -1)],
        atol=2e-6,
        rtol=0,
    )
    for n in range(3):
        got = segments_of(ours["mask_labels"][n], ours["class_labels"][n], valid[n])
        expected = segments_of(theirs["mask_labels"][n], theirs["class_labels"][n], valid[n])
        assert got == expected
        assert ours["mask_labels"][n].dtype == theirs["mask_labels"][n].dtype
        assert ours["class_labels"][n].dtype == theirs["class_labels"][n].dtype


def test_pixels_are_normalised_as_told_and_zero_on_padding() -> None:
    sample = by_hand()
    batch = to_hf_batch([sample], DEFAULT_SCHEMA, image_mean=(0.1, 0.2, 0.3), image_std=(0.5, 0.5, 0.25))
    assert batch["pixel_mask"][0].tolist() == [[1, 1, 1, 0, 0]] * 3
    expected = torch.tensor([0.2, 0.0, -0.4])  # (51 / 255 - mean) / std
    torch.testing.assert_close(batch["pixel_values"][0, :, 1, 1], expected)
    assert not batch["pixel_values"][0, :, :, 3:].any()
    plain_batch = to_hf_batch([sample], DEFAULT_SCHEMA, image_mean=None, image_std=None)
    torch.testing.assert_close(plain_batch["pixel_values"][0, :, 0, 0], torch.full((3,), 0.2))
    padded = BatchedDenseSample.from_samples([sample]).to_padded(5)
    again = to_hf_batch(padded, DEFAULT_SCHEMA, mask_dtype=torch.bool)
    assert torch.equal(again["mask_labels"][0], to_hf_format(sample, DEFAULT_SCHEMA)["mask_labels"])


def test_the_collate_function_can_be_pickled_and_augments_first() -> None:
    collate = make_hf_collate_fn(DEFAULT_SCHEMA, augment=twice, class_to_index={n: n for n in range(5)})
    batch = pickle.loads(pickle.dumps(collate))(panoptic_samples(count=2))
    assert batch["pixel_values"].shape[0] == 4
    assert torch.equal(batch["mask_labels"][0], batch["mask_labels"][2])


def test_no_samples_left_and_no_segments() -> None:
    empty = BatchedDenseSample.from_samples([])
    assert to_hf_batch(empty, DEFAULT_SCHEMA)["pixel_values"].shape[0] == 0
    void = DenseSample.from_dict(
        {"image": torch.zeros((3, 2, 2), dtype=torch.uint8), "semantic_map": torch.full((2, 2), 255)}
    )
    hf = to_hf_format(void, DEFAULT_SCHEMA)
    assert hf["mask_labels"].shape == (0, 2, 2)
    assert hf["class_labels"].shape == (0,)
    assert plain(from_hf_format(hf, DEFAULT_SCHEMA).panoptic_map).tolist() == [[0, 0], [0, 0]]


def test_what_is_refused_of_samples() -> None:
    sample = by_hand()
    with pytest.raises(TypeError, match="sample: got dict, expected a DenseSample"):
        to_hf_format({}, DEFAULT_SCHEMA)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="sample: got no instance_masks and no semantic_map"):
        to_hf_format(DenseSample.from_dict({"image": sample.image}), DEFAULT_SCHEMA)
    with pytest.raises(ValueError, match=r"labels: got \[2\], which the schema lacks"):
        to_hf_format(sample, PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 3: "stuff"}))
    with pytest.raises(ValueError, match=r"semantic_map: got \[3\], which the schema lacks"):
        to_hf_format(sample, PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 2: "thing"}))
    with pytest.raises(ValueError, match="got 2 things, expected at most max_instances_per_image = 1"):
        to_hf_format(sample, DEFAULT_SCHEMA.model_copy(update={"max_instances_per_image": 1}))
    stuff = PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 2: "stuff", 3: "stuff"})
    with pytest.raises(ValueError, match="labels: got 2 in row 1, which the schema calls stuff"):
        to_hf_format(sample, stuff)
    with pytest.raises(ValueError, match=r"class_to_index: got no index for the classes \[0, 3\]"):
        to_hf_format(sample, DEFAULT_SCHEMA, class_to_index={1: 0, 2: 1})
    with pytest.raises(ValueError, match=r"sample 1: labels: got \[2\]"):
        to_hf_batch(
            [by_hand_of_stuff(), sample], PanopticSchemaSpec(classes={0: "stuff", 1: "thing", 3: "stuff"})
        )
    with pytest.raises(TypeError, match="schema: got NoneType, expected a PanopticSchema"):
        to_hf_format(sample, None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="samples: got DenseSample, expected a list of DenseSample"):
        to_hf_batch(sample, DEFAULT_SCHEMA)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="augment: got int, expected a function of a list or None"):
        make_hf_collate_fn(DEFAULT_SCHEMA, augment=3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="image_mean: got 0.5, expected three numbers"):
        to_hf_batch([sample], DEFAULT_SCHEMA, image_mean=0.5, image_std=0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="image_mean, image_std: got None and"):
        to_hf_batch([sample], DEFAULT_SCHEMA, image_mean=None)
    with pytest.raises(ValueError, match="images: got 1 channels, expected 3"):
        to_hf_batch(
            [DenseSample.from_dict({"image": torch.zeros((1, 2, 2), dtype=torch.uint8)})], DEFAULT_SCHEMA
        )
    bright = DenseSample(**{**sample.to_dict(), "image": torch.full((3, 3, 5), 200.0)})
    with pytest.raises(ValueError, match="images: got float32 values from 200 to 200, expected 0 to 1"):
        to_hf_batch([bright], DEFAULT_SCHEMA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_labels": torch.full((1, 2, 2), 255)}, "mask_labels: got 255, expected 0 and 1"),
        ({"mask_labels": torch.ones((2, 2))}, r"mask_labels: got shape \[2, 2\], expected \[N, H, W\]"),
        ({"class_labels": torch.tensor([1, 2])}, r"class_labels: got shape \[2\], expected \[1\]"),
        ({"class_labels": torch.tensor([9])}, r"class_labels: got \[9\], which the schema lacks"),
        ({"mask_labels": torch.zeros((1, 2, 2))}, "mask_labels: got no pixel in segment 0"),
    ],
)
def test_what_is_refused_of_segments(change: dict[str, torch.Tensor], message: str) -> None:
    hf = {"mask_labels": torch.ones((1, 2, 2)), "class_labels": torch.tensor([1])} | change
    with pytest.raises(ValueError, match=message):
        from_hf_format(hf, DEFAULT_SCHEMA)


def test_what_else_is_refused_of_segments() -> None:
    hf = {"mask_labels": torch.ones((1, 2, 2)), "class_labels": torch.tensor([1])}
    with pytest.raises(ValueError, match=r"hf: got the keys \['class_labels'\], expected mask_labels"):
        from_hf_format({"class_labels": hf["class_labels"]}, DEFAULT_SCHEMA)
    with pytest.raises(TypeError, match="class_labels: got dtype torch.float32, expected integers"):
        from_hf_format(hf | {"class_labels": torch.tensor([1.0])}, DEFAULT_SCHEMA)
    with pytest.raises(ValueError, match=r"class_labels: got \[1\], which class_to_index lacks"):
        from_hf_format(hf, DEFAULT_SCHEMA, class_to_index={1: 0})
    with pytest.raises(ValueError, match="class_to_index: got the index 0 for two classes, 1 and 2"):
        from_hf_format(hf, DEFAULT_SCHEMA, class_to_index={1: 0, 2: 0})
    with pytest.raises(ValueError, match=r"pixel_mask: got \[1, 2, 2\], expected a tensor \[2, 2\]"):
        from_hf_format(hf | {"pixel_mask": torch.ones((1, 2, 2))}, DEFAULT_SCHEMA)
    with pytest.raises(TypeError, match="modalities: got <Modality.INSTANCE: 'instance'>, expected a set"):
        from_hf_format(hf, DEFAULT_SCHEMA, modalities=Modality.INSTANCE)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"modalities: got \['panoptic'\], expected instance, semantic"):
        from_hf_format(hf, DEFAULT_SCHEMA, modalities=[Modality.PANOPTIC])


def plain(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None
    return value.as_subclass(torch.Tensor)


def twice(samples: Sequence[DenseSample]) -> list[DenseSample]:
    return [*samples, *samples]


def assert_same_rows(back: DenseSample, sample: DenseSample) -> None:
    assert torch.equal(plain(back.instance_masks), plain(sample.instance_masks))
    assert torch.equal(back.labels, sample.labels)
    assert plain(back.instance_ids).tolist() == list(range(1, len(sample) + 1))
    tight = [mask.nonzero() for mask in plain(sample.instance_masks)]
    for box, pixels in zip(back.boxes, tight, strict=True):
        (top, left), (bottom, right) = pixels.min(dim=0).values.tolist(), pixels.max(dim=0).values.tolist()
        assert box.tolist() == [left, top, right + 1, bottom + 1]


def renumbered(sample: DenseSample) -> torch.Tensor:
    """The panoptic map with the id of row n replaced by n + 1, pixel by pixel."""
    new = {0: 0} | {old: n + 1 for n, old in enumerate(plain(sample.instance_ids).tolist())}
    z = plain(sample.panoptic_map)
    return torch.tensor([new[old] for old in z.flatten().tolist()], dtype=torch.int64).view(z.shape)


def by_hand_of_stuff() -> DenseSample:
    sample = by_hand()
    nothing = torch.zeros((0, 3, 5), dtype=torch.bool)
    return DenseSample.from_dict(
        {
            "image": sample.image,
            "instance_masks": nothing,
            "instance_ids": torch.zeros(0, dtype=torch.int32),
            "semantic_map": torch.where(plain(sample.panoptic_map) > 0, 255, plain(sample.semantic_map)),
            "panoptic_map": torch.zeros((3, 5), dtype=torch.int64),
            "padding_mask": sample.padding_mask,
        }
    )


def cut(sample: DenseSample) -> dict[str, Any]:
    """The top left of a sample, smaller than the others of its batch."""
    semantic = plain(sample.semantic_map)[:13, :17].clone()
    semantic[plain(sample.panoptic_map)[:13, :17] > 0] = 255
    return {
        "image": plain(sample.image)[:, :13, :17],
        "boxes": torch.zeros((0, 4)),
        "labels": torch.zeros(0, dtype=torch.int64),
        "instance_ids": torch.zeros(0, dtype=torch.int32),
        "instance_masks": torch.zeros((0, 13, 17), dtype=torch.bool),
        "semantic_map": semantic,
        "panoptic_map": torch.zeros((13, 17), dtype=torch.int64),
        "padding_mask": torch.zeros((1, 13, 17), dtype=torch.bool),
    }


def segment_map(sample: DenseSample) -> tuple[np.ndarray, dict[int, int]]:
    """What a user of the processor builds by hand: segment numbers from 1, and their classes."""
    semantic, z = plain(sample.semantic_map), plain(sample.panoptic_map)
    out = torch.full(semantic.shape, 255)
    table: dict[int, int] = {}
    pairs = sorted(set(zip(semantic.flatten().tolist(), z.flatten().tolist(), strict=True)))
    for number, (label, instance) in enumerate((p for p in pairs if p[0] != 255), start=1):
        out[(semantic == label) & (z == instance)] = number
        table[number] = label
    return out.numpy(), table


def segments_of(masks: torch.Tensor, classes: torch.Tensor, valid: torch.Tensor) -> set[tuple[int, bytes]]:
    return {(int(c), (m.bool() & valid).numpy().tobytes()) for m, c in zip(masks, classes, strict=True)}


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (0.9, r"class_to_index\[1\]: got float, expected an int"),
        ("a", r"class_to_index\[1\]: got str, expected an int"),
        (-1, r"class_to_index\[1\]: got -1, expected 0 or more"),
        (2, "class_to_index: got the index 2 for two classes, 1 and 2"),
    ],
)
def test_indices_are_whole_numbers_one_for_each_class_in_both_directions(index: Any, message: str) -> None:
    indices = {0: 0, 1: index, 2: 2, 3: 3, 4: 4}
    (scene,) = scenes_from_seed(3, 1, modalities={Modality.SEMANTIC}, canvas=(8, 8))
    hf = to_hf_format(scene.sample(), DEFAULT_SCHEMA)
    for action in (
        lambda: to_hf_format(scene.sample(), DEFAULT_SCHEMA, class_to_index=indices),
        lambda: from_hf_format(hf, DEFAULT_SCHEMA, class_to_index=indices),
        lambda: id2label(DEFAULT_SCHEMA, class_to_index=indices),
        lambda: make_hf_collate_fn(DEFAULT_SCHEMA, class_to_index=indices),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            action()
    with pytest.raises(TypeError, match="class_to_index: got list, expected a mapping"):
        to_hf_format(scene.sample(), DEFAULT_SCHEMA, class_to_index=[0, 1])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("label", [1, 0])
def test_a_segment_on_padding_is_refused(label: int) -> None:
    hf = {
        "mask_labels": torch.ones((1, 2, 2)),
        "class_labels": torch.tensor([label]),
        "pixel_mask": torch.tensor([[1, 0], [1, 0]]),
    }
    with pytest.raises(ValueError, match="mask_labels: got 2 pixels of segment 0 where pixel_mask is 0"):
        from_hf_format(hf, DEFAULT_SCHEMA)
    hf["mask_labels"][0, :, 1] = 0
    assert from_hf_format(hf, DEFAULT_SCHEMA).padding_mask is not None


def test_the_image_is_copied() -> None:
    image = torch.ones((3, 2, 2))
    hf = {"mask_labels": torch.ones((1, 2, 2)), "class_labels": torch.tensor([1])}
    from_hf_format(hf, DEFAULT_SCHEMA, image).image.zero_()
    assert bool((image == 1).all())


def test_bad_numbers_of_a_batch_are_refused() -> None:
    (scene,) = scenes_from_seed(3, 1, modalities={Modality.SEMANTIC}, canvas=(8, 8), channels=(3,))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"mask_dtype": "bool"}, "mask_dtype: got 'bool', expected a torch.dtype"),
        ({"image_mean": "abc"}, "image_mean: got 'abc', expected three numbers"),
        ({"image_mean": (0.0, float("nan"), 0.0)}, "image_mean: got"),
        ({"image_std": (1.0, 0, 1.0)}, r"image_std: got \(1.0, 0, 1.0\), expected three numbers above 0"),
    ]
    for options, message in bad:
        with pytest.raises((TypeError, ValueError), match=message):
            to_hf_batch([scene.sample()], DEFAULT_SCHEMA, **options)

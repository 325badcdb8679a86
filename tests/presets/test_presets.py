"""Presets: their names, tables and values, YAML in and out, and what they refuse."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError

from segpaste.augmentation import BankSource, BatchCopyPaste, IntraBatchSource
from segpaste.presets import PresetConfig, get_preset, list_presets, register_preset
from segpaste.presets import registry as registry_module
from segpaste.types import (
    BatchCopyPasteConfig,
    HarmonizeConfig,
    Modality,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from segpaste.types.schema import classes_of_kind

NAMES = ["cityscapes-panoptic", "coco-instance", "coco-panoptic", "lvis-rare", "nyu-depth"]
INSTANCE = frozenset({Modality.IMAGE, Modality.INSTANCE})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, PresetConfig]:
    """An empty register of one's own: code of the docs may have added to the other."""
    mine: dict[str, PresetConfig] = {}
    monkeypatch.setattr(registry_module, "_registered", mine)
    return mine


def _preset(**changes: Any) -> PresetConfig:
    return PresetConfig(**({"name": "mine", "description": "d", "target_modalities": INSTANCE} | changes))


def test_the_five_presets_are_listed_in_order() -> None:
    assert list_presets() == NAMES
    assert [get_preset(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_yaml_gives_an_equal_preset_back(name: str, tmp_path: Path) -> None:
    preset = get_preset(name)
    text = preset.to_yaml()
    file = tmp_path / "preset.yaml"
    file.write_text(text, encoding="utf-8")
    assert PresetConfig.from_yaml(text) == preset
    assert PresetConfig.from_yaml(file) == preset
    assert PresetConfig.from_yaml(text).to_yaml() == text
    assert pickle.loads(pickle.dumps(preset)) == preset
    assert hash(PresetConfig.from_yaml(text)) == hash(preset)


def test_yaml_keeps_what_is_no_default() -> None:
    config = BatchCopyPasteConfig(harmonize=HarmonizeConfig(method="reinhard"), min_area=7)
    preset = _preset(batch_copy_paste=config, class_names={3: "gr\u00fcn"}, void_ids=(9, 0))
    assert PresetConfig.from_yaml(preset.to_yaml()) == preset
    assert "gr\u00fcn" in preset.to_yaml()


def test_yaml_keeps_text_of_several_lines() -> None:
    preset = _preset(description="Two\n  lines:\t#1\n\u00e9\U0001f600\ufeff\n")
    assert PresetConfig.from_yaml(preset.to_yaml()) == preset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: 2001-13-45", "month must be in 1..12"),
        ("name: a\ndescription: b\nname: c", "the key 'name' occurs twice"),
        ("a: {1: x, 1: y}", "the key 1 occurs twice"),
        ("name: [", "expected the node content"),
        ("{[1]: 2}", "unhashable key"),
    ],
)
def test_what_is_no_yaml_is_told_as_such(text: str, message: str) -> None:
    with pytest.raises(yaml.YAMLError, match=message):
        PresetConfig.from_yaml(text)


def test_what_holds_no_fields_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^text: got 'mine.yaml', expected YAML .* given as pathlib.Path"):
        PresetConfig.from_yaml("mine.yaml")
    (tmp_path / "mine.yaml").write_text("- 1")
    with pytest.raises(ValueError, match="^text: got '- 1', expected YAML of a preset's fields$"):
        PresetConfig.from_yaml(tmp_path / "mine.yaml")
    with pytest.raises(TypeError, match="^text: got int, expected a str of YAML or a Path$"):
        PresetConfig.from_yaml(3)  # pyright: ignore[reportArgumentType]


def test_yaml_with_merged_keys_is_read() -> None:
    preset = PresetConfig.from_yaml(
        "large_scale_jitter: &a {min_scale: 0.5}\nname: mine\ndescription: d\n"
        "target_modalities: [image, instance]\nbatch_copy_paste: {placement: {<<: {k_range: [1, 2]}}}"
    )
    assert preset.batch_copy_paste.placement.k_range == (1, 2)


def test_what_was_copied_unchecked_is_checked_when_registered(registered: dict[str, PresetConfig]) -> None:
    with pytest.raises(ValidationError, match=r"(?s)name.*max_instances"):
        register_preset(_preset().model_copy(update={"name": "../x y", "max_instances": -3}))
    assert registered == {}


def test_a_preset_of_ones_own_is_found_and_listed(registered: dict[str, PresetConfig]) -> None:
    mine = _preset()
    register_preset(mine)
    assert get_preset("mine") is mine
    assert list_presets() == sorted([*NAMES, "mine"])


@pytest.mark.parametrize("name", ["coco-panoptic", "mine"])
def test_a_name_cannot_be_taken_twice(name: str, registered: dict[str, PresetConfig]) -> None:
    register_preset(_preset())
    with pytest.raises(ValueError, match=f"config.name: got '{name}', which is registered"):
        register_preset(_preset(name=name, description="another"))
    assert registered == {"mine": _preset()}


def test_only_presets_are_registered(registered: dict[str, PresetConfig]) -> None:
    with pytest.raises(TypeError, match="config: got dict, expected a PresetConfig"):
        register_preset({})  # pyright: ignore[reportArgumentType]
    assert registered == {}


def test_an_unknown_name_is_told_the_known_and_the_nearest() -> None:
    with pytest.raises(KeyError) as caught:
        get_preset("coco-panoptc")
    message = str(caught.value.args[0])
    assert all(name in message for name in NAMES)
    assert message.endswith("did you mean 'coco-panoptic'?")
    with pytest.raises(KeyError, match="expected one of") as caught:
        get_preset("zzzzzz")
    assert "did you mean" not in str(caught.value)
    with pytest.raises(TypeError, match="^name: got int, expected a str$"):
        get_preset(3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("name", "things", "stuff"),
    [
        ("coco-instance", 80, 0),
        ("coco-panoptic", 80, 53),
        ("lvis-rare", 1203, 0),
        ("cityscapes-panoptic", 8, 11),
        ("nyu-depth", 37, 3),
    ],
)
def test_class_tables_are_whole_and_named(name: str, things: int, stuff: int) -> None:
    preset = get_preset(name)
    schema = preset.class_table
    assert schema is not None
    assert len(classes_of_kind(schema, "thing")) == things
    assert len(classes_of_kind(schema, "stuff")) == stuff
    assert set(preset.class_names) == set(schema.classes)
    assert len(set(preset.class_names.values())) == things + stuff
    assert schema.ignore_index not in schema.classes


def test_ids_are_the_data_sets_own() -> None:
    coco, lvis = get_preset("coco-panoptic"), get_preset("lvis-rare")
    assert (coco.class_names[1], coco.class_names[90], coco.class_names[200]) == (
        "person",
        "toothbrush",
        "rug-merged",
    )
    assert coco.void_ids == (0,)
    assert sorted(lvis.class_names) == list(range(1, 1204))
    assert (lvis.class_names[1], lvis.class_names[1203]) == ("aerosol_can", "zucchini")
    city = get_preset("cityscapes-panoptic")
    assert (city.class_names[7], city.class_names[33]) == ("road", "bicycle")
    assert sorted({*city.void_ids, *city.class_names}) == list(range(34))
    nyu = get_preset("nyu-depth")
    assert sorted(nyu.class_names) == list(range(1, 41))
    assert [nyu.class_names[n] for n in (1, 2, 22)] == ["wall", "floor", "ceiling"]


def test_the_coco_table_is_that_of_the_panoptic_api(data_root: Path) -> None:
    file = data_root / "coco_panoptic_sample" / "panoptic_coco_categories.json"
    categories = json.loads(file.read_text("utf-8"))
    preset = get_preset("coco-panoptic")
    schema = preset.class_table
    assert schema is not None
    assert dict(preset.class_names) == {c["id"]: c["name"] for c in categories}
    assert dict(schema.classes) == {c["id"]: "thing" if c["isthing"] else "stuff" for c in categories}


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_its_pipeline(name: str) -> None:
    preset = get_preset(name)
    augment = BatchCopyPaste(preset.batch_copy_paste, seed=0)
    expected = BankSource if preset.bank else IntraBatchSource
    assert isinstance(augment.source_strategy, expected)
    assert preset.jitter((8, 8)) is not None
    assert preset.sanitize() is not None


def test_without_jitter_and_least_area_there_is_nothing_to_do() -> None:
    assert _preset().jitter() is None
    assert _preset().sanitize() is None
    assert _preset().class_table is None


def test_named_classes_of_instances_are_things() -> None:
    schema = _preset(class_names={255: "a", 2: "b"}).class_table
    assert schema is not None
    assert dict(schema.classes) == {2: "thing", 255: "thing"}
    assert schema.ignore_index == 256


TABLE = PanopticPasteConfig(taxonomy=PanopticSchemaSpec(classes={1: "thing", 2: "stuff"}))
PANOPTIC = INSTANCE | {Modality.SEMANTIC, Modality.PANOPTIC}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"colour": 1}, "colour"),
        ({"target_modalities": {Modality.IMAGE}}, "expected the image with one of"),
        ({"target_modalities": "instance"}, "target_modalities"),
        (
            {"batch_copy_paste": BatchCopyPasteConfig(panoptic=TABLE)},
            "expected semantic and panoptic beside",
        ),
        (
            {
                "batch_copy_paste": BatchCopyPasteConfig(panoptic=TABLE),
                "target_modalities": PANOPTIC,
                "class_names": {3: "x"},
            },
            r"class_names: got classes \[3\]",
        ),
        (
            {
                "batch_copy_paste": BatchCopyPasteConfig(panoptic=TABLE),
                "target_modalities": PANOPTIC,
                "void_ids": (2,),
            },
            r"void_ids: got \[2\], which are classes",
        ),
        ({"batch_copy_paste": BatchCopyPasteConfig(source="bank")}, "bank: got None with"),
        ({"bank": {}}, "bank: got some with"),
        ({"bank": {"repeat_threshold": 0.0}}, "repeat_threshold"),
        ({"bank": {"crops_per_target": 2}}, "candidates_per_target: got 1, expected at least"),
        ({"large_scale_jitter": {"min_scale": 2.0, "max_scale": 1.0}}, "expected 0 < min_scale <= max_scale"),
        ({"large_scale_jitter": {"max_scale": float("nan")}}, "expected 0 < min_scale <= max_scale"),
        ({"max_instances": 0}, "max_instances"),
        ({"min_mask_area": 2}, "min_mask_area: got 2, expected at most 1, batch_copy_paste.min_pasted_area"),
        ({"class_names": {2: "b"}, "void_ids": (2,)}, r"void_ids: got \[2\], which are classes"),
        ({"class_names": {2: "a\nb"}}, r"class_names.2\s.* expected text without '\\n'"),
        ({"description": "a\x85"}, r"expected text without '\\x85'"),
        ({"description": "a\u2028"}, r"expected text without '\\u2028'"),
        (
            {
                "batch_copy_paste": BatchCopyPasteConfig(panoptic=TABLE),
                "target_modalities": PANOPTIC,
                "max_instances": 257,
            },
            "max_instances: got 257, expected at most 256, the class table's max_instances_per_image",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _preset(**changes)


def test_the_configuration_has_a_checksum_that_sign_offs_are_no_part_of() -> None:
    signed = get_preset("coco-panoptic")
    values = signed.model_dump()
    unsigned = PresetConfig.model_validate(values | {"sign_off": ()})
    assert unsigned.config_sha256 == signed.config_sha256
    assert PresetConfig.from_yaml(signed.to_yaml()).config_sha256 == signed.config_sha256
    for changes in ({"min_mask_area": 31}, {"void_ids": ()}, {"max_instances": 127}):
        assert PresetConfig.model_validate(values | changes).config_sha256 != signed.config_sha256


def test_a_preset_is_shown_short() -> None:
    assert str(get_preset("lvis-rare")) == "PresetConfig('lvis-rare', instance, 1203 classes)"
    assert repr(_preset()) == "PresetConfig('mine', instance, no class table)"


def test_names_are_integers_from_yaml_too() -> None:
    again = PresetConfig.from_yaml(get_preset("nyu-depth").to_yaml())
    assert all(type(label) is int for label in again.class_names)
    assert torch.tensor(list(again.class_names)).dtype == torch.int64

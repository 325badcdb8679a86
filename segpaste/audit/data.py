"""What an audit looks at: real data that fit the preset, or pictures that are made to fit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from segpaste.audit.errors import AuditError
from segpaste.integrations import DataError, DataSet, demo_photographs
from segpaste.presets import PresetConfig
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    DenseSample,
    Modality,
    PanopticSchema,
    PanopticSchemaSpec,
    modality_set_name,
)
from segpaste.types.schema import ThingOrStuff, classes_of_kind

DRAWN_CANVAS = (96, 128)


def fitted(
    preset: PresetConfig, data: Sequence[DataSet], *, relabel: bool = False
) -> tuple[list[DataSet], list[str]]:
    """The sets that a preset can be run on, with its modalities, and notes on the others.

    Sets of exactly the target modalities are preferred, then those that have more, then those that
    have the most of them; the others are left out.

    Args:
        preset: the preset.
        data: what was read.
        relabel: give things and stuff classes of the preset, by their order. Such labels mean
            nothing, but the laws do not mind.

    Raises:
        AuditError: if no set fits, or the class table does not know a set's classes.
    """
    exact = [each for each in data if preset.target_modalities == each.modalities]
    whole = exact or [each for each in data if preset.target_modalities <= each.modalities]
    panoptic = {Modality.SEMANTIC, Modality.PANOPTIC} if preset.batch_copy_paste.panoptic else set()
    some = [
        each
        for each in data
        if each.modalities & preset.target_modalities in LEGAL_MODALITY_SETS and panoptic <= each.modalities
    ]
    most = max((len(each.modalities & preset.target_modalities) for each in some), default=0)
    chosen = whole or [each for each in some if len(each.modalities & preset.target_modalities) == most]
    wanted = modality_set_name(preset.target_modalities)
    if not chosen:
        have = ", ".join(f"{each.name} ({modality_set_name(each.modalities)})" for each in data)
        raise AuditError(f"no set has {wanted} or a part of it that can be pasted; there is {have}")
    notes = [
        f"{each.name}: left out, it has {modality_set_name(each.modalities)}; the preset is for {wanted}"
        for each in data
        if not any(each is one for one in chosen)
    ]
    found: list[DataSet] = []
    for each in chosen:
        kept = each.modalities & preset.target_modalities
        if kept != preset.target_modalities:
            lacking = ", ".join(m.value for m in Modality if m in preset.target_modalities - kept)
            notes.append(f"{each.name}: without {lacking}, which these data lack")
        one = each if kept == each.modalities else each.only(kept)
        schema = preset.class_table
        if schema is not None:
            one = relabelled(one, schema) if relabel else one
            _check_classes(one, schema)
            if relabel:
                notes.append(f"{each.name}: relabelled with the preset's classes, so that names mean nothing")
            else:
                notes += _other_names(one, preset.class_names)
        elif relabel:
            notes.append(f"{each.name}: not relabelled, the preset has no class table")
        most_rows = max(len(sample) for sample in one.samples)
        if most_rows > preset.max_instances:
            raise AuditError(
                f"{each.name}: got a sample of {most_rows} rows, "
                f"expected at most max_instances = {preset.max_instances}"
            )
        found.append(one)
    return found, notes


def made_sets(preset: PresetConfig, count: int, seed: int) -> tuple[list[DataSet], list[str]]:
    """What is audited without data: drawn scenes, and the photographs of the scikit-image wheel.

    Args:
        preset: decides modalities and classes.
        count: how many scenes are drawn.
        seed: decides them.
    """
    sets, notes = [drawn_set(preset, count, seed)], []
    try:
        photographs, said = fitted(preset, demo_photographs(), relabel=True)
    except (DataError, AuditError) as error:
        return sets, [f"no photographs, drawn scenes only: {error}"]
    return sets + photographs, notes + said


def drawn_set(preset: PresetConfig, count: int, seed: int) -> DataSet:
    """Scenes of the preset's classes and modalities, 96 x 128 pixels."""
    scenes = scenes_from_seed(
        seed,
        count,
        min_instances=min(2, preset.max_instances),
        max_instances=min(8, preset.max_instances),
        schema=preset.class_table,
        modalities=preset.target_modalities,
        image_dtypes=(torch.uint8,),
        channels=(3,),
        canvas=DRAWN_CANVAS,
        metric=Modality.DEPTH in preset.target_modalities,
        reserve=max(64, preset.max_instances),
    )
    schema = preset.class_table
    return DataSet(
        "drawn scenes",
        tuple(scene.sample() for scene in scenes),
        tuple(f"scene {n}" for n in range(count)),
        None if schema is None else PanopticSchemaSpec.model_validate(schema.model_dump()),
    )


def relabelled(data: DataSet, schema: PanopticSchema) -> DataSet:
    """The set with the classes of ``schema``: rows get its things in turn, stuff its stuff.

    Raises:
        AuditError: if the set has no class table, or stuff and the schema has none.
    """
    if data.schema is None:
        raise AuditError(f"{data.name}: got no class table, expected one to relabel by")
    things, stuff = classes_of_kind(schema, "thing"), classes_of_kind(schema, "stuff")
    kinds: dict[ThingOrStuff, list[int]] = {"thing": things, "stuff": stuff}
    places: dict[ThingOrStuff, int] = {"thing": 0, "stuff": 0}
    table: dict[int, int] = {}
    for label, kind in sorted(data.schema.classes.items()):
        if kinds[kind]:
            table[label] = kinds[kind][places[kind] % len(kinds[kind])]
            places[kind] += 1
    samples = tuple(
        _relabelled(sample, n, table, data.schema, schema, data.name) for n, sample in enumerate(data.samples)
    )
    spec = PanopticSchemaSpec(
        classes=dict(schema.classes),
        ignore_index=schema.ignore_index,
        max_instances_per_image=schema.max_instances_per_image,
    )
    return replace(data, samples=samples, schema=spec, class_names={})


def content_sha256(samples: Sequence[DenseSample]) -> str:
    """A checksum over all that the samples hold, whatever files they came from."""
    digest = hashlib.sha256()
    for sample in samples:
        for name, value in sorted(sample.to_dict().items()):
            digest.update(name.encode())
            if isinstance(value, torch.Tensor):
                plain = value.as_subclass(torch.Tensor).detach().cpu().contiguous()
                digest.update(f"{plain.dtype}{list(plain.shape)}".encode())
                digest.update(plain.numpy().tobytes())
            else:
                digest.update(repr(value).encode())
    return digest.hexdigest()


def _relabelled(
    sample: DenseSample,
    number: int,
    table: Mapping[int, int],
    was: PanopticSchema,
    schema: PanopticSchema,
    name: str,
) -> DenseSample:
    things = classes_of_kind(schema, "thing")
    values: dict[str, Any] = sample.to_dict()
    if sample.semantic_map is not None:
        semantic = sample.semantic_map.as_subclass(torch.Tensor)
        out = torch.full_like(semantic, schema.ignore_index)
        for label in semantic.unique().tolist():
            if label == was.ignore_index:
                continue
            if label not in table:
                raise AuditError(
                    f"{name}: got class {label}, for which the preset's table has none of its kind"
                )
            out[semantic == label] = table[label]
        values["semantic_map"] = out
    if len(sample):
        if not things:
            raise AuditError(f"{name}: got things, of which the preset's table has none")
        # In turn, so that there is more than one class to be seen.
        by_row = sample.semantic_map is None or sample.panoptic_map is not None
        labels = [
            things[(7 * row + 3 * number) % len(things)] if by_row else table[label]
            for row, label in enumerate(sample.labels.tolist())
        ]
        values["labels"] = torch.tensor(labels, dtype=sample.labels.dtype)
        if by_row and sample.semantic_map is not None and sample.instance_masks is not None:
            for mask, label in zip(sample.instance_masks.as_subclass(torch.Tensor), labels, strict=True):
                values["semantic_map"][mask] = label
    return DenseSample(**values)


def _check_classes(data: DataSet, schema: PanopticSchemaSpec) -> None:
    """Refuse data whose classes are not the preset's."""
    hint = "--relabel gives the data the preset's classes"
    for sample, name in zip(data.samples, data.names, strict=True):
        found = set(sample.labels.tolist())
        if sample.semantic_map is not None:
            values = sample.semantic_map.as_subclass(torch.Tensor).unique().tolist()
            found |= set(values) - {schema.ignore_index}
        for label in sorted(found):
            known = schema.classes.get(label)
            if known is None:
                raise AuditError(
                    f"{data.name}: {name}: got class {label}, which the preset's class table lacks; {hint}"
                )
            kind = known if data.schema is None else data.schema.classes.get(label, known)
            if kind != known:
                raise AuditError(
                    f"{data.name}: {name}: class {label} is {kind} in the data "
                    f"and {known} in the preset; {hint}"
                )


def _other_names(data: DataSet, names: Mapping[int, str]) -> list[str]:
    """A note where the data and the preset name one id differently: it may be another data set's."""
    found = {label for sample in data.samples for label in sample.labels.tolist()}
    for sample in data.samples:
        if sample.semantic_map is not None:
            found |= set(sample.semantic_map.as_subclass(torch.Tensor).unique().tolist())
    differ = [
        label
        for label in sorted(found & set(names) & set(data.class_names))
        if _letters(names[label]) != _letters(data.class_names[label])
    ]
    if not differ:
        return []
    first = differ[0]
    more = f", and {len(differ) - 1} more classes have other names" if len(differ) > 1 else ""
    return [
        f"{data.name}: class {first} is {data.class_names[first]!r} in the data and {names[first]!r} "
        f"in the preset{more}; the preset's names are shown"
    ]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))

"""Class tables: the protocol, its validated form, and samples that know other classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic
import pytest
import torch

from segpaste.types import (
    DenseSample,
    Modality,
    PanopticSchema,
    PanopticSchemaSpec,
    check_against_schema,
    classes_of_kind,
)
from tests.types.builders import dense_sample, sample_fields


class _Handmade:
    """A schema of a user's own, which shares nothing with ours but the protocol."""

    @property
    def classes(self) -> Mapping[int, Literal["thing", "stuff"]]:
        return {1: "thing", 2: "thing", 9: "stuff"}

    @property
    def ignore_index(self) -> int:
        return 255

    @property
    def max_instances_per_image(self) -> int:
        return 2


def test_the_spec_and_a_users_own_class_satisfy_the_protocol() -> None:
    assert isinstance(PanopticSchemaSpec(classes={1: "thing"}), PanopticSchema)
    assert isinstance(_Handmade(), PanopticSchema)
    assert not isinstance({1: "thing"}, PanopticSchema)


def test_classes_of_one_kind_are_ascending() -> None:
    schema = PanopticSchemaSpec(classes={7: "stuff", 3: "thing", 1: "thing"})
    assert classes_of_kind(schema, "thing") == [1, 3]
    assert classes_of_kind(schema, "stuff") == [7]
    assert classes_of_kind(_Handmade(), "stuff") == [9]


def test_classes_are_read_only() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing"})
    with pytest.raises(TypeError):
        schema.classes[1] = "stuff"  # pyright: ignore[reportIndexIssue]


def test_json_reads_back_equal() -> None:
    schema = PanopticSchemaSpec(classes={0: "stuff", 2**31 - 1: "thing"}, ignore_index=254)
    assert PanopticSchemaSpec.model_validate_json(schema.model_dump_json()) == schema


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classes": {-1: "thing"}}, "classes"),
        ({"classes": {2**31: "thing"}}, "classes"),
        ({"classes": {1: "object"}}, "classes"),
        ({"classes": {255: "stuff"}}, "ignore_index: got 255, which is also a class"),
        ({"classes": {1: "thing"}, "ignore_index": -1}, "ignore_index"),
        ({"classes": {1: "thing"}, "max_instances_per_image": 0}, "max_instances_per_image"),
        ({}, "classes"),
    ],
    ids=["negative", "too large", "no kind", "ignored class", "ignore below 0", "no instances", "missing"],
)
def test_malformed_schemas_are_refused_by_field(values: dict[str, Any], words: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=words):
        PanopticSchemaSpec.model_validate(values)


@pytest.mark.parametrize(
    "schema", [_Handmade(), PanopticSchemaSpec(classes={1: "thing", 2: "stuff", 9: "stuff"})]
)
def test_a_sample_of_known_classes_is_accepted(schema: PanopticSchema) -> None:
    check_against_schema(dense_sample(), schema)
    check_against_schema(dense_sample(frozenset({Modality.IMAGE, Modality.INSTANCE})), schema)
    values = sample_fields()
    values["semantic_map"][4, 4] = schema.ignore_index
    check_against_schema(DenseSample(**values), schema)


def test_unknown_labels_and_values_are_refused() -> None:
    schema = PanopticSchemaSpec(classes={1: "thing", 9: "stuff"})
    with pytest.raises(ValueError, match=r"^donor.labels: got \[2\], which the schema lacks$"):
        check_against_schema(dense_sample(), schema, "donor")
    schema = PanopticSchemaSpec(classes={1: "thing", 2: "thing"})
    with pytest.raises(ValueError, match=r"^sample.semantic_map: got \[9\], which the schema lacks$"):
        check_against_schema(dense_sample(), schema)


def test_a_row_cannot_be_labelled_ignore() -> None:
    values = sample_fields(frozenset({Modality.IMAGE, Modality.INSTANCE}))
    values["labels"] = torch.tensor([1, 255])
    with pytest.raises(ValueError, match=r"^sample.labels: got \[255\], which the schema lacks$"):
        check_against_schema(DenseSample(**values), PanopticSchemaSpec(classes={1: "thing"}))


def test_more_things_than_the_schema_allows_are_refused() -> None:
    schema = PanopticSchemaSpec(
        classes={1: "thing", 2: "thing", 3: "stuff", 9: "stuff"}, max_instances_per_image=2
    )
    check_against_schema(dense_sample(rows=3), schema)
    tight = schema.model_copy(update={"max_instances_per_image": 1})
    with pytest.raises(
        ValueError, match=r"^sample.labels: got 2 things, expected at most max_instances_per_image = 1$"
    ):
        check_against_schema(dense_sample(rows=3), tight)

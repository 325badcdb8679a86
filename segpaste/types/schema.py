"""Panoptic class tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator, BaseModel, Field, PlainSerializer, model_validator

from segpaste.types.frozen_mapping import FrozenMapping

if TYPE_CHECKING:
    from segpaste.types.dense_sample import DenseSample

ThingOrStuff = Literal["thing", "stuff"]

INT32_MAX = 2**31 - 1


@runtime_checkable
class PanopticSchema(Protocol):
    """What a paste must know of a class table."""

    @property
    def classes(self) -> Mapping[int, ThingOrStuff]:
        """Class id -> ``"thing"`` or ``"stuff"``."""
        ...

    @property
    def ignore_index(self) -> int:
        """Semantic label that means *no label*; not a class."""
        ...

    @property
    def max_instances_per_image(self) -> int:
        """The most things one image may hold."""
        ...


class PanopticSchemaSpec(BaseModel, frozen=True, extra="forbid"):
    """A frozen, validated :class:`PanopticSchema`.

    Raises:
        pydantic.ValidationError: on an unknown field, a negative class id, an
            ``ignore_index`` that is also a class, or a limit below 1.
    """

    classes: Annotated[
        Mapping[Annotated[int, Field(ge=0, le=INT32_MAX)], ThingOrStuff],
        AfterValidator(FrozenMapping),
        PlainSerializer(dict),
    ]
    ignore_index: Annotated[int, Field(ge=0, le=INT32_MAX)] = 255
    max_instances_per_image: Annotated[int, Field(ge=1, le=INT32_MAX)] = 256

    @model_validator(mode="after")
    def _ignore_is_no_class(self) -> PanopticSchemaSpec:
        if self.ignore_index in self.classes:
            raise ValueError(
                f"ignore_index: got {self.ignore_index}, which is also a class; "
                "expected a value outside of classes"
            )
        return self


def classes_of_kind(schema: PanopticSchema, kind: ThingOrStuff) -> list[int]:
    """The ids of all classes of one kind, ascending."""
    return sorted(c for c, k in schema.classes.items() if k == kind)


def check_against_schema(sample: DenseSample, schema: PanopticSchema, where: str = "sample") -> None:
    """Refuse a sample whose labels the schema does not know.

    Args:
        sample: the sample; with masks or a semantic map.
        schema: the class table.
        where: what the message calls the sample.

    Raises:
        ValueError: if a row's label or a semantic value is neither a class nor (in the
            map) ``ignore_index``, or there are more thing rows than
            ``max_instances_per_image``.
    """
    known = set(schema.classes)
    unknown = sorted(set(sample.labels.tolist()) - known)
    if unknown:
        raise ValueError(f"{where}.labels: got {unknown[:5]}, which the schema lacks")
    if sample.semantic_map is not None:
        values = set(sample.semantic_map.unique().tolist())
        unknown = sorted(values - known - {schema.ignore_index})
        if unknown:
            raise ValueError(f"{where}.semantic_map: got {unknown[:5]}, which the schema lacks")
    things = sum(schema.classes[int(c)] == "thing" for c in sample.labels.tolist())
    if things > schema.max_instances_per_image:
        raise ValueError(
            f"{where}.labels: got {things} things, expected at most "
            f"max_instances_per_image = {schema.max_instances_per_image}"
        )

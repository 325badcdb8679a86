"""The mapping file ``segpaste-data.yaml``: which files of a folder are what."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from segpaste.integrations.errors import DataError
from segpaste.integrations.files import read_yaml
from segpaste.types import Modality, PanopticSchemaSpec
from segpaste.types.schema import ThingOrStuff

FILE_NAME = "segpaste-data.yaml"
MAPS_VARIABLE = "SEGPASTE_DATA_MAPS"
MAPS_FOLDER = Path("tests", "data_maps")
MINIMAL_MAPPING = (
    "sets: [{name: panoptic, kind: coco_panoptic, images: images, "
    "annotations: panoptic.json, panoptic: panoptic}]"
)

_RIGHT_DOWN_FORWARD = {
    "right": (0, 1),
    "left": (0, -1),
    "down": (1, 1),
    "up": (1, -1),
    "forward": (2, 1),
    "toward": (2, -1),
}
Direction = Literal["right", "left", "down", "up", "forward", "toward"]
ClassTable = dict[Annotated[int, Field(ge=0)], ThingOrStuff] | Path
"""Class id -> ``thing`` or ``stuff``, or a JSON file with COCO ``categories`` (``id``,
``isthing``). Where it is optional, the default is that of the annotations."""

_LABELS = frozenset({Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Set(_Strict):
    """What every kind of set has.

    Attributes:
        name: what the set is called in reports.
        limit: at most this many images are read, in the order of their ids or names.
        ignore_index: semantic label that means *no label*.
    """

    name: Annotated[str, Field(min_length=1)]
    limit: Annotated[int, Field(ge=1)] = 64
    ignore_index: Annotated[int, Field(ge=0)] = 255

    @model_validator(mode="after")
    def _table_is_legal(self) -> Self:
        classes = getattr(self, "classes", None)
        if isinstance(classes, dict):
            schema_of(classes, self.ignore_index, "classes")
        return self


class SemanticFolder(_Strict):
    """Semantic maps: one PNG per image, its file name with another suffix.

    Attributes:
        folder: where the PNG files are.
        unlabelled: values that mean *no label*, beside ``ignore_index`` itself.
    """

    folder: Path
    unlabelled: tuple[int, ...] = ()


class CocoInstancesSet(_Set):
    """COCO instances JSON and images: instances, and semantic maps if given."""

    kind: Literal["coco_instances"]
    images: Path
    annotations: Path
    semantic: SemanticFolder | None = None
    classes: ClassTable | None = None

    @property
    def modalities(self) -> frozenset[Modality]:
        semantic = () if self.semantic is None else (Modality.SEMANTIC,)
        return frozenset({Modality.IMAGE, Modality.INSTANCE, *semantic})


class CocoPanopticSet(_Set):
    """COCO panoptic JSON, PNG folder and images: instances, semantic and panoptic maps."""

    kind: Literal["coco_panoptic"]
    images: Path
    annotations: Path
    panoptic: Path
    classes: ClassTable | None = None

    @property
    def modalities(self) -> frozenset[Modality]:
        return _LABELS | {Modality.IMAGE}


class SemanticSet(_Set):
    """Images and semantic maps of the same file name."""

    kind: Literal["semantic"]
    images: Path
    semantic: SemanticFolder
    classes: ClassTable

    @property
    def modalities(self) -> frozenset[Modality]:
        return frozenset({Modality.IMAGE, Modality.SEMANTIC})


class Frame(_Strict):
    """One frame of an RGB-D set.

    Attributes:
        name: default: the stem of ``rgb``.
        rgb: the image.
        depth: one-channel PNG of 8 or 16 bits, or NPY ``[H, W]``.
        intrinsics: NPY 3 x 3, or ``[fx, fy, cx, cy]`` in pixels.
        normals: PNG of 8 or 16 bits per channel, or NPY ``[H, W, 3]``.
    """

    name: str | None = None
    rgb: Path
    depth: Path | None = None
    intrinsics: tuple[float, float, float, float] | Path | None = None
    normals: Path | None = None


class DepthEncoding(_Strict):
    """How depth files are read.

    Attributes:
        unit: metres per stored unit (0.001 for millimetres), or ``relative``: each frame
            is divided by the median of its valid pixels.
        invalid: stored values that mean *no depth*; ``.nan`` and ``.inf`` may be listed.
    """

    unit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["relative"]
    invalid: tuple[float, ...] = (0.0,)


class NormalsEncoding(_Strict):
    """How normals files are read: 8 bits as v / 255 * 2 - 1, 16 as v / 65535 * 2 - 1.

    Attributes:
        axes: where the three channels point, seen from the camera: one each of
            right/left, down/up, forward/toward (toward the camera).
        invalid: stored channel values that mean *no normal*.
    """

    axes: tuple[Direction, Direction, Direction]
    invalid: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @field_validator("axes")
    @classmethod
    def _one_of_each(cls, value: tuple[Direction, ...]) -> tuple[Direction, ...]:
        if len({_RIGHT_DOWN_FORWARD[word][0] for word in value}) != 3:
            raise ValueError(f"got {list(value)}, expected one each of right/left, down/up, forward/toward")
        return value

    def to_right_down_forward(self) -> tuple[tuple[int, int], ...]:
        """Per stored channel: the axis it goes to, and its sign."""
        return tuple(_RIGHT_DOWN_FORWARD[word] for word in self.axes)


class SegmentationLabels(_Strict):
    """Labels from the classical segmentation of the frame itself."""

    source: Literal["segmentation"] = Field(alias="from")


class ImageLabels(_Strict):
    """The labels of one image of another data folder, cut or padded to the frame.

    Attributes:
        folder: the other data folder.
        set: one of its sets; not one of frames.
        image: the image's file name.
        mapping: the other folder's mapping file, where it is not found by itself.
    """

    source: Literal["image"] = Field(alias="from")
    folder: Path
    set: str
    image: str
    mapping: Path | None = None


class FramesSet(_Set):
    """RGB frames with depth, intrinsics, normals; all frames have the same of these."""

    kind: Literal["frames"]
    frames: Annotated[tuple[Frame, ...], Field(min_length=1)]
    depth: DepthEncoding | None = None
    normals: NormalsEncoding | None = None
    labels: Annotated[SegmentationLabels | ImageLabels, Field(discriminator="source")]

    @model_validator(mode="after")
    def _alike(self) -> FramesSet:
        first = self.frames[0]
        for name in ("depth", "intrinsics", "normals"):
            for frame in self.frames:
                if (getattr(frame, name) is None) != (getattr(first, name) is None):
                    raise ValueError(f"frames: {name} in some frames only, expected it in all or none")
        for name in ("depth", "normals"):
            if getattr(first, name) is not None and getattr(self, name) is None:
                raise ValueError(f"{name}: missing, expected how the frames' {name} files are read")
            if getattr(first, name) is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: given, but no frame has a {name} file")
        return self

    @property
    def modalities(self) -> frozenset[Modality]:
        # Of another folder's labels the set may lack some; what it has is seen when read.
        found = set(_LABELS) | {Modality.IMAGE}
        if self.frames[0].depth is not None:
            found.add(Modality.DEPTH)
        if self.frames[0].normals is not None:
            found.add(Modality.NORMALS)
        return frozenset(found)


AnySet = Annotated[CocoInstancesSet | CocoPanopticSet | SemanticSet | FramesSet, Field(discriminator="kind")]


class Mapping(_Strict):
    """A whole mapping file; paths in it are relative to the data folder."""

    sets: Annotated[tuple[AnySet, ...], Field(min_length=1)]

    @field_validator("sets")
    @classmethod
    def _names_differ(cls, value: tuple[AnySet, ...]) -> tuple[AnySet, ...]:
        names = [each.name for each in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"got the name {twice[0]!r} twice, expected names that differ")
        return value


def mapping_places(folder: Path) -> list[Path]:
    """Where the mapping file of a data folder is looked for, in this order.

    Inside the folder (``segpaste-data.yaml``); beside it (``<folder>.segpaste-data.yaml``);
    as ``<folder name>.yaml`` in the folders that the environment variable
    ``SEGPASTE_DATA_MAPS`` lists, and in ``tests/data_maps`` of the directory the command
    is run in.
    """
    whole = folder.resolve()
    listed = [Path(part) for part in os.environ.get(MAPS_VARIABLE, "").split(os.pathsep) if part]
    return [
        folder / FILE_NAME,
        whole.parent / f"{whole.name}.{FILE_NAME}",
        *(place / f"{whole.name}.yaml" for place in [*listed, MAPS_FOLDER]),
    ]


def read_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Raises:
        DataError: if it is missing, no YAML, or not as described here.
    """
    content = read_yaml(path)
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: {_in_words(error, content)}") from error


def schema_of(classes: dict[int, ThingOrStuff], ignore_index: int, where: str) -> PanopticSchemaSpec:
    """A class table, or a :class:`DataError` that says what is wrong with it."""
    values: dict[str, Any] = {"classes": classes, "ignore_index": ignore_index}
    try:
        return PanopticSchemaSpec(**values)
    except ValidationError as error:
        raise DataError(f"{where}: {_in_words(error, values)}") from error


_EXPECTED = {
    "dict_type": "a mapping",
    "extra_forbidden": "no such key",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of fewer digits",
    "int_type": "an integer",
    "is_instance_of": "a mapping",
    "less_than_equal": "{le} at most",
    "list_type": "a list",
    "literal_error": "{expected}",
    "mapping_type": "a mapping",
    "missing": "a value",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_too_short": "a text, characters: {min_length} or more",
    "string_type": "a text",
    "too_long": "a list, entries: {max_length} at most",
    "too_short": "a list, entries: {min_length} or more",
    "tuple_type": "a list",
    "union_tag_invalid": "one of {expected_tags}",
    "union_tag_not_found": "a value",
}


def _in_words(error: ValidationError, content: Any) -> str:
    """The first error as ``field: got ..., expected ...``.

    Where a value may be of several kinds there is one error for each; those at the same
    field are joined by *or*.
    """
    errors: list[Any] = list(error.errors())
    first = errors[0]
    place = _place(first, content)
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    if first["type"] not in _EXPECTED:
        return f"{place or 'the whole file'}: got {_value(first)}: {first['msg']}"
    expected = dict.fromkeys(
        _EXPECTED[each["type"]].format(**each.get("ctx", {}))
        for each in errors
        if each["type"] in _EXPECTED and _place(each, content) == place
    )
    return f"{place or 'the whole file'}: got {_value(first)}, expected {' or '.join(expected)}"


def _value(error: Any) -> str:
    if error["type"] in ("missing", "union_tag_not_found"):
        return "nothing"
    value = error["ctx"]["tag"] if error["type"] == "union_tag_invalid" else error["input"]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _place(error: Any, content: Any) -> str:
    """The field in the file: pydantic's location without its names of types and kinds."""
    location, here, parts = list(error["loc"]), content, []
    missing = [location.pop()] if error["type"] == "missing" else []
    told_kind = False
    for part in location:
        if isinstance(here, dict) and not told_kind and part in (here.get("kind"), here.get("from")):
            told_kind = True
        elif (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        ):
            here, told_kind = here[part], False
            parts.append(part)
    if error["type"].startswith("union_tag"):
        parts.append("kind" if error["ctx"]["discriminator"] == "'kind'" else "from")
    return ".".join(str(part) for part in [*parts, *missing])

"""A preset: everything that a data set needs to be augmented, by one name."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from segpaste.presets.yaml_text import loaded
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    Modality,
    PanopticSchemaSpec,
    modality_set_name,
)
from segpaste.types.frozen_mapping import FrozenMapping

if TYPE_CHECKING:
    from torchvision.transforms import v2

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Side = Annotated[int, Field(ge=1, le=65536)]
ClassId = Annotated[int, Field(ge=0, lt=2**31)]


def _one_line(value: str) -> str:
    return _printable(value, but="")


def _text(value: str) -> str:
    return _printable(value, but="\n\t")


def _printable(value: str, *, but: str) -> str:
    """Refuse what no font draws, and what YAML takes for the end of a line."""
    for letter in value:
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") and letter not in but:
            raise ValueError(f"got {value!r}, expected text without {letter!r}")
    return value


ClassName = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_text)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LargeScaleJitterConfig(_Frozen):
    """Large-scale jittering (Ghiasi et al. 2021), before the paste.

    Attributes:
        output_size: ``(height, width)`` of what comes out.
        min_scale, max_scale: an image is resized so that it fits ``output_size`` times a scale
            between the two, its aspect ratio kept; then cut or padded to ``output_size``.
        image_fill: value of padded image pixels.
    """

    output_size: tuple[Side, Side] = (1024, 1024)
    min_scale: float = 0.1
    max_scale: float = 2.0
    image_fill: Annotated[int, Field(ge=0, le=255)] = 0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.min_scale, self.max_scale
        if not (math.isfinite(low) and math.isfinite(high) and 0 < low <= high):
            raise ValueError(
                f"min_scale, max_scale: got {low} and {high}, expected 0 < min_scale <= max_scale"
            )
        return self


class BankDonorsConfig(_Frozen):
    """Donors from a bank of crops, which class how often.

    Attributes:
        repeat_threshold: ``BankSampler``'s threshold; a class of share f is repeated by
            ``max(1, sqrt(threshold / f))``.
        crops_per_target: crops pasted into each target, ``BankSource``'s.
        candidates_per_target: crops staged for each target, of which the usable are drawn.
    """

    repeat_threshold: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 1e-3
    crops_per_target: Annotated[int, Field(ge=1, le=4096)] = 1
    candidates_per_target: Annotated[int, Field(ge=1, le=4096)] = 1

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.candidates_per_target < self.crops_per_target:
            raise ValueError(
                f"candidates_per_target: got {self.candidates_per_target}, expected at least "
                f"crops_per_target = {self.crops_per_target}"
            )
        return self


class SignOff(_Frozen):
    """One run of ``segpaste audit`` in which no law was violated.

    Attributes:
        config_sha256: of the preset that ran, :attr:`PresetConfig.config_sha256`.
        data: the data set and its set, ``coco128_multi/panoptic``; or what was drawn.
        version: segpaste's.
        samples: how many went through the whole pipeline, and were judged.
        seed: ``--seed``.
        canvas: ``(height, width)`` after jittering.
        laws_held: how many laws held, each exercised at least once.
        not_exercised: laws whose premise never held, so that nothing was shown of them.
    """

    config_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    data: str
    version: str
    samples: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    canvas: tuple[Side, Side]
    laws_held: Annotated[int, Field(ge=1)]
    not_exercised: tuple[str, ...] = ()


def _as_modalities(value: Any) -> Any:
    if isinstance(value, Collection) and not isinstance(value, str):
        return frozenset(value)
    return value


class PresetConfig(_Frozen):
    """A configuration for a known data set.

    The pipeline is: large-scale jittering, ``BatchCopyPaste``, ``SanitizeInstances``.

    Attributes:
        name: letters, digits, dots, dashes; what :func:`get_preset` is asked for.
        description: one or a few sentences.
        batch_copy_paste: the paste. With ``panoptic`` the batches must have semantic and panoptic
            maps, as everywhere; a preset for instances alone has none.
        target_modalities: what the data set carries; a legal set of a paste, the image included.
        class_names: class id -> name, of classes in ``panoptic.taxonomy`` only where there is one;
            may be empty.
        void_ids: ids in the data set's files that mean *no label*: a reader turns them into
            ``ignore_index``, or into no row.
        large_scale_jitter: the jittering before the paste; ``None`` for none.
        max_instances: K, the row slots of a padded batch: a sample's own rows and the pasted.
        min_mask_area: rows of fewer pixels are dropped after the paste; 0 keeps all.
        bank: how the donors are drawn, where they come from a bank.
        sign_off: the runs that the preset has passed.
    """

    name: Name
    description: Text
    batch_copy_paste: BatchCopyPasteConfig = Field(default_factory=BatchCopyPasteConfig)
    target_modalities: Annotated[
        frozenset[Modality],
        PlainSerializer(lambda found: [m.value for m in Modality if m in found]),
    ]
    class_names: Annotated[
        Mapping[ClassId, ClassName], AfterValidator(FrozenMapping), PlainSerializer(dict)
    ] = Field(default_factory=FrozenMapping[int, str])
    void_ids: tuple[ClassId, ...] = ()
    large_scale_jitter: LargeScaleJitterConfig | None = None
    max_instances: Annotated[int, Field(ge=1, le=65536)] = 100
    min_mask_area: Annotated[int, Field(ge=0, lt=2**31)] = 0
    bank: BankDonorsConfig | None = None
    sign_off: tuple[SignOff, ...] = ()

    @field_validator("target_modalities", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return _as_modalities(value)

    @field_validator("target_modalities")
    @classmethod
    def _legal(cls, value: frozenset[Modality]) -> frozenset[Modality]:
        if value not in LEGAL_MODALITY_SETS:
            legal = ", ".join(modality_set_name(each) for each in LEGAL_MODALITY_SETS)
            raise ValueError(f"got {modality_set_name(value)}, expected the image with one of: {legal}")
        return value

    @model_validator(mode="after")
    def _of_the_table(self) -> Self:
        schema = self.batch_copy_paste.schema_spec
        known = set(self.class_names) if schema is None else set(schema.classes)
        unknown = sorted(set(self.class_names) - known)
        if unknown:
            raise ValueError(f"class_names: got classes {unknown[:5]}, which the class table lacks")
        if (self.bank is not None) != (self.batch_copy_paste.source == "bank"):
            raise ValueError(
                f"bank: got {'some' if self.bank else 'None'} with batch_copy_paste.source "
                f"{self.batch_copy_paste.source!r}, expected bank donors exactly with 'bank'"
            )
        maps = {Modality.SEMANTIC, Modality.PANOPTIC}
        if schema is not None and not maps <= self.target_modalities:
            raise ValueError(
                f"target_modalities: got {modality_set_name(self.target_modalities)}, "
                "expected semantic and panoptic beside batch_copy_paste.panoptic"
            )
        if twice := sorted(set(self.void_ids) & known):
            raise ValueError(f"void_ids: got {twice[:5]}, which are classes; expected ids without one")
        return self

    @model_validator(mode="after")
    def _runs(self) -> Self:
        """What would be refused, or lose pasted pixels, only once it runs."""
        schema, least = self.batch_copy_paste.schema_spec, self.batch_copy_paste.min_pasted_area
        if schema is not None and self.max_instances > schema.max_instances_per_image:
            raise ValueError(
                f"max_instances: got {self.max_instances}, expected at most "
                f"{schema.max_instances_per_image}, the class table's max_instances_per_image"
            )
        if Modality.INSTANCE in self.target_modalities and self.min_mask_area > least:
            # Their pixels would stay, without a label where there is no map.
            raise ValueError(
                f"min_mask_area: got {self.min_mask_area}, expected at most {least}, "
                "batch_copy_paste.min_pasted_area: what is pasted would be dropped afterwards"
            )
        return self

    @property
    def class_table(self) -> PanopticSchemaSpec | None:
        """The class table: the taxonomy; without one the named classes, all of them things."""
        if self.batch_copy_paste.schema_spec is not None or not self.class_names:
            return self.batch_copy_paste.schema_spec
        return PanopticSchemaSpec(
            classes=dict.fromkeys(self.class_names, "thing"),
            ignore_index=255 if 255 not in self.class_names else max(self.class_names) + 1,
            max_instances_per_image=self.max_instances,
        )

    @property
    def config_sha256(self) -> str:
        """12 hex digits of the SHA-256 of everything but ``sign_off``, by which sign-offs know it."""
        values = self.model_dump(mode="json", exclude={"sign_off"})
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def jitter(self, output_size: tuple[int, int] | None = None) -> v2.Transform | None:
        """The large-scale jittering as a v2 transform over a ``DenseSample``; ``None`` without.

        Args:
            output_size: ``(height, width)`` in place of the preset's.
        """
        if self.large_scale_jitter is None:
            return None
        from segpaste.augmentation import make_large_scale_jittering

        jitter = self.large_scale_jitter
        return make_large_scale_jittering(
            jitter.output_size if output_size is None else output_size,
            min_scale=jitter.min_scale,
            max_scale=jitter.max_scale,
            img_pad_value=jitter.image_fill,
            seg_pad_value=self.batch_copy_paste.ignore_index,
        )

    def sanitize(self) -> v2.Transform | None:
        """``SanitizeInstances(min_mask_area)``; ``None`` where ``min_mask_area`` is 0."""
        if self.min_mask_area == 0:
            return None
        from segpaste.augmentation import SanitizeInstances

        return SanitizeInstances(self.min_mask_area, ignore_index=self.batch_copy_paste.ignore_index)

    def to_yaml(self) -> str:
        """The preset as YAML; :meth:`from_yaml` reads it back, equal."""
        return yaml.safe_dump(json.loads(self.model_dump_json()), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str | Path) -> Self:
        """Read YAML or JSON text, or a file of it.

        Args:
            text: the text; a file as a :class:`pathlib.Path`.

        Raises:
            TypeError: if it is neither text nor a ``Path``.
            OSError: if the file cannot be read.
            yaml.YAMLError: if it is no YAML, or a key occurs twice in it.
            ValueError: if it holds no fields, such as the name of a file.
            pydantic.ValidationError: if a field is missing, unknown or out of range; a ``ValueError``.
        """
        if not isinstance(text, str | Path):
            raise TypeError(f"text: got {type(text).__name__}, expected a str of YAML or a Path")
        raw = text.read_text(encoding="utf-8") if isinstance(text, Path) else text
        found = loaded(raw)
        if not isinstance(found, dict):
            hint = "; a file is given as pathlib.Path(...)" if isinstance(text, str) else ""
            raise ValueError(f"text: got {_shortened(raw)}, expected YAML of a preset's fields{hint}")
        return cls.model_validate(found)

    def __repr__(self) -> str:
        kind = modality_set_name(self.target_modalities)
        schema = self.class_table
        classes = "no class table" if schema is None else f"{len(schema.classes)} classes"
        return f"PresetConfig({self.name!r}, {kind}, {classes})"

    __str__ = __repr__  # pydantic's own would print every class


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")

"""The configuration of a paste; the defaults on which goldens hang stand here, once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

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

from segpaste.types.frozen_mapping import FrozenMapping
from segpaste.types.schema import INT32_MAX, PanopticSchemaSpec

ValueT = TypeVar("ValueT", int, float)
ClassTable = Annotated[
    Mapping[Annotated[int, Field(ge=0, le=INT32_MAX)], ValueT],
    AfterValidator(FrozenMapping),
    PlainSerializer(dict),
]
Fraction01 = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


def to_q16(fraction: float) -> int:
    """``round-half-even(fraction * 65536)``, exactly.

    >>> to_q16(0.1), to_q16(1.0), to_q16(1.5 / 65536)
    (6554, 65536, 2)
    """
    return round(Fraction(fraction) * 65536)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchedPlacementConfig(_Frozen):
    """Where, how large, how often.

    Attributes:
        scale_range: lowest and highest scale of a pasted group, 1/256 to 256;
            drawn uniformly in steps of 1/65536.
        hflip_probability: probability that the group is mirrored.
        paste_prob: probability that a sample receives a paste at all.
        k_range: lowest and highest number of rows asked for; what is eligible and
            what the target has room for bound it further.
        oversize_policy: what happens to a group larger than the target's valid
            rectangle: ``"shrink"`` scales it down to fit, ``"skip"`` pastes nothing.
        pad_to_multiple: pad the canvas at the bottom and on the right to a multiple of
            this many pixels, a vision transformer's patch size for instance.
        patch_aligned: put the top-left corner of the scaled group's bounding box on a
            multiple of ``pad_to_multiple`` in y and x.
    """

    scale_range: tuple[float, float] = (0.5, 2.0)
    hflip_probability: Fraction01 = 0.5
    paste_prob: Fraction01 = 1.0
    k_range: tuple[int, int] = (1, 256)
    oversize_policy: Literal["shrink", "skip"] = "shrink"
    pad_to_multiple: Annotated[int, Field(ge=1, le=65536)] | None = None
    patch_aligned: bool = False

    @field_validator("scale_range")
    @classmethod
    def _scales(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not (math.isfinite(low) and math.isfinite(high) and 1 / 256 <= low <= high <= 256):
            raise ValueError(f"got {value}, expected 1/256 <= low <= high <= 256")
        return value

    @field_validator("k_range")
    @classmethod
    def _counts(cls, value: tuple[int, int]) -> tuple[int, int]:
        low, high = value
        if not 0 <= low <= high <= INT32_MAX:
            raise ValueError(f"got {value}, expected 0 <= low <= high < 2**31")
        return value

    @model_validator(mode="after")
    def _aligned_to_something(self) -> Self:
        if self.patch_aligned and self.pad_to_multiple is None:
            raise ValueError("patch_aligned: got True without pad_to_multiple, expected the patch size there")
        return self


class PanopticPasteConfig(_Frozen):
    """What a class table adds to a paste.

    Attributes:
        taxonomy: the class table. Only its things are pasted.
        class_priority: class id -> priority; on a contested pixel the highest wins,
            then the later pasted. Classes without an entry have 0.
        stuff_min_area: stuff class id -> fewest pixels that may be left of it.
        tau_stuff_frac: smallest fraction of a stuff class that may be left.
        stuff_policy: ``"revert"`` takes the paste back from a class that would fall
            below; ``"ignore"`` turns what is left of it into void.
        debug_assert_bijection: check in the executor that every pixel has at most one
            instance.
    """

    taxonomy: PanopticSchemaSpec
    class_priority: ClassTable[int] = Field(default_factory=FrozenMapping[int, int])
    stuff_min_area: ClassTable[int] = Field(default_factory=FrozenMapping[int, int])
    tau_stuff_frac: Fraction01 = 0.1
    stuff_policy: Literal["revert", "ignore"] = "revert"
    debug_assert_bijection: bool = False

    @field_validator("class_priority", "stuff_min_area")
    @classmethod
    def _bounded(cls, value: Mapping[int, int]) -> Mapping[int, int]:
        for label, number in value.items():
            if not -INT32_MAX <= number <= INT32_MAX:
                raise ValueError(f"got {number} for class {label}, expected |value| < 2**31")
        return value

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        for name in ("class_priority", "stuff_min_area"):
            unknown = sorted(set(getattr(self, name)) - set(self.taxonomy.classes))
            if unknown:
                raise ValueError(f"{name}: got classes {unknown}, which the taxonomy lacks")
        negative = {c: v for c, v in self.stuff_min_area.items() if v < 0}
        if negative:
            raise ValueError(f"stuff_min_area: got {negative}, expected areas of 0 or more")
        return self


class HarmonizeConfig(_Frozen):
    """How the images of a paste are harmonised, after it; labels never are.

    Attributes:
        method: ``"reinhard"`` moves the colours of what is pasted towards the target's
            (Reinhard et al. 2001); ``"multiband"`` splines the two images (Burt and
            Adelson 1983); ``"poisson"`` joins their gradients (Perez et al. 2003, by
            sine transforms); ``None`` leaves colours alone, for ``feather`` only.
        probability: probability that an image is harmonised, drawn from its sample's seed.
        feather: width in pixels of a soft edge inside of what is pasted, 0 for none.
        max_gain: ``"reinhard"`` stretches contrast at most by this factor, and shrinks it
            at most by its reciprocal.
        levels: ``"multiband"`` halves the resolution at most this often.
    """

    method: Literal["reinhard", "multiband", "poisson"] | None = None
    probability: Fraction01 = 1.0
    feather: Annotated[int, Field(ge=0, le=64)] = 0
    max_gain: Annotated[float, Field(ge=1.0, le=1000.0, allow_inf_nan=False)] = 2.0
    levels: Annotated[int, Field(ge=0, le=10)] = 5

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.method is None and self.feather == 0:
            raise ValueError(
                "method: got None with feather = 0, expected a method, a feather of 1 or more, or both"
            )
        return self


class BatchCopyPasteConfig(_Frozen):
    """Everything that decides a paste, but for the seed.

    Attributes:
        placement: see :class:`BatchedPlacementConfig`.
        panoptic: see :class:`PanopticPasteConfig`; ``None`` without a class table.
        source: where donors come from, unless a source strategy is given:
            ``"intra_batch"`` is another sample of the batch, ``"bank"`` what has been
            staged in a :class:`~segpaste.augmentation.BankSource` of default arguments.
        harmonize: see :class:`HarmonizeConfig`, a later stage outside the exact core;
            ``None`` leaves every image as it was pasted. ``BatchCopyPaste`` harmonises;
            ``segpaste.paste.apply`` and its executors refuse a configuration that asks
            for it.
        min_area: a target row that lost pixels is dropped below this area (>= 1).
        min_pasted_area: a pasted row with fewer visible pixels is not pasted (>= 1).
        min_residual_area_frac: a target row that lost pixels is dropped when less than
            this fraction of it is left.
        z_test: paste only what is nearer, where both samples carry depth.
    """

    placement: BatchedPlacementConfig = Field(default_factory=BatchedPlacementConfig)
    panoptic: PanopticPasteConfig | None = None
    source: Literal["intra_batch", "bank"] = "intra_batch"
    harmonize: HarmonizeConfig | None = None
    min_area: Annotated[int, Field(ge=1, le=INT32_MAX)] = 1
    min_pasted_area: Annotated[int, Field(ge=1, le=INT32_MAX)] = 1
    min_residual_area_frac: Fraction01 = 0.1
    z_test: bool = True

    @property
    def schema_spec(self) -> PanopticSchemaSpec | None:
        """The class table, if any."""
        return None if self.panoptic is None else self.panoptic.taxonomy

    @property
    def ignore_index(self) -> int:
        """Semantic label that means *no label*: the schema's, 255 without one."""
        return 255 if self.panoptic is None else self.panoptic.taxonomy.ignore_index

    def to_yaml(self) -> str:
        """The configuration as YAML; :meth:`from_yaml` reads it back, equal."""
        return yaml.safe_dump(json.loads(self.model_dump_json()), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str | Path) -> Self:
        """Read YAML or JSON text, or a file of it.

        Raises:
            pydantic.ValidationError: if a field is unknown or a value out of range.
        """
        raw = text.read_text(encoding="utf-8") if isinstance(text, Path) else text
        return cls.model_validate(yaml.safe_load(raw))

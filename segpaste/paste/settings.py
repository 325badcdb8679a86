"""A configuration as plain numbers and class tables, which a traced function can read.

pydantic stays out of what ``torch.compile`` traces. What a paste needs of its
configuration is taken from it once, here: :class:`PasteSettings` holds Python numbers,
which become constants of the graph, :class:`ClassTables` holds tensors, which become its
inputs (the buffers of a module, for instance).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from segpaste.types import BatchCopyPasteConfig, PanopticPasteConfig, to_q16

_NO_CLASS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PasteSettings:
    """A configuration in Python integers and bools.

    Attributes:
        scale_q16: lowest and highest scale, in Q16.
        hflip_below, paste_below: a Philox word below this says yes.
        k_range: lowest and highest number of rows asked for.
        shrink: whether a group that is too large is scaled down; else it is skipped.
        pad_to_multiple: what the canvas is padded to a multiple of; 1 without padding.
        alignment: the corner of a group lies on multiples of this; 1 when it may lie
            anywhere.
        has_schema: whether there is a class table.
        ignore_index: the semantic label that means no label.
        reverts: ``stuff_policy`` is ``"revert"``; if not, what is left becomes void.
        tau_stuff_q16, min_residual_q16: fractions in Q16.
        min_area, min_pasted_area: areas in pixels.
        z_test: paste only what is nearer.
        debug_assert_bijection: check on the CPU that masks do not overlap.
    """

    scale_q16: tuple[int, int]
    hflip_below: int
    paste_below: int
    k_range: tuple[int, int]
    shrink: bool
    pad_to_multiple: int
    alignment: int
    has_schema: bool
    ignore_index: int
    reverts: bool
    tau_stuff_q16: int
    min_area: int
    min_pasted_area: int
    min_residual_q16: int
    z_test: bool
    debug_assert_bijection: bool


class ClassTables(NamedTuple):
    """The class table as tensors over C classes and one more entry, which is no class.

    Without a schema that entry is the only one.

    Attributes:
        ids: ``[C + 1]`` int64, ascending; the last is larger than any label.
        is_thing: ``[C + 1]`` bool.
        is_stuff: ``[C + 1]`` bool.
        priority: ``[C + 1]`` int64, the rank of a class's priority among all of the table.
        min_area: ``[C + 1]`` int64, the fewest pixels that may be left of a stuff class.
    """

    ids: torch.Tensor
    is_thing: torch.Tensor
    is_stuff: torch.Tensor
    priority: torch.Tensor
    min_area: torch.Tensor

    def to(self, device: torch.device | str) -> ClassTables:
        """The same tables on another device."""
        return ClassTables(*(table.to(device) for table in self))

    def find(self, labels: torch.Tensor) -> torch.Tensor:
        """The entry of each label, C for one that is no class: int64, shaped as ``labels``."""
        entry = torch.searchsorted(self.ids, labels.contiguous())  # else it warns
        return torch.where(self.ids[entry] == labels, entry, self.ids.shape[0] - 1)


def settings_of(config: BatchCopyPasteConfig) -> PasteSettings:
    """The settings of a configuration, made once. Call it outside of what is compiled."""
    key: Any = config  # type checkers do not see that a frozen model can be hashed
    return _settings(key)


def tables_of(config: BatchCopyPasteConfig, device: torch.device | str = "cpu") -> ClassTables:
    """The class tables of a configuration on a device, made once for each.

    Call it outside of what is compiled. The tensors are shared: never write to them.
    """
    key: Any = config.panoptic
    return _tables(key, torch.device(device))


@lru_cache(maxsize=256)
def _settings(config: BatchCopyPasteConfig) -> PasteSettings:
    placement, panoptic = config.placement, config.panoptic
    low, high = placement.scale_range
    patch = placement.pad_to_multiple or 1
    return PasteSettings(
        scale_q16=(to_q16(low), to_q16(high)),
        hflip_below=_word_threshold(placement.hflip_probability),
        paste_below=_word_threshold(placement.paste_prob),
        k_range=placement.k_range,
        shrink=placement.oversize_policy == "shrink",
        pad_to_multiple=patch,
        alignment=patch if placement.patch_aligned else 1,
        has_schema=panoptic is not None,
        ignore_index=config.ignore_index,
        reverts=panoptic is not None and panoptic.stuff_policy == "revert",
        tau_stuff_q16=0 if panoptic is None else to_q16(panoptic.tau_stuff_frac),
        min_area=config.min_area,
        min_pasted_area=config.min_pasted_area,
        min_residual_q16=to_q16(config.min_residual_area_frac),
        z_test=config.z_test,
        debug_assert_bijection=panoptic is not None and panoptic.debug_assert_bijection,
    )


@lru_cache(maxsize=256)
def _tables(panoptic: PanopticPasteConfig | None, device: torch.device) -> ClassTables:
    classes = {} if panoptic is None else panoptic.taxonomy.classes
    priority = {} if panoptic is None else panoptic.class_priority
    area = {} if panoptic is None else panoptic.stuff_min_area
    # By rank: a priority may be negative, and only the order of two counts.
    rank = {p: n for n, p in enumerate(sorted({0, *priority.values()}))}
    ids = sorted(classes)
    made: dict[str, Any] = {"dtype": torch.int64, "device": "cpu"}
    flags: dict[str, Any] = {"dtype": torch.bool, "device": "cpu"}
    tables = ClassTables(
        ids=torch.tensor([*ids, _NO_CLASS], **made),
        is_thing=torch.tensor([*(classes[c] == "thing" for c in ids), False], **flags),
        is_stuff=torch.tensor([*(classes[c] == "stuff" for c in ids), False], **flags),
        priority=torch.tensor([*(rank[priority.get(c, 0)] for c in ids), rank[0]], **made),
        min_area=torch.tensor([*(area.get(c, 0) for c in ids), 0], **made),
    )
    return tables.to(device)


def _word_threshold(probability: float) -> int:
    """A word is below this with the given probability."""
    return round(probability * 2**32)

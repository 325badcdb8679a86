"""What an executor says of its own work, for the laws to check against."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from segpaste.types.config import BatchCopyPasteConfig
from segpaste.types.plan import PastePlan
from segpaste.types.schema import PanopticSchema


@dataclass(frozen=True, slots=True)
class PasteThresholds:
    """The numbers by which a paste drops and reverts (design, 4.6 and 4.8)."""

    min_area: int
    min_pasted_area: int
    min_residual_area_frac: float
    tau_stuff_frac: float | None


@dataclass(frozen=True, slots=True)
class BatchAuditPacket:
    """What was pasted, for a batch of B samples with K output rows.

    No law believes it: whatever can be recomputed from target, source, plan and
    configuration is recomputed first. An augmentation that knows only part of this
    leaves the rest ``None``.

    Attributes:
        paste_union: ``[B, H, W]`` bool, U: the pixels that show the source.
        row_source: ``[B, K]`` int64, for an output row that was pasted the slot it has
            in the source view, -1 for every other row.
        row_dropped: ``[B, K]`` bool, rows of the *target* that the paste removed.
        warped_images: ``[B, C, H, W]``, the source as seen in the target inside U,
            0 outside. So are the next four.
        warped_semantic_maps: ``[B, H, W]`` int64, before the winner's label is written.
        warped_depth: ``[B, 1, H, W]`` float32, rescaled.
        warped_depth_valid: ``[B, 1, H, W]`` bool, V_src.
        warped_normals: ``[B, 3, H, W]`` float32.
        source_intrinsics: ``[B, 4]`` float64, (fx, fy, cx, cy) of each target's source.
        plan: the plan that was applied.
        config: the configuration that was applied.
    """

    paste_union: torch.Tensor
    row_source: torch.Tensor | None = None
    row_dropped: torch.Tensor | None = None
    warped_images: torch.Tensor | None = None
    warped_semantic_maps: torch.Tensor | None = None
    warped_depth: torch.Tensor | None = None
    warped_depth_valid: torch.Tensor | None = None
    warped_normals: torch.Tensor | None = None
    source_intrinsics: torch.Tensor | None = None
    plan: PastePlan | None = None
    config: BatchCopyPasteConfig | None = None

    def __post_init__(self) -> None:
        if torch.compiler.is_compiling():
            return
        union = self.paste_union
        if union.ndim != 3 or union.dtype != torch.bool:
            raise ValueError(
                f"audit.paste_union: got {union.dtype} {list(union.shape)}, expected bool [B, H, W]"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor) and value.shape[0] != union.shape[0]:
                raise ValueError(
                    f"audit.{field.name}: got {value.shape[0]} samples, expected B = {union.shape[0]}"
                )

    @property
    def batch_size(self) -> int:
        """B."""
        return self.paste_union.shape[0]

    @property
    def schema(self) -> PanopticSchema | None:
        """The class table of the configuration, if any."""
        return None if self.config is None else self.config.schema_spec

    @property
    def thresholds(self) -> PasteThresholds | None:
        """The thresholds of the configuration, if it is known."""
        if self.config is None:
            return None
        panoptic = self.config.panoptic
        return PasteThresholds(
            min_area=self.config.min_area,
            min_pasted_area=self.config.min_pasted_area,
            min_residual_area_frac=self.config.min_residual_area_frac,
            tau_stuff_frac=None if panoptic is None else panoptic.tau_stuff_frac,
        )

    def select(self, index: int) -> BatchAuditPacket:
        """The audit of sample ``index`` alone, with B = 1."""
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor):
                changes[field.name] = value[index : index + 1]
            elif isinstance(value, PastePlan):
                changes[field.name] = value.select(index)
        return replace(self, **changes)

    def to(self, device: torch.device | str) -> BatchAuditPacket:
        """The same audit on another device."""
        changes: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, torch.Tensor | PastePlan):
                changes[field.name] = value.to(device)
        return replace(self, **changes)

"""Which cells are measured: the grid, all modalities, growth, and CUDA."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Section = Literal["grid", "modalities", "growth"]

BATCHES = (2, 8, 32)
SIZES = (256, 512)
INSTANCES = ((1, 5), (1, 20))
DTYPES = ("uint8", "float32")


@dataclass(frozen=True)
class Cell:
    """One workload: ``batch`` samples of ``size`` x ``size`` with ``low`` to ``high`` instances.

    Attributes:
        slots: K, the row slots of the padded batch.
        dtype: of the images.
        all_modalities: semantic, panoptic, metric depth and normals beside the instances.
        axis: in the growth table, what grows: ``"B"``, ``"H x W"``, ``"K"`` or ``"instances"``.
    """

    section: Section
    batch: int
    size: int
    low: int
    high: int
    slots: int
    dtype: str = "uint8"
    all_modalities: bool = False
    axis: str = ""

    @property
    def name(self) -> str:
        """For ``--cells`` and for people: ``grid/8,512,1-20/uint8``."""
        what = f"{self.batch},{self.size},{self.instances}"
        if self.section == "growth":
            return f"growth/{self.axis.replace(' ', '')}/{what},K{self.slots}"
        return f"{self.section}/{what}/{self.dtype}"

    @property
    def instances(self) -> str:
        """``"1-20"``, or ``"10"`` where the number is fixed."""
        return str(self.high) if self.low == self.high else f"{self.low}-{self.high}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ``Cell(**d)`` reads it back."""
        return asdict(self)


def grid(
    batches: Iterable[int] = BATCHES,
    sizes: Iterable[int] = SIZES,
    instances: Iterable[tuple[int, int]] = INSTANCES,
    dtypes: Iterable[str] = DTYPES,
) -> list[Cell]:
    """The main grid. As many slots as the most instances, the smallest floor that can be asked for."""
    return [
        Cell("grid", batch, size, low, high, slots=high, dtype=dtype)
        for dtype in dtypes
        for batch in batches
        for size in sizes
        for low, high in instances
    ]


def all_modalities(
    batches: Iterable[int] = (2, 8),
    sizes: Iterable[int] = SIZES,
    instances: Iterable[tuple[int, int]] = INSTANCES,
) -> list[Cell]:
    """Instance, semantic, panoptic, metric depth and normals, under a class table."""
    return [
        Cell("modalities", batch, size, low, high, slots=high, all_modalities=True)
        for batch in batches
        for size in sizes
        for low, high in instances
    ]


def growth(batch: int = 8, size: int = 256, slots: int = 40, instances: int = 10) -> list[Cell]:
    """One quantity at a time, the others as the arguments say."""
    cells = [
        Cell("growth", value, size, instances, instances, slots, axis="B") for value in (2, 4, 8, 16, 32)
    ]
    cells += [
        Cell("growth", batch, value, instances, instances, slots, axis="H x W")
        for value in (size // 2, size, 2 * size, 4 * size)
    ]
    cells += [
        Cell("growth", batch, size, instances, instances, value, axis="K")
        for value in (slots // 2, slots, 2 * slots, 4 * slots)
    ]
    return cells + [
        Cell("growth", batch, size, value, value, 2 * slots, axis="instances")
        for value in (1, 2, 5, 10, 20, 40)
    ]


def cuda() -> list[Cell]:
    """What a GPU is measured on; the first is the one that marks are set for."""
    return [
        Cell("grid", 32, 1024, 1, 16, slots=32),
        Cell("grid", 32, 1024, 1, 16, slots=32, dtype="float32"),
        Cell("grid", 32, 512, 1, 20, slots=40),
        Cell("grid", 8, 512, 1, 20, slots=40),
        Cell("grid", 8, 512, 1, 5, slots=10),
        Cell("grid", 2, 256, 1, 5, slots=10),
        Cell("modalities", 8, 512, 1, 20, slots=40, all_modalities=True),
        Cell("modalities", 32, 512, 1, 5, slots=10, all_modalities=True),
    ]

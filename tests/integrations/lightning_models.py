"""Lightning modules for the tests; imported when a test needs them, as Lightning takes seconds."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from segpaste.types import DenseSample, PaddedBatchedDenseSample


class Looks(lightning.LightningModule):
    """Keeps what each step was given."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "sanity": []}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen["train"].append(batch)
        images = batch["pixel_values"] if isinstance(batch, dict) else batch.images
        return self.linear(images.as_subclass(torch.Tensor).float().mean(dim=(2, 3))).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class LooksAndValidates(Looks):
    """Keeps what validation was given, too."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.seen["sanity" if self.trainer.sanity_checking else "val"].append(batch)


class Own(lightning.LightningDataModule):
    """A data module as its author wrote it, with hooks and a state."""

    def __init__(self, data: list[DenseSample]) -> None:
        super().__init__()
        self.data = data
        self.calls: list[str] = []

    def setup(self, stage: str) -> None:
        assert self.trainer is not None
        self.calls.append("setup")

    def teardown(self, stage: str) -> None:
        self.calls.append("teardown")

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.data, batch_size=2, collate_fn=list)  # pyright: ignore[reportArgumentType]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        assert isinstance(batch, PaddedBatchedDenseSample)
        self.calls.append("after")
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"calls": len(self.calls)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.calls = ["loaded"] * state_dict["calls"]

"""What runs in other processes, importable there: data sets, collators, ranks."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, get_worker_info

from segpaste.augmentation import BatchCopyPaste
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from tests.augmentation.batches import LIVELY, batch, samples


class Samples(Dataset[DenseSample]):
    """The same four samples over and over."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DenseSample:
        return samples(4)[index % 4]


class Collate:
    """Pads and pastes inside the worker, with given seeds; and says what it would have drawn."""

    def __init__(self, augment: BatchCopyPaste, seeds: torch.Tensor) -> None:
        self.augment = augment
        self.seeds = seeds

    def __call__(self, drawn: list[DenseSample]) -> tuple[int, PaddedBatchedDenseSample, list[int]]:
        torch.set_num_threads(1)
        info = get_worker_info()
        padded = BatchedDenseSample.from_samples(drawn).to_padded(9)
        pasted = self.augment(padded, seeds=self.seeds)
        return -1 if info is None else info.id, pasted, self.augment.next_seeds(len(drawn)).tolist()


class Model(nn.Module):
    """Augments what it is given and looks at the mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.augment = BatchCopyPaste(LIVELY)
        self.linear = nn.Linear(3, 1)
        self.pasted: PaddedBatchedDenseSample | None = None

    def forward(self, padded: PaddedBatchedDenseSample) -> torch.Tensor:
        pasted = self.pasted = self.augment(padded)
        images = pasted.images.as_subclass(torch.Tensor)
        return self.linear(images.to(torch.float32).mean(dim=(2, 3)))


def run_rank(rank: int, world: int, folder: str) -> None:
    """Three steps of a model that augments inside of DDP; writes down what was pasted."""
    torch.set_num_threads(1)
    # Else gloo asks for the address of this machine's name, which may take a minute.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world
    )
    try:
        torch.manual_seed(0)  # the same everywhere, as many scripts have it
        model = Model()
        wrapped = DistributedDataParallel(model)
        optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
        steps = []
        for _ in range(3):
            optimizer.zero_grad()
            wrapped(batch(4)).sum().backward()
            optimizer.step()
            if model.pasted is None:
                raise RuntimeError("pasted: got None, expected a batch")
            steps.append(model.pasted.tensors())
        state = {"key": model.augment.key, "counter": model.augment.counter, "steps": steps}
        torch.save(state, Path(folder) / f"rank{rank}.pt")
    finally:
        distributed.destroy_process_group()

"""A bank in memory, as somebody else would write one: the protocol and nothing more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from segpaste.bank import BankCrop


class OwnBank:
    """Some crops."""

    def __init__(self, crops: Sequence[BankCrop]) -> None:
        self.crops = list(crops)

    @property
    def class_frequencies(self) -> torch.Tensor:
        return torch.bincount(self.crop_class_ids)

    @property
    def crop_class_ids(self) -> torch.Tensor:
        return torch.tensor([crop.class_id for crop in self.crops])

    @property
    def crop_size(self) -> tuple[int, int]:
        return self.crops[0].image.shape[1], self.crops[0].image.shape[2]

    @property
    def has_embeddings(self) -> bool:
        return False

    @property
    def version(self) -> str:
        return f"own@{len(self):012}"

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int, /) -> BankCrop:
        return self.crops[index]


class Fixed(Sampler[int]):
    """Numbers as they were given."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

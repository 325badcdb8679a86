"""Banks of crops: what training pastes from.

Names are imported on first use: a bank in one backend does not need the engine of another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.bank.batch import BankBatch
    from segpaste.bank.build import build_bank
    from segpaste.bank.convert import convert_bank
    from segpaste.bank.errors import BankError
    from segpaste.bank.lmdb_bank import LMDBBank
    from segpaste.bank.loader import BankDataLoader, collate_bank, create_bank_dataloader
    from segpaste.bank.memmap_bank import MemmapBank
    from segpaste.bank.open import open_bank
    from segpaste.bank.protocol import BankCrop, CropProvenance, InstanceBank
    from segpaste.bank.sampler import BankSampler
    from segpaste.bank.verify import verify_bank
    from segpaste.bank.webdataset_bank import WebDatasetBank
    from segpaste.bank.write import write_bank

_HOMES = {
    "BankBatch": "batch",
    "BankCrop": "protocol",
    "BankDataLoader": "loader",
    "BankError": "errors",
    "BankSampler": "sampler",
    "CropProvenance": "protocol",
    "InstanceBank": "protocol",
    "LMDBBank": "lmdb_bank",
    "MemmapBank": "memmap_bank",
    "WebDatasetBank": "webdataset_bank",
    "build_bank": "build",
    "collate_bank": "loader",
    "convert_bank": "convert",
    "create_bank_dataloader": "loader",
    "open_bank": "open",
    "verify_bank": "verify",
    "write_bank": "write",
}

__all__ = [
    "BankBatch",
    "BankCrop",
    "BankDataLoader",
    "BankError",
    "BankSampler",
    "CropProvenance",
    "InstanceBank",
    "LMDBBank",
    "MemmapBank",
    "WebDatasetBank",
    "build_bank",
    "collate_bank",
    "convert_bank",
    "create_bank_dataloader",
    "open_bank",
    "verify_bank",
    "write_bank",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"segpaste.bank.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

"""One-dimensional ``.npy`` files, written piece by piece and mapped into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib import format as npy

from segpaste.bank.errors import BankError


class NpyWriter:
    """Writes ``[count]`` of ``dtype`` to a new file.

    With ordinary writes: through a mapping, a full disk would kill the process.
    """

    def __init__(self, path: Path, dtype: np.dtype, count: int) -> None:
        self._file = path.open("xb")
        self._dtype = dtype
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (count,)}
        npy.write_array_header_1_0(self._file, header)

    def add(self, values: np.ndarray) -> None:
        """The next elements."""
        self._file.write(np.ascontiguousarray(values, self._dtype).view("u1").data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def map_npy(
    path: Path, name: str, dtype: np.dtype, count: int | None, mode: Literal["r", "c"] = "r"
) -> np.ndarray:
    """The file ``name`` of a bank's folder, which :class:`NpyWriter` wrote, without reading it.

    Any number of elements will do where ``count`` is ``None``. With mode ``"c"`` it may be
    written to, which stays in this process.

    Raises:
        BankError: naming path and file, if it is missing or holds anything else than ``[count]``
            of ``dtype``.
    """
    try:
        with (path / name).open("rb") as file:
            shape, fortran, found = npy.read_array_header_1_0(file) if _is_version_1(file.read(8)) else _NONE
            if len(shape) != 1 or count not in (None, *shape) or found != dtype or fortran:
                wanted = "any number" if count is None else count
                raise BankError(
                    f"{path}: {name}: got {list(shape)} of {found}, expected [{wanted}] of {dtype}"
                )
            if not shape[0]:  # an empty mapping is refused by some systems
                return np.empty(0, dtype)
            mapped = np.memmap(file, dtype, mode, offset=file.tell(), shape=shape)
    except BankError:
        raise
    except Exception as error:  # NumPy parses the header as Python; damaged, it raises all sorts
        raise BankError(f"{path}: {name}: not readable as NumPy's format: {type(error).__name__}") from error
    return np.asarray(mapped)


_NONE = ((), False, np.dtype("V"))


def _is_version_1(magic: bytes) -> bool:
    return magic == npy.magic(1, 0)

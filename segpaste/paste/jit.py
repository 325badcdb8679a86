"""How the loops of this package are compiled: Numba, cached on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """A decorator for a loop over arrays.

    It runs without the interpreter's lock; a division by zero gives infinity or NaN, as in
    NumPy. Never fast-math, and nothing is contracted: floats are computed in the order written.

    The machine code is kept beside the module or, where nobody may write there, in the
    user's cache folder (``NUMBA_CACHE_DIR`` names another). Where there is none either, it
    is made anew in every process.

    Args:
        function: the loop.
        inline: put the body into its callers; for what is called once per pixel.
    """
    if function is None:
        return lambda f: compiled(f, inline=inline)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can be written to
        return numba.njit(**options)(function)

"""Every analytical golden through the fused executor under Triton's interpreter.

``test_analytical.py`` runs this in a process of its own, as Triton decides on import whether
it interprets.
"""

from __future__ import annotations

import pytest

from segpaste.goldens.analytical import case_names, read_case
from segpaste.paste.apply import interprets_triton
from tests.goldens.reproduced import reproduces
from tests.paste import fused_interpreted

if not interprets_triton():
    raise RuntimeError("TRITON_INTERPRET: got nothing, expected 1, as test_analytical.py sets it")

# What the interpreter needs on NumPy 2.5, and for depths that become infinite.
_index = fused_interpreted._one_element_is_an_index
_overflow = fused_interpreted._overflow_is_judged


@pytest.mark.parametrize("name", case_names())
def test_the_interpreted_kernels_reproduce(name: str) -> None:
    reproduces(read_case(name), "fused")

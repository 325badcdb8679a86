"""On CUDA: what was worked out by hand, from the fused kernels and from the graph."""

from __future__ import annotations

import pytest

from segpaste.goldens.analytical import case_names, read_case
from segpaste.paste.apply import ExecutorName
from tests.goldens.reproduced import reproduces

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", case_names())
@pytest.mark.parametrize("executor", ["fused", "graph"])
def test_a_golden_is_reproduced_on_cuda(executor: ExecutorName, name: str, device: str) -> None:
    reproduces(read_case(name), executor, device)

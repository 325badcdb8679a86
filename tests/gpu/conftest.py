"""GPU tests: all of them need CUDA, and an error of one must not be blamed on the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from segpaste.paste.apply import interprets_triton


@pytest.fixture(scope="session")
def device() -> str:
    """The device; without one the run fails, as a skipped GPU test looks like a passed one."""
    if not torch.cuda.is_available():
        pytest.fail("torch finds no CUDA device: `-m gpu` needs one")
    if interprets_triton():
        pytest.fail("TRITON_INTERPRET is set: the kernels would not run on the GPU")
    return "cuda"


@pytest.fixture(autouse=True)
def _wait_for_the_device(device: str) -> Iterator[None]:
    torch.cuda.synchronize()
    yield
    torch.cuda.synchronize()

"""Whose random numbers are watched: of the CPU always, of the device that holds the batch as well."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segpaste.invariants import metamorphic_laws
from segpaste.invariants.metamorphic_laws import (
    _generators,  # pyright: ignore[reportPrivateUsage]
    generators_untouched,
)


def test_a_cuda_device_has_a_generator_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def state_of(device: torch.device) -> torch.Tensor:
        return torch.tensor([device.index], dtype=torch.uint8)

    monkeypatch.setattr(torch.cuda, "get_rng_state", state_of)
    assert list(_generators(torch.device("cpu"))) == ["Python", "NumPy", "torch"]
    states = _generators(torch.device("cuda", 3))
    assert list(states) == ["Python", "NumPy", "torch", "CUDA"]
    assert states["CUDA"] == b"\x03"


@pytest.mark.parametrize(("name", "forked"), [("cpu", []), ("cuda:1", [torch.device("cuda", 1)])])
def test_generators_are_moved_on_and_put_back(
    name: str, forked: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins for what needs a GPU: which generators are forked, and on which devices numbers are drawn."""
    forks: list[Any] = []
    drawn: list[Any] = []

    def fork(devices: Any = None) -> AbstractContextManager[None]:
        forks.append(devices)
        return nullcontext()

    def draws(size: Any, device: Any = None) -> None:
        drawn.append(device if device is None else torch.device(device))

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    monkeypatch.setattr(torch, "rand", draws)
    monkeypatch.setattr(metamorphic_laws, "_generators", lambda device: {"whose": str(device)})
    batch = SimpleNamespace(batch_size=1, images=SimpleNamespace(device=torch.device(name)))
    runs: list[tuple[str, str, int]] = []
    case: Any = SimpleNamespace(
        apply=None,
        target=batch,
        source=batch,
        augment=lambda *arguments: runs.append(arguments),
        target_sample=lambda: "target",
        donor_sample=lambda: "donor",
        seed=5,
    )
    assert generators_untouched(case).status == "held"
    assert forks == [forked]
    assert drawn == [torch.device("cpu"), torch.device(name)]
    assert runs == [("target", "donor", 5)]

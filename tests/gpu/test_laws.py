"""What a law can only see on CUDA."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from segpaste.invariants import MetamorphicCase, check_metamorphic
from segpaste.paste import apply_with_audit, draw_plan
from segpaste.types import BatchCopyPasteConfig
from tests.augmentation.batches import batch

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("draws", [False, True])
def test_the_devices_own_generator_is_watched(draws: bool, device: str) -> None:
    view, config = batch(2).to(device), BatchCopyPasteConfig()
    plan = draw_plan(view, view, torch.arange(2, device=device), config)

    def paste(*case: Any) -> Any:
        if draws:
            torch.rand((), device=device)
        return apply_with_audit(*case)

    before = torch.cuda.get_rng_state(device)
    case = MetamorphicCase(view, view, plan, config, paste)
    (report,) = check_metamorphic(case, only="metamorphic.generators_untouched")
    assert report.status == ("violated" if draws else "held")
    assert ("CUDA's global generator" in report.message) == draws
    assert torch.equal(torch.cuda.get_rng_state(device), before)

"""Compile the fused executor's kernels for CUDA without a GPU; ``test_fused.py`` runs this.

A paste is run up to the launches, each of which compiles its kernel as it would on a GPU of
the architecture named. Prints a JSON object: kernel -> instructions of each variant made.

Usage: ``python fused_compiled.py 80 some|all``.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from segpaste.paste import fused
from segpaste.paste.plan import draw_plan
from segpaste.strategies.scenes import DEFAULT_SCHEMA, scenes_from_seed
from segpaste.types import (
    LEGAL_MODALITY_SETS,
    BatchCopyPasteConfig,
    BatchedDenseSample,
    Modality,
    PanopticPasteConfig,
)


class _NoDevice:
    """What Triton asks of a driver before it launches."""

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int | None = None) -> int:
        return 0


def main(architecture: str, cases: str) -> None:
    driver.set_active(_NoDevice(int(architecture)))  # pyright: ignore[reportArgumentType]
    found: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    launch: Callable[..., Any] = JITFunction.run

    def compile_only(self: JITFunction[Any], *args: Any, **kwargs: Any) -> Any:
        kernel = launch(self, *args, **(kwargs | {"warmup": True}))
        instructions = re.findall(r"^\s+(?:@!?%p\d+ )?([a-z][\w.:]*)", kernel.asm["ptx"], re.MULTILINE)
        found[self.__name__][kernel.hash] = sorted({i.replace("::", "") for i in instructions})
        return kernel

    JITFunction.run = compile_only
    if cases == "all":
        for kind in LEGAL_MODALITY_SETS:
            for dtype in (torch.uint8, torch.float32):
                for policy in ("revert", "ignore", None):
                    _paste(kind, dtype, policy, audit=policy == "revert")
    else:
        _paste(frozenset(Modality), torch.uint8, "revert", audit=True)
        _paste(frozenset(Modality), torch.float32, "ignore", audit=False)
        _paste(frozenset({Modality.IMAGE, Modality.INSTANCE}), torch.uint8, None, audit=False)
        _paste(frozenset({Modality.IMAGE, Modality.SEMANTIC}), torch.uint8, None, audit=False)
    print(json.dumps({name: list(variants.values()) for name, variants in found.items()}))


def _paste(kind: frozenset[Modality], dtype: torch.dtype, policy: str | None, audit: bool) -> None:
    scenes = scenes_from_seed(
        *(1, 2),
        modalities=kind,
        canvas=(32, 64),
        image_dtypes=(dtype,),
        metric=Modality.DEPTH in kind,
    )
    batch = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(8)
    panoptic = None
    if policy is not None:
        panoptic = PanopticPasteConfig.model_validate({"taxonomy": DEFAULT_SCHEMA, "stuff_policy": policy})
    config = BatchCopyPasteConfig(panoptic=panoptic)
    plan = draw_plan(batch, batch, torch.arange(2), config)
    fused.run_fused(batch, batch, plan, config, out=None, with_audit=audit)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What harmonisation costs: the table of docs/harmonize.md, as Markdown.

Processor time of one thread, so that other work on the machine counts little; medians of
runs of all methods in turn.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from segpaste import BatchCopyPaste, BatchedDenseSample
from segpaste.strategies.scenes import scenes_from_seed
from segpaste.types import BatchCopyPasteConfig, BatchedPlacementConfig, HarmonizeConfig, Modality

_METHODS = {
    "the paste alone": None,
    "`feather=2`": HarmonizeConfig(feather=2),
    '`"reinhard"`': HarmonizeConfig(method="reinhard"),
    '`"multiband"`': HarmonizeConfig(method="multiband"),
    '`"poisson"`': HarmonizeConfig(method="poisson"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    canvas = (options.size, options.size)
    scenes = scenes_from_seed(
        0,
        options.batch,
        min_instances=4,
        max_instances=8,
        modalities={Modality.IMAGE, Modality.INSTANCE},
        canvas=canvas,
        channels=(3,),
        image_dtypes=(torch.uint8,),
    )
    batch = BatchedDenseSample.from_samples([scene.sample() for scene in scenes]).to_padded(16)
    placement = BatchedPlacementConfig(k_range=(1, 4), scale_range=(0.5, 1.0))
    steps = {
        name: BatchCopyPaste(BatchCopyPasteConfig(placement=placement, harmonize=how))
        for name, how in _METHODS.items()
    }
    seeds = torch.arange(options.batch)
    union = steps["the paste alone"].forward_with_audit(batch, seeds=seeds)[1].paste_union
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(options.runs + 1):
        for name, step in steps.items():
            begin = time.process_time()
            step(batch, seeds=seeds)
            spent[name].append((time.process_time() - begin) / options.batch * 1000)
    alone = statistics.median(spent["the paste alone"][1:])
    share, pasted = float(union.float().mean()), int(union.flatten(1).any(dim=1).sum())
    print(f"{share:.0%} of the pixels pasted, in {pasted} of {options.batch} images\n")
    print("| | ms per image | times the paste |\n|---|---|---|")
    for name, times in spent.items():
        middle = statistics.median(times[1:])
        print(f"| {name} | {middle:.1f} | {middle / alone:.1f} |")


if __name__ == "__main__":
    main()

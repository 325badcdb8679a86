"""Measure reading COCO: images per second against torchvision's own data set with the same decoding.

    python scripts/bench_coco.py              # print the table
    python scripts/bench_coco.py --quick      # a fast look
    python scripts/bench_coco.py --publish    # and write it into docs/coco.md
    python scripts/bench_coco.py --render     # write it anew from docs/coco-benchmark.json

The data set is drawn on the spot. Contenders take turns: each round runs every one once over all
pictures, in rotated order; a ratio is the median of the ratios within rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from benchmark.coco_files import HEIGHT, OBJECTS, WIDTH, coco_files
from benchmark.machine import machine
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from segpaste.integrations.coco_loader import create_coco_dataloader

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "coco.md"
RESULTS = ROOT / "docs" / "coco-benchmark.json"
BEGIN, END = (
    "<!-- Written by scripts/bench_coco.py --publish; do not edit. -->\n",
    "<!-- End of the table. -->\n",
)
OURS, THEIRS = "segpaste", "torchvision"
BATCH = 4
WORKERS = (0, 2)


def main() -> int:
    """Measure, print, write."""
    options = _options()
    if options.render:
        results = json.loads(options.json.read_text(encoding="utf-8"))
    else:
        torch.set_num_threads(1)
        results = measured(options.pictures, options.rounds)
    text = table(results)
    print(text)
    if options.publish:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.publish or options.render:
        page = options.page.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        options.page.write_text(before + BEGIN + "\n" + text + "\n" + END + after, encoding="utf-8")
    return 0


def measured(pictures: int, rounds: int) -> dict[str, Any]:
    """Images per second of every contender."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        files = coco_files(Path(name), pictures)
        contenders: dict[str, Iterable[Any]] = {}
        for masks, path in files.items():
            for workers in WORKERS:
                options = {"num_workers": workers, "persistent_workers": workers > 0}
                ours = create_coco_dataloader(Path(name, "images"), path, None, BATCH, **options)
                theirs = DataLoader(
                    torchvision_data_set(Path(name, "images"), path),
                    batch_size=BATCH,
                    collate_fn=as_they_are,
                    **options,
                )
                _check_same(ours.dataset, theirs.dataset)
                contenders[f"{OURS}, {masks}, {workers}"] = ours
                contenders[f"{THEIRS}, {masks}, {workers}"] = theirs
        times = _rounds(contenders, rounds)
    return {
        "machine": machine(("torch", "torchvision", "pycocotools", "Pillow", "numpy")),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "load": [round(load_before, 2), round(os.getloadavg()[0], 2)],
        "pictures": pictures,
        "rounds": rounds,
        "entries": [_entry(name, times, pictures) for name in times],
    }


def torchvision_data_set(images: Path, annotations: Path) -> Any:
    """The peer: ``CocoDetection`` with image, masks, boxes and labels as tensors."""
    with contextlib.redirect_stdout(io.StringIO()):
        plain = datasets.CocoDetection(images, str(annotations), transforms=v2.ToImage())
    return datasets.wrap_dataset_for_transforms_v2(plain, target_keys=("boxes", "labels", "masks"))


def as_they_are(batch: list[Any]) -> list[Any]:
    """A collate function, for workers to find by name."""
    return batch


def table(results: Mapping[str, Any]) -> str:
    """The table and what it says of the machine; a pure function of the results."""
    entries = {entry["contender"]: entry for entry in results["entries"]}
    lines = [
        f"| images per second | {THEIRS} | {OURS} | times as fast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for masks in ("polygons", "run lengths"):
        for workers in WORKERS:
            theirs, ours = (entries[f"{name}, {masks}, {workers}"] for name in (THEIRS, OURS))
            lines.append(
                f"| {masks}, {workers} workers | {_rate(theirs)} | {_rate(ours)} | **{ours['ratio']:.2f}** |"
            )
    on = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{results['pictures']} JPEGs of {WIDTH} x {HEIGHT} with {OBJECTS} objects each, in batches of "
            f"{BATCH}; medians of {results['rounds']} rounds, quartiles in brackets. {on['processor']}, "
            f"{on['cores']} cores; {versions}. Measured on {results['date']}; load of the machine when "
            f"it began and when it ended: {results['load'][0]} and {results['load'][1]}.",
            "",
        ]
    )


def _check_same(ours: Any, theirs: Any) -> None:
    """What is compared decodes to the same bits."""
    sample, (image, target) = ours[0], theirs[0]
    same = (
        torch.equal(sample.image, image)
        and torch.equal(sample.instance_masks, target["masks"].bool())
        and torch.equal(sample.boxes, target["boxes"])
        and torch.equal(sample.labels, target["labels"])
    )
    if not same:
        raise RuntimeError("the two data sets decode to different bits")


def _rounds(contenders: Mapping[str, Iterable[Any]], rounds: int) -> dict[str, list[float]]:
    names = list(contenders)
    for name in names:  # compiled loops are loaded, workers are started
        _drain(contenders[name])
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = time.perf_counter()
            _drain(contenders[name])
            times[name].append(time.perf_counter() - started)
    return times


def _drain(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def _entry(name: str, times: Mapping[str, list[float]], pictures: int) -> dict[str, Any]:
    seconds = times[name]
    other = times[name.replace(OURS, THEIRS)]
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return {
        "contender": name,
        "images_per_second": round(pictures / median),
        "quartiles": [round(pictures / high), round(pictures / low)],
        "ratio": round(statistics.median(o / s for s, o in zip(seconds, other, strict=True)), 2),
    }


def _rate(entry: Mapping[str, Any]) -> str:
    low, high = entry["quartiles"]
    return f"{entry['images_per_second']:,} ({low:,} to {high:,})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure reading COCO against torchvision's CocoDetection")
    parser.add_argument("--quick", action="store_true", help="few pictures, 3 rounds")
    parser.add_argument("--pictures", type=int, help="how many are read in a round (default 200)")
    parser.add_argument("--rounds", type=int, help="(default 15)")
    parser.add_argument("--publish", action="store_true", help="write docs/coco-benchmark.json and the table")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the table anew")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table stands")
    options = parser.parse_args()
    narrowed = [name for name in ("quick", "pictures", "rounds") if getattr(options, name)]
    if options.publish and narrowed:
        parser.error(f"--publish: got it with --{narrowed[0]}, expected a complete run")
    options.pictures = options.pictures or (24 if options.quick else 200)
    options.rounds = options.rounds or (3 if options.quick else 15)
    return options


if __name__ == "__main__":
    sys.exit(main())

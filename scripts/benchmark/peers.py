"""The other libraries: what each does of the job, and where its environment stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RUNNER = Path(__file__).resolve().parent.parent / "bench_peers" / "runner.py"
REQUIREMENTS = RUNNER.parent
DEFAULT_ENVIRONMENTS = RUNNER.parent.parent.parent / ".bench-peers"


@dataclass(frozen=True)
class Peer:
    """One library.

    Attributes:
        title: for tables.
        does: what it does of the job and what not, one line for the page.
        environment: where it is installed; what it requires stands in a file of that name.
    """

    title: str
    does: str
    environment: str


PEERS = {
    "albumentationsx": Peer(
        "AlbumentationsX CopyAndPaste",
        "one sample per call; each donor is cropped, resized (0.5 to 1 of what fits, never enlarged) and put "
        "at a random place; existing masks trimmed, dropped below 5 % of their area; boxes of survivors not "
        "recomputed; ragged lists out; uint8 and float32.",
        "albumentationsx",
    ),
    "kornia": Peer(
        "Kornia RandomTransplantation",
        "a batch per call; one label of the previous image is pasted where it stands; no warp, no instances: "
        "one label map per image, so neither masks per instance nor boxes, ids, drop rule or slots; float32 "
        "images only.",
        "kornia",
    ),
    "ultralytics": Peer(
        "Ultralytics CopyPaste",
        "one sample per call, mode `mixup`; pastes donors that overlap existing boxes by less than 30 %, "
        "where they stand; no warp; instances are polygons, so no mask is written, none trimmed or dropped "
        "and no box recomputed; uint8 images (float32 also runs).",
        "ultralytics",
    ),
    "ultralytics_masks": Peer(
        "Ultralytics CopyPaste + masks",
        "the same, and its `polygons2masks` afterwards, which draws one mask per instance as training needs "
        "them; still none trimmed.",
        "ultralytics",
    ),
    "segpaste02": Peer(
        "segpaste 0.2 (PyPI)",
        "another project of that name; a list of samples per call; donors at random places, each at its own "
        "size (`scale_range` is read nowhere); masks trimmed, dropped above 99 % occlusion, survivors' boxes "
        "recomputed; earlier pastes are not trimmed by later ones; ragged lists out; uint8 and float32.",
        "segpaste02",
    ),
}


ENVIRONMENTS = tuple(dict.fromkeys(peer.environment for peer in PEERS.values()))


def command(environments: Path, name: str) -> list[str] | None:
    """How to start a peer's process; ``None`` where ``make bench-peers`` has not installed it."""
    python = environments / name / "bin" / "python"
    # Isolated: neither PYTHONPATH nor the working folder may bring in another copy of a package.
    return [str(python), "-I", str(RUNNER), name] if python.exists() else None

"""Building a bank: shards in any order on any number of workers, the same bytes in the end."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from segpaste.bank.engines import run_here, run_locally
from segpaste.bank.engines_needed import require
from segpaste.bank.errors import BankError
from segpaste.bank.layout import INDEX_DTYPE, Chunk, record_dtype
from segpaste.bank.meta import LAYOUT_VERSION, BackendName, BankHead, BankMeta
from segpaste.bank.open import open_bank
from segpaste.bank.source import CropShard, CropSource
from segpaste.bank.staging import Made, Staging, contents_of, difference
from segpaste.bank.verify import verify_bank
from segpaste.bank.write import write_bank
from segpaste.version import VERSION

EngineName = Literal["local", "ray"]

_ENGINES: dict[BackendName, tuple[str, ...]] = {
    "memmap": (),
    "lmdb": ("lmdb",),
    "webdataset": ("webdataset", "pyarrow"),
}

# Bytes of a crop on disk beyond its record and index row, at most: pages that are not full in
# LMDB; in a tar file a header and padding for each member, and the header of its array.
_BEYOND: dict[BackendName, int] = {"memmap": 8, "lmdb": 4096 + 64, "webdataset": 9 * 1200}
_BEYOND_ALL = 1 << 20


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is.

    Attributes:
        stage: ``"checking"`` whether what there is already was made of the same files, then
            ``"cutting"`` crops out of their images, then ``"writing"`` the bank.
        shards_done, shards_total: shards that are cut, or checked.
        crops: crops that are cut, those of an interrupted build included.
        written: crops written to the bank.
        left_out: what gave no crop: reason -> number.
        seconds: since this stage began.
        crops_per_second: of this stage, without what an interrupted build had cut; 0 at first.
        seconds_left: of this stage; ``None`` at first.
    """

    stage: Literal["checking", "cutting", "writing"]
    shards_done: int
    shards_total: int
    crops: int
    written: int
    left_out: Mapping[str, int]
    seconds: float
    crops_per_second: float
    seconds_left: float | None


def build_bank(
    source: CropSource,
    path: Path | str,
    *,
    backend: BackendName = "memmap",
    engine: EngineName = "local",
    workers: int = 1,
    progress: Callable[[BuildProgress], None] | None = None,
    ray_address: str | None = None,
    fresh: bool = False,
) -> BankMeta:
    """Build a bank.

    The bytes depend on the source alone, not on workers, engine or interruptions. Finished
    shards are kept in ``.{name}.building`` beside the bank, and a build that was interrupted,
    however it ended, goes on from there; a shard of which a file has changed meanwhile, by any
    byte, is cut again. The bank itself appears at once and whole. A bank that this very build has
    made before is left as it is; to know that, the source's files and the bank are read and checked.

    Args:
        source: the crops, such as :class:`segpaste.integrations.CocoCrops`.
        path: of the bank; a new folder.
        backend: ``"memmap"``, ``"lmdb"`` or ``"webdataset"``.
        engine: ``"local"``, or ``"ray"`` for a cluster.
        workers: processes; with 1 the work is done in this one. A script that builds with more
            needs ``if __name__ == "__main__":``, as everywhere in Python. With ``"ray"``: the CPUs
            of a Ray that is started for the build; a cluster is used as a whole.
        progress: called after every shard, and while the bank is written.
        ray_address: of a Ray cluster, with ``engine="ray"``.
        fresh: forget what an interrupted build left.

    Raises:
        ValueError: on an argument of another value than above.
        BankError: if ``path`` is another bank, a damaged one or another file, an interrupted build of
            another job or a running build is found beside it, space or an engine is missing,
            or a worker dies again and again over one shard.
        Exception: what the source raised, such as :class:`segpaste.integrations.DataError`.
    """
    path = Path(path)
    check_arguments(path, backend, engine, workers, ray_address)
    head, shards = source.head(), source.shards()
    built_from = json.loads(json.dumps(source.built_from()))
    for module in _ENGINES[backend]:  # one that is missing is named now, not after hours of work
        require(module, f"bank-{backend}", f"backend {backend!r}")
    if engine == "ray":
        require("ray", "bank-ray", "engine 'ray'")
    staging = Staging(path, head, len(shards))
    if path.exists() and not staging.folder.exists():
        return _finished(path, head, shards, built_from, backend, fresh, progress)
    with staging.locked():
        if path.exists():  # a build was killed after its bank was complete, or has just ended
            meta = _finished(path, head, shards, built_from, backend, fresh, progress)
            staging.remove()
            return meta
        job = _job(head, built_from, len(shards))
        staging.open(job, shards, fresh=fresh, checked=_Checking(staging, progress))
        try:
            _check_space(path, staging, head, source.most_crops(), backend)
        except BankError:
            if not staging.done:
                staging.remove()
            raise
        report = _Reporter(staging, len(shards), progress)
        numbers = [number for number in range(len(shards)) if number not in staging.done]
        with closing(_run(shards, numbers, head, engine, workers, ray_address)) as work:
            for number, made in work:
                staging.put(number, made)
                report.cut()
        meta = write_bank(
            path,
            head,
            report.writing(staging.chunks()),
            backend=backend,
            count=staging.crops,
            built_from={**built_from, **staging.contents, "left_out": staging.left_out},
        )
        staging.remove()
    return meta


def check_arguments(
    path: Path, backend: BackendName, engine: EngineName, workers: int, ray_address: str | None
) -> None:
    """Refuse what :func:`build_bank` cannot work with, before its source is made.

    Raises:
        ValueError: naming the argument.
        BankError: if ``path`` cannot become a bank.
    """
    if backend not in get_args(BackendName):
        raise ValueError(f"backend: got {backend!r}, expected one of {', '.join(get_args(BackendName))}")
    if engine not in get_args(EngineName):
        raise ValueError(f"engine: got {engine!r}, expected one of {', '.join(get_args(EngineName))}")
    if type(workers) is not int or workers < 1:
        raise ValueError(f"workers: got {workers!r}, expected an integer of 1 or more")
    if ray_address is not None and engine != "ray":
        raise ValueError(f"ray_address: got {ray_address!r} with engine {engine!r}, expected engine 'ray'")
    if not path.name:
        raise ValueError(f"path: got {str(path)!r}, expected the name of a new folder")
    if not path.parent.is_dir():
        raise BankError(f"{path}: {path.parent} is no folder, expected one that exists")
    if path.is_symlink() and not path.exists():
        raise BankError(f"{path}: got a link to {os.readlink(path)}, where nothing is, expected a new name")


def _run(
    shards: Sequence[CropShard],
    numbers: Sequence[int],
    head: BankHead,
    engine: EngineName,
    workers: int,
    ray_address: str | None,
) -> Generator[tuple[int, Made], None, None]:
    if (workers == 1 and engine == "local") or not numbers:
        return run_here(shards, numbers, head)
    if engine == "ray":
        from segpaste.bank.ray_engine import run_on_ray

        return run_on_ray(shards, numbers, head, workers=workers, address=ray_address)
    return run_locally(shards, numbers, head, workers)


class _Checking:
    """Tells how many shards have been checked."""

    def __init__(self, staging: Staging, progress: Callable[[BuildProgress], None] | None) -> None:
        self._staging = staging
        self._progress = progress
        self._began = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if self._progress is None:
            return
        seconds = time.monotonic() - self._began
        self._progress(
            BuildProgress(
                stage="checking",
                shards_done=done,
                shards_total=total,
                crops=self._staging.crops,
                written=0,
                left_out=self._staging.left_out,
                seconds=seconds,
                crops_per_second=0.0,
                seconds_left=seconds * (total - done) / done,
            )
        )


class _Reporter:
    """Counts for :class:`BuildProgress`."""

    def __init__(
        self, staging: Staging, total: int, progress: Callable[[BuildProgress], None] | None
    ) -> None:
        self._staging = staging
        self._total = total
        self._progress = progress
        self._crops_before = staging.crops
        self._done_before = len(staging.done)
        self._began = time.monotonic()
        if self._done_before:
            self._tell("cutting", 0, 0, None)

    def cut(self) -> None:
        """A shard is finished."""
        done = len(self._staging.done)
        share = (done - self._done_before) / (self._total - self._done_before)
        self._tell("cutting", 0, self._staging.crops - self._crops_before, share)

    def writing(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The same chunks; counts what was taken."""
        self._began = time.monotonic()
        written, total = 0, self._staging.crops
        for chunk in chunks:
            yield chunk
            written += len(chunk.index)
            self._tell("writing", written, written, written / total)

    def _tell(
        self, stage: Literal["cutting", "writing"], written: int, crops: int, share: float | None
    ) -> None:
        if self._progress is None:
            return
        seconds = time.monotonic() - self._began
        self._progress(
            BuildProgress(
                stage=stage,
                shards_done=len(self._staging.done),
                shards_total=self._total,
                crops=self._staging.crops,
                written=written,
                left_out=self._staging.left_out,
                seconds=seconds,
                crops_per_second=crops / seconds if seconds > 0 else 0.0,
                seconds_left=None if share is None else seconds * (1 - share) / share,
            )
        )


def _job(head: BankHead, built_from: dict[str, Any], shards: int) -> dict[str, Any]:
    """What decides a build but for the contents of its files; two that agree in it may share shards."""
    return {
        "layout": LAYOUT_VERSION,
        "head": head.model_dump(mode="json"),
        "built_from": built_from,
        "shards": shards,
        # What decodes and shrinks images: other releases may round otherwise.
        "versions": {"segpaste": VERSION, "pillow": version("pillow")},
    }


def _finished(
    path: Path,
    head: BankHead,
    shards: Sequence[CropShard],
    built_from: dict[str, Any],
    backend: BackendName,
    fresh: bool,
    progress: Callable[[BuildProgress], None] | None,
) -> BankMeta:
    """The bank that this very build has made before.

    Raises:
        BankError: if it is anything else, or not wanted.
    """
    if fresh:
        raise BankError(f"{path}: exists, expected a new folder for a fresh build")
    try:
        meta = open_bank(path).meta
    except BankError as error:
        raise BankError(f"{path}: exists and is no bank of this build: {error}") from error
    there = {key: value for key, value in meta.built_from.items() if key not in ("contents", "left_out")}
    found = {"backend": meta.format, "head": meta.head.model_dump(mode="json"), "built_from": there}
    expected = {"backend": backend, "head": head.model_dump(mode="json"), "built_from": built_from}
    if found != expected:
        raise BankError(
            f"{path}: exists, got a bank of another build ({difference(found, expected)}), "
            "expected a new folder, or a bank that the same build has made"
        )
    checked = _Checking(Staging(path, head, len(shards)), progress)
    inputs: list[str] = []
    for shard in shards:
        inputs.append(shard.inputs())
        checked(len(inputs), len(shards))
    if meta.built_from.get("contents") != contents_of(inputs).get("contents"):
        raise BankError(
            f"{path}: exists, got a bank that was built from files of other contents (one has changed "
            "since), expected a new folder"
        )
    report = verify_bank(path)
    if not report.clean:
        first, *others = report.problems
        more = f" (and {len(others)} more)" if others else ""
        raise BankError(f"{path}: exists, got a bank of this build that is damaged: {first}{more}")
    return meta


def _check_space(path: Path, staging: Staging, head: BankHead, most: int, backend: BackendName) -> None:
    """Refuse to begin what cannot end: at the end there are the finished shards and the bank.

    Raises:
        BankError: naming what is needed and what is free.
    """
    crop = record_dtype(head).itemsize + INDEX_DTYPE.itemsize
    needed = most * (2 * crop + _BEYOND[backend]) - staging.size() + _BEYOND_ALL
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise BankError(
            f"{path}: needs up to {_in_words(needed)} for {most} crops of {_in_words(crop)} (half of it only "
            f"until the bank is built), got {_in_words(free)} free"
        )


def _in_words(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} TiB"

"""``check_augmentation``: the laws, for anybody's augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from segpaste.integrations import DataSet
from segpaste.testing.adapters.base import AugmentationKind
from segpaste.testing.engine import RunOptions, parse_modalities, run
from segpaste.testing.events import Event
from segpaste.testing.expected import EVERY_TARGET
from segpaste.testing.results import AugmentationViolation, Result
from segpaste.testing.targets import resolve_target
from segpaste.types import Modality, PanopticSchemaSpec

DEFAULT_EXAMPLES = 200
"""Drawn examples per target, over all modality sets together."""


def check_augmentation(
    aug: str | Callable[..., Any],
    *,
    kind: AugmentationKind | None = None,
    modalities: Iterable[str | Iterable[Modality]] | None = None,
    schema: PanopticSchemaSpec | None = None,
    expected: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    only: str = "*",
    on_fail: Literal["raise", "record"] = "raise",
    callback: Callable[[Event], None] | None = None,
    data: Sequence[DataSet] = (),
) -> list[Result]:
    """Judge an augmentation by every law that applies.

    The inputs it is given are read first and kept in copies, so that one which writes to
    its arguments is found out and harms nothing. It should return new samples; to return
    values that :class:`~segpaste.types.DenseSample` refuses, it may use
    ``DenseSample.unchecked``, and the laws will say what is wrong with them.

    Every violated law comes with the smallest example found, which is stored in
    ``.segpaste/replays`` for ``segpaste replay`` and ``segpaste show``.

    Args:
        aug: what is judged. An object of torchvision v2, Albumentations, Kornia, Ultralytics
            or MMDetection, which is put into its adapter; an adapter made by hand, where its
            defaults do not fit; or a callable. Of kind ``"paste"`` that is a callable
            ``(target: DenseSample, donor: DenseSample, seed: int) -> DenseSample`` or
            ``-> (DenseSample, BatchAuditPacket)`` with B = 1; if it has a parameter ``config``
            it is given the drawn ``BatchCopyPasteConfig``, and samples of every legal form:
            with padding, loose boxes, rows without a pixel. Without it, samples are tidy, have
            three channels and no padding. Of the other kinds it is
            ``(sample, seed) -> DenseSample``, or ``(sample, donor, seed)`` if it mixes two.
            Or the name of a built-in executor, or ``"module:attribute"``, or
            ``"module:Call(argument=1)"``. Without an audit, what was pasted is inferred;
            what cannot be is reported as *not decidable*. An audit's K are the row slots
            the target was padded to: its own rows first, the pasted ones in the slots
            after them.
        kind: ``"paste"`` puts objects of the donor into the target, ``"geometric"`` moves
            pixels (flip, crop, resize, rotate, mosaic), ``"photometric"`` changes colours
            only. It decides which laws apply. What its adapter says by default, else
            ``"paste"``.
        modalities: the sets of modalities to draw, such as ``["instance+semantic"]`` or
            ``[{Modality.INSTANCE, Modality.SEMANTIC}]``; by default all 16 that a paste
            works on, or those of them that an adapter's library can carry.
        schema: the class table to draw samples of and to judge by. By default one is drawn
            for two examples of three if ``aug`` is given the configuration, which holds it;
            a paste that is not, is judged without one: laws that need a class table are left
            out, and *ignore* is 255. Other kinds are judged by the table of the samples.
        expected: law -> reason, the laws that ``aug`` is known to break. It is strict: one
            that holds after all is *unexpectedly passed*, which is a failure.
        examples: drawn examples, split evenly over the modality sets; 200 by default.
            As many again are made of ``data``, split evenly over the data sets.
        seed: decides every example; 0 by default. The same seed gives the same results.
        device: ``"cpu"`` or ``"cuda"``.
        only: glob of law names, such as ``"instance.*"``.
        on_fail: ``"raise"`` raises when a law is violated, ``"record"`` only returns.
        callback: called with each :data:`~segpaste.testing.Event` of the run.
        data: real samples to paste into each other; at every tenth example the laws
            that need several runs are judged, too.

    Returns:
        One result per law that applies, in the order of ``segpaste laws``.

    Raises:
        AugmentationViolation: if a law is violated that was not expected to be, or holds
            that was expected to fail, and ``on_fail`` is ``"raise"``.
        TargetNotFoundError: if ``aug`` cannot be found or called.
        ValueError: on an argument that makes no sense, naming it.
    """
    if on_fail not in ("raise", "record"):
        raise ValueError(f"on_fail: got {on_fail!r}, expected 'raise' or 'record'")
    count = DEFAULT_EXAMPLES if examples is None else examples
    options = RunOptions(
        modalities=None if modalities is None else parse_modalities(modalities),
        examples=count,
        real_examples=count if data else 0,
        seed=0 if seed is None else seed,
        device=device,
        only=only,
        data=tuple(data),
        schema=schema,
        xfails={} if expected is None else {EVERY_TARGET: expected},
    )
    resolved = resolve_target(aug, device, kind)
    report = run([resolved], options, [] if callback is None else [callback])
    (target,) = report.targets
    if not target.ok and on_fail == "raise":
        raise AugmentationViolation((*target.failed, *target.stale))
    return list(target.results)

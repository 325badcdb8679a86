"""``check_augmentation``: the laws of a paste, for anybody's augmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from segpaste.integrations import DataSet
from segpaste.testing.engine import RunOptions, parse_modalities, run
from segpaste.testing.events import Event
from segpaste.testing.results import AugmentationViolation, Result
from segpaste.testing.targets import resolve_target
from segpaste.types import LEGAL_MODALITY_SETS, Modality, PanopticSchemaSpec

DEFAULT_EXAMPLES = 200
"""Drawn examples per target, over all modality sets together."""


def check_augmentation(
    aug: str | Callable[..., Any],
    *,
    modalities: Iterable[str | Iterable[Modality]] | None = None,
    schema: PanopticSchemaSpec | None = None,
    examples: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    only: str = "*",
    on_fail: Literal["raise", "record"] = "raise",
    callback: Callable[[Event], None] | None = None,
    data: Sequence[DataSet] = (),
) -> list[Result]:
    """Judge a copy-paste augmentation by every law that applies.

    The inputs it is given are read first and kept in copies, so that one which writes to
    its arguments is found out and harms nothing. It should return new samples; to return
    values that :class:`~segpaste.types.DenseSample` refuses, it may use
    ``DenseSample.unchecked``, and the laws will say what is wrong with them.

    Args:
        aug: a callable ``(target: DenseSample, donor: DenseSample, seed: int) ->
            DenseSample`` or ``-> (DenseSample, BatchAuditPacket)`` with B = 1; if it has a
            parameter ``config`` it is given the drawn ``BatchCopyPasteConfig``. Or the name
            of a built-in executor, or ``"module:attribute"``. Without an audit, what was
            pasted is inferred; what cannot be is reported as *not decidable*. An audit's K
            are the row slots the target was padded to: its own rows first, the pasted ones
            in the slots after them.
        modalities: the sets of modalities to draw, such as ``["instance+semantic"]`` or
            ``[{Modality.INSTANCE, Modality.SEMANTIC}]``; all 16 that a paste works on by
            default.
        schema: the class table to draw samples of and to judge by. By default one is drawn
            for two examples of three if ``aug`` is given the configuration, which holds it;
            if not, laws that need a class table are left out, and *ignore* is 255.
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
        One result per law, in the order of ``segpaste laws``.

    Raises:
        AugmentationViolation: if a law is violated and ``on_fail`` is ``"raise"``.
        TargetNotFoundError: if ``aug`` cannot be found or called.
        ValueError: on an argument that makes no sense, naming it.
    """
    if on_fail not in ("raise", "record"):
        raise ValueError(f"on_fail: got {on_fail!r}, expected 'raise' or 'record'")
    count = DEFAULT_EXAMPLES if examples is None else examples
    options = RunOptions(
        modalities=LEGAL_MODALITY_SETS if modalities is None else parse_modalities(modalities),
        examples=count,
        real_examples=count if data else 0,
        seed=0 if seed is None else seed,
        device=device,
        only=only,
        data=tuple(data),
        schema=schema,
    )
    report = run([resolve_target(aug, device)], options, [] if callback is None else [callback])
    (target,) = report.targets
    if target.failed and on_fail == "raise":
        raise AugmentationViolation(target.failed)
    return list(target.results)

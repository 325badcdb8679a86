"""One example: what an augmentation is given, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st

from segpaste.integrations import DataSet
from segpaste.paste import draw_plan
from segpaste.strategies import PasteCase, batches, paste_cases, paste_configs
from segpaste.strategies.scenes import DEFAULT_SCHEMA
from segpaste.testing.adapters.base import Accepts
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedDenseSample,
    DenseSample,
    Modality,
    PaddedBatchedDenseSample,
    PanopticPasteConfig,
    PanopticSchema,
    PanopticSchemaSpec,
    PastePlan,
    modality_set_name,
)

DRAWN = "drawn"


@dataclass(frozen=True)
class RealPair:
    """Which two samples of a data set an example was made of.

    Attributes:
        data_set: name of the data set.
        target, donor: their indices.
        target_name, donor_name: their records' names.
        target_slots, donor_slots: row slots K each was padded to.
    """

    data_set: str
    target: int
    donor: int
    target_name: str
    donor_name: str
    target_slots: int
    donor_slots: int


@dataclass(frozen=True)
class Example:
    """A legal input of a paste.

    Attributes:
        target: B samples.
        source: the source view.
        plan: the plan, B rows.
        config: the configuration.
        seed: the seed that a callable is given.
        group: ``"drawn"`` or the name of the data set.
        pair: the real samples, if it is made of real ones.
    """

    target: PaddedBatchedDenseSample
    source: PaddedBatchedDenseSample
    plan: PastePlan
    config: BatchCopyPasteConfig
    seed: int
    group: str = DRAWN
    pair: RealPair | None = None

    @property
    def schema(self) -> PanopticSchema | None:
        """The class table, if any."""
        return self.config.schema_spec

    @property
    def where(self) -> str:
        """One line saying what this is an example of."""
        height, width = self.target.canvas_size
        size = f"{height} x {width}"
        if self.pair is not None:
            return f"{self.group}: {self.pair.donor_name} into {self.pair.target_name}, {size}"
        if self.group != DRAWN:
            return f"cut from {self.group}: {modality_set_name(self.target.active_modalities())}, {size}"
        return f"drawn: {modality_set_name(self.target.active_modalities())}, {size}"

    def alone(self, index: int) -> Example:
        """Target ``index`` with its source as the whole source view, B = 1."""
        plan = self.plan.select(index)
        row = int(plan.source_idx[0])
        return replace(
            self,
            target=self.target.select(index),
            source=self.source.select(row),
            plan=replace(plan, source_idx=torch.zeros_like(plan.source_idx)),
        )

    def to(self, device: str) -> Example:
        """The same example on another device."""
        if device == "cpu":
            return self
        target = self.target.to(device)
        source = target if self.source is self.target else self.source.to(device)
        return replace(self, target=target, source=source, plan=self.plan.to(device))

    def size(self) -> tuple[int, ...]:
        """Smaller means simpler: samples, pixels, rows, slots."""
        height, width = self.target.canvas_size
        rows = int(self.target.instance_valid.sum()) + int(self.source.instance_valid.sum())
        return (
            self.target.batch_size + self.source.batch_size,
            height * width,
            rows,
            self.target.max_instances + self.source.max_instances,
            len(self.target.active_modalities()),
        )


def drawn_examples(
    modalities: frozenset[Modality],
    *,
    schema: PanopticSchemaSpec | None = None,
    class_tables: bool = True,
    max_batch: int = 3,
) -> st.SearchStrategy[Example]:
    """Examples drawn over the whole range of samples, plans and configurations.

    Args:
        modalities: what the samples carry.
        schema: the class table of all examples.
        class_tables: without a schema, whether two examples of three have a class table of
            their own in their configuration. If not, none has, and *ignore* is 255: for a
            target that is not told the configuration and so cannot know.
        max_batch: most samples of a batch.
    """
    told = schema is not None or class_tables

    def convert(case: PasteCase) -> Example:
        config = case.config if told else case.config.model_copy(update={"panoptic": None})
        return Example(case.target, case.source, case.plan, config, case.seed)

    return paste_cases(modalities, schema=schema if told else DEFAULT_SCHEMA, max_batch=max_batch).map(
        convert
    )


@st.composite
def pair_examples(
    draw: st.DrawFn,
    modalities: frozenset[Modality],
    accepts: Accepts,
    prepare: Callable[[DenseSample], DenseSample],
    *,
    schema: PanopticSchemaSpec | None = None,
    class_table: bool = True,
) -> Example:
    """Two samples of one canvas and a seed, for an augmentation that draws its own plan.

    Padding is left out: it belongs to batches, and no other library knows it.

    Args:
        draw: supplied by Hypothesis.
        modalities: what the samples carry.
        accepts: what the augmentation can be given.
        prepare: makes of a sample what its library can represent.
        schema: the class table that labels are drawn of; the default one if None.
        class_table: whether the laws judge by that table.
    """
    table = DEFAULT_SCHEMA if schema is None else schema
    pair = draw(
        batches(
            modalities,
            min_batch=2,
            max_batch=2,
            min_instances=accepts.min_instances,
            max_instances=max(4, accepts.min_instances),
            schema=table,
            image_dtypes=accepts.image_dtypes,
            channels=accepts.channels,
            min_side=accepts.min_side,
            max_side=accepts.max_side,
        )
    ).to_samples()
    target, donor = (prepare(_without_padding(sample)) for sample in pair)
    config = BatchCopyPasteConfig(panoptic=PanopticPasteConfig(taxonomy=table) if class_table else None)
    return example_of_pair(target, donor, draw(st.integers(0, 2**63 - 1)), config)


def example_of_pair(
    target: DenseSample, donor: DenseSample, seed: int, config: BatchCopyPasteConfig
) -> Example:
    """The example of one target, one donor and a seed; its plan is drawn from the seed."""
    batch, source = padded(target, max(1, len(target))), padded(donor, max(1, len(donor)))
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(batch, source, torch.tensor([seed]), config, source_idx=first)
    return Example(batch, source, plan, config, seed)


def represented(example: Example, prepare: Callable[[DenseSample], DenseSample]) -> Example:
    """What of a real example an augmentation's library can represent; written out, not loaded again."""
    samples = (ragged(batch.select(0)) for batch in (example.target, example.source))
    target, donor = (prepare(_without_padding(sample)) for sample in samples)
    return replace(example_of_pair(target, donor, example.seed, example.config), group=example.group)


def _without_padding(sample: DenseSample) -> DenseSample:
    return replace(sample, padding_mask=None)


@st.composite
def real_examples(draw: st.DrawFn, data: DataSet) -> Example:
    """One sample of a data set pasted into another: who, the seed and the configuration are drawn.

    The donor is another sample where there is one; the number of free row slots varies
    between none and as many as the donor has rows.
    """
    count = len(data.samples)
    target_at = draw(st.integers(0, count - 1))
    donor_at = (target_at + draw(st.integers(1, count - 1))) % count if count > 1 else target_at
    target, donor = data.samples[target_at], data.samples[donor_at]
    config = draw(paste_configs(data.schema))
    free = draw(st.integers(0, 2 * len(donor))) if len(donor) else 0
    slots = max(1, len(target) + min(free, len(donor)))
    if data.schema is not None:
        slots = min(slots, max(len(target), data.schema.max_instances_per_image))
    seed = draw(st.integers(0, 2**63 - 1))
    pair = RealPair(
        data.name, target_at, donor_at, data.names[target_at], data.names[donor_at], slots, max(1, len(donor))
    )
    return real_example(data, pair, seed, config)


def real_example(data: DataSet, pair: RealPair, seed: int, config: BatchCopyPasteConfig) -> Example:
    """The example that ``pair``, ``seed`` and ``config`` describe; the plan is drawn from the seed."""
    target = padded(data.samples[pair.target], pair.target_slots)
    source = padded(data.samples[pair.donor], pair.donor_slots)
    first = torch.zeros(1, dtype=torch.int64)
    plan = draw_plan(target, source, torch.tensor([seed]), config, source_idx=first)
    return Example(target, source, plan, config, seed, data.name, pair)


def padded(sample: DenseSample, slots: int) -> PaddedBatchedDenseSample:
    """A batch of this one sample with ``slots`` row slots."""
    return BatchedDenseSample.from_samples([sample]).to_padded(slots)


def ragged(batch: PaddedBatchedDenseSample) -> DenseSample:
    """The one sample of a batch with B = 1, its unused slots closed up."""
    return BatchedDenseSample.from_padded(batch).to_samples()[0]


def shares(total: int, parts: Sequence[object]) -> list[int]:
    """Split ``total`` examples over ``parts``; what does not divide goes to the first."""
    count = len(parts)
    return [total // count + (n < total % count) for n in range(count)] if count else []


def stream_seed(seed: int, name: str) -> int:
    """The seed of one stream of examples, independent of every other stream's."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")

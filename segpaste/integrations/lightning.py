"""A Lightning data module that pastes where batches arrive on their device.

``SegpasteDataModule`` is made on first use, as its base class is the lightning package's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from segpaste.augmentation import BatchCopyPaste, SourceStrategy
from segpaste.augmentation.loader import as_padded
from segpaste.integrations.collate import make_segpaste_collate_fn
from segpaste.paste.apply import ExecutorName
from segpaste.types import BatchCopyPasteConfig, PaddedBatchedDenseSample
from segpaste.types.numbers import whole_number

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule

    class SegpasteDataModule(LightningDataModule):
        """What type checkers see of the class that is made on first use."""

        augment: BatchCopyPaste
        max_instances: int


_STAGES = ("train", "val", "test", "predict")


def make_segpaste_datamodule(
    train: Any = None,
    val: Any = None,
    test: Any = None,
    predict: Any = None,
    *,
    max_instances: int,
    config: BatchCopyPasteConfig | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    pad: bool = False,
    loader_options: Mapping[str, Any] | None = None,
    convert: Callable[[PaddedBatchedDenseSample], Any] | None = None,
    source_strategy: SourceStrategy | None = None,
    seed: int | None = None,
    executor: ExecutorName | None = None,
) -> SegpasteDataModule:
    """A ``LightningDataModule`` whose training batches are pasted in ``on_after_batch_transfer``.

    Batches are padded in the loaders' workers, moved to the device by Lightning, and pasted
    there by one :class:`BatchCopyPaste`: in training only, not in validation, testing,
    prediction or Lightning's sanity check. The number of steps and the key of the module's
    seeds are in Lightning's checkpoints, so that a run that is resumed draws as it would have;
    the order of the samples is the sampler's matter. Ranks draw apart.

    Args:
        train: data set of :class:`DenseSample` for training; or a ``LightningDataModule`` of
            yours whose loaders give lists of samples (``collate_fn=list``),
            ``BatchedDenseSample`` or ``PaddedBatchedDenseSample``, which then is wrapped,
            hooks and all, and stands alone.
        val: data set for validation.
        test: data set for testing.
        predict: data set for prediction.
        max_instances: K, the row slots of a sample: its own rows and the pasted.
        config: as for :class:`BatchCopyPaste`.
        batch_size: samples of a batch; like the next three for data sets only, and refused beside
            a data module.
        num_workers: worker processes of each loader.
        pad: bring samples of several sizes to the largest of their batch.
        loader_options: what else each ``DataLoader`` gets, such as ``pin_memory`` or
            ``persistent_workers``.
        convert: what every batch, pasted or not, goes through at last: for instance
            ``partial(to_hf_batch, schema=schema)``. Without it a step gets a
            ``PaddedBatchedDenseSample``.
        source_strategy: as for :class:`BatchCopyPaste`, as are the next two.
        seed: see there.
        executor: see there.

    Returns:
        A ``SegpasteDataModule``; its ``augment`` is the ``BatchCopyPaste``.

    Raises:
        ImportError: if the lightning package is missing, with the extra that installs it.
        TypeError, ValueError: on arguments of another type, on a data module beside other
            data sets or what is for those only, and what :class:`BatchCopyPaste` refuses.
    """
    max_instances = whole_number("max_instances", max_instances, at_least=0)
    augment = BatchCopyPaste(config, source_strategy=source_strategy, seed=seed, executor=executor)
    if convert is not None and not callable(convert):
        raise TypeError(f"convert: got {type(convert).__name__}, expected a function of a batch or None")
    module = _class()
    if isinstance(train, _data_module()):
        others = [
            name for name, data in zip(_STAGES[1:], (val, test, predict), strict=True) if data is not None
        ]
        if others:
            raise ValueError(f"{others[0]}: got a data set beside a data module, expected the module alone")
        options = {"batch_size": (batch_size, 1), "num_workers": (num_workers, 0), "pad": (pad, False)}
        options["loader_options"] = (dict(loader_options or {}), {})
        for name, (given, default) in options.items():
            if given != default:
                raise ValueError(
                    f"{name}: got {given!r} beside a data module, whose own loaders decide it, "
                    f"expected {'none' if default == {} else default}"
                )
        return module(augment, max_instances, convert, inner=train)
    data_sets = {
        name: data
        for name, data in zip(_STAGES, (train, val, test, predict), strict=True)
        if data is not None
    }
    if not data_sets:
        raise ValueError("train: got no data set for any stage, expected one or more")
    for name, data in data_sets.items():
        if not isinstance(data, IterableDataset) and not hasattr(data, "__getitem__"):
            raise TypeError(f"{name}: got {type(data).__name__}, expected a data set of DenseSample")
    ignore_index = augment.config.ignore_index
    loading: dict[str, Any] = {
        "batch_size": whole_number("batch_size", batch_size, at_least=1),
        "num_workers": whole_number("num_workers", num_workers, at_least=0),
        "collate_fn": make_segpaste_collate_fn(max_instances, pad=pad, ignore_index=ignore_index),
        **(loader_options or {}),
    }
    return module(augment, max_instances, convert, data_sets=data_sets, options=loading)


def __getattr__(name: str) -> Any:
    # Under its name in this module, so that what is pickled finds it again.
    if name == "SegpasteDataModule":
        return _class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _data_module() -> Any:
    try:
        from lightning.pytorch import LightningDataModule
    except ModuleNotFoundError as error:
        if error.name not in (
            "lightning",
            "lightning.pytorch",
        ):  # it is there, and something that it imports is not
            raise
        raise ImportError(
            f"make_segpaste_datamodule needs lightning: pip install -e '.[lightning]' ({error})"
        ) from error
    return LightningDataModule


@cache
def _class() -> Any:
    base = _data_module()
    from lightning.pytorch.utilities.model_helpers import is_overridden

    class SegpasteDataModule(base):
        """Made by :func:`make_segpaste_datamodule`, which documents it."""

        def __init__(
            self,
            augment: BatchCopyPaste,
            max_instances: int,
            convert: Callable[[PaddedBatchedDenseSample], Any] | None,
            *,
            data_sets: Mapping[str, Any] | None = None,
            options: Mapping[str, Any] | None = None,
            inner: Any = None,
        ) -> None:
            self.inner = inner  # before the base class sets the trainer
            super().__init__()
            self.augment = augment
            self.max_instances = max_instances
            self.convert = convert
            self.data_sets = dict(data_sets or {})
            self.options = dict(options or {})
            for stage in _STAGES:
                # Lightning asks which of these an object has: only what there is data for.
                name = f"{stage}_dataloader"
                if inner is not None and is_overridden(name, inner):
                    setattr(self, name, getattr(inner, name))
                elif stage in self.data_sets:
                    # A partial function, as Lightning looks into it, and as it can be pickled.
                    setattr(
                        self, name, partial(_loader, self.data_sets[stage], self.options, stage == "train")
                    )

        @property
        def trainer(self) -> Any:
            """Lightning's trainer, which a wrapped module is told of, too."""
            return self._trainer

        @trainer.setter
        def trainer(self, trainer: Any) -> None:
            self._trainer = trainer
            if self.inner is not None:
                self.inner.trainer = trainer

        def prepare_data(self) -> None:
            if self.inner is not None:
                self.inner.prepare_data()

        def setup(self, stage: str) -> None:
            if self.inner is not None:
                self.inner.setup(stage)

        def teardown(self, stage: str) -> None:
            if self.inner is not None:
                self.inner.teardown(stage)

        def on_exception(self, exception: BaseException) -> None:
            if self.inner is not None:
                self.inner.on_exception(exception)

        def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            if self.inner is not None:
                batch = self.inner.on_before_batch_transfer(batch, dataloader_idx)
            return as_padded(batch, self.max_instances)

        def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
            if self.inner is not None:
                return self.inner.transfer_batch_to_device(batch, device, dataloader_idx)
            return batch.to(device)

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            """Paste, in training only; then what a wrapped module does; then ``convert``."""
            if self.trainer is not None and self.trainer.training:
                if self.augment.key.device != batch.labels.device:
                    self.augment.to(batch.labels.device)
                batch = self.augment(batch)
            if self.inner is not None:
                batch = self.inner.on_after_batch_transfer(batch, dataloader_idx)
            return batch if self.convert is None else self.convert(batch)

        def state_dict(self) -> dict[str, Any]:
            """The stream of seeds, and a wrapped module's own state."""
            state: dict[str, Any] = {"augment": {k: v.cpu() for k, v in self.augment.state_dict().items()}}
            if self.inner is not None:
                state["inner"] = self.inner.state_dict()
            return state

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.augment.load_state_dict(state_dict["augment"])
            if self.inner is not None:
                self.inner.load_state_dict(state_dict["inner"])

    SegpasteDataModule.__module__ = __name__
    SegpasteDataModule.__qualname__ = "SegpasteDataModule"
    return SegpasteDataModule


def _loader(data: Any, options: Mapping[str, Any], training: bool) -> DataLoader[Any]:
    shuffles = training and not isinstance(data, IterableDataset)
    if {"sampler", "batch_sampler"} & set(options):
        shuffles = False
    return DataLoader(data, **{"shuffle": shuffles, **options} if training else {**options, "shuffle": False})

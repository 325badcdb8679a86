"""The data module, in a real trainer on the CPU."""

from __future__ import annotations

import builtins
import pickle
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import IterableDataset

from segpaste.augmentation import BatchCopyPaste
from segpaste.integrations.huggingface import to_hf_batch
from segpaste.integrations.lightning import make_segpaste_datamodule
from segpaste.types import BatchedDenseSample, DenseSample, PaddedBatchedDenseSample
from tests.augmentation.batches import EVERYTHING, LIVELY, PANOPTIC, SCHEMA, same, samples

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # no news on a tiny data set
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # Lightning 2.6 beside torch 2.15
    # Python 3.12 warns of forking a process that has threads; loaders do it all the same.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


EXPECTED_STATE = {"augment": {"key": torch.tensor(1), "counter": torch.tensor(2)}, "inner": {"calls": 4}}


def trainer(folder: Path, **options: Any) -> Any:
    import lightning

    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": folder,
    }
    return lightning.Trainer(**quiet | options)


def padded(drawn: list[DenseSample]) -> PaddedBatchedDenseSample:
    return BatchedDenseSample.from_samples(drawn).to_padded(9)


def test_it_pastes_in_training_alone(tmp_path: Path) -> None:
    from tests.integrations.lightning_models import LooksAndValidates

    data = samples(4)
    module = make_segpaste_datamodule(
        data,
        data,
        max_instances=9,
        config=LIVELY,
        batch_size=2,
        seed=1,
        loader_options={"shuffle": False},
    )
    model = LooksAndValidates()
    trainer(tmp_path, max_epochs=2, num_sanity_val_steps=1).fit(model, module)
    augment = BatchCopyPaste(LIVELY, seed=1)
    assert [len(model.seen[stage]) for stage in ("sanity", "train", "val")] == [1, 4, 4]
    assert same(model.seen["sanity"][0], padded(data[:2]))
    for n, batch in enumerate(model.seen["train"]):
        expected = padded(data[2 * (n % 2) : 2 * (n % 2) + 2])
        assert same(batch, augment(expected))
        assert not same(batch, expected)
    for n, batch in enumerate(model.seen["val"]):
        assert same(batch, padded(data[2 * (n % 2) : 2 * (n % 2) + 2]))


def test_a_resumed_run_draws_what_it_would_have(tmp_path: Path) -> None:
    from tests.integrations.lightning_models import Looks

    data = samples(4)

    def run(epochs: int, seed: int, resume: Path | None = None) -> tuple[list[Any], Any]:
        module = make_segpaste_datamodule(
            data, max_instances=9, config=LIVELY, batch_size=2, seed=seed, loader_options={"shuffle": False}
        )
        model = Looks()
        running = trainer(tmp_path, max_epochs=epochs)
        running.fit(model, module, ckpt_path=resume, weights_only=True)
        return model.seen["train"], running

    whole, _ = run(3, seed=5)
    first, stopped = run(1, seed=5)
    stopped.save_checkpoint(tmp_path / "last.ckpt")
    rest, _ = run(3, seed=6, resume=tmp_path / "last.ckpt")  # another seed: the checkpoint's counts
    assert (len(whole), len(first), len(rest)) == (6, 2, 4)
    for one, other in zip(whole, first + rest, strict=True):
        assert same(one, other)


def test_a_data_module_of_ones_own_is_wrapped(tmp_path: Path) -> None:
    from tests.integrations.lightning_models import Looks, Own

    data = samples(4, modalities=EVERYTHING)
    own = Own(data)
    convert = partial(to_hf_batch, schema=SCHEMA)
    module = make_segpaste_datamodule(own, max_instances=9, config=PANOPTIC, seed=1, convert=convert)
    model = Looks()
    trainer(tmp_path, fast_dev_run=2).fit(model, module)
    assert own.calls == ["setup", "after", "after", "teardown"]
    augment = BatchCopyPaste(PANOPTIC, seed=1)
    for n, batch in enumerate(model.seen["train"]):
        expected = convert(augment(padded(data[2 * n : 2 * n + 2])))
        assert torch.equal(batch["pixel_values"], expected["pixel_values"])
        assert all(map(torch.equal, batch["mask_labels"], expected["mask_labels"]))
    other = make_segpaste_datamodule(Own(data), max_instances=9, config=PANOPTIC, seed=3)
    other.load_state_dict(module.state_dict())
    assert other.state_dict() == module.state_dict() == EXPECTED_STATE


class Stream(IterableDataset[DenseSample]):
    """Samples without a length."""

    def __iter__(self) -> Iterator[DenseSample]:
        return iter(samples(4))


def test_streams_workers_and_pickles() -> None:
    streamed = make_segpaste_datamodule(Stream(), max_instances=9, batch_size=4)
    assert same(next(iter(streamed.train_dataloader())), padded(samples(4)))
    module = make_segpaste_datamodule(
        samples(4), test=samples(2), max_instances=9, batch_size=2, num_workers=1, seed=2
    )
    again = pickle.loads(pickle.dumps(module))
    assert type(again) is type(module)
    torch.manual_seed(0)
    shuffled = [batch.labels.tolist() for _ in range(4) for batch in again.train_dataloader()]
    assert len({str(labels) for labels in shuffled}) > 2
    assert same(next(iter(again.test_dataloader())), padded(samples(2)))
    assert int(again.augment.key) == 2


def test_what_is_refused() -> None:
    from tests.integrations.lightning_models import Own

    with pytest.raises(ValueError, match="train: got no data set for any stage, expected one or more"):
        make_segpaste_datamodule(max_instances=9)
    with pytest.raises(TypeError, match="val: got int, expected a data set of DenseSample"):
        make_segpaste_datamodule(samples(2), 3, max_instances=9)
    with pytest.raises(ValueError, match="test: got a data set beside a data module"):
        make_segpaste_datamodule(Own([]), test=samples(1), max_instances=9)
    with pytest.raises(ValueError, match="max_instances: got -2, expected 0 or more"):
        make_segpaste_datamodule(samples(2), max_instances=-2)
    with pytest.raises(ValueError, match="batch_size: got 0, expected 1 or more"):
        make_segpaste_datamodule(samples(2), max_instances=9, batch_size=0)
    with pytest.raises(TypeError, match="convert: got dict, expected a function of a batch or None"):
        make_segpaste_datamodule(samples(2), max_instances=9, convert={})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"batch_size": 4},
            "batch_size: got 4 beside a data module, whose own loaders decide it, expected 1",
        ),
        ({"num_workers": 2}, "num_workers: got 2 beside a data module"),
        ({"pad": True}, "pad: got True beside a data module"),
        (
            {"loader_options": {"drop_last": True}},
            "loader_options: got {'drop_last': True} beside a data module",
        ),
    ],
)
def test_what_a_data_module_decides_itself_is_refused(option: dict[str, Any], message: str) -> None:
    from tests.integrations.lightning_models import Own

    with pytest.raises(ValueError, match=message):
        make_segpaste_datamodule(Own([]), max_instances=9, **option)
    defaults = make_segpaste_datamodule(Own([]), max_instances=9, batch_size=1, loader_options={})
    assert defaults.max_instances == 9


def test_an_import_that_fails_inside_of_the_package_is_not_called_its_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from segpaste.integrations import lightning as ours

    real = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "lightning.pytorch":
            raise ModuleNotFoundError("No module named 'lightning_utilities'", name="lightning_utilities")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    ours._class.cache_clear()
    with pytest.raises(ImportError) as caught:
        make_segpaste_datamodule(samples(2), max_instances=9)
    assert "lightning_utilities" in str(caught.value)
    assert "needs lightning" not in str(caught.value)


def test_without_the_package_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from segpaste.integrations import lightning as ours

    ours._class.cache_clear()
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    with pytest.raises(ImportError, match=r"needs lightning: pip install -e '.\[lightning\]'") as caught:
        make_segpaste_datamodule(samples(2), max_instances=9)
    assert "\n" not in str(caught.value)

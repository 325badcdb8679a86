"""The thirty-minute page prints what it says; and the same with real COCO images."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from segpaste.augmentation import BatchCopyPaste, make_large_scale_jittering
from segpaste.integrations import (
    contiguous_classes,
    id2label,
    load_data,
    make_segpaste_collate_fn,
    to_hf_batch,
)
from segpaste.invariants import assert_sample
from segpaste.presets import get_preset
from segpaste.types import BatchedDenseSample, DenseSample

PAGE = Path(__file__).parents[1] / "docs" / "thirty-minutes.md"
BLOCKS = re.compile(r"^```(python|text)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def test_the_page_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text("utf-8")
    namespace: dict[str, Any] = {"__name__": "thirty_minutes"}
    printed = ""
    shown = 0
    for match in BLOCKS.finditer(page):
        kind, content = match.groups()
        if kind == "text":
            # The loss depends on the machine's libraries in its last digits.
            assert without_losses(printed) == without_losses(content)
            shown += 1
            continue
        out = io.StringIO()
        lines_before = page[: match.start(2)].count("\n")
        with contextlib.redirect_stdout(out):
            exec(compile("\n" * lines_before + content, str(PAGE), "exec"), namespace)
        printed = out.getvalue()
    assert shown == 7
    assert (tmp_path / "pasted.png").stat().st_size > 0
    assert namespace["losses"][-1] < 0.8 * namespace["losses"][0]


def test_the_same_with_real_images(data_root: Path) -> None:
    preset = get_preset("coco-panoptic")
    schema = preset.batch_copy_paste.schema_spec
    assert schema is not None
    maps = Path(__file__).parent / "data_maps" / "coco128_multi.yaml"
    panoptic = next(d for d in load_data(data_root / "coco128_multi", mapping=maps) if d.name == "panoptic")
    jitter = make_large_scale_jittering((96, 96), min_scale=0.5, max_scale=1.5)
    torch.manual_seed(0)
    sanitize = preset.sanitize()
    assert sanitize is not None
    jittered = [sanitize(jitter(sample)) for sample in panoptic.samples[:4]]
    batch = make_segpaste_collate_fn(preset.max_instances)(jittered)
    pasted = BatchCopyPaste(preset.batch_copy_paste, seed=0)(batch, validate=True)
    for sample in BatchedDenseSample.from_padded(pasted).to_samples():
        assert_sample(sample, schema)
    indices = contiguous_classes(schema)
    losses = trained(to_hf_batch(pasted, schema, class_to_index=indices), id2label(schema), steps=20)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_model_takes_a_step_on_samples_with_and_without_segments(dtype: torch.dtype) -> None:
    preset = get_preset("coco-panoptic")
    schema = preset.batch_copy_paste.schema_spec
    assert schema is not None
    void = DenseSample.from_dict(
        {"image": torch.zeros((3, 64, 64), dtype=dtype), "semantic_map": torch.full((64, 64), 255)}
    )
    halves = torch.full((64, 64), 200)
    halves[:, 32:] = 1
    shown = DenseSample.from_dict({"image": torch.ones((3, 64, 64), dtype=dtype), "semantic_map": halves})
    inputs = to_hf_batch([void, shown], schema, class_to_index=contiguous_classes(schema))
    losses = trained(inputs, id2label(schema), steps=8)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] < losses[0]


def trained(inputs: dict[str, Any], names: dict[int, str], steps: int) -> list[float]:
    """The losses of a tiny Mask2Former with random weights on one batch."""
    # Here, as it takes seconds.
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    backbone = SwinConfig(
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 4, 8],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
    )
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_layers=1,
        encoder_feedforward_dim=64,
        decoder_layers=2,
        dim_feedforward=64,
        num_attention_heads=2,
        num_queries=40,
        train_num_points=512,
        id2label=names,
    )
    torch.manual_seed(0)
    model = Mask2FormerForUniversalSegmentation(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses: list[float] = []
    for _ in range(steps):
        loss = model(**inputs).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def without_losses(text: str) -> str:
    return re.sub(r"^loss [\d ]+$", "loss", text, flags=re.MULTILINE)

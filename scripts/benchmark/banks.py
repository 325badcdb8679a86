"""What banks are made of to be measured: crops of noise, and a drawn COCO data set."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.cells import Cell
from benchmark.scenes import draw_scenes
from segpaste.bank.layout import INDEX_DTYPE, Chunk, record_dtype
from segpaste.bank.meta import BankHead

CLASSES = 1203
"""As many as LVIS has."""
PICTURES = 24


def noise_head(side: int) -> BankHead:
    """Of crops of ``side`` x ``side``, image and alpha only."""
    return BankHead(crop_size=(side, side), num_classes=CLASSES)


def noise(side: int, count: int, at_once: int = 1024) -> Iterator[Chunk]:
    """``count`` crops of noise; most are of a few classes, as in LVIS."""
    draw = np.random.default_rng(0)
    dtype = record_dtype(noise_head(side))
    for first in range(0, count, at_once):
        n = min(at_once, count - first)
        records = np.zeros(n, dtype)
        records["image"] = draw.integers(0, 256, records["image"].shape, dtype=np.uint8)
        records["alpha"] = draw.integers(0, 2, records["alpha"].shape, dtype=np.uint8) == 1
        records["alpha"][:, 0, 0, 0] = True
        index = np.zeros(n, INDEX_DTYPE)
        index["class_id"] = (CLASSES ** draw.random(n) - 1).astype(np.int64)
        index["image_id"] = index["annotation_id"] = np.arange(first, first + n)
        index["score"], index["model"] = np.nan, -1
        index["crc32"] = [zlib.crc32(records[place : place + 1].view("u1").data) for place in range(n)]
        yield Chunk(records, index)


def coco_data_set(folder: Path, pictures: int) -> tuple[Path, Path]:
    """Annotations and folder of ``pictures`` JPEGs of 512 x 512, each with 1 to 16 objects as polygons.

    There are 24 different ones, each under several names: reading them costs the same.
    """
    images = folder / "images"
    images.mkdir(parents=True)
    scenes = draw_scenes(Cell("grid", min(PICTURES, pictures), 512, 1, 16, slots=16))
    content: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(100)],
    }
    for number in range(pictures):
        scene = scenes[number % len(scenes)]
        name = f"{number:06d}.jpg"
        Image.fromarray(scene.image.transpose(1, 2, 0)).save(images / name, quality=90)
        content["images"].append({"id": number, "file_name": name, "height": 512, "width": 512})
        for shape in scene.shapes:
            polygon = shape.polygon(24).reshape(-1).astype(float).tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": number,
                    "category_id": shape.label,
                    "segmentation": [polygon],
                    "bbox": [shape.left, shape.top, shape.width, shape.height],
                    "area": shape.width * shape.height,
                    "iscrowd": 0,
                }
            )
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path, images

"""A drawn COCO data set to be read: 640 x 480, seven objects, as polygons and as run lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 480, 640
OBJECTS = 7
CORNERS = 60
"""About as many as COCO's polygons have."""


def coco_files(folder: Path, pictures: int) -> dict[str, Path]:
    """Write ``pictures`` JPEGs into ``folder/images``; the JSON files by how they hold masks."""
    images = folder / "images"
    images.mkdir(parents=True)
    draw = np.random.default_rng(0)
    polygons: list[dict[str, Any]] = []
    run_lengths: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for number in range(1, pictures + 1):
        name = f"{number:06d}.jpg"
        picture = Image.fromarray(_background(draw))
        pen = ImageDraw.Draw(picture)
        for _ in range(OBJECTS):
            outline = _outline(draw)
            pen.polygon([(x, y) for x, y in outline], fill=tuple(draw.integers(0, 256, 3).tolist()))
            polygon = outline.round(2).reshape(-1).tolist()
            runs: Any = coco_mask.merge(coco_mask.frPyObjects([polygon], HEIGHT, WIDTH))
            common = {
                "id": len(polygons) + 1,
                "image_id": number,
                "category_id": int(draw.integers(1, 81)),
                "area": float(coco_mask.area(runs)),
                "bbox": coco_mask.toBbox(runs).tolist(),
                "iscrowd": 0,
            }
            counts = runs["counts"].decode("ascii")
            polygons.append({**common, "segmentation": [polygon]})
            run_lengths.append({**common, "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}})
        picture.save(images / name, quality=90)
        entries.append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
    written: dict[str, Path] = {}
    for kind, listed in (("polygons", polygons), ("run lengths", run_lengths)):
        content = {
            "info": {},
            "images": entries,
            "annotations": listed,
            "categories": [{"id": label, "name": f"class {label}"} for label in range(1, 81)],
        }
        written[kind] = folder / f"{kind.replace(' ', '_')}.json"
        written[kind].write_text(json.dumps(content), encoding="utf-8")
    return written


def _background(draw: np.random.Generator) -> np.ndarray:
    """A coarse pattern with some noise, which costs a decoder about what a photograph does."""
    coarse = draw.integers(0, 256, (HEIGHT // 32, WIDTH // 32, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int64)
    return np.clip(smooth + draw.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def _outline(draw: np.random.Generator) -> np.ndarray:
    """``[CORNERS, 2]`` (x, y) of a blob 40 to 240 pixels wide, within the picture."""
    radius = draw.uniform(20, 120)
    centre = draw.uniform((radius, radius), (WIDTH - radius, HEIGHT - radius))
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    reach = radius * (0.8 + 0.2 * np.sin(draw.integers(2, 6) * angles + draw.uniform(0, 6)))
    return centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)

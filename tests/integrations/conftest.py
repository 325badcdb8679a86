"""Tiny data folders, written file by file, for the readers to read and the tests to break."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

HEIGHT, WIDTH = 6, 8
CATEGORIES = [
    {"id": 1, "name": "cup", "isthing": 1},
    {"id": 7, "name": "ball", "isthing": 1},
    {"id": 200, "name": "wall", "isthing": 0},
]


class CocoFolder:
    """Two images with panoptic, instance and semantic labels.

    Image 10 is 6 x 8: a cup (segment 70000) at rows 1-2, columns 1-3, a ball (segment 5)
    at rows 3-4, columns 5-6, a crowd of balls (segment 9) in row 5, columns 0-2, the
    wall (segment 300) elsewhere, and row 0 unlabelled. Image 20 is 4 x 5, all wall.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        ids = np.full((HEIGHT, WIDTH), 300)
        ids[0] = 0
        ids[1:3, 1:4] = 70000
        ids[3:5, 5:7] = 5
        ids[5, 0:3] = 9
        self.ids = {10: ids, 20: np.full((4, 5), 300)}
        self.images: list[dict[str, Any]] = [
            {"id": 20, "file_name": "b.png", "height": 4, "width": 5},
            {"id": 10, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
        ]
        self.panoptic: dict[str, Any] = {
            "images": self.images,
            "categories": CATEGORIES,
            "annotations": [
                {
                    "image_id": 10,
                    "file_name": "a.png",
                    "segments_info": [
                        {"id": 70000, "category_id": 1, "iscrowd": 0},
                        {"id": 300, "category_id": 200, "iscrowd": 0},
                        {"id": 9, "category_id": 7, "iscrowd": 1},
                        {"id": 5, "category_id": 7, "iscrowd": 0},
                    ],
                },
                {
                    "image_id": 20,
                    "file_name": "b.png",
                    "segments_info": [{"id": 300, "category_id": 200, "iscrowd": 0}],
                },
            ],
        }
        crowd_runs = [5, 1, 5, 1, 5, 1, 30]
        self.instances: dict[str, Any] = {
            "images": self.images,
            "categories": CATEGORIES,
            "annotations": [
                {
                    "id": 3,
                    "image_id": 10,
                    "category_id": 7,
                    "iscrowd": 1,
                    "segmentation": {"size": [HEIGHT, WIDTH], "counts": crowd_runs},
                },
                {
                    "id": 2,
                    "image_id": 10,
                    "category_id": 7,
                    "iscrowd": 0,
                    "segmentation": [[5, 3, 7, 3, 7, 5, 5, 5]],
                },
                {
                    "id": 1,
                    "image_id": 10,
                    "category_id": 1,
                    "iscrowd": 0,
                    "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]],
                },
            ],
        }
        self.sets: list[dict[str, Any]] = [
            {
                "name": "panoptic",
                "kind": "coco_panoptic",
                "images": "images",
                "annotations": "panoptic.json",
                "panoptic": "png",
            },
            {
                "name": "instances",
                "kind": "coco_instances",
                "images": "images",
                "annotations": "instances.json",
            },
            {
                "name": "both",
                "kind": "coco_instances",
                "images": "images",
                "annotations": "instances.json",
                "semantic": {"folder": "semantic", "unlabelled": [0]},
            },
            {
                "name": "semantic",
                "kind": "semantic",
                "images": "images",
                "semantic": {"folder": "semantic", "unlabelled": [0]},
                "classes": "panoptic.json",
            },
        ]

    def write(self) -> Path:
        for name in ("images", "png", "semantic"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for image in self.images:
            ids = self.ids[image["id"]]
            shape = ids.shape
            colours = np.arange(shape[0] * shape[1] * 3, dtype=np.uint8).reshape(*shape, 3)
            Image.fromarray(colours).save(self.root / "images" / image["file_name"])
            rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
            Image.fromarray(rgb).save(self.root / "png" / image["file_name"])
            semantic = np.select([ids == 70000, ids == 5, ids == 9, ids == 300], [1, 7, 7, 200], 0)
            Image.fromarray(semantic.astype(np.uint8)).save(self.root / "semantic" / image["file_name"])
        (self.root / "panoptic.json").write_text(json.dumps(self.panoptic))
        (self.root / "instances.json").write_text(json.dumps(self.instances))
        self.write_mapping()
        return self.root

    def write_mapping(self) -> None:
        (self.root / "segpaste-data.yaml").write_text(yaml.safe_dump({"sets": self.sets}))

    def keep(self, *names: str) -> None:
        """Leave only these sets in the mapping file."""
        self.sets = [each for each in self.sets if each["name"] in names]


class FramesFolder:
    """Two frames of 24 x 32 with depth, intrinsics and normals; labels from the segmentation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        height, width = 24, 32
        rng = np.random.default_rng(0)
        self.rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        self.rgb[4:14, 6:20] = (250, 10, 10)
        self.depth = rng.integers(500, 4000, (height, width)).astype(np.uint16)
        self.depth[:3] = 0
        self.matrix = np.array([[30.0, 0, 15.0], [0, 31.0, 12.0], [0, 0, 1]])
        # left, up, toward: (0.6, 0, 0.8) and, in the last row, facing away
        self.normals: np.ndarray = np.zeros((height, width, 3), np.float32)
        self.normals[:] = (0.6, 0.0, 0.8)
        self.normals[-1] = (0.6, 0.0, -0.8)
        self.normals[:3] = 0
        self.set: dict[str, Any] = {
            "name": "frames",
            "kind": "frames",
            "frames": [
                {"rgb": f"{n}.png", "depth": f"{n}_d.png", "intrinsics": "k.npy", "normals": f"{n}_n.npy"}
                for n in ("a", "b")
            ],
            "depth": {"unit": 0.001},
            "normals": {"axes": ["left", "up", "toward"]},
            "labels": {"from": "segmentation"},
        }

    def write(self) -> Path:
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("a", "b"):
            Image.fromarray(self.rgb).save(self.root / f"{name}.png")
            Image.fromarray(self.depth).save(self.root / f"{name}_d.png")
            np.save(self.root / f"{name}_n.npy", self.normals)
        np.save(self.root / "k.npy", self.matrix)
        self.write_mapping()
        return self.root

    def write_mapping(self) -> None:
        (self.root / "segpaste-data.yaml").write_text(yaml.safe_dump({"sets": [self.set]}))


def write_png16(path: Path, values: np.ndarray, filter_type: int) -> None:
    """A 16-bit RGB PNG with one of the row filters 0 (none), 1 (left) or 2 (up)."""
    height, width, _ = values.shape
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8).astype(np.int64)
    left = np.pad(rows, ((0, 0), (6, 0)))[:, :-6]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    filtered = (rows - (np.zeros_like(rows), left, up)[filter_type]) % 256
    data = b"".join(bytes([filter_type]) + row.astype(np.uint8).tobytes() for row in filtered)

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "coco")


@pytest.fixture
def frames(tmp_path: Path) -> FramesFolder:
    return FramesFolder(tmp_path / "frames")

"""The process of one peer: the same scenes, in the form that library wants them.

    python -I scripts/bench_peers/runner.py NAME

Runs in the peer's own environment and speaks ``benchmark.protocol``. What is timed is a whole batch:
every sample receives what the library pastes of one other sample. The samples are laid out for it
before; collating ragged results into padded tensors is not timed, except where the library does it.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmark import protocol
from benchmark.cells import Cell
from benchmark.scenes import Scene, draw_scenes

POLYGON_POINTS = 100


def main() -> None:
    """Serve until the conductor closes standard input."""
    name = sys.argv[1]
    # Settings stay in the environment; nothing is looked up, installed or sent while measuring.
    os.environ |= {"YOLO_CONFIG_DIR": sys.prefix, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    random.seed(0)
    np.random.seed(0)
    protocol.serve(lambda request: _LIBRARIES[name](Cell(**request["prepare"])))


def _albumentationsx(cell: Cell) -> dict[str, protocol.Call]:
    library: Any = importlib.import_module("albumentations")
    importlib.import_module("cv2").setNumThreads(1)
    paste = library.Compose(
        [library.CopyAndPaste(scale_range=(0.5, 1.0), p=1.0)],
        bbox_params=library.BboxParams(coord_format="pascal_voc", label_fields=["labels"]),
        telemetry=False,
    )
    scenes = draw_scenes(cell)
    images = [_channels_last(scene, cell.dtype) for scene in scenes]
    masks = [scene.masks.astype(np.uint8) for scene in scenes]
    donors = [
        [
            {"image": image, "mask": mask, "bbox_labels": {"labels": int(label)}}
            for mask, label in zip(stack, scene.labels, strict=True)
        ]
        for scene, image, stack in zip(scenes, images, masks, strict=True)
    ]

    def call(_: int) -> list[Any]:
        return [
            paste(
                image=images[b],
                masks=masks[b],
                bboxes=scene.boxes,
                labels=scene.labels,
                copy_paste_metadata=donors[b - 1],
            )
            for b, scene in enumerate(scenes)
        ]

    return {"albumentationsx": call}


def _kornia(cell: Cell) -> dict[str, protocol.Call]:
    library: Any = importlib.import_module("kornia.augmentation")
    torch = _torch()
    scenes = draw_scenes(cell)
    images = torch.stack([torch.from_numpy(scene.image) for scene in scenes])
    if cell.dtype == "float32":
        images = images.to(torch.float32) / 255
    labels = torch.stack([torch.from_numpy(scene.id_map) for scene in scenes])
    paste = library.RandomTransplantation(excluded_labels=[0], p=1.0)
    return {"kornia": lambda _: paste(images, labels)}


def _ultralytics(cell: Cell) -> dict[str, protocol.Call]:
    augment: Any = importlib.import_module("ultralytics.data.augment")
    instances: Any = importlib.import_module("ultralytics.utils.instance")
    draw_masks: Any = importlib.import_module("ultralytics.data.utils").polygons2masks
    importlib.import_module("cv2").setNumThreads(1)
    _torch()
    labels = [
        {
            "img": _channels_last(scene, cell.dtype),
            "cls": scene.labels[:, None].astype(np.float32),
            "instances": instances.Instances(
                scene.boxes.copy(),
                np.stack([shape.polygon(POLYGON_POINTS) for shape in scene.shapes]),
                bbox_format="xyxy",
                normalized=False,
            ),
        }
        for scene in draw_scenes(cell)
    ]

    class Previous:
        """A data set that offers the previous sample, whichever is asked for: never the target itself."""

        at = 0

        def __len__(self) -> int:
            return len(labels)

        def get_image_and_label(self, index: int) -> dict[str, Any]:
            return dict(labels[self.at - 1])

    donors = Previous()
    paste = augment.CopyPaste(donors, p=1.0, mode="mixup")

    def call(_: int) -> list[Any]:
        done: list[Any] = []
        for donors.at, sample in enumerate(labels):
            done.append(paste(dict(sample)))
        return done

    def call_and_draw(_: int) -> list[Any]:
        side = (cell.size, cell.size)
        return [(labels, draw_masks(side, labels["instances"].segments, 1)) for labels in call(0)]

    return {"ultralytics": call, "ultralytics_masks": call_and_draw}


def _segpaste02(cell: Cell) -> dict[str, protocol.Call]:
    library: Any = importlib.import_module("segpaste")
    if version("segpaste") != "0.2.0" or not str(library.__file__).startswith(sys.prefix):
        raise RuntimeError(
            f"segpaste: got {version('segpaste')} outside the environment, expected 0.2.0 in it"
        )
    torch = _torch()
    config = library.CopyPasteConfig(
        paste_probability=1.0, min_paste_objects=cell.low, max_paste_objects=cell.high
    )
    collate = library.CopyPasteCollator(library.CopyPasteAugmentation(config))
    batch: list[tuple[Any, dict[str, Any]]] = []
    for scene in draw_scenes(cell):
        image = torch.from_numpy(scene.image)
        fields = {"boxes": scene.boxes, "labels": scene.labels, "masks": scene.masks}
        batch.append(
            (
                image if cell.dtype == "uint8" else image.to(torch.float32) / 255,
                {name: torch.from_numpy(value) for name, value in fields.items()},
            )
        )
    return {"segpaste02": lambda _: collate([(image, dict(target)) for image, target in batch])}


def _torch() -> Any:
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    return torch


def _channels_last(scene: Scene, dtype: str) -> np.ndarray:
    image = np.ascontiguousarray(scene.image.transpose(1, 2, 0))
    return image if dtype == "uint8" else image.astype(np.float32) / 255


_LIBRARIES: dict[str, Callable[[Cell], dict[str, protocol.Call]]] = {
    "albumentationsx": _albumentationsx,
    "kornia": _kornia,
    "ultralytics": _ultralytics,
    "segpaste02": _segpaste02,
}

if __name__ == "__main__":
    main()

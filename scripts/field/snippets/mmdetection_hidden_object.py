import sys
from importlib.util import find_spec
from types import ModuleType

if find_spec("mmcv._ext") is None:  # only needed with mmcv-lite, which lacks the compiled operators

    class NoOperators(ModuleType):
        def __getattr__(self, name: str):
            if name.startswith("__"):
                raise AttributeError(name)

            def missing(*_, **__):
                raise RuntimeError(f"{name} needs the full mmcv")

            return missing

    sys.modules["mmcv._ext"] = NoOperators("mmcv._ext")

import numpy as np
import torch
from mmdet.datasets.transforms import CopyPaste
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks


def results(label: int, x1: int, y1: int, x2: int, y2: int) -> dict:
    masks = np.zeros((1, 100, 100), np.uint8)
    masks[0, y1:y2, x1:x2] = 1
    return {
        "img": np.full((100, 100, 3), 50 * label, np.uint8),
        "gt_bboxes": HorizontalBoxes(torch.tensor([[float(x1), float(y1), float(x2), float(y2)]])),
        "gt_bboxes_labels": np.array([label]),
        "gt_ignore_flags": np.array([False]),
        "gt_masks": BitmapMasks(masks, 100, 100),
    }


for near in (0, 40):  # the same hidden object near the origin, and elsewhere
    target = results(1, near, near, near + 8, near + 8)
    target["mix_results"] = [results(2, near, near, near + 30, near + 30)]
    out = CopyPaste(selected=False).transform(target)
    areas = out["gt_masks"].masks.sum(axis=(1, 2)).tolist()
    print(
        "labels:",
        out["gt_bboxes_labels"].tolist(),
        "areas:",
        areas,
        "boxes:",
        out["gt_bboxes"].tensor.tolist(),
    )

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


def results(grey: int, rows: slice) -> dict:
    masks = np.zeros((1, 20, 20), np.uint8)
    masks[0, rows, 2:18] = 1
    return {
        "img": np.full((20, 20, 3), grey, np.uint8),
        "gt_bboxes": HorizontalBoxes(torch.tensor([[2.0, float(rows.start), 18.0, float(rows.stop)]])),
        "gt_bboxes_labels": np.array([1]),
        "gt_ignore_flags": np.array([False]),
        "gt_masks": BitmapMasks(masks, 20, 20),
    }


target = results(50, slice(0, 8))
target["mix_results"] = [results(200, slice(10, 20))]
out = CopyPaste(selected=False).transform(target)
print("img:", out["img"].dtype)

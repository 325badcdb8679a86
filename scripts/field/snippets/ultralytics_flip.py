import numpy as np
from ultralytics.data.augment import RandomFlip
from ultralytics.data.utils import polygon2mask
from ultralytics.utils.instance import Instances
from ultralytics.utils.ops import masks2segments

mask = np.zeros((4, 10), np.uint8)
mask[1:3, 2:5] = 1  # columns 2 to 4
img = np.repeat(mask[:, :, None] * 200, 3, axis=2)  # the picture shows exactly the object
segments = np.stack(masks2segments(mask[None]))  # the library's own conversion
box = np.array([[2, 1, 5, 3]], np.float32)
instances = Instances(box, segments, bbox_format="xyxy", normalized=False)
out = RandomFlip(p=1.0)({"img": img, "cls": np.zeros((1, 1), np.float32), "instances": instances})

again = polygon2mask((4, 10), [out["instances"].segments[0].reshape(-1)])
print("columns of the object in the picture:", np.flatnonzero(out["img"][:, :, 0].any(axis=0)).tolist())
print("columns of its mask:                 ", np.flatnonzero(again.any(axis=0)).tolist())

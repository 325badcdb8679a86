import numpy as np
from ultralytics.data.augment import CopyPaste
from ultralytics.utils.instance import Instances


def picture(grey: int, *boxes: list[int]) -> dict:
    corners = [[[x1, y1], [x2, y1], [x2, y2], [x1, y2]] for x1, y1, x2, y2 in boxes]
    instances = Instances(
        np.array(boxes, np.float32), np.array(corners, np.float32), bbox_format="xyxy", normalized=False
    )
    img = np.full((40, 40, 3), grey, np.uint8)
    return {"img": img, "cls": np.zeros((len(boxes), 1), np.float32), "instances": instances}


class Donors:
    def __len__(self) -> int:
        return 1

    def get_image_and_label(self, index: int) -> dict:
        return picture(200, [10, 10, 29, 29])


target = picture(50, [0, 0, 14, 39])  # 15 columns; the donor's object covers columns 10 to 29
out = CopyPaste(Donors(), p=1.0, mode="mixup")(target)
first = out["instances"].segments[0]
print("objects:", len(out["cls"]))
print("columns of the first object's polygon:", first[:, 0].min(), "to", first[:, 0].max())
print(
    "the picture at column 12, row 20, inside it:", out["img"][20, 12].tolist(), "(the donor's grey is 200)"
)

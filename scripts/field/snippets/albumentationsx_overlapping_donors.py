import albumentations as A
import numpy as np

image = np.zeros((10, 10, 3), np.uint8)
stripe = np.zeros((10, 10), np.uint8)
stripe[:, :7] = 1  # 7 of 10 columns: two of these must overlap


def donor(grey: int, label: int) -> dict:
    picture = np.full((10, 10, 3), grey, np.uint8)
    return {"image": picture, "mask": stripe, "bbox": [0, 0, 7, 10], "bbox_labels": {"labels": label}}


paste = A.Compose([A.CopyAndPaste(p=1.0)], bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))
paste.set_random_seed(0)
out = paste(
    image=image,
    masks=np.zeros((0, 10, 10), np.uint8),
    bboxes=np.zeros((0, 4), np.float32),
    labels=[],
    copy_paste_metadata=[donor(100, 1), donor(200, 2)],
)
first, second = out["masks"].reshape(2, 10, 10) > 0
print("pixels in both masks:", int((first & second).sum()))
print("grey values inside the first mask:", np.unique(out["image"][first]).tolist())

import albumentations as A
import numpy as np

image = np.zeros((10, 10, 3), np.uint8)
mask = np.zeros((10, 10), np.uint8)
mask[:, :8] = 1  # an object in columns 0 to 7
donor = np.full((10, 10, 3), 200, np.uint8)
stripe = np.zeros((10, 10), np.uint8)
stripe[:, :5] = 1  # what is pasted: full height, 5 columns

paste = A.Compose([A.CopyAndPaste(p=1.0)], bbox_params=A.BboxParams("pascal_voc", label_fields=["labels"]))
paste.set_random_seed(3)
out = paste(
    image=image,
    masks=mask[None],
    bboxes=np.array([[0, 0, 8, 10]], np.float32),
    labels=[1],
    copy_paste_metadata=[
        {"image": donor, "mask": stripe, "bbox": [0, 0, 5, 10], "bbox_labels": {"labels": 2}}
    ],
)
columns = out["masks"][0].any(axis=0).nonzero()[0]
print("columns left of the first object:", columns.min(), "to", columns.max())
print("its box:", out["bboxes"][0].tolist())

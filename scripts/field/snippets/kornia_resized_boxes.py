import kornia.augmentation as K
import torch

mask = torch.zeros(1, 1, 4, 4)
mask[..., 1, 1] = 1  # an object of one pixel
box = torch.tensor([[[1.0, 1.0, 1.0, 1.0]]])  # x, y, width, height; or both corners, inside


def resized(resize, key, image, mask, box):
    return K.AugmentationSequential(resize, data_keys=["input", "mask", key])(image, mask, box)


double = K.Resize((8, 8), resample="nearest")
for key in ("bbox_xywh", "bbox_xyxy"):
    _, after, moved = resized(double, key, mask.clone(), mask, box)
    columns = after[0, 0].any(dim=0).nonzero().flatten().tolist()
    print(f"doubled: mask in columns {columns}, {key} {moved[0, 0].tolist()}")

thin = torch.ones(1, 1, 4, 1)  # a picture of one column, all of it the object
_, _, moved = resized(K.Resize((8, 8)), "bbox_xywh", thin, thin, torch.tensor([[[0.0, 0.0, 1.0, 4.0]]]))
print("from a width of one pixel: bbox_xywh", moved[0, 0].tolist())

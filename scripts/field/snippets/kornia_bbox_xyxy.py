import kornia.augmentation as K
import torch
from kornia.geometry.boxes import Boxes

image = torch.zeros(1, 3, 6, 10)
whole = torch.tensor([[[0.0, 0.0, 10.0, 6.0]]])  # the whole picture, exclusive corners

flip = K.AugmentationSequential(K.RandomHorizontalFlip(p=1.0), data_keys=["input", "bbox_xyxy"])
print("bbox_xyxy:", flip(image, whole)[1][0].tolist())

size = torch.tensor([[[0.0, 0.0, 10.0, 6.0]]])  # x, y, width, height
flip = K.AugmentationSequential(K.RandomHorizontalFlip(p=1.0), data_keys=["input", "bbox_xywh"])
print("bbox_xywh:", flip(image, size)[1][0].tolist())
print("Boxes, mode 'xyxy', width:", Boxes.from_tensor(whole, mode="xyxy").get_boxes_shape()[1].item())

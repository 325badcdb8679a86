import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

panoptic = tv_tensors.Mask(torch.full((4, 4), 2**24 + 1))  # int64
print("id before:         ", panoptic.unique().tolist())
print("Resize(8):         ", v2.Resize(8)(panoptic).unique().tolist())
print(
    "RandomRotation(30):", v2.RandomRotation((30, 30), fill=7)(panoptic).unique().tolist(), "(7 is the fill)"
)

largest = tv_tensors.Mask(torch.full((4, 4), 2**24 - 1))  # the largest id that three bytes can hold
print("Resize(8) of", 2**24 - 1, "is", v2.Resize(8)(largest).unique().item())

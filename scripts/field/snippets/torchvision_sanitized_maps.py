import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

clean = v2.SanitizeBoundingBoxes()


def boxes(*rows):
    return tv_tensors.BoundingBoxes(torch.tensor(rows), format="XYXY", canvas_size=(2, 2))


one = {
    "boxes": boxes([0, 0, 0, 0]),  # one object, of which a crop has left nothing
    "labels": torch.tensor([1]),
    "depth": tv_tensors.Mask(torch.ones(1, 2, 2)),
}
print("depth before:", [*one["depth"].shape], "after:", [*clean(one)["depth"].shape])

two = {
    "boxes": boxes([0, 0, 2, 2], [0, 0, 0, 0]),
    "labels": torch.tensor([1, 1]),
    "semantic": tv_tensors.Mask(torch.ones(2, 2, dtype=torch.int64)),  # two rows of pixels, two boxes
}
print("semantic map before:", [*two["semantic"].shape], "after:", [*clean(two)["semantic"].shape])

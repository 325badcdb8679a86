import albumentations as A
import numpy as np

image = np.zeros((4, 16, 3), np.uint8)
semantic = np.full((4, 16), 5, np.uint8)  # class 5 everywhere
picture = np.full((4, 4, 3), 200, np.uint8)
ones = np.ones((4, 4), np.uint8)
with_map = {"image": picture, "mask": ones, "semantic_mask": np.full((4, 4), 7, np.uint8)}
without_map = {"image": picture, "mask": ones}

paste = A.Compose([A.CopyAndPaste(p=1.0)])
paste.set_random_seed(1)
for donors in ([without_map], [with_map, without_map]):
    out = paste(image=image, mask=semantic, copy_paste_metadata=donors)
    print("donors:", len(donors), "classes in the semantic mask:", np.unique(out["mask"]).tolist())

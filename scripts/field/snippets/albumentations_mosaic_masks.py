import albumentations as A
import numpy as np

image = np.zeros((4, 4, 3), np.uint8)
one = np.zeros((4, 4), np.uint8)
one[0, 0] = 1  # an instance mask of one pixel
semantic = np.full((4, 4), 7, np.uint8)

mosaic = A.Compose([A.Mosaic(target_size=(4, 4), cell_shape=(4, 4), p=1.0)])
mosaic.set_random_seed(0)
out = mosaic(image=image, mask=semantic, masks=one[None], mosaic_metadata=[])
print("values in the instance mask, with a semantic mask:", np.unique(out["masks"]).tolist())
try:
    mosaic(image=image, masks=one[None], mosaic_metadata=[])
except TypeError as error:
    print("without one: TypeError:", error)

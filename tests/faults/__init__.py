"""The fault zoo: broken augmentations, each one mistake, which the laws must catch."""

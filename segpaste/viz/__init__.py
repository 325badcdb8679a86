"""Pictures of samples, with Pillow alone."""

from segpaste.viz.colours import Colours, checkerboard, depth_colours, normal_colours, nth_colour
from segpaste.viz.contact_sheet import CropTile, draw_contact_sheet
from segpaste.viz.sample_picture import draw_samples
from segpaste.viz.strips import (
    Column,
    crop_around,
    data_uri,
    draw_strip,
    png_bytes,
    window_around,
)

__all__ = [
    "Colours",
    "Column",
    "CropTile",
    "checkerboard",
    "crop_around",
    "data_uri",
    "depth_colours",
    "draw_contact_sheet",
    "draw_samples",
    "draw_strip",
    "normal_colours",
    "nth_colour",
    "png_bytes",
    "window_around",
]

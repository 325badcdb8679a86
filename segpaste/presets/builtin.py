"""The presets that come with segpaste, and why their numbers are what they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from segpaste.presets.cityscapes_classes import CITYSCAPES_STUFF, CITYSCAPES_THINGS, CITYSCAPES_VOID
from segpaste.presets.coco_classes import COCO_STUFF, COCO_THINGS
from segpaste.presets.config import BankDonorsConfig, LargeScaleJitterConfig, PresetConfig
from segpaste.presets.lvis_classes import LVIS_THINGS
from segpaste.presets.nyu_classes import NYU40_STUFF, NYU40_THINGS
from segpaste.presets.sign_offs import SIGN_OFFS
from segpaste.types import (
    BatchCopyPasteConfig,
    BatchedPlacementConfig,
    Modality,
    PanopticPasteConfig,
    PanopticSchemaSpec,
)
from segpaste.types.schema import ThingOrStuff

_PANOPTIC = frozenset({Modality.IMAGE, Modality.INSTANCE, Modality.SEMANTIC, Modality.PANOPTIC})
_INSTANCE = frozenset({Modality.IMAGE, Modality.INSTANCE})

# Simple Copy-Paste: the donor was jittered as the target was, so that a group is pasted as large
# as it is, which copies its pixels instead of resampling them once more; but for groups that do not
# fit the part of the canvas that jittering left valid, which are shrunk (oversize_policy). Up to 20
# objects: more would always be all of them, and it is to be a random part.
_AS_IT_IS = BatchedPlacementConfig(scale_range=(1.0, 1.0), hflip_probability=0.5, k_range=(1, 20))

# Fewer pixels show nothing that could be learnt: 1/32 of COCO's limit of a small object, 32 x 32.
_LEAST_AREA = 32

# What a region of stuff has to keep; 16 x 16 is 1/4000 of a canvas of 1024 x 1024.
_LEAST_STUFF = 256


def _table(things: Mapping[int, str], stuff: Mapping[int, str], *, slots: int) -> PanopticSchemaSpec:
    classes: dict[int, ThingOrStuff] = dict.fromkeys(things, "thing")
    classes.update(dict.fromkeys(stuff, "stuff"))
    return PanopticSchemaSpec(classes=classes, ignore_index=255, max_instances_per_image=slots)


def _priorities(names: Mapping[int, str], **given: str) -> dict[int, int]:
    """``above2="tie"`` gives 2, ``below1="bed"`` -1; names are separated by commas."""
    ids = {name: number for number, name in names.items()}
    found: dict[int, int] = {}
    for word, listed in given.items():
        sign = 1 if word.startswith("above") else -1
        found |= {ids[name.strip()]: sign * int(word[5:]) for name in listed.split(",")}
    return found


# On a pixel that two pasted objects claim what is carried stands before who carries it, people
# before everything else, and large furniture behind what stands on it. Objects of one donor do not
# claim the same pixel, so that this decides only where donors are mixed: a bank, a strategy.
_COCO_PRIORITIES = _priorities(
    COCO_THINGS,
    above2="tie, backpack, handbag, umbrella, suitcase, frisbee, skis, snowboard, sports ball, baseball bat, "
    "baseball glove, skateboard, surfboard, tennis racket, cell phone",
    above1="person",
    below1="bench, chair, couch, bed, dining table",
)


@cache
def _coco_instance() -> PresetConfig:
    return PresetConfig(
        name="coco-instance",
        description="Instance segmentation on COCO: Simple Copy-Paste (Ghiasi et al. 2021) within the "
        "batch after large-scale jittering to 1024 x 1024; 80 classes with COCO's category ids.",
        batch_copy_paste=BatchCopyPasteConfig(
            placement=_AS_IT_IS,
            min_area=_LEAST_AREA,
            min_pasted_area=_LEAST_AREA,
        ),
        target_modalities=_INSTANCE,
        class_names=COCO_THINGS,
        large_scale_jitter=LargeScaleJitterConfig(),
        max_instances=128,
        min_mask_area=_LEAST_AREA,
        sign_off=SIGN_OFFS.get("coco-instance", ()),
    )


@cache
def _coco_panoptic() -> PresetConfig:
    return PresetConfig(
        name="coco-panoptic",
        description="Panoptic segmentation on COCO: things pasted within the batch after large-scale "
        "jittering to 1024 x 1024; 133 classes (80 things, 53 stuff) with COCO's category ids. Stuff of "
        "which less than a tenth or 256 pixels would be left becomes void; objects stay whole.",
        batch_copy_paste=BatchCopyPasteConfig(
            placement=_AS_IT_IS,
            panoptic=PanopticPasteConfig(
                taxonomy=_table(COCO_THINGS, COCO_STUFF, slots=128),
                class_priority=_COCO_PRIORITIES,
                stuff_min_area=dict.fromkeys(COCO_STUFF, _LEAST_STUFF),
                tau_stuff_frac=0.1,
                # "revert" would cut holes into objects, shaped like the rug they stand on.
                stuff_policy="ignore",
            ),
            min_area=_LEAST_AREA,
            min_pasted_area=_LEAST_AREA,
        ),
        target_modalities=_PANOPTIC,
        class_names=COCO_THINGS | COCO_STUFF,
        void_ids=(0,),
        large_scale_jitter=LargeScaleJitterConfig(),
        max_instances=128,
        min_mask_area=_LEAST_AREA,
        sign_off=SIGN_OFFS.get("coco-panoptic", ()),
    )


@cache
def _lvis_rare() -> PresetConfig:
    return PresetConfig(
        name="lvis-rare",
        description="Instance segmentation on LVIS v1 with a bank of crops: four crops for each image, "
        "classes drawn by the square root of their share (repeat factors at threshold 1), so that "
        "rare ones are seen; large-scale jittering to 1024 x 1024; 1203 classes.",
        batch_copy_paste=BatchCopyPasteConfig(
            placement=BatchedPlacementConfig(scale_range=(0.5, 2.0), hflip_probability=0.5, k_range=(1, 4)),
            source="bank",
            min_area=_LEAST_AREA,
            min_pasted_area=_LEAST_AREA,
        ),
        target_modalities=_INSTANCE,
        class_names=LVIS_THINGS,
        large_scale_jitter=LargeScaleJitterConfig(),
        max_instances=300,  # LVIS counts up to 300 detections an image
        min_mask_area=_LEAST_AREA,
        bank=BankDonorsConfig(repeat_threshold=1.0, crops_per_target=4, candidates_per_target=4),
        sign_off=SIGN_OFFS.get("lvis-rare", ()),
    )


@cache
def _cityscapes_panoptic() -> PresetConfig:
    names = CITYSCAPES_THINGS | CITYSCAPES_STUFF
    return PresetConfig(
        name="cityscapes-panoptic",
        description="Panoptic segmentation on Cityscapes: things pasted within the batch after jittering "
        "0.5 to 2 times the original size and cutting 512 x 1024; the benchmark's 19 classes (8 things, "
        "11 stuff) by label id. Stuff of which less than a tenth or 256 pixels would be left becomes void.",
        batch_copy_paste=BatchCopyPasteConfig(
            placement=_AS_IT_IS,
            panoptic=PanopticPasteConfig(
                taxonomy=_table(CITYSCAPES_THINGS, CITYSCAPES_STUFF, slots=256),
                # Who rides is in front of what is ridden, and both of other vehicles.
                class_priority=_priorities(names, above2="person, rider", above1="motorcycle, bicycle"),
                stuff_min_area=dict.fromkeys(CITYSCAPES_STUFF, _LEAST_STUFF),
                tau_stuff_frac=0.1,
                stuff_policy="ignore",
            ),
            min_area=_LEAST_AREA,
            min_pasted_area=_LEAST_AREA,
        ),
        target_modalities=_PANOPTIC,
        class_names=names,
        void_ids=CITYSCAPES_VOID,
        # An image of 1024 x 2048 fits 512 x 1024 at scale 1, so that this is half to twice its size.
        large_scale_jitter=LargeScaleJitterConfig(output_size=(512, 1024), min_scale=1.0, max_scale=4.0),
        max_instances=256,
        min_mask_area=_LEAST_AREA,
        sign_off=SIGN_OFFS.get("cityscapes-panoptic", ()),
    )


@cache
def _nyu_depth() -> PresetConfig:
    return PresetConfig(
        name="nyu-depth",
        description="RGB-D panoptic segmentation on NYU Depth v2: things pasted within the batch where they "
        "are nearer than what is there, depth in metres where the camera is known; jittering to "
        "480 x 640; 40 classes (37 things; walls, floors and ceilings are stuff). What would "
        "hide nearly all of a wall, floor or ceiling is not pasted there.",
        batch_copy_paste=BatchCopyPasteConfig(
            placement=BatchedPlacementConfig(scale_range=(0.8, 1.25), hflip_probability=0.5, k_range=(1, 20)),
            panoptic=PanopticPasteConfig(
                taxonomy=_table(NYU40_THINGS, NYU40_STUFF, slots=128),
                stuff_min_area=dict.fromkeys(NYU40_STUFF, _LEAST_STUFF),
                tau_stuff_frac=0.1,
                # The room's planes are what depth is learnt from: they are not made void.
                stuff_policy="revert",
            ),
            min_area=_LEAST_AREA,
            min_pasted_area=_LEAST_AREA,
            z_test=True,
        ),
        target_modalities=_PANOPTIC | {Modality.DEPTH},
        class_names=NYU40_THINGS | NYU40_STUFF,
        void_ids=(0,),
        large_scale_jitter=LargeScaleJitterConfig(output_size=(480, 640), min_scale=0.5, max_scale=2.0),
        max_instances=128,
        min_mask_area=_LEAST_AREA,
        sign_off=SIGN_OFFS.get("nyu-depth", ()),
    )


BUILTIN: dict[str, Callable[[], PresetConfig]] = {
    "cityscapes-panoptic": _cityscapes_panoptic,
    "coco-instance": _coco_instance,
    "coco-panoptic": _coco_panoptic,
    "lvis-rare": _lvis_rare,
    "nyu-depth": _nyu_depth,
}
"""Name -> what makes the preset, once."""

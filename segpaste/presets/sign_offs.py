"""The runs of ``segpaste audit`` that the presets have passed; scripts/sign_off_presets.py wrote it."""

from __future__ import annotations

from segpaste.presets.config import SignOff

SIGN_OFFS: dict[str, tuple[SignOff, ...]] = {
    "cityscapes-panoptic": (
        SignOff(
            config_sha256="7b9ed4fc0c14",
            data="drawn scenes",
            version="1.0.0.dev0",
            samples=200,
            seed=0,
            canvas=(64, 128),
            laws_held=81,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
    ),
    "coco-instance": (
        SignOff(
            config_sha256="488a3cc23829",
            data="coco_panoptic_sample/instances",
            version="1.0.0.dev0",
            samples=8,
            seed=0,
            canvas=(1024, 1024),
            laws_held=60,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
        SignOff(
            config_sha256="488a3cc23829",
            data="coco128_multi/instances",
            version="1.0.0.dev0",
            samples=24,
            seed=0,
            canvas=(1024, 1024),
            laws_held=60,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
    ),
    "coco-panoptic": (
        SignOff(
            config_sha256="fac8a7979d8b",
            data="coco_panoptic_sample/panoptic",
            version="1.0.0.dev0",
            samples=8,
            seed=0,
            canvas=(1024, 1024),
            laws_held=81,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
        SignOff(
            config_sha256="fac8a7979d8b",
            data="coco128_multi/panoptic",
            version="1.0.0.dev0",
            samples=24,
            seed=0,
            canvas=(1024, 1024),
            laws_held=81,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
    ),
    "lvis-rare": (
        SignOff(
            config_sha256="6a08e3410cc6",
            data="drawn scenes",
            version="1.0.0.dev0",
            samples=200,
            seed=0,
            canvas=(128, 128),
            laws_held=59,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
                "metamorphic.mirror_everything",
            ),
        ),
    ),
    "nyu-depth": (
        SignOff(
            config_sha256="dc8f9fb278a9",
            data="drawn scenes",
            version="1.0.0.dev0",
            samples=200,
            seed=0,
            canvas=(96, 128),
            laws_held=91,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
            ),
        ),
        SignOff(
            config_sha256="dc8f9fb278a9",
            data="rgbd_kinect/kinect, relabelled",
            version="1.0.0.dev0",
            samples=8,
            seed=0,
            canvas=(480, 640),
            laws_held=88,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.void_exact",
                "paste.winner_by_priority_and_order",
            ),
        ),
        SignOff(
            config_sha256="dc8f9fb278a9",
            data="tartanair_dsine/tartanair, relabelled",
            version="1.0.0.dev0",
            samples=8,
            seed=0,
            canvas=(480, 640),
            laws_held=90,
            not_exercised=(
                "image.finite",
                "paste.not_on_padding",
                "paste.winner_by_priority_and_order",
                "metamorphic.mirror_everything",
            ),
        ),
    ),
}
"""Name of the preset -> its runs."""

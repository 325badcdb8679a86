"""What is put to the laws: one function a case, which makes the augmentation in its adapter.

A function's name is the case's; ``scripts.field.cases:NAME()`` is the target's on the command line,
so that a stored violation can be run again from the root of the repository. Libraries are imported
by the function that needs them. Nearest sampling wherever there is a choice: interpolation at edges
is no violation.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from scripts.field import controls
from scripts.field.samples import Disjoint
from segpaste.testing.adapters.base import AugmentationKind
from segpaste.types import Modality


@dataclass(frozen=True)
class Case:
    """One transform of one library.

    Attributes:
        name: of the function that makes it.
        package: the distribution that must be installed, and the key of its part.
        transform: what it is, as the library's users write it.
        kind: ``"paste"``, ``"geometric"`` or ``"photometric"``.
        given: which conventions it was given other than the adapter's defaults, if any.
        make: makes it.
    """

    name: str
    package: str
    transform: str
    kind: AugmentationKind
    given: str
    make: Callable[[], Any]

    @property
    def target(self) -> str:
        """What it is called on the command line, from the root of the repository."""
        return f"scripts.field.cases:{self.name}()"


CASES: dict[str, Case] = {}
"""Every case by name, in the order of the page."""

OURS = "segpaste"

_MODULES = {"albumentationsx": "albumentations"}


def installed(package: str) -> str | None:
    """The version of a distribution; None where it is not installed or another's module is in its place."""
    try:
        found = distribution(package)
    except PackageNotFoundError:
        return None
    module = _MODULES.get(package, package)
    place = found.locate_file(f"{module}/__init__.py")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    own = Path(spec.origin).resolve() == Path(str(place)).resolve()
    return found.version if own else None


def _case(package: str, transform: str, kind: AugmentationKind, given: str = "") -> Callable[[Any], Any]:
    def enter(make: Callable[[], Any]) -> Callable[[], Any]:
        name = make.__name__
        CASES[name] = Case(name, package, transform, kind, given, make)
        return make

    return enter


def _adapters() -> Any:
    return import_module("segpaste.testing.adapters")


# Controls of our own, which break nothing.


@_case(OURS, "the reference executor as a plain callable", "paste")
def control_paste() -> Any:
    """The reference of segpaste without its audit: a black box like the others."""
    return controls.pasted


@_case(OURS, "a plain horizontal flip", "geometric")
def control_flip() -> Any:
    """A flip in twenty lines."""
    return controls.flipped


@_case(OURS, "a plain crop", "geometric")
def control_crop() -> Any:
    """A crop in thirty lines."""
    return controls.cropped


@_case(OURS, "plain inversion of the colours", "photometric")
def control_photometric() -> Any:
    """Colours only."""
    return controls.inverted


# torchvision.


@_case("torchvision", "v2.RandomHorizontalFlip(p=1)", "geometric")
def torchvision_horizontal_flip() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.RandomHorizontalFlip(p=1.0))


@_case(
    "torchvision", "v2.RandomHorizontalFlip(p=1)", "geometric", "normals as a mask, the camera passed through"
)
def torchvision_flip_normals() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(
        v2.RandomHorizontalFlip(p=1.0), modalities=frozenset(Modality), camera=True
    )


@_case("torchvision", "v2.RandomVerticalFlip(p=1)", "geometric")
def torchvision_vertical_flip() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.RandomVerticalFlip(p=1.0))


@_case("torchvision", "v2.RandomCrop(6)", "geometric")
def torchvision_crop() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.RandomCrop(6))


@_case("torchvision", "v2.ColorJitter(0.4, 0.4)", "photometric")
def torchvision_color_jitter() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.ColorJitter(0.4, 0.4))


@_case("torchvision", "v2.Resize((9, 13))", "geometric")
def torchvision_resize() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.Resize((9, 13)))


@_case("torchvision", "v2.RandomRotation(30)", "geometric")
def torchvision_rotation() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    return _adapters().TorchvisionTransform(v2.RandomRotation(30))


@_case(
    "torchvision",
    "v2.Compose([v2.RandomCrop(2), v2.SanitizeBoundingBoxes(labels_getter=labels_and_ids)])",
    "geometric",
    "the getter finds labels and ids",
)
def torchvision_sanitize() -> Any:
    v2: Any = import_module("torchvision.transforms.v2")
    getter = import_module("segpaste.testing.adapters.torchvision").labels_and_ids
    clean = v2.SanitizeBoundingBoxes(labels_getter=getter)
    # A small window, which objects often miss and which often has as many rows of pixels as objects.
    return _adapters().TorchvisionTransform(v2.Compose([v2.RandomCrop(2), clean]))


# Albumentations (2.0.8, the last of its line) and AlbumentationsX, which share a module's name.


@_case("albumentations", "HorizontalFlip(p=1)", "geometric")
def albumentations_horizontal_flip() -> Any:
    return _albumentations("HorizontalFlip", p=1.0)


@_case("albumentations", "RandomCrop(6, 6, p=1)", "geometric")
def albumentations_crop() -> Any:
    return _albumentations("RandomCrop", 6, 6, p=1.0)


@_case("albumentations", "RandomBrightnessContrast(p=1)", "photometric")
def albumentations_brightness() -> Any:
    return _albumentations("RandomBrightnessContrast", p=1.0)


@_case(
    "albumentations", "Mosaic(target_size=(16, 16), cell_shape=(16, 16), interpolation=nearest)", "geometric"
)
def albumentations_mosaic() -> Any:
    return _mosaic()


@_case("albumentationsx", "HorizontalFlip(p=1)", "geometric")
def albumentationsx_horizontal_flip() -> Any:
    return _albumentations("HorizontalFlip", p=1.0)


@_case("albumentationsx", "RandomCrop(6, 6, p=1)", "geometric")
def albumentationsx_crop() -> Any:
    return _albumentations("RandomCrop", 6, 6, p=1.0)


@_case("albumentationsx", "RandomBrightnessContrast(p=1)", "photometric")
def albumentationsx_brightness() -> Any:
    return _albumentations("RandomBrightnessContrast", p=1.0)


@_case(
    "albumentationsx", "Mosaic(target_size=(16, 16), cell_shape=(16, 16), interpolation=nearest)", "geometric"
)
def albumentationsx_mosaic() -> Any:
    return _mosaic()


@_case(
    "albumentationsx",
    "Mosaic(target_size=(16, 16), cell_shape=(16, 16), interpolation=nearest)",
    "geometric",
    'instance_binding=["masks", "bboxes"]',
)
def albumentationsx_mosaic_bound() -> Any:
    return _mosaic(instance_binding=True)


@_case("albumentationsx", "CopyAndPaste(p=1), one donor object", "paste")
def albumentationsx_copy_and_paste_one() -> Any:
    return _copy_and_paste(donors=1)


@_case("albumentationsx", "CopyAndPaste(p=1), all donor objects", "paste")
def albumentationsx_copy_and_paste() -> Any:
    return _copy_and_paste()


@_case("albumentationsx", "CopyAndPaste(p=1), every other donor object with its semantic mask", "paste")
def albumentationsx_copy_and_paste_some_semantic() -> Any:
    return _copy_and_paste(donors_with_semantic="every other")


# Kornia.


@_case("kornia", "RandomHorizontalFlip(p=1)", "geometric", 'boxes as "bbox_xyxy", half open')
def kornia_horizontal_flip() -> Any:
    return _kornia("RandomHorizontalFlip", p=1.0)


@_case("kornia", "RandomHorizontalFlip(p=1)", "geometric", 'boxes as "bbox_xyxy", both corners inside')
def kornia_horizontal_flip_inclusive() -> Any:
    return _kornia("RandomHorizontalFlip", {"boxes": "inclusive"}, p=1.0)


@_case("kornia", "RandomCrop((6, 6), p=1)", "geometric", 'boxes as "bbox_xyxy", both corners inside')
def kornia_crop() -> Any:
    return _kornia("RandomCrop", {"boxes": "inclusive"}, (6, 6), p=1.0)


@_case(
    "kornia", 'Resize((9, 13), resample="nearest")', "geometric", 'boxes as "bbox_xyxy", both corners inside'
)
def kornia_resize() -> Any:
    return _kornia("Resize", {"boxes": "inclusive"}, (9, 13), resample="nearest")


@_case("kornia", "Resize((9, 13))", "geometric", 'boxes as "bbox_xywh"')
def kornia_resize_default() -> Any:
    return _kornia("Resize", {"box_key": "bbox_xywh"}, (9, 13))


@_case("kornia", "ColorJitter(0.2, 0.2, 0.2, 0.1, p=1)", "photometric")
def kornia_color_jitter() -> Any:
    return _kornia("ColorJitter", {}, 0.2, 0.2, 0.2, 0.1, p=1.0)


@_case("kornia", "RandomTransplantation(p=1, excluded_labels=[255])", "paste")
def kornia_transplantation() -> Any:
    return _kornia("RandomTransplantation", p=1.0, excluded_labels=[255])


@_case("kornia", "RandomTransplantation(p=1)", "paste")
def kornia_transplantation_default() -> Any:
    return _kornia("RandomTransplantation", p=1.0)


# Ultralytics.


@_case("ultralytics", 'CopyPaste(p=1, mode="mixup")', "paste", "polygons at the pixels' centres")
def ultralytics_copy_paste() -> Any:
    return Disjoint(_ultralytics("CopyPaste", {"segments": "centres"}, p=1.0, mode="mixup"))


@_case("ultralytics", "RandomFlip(p=1)", "geometric", "polygons of pixel indices")
def ultralytics_flip() -> Any:
    return _ultralytics("RandomFlip", p=1.0)


@_case("ultralytics", "RandomFlip(p=1)", "geometric", "polygons at the pixels' centres")
def ultralytics_flip_centres() -> Any:
    return _ultralytics("RandomFlip", {"segments": "centres"}, p=1.0)


@_case("ultralytics", "Mosaic(imgsz=24)", "geometric", "polygons at the pixels' centres")
def ultralytics_mosaic() -> Any:
    donors = import_module("segpaste.testing.adapters.ultralytics").DonorDataset()
    return _ultralytics("Mosaic", {"segments": "centres"}, donors, imgsz=24)


@_case("ultralytics", "RandomHSV()", "photometric")
def ultralytics_hsv() -> Any:
    return _ultralytics("RandomHSV")


# MMDetection.


@_case("mmdet", "CopyPaste(selected=False)", "paste", "uint8 images, which the library loads")
def mmdetection_copy_paste() -> Any:
    return Disjoint(_mmdetection({"type": "CopyPaste", "selected": False}), torch.uint8)


@_case("mmdet", "RandomFlip(prob=1.0)", "geometric")
def mmdetection_flip() -> Any:
    return _mmdetection({"type": "RandomFlip", "prob": 1.0})


@_case("mmdet", "RandomCrop(crop_size=(6, 6))", "geometric")
def mmdetection_crop() -> Any:
    return _mmdetection({"type": "RandomCrop", "crop_size": (6, 6)})


@_case("mmdet", "YOLOXHSVRandomAug()", "photometric")
def mmdetection_hsv() -> Any:
    return _mmdetection({"type": "YOLOXHSVRandomAug"})


def _albumentations(name: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any) -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    transform = getattr(import_module("albumentations"), name)(*arguments, **named)
    return _adapters().AlbumentationsTransform(transform, **(options or {}))


def _mosaic(**options: Any) -> Any:
    nearest = 0  # cv2.INTER_NEAREST
    return _albumentations(
        "Mosaic",
        target_size=(16, 16),
        cell_shape=(16, 16),
        interpolation=nearest,
        fill_mask=255,
        p=1.0,
        options={"object_values": "one", **options},  # what is filled in is no object
    )


def _copy_and_paste(**options: Any) -> Any:
    return Disjoint(_albumentations("CopyAndPaste", p=1.0, options=options))


def _kornia(name: str, options: dict[str, Any] | None = None, *arguments: Any, **named: Any) -> Any:
    augmentation = getattr(import_module("kornia.augmentation"), name)(*arguments, **named)
    return _adapters().KorniaAugmentation(augmentation, **(options or {}))


def _mmdetection(config: dict[str, Any]) -> Any:
    return _adapters().MMDetectionTransform(config)


def _ultralytics(name: str, options: dict[str, Any] | None = None, *arguments: Any, **named: Any) -> Any:
    os.environ.setdefault("YOLO_CONFIG_DIR", tempfile.mkdtemp())  # it writes settings when imported
    os.environ.setdefault("YOLO_VERBOSE", "False")
    transform = getattr(import_module("ultralytics.data.augment"), name)(*arguments, **named)
    return _adapters().UltralyticsTransform(transform, **(options or {}))

"""Adapters: the augmentations of other libraries as callables ``(target, donor, seed)``.

Each adapter is imported, and its library with it, when it is first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segpaste.testing.adapters.albumentations import AlbumentationsTransform
    from segpaste.testing.adapters.base import (
        Accepts,
        Adapted,
        Adapter,
        AugmentationKind,
        Complaint,
        UnreadableResultError,
    )
    from segpaste.testing.adapters.kornia import KorniaAugmentation
    from segpaste.testing.adapters.mmdetection import MMDetectionTransform
    from segpaste.testing.adapters.torchvision import TorchvisionTransform
    from segpaste.testing.adapters.ultralytics import UltralyticsTransform

__all__ = [
    "Accepts",
    "Adapted",
    "Adapter",
    "AlbumentationsTransform",
    "Complaint",
    "KorniaAugmentation",
    "MMDetectionTransform",
    "TorchvisionTransform",
    "UltralyticsTransform",
    "UnreadableResultError",
    "adapt",
]

_HOMES = {
    "Accepts": "base",
    "Adapted": "base",
    "Adapter": "base",
    "AlbumentationsTransform": "albumentations",
    "Complaint": "base",
    "KorniaAugmentation": "kornia",
    "MMDetectionTransform": "mmdetection",
    "TorchvisionTransform": "torchvision",
    "UltralyticsTransform": "ultralytics",
    "UnreadableResultError": "base",
}

_BY_PACKAGE = {
    "albumentations": "AlbumentationsTransform",
    "kornia": "KorniaAugmentation",
    "mmcv": "MMDetectionTransform",
    "mmdet": "MMDetectionTransform",
    "torchvision": "TorchvisionTransform",
    "ultralytics": "UltralyticsTransform",
}


def adapt(augmentation: Any, *, kind: AugmentationKind | None = None) -> Adapter | None:
    """The adapter for an augmentation of a library that has one, with its default conventions.

    Where the defaults are not yours, make the adapter yourself:
    ``TorchvisionTransform(transform, ...)``.

    Args:
        augmentation: an instance, such as ``v2.RandomHorizontalFlip(p=1)``.
        kind: what it does, where the adapter cannot know.

    Returns:
        The adapter; the argument itself if it is one; None if no library here made it.
    """
    base = sys.modules.get(f"{__name__}.base")
    if base is not None and isinstance(augmentation, base.Adapter):
        return augmentation
    packages = [kind.__module__.partition(".")[0] for kind in type(augmentation).__mro__]
    for package in packages:
        if package in _BY_PACKAGE:
            return __getattr__(_BY_PACKAGE[package])(augmentation, kind=kind)
    return None


def before_import(module: str) -> None:
    """Do what has to be done before a module can be imported by name.

    MMDetection's transforms need stand-ins for the compiled operators that mmcv-lite lacks;
    Ultralytics would change Pillow.

    Raises:
        ImportError: if its library is not there.
    """
    package = module.partition(".")[0]
    if package in _BY_PACKAGE and find_spec(package) is None:
        raise ImportError(f"{package} is not installed; pip install -e '.[adapters]' brings it")
    if package == "mmdet":
        import_module(f"{__name__}.mmdetection").mmdetection_transforms()
    elif package == "ultralytics":
        import_module(f"{__name__}.ultralytics").import_ultralytics()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

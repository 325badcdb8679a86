"""Each kind of bad input: one line that names file and record; ``skip_bad`` leaves it out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from segpaste.integrations import DataError, load_data
from tests.integrations.conftest import write_png16

if TYPE_CHECKING:
    from tests.integrations.conftest import CocoFolder, FramesFolder


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def refused(root: Path, *parts: str) -> str:
    """The one line that ``load_data`` raises; every part stands in it."""
    with pytest.raises(DataError) as caught:
        load_data(root)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return message


def skipped(root: Path, names: tuple[str, ...], message: str) -> None:
    """With ``skip_bad`` the images ``names`` are left, and the message is counted once."""
    (data,) = load_data(root, skip_bad=True)
    assert data.names == names
    assert data.skipped == (message,)


def annotation(coco: CocoFolder, annotation_id: int) -> dict[str, Any]:
    return next(a for a in coco.instances["annotations"] if a["id"] == annotation_id)


LEFT = ("b.png", "b.png (mirrored)")


def test_truncated_image(coco: CocoFolder) -> None:
    coco.keep("instances")
    root = coco.write()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(
        root / "images" / "a.png"
    )
    truncate(root / "images" / "a.png")
    message = refused(root, "images/a.png", "not readable as an image")
    skipped(root, LEFT, message)


@pytest.mark.parametrize("content", [b"", b"GIF", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_image_that_is_none(coco: CocoFolder, content: bytes) -> None:
    coco.keep("instances")
    root = coco.write()
    (root / "images" / "a.png").write_bytes(content)
    skipped(root, LEFT, refused(root, "images/a.png", "not readable as an image"))


def test_truncated_jpeg(coco: CocoFolder) -> None:
    coco.keep("instances")
    coco.images[1]["file_name"] = "a.jpg"
    root = coco.write()
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "images" / "a.jpg")
    truncate(root / "images" / "a.jpg")
    skipped(root, LEFT, refused(root, "images/a.jpg", "not readable as an image"))


def test_missing_image_file(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    root = coco.write()
    (root / "images" / "a.png").unlink()
    skipped(root, LEFT, refused(root, "images/a.png: no such file"))


def test_image_of_another_size_than_annotated(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    root = coco.write()
    Image.fromarray(np.zeros((6, 7, 3), np.uint8)).save(root / "images" / "a.png")
    skipped(root, LEFT, refused(root, "images/a.png: image 10: got 6 x 7 pixels, expected 6 x 8"))


def test_image_of_16_bits(coco: CocoFolder) -> None:
    coco.keep("instances")
    root = coco.write()
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(root / "images" / "a.png")
    skipped(root, LEFT, refused(root, "images/a.png", "expected 8 bits per channel"))


@pytest.mark.parametrize(("name", "folder"), [("instances", "images"), ("panoptic", "png")])
def test_rgb_png_of_16_bits_is_not_cut(coco: CocoFolder, name: str, folder: str) -> None:
    coco.keep(name)
    root = coco.write()
    write_png16(root / folder / "a.png", np.full((6, 8, 3), 257), 0)
    part = f"{folder}/a.png: got RGB of 16 bits per channel, expected 8 bits per channel"
    skipped(root, LEFT, refused(root, part))


def test_annotation_of_a_missing_image(coco: CocoFolder) -> None:
    coco.keep("instances")
    annotation(coco, 2)["image_id"] = 11
    root = coco.write()
    message = refused(root, "instances.json: annotation 2: got image_id 11, expected one of the images")
    skipped(root, ("a.png", "b.png"), message)


@pytest.mark.parametrize(
    ("segmentation", "parts"),
    [
        ([[1, 1, 4, 1]], ("a polygon of 4 coordinates", "three points or more")),
        ([[1, 1, 4, 1, 4]], ("a polygon of 5 coordinates",)),
        ([[1, 1, 4, 1, 4, 3, float("nan"), 3]], ("got polygon", "expected [x0, y0, x1, y1, ...]")),
        ([[1, 1, 4, 1, 4, 3, 10**400, 3]], ("got polygon [1, 1", "expected [x0, y0, x1, y1, ...]")),
        ([[1, 1, 4, 1, 4, 1e9]], ("y 1 to 1e+09", "expected one in or near the image of 6 x 8")),
        ([], ("got segmentation [], expected polygons or run lengths",)),
        (None, ("got segmentation None",)),
        ({"size": [8, 6], "counts": [48]}, ("run lengths of size [8, 6], expected [6, 8]",)),
        ({"size": [6, 8], "counts": [40]}, ("run lengths over 40 pixels, expected 6 x 8 = 48",)),
        ({"size": [6, 8], "counts": [50, -2]}, ("expected run lengths of 0 or more",)),
        ({"size": [6, 8], "counts": [10**400]}, ("of 0 or more, 48 at most",)),
        ({"size": [6, 8], "counts": "o" * 20000 + "?"}, ("of 0 or more, 48 at most",)),
        ({"size": [6, 8], "counts": "0"}, ("run lengths over 0 pixels",)),
        ({"size": [6, 8], "counts": "`"}, ("counts that end within a number",)),
        ({"size": [6, 8], "counts": "é"}, ("got 'é' in counts",)),
        ({"size": [6, 8]}, ("got counts None",)),
    ],
)
def test_bad_segmentation(coco: CocoFolder, segmentation: Any, parts: tuple[str, ...]) -> None:
    coco.keep("instances")
    annotation(coco, 2)["segmentation"] = segmentation
    root = coco.write()
    skipped(root, LEFT, refused(root, "instances.json: image 10: annotation 2: ", *parts))


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("category_id", 3, "got category_id 3, expected one of the 3 classes of the table"),
        ("category_id", 200, "got category_id 200, which is stuff, expected a thing"),
        ("category_id", "cup", "got category_id 'cup', expected an integer"),
        ("iscrowd", 2, "got iscrowd 2, expected 0 or 1"),
    ],
)
def test_bad_annotation_field(coco: CocoFolder, key: str, value: Any, part: str) -> None:
    coco.keep("instances")
    annotation(coco, 2)[key] = value
    root = coco.write()
    skipped(root, LEFT, refused(root, "instances.json: image 10: annotation 2: ", part))


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        (None, "images[2]: got id None, expected an integer"),
        ({"id": 30, "height": 6, "width": 8}, "images[2]: got file_name None, expected a string"),
        ({"id": 30, "file_name": "a.png", "height": "6"}, "images[2]: got height '6', expected an integer"),
        (
            {"id": 10, "file_name": "a.png", "height": 6, "width": 8},
            "images[2]: got id 10 a second time, expected ids that differ",
        ),
    ],
)
def test_bad_entry_of_images(coco: CocoFolder, entry: Any, part: str) -> None:
    coco.keep("instances")
    root = coco.write()
    content = coco.instances | {"images": [*coco.images, entry]}
    (root / "instances.json").write_text(json.dumps(content))
    skipped(root, ("a.png", "b.png"), refused(root, "instances.json: ", part))


def test_annotations_of_a_bad_image_are_counted_with_it(coco: CocoFolder) -> None:
    coco.keep("instances")
    root = coco.write()
    content = coco.instances | {"images": [coco.images[0], {"id": 10}]}
    (root / "instances.json").write_text(json.dumps(content))
    skipped(root, LEFT, refused(root, "instances.json: images[1]: got file_name None"))


def test_annotation_id_twice(coco: CocoFolder) -> None:
    coco.keep("instances")
    coco.instances["annotations"].append(annotation(coco, 2) | {"image_id": 20})
    root = coco.write()
    message = refused(root, "instances.json: annotation 2: the id occurs twice, expected ids that differ")
    skipped(root, ("a.png", "b.png"), message)


def png_lacks_a_segment(coco: CocoFolder) -> None:
    coco.ids[10][coco.ids[10] == 5] = 300


def json_lacks_a_segment(coco: CocoFolder) -> None:
    coco.panoptic["annotations"][0]["segments_info"].pop()


def segment_twice(coco: CocoFolder) -> None:
    segments = coco.panoptic["annotations"][0]["segments_info"]
    segments.append(dict(segments[0]))


def segment_out_of_range(coco: CocoFolder) -> None:
    coco.panoptic["annotations"][0]["segments_info"][0]["id"] = 1 << 24


def segment_of_an_unknown_class(coco: CocoFolder) -> None:
    coco.panoptic["annotations"][0]["segments_info"][0]["category_id"] = 8


def image_without_annotation(coco: CocoFolder) -> None:
    del coco.panoptic["annotations"][0]


@pytest.mark.parametrize(
    ("break_it", "part"),
    [
        (png_lacks_a_segment, "segments_info has segment 5, which"),
        (json_lacks_a_segment, "a.png has segment 5, which segments_info lacks"),
        (segment_twice, "segment 70000: the id occurs twice"),
        (segment_out_of_range, "got an id outside of 1 to 2**24 - 1"),
        (segment_of_an_unknown_class, "segment 70000: got category_id 8, expected one of the 3 classes"),
        (image_without_annotation, "got 0 annotations, expected one"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_panoptic_png_and_json_that_disagree(
    coco: CocoFolder, break_it: Callable[[CocoFolder], None], part: str
) -> None:
    coco.keep("panoptic")
    break_it(coco)
    root = coco.write()
    skipped(root, LEFT, refused(root, "panoptic.json: image 10: ", part))


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros((6, 7, 3), np.uint8), "of [6, 7], expected the image's [6, 8]"),
        (np.zeros((6, 8), np.uint8), "got a L image, expected RGB"),
    ],
)
def test_panoptic_png_of_another_form(coco: CocoFolder, array: np.ndarray, part: str) -> None:
    coco.keep("panoptic")
    root = coco.write()
    Image.fromarray(array).save(root / "png" / "a.png")
    skipped(root, LEFT, refused(root, "png/a.png", part))


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.full((6, 8), 3, np.uint8), "got values [3], expected classes of the table, 255 or one of"),
        (np.zeros((5, 8), np.uint8), "got [5, 8], expected the image's [6, 8]"),
        (np.zeros((6, 8, 3), np.uint8), "got a RGB image, expected one channel of integers"),
    ],
)
def test_bad_semantic_map(coco: CocoFolder, array: np.ndarray, part: str) -> None:
    coco.keep("semantic")
    root = coco.write()
    Image.fromarray(array).save(root / "semantic" / "a.png")
    skipped(root, LEFT, refused(root, "semantic/a.png: ", part))


def test_missing_semantic_map(coco: CocoFolder) -> None:
    coco.keep("semantic")
    root = coco.write()
    (root / "semantic" / "a.png").unlink()
    skipped(root, LEFT, refused(root, "semantic/a.png: no such file"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "got a list, expected an object"),
        ("{}", "no categories, expected a list"),
        ('{"categories": [{"id": "a"}]}', "categories[0]: got id 'a', expected an integer"),
        ('{"categories": [{"id": 1, "isthing": 2}]}', "category 1: got isthing 2, expected 0 or 1"),
        ('{"categories": [{"id": 1}, {"id": 1}]}', "category 1: the id occurs twice"),
        ('{"categories": [{"id": 1}]}', "got images None, expected a list"),
        ('{"categories": [{"id": 1}], "images": []}', "got annotations None, expected a list"),
        ("1" * 5000, "not readable as JSON"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_unreadable_json_is_never_skipped(coco: CocoFolder, text: str, part: str, skip_bad: bool) -> None:
    coco.keep("instances")
    root = coco.write()
    (root / "instances.json").write_text(text)
    with pytest.raises(DataError) as caught:
        load_data(root, skip_bad=skip_bad)
    assert "instances.json: " in str(caught.value)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_annotations_file(coco: CocoFolder) -> None:
    coco.keep("instances")
    root = coco.write()
    (root / "instances.json").unlink()
    refused(root, "instances.json: no such file")


def test_missing_images_folder(coco: CocoFolder) -> None:
    coco.keep("semantic")
    coco.sets[0]["images"] = "nowhere"
    refused(coco.write(), "nowhere: no such folder, expected one of images")


def test_nothing_left(coco: CocoFolder) -> None:
    coco.keep("panoptic")
    root = coco.write()
    for file in (root / "images").iterdir():
        file.unlink()
    message = (
        r"set 'panoptic': no readable image left \(2 bad records skipped; the first: .*images/a.png: no such"
    )
    with pytest.raises(DataError, match=message):
        load_data(root, skip_bad=True)


B_LEFT = ("b", "b (mirrored)")


def zeros_depth(root: Path) -> None:
    Image.fromarray(np.zeros((24, 32), np.uint16)).save(root / "a_d.png")


def depth_of_another_size(root: Path) -> None:
    Image.fromarray(np.ones((24, 31), np.uint16)).save(root / "a_d.png")


def zero_intrinsics(root: Path) -> None:
    np.save(root / "k_a.npy", np.diag([0.0, 0.0, 1.0]))


def intrinsics_with_skew(root: Path) -> None:
    np.save(root / "k_a.npy", np.array([[30, 0.5, 15], [0, 30, 12], [0, 0, 1.0]]))


def intrinsics_of_another_shape(root: Path) -> None:
    np.save(root / "k_a.npy", np.eye(4))


def nan_intrinsics(root: Path) -> None:
    np.save(root / "k_a.npy", np.diag([np.nan, 30, 1]))


def nan_normals(root: Path) -> None:
    normals = np.load(root / "a_n.npy")
    normals[5, 5, 1] = np.nan
    np.save(root / "a_n.npy", normals)


def normals_of_another_size(root: Path) -> None:
    np.save(root / "a_n.npy", np.zeros((24, 31, 3), np.float32))


def normals_of_integers(root: Path) -> None:
    np.save(root / "a_n.npy", np.zeros((24, 32, 3), np.int64))


def normals_of_one_channel(root: Path) -> None:
    np.save(root / "a_n.npy", np.zeros((24, 32), np.float32))


def broken_npy(root: Path) -> None:
    truncate(root / "a_n.npy")


@pytest.mark.parametrize(
    ("break_it", "part"),
    [
        (zeros_depth, "a_d.png: got no valid depth, all 768 pixels are marked invalid"),
        (depth_of_another_size, "a_d.png: got depth of [24, 31], expected the image's [24, 32]"),
        (zero_intrinsics, "k_a.npy: camera_intrinsics.fx: got 0.0, expected more than 0"),
        (intrinsics_with_skew, "k_a.npy: got intrinsics [[30.0, 0.5, 15.0]"),
        (intrinsics_of_another_shape, "k_a.npy: got intrinsics of shape [4, 4], expected [3, 3]"),
        (nan_intrinsics, "k_a.npy: got intrinsics [[nan"),
        (nan_normals, "a_n.npy: got 1 normals that are NaN or infinite"),
        (normals_of_another_size, "a_n.npy: got normals of [24, 31], expected the image's [24, 32]"),
        (normals_of_integers, "a_n.npy: got dtype int64, expected floats"),
        (normals_of_one_channel, "a_n.npy: got shape [24, 32], expected [H, W, 3]"),
        (broken_npy, "a_n.npy: not readable as NPY"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_geometry(frames: FramesFolder, break_it: Callable[[Path], None], part: str) -> None:
    pytest.importorskip("skimage", reason="frames take their labels from scikit-image's segmentation")
    frames.set["frames"][0]["intrinsics"] = "k_a.npy"
    root = frames.write()
    np.save(root / "k_a.npy", frames.matrix)
    break_it(root)
    skipped(root, B_LEFT, refused(root, part))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_depth_that_is_no_depth_and_not_marked(frames: FramesFolder, value: float) -> None:
    pytest.importorskip("skimage", reason="frames take their labels from scikit-image's segmentation")
    depth = np.full((24, 32), 2.0, np.float32)
    depth[5, 6] = value
    frames.set["frames"][0]["depth"] = "a_d.npy"
    frames.set["depth"]["invalid"] = [65504]
    frames.depth[:] = 7
    root = frames.write()
    np.save(root / "a_d.npy", depth)
    skipped(
        root, B_LEFT, refused(root, f"a_d.npy: got depth {value:g} at 1 pixels that are not marked invalid")
    )


def test_depth_beyond_float32(frames: FramesFolder) -> None:
    frames.set["depth"]["unit"] = 1e40
    refused(frames.write(), "a_d.png: got depth", "is no positive float32 in the unit 1e+40")


@pytest.mark.parametrize(
    ("image", "part"),
    [
        (np.full((24, 32, 3), np.nan, np.float32), "got 768 pixels that are NaN or infinite"),
        (np.zeros((24, 32, 3), np.float64), "got dtype float64, expected uint8 or float32"),
        (np.zeros((24, 32, 2), np.uint8), "got shape [24, 32, 2], expected [H, W] or [H, W, 3]"),
    ],
)
def test_bad_npy_image(frames: FramesFolder, image: np.ndarray, part: str) -> None:
    pytest.importorskip("skimage", reason="frames take their labels from scikit-image's segmentation")
    frames.set["frames"][0]["rgb"] = "a.npy"
    root = frames.write()
    np.save(root / "a.npy", image)
    skipped(root, B_LEFT, refused(root, "a.npy: ", part))


def test_images_of_two_dtypes(frames: FramesFolder) -> None:
    pytest.importorskip("skimage", reason="frames take their labels from scikit-image's segmentation")
    frames.set["frames"][0]["rgb"] = "a.npy"
    root = frames.write()
    np.save(root / "a.npy", frames.rgb.astype(np.float32) / 255)
    refused(root, "set 'frames': b: got an image of torch.uint8, expected torch.float32 as in a")


@pytest.mark.parametrize("shape", ["(1000000000, 1000000)", "(3, 4)", "(-3, -1)", "(9" + "0" * 30 + ",)"])
def test_npy_that_is_shorter_than_its_header_says(frames: FramesFolder, shape: str) -> None:
    root = frames.write()
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(72)
    (root / "k.npy").write_bytes(content)
    refused(root, "k.npy: not readable as NPY: got 72 bytes of data, expected ")


def test_pickled_npy_is_refused(frames: FramesFolder) -> None:
    root = frames.write()
    np.save(root / "k.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(root, "k.npy: not readable as NPY")

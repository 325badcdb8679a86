"""What was found, graded and put into words for the people who can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = Literal["bug", "contract"]


@dataclass(frozen=True)
class Finding:
    """One thing that a library does to labels.

    Attributes:
        name: of its picture, its anchor on the page and its snippet.
        package: the distribution.
        grade: ``"bug"``, or ``"contract"`` for what the library documents, or never promised.
        title: one line.
        evidence: (case, law) whose smallest example is shown first, with its picture.
        covers: case -> globs of the laws that are broken for this reason.
        wrong, matters, remedy: what is wrong and on what input; why it matters; how it can be
            mended, or what a user does about it.
        snippet: whether there is code of the library alone that shows it.
        required: whether the report is incomplete without it.
    """

    name: str
    package: str
    grade: Grade
    title: str
    evidence: tuple[str, str]
    covers: dict[str, tuple[str, ...]]
    wrong: str
    matters: str
    remedy: str
    snippet: bool = False
    required: bool = False


@dataclass(frozen=True)
class Bill:
    """A clean bill: laws that a case must have exercised and held."""

    case: str
    laws: tuple[str, ...]
    words: str


_OVERLAPS = (
    "instance.same_class_disjoint",
    "instance.no_same_class_overlap",
    "instance.pasted_masks_disjoint",
    "provenance.labels_of_their_object",
    "provenance.masks_show_their_object",
)
_TIGHT = ("instance.boxes_are_tight", "instance.bbox_recomputed_from_mask")
_OVER_IGNORE = ("paste.not_on_ignore", "semantic.ignore_preserved")
_CROPPED = ("instance.boxes_are_tight", "instance.masks_not_empty", "panoptic.ids_are_rows")

_ROUNDED = (
    "panoptic.ids_are_rows",
    "panoptic.masks_match_map",
    "geometric.labels_never_grow",
    "geometric.panoptic_moves_with_image",
)

_WRONG_OVER_IGNORE = (
    "Objects are pasted over pixels that the target's semantic map marks as *ignore* (255), and where the "
    "donor's map says *ignore*, that is pasted, too."
)
_MATTERS_OVER_IGNORE = (
    "Image and label are replaced together, so that no label is wrong. A region that an annotator left out "
    "(a crowd, say) becomes partly labelled, which changes what the loss looks at."
)
_REMEDY_OVER_IGNORE = (
    "Nothing has to be mended. Who wants *ignore* regions kept masks them out before, or gives no "
    "donors there."
)
_WRONG_CROPPED = (
    "After a crop a box is the former box, cut to the window, and not the box of what is left of the "
    "mask. A row whose box reaches into the window and whose mask does not stays, with an empty mask."
)
_MATTERS_CROPPED = (
    "Boxes are looser than the masks they belong to, and an object that cannot be seen is an object "
    "to be found."
)

_ALL = [
    Finding(
        name="albumentationsx_stale_boxes",
        package="albumentationsx",
        grade="bug",
        title="CopyAndPaste leaves the boxes of partly hidden objects as they were",
        evidence=("albumentationsx_copy_and_paste_one", "instance.bbox_recomputed_from_mask"),
        covers={
            "albumentationsx_copy_and_paste_one": _TIGHT,
            "albumentationsx_copy_and_paste": _TIGHT,
            "albumentationsx_copy_and_paste_some_semantic": _TIGHT,
        },
        wrong=(
            "`apply_to_masks` takes the pasted pixels out of the surviving instance masks; `apply_to_bboxes` "
            "(`combine_copy_paste_bboxes`) selects the surviving boxes and leaves their coordinates alone. "
            "Whenever the pasted object hides a whole edge of an object, mask and box disagree. Input: any "
            "target object of which an edge is hidden, one donor is enough."
        ),
        matters=(
            "A detector is trained to draw the box around what cannot be seen, and box and mask "
            "losses of one object contradict each other. Pipelines that derive boxes from masks later"
            " do not see it."
        ),
        remedy=(
            "In `apply_to_bboxes`, recompute the box of every survivor that lost a pixel from its "
            "mask (`paste_instance_masks` are there already); leave the others alone. Where there are"
            " only boxes and no `masks`, nothing can be done, and that is worth a line in the "
            "documentation."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="albumentationsx_overlapping_donors",
        package="albumentationsx",
        grade="bug",
        title="CopyAndPaste lets donors overlap, and the earlier keeps its mask over pixels of the later",
        evidence=("albumentationsx_copy_and_paste", "instance.pasted_masks_disjoint"),
        covers={
            "albumentationsx_copy_and_paste": _OVERLAPS,
            "albumentationsx_copy_and_paste_some_semantic": _OVERLAPS,
        },
        wrong=(
            "Donors are stamped one after the other onto one canvas, each at a place of its own. "
            "Where two overlap the picture shows the later one, but `paste_instance_masks` keeps the "
            "full mask of both, and the box of the earlier one stays that of its whole mask. An "
            "earlier donor that is hidden completely stays as an object, too. Input: two donors or "
            "more."
        ),
        matters=(
            "Mask pixels of one object show another object, possibly of another class. With several "
            "donors an image, as Copy-Paste is used, this is frequent."
        ),
        remedy=(
            "After stamping, take the footprint of every later donor out of the masks of the earlier ones, "
            "drop donors of which nothing (or less than `min_visibility_after_paste`) is left, and compute "
            "their boxes from what remains."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="albumentationsx_class_zero",
        package="albumentationsx",
        grade="bug",
        title="CopyAndPaste writes class 0 under a donor without a semantic mask if another donor has one",
        evidence=("albumentationsx_copy_and_paste_some_semantic", "provenance.semantic_of_what_is_shown"),
        covers={"albumentationsx_copy_and_paste_some_semantic": ("provenance.semantic_of_what_is_shown",)},
        wrong=(
            "`semantic_mask` is optional for each donor. Without any, the target's mask is returned "
            "unchanged, and a warning says so. With some, a canvas of zeros is filled by those donors"
            " that have one, and `apply_to_mask` copies it under the footprints of *all* donors. "
            "Under the others the label becomes 0, which nobody gave. Input: two donors, one with "
            "`semantic_mask`, one without."
        ),
        matters=(
            "0 is a class in most label maps (background, or *road* in Cityscapes). The label is neither the "
            "former one nor the donor's, and there is no warning."
        ),
        remedy=(
            "Keep the union of the footprints of the donors that have a `semantic_mask`, and write "
            "only there; warn about the others as is done when there is none at all."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="albumentations_mosaic_masks",
        package="albumentations",
        grade="bug",
        title="Mosaic replaces every instance mask by the mosaic of the semantic mask",
        evidence=("albumentations_mosaic", "geometric.masks_move_with_image"),
        covers={
            "albumentations_mosaic": (
                "target.completes",
                "target.rows_aligned",
                "instance.boxes_are_tight",
                "instance.masks_not_empty",
                "instance.same_class_disjoint",
                "geometric.masks_move_with_image",
                "geometric.rows_show_their_object",
                "geometric.labels_never_grow",
            )
        },
        wrong=(
            "`masks` is not among the targets that the docstring lists (`image, mask, bboxes, "
            "keypoints`), but it is accepted: `apply_to_masks` of the base class calls "
            "`apply_to_mask` once for each instance mask, which ignores its argument and assembles "
            "the cells' `mask`. So every instance mask comes back as the same picture, the semantic "
            "mosaic, and there are as many as the first image had, whatever the number of boxes. "
            "Without a `mask` beside `masks` the call ends in a TypeError about `target_mask_shape`. "
            "Input: any call with `masks`."
        ),
        matters=(
            "Instance segmentation with Mosaic trains on masks that have nothing to do with the objects, and "
            "nothing says so."
        ),
        remedy=(
            "Raise on `masks`, as an unsupported target, or carry a stack of masks through the cells. "
            "AlbumentationsX 2.5.1 does the latter."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="ultralytics_untrimmed",
        package="ultralytics",
        grade="bug",
        title="CopyPaste never takes the pasted pixels out of the objects below",
        evidence=("ultralytics_copy_paste", "instance.masks_minus_union"),
        covers={"ultralytics_copy_paste": ("instance.masks_minus_union", *_OVERLAPS)},
        wrong=(
            "`apply_image` writes the donor's pixels, `apply_instances` appends the donor's polygons,"
            " and the polygons and boxes of the picture's own objects stay whole. The test `ioa < "
            "0.30` bounds how much of the *original's* box may be covered by one pasted box; it does "
            "not prevent overlaps. Input: any donor object that covers less than 30 % of an object's "
            "box and at least one pixel of its mask."
        ),
        matters=(
            "Up to 30 % of an object's box, several times over with several pasted objects, is "
            "labelled as the object and shows another one. With `overlap_mask=True` masks are merged "
            "with the smaller object on top, which is not necessarily the one that the picture shows."
        ),
        remedy=(
            "A polygon cannot always be cut into one polygon again; but `im_new`, the footprint, is "
            "there. Cutting the rasterised masks (`Format` rasterises later) or skipping donors that "
            "meet an object's *mask* (`ioa == 0` on masks) are two ways out; the paper cuts the "
            "masks."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="ultralytics_flip",
        package="ultralytics",
        grade="bug",
        title="A flip moves polygons of pixel indices one pixel further than the picture",
        evidence=("ultralytics_flip", "geometric.masks_move_with_image"),
        covers={
            "ultralytics_flip": (
                "instance.boxes_are_tight",
                "instance.boxes_in_canvas",
                "instance.masks_not_empty",
                "instance.same_class_disjoint",
                "geometric.masks_move_with_image",
                "geometric.rows_show_their_object",
            )
        },
        wrong=(
            "`Instances.fliplr` maps x to `w - x`, which is right for continuous coordinates. The "
            "library's own `masks2segments` and `convert_segment_masks_to_yolo_seg` write vertices "
            "that are pixel *indices* (`cv2.findContours`), and `polygon2mask` reads them as indices "
            "(`int32`, `cv2.fillPoly`). The picture maps index x to `w - 1 - x`. Input: any mask "
            "converted by the library and flipped; `flipud` likewise. Polygons whose vertices lie at "
            "the pixels' centres (x + 0.5) are flipped exactly, see the case beside this one."
        ),
        matters=(
            "Every flipped mask is off by one pixel of the picture that was labelled (scaled with the"
            " picture, if that is resized before the flip); of an object of one pixel's width no "
            "pixel is right, and objects at the border lose a column. Half of all training pictures "
            "are flipped by default. A double flip hides it, so that tests by involution pass."
        ),
        remedy=(
            "Add 0.5 to the contours in `masks2segments` and in the converter: `polygon2mask` truncates, so "
            "that masks stay what they are, and flips become exact."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="mmdetection_dtype",
        package="mmdet",
        grade="bug",
        title="CopyPaste returns a uint8 image as int64",
        evidence=("mmdetection_copy_paste", "target.dtype_kept"),
        covers={"mmdetection_copy_paste": ("target.dtype_kept",)},
        wrong=(
            "`composed_mask = np.where(np.any(...), 1, 0)` is int64, so `dst_img * (1 - "
            "composed_mask) + src_img * composed_mask` is int64. Input: any uint8 picture into which "
            "at least one object is pasted; without donor objects the dtype is kept."
        ),
        matters=(
            "Eight times the memory and traffic between workers and trainer, and transforms after it "
            "that need uint8 (`cv2.cvtColor`, `cv2.LUT`) fail or take another path, depending on "
            "whether something was pasted."
        ),
        remedy="`np.where(composed_mask[..., None], src_img, dst_img)` keeps the dtype and is faster.",
        snippet=True,
        required=True,
    ),
    Finding(
        name="mmdetection_hidden_object",
        package="mmdet",
        grade="bug",
        title="CopyPaste keeps an object that is hidden completely if its box was near the origin",
        evidence=("mmdetection_copy_paste", "instance.masks_not_empty"),
        covers={
            "mmdetection_copy_paste": (
                "instance.masks_not_empty",
                "instance.small_area_dropped",
                "paste.drops_exactly_by_threshold",
            )
        },
        wrong=(
            '`_copy_paste` filters "totally occluded objects" by the distance of the new box from the'
            " old one: objects whose four coordinates moved by at most `bbox_occluded_thr` (10) stay."
            " The box of an empty mask is [0, 0, 0, 0], so that an object within 10 pixels of the "
            "origin passes. Input: an object in the top left corner, at most 10 pixels wide and high,"
            " hidden by a donor. (The drawn samples are small, so that it is frequent here; in "
            "photographs it is rare.)"
        ),
        matters="An object without a pixel, with a box without area, reaches the assigner and the losses.",
        remedy="`valid_inds = (bboxes_inds | masks_inds) & updated_dst_masks.masks.any(axis=(1, 2))`.",
        snippet=True,
    ),
    Finding(
        name="torchvision_sanitized_maps",
        package="torchvision",
        grade="bug",
        title="SanitizeBoundingBoxes cuts depth and semantic maps as if they were masks of the rows",
        evidence=("torchvision_sanitize", "target.rows_aligned"),
        covers={"torchvision_sanitize": ("target.rows_aligned",)},
        wrong=(
            "Every `Mask` of the sample is indexed with the verdicts on the N boxes, and only an "
            "`IndexError` keeps it whole. The documentation says that masks of shape [H, W], or whose "
            "dimensions do not match, are passed through unchanged; a semantic map [H, W] with H = N "
            "loses a row of pixels for every box that goes. A depth map [1, H, W] beside a single box "
            "that goes becomes [0, H, W]; its shape is that of one instance mask, so that nothing could "
            "tell them apart but the key. Input: a box to be removed, and a `Mask` whose first dimension "
            "is the number of boxes and which is not the rows' own."
        ),
        matters=(
            "H = N is rare in photographs. One object beside a map with one channel is not, where depth, "
            "validity or padding are carried as a `Mask`: once a crop has left nothing of the object, the "
            "map is gone, and what stops is a loader or a loss further on, far from the cause."
        ),
        remedy=(
            "Maintainers: leave what has two dimensions alone, as documented, and let the user name the "
            "rows' masks, as `labels_getter` does for labels. Users: carry such maps as an `Image` or a "
            "class of their own, or put them aside during this transform."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="torchvision_large_ids",
        package="torchvision",
        grade="bug",
        title="Whatever resamples a mask rounds int64 ids beyond 2**24, without a word",
        evidence=("torchvision_resize", "geometric.panoptic_moves_with_image"),
        covers={"torchvision_resize": _ROUNDED, "torchvision_rotation": _ROUNDED},
        wrong=(
            "`resize`, `rotate` and `affine` turn integers into float32 and back, for masks, too, where "
            "nothing is interpolated. 16777217 comes back as 16777216, an id that was not in the map, and "
            "two ids can become one. Input: an int64 (or int32) `Mask` with a value beyond 2**24."
        ),
        matters=(
            "Hardly anybody meets it. COCO's panoptic ids are colours of three bytes, at most 2**24 - 1, "
            "and come out exact, as the snippet shows; those of the drawn samples reach 2**31 on purpose. "
            "Who packs class and instance into one integer, or hashes, loses ids in silence."
        ),
        remedy=(
            "Maintainers: float64 for integers of more than 24 bits (exact to 2**53), indexing for nearest "
            "sampling, or an error, as Kornia 0.9 raises. Users: small ids while transforming (0 to n - 1), "
            "and a table to map them back."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="kornia_resized_boxes",
        package="kornia",
        grade="bug",
        title="A resized box is that of the pixels' centres: half a pixel's growth is missing on every side",
        evidence=("kornia_resize", "instance.boxes_are_tight"),
        covers={
            "kornia_resize": ("instance.boxes_are_tight",),
            "kornia_resize_default": ("instance.boxes_are_tight", "instance.boxes_in_canvas"),
        },
        wrong=(
            "`Resize` moves the corners of a box with its `transform_matrix`, which maps centres of pixels "
            "to centres of pixels. Boxes are kept inclusive, with corners at the centres of the first and "
            "last pixel, and the half pixel around them is not scaled: at a scale of s the width w "
            "becomes s (w - 1) + 1 instead of s w. An object of one pixel, doubled, has a mask two pixels "
            "wide and a box one pixel wide. No `box_key` and neither reading of corners gives tight boxes. "
            "That coordinates are pixel centres and that boxes are inclusive is documented, each in its "
            "place; that a resized box therefore does not hold its object is not. With the default "
            "`align_corners=True` a picture with a side of one pixel has boxes of NaN (the case beside "
            "this one). Input: any box under any scale but 1. `RandomResizedCrop` moves boxes likewise."
        ),
        matters=(
            "A box is |s - 1| pixels too narrow, or too wide if shrunk, whatever its size: one pixel where "
            "a picture is doubled, seven where it is made eight times larger, little for large objects. "
            "Small objects enlarged by a crop lose most. Pictures with a side of one pixel do not occur, so "
            "that the NaN is of no weight."
        ),
        remedy=(
            "Maintainers: scale boxes by their outer edges, half a pixel beyond the inclusive corners (for "
            "`bbox_xywh` x, y, width and height times s). Users: boxes from masks after a resize."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="kornia_bbox_xyxy",
        package="kornia",
        grade="contract",
        title='Boxes under "bbox_xyxy" are inclusive: half-open ones come out of a flip one pixel off',
        evidence=("kornia_horizontal_flip", "instance.boxes_are_tight"),
        covers={"kornia_horizontal_flip": ("instance.boxes_are_tight", "instance.boxes_in_canvas")},
        wrong=(
            "`AugmentationSequential` reads `bbox_xyxy` as `xyxy_plus`, both corners inside, and its "
            'docstring says so. In the same library `Boxes.from_tensor(mode="xyxy")` is exclusive, '
            "and so is the key `bbox_xyxy` in the mix augmentations (`MixAugmentationBaseV2`). The "
            "box [0, 0, 10, 6] of a picture of 10 x 6 becomes [-1, 0, 9, 6]. Input: any half-open "
            "box, as COCO tools, torchvision and detectors write them. With both corners inside (the "
            "case beside this one) every law is held."
        ),
        matters=(
            "Boxes of flipped pictures are one pixel off, and start outside the picture. Two flips "
            "hide it, so that tests by involution pass."
        ),
        remedy=(
            "Users: subtract 1 from the right and lower corner before and add it after, or use `bbox_xywh`. "
            "Maintainers: one meaning of `bbox_xyxy` in the containers and in the mix augmentations, or keys "
            "`bbox_xyxy` and `bbox_xyxy_plus`."
        ),
        snippet=True,
        required=True,
    ),
    Finding(
        name="kornia_boxes_not_clipped",
        package="kornia",
        grade="contract",
        title="Boxes are moved with a crop, and neither cut to the window nor dropped",
        evidence=("kornia_crop", "instance.boxes_in_canvas"),
        covers={
            "kornia_crop": (
                "instance.boxes_are_tight",
                "instance.boxes_in_canvas",
                "instance.masks_not_empty",
            )
        },
        wrong=(
            "Boxes come out of `RandomCrop` with coordinates outside the picture, and rows without a "
            "pixel stay."
        ),
        matters="Boxes outside the picture and objects without a pixel are refused by many detectors.",
        remedy=(
            "Users: clip the boxes, and drop the rows without area; rows keep their order, so labels "
            "can follow."
        ),
    ),
    Finding(
        name="kornia_ignore_pasted",
        package="kornia",
        grade="contract",
        title="RandomTransplantation pastes label 255 like any other unless it is excluded",
        evidence=("kornia_transplantation_default", "metamorphic.empty_source_is_identity"),
        covers={"kornia_transplantation_default": ("metamorphic.empty_source_is_identity",)},
        wrong=(
            "Any value of the donor's mask may be drawn and pasted, 255 as well, so that regions "
            "without a label are copied. With `excluded_labels=[255]`, which is documented for this, "
            "it does not happen."
        ),
        matters="Labels are replaced by *ignore*, and the picture by what nobody annotated.",
        remedy="Users: `excluded_labels=[255]`.",
    ),
    Finding(
        name="albumentationsx_mosaic_rows",
        package="albumentationsx",
        grade="contract",
        title="Mosaic returns flat `masks` and `bboxes` in different numbers",
        evidence=("albumentationsx_mosaic", "target.rows_aligned"),
        covers={"albumentationsx_mosaic": ("target.rows_aligned", *_CROPPED)},
        wrong=(
            "Boxes that lie outside the mosaic's window are filtered, their masks are not, and "
            'without ids nobody can say which mask is whose. With `instance_binding=["masks", '
            '"bboxes"]`, which exists for this, they stay together (the case beside this one). What '
            "is left of a mask may be less than its box, which is cut and not computed anew."
        ),
        matters="Masks and labels in the order of the boxes belong to other objects from the first gap on.",
        remedy=(
            "Users: `instance_binding`. Maintainers: refuse, or warn about, `masks` beside `bboxes` "
            "without it."
        ),
    ),
    Finding(
        name="albumentationsx_mosaic_empty",
        package="albumentationsx",
        grade="contract",
        title="Mosaic keeps objects of which nothing can be seen, with an empty mask",
        evidence=("albumentationsx_mosaic_bound", "instance.masks_not_empty"),
        covers={"albumentationsx_mosaic_bound": _CROPPED},
        wrong=(
            "An object whose box reaches into the window of the mosaic and whose mask does not stays,"
            " with an empty mask, under `instance_binding`, too. (With it, crops drop such objects.)"
        ),
        matters="An object that cannot be seen is an object to be found.",
        remedy="Users: drop rows with empty masks at the end of the pipeline.",
    ),
    Finding(
        name="ultralytics_mosaic_border",
        package="ultralytics",
        grade="contract",
        title="Mosaic moves polygons that reach out of the picture onto its border",
        evidence=("ultralytics_mosaic", "geometric.masks_move_with_image"),
        covers={
            "ultralytics_mosaic": (
                "geometric.masks_move_with_image",
                "geometric.rows_show_their_object",
                "instance.boxes_are_tight",
                "instance.same_class_disjoint",
                "instance.masks_not_empty",
            )
        },
        wrong=(
            "`Instances.clip` clamps every vertex to the picture; it does not cut the polygon. Where "
            "an object that is no rectangle hangs over, the pixels of the border next to what was cut"
            " off are given to it, one pixel deep."
        ),
        matters="A line of pixels on the border of the mosaic; polygons are approximate there anyway.",
        remedy="Cutting polygons (Sutherland-Hodgman) instead of clamping would be exact.",
    ),
    Finding(
        name="torchvision_rotation_fill",
        package="torchvision",
        grade="contract",
        title="RandomRotation fills label maps with 0, which is a class",
        evidence=("torchvision_rotation", "geometric.border_is_void"),
        covers={"torchvision_rotation": ("geometric.border_is_void", "geometric.labels_never_grow")},
        wrong=(
            "The `fill` of 0 that is documented holds for every `Mask`: what is turned in beside the picture "
            "is class 0 in a semantic map, not *ignore*. `RandomAffine`, `RandomZoomOut`, `Pad` and "
            "`RandomCrop(pad_if_needed=True)` have the same default."
        ),
        matters="Black corners are learned as class 0 (*road* in Cityscapes' training ids).",
        remedy=(
            "Users: a class of one's own for the semantic map, and a `fill` for it: "
            "`fill={SemanticMap: 255, tv_tensors.Mask: 0, tv_tensors.Image: 0}`."
        ),
    ),
    Finding(
        name="torchvision_rotation_boxes",
        package="torchvision",
        grade="contract",
        title="Boxes of a rotation are those of the turned corners, not of the turned mask",
        evidence=("torchvision_rotation", "instance.boxes_are_tight"),
        covers={"torchvision_rotation": _CROPPED},
        wrong=(
            "The four corners of a box are turned and the upright box around them is what comes back: it "
            "holds the object and is larger than it needs to be. Rows that are turned out of the picture "
            "or fall between the samples stay, with an empty mask. (The smallest example turns by "
            "a fraction of a degree, so that its box is too large by a fraction of a pixel.)"
        ),
        matters=(
            "At 45 degrees the box of a round object is twice as large in area as it should be. Without "
            "masks nothing better can be computed, and nobody promised it."
        ),
        remedy="Users: boxes from masks (`torchvision.ops.masks_to_boxes`) after it; drop empty masks.",
    ),
    *(
        Finding(
            name=f"{case}_empty",
            package=package,
            grade="contract",
            title="Resize keeps objects that no pixel is left of",
            evidence=(case, "instance.masks_not_empty"),
            covers=dict.fromkeys(cases, ("instance.masks_not_empty", "panoptic.ids_are_rows")),
            wrong=(
                "Nearest sampling of a smaller picture can miss an object of few pixels. Its row stays, with "
                "an empty mask and a box."
            ),
            matters="An object that cannot be seen is an object to be found.",
            remedy="Users: drop rows with empty masks after a resize; neither library drops rows by masks.",
        )
        for package, case, cases in (
            ("torchvision", "torchvision_resize", ("torchvision_resize",)),
            ("kornia", "kornia_resize", ("kornia_resize", "kornia_resize_default")),
        )
    ),
    *(
        Finding(
            name=f"{package}_over_ignore",
            package=package,
            grade="contract",
            title=f"{transform} pastes over *ignore*",
            evidence=(cases[0], "paste.not_on_ignore"),
            covers=dict.fromkeys(cases, _OVER_IGNORE),
            wrong=_WRONG_OVER_IGNORE,
            matters=_MATTERS_OVER_IGNORE,
            remedy=_REMEDY_OVER_IGNORE,
        )
        for package, transform, cases in (
            (
                "albumentationsx",
                "CopyAndPaste",
                (
                    "albumentationsx_copy_and_paste_one",
                    "albumentationsx_copy_and_paste",
                    "albumentationsx_copy_and_paste_some_semantic",
                ),
            ),
            ("kornia", "RandomTransplantation", ("kornia_transplantation", "kornia_transplantation_default")),
            ("ultralytics", "CopyPaste", ("ultralytics_copy_paste",)),
        )
    ),
    *(
        Finding(
            name=f"{case}_boxes",
            package=package,
            grade="contract",
            title="Boxes are cut to the window of a crop, not computed from what is left of the mask",
            evidence=(case, "instance.boxes_are_tight"),
            covers=dict.fromkeys((case, *others), _CROPPED),
            wrong=_WRONG_CROPPED,
            matters=_MATTERS_CROPPED,
            remedy=remedy,
        )
        for package, case, others, remedy in (
            (
                "torchvision",
                "torchvision_crop",
                ("torchvision_sanitize",),
                "Users: `v2.SanitizeBoundingBoxes` after the crop, as the documentation says, and "
                "boxes from masks (`torchvision.ops.masks_to_boxes`) at the end.",
            ),
            (
                "albumentations",
                "albumentations_crop",
                (),
                "Users: compute boxes from masks at the end of the pipeline, and drop empty masks.",
            ),
            (
                "albumentationsx",
                "albumentationsx_crop",
                (),
                "Users: `instance_binding`, which drops objects with empty masks, and boxes from "
                "masks at the end.",
            ),
            (
                "mmdet",
                "mmdetection_crop",
                (),
                "Users: `RandomCrop(recompute_bbox=True)`, which is there for it.",
            ),
        )
    ),
    *(
        Finding(
            name=f"{case}_turned",
            package=package,
            grade="contract",
            title="Normals and intrinsics that ride along do not turn with the picture",
            evidence=(case, "geometric.normals_rotate_with_image"),
            covers={case: ("geometric.normals_rotate_with_image", "geometric.intrinsics_follow")},
            wrong=(
                "A map of normals handed over as a mask is moved as a mask: a flip leaves the sign of"
                " n_x as it was. The library knows no vector maps and no camera, and promises "
                "nothing."
            ),
            matters="Normals trained on flipped pictures point to the wrong side.",
            remedy="Users: negate n_x and mirror c_x where a picture was flipped.",
        )
        for package, case in (
            ("torchvision", "torchvision_flip_normals"),
            ("albumentations", "albumentations_horizontal_flip"),
            ("albumentationsx", "albumentationsx_horizontal_flip"),
        )
    ),
]

FINDINGS: dict[str, Finding] = {finding.name: finding for finding in _ALL}
"""Every finding by name, in the order of the page."""

BILLS = (
    Bill(
        "mmdetection_copy_paste",
        (
            *_TIGHT,
            "instance.masks_minus_union",
            "instance.pasted_masks_disjoint",
            "instance.same_class_disjoint",
            "provenance.labels_of_their_object",
            "provenance.masks_show_their_object",
        ),
        "Boxes and masks of `CopyPaste` are right: every mask shows its own object, originals are cut, "
        "and their boxes are computed anew (but for the dtype of the image and the hidden object near "
        "the origin, which are findings of their own).",
    ),
    Bill(
        "kornia_transplantation",
        ("target.completes", "target.dtype_kept", "provenance.semantic_of_what_is_shown"),
        "`RandomTransplantation` with 255 excluded moves picture and label together, at every pixel.",
    ),
    Bill(
        "kornia_horizontal_flip_inclusive",
        ("instance.boxes_are_tight", "instance.boxes_in_canvas", "geometric.masks_move_with_image"),
        "With both corners inside, boxes follow the flip.",
    ),
    Bill(
        "ultralytics_flip_centres",
        ("instance.boxes_are_tight", "geometric.masks_move_with_image", "geometric.rows_show_their_object"),
        "Polygons at the pixels' centres follow the flip.",
    ),
    Bill(
        "albumentationsx_mosaic_bound",
        ("target.rows_aligned", "geometric.masks_move_with_image", "geometric.rows_show_their_object"),
        "With `instance_binding`, masks, boxes and labels of a mosaic stay together, and instance masks are "
        "instance masks.",
    ),
)

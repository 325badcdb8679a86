"""Why a law stays that kills no fault alone."""

from __future__ import annotations

REASONS: dict[str, str] = {
    # --- one output alone
    "instance.boxes_are_tight": (
        "Judges boxes after a crop, a flip or loading, where no target is known; "
        "`instance.bbox_recomputed_from_mask` needs one."
    ),
    "instance.boxes_in_canvas": (
        "The only law of one output on where the boxes of detection samples lie: without masks none can be "
        "called tight."
    ),
    "instance.count_in_schema": (
        "Bounds the things of one sample by the class table alone; `paste.within_capacity` needs masks and "
        "the target."
    ),
    "instance.ids_unique": (
        "Finds two rows under one id, or an id out of range, in any sample; `instance.fresh_ids` knows "
        "pasted rows only."
    ),
    "instance.labels_in_schema": (
        "Judges the label of every row, without masks too; `paste.things_only` judges pasted rows with masks."
    ),
    "instance.masks_not_empty": (
        "Finds rows that a crop or a warp has emptied, where none counts as pasted or as cut by a paste."
    ),
    "instance.same_class_disjoint": (
        "Finds overlapping masks of one class without a target to compare with and without a panoptic map."
    ),
    "normals.unit_length": (
        "Judges every normal of one sample, so that a data set's raw normals are found before they are "
        "pasted."
    ),
    "padding.carries_no_labels": (
        "Judges masks and both maps on padding from the output alone; `paste.not_on_padding` sees only "
        "pasted masks and changes."
    ),
    "padding.is_border": (
        "After a resize the padding rightly differs from the target's and `paste.frame_kept` does not "
        "apply; its shape can still be judged."
    ),
    "panoptic.masks_match_map": (
        "Compares each mask with its id in the map pixel by pixel; `panoptic.ids_are_rows` compares the "
        "sets of ids only."
    ),
    "panoptic.one_instance_per_pixel": (
        "Says of masks of two classes that they overlap: `instance.same_class_disjoint` allows it, "
        "`panoptic.masks_match_map` only finds a mask unlike the map."
    ),
    "panoptic.semantic_matches_row": (
        "Ties semantic map to row labels without a class table, where `panoptic.things_have_ids` is not "
        "applicable."
    ),
    "panoptic.things_have_ids": (
        "Of the laws of one output only this one, by the class table, sees a thing class on pixels that "
        "have no id and no row."
    ),
    "sample.shapes_agree": (
        "Names the field of a wrong dtype or size; the other laws presuppose that they fit and can only "
        "call the sample malformed."
    ),
    "semantic.values_in_schema": (
        "Without plan and panoptic map no other law asks whether a pasted label is a class at all; it "
        "judges resized maps, too."
    ),
    # --- a padded batch
    "padded.masks_off_padding": (
        "Judges a batch without its target and names the slot; beside a target `padding.carries_no_labels` "
        "excuses what lay on padding before."
    ),
    "padded.padding_is_border": (
        "Judges all samples as they were collated; `padding.is_border` takes one, and excuses a shape that "
        "its target had."
    ),
    "padded.used_slots_painted": (
        "Counts empty masks that the input had, too, as a batch for a loss must have none; "
        "`instance.masks_not_empty` excuses them."
    ),
    # --- a paste: before and after, and what is said of it
    "audit.plan_fits": (
        "The laws that recompute a paste rest on its plan: where that does not fit they can decide less, "
        "and only this law is violated."
    ),
    "depth.metric_rescaled": (
        "Names the factor, and its status tells whether a run ever pasted metric depth at another scale."
    ),
    "depth.monotonic": (
        "Judges the z-test by target, output and configuration, without a plan or a source to recompute from."
    ),
    "instance.bbox_recomputed_from_mask": (
        "Holds the box of a row that lost no pixel to its old bits, be it loose, which "
        "`instance.boxes_are_tight` cannot ask."
    ),
    "instance.fresh_ids": (
        "The id of a dropped row is unique again in the output: only beside the target's rows does it show "
        "that it was given out twice."
    ),
    "instance.identity_preserved": (
        "No other law of one run compares the id and label of a surviving row with the target's."
    ),
    "instance.masks_minus_union": (
        "Judges what is left of the target's masks, by an inferred U if need be; "
        "`paste.inside_union_is_source.instance` knows pasted rows only."
    ),
    "instance.no_same_class_overlap": (
        "Sees rows of the target that grew into each other, and counts as held only if something was pasted."
    ),
    "instance.pasted_labels": (
        "Where rows contest no pixel, no other law of one run compares the labels of pasted rows with the "
        "source's."
    ),
    "instance.pasted_masks_disjoint": (
        "Without plan and panoptic map only it refuses an overlap of pasted rows of different classes."
    ),
    "instance.small_area_dropped": (
        "Applies the thresholds to the masks that came out: it takes the target and the configuration, and "
        "recomputes nothing."
    ),
    "normals.frame": (
        "Says that a sign is wrong, not that bits differ, and reports as not exercised a run without a "
        "mirrored source."
    ),
    "normals.unit_norm": (
        "Counts as held only if normals were pasted or changed; `normals.unit_length` is held by the "
        "target's own."
    ),
    "panoptic.bijection": (
        "One verdict on map, masks and ids where the paste went, of which the panoptic laws of one output "
        "see a part each."
    ),
    "panoptic.fresh_ids": (
        "Reads the map, `instance.fresh_ids` the rows; without a plan it still finds an old id painted "
        "under a pasted mask."
    ),
    "panoptic.stuff_threshold": (
        "Names the stuff class and the pixels it has left, where the inside and outside laws only say that "
        "a map differs."
    ),
    "panoptic.thing_stuff_consistent": (
        "Blames a conflict anywhere in U, even one that the target had and the paste left; "
        "`panoptic.things_have_ids` excuses that."
    ),
    "paste.drops_exactly_by_threshold": (
        "A row dropped without need is no longer there to be judged; without a plan this law still finds "
        "one that lost no pixel."
    ),
    "paste.every_painted_pixel_has_a_row": (
        "A pixel of U painted as specified but left out of the mask passes all outside laws; and this law "
        "can do without U."
    ),
    "paste.every_row_is_painted": (
        "Says that a row was added and nothing painted beneath it, which the inside laws report as one "
        "difference per map."
    ),
    "paste.frame_kept": (
        "Where the canvas changed, all other paste laws are not decidable; and none of them compares "
        "padding or the metric flag with the target's."
    ),
    "paste.inside_union_is_source.depth": (
        "Judges relative depth, where `depth.metric_rescaled` is not applicable, and validity together with "
        "it."
    ),
    "paste.inside_union_is_source.instance": (
        "Compares mask by mask: pixels exchanged between two pasted rows, contested or not, leave their "
        "union as it was."
    ),
    "paste.inside_union_is_source.normals": (
        "Compares values, where `normals.unit_norm` and `normals.frame` see only the length and the signs."
    ),
    "paste.inside_union_is_source.panoptic": (
        "With a plan the same pixels as `panoptic.fresh_ids`; kept so that `paste.inside_union_is_source.*` "
        "covers every map."
    ),
    "paste.inside_union_is_source.semantic": (
        "Judges pasted labels without a panoptic map, class mixes included, where `semantic.single_class` "
        "is not applicable."
    ),
    "paste.not_on_ignore": (
        "Knows the source's ignore as well, and sees colours painted over a label that was left as ignore."
    ),
    "paste.not_on_padding": (
        "Needs no plan, and sees colours and depth painted on padding, at which `padding.carries_no_labels` "
        "does not look."
    ),
    "paste.pasted_rows_large_enough": (
        "A row of one pixel is not empty and may still be too small; to say so takes the configuration, but "
        "no plan."
    ),
    "paste.rows_in_free_slots": (
        "Says that rows stand in each other's slots, where the laws of labels and masks only say that both "
        "differ."
    ),
    "paste.rows_need_masks": (
        "Of the paste laws it alone forbids new, lost or moved rows in detection samples: the others on "
        "such rows need masks."
    ),
    "paste.selection_by_plan": (
        "Says how many rows the plan's order yields and which; one too few passes the upper bound of "
        "`paste.within_capacity`."
    ),
    "paste.things_only": (
        "A stuff row has a label of the class table; without plan and panoptic map only this law refuses to "
        "paste it."
    ),
    "paste.unchanged_outside_union.depth": (
        "Sees depth outside U that came nearer, which `depth.monotonic` allows, or that gained or lost its "
        "validity."
    ),
    "paste.unchanged_outside_union.image": (
        "Names the picture, where `paste.every_painted_pixel_has_a_row` gives one verdict on colours, "
        "depth, normals and labels."
    ),
    "paste.unchanged_outside_union.normals": (
        "A normal renormalised in place stays of unit length and passes both laws of length; its bits tell."
    ),
    "paste.unchanged_outside_union.panoptic": (
        "A consistent renumbering passes every law of one output; here the map shows it, in "
        "`instance.identity_preserved` the rows."
    ),
    "paste.unchanged_outside_union.semantic": (
        "Guards the labels that a class mix did not choose: without masks "
        "`paste.every_painted_pixel_has_a_row` is not applicable."
    ),
    "paste.union_is_pasted_masks": (
        "Tells a wrong union from a wrong winner: it is silent where pasted rows only exchanged pixels."
    ),
    "paste.void_exact": (
        "The outside laws excuse pixels due to become void; this law asks whether they did, under dropped "
        "rows as in stuff, and no others."
    ),
    "paste.winner_by_priority_and_order": (
        "Names the contested pixels; its status tells whether rows ever met, and labels decide between "
        "equal masks."
    ),
    "paste.within_capacity": (
        "No other law of one run sees that the output's K changed; without a plan it still holds a paste to "
        "the class table's limit."
    ),
    "semantic.ignore_preserved": (
        "Needs the two semantic maps and nothing else, and so judges class mixes and recolourings without "
        "any plan."
    ),
    "semantic.single_class": (
        "Looks at pasted rows only; a run that pasted none cannot pass it by the target's rows, as it can "
        "`panoptic.semantic_matches_row`."
    ),
    # --- several runs
    "metamorphic.batch_independence": (
        "Compares a batch with its samples one by one, and so finds what depends on B without trusting a "
        "recomputed paste."
    ),
    "metamorphic.batch_permutation": (
        "Keeps B and changes places only, so that a violation points at a wrong sample or donor index, not "
        "at the batch size."
    ),
    "metamorphic.class_relabelling": (
        "A class number with a meaning of its own shows when the same classes get other numbers; one run "
        "has one numbering."
    ),
    "metamorphic.count_zero_is_identity": (
        "Tries every example with nothing to paste, where most paste laws are not exercised, and compares "
        "unused slots, too."
    ),
    "metamorphic.depth_takes_no_part": (
        "Takes depth away with the z-test off: what changes elsewhere was decided by depth, and no "
        "recomputed paste is trusted."
    ),
    "metamorphic.empty_source_is_identity": (
        "Asks any callable for the unchanged target; `metamorphic.count_zero_is_identity` can ask executors "
        "of plans only."
    ),
    "metamorphic.larger_source_capacity": (
        "Puts unused source slots first in the order and compares; one run knows one K of the source."
    ),
    "metamorphic.larger_target_capacity": (
        "Pastes the same into a target with more free slots: whether K leaks into other fields takes two "
        "values of K to see."
    ),
    "metamorphic.mirror_everything": (
        "Mirrors target and placement as well: a shift of the whole placement cancels in "
        "`metamorphic.source_mirror` and shows here."
    ),
    "metamorphic.round_trip_coco_rle": (
        "Judges an input's masks by pycocotools' codes and areas, as data sets store them; no paste runs "
        "here, so no fault of one can reach it."
    ),
    "metamorphic.round_trip_dict": (
        "Judges `to_dict`, by which the laws of callables compare samples, and `from_dict`, and runs no "
        "paste."
    ),
    "metamorphic.round_trip_padded": (
        "Judges the step from padded to ragged and back, on inputs: sample laws see an executor's output "
        "only through it."
    ),
    "metamorphic.round_trip_samples": (
        "Judges splitting and collating: a field lost there would leave its laws not applicable, where they "
        "ought to be violated."
    ),
    "metamorphic.same_seed_same_bits": (
        "Two different outputs of one seed can each be legal; only a second run shows it, for callables too."
    ),
    "metamorphic.source_mirror": (
        "Compares a flip in the warp with a flip before it: two ways to one answer, neither of them "
        "recomputed by the laws."
    ),
}
"""By law, in the order of ``law_names()``, without those that kill a fault alone: what is lost without it."""

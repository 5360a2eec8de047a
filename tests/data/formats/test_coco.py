import json

import numpy as np
import pytest

from helpers.annotations import make_annotation, make_coco, make_keypoints
from hourglass.data.conversion import Conversion
from hourglass.data.formats.coco import ODD_V, SCORE_V, read_coco
from hourglass.data.raw_records import PassedOver
from hourglass.data.validation import check_records
from hourglass.keypoints import COCO, MPII, KeypointSchema
from hourglass.utils import transforms

BOX = [19.5, 10.25, 102.5, 120.5]
LONG_NAMES = {"l": "left", "r": "right"}


def read(annotations, schema=MPII, num_images=4, **changes):
    """The split of a file, whose numbers are floats as `read_json` has them."""
    content = json.dumps(make_coco(annotations, num_images) | changes)
    return read_coco(json.loads(content, parse_int=float), schema)


def read_person(keypoints, bbox=BOX, schema=MPII):
    """A checked Person, 0-based."""
    split = read([make_annotation(1, keypoints=keypoints, bbox=bbox)], schema)
    conversion = Conversion(split.schema, schema)
    (person,), invalid = check_records(split.records, None, conversion=conversion)
    assert invalid == []
    return person


def test_each_joint_is_the_keypoint_of_its_name_in_the_same_pixel():
    keypoints = make_keypoints(3)
    person = read_person(keypoints)
    places = dict(zip(COCO.keypoints, np.reshape(keypoints, (17, 3))[:, :2], strict=True))
    for joint, name in enumerate(MPII.keypoints):
        side, _, part = name.partition("_")
        if side in LONG_NAMES:
            expected = places[f"{LONG_NAMES[side]}_{part}"]
            assert person.joints[joint].tolist() == expected.tolist(), name
    for name, end in (("pelvis", "hip"), ("thorax", "shoulder")):
        middle = (places[f"left_{end}"] + places[f"right_{end}"]) / 2
        assert person.joints[MPII.index(name)].tolist() == middle.tolist()
    missing = [MPII.keypoints[k] for k in np.flatnonzero(~person.keypoints_visible)]
    assert missing == ["upper_neck", "head_top"]


def test_occluded_keypoints_are_labelled_and_unlabelled_ones_are_not():
    flags = [2] * 17
    flags[COCO.index("left_knee")] = 1
    flags[COCO.index("right_hip")] = flags[COCO.index("left_wrist")] = 0
    person = read_person(make_keypoints(4, flags))
    missing = [MPII.keypoints[k] for k in np.flatnonzero(~person.keypoints_visible)]
    assert missing == ["r_hip", "pelvis", "upper_neck", "head_top", "l_wrist"]


@pytest.mark.parametrize("bbox", [BOX, [19.5, 10.25, 180.5, 120.5]])
def test_the_view_is_around_the_box_and_the_head_size_follows(bbox):
    person = read_person(make_keypoints(5), bbox)
    center, side = transforms.person_region(person.center, person.scale)
    assert center.tolist() == pytest.approx(
        [bbox[0] + (bbox[2] - 1) / 2, bbox[1] + (bbox[3] - 1) / 2]
    )
    assert side == pytest.approx(1.25 * 1.1 * max(bbox[2:]))
    assert person.scale == pytest.approx(1.1 * max(bbox[2:]) / 200)
    assert (person.head_size, person.head_source) == (25 * person.scale, "scale")


FACE = make_keypoints(6, [2] * 5 + [0] * 12)
NO_LABEL = "without a label that data.schema uses"
NOT_USED = {
    "a box alone": ({"keypoints": None}, "without keypoints"),
    "another category": ({"category_id": 7}, "of another category"),
    "a crowd": ({"iscrowd": 1, "segmentation": {"counts": [0, 4], "size": [2, 2]}}, "a crowd"),
    "a crowd, a text": ({"iscrowd": "1"}, "a crowd"),
    "all v 0": ({"num_keypoints": 17, "keypoints": [5, 6, 0] * 17}, NO_LABEL),
    "an empty list": ({"num_keypoints": 0, "keypoints": []}, "without keypoints"),
    "a face alone": ({"keypoints": FACE}, NO_LABEL),
}


@pytest.mark.parametrize(("changes", "reason"), NOT_USED.values(), ids=NOT_USED)
def test_who_has_no_keypoint_of_ours_is_passed_over(changes, reason):
    annotations = [make_annotation(1), make_annotation(2) | changes, make_annotation(3)]
    (person,) = make_coco([], 0)["categories"]
    categories = [person, {"id": 7, "name": "dog"}]
    first, second, third = read(annotations, categories=categories).records
    assert (first.image, third.image) == ("1.jpg", "3.jpg")
    assert second == PassedOver(reason)


@pytest.mark.parametrize(
    "changes",
    [{"num_keypoints": 0}, {"num_keypoints": None}, {"num_keypoints": "17"}, {"iscrowd": "0"},
     {"iscrowd": False}, {"iscrowd": None}],
)  # fmt: skip
def test_counters_and_texts_for_numbers_lose_no_person(changes):
    (plain,), (person,) = (read([make_annotation(1, **c)]).records for c in ({}, changes))
    assert person.labelled.tolist() == plain.labelled.tolist()
    assert person.points.tolist() == plain.points.tolist()


@pytest.mark.parametrize(
    ("triple", "is_labelled", "note"),
    [
        ([float("nan"), None, 0], False, {}),
        ([30, 40, 3], False, {ODD_V: 1}),
        ([30, 40, -1], False, {ODD_V: 1}),
        ([30, 40, None], False, {ODD_V: 1}),
        ([30, 40, "2"], False, {ODD_V: 1}),
        ([30, 40, 0.93], True, {SCORE_V: 1}),
        ([30, 40, 0.49], False, {SCORE_V: 1}),
        ([30, 40, 1.5], False, {ODD_V: 1}),
    ],
)
def test_v_decides_and_odd_ones_are_counted(triple, is_labelled, note):
    k = COCO.index("left_knee")
    keypoints = make_keypoints(3)
    keypoints[3 * k : 3 * k + 3] = triple
    split = read([make_annotation(1, keypoints=keypoints)])
    conversion = Conversion(split.schema, MPII)
    (person,), _ = check_records(split.records, None, conversion=conversion)
    assert person.keypoints_visible[MPII.index("l_knee")] == is_labelled
    assert {key: number for key, number in split.notes.items() if number} == note


def test_several_persons_share_a_picture_and_ids_may_be_texts():
    # Files that were joined have ids of annotations twice; nothing looks them up.
    annotations = [make_annotation(1, image_id="photo") for _ in range(2)]
    split = read(annotations, images=[{"id": "photo", "file_name": "1.jpg"}])
    assert [record.image for record in split.records] == ["1.jpg", "1.jpg"]


def test_a_run_of_cocos_keypoints_takes_them_as_they_stand():
    flags = [2, 0, 1, *[2] * 14]
    keypoints = make_keypoints(7, flags)
    person = read_person(keypoints, schema=COCO)
    labelled = np.array(flags) > 0
    assert person.keypoints_visible.tolist() == labelled.tolist()
    triples = np.reshape(keypoints, (17, 3))
    assert person.joints[labelled].tolist() == triples[labelled, :2].tolist()
    face = make_annotation(2, keypoints=FACE)
    assert read([face], COCO).records[0].image == "2.jpg", "a face alone has keypoints here"


HANDS = KeypointSchema("hands", ("r_thumb", "nose", "l_thumb"), (("r_thumb", "l_thumb"),), (), {})


def test_a_category_may_name_keypoints_of_ones_own_in_any_order():
    category = {"id": 1, "name": "hands", "keypoints": ["left_thumb", "wrist", "r_thumb", "nose"]}
    numbers = [1, 2, 2, 3, 4, 1, 5, 6, 0, 7, 8, 1]  # x, y, v each
    annotations = [
        make_annotation(1, keypoints=numbers),
        make_annotation(2, keypoints=[0, 0, 0, 3, 4, 2, 0, 0, 0, 0, 0, 0]),
        make_annotation(3),
    ]
    split = read(annotations, HANDS, categories=[category])
    first, second, third = split.records
    assert split.schema.keypoints == HANDS.keypoints
    assert first.points.tolist() == [[5, 6], [7, 8], [1, 2]]
    assert first.labelled.tolist() == [False, True, True]
    assert second == PassedOver(NO_LABEL), "only the wrist, which the run does not use"
    assert third.reason == "keypoints has 51 numbers, not 3 for each of the category's 4 names"


def test_categories_with_all_keypoints_of_the_run_go_before_cocos():
    (person,) = make_coco([], 0)["categories"]
    hands = {"id": 2, "name": "hands", "keypoints": list(HANDS.keypoints)}
    annotations = [make_annotation(1), make_annotation(2, category_id=2, keypoints=[3, 4, 2] * 3)]
    first, second = read(annotations, HANDS, categories=[person, hands]).records
    assert first == PassedOver("of another category")
    assert second.points[second.labelled].tolist() == [[3, 4]] * 3

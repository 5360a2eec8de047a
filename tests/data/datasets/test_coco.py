import numpy as np
import pytest

from helpers.annotations import make_keypoints
from hourglass.data.datasets.coco import COCO_KEYPOINTS, CocoPerson, read_coco_person
from hourglass.data.validation import check_records
from hourglass.keypoints import JOINTS
from hourglass.utils import transforms

BOX = [19.5, 10.25, 102.5, 120.5]
LONG_NAMES = {"l": "left", "r": "right"}


def read_person(keypoints, bbox=BOX):
    """A checked Person, 0-based."""
    record = read_coco_person(CocoPerson("1.jpg", [*map(float, keypoints)], bbox))
    (person,), invalid = check_records([record], None)
    assert invalid == []
    return person


def test_each_joint_is_the_keypoint_of_its_name_in_the_same_pixel():
    keypoints = make_keypoints(3)
    person = read_person(keypoints)
    places = dict(zip(COCO_KEYPOINTS, np.reshape(keypoints, (17, 3))[:, :2], strict=True))
    for joint, name in enumerate(JOINTS):
        side, _, part = name.partition("_")
        if side in LONG_NAMES:
            expected = places[f"{LONG_NAMES[side]}_{part}"]
            assert person.joints[joint].tolist() == expected.tolist(), name
    for name, end in (("pelvis", "hip"), ("thorax", "shoulder")):
        middle = (places[f"left_{end}"] + places[f"right_{end}"]) / 2
        assert person.joints[JOINTS.index(name)].tolist() == middle.tolist()
    missing = [JOINTS[k] for k in np.flatnonzero(~person.keypoints_visible)]
    assert missing == ["upper_neck", "head_top"]


def test_occluded_keypoints_are_labelled_and_unlabelled_ones_are_not():
    flags = [2] * 17
    flags[COCO_KEYPOINTS.index("left_knee")] = 1
    flags[COCO_KEYPOINTS.index("right_hip")] = flags[COCO_KEYPOINTS.index("left_wrist")] = 0
    person = read_person(make_keypoints(4, flags))
    missing = [JOINTS[k] for k in np.flatnonzero(~person.keypoints_visible)]
    assert missing == ["r_hip", "pelvis", "upper_neck", "head_top", "l_wrist"]


@pytest.mark.parametrize("bbox", [BOX, [19.5, 10.25, 180.5, 120.5]])
def test_the_view_is_around_the_box_and_the_head_size_follows(bbox):
    person = read_person(make_keypoints(5), bbox)
    center, side = transforms.person_crop(person.center, person.scale)
    assert center.tolist() == pytest.approx(
        [bbox[0] + (bbox[2] - 1) / 2, bbox[1] + (bbox[3] - 1) / 2]
    )
    assert side == pytest.approx(1.25 * 1.1 * max(bbox[2:]))
    assert person.scale == pytest.approx(1.1 * max(bbox[2:]) / 200)
    assert (person.head_size, person.head_source) == (25 * person.scale, "scale")

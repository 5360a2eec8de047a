import numpy as np
import pytest

from hourglass.data.formats.named_keypoints import NamedKeypoints
from hourglass.data.keypoint_names import AmbiguousNames, canonical_name, find_places
from hourglass.data.raw_records import FormFault
from hourglass.keypoints import COCO, MPII


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (("r_shoulder", "RShoulder", "right-shoulder", "Shoulder R", "SHOULDER_RIGHT", "rshoulder",
          "right shoulder", "shoulder.R"), "right_shoulder"),
        (("REye", "r eye", "Reye"), "right_eye"),
        (("LEar", "ear_l"), "left_ear"),
        (("neck", "Upper Neck", "upperNeck"), "upper_neck"),
        (("head_top", "Head-Top", "top_of_head"), "head_top"),
        (("head", "Head"), "head"),
        (("nose", "Nose"), "nose"),
        (("MidHip", "pelvis", "root"), "pelvis"),
        (("hip",), "hip"),
        (("rear",), "rear"),
        (("thumb L", "l_thumb", "left_thumb"), "left_thumb"),
        (("LBigToe", "left_big_toe"), "left_big_toe"),
        (("upper_l_x",), "upper_l_x"),
        (("l",), "l"),
        (("левая рука",), "левая_рука"),
        (("*",), "*"),
    ],
)  # fmt: skip
def test_a_keypoint_has_one_name_however_it_is_written(names, common):
    assert {canonical_name(name) for name in names} == {common}


FACE = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
LIMBS = {
    f"{side}_{part}"
    for side in "rl"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}
BODY = {*LIMBS, "pelvis", "thorax"}
# Sources: github.com/open-mmlab/mmpose, configs/_base_/datasets (mpii, coco, lsp, h36m);
# github.com/Fang-Haoshu/Halpe-FullBody; OpenPose's doc/02_output.md.
LISTS = {
    "MPII's 16": (MPII.keypoints, set(MPII.keypoints)),
    "COCO's 17": (COCO.keypoints, BODY),
    "COCO's 17 and a neck": ([*COCO.keypoints, "neck"], {*BODY, "upper_neck"}),
    "LSP's 14": (
        ["Right ankle", "Right knee", "Right hip", "Left hip", "Left knee", "Left ankle",
         "Right wrist", "Right elbow", "Right shoulder", "Left shoulder", "Left elbow",
         "Left wrist", "Neck", "Head top"],
        set(MPII.keypoints),
    ),
    "Human3.6M's 17": (
        ["root", "right_hip", "right_knee", "right_foot", "left_hip", "left_knee", "left_foot",
         "spine", "thorax", "neck_base", "head", "left_shoulder", "left_elbow", "left_wrist",
         "right_shoulder", "right_elbow", "right_wrist"],
        BODY,
    ),
    "Halpe's 26": (
        ["Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow",
         "LWrist", "RWrist", "LHip", "RHip", "LKnee", "Rknee", "LAnkle", "RAnkle", "Head", "Neck",
         "Hip", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"],
        {*BODY, "upper_neck"},
    ),
    "BODY_25": (
        ["Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist",
         "MidHip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar",
         "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"],
        {*BODY, "upper_neck"},
    ),
}  # fmt: skip


def place(name, names):
    """Where the keypoint of MPII is in a list, by hand: not by the code under test."""
    part = name.split("_")[-1]
    side = {"r": "r", "l": "l"}.get(name[0]) if name[1] == "_" else ""
    for k, other in enumerate(names):
        plain = other.lower().replace(" ", "_").replace("right_", "r").replace("left_", "l")
        if plain.replace("_", "").replace("foot", "ankle") == f"{side}{part}":
            return k
    aliases = {"pelvis": ("root", "midhip", "hip"), "head_top": ("head top",)}
    return next(
        (k for alias in aliases.get(name, ()) for k, n in enumerate(names) if n.lower() == alias),
        None,
    )


@pytest.mark.parametrize(("names", "shared"), LISTS.values(), ids=LISTS)
def test_each_list_gives_the_keypoints_that_it_shares_with_ours(names, shared):
    named = NamedKeypoints({1: list(names)}, MPII)
    points = np.stack([np.arange(len(names)), np.arange(len(names)) * 2.0], axis=1)
    taken, labelled = named.take(1, points, np.ones(len(names), bool))
    conversion = named._conversion
    flags = conversion.convert_flags(labelled)
    assert {MPII.keypoints[k] for k in np.flatnonzero(flags)} == shared
    joints = conversion.convert_points(taken, labelled)
    for k in np.flatnonzero(flags):
        where = place(MPII.keypoints[k], names)
        if where is not None:
            assert joints[k].tolist() == [where, 2 * where], MPII.keypoints[k]
    found = [place(name, names) for name in LIMBS]
    assert None not in found, "the test finds every limb by itself"


def test_a_foot_is_an_ankle_in_human36ms_list_alone():
    names = ["left_knee", "left_foot", "right_foot"]
    assert "left_ankle" not in find_places(names, ["left_ankle"])
    assert find_places([*names, "spine"], ["left_ankle"]) == {"left_ankle": 1}
    assert find_places([*names, "spine", "left_ankle"], ["left_ankle"]) == {"left_ankle": 4}


def test_a_hip_is_the_pelvis_only_between_two_hips():
    assert find_places(["hip", "knee"], ["pelvis"]) == {}
    assert find_places(["hip", "l_hip", "r_hip"], ["pelvis", "left_hip"]) == {
        "pelvis": 0,
        "left_hip": 1,
    }


def test_a_name_goes_before_its_alias_and_two_aliases_are_refused():
    assert find_places(["neck", "upper_neck"], ["upper_neck"]) == {"upper_neck": 1}
    with pytest.raises(AmbiguousNames, match="'MidHip' and 'root' are both pelvis; rename one"):
        find_places(["MidHip", "root"], ["pelvis"])


def test_of_several_lists_those_count_that_have_most():
    dog = ["nose", "L_Eye", "neck", "L_Shoulder", "R_Shoulder", "L_Hip", "R_Hip"]
    lists = {"dog": dog, "man": list(COCO.keypoints), "woman": list(COCO.keypoints[::-1])}
    named = NamedKeypoints(lists, MPII)
    assert [key in named for key in lists] == [False, True, True]


def test_no_known_keypoint_is_refused_with_the_names_of_the_file():
    with pytest.raises(FormFault, match=r"it has 'p1', 'p2'; data.schema has r_ankle, r_knee, "):
        NamedKeypoints({1: ["p1", "p2"]}, MPII)
    with pytest.raises(FormFault, match="names no keypoints"):
        NamedKeypoints({}, MPII)


def test_the_head_of_the_file_is_measured_by_its_own_two_ends():
    assert NamedKeypoints({1: ["neck", "head_top", "nose"]}, COCO).schema.head_segment == (
        "upper_neck",
        "head_top",
    )
    assert NamedKeypoints({1: ["neck", "nose"]}, COCO).schema.head_segment == ()

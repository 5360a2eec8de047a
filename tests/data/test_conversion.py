import numpy as np
import pytest

from hourglass.data.conversion import MPII_AS_IT_IS, Conversion, find_unknown
from hourglass.data.datasets.lspet import LSPET
from hourglass.data.keypoint_names import canonical_name
from hourglass.keypoints import COCO, MPII, KeypointSchema

RNG = np.random.default_rng(1)
COCO_TO_MPII, MPII_TO_COCO = Conversion(COCO, MPII), Conversion(MPII, COCO)


def own_schema(*names):
    return KeypointSchema("own", names, flip_pairs=(), bones=(), groups={})


def places(schema):
    """Some places of a schema's keypoints, [K, 2], and all of them labelled."""
    return RNG.uniform(0, 100, (schema.num_keypoints, 2)), np.ones(schema.num_keypoints, bool)


@pytest.mark.parametrize(
    ("name", "common"),
    [("r_ankle", "right_ankle"), ("l_hip", "left_hip"), ("right_eye", "right_eye"),
     ("nose", "nose"), ("pelvis", "pelvis"), ("upper_l_x", "upper_l_x")],
)  # fmt: skip
def test_names_of_both_schemas_have_a_common_form(name, common):
    assert canonical_name(name) == common


def test_the_same_schema_changes_nothing():
    joints, labelled = places(MPII)
    labelled[[3, 9]] = False
    np.testing.assert_array_equal(MPII_AS_IT_IS.convert_flags(labelled), labelled)
    points = MPII_AS_IT_IS.convert_points(joints, labelled)
    np.testing.assert_array_equal(points[labelled], joints[labelled])
    assert points[~labelled].tolist() == [[-1, -1], [-1, -1]]


def test_limbs_are_the_same_keypoints_in_both_schemas():
    for conversion in (COCO_TO_MPII, MPII_TO_COCO):
        source, target = conversion.source, conversion.target
        joints, labelled = places(source)
        points = conversion.convert_points(joints, labelled)
        by_name = dict(zip(map(canonical_name, target.keypoints), points.tolist(), strict=True))
        for name, place in zip(source.keypoints, joints.tolist(), strict=True):
            if name.partition("_")[2] in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder"):
                assert by_name[canonical_name(name)] == place


def test_what_the_source_lacks_is_unlabelled():
    for conversion, lacking in (
        (COCO_TO_MPII, {"upper_neck", "head_top"}),
        (MPII_TO_COCO, {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}),
    ):
        joints, labelled = places(conversion.source)
        flags = conversion.convert_flags(labelled)
        names = conversion.target.keypoints
        assert {names[k] for k in np.flatnonzero(~flags)} == lacking
        assert (conversion.convert_points(joints, labelled)[~flags] == -1).all()


@pytest.mark.parametrize("source", [COCO, LSPET], ids=["coco", "lspet"])
def test_pelvis_and_thorax_lie_midway_and_are_labelled_where_both_ends_are(source):
    conversion = Conversion(source, MPII)
    names = [canonical_name(name) for name in source.keypoints]
    for middle, end in (("pelvis", "hip"), ("thorax", "shoulder")):
        k, ends = MPII.index(middle), [names.index(f"{side}_{end}") for side in ("right", "left")]
        joints, labelled = places(source)
        points = conversion.convert_points(joints, labelled)
        np.testing.assert_array_equal(points[k], joints[ends].mean(axis=0))
        for missing in ends:
            some = labelled.copy()
            some[missing] = False
            assert not conversion.convert_flags(some)[k]
            assert (
                conversion.convert_flags(some).sum() == conversion.convert_flags(labelled).sum() - 2
            )


def test_mpiis_own_pelvis_is_kept():
    joints, labelled = places(MPII)
    k = MPII.index("pelvis")
    points = Conversion(MPII, own_schema("pelvis")).convert_points(joints, labelled)
    np.testing.assert_array_equal(points, joints[[k]])


def test_absurd_numbers_bring_no_warning(recwarn):
    joints, labelled = places(COCO)
    joints[:] = np.inf
    joints[::2] = -np.inf
    COCO_TO_MPII.convert_points(joints, labelled)
    COCO_TO_MPII.convert_points(np.full_like(joints, 1e308), labelled)
    assert not recwarn.list


def test_names_that_no_schema_has_are_found():
    schema = own_schema("r_ankle", "right_knee", "nose", "tail", "thorax", "paw")
    assert find_unknown(schema) == ["tail", "paw"]
    assert find_unknown(schema, own_schema("tail")) == ["paw"]

import json

import pytest

from hourglass.keypoints import COCO, MPII, SCHEMAS, KeypointSchema

# A schema of one's own: no pelvis, no bones over the middle, a hand that has no twin.
OWN = KeypointSchema(
    name="own",
    keypoints=("l_hand", "neck", "r_hand", "hat", "tail"),
    flip_pairs=(("r_hand", "l_hand"),),
    bones=(("l_hand", "neck"), ("neck", "r_hand"), ("l_hand", "r_hand"), ("neck", "hat")),
    groups={"hands": ("l_hand", "r_hand"), "hat": ("hat",)},
    unscored=("tail",),
    head_segment=("neck", "hat"),
)
EACH = pytest.mark.parametrize("schema", [MPII, COCO, OWN], ids=lambda schema: schema.name)


def other_side(name):
    for right, left in (("r_", "l_"), ("right_", "left_")):
        for own, other in ((right, left), (left, right)):
            if name.startswith(own):
                return other + name.removeprefix(own)
    return name


def test_the_named_schemas_have_the_numbers_of_their_sources():
    assert [(name, schema.num_keypoints) for name, schema in SCHEMAS.items()] == [
        ("mpii", 16), ("coco", 17)
    ]  # fmt: skip


@EACH
def test_a_flip_gives_each_keypoint_the_name_of_the_other_side(schema):
    order = schema.flip_order
    assert [schema.keypoints[k] for k in order] == [other_side(n) for n in schema.keypoints]
    assert [order[k] for k in order] == list(range(schema.num_keypoints))


@pytest.mark.parametrize("schema", [MPII, COCO], ids=lambda schema: schema.name)
def test_the_bones_join_all_keypoints(schema):
    reached = {0}
    for _ in schema.bone_indices:
        reached |= {k for bone in schema.bone_indices for k in bone if reached & set(bone)}
    assert reached == set(range(schema.num_keypoints))


@pytest.mark.parametrize("schema", [MPII, COCO], ids=lambda schema: schema.name)
def test_the_bones_are_symmetric(schema):
    bones = {frozenset(bone) for bone in schema.bone_indices}
    assert {frozenset(schema.flip_order[k] for k in bone) for bone in bones} == bones
    sides = schema.bone_sides
    assert sides.count("left") == sides.count("right") > sides.count("middle") > 0


@pytest.mark.parametrize("schema", [MPII, COCO], ids=lambda schema: schema.name)
def test_hips_and_all_below_are_the_lower_half(schema):
    lower = {schema.keypoints[k] for k in schema.lower_indices}
    sides = ("r_", "l_") if schema is MPII else ("right_", "left_")
    expected = {side + name for side in sides for name in ("hip", "knee", "ankle")}
    assert lower == expected | ({"pelvis"} if schema is MPII else set())


@pytest.mark.parametrize(
    ("name", "is_lower"),
    [
        ("RHip", True), ("left_big_toe", True), ("L_Heel", True), ("hip", True),
        ("mid-thigh", True), ("r_shin", True), ("footTip", True), ("chest", False),
        ("left_elbow", False), ("mouth", False), ("spine", False), ("r_thumb", False),
    ],
)  # fmt: skip
def test_the_lower_half_is_told_by_names(name, is_lower):
    schema = KeypointSchema("one", ("neck", name), (), (), {"neck": ("neck",)})
    assert schema.lower_indices == ((1,) if is_lower else ())


def test_a_bone_has_the_side_of_its_ends():
    assert OWN.bone_sides == ("left", "right", "middle", "middle")
    assert OWN.sides == ("left", "middle", "right", "middle", "middle")
    across = COCO.bones.index(("left_hip", "right_hip"))
    assert COCO.bone_sides[across] == "middle"


def test_the_groups_hold_every_scored_joint_of_mpii_but_the_upper_neck_under_its_own_name():
    grouped = [k for group in MPII.group_indices.values() for k in group]
    assert sorted([*grouped, MPII.index("upper_neck")]) == list(MPII.scored_indices)
    for group, names in MPII.groups.items():
        assert all(group in name for name in names)
        assert {other_side(name) for name in names} == set(names)


def test_pelvis_and_thorax_are_not_scored():
    unscored = set(range(16)) - set(MPII.scored_indices)
    assert [MPII.keypoints[k] for k in sorted(unscored)] == ["pelvis", "thorax"]
    assert MPII.indices(MPII.unscored) == tuple(sorted(unscored))


def test_each_keypoint_of_coco_is_scored_in_one_group():
    grouped = [k for group in COCO.group_indices.values() for k in group]
    assert sorted(grouped) == list(COCO.scored_indices) == list(range(17))


@EACH
def test_json_gives_the_same_schema_again(schema):
    assert KeypointSchema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keypoints": []}, "keypoints must be names"),
        ({"keypoints": ["l_hand", "l_hand"]}, "keypoints must be names, each of them once"),
        ({"keypoints": [*OWN.keypoints, "a|b"]}, "'a|b': names are letters"),
        ({"name": ""}, "'': names are letters"),
        ({"groups": {"total": ["hat"]}}, "'total': names are letters"),
        ({"groups": {"unweighted": ["hat"]}}, "'unweighted': names are letters"),
        ({"groups": {**OWN.groups, "none": []}}, "each group, and the total, needs a keypoint"),
        ({"unscored": OWN.keypoints}, "each group, and the total, needs a keypoint"),
        ({"bones": [["neck", "feet"]]}, "feet: not among the keypoints"),
        ({"bones": [["l_hand", "neck"], ["neck"]]}, "bones and head_segment must be pairs"),
        ({"head_segment": ["neck"]}, "bones and head_segment must be pairs"),
        ({"flip_pairs": [["l_hand", "r_hand"], ["hat"]]}, "flip_pairs must be pairs"),
        ({"flip_pairs": [["l_hand", "r_hand"], ["hat", "l_hand"]]}, "flip_pairs must be pairs"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_schema_that_contradicts_itself_is_refused(changes, reason):
    with pytest.raises(ValueError) as error:
        KeypointSchema.from_dict(OWN.to_dict() | changes)
    assert reason in str(error.value)

from hourglass.keypoints import BONES, FLIP_ORDER, JOINTS, NUM_JOINTS, PCKH_GROUPS, SCORED_JOINTS


def other_side(name):
    swaps = {"r_": "l_", "l_": "r_"}
    return swaps[name[:2]] + name[2:] if name[:2] in swaps else name


def test_there_are_sixteen_joints_of_different_names():
    assert NUM_JOINTS == len(JOINTS) == len(set(JOINTS)) == 16


def test_a_flip_gives_each_joint_the_name_of_the_other_side():
    assert [JOINTS[k] for k in FLIP_ORDER] == [other_side(name) for name in JOINTS]
    assert all(FLIP_ORDER[FLIP_ORDER[k]] == k for k in range(NUM_JOINTS))


def test_the_bones_join_all_joints_in_one_tree():
    assert len(BONES) == NUM_JOINTS - 1
    reached = {0}
    for _ in BONES:
        reached |= {k for bone in BONES for k in bone if reached & set(bone)}
    assert reached == set(range(NUM_JOINTS))


def test_the_bones_are_symmetric():
    bones = {frozenset(bone) for bone in BONES}
    assert {frozenset(FLIP_ORDER[k] for k in bone) for bone in BONES} == bones


def test_the_groups_hold_every_scored_joint_but_the_upper_neck_under_its_own_name():
    grouped = [k for joints in PCKH_GROUPS.values() for k in joints]
    assert sorted([*grouped, 8]) == list(SCORED_JOINTS)
    for group, joints in PCKH_GROUPS.items():
        assert all(group in JOINTS[k] for k in joints)
        assert {FLIP_ORDER[k] for k in joints} == set(joints)


def test_pelvis_and_thorax_are_not_scored():
    assert [JOINTS[k] for k in range(NUM_JOINTS) if k not in SCORED_JOINTS] == ["pelvis", "thorax"]

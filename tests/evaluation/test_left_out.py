import numpy as np

from hourglass.evaluation.left_out import score_left_out
from hourglass.rejects import NO_JOINTS, Reject


def reject(lost_joints):
    return Reject("validation", 0, "a.jpg", "bad", lost_joints)


def test_known_labels_are_wrong_and_the_others_counted_apart():
    rejects = [reject("1" + "0" * 15), reject(""), reject(NO_JOINTS), reject("01" * 8), reject("")]
    errors, joints_vis, num_unreadable = score_left_out(rejects)
    assert errors.shape == (2, 16) and np.isposinf(errors).all()
    assert [np.flatnonzero(row).tolist() for row in joints_vis] == [[0], [*range(1, 16, 2)]]
    assert num_unreadable == 2


def test_nothing_left_out_is_no_row():
    errors, joints_vis, num_unreadable = score_left_out([reject(NO_JOINTS)])
    assert errors.shape == joints_vis.shape == (0, 16)
    assert (joints_vis.dtype, num_unreadable) == (bool, 0)

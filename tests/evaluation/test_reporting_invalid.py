import numpy as np

from hourglass.data.invalid import NO_JOINTS, InvalidRecord
from hourglass.evaluation.reporting import score_invalid


def reject(lost_joints):
    return InvalidRecord("validation", 0, "a.jpg", "bad", lost_joints)


def test_known_labels_are_wrong_and_the_others_counted_apart():
    invalid = [reject("1" + "0" * 15), reject(""), reject(NO_JOINTS), reject("01" * 8), reject("")]
    errors, keypoints_visible, num_unreadable = score_invalid(invalid)
    assert errors.shape == (2, 16) and np.isposinf(errors).all()
    assert [np.flatnonzero(row).tolist() for row in keypoints_visible] == [[0], [*range(1, 16, 2)]]
    assert num_unreadable == 2


def test_nothing_left_out_is_no_row():
    errors, keypoints_visible, num_unreadable = score_invalid([reject(NO_JOINTS)])
    assert errors.shape == keypoints_visible.shape == (0, 16)
    assert (keypoints_visible.dtype, num_unreadable) == (bool, 0)

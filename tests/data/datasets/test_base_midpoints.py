import numpy as np

from hourglass.data.datasets.base import fill_midpoints
from hourglass.keypoints import JOINTS

PELVIS, THORAX = JOINTS.index("pelvis"), JOINTS.index("thorax")
R_HIP, L_SHOULDER = JOINTS.index("r_hip"), JOINTS.index("l_shoulder")


def test_pelvis_and_thorax_lie_midway_and_are_labelled_where_both_ends_are():
    columns = np.random.default_rng(1).uniform(0, 100, (4, 16, 3))
    columns[..., 2] = 1
    columns[1, R_HIP, 2] = columns[2, L_SHOULDER, 2] = columns[3, R_HIP, 2] = 0
    before = columns.copy()
    filled = fill_midpoints(columns)
    np.testing.assert_array_equal(columns, before)
    hips, shoulders = columns[:, [2, 3], :2], columns[:, [12, 13], :2]
    np.testing.assert_allclose(filled[:, PELVIS, :2], hips.mean(axis=1))
    np.testing.assert_allclose(filled[:, THORAX, :2], shoulders.mean(axis=1))
    assert filled[:, PELVIS, 2].tolist() == [1, 0, 1, 0]
    assert filled[:, THORAX, 2].tolist() == [1, 1, 0, 1]
    others = [k for k in range(16) if k not in (PELVIS, THORAX)]
    np.testing.assert_array_equal(filled[:, others], columns[:, others])

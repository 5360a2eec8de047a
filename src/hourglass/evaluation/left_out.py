"""Validation records that the parse stage left out: they count, as wrong, where labels are known.

A benchmark that drops what it cannot use rewards dropping: without the worst 1 % of MPII's
validation persons a published prediction rises by 0.8.
"""

import numpy as np

from hourglass.rejects import decode_joints
from hourglass.skeleton import NUM_JOINTS


def score_left_out(rejects):
    """Errors and labels of left-out records, as `pckh.score_persons` gives them of persons.

    The twin of a record that is kept has no labels of its own to lose and is no row; of left-out
    twins each is one.

    Args:
        rejects: list of `Reject`, of the validation split.

    Returns:
        errors float64 [M, 16], all infinite; joints_vis bool [M, 16]; and the number of records
        whose labels cannot be read, which no score can count.
    """
    lost = [decode_joints(r.lost_joints) for r in rejects if "1" in r.lost_joints]
    joints_vis = np.array(lost, bool).reshape(len(lost), NUM_JOINTS)
    num_unreadable = sum(not reject.lost_joints for reject in rejects)
    return np.full(joints_vis.shape, np.inf), joints_vis, num_unreadable

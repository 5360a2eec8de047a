"""The 16 joints of MPII Human Pose, and the numbers that all parts must agree on.

Source: http://human-pose.mpi-inf.mpg.de (Andriluka et al., CVPR 2014), joint ids 0..15.
"""

JOINTS = (
    "r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle",
    "pelvis", "thorax", "upper_neck", "head_top",
    "r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist",
)  # fmt: skip
NUM_JOINTS = len(JOINTS)

# FLIP_ORDER[k] is the joint whose place joint k takes in a flipped picture.
FLIP_ORDER = (5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10)

BONES = (
    (0, 1), (1, 2), (2, 6), (3, 6), (3, 4), (4, 5),
    (6, 7), (7, 8), (8, 9),
    (10, 11), (11, 12), (12, 7), (13, 7), (13, 14), (14, 15),
)  # fmt: skip

# Input pixels of the network to a heatmap pixel.
HEATMAP_STRIDE = 4

# A person's `scale` is its height by this, px: of the whole body, standing.
PERSON_HEIGHT = 200.0

# The official table's columns. Pelvis (6) and thorax (7) are never scored; the upper neck (8)
# counts in the total but has no column: "Head" is the head top alone.
PCKH_GROUPS = {
    "head": (9,),
    "shoulder": (12, 13),
    "elbow": (11, 14),
    "wrist": (10, 15),
    "hip": (2, 3),
    "knee": (1, 4),
    "ankle": (0, 5),
}
LIMB_JOINTS = tuple(k for name, group in PCKH_GROUPS.items() for k in group if name != "head")
SCORED_JOINTS = tuple(k for k in range(NUM_JOINTS) if k not in (6, 7))

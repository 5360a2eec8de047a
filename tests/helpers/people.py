"""People whose bodies are known: drawn ones, and a standing one of plain numbers."""

import numpy as np

from helpers.clips import BarBackend
from hourglass.data.synthetic.cartoons import sample_figure
from hourglass.inference.person_search import Pose
from hourglass.keypoints import MPII

ALL = np.ones(16, bool)
# Upright, face to face with the viewer, 200 px high: right side at smaller x.
STANDING = {
    "r_ankle": (86, 240), "r_knee": (88, 193), "r_hip": (89, 146), "l_hip": (111, 146),
    "l_knee": (112, 193), "l_ankle": (114, 240), "pelvis": (100, 146), "thorax": (100, 91),
    "upper_neck": (100, 82), "head_top": (100, 49), "r_wrist": (15, 91), "r_elbow": (45, 91),
    "r_shoulder": (78, 91), "l_shoulder": (122, 91), "l_elbow": (134, 122), "l_wrist": (140, 151),
}  # fmt: skip
SIZE = (200, 290)  # px of a picture that holds it


def standing(scale=1.0, offset=(0, 0)):
    """Its keypoints [16, 2], px."""
    return np.array([STANDING[name] for name in MPII.keypoints], float) * scale + offset


def pose_of(keypoints, scores=0.9):
    """A `Pose` of these joints."""
    scores = np.broadcast_to(np.asarray(scores, float), 16)
    return Pose(np.asarray(keypoints, float), scores, (0, 0, 100), float(scores.mean()))


def drawn_figures(number, height=220.0, seed=11):
    """Drawn figures, each in the middle of a square of twice their height."""
    for index in range(number):
        yield sample_figure(np.random.default_rng((seed, index)), height).move((height, height))


class StandingBackend(BarBackend):
    """Sees in every white bar on black a person who stands, of its height."""

    trained_on = ("folder",)

    def __call__(self, inputs):
        boxes, scores = super().__call__(inputs)
        low, high = boxes.min(axis=1)[:, None], boxes.max(axis=1)[:, None]
        figure = standing()
        heights = (high - low)[..., 1:] / np.ptp(figure[:, 1])
        middle = np.array((100, figure[:, 1].min()))
        return (figure - middle) * heights + np.stack(
            [(low + high)[..., 0] / 2, low[..., 1]], axis=-1
        ), scores

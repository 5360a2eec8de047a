"""Reader of COCO's keypoint annotations."""

import numpy as np

from hourglass import geometry
from hourglass.annotations.midpoints import fill_midpoints
from hourglass.raw.own_annotations import COCO_KEYPOINTS, NUM_FACE_KEYPOINTS
from hourglass.skeleton import JOINTS, NUM_JOINTS, PERSON_HEIGHT

# Of COCO's keypoints below the face; left is the person's own left in both.
_JOINTS = [
    JOINTS.index(name.replace("left_", "l_").replace("right_", "r_"))
    for name in COCO_KEYPOINTS[NUM_FACE_KEYPOINTS:]
]


def read_coco_person(person):
    """The raw record of a person, unchecked: MPII's JSON form, 1-based pixels.

    Labelled is a keypoint of v 1, occluded, or 2. Pelvis and thorax are the midpoints of hips and
    shoulders, labelled where both are; upper neck and head top are missing. Center and scale are
    made of the box, which is drawn around the person and not made of the keypoints, such that the
    person's view is the square that `hourglass predict --box` looks at.

    Args:
        person: `raw.own_annotations.CocoPerson`.
    """
    keypoints = np.reshape(person.keypoints, (len(COCO_KEYPOINTS), 3))  # x, y, v
    columns = np.zeros((1, NUM_JOINTS, 3))
    columns[0, _JOINTS] = keypoints[NUM_FACE_KEYPOINTS:]
    columns[..., 2] = columns[..., 2] > 0
    (joints,) = fill_midpoints(columns)
    (x, y), side = geometry.box_view(person.bbox)
    scale = side / (geometry.CROP_FACTOR * PERSON_HEIGHT)
    return {
        "image": person.image,
        "joints": (joints[:, :2] + 1).tolist(),
        "joints_vis": joints[:, 2].tolist(),
        "center": [float(x) + 1, float(y) + 1 - geometry.CENTER_SHIFT * scale],
        "scale": scale,
    }

"""Poses in a program of one's own: load a network, find people on an array, draw them.

What can be put right by the caller is an `errors.UserError` of one line.
"""

import numpy as np
from PIL import Image

from hourglass.errors import UserError
from hourglass.prediction.drawing import paint_pose
from hourglass.prediction.looks import Search, run_searches
from hourglass.prediction.people import THRESHOLD
from hourglass.prediction.photos import BATCH_SIZE, Request
from hourglass.shipped import shipped_network
from hourglass.skeleton import JOINTS

__all__ = ["JOINTS", "Network", "draw", "load"]


def load(path=None, flip_test=True):
    """A trained network, ready for pictures.

    Args:
        path: its `.keras` file. None: the network that comes with the package, trained on
            photographs of sports, for research use alone (`shipped/MODEL_CARD.md`).
        flip_test: look at each picture in a mirror too: twice the time, more exact.

    Raises:
        UserError: the file is missing or damaged, or holds another kind of network.
    """
    # TensorFlow: not for `draw` and JOINTS
    from hourglass.network.predictor import PosePredictor
    from hourglass.network.storage import load_network
    from hourglass.prediction.folding import prepare_network

    network = prepare_network(load_network(path or shipped_network()), "float32")
    return Network(PosePredictor(network, flip_test, "taylor"))


class Network:
    """A trained network; `load` makes one."""

    def __init__(self, predictor):
        self._predictor = predictor

    def predict(self, picture, box=None, people=1, threshold=THRESHOLD):
        """Find people on a picture, as `hourglass predict` does.

        Args:
            picture: uint8 [H, W, 3], RGB, upright.
            box: x, y, width, height, px, of the one person who is there. None: whoever is there is
                searched for.
            people: how many to find, at most.
            threshold: the least score of what a search takes for a person.

        Returns:
            list of `people.Pose`, the surest first: `keypoints` [16, 2] (x, y), px of the picture,
            pixel centres at integers, joints in the order of `JOINTS`; `scores` [16] of the joints;
            `score`, how sure the whole pose is. Empty where nobody is found.

        Raises:
            UserError: not such a picture, box or number, or nothing of the picture is in the box.
        """
        image = _read_picture(picture)
        request = _make_request(box, people, threshold)
        search = Search(request.start(image.size), lambda _: (image, 1))
        if not search.cut_views(self._predictor.size):
            raise UserError(request.describe_unseen(image.size))
        run_searches([search], self._cut_again, self._predictor.predict_views, BATCH_SIZE)
        return request.choose_people(search.poses)

    def _cut_again(self, searches):
        for search in searches:
            search.cut_views(self._predictor.size)


def draw(picture, poses):
    """A copy of a picture with the skeletons of `Network.predict` on it.

    Args:
        picture: uint8 [H, W, 3], RGB.
        poses: list of `people.Pose`, the surest first, which is drawn on top.

    Returns:
        uint8 [H, W, 3].

    Raises:
        UserError: not such a picture.
    """
    pixels = np.array(_read_picture(picture))
    for pose in reversed(poses):
        paint_pose(pixels, pose.keypoints)
    return pixels


def _read_picture(picture):
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UserError(
            f"the picture is {array.dtype} {list(array.shape)}; uint8 [H, W, 3], RGB, was expected"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _make_request(box, people, threshold):
    if not isinstance(people, int | np.integer) or people < 1:
        raise UserError(f"people is {people!r}; a whole number, 1 or more, was expected")
    if box is None:
        return Request(num_people=int(people), threshold=threshold)
    if people > 1:
        raise UserError("a box tells of one person; leave out box, or people")
    return Request("box", _read_box(box), threshold=None)


def _read_box(box):
    """Four floats."""
    try:
        numbers = np.array(box, np.float64)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != (4,) or not np.isfinite(numbers).all() or (numbers[2:] <= 0).any():
        raise UserError(
            f"box is {box!r}; x, y, width, height in pixels were expected, both sizes positive"
        )
    return tuple(numbers.tolist())

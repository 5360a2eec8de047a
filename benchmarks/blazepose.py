"""BlazePose, what many would pick instead: its three networks, fetched by npm, on one thread.

They are no part of the project: Google's, in npm's package @mediapipe/pose, under the Apache
licence. Source: Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020;
landmarks: https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker.
"""

from pathlib import Path

import numpy as np

from hourglass.apps.page.runtime import fetch_files, npm_cache_folder
from hourglass.keypoints import MPII
from hourglass.utils.errors import UserError, one_line, silent_stderr

PACKAGE = "@mediapipe/pose@0.5.1675469404"
SIZES = ("lite", "full", "heavy")
# Our joints that it has too, and their numbers among its landmarks.
LANDMARKS = {
    "l_shoulder": 11, "r_shoulder": 12, "l_elbow": 13, "r_elbow": 14, "l_wrist": 15, "r_wrist": 16,
    "l_hip": 23, "r_hip": 24, "l_knee": 25, "r_knee": 26, "l_ankle": 27, "r_ankle": 28,
}  # fmt: skip
NUM_LANDMARKS = 39  # with six that its tracker uses
# The last step of MediaPipe's own graph: a landmark moves to its heatmap's mean place near it.
WINDOW = 3  # heatmap px to each side
MIN_CONFIDENCE = 0.5


class BlazePose:
    """One of the networks, as a backend (`hourglass.inference.backends`)."""

    batch_size = 1  # of its graph

    def __init__(self, path):
        self._interpreter = open_interpreter(path)
        (picture,) = self._interpreter.get_input_details()
        self.size = int(picture["shape"][1])  # S
        self._input = picture["index"]
        outputs = self._interpreter.get_output_details()
        self._outputs = {tuple(output["shape"]): output["index"] for output in outputs}

    def __call__(self, inputs):
        """Keypoints [N, 16, 2], px of the inputs, uint8 [N, S, S, 3]; scores [N, 16], 1 or 0.

        Joints that it does not know are NaN, their scores 0.
        """
        keypoints = np.stack([self.find_keypoints(pixels) for pixels in inputs])
        return keypoints, np.isfinite(keypoints[..., 0]).astype(float)

    def find_keypoints(self, pixels):
        """Keypoints [16, 2] of one input [S, S, 3]."""
        self._interpreter.set_tensor(self._input, pixels[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        chosen, side = list(LANDMARKS.values()), self.size // 4
        # x, y, z, visibility, presence of each. Its pixel centres are at integers, as ours: x and
        # that of the mirrored input make S - 1.
        landmarks = self._read(1, 5 * NUM_LANDMARKS).reshape(NUM_LANDMARKS, 5)[chosen, :2]
        heatmaps = self._read(1, side, side, NUM_LANDMARKS)[0][..., chosen]
        keypoints = np.full((MPII.num_keypoints, 2), np.nan)
        refined = refine_landmarks(landmarks, heatmaps, self.size)
        # On some pictures without a person its numbers are NaN: that is the corner, for all joints.
        keypoints[[MPII.index(name) for name in LANDMARKS]] = np.nan_to_num(refined)
        return keypoints

    def _read(self, *shape):
        return self._interpreter.get_tensor(self._outputs[shape])


def refine_landmarks(landmarks, heatmaps, size):
    """Landmarks [L, 2], px of the input, moved to the mean places of their heatmaps.

    Each mean is of the heatmap px within `WINDOW` of the landmark's own, as MediaPipe's
    RefineLandmarksFromHeatmapCalculator has it; where none of them is sure the landmark stays.

    Args:
        heatmaps: [H, W, L], logits. size: px of the input.
    """
    side = heatmaps.shape[0]
    refined = np.array(landmarks, np.float64)
    for k, (x, y) in enumerate(np.floor(refined * side / size).astype(int)):
        if not (0 <= x < side and 0 <= y < side):
            continue
        left, top = max(0, x - WINDOW), max(0, y - WINDOW)
        window = heatmaps[top : y + WINDOW + 1, left : x + WINDOW + 1, k].astype(np.float64)
        weights = 1 / (1 + np.exp(-window))
        if weights.max() >= MIN_CONFIDENCE:
            rows, columns = np.indices(weights.shape)
            place = np.array([left + np.average(columns, weights=weights),
                              top + np.average(rows, weights=weights)])  # fmt: skip
            refined[k] = place * size / side
    return refined


def open_interpreter(path):
    """LiteRT with a network, on one thread."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError(
            "BlazePose runs on LiteRT, which is not here: `pip install ai-edge-litert`"
        ) from None
    with silent_stderr():  # it says which kernels it takes
        try:
            interpreter = Interpreter(str(path), num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path}: not a .tflite file: {one_line(error)[:200]}") from None
    return interpreter


def find_networks(folder=None):
    """{size: path} of the three `.tflite` files.

    Args:
        folder: where they lie; None: the user's cache, into which npm fetches them where it lacks
            one.

    Raises:
        UserError: the folder lacks one, or npm does not work.
    """
    where = Path(folder or npm_cache_folder("blazepose"))
    paths = {size: where / f"pose_landmark_{size}.tflite" for size in SIZES}
    if not folder and not all(path.is_file() for path in paths.values()):
        members = {path.name: path for path in paths.values()}
        fetch_files(PACKAGE, members, "or name a folder of them: make field BLAZEPOSE=DIR")
    for path in paths.values():
        if not path.is_file():
            raise UserError(f"{path}: missing; it is in npm's package {PACKAGE}")
    return paths

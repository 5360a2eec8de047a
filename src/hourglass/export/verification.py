"""Whether an exported file finds the joints that Keras finds, on drawn figures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass.data.synthetic.pictures import draw_picture
from hourglass.inference.backends import KerasBackend
from hourglass.inference.person_search import person_crop
from hourglass.models.pose_estimator import PoseEstimator
from hourglass.utils.errors import UserError
from hourglass.utils.images import cut_crop

SEED = 14
CALLS = (1, 4, 7)  # inputs of each; one alone is a case of its own to some runtimes


@dataclass(frozen=True)
class Tolerance:
    """The differences that rounding may cause.

    Attributes:
        keypoints: px of the inputs, of joints whose peak is firm.
        scores: of all joints. A peak is firm if noise of this height moves it by at most `FIRM` px
            of the heatmap. Elsewhere two places are as good, and rounding chooses.
    """

    keypoints: float
    scores: float


FLOAT32 = Tolerance(0.01, 1e-4)
FLOAT16 = Tolerance(0.1, 5e-3)  # of the kernels alone
FIRM = 0.05


@dataclass(frozen=True)
class Proof:
    """How far a file's joints lie from those of Keras.

    Attributes:
        distance: px of the inputs, of the `num_firm` joints whose peak is firm. num_joints: all.
        score_difference: of all.
    """

    distance: float
    score_difference: float
    num_firm: int
    num_joints: int


def compare_with_keras(
    find_keypoints: Callable[[np.ndarray], Any], estimator: PoseEstimator, tolerance: Tolerance
) -> Proof:
    """Compare an exported file with the estimator that it was made from.

    Args:
        find_keypoints: the exported file, opened as a backend.

    Returns:
        A `Proof`.

    Raises:
        UserError: they differ by more than the tolerance.
    """
    inputs = draw_figures(estimator.size, sum(CALLS))
    ends = np.cumsum(CALLS)
    found = [find_keypoints(part) for part in np.split(inputs, ends[:-1])]
    keypoints, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    expected, expected_scores = KerasBackend(estimator)(inputs)
    is_firm = find_firm_joints(estimator, inputs, tolerance.scores)
    distances = np.linalg.norm(keypoints - expected, axis=-1)  # (n, K)
    proof = Proof(
        float(np.max(distances[is_firm | np.isnan(distances)], initial=0)),
        float(np.abs(scores - expected_scores).max()),
        int(is_firm.sum()),
        is_firm.size,
    )
    # So asked, NaN is a difference too.
    if not (proof.distance <= tolerance.keypoints and proof.score_difference <= tolerance.scores):
        raise UserError(
            f"its joints lie up to {proof.distance:.2g} px from those of Keras, its scores "
            f"{proof.score_difference:.2g}; {tolerance.keypoints:g} px and {tolerance.scores:g} "
            "are allowed"
        )
    return proof


def draw_figures(size: int, number: int, seed: int = SEED) -> np.ndarray:
    """Drawn figures, uint8 [n, S, S, 3], each cropped as persons are."""
    inputs = []
    for index in range(number):
        picture, (person, *_) = draw_picture(seed, index)
        center = np.array(person["center"]) - 1  # 0-based
        crop = person_crop(center, person["scale"])
        inputs.append(np.asarray(cut_crop(picture, 1, crop, size)))
    return np.stack(inputs)


def find_firm_joints(estimator: PoseEstimator, inputs: np.ndarray, noise: float) -> np.ndarray:
    """Whether [n, K] a joint's peak stays in its place where noise of this height is added."""
    heatmaps = np.asarray(estimator.predict_heatmaps(inputs.astype(np.float32)))
    added = np.random.default_rng(SEED).uniform(-noise, noise, heatmaps.shape).astype(np.float32)
    peaks, moved = (
        np.asarray(estimator.codec.decode(values)[0]) / estimator.codec.stride
        for values in (heatmaps, heatmaps + added)
    )
    return np.linalg.norm(moved - peaks, axis=-1) <= FIRM

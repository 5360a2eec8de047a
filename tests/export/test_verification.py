import numpy as np
import pytest
from keras import ops
from PIL import Image

from helpers.fake_networks import make_estimator
from hourglass.export import verification
from hourglass.export.verification import (
    CALLS,
    FLOAT16,
    FLOAT32,
    compare_with_keras,
    draw_figures,
    find_firm_joints,
)
from hourglass.inference.backends import KerasBackend
from hourglass.models.pose_estimator import PoseEstimator
from hourglass.utils.errors import UserError


def bell(column, row):
    y, x = np.mgrid[:16, :16]
    return np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * 1.5**2)).astype(np.float32)


def see(heatmaps):
    """A estimator that sees these heatmaps [16, 16, 16] in every input."""

    def respond(pictures):
        return ops.repeat(ops.convert_to_tensor(heatmaps[None]), ops.shape(pictures)[0], axis=0)

    return make_estimator(respond)


@pytest.fixture(scope="module")
def estimator():
    heatmaps = np.stack([bell(3.3 + 0.5 * k, 11.7 - 0.5 * k) for k in range(16)], axis=-1)
    heatmaps[..., 7] = 0.5  # flat
    return see(heatmaps)


@pytest.fixture(scope="module")
def keras(estimator):
    return KerasBackend(estimator)


def test_keras_itself_passes(keras, estimator):
    numbers = []

    def find_keypoints(inputs):
        numbers.append(len(inputs))
        return keras(inputs)

    proof = compare_with_keras(find_keypoints, estimator, FLOAT32)
    assert numbers == [*CALLS] and 1 in numbers
    assert (proof.distance, proof.score_difference) == (0, 0)
    assert (proof.num_firm, proof.num_joints) == (15 * sum(CALLS), 16 * sum(CALLS))


def test_a_network_of_random_weights_passes_too(network):
    estimator = PoseEstimator(network, flip_test=True, decoder="dark")
    proof = compare_with_keras(KerasBackend(estimator), estimator, FLOAT32)
    assert proof.num_firm > proof.num_joints / 4


def moved(keras, joint, by, of_scores=0.0):
    """Keras' joints, one of the first input moved by so many px, and all scores."""

    def find_keypoints(inputs):
        keypoints, scores = (np.array(values) for values in keras(inputs))
        if len(inputs) == CALLS[0]:
            keypoints[0, joint, 0] += by
        return keypoints, scores + np.float32(of_scores)

    return find_keypoints


@pytest.mark.parametrize(
    ("tolerance", "by", "of_scores"),
    [(FLOAT32, 0.011, 0), (FLOAT32, np.nan, 0), (FLOAT32, 0, 2e-4), (FLOAT32, 0, np.nan),
     (FLOAT16, 0.11, 0), (FLOAT16, 0, 0.006)],
)  # fmt: skip
def test_one_joint_that_is_off_is_enough(keras, estimator, tolerance, by, of_scores):
    with pytest.raises(UserError, match=r"^its joints lie up to .* px from those of Keras"):
        compare_with_keras(moved(keras, 0, by, of_scores), estimator, tolerance)


@pytest.mark.parametrize(
    ("tolerance", "by", "of_scores"), [(FLOAT32, 0.009, 5e-5), (FLOAT16, 0.09, 0.004)]
)
def test_what_rounding_does_is_let_pass(keras, estimator, tolerance, by, of_scores):
    proof = compare_with_keras(moved(keras, 0, by, of_scores), estimator, tolerance)
    assert proof.distance == pytest.approx(by, abs=1e-3)
    assert proof.score_difference == pytest.approx(of_scores, abs=1e-6)


def test_where_a_flat_heatmap_peaks_rounding_chooses_but_it_is_a_number(keras, estimator):
    assert compare_with_keras(moved(keras, 7, 9.0), estimator, FLOAT32).distance == 0
    with pytest.raises(UserError, match="up to nan px"):
        compare_with_keras(moved(keras, 7, np.nan), estimator, FLOAT32)


def test_a_peak_is_firm_where_no_other_is_as_high_and_it_is_not_flat():
    heatmaps = np.zeros((16, 16, 16), np.float32)
    heatmaps[..., 0] = bell(4.3, 7.7)
    heatmaps[..., 1] = bell(4, 4) + 0.9 * bell(11, 11)
    heatmaps[..., 2] = bell(4, 4) + 0.9999 * bell(11, 11)  # as high, nearly
    heatmaps[..., 3] = 0.5  # flat
    inputs = np.zeros((1, 64, 64, 3), np.uint8)
    assert find_firm_joints(see(heatmaps), inputs, 5e-3)[0, :4].tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_the_views_are_of_figures_and_always_the_same():
    inputs = draw_figures(32, 4)
    assert inputs.shape == (4, 32, 32, 3) and inputs.dtype == np.uint8
    np.testing.assert_array_equal(inputs, draw_figures(32, 4))
    assert (inputs.reshape(len(inputs), -1).std(axis=1) > 10).all()


def test_a_figure_is_cropped_about_its_own_center(monkeypatch):
    picture = Image.new("RGB", (400, 400), "white")
    picture.paste("black", (200, 0, 201, 400))  # the column of the center
    person = {"center": [201.0, 201.0], "scale": 1.0}  # 1-based, as MPII's
    monkeypatch.setattr(verification, "draw_picture", lambda seed, index: (picture, [person]))
    (pixels,) = draw_figures(250, 1)  # the crop has 250 px: one of the picture to one of it
    assert abs(pixels[100, :, 0].argmin() - 124.5) <= 0.5

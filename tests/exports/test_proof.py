import numpy as np
import pytest
from keras import ops

from helpers.fake_networks import make_predictor
from hourglass.errors import UserError
from hourglass.exports.proof import (
    CALLS,
    FLOAT16,
    FLOAT32,
    compare_with_keras,
    draw_views,
    find_firm_joints,
)
from hourglass.network.predictor import PosePredictor
from hourglass.prediction.keras_finder import KerasFinder


@pytest.fixture(scope="module")
def predictor(network):
    return PosePredictor(network, flip_test=False, decode="taylor")


@pytest.fixture(scope="module")
def keras(predictor):
    return KerasFinder(predictor, None)


@pytest.fixture(scope="module")
def firm(predictor):
    return find_firm_joints(predictor, draw_views(predictor.size), FLOAT32.scores)


def test_keras_itself_passes(keras, predictor, firm):
    numbers = []

    def find_joints(views):
        numbers.append(len(views))
        return keras(views)

    proof = compare_with_keras(find_joints, predictor, FLOAT32)
    assert numbers == [*CALLS] and 1 in numbers
    assert proof.distance <= 0.001 and proof.score_difference <= 1e-6
    assert (proof.num_firm, proof.num_joints) == (firm.sum(), 16 * sum(CALLS))
    assert proof.num_firm > proof.num_joints / 2  # though its weights are random


def moved(keras, joint, by, of_scores=0.0):
    """Keras' joints, one of the first view moved by so many px, and all scores."""

    def find_joints(views):
        keypoints, scores = (np.array(values) for values in keras(views))
        if len(views) == CALLS[0]:
            keypoints[0, joint, 0] += by
        return keypoints, scores + np.float32(of_scores)

    return find_joints


@pytest.mark.parametrize(
    ("tolerance", "by", "of_scores"),
    [(FLOAT32, 0.011, 0), (FLOAT32, np.nan, 0), (FLOAT32, 0, 2e-5), (FLOAT32, 0, np.nan),
     (FLOAT16, 0.11, 0), (FLOAT16, 0, 0.006)],
)  # fmt: skip
def test_one_joint_that_is_off_is_enough(keras, predictor, firm, tolerance, by, of_scores):
    views = draw_views(predictor.size)
    firm = find_firm_joints(predictor, views, tolerance.scores)
    joint = int(np.flatnonzero(firm[0])[0])
    with pytest.raises(UserError, match=r"^its joints lie up to .* px from those of Keras"):
        compare_with_keras(moved(keras, joint, by, of_scores), predictor, tolerance)


def test_what_rounding_does_is_let_pass(keras, predictor, firm):
    joint = int(np.flatnonzero(firm[0])[0])
    proof = compare_with_keras(moved(keras, joint, 0.009, 5e-6), predictor, FLOAT32)
    assert proof.distance == pytest.approx(0.009, abs=1e-3)


def test_a_peak_is_firm_where_no_other_is_as_high_and_it_is_not_flat():
    y, x = np.mgrid[:16, :16]

    def bell(column, row, sigma=1.5):
        return np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))

    heatmaps = np.zeros((16, 16, 16), np.float32)
    heatmaps[..., 0] = bell(4.3, 7.7)
    heatmaps[..., 1] = bell(4, 4) + 0.9 * bell(11, 11)
    heatmaps[..., 2] = bell(4, 4) + 0.9999 * bell(11, 11)  # as high, nearly
    heatmaps[..., 3] = 0.5  # flat
    predictor = make_predictor(lambda _: ops.convert_to_tensor(heatmaps[None]))
    views = np.zeros((1, 64, 64, 3), np.uint8)
    assert find_firm_joints(predictor, views, 5e-3)[0, :4].tolist() == [True, True, False, False]


def test_the_views_are_of_figures_and_always_the_same():
    views = draw_views(32)
    assert views.shape == (sum(CALLS), 32, 32, 3) and views.dtype == np.uint8
    np.testing.assert_array_equal(views, draw_views(32))
    assert (views.reshape(len(views), -1).std(axis=1) > 10).all()

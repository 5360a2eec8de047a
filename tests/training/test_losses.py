import numpy as np
import pytest

from helpers.networks import change_train
from hourglass.models.codec import HeatmapCodec
from hourglass.training.losses import heatmap_loss


def random_heatmaps(seed, number=2, size=8):
    return np.random.default_rng(seed).random((number, size, size, 16)).astype(np.float32)


def random_keypoints(seed, number=2, size=8):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, size, (number, 16, 2)).astype(np.float32)


ALL = np.ones((2, 16), bool)
CODEC = HeatmapCodec(size=8, stride=1, sigma=1.0)


@pytest.mark.parametrize("foreground", ["value", "support"])
@pytest.mark.parametrize("target_peak", [1.0, 10.0])
def test_loss_by_brute_force(tiny_params, foreground, target_peak):
    params = change_train(
        tiny_params, foreground=foreground, foreground_weight=82.0, target_peak=target_peak
    ).train
    keypoints = random_keypoints(1)
    keypoints_visible = np.random.default_rng(2).random((2, 16)) < 0.7
    stacks = [random_heatmaps(3), random_heatmaps(4)]
    target = np.asarray(CODEC.encode(keypoints))
    total = 0.0
    for heatmaps in stacks:
        for n, y, x, k in np.ndindex(heatmaps.shape):
            t = float(target[n, y, x, k])
            weight = 1 + 82 * (t if foreground == "value" else (t > 0))
            error = (float(heatmaps[n, y, x, k]) - target_peak * t) ** 2
            total += keypoints_visible[n, k] * weight * error / heatmaps.size
    loss = float(heatmap_loss(stacks, keypoints, keypoints_visible, CODEC, params))
    assert loss == pytest.approx(total, rel=1e-4)


def test_missing_joints_cost_nothing(tiny_params):
    heatmaps, keypoints = random_heatmaps(1), random_keypoints(2)
    keypoints_visible = np.random.default_rng(3).random((2, 16)) < 0.5
    expected = float(
        heatmap_loss([heatmaps], keypoints, keypoints_visible, CODEC, tiny_params.train)
    )
    missing = ~keypoints_visible
    keypoints[missing] = -1
    heatmaps = np.where(missing[:, None, None], 1e3, heatmaps)
    assert (
        float(heatmap_loss([heatmaps], keypoints, keypoints_visible, CODEC, tiny_params.train))
        == expected
    )
    assert float(heatmap_loss([heatmaps], keypoints, ~ALL, CODEC, tiny_params.train)) == 0


def test_a_perfect_prediction_costs_nothing_and_each_labelled_joint_counts(tiny_params):
    keypoints = random_keypoints(1)
    heatmaps = np.array(CODEC.encode(keypoints))
    assert float(heatmap_loss([heatmaps], keypoints, ALL, CODEC, tiny_params.train)) == 0
    heatmaps[1, 4, 4, 11] += 1
    assert float(heatmap_loss([heatmaps], keypoints, ALL, CODEC, tiny_params.train)) > 0

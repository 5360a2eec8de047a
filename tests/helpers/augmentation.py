"""Augmentation with other values than the demo's, and batches of stored crops that have some."""

import numpy as np

from helpers.paths import ROOT
from hourglass.config import load_params
from hourglass.keypoints import MPII

# A draw's columns by name, each with its value where nothing is augmented.
PLAIN = {
    "zoom": 1, "turn": 0, "flip": 0, "red": 1, "green": 1, "blue": 1, "half": 0,
    "has_patch": 0, "patch_x": 0, "patch_y": 0, "patch_width": 0.2, "patch_height": 0.2,
    "patch_red": 0, "patch_green": 0, "patch_blue": 0, "edge": 0, "edge_kept": 0.9,
}  # fmt: skip


def make_augment_params(**values):
    """The AugmentParams of the demo, with other values where they are given."""
    params = load_params(ROOT / "demo" / "params.yaml").train.augment
    assert not set(values) - set(type(params).model_fields)
    return params.model_copy(update=values)


def draws_of(*rows):
    """Draws [N, NUM_PARAMETERS]; a row names what differs from the plain draw."""
    assert not {name for row in rows for name in row} - set(PLAIN)
    return np.float32([list((PLAIN | row).values()) for row in rows])


def make_batch(crops, draws, keypoints=None, keypoints_visible=None, center=None, side=110.0):
    """A batch of stored crops; the model input is about the crop's middle unless told."""
    num, stored = np.shape(crops)[:2]
    if keypoints is None:
        keypoints = np.full((num, MPII.num_keypoints, 2), stored / 2)
    if keypoints_visible is None:
        keypoints_visible = np.ones(np.shape(keypoints)[:2], bool)
    if center is None:
        center = np.full((num, 2), (stored - 1) / 2)
    return {
        "crops": np.asarray(crops, np.uint8),
        "keypoints": np.float32(keypoints),
        "keypoints_visible": keypoints_visible,
        "center": np.float32(center),
        "side": np.full(num, side, np.float32),
        "augmentation": np.float32(draws),
    }

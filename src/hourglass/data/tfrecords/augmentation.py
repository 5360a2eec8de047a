"""The augmentation of every record, drawn from (seed, epoch, record) alone. numpy.

To add one: raise NUM_PARAMETERS, name the new column, and fill it in `sample_augmentation`. The
draws of the other columns stay the same, and so do runs that use them alone.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hourglass.config import AugmentParams

# The columns: zoom (over 1: more of the picture), turn (radians), flip (0 or 1), and the gains of
# red, green and blue.
ZOOM, TURN, FLIP, GAINS = 0, 1, 2, slice(3, 6)
# The half of the body to show: 1 the upper, -1 the lower, 0 the whole.
HALF_BODY = 6
# Of the patch that hides a part of the input: 1 if there is one, else 0; x and y, as shares of the
# room that the patch leaves; width and height, as shares of the input's side; red, green and blue.
HAS_PATCH, PATCH_PLACE, PATCH_SIZE, PATCH_COLOUR = 7, slice(8, 10), slice(10, 12), slice(12, 15)
# Of the edge at which the picture ends within the person: 0 none, else 1 + a place in `EDGES`; the
# share of the person that is left.
EDGE, EDGE_KEPT = 15, 16
NUM_PARAMETERS = 17
NUM_TOGETHER = 6  # drawn by one generator; each further column has its own

# The share of the half bodies that are upper ones: `upper_prioritized_prob` of mmpose's
# RandomHalfBody (github.com/open-mmlab/mmpose, mmpose/datasets/transforms/common_transforms.py).
UPPER_SHARE = 0.7
# The sides of a patch, as shares of the input's: those of CoarseDropout in mmpose's RTMPose
# (configs/body_2d_keypoint/rtmpose/body8/rtmpose-l_8xb256-420e_body8-256x192.py).
MIN_PATCH, MAX_PATCH = 0.2, 0.4
# The edges as axis, and the side of it that is cut off (1: beyond, -1: before), and how often each
# is drawn: photographs cut off legs, mostly.
EDGES = ((1, 1), (1, -1), (0, 1), (0, -1))  # bottom, top, right, left
EDGE_SHARES = (0.6, 0.1, 0.15, 0.15)
MIN_KEPT, MAX_KEPT = 0.3, 0.9


def sample_augmentation(
    params: "AugmentParams",
    seed: int,
    epoch: int,
    num_records: int,
    rotations: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the augmentation of every record for one epoch.

    Args:
        rotations: [num_records], degrees to either side; None: `params.rotation` for all.

    Returns:
        float32 [num_records, NUM_PARAMETERS]; row i is record i's.
    """
    # All columns are drawn, used or not: switching one kind of augmentation off leaves the draws of
    # the others as they are.
    values = _draw_columns(seed, epoch, num_records)
    symmetric = 2 * values - 1  # -1..1
    values[:, ZOOM] = 1 + params.scale * symmetric[:, ZOOM]
    degrees = params.rotation if rotations is None else rotations
    values[:, TURN] = np.radians(degrees) * symmetric[:, TURN]
    values[:, FLIP] = (values[:, FLIP] < 0.5) & params.flip
    values[:, GAINS] = 1 + params.colour * symmetric[:, GAINS]
    half = values[:, HALF_BODY]
    is_upper, is_half = half < UPPER_SHARE * params.half_body, half < params.half_body
    values[:, HALF_BODY] = np.select([is_upper, is_half], [1, -1], 0)
    values[:, HAS_PATCH] = values[:, HAS_PATCH] < params.occluders
    values[:, PATCH_SIZE] = MIN_PATCH + (MAX_PATCH - MIN_PATCH) * values[:, PATCH_SIZE]
    values[:, PATCH_COLOUR] *= 255
    # The draws below `edges` are as even as all draws; `side` counts the edges before each draw.
    side = np.digitize(values[:, EDGE], params.edges * np.cumsum(EDGE_SHARES)[:-1]) + 1
    values[:, EDGE] = np.where(values[:, EDGE] < params.edges, side, 0)
    values[:, EDGE_KEPT] = MIN_KEPT + (MAX_KEPT - MIN_KEPT) * values[:, EDGE_KEPT]
    return values.astype(np.float32)


def _draw_columns(seed: int, epoch: int, num_records: int) -> np.ndarray:
    """Numbers 0..1, float64 [num_records, NUM_PARAMETERS]."""
    together = np.random.default_rng((seed, epoch)).random((num_records, NUM_TOGETHER))
    # Not a wider table: the generator fills it row by row, so each number would be another one.
    # The column's own number is 6 at least: (seed, epoch, 0) is the generator of (seed, epoch),
    # and (seed, epoch, 1) draws the order of the records.
    further = [
        np.random.default_rng((seed, epoch, column)).random(num_records)
        for column in range(NUM_TOGETHER, NUM_PARAMETERS)
    ]
    return np.column_stack([together, *further])

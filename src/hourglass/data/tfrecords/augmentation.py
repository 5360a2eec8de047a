"""The augmentation of every record, drawn from (seed, epoch, record) alone. numpy."""

import numpy as np

# Columns of a draw: zoom, turn (radians), flip (0 or 1), gain of red, green and blue.
NUM_PARAMETERS = 6


def sample_augmentation(params, seed, epoch, num_records):
    """Draw the augmentation of every record for one epoch.

    Args:
        params: AugmentParams.

    Returns:
        float32 [num_records, NUM_PARAMETERS]; row i is record i's.
    """
    # All columns are drawn, used or not: switching one kind of augmentation off leaves the draws of
    # the others as they are.
    uniform = np.random.default_rng((seed, epoch)).random((num_records, NUM_PARAMETERS))
    symmetric = 2 * uniform - 1  # -1..1
    draws = np.empty_like(uniform)
    draws[:, 0] = 1 + params.scale * symmetric[:, 0]  # over 1: more of the picture
    draws[:, 1] = np.radians(params.rotation) * symmetric[:, 1]
    draws[:, 2] = (uniform[:, 2] < 0.5) & params.flip
    draws[:, 3:] = 1 + params.colour * symmetric[:, 3:]
    return draws.astype(np.float32)

"""Keypoints to heatmaps and back: `encode_heatmaps` and `decode_heatmaps` are inverses. keras.ops.

Letters: N pictures, K joints, H, W heatmap pixels. Coordinates are (x, y) in heatmap pixels with
pixel centres at integers.
"""

from collections.abc import Callable

import numpy as np

from hourglass.utils.backend import Tensor, ops


def encode_heatmaps(keypoints: Tensor, size: int, sigma: float) -> Tensor:
    """Draw a 2-D Gaussian of peak 1 at each keypoint, at its exact sub-pixel place.

    The support is 7 x 7 pixels for sigma 1, cut off at the border where it reaches outside; a
    keypoint further outside leaves its heatmap empty.
    Source: Zhang et al., Distribution-Aware Coordinate Representation, CVPR 2020, section 3.2.

    Args:
        keypoints: float [N, K, 2], finite.
        size: H = W.
        sigma: px.

    Returns:
        float32 [N, H, W, K].
    """
    # From each column and each row to each keypoint: (N, size, K, 2).
    distance = ops.cast(ops.arange(size), "float32")[:, None, None] - keypoints[:, None]
    bell = ops.exp(-ops.square(distance) / (2 * sigma**2))  # (N, size, K, 2)
    bell = ops.where(ops.abs(distance) < 3.5 * sigma, bell, 0.0)
    # A Gaussian is the product of one across and one down: (N, 1, W, K) * (N, H, 1, K).
    return bell[:, None, :, :, 0] * bell[:, :, None, :, 1]


def decode_heatmaps(heatmaps: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Find each heatmap's keypoint.

    Args:
        heatmaps: float32 [N, H, W, K], H and W at least 3.
        method: "argmax": the highest pixel. "shift": moved a quarter of a pixel towards the
            higher neighbour, unless it is on the border (Newell et al., ECCV 2016). "dark": the
            peak of the parabola through the logarithm around the highest pixel, exact for a
            Gaussian (Zhang et al., CVPR 2020, equation 9).

    Returns:
        keypoints: float32 [N, K, 2]. scores: float32 [N, K], the highest pixel's value.
    """
    height, width = heatmaps.shape[1:3]
    flat = ops.reshape(heatmaps, (-1, height * width, heatmaps.shape[3]))  # (N, H * W, K)
    scores = ops.max(flat, axis=1)  # (N, K)
    # On GPUs, TensorFlow computes with int32 in the host's memory. So the highest pixel is looked
    # for among truths, as Keras takes the bits of floats for int32 to find negative zeros; and
    # pixels are counted in float32, which is exact for so few.
    best = ops.argmax(ops.equal(flat, scores[:, None]), axis=1)  # (N, K), row * W + column
    best = ops.cast(best, "float32")
    y = ops.floor((best + 0.5) / width)  # half a pixel off the bounds, however division rounds
    x = best - y * width  # (N, K) each, whole heatmap px
    peak = ops.stack([x, y], axis=-1)  # (N, K, 2)
    if method == "argmax":
        return peak, scores
    # The stencil stays inside the heatmap; a peak on the border is reached from one pixel in.
    column, row = ops.clip(x, 1, width - 2), ops.clip(y, 1, height - 2)
    offsets = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)], np.float32)
    index = (row * width + column)[:, None] + offsets[:, None]  # (N, 9, K)
    stencil = ops.take_along_axis(flat, ops.cast(index, "int32"), axis=1)  # each of its own heatmap

    def at(dx: int, dy: int) -> Tensor:  # the value [N, K] of a neighbour
        return stencil[:, 3 * (dy + 1) + dx + 1]

    middle = ops.stack([column, row], axis=-1)  # `peak` except on the border
    if method == "shift":
        step = ops.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], axis=-1)  # (N, K, 2)
        # By axis: a peak on the left border still moves up or down.
        return peak + ops.where(ops.equal(peak, middle), 0.25 * ops.sign(step), 0.0), scores
    offset, is_peak = _dark_offset(at)
    found = ops.where(is_peak[..., None], middle + offset, peak)
    # Half a pixel is the farthest a true peak can be; a little more is left for noise.
    return ops.clip(found, peak - 0.75, peak + 0.75), scores


def _dark_offset(at: Callable[[int, int], Tensor]) -> tuple[Tensor, Tensor]:
    """Newton's step [N, K, 2] from the stencil's middle to the peak of the log heatmap.

    Also returns where [N, K] there is a peak to step to; elsewhere the step means nothing.
    """

    def log_at(dx: int, dy: int) -> Tensor:
        # Of a Gaussian the logarithm is a parabola; what is below zero has none.
        return ops.log(ops.maximum(at(dx, dy), 1e-6))

    center, left, right, up, down = (log_at(*d) for d in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)))
    dx, dy = (right - left) / 2, (down - up) / 2  # (N, K) each, the gradient
    dxx, dyy = right - 2 * center + left, down - 2 * center + up  # the Hessian's diagonal
    dxy = (log_at(1, 1) - log_at(-1, 1) - log_at(1, -1) + log_at(-1, -1)) / 4
    # A maximum has a negative definite Hessian; a ridge or a plateau has no step that means much.
    determinant = dxx * dyy - dxy * dxy
    is_peak = ops.logical_and(determinant > 1e-6, dxx < 0)
    safe = ops.where(is_peak, determinant, 1.0)  # no division by 0 where no step is taken
    # - inverse(Hessian) @ gradient, with the 2 x 2 inverse written out.
    offset = ops.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1) / safe[..., None]
    return offset, is_peak

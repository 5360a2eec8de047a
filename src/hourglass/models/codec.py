"""Keypoints to heatmaps and back: `encode` and `decode` of a codec are inverses. keras.ops.

Letters: N pictures, K keypoints, H, W heatmap pixels. Coordinates are (x, y) with pixel centres at
integers.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hourglass.models.metadata import UNCALIBRATED, Calibration, ModelMetadata
from hourglass.utils.backend import Tensor, ops


@dataclass(frozen=True)
class HeatmapCodec:
    """Keypoints as Gaussians on heatmaps.

    Attributes:
        size: H = W, px of the heatmaps.
        stride: px of the model input to a px of the heatmaps.
        sigma: px of the heatmaps.
        decoder: a name of `DECODERS`.
        calibration: what makes probabilities of the scores.
    """

    size: int
    stride: int
    sigma: float
    decoder: str = "dark"
    calibration: Calibration = UNCALIBRATED

    def encode(self, keypoints: Tensor) -> Tensor:
        """Draw a 2-D Gaussian of peak 1 at each keypoint, at its exact sub-pixel place.

        The support is 7 x 7 pixels for sigma 1, cut off at the border. A keypoint further outside
        leaves its heatmap empty.
        Source: Zhang et al., Distribution-Aware Coordinate Representation, CVPR 2020, section 3.2.

        Args:
            keypoints: float [N, K, 2], px of the model input, finite.

        Returns:
            float32 [N, H, W, K].
        """
        keypoints = self.input_to_heatmap(keypoints)
        # From each column and each row to each keypoint: (N, size, K, 2).
        distance = ops.cast(ops.arange(self.size), "float32")[:, None, None] - keypoints[:, None]
        bell = ops.exp(-ops.square(distance) / (2 * self.sigma**2))  # (N, size, K, 2)
        bell = ops.where(ops.abs(distance) < 3.5 * self.sigma, bell, 0.0)
        # A Gaussian is the product of one across and one down: (N, 1, W, K) * (N, H, 1, K).
        return bell[:, None, :, :, 0] * bell[:, :, None, :, 1]

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Find each heatmap's keypoint.

        Args:
            heatmaps: float32 [N, H, W, K], H and W at least 3.

        Returns:
            keypoints: float32 [N, K, 2], px of the model input. scores: float32 [N, K], the highest
            pixel's value, calibrated.
        """
        keypoints, heights = DECODERS[self.decoder](heatmaps)
        return self.heatmap_to_input(keypoints), calibrate(heights, self.calibration)

    def input_to_heatmap(self, keypoints: Tensor) -> Tensor:
        """Px of the model input to px of the heatmaps."""
        # The corner that both grids share is at -0.5, so that is what the stride scales about.
        return (keypoints + 0.5) / self.stride - 0.5

    def heatmap_to_input(self, keypoints: Tensor) -> Tensor:
        """The inverse of `input_to_heatmap`."""
        return (keypoints + 0.5) * self.stride - 0.5


def open_codec(metadata: ModelMetadata, decoder: str = "dark") -> HeatmapCodec:
    """The codec of a network.

    Raises:
        ValueError: its outputs are of another kind than heatmaps.
    """
    if metadata.codec != "heatmap":
        raise ValueError(f"the codec {metadata.codec!r} is not known")
    return HeatmapCodec(
        metadata.heatmap_size, metadata.stride, metadata.sigma, decoder, metadata.calibration
    )


def calibrate(heights: Tensor, calibration: Calibration) -> Tensor:
    """The probabilities of peaks of any shape; beyond the line's ends, those of its ends."""
    if not calibration.heights:
        return heights
    points = zip(calibration.heights, calibration.probabilities, strict=True)
    probabilities = ops.full_like(heights, calibration.probabilities[0])
    for (low, before), (high, after) in itertools.pairwise(points):
        share = ops.clip((heights - low) / (high - low), 0.0, 1.0)  # of this piece's rise
        probabilities += (after - before) * share
    return probabilities


@dataclass(frozen=True)
class _Peaks:
    """The highest pixel of each heatmap, and what lies around it.

    Attributes:
        peak: [N, K, 2]. scores: [N, K], its value.
        middle: [N, K, 2], of the stencil; `peak` except on the border.
        at: gives the value [N, K] that lies (dx, dy) from the middle, each -1, 0 or 1.
    """

    peak: Tensor
    scores: Tensor
    middle: Tensor
    at: Callable[[int, int], Tensor]


def _find_peaks(heatmaps: Tensor) -> _Peaks:
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
    # The stencil stays inside the heatmap; a peak on the border is reached from one pixel in.
    column, row = ops.clip(x, 1, width - 2), ops.clip(y, 1, height - 2)
    offsets = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)], np.float32)
    index = (row * width + column)[:, None] + offsets[:, None]  # (N, 9, K)
    stencil = ops.take_along_axis(flat, ops.cast(index, "int32"), axis=1)  # each of its own heatmap

    def at(dx: int, dy: int) -> Tensor:
        return stencil[:, 3 * (dy + 1) + dx + 1]

    return _Peaks(ops.stack([x, y], axis=-1), scores, ops.stack([column, row], axis=-1), at)


# Decoders: from heatmaps to keypoints [N, K, 2], heatmap px, and scores [N, K].


def _decode_argmax(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """The highest pixel."""
    found = _find_peaks(heatmaps)
    return found.peak, found.scores


def _decode_shift(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """0.25 px from the highest pixel towards the higher neighbour (Newell et al.)."""
    found = _find_peaks(heatmaps)
    peak, at = found.peak, found.at
    step = ops.stack([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)], axis=-1)  # (N, K, 2)
    # Not from the border; by axis: a peak on the left border still moves up or down.
    move = ops.where(ops.equal(peak, found.middle), 0.25 * ops.sign(step), 0.0)
    return peak + move, found.scores


def _decode_dark(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """The peak of the parabola through the log heatmap there (Zhang et al., equation 9)."""
    found = _find_peaks(heatmaps)
    peak = found.peak
    offset, is_peak = _dark_offset(found.at)
    keypoints = ops.where(is_peak[..., None], found.middle + offset, peak)
    # Half a pixel is the farthest a true peak can be; a little more is left for noise.
    return ops.clip(keypoints, peak - 0.75, peak + 0.75), found.scores


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


# By the names that `predict.decode` of params.yaml takes. Sources: Newell et al., ECCV 2016
# ("shift"); Zhang et al., CVPR 2020 ("dark", exact for a Gaussian).
DECODERS = {"argmax": _decode_argmax, "shift": _decode_shift, "dark": _decode_dark}

"""The detector of people as ONNX: from the pixels of whole pictures to boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hourglass.data.datasets.base import find_network_terms
from hourglass.export.onnx_format import write_function
from hourglass.export.verification import draw_figures
from hourglass.inference.backends import PeopleFinder
from hourglass.models.batch_norm import fuse_conv_bn
from hourglass.models.metadata import DetectorMetadata, encode_detector
from hourglass.models.people_detector import decode_people
from hourglass.utils.backend import Model, Tensor, ops, tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

PX_OFF, SCORE_OFF = 0.5, 5e-3  # by kernels of float16
NUM_PROVEN = 6


def export_people_detector(network: Model, trained_on: Sequence[str], path: Path) -> None:
    """Write the detector as one file, and hold it against Keras.

    Args:
        network: of `build_people_detector`, trained.
        trained_on: the names of the datasets.

    Raises:
        UserError: the file finds other people than Keras does; nothing is written then.
    """
    size = network.input_shape[1]
    fused = fuse_conv_bn(network, "float32")
    spec = tf.TensorSpec((None, size, size, 3), tf.uint8, name="pictures")

    def find_people(pictures: Tensor) -> dict[str, Tensor]:
        boxes, scores = decode_people(fused(ops.cast(pictures, "float32"), training=False))
        return {"boxes": boxes, "scores": scores}

    function = tf.function(find_people, input_signature=[spec], autograph=False)
    terms = find_network_terms(trained_on)
    metadata = encode_detector(DetectorMetadata(size, tuple(trained_on), terms))
    with tf.device("/CPU:0"), atomic_path(path) as temporary:
        write_function(function, metadata, True, temporary)  # half the bytes
        inputs = draw_figures(size, NUM_PROVEN)
        expected = function(tf.constant(inputs))
        boxes, scores = PeopleFinder(temporary)(inputs)
        off = compare_found((boxes, scores), (expected["boxes"], expected["scores"]))
        if off[0] > PX_OFF or off[1] > SCORE_OFF:
            raise UserError(f"{path}: not written: it finds other people than Keras; report this")


def compare_found(
    found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """The greatest differences: of the boxes whose place in the order is certain, of all scores."""
    (boxes, scores), (true_boxes, true_scores) = found, map(np.asarray, expected)
    # Between scores that are nearly equal, as those of nobody are, rounding chooses.
    gaps = np.abs(np.diff(true_scores, axis=1, prepend=2, append=-1))
    is_certain = np.minimum(gaps[:, :-1], gaps[:, 1:]) > SCORE_OFF
    distances = np.abs(boxes - true_boxes).max(axis=-1)[is_certain]
    return float(distances.max(initial=0.0)), float(np.abs(scores - true_scores).max())

"""The detector of people as ONNX: from the pixels of whole pictures to boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hourglass.data.datasets.base import find_network_terms
from hourglass.export.onnx_format import write_function
from hourglass.inference.backends import PeopleFinder
from hourglass.models.batch_norm import fuse_conv_bn
from hourglass.models.metadata import DetectorMetadata, encode_detector
from hourglass.models.people_detector import decode_people
from hourglass.utils.backend import Model, Tensor, ops, tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path

TOLERANCE = 0.01  # px and scores, by rounding
SEED = 1


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
        write_function(function, metadata, False, temporary)
        inputs = np.random.default_rng(SEED).integers(0, 256, (2, size, size, 3), np.uint8)
        expected = function(tf.constant(inputs))
        found = dict(zip(("boxes", "scores"), PeopleFinder(temporary)(inputs), strict=True))
        if any(np.abs(found[key] - expected[key]).max() > TOLERANCE for key in found):
            raise UserError(f"{path}: not written: it finds other people than Keras; report this")

"""One TensorFlow function from the pixels of crops to keypoints: every format is made of it.

TensorFlow's own formats are SavedModel, a folder, and LiteRT, which is made from one.
"""

import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.models.metadata import NAME
from hourglass.utils.backend import Tensor, ops, tf
from hourglass.utils.errors import silent_stderr

if TYPE_CHECKING:
    from hourglass.models.pose_estimator import PoseEstimator

FindKeypoints = Callable[[np.ndarray], Any]


def build_graph(estimator: "PoseEstimator") -> Any:
    """The exported function, in a module that holds its weights.

    Args:
        estimator: a `PoseEstimator` on one device.

    Returns:
        tf.Module whose `find_keypoints` takes `pictures`, uint8 [N, S, S, 3], N >= 1, and returns
        `keypoints` float32 [N, K, 2], px of the pictures, and `scores` float32 [N, K].
    """
    size = estimator.size
    spec = tf.TensorSpec((None, size, size, 3), tf.uint8, name="pictures")

    def find_keypoints(pictures: Tensor) -> Any:
        keypoints, scores = estimator.find_keypoints(ops.cast(pictures, "float32"))
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.network = estimator.network
    module.find_keypoints = tf.function(find_keypoints, input_signature=[spec], autograph=False)
    return module


def freeze_graph(module: Any) -> Any:
    """The module with its weights as constants: LiteRT's converter loses the variables of Keras."""
    # TensorFlow has no public name for it.
    from tensorflow.python.framework import convert_to_constants

    function = module.find_keypoints
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        function.get_concrete_function()
    )

    def find_keypoints(pictures: Tensor) -> Any:
        keypoints, scores = frozen(pictures)  # by name, as the dict's were
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.find_keypoints = tf.function(
        find_keypoints, input_signature=function.input_signature, autograph=False
    )
    return module


ASSETS = "assets.extra"  # of a SavedModel: what TensorFlow carries along and does not read


def write_saved_model(module: Any, metadata: str, half: bool, path: Path) -> None:
    """Write `build_graph`'s module as a SavedModel, a folder; its weights are never halved."""
    assert not half
    tf.saved_model.save(module, str(path), signatures=module.find_keypoints)
    folder = Path(path, ASSETS)
    folder.mkdir()
    (folder / NAME).write_text(metadata)


def open_saved_model(path: Path) -> FindKeypoints:
    """The folder as a function from model inputs to keypoints and scores."""
    model = tf.saved_model.load(str(path))
    function = model.signatures["serving_default"]

    def find_keypoints(inputs: np.ndarray, model: Any = model) -> Any:  # `model` holds the weights
        found = function(pictures=tf.constant(inputs))
        return found["keypoints"].numpy(), found["scores"].numpy()

    return find_keypoints


def write_litert(module: Any, metadata: str, half: bool, path: Path) -> None:
    """Write `build_graph`'s module as LiteRT; its metadata is appended as a ZIP.

    LiteRT's own tools append a network's other files so too.
    """
    module = freeze_graph(module)
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder, silent_stderr():
        tf.saved_model.save(module, folder, signatures=module.find_keypoints)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        Path(path).write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(NAME), metadata)  # undated


def open_litert(path: Path) -> FindKeypoints:
    """The file as a function from model inputs to keypoints and scores."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its future in a package of its own
        run = tf.lite.Interpreter(str(path)).get_signature_runner()

    def find_keypoints(inputs: np.ndarray) -> Any:
        with silent_stderr():
            found = run(pictures=inputs)
        return found["keypoints"], found["scores"]

    return find_keypoints

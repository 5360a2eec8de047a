"""From pixels of squares to keypoints, as one TensorFlow function: what every format is made of.

TensorFlow's own: SavedModel, a folder, and LiteRT, which is made from one.
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

FindJoints = Callable[[np.ndarray], Any]


def build_graph(predictor: "PoseEstimator") -> Any:
    """The function that is exported, and what holds its weights.

    Args:
        predictor: a `PoseEstimator` on one device.

    Returns:
        tf.Module whose `find_joints` takes `pictures`, uint8 [N, S, S, 3], N >= 1, and returns
        `keypoints` float32 [N, K, 2], px of the pictures, and `scores` float32 [N, K].
    """
    size = predictor.size
    spec = tf.TensorSpec((None, size, size, 3), tf.uint8, name="pictures")

    def find_joints(pictures: Tensor) -> Any:
        keypoints, scores = predictor.find_keypoints(ops.cast(pictures, "float32"))
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.network = predictor.network
    module.find_joints = tf.function(find_joints, input_signature=[spec], autograph=False)
    return module


def freeze_graph(module: Any) -> Any:
    """The same with the weights as constants: LiteRT's converter loses the variables of Keras."""
    # TensorFlow has no public name for it; after `frameworks`, which sees to its log.
    from tensorflow.python.framework import convert_to_constants

    function = module.find_joints
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        function.get_concrete_function()
    )

    def find_joints(pictures: Tensor) -> Any:
        keypoints, scores = frozen(pictures)  # by name, as the dict's were
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.find_joints = tf.function(
        find_joints, input_signature=function.input_signature, autograph=False
    )
    return module


ASSETS = "assets.extra"  # of a SavedModel: what TensorFlow carries along and does not read


def write_saved_model(module: Any, metadata: str, half: bool, path: Path) -> None:
    """Write `build_graph`'s module as a SavedModel, a folder; its weights are never halved."""
    assert not half
    tf.saved_model.save(module, str(path), signatures=module.find_joints)
    folder = Path(path, ASSETS)
    folder.mkdir()
    (folder / NAME).write_text(metadata)


def open_saved_model(path: Path) -> FindJoints:
    """What runs the folder: from views to keypoints and scores."""
    model = tf.saved_model.load(str(path))
    function = model.signatures["serving_default"]

    def find_joints(views: np.ndarray, model: Any = model) -> Any:  # which holds the weights
        found = function(pictures=tf.constant(views))
        return found["keypoints"].numpy(), found["scores"].numpy()

    return find_joints


def write_litert(module: Any, metadata: str, half: bool, path: Path) -> None:
    """Write `build_graph`'s module as LiteRT; what it says of itself is appended as a ZIP.

    So a file is that of other files that belong to a LiteRT network.
    """
    module = freeze_graph(module)
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder, silent_stderr():
        tf.saved_model.save(module, folder, signatures=module.find_joints)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        Path(path).write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(NAME), metadata)  # undated


def open_litert(path: Path) -> FindJoints:
    """What runs the file: from views to keypoints and scores."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its future in a package of its own
        run = tf.lite.Interpreter(str(path)).get_signature_runner()

    def find_joints(views: np.ndarray) -> Any:
        with silent_stderr():
            found = run(pictures=views)
        return found["keypoints"], found["scores"]

    return find_joints

"""From pixels of squares to keypoints, as one TensorFlow function: what every format is made of."""

from hourglass.frameworks import ops, tf


def build_graph(predictor):
    """The function that is exported, and what holds its weights.

    Args:
        predictor: a `PosePredictor` on one device.

    Returns:
        tf.Module whose `find_joints` takes `pictures`, uint8 [N, S, S, 3], N >= 1, and returns
        `keypoints` float32 [N, 16, 2], px of the pictures, and `scores` float32 [N, 16].
    """
    size = predictor.size
    spec = tf.TensorSpec((None, size, size, 3), tf.uint8, name="pictures")

    def find_joints(pictures):
        keypoints, scores = predictor.find_keypoints(ops.cast(pictures, "float32"))
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.network = predictor.network
    module.find_joints = tf.function(find_joints, input_signature=[spec], autograph=False)
    return module


def freeze_graph(module):
    """The same with the weights as constants: LiteRT's converter loses the variables of Keras."""
    # TensorFlow has no public name for it; after `frameworks`, which sees to its log.
    from tensorflow.python.framework import convert_to_constants

    function = module.find_joints
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        function.get_concrete_function()
    )

    def find_joints(pictures):
        keypoints, scores = frozen(pictures)  # by name, as the dict's were
        return {"keypoints": keypoints, "scores": scores}

    module = tf.Module()
    module.find_joints = tf.function(
        find_joints, input_signature=function.input_signature, autograph=False
    )
    return module

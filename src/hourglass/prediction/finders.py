"""Joint finders: what runs a network on views, in one shape whatever runs it.

A joint finder is called with views, uint8 [n, S, S, 3], n >= 1, and returns NumPy arrays: keypoints
float32 [n, 16, 2], px of the views, pixel centres at integers, and scores float32 [n, 16]. It has

    size         S
    batch_size   views a call that it works on best
    trained_on   the name of the dataset that its network was trained on; None where it is not known
"""


def open_finder(path, flip_test, num_pictures=1):
    """The joint finder of a trained network.

    Args:
        path: its `.keras` file.
        flip_test: look at each view in a mirror too.
        num_pictures: that it will be shown, as far as is known: many are shared by all GPUs.

    Raises:
        UserError: the file is missing or damaged, or holds another kind of network.
    """
    # TensorFlow: not for those who open none
    from hourglass.prediction.keras_finder import load_keras_finder

    return load_keras_finder(path, flip_test, num_pictures)

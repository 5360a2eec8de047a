"""The stacked hourglass network. keras only, so it runs on every Keras backend.

Source: Newell, Yang, Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016, and
https://github.com/princeton-vl/pose-hg-train, src/models/hg.lua. Letters: C num_channels,
S input_size, K joints.
"""

from hourglass.keypoints import NUM_JOINTS
from hourglass.utils.backend import keras, layers

BATCH_NORM_MOMENTUM = 0.9  # the share of the old statistics; 0.1 in PyTorch's terms

# The heads start near zero: a heatmap is nearly all zeros, and an error of order one everywhere
# would cost the first thousands of steps to unlearn.
HEAD_STDDEV = 1e-3

# So do the last convolutions of the residuals: the network starts as its identities.
# Source: Goyal et al., Accurate, Large Minibatch SGD, arXiv 1706.02677, section 5.1.
RESIDUAL_INITIALIZER = "zeros"


def build_hourglass(params):
    """Build the network for ModelParams.

    Returns:
        A functional model from pictures [N, S, S, 3], 0..255, to a list of `num_stacks` heatmaps
        float32 [N, S / 4, S / 4, K], the last one the best. It uses Keras' own layers only, so
        that a saved one loads without this package.
    """
    channels = params.num_channels
    pictures = keras.Input((params.input_size, params.input_size, 3), name="pictures")
    # To -1..1, inside of the network: whoever loads it feeds plain pictures.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pictures)
    x = _conv_norm_relu(
        x, channels // 4, 7, "stem_conv", strides=2, kernel_initializer="glorot_uniform"
    )
    x = _residual(x, channels // 2, "stem_residual1")  # (N, S / 2, S / 2, C / 2)
    x = layers.MaxPool2D(name="stem_pool")(x)  # (N, S / 4, S / 4, C / 2)
    x = _residual(x, channels // 2, "stem_residual2")
    x = _residual(x, channels, "stem_residual3")  # (N, S / 4, S / 4, C)
    heatmaps = []  # (N, S / 4, S / 4, K) each
    for stack in range(1, params.num_stacks + 1):
        name = f"stack{stack}"
        features = _hourglass(x, params.num_levels, f"{name}_level")  # (N, S / 4, S / 4, C)
        features = _residual(features, channels, f"{name}_residual")
        # Two rounds of 1x1 convolutions make the heatmaps: this one and the head.
        features = _conv_norm_relu(features, channels, 1, f"{name}_linear")
        heatmaps.append(_head(features, f"{name}_heatmaps"))
        if stack < params.num_stacks:
            x = _merge(x, features, heatmaps[-1], stack)
    return keras.Model(pictures, heatmaps, name="stacked_hourglass")


def _hourglass(x, num_levels, prefix):
    """Down and up again over `num_levels`, with a skip branch at each resolution."""
    channels = x.shape[-1]  # C at every level; only the resolution changes
    name = f"{prefix}{num_levels}"
    skip = _residual(x, channels, f"{name}_skip")
    low = layers.MaxPool2D(name=f"{name}_pool")(x)  # half as high and wide
    low = _residual(low, channels, f"{name}_down")
    if num_levels > 1:
        low = _hourglass(low, num_levels - 1, prefix)
    else:
        low = _residual(low, channels, f"{name}_bottom")
    low = _residual(low, channels, f"{name}_up")
    # Nearest neighbour, Keras' default and the paper's choice; the sum with the skip branch brings
    # the detail back.
    return layers.Add(name=f"{name}_add")([skip, layers.UpSampling2D(name=f"{name}_grow")(low)])


def _residual(x, channels, name):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1 convolutions around an identity."""
    identity = x  # by a 1x1 convolution only where the number of channels changes
    if x.shape[-1] != channels:
        identity = _conv(x, channels, 1, f"{name}_identity")
    x = _norm_relu(x, name)
    x = _conv_norm_relu(x, channels // 2, 1, f"{name}_conv1")
    x = _conv_norm_relu(x, channels // 2, 3, f"{name}_conv2")
    x = _conv(x, channels, 1, f"{name}_conv3", kernel_initializer=RESIDUAL_INITIALIZER)
    # Neither norm nor ReLU after the sum, so that the identity runs through all blocks untouched
    # (He et al., Identity Mappings in Deep Residual Networks, arXiv 1603.05027).
    return layers.Add(name=f"{name}_add")([identity, x])


def _merge(x, features, heatmaps, stack):
    """What the next stack sees: the last one's input, features and heatmaps."""
    channels = x.shape[-1]
    return layers.Add(name=f"stack{stack}_merge")(
        [
            x,
            _conv(features, channels, 1, f"stack{stack}_merge_features"),
            # From K channels to C, so that they can be added.
            _conv(heatmaps, channels, 1, f"stack{stack}_merge_heatmaps"),
        ]
    )


def _conv_norm_relu(x, channels, kernel, name, **settings):
    """A convolution that its norm alone reads: for prediction the two are fused."""
    return _norm_relu(_conv(x, channels, kernel, name, **settings), name)


def _norm_relu(x, name):
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv(x, channels, kernel, name, **settings):
    # No bias: all but the heads are read through norms alone, sums too, which take means off. A
    # bias there has no gradient but what rounding leaves; Adam makes steps of that, in bfloat16
    # full ones, until the means hide what lies on them.
    settings = {"padding": "same", "kernel_initializer": "he_normal", "use_bias": False} | settings
    return layers.Conv2D(channels, kernel, name=name, **settings)(x)


def _head(features, name):
    # float32 whatever the precision: sub-pixel decoding takes differences of neighbours.
    start = keras.initializers.RandomNormal(stddev=HEAD_STDDEV)
    return _conv(
        features, NUM_JOINTS, 1, name, dtype="float32", kernel_initializer=start, use_bias=True
    )

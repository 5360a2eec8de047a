"""The layers that the networks are made of, as functions from one symbolic tensor to the next.

They use Keras' own layers alone: a saved network loads without this package.
"""

from typing import Any

from hourglass.utils.backend import Tensor, keras, layers

BATCH_NORM_MOMENTUM = 0.9  # the share of the old statistics; 0.1 in PyTorch's terms

# The heads start near zero: a heatmap is nearly all zeros, and an error of order one everywhere
# would cost the first thousands of steps to unlearn.
HEAD_STDDEV = 1e-3

# So do the last convolutions of the residuals: the network starts as its identities.
# Source: Goyal et al., Accurate, Large Minibatch SGD, arXiv 1706.02677, section 5.1.
RESIDUAL_INITIALIZER = "zeros"


def pictures_input(size: int) -> Tensor:
    """The input: pictures [N, S, S, 3], 0..255."""
    return keras.Input((size, size, 3), name="pictures")


def rescale(pictures: Tensor) -> Tensor:
    """Pictures 0..255 within -1..1. The network does it: its users feed plain pictures."""
    return layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pictures)


def conv(x: Tensor, channels: int, kernel: int, name: str, **settings: Any) -> Tensor:
    """A convolution of kernel x kernel px, without bias, that keeps height and width."""
    # No bias: all but the heads are read through norms alone, sums too, which take means off. A
    # bias there has no gradient but what rounding leaves; Adam makes steps of that, in bfloat16
    # full ones, until the means hide what lies on them.
    settings = {"padding": "same", "kernel_initializer": "he_normal", "use_bias": False} | settings
    return layers.Conv2D(channels, kernel, name=name, **settings)(x)


def norm_relu(x: Tensor, name: str) -> Tensor:
    """Batch normalisation and ReLU."""
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def conv_norm_relu(x: Tensor, channels: int, kernel: int, name: str, **settings: Any) -> Tensor:
    """A convolution that its norm alone reads: for prediction the two are fused."""
    return norm_relu(conv(x, channels, kernel, name, **settings), name)


def residual(x: Tensor, channels: int, name: str) -> Tensor:
    """Pre-activation bottleneck: 1x1, 3x3, 1x1 convolutions around an identity."""
    identity = x  # by a 1x1 convolution only where the number of channels changes
    if x.shape[-1] != channels:
        identity = conv(x, channels, 1, f"{name}_identity")
    x = norm_relu(x, name)
    x = conv_norm_relu(x, channels // 2, 1, f"{name}_conv1")
    x = conv_norm_relu(x, channels // 2, 3, f"{name}_conv2")
    x = conv(x, channels, 1, f"{name}_conv3", kernel_initializer=RESIDUAL_INITIALIZER)
    # Neither norm nor ReLU after the sum, so that the identity runs through all blocks untouched
    # (He et al., Identity Mappings in Deep Residual Networks, arXiv 1603.05027).
    return layers.Add(name=f"{name}_add")([identity, x])


def stem(x: Tensor, channels: int) -> Tensor:
    """The stem of the stacked hourglass: [N, S, S, 3] to features [N, S / 4, S / 4, C]."""
    x = conv_norm_relu(
        x, channels // 4, 7, "stem_conv", strides=2, kernel_initializer="glorot_uniform"
    )
    x = residual(x, channels // 2, "stem_residual1")  # (N, S / 2, S / 2, C / 2)
    x = layers.MaxPool2D(name="stem_pool")(x)  # (N, S / 4, S / 4, C / 2)
    x = residual(x, channels // 2, "stem_residual2")
    return residual(x, channels, "stem_residual3")


def head(features: Tensor, num_keypoints: int, name: str) -> Tensor:
    """Heatmaps [N, H, W, K] of features, always float32."""
    # Sub-pixel decoding takes differences of neighbours.
    start = keras.initializers.RandomNormal(stddev=HEAD_STDDEV)
    settings = {"dtype": "float32", "kernel_initializer": start, "use_bias": True}
    return conv(features, num_keypoints, 1, name, **settings)

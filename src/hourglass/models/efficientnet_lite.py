"""EfficientNet-Lite0 without its classifier: an encoder whose weights know photographs.

Source: Tan and Le, EfficientNet, ICML 2019, arXiv 1905.11946, table 1; Lite takes its squeezes and
its swish off (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

from typing import NamedTuple

from hourglass.utils.backend import Tensor, layers

BATCH_NORM_MOMENTUM, EPSILON = 0.9, 1e-3
END = "encoder_end"


class Stage(NamedTuple):
    """Blocks of the same width; the first one has the stride."""

    num_blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def encode(pictures: Tensor, max_stride: int) -> dict[int, Tensor]:
    """The features of pictures [N, S, S, 3], 0..255.

    Args:
        max_stride: 4, 8, 16 or 32: the stages after those of this stride are left out.

    Returns:
        {stride: features [N, S / stride, S / stride, channels]}, for the strides 2, 4 ... up to
        `max_stride`: those of the last block that has them. The layer `END` makes the last ones.
    """
    # As the weights were trained to see them.
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="encoder_rescale")(pictures)
    x = layers.Conv2D(
        STEM_CHANNELS, 3, strides=2, padding="same", use_bias=False, name="encoder_stem_conv"
    )(x)
    x = _relu(_norm(x, "encoder_stem_norm"), "encoder_stem_relu")
    stride, number, features = 2, 0, {}
    for stage in STAGES:
        if stride * stage.stride > max_stride:
            break
        stride *= stage.stride
        for k in range(stage.num_blocks):
            x = _block(x, stage, stage.stride if k == 0 else 1, f"encoder_block{number}")
            number += 1
        features[stride] = x
    features[stride] = layers.Identity(name=END)(features[stride])
    return features


def _block(x: Tensor, stage: Stage, stride: int, name: str) -> Tensor:
    """An inverted residual: wide 1x1, depthwise, narrow 1x1 convolution; no ReLU at its end.

    Source: Sandler et al., MobileNetV2, CVPR 2018, arXiv 1801.04381.
    """
    identity = x
    if stage.expansion > 1:
        x = _conv(x, stage.expansion * x.shape[-1], f"{name}_expand")
        x = _relu(x, f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu(_norm(x, f"{name}_depthwise_norm"), f"{name}_depthwise_relu")
    x = _conv(x, stage.channels, f"{name}_project")
    if stride == 1 and identity.shape[-1] == stage.channels:
        x = layers.Add(name=f"{name}_add")([identity, x])
    return x


def _conv(x: Tensor, channels: int, name: str) -> Tensor:
    return _norm(layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_conv")(x), f"{name}_norm")


def _norm(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=EPSILON, name=name)(x)


def _relu(x: Tensor, name: str) -> Tensor:
    return layers.ReLU(max_value=6, name=name)(x)

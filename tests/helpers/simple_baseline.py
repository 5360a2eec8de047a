"""SimpleBaseline on the package's blocks: a second model, which no other module knows of.

Source: Xiao, Wu, Wei, Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018. An
encoder, then transposed convolutions back to a quarter of the input. `num_stacks` is not used.
"""

from hourglass.models.blocks import head, norm_relu, pictures_input, rescale, residual, stem
from hourglass.models.registry import register
from hourglass.utils.backend import keras, layers

NAME = "simple_baseline"


@register(NAME, encoder=lambda params: "encoder_relu")
def build_simple_baseline(params, schema):
    """`num_levels` times half as high and wide as the stem's features, and as often twice."""
    channels = params.num_channels
    pictures = pictures_input(params.input_size)
    x = stem(rescale(pictures), channels)  # (N, S / 4, S / 4, C)
    for level in range(params.num_levels):
        x = layers.MaxPool2D(name=f"down{level}_pool")(x)
        x = residual(x, channels, f"down{level}")
    x = norm_relu(x, "encoder")
    for level in range(params.num_levels):
        deconv = layers.Conv2DTranspose(
            channels, 4, strides=2, padding="same", use_bias=False, name=f"up{level}_deconv"
        )
        x = norm_relu(deconv(x), f"up{level}")
    return keras.Model(pictures, head(x, schema.num_keypoints, "heatmaps"), name=NAME)

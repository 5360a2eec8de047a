"""The stacked hourglass network.

Source: Newell, Yang, Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016, and
https://github.com/princeton-vl/pose-hg-train, src/models/hg.lua. Letters: C num_channels,
S input_size, K keypoints.
"""

from hourglass.config import HEATMAP_STRIDE, ModelParams
from hourglass.keypoints import KeypointSchema
from hourglass.models import efficientnet_lite
from hourglass.models.blocks import (
    conv,
    conv_norm_relu,
    head,
    pictures_input,
    rescale,
    residual,
    stem,
)
from hourglass.models.registry import register
from hourglass.utils.backend import Model, Tensor, keras, layers


def name_encoder(params: ModelParams) -> str:
    """The layer that ends a pretrained encoder; "" without one."""
    return "" if params.encoder == "none" else efficientnet_lite.END


@register("stacked_hourglass", encoder=name_encoder)
def build_hourglass(params: ModelParams, schema: KeypointSchema) -> Model:
    """Build the network.

    With a pretrained encoder the first stack's way down is the encoder's; no stem is before it.

    Returns:
        A functional model from pictures [N, S, S, 3], 0..255, to a list of `num_stacks` heatmaps
        float32 [N, S / 4, S / 4, K], the last one the best.
    """
    channels = params.num_channels
    pictures = pictures_input(params.input_size)
    skips = _encode(pictures, params)
    x = skips[0] if skips else stem(rescale(pictures), channels)  # (N, S / 4, S / 4, C)
    heatmaps = []  # (N, S / 4, S / 4, K) each
    for stack in range(1, params.num_stacks + 1):
        name = f"stack{stack}"
        if skips:
            features, skips = _grow(skips, f"{name}_level"), []  # (N, S / 4, S / 4, C)
        else:
            features = _hourglass(x, params.num_levels, f"{name}_level")
        features = residual(features, channels, f"{name}_residual")
        # Two rounds of 1x1 convolutions make the heatmaps: this one and the head.
        features = conv_norm_relu(features, channels, 1, f"{name}_linear")
        heatmaps.append(head(features, schema.num_keypoints, f"{name}_heatmaps"))
        if stack < params.num_stacks:
            x = _merge(x, features, heatmaps[-1], f"{name}_merge")
    return keras.Model(pictures, heatmaps, name="stacked_hourglass")


def _encode(pictures: Tensor, params: ModelParams) -> list[Tensor]:
    """C channels of the encoder's features at each stride from 4 on; [] without an encoder."""
    if params.encoder == "none":
        return []
    features = efficientnet_lite.encode(pictures, HEATMAP_STRIDE * 2**params.num_levels)
    return [
        conv(x, params.num_channels, 1, f"encoder_stride{stride}_skip")
        for stride, x in features.items()
        if stride >= HEATMAP_STRIDE
    ]


def _grow(skips: list[Tensor], prefix: str) -> Tensor:
    """Up from the last of the skips to the first, each twice as high and wide as the next."""
    *skips, low = skips
    channels = low.shape[-1]
    low = residual(low, channels, f"{prefix}1_bottom")
    for level, skip in enumerate(reversed(skips), start=1):
        low = residual(low, channels, f"{prefix}{level}_up")
        low = _add_grown(low, skip, f"{prefix}{level}")
    return low


def _hourglass(x: Tensor, num_levels: int, prefix: str) -> Tensor:
    """Down and up again over `num_levels`, with a skip branch at each resolution."""
    channels = x.shape[-1]  # C at every level; only the resolution changes
    name = f"{prefix}{num_levels}"
    skip = residual(x, channels, f"{name}_skip")
    low = layers.MaxPool2D(name=f"{name}_pool")(x)  # half as high and wide
    low = residual(low, channels, f"{name}_down")
    if num_levels > 1:
        low = _hourglass(low, num_levels - 1, prefix)
    else:
        low = residual(low, channels, f"{name}_bottom")
    low = residual(low, channels, f"{name}_up")
    return _add_grown(low, skip, name)


def _add_grown(low: Tensor, skip: Tensor, name: str) -> Tensor:
    """The sum of a skip branch and features half as high and wide."""
    # Nearest neighbour, Keras' default and the paper's choice; the sum with the skip branch brings
    # the detail back.
    return layers.Add(name=f"{name}_add")([skip, layers.UpSampling2D(name=f"{name}_grow")(low)])


def _merge(x: Tensor, features: Tensor, heatmaps: Tensor, name: str) -> Tensor:
    """The input of the next stack: the sum of the last one's input, features and heatmaps."""
    channels = x.shape[-1]
    features = conv(features, channels, 1, f"{name}_features")
    # From K channels to C, so that they can be added.
    heatmaps = conv(heatmaps, channels, 1, f"{name}_heatmaps")
    return layers.Add(name=name)([x, features, heatmaps])

"""A network that says where people are on a whole picture: each as the square around its box.

Its output has four numbers for each cell of `STRIDE` px: the logit that a person's middle lies in
it, the offset of that middle, and the side of the square. Source: Zhou, Wang and Kraehenbuehl,
"Objects as Points", arXiv 1904.07850.

Letters: N pictures of S x S px, G = S / STRIDE cells a side. A square is (x, y, side): its middle
and side, px of the picture, pixel centres at integers.
"""

from hourglass.models import efficientnet_lite
from hourglass.models.blocks import conv, conv_norm_relu, pictures_input, residual
from hourglass.utils.backend import Model, Tensor, keras, layers, ops

STRIDE = 8
MAX_STRIDE = 32
MAX_PEOPLE = 50  # of a picture, the surest
REFERENCE = 4 * STRIDE  # px: the side whose logarithm is predicted as 0
PRIOR = -4.0  # the middles' first logit: nearly all cells hold none


def build_people_detector(size: int, num_channels: int) -> Model:
    """Build the network.

    Args:
        size: S, px, a multiple of `MAX_STRIDE`.

    Returns:
        A functional model from pictures [N, S, S, 3], 0..255, to float32 [N, G, G, 4]: the logit of
        a middle, its offset (x, y) from the cell's middle, in cells, and log(side / REFERENCE).
    """
    pictures = pictures_input(size)
    encoded = efficientnet_lite.encode(pictures, MAX_STRIDE)
    skips = [
        conv(x, num_channels, 1, f"stride{stride}_skip")
        for stride, x in encoded.items()
        if stride >= STRIDE
    ]
    *skips, x = skips
    for skip in reversed(skips):
        x = residual(x, num_channels, f"{skip.name}_low")
        grown = layers.UpSampling2D(name=f"{skip.name}_grow")(x)
        x = layers.Add(name=f"{skip.name}_add")([skip, grown])
    x = residual(x, num_channels, "residual")
    x = conv_norm_relu(x, num_channels, 3, "features")
    return keras.Model(pictures, _head(x), name="people_detector")


def _head(features: Tensor) -> Tensor:
    bias = keras.initializers.Constant([PRIOR, 0.0, 0.0, 0.0])
    start = keras.initializers.RandomNormal(stddev=1e-3)
    return layers.Conv2D(
        4, 1, kernel_initializer=start, bias_initializer=bias, dtype="float32", name="people"
    )(features)


def decode_people(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """The people in the outputs [N, G, G, 4] of the network.

    Returns:
        boxes: float32 [N, MAX_PEOPLE, 4], squares as (x, y, width, height), px of the pictures.
        scores: float32 [N, MAX_PEOPLE], the surest first; 0 where there is none: only a cell that
        is surer than its eight neighbours holds a middle.
    """
    side = outputs.shape[1]
    sure = ops.sigmoid(outputs[..., :1])  # (N, G, G, 1)
    highest = ops.max_pool(sure, 3, strides=1, padding="same")
    peaks = ops.reshape(ops.where(ops.equal(sure, highest), sure, 0.0), (-1, side * side))
    number = min(MAX_PEOPLE, side * side)
    scores, cells = ops.top_k(peaks, number)  # (N, MAX_PEOPLE)
    values = ops.reshape(outputs[..., 1:], (-1, side * side, 3))
    values = ops.take_along_axis(values, cells[..., None], axis=1)  # (N, MAX_PEOPLE, 3)
    row = ops.floor((ops.cast(cells, "float32") + 0.5) / side)
    column = ops.cast(cells, "float32") - row * side
    middles = cells_to_px(ops.stack([column, row], axis=-1) + values[..., :2])
    sides = REFERENCE * ops.exp(ops.clip(values[..., 2:], -4.0, 4.0))
    corners = middles - (sides - 1) / 2  # the first px of a box is its x
    return ops.concatenate([corners, sides, sides], axis=-1), scores


def cells_to_px(cells: Tensor) -> Tensor:
    """Places in cells, their middles at integers, to px of the picture."""
    return (cells + 0.5) * STRIDE - 0.5


def px_to_cells(px: Tensor) -> Tensor:
    """The inverse of `cells_to_px`."""
    return (px + 0.5) / STRIDE - 0.5

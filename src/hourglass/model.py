"""The stacked hourglass network. keras only, so it runs on every Keras backend.

Source: Newell, Yang, Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016, and
https://github.com/princeton-vl/pose-hg-train, src/models/hg.lua. Letters: C num_channels,
S input_size, K joints.
"""

import json
import zipfile
from pathlib import Path

from hourglass.backend import keras, layers
from hourglass.errors import UserError
from hourglass.files import atomic_path
from hourglass.skeleton import NUM_JOINTS

HEATMAP_STRIDE = 4  # input pixels a heatmap pixel
BATCH_NORM_MOMENTUM = 0.9
# The heads start near zero: a heatmap is nearly all zeros, and an error of order one everywhere
# would cost the first thousands of steps to unlearn.
HEAD_STDDEV = 1e-3
# So do the last convolutions of the residuals: the network starts as its identities.
# Source: Goyal et al., Accurate, Large Minibatch SGD, arXiv 1706.02677, section 5.1.
RESIDUAL_INITIALIZER = "zeros"
# What Keras raises on files that are not, or not wholly, what it saves.
_LOAD_ERRORS = (
    ValueError, OSError, LookupError, TypeError, AttributeError, zipfile.BadZipFile,
)  # fmt: skip


def build_hourglass(params):
    """Build the network for ModelParams.

    Returns:
        A functional model from pictures [N, S, S, 3], 0..255, to a list of `num_stacks` heatmaps
        float32 [N, S / 4, S / 4, K], the last one the best. It uses Keras' own layers only, so
        that a saved one loads without this package.
    """
    channels = params.num_channels
    pictures = keras.Input((params.input_size, params.input_size, 3), name="pictures")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pictures)
    x = layers.Conv2D(
        channels // 4, 7, strides=2, padding="same", use_bias=False, name="stem_conv"
    )(x)
    x = _norm_relu(x, "stem")
    x = _residual(x, channels // 2, "stem_residual1")
    x = layers.MaxPool2D(name="stem_pool")(x)
    x = _residual(x, channels // 2, "stem_residual2")
    x = _residual(x, channels, "stem_residual3")  # (N, S / 4, S / 4, C)
    heatmaps = []
    for stack in range(1, params.num_stacks + 1):
        name = f"stack{stack}"
        features = _hourglass(x, params.num_levels, f"{name}_level")
        features = _residual(features, channels, f"{name}_residual")
        features = _norm_relu(_conv(features, channels, 1, f"{name}_linear"), f"{name}_linear")
        heatmaps.append(_head(features, f"{name}_heatmaps"))
        if stack < params.num_stacks:
            x = _merge(x, features, heatmaps[-1], name)
    return keras.Model(pictures, heatmaps, name="stacked_hourglass")


def _hourglass(x, num_levels, prefix):
    """Down and up again over `num_levels`, with a skip branch at each resolution."""
    channels = x.shape[-1]
    name = f"{prefix}{num_levels}"
    skip = _residual(x, channels, f"{name}_skip")
    low = layers.MaxPool2D(name=f"{name}_pool")(x)
    low = _residual(low, channels, f"{name}_down")
    if num_levels > 1:
        low = _hourglass(low, num_levels - 1, prefix)
    else:
        low = _residual(low, channels, f"{name}_bottom")
    low = _residual(low, channels, f"{name}_up")
    return layers.Add(name=f"{name}_add")([skip, layers.UpSampling2D(name=f"{name}_grow")(low)])


def _residual(x, channels, name):
    """Pre-activation bottleneck: 1x1, 3x3, 1x1 convolutions around an identity."""
    identity = x
    if x.shape[-1] != channels:
        identity = _conv(x, channels, 1, f"{name}_identity")
    x = _norm_relu(x, f"{name}_1")
    x = _conv(x, channels // 2, 1, f"{name}_conv1", use_bias=False)
    x = _norm_relu(x, f"{name}_2")
    x = _conv(x, channels // 2, 3, f"{name}_conv2", use_bias=False)
    x = _norm_relu(x, f"{name}_3")
    x = _conv(x, channels, 1, f"{name}_conv3", initializer=RESIDUAL_INITIALIZER)
    return layers.Add(name=f"{name}_add")([identity, x])


def _merge(x, features, heatmaps, name):
    """What the next stack sees: the last one's input, features and heatmaps."""
    channels = x.shape[-1]
    return layers.Add(name=f"{name}_merge")(
        [
            x,
            _conv(features, channels, 1, f"{name}_merge_features"),
            _conv(heatmaps, channels, 1, f"{name}_merge_heatmaps"),
        ]
    )


def _norm_relu(x, name):
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv(x, channels, kernel, name, use_bias=True, initializer="he_normal"):
    return layers.Conv2D(
        channels, kernel, padding="same", use_bias=use_bias,
        kernel_initializer=initializer, name=name,
    )(x)  # fmt: skip


def _head(features, name):
    return layers.Conv2D(
        NUM_JOINTS, 1, dtype="float32", name=name,
        kernel_initializer=keras.initializers.RandomNormal(stddev=HEAD_STDDEV),
    )(features)  # fmt: skip


def scale_heatmaps(model, factor):
    """The same network with its heatmaps multiplied by `factor`; the weights are shared."""
    if factor == 1:
        return model
    scaled = [
        layers.Rescaling(factor, dtype="float32", name=f"stack{stack}_scaled")(output)
        for stack, output in enumerate(model.outputs, start=1)
    ]
    return keras.Model(model.input, scaled, name=model.name)


def save_model(model, path):
    """Save as `.keras`, whole or not at all; the same weights give the same bytes.

    Keras writes the date and the memory addresses of shared objects into the file; they are taken
    out, so that a rerun changes nothing.
    """
    # Beside the target, where there is room; what a kill leaves is overwritten by the next save.
    raw = Path(path).with_name(f".{Path(path).stem}.raw.keras")
    with atomic_path(path) as temporary:
        try:
            model.save(raw)
            _copy_without_accidents(raw, temporary)
        finally:
            raw.unlink(missing_ok=True)


def _copy_without_accidents(source, target):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(_without_accidents(json.loads(data), {})).encode()
            new.writestr(zipfile.ZipInfo(name), data)


def _without_accidents(value, numbers):
    """JSON without `date_saved`, each `shared_object_id` as its number of first appearance."""
    if isinstance(value, list):
        return [_without_accidents(item, numbers) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key != "date_saved"}
    if "shared_object_id" in kept:
        address = kept["shared_object_id"]
        kept["shared_object_id"] = numbers.setdefault(address, len(numbers))
    return {key: _without_accidents(item, numbers) for key, item in kept.items()}


def load_model(path):
    """Load a network saved by `save_model`.

    Raises:
        UserError: missing, not a Keras file, or not a network for these 16 joints.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such model; train one (`dvc repro train`) or name another")
    if not _is_archive(path):
        raise UserError(f"{path}: not a whole .keras archive; train it again or name another")
    try:
        model = keras.models.load_model(path, compile=False)
        is_ours = _is_hourglass(model)
    except _LOAD_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a usable Keras model: {reason}; train it again") from None
    if not is_ours:
        raise UserError(
            f"{path}: not an hourglass network for {NUM_JOINTS} joints; name another, or train one"
        )
    return model


def _is_archive(path):
    try:
        with open(path, "rb") as file:
            return zipfile.is_zipfile(file)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; mend its permissions or name another") from None


def _is_hourglass(model):
    """Whether one square picture goes in and heatmaps of a quarter of its side come out."""
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    size = shapes[0][0] or 0
    side = size // HEATMAP_STRIDE
    heatmaps = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    return shapes == [(size, size, 3)] and set(heatmaps) == {(side, side, NUM_JOINTS)}


def load_weights(model, path):
    """Copy the weights of the network in `path` into `model`.

    Raises:
        UserError: the file cannot be loaded, or its sizes differ from those of params.yaml.
    """
    weights = load_model(path).get_weights()
    try:
        model.set_weights(weights)
    except ValueError:
        raise UserError(
            f"{path}: its sizes are not those of the model section of params.yaml: mend "
            "train.init_weights or model"
        ) from None

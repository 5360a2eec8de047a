"""The models by name, `model.name` of params.yaml, and the contract that each of them keeps.

A model is a builder: from `ModelParams` and a `KeypointSchema` to a functional Keras model. All
else - training, prediction, export - asks the network's metadata and its graph.
"""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from hourglass.config import ModelParams
from hourglass.keypoints import KeypointSchema
from hourglass.models.graph import check_network
from hourglass.models.metadata import ModelMetadata
from hourglass.utils.backend import Model
from hourglass.utils.errors import UserError

Builder = Callable[[ModelParams, KeypointSchema], Model]
EncoderName = Callable[[ModelParams], str]
_BUILDERS: dict[str, tuple[Builder, EncoderName]] = {}


def register(name: str, encoder: EncoderName = lambda params: "") -> Callable[[Builder], Builder]:
    """Decorate a builder, which makes it the model `name`.

    The network that it returns takes pictures [N, S, S, 3], 0..255. It gives heatmaps float32
    [N, H, H, K], where H divides S, or a list of these, the last one the best. Its layers are
    Keras' own, and the layers of its outputs (its heads) are convolutions without activation.

    Args:
        encoder: from the params to the name of the layer that ends the encoder; "" where the
            network has none.
    """

    def add(builder: Builder) -> Builder:
        _BUILDERS[name] = builder, encoder
        return builder

    return add


def build_model(params: ModelParams, schema: KeypointSchema, sigma: float = 1.0) -> Model:
    """Build the network that `params.name` names, with its `metadata`.

    Args:
        sigma: px of the heatmaps, of the Gaussians that it is trained towards.

    Raises:
        UserError: no model has that name.
        ValueError: the builder breaks the contract of `register`.
    """
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")  # models register themselves
    if params.name not in _BUILDERS:
        raise UserError(
            f"params.yaml: model.name: {params.name!r} is no model; choose {', '.join(_BUILDERS)}"
        )
    build, name_encoder = _BUILDERS[params.name]
    network = build(params, schema)
    size = network.input_shape[1]
    network.metadata = ModelMetadata(
        name=params.name,
        schema=schema,
        input_size=size,
        stride=size // network.outputs[-1].shape[1],
        sigma=sigma,
        heads=tuple(network.output_names),
        encoder=name_encoder(params),
    )
    check_network(network)
    return network

"""A copy of a trained network that predicts faster: norms folded into their convolutions."""

import numpy as np

from hourglass.frameworks import layers
from hourglass.network.hourglass import folded_norms, head_names
from hourglass.network.norms import clone_network, fuse_norms


def prepare_network(network, precision):
    """A copy of a trained network for prediction alone; its heatmaps stay float32.

    The norms that follow a convolution are folded into its weights and the others are fused, which
    changes nothing but the rounding and saves 5 to 35 % of the time on a CPU.

    Args:
        precision: of the layers, a Keras dtype policy.
    """
    heads, folded = head_names(network), folded_norms(network)
    norms = {norm.name for norm in folded.values()}

    def copy_layer(layer):
        config = layer.get_config()
        # A layer keeps the precision it was saved with unless it is told another.
        if layer.name not in heads:
            config["dtype"] = precision
        if layer.name in norms:
            # In the norm's place, so that the graph is the same.
            return layers.Identity(name=layer.name, dtype=precision)
        if layer.name in folded:
            config["use_bias"] = True  # it takes the norm's shift
        return layer.__class__.from_config(config)

    copy = clone_network(network, copy_layer)  # with weights of its own, set below
    for layer in network.layers:
        if layer.name not in norms:
            copy.get_layer(layer.name).set_weights(_fold_norm(layer, folded.get(layer.name)))
    return fuse_norms(copy)


def _fold_norm(layer, norm):
    """The weights of a layer with those of the norm after it; as they are where there is none."""
    weights = layer.get_weights()
    if norm is None:
        return weights
    # norm(w * x + b) = factor * (w * x + b - mean) + beta, with a factor for each output channel.
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    bias = weights[1] if layer.use_bias else 0
    # The kernel's last axis is its output channels: (h, w, in, out) * (out,).
    return [weights[0] * factor, (bias - mean) * factor + beta]

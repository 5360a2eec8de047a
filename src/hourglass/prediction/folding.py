"""A copy of a trained network that predicts faster: norms folded into their convolutions."""

import numpy as np

from hourglass.frameworks import keras, layers
from hourglass.network.norms import clone_network, fuse_norms


def prepare_network(network, precision):
    """A copy of a trained network for prediction alone; its heatmaps stay float32.

    The norms that follow a convolution are folded into its weights and the others are fused, which
    changes nothing but the rounding and saves 5 to 35 % of the time on a CPU.

    Args:
        precision: of the layers, a Keras dtype policy.
    """
    heads = _find_heads(network)
    folded = _find_folded_norms(network)
    norms = {norm.name for norm in folded.values()}

    def copy_layer(layer):
        config = layer.get_config()
        if layer.name not in heads:
            config["dtype"] = precision
        if layer.name in norms:
            return layers.Identity(name=layer.name, dtype=precision)
        if layer.name in folded:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    copy = clone_network(network, copy_layer)
    for layer in network.layers:
        if layer.name not in norms:
            copy.get_layer(layer.name).set_weights(_fold_norm(layer, folded.get(layer.name)))
    return fuse_norms(copy)


def _find_heads(network):
    """Names of the layers that make the heatmaps: the last convolutions and what scales them."""
    heads, waiting = set(), [tensor._keras_history.operation for tensor in network.outputs]
    while waiting:
        layer = waiting.pop()
        heads.add(layer.name)
        if not isinstance(layer, layers.Conv2D):
            waiting.append(_layer_before(layer))
    return heads


def _layer_before(layer):
    return layer._inbound_nodes[0].parent_nodes[0].operation


def _find_folded_norms(network):
    """{name of a convolution: the norm that is all that follows it}."""
    folded, members = {}, set(network.layers)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            before = _layer_before(layer)
            is_conv = isinstance(before, layers.Conv2D)
            # A fused copy of the network (`norms`) shares the convolution: its norms do not count.
            followers = sum(node.operation in members for node in before._outbound_nodes)
            if is_conv and _is_linear(before) and followers == 1:
                folded[before.name] = layer
    return folded


def _is_linear(layer):
    return layer.activation is keras.activations.linear


def _fold_norm(layer, norm):
    """The weights of a layer with those of the norm after it; as they are where there is none."""
    weights = layer.get_weights()
    if norm is None:
        return weights
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    bias = weights[1] if layer.use_bias else 0
    return [weights[0] * factor, (bias - mean) * factor + beta]

"""Two ways to save the time of batch norms.

`fuse_batch_norms`, for training: each norm as one operation of TensorFlow's, over all devices. It
takes 0.4 of the time of Keras' separate means, products and sums in float32, and 0.2 in bfloat16,
forward and backward on a CPU. GPUs were not measured.

`fuse_conv_bn`, for prediction: each norm becomes a part of the convolution that it reads.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hourglass.models.graph import find_fusable_norms
from hourglass.utils.backend import Layer, Model, Tensor, keras, layers, tf


def fuse_batch_norms(network: Model, num_passes: int = 1) -> Model:
    """A copy of a network with fused norms that shares all variables: to train, not to save.

    On other backends than TensorFlow it is the network itself: they fuse operations themselves.

    Args:
        num_passes: the passes of a training step, each of which moves the kept statistics.
    """
    if keras.backend.backend() != "tensorflow":
        return network

    def share_layer(layer: Layer) -> Layer:
        # All layers but the norms are the network's own, not copies.
        is_norm = isinstance(layer, layers.BatchNormalization)
        return FusedBatchNorm(layer, num_passes) if is_norm else layer

    # A copy of the graph, not of the weights: what is trained here is what `network` saves.
    return clone_network(network, share_layer)


def clone_network(network: Model, clone_layer: Callable[[Layer], Layer]) -> Model:
    """The network with `clone_layer(layer)` in the place of each of its layers."""

    def call_layer(layer: Layer, *inputs: Tensor, mask: Any = None, **settings: Any) -> Tensor:
        # Only Keras' norms know a mask.
        return layer(*inputs, **settings)

    copy = keras.models.clone_model(network, clone_function=clone_layer, call_function=call_layer)
    copy.metadata = getattr(network, "metadata", None)  # of pose networks
    return copy


class FusedBatchNorm(layers.Layer):
    """A BatchNormalization over the last axis of pictures, with that layer's own variables.

    In training the statistics are those of the batch, over all replicas of the strategy.
    """

    def __init__(self, norm: Layer, num_passes: int = 1) -> None:
        super().__init__(name=f"{norm.name}_fused", dtype=norm.dtype_policy)
        self.norm = norm
        # The share of the new statistics, such that all passes of a step together leave of the old
        # ones what Keras' momentum says.
        self.new_share = 1 - norm.momentum ** (1 / num_passes)
        self.built = True  # the variables are the norm's, built with it

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Normalise with the batch's statistics and move the kept ones, or with the kept ones."""
        if not training:
            return self._normalise(inputs, is_training=False, exponential_avg_factor=1.0)[0]
        norm, context = self.norm, tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            share = self.new_share
            outputs, *kept = self._normalise(inputs, is_training=True, exponential_avg_factor=share)
        else:
            outputs, *statistics = sync_batch_norm(
                inputs, norm.gamma.value, norm.beta.value, norm.epsilon, context
            )
            kept = map(self._move, (norm.moving_mean, norm.moving_variance), statistics)
        # As PyTorch, and unlike Keras, the variance that is kept is an estimate of the whole's: the
        # batch's times M / (M - 1) of M = N H W.
        for variable, value in zip((norm.moving_mean, norm.moving_variance), kept, strict=True):
            variable.assign(value)
        return outputs

    def _normalise(self, inputs: Tensor, **settings: Any) -> Any:
        """The outputs and, in training, the kept statistics as they are moved."""
        norm = self.norm
        return tf.compat.v1.nn.fused_batch_norm(
            inputs, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
            epsilon=norm.epsilon, **settings,
        )  # fmt: skip

    def _move(self, kept: Tensor, new: Tensor) -> Tensor:
        old = tf.convert_to_tensor(kept.value)
        return old + self.new_share * (new - old)


def sync_batch_norm(
    inputs: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, context: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation of a batch that lies on several replicas, in equal parts.

    Args:
        inputs: [N, H, W, C], this replica's part. gamma, beta: float32 [C].
        context: tf.distribute.ReplicaContext.

    Returns:
        The outputs [N, H, W, C]; the mean and the variance [C] of the whole batch, the variance
        times M / (M - 1) of M = N H W over all replicas.
    """
    number = math.prod(inputs.shape[:-1])  # M of this replica

    @tf.custom_gradient
    def normalise(x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        own_mean, own_variance, own_gradients = _own_norm(x, number, epsilon)
        moments = tf.stack([own_mean, own_variance + tf.square(own_mean)])
        mean, square = tf.unstack(context.all_reduce("mean", moments))
        variance = tf.maximum(square - tf.square(mean), 0)
        outputs = _apply_norm(x, gamma, beta, mean, variance, epsilon)
        # z is a pixel by its own replica's statistics, ratio z + shift by those of all.
        factor = tf.math.rsqrt(variance + epsilon)
        ratio = factor * tf.sqrt(own_variance + epsilon)
        shift = factor * (own_mean - mean)

        def gradients(dy: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            # B and G are the replicas' means of by_beta and by_gamma. Wanted is
            #   gamma factor (dy - (B + (ratio z + shift) G) / M).
            # Its part in dy is in own_x; the rest is a line in z.
            own_x, by_scale, by_beta = own_gradients(dy, gamma * ratio)
            by_gamma = ratio * by_scale + shift * by_beta
            means = context.all_reduce("mean", tf.stack([by_gamma, by_beta]))
            all_gamma, all_beta = tf.unstack(means)
            unit = gamma * factor / number
            slope = unit * (by_scale - ratio * all_gamma)
            level = unit * (by_beta - all_beta - shift * all_gamma)
            line = _apply_norm(x, slope, level, own_mean, own_variance, epsilon)
            return own_x + line, by_gamma, by_beta

        return (outputs, mean, variance), gradients

    outputs, mean, variance = normalise(inputs, gamma, beta)
    whole = number * context.num_replicas_in_sync
    return outputs, mean, variance * (whole / (whole - 1))


def _own_norm(
    x: Tensor, number: int, epsilon: float
) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]]:
    """Mean and variance of the `number` pixels of x, and a function for the gradients.

    Let z = (x - mean) / sqrt(variance + epsilon). The function takes the gradient by scale * z +
    offset and the scale; it gives the gradients by x, by the scale and by the offset.
    """
    ones = tf.ones(x.shape[-1])
    _, mean, variance, *saved = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=ones, offset=ones, mean=[], variance=[], epsilon=epsilon
    )
    spaces = {f"reserve_space_{k}": space for k, space in enumerate(saved, start=1)}

    def gradients(dy: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        by_x, by_scale, by_offset, *_ = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy, x=x, scale=scale, epsilon=epsilon, **spaces
        )
        return by_x, by_scale, by_offset

    return mean, variance * ((number - 1) / number), gradients


def _apply_norm(
    x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> Tensor:
    """Scale (x - mean) / sqrt(variance + epsilon) + offset, of given statistics."""
    outputs, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon,
        is_training=False,
    )  # fmt: skip
    return outputs


def fuse_conv_bn(network: Model, precision: str) -> Model:
    """A copy of a trained network for prediction alone; its heatmaps stay float32.

    Norms that alone read a convolution become a part of it, the others one operation each. This
    changes nothing but the rounding and saves 5 to 35 % of the time on a CPU.

    Args:
        precision: of the layers, a Keras dtype policy.
    """
    heads, fusable = network.output_names, find_fusable_norms(network)
    norms = {norm.name for norm in fusable.values()}

    def copy_layer(layer: Layer) -> Layer:
        config = layer.get_config()
        # A layer keeps the precision it was saved with unless it is told another.
        if layer.name not in heads:
            config["dtype"] = precision
        if isinstance(layer, layers.UpSampling2D):
            # The same values by one operation, where Keras takes 16. Its gradient has no
            # deterministic kernel on GPUs: networks are trained without it.
            sides = layer.output.shape[1:3]
            return layers.Resizing(*sides, "nearest", name=layer.name, dtype=precision)
        if layer.name in norms:
            # In the norm's place, so that the graph is the same.
            return layers.Identity(name=layer.name, dtype=precision)
        if layer.name in fusable:
            config["use_bias"] = True  # it takes the norm's shift
        return layer.__class__.from_config(config)

    copy = clone_network(network, copy_layer)  # with weights of its own, set below
    for layer in network.layers:
        if layer.name not in norms:
            copy.get_layer(layer.name).set_weights(_fuse_weights(layer, fusable.get(layer.name)))
    return fuse_batch_norms(copy)


def _fuse_weights(layer: Layer, norm: Layer | None) -> list[np.ndarray]:
    """The weights of a layer with those of the norm after it; as they are where there is none."""
    weights = layer.get_weights()
    if norm is None:
        return weights
    # norm(w * x + b) = factor * (w * x + b - mean) + beta, with a factor for each output channel.
    gamma, beta, mean, variance = norm.get_weights()
    factor = gamma / np.sqrt(variance + norm.epsilon)
    bias = weights[1] if layer.use_bias else 0
    # The kernel's last axis is its output channels: (h, w, in, out) * (out,). A depthwise one's are
    # its input channels: (h, w, in, 1) * (in, 1).
    is_depthwise = isinstance(layer, layers.DepthwiseConv2D)
    kernel = weights[0] * (factor[:, None] if is_depthwise else factor)
    return [kernel, (bias - mean) * factor + beta]

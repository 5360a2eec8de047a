"""Optimizers: AdamW and Muon, each with averaged weights as an option. Keras only."""

from hourglass.frameworks import keras, ops

MOMENTUM = 0.95  # as Jordan et al.
# Coefficients of the polynomial that takes singular values near 1, and its number of rounds.
NEWTON_SCHULZ, NUM_ROUNDS = (3.4445, -4.7750, 2.0315), 5


class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW whose averaged weights wait until they are asked for."""

    def finalize_variable_values(self, var_list):
        """Nothing: Keras would go on with the averages after each `fit`, that is each epoch."""

    def write_averages(self, variables):
        """Replace `variables` by their moving averages over the steps."""
        super().finalize_variable_values(variables)


class Muon(AdamW):
    """AdamW, with orthogonalized momentum as the step of the inner kernels.

    A kernel [h, w, in, out] is taken as a matrix [h w in, out]. Its step has the size of an AdamW
    step, so that one learning rate serves both.
    Source: Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/, 2024; the size: Liu et
    al., Muon is Scalable for LLM Training, arXiv 2502.16982, equation 4.
    """

    def __init__(self, *arguments, inner_kernels, **settings):
        super().__init__(*arguments, **settings)
        self.inner_kernels = inner_kernels

    def build(self, variables):
        """Add a momentum to each inner kernel."""
        if not self.built:
            super().build(variables)
            self.kernel_momentums = {}
            for kernel in self.inner_kernels:
                momentum = self.add_variable_from_reference(kernel, name="kernel_momentum")
                self.kernel_momentums |= {id(copy): momentum for copy in _copies(kernel)}

    def update_step(self, gradient, variable, learning_rate):
        """Move one variable."""
        momentum = self.kernel_momentums.get(id(variable))
        if momentum is None:
            super().update_step(gradient, variable, learning_rate)
            return
        # The kernel has decayed already: Keras does that for all variables that are not excluded.
        gradient = ops.cast(gradient, variable.dtype)
        self.assign(momentum, MOMENTUM * momentum + gradient)
        ahead = gradient + MOMENTUM * momentum  # Nesterov's
        matrix = orthogonalize(ops.reshape(ahead, (-1, variable.shape[-1])))
        # An orthogonal matrix has entries of about 1 / sqrt(longer side); AdamW's are about 0.2.
        size = 0.2 * max(matrix.shape) ** 0.5
        step = ops.cast(learning_rate, variable.dtype) * size * matrix
        self.assign_sub(variable, ops.reshape(step, variable.shape))


def _copies(variable):
    """What stands for a Keras variable in `update_step`: on TensorFlow its own, one a device."""
    if keras.backend.backend() != "tensorflow":
        return [variable]
    return getattr(variable.value, "values", [variable.value])


def orthogonalize(matrix):
    """The matrix [M, N] with all its singular values brought near 1."""
    # The smaller of the two products x x' and x' x.
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if is_tall else matrix
    # By the Frobenius norm, so that no singular value is above 1: far above, the rounds diverge.
    x = x / (ops.norm(x) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NUM_ROUNDS):
        square = ops.matmul(x, ops.transpose(x))  # (shorter side, shorter side)
        # a s + b s^3 + c s^5 on each singular value s, without ever computing one.
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if is_tall else x


def build_optimizer(params, inner_kernels):
    """The optimizer that TrainParams ask for; norms and biases do not decay.

    Args:
        inner_kernels: those that Muon moves its own way (network.hourglass.inner_kernels).
    """
    settings = {
        "weight_decay": params.weight_decay, "global_clipnorm": params.clip_norm or None,
        "use_ema": params.ema > 0, "ema_momentum": params.ema,
    }  # fmt: skip
    if params.optimizer == "muon":
        optimizer = Muon(params.lr, inner_kernels=inner_kernels, **settings)
    else:
        optimizer = AdamW(params.lr, **settings)
    # The variables of the norms and the biases, by the names that Keras gives them.
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    if params.precision == "mixed_float16":
        # Small gradients would be 0 in float16.
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def write_averages(optimizer, variables):
    """Replace `variables` by their moving averages; `optimizer` is of `build_optimizer`."""
    getattr(optimizer, "inner_optimizer", optimizer).write_averages(variables)

"""How a group of variables moves: AdamW's step and Muon's, from gradients to directions. keras.ops.

A GPU waits for the number of operations more than for their size, and a network has hundreds of
variables: a group's gradients are put into one tensor, from which a few operations make the steps
of all its variables.

The optimizer: AdamW, or Muon for the inner kernels, with averaged weights as an option.
"""

import itertools
import math

import numpy as np

from hourglass.utils.backend import ops, tf

# AdamW: the momentum of the mean and of the mean square, and what keeps their quotient finite.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
# A ReLU cuts nothing off a channel whose beta is that many gammas. What lies beyond moves the
# channel's mean alone, which the norms that read it take off: its gradient is what rounding leaves,
# of which Adam makes full steps, until the means hide, in bfloat16, what lies on them.
MAX_SHIFT = 4.0
# Muon: the momentum of Jordan et al.; the coefficients of the polynomial that takes singular values
# near 1, and its number of rounds.
MOMENTUM = 0.95
NEWTON_SCHULZ, NUM_ROUNDS = (3.4445, -4.7750, 2.0315), 5


class AdamWGroup:
    """Variables of any shapes as one vector.

    Source: Kingma and Ba, Adam, arXiv 1412.6980, algorithm 1, in the order of its section 2; the
    decay is added by `Optimizer` (Loshchilov and Hutter, arXiv 1711.05101).
    """

    def __init__(self, variables, decays):
        self.variables, self.decays = variables, decays
        self.sizes = [math.prod(variable.shape) for variable in variables]
        self.state_shapes = [(sum(self.sizes),)] * 2
        self.is_beta, self.gammas = self._find_norms()

    def _find_norms(self):
        """Which of the vector's entries are norms' betas, and where the gamma of each is."""
        ends = np.cumsum(self.sizes)
        places = {
            variable.path: np.arange(end - size, end)
            for variable, size, end in zip(self.variables, self.sizes, ends, strict=True)
        }
        is_beta, gammas = np.zeros(ends[-1], bool), np.arange(ends[-1])
        for path, place in places.items():
            if path.endswith("/beta"):
                is_beta[place] = True
                gammas[place] = places[path.removesuffix("beta") + "gamma"]
        return is_beta, gammas

    def gather(self, tensors):
        """One tensor for all variables, of a tensor of each."""
        return ops.concatenate([_reshape(tensor, (-1,)) for tensor in tensors])

    def scatter(self, vector):
        """The inverse of `gather`."""
        *parts, _ = ops.split(vector, np.cumsum(self.sizes))  # after the last one nothing is left
        return [_reshape(p, v.shape) for p, v in zip(parts, self.variables, strict=True)]

    def direction(self, gradient, state, number):
        """The step for a learning rate of 1, and the new state; `number` counts steps from 0."""
        mean, square = state
        mean = mean + (1 - BETA1) * (gradient - mean)
        square = square + (1 - BETA2) * (ops.square(gradient) - square)
        # Both start at 0: what they lack after so few steps.
        number = number + 1
        factor = ops.sqrt(1 - BETA2**number) / (1 - BETA1**number)
        return factor * mean / (ops.sqrt(square) + EPSILON), [mean, square]

    def limit(self, step, values):
        """The step from `values`, shorter where it takes a beta beyond `MAX_SHIFT` gammas."""
        moved = values - step
        excess = ops.maximum(moved - MAX_SHIFT * ops.abs(ops.take(moved, self.gammas)), 0)
        return step + ops.where(self.is_beta, excess, 0.0)


def _reshape(tensor, shape):
    """The tensor in this shape, by no operation where vectors stay vectors: most variables are."""
    return tensor if len(tensor.shape) == len(shape) == 1 else ops.reshape(tensor, shape)


class MuonGroup:
    """Kernels [h, w, in, out] of one shape, each taken as a matrix [h w in, out].

    The step is the momentum made orthogonal, of the size of an AdamW step, so that one learning
    rate serves both.
    Source: Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/, 2024; the size: Liu et
    al., Muon is Scalable for LLM Training, arXiv 2502.16982, equation 4.
    """

    decays = True

    def __init__(self, variables):
        self.variables = variables
        *_, self.columns = variables[0].shape
        self.rows = math.prod(variables[0].shape[:-1])
        self.state_shapes = [(len(variables), self.rows, self.columns)]

    def gather(self, tensors):
        """Matrices [number of variables, rows, columns], of a tensor of each variable."""
        return ops.reshape(ops.stack(tensors), (-1, self.rows, self.columns))

    def scatter(self, matrices):
        """The inverse of `gather`."""
        return ops.unstack(ops.reshape(matrices, (-1, *self.variables[0].shape)))

    def direction(self, gradient, state, number):
        """The step for a learning rate of 1, and the new state."""
        momentum = MOMENTUM * state[0] + gradient
        ahead = gradient + MOMENTUM * momentum  # Nesterov's
        # An orthogonal matrix has entries of about 1 / sqrt(longer side); AdamW's are about 0.2.
        size = 0.2 * max(self.rows, self.columns) ** 0.5
        return size * orthogonalize(ahead), [momentum]

    def limit(self, step, _):
        """The step: kernels have no limit."""
        return step


def orthogonalize(matrices):
    """Matrices [N, rows, columns] with all their singular values brought near 1."""
    # The smaller of the two products x x' and x' x.
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = ops.transpose(matrices, (0, 2, 1)) if is_tall else matrices
    # By the Frobenius norm, so that no singular value is above 1: far above, the rounds diverge.
    x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True)) + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NUM_ROUNDS):
        square = ops.matmul(x, ops.transpose(x, (0, 2, 1)))  # (N, shorter side, shorter side)
        # a s + b s^3 + c s^5 on each singular value s, without ever computing one.
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x, (0, 2, 1)) if is_tall else x


# Keras' names of the variables of norms and of biases.
NEVER_DECAYED = ("gamma", "beta", "bias")
# The loss scale of float16: what it starts with, and the steps after which it is doubled.
FIRST_SCALE, GOOD_STEPS = 2.0**15, 2000


class Optimizer:
    """Moves all trainable variables of a network; to be made in the strategy's scope.

    Attributes:
        variables: list of tf.Variable, all that it keeps from one step to the next.
    """

    def __init__(self, params, trained, inner_kernels):
        """For TrainParams.

        Args:
            trained: the network's trainable variables.
            inner_kernels: those of them that Muon moves (`models.graph.inner_kernels`).
        """
        self.params, self.trained = params, trained
        self.groups = group_variables(trained, inner_kernels if params.optimizer == "muon" else [])
        self.states = [[new_state(shape) for shape in g.state_shapes] for g in self.groups]
        self.averages = [new_state(v.shape) for v in trained] if params.ema else []
        self.loss_scale = LossScale() if params.precision == "mixed_float16" else None
        scale = self.loss_scale.variables if self.loss_scale else []
        self.variables = [*itertools.chain(*self.states), *self.averages, *scale]

    def scale_loss(self, loss):
        """The loss whose gradients `apply` takes."""
        return loss * self.loss_scale.factor if self.loss_scale else loss

    def gather(self, gradients):
        """A tensor for each group, of the gradients of the trained variables."""
        by_variable = {id(v): g for v, g in zip(self.trained, gradients, strict=True)}
        return [
            group.gather([by_variable[id(v)] for v in group.variables]) for group in self.groups
        ]

    def apply(self, gathered, learning_rate, number):
        """Move all variables by one step, in a replica's context.

        Args:
            gathered: the replica's share, of `gather`; they are summed over all replicas.
            number: the step's, from 0; float32.
        """
        if self.loss_scale:
            number = number - self.loss_scale.num_skipped  # of the steps that were taken
        gradients, is_finite = self._sum(gathered)
        for group, state, gradient in zip(self.groups, self.states, gradients, strict=True):
            self._move(group, state, gradient, learning_rate, number, is_finite)
        if self.averages:
            self._average(number, is_finite)

    def _sum(self, gathered):
        """The sum over all replicas; and whether it is finite, in float16."""
        gradients = tf.distribute.get_replica_context().all_reduce("sum", gathered)
        is_finite = None
        if self.loss_scale:
            gradients, is_finite = self.loss_scale.unscale(gradients)
        if self.params.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.params.clip_norm)
        return gradients, is_finite

    def _move(self, group, state, gradient, learning_rate, number, is_finite):
        direction, new_state = group.direction(gradient, state, number)
        values = group.gather([tf.convert_to_tensor(v.value) for v in group.variables])
        if group.decays:
            direction += self.params.weight_decay * values
        step = group.limit(learning_rate * direction, values)
        if is_finite is not None:  # else nothing moves
            step = tf.where(is_finite, step, 0.0)
            new_state = [tf.where(is_finite, *pair) for pair in zip(new_state, state, strict=True)]
        _subtract(group.variables, group.scatter(step))
        for variable, value in zip(state, new_state, strict=True):
            variable.assign(value)

    def _average(self, number, is_finite):
        # The first average is what the first step has made.
        momentum = self.params.ema * tf.cast(number > 0, tf.float32)
        if is_finite is not None:
            momentum = tf.where(is_finite, momentum, 1.0)
        for average, variable in zip(self.averages, self.trained, strict=True):
            average.assign(momentum * average + (1 - momentum) * variable)

    def get_values(self):
        """What the variables hold, a list of arrays."""
        return [variable.numpy() for variable in self.variables]

    def set_values(self, values):
        """Give every device's copy of each variable the value that `get_values` gave."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def write_averages(self):
        """Replace the trained variables by their moving averages over the steps."""
        for average, variable in zip(self.averages, self.trained, strict=True):
            variable.assign(average)


class LossScale:
    """A factor of the loss that keeps small gradients above 0 in float16, as large as it can be.

    Source: Micikevicius et al., Mixed Precision Training, arXiv 1710.03740, section 3.2.
    """

    def __init__(self):
        self.factor, self.num_good = new_state((), FIRST_SCALE), new_state(())
        self.num_skipped = new_state(())
        self.variables = [self.factor, self.num_good, self.num_skipped]

    def unscale(self, gradients):
        """The gradients without the factor, and whether they are finite: else skip the step."""
        is_finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
        unscaled = [gradient / self.factor for gradient in gradients]
        num_good = tf.where(is_finite, self.num_good + 1, 0.0)
        is_time = num_good >= GOOD_STEPS
        change = tf.where(is_finite, tf.where(is_time, 2.0, 1.0), 0.5)
        # Never to 0, by which all gradients would be finite.
        self.factor.assign(tf.maximum(self.factor * change, 1.0))
        self.num_good.assign(tf.where(is_time, 0.0, num_good))
        self.num_skipped.assign_add(tf.where(is_finite, 0.0, 1.0))
        return unscaled, is_finite


def group_variables(variables, inner_kernels):
    """The groups in which variables are moved: the inner kernels by shape, the others by decay."""
    inner, groups = {id(kernel) for kernel in inner_kernels}, {}
    for variable in variables:
        is_inner = id(variable) in inner
        key = tuple(variable.shape) if is_inner else variable.name not in NEVER_DECAYED
        groups.setdefault((is_inner, key), []).append(variable)
    return [
        MuonGroup(members) if is_inner else AdamWGroup(members, decays=key)
        for (is_inner, key), members in groups.items()
    ]


def new_state(shape, value=0.0):
    """A float32 tf.Variable of which each device has a copy of its own, that it alone changes."""
    return tf.Variable(
        tf.fill(shape, value), trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )  # fmt: skip


def _subtract(variables, steps):
    """Subtract a step from each variable, on each device that has a copy of it."""

    def update(strategy, steps):
        for variable, step in zip(variables, steps, strict=True):
            strategy.extended.update(
                variable.value, lambda copy, step: copy.assign_sub(step), args=(step,), group=False
            )

    tf.distribute.get_replica_context().merge_call(update, args=(steps,))

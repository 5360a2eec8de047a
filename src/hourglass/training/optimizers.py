"""The optimizer: AdamW, or Muon for the inner kernels, with averaged weights as an option."""

import itertools

from hourglass.frameworks import tf
from hourglass.training.groups import AdamWGroup, MuonGroup

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
            inner_kernels: those of them that Muon moves (`network.hourglass.inner_kernels`).
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

"""The optimizer: AdamW, or Muon for the inner kernels; averaged weights, float16's loss scale."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hourglass.config import TrainParams
from hourglass.training.losses import LossScale
from hourglass.training.param_groups import ParamGroup, ParamGroups
from hourglass.utils.backend import Tensor, keras, tf
from hourglass.utils.devices import add_replica_variable, update_mirrored


class MuonAdamW(keras.optimizers.Optimizer):
    """AdamW; Muon for chosen kernels. One learning rate serves both.

    It is used as any optimizer of Keras on the TensorFlow backend, in `compile` too. The gradients
    of a `tf.distribute` strategy's replicas are summed.

    Attributes:
        param_groups: the variables, in the groups in which they move.
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        muon_paths: Sequence[str] = (),
        lr_factors: Mapping[str, float] | None = None,
        free_betas: Sequence[str] = (),
        global_clipnorm: float | None = None,
        ema: float = 0.0,
        loss_scale: bool = False,
        name: str = "muon_adamw",
    ) -> None:
        """Make an optimizer; `build` gives it its variables.

        Args:
            weight_decay: of kernels alone.
            muon_paths: the paths of the kernels that Muon moves.
            lr_factors: {pattern: factor} of learning rates. A variable takes the factor of the
                first pattern that `re.search` finds in its path, and 1 where none is.
            free_betas: the paths of the norms' betas that `param_groups.MAX_SHIFT` does not limit.
            global_clipnorm: the norm that the summed gradients have at most.
            ema: momentum of the averages that `finalize_variable_values` writes; 0 is off.
            loss_scale: scale the loss, for float16.
        """
        super().__init__(
            learning_rate, weight_decay=weight_decay, global_clipnorm=global_clipnorm, name=name
        )
        self.muon_paths, self.lr_factors = tuple(muon_paths), dict(lr_factors or {})
        self.free_betas = tuple(free_betas)
        self.ema, self.has_loss_scale = ema, loss_scale
        self.loss_scale: LossScale | None = None

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make the state for the variables to train; in the strategy's scope."""
        if self.built:
            return
        super().build(variables)
        factors = [self._find_factor(variable.path) for variable in variables]
        self.param_groups = ParamGroups(variables, self.muon_paths, factors, self.free_betas)
        shapes = [shape for group in self.param_groups.groups for shape in group.state_shapes]
        self.moments = [add_replica_variable(shape) for shape in shapes]
        self.averages = [add_replica_variable(v.shape) for v in variables] if self.ema else []
        self.loss_scale = LossScale() if self.has_loss_scale else None
        self.scale_state = self.loss_scale.variables if self.loss_scale else []

    def _find_factor(self, path: str) -> float:
        found = (f for pattern, f in self.lr_factors.items() if re.search(pattern, path))
        return next(found, 1.0)

    def scale_loss(self, loss: Tensor) -> Tensor:
        """The loss whose gradients `apply` takes."""
        return loss * self.loss_scale.factor if self.loss_scale else loss

    def apply(self, grads: Sequence[Tensor], trainable_variables: Any = None) -> None:
        """Move all variables by one step, in a replica's context.

        Args:
            grads: the replica's share of each variable's gradient, in the variables' order.
            trainable_variables: the variables, where `build` was not called before.
        """
        if not self.built:
            self.build(trainable_variables)
        # An iteration is a step that was taken: float16 may skip some.
        step = tf.cast(self.iterations.value, tf.float32)
        gradients, is_finite = self._sum(self.param_groups.gather(grads))
        moments = iter(self.moments)
        for group, gradient in zip(self.param_groups.groups, gradients, strict=True):
            state = [next(moments) for _ in group.state_shapes]
            self._move(group, state, gradient, step, is_finite)
        self._average(step, is_finite)
        self.iterations.assign_add(1 if is_finite is None else tf.cast(is_finite, tf.int64))

    def _sum(self, gathered: list[Tensor]) -> tuple[list[Tensor], Tensor | None]:
        """The sum over all replicas; and whether it is finite, in float16."""
        gradients = tf.distribute.get_replica_context().all_reduce("sum", gathered)
        is_finite = None
        if self.loss_scale:
            gradients, is_finite = self.loss_scale.unscale(gradients)
        if self.global_clipnorm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.global_clipnorm)
        return gradients, is_finite

    def _move(
        self,
        group: ParamGroup,
        state: list[Tensor],
        gradient: Tensor,
        step: Tensor,
        is_finite: Tensor | None,
    ) -> None:
        direction, new_state = group.direction(gradient, [v.value for v in state], step)
        values = group.gather([tf.convert_to_tensor(v.value) for v in group.variables])
        if group.decays:
            direction += self.weight_decay * values
        rate = tf.convert_to_tensor(self.learning_rate) * group.lr_factor
        move = group.limit(rate * direction, values)
        if is_finite is not None:  # else nothing moves
            move = tf.where(is_finite, move, 0.0)
            pairs = zip(new_state, state, strict=True)
            new_state = [tf.where(is_finite, new, old.value) for new, old in pairs]
        update_mirrored(group.variables, group.scatter(move), lambda copy, m: copy.assign_sub(m))
        for variable, value in zip(state, new_state, strict=True):
            variable.assign(value)

    def _average(self, step: Tensor, is_finite: Tensor | None) -> None:
        # The first average is what the first step has made.
        momentum = self.ema * tf.cast(step > 0, tf.float32)
        if is_finite is not None:
            momentum = tf.where(is_finite, momentum, 1.0)
        for average, variable in zip(self.averages, self.param_groups.variables, strict=False):
            average.assign(momentum * average + (1 - momentum) * variable)

    def finalize_variable_values(self, var_list: Sequence[Tensor]) -> None:
        """Replace the variables by their moving averages over the steps, if these are kept."""
        for average, variable in zip(self.averages, var_list, strict=False):
            variable.assign(average)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "learning_rate": float(self.learning_rate),
            "weight_decay": self.weight_decay,
            "muon_paths": list(self.muon_paths),
            "lr_factors": self.lr_factors,
            "free_betas": list(self.free_betas),
            "global_clipnorm": self.global_clipnorm,
            "ema": self.ema,
            "loss_scale": self.has_loss_scale,
            "name": self.name,
        }


def build_optimizer(
    params: TrainParams,
    variables: Sequence[Tensor],
    inner_kernels: Sequence[Tensor],
    encoder: Sequence[Tensor] = (),
) -> MuonAdamW:
    """The optimizer of a recipe, with the state for its variables; in the strategy's scope.

    Args:
        inner_kernels: those that Muon moves where `params.optimizer` is muon.
        encoder: the variables of a pretrained encoder. AdamW moves them, at a learning rate of
            their own; their betas have no limit, as not all of its norms are before a ReLU.
    """
    pretrained = [variable.path for variable in encoder]
    hidden = [kernel.path for kernel in inner_kernels if kernel.path not in pretrained]
    optimizer = MuonAdamW(
        params.lr,
        weight_decay=params.weight_decay,
        muon_paths=hidden if params.optimizer == "muon" else [],
        lr_factors={f"^{re.escape(path)}$": params.encoder_lr for path in pretrained},
        free_betas=[path for path in pretrained if path.endswith("/beta")],
        global_clipnorm=params.clip_norm or None,
        ema=params.ema,
        loss_scale=params.precision == "mixed_float16",
    )
    optimizer.build(variables)
    return optimizer

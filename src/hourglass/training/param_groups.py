"""How a group of variables moves: AdamW's step and Muon's, from gradients to directions. keras.ops.

A network has hundreds of variables, and a GPU's time depends more on the number of operations than
on their size. A group puts the gradients of its variables into one tensor. A few operations then
make all their steps. The MPII network's train step has 6,624 graph nodes in place of 31,434.
"""

import math
from collections.abc import Sequence

import numpy as np

from hourglass.utils.backend import Tensor, ops

# Keras' names of the variables of norms and of biases.
NEVER_DECAYED = ("gamma", "beta", "bias")
# AdamW: the momentum of the mean and of the mean square, and what keeps their quotient finite.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
# A ReLU cuts nothing off a channel whose beta is this many gammas. A larger beta only moves the
# channel's mean, which the next norms take off again. Its gradient is then rounding alone, and Adam
# makes full steps of that, until in bfloat16 the mean hides what lies on it.
MAX_SHIFT = 4.0
# Muon: the momentum of Jordan et al.; the coefficients of the polynomial that takes singular values
# near 1, and its number of rounds.
MOMENTUM = 0.95
NEWTON_SCHULZ, NUM_ROUNDS = (3.4445, -4.7750, 2.0315), 5


class AdamWGroup:
    """Variables of any shapes as one vector.

    Source: Kingma and Ba, Adam, arXiv 1412.6980, algorithm 1, in the order of its section 2.
    The optimizer adds the decay (Loshchilov and Hutter, arXiv 1711.05101).
    """

    def __init__(
        self,
        variables: Sequence[Tensor],
        decays: bool,
        lr_factor: float = 1.0,
        free_betas: Sequence[str] = (),
    ) -> None:
        self.variables, self.decays, self.lr_factor = variables, decays, lr_factor
        self.free_betas = free_betas
        self.sizes = [math.prod(variable.shape) for variable in variables]
        self.state_shapes: list[tuple[int, ...]] = [(sum(self.sizes),)] * 2
        self.is_beta, self.gammas = self._find_norms()

    def _find_norms(self) -> tuple[np.ndarray, np.ndarray]:
        """Which of the vector's entries are limited betas, and where the gamma of each is."""
        ends = np.cumsum(self.sizes)
        places = {
            variable.path: np.arange(end - size, end)
            for variable, size, end in zip(self.variables, self.sizes, ends, strict=True)
        }
        is_beta, gammas = np.zeros(ends[-1], bool), np.arange(ends[-1])
        for path, place in places.items():
            if path.endswith("/beta") and path not in self.free_betas:
                is_beta[place] = True
                gammas[place] = places[path.removesuffix("beta") + "gamma"]
        return is_beta, gammas

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """One vector of a tensor for each variable."""
        return ops.concatenate([_reshape(tensor, (-1,)) for tensor in tensors])

    def scatter(self, vector: Tensor) -> list[Tensor]:
        """The inverse of `gather`."""
        *parts, _ = ops.split(vector, np.cumsum(self.sizes))  # after the last one nothing is left
        return [_reshape(p, v.shape) for p, v in zip(parts, self.variables, strict=True)]

    def direction(
        self, gradient: Tensor, state: Sequence[Tensor], step: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The move for a learning rate of 1, and the new state; steps count from 0."""
        mean, square = state
        mean = mean + (1 - BETA1) * (gradient - mean)
        square = square + (1 - BETA2) * (ops.square(gradient) - square)
        # Both start at 0: what they lack after so few steps.
        step = step + 1
        factor = ops.sqrt(1 - BETA2**step) / (1 - BETA1**step)
        return factor * mean / (ops.sqrt(square) + EPSILON), [mean, square]

    def limit(self, move: Tensor, values: Tensor) -> Tensor:
        """The move from `values`, shorter where it takes a beta beyond `MAX_SHIFT` gammas."""
        moved = values - move
        excess = ops.maximum(moved - MAX_SHIFT * ops.abs(ops.take(moved, self.gammas)), 0)
        return move + ops.where(self.is_beta, excess, 0.0)


def _reshape(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    # By no operation where vectors stay vectors: most variables are.
    return tensor if len(tensor.shape) == len(shape) == 1 else ops.reshape(tensor, shape)


class MuonGroup:
    """Kernels [h, w, in, out] of one shape, each taken as a matrix [h w in, out].

    The move is the momentum made orthogonal. It has the size of an AdamW step: one learning rate
    serves both.
    Source: Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/, 2024; the size: Liu et
    al., Muon is Scalable for LLM Training, arXiv 2502.16982, equation 4.
    """

    decays = True

    def __init__(self, variables: Sequence[Tensor], lr_factor: float = 1.0) -> None:
        self.variables, self.lr_factor = variables, lr_factor
        *_, self.columns = variables[0].shape
        self.rows = math.prod(variables[0].shape[:-1])
        self.state_shapes: list[tuple[int, ...]] = [(len(variables), self.rows, self.columns)]

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Matrices [number of variables, rows, columns] of a tensor for each variable."""
        return ops.reshape(ops.stack(tensors), (-1, self.rows, self.columns))

    def scatter(self, matrices: Tensor) -> list[Tensor]:
        """The inverse of `gather`."""
        return ops.unstack(ops.reshape(matrices, (-1, *self.variables[0].shape)))

    def direction(
        self, gradient: Tensor, state: Sequence[Tensor], step: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The move for a learning rate of 1, and the new state."""
        momentum = MOMENTUM * state[0] + gradient
        ahead = gradient + MOMENTUM * momentum  # Nesterov's
        # An orthogonal matrix has entries of about 1 / sqrt(longer side); AdamW's are about 0.2.
        size = 0.2 * max(self.rows, self.columns) ** 0.5
        return size * orthogonalize(ahead), [momentum]

    def limit(self, move: Tensor, values: Tensor) -> Tensor:
        """The move: kernels have no limit."""
        return move


ParamGroup = AdamWGroup | MuonGroup


def orthogonalize(matrices: Tensor) -> Tensor:
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


class ParamGroups:
    """All variables of an optimizer, in the groups in which they move.

    Muon's kernels move by shape, the others by whether they decay; a group has one learning rate.
    """

    def __init__(
        self,
        variables: Sequence[Tensor],
        muon_paths: Sequence[str],
        lr_factors: Sequence[float],
        free_betas: Sequence[str] = (),
    ) -> None:
        """Group the variables.

        Args:
            muon_paths: the paths of the kernels that Muon moves; AdamW moves the others.
            lr_factors: of each variable, by the learning rate.
            free_betas: the paths of the norms' betas that have no limit.
        """
        self.variables = variables
        groups: dict[tuple, list[Tensor]] = {}
        for variable, factor in zip(variables, lr_factors, strict=True):
            is_muon = variable.path in muon_paths
            key = tuple(variable.shape) if is_muon else variable.name not in NEVER_DECAYED
            groups.setdefault((is_muon, key, factor), []).append(variable)
        self.groups: list[ParamGroup] = [
            MuonGroup(members, factor) if is_muon else AdamWGroup(members, key, factor, free_betas)
            for (is_muon, key, factor), members in groups.items()
        ]

    def gather(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """One tensor for each group, of a tensor for each variable."""
        by_variable = {id(v): t for v, t in zip(self.variables, tensors, strict=True)}
        return [
            group.gather([by_variable[id(v)] for v in group.variables]) for group in self.groups
        ]

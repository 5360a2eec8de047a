import numpy as np
import pytest
from scipy import linalg

from hourglass.training.param_groups import AdamWGroup, MuonGroup, orthogonalize


class Shaped:
    """All that a group asks of a variable."""

    path = "conv/kernel"

    def __init__(self, *shape):
        self.shape = shape


def random_arrays(shapes, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6), (36, 6)])
def test_orthogonalize_brings_singular_values_near_one_and_keeps_the_vectors(shape):
    (matrices,) = random_arrays([(3, *shape)])
    for matrix, found in zip(matrices, np.asarray(orthogonalize(matrices)), strict=True):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        inside = left.T @ found @ right.T  # diagonal where the vectors are the same
        np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-4)
        # The polynomial's fixed band, of the post it comes from; the smallest values are slowest.
        large = np.diag(inside)[values > 0.1 * values[0]]
        assert (large > 0.6).all() and (large < 1.25).all()


def test_each_matrix_is_made_orthogonal_by_itself():
    (matrices,) = random_arrays([(2, 5, 3)])
    alone = [np.asarray(orthogonalize(matrix[None]))[0] for matrix in (matrices[0], matrices[1])]
    # However much larger its neighbour is.
    together = np.asarray(
        orthogonalize(matrices * np.array([1e-4, 1e4], np.float32)[:, None, None])
    )
    np.testing.assert_allclose(together, alone, atol=2e-3)


@pytest.mark.parametrize(
    "group",
    [
        AdamWGroup([Shaped(3, 3, 2, 4), Shaped(4), Shaped(1, 1, 4, 2)], decays=True),
        MuonGroup([Shaped(3, 3, 2, 4)] * 3),
    ],
)
def test_scatter_undoes_gather(group):
    arrays = random_arrays([variable.shape for variable in group.variables])
    gathered = group.gather(arrays)
    assert gathered.shape == group.state_shapes[0]
    for found, array in zip(group.scatter(gathered), arrays, strict=True):
        np.testing.assert_array_equal(found, array)


def test_a_kernel_is_a_matrix_of_its_inputs_by_its_outputs():
    group = MuonGroup([Shaped(3, 2, 4, 5)])
    (kernel,) = random_arrays([(3, 2, 4, 5)])
    np.testing.assert_array_equal(group.gather([kernel])[0], kernel.reshape(24, 5))


def test_two_steps_of_muon_by_hand():
    group = MuonGroup([Shaped(3, 3, 4, 6)] * 2)
    first, second = random_arrays([(2, 36, 6)] * 2)
    momentum = [np.zeros_like(first)]
    for gradient, ahead in ((first, 1.95 * first), (second, 1.95 * second + 0.9025 * first)):
        direction, momentum = group.direction(gradient, momentum, 0.0)
        for found, matrix in zip(np.asarray(direction), ahead, strict=True):
            # The polynomial is odd: it acts on the singular values alone.
            left, values, right = linalg.svd(matrix.astype(np.float64), full_matrices=False)
            values = values / (linalg.norm(matrix) + 1e-7)
            for _ in range(5):
                values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
            np.testing.assert_allclose(found, 0.2 * 6 * (left * values) @ right, atol=1e-4)


def test_muons_step_has_the_size_of_adamws():
    (gradient,) = random_arrays([(1, 36, 6)])
    direction, _ = MuonGroup([Shaped(3, 3, 4, 6)]).direction(gradient, [0 * gradient], 0.0)
    # 0.2 is the root mean square of AdamW's steps, as a fraction of its learning rate.
    assert np.sqrt(np.mean(np.square(direction))) == pytest.approx(0.2, rel=0.25)

import keras
import numpy as np
import pytest

from helpers.changes import change_train
from hourglass.network.hourglass import inner_kernels
from hourglass.training.optimizers import (
    AdamW,
    Muon,
    build_optimizer,
    orthogonalize,
    write_averages,
)

KINDS = ("adamw", "muon")


def make_network():
    keras.utils.set_random_seed(3)
    pictures = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stem_conv")(pictures)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(6, 3, name="inner")(x)
    return keras.Model(pictures, keras.layers.Conv2D(16, 1, name="stack1_heatmaps")(x))


def random_like(variables, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=v.shape).astype(np.float32) for v in variables]


def run_steps(optimizer, network, number=3):
    """Steps along gradients that are the same for each optimizer."""
    variables = network.trainable_variables
    optimizer.build(variables)
    values = []
    for seed in range(number):
        optimizer.apply(random_like(variables, seed), variables)
        values.append([np.asarray(v) for v in variables])
    return values


def params_of(tiny_params, **values):
    return change_train(tiny_params, **values).train


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6), (36, 6)])
def test_orthogonalize_brings_singular_values_near_one_and_keeps_the_vectors(shape):
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = np.asarray(orthogonalize(matrix))
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T  # diagonal where the vectors are the same
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-4)
    # The polynomial's fixed band, of the post that it comes from; the smallest values are slowest.
    large = np.diag(inside)[values > 0.1 * values[0]]
    assert (large > 0.6).all() and (large < 1.25).all()


def test_muon_moves_all_but_the_inner_kernels_as_adamw_does(tiny_params):
    params = params_of(tiny_params, weight_decay=0.0)
    results = {}
    for kind in KINDS:
        network = make_network()
        optimizer = build_optimizer(
            params.model_copy(update={"optimizer": kind}), inner_kernels(network)
        )
        results[kind] = run_steps(optimizer, network)[-1]
    names = [v.path for v in network.trainable_variables]
    same = [np.array_equal(*pair) for pair in zip(*results.values(), strict=True)]
    assert [name for name, is_same in zip(names, same, strict=True) if not is_same] == [
        "inner/kernel"
    ]


def test_a_step_of_muon_by_hand(tiny_params):
    params = params_of(tiny_params, optimizer="muon", weight_decay=0.0, lr=0.01)
    network = make_network()
    before = np.asarray(network.get_layer("inner").kernel)
    run_steps(build_optimizer(params, inner_kernels(network)), network, number=2)
    index = [v.path for v in network.trainable_variables].index("inner/kernel")
    first, second = (random_like(network.trainable_variables, seed)[index] for seed in (0, 1))
    for ahead in (1.95 * first, second + 0.95 * (0.95 * first + second)):
        step = np.asarray(orthogonalize(ahead.reshape(36, 6))).reshape(before.shape)
        before = before - 0.01 * 0.2 * 6 * step
    np.testing.assert_allclose(network.get_layer("inner").kernel, before, atol=1e-6)


def test_muons_step_has_the_size_of_adamws(tiny_params):
    params = params_of(tiny_params, optimizer="muon", weight_decay=0.0, lr=0.01)
    network = make_network()
    before = np.asarray(network.get_layer("inner").kernel)
    run_steps(build_optimizer(params, inner_kernels(network)), network, number=1)
    step = before - np.asarray(network.get_layer("inner").kernel)
    # 0.2 is the root mean square of AdamW's steps, as a fraction of its learning rate.
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2 * 0.01, rel=0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_only_kernels_decay(kind, tiny_params):
    params = params_of(tiny_params, optimizer=kind, weight_decay=0.5, lr=0.1)
    network = make_network()
    optimizer = build_optimizer(params, inner_kernels(network))
    before = [np.asarray(v) for v in network.trainable_variables]
    optimizer.build(network.trainable_variables)
    optimizer.apply([np.zeros_like(v) for v in before], network.trainable_variables)
    for variable, old in zip(network.trainable_variables, before, strict=True):
        factor = 1 - 0.5 * 0.1 if variable.name == "kernel" else 1
        np.testing.assert_allclose(variable, factor * old, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_averages_are_written_when_asked_for_and_not_before(kind, precision, tiny_params):
    params = params_of(tiny_params, optimizer=kind, ema=0.6, precision=precision)
    network = make_network()
    optimizer = build_optimizer(params, inner_kernels(network))
    values = run_steps(optimizer, network)
    variables = network.trainable_variables
    optimizer.finalize_variable_values(variables)  # what `fit` does at its end
    for variable, last in zip(variables, values[-1], strict=True):
        np.testing.assert_array_equal(variable, last)
    write_averages(optimizer, variables)
    for variable, (first, second, third) in zip(variables, zip(*values, strict=True), strict=True):
        average = 0.6 * (0.6 * first + 0.4 * second) + 0.4 * third
        np.testing.assert_allclose(variable, average, atol=1e-6)


def test_each_name_is_its_optimizer(tiny_params):
    assert type(build_optimizer(params_of(tiny_params, optimizer="adamw"), [])) is AdamW
    assert type(build_optimizer(params_of(tiny_params, optimizer="muon"), [])) is Muon
    scaled = build_optimizer(params_of(tiny_params, precision="mixed_float16"), [])
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.networks import change_train
from hourglass.models.graph import inner_kernels
from hourglass.training.losses import FIRST_SCALE, GOOD_STEPS
from hourglass.training.optimizers import MuonAdamW, build_optimizer
from hourglass.training.param_groups import MAX_SHIFT, MuonGroup

KINDS = ("adamw", "muon")


def make_network():
    keras.utils.set_random_seed(3)
    pictures = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stem_conv")(pictures)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(6, 3, name="inner")(x)
    x = keras.layers.Conv2D(4, 1, name="inner2")(x)
    x = keras.layers.Conv2D(6, 3, padding="same", name="inner3")(x)
    return keras.Model(pictures, keras.layers.Conv2D(16, 1, name="stack1_heatmaps")(x))


def make_optimizer(tiny_params, network, **values):
    params = change_train(tiny_params, **values).train
    return build_optimizer(params, network.trainable_variables, inner_kernels(network))


def random_like(variables, seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=v.shape).astype(np.float32) for v in variables]


def move(optimizer, gradients, lr):
    optimizer.learning_rate = lr
    optimizer.apply(gradients)


def values_of(network):
    return {v.path: np.asarray(v) for v in network.trainable_variables}


def run_steps(optimizer, network, number=3, lr=0.01, factor=1.0):
    """Steps along gradients that are the same for each optimizer; the weights after each."""
    values, variables = [], optimizer.param_groups.variables
    for step in range(number):
        gradients = [tf.constant(g * factor) for g in random_like(variables, step)]
        move(optimizer, gradients, lr)
        values.append(values_of(network))
    return values


def assert_same(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        np.testing.assert_allclose(value, theirs[path], err_msg=path, **tolerance)


@pytest.mark.parametrize("clip_norm", [0.0, 2.0])
def test_adamw_is_that_of_keras(tiny_params, clip_norm):
    network, theirs = make_network(), make_network()
    optimizer = make_optimizer(
        tiny_params, network, optimizer="adamw", weight_decay=0.1, clip_norm=clip_norm
    )
    peer = keras.optimizers.AdamW(0.01, weight_decay=0.1, global_clipnorm=clip_norm or None)
    peer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    for step, values in enumerate(run_steps(optimizer, network, number=4)):
        peer.apply(random_like(theirs.trainable_variables, step), theirs.trainable_variables)
        assert_same(values, values_of(theirs), rtol=1e-5, atol=1e-6)


def test_without_arguments_it_is_kerass_adam():
    ours, theirs = make_network().trainable_variables, make_network().trainable_variables
    optimizer, peer = MuonAdamW(), keras.optimizers.Adam()
    for step in range(3):
        optimizer.apply([tf.constant(g) for g in random_like(ours, step)], ours)
        peer.apply(random_like(theirs, step), theirs)
    optimizer.finalize_variable_values(ours)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-6, err_msg=our.path)


def test_a_channel_that_no_relu_cuts_is_not_shifted_further(tiny_params):
    # Its gradient is rounding alone; here it has the same sign in each step.
    network = make_network()
    optimizer = make_optimizer(tiny_params, network)
    gamma, beta = (network.get_layer("norm").weights[k] for k in (0, 1))
    gamma.assign([1.0, -0.1, 1.0, 1.0])
    beta.assign([0.0, 0.0, 3.9, -9.0])
    for _ in range(20):
        gradients = [
            -np.ones(v.shape, np.float32) * (v is beta) for v in optimizer.param_groups.variables
        ]
        move(optimizer, [tf.constant(g) for g in gradients], 0.1)
    np.testing.assert_allclose(gamma, [1, -0.1, 1, 1])
    np.testing.assert_allclose(beta, [2, MAX_SHIFT * 0.1, MAX_SHIFT, -7], rtol=1e-5)


def test_muon_moves_all_but_the_inner_kernels_as_adamw_does(tiny_params):
    results = []
    for kind in KINDS:
        network = make_network()
        run_steps(make_optimizer(tiny_params, network, optimizer=kind), network)
        results.append(values_of(network))
    adamw, muon = results
    different = [path for path in adamw if not np.allclose(adamw[path], muon[path], atol=1e-7)]
    assert different == ["inner/kernel", "inner2/kernel", "inner3/kernel"]


def test_muon_keeps_one_momentum_of_its_kernels_and_adamw_two_moments_of_the_others(tiny_params):
    network = make_network()
    inner = sum(kernel.numpy().size for kernel in inner_kernels(network))
    optimizer = make_optimizer(tiny_params, network, optimizer="muon")
    kept = sum(variable.numpy().size for variable in optimizer.variables) - 2  # step, rate
    assert kept == inner + 2 * (network.count_params() - 8 - inner)  # 8: the norm's statistics


def test_a_group_of_muon_is_its_kernels_of_one_shape(tiny_params):
    network = make_network()
    groups = make_optimizer(tiny_params, network, optimizer="muon").param_groups.groups
    muon = [group for group in groups if isinstance(group, MuonGroup)]
    names = [[variable.path for variable in group.variables] for group in muon]
    assert names == [["inner/kernel", "inner3/kernel"], ["inner2/kernel"]]
    assert sum(len(group.variables) for group in groups) == len(network.trainable_variables)


@pytest.mark.parametrize("kind", KINDS)
def test_only_kernels_decay(kind, tiny_params):
    network = make_network()
    optimizer = make_optimizer(tiny_params, network, optimizer=kind, weight_decay=0.5)
    before = values_of(network)
    move(optimizer, [tf.zeros(v.shape) for v in optimizer.param_groups.variables], 0.1)
    for path, value in values_of(network).items():
        factor = 1 - 0.5 * 0.1 if path.endswith("kernel") else 1
        np.testing.assert_allclose(value, factor * before[path], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_written_when_asked_for_and_not_before(kind, tiny_params):
    network = make_network()
    optimizer = make_optimizer(tiny_params, network, optimizer=kind, ema=0.6)
    first, second, third = run_steps(optimizer, network)
    assert_same(values_of(network), third, rtol=0)
    optimizer.finalize_variable_values(optimizer.param_groups.variables)
    for path, value in values_of(network).items():
        average = 0.6 * (0.6 * first[path] + 0.4 * second[path]) + 0.4 * third[path]
        np.testing.assert_allclose(value, average, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_float16_takes_the_same_steps_along_scaled_gradients(kind, tiny_params):
    network, scaled = make_network(), make_network()
    expected = run_steps(make_optimizer(tiny_params, network, optimizer=kind), network)
    optimizer = make_optimizer(tiny_params, scaled, optimizer=kind, precision="mixed_float16")
    assert float(optimizer.scale_loss(2.0)) == 2 * FIRST_SCALE
    found = run_steps(optimizer, scaled, factor=FIRST_SCALE)
    assert_same(found[-1], expected[-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_float16_skips_a_step_that_is_not_finite_and_halves_the_scale(bad, tiny_params):
    network = make_network()
    optimizer = make_optimizer(tiny_params, network, precision="mixed_float16", ema=0.6)
    run_steps(optimizer, network, number=1, factor=FIRST_SCALE)
    before, states = values_of(network), [v.numpy() for v in optimizer.variables]
    gradients = random_like(optimizer.param_groups.variables, 1)
    gradients[2].flat[1] = bad
    move(optimizer, [tf.constant(g) for g in gradients], 0.01)
    assert_same(values_of(network), before, rtol=0)
    assert float(optimizer.scale_loss(1.0)) == FIRST_SCALE / 2
    scale = {id(variable) for variable in optimizer.loss_scale.variables}
    for variable, old in zip(optimizer.variables, states, strict=True):
        if id(variable) not in scale:
            np.testing.assert_array_equal(variable.numpy(), old)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skipped_step_is_as_if_it_had_not_been(kind, tiny_params):
    network, skipped = make_network(), make_network()
    values = {"optimizer": kind, "precision": "mixed_float16", "ema": 0.6}
    optimizers = [make_optimizer(tiny_params, net, **values) for net in (network, skipped)]
    move(
        optimizers[1],
        [tf.fill(v.shape, np.inf) for v in optimizers[1].param_groups.variables],
        0.01,
    )
    for step in range(2):
        gradients = random_like(network.trainable_variables, step)
        for optimizer in optimizers:
            scaled = [optimizer.scale_loss(tf.constant(gradient)) for gradient in gradients]
            move(optimizer, scaled, 0.01)
    assert_same(values_of(skipped), values_of(network), rtol=1e-6)
    for optimizer in optimizers:
        optimizer.finalize_variable_values(optimizer.param_groups.variables)
    assert_same(values_of(skipped), values_of(network), rtol=1e-6)


def test_the_scale_of_float16_never_gets_to_nothing(tiny_params):
    optimizer = make_optimizer(tiny_params, make_network(), precision="mixed_float16")
    for _ in range(20):
        move(optimizer, [tf.fill(v.shape, np.nan) for v in optimizer.param_groups.variables], 0.01)
    assert float(optimizer.scale_loss(1.0)) == 1


def test_float16_doubles_the_scale_after_enough_good_steps(tiny_params):
    network = make_network()
    optimizer = make_optimizer(tiny_params, network, precision="mixed_float16")
    optimizer.loss_scale.num_good.assign(GOOD_STEPS - 2)
    gradients = [tf.zeros(v.shape) for v in optimizer.param_groups.variables]
    scales = []
    for _ in range(3):
        move(optimizer, gradients, 0.01)
        scales.append(float(optimizer.scale_loss(1.0)) / FIRST_SCALE)
    assert scales == [1, 2, 2]


def test_a_variable_takes_the_factor_of_the_first_pattern_in_its_path(tiny_params):
    results = []
    for factors in ({}, {"^inner2/": 0.5, "^inner": 0.0}):
        network = make_network()
        paths = [kernel.path for kernel in inner_kernels(network)]
        optimizer = MuonAdamW(0.01, muon_paths=paths, lr_factors=factors)
        optimizer.build(network.trainable_variables)
        before = values_of(network)
        run_steps(optimizer, network, number=1)
        results.append({p: value - before[p] for p, value in values_of(network).items()})
    whole, slowed = results
    for path, move_by in slowed.items():
        factor = 0.5 if path.startswith("inner2/") else 0 if path.startswith("inner") else 1
        np.testing.assert_allclose(move_by, factor * whole[path], atol=1e-7)


def test_keras_compiles_fits_and_restores_it():
    network = make_network()
    network.compile(MuonAdamW(0.01, muon_paths=["inner/kernel"], ema=0.9), "mse")
    pictures = np.random.default_rng(0).normal(size=(8, 8, 8, 3))
    targets = np.ones((8, *network.output_shape[1:]))
    history = network.fit(pictures, targets, batch_size=4, epochs=5, verbose=0).history["loss"]
    assert history == sorted(history, reverse=True)
    optimizer = network.optimizer
    assert int(optimizer.iterations) == 10
    copy = MuonAdamW.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()


def test_ten_steps_of_muon_are_those_of_kerass_own_on_reshaped_kernels():
    """Keras' Muon moves 2-D kernels alone, and its AdamW decays by a parameter of its own."""
    rng = np.random.default_rng(4)
    start = rng.normal(size=(3, 3, 4, 6)).astype(np.float32)
    ours = keras.Variable(start, name="kernel")
    theirs = keras.Variable(start.reshape(36, 6), name="kernel")
    optimizer = MuonAdamW(0.02, weight_decay=0.1, muon_paths=[ours.path])
    optimizer.build([ours])
    peer = keras.optimizers.Muon(0.02, weight_decay=0.1)
    for _ in range(10):
        gradient = rng.normal(size=start.shape).astype(np.float32)
        optimizer.apply([tf.constant(gradient)])
        peer.apply([tf.constant(gradient.reshape(36, 6))], [theirs])
    np.testing.assert_allclose(np.reshape(ours, (36, 6)), theirs, atol=2e-6)

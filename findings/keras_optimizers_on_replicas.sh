#!/usr/bin/env bash
# Keras' optimizers under tf.distribute.MirroredStrategy look at each replica's gradients before
# they are summed. Seen with keras 3.15.1 and tensorflow-cpu 2.21.0, two logical CPU devices:
#
# - `LossScaleOptimizer` asks the first replica alone whether its gradients are finite. Infinite
#   gradients on the second one are applied: the weights become -inf, and the scale stays.
# - `global_clipnorm` clips each replica's share. Two shares of norm 0.17 and 173, clipped to 1,
#   make a step of norm 1.17: it depends on the number of devices, and exceeds the limit.
#
# A good engineer would expect both to act on the sum, as on one device. (Our optimizer does.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 tensorflow-cpu==2.21.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import functools

import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def step(make_optimizer, gradients):
    """One step of a variable of three ones, with a gradient for each replica."""
    with strategy.scope():
        variable = keras.Variable(np.ones(3, np.float32))
        optimizer = make_optimizer()
        optimizer.build([variable])

    @functools.partial(tf.function, autograph=False)
    def run():
        def apply():
            rank = tf.distribute.get_replica_context().replica_id_in_sync_group
            optimizer.apply([tf.gather(tf.constant(gradients, tf.float32), rank) * tf.ones(3)])

        strategy.run(apply)

    run()
    return variable.numpy(), optimizer


def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))


for gradients, expected in (([np.inf, 1.0], 1.0), ([1.0, np.inf], -np.inf)):
    weights, optimizer = step(scaled, gradients)
    print(f"gradients {gradients}: weights {weights}, scale {optimizer.dynamic_scale.numpy()}")
    assert (weights == expected).all(), "the behaviour has changed"

weights, _ = step(lambda: keras.optimizers.SGD(1.0, global_clipnorm=1.0), [0.1, 100.0])
norm = np.linalg.norm(weights - 1)
print(f"global_clipnorm=1: the step's norm is {norm:.2f}")
assert abs(norm - 1.17) < 0.01, "the behaviour has changed"
PYTHON
echo "as described"

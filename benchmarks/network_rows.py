"""The network: train steps, prediction in batches, and one photograph from a warm process."""

import functools
import statistics
from pathlib import Path

import numpy as np
import samples
import tutorial as baseline
from input_rows import PARAMS
from measure import Row, rate_row

from hourglass.data.tfrecords import pipeline
from hourglass.data.tfrecords.reader import Split
from hourglass.inference.backends import KerasBackend
from hourglass.inference.crops import Search, run_searches
from hourglass.inference.person_search import estimate_pose, whole_picture_crop
from hourglass.keypoints import MPII
from hourglass.models import batch_norm
from hourglass.models.pose_estimator import PoseEstimator, predict_split
from hourglass.models.registry import build_model
from hourglass.training.trainer import Trainer
from hourglass.utils.backend import keras, tf
from hourglass.utils.images import decode_image

TRAIN_BATCH = 8
PREDICT_BATCH, PREDICT_BATCHES = 8, 4
CEILING_SIDE = 2048  # of the square matrices whose product is the ceiling
STEP_FLOPS = 3  # forward passes that a train step costs


def train_rows(sample, folder, tutorial, measure, precisions):
    """Train steps of 4 stacks at 256 px, views and heatmaps included in ours, and the ceiling."""
    split = samples.write_split(folder / "crops", sample, PARAMS.shard)
    batches = pipeline.train_batches(split, TRAIN_BATCH, PARAMS.train.augment, 1, 1)
    batch = next(iter(batches))
    runs = {precision: our_step(batch, precision) for precision in precisions}
    ours = build_model(PARAMS.model, MPII)
    if tutorial:
        theirs = tutorial.build_network()
        runs["tutorial"] = tutorial_step(tutorial, theirs)
        runs["same network"] = tutorial_step(tutorial, ours)
    rates = measure(runs | {"ceiling": multiply_matrices})
    for name in precisions:
        target = ">= 1.1x" if name == "float32" else ">= 1.3x" if name == "mixed_bfloat16" else ""
        yield rate_row(f"train step, {name}", rates[name], rates.get("tutorial"), target)
        if tutorial:
            what = f"the same, {name}, both on our network"
            yield rate_row(what, rates[name], rates["same network"])
    yield size_row(ours, theirs if tutorial else None)
    yield share_row(rates, count_flops(ours), count_flops(theirs) if tutorial else None)


def our_step(batch, precision):
    """One train step of the pipeline's trainer on a fixed batch; "float32, XLA" compiles it."""
    keras.config.set_dtype_policy(precision.removesuffix(", XLA"))
    changes = {"xla": precision.endswith("XLA"), "precision": precision.removesuffix(", XLA")}
    params = PARAMS.train.model_copy(update=changes)
    split = Split(
        (), (), params.batch_size, params.batch_size, batch["crops"].shape[1], False, MPII
    )
    changed = PARAMS.model_copy(update={"train": params})
    trainer = Trainer(changed, split, split, tf.distribute.get_strategy(), Path("none.npz"))
    trainer.optimizer.learning_rate = params.lr
    keras.config.set_dtype_policy("float32")

    def run():
        trainer.train_step(batch).numpy()
        return TRAIN_BATCH

    return run


def tutorial_step(tutorial, network):
    step = tutorial.train_step(network, TRAIN_BATCH)
    rng = np.random.default_rng(0)
    pictures = tf.constant(rng.uniform(-1, 1, (TRAIN_BATCH, 256, 256, 3)), tf.float32)
    heatmaps = tf.constant(rng.random((TRAIN_BATCH, 64, 64, 16)), tf.float32)

    def run():
        step((pictures, heatmaps)).numpy()
        return TRAIN_BATCH

    return run


def multiply_matrices():
    """A product of two matrices in float32; GFLOP."""
    matrix = tf.ones((CEILING_SIDE, CEILING_SIDE))
    for _ in range(4):
        (matrix @ matrix).numpy()
    return 4 * 2 * CEILING_SIDE**3 / 1e9


def count_flops(network):
    """GFLOP of the convolutions in one forward pass of a picture."""
    return sum(
        2 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3]) / 1e9
        for layer in network.layers
        if isinstance(layer, keras.layers.Conv2D)
    )


def size_row(ours, theirs):
    """So that it is seen what gets faster by doing less."""

    def describe(network):
        if not network:
            return ""
        return f"{network.count_params() / 1e6:.1f} M, {count_flops(network):.1f} GFLOP"

    return Row("network: parameters, forward pass", describe(ours), describe(theirs))


def share_row(rates, our_flops, their_flops):
    ceiling = statistics.median(rates["ceiling"])

    def share(name, flops):
        return f"{100 * STEP_FLOPS * flops * statistics.median(rates[name]) / ceiling:.0f} %"

    return Row(
        f"train step, float32, of {ceiling:.0f} GFLOP/s in matrix products",
        share("float32", our_flops),
        share("tutorial", their_flops) if their_flops else "",
    )


def predict_rows(sample, folder, tutorial, measure, precisions):
    """Images a second in batches, decoding included, and the latency of one photograph."""
    split = samples.write_split(folder / "crops", sample, PARAMS.shard)
    photo = next(iter(sample.pictures.values()))
    runs = {}
    for precision in precisions:
        network = batch_norm.fuse_conv_bn(build_model(PARAMS.model, MPII), precision)
        estimator = PoseEstimator(network, flip_test=False, decoder="dark")
        runs[precision, "batch"] = functools.partial(predict_batches, estimator, split)
        runs[precision, "photo"] = functools.partial(predict_once, predict_photo, estimator, photo)
    if tutorial:
        networks = {
            "tutorial": tutorial.build_network(),
            "same": build_model(PARAMS.model, MPII),
        }
        for name, network in networks.items():
            predict = functools.partial(predict_once, baseline.predict_photo, network, photo)
            runs[name] = predict
    rates = measure(runs)
    tutorial_rates, same_rates = rates.pop("tutorial", None), rates.pop("same", None)
    names = {
        "batch": (f"batches of {PREDICT_BATCH}", ">= 9x"),
        "photo": ("one photograph", ">= 7x"),
    }
    for (precision, kind), values in rates.items():
        name, target = names[kind]
        yield rate_row(f"predict, {name}, {precision}", values, tutorial_rates, target)
        if tutorial:
            what = f"the same, {name}, {precision}, both on our network"
            yield rate_row(what, values, same_rates)


def predict_photo(estimator, data):
    """The keypoints on one photograph, from the file's bytes."""
    image, _ = decode_image(data)
    generator = estimate_pose(whole_picture_crop(image.size), refine=False)
    backend = KerasBackend(estimator)
    search = Search(generator, image, backend)
    run_searches([search], backend)
    return search.poses[0].keypoints


def predict_once(predict, network, data):
    predict(network, data)
    return 1


def predict_batches(estimator, split):
    batches = pipeline.eval_batches(split, PREDICT_BATCH).take(PREDICT_BATCHES)
    predict_split(estimator, batches, split.num_persons)
    return PREDICT_BATCHES * PREDICT_BATCH

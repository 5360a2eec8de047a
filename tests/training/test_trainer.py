import csv
import itertools
import json
import pickle
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.augmentation import make_augment_params
from helpers.marks import mostly_slow
from helpers.networks import change_train
from helpers.processes import run_python
from hourglass.data.tfrecords.augmentation import HALF_BODY
from hourglass.data.tfrecords.pipeline import eval_batches, train_batches
from hourglass.data.tfrecords.reader import open_split
from hourglass.keypoints import MPII
from hourglass.models.saving import save_network
from hourglass.training import loggers
from hourglass.training.checkpoint import Checkpoint
from hourglass.training.devices import prepare_devices
from hourglass.training.loggers import Logger, RunLogger, TerminalLogger, write_history
from hourglass.training.optimizers import MuonAdamW
from hourglass.training.trainer import Trainer
from hourglass.utils.errors import UserError

# In a process of its own: logical devices must be there before TensorFlow starts.
TWO_DEVICES = """
import json, pickle, sys
from pathlib import Path
import tensorflow as tf
devices = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # sooner compiled
from hourglass.data.tfrecords.reader import open_split
from hourglass.training import trainer
from hourglass.training.devices import prepare_devices

class CheckedTrainer(trainer.Trainer):
    def validate(self):
        for variable in [*self.network.variables, *self.optimizer.variables]:
            first, *others = self.strategy.experimental_local_results(variable.value)
            assert all((other.numpy() == first.numpy()).all() for other in others), variable.name
        return super().validate()

params, variants, shards, folder = pickle.loads(Path(sys.argv[1]).read_bytes())
splits = [open_split(shards, split, 32) for split in ("train", "validation")]
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
histories = []
for name, values in variants.items():
    for strategy in (tf.distribute.get_strategy(), mirrored):
        number = strategy.num_replicas_in_sync
        train = params.train.model_copy(update=values)
        prepare_devices(train)
        changed = params.model_copy(update={"train": train})
        run = CheckedTrainer(changed, *splits, strategy, Path(folder, f"{name}{number}.npz"))
        histories.append(run.run())
Path(folder, "histories.json").write_text(json.dumps(histories))
"""
# What must be done to the sum of the replicas' gradients, and not to each one's.
VARIANTS = {
    "plain": {},
    "clipped": {"clip_norm": 0.01, "optimizer": "adamw", "ema": 0.5},
    "float16": {"precision": "mixed_float16"},
}


@pytest.fixture(scope="module")
def splits(shard_folder):
    return [open_split(shard_folder, split, 32) for split in ("train", "validation")]


@pytest.fixture(scope="module", autouse=True)
def plain_graphs():
    """Optimizing a graph takes longer than the few steps of a test."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def make_trainer(params, splits, checkpoint, *loggers):
    strategy = prepare_devices(params.train)
    return Trainer(params, *splits, strategy, checkpoint, loggers)


@pytest.fixture(scope="module")
def shared(tiny_params, splits, tmp_path_factory):
    """One compiled Trainer and its first weights, to be used through `renew` alone.

    Its optimizer keeps averages, which are used where `renew` asks for them.
    """
    params = change_train(tiny_params, ema=0.9)
    trainer = make_trainer(params, splits, tmp_path_factory.mktemp("state") / "state.npz")
    start = trainer.network.get_weights(), values_of(trainer.optimizer)
    return trainer, *start


@pytest.fixture
def renew(shared, tiny_params, tmp_path, monkeypatch):
    """A function that gives the shared Trainer as if it were new, with changed train parameters.

    With `scrambled` its weights and optimizer hold nonsense: all must come from the state.
    """
    trainer, weights, optimizer = shared
    monkeypatch.setattr(trainer, "checkpoint", tmp_path / "state.npz")
    monkeypatch.setattr(trainer, "params", tiny_params.train)

    def renew(scrambled=False, **values):
        trainer.params = tiny_params.train.model_copy(update=values)
        trainer.network.set_weights([w + 7 for w in weights] if scrambled else weights)
        # Averages are kept in any case; where they are not asked for they must not be used.
        trainer.optimizer.ema = trainer.params.ema or 0.9
        finalize = MuonAdamW.finalize_variable_values.__get__(trainer.optimizer)
        trainer.optimizer.finalize_variable_values = finalize if trainer.params.ema else ignore
        for variable, value in zip(trainer.optimizer.variables, optimizer, strict=True):
            variable.assign(value + 3 if scrambled else value)
        return trainer

    return renew


def values_of(optimizer):
    return [variable.numpy() for variable in optimizer.variables]


def ignore(_):
    """What an optimizer without averages does in the end."""


def weights_of(trainer):
    return [weight.tobytes() for weight in trainer.network.get_weights()]


@pytest.fixture(scope="module")
def plain_run(tiny_params, splits, tmp_path_factory):
    """History and weights of a Trainer of its own."""
    path = tmp_path_factory.mktemp("plain") / "state.npz"
    trainer = make_trainer(tiny_params, splits, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras' about running out of data
        history = trainer.run()
    return history, weights_of(trainer), Checkpoint.load(path)


def test_a_run_has_an_epoch_a_row(plain_run, tiny_params):
    history, _, _ = plain_run
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(tuple(row) == loggers.HISTORY_COLUMNS for row in history)
    # Three steps an epoch: a quarter, a half, three quarters of the rate while it warms up, then a
    # falling cosine.
    assert history[0]["lr"] == pytest.approx(tiny_params.train.lr / 2)
    assert history[2]["lr"] < history[1]["lr"] < tiny_params.train.lr


def test_a_run_lowers_the_loss(plain_run):
    losses = [row["loss"] for row in plain_run[0]]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.8 * losses[0]


def test_two_runs_are_the_same_bit_for_bit(plain_run, renew):
    history, weights, _ = plain_run
    trainer = renew()
    assert trainer.run() == history
    assert weights_of(trainer) == weights


def test_another_seed_is_another_run(plain_run, renew):
    assert renew(seed=2, epochs=1).run()[0]["loss"] != plain_run[0][0]["loss"]


def before_step(monkeypatch, trainer, number, act):
    """Call `act` before the step of this number; of three steps an epoch, counted from 0."""
    original = trainer.train_step

    def step(batch):
        if int(trainer.optimizer.iterations) == number:
            act()
        return original(batch)

    monkeypatch.setattr(trainer, "train_step", step)


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "cosine"},
        # The score of so slow a run does not get better: the rate falls after each epoch.
        pytest.param(
            {"schedule": "plateau", "patience": 1, "warmup_epochs": 0.0, "lr": 1e-7},
            marks=pytest.mark.slow,
        ),
        {"schedule": "constant", "ema": 0.9},
        {"early_stopping": 1, "lr": 1e-9},  # ends after epoch 2
        pytest.param(
            {"augment": make_augment_params(half_body=0.5, occluders=0.5)}, marks=pytest.mark.slow
        ),
    ],
    ids=["cosine", "plateau", "ema", "early stopping", "half bodies and patches"],
)
def test_an_interrupted_run_ends_with_the_same_bits(values, renew, monkeypatch, capsys):
    trainer = renew(**values)
    history = trainer.run()
    expected, state = weights_of(trainer), Checkpoint.load(trainer.checkpoint)
    trainer.checkpoint.unlink()
    if values.get("schedule") == "plateau":
        assert history[2]["lr"] < history[0]["lr"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        before_step(patch, trainer, 5, interrupt)
        renew(**values).run()
    assert len(Checkpoint.load(trainer.checkpoint).history) == 1
    assert renew(scrambled=True, **values).run() == history
    assert "going on after epoch 1\n" in capsys.readouterr().out
    assert weights_of(trainer) == expected
    resumed = Checkpoint.load(trainer.checkpoint)
    for name in ("weights", "optimizer", "best_weights"):
        for new, old in zip(getattr(resumed, name), getattr(state, name), strict=True):
            np.testing.assert_array_equal(new, old)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [{"optimizer": "adamw"}, {"precision": "mixed_bfloat16"}, {"precision": "mixed_float16"}],
    ids=["AdamW", "bfloat16", "float16"],
)
def test_so_does_one_of_another_optimizer_or_precision(
    values, tiny_params, splits, tmp_path, monkeypatch
):
    params = change_train(tiny_params, **values)
    trainers = [make_trainer(params, splits, tmp_path / f"{k}.npz") for k in (1, 2, 2)]
    keras.config.set_dtype_policy("float32")
    history = trainers[0].run()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        before_step(patch, trainers[1], 5, interrupt)
        trainers[1].run()
    assert trainers[2].run() == history
    assert weights_of(trainers[2]) == weights_of(trainers[0])


def test_a_finished_run_is_not_trained_again(renew, monkeypatch):
    trainer = renew(epochs=1)
    history = trainer.run()
    expected = weights_of(trainer)
    monkeypatch.setattr(trainer, "train_step", lambda _: pytest.fail("trained again"))
    assert renew(scrambled=True, epochs=1).run() == history
    assert weights_of(trainer) == expected


SCORES = {"val_pckh": 1.0, "val_pckh_0_1": 0.0}


@pytest.fixture
def scripted(renew, monkeypatch):
    """A function that runs epochs with given scores; after epoch n all weights are n.

    With a `start_score` as if from another network, whose weights are 0.
    """

    def run(scores, start_score=None, **values):
        trainer = renew(epochs=len(scores), **values)
        if start_score is not None:
            monkeypatch.setattr(trainer, "start", Path("start.keras"))
            trainer.network.set_weights([np.zeros_like(w) for w in trainer.network.get_weights()])

        steps = itertools.count()

        def step(batch):
            weights, epoch = trainer.network.get_weights(), next(steps) // 3 + 1
            trainer.network.set_weights([np.full_like(w, epoch) for w in weights])
            return tf.constant(1.0)

        def validate(self):
            epoch = int(self.network.get_weights()[0].flat[0])
            return {"val_pckh": scores[epoch - 1] if epoch else start_score, "val_pckh_0_1": 0.0}

        monkeypatch.setattr(trainer, "train_step", step)
        monkeypatch.setattr(Trainer, "validate", validate)
        return trainer.run(), trainer.network.get_weights()[0].flat[0]

    return run


@pytest.mark.parametrize(
    ("scores", "best"), [([1, 5, 2], 2), ([3, 3, 1], 1), ([0, 0, 0], 1), ([1, 2, 3], 3)]
)
def test_the_best_weights_are_kept_the_first_on_a_tie(scripted, scores, best):
    history, weight = scripted(scores)
    assert len(history) == 3
    assert weight == best


@pytest.mark.parametrize(
    ("start_score", "scores", "best"), [(5, [1, 5, 2], 0), (0, [0, 0, 0], 0), (2, [1, 5, 5], 2)]
)
def test_a_start_is_kept_until_an_epoch_is_better(scripted, start_score, scores, best):
    history, weight = scripted(scores, start_score)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    assert weight == best


def test_early_stopping_waits_for_more_than_the_start_had(scripted):
    assert len(scripted([1, 1, 9], 2, early_stopping=2)[0]) == 3


@pytest.mark.parametrize(
    ("patience", "epochs"),
    [
        (1, 3),
        (2, 6),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in ((0, 8), (3, 7), (4, 8))),
    ],
)
def test_early_stopping_waits_its_epochs(scripted, patience, epochs):
    history, _ = scripted([1, 2, 2, 3, 3, 3, 1, 9], early_stopping=patience)
    assert len(history) == epochs


def poison(trainer):
    kernel = trainer.network.get_layer("stem_conv").kernel
    values = np.array(kernel)
    values.flat[0] = np.nan
    kernel.assign(values)


# The losses are checked after the first step, each CHECK_EVERY steps and at the end of an epoch.
@pytest.mark.parametrize(("check_every", "step"), [(1, 1), (2, 1), (8, 0), (8, 1), (8, 2)])
def test_a_loss_that_is_not_finite_names_where_and_keeps_the_last_epoch(
    check_every, step, renew, monkeypatch
):
    trainer = renew()
    monkeypatch.setattr("hourglass.training.trainer.CHECK_EVERY", check_every)
    seen = []
    before_step(monkeypatch, trainer, 3 + step, lambda: poison(trainer))
    original = trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda b: seen.append(b["index"]) or original(b))
    with pytest.raises(UserError) as caught:
        trainer.run()
    records = sorted(seen[3 + step].numpy().tolist())
    text = str(caught.value)
    assert f"epoch 2, step {step + 1}, on train records {records};" in text
    assert len(text.splitlines()) == 1
    state = Checkpoint.load(trainer.checkpoint)
    assert len(state.history) == 1
    assert all(np.isfinite(weight).all() for weight in state.weights)


def test_a_wild_learning_rate_is_reported(renew):
    with pytest.raises(UserError, match=r"train.lr: the loss is not finite in epoch \d"):
        renew(lr=1e30, warmup_epochs=0.0, weight_decay=0.0).run()


def test_averages_are_judged_and_kept_but_training_goes_on_without_them(renew, monkeypatch):
    judged = []
    monkeypatch.setattr(
        Trainer, "validate", lambda self: judged.append(weights_of(self)) or dict(SCORES)
    )
    plain = renew(epochs=2)
    plain.run()
    last, best = judged[1], weights_of(plain)
    assert best == judged[0]
    plain.checkpoint.unlink()
    averaged = renew(epochs=2, ema=0.9)
    averaged.run()
    state = Checkpoint.load(averaged.checkpoint)
    assert [w.tobytes() for w in state.weights] == last
    assert weights_of(averaged) == judged[2] != best


def test_weights_that_break_in_the_last_step_are_not_saved(renew, monkeypatch):
    trainer = renew()
    original = trainer.train_step

    def step(batch):
        loss = original(batch)
        if int(trainer.optimizer.iterations) == 6:
            poison(trainer)
        return loss

    monkeypatch.setattr(trainer, "train_step", step)
    with pytest.raises(UserError, match=r"epoch 2, step 3, on train records \["):
        trainer.run()
    assert len(Checkpoint.load(trainer.checkpoint).history) == 1


def test_a_lack_of_memory_is_one_line_and_keeps_the_last_epoch(renew, monkeypatch):
    trainer = renew()

    def run_out():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    before_step(monkeypatch, trainer, 3, run_out)
    with pytest.raises(
        UserError, match=r"train.max_batch_per_device: 4 pictures at a time .*; set it to 2 "
    ):
        trainer.run()
    assert len(Checkpoint.load(trainer.checkpoint).history) == 1


@pytest.mark.parametrize(("check_every", "number"), [(1, 2), (8, 3)])
def test_the_time_is_told_once_after_a_few_steps(check_every, number, renew, monkeypatch):
    told = []
    monkeypatch.setattr("hourglass.training.trainer.CHECK_EVERY", check_every)
    monkeypatch.setattr(
        "hourglass.training.loggers.report_time", lambda *arguments: told.append(arguments)
    )
    trainer = renew()
    monkeypatch.setattr(trainer, "loggers", [TerminalLogger(3)])
    trainer.run()
    ((rate, left),) = told
    assert rate > 0 and left == (3 * 3 - number) * 4


def test_curves_and_sample_heatmaps_are_written(renew, monkeypatch, tmp_path):
    trainer = renew(epochs=2)
    monkeypatch.setattr(trainer, "loggers", [RunLogger(tmp_path / "logs")])
    trainer.run()
    assert (tmp_path / "logs" / "live" / "report.html").is_file()
    assert len(list((tmp_path / "logs").glob("events.*"))) == 1


def test_a_batch_larger_than_the_data_is_refused(tiny_params, splits, tmp_path):
    params = change_train(tiny_params, batch_size=15)
    with pytest.raises(UserError, match=r"train.batch_size: 15 is more than the 14 train records"):
        make_trainer(params, splits, tmp_path / "state.npz")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_coordinates_keep_their_precision_whatever_the_network_has(
    precision, tiny_params, splits, tmp_path
):
    params = change_train(tiny_params, precision=precision)
    try:
        trainer = make_trainer(params, splits, tmp_path / "state.npz")
        batch = next(iter(train_batches(splits[0], 2, params.train.augment, 1, 1)))
        before = float(trainer.compute_loss(batch))
        _, keypoints, _ = trainer.estimator(next(iter(eval_batches(splits[1], 2))))
    finally:
        keras.config.set_dtype_policy("float32")
    assert trainer.network.get_layer("stem_conv").compute_dtype == precision[len("mixed_") :]
    assert keypoints.dtype == "float32"
    plain = make_trainer(tiny_params, splits, tmp_path / "state.npz")
    assert before == pytest.approx(float(plain.compute_loss(batch)), rel=1e-3)


@pytest.mark.parametrize(("half", "is_hidden"), [(1, False), (-1, True)])
def test_keypoints_of_the_half_that_is_not_shown_cost_nothing(renew, splits, half, is_hidden):
    trainer, lower = renew(), list(MPII.lower_indices)
    batch = dict(next(iter(train_batches(splits[0], 4, make_augment_params(flip=False), 1, 1))))
    draws = batch["augmentation"].numpy()
    draws[:, HALF_BODY] = half
    batch |= {"augmentation": draws, "keypoints_visible": np.ones((4, MPII.num_keypoints), bool)}
    keypoints = batch["keypoints"].numpy()
    losses = [float(trainer.compute_loss(batch | {"keypoints": keypoints}))]
    keypoints[:, lower] += 3  # stored px: within the input
    losses.append(float(trainer.compute_loss(batch | {"keypoints": keypoints})))
    assert (losses[0] == losses[1]) != is_hidden


def test_first_weights_are_used(tiny_params, splits, model_file, network, tmp_path):
    params = change_train(tiny_params, init_weights=str(model_file), seed=9)
    trainer = make_trainer(params, splits, tmp_path / "state.npz")
    for new, old in zip(trainer.network.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_scoring_a_start_needs_no_training_and_no_batch(tiny_params, splits, model_file, tmp_path):
    values = {"init_weights": str(model_file), "epochs": 0, "batch_size": 15}
    trainer = make_trainer(change_train(tiny_params, **values), splits, tmp_path / "state.npz")
    expected = trainer.validate()
    before = weights_of(trainer)
    history = trainer.run()
    assert history == [{"epoch": 0, "lr": None, "loss": None, **expected}]
    assert weights_of(trainer) == before


@pytest.mark.parametrize(("step", "epoch"), mostly_slow([(0, 0), (2, 0), (5, 1)], (2, 0)))
def test_a_run_from_another_network_resumes_to_the_same_bits(
    step, epoch, renew, monkeypatch, capsys
):
    trainer = renew()
    monkeypatch.setattr(trainer, "start", Path("start.keras"))
    history = trainer.run()
    expected, state = weights_of(trainer), Checkpoint.load(trainer.checkpoint)
    assert [row["epoch"] for row in history] == [0, 1, 2, 3]
    trainer.checkpoint.unlink()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        before_step(patch, trainer, step, interrupt)
        renew().run()
    assert [row["epoch"] for row in Checkpoint.load(trainer.checkpoint).history][-1] == epoch
    assert renew(scrambled=True).run() == history
    assert f"going on after epoch {epoch}\n" in capsys.readouterr().out
    assert weights_of(trainer) == expected
    resumed = Checkpoint.load(trainer.checkpoint)
    for name in ("weights", "optimizer", "best_weights"):
        for new, old in zip(getattr(resumed, name), getattr(state, name), strict=True):
            np.testing.assert_array_equal(new, old)


def test_judging_the_start_changes_no_bit_of_the_epochs(plain_run, renew, monkeypatch):
    trainer = renew()
    monkeypatch.setattr(trainer, "start", Path("start.keras"))
    assert trainer.run()[1:] == plain_run[0]
    state = Checkpoint.load(trainer.checkpoint)
    for new, old in zip(state.weights, plain_run[2].weights, strict=True):
        np.testing.assert_array_equal(new, old)


class KeptSamples(Logger):
    def log_epoch(self, row, best, sample_heatmaps):
        self.inputs, self.heatmaps = sample_heatmaps()


@pytest.mark.slow
def test_a_network_ends_and_starts_with_peaks_of_its_run(tiny_params, splits, tmp_path):
    params = change_train(tiny_params, target_peak=12.0, epochs=1)
    samples = KeptSamples()
    trainer = make_trainer(params, splits, tmp_path / "state.npz", samples)
    batch = next(iter(train_batches(splits[0], 4, params.train.augment, 1, 1)))
    trainer.run()
    heatmaps = trainer.estimator.predict_heatmaps(samples.inputs)
    np.testing.assert_allclose(samples.heatmaps, heatmaps, atol=1e-5)
    save_network(trainer.network, tmp_path / "trained.keras", ["synthetic"])
    trainer.network.set_weights(Checkpoint.load(tmp_path / "state.npz").best_weights)
    losses = [float(trainer.compute_loss(batch)) / 12**2]  # of the network as it was trained
    for target_peak in (1.0, 12.0):
        path = str(tmp_path / "trained.keras")
        params = change_train(tiny_params, init_weights=path, target_peak=target_peak)
        renewed = make_trainer(params, splits, tmp_path / "other.npz")
        losses.append(float(renewed.compute_loss(batch)) / target_peak**2)
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_history_is_written_in_full(tmp_path, plain_run):
    history = plain_run[0]
    write_history(tmp_path / "history.csv", history)
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == history


@pytest.mark.slow
@pytest.mark.parametrize("names", [["plain"], ["clipped", "float16"]], ids=" and ".join)
def test_two_devices_train_as_one(tmp_path, tiny_params, shard_folder, names):
    # Five validation records in batches of four: the last has nothing for the second device. The
    # script itself sees that the devices' copies of each variable are the same.
    job = tiny_params, {name: VARIANTS[name] for name in names}, shard_folder, tmp_path
    (tmp_path / "job.pkl").write_bytes(pickle.dumps(job))
    result = run_python("-W", "error::UserWarning", "-c", TWO_DEVICES, tmp_path / "job.pkl")
    assert result.returncode == 0, result.stderr[-3000:]
    histories = json.loads((tmp_path / "histories.json").read_text())
    for name, one_device, two_devices in zip(names, histories[::2], histories[1::2], strict=True):
        tolerance = 1e-3 if name == "float16" else 1e-4
        assert len(one_device) == 3 and one_device[2]["loss"] < one_device[0]["loss"]
        for one, two in zip(one_device, two_devices, strict=True):
            assert two["loss"] == pytest.approx(one["loss"], abs=tolerance)
        if name == "float16":  # its rounding moves small weights, and joints on the brink
            continue
        assert two_devices == [pytest.approx(row, abs=tolerance) for row in one_device]
        with np.load(tmp_path / f"{name}1.npz") as one, np.load(tmp_path / f"{name}2.npz") as two:
            for key in one.files:
                if key.startswith(("weights/", "best_weights/")):
                    np.testing.assert_allclose(two[key], one[key], atol=1e-3, err_msg=name)

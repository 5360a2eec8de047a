"""Training: the loss, the learning rate, epochs, and a state that survives any kill.

After each epoch all that the next one depends on is saved in one file: weights, optimizer, best
weights, history. Everything else - order, augmentation, learning rate, early stopping - follows
from the epoch's number and the history, so a resumed run ends with the same bytes.
"""

import dataclasses
import hashlib
import json
import math
import os
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hourglass import pckh
from hourglass.augment import make_views
from hourglass.backend import keras, ops, tf
from hourglass.errors import UserError
from hourglass.files import atomic_path
from hourglass.heatmaps import encode_heatmaps
from hourglass.inference import PosePredictor, predict_split
from hourglass.input_pipeline import eval_batches, read_truth, train_batches
from hourglass.model import build_hourglass, load_weights

STATE_DAYS = 30
HISTORY_COLUMNS = ("epoch", "lr", "loss", "val_pckh", "val_pckh_0.1")


class PoseTrainer(keras.Model):
    """The network with its views and its loss, for `fit` on batches of the input pipeline.

    The loss is the weighted squared error of every stack's heatmaps, averaged over a picture's
    pixels and joints, summed over the stacks; joints that are not labelled cost nothing, occluded
    ones count.
    """

    def __init__(self, network, params, num_replicas=1):
        # Keras would round the coordinates to the precision of the network, by pixels.
        super().__init__(name="pose_trainer", dtype="float32")
        self.network = network
        self.params = params
        self.num_replicas = num_replicas

    def call(self, batch, training=False):
        """Heatmaps of the batch's views, and where the joints lie in them."""
        size = self.network.input_shape[1]
        pictures, keypoints, labelled = make_views(batch, size)
        heatmaps = self.network(pictures, training=training)
        return {"heatmaps": heatmaps, "keypoints": keypoints, "labelled": labelled}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch, as `fit` asks for it."""
        heatmaps = y_pred["heatmaps"]
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        loss = heatmap_loss(heatmaps, y_pred["keypoints"], y_pred["labelled"], self.params)
        return loss / self.num_replicas  # the replicas' gradients are summed


def heatmap_loss(heatmaps, keypoints, labelled, params):
    """Weighted squared error, one number.

    Args:
        heatmaps: a list of float32 [N, H, W, K], one a stack.
        keypoints: float32 [N, K, 2], heatmap px. labelled: bool [N, K].
        params: TrainParams: sigma, target_peak, foreground, foreground_weight.
    """
    target = encode_heatmaps(keypoints, heatmaps[0].shape[1], params.sigma)
    is_value = params.foreground == "value"
    foreground = target if is_value else ops.cast(target > 0, target.dtype)
    weight = 1 + params.foreground_weight * foreground
    weight = weight * ops.cast(labelled, target.dtype)[:, None, None, :]
    goal = params.target_peak * target
    return sum(ops.mean(weight * ops.square(output - goal)) for output in heatmaps)


def learning_rate(params, step, steps_per_epoch, history):
    """The learning rate of a step, from the parameters and the scores so far alone.

    Args:
        params: TrainParams. step: from 0, over all epochs. history: list of finished epochs.
    """
    warmup = params.warmup_epochs * steps_per_epoch
    if step < warmup:
        return params.lr * (step + 1) / (warmup + 1)
    if params.schedule == "cosine":
        done = (step - warmup) / max(1, params.epochs * steps_per_epoch - warmup)
        return params.lr * 0.5 * (1 + math.cos(math.pi * min(1, done)))
    if params.schedule == "steps":
        epoch = step // steps_per_epoch
        return params.lr * params.decay_factor ** sum(epoch >= at for at in params.decay_epochs)
    if params.schedule == "plateau":
        scores = [row["val_pckh"] for row in history]
        return params.lr * params.decay_factor ** count_plateaus(scores, params.patience)
    return params.lr


def count_plateaus(scores, patience):
    """How often `patience` epochs in a row have gone by without a better score."""
    best, waited, plateaus = -math.inf, 0, 0
    for score in scores:
        waited = 0 if score > best else waited + 1
        best = max(best, score)
        if waited == patience:
            plateaus, waited = plateaus + 1, 0
    return plateaus


@dataclasses.dataclass
class TrainingState:
    """All that the rest of a run depends on: arrays of weights and the finished epochs."""

    weights: list
    optimizer: list
    best_weights: list
    history: list

    @property
    def best(self):
        """The finished epoch with the best score, the first of them on a tie."""
        return max(self.history, key=lambda row: row["val_pckh"])

    def save(self, path):
        """Write the whole state to one file, atomically."""
        arrays = {
            f"{name}/{k:04d}": array
            for name in ("weights", "optimizer", "best_weights")
            for k, array in enumerate(getattr(self, name))
        }
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, history=json.dumps(self.history), **arrays)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote."""
        with np.load(path) as file:
            groups = {"weights": [], "optimizer": [], "best_weights": []}
            for key in sorted(set(file.files) - {"history"}):
                groups[key.split("/")[0]].append(file[key])
            return cls(history=json.loads(str(file["history"])), **groups)


def state_key(params, data_digest):
    """What a state belongs to: the parameters, the data, the code, the libraries, the devices.

    Args:
        params: the sections that training reads. data_digest: of the shards' index.

    Raises:
        UserError: train.init_weights names no file.
    """
    modules = sorted(name for name in sys.modules if name.split(".")[0] == "hourglass")
    files = [sys.modules[name].__file__ for name in modules]
    init_weights = params.train.init_weights
    if init_weights:
        if not Path(init_weights).is_file():
            raise UserError(
                f"{init_weights}: no such file; mend train.init_weights (models/hourglass.keras "
                "itself is removed before training: name a copy of it)"
            )
        files.append(init_weights)
    parts = [params.model.model_dump_json(), params.train.model_dump_json(), data_digest]
    parts += [tf.__version__, keras.__version__, np.__version__]
    parts += [device.device_type for device in tf.config.list_logical_devices()]
    digest = hashlib.sha256("\n".join(parts).encode())
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:32]


def cache_folder():
    """Where states are kept: outside of DVC's outputs, which it deletes before a stage runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "hourglass")


def remove_old_states(folder):
    """Remove states that no run has touched for STATE_DAYS: their parameters were given up."""
    for path in folder.glob("*.npz"):
        if time.time() - path.stat().st_mtime > STATE_DAYS * 86400:
            path.unlink(missing_ok=True)


def prepare_devices(params):
    """Memory growth on each GPU, deterministic kernels, precision; gives the strategy to use."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(params.seed)
    if not (gpus and params.xla):  # XLA has no deterministic max pooling on GPUs
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(params.precision)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


class Trainer:
    """One training run: `run` goes on from `state_path` where a state lies there."""

    def __init__(self, params, train_split, val_split, strategy, state_path, log_folder=None):
        self.params = params.train
        self.train_split, self.val_split = train_split, val_split
        self.truth = read_truth(val_split)
        self.state_path = Path(state_path)
        self.batch_size = self.params.batch_size * strategy.num_replicas_in_sync
        self.steps = train_split.num_records // self.batch_size
        if not self.steps:
            raise UserError(
                f"params.yaml: train.batch_size: {self.batch_size} over all devices is more than "
                f"the {train_split.num_records} train records; lower it"
            )
        with strategy.scope():
            self.network = build_hourglass(params.model)
            if self.params.init_weights:
                load_weights(self.network, self.params.init_weights)
            self._build(strategy)
        self.logs = tf.summary.create_file_writer(str(log_folder)) if log_folder else None

    def _build(self, strategy):
        params = self.params
        # XLA cannot compile a step of MirroredStrategy.
        xla = params.xla and not isinstance(strategy, tf.distribute.MirroredStrategy)
        self.model = PoseTrainer(self.network, params, strategy.num_replicas_in_sync)
        self.optimizer = keras.optimizers.AdamW(
            params.lr, weight_decay=params.weight_decay, global_clipnorm=params.clip_norm or None
        )
        # The variables of the norms and the biases, by the names that Keras gives them.
        self.optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        if params.precision == "mixed_float16":
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)
        self.optimizer.build(self.network.trainable_variables)
        self.model.compile(optimizer=self.optimizer, jit_compile=xla)
        self.predictor = PosePredictor(self.network, flip_test=False, decode="taylor", xla=xla)

    def run(self):
        """Train to the end, or to early stopping; the network ends with the best weights.

        Returns:
            The history: a list of {epoch, lr, loss, val_pckh, val_pckh_0.1}.

        Raises:
            UserError: the loss is not finite.
        """
        remove_old_states(self.state_path.parent)
        state = self._restore()
        print(
            f"{self.train_split.num_records:,} train and {self.val_split.num_records:,} validation "
            f"records, {self.steps} steps of {self.batch_size} an epoch",
            flush=True,
        )
        while not self._is_finished(state.history):
            row = self._run_epoch(len(state.history) + 1, state.history)
            state = self._advance(state, row)
            state.save(self.state_path)
            self._report(state)
        self.network.set_weights(state.best_weights)
        return state.history

    def _restore(self):
        if not self.state_path.is_file():
            return TrainingState([], [], [], [])
        state = TrainingState.load(self.state_path)
        self.network.set_weights(state.weights)
        for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
        print(f"going on after epoch {len(state.history)}", flush=True)
        return state

    def _is_finished(self, history):
        if len(history) >= self.params.epochs:
            return True
        scores = [row["val_pckh"] for row in history]
        patience = self.params.early_stopping
        return bool(patience) and count_plateaus(scores, patience) > 0

    def _run_epoch(self, epoch, history):
        params = self.params
        batches = train_batches(
            self.train_split, self.batch_size, params.augment, params.seed, epoch
        )
        progress = _EpochProgress(self, epoch, history)
        self.model.fit(
            batches,
            initial_epoch=epoch - 1,
            epochs=epoch,
            shuffle=False,
            verbose=0,
            callbacks=[progress],
        )
        # Each replica has its own moving statistics; the first one's are what is saved, so that
        # is what all go on with.
        self.network.set_weights(self.network.get_weights())
        return {"epoch": epoch, "lr": progress.lr, "loss": progress.loss} | self.validate()

    def validate(self):
        """PCKh in per cent of all validation records, on leak-free crops, without flip test."""
        size, num_persons = self.batch_size, self.val_split.num_persons
        batches = eval_batches(self.val_split, size, fill_last=True)
        keypoints, _, _ = predict_split(self.predictor, batches, num_persons, size)
        truth = self.truth
        errors = pckh.normalized_errors(keypoints[truth["index"]], truth["joints"], truth["scale"])
        return {
            "val_pckh": pckh.pckh(errors, truth["labelled"], 0.5) or 0.0,
            "val_pckh_0.1": pckh.pckh(errors, truth["labelled"], 0.1) or 0.0,
        }

    def _advance(self, state, row):
        weights = self.network.get_weights()
        is_best = not state.history or row["val_pckh"] > state.best["val_pckh"]
        return TrainingState(
            weights=weights,
            optimizer=[np.asarray(variable) for variable in self.optimizer.variables],
            best_weights=weights if is_best else state.best_weights,
            history=[*state.history, row],
        )

    def _report(self, state):
        row, best = state.history[-1], state.best
        print(
            f"epoch {row['epoch']:3}/{self.params.epochs}  lr {row['lr']:.2e}  "
            f"loss {row['loss']:.5f}  PCKh@0.5 {row['val_pckh']:5.2f}  "
            f"@0.1 {row['val_pckh_0.1']:5.2f}  best {best['val_pckh']:5.2f} "
            f"(epoch {best['epoch']})",
            flush=True,
        )
        if self.logs:
            with self.logs.as_default(step=row["epoch"]):
                for name in HISTORY_COLUMNS[1:]:
                    tf.summary.scalar(name, row[name])
            self.logs.flush()


class _EpochProgress(keras.callbacks.Callback):
    """Sets the learning rate before each step, checks the loss after it, draws the bar."""

    def __init__(self, trainer, epoch, history):
        super().__init__()
        self.trainer, self.epoch, self.history = trainer, epoch, history
        self.lr, self.loss = 0.0, math.nan
        total = trainer.params.epochs
        self.bar = tqdm(
            total=trainer.steps * trainer.batch_size,
            desc=f"epoch {epoch}/{total}", unit="image", disable=None, leave=False,
        )  # fmt: skip

    def on_train_batch_begin(self, batch, logs=None):
        trainer = self.trainer
        step = (self.epoch - 1) * trainer.steps + batch
        lr = learning_rate(trainer.params, step, trainer.steps, self.history)
        trainer.optimizer.learning_rate = lr
        self.lr = lr if batch == 0 else self.lr

    def on_train_batch_end(self, batch, logs=None):
        self.loss = float(logs["loss"])
        if not math.isfinite(self.loss):
            self.bar.close()
            raise UserError(self._describe_divergence(batch))
        self.bar.update(self.trainer.batch_size)
        self.bar.set_postfix(loss=f"{self.loss:.5f}", refresh=False)

    def on_train_end(self, logs=None):
        self.bar.close()

    def _describe_divergence(self, step):
        trainer, params = self.trainer, self.trainer.params
        batches = train_batches(
            trainer.train_split, trainer.batch_size, params.augment, params.seed, self.epoch
        )
        batch = next(iter(batches.skip(step).take(1)))
        return (
            f"train.lr: the loss is not finite in epoch {self.epoch}, step {step + 1}, on train "
            f"records {sorted(batch['index'].numpy().tolist())}; lower train.lr, or look at these "
            "records"
        )


def write_history(path, history):
    """The epochs as CSV, for `dvc plots`; numbers in full, so that equal runs give equal files."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [",".join(repr(row[name]) for name in HISTORY_COLUMNS) for row in history]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")

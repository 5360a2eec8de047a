"""A run from shards to a network's file, in this process or as one of several hosts.

A training run: epochs, validation, and a state that survives any kill.

After each epoch all that the next one depends on is saved in one file: weights, optimizer, best
weights, history. Everything else - order, augmentation, learning rate, early stopping - follows
from the epoch's number and the history, so a resumed run ends with the same bytes.

A run that starts from another network judges that one first, as epoch 0: it ends with no worse one.
"""

import contextlib
import dataclasses
import functools
import statistics
from pathlib import Path

import numpy as np

from hourglass.config import Params
from hourglass.data.tfrecords.pipeline import WHOLE, eval_batches, train_batches
from hourglass.data.tfrecords.reader import name_damage, open_split, read_truth
from hourglass.evaluation import pckh
from hourglass.models.graph import inner_kernels, scale_heatmaps
from hourglass.models.metadata import read_trained_on
from hourglass.models.model_inputs import render_inputs
from hourglass.models.pose_estimator import PoseEstimator, predict_split
from hourglass.models.saving import load_weights, save_network
from hourglass.models.stacked_hourglass import build_hourglass
from hourglass.training.checkpoint import Checkpoint, find_best_epoch
from hourglass.training.init_weights import find_init_weights
from hourglass.training.loggers import NUM_SAMPLES, EpochProgress, RunLogger, write_history
from hourglass.training.optimizers import Optimizer
from hourglass.training.schedules import count_epochs, is_training_finished, learning_rate
from hourglass.training.train_step import TrainStep
from hourglass.utils.backend import tf
from hourglass.utils.devices import (
    count_local_replicas,
    describe_devices,
    find_share,
    sum_over_hosts,
)
from hourglass.utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run works on; paths in the project's folder, the same files for all hosts."""

    params: Params
    shards: Path
    state: Path
    logs: Path
    network: Path
    history: Path

    @property
    def locks(self):
        """What is locked while it lasts: the project, and the state."""
        return self.network.with_name(".train.lock"), self.state.with_suffix(".lock")


def train_network(strategy, run):
    """Train to the end, from the saved state where there is one, and write what comes of it.

    Args:
        strategy: of `utils.devices.prepare_devices`.

    Raises:
        UserError: the shards, the parameters or the memory do not suffice.
    """
    size = run.params.model.input_size
    splits = [open_split(run.shards, split, size) for split in ("train", "validation")]
    with name_damage(*splits):
        trainer = Trainer(run.params, *splits, strategy, run.state, run.logs)
        history = trainer.run()
    if trainer.writes:
        save_network(trainer.network, run.network, _name_data(run.params, history))
        write_history(run.history, history)


def _name_data(params, history):
    """The datasets that the best weights were trained on, the start's first: "lspet, folder"."""
    # Licences of data may hold for what is trained on it, however often it is trained again.
    start = find_init_weights(params.train.init_weights)
    before = (read_trained_on(start) or "unknown").split(", ") if start else []
    datasets = [*before, params.data.dataset] if find_best_epoch(history)["epoch"] else before
    return ", ".join(dict.fromkeys(datasets))


class Trainer:
    """One training run: `run` goes on from `state_path` where a state lies there."""

    def __init__(self, params, train_split, val_split, strategy, state_path, log_folder=None):
        self.params = params.train
        self.train_split, self.val_split = train_split, val_split
        self.truth = read_truth(val_split)
        self.state_path = Path(state_path)
        self.strategy, self.share = strategy, find_share(strategy)
        self.batch_size = self.params.batch_size
        self.steps = train_split.num_records // self.batch_size
        if self.params.epochs and not self.steps:
            raise UserError(
                f"params.yaml: train.batch_size: {self.batch_size} is more than the "
                f"{train_split.num_records} train records; lower it"
            )
        # A variable is mirrored to each device only where it is made in the scope.
        with strategy.scope():
            self._build(params.model)
        self.part_size = self.step.part_size
        self.eval_size = self.part_size * count_local_replicas(strategy)  # of this process
        # Of several hosts the first one writes; all read the same.
        self.writes = self.share.rank == 0
        self.log_folder = log_folder if self.writes else None
        self.time_told = False

    def _build(self, model_params):
        """The network, what moves it, and what judges it."""
        self.network = build_hourglass(model_params)
        self.start = find_init_weights(self.params.init_weights)
        if self.start:
            load_weights(self.network, self.start)
            scale_heatmaps(self.network, self.params.target_peak)
        trained = self.network.trainable_variables
        self.optimizer = Optimizer(self.params, trained, inner_kernels(self.network))
        self.step = TrainStep(self.network, self.optimizer, self.params, self.strategy)
        self.predictor = PoseEstimator(self.step.network, flip_test=False, decode="dark")

    def run(self):
        """Train to the end, or to early stopping.

        The network ends with the best weights, its heatmaps scaled to peaks near 1.

        Returns:
            The history: a list of {epoch, lr, loss, val_pckh, val_pckh_0_1}; in epoch 0, which a
            run from another network begins with, lr and loss are None.

        Raises:
            UserError: the loss is not finite, or the memory does not suffice.
        """
        state = self._restore()
        tracker = RunLogger(self.log_folder, state.history) if self.log_folder else None
        self._announce()
        if self.start and not state.history:
            state = self._judge_start()
            self._keep(state, tracker)
        while not is_training_finished(self.params, state.history):
            state = self._run_epoch(state)
            self._keep(state, tracker)
        if tracker:
            tracker.close()
        self.network.set_weights(state.best_weights)
        scale_heatmaps(self.network, 1 / self.params.target_peak)
        return state.history

    def _announce(self):
        print(
            f"{self.train_split.num_records:,} train and {self.val_split.num_records:,} validation "
            f"records, {self.steps} steps of {self.batch_size} an epoch, on "
            f"{describe_devices(self.strategy)}",
            flush=True,
        )

    def _restore(self):
        state = Checkpoint([], [], [], [])
        if self.state_path.is_file():
            state = Checkpoint.load(self.state_path)
            self.network.set_weights(state.weights)
            self.optimizer.set_values(state.optimizer)
            print(f"going on after epoch {count_epochs(state.history)}", flush=True)
        rows = np.float32(len(state.history))
        if sum_over_hosts(self.strategy, rows) != rows * self.share.number:
            raise UserError(
                f"{self.state_path}: hosts see different epochs there, as storage does that shows "
                "new files late; wait a minute, then repeat, or move XDG_CACHE_HOME to another"
            )
        return state

    def _judge_start(self):
        """The state before the first epoch, with the score of the weights that are there."""
        with self._memory_errors():
            row = {"epoch": 0, "lr": None, "loss": None} | self.validate()
        weights = self.network.get_weights()
        return Checkpoint(weights, self.optimizer.get_values(), weights, [row])

    def _run_epoch(self, state):
        """The state after one more epoch."""
        epoch = count_epochs(state.history) + 1
        with self._memory_errors():
            row = self._train_epoch(epoch, state.history)
            weights = self.network.get_weights()
            # The last step's loss is taken before its update: it can be finite, and the weights
            # not.
            if not all(np.isfinite(array).all() for array in weights):
                raise UserError(self.describe_divergence(epoch, self.steps - 1))
            # Averages are judged and kept, but training goes on from the weights themselves.
            if self.params.ema:
                self.optimizer.write_averages()
            row |= self.validate()
            judged = self.network.get_weights()
            self.network.set_weights(weights)
        # `>`: of equal epochs the first one stays.
        is_best = not state.history or row["val_pckh"] > state.best["val_pckh"]
        return Checkpoint(
            weights=weights,
            optimizer=self.optimizer.get_values(),
            best_weights=judged if is_best else state.best_weights,
            history=[*state.history, row],
        )

    def _train_epoch(self, epoch, history):
        """All steps of an epoch; gives the means of its learning rates and of its losses."""
        lrs = []
        with EpochProgress(self, epoch) as progress:
            for batch in self._batches(epoch, self.share):
                number = (epoch - 1) * self.steps + len(lrs)
                lrs.append(learning_rate(self.params, number, self.steps, history))
                progress.add(self.step(batch, lrs[-1], number))
        return {
            "epoch": epoch, "lr": statistics.fmean(lrs), "loss": statistics.fmean(progress.losses)
        }  # fmt: skip

    def _batches(self, epoch, share=WHOLE):
        split, params = self.train_split, self.params
        return train_batches(split, self.batch_size, params.augment, params.seed, epoch, share)

    def describe_divergence(self, epoch, step):
        """Where the loss or the weights stopped being finite, in one line; step from 0."""
        # The same epoch again: its order follows from its number, so the batch is the same too.
        batch = next(iter(self._batches(epoch).skip(step).take(1)))
        return (
            f"params.yaml: train.lr: the loss is not finite in epoch {epoch}, step {step + 1}, on "
            f"train records {sorted(batch['index'].numpy().tolist())}; lower train.lr, or look at "
            "these records of data/annotations/train.json, counted from 0"
        )

    @contextlib.contextmanager
    def _memory_errors(self):
        try:
            yield
        except tf.errors.ResourceExhaustedError:
            raise UserError(self._describe_memory()) from None

    def _describe_memory(self):
        size = self.part_size
        fewer = f"set it to {size // 2} for the same batch in more passes, or " if size > 1 else ""
        return (
            f"params.yaml: train.max_batch_per_device: {size} pictures at a time do not fit into a "
            f"device's memory; {fewer}set train.precision to mixed_bfloat16, or lower num_stacks, "
            "num_channels or input_size of model"
        )

    def validate(self):
        """PCKh in per cent of the validation records, on crops by center and scale, no flip test.

        Persons whom the shards lack are not counted here; the evaluate stage counts them as wrong.
        """
        # Each host predicts its share, and all score the whole.
        batches = eval_batches(self.val_split, self.eval_size, fill_last=True, share=self.share)
        keypoints, *_ = predict_split(self.predictor, batches, self.val_split.num_persons)
        keypoints = sum_over_hosts(self.strategy, keypoints)
        truth = self.truth
        # In px of the original pictures, as the evaluate stage counts.
        keypoints = keypoints[truth["index"]]
        errors = pckh.normalized_errors(keypoints, truth["joints"], truth["head_size"])
        return {
            # None where no scored joint is labelled at all.
            "val_pckh": pckh.compute_pckh(errors, truth["keypoints_visible"], 0.5) or 0.0,
            "val_pckh_0_1": pckh.compute_pckh(errors, truth["keypoints_visible"], 0.1) or 0.0,
        }

    def _keep(self, state, tracker):
        # Saved before it is told: what was printed is never trained twice.
        if self.writes:
            state.save(self.state_path)
        self._report(state, tracker)

    def _report(self, state, tracker):
        row, best = state.history[-1], state.best
        trained = f"lr {row['lr']:.2e}  loss {row['loss']:.5f}  " if row["epoch"] else ""
        print(
            f"epoch {row['epoch']:3}/{self.params.epochs}  {trained}"
            f"PCKh@0.5 {row['val_pckh']:5.2f}  @0.1 {row['val_pckh_0_1']:5.2f}  "
            f"best {best['val_pckh']:5.2f} (epoch {best['epoch']})",
            flush=True,
        )
        if tracker:
            # Peaks near 1, whatever the target's were.
            heatmaps = self.predictor.predict_heatmaps(self.samples) / self.params.target_peak
            tracker.log_epoch(row, self.samples, heatmaps)

    @functools.cached_property
    def samples(self):
        """The first validation persons as the network sees them, [N, S, S, 3]."""
        batch = next(iter(eval_batches(self.val_split, NUM_SAMPLES)))
        return render_inputs(batch, self.network.input_shape[1])

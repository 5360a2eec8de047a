"""A training run: the loop, the step, validation, and a checkpoint that survives any kill.

After each epoch one file keeps all that the next one depends on: weights, optimizer, best weights,
history. All else - order, augmentation, learning rate, early stopping - follows from the epoch's
number and the history. A resumed run ends with the same bytes.

A run that starts from another network scores that one first, as epoch 0. It ends with no worse one.
"""

import contextlib
import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.config import Params
from hourglass.data.tfrecords.pipeline import WHOLE, eval_batches, train_batches
from hourglass.data.tfrecords.reader import Split, read_truth
from hourglass.evaluation import pckh
from hourglass.models.batch_norm import fuse_batch_norms
from hourglass.models.codec import open_codec
from hourglass.models.graph import inner_kernels, scale_heatmaps
from hourglass.models.model_inputs import (
    crop_half_bodies,
    cut_at_edges,
    render_inputs,
    transform_keypoints,
)
from hourglass.models.pose_estimator import PoseEstimator, predict_split
from hourglass.models.registry import build_model
from hourglass.models.saving import load_encoder, load_weights
from hourglass.training.accumulation import GradientAccumulator, split_batch
from hourglass.training.calibration import fit_calibration
from hourglass.training.checkpoint import Checkpoint, find_best_epoch, find_init_weights
from hourglass.training.devices import choose_pass_size, describe_devices, sum_over_hosts
from hourglass.training.loggers import NUM_SAMPLES, Logger
from hourglass.training.losses import heatmap_loss
from hourglass.training.optimizers import build_optimizer
from hourglass.training.schedules import count_epochs, is_training_finished, learning_rate
from hourglass.utils.backend import Strategy, Tensor, tf
from hourglass.utils.devices import Share, count_local_replicas, find_share
from hourglass.utils.errors import UserError

CHECK_EVERY = 8  # steps from one reading of the losses to the next: it waits for the device


class Trainer:
    """One training run: `run` goes on from the file `checkpoint` if it exists."""

    def __init__(
        self,
        params: Params,
        train_split: Split,
        val_split: Split,
        strategy: Strategy,
        checkpoint: Path,
        loggers: Sequence[Logger] = (),
        encoder: Path = Path(),
    ) -> None:
        """Build the network, from `encoder`'s weights if it has one, and all that trains it."""
        self.params = params.train
        self.train_split, self.val_split = train_split, val_split
        self.checkpoint, self.loggers = Path(checkpoint), loggers
        self.strategy, self.share = strategy, find_share(strategy)
        self.num_shown = train_split.count_records(self.params.repeats)
        self.steps = self.num_shown // self.params.batch_size  # an epoch
        if self.params.epochs and not self.steps:
            raise UserError(
                f"params.yaml: train.batch_size: {self.params.batch_size} is more than the "
                f"{self.num_shown} train records; lower it"
            )
        # Before the first epoch: damage that is found after it has cost that epoch.
        self.truth = read_truth(val_split)
        self.pass_size = choose_pass_size(self.params, strategy.num_replicas_in_sync)
        self.num_parts = self.params.batch_size // self.pass_size
        self.num_passes = self.num_parts // strategy.num_replicas_in_sync
        with strategy.scope():  # a variable is mirrored to each device only where it is made in it
            self._build(params, encoder)

    def _build(self, params: Params, encoder: Path) -> None:
        schema = self.train_split.schema
        self.network = build_model(params.model, schema, self.params.sigma)
        self.codec = open_codec(self.network.metadata)
        self.start = find_init_weights(self.params.init_weights)
        has_encoder = params.model.encoder != "none"
        pretrained = load_encoder(self.network, encoder) if has_encoder else []
        if self.start:
            load_weights(self.network, self.start)
            scale_heatmaps(self.network, self.params.target_peak)
        # The same variables, faster: this one is trained, `network` is saved.
        self.fused = fuse_batch_norms(self.network, self.num_passes)
        self.trained = self.network.trainable_variables
        self.optimizer = build_optimizer(
            self.params, self.trained, inner_kernels(self.network), pretrained
        )
        several = self.num_passes > 1
        self.accumulator: Any = GradientAccumulator(self.trained) if several else None
        self.estimator = PoseEstimator(self.fused, flip_test=False, decoder="dark")
        # XLA cannot compile a step of several devices.
        xla = self.params.xla and self.strategy.num_replicas_in_sync == 1
        self.run_pass = tf.function(self._run_pass, jit_compile=xla, autograph=False)

    def run(self) -> list[dict]:
        """Train to the end, or to early stopping.

        The network ends with the best weights, its heatmaps scaled to peaks near 1, its scores
        calibrated.

        Returns:
            The history: a list of {epoch, lr, loss, val_pckh, val_pckh_0_1}; in epoch 0, with
            which a run from another network begins, lr and loss are None.

        Raises:
            UserError: the loss is not finite, or the memory does not suffice.
        """
        state = self.restore()
        print(self._describe(), flush=True)
        self._tell("start_run", state.history)
        if self.start and not state.history:
            state = self.save(self.score_start())
        while not is_training_finished(self.params, state.history):
            epoch = count_epochs(state.history) + 1
            with self._memory_errors():
                row = self.train_one_epoch(epoch, state.history)
                weights = self.network.get_weights()
                # The last step's loss precedes its update: it can be finite, and the weights not.
                if not all(np.isfinite(array).all() for array in weights):
                    raise UserError(self._describe_divergence(epoch, self.steps - 1))
                # Averages, where kept, are scored; training goes on from the weights themselves.
                self.optimizer.finalize_variable_values(self.trained)
                row |= self.validate()
                scored = self.network.get_weights()
                self.network.set_weights(weights)
            history = [*state.history, row]
            best = scored if find_best_epoch(history) is row else state.best_weights
            state = self.save(Checkpoint(weights, self._optimizer_state(), best, history))
        self._tell("end_run")
        self.network.set_weights(state.best_weights)
        scale_heatmaps(self.network, 1 / self.params.target_peak)
        self.calibrate()
        return state.history

    def train_one_epoch(self, epoch: int, history: list[dict]) -> dict[str, Any]:
        """All steps of an epoch; gives the means of its learning rates and of its losses."""
        rates: list[float] = []
        losses: list[float] = []
        pending: list[Tensor] = []
        with self._epoch_told(epoch):
            for step, batch in enumerate(self._batches(epoch, self.share)):
                number = (epoch - 1) * self.steps + step
                rates.append(learning_rate(self.params, number, self.steps, history))
                self.optimizer.learning_rate = rates[-1]
                pending.append(self.train_step(batch))
                if step % CHECK_EVERY == 0 or step == self.steps - 1:
                    losses += tf.stack(pending).numpy().tolist()
                    pending = []
                    if bad := [k for k, loss in enumerate(losses) if not math.isfinite(loss)]:
                        raise UserError(self._describe_divergence(epoch, bad[0]))
                self._tell("log_step", step, losses)
        return {"epoch": epoch, "lr": statistics.fmean(rates), "loss": statistics.fmean(losses)}

    def train_step(self, batch: dict[str, Tensor]) -> Tensor:
        """One step on this process's share of a batch; gives the loss before it, a float32."""
        *earlier, last = split_batch(batch, self.num_passes, self.strategy)
        for part in earlier:
            self.run_pass(part, is_last=False)
        return self.run_pass(last, is_last=True)

    def _run_pass(self, batch: dict[str, Tensor], is_last: bool) -> Tensor:
        """Loss and gradients of a pass, on each device; the last one moves the weights."""

        def run_on_device(part: dict[str, Tensor]) -> Tensor:
            with tf.GradientTape() as tape:
                loss = self.compute_loss(part) / self.num_parts  # the part's share of the batch's
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, [v.value for v in self.trained])
            if not is_last:
                return self.accumulator.add([loss, *gradients])
            if self.accumulator:
                loss, *gradients = self.accumulator.finish([loss, *gradients])
            self.optimizer.apply(gradients)
            return loss

        losses = self.strategy.run(run_on_device, (batch,))
        return self.strategy.reduce("sum", losses, axis=None) if is_last else None

    def compute_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of the model inputs of a batch of `train_batches`."""
        size, schema = self.network.metadata.input_size, self.network.metadata.schema
        batch = crop_half_bodies(batch, schema.lower_indices)
        if self.params.augment.edges:
            batch = cut_at_edges(batch)
        heatmaps = self.fused(render_inputs(batch, size), training=True)
        heatmaps = heatmaps if isinstance(heatmaps, list | tuple) else [heatmaps]
        keypoints, visible = transform_keypoints(batch, size, schema.flip_order)
        return heatmap_loss(heatmaps, keypoints, visible, self.codec, self.params)

    def validate(self) -> dict[str, float]:
        """PCKh in per cent of the validation records, on crops by center and scale, no flip test.

        Persons whom the shards lack are not counted here; the evaluate stage counts them as wrong.
        """
        errors, _ = self._find_errors(self.estimator)
        visible, scored = self.truth["keypoints_visible"], self.val_split.schema.scored_indices
        scores = (
            pckh.compute_pckh(errors, visible, scored, threshold) or 0.0  # None: no label
            for threshold in (0.5, 0.1)
        )
        return dict(zip(("val_pckh", "val_pckh_0_1"), scores, strict=True))

    def calibrate(self) -> None:
        """Make probabilities of the network's scores, by the validation keypoints, flip test on."""
        with self.strategy.scope():
            estimator = PoseEstimator(self.fused, flip_test=True, decoder="dark")
        errors, heights = self._find_errors(estimator)
        scored = np.zeros(errors.shape, bool)
        scored[:, self.val_split.schema.scored_indices] = True
        known = scored & self.truth["keypoints_visible"]
        calibration = fit_calibration(heights[known], errors[known] <= 0.5)
        self.network.metadata = dataclasses.replace(self.network.metadata, calibration=calibration)

    def _find_errors(self, estimator: PoseEstimator) -> tuple[np.ndarray, np.ndarray]:
        """Errors [N, K] of the validation records, in head sizes, and the scores [N, K]."""
        # Each host predicts its share, and all score the whole.
        size = self.pass_size * count_local_replicas(self.strategy)
        batches = eval_batches(self.val_split, size, fill_last=True, share=self.share)
        found = predict_split(estimator, batches, self.val_split.num_persons)[:2]
        truth = self.truth
        keypoints, scores = (
            sum_over_hosts(self.strategy, values)[truth["index"]] for values in found
        )
        # In px of the original pictures, as the evaluate stage counts.
        return pckh.normalized_errors(keypoints, truth["joints"], truth["head_size"]), scores

    def score_start(self) -> Checkpoint:
        """The state before the first epoch, with the score of the weights that are there."""
        with self._memory_errors():
            row = {"epoch": 0, "lr": None, "loss": None} | self.validate()
        weights = self.network.get_weights()
        return Checkpoint(weights, self._optimizer_state(), weights, [row])

    def save(self, state: Checkpoint) -> Checkpoint:
        """Save the state, then log it: a printed epoch is never trained twice."""
        if self.share.rank == 0:
            state.save(self.checkpoint)
        self._tell("log_epoch", state.history[-1], state.best, self._sample_heatmaps)
        return state

    def restore(self) -> Checkpoint:
        """The state to go on from, put into network and optimizer; an empty one at the start."""
        state = Checkpoint([], [], [], [])
        if self.checkpoint.is_file():
            state = Checkpoint.load(self.checkpoint)
            self.network.set_weights(state.weights)
            for variable, value in zip(self.optimizer.variables, state.optimizer, strict=True):
                variable.assign(value)
            print(f"going on after epoch {count_epochs(state.history)}", flush=True)
        rows = np.float32(len(state.history))
        if sum_over_hosts(self.strategy, rows) != rows * self.share.number:
            raise UserError(
                f"{self.checkpoint}: hosts see different epochs there, as storage does that shows "
                "new files late; wait a minute, then repeat, or move XDG_CACHE_HOME to another"
            )
        return state

    @contextlib.contextmanager
    def _epoch_told(self, epoch: int) -> Iterator[None]:
        self._tell("start_epoch", epoch, self.steps, self.params.batch_size)
        try:
            yield
        finally:
            self._tell("end_epoch")

    def _tell(self, event: str, *arguments: Any) -> None:
        for logger in self.loggers:
            getattr(logger, event)(*arguments)

    def _optimizer_state(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.optimizer.variables]

    def _batches(self, epoch: int, share: Share = WHOLE) -> Any:
        split, params = self.train_split, self.params
        return train_batches(
            split, params.batch_size, params.augment, params.seed, epoch, share, params.repeats
        )

    def _sample_heatmaps(self) -> tuple[Tensor, Tensor]:
        """The first validation persons as the network sees them, and their heatmaps."""
        batch = next(iter(eval_batches(self.val_split, NUM_SAMPLES)))
        inputs = render_inputs(batch, self.network.metadata.input_size)
        # Peaks near 1, whatever the target's were.
        return inputs, self.estimator.predict_heatmaps(inputs) / self.params.target_peak

    def _describe(self) -> str:
        return (
            f"{self.num_shown:,} train and {self.val_split.num_records:,} validation "
            f"records, {self.steps} steps of {self.params.batch_size} an epoch, on "
            f"{describe_devices(self.strategy)}"
        )

    def _describe_divergence(self, epoch: int, step: int) -> str:
        # The same epoch again: its order follows from its number, so the batch is the same too.
        batch = next(itertools.islice(self._batches(epoch), step, None))
        return (
            f"params.yaml: train.lr: the loss is not finite in epoch {epoch}, step {step + 1}, on "
            f"train records {sorted(batch['index'].numpy().tolist())}; lower train.lr, or look at "
            "these records of data/annotations/train.json, counted from 0"
        )

    @contextlib.contextmanager
    def _memory_errors(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.ResourceExhaustedError:
            size = self.pass_size
            fewer = f"set it to {size // 2} for the same batch in more passes, or " * (size > 1)
            raise UserError(
                f"params.yaml: train.max_batch_per_device: {size} pictures at a time do not fit "
                f"into a device's memory; {fewer}set train.precision to mixed_bfloat16, or lower "
                "num_stacks, num_channels or input_size of model"
            ) from None

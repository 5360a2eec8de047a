"""What is seen of a run on the terminal: a bar, and the time it will take."""

import math
import time

from tqdm import tqdm

from hourglass.errors import UserError
from hourglass.frameworks import keras
from hourglass.training.schedules import learning_rate

# Steps whose time tells how long a run takes; the first of a process, which compiles, is not one.
PROBE_STEPS = 5
LONG_HOURS = 1


def describe_hours(hours):
    """A duration in words, as coarse as an estimate is."""
    if hours > 48:
        return f"{hours / 24:.0f} days"
    if hours > 2:
        return f"{hours:.1f} hours"
    minutes = max(1, round(60 * hours))
    return f"{minutes} minute{'s' * (minutes > 1)}"


class EpochProgress(keras.callbacks.Callback):
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
        """Set the step's learning rate."""
        trainer = self.trainer
        step = (self.epoch - 1) * trainer.steps + batch
        lr = learning_rate(trainer.params, step, trainer.steps, self.history)
        trainer.optimizer.learning_rate = lr
        if batch == 0:
            self.lr = lr

    def on_train_batch_end(self, batch, logs=None):
        """Stop on a loss that is not finite; move the bar."""
        self.loss = float(logs["loss"])
        if not math.isfinite(self.loss):
            self.bar.close()
            raise UserError(self.trainer.describe_divergence(self.epoch, batch))
        self.bar.update(self.trainer.batch_size)
        self.bar.set_postfix(loss=f"{self.loss:.5f}", refresh=False)
        self._probe_time(batch)

    def _probe_time(self, batch):
        trainer = self.trainer
        if batch == 0:
            self.started = time.monotonic()
        elif batch == min(PROBE_STEPS, trainer.steps - 1) and not trainer.time_told:
            trainer.time_told = True
            rate = batch * trainer.batch_size / (time.monotonic() - self.started)
            steps = (trainer.params.epochs - self.epoch + 1) * trainer.steps - (batch + 1)
            trainer.report_time(rate, steps * trainer.batch_size)

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.bar.close()

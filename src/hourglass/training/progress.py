"""What is seen of a run on the terminal: a bar, and the time it will take."""

import math
import sys
import time

from tqdm import tqdm

from hourglass.errors import UserError
from hourglass.frameworks import keras, tf
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


def report_time(rate, num_left):
    """Say how long the rest takes, before it is spent.

    Args:
        rate: images a second. num_left: images of this epoch and those to come.
    """
    hours = num_left / rate / 3600
    text = f"{rate:.1f} images/s: about {describe_hours(hours)} to go"
    if hours > LONG_HOURS and not tf.config.list_physical_devices("GPU"):
        text = (
            f"warning: no GPU found, and {text}; this recipe is meant for one. End it here, or "
            "lower train.epochs, num_stacks, num_channels or input_size of model"
        )
    tqdm.write(text, file=sys.stderr)


class EpochProgress(keras.callbacks.Callback):
    """Sets the learning rate before each step, checks the loss after it, draws the bar.

    Attributes:
        lr: the mean of the epoch's learning rates. loss: the mean of its steps' losses.
    """

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
        # Assigned to a variable: the compiled step reads it, and is not compiled again.
        trainer.optimizer.learning_rate = lr
        self.lr += lr / trainer.steps

    def on_train_batch_end(self, batch, logs=None):
        """Stop on a loss that is not finite; move the bar."""
        self.loss = float(logs["loss"])  # Keras gives the mean of the epoch so far
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
            report_time(rate, steps * trainer.batch_size)

    def on_train_end(self, logs=None):
        """Close the bar."""
        self.bar.close()

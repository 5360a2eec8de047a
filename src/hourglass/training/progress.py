"""What is seen of a run on the terminal: a bar, and the time it will take."""

import math
import statistics
import sys
import time

from tqdm import tqdm

from hourglass.errors import UserError
from hourglass.frameworks import tf

LOOK_EVERY = 8  # steps
LONG_HOURS = 3  # the lspet recipe, which is meant for a CPU, takes two


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


class EpochProgress:
    """The bar of one epoch, and a look at its losses every few steps.

    A look waits until the device has done all that it was given: after each step it would stand
    still while the host prepares the next one.

    Attributes:
        losses: those that were looked at, in the order of the steps.
    """

    def __init__(self, trainer, epoch):
        self.trainer, self.epoch = trainer, epoch
        self.losses, self.pending = [], []
        self.bar = tqdm(
            total=trainer.steps * trainer.batch_size, desc=f"epoch {epoch}/{trainer.params.epochs}",
            unit="image", disable=None, leave=False,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def add(self, loss):
        """Count a step; its loss is a tensor that need not be there yet."""
        self.pending.append(loss)
        self.bar.update(self.trainer.batch_size)
        step = len(self.losses) + len(self.pending) - 1  # from 0
        if step % LOOK_EVERY == 0 or step == self.trainer.steps - 1:
            self._look()
            self._probe_time(step)

    def _look(self):
        """Fetch the losses; stop on one that is not finite."""
        for loss in tf.stack(self.pending).numpy().tolist():
            if not math.isfinite(loss):
                raise UserError(self.trainer.describe_divergence(self.epoch, len(self.losses)))
            self.losses.append(loss)
        self.pending = []
        self.bar.set_postfix(loss=f"{statistics.fmean(self.losses):.5f}", refresh=False)

    def _probe_time(self, step):
        trainer = self.trainer
        if step == 0:
            self.started = time.monotonic()  # the first step of a process compiles
        elif not trainer.time_told:
            trainer.time_told = True
            rate = step * trainer.batch_size / (time.monotonic() - self.started)
            steps = (trainer.params.epochs - self.epoch + 1) * trainer.steps - (step + 1)
            report_time(rate, steps * trainer.batch_size)

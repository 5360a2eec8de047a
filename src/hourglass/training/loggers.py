"""What is seen of a run on the terminal: a bar, and the time it will take.

What one looks at while a run is under way: TensorBoard's curves and DVCLive's report.
"""

import math
import statistics
import sys
import time

import matplotlib
import numpy as np
from dvc.scm import SCMError, map_scm_exception
from dvclive import Live
from tqdm import tqdm

from hourglass.utils.backend import tf
from hourglass.utils.errors import UserError
from hourglass.utils.files import write_text

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


NUM_SAMPLES = 8
# No dots: Vega, which draws them, takes `a.b` for a field of `a`.
HISTORY_COLUMNS = ("epoch", "lr", "loss", "val_pckh", "val_pckh_0_1")


def name_work_dir(params, key):
    """What a run's folder is called: what tells runs apart at a glance, then its state's key.

    Args:
        params: Params. key: of `states.checkpoint_key`; the same for a run that is resumed.
    """
    model, train = params.model, params.train
    parts = (
        params.data.dataset, f"{model.num_stacks}x{model.num_channels}", f"{model.input_size}px",
        train.optimizer, f"lr{train.lr:g}", f"{train.epochs}epochs", key[:6],
    )  # fmt: skip
    return "_".join(parts)


class RunLogger:
    """Writes each epoch's numbers and sample heatmaps into `folder`.

    `live/report.html` there holds the curves so far; TensorBoard reads the folder itself.
    """

    def __init__(self, folder, history):
        self.events = tf.summary.create_file_writer(str(folder))
        self.live = _start_live(folder / "live")
        for row in history:  # of an earlier process, which may have been killed before it wrote
            self._log_numbers(row)
        self._report()

    def log_epoch(self, row, pictures, heatmaps):
        """Add one epoch.

        Args:
            row: {epoch, lr, loss, val_pckh, ...}.
            pictures: [N, S, S, 3], 0..255, samples. heatmaps: [N, H, W, K], of the last stack.
        """
        self._log_numbers(row)
        with self.events.as_default(step=row["epoch"]):
            overlays = overlay_heatmaps(pictures, heatmaps)
            tf.summary.image("heatmaps", overlays, max_outputs=NUM_SAMPLES)
        self._report()

    def _log_numbers(self, row):
        # Before the first epoch there is no learning rate, and no loss.
        numbers = {k: value for k, value in row.items() if k != "epoch" and value is not None}
        with self.events.as_default(step=row["epoch"]):
            for name, value in numbers.items():
                tf.summary.scalar(name, value)
        if self.live:
            self.live.step = row["epoch"]
            for name, value in numbers.items():
                self.live.log_metric(name, value)

    def _report(self):
        self.events.flush()
        if self.live:
            self.live.make_summary()
            self.live.make_report()

    def close(self):
        """Finish the files."""
        self.events.close()
        if self.live:
            self.live.end()


def _start_live(folder):
    try:
        with map_scm_exception():
            # The results of a run are DVC's own to record: they are the stage's outputs.
            return Live(str(folder), report="html", save_dvc_exp=False, dvcyaml=None)
    except SCMError:  # a git repository without a commit
        return None


def overlay_heatmaps(pictures, heatmaps):
    """Lay the strongest heatmap of each pixel over the pictures.

    Args:
        pictures: [N, S, S, 3], 0..255. heatmaps: [N, H, W, K], peaks near 1; H divides S.

    Returns:
        uint8 [N, S, S, 3].
    """
    pictures, heatmaps = np.asarray(pictures), np.asarray(heatmaps, np.float32)
    factor = pictures.shape[1] // heatmaps.shape[1]
    strongest = np.clip(heatmaps.max(axis=-1), 0, 1)
    strongest = strongest.repeat(factor, axis=1).repeat(factor, axis=2)
    colours = 255 * matplotlib.colormaps["turbo"](strongest)[..., :3]
    # Weak heat lets the picture through.
    share = 0.2 + 0.8 * strongest[..., None]
    return (pictures * (1 - share) + colours * share).astype(np.uint8)


def write_history(path, history):
    """The epochs as CSV, for `dvc plots`; numbers in full, so that equal runs give equal files."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [",".join(_show(row[name]) for name in HISTORY_COLUMNS) for row in history]
    write_text(path, "\n".join(lines) + "\n")


def _show(number):
    return "" if number is None else repr(number)

"""A run shown while it trains: the terminal, TensorBoard, DVCLive's report."""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from dvc.scm import SCMError, map_scm_exception
from dvclive import Live
from tqdm import tqdm

from hourglass.utils.backend import Tensor, tf
from hourglass.utils.files import write_text

NUM_SAMPLES = 8
# No dots: Vega, which draws them, takes `a.b` for a field of `a`.
HISTORY_COLUMNS = ("epoch", "lr", "loss", "val_pckh", "val_pckh_0_1")
LONG_HOURS = 3  # the lspet recipe, which is meant for a CPU, takes two
SampleHeatmaps = Callable[[], tuple[Tensor, Tensor]]


class Logger:
    """A listener to a trainer's run. Each method here does nothing."""

    def start_run(self, history: list[dict]) -> None:
        """The run starts; `history` are the epochs of an earlier process."""

    def start_epoch(self, epoch: int, num_steps: int, batch_size: int) -> None:
        """An epoch starts, counted from 1."""

    def log_step(self, step: int, losses: Sequence[float]) -> None:
        """A step has ended, counted from 0; `losses` are those of the epoch that are known."""

    def end_epoch(self) -> None:
        """An epoch's steps have ended, or an error ends them."""

    def log_epoch(self, row: dict, best: dict, sample_heatmaps: SampleHeatmaps) -> None:
        """An epoch is scored and saved.

        Args:
            row: {epoch, lr, loss, val_pckh, ...}. best: the best epoch's.
            sample_heatmaps: gives pictures [N, S, S, 3], 0..255, and their heatmaps [N, H, W, K].
        """

    def end_run(self) -> None:
        """The run has ended."""


class TerminalLogger(Logger):
    """A bar for each epoch, once the time that is left, and a line for each epoch."""

    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs
        self.is_time_told = False
        self.bar: Any = None

    def start_epoch(self, epoch: int, num_steps: int, batch_size: int) -> None:
        """Open the bar."""
        self.epoch, self.num_steps, self.batch_size = epoch, num_steps, batch_size
        self.num_known = 0
        self.bar = tqdm(
            total=num_steps * batch_size, desc=f"epoch {epoch}/{self.num_epochs}", unit="image",
            disable=None, leave=False,
        )  # fmt: skip

    def log_step(self, step: int, losses: Sequence[float]) -> None:
        """Move the bar; tell the time that is left, once the device has done some steps."""
        self.bar.update(self.batch_size)
        if len(losses) == self.num_known:  # the device may be behind
            return
        self.num_known = len(losses)
        self.bar.set_postfix(loss=f"{statistics.fmean(losses):.5f}", refresh=False)
        if step == 0:
            self.started = time.monotonic()  # the first step of a process compiles
        elif not self.is_time_told:
            self.is_time_told = True
            rate = step * self.batch_size / (time.monotonic() - self.started)
            num_left = (self.num_epochs - self.epoch + 1) * self.num_steps - (step + 1)
            report_time(rate, num_left * self.batch_size)

    def end_epoch(self) -> None:
        """Close the bar."""
        self.bar.close()

    def log_epoch(self, row: dict, best: dict, sample_heatmaps: SampleHeatmaps) -> None:
        """Print the epoch's line."""
        trained = f"lr {row['lr']:.2e}  loss {row['loss']:.5f}  " if row["epoch"] else ""
        print(
            f"epoch {row['epoch']:3}/{self.num_epochs}  {trained}"
            f"PCKh@0.5 {row['val_pckh']:5.2f}  @0.1 {row['val_pckh_0_1']:5.2f}  "
            f"best {best['val_pckh']:5.2f} (epoch {best['epoch']})",
            flush=True,
        )


def describe_hours(hours: float) -> str:
    """A duration in words, as coarse as an estimate is."""
    if hours > 48:
        return f"{hours / 24:.0f} days"
    if hours > 2:
        return f"{hours:.1f} hours"
    minutes = max(1, round(60 * hours))
    return f"{minutes} minute{'s' * (minutes > 1)}"


def report_time(rate: float, num_left: int) -> None:
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


class RunLogger(Logger):
    """Writes each epoch's numbers and sample heatmaps into a folder.

    `live/report.html` there holds the curves so far; TensorBoard reads the folder itself.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def start_run(self, history: list[dict]) -> None:
        """Open the files, with the epochs of an earlier process."""
        self.events = tf.summary.create_file_writer(str(self.folder))
        self.live = _start_live(self.folder / "live")
        for row in history:  # the process may have been killed before it wrote them
            self._log_numbers(row)
        self._report()

    def log_epoch(self, row: dict, best: dict, sample_heatmaps: SampleHeatmaps) -> None:
        """Add one epoch."""
        self._log_numbers(row)
        with self.events.as_default(step=row["epoch"]):
            overlays = overlay_heatmaps(*sample_heatmaps())
            tf.summary.image("heatmaps", overlays, max_outputs=NUM_SAMPLES)
        self._report()

    def _log_numbers(self, row: dict) -> None:
        # Before the first epoch there is no learning rate, and no loss.
        numbers = {k: value for k, value in row.items() if k != "epoch" and value is not None}
        with self.events.as_default(step=row["epoch"]):
            for name, value in numbers.items():
                tf.summary.scalar(name, value)
        if self.live:
            self.live.step = row["epoch"]
            for name, value in numbers.items():
                self.live.log_metric(name, value)

    def _report(self) -> None:
        self.events.flush()
        if self.live:
            self.live.make_summary()
            self.live.make_report()

    def end_run(self) -> None:
        """Finish the files."""
        self.events.close()
        if self.live:
            self.live.end()


def _start_live(folder: Path) -> Any:
    try:
        with map_scm_exception():
            # The results of a run are DVC's own to record: they are the stage's outputs.
            return Live(str(folder), report="html", save_dvc_exp=False, dvcyaml=None)
    except SCMError:  # a git repository without a commit
        return None


def overlay_heatmaps(pictures: Tensor, heatmaps: Tensor) -> np.ndarray:
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


def write_history(path: Path, history: list[dict]) -> None:
    """The epochs as CSV, for `dvc plots`; numbers in full: equal runs give equal files."""
    lines = [",".join(HISTORY_COLUMNS)]
    lines += [",".join(_show(row[name]) for name in HISTORY_COLUMNS) for row in history]
    write_text(path, "\n".join(lines) + "\n")


def _show(number: float | None) -> str:
    return "" if number is None else repr(number)

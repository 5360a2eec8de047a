"""What one looks at while a run is under way: TensorBoard's curves and DVCLive's report."""

import matplotlib
import numpy as np
from dvc.scm import SCMError, map_scm_exception
from dvclive import Live

from hourglass.files import write_text
from hourglass.frameworks import tf

NUM_SAMPLES = 8
# No dots: Vega, which draws them, takes `a.b` for a field of `a`.
HISTORY_COLUMNS = ("epoch", "lr", "loss", "val_pckh", "val_pckh_0_1")


def run_name(params, key):
    """What a run's folder is called: what tells runs apart at a glance, then its state's key.

    Args:
        params: Params. key: of `states.state_key`; the same for a run that is resumed.
    """
    model, train = params.model, params.train
    parts = (
        params.data.dataset, f"{model.num_stacks}x{model.num_channels}", f"{model.input_size}px",
        train.optimizer, f"lr{train.lr:g}", f"{train.epochs}epochs", key[:6],
    )  # fmt: skip
    return "_".join(parts)


class Tracker:
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

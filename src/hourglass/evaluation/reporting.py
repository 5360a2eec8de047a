"""The scores as files to read, plot and compare: JSON, CSV, a figure and a table."""

import csv
import io
from pathlib import Path

import numpy as np

from hourglass.data.invalid import decode_joints
from hourglass.evaluation.pckh import pckh_curve, summarize
from hourglass.keypoints import NUM_JOINTS
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, read_json, write_json, write_text

EVALUATE_AGAIN = "run `dvc repro evaluate`"

_MEANS = ("total", "unweighted")
_REJECTS = "`data/annotations/invalid.csv` and `data/tfrecords/invalid.csv`"

# Paul Tol's "muted" scheme for the groups, told apart with every kind of colour vision:
# https://personal.sron.nl/~pault/
_CURVE_COLOURS = {
    "total": "#222222",
    "head": "#88CCEE",
    "shoulder": "#44AA99",
    "elbow": "#117733",
    "wrist": "#999933",
    "hip": "#DDCC77",
    "knee": "#CC6677",
    "ankle": "#882255",
}


def score_invalid(invalid):
    """Errors and labels of validation records that parse set aside, all of them wrong.

    A benchmark that drops what it cannot use rewards dropping: without the worst 1 % of MPII's
    validation persons a published prediction rises by 0.8.

    The twin of a record that is kept has no labels of its own to lose and is no row; of invalid
    twins each is one.

    Args:
        invalid: list of `InvalidRecord`, of the validation split.

    Returns:
        errors float64 [M, 16], all infinite; keypoints_visible bool [M, 16]; and the number of
        records whose labels cannot be read, which no score can count.
    """
    lost = [decode_joints(r.lost_joints) for r in invalid if "1" in r.lost_joints]
    keypoints_visible = np.array(lost, bool).reshape(len(lost), NUM_JOINTS)
    num_unreadable = sum(not reject.lost_joints for reject in invalid)
    return np.full(keypoints_visible.shape, np.inf), keypoints_visible, num_unreadable


def write_reports(folder, errors, keypoints_visible, counts, head_sizes):
    """Write `metrics.json`, `pckh.md`, `plots/pckh_curve.csv` and `.png` into `folder`.

    Args:
        folder: where the reports go.
        errors: [N, 16], fractions of the head size; infinite for persons who were left out.
        keypoints_visible: bool [N, 16].
        counts: `num_invalid`, of the N persons those without a prediction, and `num_unreadable`,
            records whose labels cannot be read, which are in none of the numbers.
        head_sizes: where they are from, in words.

    Returns:
        The text of the table.
    """
    folder = Path(folder)
    metrics = summarize(errors, keypoints_visible) | counts
    thresholds, curves = pckh_curve(errors, keypoints_visible)
    table = format_table(metrics, head_sizes)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "pckh.md", f"# PCKh on the validation persons\n\n{table}")
    write_text(folder / "plots" / "pckh_curve.csv", format_curve(thresholds, curves))
    plot_curve(folder / "plots" / "pckh_curve.png", thresholds, curves)
    return table


def read_metrics(path):
    """Read the `metrics.json` that `write_reports` wrote; counts are floats.

    Raises:
        UserError: the file is missing, not JSON, or does not hold these numbers.
    """
    metrics = read_json(path, EVALUATE_AGAIN)
    labelled = np.ones((1, NUM_JOINTS), bool)
    example = summarize(np.zeros((1, NUM_JOINTS)), labelled) | {
        "num_invalid": 0,
        "num_unreadable": 0,
    }
    if not _is_like(metrics, example):
        raise UserError(f"{path}: does not hold the scores of a run; {EVALUATE_AGAIN}")
    return metrics


def _is_like(value, example):
    """Whether `value`, of a JSON file, has the keys of `example`, counts and per cent in place."""
    if isinstance(example, dict):
        is_like = isinstance(value, dict) and value.keys() == example.keys()
        return is_like and all(_is_like(value[key], example[key]) for key in example)
    if isinstance(example, int):
        return isinstance(value, float) and value >= 0 and value.is_integer()
    return value is None or (isinstance(value, float) and 0 <= value <= 100)


def format_table(metrics, head_sizes):
    """The content of `metrics.json` as a Markdown table, with what was counted below it."""
    at_half = metrics["pckh"]
    groups = {name: value for name, value in at_half.items() if name not in _MEANS}
    columns = {
        **{name.capitalize(): value for name, value in groups.items()},
        "total@0.5": at_half["total"],
        "unweighted@0.5": at_half["unweighted"],
        "total@0.1": metrics["pckh_0.1"]["total"],
        "AUC": metrics["auc"],
    }
    cells = ["-" if value is None else f"{value:.2f}" for value in columns.values()]
    widths = [max(len(name), len(cell)) for name, cell in zip(columns, cells, strict=True)]
    rule = ["-" * (width - 1) + ":" for width in widths]
    lines = [_format_row(row, widths) for row in (columns, rule, cells)]
    return "\n".join([*lines, "", _describe_counts(metrics, head_sizes), ""])


def format_curve(thresholds, curves):
    """The curves of `pckh.pckh_curve` as CSV: threshold, total, then one column a joint group."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["threshold", *curves])
    for threshold, *values in zip(thresholds, *curves.values(), strict=True):
        cells = ["" if value is None else f"{value:.4f}" for value in values]
        writer.writerow([f"{threshold:.2f}", *cells])
    return file.getvalue()


def plot_curve(path, thresholds, curves):
    """Draw the curves of `pckh.pckh_curve` as a PNG; the same values give the same bytes."""
    from matplotlib import style  # a second to import
    from matplotlib.figure import Figure

    with style.context("default"):  # the user's own style must not change the bytes
        figure = Figure(figsize=(6.4, 4.2), dpi=100, layout="constrained")
        _draw_curves(figure.subplots(), thresholds, curves)
        with atomic_path(path) as temporary:
            # Matplotlib would write its version into the file.
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_curves(axes, thresholds, curves):
    for name, values in curves.items():
        if values[-1] is None:
            continue
        main = name == "total"
        axes.plot(
            thresholds,
            values,
            label=f"{name}  {values[-1]:.1f}",
            color=_CURVE_COLOURS.get(name),  # a new group takes one of Matplotlib's own
            linewidth=2.6 if main else 1.4,
            zorder=3 if main else 2,
        )
    axes.set(xlim=(0, 0.5), ylim=(0, 100))
    axes.set_xlabel("threshold (fraction of the head size)")
    axes.set_ylabel("PCKh (%)")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="PCKh@0.5", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _format_row(cells, widths):
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"


def _describe_counts(metrics, head_sizes):
    text = (
        f"Per cent. {metrics['num_persons']:,} persons, {metrics['num_joints']:,} labelled joints "
        f"(pelvis and thorax are not scored). Head sizes of those with a record: {head_sizes}."
    )
    if num := metrics["num_invalid"]:
        verb = "was left out and counts" if num == 1 else "were left out and count"
        text += f" {num:,} of the persons {verb} as wrong: {_REJECTS} say why."
    if num := metrics["num_unreadable"]:
        verb = "record is" if num == 1 else "records are"
        text += f" {num:,} {verb} not counted, since no labels can be read."
    return text

"""The scores as files to read, plot and compare: JSON, CSV, a figure and a table."""

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.invalid import InvalidRecord, decode_joints
from hourglass.evaluation.pckh import TOTAL, pckh_curve, summarize
from hourglass.keypoints import MEANS, KeypointSchema
from hourglass.utils.errors import UserError
from hourglass.utils.files import atomic_path, read_json, write_json, write_text

EVALUATE_AGAIN = "run `dvc repro evaluate`"

_INVALID = "`data/annotations/invalid.csv` and `data/tfrecords/invalid.csv`"

# Paul Tol's "muted" scheme, told apart with every kind of colour vision:
# https://personal.sron.nl/~pault/
_TOTAL_COLOUR = "#222222"
_GROUP_COLOURS = (
    "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499",
    "#332288",
)  # fmt: skip
_DASHES = ("-", "--", ":")  # where there are more groups than colours

Scored = tuple[np.ndarray, np.ndarray]  # errors and keypoints_visible, both [N, K]
Curves = Mapping[str, Sequence[float | None]]


def score_invalid(
    invalid: Sequence[InvalidRecord], schema: KeypointSchema
) -> tuple[np.ndarray, np.ndarray, int]:
    """Errors and labels of validation records that parse set aside, all of them wrong.

    A benchmark that drops unusable persons rewards dropping them: without the worst 1 % of MPII's
    validation persons a published prediction rises by 0.8.

    The twin of a kept record has no labels of its own to lose and is no row. Twins that are both
    invalid are a row each.

    Args:
        invalid: the validation split's.

    Returns:
        errors float64 [M, K], all infinite; keypoints_visible bool [M, K]; and the number of
        records whose labels cannot be read, which no score can count.
    """
    lost = [decode_joints(r.lost_joints) for r in invalid if "1" in r.lost_joints]
    keypoints_visible = np.array(lost, bool).reshape(len(lost), schema.num_keypoints)
    num_unreadable = sum(not record.lost_joints for record in invalid)
    return np.full(keypoints_visible.shape, np.inf), keypoints_visible, num_unreadable


def write_reports(
    folder: str | Path,
    scored: Scored,
    schema: KeypointSchema,
    counts: dict[str, int],
    head_sizes: str,
    sets: Mapping[str, Scored] | None = None,
) -> str:
    """Write `metrics.json`, `pckh.md`, `plots/pckh_curve.csv` and `.png` into `folder`.

    Args:
        folder: where the reports go.
        scored: errors [N, K], fractions of the head size, infinite for invalid persons;
            keypoints_visible bool [N, K].
        schema: the columns.
        counts: `num_invalid`, of the N persons those without a prediction, and `num_unreadable`,
            records whose labels cannot be read, which are in none of the numbers.
        head_sizes: where they are from, in words.
        sets: set name -> errors and keypoints_visible of its persons, where there are several.

    Returns:
        The text of the table.
    """
    folder = Path(folder)
    metrics = summarize(*scored, schema) | counts
    if sets:
        metrics["sets"] = {name: summarize(*of_set, schema) for name, of_set in sets.items()}
    thresholds, curves = pckh_curve(*scored, schema)
    table = format_table(metrics, schema, head_sizes)
    write_json(folder / "metrics.json", metrics)
    write_text(folder / "pckh.md", f"# PCKh on the validation persons\n\n{table}")
    write_text(folder / "plots" / "pckh_curve.csv", format_curve(thresholds, curves))
    plot_curve(folder / "plots" / "pckh_curve.png", thresholds, curves)
    return table


def read_metrics(path: str | Path, schema: KeypointSchema) -> dict[str, Any]:
    """Read the `metrics.json` that `write_reports` wrote; counts are floats.

    Raises:
        UserError: the file is missing, not JSON, or does not hold these numbers.
    """
    metrics = read_json(path, EVALUATE_AGAIN)
    example = summarize(
        np.zeros((1, schema.num_keypoints)), np.ones((1, schema.num_keypoints)), schema
    )
    whole = example | {"num_invalid": 0, "num_unreadable": 0}
    if isinstance(metrics, dict) and isinstance(metrics.get("sets"), dict):
        whole["sets"] = dict.fromkeys(metrics["sets"], example)
    if not _is_like(metrics, whole):
        raise UserError(f"{path}: does not hold the scores of a run; {EVALUATE_AGAIN}")
    return metrics


def _is_like(value: Any, example: Any) -> bool:
    """Whether `value`, of a JSON file, has the keys of `example`, counts and per cent in place."""
    if isinstance(example, dict):
        is_like = isinstance(value, dict) and value.keys() == example.keys()
        return is_like and all(_is_like(value[key], example[key]) for key in example)
    if isinstance(example, int):
        return isinstance(value, float) and value >= 0 and value.is_integer()
    return value is None or (isinstance(value, float) and 0 <= value <= 100)


def format_table(metrics: Mapping[str, Any], schema: KeypointSchema, head_sizes: str) -> str:
    """The content of `metrics.json` as a Markdown table, with what was counted below it.

    One row; of several sets each has a row of its own, below that of all.
    """
    columns = [*(name.capitalize() for name in schema.groups), *(f"{n}@0.5" for n in MEANS)]
    rows = [[*columns, "total@0.1", "AUC"], _list_cells(metrics, schema)]
    if sets := metrics.get("sets"):
        rows += [_list_cells(of_set, schema) for of_set in sets.values()]
        rows = [[name, *row] for name, row in zip(["Set", "all", *sets], rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * (width - 1) + ":" for width in widths]
    lines = [_format_row(row, widths) for row in (rows[0], rule, *rows[1:])]
    return "\n".join([*lines, "", _describe_counts(metrics, schema, head_sizes), ""])


def _list_cells(metrics: Mapping[str, Any], schema: KeypointSchema) -> list[str]:
    values = [metrics["pckh"][name] for name in (*schema.groups, *MEANS)]
    values += [metrics["pckh_0.1"][TOTAL], metrics["auc"]]
    return ["-" if value is None else f"{value:.2f}" for value in values]


def format_curve(thresholds: Iterable[float], curves: Curves) -> str:
    """The curves of `pckh.pckh_curve` as CSV: threshold, total, then one column a group."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["threshold", *curves])
    for threshold, *values in zip(thresholds, *curves.values(), strict=True):
        cells = ["" if value is None else f"{value:.4f}" for value in values]
        writer.writerow([f"{threshold:.2f}", *cells])
    return file.getvalue()


def plot_curve(path: Path, thresholds: np.ndarray, curves: Curves) -> None:
    """Draw the curves of `pckh.pckh_curve` as a PNG; the same values give the same bytes."""
    from matplotlib import style  # a second to import
    from matplotlib.figure import Figure

    with style.context("default"):  # the user's own style must not change the bytes
        figure = Figure(figsize=(6.4, 4.2), dpi=100, layout="constrained")
        _draw_curves(figure.subplots(), thresholds, curves)
        with atomic_path(path) as temporary:
            # Matplotlib would write its version into the file.
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_curves(axes: Any, thresholds: np.ndarray, curves: Curves) -> None:
    styles = itertools.cycle(itertools.product(_DASHES, _GROUP_COLOURS))
    for name, values in curves.items():
        main = name == TOTAL
        dashes, colour = ("-", _TOTAL_COLOUR) if main else next(styles)
        if values[-1] is None:
            continue
        axes.plot(
            thresholds,
            values,
            dashes,
            label=f"{name}  {values[-1]:.1f}",
            color=colour,
            linewidth=2.6 if main else 1.4,
            zorder=3 if main else 2,
        )
    axes.set(xlim=(0, 0.5), ylim=(0, 100))
    axes.set_xlabel("threshold (fraction of the head size)")
    axes.set_ylabel("PCKh (%)")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="PCKh@0.5", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _format_row(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"


def describe_unscored(schema: KeypointSchema) -> str:
    """For example "pelvis and thorax are not scored"; "" where all keypoints are scored."""
    verb = "is" if len(schema.unscored) == 1 else "are"
    return f"{' and '.join(schema.unscored)} {verb} not scored" if schema.unscored else ""


def _describe_counts(metrics: Mapping[str, Any], schema: KeypointSchema, head_sizes: str) -> str:
    unscored = describe_unscored(schema)
    note = f" ({unscored})" if unscored else ""
    text = (
        f"Per cent. {metrics['num_persons']:,} persons, {metrics['num_joints']:,} labelled joints"
        f"{note}. Head sizes: {head_sizes}."
    )
    if num := metrics["num_invalid"]:
        verb = "was left out and counts" if num == 1 else "were left out and count"
        text += f" {num:,} of the persons {verb} as wrong: {_INVALID} say why."
    if num := metrics["num_unreadable"]:
        verb = "record is" if num == 1 else "records are"
        text += f" {num:,} {verb} not counted, since no labels can be read."
    return text

"""The parts of the report with numbers: scores by joint and threshold, and the epochs."""

from collections.abc import Sequence
from typing import Any

from hourglass.evaluation.reporting import describe_unscored
from hourglass.report.charts import Axis, Line, Style, draw_chart, draw_swatch
from hourglass.report.markup import (
    Markup,
    definitions,
    element,
    folded,
    join,
    number,
    section,
    table,
)
from hourglass.report.results import Results

Rows = list[tuple[Any, ...]]  # epoch, loss, PCKh@0.5, PCKh@0.1

# All are seen on white and on black. The dashes tell them apart without colour.
_TOTAL = Style(width=3)
_COLOURS = ("#4477AA", "#118899", "#228833", "#998811", "#CC7711", "#DD5566", "#B84488")
_DASHES = ("none", "7 3", "2 3", "7 3 2 3")
_FINE = Style("#4477AA", "7 3")
SHOWN = (10, 20, 30, 40, 50)  # hundredths of the head size


def show_scores(results: Results) -> Markup:
    """The section of the validation scores: all numbers of `metrics.json`, and the curve."""
    metrics = results.metrics
    tiles = (
        ("PCKh@0.5", number(metrics["pckh"]["total"], 2)),
        ("PCKh@0.1", number(metrics["pckh_0.1"]["total"], 2)),
        ("area under the curve", number(metrics["auc"], 2)),
        ("PCKh@0.5, mean of the joints", number(metrics["pckh"]["unweighted"], 2)),
        ("persons", number(metrics["num_persons"])),
        ("labelled joints", number(metrics["num_joints"])),
        ("persons without a prediction, counted as wrong", number(metrics["num_invalid"])),
        ("records unreadable, not counted", number(metrics["num_unreadable"])),
    )
    unscored = describe_unscored(results.schema)
    unscored = f"; {unscored}" if unscored else ""
    about = (
        "A joint is right when it lies within the threshold, a fraction of the person’s head size, "
        f"of its label. Occluded joints count, joints without a label do not{unscored}. All scores "
        f"are per cent. Head sizes: {results.head_sizes}."
    )
    return section(
        "Scores on the validation persons",
        definitions(tiles, class_="tiles"),
        element("div", _draw_curves(results), _show_joints(results), class_="pair"),
        element("p", about, class_="note"),
    )


def style_lines(columns: Sequence[str]) -> dict[str, Style]:
    """{column: the `Style` of its line}, the total first; 28 groups differ."""
    styles = {
        name: Style(_COLOURS[k % len(_COLOURS)], _DASHES[k % len(_DASHES)])
        for k, name in enumerate(columns[1:])
    }
    return {columns[0]: _TOTAL, **styles}


def _show_joints(results: Results) -> Markup:
    styles = style_lines(results.columns)
    thresholds = [f"@{hundredths / 100:g}" for hundredths in SHOWN]
    rows = [
        (join([draw_swatch(styles[name]), name]), *_scores_of(results, name))
        for name in results.columns
    ]
    return table("PCKh by joint and threshold", ("joint", *thresholds), rows)


def _scores_of(results: Results, name: str) -> list[str]:
    """A column's scores at the `SHOWN` thresholds: of metrics.json, else of the curve."""
    values = {hundredths: results.curves[name][hundredths] for hundredths in SHOWN}
    values[50] = results.metrics["pckh"][name]
    if name == "total":
        values[10] = results.metrics["pckh_0.1"]["total"]
    return [number(value, 2) for value in values.values()]


def _draw_curves(results: Results) -> Markup:
    thresholds, styles = results.curves["threshold"], style_lines(results.columns)
    lines = [
        Line(list(zip(thresholds, results.curves[name], strict=True)), styles[name])
        for name in (*results.columns[1:], results.columns[0])  # the total lies on top
    ]
    x_axis, y_axis = Axis("threshold, fraction of the head size", 0.5), Axis("PCKh, %", 100)
    label = "PCKh by threshold, a line for each joint; the table holds its numbers"
    return _chart("PCKh by threshold", draw_chart(label, x_axis, y_axis, lines))


def show_training(results: Results) -> Markup:
    """The section of the epochs: loss and validation scores, as lines and as a table."""
    rows = list(zip(*results.history.values(), strict=True))
    epochs = [
        (number(epoch), number(loss, 5), number(half, 2), number(tenth, 2))
        for epoch, loss, half, tenth in rows
    ]
    header = ("epoch", "loss", "PCKh@0.5", "PCKh@0.1")
    charts = (_draw_loss(rows), _draw_progress(results, rows)) if len(rows) > 1 else ()
    best = results.best_epoch
    whose = (
        f"of epoch {best}, the best by PCKh@0.5" if best else "of the start, which no epoch beat"
    )
    return section(
        "Training",
        element("p", f"The network’s weights are those {whose}."),
        element("div", *charts, class_="pair"),
        folded("All epochs", table("Loss and validation scores by epoch", header, epochs)),
    )


def _draw_loss(rows: Rows) -> Markup:
    losses = [loss for _, loss, *_ in rows if loss is not None]
    line = Line([(epoch, loss) for epoch, loss, *_ in rows], _TOTAL)
    axes = _epoch_axis(rows), Axis("loss", 1.05 * max(losses, default=1.0))
    return _chart("Training loss", draw_chart("training loss by epoch", *axes, [line]))


def _draw_progress(results: Results, rows: Rows) -> Markup:
    half = [(epoch, score) for epoch, _, score, _ in rows]
    tenth = [(epoch, score) for epoch, _, _, score in rows]
    lines = [Line(tenth, _FINE), Line(half, _TOTAL)]
    best = next(point for point in half if point[0] == results.best_epoch)
    label = "validation PCKh@0.5 and PCKh@0.1 by epoch, the best epoch ringed"
    chart = draw_chart(label, _epoch_axis(rows), Axis("PCKh, %", 100), lines, marked=best)
    key = [draw_swatch(_TOTAL), "@0.5, the best ringed; ", draw_swatch(_FINE), "@0.1"]
    return _chart(join(["Validation PCKh ", *key]), chart)


def _epoch_axis(rows: Rows) -> Axis:
    return Axis("epoch", rows[-1][0], step=1)


def _chart(caption: str, chart: Markup) -> Markup:
    return element("figure", element("figcaption", caption), chart)
